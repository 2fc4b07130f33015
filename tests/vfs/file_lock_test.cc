// The rules of flock(2) and of fcntl(2)'s locks. What the machine's kernel does with the same calls
// is in file_lock_kernel_test.cc.
#include <sys/file.h>

#include <limits>
#include <string>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "ramfs/ramfs.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

struct flock Range(short type, int64_t start, int64_t len, short whence = SEEK_SET) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = whence;
  lock.l_start = start;
  lock.l_len = len;
  return lock;
}

class FileLocksTest : public fixture::VfsTest {
 protected:
  void SetUp() override { fs().Make({fixture::Text("/f", "0123456789")}); }

  int Open(OpenFlags flags = O_RDWR) { return task().Open("/f", flags).value(); }

  Status Ofd(int fd, short type, int64_t start, int64_t len, short whence = SEEK_SET) {
    struct flock lock = Range(type, start, len, whence);
    return task().FcntlLock(fd, F_OFD_SETLK, lock);
  }
  static Status Posix(Task& of, int fd, short type, int64_t start, int64_t len) {
    struct flock lock = Range(type, start, len);
    return of.FcntlLock(fd, F_SETLK, lock);
  }
  // "W 0-4, R 9-": ranges held on all files, by start.
  std::string Held() {
    std::vector<LockInfo> locks = vfs().locks().List();
    std::ranges::sort(locks, {}, &LockInfo::start);
    std::string text;
    for (const LockInfo& lock : locks) {
      const std::string end = lock.end == kMax ? "" : std::to_string(lock.end);
      absl::StrAppendFormat(&text, "%s%c %d-%s", text.empty() ? "" : ", ",
                            lock.type == F_WRLCK ? 'W' : 'R', lock.start, end);
    }
    return text;
  }
};

// --- flock -----------------------------------------------------------------------------------

using Flock = FileLocksTest;

TEST_F(Flock, SharedOnesStandTogetherAndAnExclusiveOneAlone) {
  const int a = Open();
  const int b = Open();
  EXPECT_OK(task().Flock(a, LOCK_SH | LOCK_NB));
  EXPECT_OK(task().Flock(b, LOCK_SH | LOCK_NB));
  EXPECT_THAT(task().Flock(a, LOCK_EX | LOCK_NB), FailsWith(Errno::kAgain));
  EXPECT_OK(task().Flock(b, LOCK_UN));
  EXPECT_OK(task().Flock(a, LOCK_EX | LOCK_NB));
  EXPECT_THAT(task().Flock(b, LOCK_SH | LOCK_NB), FailsWith(Errno::kAgain));
}

TEST_F(Flock, AFailedConversionLosesWhatWasHeld) {
  const int a = Open();
  const int b = Open();
  ASSERT_OK(task().Flock(a, LOCK_SH));
  ASSERT_OK(task().Flock(b, LOCK_SH));
  EXPECT_THAT(task().Flock(a, LOCK_EX | LOCK_NB), FailsWith(Errno::kAgain));
  EXPECT_OK(task().Flock(b, LOCK_EX | LOCK_NB));
}

TEST_F(Flock, BelongsToTheDescriptionUntilItsLastDescriptorCloses) {
  const int a = Open(O_RDONLY);
  const int copy = task().Dup(a).value();
  const int b = Open();
  ASSERT_OK(task().Flock(a, LOCK_EX));
  EXPECT_OK(task().Flock(copy, LOCK_EX | LOCK_NB));
  ASSERT_OK(task().Close(a));
  EXPECT_THAT(task().Flock(b, LOCK_SH | LOCK_NB), FailsWith(Errno::kAgain));
  ASSERT_OK(task().Close(copy));
  EXPECT_OK(task().Flock(b, LOCK_SH | LOCK_NB));
}

TEST_F(Flock, AnyDescriptorUnlocksAndUnlockingNothingSucceeds) {
  const int a = Open();
  const int copy = task().Dup(a).value();
  ASSERT_OK(task().Flock(a, LOCK_EX));
  EXPECT_OK(task().Flock(copy, LOCK_UN));
  EXPECT_EQ(Held(), "");
  EXPECT_OK(task().Flock(a, LOCK_UN));
}

