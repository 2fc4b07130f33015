#include "base/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace dentree::base {
namespace {

using ::testing::ElementsAre;

std::string Pattern(FaultInjector& faults, std::string_view point, int hits) {
  std::string pattern;
  for (int i = 0; i < hits; ++i) pattern += faults.ShouldFail(point) ? 'F' : '.';
  return pattern;
}

TEST(FaultInjector, NothingFailsAndNothingIsCountedUnlessArmed) {
  FaultInjector faults;
  EXPECT_EQ(Pattern(faults, "a", 5), ".....");
  EXPECT_EQ(faults.Counts("a").hits, 0u);
  EXPECT_TRUE(faults.Points().empty());
}

TEST(FaultInjector, NthFailsOnce) {
  FaultInjector faults;
  faults.Arm(FaultPlan::Nth("a", 3));
  EXPECT_EQ(Pattern(faults, "a", 6), "..F...");
  EXPECT_EQ(faults.Counts("a").hits, 6u);
  EXPECT_EQ(faults.Counts("a").failures, 1u);
}

TEST(FaultInjector, EveryNthFailsAgainAndAgain) {
  FaultInjector faults;
  faults.Arm(FaultPlan::EveryNth("a", 2));
  EXPECT_EQ(Pattern(faults, "a", 6), ".F.F.F");
}

TEST(FaultInjector, PlansMatchByGlobAndCountTheirPointsTogether) {
  FaultInjector faults;
  faults.Arm(FaultPlan::Nth("mm:alloc:*", 2));
  EXPECT_FALSE(faults.ShouldFail("mm:alloc:dentry"));
  EXPECT_FALSE(faults.ShouldFail("vfs:lookup"));
  EXPECT_TRUE(faults.ShouldFail("mm:alloc:inode"));
  EXPECT_THAT(faults.Points(), ElementsAre("mm:alloc:dentry", "mm:alloc:inode", "vfs:lookup"));
}

TEST(FaultInjector, ProbabilityIsReproducibleFromItsSeed) {
  const auto run = [](uint64_t seed) {
    FaultInjector faults;
    faults.Arm(FaultPlan::WithProbability("a", 0.25, seed));
    return Pattern(faults, "a", 2000);
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
  EXPECT_NEAR(std::ranges::count(run(1), 'F'), 500, 100);
}

TEST(FaultInjector, CountingAloneFailsNothing) {
  FaultInjector faults;
  faults.StartCounting();
  EXPECT_EQ(Pattern(faults, "a", 3), "...");
  EXPECT_EQ(faults.Counts("a").hits, 3u);
  faults.Reset();
  EXPECT_EQ(Pattern(faults, "a", 3), "...");
  EXPECT_EQ(faults.Counts("a").hits, 0u);
}

TEST(FaultInjector, AScopedFaultEndsWithItsScope) {
  FaultInjector faults;
  {
    const ScopedFault fault(faults, FaultPlan::Always("a"));
    EXPECT_TRUE(faults.ShouldFail("a"));
  }
  EXPECT_FALSE(faults.ShouldFail("a"));
}

TEST(FaultInjector, ConcurrentHitsAreAllCounted) {
  FaultInjector faults;
  faults.Arm(FaultPlan::EveryNth("a", 10));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back([&] { Pattern(faults, "a", 1000); });
  }
  EXPECT_EQ(faults.Counts("a").hits, 4000u);
  EXPECT_EQ(faults.Counts("a").failures, 400u);
}

}  // namespace
}  // namespace dentree::base
