#include "bench/harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace dentree::bench {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

TEST(Median, IsTheMiddleOfAnOddNumberInAnyOrder) { EXPECT_EQ(Median({9, 1, 5}), 5); }

TEST(Median, IsTheMeanOfTheTwoMiddleOnesOfAnEvenNumber) { EXPECT_EQ(Median({8, 1, 4, 2}), 3); }

TEST(Median, OfOneValueIsThatValue) { EXPECT_EQ(Median({7}), 7); }

TEST(Percentile90, IsNotExceededByNineOfTen) {
  EXPECT_EQ(Percentile90({10, 9, 8, 7, 6, 5, 4, 3, 2, 1}), 9);
  EXPECT_EQ(Percentile90({1, 2, 3}), 3);
  EXPECT_EQ(Percentile90({7}), 7);
}

TEST(MedianOfRatios, PairsTheSamplesOfARound) {
  // The second round was twice as slow for both: the ratios are 2, 2 and 8; of the medians it is 4.
  EXPECT_EQ(MedianOfRatios({2, 40, 8}, {1, 20, 1}), 2);
}

TEST(Experiment, FillsBatchesOf200MicrosecondsWhateverAnOperationCosts) {
  for (const int64_t cost : {1, 37, 5'000, 150'000}) {
    Experiment experiment(5);
    std::vector<int64_t> batches;
    experiment.AddTimed("x", [&](uint64_t n) {
      batches.push_back(static_cast<int64_t>(n) * cost);
      return batches.back();
    });
    experiment.Run();
    const std::vector<int64_t> measured(batches.end() - 5, batches.end());
    EXPECT_THAT(measured, Each(testing::AllOf(testing::Ge(100'000), testing::Le(300'000)))) << cost;
  }
}

TEST(Experiment, RunsAnOperationLongerThanABatchOnceABatch) {
  Experiment experiment(3);
  uint64_t most = 0;
  experiment.AddTimed("x", [&](uint64_t n) {
    most = std::max(most, n);
    return 9'000'000 * static_cast<int64_t>(n);
  });
  experiment.Run();
  EXPECT_EQ(most, 1u);
}

TEST(Experiment, TakesContendersInTurn) {
  std::string order;
  Experiment experiment(3);
  for (const char name : {'a', 'b', 'c'}) {
    experiment.AddTimed(std::string(1, name), [&order, name](uint64_t n) {
      order += name;
      return 1'000'000 * static_cast<int64_t>(n);
    });
  }
  experiment.Run();
  EXPECT_TRUE(order.ends_with("abcabcabc")) << order;
}

TEST(Experiment, ReportsNanosecondsPerOperationAndRatios) {
  Experiment experiment(7);
  const auto& fast =
      experiment.AddTimed("fast", [](uint64_t n) { return 10 * static_cast<int64_t>(n); });
  const auto& slow =
      experiment.AddTimed("slow", [](uint64_t n) { return 40 * static_cast<int64_t>(n); });
  experiment.Run();
  EXPECT_THAT(fast.samples(), SizeIs(7));
  EXPECT_EQ(fast.median(), 10);
  EXPECT_EQ(slow.RatioTo(fast), 4);
}

TEST(Experiment, TimesWhatItIsNotToldTheTimeOf) {
  Experiment experiment(1);
  volatile uint64_t sink = 0;
  const auto& loop = experiment.Add("loop", [&](uint64_t n) {
    while (n--) sink = n;
  });
  experiment.Run();
  EXPECT_GT(loop.median(), 0);
}

TEST(Experiment, TakesDifferencesRoundByRound) {
  Experiment experiment(3);
  int64_t round = 0;
  const auto& raw = experiment.AddTimed(
      "raw", [&](uint64_t n) { return (50 + ++round) * static_cast<int64_t>(n); });
  const auto& floor =
      experiment.AddTimed("floor", [](uint64_t n) { return 20 * static_cast<int64_t>(n); });
  const auto& net = experiment.AddDifference("net", raw, floor);
  experiment.Run();
  ASSERT_THAT(net.samples(), SizeIs(3));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(net.samples()[i], raw.samples()[i] - 20);
}

TEST(Companion, DoesItsJobBetweenStartAndStopOnly) {
  Companion companion(-1);
  std::atomic<uint64_t> done = 0;
  for (int i = 0; i < 3; ++i) {
    const uint64_t before = done;
    companion.Start([&done] { ++done; });
    EXPECT_GT(done, before);
    companion.Stop();
    const uint64_t stopped = done;
    EXPECT_EQ(companion.steps(), stopped);
    std::this_thread::yield();
    EXPECT_EQ(done, stopped);
  }
}

// A job that can be held up, and a body whose quarters of a window take 30 us at least.
class HeldJob {
 public:
  void Step() {
    for (; held_; std::this_thread::yield()) blocked_ = true;
    ++done_;
  }
  void Quarter(int windows_to_lose) {
    const auto start = std::chrono::steady_clock::now();
    const int quarter = quarters_++ % 4;
    const bool lose = quarters_ <= 4 * windows_to_lose;
    const uint64_t before = done_;
    if (lose && quarter == 0) {
      for (held_ = true; !blocked_;) std::this_thread::yield();
    } else if (lose && quarter == 3) {
      held_ = false;
      blocked_ = false;
    }
    while (!lose && done_ == before) std::this_thread::yield();
    while (std::chrono::steady_clock::now() - start < std::chrono::microseconds(30)) {
    }
  }

 private:
  std::atomic<bool> held_ = false, blocked_ = false;
  std::atomic<uint64_t> done_ = 0;
  int quarters_ = 0;
};

TEST(Experiment, MeasuresAWindowAgainInWhichTheCompanionStoodStill) {
  Companion companion(-1);
  Experiment experiment(5);
  HeldJob job;
  const auto& beside = experiment.AddBeside(
      "x", companion, [&job] { job.Step(); }, [&job](uint64_t) { job.Quarter(3); });
  experiment.Run();
  EXPECT_EQ(experiment.windows_lost(), 3u);
  EXPECT_THAT(beside.samples(), SizeIs(5));
}

TEST(GoalLine, SaysOkAtTheBoundAndShortBeyondIt) {
  EXPECT_EQ(GoalLine("G1", "hot stat", 31.7, "ns", AtMost(31.7)),
            "G1 hot stat 31.70 ns must <=31.7 ok");
  EXPECT_EQ(GoalLine("G1", "hot stat", 31.8, "ns", AtMost(31.7)),
            "G1 hot stat 31.80 ns must <=31.7 short");
  EXPECT_EQ(GoalLine("G1", "kernel/ours", 25, "x", AtLeast(25)),
            "G1 kernel/ours 25 x must >=25 ok");
  EXPECT_EQ(GoalLine("G1", "kernel/ours", 24.9, "x", AtLeast(25)),
            "G1 kernel/ours 24.90 x must >=25 short");
}

TEST(GoalLine, PrintsLargeAndSmallNumbersWithoutAnExponent) {
  EXPECT_EQ(GoalLine("G13", "growth", 5'242'880, "B", AtMost(5'242'880)),
            "G13 growth 5242880 B must <=5242880 ok");
  EXPECT_EQ(GoalLine("G20", "disabled", 0.0004, "ns", AtMost(0.3)),
            "G20 disabled 0.0004 ns must <=0.3 ok");
}

}  // namespace
}  // namespace dentree::bench