TEST_F(Flock, RefusesWhatIsNoOperationBeforeItLooksAtTheDescriptor) {
  const int a = Open();
  for (const int bad : {0, LOCK_SH | LOCK_EX, int{LOCK_NB}, 16 | LOCK_EX}) {
    EXPECT_THAT(task().Flock(a, bad), FailsWith(Errno::kInval)) << bad;
    EXPECT_THAT(task().Flock(999, bad), FailsWith(Errno::kInval)) << bad;
  }
  EXPECT_THAT(task().Flock(999, LOCK_SH), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Flock(Open(O_PATH), LOCK_SH), FailsWith(Errno::kBadF));
}

TEST_F(Flock, OfADirectoryWorks) {
  const int root = task().Open("/", O_RDONLY).value();
  EXPECT_OK(task().Flock(root, LOCK_EX | LOCK_NB));
}

TEST_F(Flock, KnowsNothingOfRanges) {
  const int a = Open();
  const int b = Open();
  ASSERT_OK(task().Flock(a, LOCK_EX));
  EXPECT_OK(Ofd(b, F_WRLCK, 0, 0));
}

// --- ranges ----------------------------------------------------------------------------------

using OfdLock = FileLocksTest;

TEST_F(OfdLock, OverlappingOnesExcludeEachOtherUnlessBothRead) {
  const int a = Open();
  const int b = Open();
  EXPECT_OK(Ofd(a, F_WRLCK, 0, 5));
  EXPECT_THAT(Ofd(b, F_RDLCK, 4, 1), FailsWith(Errno::kAgain));
  EXPECT_OK(Ofd(b, F_WRLCK, 5, 5));
  EXPECT_OK(Ofd(a, F_RDLCK, 0, 5));
  EXPECT_OK(Ofd(b, F_RDLCK, 2, 10));
  EXPECT_THAT(Ofd(a, F_WRLCK, 0, 0), FailsWith(Errno::kAgain));
}

TEST_F(OfdLock, NeighboursOfOneTypeBecomeOne) {
  const int a = Open();
  ASSERT_OK(Ofd(a, F_WRLCK, 0, 5));
  ASSERT_OK(Ofd(a, F_WRLCK, 10, 5));
  EXPECT_EQ(Held(), "W 0-4, W 10-14");
  ASSERT_OK(Ofd(a, F_WRLCK, 5, 5));
  EXPECT_EQ(Held(), "W 0-14");
}

TEST_F(OfdLock, AnotherTypeSplitsAndUnlockingLeavesBothEnds) {
  const int a = Open();
  ASSERT_OK(Ofd(a, F_WRLCK, 0, 10));
  ASSERT_OK(Ofd(a, F_RDLCK, 3, 3));
  EXPECT_EQ(Held(), "W 0-2, R 3-5, W 6-9");
  ASSERT_OK(Ofd(a, F_UNLCK, 4, 1));
  EXPECT_EQ(Held(), "W 0-2, R 3-3, R 5-5, W 6-9");
  ASSERT_OK(Ofd(a, F_WRLCK, 0, 0));
  EXPECT_EQ(Held(), "W 0-");
  ASSERT_OK(Ofd(a, F_UNLCK, 50, 0));
  EXPECT_EQ(Held(), "W 0-49");
}

TEST_F(OfdLock, CountsFromTheStartThePositionAndTheEnd) {
  const int a = Open();
  ASSERT_OK(task().Lseek(a, 4, Whence::kSet));
  ASSERT_OK(Ofd(a, F_WRLCK, 1, 2, SEEK_CUR));
  ASSERT_OK(Ofd(a, F_WRLCK, -1, 1, SEEK_END));
  ASSERT_OK(Ofd(a, F_WRLCK, 3, -2));
  EXPECT_EQ(Held(), "W 1-2, W 5-6, W 9-9");
}

