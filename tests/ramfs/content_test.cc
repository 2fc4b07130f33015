// Contents of regular files: sparse, zero-filled, cut, counted.

#include <cstring>
#include <map>
#include <random>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "ramfs/content_internal.h"

namespace dentree::ramfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using vfs::Errno;
using vfs::Whence;

class FileContent : public fixture::VfsTest {
 protected:
  explicit FileContent(const Options& options = {}) : VfsTest(options) {
    fd_ = task().Open("/f", O_CREAT | O_RDWR, 0644).value();
  }

  vfs::Result<size_t> WriteAt(uint64_t pos, std::string_view text) {
    return task().Pwrite(fd_, std::as_bytes(std::span(text)), pos);
  }
  std::string ReadAt(uint64_t pos, size_t size) {
    std::string text(size, '?');
    text.resize(task().Pread(fd_, std::as_writable_bytes(std::span(text)), pos).value_or(0));
    return text;
  }
  uint64_t Size() { return task().Fstat(fd_)->size; }
  size_t Used() { return vfs().memory().used(); }

  int fd_;
};

TEST_F(FileContent, ReadsWhatWasWrittenAcrossPages) {
  std::string text;
  for (int i = 0; text.size() < 5 * kPageBytes; ++i) text += absl::StrFormat("%d ", i);
  EXPECT_THAT(WriteAt(100, text), Holds(text.size()));
  EXPECT_EQ(ReadAt(100, text.size()), text);
  EXPECT_EQ(ReadAt(kPageBytes - 1, 2), text.substr(kPageBytes - 101, 2));
  EXPECT_EQ(Size(), 100 + text.size());
}

TEST_F(FileContent, AHoleIsZerosAndTakesNothing) {
  const size_t before = Used();
  ASSERT_OK(WriteAt(uint64_t{1} << 40, "x"));
  EXPECT_LT(Used() - before, 64 * 1024u);
  EXPECT_EQ(ReadAt(12345, 10), std::string(10, '\0'));
  EXPECT_EQ(ReadAt((uint64_t{1} << 40) - 2, 10), std::string("\0\0x", 3));
}

TEST_F(FileContent, GrowingShowsZerosWhereAnEarlierEndWas) {
  ASSERT_OK(WriteAt(0, "abcdefgh"));
  ASSERT_OK(task().Ftruncate(fd_, 3));
  ASSERT_OK(task().Ftruncate(fd_, 8));
  EXPECT_EQ(ReadAt(0, 10), std::string("abc\0\0\0\0\0", 8));
  ASSERT_OK(task().Ftruncate(fd_, 2));
  ASSERT_OK(WriteAt(5, "z"));
  EXPECT_EQ(ReadAt(0, 10), std::string("ab\0\0\0z", 6));
}

TEST_F(FileContent, CuttingFreesThePagesBehindTheEnd) {
  const size_t empty = Used();
  ASSERT_OK(WriteAt(0, std::string(100 * kPageBytes, 'x')));
  EXPECT_GT(Used(), empty + 100 * kPageBytes);
  ASSERT_OK(task().Ftruncate(fd_, kPageBytes + 1));
  EXPECT_LT(Used(), empty + 20 * kPageBytes);
  EXPECT_EQ(ReadAt(kPageBytes - 1, 100), "xx");
  ASSERT_OK(task().Ftruncate(fd_, 0));
  EXPECT_LT(Used(), empty + 2 * kPageBytes);
}

TEST_F(FileContent, AnEmptyFileHasNone) {
  for (int i = 0; i < 200; ++i) ASSERT_OK(fs().Write(absl::StrFormat("/e%03d", i), ""));
  const size_t before = Used();
  for (int i = 200; i < 1200; ++i) ASSERT_OK(fs().Write(absl::StrFormat("/e%03d", i), ""));
  // Dentry, inode, slot of the hash, entry of the directory; and what slabs and tables keep spare. A
  // red zone takes a line of each object.
  constexpr size_t kRedZones = mm::Cache::kRedZoneBytes == 0 ? 0 : 2 * 64;
  EXPECT_LT((Used() - before) / 1000, 384u + kRedZones);
}

TEST_F(FileContent, EndsWhereOffsetsDo) {
  constexpr uint64_t kMax = INT64_MAX;
  EXPECT_THAT(WriteAt(kMax - 2, "abcd"), FailsWith(Errno::kInval));
  EXPECT_THAT(WriteAt(kMax - 2, "ab"), Holds(2u));
  EXPECT_EQ(Size(), kMax);
  EXPECT_THAT(WriteAt(kMax, "x"), FailsWith(Errno::kInval));
  EXPECT_EQ(ReadAt(kMax - 3, 3), std::string("\0ab", 3));
}

