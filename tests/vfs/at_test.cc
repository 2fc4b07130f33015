// The calls that take a directory and flags, changes of owner and time, file flags and whiteouts:
// as Linux 6.18 answers on tmpfs.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;
using TwoTimes = Task::TwoTimes;

constexpr timespec kNow{0, UTIME_NOW};
constexpr timespec kOmit{0, UTIME_OMIT};

class At : public fixture::VfsTest {
 protected:
  At() {
    fs().Make({fixture::Dir("/d"), fixture::Dir("/d/e"), fixture::Text("/d/f", "x"),
               fixture::Text("/f", "x"), fixture::Text("/w", "x", 0666)});
    CHECK(task().Symlink("f", "/sl").has_value());
    CHECK(task().Symlink("nope", "/dang").has_value());
    dir_ = *task().Open("/d", O_RDONLY);
    user_ = task().Fork();
    user_->SetCreds(Creds::User(1000, 1000));
  }
  void TearDown() override {
    user_.reset();
    VfsTest::TearDown();
  }
  Mode ModeOf(std::string_view path) { return task().Lstat(path)->mode & 07777; }

  int dir_ = -1;
  std::unique_ptr<Task> user_;
};

TEST_F(At, StatTakesADescriptorItself) {
  EXPECT_EQ(task().StatAt(dir_, "", AT_EMPTY_PATH)->ino, task().Stat("/d")->ino);
  EXPECT_EQ(task().StatAt(kAtFdCwd, "", AT_EMPTY_PATH)->ino, task().Stat("/")->ino);
  EXPECT_THAT(task().StatAt(dir_, "", 0), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().StatAt(99, "", AT_EMPTY_PATH), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().StatAt(kAtFdCwd, "/f", AT_SYMLINK_FOLLOW), FailsWith(Errno::kInval));
  const int link = *task().Open("/sl", O_PATH | O_NOFOLLOW);
  EXPECT_TRUE(IsSymlink(task().StatAt(link, "", AT_EMPTY_PATH)->mode));
}

TEST_F(At, AccessKnowsItsFlags) {
  EXPECT_OK(task().AccessAt(dir_, "", 7, AT_EMPTY_PATH));
  EXPECT_OK(task().AccessAt(kAtFdCwd, "/dang", 0, AT_SYMLINK_NOFOLLOW));
  EXPECT_THAT(task().AccessAt(kAtFdCwd, "/dang", 0), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().AccessAt(kAtFdCwd, "/f", 0, AT_SYMLINK_FOLLOW), FailsWith(Errno::kInval));
  EXPECT_THAT(task().AccessAt(kAtFdCwd, "/f", 8), FailsWith(Errno::kInval));
}

TEST_F(At, AccessOfTheRealUserIsWithoutCapabilities) {
  Creds capable = Creds::User(1000, 1000);
  capable.caps = uint64_t{1} << static_cast<unsigned>(Cap::kDacOverride);
  user_->SetCreds(capable);
  EXPECT_THAT(user_->AccessAt(kAtFdCwd, "/f", kMayWrite), FailsWith(Errno::kAccess));
  EXPECT_OK(user_->AccessAt(kAtFdCwd, "/f", kMayWrite, AT_EACCESS));
}

TEST_F(At, NamesStartFromTheirDirectories) {
  ASSERT_OK(task().MkdirAt(dir_, "m", 0755));
  ASSERT_OK(task().MknodAt(dir_, "p", S_IFIFO | 0644, 0));
  ASSERT_OK(task().SymlinkAt("f", dir_, "l"));
  ASSERT_OK(task().LinkAt(dir_, "f", dir_, "g"));
  const int m = *task().OpenAt(dir_, "m", O_RDONLY);
  ASSERT_OK(task().RenameAt(dir_, "g", m, "h"));
  EXPECT_EQ(task().ReadlinkAt(dir_, "l"), "f");
  EXPECT_TRUE(fs().Has("/d/m/h"));
  EXPECT_THAT(task().UnlinkAt(dir_, "m", AT_REMOVEDIR), FailsWith(Errno::kNotEmpty));
  ASSERT_OK(task().UnlinkAt(m, "h", 0));
  EXPECT_OK(task().UnlinkAt(dir_, "m", AT_REMOVEDIR));
  EXPECT_THAT(task().UnlinkAt(dir_, "f", AT_SYMLINK_NOFOLLOW), FailsWith(Errno::kInval));
}

