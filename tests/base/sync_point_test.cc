#include "base/sync_point.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace dentree::base {
namespace {

using namespace std::chrono_literals;

TEST(SyncPoints, DisarmedOnesLetEverybodyPass) {
  SyncPoints points;
  SYNC_POINT(points, "a");
  EXPECT_FALSE(points.armed());
}

TEST(SyncPoints, AThreadStopsUntilReleased) {
  SyncPoints points;
  std::atomic<int> step = 0;
  points.Stop("a");
  std::jthread worker([&] {
    step = 1;
    points.Hit("a");
    step = 2;
  });
  ASSERT_TRUE(points.WaitFor("a"));
  EXPECT_EQ(step, 1);
  points.Release("a");
  worker.join();
  EXPECT_EQ(step, 2);
  EXPECT_EQ(points.Hits("a"), 1u);
}

TEST(SyncPoints, OnlyTheFirstStopsUnlessAllAreAskedTo) {
  SyncPoints points;
  points.Stop("a");
  std::jthread stopped([&] { points.Hit("a"); });
  ASSERT_TRUE(points.WaitFor("a"));
  std::jthread([&] { points.Hit("a"); }).join();
  points.Stop("b", SyncPoints::Who::kAll);
  std::jthread one([&] { points.Hit("b"); });
  std::jthread two([&] { points.Hit("b"); });
  ASSERT_TRUE(points.WaitFor("b", 2));
  points.Release("a");
  points.Release("b");
}

TEST(SyncPoints, WaitingForNobodyTimesOut) {
  SyncPoints points;
  EXPECT_EQ(points.WaitFor("a", 1, 2ms), std::unexpected(Errno::kTimedOut));
}

TEST(SyncPoints, AnActionRunsInTheThreadThatComes) {
  SyncPoints points;
  std::thread::id ran_in;
  points.OnHit("a", [&] {
    ran_in = std::this_thread::get_id();
    points.Hit("b");  // points may be hit inside
  });
  points.Stop("c");
  std::thread::id worker_id;
  std::jthread([&] {
    worker_id = std::this_thread::get_id();
    points.Hit("a");
  }).join();
  EXPECT_EQ(ran_in, worker_id);
}

TEST(SyncPoints, ResetFreesWhoeverStands) {
  SyncPoints points;
  points.Stop("a", SyncPoints::Who::kAll);
  std::jthread one([&] { points.Hit("a"); });
  ASSERT_TRUE(points.WaitFor("a"));
  points.Reset();
  EXPECT_FALSE(points.armed());
}

#ifdef DENTREE_SYNC_POINTS
TEST(SyncPoints, OrderTwoThreadsStepByStep) {
  SyncPoints points;
  std::string order;  // plain: the points are what orders the threads
  points.Stop("first:done");
  std::jthread first([&] {
    order += "1";
    SYNC_POINT(points, "first:done");
    order += "3";
  });
  ASSERT_TRUE(points.WaitFor("first:done"));
  order += "2";
  points.Release("first:done");
  first.join();
  EXPECT_EQ(order, "123");
}
#endif

}  // namespace
}  // namespace dentree::base
