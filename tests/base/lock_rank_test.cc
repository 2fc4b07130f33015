#include "base/lock_rank.h"

#include <gtest/gtest.h>

#include "base/lockref.h"
#include "base/mutex.h"
#include "base/rcu.h"

namespace dentree::base {
namespace {

using Dir = RwSem<LockRank::kDir>;
using Node = Mutex<LockRank::kNode>;
using Leaf = SpinLock<LockRank::kLeaf>;

TEST(LockRank, NamesAreThoseOfTheSource) {
  EXPECT_EQ(LockRankName(LockRank::kMount), "kMount");
  EXPECT_EQ(LockRankName(LockRank::kLeaf), "kLeaf");
}

TEST(LockRank, OutermostFirstIsFine) {
  Dir dir;
  Node node;
  Leaf leaf;
  WriteLock a(dir);
  MutexLock b(node);
  MutexLock c(leaf);
}

TEST(LockRank, ParentBeforeChildIsFineIfSaid) {
  Dir parent;
  Dir child;
  WriteLock a(parent);
  WriteLock b(child, kNested);
}

TEST(LockRank, APairMayBeGivenInAnyOrderAndBeOne) {
  Dir dirs[2];
  {
    LockPair pair(dirs[1], dirs[0]);
  }
  {
    LockPair pair(dirs[0], dirs[0]);
  }
  {
    LockPair pair(dirs[1], dirs[0], PairOrder::kAsGiven);
  }
  for (Dir& dir : dirs) WriteLock again(dir);  // both are free
}

TEST(LockRank, TryingIsFineInAnyOrder) {
  Leaf leaf;
  Node node;
  MutexLock a(leaf);
  const bool got = node.TryLock();
  if (got) node.Unlock();
  EXPECT_TRUE(got);
}

#ifndef NDEBUG

class LockRankDeathTest : public ::testing::Test {
 protected:
  LockRankDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(LockRankDeathTest, InnermostFirstAbortsNamingBoth) {
  EXPECT_DEATH(
      {
        Leaf leaf;
        Dir dir;
        MutexLock a(leaf);
        ReadLock b(dir);
      },
      "taking kDir while holding kLeaf");
}

TEST_F(LockRankDeathTest, TwoOfOneRankAbort) {
  EXPECT_DEATH(
      {
        Node a;
        Node b;
        MutexLock la(a);
        MutexLock lb(b);
      },
      "taking kNode while holding kNode");
}

TEST_F(LockRankDeathTest, ALockTakenOutOfOrderByTryingStillBindsLaterOnes) {
  EXPECT_DEATH(
      {
        Leaf leaf;
        Node node;
        if (leaf.TryLock()) {
          {
            MutexLock lock(node);
          }
          leaf.Unlock();
        }
      },
      "taking kNode while holding kLeaf");
}

void UnlockUnheld(Node& node) DT_NO_THREAD_SAFETY_ANALYSIS { node.Unlock(); }

TEST_F(LockRankDeathTest, UnlockingWhatOneDoesNotHoldAborts) {
  EXPECT_DEATH(
      {
        Node node;
        UnlockUnheld(node);
      },
      "does not hold");
}

TEST_F(LockRankDeathTest, CallingOutUnderANodeLockAborts) {
  EXPECT_DEATH(
      {
        Node node;
        MutexLock lock(node);
        AssertMayCallOut();
      },
      "client code");
}

TEST_F(LockRankDeathTest, AllocatingInsideAReadSectionAborts) {
  EXPECT_DEATH(
      {
        RcuDomain domain;
        RcuReadGuard guard(domain);
        AssertMayAllocate();
      },
      "inside an RCU read section");
}

TEST_F(LockRankDeathTest, AReferenceUnderALockInsideDentryAborts) {
  EXPECT_DEATH(
      {
        Leaf leaf;
        Lockref ref(1);
        MutexLock lock(leaf);
        ref.Get();
      },
      "taking kDentry while holding kLeaf");
}

TEST(LockRank, HeldRanksAreKnown) {
  Dir dir;
  EXPECT_FALSE(HoldsRankAtLeast(LockRank::kMount));
  {
    ReadLock lock(dir);
    EXPECT_TRUE(HoldsRankAtLeast(LockRank::kDir));
    EXPECT_FALSE(HoldsRankAtLeast(LockRank::kNode));
    EXPECT_TRUE(HoldsLock(&dir));
    AssertMayCallOut();
  }
  EXPECT_FALSE(HoldsLock(&dir));
}

TEST(LockRank, LocksMayBeReleasedInAnyOrder) {
  Dir dir;
  Node node;
  dir.Lock();
  node.Lock();
  dir.Unlock();
  EXPECT_TRUE(HoldsLock(&node));
  node.Unlock();
  EXPECT_FALSE(HoldsRankAtLeast(LockRank::kMount));
}

#endif

}  // namespace
}  // namespace dentree::base