TEST_F(OfdLock, RefusesRangesThatAreNone) {
  const int a = Open();
  EXPECT_THAT(Ofd(a, F_WRLCK, -1, 0), FailsWith(Errno::kInval));
  EXPECT_THAT(Ofd(a, F_WRLCK, 5, -6), FailsWith(Errno::kInval));
  EXPECT_THAT(Ofd(a, F_WRLCK, 0, -1), FailsWith(Errno::kInval));
  EXPECT_THAT(Ofd(a, F_WRLCK, -11, 0, SEEK_END), FailsWith(Errno::kInval));
  EXPECT_THAT(Ofd(a, F_WRLCK, kMax, 2), FailsWith(Errno::kOverflow));
  EXPECT_THAT(Ofd(a, F_WRLCK, kMax, 0, SEEK_END), FailsWith(Errno::kOverflow));
  EXPECT_THAT(Ofd(a, F_WRLCK, 0, 0, 9), FailsWith(Errno::kInval));
  EXPECT_THAT(Ofd(a, 7, 0, 0), FailsWith(Errno::kInval));
  EXPECT_OK(Ofd(a, F_WRLCK, kMax, 1));
}

TEST_F(OfdLock, WantsTheModeThatItLocksFor) {
  EXPECT_THAT(Ofd(Open(O_RDONLY), F_WRLCK, 0, 0), FailsWith(Errno::kBadF));
  EXPECT_THAT(Ofd(Open(O_WRONLY), F_RDLCK, 0, 0), FailsWith(Errno::kBadF));
  EXPECT_OK(Ofd(Open(O_RDONLY), F_UNLCK, 0, 0));
  EXPECT_THAT(Ofd(Open(O_PATH), F_UNLCK, 0, 0), FailsWith(Errno::kBadF));
  struct flock lock = Range(F_WRLCK, 0, 0);
  lock.l_pid = 1;
  EXPECT_THAT(task().FcntlLock(Open(), F_OFD_SETLK, lock), FailsWith(Errno::kInval));
}

TEST_F(OfdLock, GetTellsWhatIsInTheWayAndLeavesTheRestAloneIfNothingIs) {
  const int a = Open();
  const int b = Open();
  ASSERT_OK(Ofd(a, F_WRLCK, 5, 2));
  struct flock lock = Range(F_RDLCK, 0, 0);
  ASSERT_OK(task().FcntlLock(b, F_OFD_GETLK, lock));
  EXPECT_EQ(lock.l_type, F_WRLCK);
  EXPECT_EQ(lock.l_start, 5);
  EXPECT_EQ(lock.l_len, 2);
  EXPECT_EQ(lock.l_pid, -1);
  lock = Range(F_RDLCK, -3, 2, SEEK_END);
  ASSERT_OK(task().FcntlLock(b, F_OFD_GETLK, lock));
  EXPECT_EQ(lock.l_type, F_UNLCK);
  EXPECT_EQ(lock.l_whence, SEEK_END);
  EXPECT_EQ(lock.l_start, -3);
}

TEST_F(OfdLock, GoesWithTheLastCloseAndNotBefore) {
  const int a = Open();
  const int copy = task().Dup(a).value();
  ASSERT_OK(Ofd(a, F_WRLCK, 0, 0));
  ASSERT_OK(task().Close(a));
  EXPECT_EQ(Held(), "W 0-");
  ASSERT_OK(task().Close(copy));
  EXPECT_EQ(Held(), "");
}

using PosixLock = FileLocksTest;

TEST_F(PosixLock, IsTheTasksWhateverDescriptorTookIt) {
  const int a = Open();
  const int b = Open();
  EXPECT_OK(Posix(task(), a, F_WRLCK, 0, 10));
  EXPECT_OK(Posix(task(), b, F_RDLCK, 2, 3));
  EXPECT_EQ(Held(), "W 0-1, R 2-4, W 5-9");
}

TEST_F(PosixLock, GoesWithTheFirstCloseOfTheFileUnlessThatIsAPath) {
  const int a = Open();
  const int b = Open(O_RDONLY);
  const int path = Open(O_PATH);
  ASSERT_OK(Posix(task(), a, F_WRLCK, 0, 10));
  ASSERT_OK(task().Close(path));
  EXPECT_EQ(Held(), "W 0-9");
  ASSERT_OK(task().Close(b));
  EXPECT_EQ(Held(), "");
}

TEST_F(PosixLock, GoesWithADescriptorThatAnotherTakesThePlaceOf) {
  const int a = Open();
  const int b = Open(O_RDONLY);
  const int other = task().Open("/", O_RDONLY).value();
  ASSERT_OK(Posix(task(), a, F_WRLCK, 0, 10));
  ASSERT_OK(task().Dup2(other, b));
  EXPECT_EQ(Held(), "");
}

