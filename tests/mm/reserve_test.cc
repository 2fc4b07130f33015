// The reserve: what must not fail has it, and nobody else.

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

constexpr size_t kMiB = 1 << 20;

TEST(Reserve, IsThePartOfTheBudgetThatOrdinaryChargesAreRefused) {
  World world(Memory::Options{.limit_bytes = 1000, .reserve_bytes = 100});
  EXPECT_TRUE(world.memory.Charge(900));
  EXPECT_FALSE(world.memory.Charge(1));
  {
    const ReserveScope reserve(world.memory);
    EXPECT_TRUE(world.memory.Charge(100));
    EXPECT_FALSE(world.memory.Charge(1)) << "it has an end";
  }
  EXPECT_EQ(world.memory.used(), 1000u);
  EXPECT_FALSE(world.memory.Charge(1));
  EXPECT_EQ(world.memory.stats().reserve, 100u);
  world.memory.Uncharge(1000);
}

TEST(Reserve, IsAtMostAnEighthOfTheBudget) {
  World world(Memory::Options{.limit_bytes = 800, .reserve_bytes = 700});
  EXPECT_EQ(world.memory.stats().reserve, 100u);
  World unlimited(Memory::Options{.reserve_bytes = 700});
  EXPECT_EQ(unlimited.memory.stats().reserve, 0u);
}

TEST(Reserve, BelongsToTheThreadThatHasAScope) {
  World world(Memory::Options{.limit_bytes = 1000, .reserve_bytes = 100});
  ASSERT_TRUE(world.memory.Charge(900));
  const ReserveScope reserve(world.memory);
  bool charged = true;
  std::thread other([&] { charged = world.memory.Charge(1).has_value(); });
  other.join();
  EXPECT_FALSE(charged);
  {
    const ReserveScope inner(world.memory);
  }
  EXPECT_TRUE(world.memory.Charge(1)) << "an inner scope ends nothing";
  world.memory.Uncharge(901);
}

TEST(Reserve, GivesObjectsAndBlocksWhenTheBudgetIsExhausted) {
  World world(Memory::Options{.limit_bytes = kMiB, .reserve_bytes = 64 * 1024});
  ObjectCache<Object128> full(world.memory, "full");
  std::vector<Object128*> objects;
  while (Object128* object = full.Alloc()) objects.push_back(object);
  size_t rest = 0;
  while (world.memory.Charge(512)) rest += 512;
  ObjectCache<Object128> late(world.memory, "late");
  EXPECT_EQ(late.Alloc(), nullptr);
  const ReserveScope reserve(world.memory);
  Object128* const object = late.Alloc();
  ASSERT_NE(object, nullptr);
  void* const block = world.memory.AllocBytes(100, "mm:name");
  ASSERT_NE(block, nullptr);
  EXPECT_LE(world.memory.used(), kMiB);
  EXPECT_EQ(late.Info().bytes, 4096u) << "no larger step than it needs";
  world.memory.FreeBytes(block, 100);
  late.Free(object);
  world.memory.Uncharge(rest);
  for (Object128* each : objects) full.Free(each);
}

TEST(Reserve, AnswersWhereEveryAllocationFails) {
  World world(Memory::Options{.limit_bytes = kMiB, .reserve_bytes = 64 * 1024});
  ObjectCache<Object128> cache(world.memory, "thing");
  const base::ScopedFault fault(world.faults, base::FaultPlan::Always("mm:*"));
  EXPECT_EQ(cache.Alloc(), nullptr);
  EXPECT_EQ(world.memory.AllocBytes(100, "mm:name"), nullptr);
  const ReserveScope reserve(world.memory);
  Object128* const object = cache.Alloc();
  void* const block = world.memory.AllocBytes(100, "mm:name");
  EXPECT_NE(object, nullptr);
  EXPECT_NE(block, nullptr);
  world.memory.FreeBytes(block, 100);
  cache.Free(object);
}

TEST(Reserve, IsTakenAfterReclaimOnly) {
  World world(Memory::Options{.limit_bytes = kMiB, .reserve_bytes = 64 * 1024});
  ListedCache cache(world.memory, "thing");
  const ReserveScope reserve(world.memory);
  for (int i = 0; i < 20'000; ++i) ASSERT_NE(cache.Add(), nullptr);
  EXPECT_EQ(world.memory.stats().reserve_charges.Value(), 0u);
  EXPECT_LE(world.memory.high_water(), kMiB - 64 * 1024);
}

}  // namespace
}  // namespace dentree::mm
