// Descriptors beyond read and write: vectors, copies, limits, duplicates, status flags.

#include <sys/statvfs.h>

#include <array>

#include "fixture/fixture.h"
#include "ramfs/ramfs.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class Descriptors : public fixture::VfsTest {
 protected:
  Descriptors() {
    fs().Make({fixture::Dir("/d"), fixture::Text("/f", ""), fixture::Text("/z", "x")});
    fd_ = *task().Open("/f", O_RDWR);
    z_ = *task().Open("/z", O_RDWR);
  }
  uint64_t Size(std::string_view path) { return task().Stat(path)->size; }
  Result<size_t> Write(size_t size, uint64_t pos) {
    return task().Pwrite(fd_, Bytes(std::string(size, 'a')), pos);
  }

  int fd_ = -1;
  int z_ = -1;
};

TEST_F(Descriptors, VectorsAreOneTransfer) {
  const std::array<std::span<const std::byte>, 3> in = {Bytes("ab"), Bytes(""), Bytes("cde")};
  EXPECT_EQ(task().Writev(fd_, in), 5u);
  EXPECT_EQ(task().Pwritev(fd_, in, 5), 5u);
  EXPECT_EQ(task().ReadFile("/f"), "abcdeabcde");
  std::array<std::byte, 4> first;
  std::array<std::byte, 20> second;
  const std::array<std::span<std::byte>, 2> out = {first, second};
  EXPECT_EQ(task().Readv(fd_, out), 5u) << "from where the write ended";
  EXPECT_EQ(task().Preadv(fd_, out, 1), 9u);
  EXPECT_EQ(static_cast<char>(second[0]), 'a');
  EXPECT_EQ(task().Lseek(fd_, 0, Whence::kCur), 10u);
}

TEST_F(Descriptors, VectorsHaveALimitAndRights) {
  const std::vector<std::span<std::byte>> many(kIovMax + 1);
  EXPECT_THAT(task().Readv(fd_, many), FailsWith(Errno::kInval));
  EXPECT_EQ(task().Readv(fd_, {}), 0u);
  EXPECT_THAT(task().Readv(*task().Open("/f", O_WRONLY), {}), FailsWith(Errno::kBadF));
}

TEST_F(Descriptors, AppendsIgnorePositions) {
  const int fd = *task().Open("/z", O_WRONLY | O_APPEND);
  EXPECT_EQ(task().Pwrite(fd, Bytes("yy"), 0), 2u);
  EXPECT_EQ(task().ReadFile("/z"), "xyy");
}

TEST_F(Descriptors, TransfersEndAtTheLastPosition) {
  EXPECT_THAT(Write(2, kMaxFileBytes - 1), FailsWith(Errno::kInval));
  EXPECT_THAT(Write(1, kMaxFileBytes), FailsWith(Errno::kInval));
  EXPECT_OK(Write(1, kMaxFileBytes - 1));
  EXPECT_EQ(Size("/f"), kMaxFileBytes);
}

TEST_F(Descriptors, TheSizeLimitCutsWritesAndRefusesGrowth) {
  task().SetFileSizeLimit(100);
  EXPECT_EQ(Write(50, 80), 20u);
  EXPECT_THAT(Write(1, 100), FailsWith(Errno::kFBig));
  EXPECT_EQ(Write(0, 100), 0u);
  EXPECT_THAT(task().Truncate("/f", 101), FailsWith(Errno::kFBig));
  EXPECT_OK(task().Truncate("/f", 100));
  EXPECT_THAT(task().Ftruncate(fd_, 101), FailsWith(Errno::kFBig));
  EXPECT_THAT(task().Fallocate(fd_, 0, 0, 101), FailsWith(Errno::kFBig));
  EXPECT_THAT(task().Fallocate(fd_, 1, 0, 200), FailsWith(Errno::kFBig));
  EXPECT_OK(task().Fallocate(fd_, 0, 0, 100));
  EXPECT_OK(task().Fallocate(fd_, 3, 0, 200));
  EXPECT_EQ(task().CopyFileRange(fd_, 0, z_, 80, 50), 20u);
  EXPECT_THAT(task().CopyFileRange(fd_, 0, z_, 100, 50), FailsWith(Errno::kFBig));
  ASSERT_OK(task().Lseek(fd_, 90, Whence::kSet));
  EXPECT_EQ(task().Write(fd_, std::string(50, 'b')), 10u);
  const int appender = *task().Open("/f", O_WRONLY | O_APPEND);
  EXPECT_THAT(task().Write(appender, "x"), FailsWith(Errno::kFBig));
  task().SetFileSizeLimit(kNoSizeLimit);
  EXPECT_OK(task().Write(appender, "x"));
}