TEST_F(At, ReadlinkWithoutAPathReadsTheOpenLink) {
  EXPECT_EQ(task().ReadlinkAt(*task().Open("/sl", O_PATH | O_NOFOLLOW), ""), "f");
  EXPECT_THAT(task().ReadlinkAt(dir_, ""), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().ReadlinkAt(kAtFdCwd, ""), FailsWith(Errno::kNoEnt));
}

TEST_F(At, LinkFollowsWhenTold) {
  ASSERT_OK(task().LinkAt(kAtFdCwd, "/sl", kAtFdCwd, "/a", 0));
  ASSERT_OK(task().LinkAt(kAtFdCwd, "/sl", kAtFdCwd, "/b", AT_SYMLINK_FOLLOW));
  EXPECT_TRUE(IsSymlink(task().Lstat("/a")->mode));
  EXPECT_TRUE(IsRegular(task().Lstat("/b")->mode));
  EXPECT_THAT(task().LinkAt(kAtFdCwd, "/f", kAtFdCwd, "/c", AT_SYMLINK_NOFOLLOW),
              FailsWith(Errno::kInval));
}

TEST_F(At, ModesOfSymlinksDoNotChange) {
  EXPECT_THAT(task().ChmodAt(kAtFdCwd, "/sl", 0600, AT_SYMLINK_NOFOLLOW),
              FailsWith(Errno::kOpNotSupp));
  EXPECT_OK(task().ChmodAt(*task().Open("/f", O_PATH), "", 0640, AT_EMPTY_PATH));
  EXPECT_EQ(ModeOf("/f"), 0640);
}

TEST_F(At, ChownTakesSetIdBitsAway) {
  const auto chown_own = [&](Mode mode) {
    EXPECT_OK(task().Chown("/f", 0, 0));
    EXPECT_OK(task().Chmod("/f", mode));
    EXPECT_OK(task().ChownAt(kAtFdCwd, "/f", std::nullopt, std::nullopt));
    return ModeOf("/f");
  };
  EXPECT_EQ(chown_own(06755), 0755);
  EXPECT_EQ(chown_own(06745), 02745);
  EXPECT_EQ(chown_own(02644), 02644);
  // By its owner, who is not of its group.
  ASSERT_OK(task().Chown("/f", 1000, 5));
  ASSERT_OK(task().Chmod("/f", 02644));
  ASSERT_OK(user_->Chown("/f", std::nullopt, 1000));
  EXPECT_EQ(ModeOf("/f"), 0644);
  ASSERT_OK(task().Chmod("/d", 06775));
  ASSERT_OK(task().Chown("/d", std::nullopt, 5));
  EXPECT_EQ(ModeOf("/d"), 06775) << "directories keep theirs";
}

TEST_F(At, ChownOfNothingIsAnyones) {
  EXPECT_OK(user_->Chown("/f", std::nullopt, std::nullopt));
  ASSERT_OK(task().Chmod("/f", 04644));
  EXPECT_THAT(user_->Chown("/f", std::nullopt, std::nullopt), FailsWith(Errno::kPerm));
}

