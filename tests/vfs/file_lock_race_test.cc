// Locks that are waited for, each race with its name.
#include <sys/file.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;

class LockRace : public fixture::VfsTest {
 protected:
  void SetUp() override { fs().Make({fixture::Text("/f", "x"), fixture::Text("/g", "x")}); }

  static struct flock Whole(short type) {
    struct flock lock = {};
    lock.l_type = type;
    return lock;
  }
  static Status Set(Task& task, int fd, int command, short type) {
    struct flock lock = Whole(type);
    return task.FcntlLock(fd, command, lock);
  }

  // `call` runs in a thread of its own, which waits for a lock when this returns.
  template <class Call>
  std::future<Status> Waits(Call call) {
    const size_t before = vfs().locks().stats().waiting.load();
    auto future = std::async(std::launch::async, call);
    while (vfs().locks().stats().waiting.load() == before) std::this_thread::yield();
    return future;
  }
  static bool Ready(std::future<Status>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  int Open(const char* path = "/f") { return task().Open(path, O_RDWR).value(); }
};

// Counts how often it was woken.
class CountingWaiter final : public Waiter {
 public:
  int woken() const { return woken_.load(); }

 private:
  void Wake() override { woken_.fetch_add(1); }
  std::atomic<int> woken_{0};
};

TEST_F(LockRace, TheCloseOfTheHolderGivesTheLockToWhoWaitedFirst) {
  const int holder = Open();
  const int a = Open();
  const int b = Open();
  ASSERT_OK(task().Flock(holder, LOCK_EX));
  auto first = Waits([&] { return task().Flock(a, LOCK_EX); });
  auto second = Waits([&] { return task().Flock(b, LOCK_EX); });
  ASSERT_OK(task().Close(holder));
  EXPECT_OK(first.get());
  EXPECT_FALSE(Ready(second));
  EXPECT_EQ(vfs().locks().stats().waiting.load(), 1u);
  ASSERT_OK(task().Flock(a, LOCK_UN));
  EXPECT_OK(second.get());
}

TEST_F(LockRace, AnUnlockGivesToAllWhoMayReadAtOnce) {
  const int holder = Open();
  const int a = Open();
  const int b = Open();
  ASSERT_OK(Set(task(), holder, F_OFD_SETLK, F_WRLCK));
  auto first = Waits([&] { return Set(task(), a, F_OFD_SETLKW, F_RDLCK); });
  auto second = Waits([&] { return Set(task(), b, F_OFD_SETLKW, F_RDLCK); });
  ASSERT_OK(Set(task(), holder, F_OFD_SETLK, F_UNLCK));
  EXPECT_OK(first.get());
  EXPECT_OK(second.get());
}

TEST_F(LockRace, AGrantThatReplacesMoreThanItTakesLetsOthersIn) {
  const int a = Open();
  const int b = Open();
  const int c = Open();
  const auto set = [&](int fd, int command, short type, int64_t start, int64_t len) {
    struct flock lock = Whole(type);
    lock.l_start = start;
    lock.l_len = len;
    return task().FcntlLock(fd, command, lock);
  };
  ASSERT_OK(set(a, F_OFD_SETLK, F_WRLCK, 0, 10));
  ASSERT_OK(set(b, F_OFD_SETLK, F_WRLCK, 15, 5));
  // Asks before the one who, when he gets what he waits for, gives up writing at 0.
  auto early = Waits([&] { return set(c, F_OFD_SETLKW, F_RDLCK, 0, 5); });
  auto late = Waits([&] { return set(a, F_OFD_SETLKW, F_RDLCK, 0, 20); });
  ASSERT_OK(set(b, F_OFD_SETLK, F_UNLCK, 0, 0));
  EXPECT_OK(late.get());
  EXPECT_OK(early.get());
}

TEST_F(LockRace, AnUnlockBetweenTheRefusalAndTheSleepIsNotLost) {
  const int holder = Open();
  const int a = Open();
  ASSERT_OK(task().Flock(holder, LOCK_EX));
  sync().Stop("locks:wait");
  auto waits = std::async(std::launch::async, [&] { return task().Flock(a, LOCK_EX); });
  ASSERT_OK(sync().WaitFor("locks:wait"));
  ASSERT_OK(task().Flock(holder, LOCK_UN));
  sync().Release("locks:wait");
  EXPECT_OK(waits.get());
}

TEST_F(LockRace, AnUnlockBetweenTheRefusalAndTheWaiterIsNotLost) {
  const int holder = Open();
  const int a = Open();
  ASSERT_OK(task().Flock(holder, LOCK_EX));
  sync().OnHit("locks:park", [&] { (void)task().Flock(holder, LOCK_UN); });
  CountingWaiter waiter;
  EXPECT_OK(task().FlockNowait(a, LOCK_EX, &waiter));
  EXPECT_FALSE(waiter.armed());
}

TEST_F(LockRace, AWaiterIsWokenByTheUnlockAndOnlyThen) {
  const int holder = Open();
  const int a = Open();
  ASSERT_OK(task().Flock(holder, LOCK_EX));
  CountingWaiter waiter;
  EXPECT_THAT(task().FlockNowait(a, LOCK_EX, &waiter), FailsWith(Errno::kAgain));
  EXPECT_TRUE(waiter.armed());
  EXPECT_EQ(waiter.woken(), 0);
  ASSERT_OK(task().Flock(holder, LOCK_UN));
  EXPECT_EQ(waiter.woken(), 1);
  EXPECT_FALSE(waiter.Cancel());
  EXPECT_OK(task().FlockNowait(a, LOCK_EX, &waiter));
}

TEST_F(LockRace, AWaiterThatIsCancelledIsNotWoken) {
  const int holder = Open();
  const int a = Open();
  ASSERT_OK(Set(task(), holder, F_OFD_SETLK, F_WRLCK));
  CountingWaiter waiter;
  struct flock lock = Whole(F_RDLCK);
  EXPECT_THAT(task().FcntlLockNowait(a, F_OFD_SETLKW, lock, &waiter), FailsWith(Errno::kAgain));
  EXPECT_TRUE(waiter.Cancel());
  ASSERT_OK(task().Close(holder));
  EXPECT_EQ(waiter.woken(), 0);
}

TEST_F(LockRace, TheCloseOfAWaitingDescriptorLetsItsLockComeAndGo) {
  const int holder = Open();
  const int a = Open();
  ASSERT_OK(task().Flock(holder, LOCK_EX));
  auto waits = Waits([&] { return task().Flock(a, LOCK_EX); });
  ASSERT_OK(task().Close(a));
  EXPECT_FALSE(Ready(waits));
  ASSERT_OK(task().Close(holder));
  EXPECT_OK(waits.get());
  EXPECT_EQ(vfs().locks().stats().held.load(), 0u);
}

TEST_F(LockRace, TheCloseOfADescriptorWhoseTaskLockWasJustTakenLeavesNoLock) {
  const int fd = Open();
  sync().Stop("locks:posix:taken");
  auto takes = std::async(std::launch::async, [&] { return Set(task(), fd, F_SETLKW, F_WRLCK); });
  ASSERT_OK(sync().WaitFor("locks:posix:taken"));
  ASSERT_OK(task().Close(fd));
  sync().Release("locks:posix:taken");
  EXPECT_THAT(takes.get(), FailsWith(Errno::kBadF));
  EXPECT_EQ(vfs().locks().stats().held.load(), 0u);
}

TEST_F(LockRace, TwoTasksThatWaitForEachOtherAreADeadlock) {
  const auto other = task().Fork();
  const int my_f = Open("/f");
  const int my_g = Open("/g");
  const int their_f = other->Open("/f", O_RDWR).value();
  const int their_g = other->Open("/g", O_RDWR).value();
  ASSERT_OK(Set(task(), my_f, F_SETLK, F_WRLCK));
  ASSERT_OK(Set(*other, their_g, F_SETLK, F_WRLCK));
  auto waits = Waits([&] { return Set(task(), my_g, F_SETLKW, F_WRLCK); });
  EXPECT_THAT(Set(*other, their_f, F_SETLKW, F_WRLCK), FailsWith(Errno::kDeadlk));
  EXPECT_EQ(vfs().locks().stats().deadlocks.Value(), 1u);
  ASSERT_OK(Set(*other, their_g, F_SETLK, F_UNLCK));
  EXPECT_OK(waits.get());
}

TEST_F(LockRace, ADeadlockThatAGrantMakesEndsTheWait) {
  const auto b = task().Fork();
  const auto c = task().Fork();
  const int a_f = Open("/f");
  const int a_g = Open("/g");
  const int b_f = b->Open("/f", O_RDWR).value();
  const int b_g = b->Open("/g", O_RDWR).value();
  const int c_f = c->Open("/f", O_RDWR).value();
  ASSERT_OK(Set(task(), a_g, F_SETLK, F_WRLCK));
  ASSERT_OK(Set(*c, c_f, F_SETLK, F_WRLCK));
  // b waits for f, behind c; then a, who has g; then b's second thread waits for g.
  auto b_waits = Waits([&] { return Set(*b, b_f, F_SETLKW, F_WRLCK); });
  auto a_waits = Waits([&] { return Set(task(), a_f, F_SETLKW, F_WRLCK); });
  auto b_too = Waits([&] { return Set(*b, b_g, F_SETLKW, F_WRLCK); });
  // f goes to b, who came first; a would now wait for b, who waits for a.
  ASSERT_OK(Set(*c, c_f, F_SETLK, F_UNLCK));
  EXPECT_OK(b_waits.get());
  EXPECT_THAT(a_waits.get(), FailsWith(Errno::kDeadlk));
  ASSERT_OK(Set(task(), a_g, F_SETLK, F_UNLCK));
  EXPECT_OK(b_too.get());
}

TEST_F(LockRace, DescriptionsThatWaitForEachOtherGoOnWaiting) {
  const int a_f = Open("/f");
  const int a_g = Open("/g");
  const int b_f = Open("/f");
  const int b_g = Open("/g");
  ASSERT_OK(Set(task(), a_f, F_OFD_SETLK, F_WRLCK));
  ASSERT_OK(Set(task(), b_g, F_OFD_SETLK, F_WRLCK));
  auto one = Waits([&] { return Set(task(), a_g, F_OFD_SETLKW, F_WRLCK); });
  auto two = Waits([&] { return Set(task(), b_f, F_OFD_SETLKW, F_WRLCK); });
  ASSERT_OK(Set(task(), a_f, F_OFD_SETLK, F_UNLCK));
  EXPECT_OK(two.get());
  ASSERT_OK(Set(task(), b_g, F_OFD_SETLK, F_UNLCK));
  EXPECT_OK(one.get());
}

TEST_F(LockRace, ManyThreadsWithOneLockAreOneAtATime) {
  constexpr int kThreads = 6;
  constexpr int kRounds = 200;
  int inside = 0;  // no atomic: the lock is what protects it
  int rounds = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        Task own(vfs(), Creds::Root());
        const int fd = own.Open("/f", O_RDWR).value();
        for (int round = 0; round < kRounds; ++round) {
          const int how = (i + round) % 2;
          // Both kinds of ranges exclude each other.
          EXPECT_OK(Set(own, fd, how == 0 ? F_OFD_SETLKW : F_SETLKW, F_WRLCK));
          EXPECT_EQ(++inside, 1);
          ++rounds;
          --inside;
          EXPECT_OK(Set(own, fd, how == 0 ? F_OFD_SETLK : F_SETLK, F_UNLCK));
        }
      });
    }
  }
  EXPECT_EQ(rounds, kThreads * kRounds);
  EXPECT_EQ(vfs().locks().stats().held.load(), 0u);
}

}  // namespace
}  // namespace dentree::vfs