TEST_F(Descriptors, RangesAreCopied) {
  ASSERT_OK(Write(100, 0));
  EXPECT_EQ(task().CopyFileRange(fd_, 90, z_, 0, 500), 10u) << "to the end";
  EXPECT_EQ(task().CopyFileRange(fd_, 500, z_, 0, 5), 0u);
  EXPECT_EQ(task().CopyFileRange(fd_, 0, fd_, 50, 50), 50u);
  EXPECT_THAT(task().CopyFileRange(fd_, 0, fd_, 20, 50), FailsWith(Errno::kInval)) << "overlap";
  ASSERT_OK(task().Lseek(fd_, 0, Whence::kSet));
  EXPECT_EQ(task().CopyFileRange(fd_, std::nullopt, z_, 0, 30), 30u);
  EXPECT_EQ(task().Lseek(fd_, 0, Whence::kCur), 30u);
  EXPECT_THAT(task().CopyFileRange(fd_, UINT64_MAX, z_, 0, 5), FailsWith(Errno::kOverflow));
}

TEST_F(Descriptors, CopiesAreRefusedInLinuxsOrder) {
  const int dir = *task().Open("/d", O_RDONLY);
  const int reader = *task().Open("/f", O_RDONLY);
  const int appender = *task().Open("/f", O_WRONLY | O_APPEND);
  EXPECT_THAT(task().CopyFileRange(dir, 0, z_, 0, 1), FailsWith(Errno::kIsDir));
  EXPECT_THAT(task().CopyFileRange(z_, 0, reader, 0, 1), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().CopyFileRange(z_, 0, appender, 0, 1), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().CopyFileRange(appender, 0, z_, 0, 1), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().CopyFileRange(fd_, 0, z_, 0, 1, 1), FailsWith(Errno::kInval));
  EXPECT_THAT(task().CopyFileRange(99, 0, z_, 0, 1, 1), FailsWith(Errno::kBadF));
  ASSERT_OK(task().Mount("none", "/d", "ramfs", ""));
  ASSERT_OK(fs().Write("/d/x", ""));
  const int other = *task().Open("/d/x", O_RDWR);
  EXPECT_THAT(task().CopyFileRange(z_, 0, other, 0, 1), FailsWith(Errno::kXDev));
  ASSERT_OK(task().Close(other));
  ASSERT_OK(task().Close(dir));
  ASSERT_OK(task().Umount("/d"));
}

TEST_F(Descriptors, Dup2ReplacesAndDup3IsStricter) {
  EXPECT_EQ(task().Dup2(fd_, z_), z_);
  ASSERT_OK(task().Write(z_, "q"));
  EXPECT_EQ(task().ReadFile("/f"), "q");
  EXPECT_EQ(task().Dup2(fd_, 500), 500);
  EXPECT_EQ(task().Dup2(fd_, fd_), fd_);
  EXPECT_THAT(task().Dup2(99, 5), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Dup2(99, 99), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Dup2(fd_, -1), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Dup2(fd_, kDefaultFdLimit), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Dup3(fd_, fd_, 0), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Dup3(fd_, 50, O_APPEND), FailsWith(Errno::kInval));
  EXPECT_EQ(task().Dup3(fd_, 50, O_CLOEXEC), 50);
}