TEST_F(At, TimesAreSetOneByOne) {
  ASSERT_OK(task().UtimensAt(kAtFdCwd, "/f", {{{3, 4}, {5, 6}}}));
  EXPECT_EQ(task().Stat("/f")->times.atime, 3'000'000'004);
  EXPECT_EQ(task().Stat("/f")->times.mtime, 5'000'000'006);
  ASSERT_OK(task().UtimensAt(kAtFdCwd, "/f", {kOmit, {7, 0}}));
  EXPECT_EQ(task().Stat("/f")->times.atime, 3'000'000'004);
  EXPECT_EQ(task().Stat("/f")->times.mtime, 7'000'000'000);
  ASSERT_OK(task().UtimensAt(kAtFdCwd, "/sl", {{{1, 0}, {1, 0}}}, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(task().Lstat("/sl")->times.mtime, 1'000'000'000);
  EXPECT_EQ(task().Stat("/f")->times.mtime, 7'000'000'000);
  ASSERT_OK(task().Futimens(*task().Open("/f", O_RDONLY), {kNow, kOmit}));
  EXPECT_GT(task().Stat("/f")->times.atime, 7'000'000'000);
}

TEST_F(At, TimesThatAreNoneAreRefusedAfterThePath) {
  EXPECT_OK(task().UtimensAt(kAtFdCwd, "/none", {kOmit, kOmit}, 0x800)) << "nothing to do";
  EXPECT_THAT(task().UtimensAt(kAtFdCwd, "/f", {{{0, 1'000'000'000}, {0, 0}}}),
              FailsWith(Errno::kInval));
  EXPECT_THAT(task().UtimensAt(kAtFdCwd, "/f", {{{0, -1}, {0, 0}}}), FailsWith(Errno::kInval));
  EXPECT_THAT(task().UtimensAt(kAtFdCwd, "/none", {{{0, -1}, {0, 0}}}), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().UtimensAt(kAtFdCwd, "/f", {kNow, kNow}, 0x800), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Futimens(*task().Open("/f", O_PATH), {kNow, kNow}), FailsWith(Errno::kBadF));
}

TEST_F(At, WhoMayWriteMaySetBothTimesToNowAndNoMore) {
  EXPECT_OK(user_->UtimensAt(kAtFdCwd, "/w", {kNow, kNow}));
  EXPECT_THAT(user_->UtimensAt(kAtFdCwd, "/f", {kNow, kNow}), FailsWith(Errno::kAccess));
  EXPECT_THAT(user_->UtimensAt(kAtFdCwd, "/w", {kNow, kOmit}), FailsWith(Errno::kPerm));
  EXPECT_THAT(user_->UtimensAt(kAtFdCwd, "/w", {kNow, {5, 5}}), FailsWith(Errno::kPerm));
}

TEST_F(At, MknodKnowsItsTypes) {
  EXPECT_THAT(task().Mknod("/z", 0110644, 0), FailsWith(Errno::kInval));
  EXPECT_THAT(user_->Mknod("/f", S_IFCHR | 0644, 0x103), FailsWith(Errno::kExist));
  EXPECT_THAT(user_->Mknod("/z", S_IFCHR | 0644, 0x103), FailsWith(Errno::kAccess));
  ASSERT_OK(task().Chmod("/d", 0777));
  EXPECT_THAT(user_->Mknod("/d/z", S_IFCHR | 0644, 0x103), FailsWith(Errno::kPerm));
  EXPECT_THAT(user_->Mknod("/d/z", S_IFBLK | 0644, 0), FailsWith(Errno::kPerm));
  EXPECT_OK(user_->Mknod("/d/z", S_IFCHR | 0644, 0));
  ASSERT_OK(task().Mknod("/d/p", S_IFIFO | 0644, 0x103));
  EXPECT_EQ(task().Stat("/d/p")->rdev, 0u);
}

TEST_F(At, WhiteoutsStayWhereARenameLeft) {
  ASSERT_OK(task().Rename("/f", "/d/g", kRenameWhiteout));
  EXPECT_EQ(task().Lstat("/f")->mode, S_IFCHR);
  EXPECT_EQ(task().Lstat("/f")->rdev, 0u);
  EXPECT_EQ(task().ReadFile("/d/g"), "x");
  ASSERT_OK(task().Rename("/d/g", "/d/f", kRenameWhiteout));
  EXPECT_EQ(task().Lstat("/d/g")->mode, S_IFCHR);
  EXPECT_THAT(task().Rename("/d/f", "/w", kRenameWhiteout | kRenameNoReplace),
              FailsWith(Errno::kExist));
  EXPECT_THAT(task().Rename("/d/f", "/w", kRenameWhiteout | kRenameExchange),
              FailsWith(Errno::kInval));
  ASSERT_OK(task().Rename("/d/e", "/e", kRenameWhiteout));
  EXPECT_EQ(task().Lstat("/d/e")->mode, S_IFCHR);
  EXPECT_EQ(task().Stat("/d")->nlink, 2u);
  ASSERT_OK(task().Chmod("/d", 0777));
  ASSERT_OK(user_->Mknod("/d/own", S_IFREG | 0644, 0));
  EXPECT_OK(user_->Rename("/d/own", "/d/own2", kRenameWhiteout)) << "anyone may make them";
}

TEST_F(At, WhiteoutsThatDoNotFitLeaveAllAsItWas) {
  ASSERT_OK(task().Mount("none", "/d", "ramfs", "nr_inodes=2"));
  ASSERT_OK(fs().Write("/d/a", "x"));
  EXPECT_THAT(task().Rename("/d/a", "/d/b", kRenameWhiteout), FailsWith(Errno::kNoSpc));
  EXPECT_EQ(task().ReadFile("/d/a"), "x");
  EXPECT_FALSE(fs().Has("/d/b"));
  ASSERT_OK(task().Umount("/d"));
}

// --- file flags ----------------------------------------------------------------------------------

class Flags : public At {
 protected:
  Result<uint64_t> Get(std::string_view path) {
    return task().Ioctl(*task().Open(path, O_RDONLY), kIocGetFlags, 0);
  }
  Result<uint64_t> Set(Task& who, std::string_view path, uint32_t flags) {
    return who.Ioctl(*who.Open(path, O_RDONLY), kIocSetFlags, flags);
  }
};

TEST_F(Flags, AreThoseOfTmpfs) {
  EXPECT_EQ(Get("/f"), 0u);
  ASSERT_OK(Set(task(), "/f", kFlNoDump | kFlNoAtime));
  EXPECT_EQ(Get("/f"), kFlNoDump | kFlNoAtime);
  EXPECT_THAT(Set(task(), "/f", 0x1), FailsWith(Errno::kOpNotSupp));
  EXPECT_EQ(Get("/f"), kFlNoDump | kFlNoAtime);
  ASSERT_OK(Set(task(), "/f", 0));
  EXPECT_EQ(Get("/f"), 0u);
}

TEST_F(Flags, NewFilesInheritSome) {
  ASSERT_OK(Set(task(), "/d", kFlNoDump | kFlNoAtime | kFlAppend));
  ASSERT_OK(fs().Write("/d/new", ""));
  EXPECT_EQ(Get("/d/new"), kFlNoDump | kFlNoAtime);
  EXPECT_THAT(task().Unlink("/d/new"), FailsWith(Errno::kPerm));
  ASSERT_OK(Set(task(), "/d", 0));
}

TEST_F(Flags, AreTheOwnersAndSomeTakeACapability) {
  EXPECT_THAT(Set(*user_, "/f", kFlNoDump), FailsWith(Errno::kPerm));
  ASSERT_OK(task().Chown("/f", 1000, 1000));
  EXPECT_OK(Set(*user_, "/f", kFlNoDump));
  EXPECT_THAT(Set(*user_, "/f", kFlAppend), FailsWith(Errno::kPerm));
}

TEST_F(Flags, AppendOnlyMeansIt) {
  const int writer = *task().Open("/f", O_RDWR);
  ASSERT_OK(Set(task(), "/f", kFlAppend));
  EXPECT_THAT(task().Open("/f", O_WRONLY), FailsWith(Errno::kPerm));
  const int appender = *task().Open("/f", O_WRONLY | O_APPEND);
  EXPECT_THAT(task().SetStatusFlags(appender, 0), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Truncate("/f", 0), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Ftruncate(writer, 0), FailsWith(Errno::kPerm));
  EXPECT_OK(task().Fallocate(writer, 0, 0, 100));
  EXPECT_THAT(task().Fallocate(writer, 3, 0, 100), FailsWith(Errno::kPerm));
  EXPECT_OK(task().UtimensAt(kAtFdCwd, "/f", {kNow, kNow}));
  EXPECT_THAT(task().UtimensAt(kAtFdCwd, "/f", {{{1, 1}, {1, 1}}}), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Chmod("/f", 0600), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Chown("/f", 0, 0), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Link("/f", "/g"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rename("/f", "/g"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Setxattr("/f", "user.a", {}), FailsWith(Errno::kPerm));
}

TEST_F(Flags, ImmutableMeansItButForWhatWasOpen) {
  const int writer = *task().Open("/f", O_RDWR);
  ASSERT_OK(Set(task(), "/f", kFlImmutable));
  EXPECT_THAT(task().Open("/f", O_WRONLY), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().UtimensAt(kAtFdCwd, "/f", {kNow, kNow}), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Fallocate(writer, 0, 0, 10), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Fsetxattr(writer, "user.a", {}), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().CopyFileRange(*task().Open("/w", O_RDONLY), 0, writer, 0, 1),
              FailsWith(Errno::kPerm));
  EXPECT_OK(task().Write(writer, "y"));
  EXPECT_OK(task().Ftruncate(writer, 0));
}

}  // namespace
}  // namespace dentree::vfs
