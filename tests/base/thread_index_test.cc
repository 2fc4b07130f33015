#include "base/thread_index.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <barrier>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace dentree::base {
namespace {

TEST(ThreadIndex, StaysTheSameWithinAThread) {
  EXPECT_EQ(ThreadIndex(), ThreadIndex());
  EXPECT_TRUE(ThreadIndexInUse(ThreadIndex()));
  EXPECT_EQ(ThreadIdOf(ThreadIndex()), gettid());
}

TEST(ThreadIndex, LivingThreadsHaveDifferentOnes) {
  constexpr int kThreads = 100;
  std::set<uint32_t> seen;
  std::mutex mu;
  std::barrier together(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        {
          const std::scoped_lock lock(mu);
          seen.insert(ThreadIndex());
        }
        together.arrive_and_wait();
      });
    }
  }
  EXPECT_EQ(seen.size(), size_t{kThreads});
}

TEST(ThreadIndex, GoesBackWhenTheThreadEnds) {
  uint32_t first = 0;
  std::jthread([&] { first = ThreadIndex(); }).join();
  EXPECT_FALSE(ThreadIndexInUse(first));
  EXPECT_EQ(ThreadIdOf(first), 0);
  uint32_t second = 0;
  std::jthread([&] { second = ThreadIndex(); }).join();
  EXPECT_EQ(first, second);
}

// The cell of a number is written with plain stores by one owner after the other.
TEST(ThreadIndex, TheNextOwnerSeesTheStoresOfTheLast) {
  uint64_t cell = 0;
  for (int i = 0; i < 100; ++i) {
    std::thread thread([&] {
      ThreadIndex();
      ++cell;
    });
    thread.join();
  }
  EXPECT_EQ(cell, 100u);
}

struct UsesItWhenDestroyed {
  uint32_t expected = ThreadIndex();
  bool* same;
  ~UsesItWhenDestroyed() { *same = ThreadIndex() == expected; }
};

TEST(ThreadIndex, DestructorsOfThreadLocalsStillHaveIt) {
  bool same = false;
  std::jthread([&] {
    thread_local UsesItWhenDestroyed late{.same = &same};
    late.same = &same;
  }).join();
  EXPECT_TRUE(same);
}

}  // namespace
}  // namespace dentree::base