TEST_F(PosixLock, OfAnotherTaskIsInTheWayAndGetNamesIt) {
  const auto child = task().Fork();
  const int mine = Open();
  const int theirs = child->Open("/f", O_RDWR).value();
  ASSERT_OK(Posix(*child, theirs, F_WRLCK, 3, 4));
  EXPECT_THAT(Posix(task(), mine, F_RDLCK, 0, 0), FailsWith(Errno::kAgain));
  struct flock lock = Range(F_RDLCK, 0, 0);
  ASSERT_OK(task().FcntlLock(mine, F_GETLK, lock));
  EXPECT_EQ(lock.l_pid, child->pid());
  EXPECT_NE(lock.l_pid, task().pid());
  lock = Range(F_UNLCK, 0, 0);
  EXPECT_THAT(task().FcntlLock(mine, F_GETLK, lock), FailsWith(Errno::kInval));
}

TEST_F(PosixLock, AndOneOfADescriptionOfTheSameTaskExcludeEachOther) {
  const int a = Open();
  ASSERT_OK(Posix(task(), a, F_WRLCK, 0, 0));
  EXPECT_THAT(Ofd(a, F_RDLCK, 0, 0), FailsWith(Errno::kAgain));
}

// --- costs -----------------------------------------------------------------------------------

TEST_F(FileLocksTest, AnInodeWithoutLocksHasNothing) {
  const int a = Open();
  const Inode& inode = task().Resolve("/f")->inode();
  const auto has = [&] { return (inode.flags() & kInodeLocked) != 0; };
  EXPECT_FALSE(has());
  ASSERT_OK(Ofd(a, F_WRLCK, 0, 0));
  EXPECT_TRUE(has());
  ASSERT_OK(Ofd(a, F_UNLCK, 0, 0));
  EXPECT_FALSE(has());
  ASSERT_OK(task().Flock(a, LOCK_EX));
  ASSERT_OK(task().Close(a));
  EXPECT_FALSE(has());
  EXPECT_EQ(vfs().locks().stats().held.load(), 0u);
  EXPECT_EQ(vfs().locks().stats().held_most.Value(), 1);
}

TEST_F(FileLocksTest, WithoutMemoryALockIsRefusedAndNothingChanges) {
  const int a = Open();
  ASSERT_OK(Ofd(a, F_WRLCK, 0, 10));
  faults().Arm(base::FaultPlan::Always("mm:file_lock"));
  EXPECT_THAT(Ofd(a, F_UNLCK, 5, 1), FailsWith(Errno::kNoLck));
  EXPECT_THAT(Ofd(a, F_RDLCK, 20, 1), FailsWith(Errno::kNoLck));
  EXPECT_EQ(Held(), "W 0-9");
  EXPECT_OK(Ofd(a, F_UNLCK, 5, 5));
  EXPECT_EQ(Held(), "W 0-4");
  EXPECT_EQ(vfs().locks().stats().refused.Value(), 2u);
}

TEST(FileLockLimit, TheNextIsRefusedUntilOneGoes) {
  const auto vfs = Vfs::Create({.lock_limit = 2});
  vfs->RegisterType(ramfs::Type());
  ASSERT_OK(vfs->MountRoot("ramfs", ""));
  Task task(*vfs, Creds::Root());
  const int fd = task.Open("/f", O_CREAT | O_RDWR, 0644).value();
  const auto set = [&](short type, int64_t start, int64_t len) {
    struct flock lock = Range(type, start, len);
    return task.FcntlLock(fd, F_OFD_SETLK, lock);
  };
  EXPECT_OK(set(F_WRLCK, 0, 10));
  EXPECT_OK(set(F_WRLCK, 20, 10));
  EXPECT_THAT(set(F_WRLCK, 40, 10), FailsWith(Errno::kNoLck));
  EXPECT_THAT(set(F_UNLCK, 5, 1), FailsWith(Errno::kNoLck));
  EXPECT_OK(set(F_UNLCK, 0, 10));
  EXPECT_OK(set(F_WRLCK, 40, 10));
}

}  // namespace
}  // namespace dentree::vfs
