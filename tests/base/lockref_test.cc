#include "base/lockref.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace dentree::base {
namespace {

TEST(Lockref, CountsReferences) {
  Lockref ref(1);
  ref.Get();
  EXPECT_EQ(ref.count(), 2);
  EXPECT_TRUE(ref.GetNotZero());
  EXPECT_TRUE(ref.PutUnlessLast());
  EXPECT_TRUE(ref.PutUnlessLast());
  EXPECT_EQ(ref.count(), 1);
}

TEST(Lockref, TheLastReferenceIsPutUnderTheLock) {
  Lockref ref(1);
  EXPECT_FALSE(ref.PutUnlessLast());
  MutexLock lock(ref);
  EXPECT_EQ(ref.PutLocked(), 0);
}

TEST(Lockref, ZeroIsCachedAndDeadIsFinal) {
  Lockref ref;
  EXPECT_FALSE(ref.GetNotZero());
  EXPECT_TRUE(ref.GetNotDead());
  {
    MutexLock lock(ref);
    EXPECT_EQ(ref.PutLocked(), 0);
    ref.MarkDead();
    EXPECT_TRUE(ref.dead());
  }
  EXPECT_FALSE(ref.GetNotDead());
  EXPECT_FALSE(ref.GetNotZero());
  EXPECT_FALSE(ref.PutUnlessLast());
}

TEST(Lockref, PuttingWhileItIsLockedSendsTheCallerToTheLock) {
  Lockref ref(5);
  MutexLock lock(ref);
  EXPECT_FALSE(ref.PutUnlessLast());
  EXPECT_EQ(ref.PutLocked(), 4);
}

TEST(Lockref, TheCountStandsStillForTheHolderOfTheLock) {
  Lockref ref(1);
  std::atomic<bool> stop = false;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          ref.Get();
          if (ref.PutUnlessLast()) continue;
          MutexLock lock(ref);
          ref.PutLocked();
        }
      });
    }
    for (int i = 0; i < 3000; ++i) {
      MutexLock lock(ref);
      const int32_t before = ref.count();
      for (int spin = 0; spin < 50; ++spin) ASSERT_EQ(ref.count(), before);
    }
    stop = true;
  }
  EXPECT_EQ(ref.count(), 1);
}

TEST(Lockref, GetRacingWithDeathEitherRevivesOrFails) {
  for (int round = 0; round < 2000; ++round) {
    Lockref ref;
    std::atomic<bool> go = false;
    bool got = false;
    bool killed = false;
    std::jthread getter([&] {
      while (!go) {
      }
      got = ref.GetNotDead();
    });
    go = true;
    {
      MutexLock lock(ref);
      if (ref.count() == 0) {
        ref.MarkDead();
        killed = true;
      }
    }
    getter.join();
    ASSERT_NE(got, killed) << "a reference to the dead, or neither";
  }
}

TEST(Lockref, WaitersForTheLockSleepAndAreWoken) {
  Lockref ref(1);
  uint64_t plain = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) {
          MutexLock lock(ref);
          ++plain;
        }
      });
    }
  }
  EXPECT_EQ(plain, 80'000u);
}

}  // namespace
}  // namespace dentree::base
