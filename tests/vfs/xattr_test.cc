// Extended attributes, as tmpfs of Linux 6.18 has them.

#include <array>

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;
using testing::ElementsAre;
using testing::IsEmpty;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class Xattr : public fixture::VfsTest {
 protected:
  Xattr() {
    fs().Make({fixture::Dir("/d"), fixture::Text("/f", "x")});
    CHECK(task().Symlink("f", "/sl").has_value());
  }

  Status Set(std::string_view path, std::string_view name, std::string_view value, int flags = 0) {
    return task().Setxattr(path, name, Bytes(value), flags);
  }
  Result<std::string> Get(std::string_view path, std::string_view name) {
    return task().ReadXattr(path, name);
  }
  // The same as user 1000 without capabilities.
  std::unique_ptr<Task> Stranger() {
    auto other = task().Fork();
    other->SetCreds(Creds::User(1000, 1000));
    return other;
  }
};

TEST_F(Xattr, IsKeptReplacedAndRemoved) {
  ASSERT_OK(Set("/f", "user.a", "1"));
  EXPECT_EQ(Get("/f", "user.a"), "1");
  ASSERT_OK(Set("/f", "user.a", "longer"));
  EXPECT_EQ(Get("/f", "user.a"), "longer");
  ASSERT_OK(task().Removexattr("/f", "user.a"));
  EXPECT_THAT(Get("/f", "user.a"), FailsWith(Errno::kNoData));
  EXPECT_THAT(task().Removexattr("/f", "user.a"), FailsWith(Errno::kNoData));
}

TEST_F(Xattr, FlagsSayWhetherItMustBeThere) {
  EXPECT_THAT(Set("/f", "user.a", "v", kXattrReplace), FailsWith(Errno::kNoData));
  ASSERT_OK(Set("/f", "user.a", "v", kXattrCreate));
  EXPECT_THAT(Set("/f", "user.a", "v", kXattrCreate), FailsWith(Errno::kExist));
  EXPECT_THAT(Set("/f", "user.b", "v", 3), FailsWith(Errno::kNoData));
  EXPECT_THAT(Set("/f", "user.a", "v", 3), FailsWith(Errno::kExist));
  EXPECT_THAT(Set("/f", "user.a", "v", 4), FailsWith(Errno::kInval));
}

TEST_F(Xattr, AnEmptyBufferAsksForTheSizeAndAShortOneIsRefused) {
  ASSERT_OK(Set("/f", "user.a", "hello"));
  std::array<std::byte, 4> four;
  std::array<std::byte, 8> eight;
  EXPECT_EQ(task().Getxattr("/f", "user.a", {}), 5u);
  EXPECT_THAT(task().Getxattr("/f", "user.a", four), FailsWith(Errno::kRange));
  EXPECT_EQ(task().Getxattr("/f", "user.a", eight), 5u);
  std::array<char, 6> six;
  std::array<char, 7> seven;
  EXPECT_EQ(task().Listxattr("/f", {}), 7u);
  EXPECT_THAT(task().Listxattr("/f", six), FailsWith(Errno::kRange));
  EXPECT_EQ(task().Listxattr("/f", seven), 7u);
  EXPECT_EQ(std::string_view(seven.data(), 7), std::string_view("user.a\0", 7));
}

TEST_F(Xattr, NamesAndValuesHaveLimits) {
  const std::string most = "user." + std::string(250, 'a');
  EXPECT_OK(Set("/f", most, "v"));
  EXPECT_THAT(Set("/f", most + "a", "v"), FailsWith(Errno::kRange));
  EXPECT_THAT(Get("/f", most + "a"), FailsWith(Errno::kRange));
  EXPECT_THAT(Set("/f", "", "v"), FailsWith(Errno::kRange));
  EXPECT_OK(Set("/f", "user.big", std::string(kXattrSizeMax, 'x')));
  EXPECT_EQ(Get("/f", "user.big")->size(), kXattrSizeMax);
  EXPECT_THAT(Set("/f", "user.big", std::string(kXattrSizeMax + 1, 'x')),
              FailsWith(Errno::kTooBig));
}

TEST_F(Xattr, ArgumentsAreJudgedBeforeThePath) {
  EXPECT_THAT(Set("/nope", "", "v"), FailsWith(Errno::kRange));
  EXPECT_THAT(Set("/nope", "user.a", "v", 8), FailsWith(Errno::kInval));
  EXPECT_THAT(Set("/nope", "user.", "v"), FailsWith(Errno::kNoEnt));
}

