#include "base/seqcount.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace dentree::base {
namespace {

TEST(SeqCount, AQuietReadNeedsNoRetry) {
  SeqCount seq;
  const uint32_t begin = seq.ReadBegin();
  EXPECT_FALSE(seq.ReadRetry(begin));
}

TEST(SeqCount, AWriteBetweenMakesTheReaderTryAgain) {
  SeqCount seq;
  const uint32_t begin = seq.ReadBegin();
  {
    SeqWrite write(seq);
  }
  EXPECT_TRUE(seq.ReadRetry(begin));
  EXPECT_FALSE(seq.ReadRetry(seq.ReadBegin()));
}

TEST(SeqCount, AWriteUnderWayIsSeenWithoutWaiting) {
  SeqCount seq;
  SeqWrite write(seq);
  EXPECT_EQ(seq.Sample() & 1, 1u);
}

TEST(SeqCount, ReadersNeverSeeHalfAWrite) {
  SeqCount seq;
  SeqField<uint64_t> a;
  SeqField<uint64_t> b;
  Mutex<LockRank::kLeaf> writers;
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> seen = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          uint32_t begin;
          uint64_t x;
          uint64_t y;
          do {
            begin = seq.ReadBegin();
            x = a.Load();
            y = b.Load();
          } while (seq.ReadRetry(begin));
          ASSERT_EQ(y, 3 * x);
          seen.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    {
      std::vector<std::jthread> writing;
      for (int t = 0; t < 2; ++t) {
        writing.emplace_back([&] {
          for (int i = 0; i < 20'000; ++i) {
            MutexLock lock(writers);
            SeqWrite write(seq);
            a.Store(a.Load() + 1);
            b.Store(3 * a.Load());
          }
        });
      }
    }
    while (seen < 1000) std::this_thread::yield();
    stop = true;
  }
  EXPECT_EQ(a.Load(), 40'000u);
}

#ifndef NDEBUG
TEST(SeqCountDeathTest, TwoWritersAbort) {
  EXPECT_DEATH(
      {
        SeqCount seq;
        SeqWrite one(seq);
        SeqWrite two(seq);
      },
      "two writers");
}
#endif

}  // namespace
}  // namespace dentree::base
