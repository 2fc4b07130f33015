// The background reclaim: woken below the low watermark, done above the high one, gone in time.

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

constexpr size_t kMiB = 1 << 20;
constexpr Memory::Options kWatched{
    .limit_bytes = 4 * kMiB, .low_watermark_bytes = kMiB, .high_watermark_bytes = 2 * kMiB};

void AwaitFree(const Memory& memory, size_t bytes) {
  while (memory.limit() - memory.used() < bytes) std::this_thread::yield();
}

TEST(BackgroundReclaim, MakesRoomUpToTheHighWatermarkWithoutACharge) {
  World world(kWatched);
  ListedCache cache(world.memory, "thing");
  while (world.memory.used() <= 3 * kMiB) ASSERT_NE(cache.Add(), nullptr);
  AwaitFree(world.memory, 2 * kMiB);
  while (world.memory.stats().background_bytes.Value() == 0) std::this_thread::yield();
  EXPECT_GE(world.memory.stats().background_wakeups.Value(), 1u);
  EXPECT_GE(world.memory.stats().background_bytes.Value(), kMiB / 2);
  EXPECT_EQ(world.memory.stats().background_failures.Value(), 0u);
  world.memory.StopBackground();
}

TEST(BackgroundReclaim, SleepsAboveTheLowWatermark) {
  World world(kWatched);
  ListedCache cache(world.memory, "thing");
  while (world.memory.used() < 3 * kMiB - 64 * 1024) ASSERT_NE(cache.Add(), nullptr);
  world.memory.StopBackground();
  EXPECT_EQ(world.memory.stats().background_wakeups.Value(), 0u);
}

TEST(BackgroundReclaim, GivesUpWhereNothingCanBeFreedAndWaitsForMoreUse) {
  World world(kWatched);
  ASSERT_TRUE(world.memory.Charge(3 * kMiB + 1));
  while (world.memory.stats().background_failures.Value() == 0) std::this_thread::yield();
  // Below the step that wakes it again.
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(world.memory.Charge(1));
  world.memory.StopBackground();
  EXPECT_EQ(world.memory.stats().background_wakeups.Value(), 1u);
  world.memory.Uncharge(3 * kMiB + 101);
}

TEST(BackgroundReclaim, EndsWhileShrinkersAndCachesComeAndGo) {
  for (int round = 0; round < 20; ++round) {
    World world(kWatched);
    for (int i = 0; i < 3; ++i) {
      ListedCache cache(world.memory, "thing", i == 1 ? FreeBy::kRcu : FreeBy::kAtOnce);
      for (int k = 0; k < 30'000; ++k) ASSERT_NE(cache.Add(), nullptr);
    }
  }
}

}  // namespace
}  // namespace dentree::mm