TEST_F(Xattr, AListThatIsLongerThanAnyBufferIsTooBig) {
  for (int i = 0; i < 270; ++i) {
    ASSERT_OK(Set("/f", "user." + std::string(240, 'n') + std::to_string(1000 + i), ""));
  }
  EXPECT_GT(*task().Listxattr("/f", {}), kXattrListMax);
  std::vector<char> most(100'000);
  EXPECT_THAT(task().Listxattr("/f", most), FailsWith(Errno::kTooBig));
}

TEST_F(Xattr, FamiliesThatAreNotKeptAreRefused) {
  for (const char* name : {"user", "foo.bar", "system.foo", "system.posix_acl_access"}) {
    EXPECT_THAT(Set("/f", name, "v"), FailsWith(Errno::kOpNotSupp)) << name;
    EXPECT_THAT(Get("/f", name), FailsWith(Errno::kOpNotSupp)) << name;
  }
  for (const char* name : {"user.", "trusted.", "security."}) {
    EXPECT_THAT(Set("/f", name, "v"), FailsWith(Errno::kInval)) << name;
    EXPECT_THAT(Get("/f", name), FailsWith(Errno::kInval)) << name;
  }
}

TEST_F(Xattr, UserIsForFilesAndDirectoriesOnly) {
  ASSERT_OK(task().Mknod("/p", S_IFIFO | 0666, 0));
  EXPECT_OK(Set("/d", "user.a", "v"));
  EXPECT_THAT(Set("/p", "user.a", "v"), FailsWith(Errno::kPerm));
  EXPECT_THAT(Get("/p", "user.a"), FailsWith(Errno::kNoData));
  EXPECT_THAT(task().Lsetxattr("/sl", "user.a", Bytes("v")), FailsWith(Errno::kPerm));
  EXPECT_OK(Set("/p", "trusted.a", "v"));
  EXPECT_OK(task().Lsetxattr("/sl", "trusted.a", Bytes("v")));
  EXPECT_OK(task().Lsetxattr("/sl", "security.a", Bytes("v")));
  EXPECT_THAT(*task().ListXattrs("/sl", Follow::kNo), ElementsAre("trusted.a", "security.a"));
  EXPECT_THAT(*task().ListXattrs("/sl"), IsEmpty());
  EXPECT_EQ(task().Readlink("/sl"), "f");
}

TEST_F(Xattr, NamesAreListedInDescendingOrder) {
  for (const char* name : {"user.a", "security.b", "user.big", "trusted.z", "user.b"}) {
    ASSERT_OK(Set("/f", name, "v"));
  }
  EXPECT_THAT(*task().ListXattrs("/f"),
              ElementsAre("user.big", "user.b", "user.a", "trusted.z", "security.b"));
}

TEST_F(Xattr, TrustedIsHiddenFromThoseWithoutTheCapability) {
  ASSERT_OK(Set("/f", "trusted.t", "v"));
  ASSERT_OK(Set("/f", "user.u", "v"));
  const auto stranger = Stranger();
  EXPECT_THAT(stranger->ReadXattr("/f", "trusted.t"), FailsWith(Errno::kNoData));
  EXPECT_THAT(stranger->Setxattr("/f", "trusted.t", Bytes("w")), FailsWith(Errno::kPerm));
  EXPECT_THAT(*stranger->ListXattrs("/f"), ElementsAre("user.u"));
}

TEST_F(Xattr, ModesDecideAboutUserAndCapabilitiesAboutSecurity) {
  ASSERT_OK(Set("/f", "user.u", "v"));
  ASSERT_OK(Set("/f", "security.s", "v"));
  ASSERT_OK(task().Chmod("/f", 0600));
  const auto stranger = Stranger();
  EXPECT_THAT(stranger->ReadXattr("/f", "user.u"), FailsWith(Errno::kAccess));
  EXPECT_THAT(stranger->ReadXattr("/f", "foo.u"), FailsWith(Errno::kAccess));
  EXPECT_EQ(stranger->ReadXattr("/f", "security.s"), "v");
  EXPECT_THAT(stranger->Setxattr("/f", "security.s", Bytes("w")), FailsWith(Errno::kPerm));
  EXPECT_THAT(stranger->Removexattr("/f", "security.s"), FailsWith(Errno::kPerm));
  EXPECT_EQ(stranger->ListXattrs("/f")->size(), 2u);
  ASSERT_OK(task().Chmod("/f", 0644));
  EXPECT_EQ(stranger->ReadXattr("/f", "user.u"), "v");
  EXPECT_THAT(stranger->Setxattr("/f", "user.u", Bytes("w")), FailsWith(Errno::kAccess));
}

TEST_F(Xattr, OfASharedStickyDirectoryAreItsOwners) {
  ASSERT_OK(task().Chmod("/d", 01777));
  const auto stranger = Stranger();
  EXPECT_THAT(stranger->Setxattr("/d", "user.a", Bytes("v")), FailsWith(Errno::kPerm));
  EXPECT_THAT(stranger->ReadXattr("/d", "user.a"), FailsWith(Errno::kNoData));
}

TEST_F(Xattr, OnlyASuccessfulChangeMovesCtime) {
  const int64_t first = task().Stat("/f")->times.ctime;
  ASSERT_OK(Set("/f", "user.a", "v"));
  const int64_t second = task().Stat("/f")->times.ctime;
  EXPECT_GT(second, first);
  EXPECT_THAT(task().Removexattr("/f", "user.b"), FailsWith(Errno::kNoData));
  EXPECT_EQ(task().Stat("/f")->times.ctime, second);
  ASSERT_OK(task().Removexattr("/f", "user.a"));
  EXPECT_GT(task().Stat("/f")->times.ctime, second);
}

TEST_F(Xattr, DescriptorsDoWhateverTheirMode) {
  const int reader = *task().Open("/f", O_RDONLY);
  EXPECT_OK(task().Fsetxattr(reader, "user.a", Bytes("v")));
  EXPECT_EQ(task().Fgetxattr(reader, "user.a", {}), 1u);
  EXPECT_EQ(task().Flistxattr(reader, {}), 7u);
  const int path = *task().Open("/f", O_PATH);
  EXPECT_THAT(task().Fgetxattr(path, "user.a", {}), FailsWith(Errno::kBadF));
  EXPECT_OK(task().Fremovexattr(reader, "user.a"));
}

TEST_F(Xattr, KnowNoOtherFlagsOfPaths) {
  EXPECT_THAT(task().GetxattrAt(kAtFdCwd, "/f", "user.a", {}, AT_REMOVEDIR),
              FailsWith(Errno::kInval));
}

TEST_F(Xattr, ProgramsLoseTheirCapabilitiesWhenTheFileChanges) {
  const std::string caps = std::string("\x01\0\0\x02", 4) + std::string(16, '\0');
  EXPECT_THAT(Set("/f", "security.capability", "x"), FailsWith(Errno::kInval));
  const auto has = [&] { return Get("/f", "security.capability").has_value(); };
  const int fd = *task().Open("/f", O_WRONLY);
  for (int change = 0; change < 3; ++change) {
    ASSERT_OK(Set("/f", "security.capability", caps));
    EXPECT_TRUE(has());
    switch (change) {
      case 0:
        EXPECT_OK(task().Write(fd, "y"));
        break;
      case 1:
        EXPECT_OK(task().Chown("/f", 0, 0));
        break;
      default:
        EXPECT_OK(task().Truncate("/f", 0));
    }
    EXPECT_FALSE(has()) << change;
  }
  const auto stranger = Stranger();
  EXPECT_THAT(stranger->Setxattr("/f", "security.capability", Bytes(caps)),
              FailsWith(Errno::kPerm));
}

TEST_F(Xattr, TakeOfTheRoomForInodes) {
  fs().Make({fixture::Dir("/m")});
  ASSERT_OK(task().Mount("none", "/m", "ramfs", "nr_inodes=10"));
  ASSERT_OK(fs().Write("/m/f", ""));
  EXPECT_EQ(task().Statfs("/m")->ffree, 8u);
  ASSERT_OK(Set("/m/f", "user.a", std::string(1000, 'x')));
  EXPECT_EQ(task().Statfs("/m")->ffree, 6u);
  EXPECT_THAT(Set("/m/f", "user.b", std::string(8000, 'x')), FailsWith(Errno::kNoSpc));
  ASSERT_OK(task().Removexattr("/m/f", "user.a"));
  EXPECT_EQ(task().Statfs("/m")->ffree, 8u);
  ASSERT_OK(task().Link("/m/f", "/m/g"));
  EXPECT_EQ(task().Statfs("/m")->ffree, 7u);
  ASSERT_OK(task().Unlink("/m/f"));
  EXPECT_EQ(task().Statfs("/m")->ffree, 8u);
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Xattr, WithoutMemoryNothingChanges) {
  ASSERT_OK(Set("/f", "user.a", "old"));
  {
    const base::ScopedFault fault(faults(), base::FaultPlan::Always("mm:ramfs_xattr"));
    EXPECT_THAT(Set("/f", "user.a", "new"), FailsWith(Errno::kNoMem));
    EXPECT_THAT(Set("/f", "user.b", "new"), FailsWith(Errno::kNoMem));
  }
  EXPECT_EQ(Get("/f", "user.a"), "old");
  EXPECT_THAT(*task().ListXattrs("/f"), ElementsAre("user.a"));
}

}  // namespace
}  // namespace dentree::vfs
