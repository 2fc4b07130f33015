// Very many misses, few of them here: what is measured is what there was.
#include "lab/misses.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "lab/ext4.h"
#include "lab/teardown.h"

namespace dentree::lab {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MissesTest, ABoundedPolicyDoesNotGrow) {
  const auto result = RunMisses({.lab = {.policy = "clock", .cap = 500}, .count = 20'000});
  ASSERT_TRUE(result) << result.error();
  EXPECT_TRUE(result->complete);
  EXPECT_EQ(result->count, 20'000);
  EXPECT_EQ(result->window, 2'000);
  EXPECT_EQ(result->ns.count(), 20'000);
  EXPECT_LE(result->negatives.high_water, 501);
  EXPECT_LE(result->growth(), 1.1);
  EXPECT_GT(result->per_second_last, 0);
}

TEST(MissesTest, TheUnboundedOneDoes) {
  const auto result = RunMisses({.lab = {.policy = "unbounded"}, .count = 20'000});
  ASSERT_TRUE(result) << result.error();
  EXPECT_EQ(result->negatives.high_water, 20'000);
  EXPECT_GT(result->growth(), 2);
}

TEST(MissesTest, OneLookupIsEnough) {
  const auto result = RunMisses({.lab = {}, .count = 1});
  ASSERT_TRUE(result) << result.error();
  EXPECT_FALSE(RunMisses({.lab = {}, .count = 0}));
}

TEST(MissesTest, GoalsAreThoseOfTheFirstPolicyAndOnlyIfItWasDone) {
  MissesResult result;
  result.complete = true;
  result.bytes_first = 100;
  result.bytes_last = 111;
  result.per_second_first = 100;
  result.per_second_last = 95;
  const std::string text = MissesText({{"one", result}, {"two", result}});
  EXPECT_THAT(text, HasSubstr("goal: one memory at the end, by that after the first window 1.110, "
                              "must be at most 1.1: MISSED\n"));
  EXPECT_THAT(text, HasSubstr("0.950, must be at least 0.95: ok\n"));
  EXPECT_THAT(text, Not(HasSubstr("goal: two")));
  result.complete = false;
  EXPECT_THAT(MissesText({{"one", result}}), Not(HasSubstr("goal:")));
}

TEST(TeardownTest, AllOfItIsDoneAndTimed) {
  const auto result = RunTeardown({.count = 3'000});
  ASSERT_TRUE(result) << result.error();
  EXPECT_EQ(result->count, 3'000);
  EXPECT_GE(result->entries, 3'000);
  EXPECT_GT(result->rmdir_ns, 0);
  EXPECT_GT(result->umount_ns, 0);
  EXPECT_GT(result->drop_ns, 0);
  EXPECT_THAT(TeardownText(*result), HasSubstr("rmdir of it"));
}

TEST(TeardownTest, AnInterruptIsSaid) {
  const std::atomic<bool> interrupt = true;
  EXPECT_EQ(RunTeardown({.count = 10, .interrupt = &interrupt}).error(), "interrupted");
}

// Whether it can be mounted is the machine's to say; that nothing stays behind, ours.
TEST(Ext4Test, IsMeasuredOrSkippedWithTheReason) {
  const auto result = RunExt4(1'000, nullptr);
  if (result) {
    EXPECT_GT(result->miss_ns, 0);
    EXPECT_THAT(Ext4Text(result), HasSubstr("1000 names"));
  } else {
    EXPECT_THAT(Ext4Text(result), HasSubstr("skipped: "));
  }
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::temp_directory_path(), error)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("dentree_ext4_")) << entry.path();
  }
}

}  // namespace
}  // namespace dentree::lab