TEST_F(Descriptors, StatusFlagsAreReadAndSomeAreSet) {
  constexpr OpenFlags kLarge = 0100000;
  EXPECT_EQ(task().GetStatusFlags(fd_), O_RDWR | kLarge);
  const int created = *task().Open("/n", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0644);
  EXPECT_EQ(task().GetStatusFlags(created), O_WRONLY | O_APPEND | kLarge);
  ASSERT_OK(task().SetStatusFlags(fd_, O_APPEND | O_NONBLOCK | O_WRONLY | O_CREAT));
  EXPECT_EQ(task().GetStatusFlags(fd_), O_RDWR | O_APPEND | O_NONBLOCK | kLarge);
  const int path = *task().Open("/f", O_PATH);
  EXPECT_EQ(task().GetStatusFlags(path), O_PATH);
  EXPECT_THAT(task().SetStatusFlags(path, 0), FailsWith(Errno::kBadF));
  const auto user = task().Fork();
  user->SetCreds(Creds::User(1000, 1000));
  EXPECT_THAT(user->SetStatusFlags(*user->Open("/f", O_RDONLY), O_NOATIME),
              FailsWith(Errno::kPerm));
}

TEST_F(Descriptors, SyncsLookAtTheirDescriptorOnly) {
  const int path = *task().Open("/f", O_PATH);
  EXPECT_OK(task().Syncfs(fd_));
  EXPECT_OK(task().Fdatasync(fd_));
  EXPECT_THAT(task().Syncfs(path), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Fdatasync(path), FailsWith(Errno::kBadF));
  EXPECT_EQ(task().Fstatfs(path)->namelen, kNameMax);
}

TEST_F(Descriptors, StatfsTellsThatAMountIsReadOnly) {
  EXPECT_EQ(task().Statfs("/")->flags & ST_RDONLY, 0u);
  ASSERT_OK(task().Mount("none", "/d", "ramfs", "ro"));
  EXPECT_NE(task().Statfs("/d")->flags & ST_RDONLY, 0u);
  ASSERT_OK(task().Umount("/d"));
}

TEST(FileLimit, IsOfTheWholeVfsAndNotForTheAdministrator) {
  const auto vfs = Vfs::Create({.max_files = 2});
  vfs->RegisterType(ramfs::Type());
  ASSERT_OK(vfs->MountRoot("ramfs", ""));
  Task root(*vfs, Creds::Root());
  Task user(*vfs, Creds::User(1000, 1000));
  const int first = *user.Open("/", O_RDONLY);
  ASSERT_OK(user.Open("/", O_RDONLY));
  EXPECT_THAT(user.Open("/", O_RDONLY), FailsWith(Errno::kNFile));
  EXPECT_OK(root.Open("/", O_RDONLY));
  EXPECT_EQ(vfs->file_stats().refused.Value(), 1u);
  EXPECT_EQ(vfs->file_stats().open.Value(), 3);
  ASSERT_OK(user.Close(first));
  EXPECT_THAT(user.Open("/", O_RDONLY), FailsWith(Errno::kNFile));
  root.fds().CloseAll();
  EXPECT_OK(user.Open("/", O_RDONLY));
}

TEST(FileLimit, IsExactAlthoughAThreadFarFromItLooksSeldom) {
  constexpr size_t kLimit = 1500;
  const auto vfs = Vfs::Create({.max_files = kLimit});
  vfs->RegisterType(ramfs::Type());
  ASSERT_OK(vfs->MountRoot("ramfs", ""));
  Task one(*vfs, Creds::User(1000, 1000));
  Task two(*vfs, Creds::User(1000, 1000));
  for (size_t i = 0; i < kLimit; ++i) ASSERT_OK((i % 2 == 0 ? one : two).Open("/", O_RDONLY));
  EXPECT_THAT(one.Open("/", O_RDONLY), FailsWith(Errno::kNFile));
  ASSERT_OK(two.Close(0));
  EXPECT_OK(one.Open("/", O_RDONLY));
  EXPECT_THAT(two.Open("/", O_RDONLY), FailsWith(Errno::kNFile));
  EXPECT_EQ(vfs->file_stats().open.Value(), static_cast<int64_t>(kLimit));
}

}  // namespace
}  // namespace dentree::vfs
