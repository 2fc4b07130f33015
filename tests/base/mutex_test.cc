#include "base/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/protected.h"

namespace dentree::base {
namespace {

using namespace std::chrono_literals;

constexpr int kThreads = 4;
constexpr int kTurns = 20'000;

void InThreads(auto body) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
}

// Whether a reader that tries gets in now.
bool ReaderGetsIn(RwSem<LockRank::kDir>& sem) {
  if (!sem.TryLockShared()) return false;
  sem.UnlockShared();
  return true;
}

bool WriterGetsIn(RwSem<LockRank::kDir>& sem) {
  if (!sem.TryLock()) return false;
  sem.Unlock();
  return true;
}

template <class L>
class LockTest : public ::testing::Test {
 protected:
  L lock_;
  uint64_t count_ = 0;  // plain: race detectors see what the lock does not order
};
using Locks =
    ::testing::Types<Mutex<LockRank::kLeaf>, SpinLock<LockRank::kLeaf>, RwSem<LockRank::kLeaf>>;
TYPED_TEST_SUITE(LockTest, Locks);

TYPED_TEST(LockTest, HoldersExcludeEachOther) {
  InThreads([&](int) {
    for (int i = 0; i < kTurns; ++i) {
      MutexLock lock(this->lock_);
      ++this->count_;
    }
  });
  EXPECT_EQ(this->count_, uint64_t{kThreads} * kTurns);
}

TYPED_TEST(LockTest, TryingNeverWaitsAndNeverIntrudes) {
  std::atomic<uint64_t> taken = 0;
  InThreads([&](int) {
    for (int i = 0; i < kTurns; ++i) {
      if (!this->lock_.TryLock()) continue;
      ++this->count_;
      this->lock_.Unlock();
      taken.fetch_add(1, std::memory_order_relaxed);
    }
  });
  EXPECT_EQ(this->count_, taken.load());
}

TYPED_TEST(LockTest, AWaiterThatSleepsIsWoken) {
  for (int i = 0; i < 5; ++i) {
    std::atomic<bool> got = false;
    this->lock_.Lock();
    std::jthread waiter([&] {
      MutexLock lock(this->lock_);
      got = true;
    });
    std::this_thread::sleep_for(5ms);
    EXPECT_FALSE(got);
    this->lock_.Unlock();
    waiter.join();
    EXPECT_TRUE(got);
  }
}

TEST(RwSem, ReadersShareAndKeepWritersOut) {
  RwSem<LockRank::kDir> sem;
  {
    ReadLock mine(sem);
    std::jthread([&] {
      EXPECT_TRUE(ReaderGetsIn(sem));
      EXPECT_FALSE(WriterGetsIn(sem));
    }).join();
  }
  EXPECT_TRUE(WriterGetsIn(sem));
}

TEST(RwSem, AWaitingWriterKeepsNewReadersOutAndIsNextIn) {
  RwSem<LockRank::kDir> sem;
  sem.LockShared();
  std::atomic<int> order = 0;
  int writer_at = 0;
  int reader_at = 0;
  std::jthread writer([&] {
    WriteLock lock(sem);
    writer_at = ++order;
  });
  // The writer is asleep when a try-lock sees it.
  while (ReaderGetsIn(sem)) std::this_thread::yield();
  std::jthread reader([&] {
    ReadLock lock(sem);
    reader_at = ++order;
  });
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(order, 0);
  sem.UnlockShared();
  writer.join();
  reader.join();
  EXPECT_EQ(writer_at, 1);
  EXPECT_EQ(reader_at, 2);
}

TEST(RwSem, NeitherReadersNorWritersStarve) {
  RwSem<LockRank::kDir> sem;
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::atomic<int> writes = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          ReadLock lock(sem);
          ++reads;
        }
      });
      threads.emplace_back([&] {
        while (!stop) {
          WriteLock lock(sem);
          ++writes;
        }
      });
    }
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while ((reads < 200 || writes < 200) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
    stop = true;
  }
  EXPECT_GE(reads, 200);
  EXPECT_GE(writes, 200);
}

TEST(RwSem, MixedReadersAndWritersLoseNoWakeUp) {
  RwSem<LockRank::kDir> sem;
  uint64_t a = 0;
  uint64_t b = 0;
  InThreads([&](int t) {
    for (int i = 0; i < kTurns; ++i) {
      if ((i + t) % 4 == 0) {
        WriteLock lock(sem);
        ++a;
        ++b;
      } else {
        ReadLock lock(sem);
        ASSERT_EQ(a, b);
      }
    }
  });
  EXPECT_EQ(a, uint64_t{kThreads} * kTurns / 4);
}

TEST(CondVar, WaitsForWhatAnotherThreadDoes) {
  Mutex<LockRank::kLeaf> mu;
  CondVar changed;
  int turn = 0;
  std::jthread other([&] {
    for (int i = 0; i < 1000; ++i) {
      MutexLock lock(mu);
      changed.WaitUntil(mu, [&] { return turn % 2 == 1; });
      ++turn;
      changed.NotifyAll();
    }
  });
  for (int i = 0; i < 1000; ++i) {
    MutexLock lock(mu);
    changed.WaitUntil(mu, [&] { return turn % 2 == 0; });
    ++turn;
    changed.NotifyAll();
  }
  other.join();
  EXPECT_EQ(turn, 2000);
}

TEST(CondVar, GivesUpAfterItsTime) {
  Mutex<LockRank::kLeaf> mu;
  CondVar changed;
  MutexLock lock(mu);
  EXPECT_FALSE(changed.WaitFor(mu, 2ms, [] { return false; }));
  EXPECT_TRUE(changed.WaitFor(mu, 2ms, [] { return true; }));
}

TEST(Protected, IsReachedOnlyUnderItsLock) {
  Protected<std::vector<int>, LockRank::kLeaf> numbers;
  InThreads([&](int t) {
    for (int i = 0; i < 100; ++i) numbers.With([&](auto& v) { v.push_back(t); });
  });
  EXPECT_EQ(numbers.WithShared([](const auto& v) { return v.size(); }), 400u);
}

}  // namespace
}  // namespace dentree::base
