// fallocate and what a file takes: as tmpfs of Linux 6.18 answers.

#include "fixture/fixture.h"

namespace dentree::ramfs {
namespace {

using fixture::FailsWith;
using vfs::Errno;
using vfs::Whence;

constexpr int kKeep = vfs::kFallocKeepSize;
constexpr int kPunch = vfs::kFallocPunchHole | vfs::kFallocKeepSize;

class Fallocate : public fixture::VfsTest {
 protected:
  Fallocate() : VfsTest({.root_options = "size=1m"}) {
    fd_ = *task().Open("/f", O_CREAT | O_RDWR, 0644);
  }
  vfs::Status Do(int mode, int64_t offset, int64_t size) {
    return task().Fallocate(fd_, mode, offset, size);
  }
  uint64_t Blocks() { return task().Fstat(fd_)->blocks; }
  uint64_t Size() { return task().Fstat(fd_)->size; }
  uint64_t Free() { return task().Statfs("/")->bfree; }
  void Put(uint64_t pos, std::string_view text) {
    ASSERT_OK(task().Pwrite(fd_, std::as_bytes(std::span(text)), pos));
  }
  std::string Get(uint64_t pos, size_t size) {
    std::string text(size, '?');
    text.resize(*task().Pread(fd_, std::as_writable_bytes(std::span(text)), pos));
    return text;
  }

  int fd_ = -1;
};

TEST_F(Fallocate, TakesPagesAndGrowsTheFile) {
  ASSERT_OK(Do(0, 0, 10'000));
  EXPECT_EQ(Size(), 10'000u);
  EXPECT_EQ(Blocks(), 24u);
  EXPECT_EQ(Free(), 253u);
  EXPECT_EQ(Get(5000, 3), std::string(3, '\0'));
}

TEST_F(Fallocate, KeepsTheSizeWhenTold) {
  ASSERT_OK(Do(kKeep, 20'000, 5000));
  EXPECT_EQ(Size(), 0u);
  EXPECT_EQ(Blocks(), 24u);
  ASSERT_OK(task().Ftruncate(fd_, 1));
  ASSERT_OK(task().Ftruncate(fd_, 0));
  EXPECT_EQ(Blocks(), 0u);
}

TEST_F(Fallocate, WhatWasNotWrittenIsAHoleToSeek) {
  ASSERT_OK(Do(0, 0, 20'000));
  EXPECT_THAT(task().Lseek(fd_, 0, Whence::kData), FailsWith(Errno::kNxIo));
  EXPECT_EQ(task().Lseek(fd_, 0, Whence::kHole), 0u);
  Put(4096, "x");
  EXPECT_EQ(task().Lseek(fd_, 0, Whence::kData), 4096u);
  EXPECT_EQ(task().Lseek(fd_, 4096, Whence::kHole), 8192u);
}

TEST_F(Fallocate, PunchesHolesOfWholePagesAndZeroesTheRest) {
  Put(0, std::string(16'384, 'a'));
  ASSERT_OK(Do(kPunch, 100, 50));
  EXPECT_EQ(Blocks(), 32u);
  EXPECT_EQ(Get(99, 52), "a" + std::string(50, '\0') + "a");
  ASSERT_OK(Do(kPunch, 4000, 8300));
  EXPECT_EQ(Blocks(), 16u);
  EXPECT_EQ(Size(), 16'384u);
  EXPECT_EQ(Get(3999, 2), std::string("a\0", 2));
  EXPECT_EQ(Get(12'299, 2), std::string("\0a", 2));
  ASSERT_OK(Do(kPunch, 0, INT64_MAX));
  EXPECT_EQ(Blocks(), 0u);
  EXPECT_EQ(Size(), 16'384u);
  EXPECT_OK(Do(kPunch, 1 << 20, 4096)) << "beyond the end";
}

TEST_F(Fallocate, HolesFarApartArePunchedAlone) {
  Put(0, "a");
  Put(uint64_t{1} << 40, "b");
  ASSERT_OK(Do(kPunch, 4096, int64_t{1} << 39));
  EXPECT_EQ(Blocks(), 16u);
  ASSERT_OK(Do(kPunch, int64_t{1} << 39, int64_t{1} << 40));
  EXPECT_EQ(Blocks(), 8u);
  EXPECT_EQ(Get(0, 1), "a");
}

TEST_F(Fallocate, ThatFailsLeavesAllAsItWas) {
  Put(8192, "x");
  ASSERT_OK(Do(kKeep, 0, 4096));
  const uint64_t before = Free();
  EXPECT_THAT(Do(0, 0, 1 << 20 | 1), FailsWith(Errno::kNoSpc));
  const int other = *task().Open("/g", O_CREAT | O_RDWR, 0644);
  ASSERT_OK(task().Fallocate(other, 0, 0, 100 * 4096));
  EXPECT_THAT(Do(0, 0, 200 * 4096), FailsWith(Errno::kNoSpc));
  ASSERT_OK(task().Ftruncate(other, 0));
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(Blocks(), 16u);
  EXPECT_EQ(Size(), 8193u);
  EXPECT_EQ(Get(8192, 1), "x");
}

TEST_F(Fallocate, RefusesInLinuxsOrder) {
  EXPECT_THAT(Do(0, -1, 5), FailsWith(Errno::kInval));
  EXPECT_THAT(Do(0, 0, 0), FailsWith(Errno::kInval));
  for (const int mode : {2, 4, 8, 16, 17, 32, 64, 128, 256}) {
    EXPECT_THAT(Do(mode, 0, 4096), FailsWith(Errno::kOpNotSupp)) << mode;
  }
  EXPECT_THAT(Do(0, INT64_MAX - 5, 10), FailsWith(Errno::kFBig));
  const int reader = *task().Open("/f", O_RDONLY);
  EXPECT_THAT(task().Fallocate(reader, 0, 0, 10), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Fallocate(reader, 4, 0, 10), FailsWith(Errno::kOpNotSupp));
  const int dir = *task().Open("/", O_RDONLY);
  EXPECT_THAT(task().Fallocate(dir, 0, 0, 10), FailsWith(Errno::kBadF));
}

TEST_F(Fallocate, MovesTimesAndTakesSetIdBitsAway) {
  ASSERT_OK(task().Chmod("/f", 06777));
  const auto user = task().Fork();
  user->SetCreds(vfs::Creds::User(1000, 1000));
  const int fd = *user->Open("/f", O_WRONLY);
  const int64_t before = task().Stat("/f")->times.mtime;
  ASSERT_OK(user->Fallocate(fd, 0, 0, 10));
  EXPECT_EQ(task().Stat("/f")->mode & 07777, 0777);
  EXPECT_GT(task().Stat("/f")->times.mtime, before);
}

TEST_F(Fallocate, BlocksAreWhatIsThere) {
  ASSERT_OK(task().Ftruncate(fd_, 1 << 20));
  EXPECT_EQ(Blocks(), 0u);
  Put(500'000, "x");
  EXPECT_EQ(Blocks(), 8u);
  ASSERT_OK(task().Ftruncate(fd_, 0));
  EXPECT_EQ(Blocks(), 0u);
}

}  // namespace
}  // namespace dentree::ramfs