TEST_F(FileContent, SeekFindsDataAndHoles) {
  ASSERT_OK(WriteAt(10 * kPageBytes, "x"));
  ASSERT_OK(WriteAt(100 * kPageBytes, "y"));
  ASSERT_OK(task().Ftruncate(fd_, 200 * kPageBytes));
  struct Case {
    int64_t offset;
    Whence whence;
    uint64_t answer;
  };
  const Case cases[] = {
      {0, Whence::kData, 10 * kPageBytes},
      {10 * kPageBytes + 7, Whence::kData, 10 * kPageBytes + 7},
      {11 * kPageBytes, Whence::kData, 100 * kPageBytes},
      {0, Whence::kHole, 0},
      {10 * kPageBytes + 7, Whence::kHole, 11 * kPageBytes},
      {150 * kPageBytes + 1, Whence::kHole, 150 * kPageBytes + 1},
  };
  for (const Case& c : cases) EXPECT_THAT(task().Lseek(fd_, c.offset, c.whence), Holds(c.answer));
  EXPECT_THAT(task().Lseek(fd_, 101 * kPageBytes, Whence::kData), FailsWith(Errno::kNxIo));
  EXPECT_THAT(task().Lseek(fd_, 200 * kPageBytes, Whence::kHole), FailsWith(Errno::kNxIo));
  EXPECT_THAT(task().Lseek(fd_, -1, Whence::kData), FailsWith(Errno::kNxIo));
}

TEST_F(FileContent, TheEndOfAFullFileIsItsFirstHole) {
  ASSERT_OK(WriteAt(0, "abc"));
  EXPECT_THAT(task().Lseek(fd_, 1, Whence::kHole), Holds(3u));
}

TEST_F(FileContent, WritingNothingChangesNothing) {
  ASSERT_OK(WriteAt(1000, ""));
  EXPECT_EQ(Size(), 0u);
}

TEST_F(FileContent, IsWhatAMapOfBytesSays) {
  constexpr uint64_t kEnd = 300 * kPageBytes;
  std::mt19937_64 random(1);
  std::string model;
  for (int step = 0; step < 2000; ++step) {
    const uint64_t pos = random() % kEnd;
    if (random() % 4 == 0) {
      ASSERT_OK(task().Ftruncate(fd_, pos));
      model.resize(pos, '\0');
    } else {
      const std::string text(random() % 9000, static_cast<char>('a' + random() % 26));
      ASSERT_THAT(WriteAt(pos, text), Holds(text.size()));
      if (!text.empty()) model.resize(std::max(model.size(), pos + text.size()), '\0');
      model.replace(std::min<size_t>(pos, model.size()), text.size(), text);
    }
    const uint64_t from = random() % kEnd;
    const std::string expected = from < model.size() ? model.substr(from, 20'000) : "";
    ASSERT_TRUE(ReadAt(from, 20'000) == expected) << "after step " << step;
    ASSERT_EQ(Size(), model.size());
  }
}

class SmallRamfs : public FileContent {
 protected:
  SmallRamfs() : FileContent({.root_options = "size=16k,nr_inodes=5"}) {}
};

TEST_F(SmallRamfs, IsFullWhenItsPagesAreUsed) {
  EXPECT_THAT(WriteAt(0, std::string(5 * kPageBytes, 'x')), Holds(4 * kPageBytes)) << "what fits";
  EXPECT_EQ(Size(), 4 * kPageBytes);
  EXPECT_THAT(WriteAt(4 * kPageBytes, "x"), FailsWith(Errno::kNoSpc));
  EXPECT_OK(WriteAt(0, "overwriting needs no page"));
  const vfs::StatFs full = *task().Statfs("/");
  EXPECT_EQ(full.blocks, 4u);
  EXPECT_EQ(full.bfree, 0u);
  ASSERT_OK(task().Ftruncate(fd_, kPageBytes));
  EXPECT_EQ(task().Statfs("/")->bfree, 3u);
  ASSERT_OK(task().Close(fd_));
  ASSERT_OK(task().Unlink("/f"));
  EXPECT_EQ(task().Statfs("/")->bfree, 4u);
}

TEST_F(SmallRamfs, IsFullWhenItsInodesAreUsed) {
  ASSERT_OK(task().Mkdir("/d", 0755));
  ASSERT_OK(task().Symlink("x", "/l"));
  ASSERT_OK(task().Mknod("/p", S_IFIFO | 0644, 0));
  EXPECT_THAT(task().Mkdir("/e", 0755), FailsWith(Errno::kNoSpc));
  EXPECT_THAT(task().Link("/f", "/g"), FailsWith(Errno::kNoSpc)) << "names count as inodes";
  EXPECT_EQ(task().Statfs("/")->files, 5u);
  EXPECT_EQ(task().Statfs("/")->ffree, 0u);
  ASSERT_OK(task().Unlink("/l"));
  EXPECT_OK(task().Mkdir("/e", 0755));
}

TEST_F(SmallRamfs, MayBeGivenMoreButNotLessThanItUses) {
  ASSERT_OK(WriteAt(0, std::string(3 * kPageBytes, 'x')));
  EXPECT_THAT(task().Remount("/", "size=8k"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Remount("/", "nr_inodes=1"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Remount("/", "size=64k,nr_inodes=1"), FailsWith(Errno::kInval));
  EXPECT_EQ(task().Statfs("/")->blocks, 4u) << "all or nothing";
  ASSERT_OK(task().Remount("/", "size=12k"));
  EXPECT_THAT(WriteAt(3 * kPageBytes, "x"), FailsWith(Errno::kNoSpc));
  ASSERT_OK(task().Remount("/", "size=0"));
  EXPECT_OK(WriteAt(100 * kPageBytes, "x"));
}

}  // namespace
}  // namespace dentree::ramfs
