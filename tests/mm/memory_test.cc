#include <map>

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

TEST(Memory, ChargesUpToItsLimitAndNotBeyond) {
  World world(1000);
  EXPECT_TRUE(world.memory.Charge(600));
  EXPECT_TRUE(world.memory.Charge(400));
  EXPECT_EQ(world.memory.Charge(1), base::Err(base::Errno::kNoMem));
  world.memory.Uncharge(400);
  EXPECT_TRUE(world.memory.Charge(1));
  EXPECT_EQ(world.memory.used(), 601u);
  EXPECT_EQ(world.memory.high_water(), 1000u);
  world.memory.Uncharge(601);
}

TEST(Memory, RefusesWhatIsLargerThanTheLimitWithoutReclaim) {
  World world(1000);
  EXPECT_FALSE(world.memory.Charge(1001));
  EXPECT_FALSE(world.memory.Charge(Memory::kNoLimit));
  EXPECT_EQ(world.memory.stats().reclaims.Value(), 0u);
  EXPECT_EQ(world.memory.stats().refused.Value(), 2u);
}

TEST(Memory, BytesAreChargedWhileTheyAreHeld) {
  World world(1000);
  void* bytes = world.memory.AllocBytes(700, "mm:name");
  ASSERT_NE(bytes, nullptr);
  std::memset(bytes, 1, 700);
  EXPECT_EQ(world.memory.used(), 700u);
  EXPECT_EQ(world.memory.AllocBytes(301, "mm:name"), nullptr);
  world.memory.FreeBytes(bytes, 700);
  world.memory.FreeBytes(nullptr, 700);
  EXPECT_EQ(world.memory.used(), 0u);
}

TEST(Memory, BytesFailAtTheFaultPointOfTheirSite) {
  World world;
  const base::ScopedFault fault(world.faults, base::FaultPlan::Always("mm:name"));
  EXPECT_EQ(world.memory.AllocBytes(10, "mm:name"), nullptr);
  void* other = world.memory.AllocBytes(10, "mm:table");
  EXPECT_NE(other, nullptr);
  world.memory.FreeBytes(other, 10);
}

TEST(Memory, ReportsBytesThatNeverCameBack) {
  World world(Memory::kNoLimit, OnLeak::kReport);
  void* bytes = world.memory.AllocBytes(10, "mm:name");
  const std::vector<Leak> leaks = world.memory.LeakReport();
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].name, "bytes");
  EXPECT_EQ(leaks[0].count, 10u);
  world.memory.FreeBytes(bytes, 10);
  EXPECT_TRUE(world.memory.LeakReport().empty());
}

TEST(Memory, UsesNothingAfterItsCachesAreGone) {
  World world;
  {
    ObjectCache<Object128> stable(world.memory, "stable", CacheFlags::kTypeStable);
    ObjectCache<Object64> plain(world.memory, "plain");
    std::vector<Object128*> objects;
    for (int i = 0; i < 5000; ++i) objects.push_back(stable.Alloc());
    plain.Free(plain.Alloc());
    for (Object128* object : objects) stable.Free(object);
  }
  world.rcu.Drain();
  // One chunk is kept, with its header.
  EXPECT_LE(world.memory.used(), 3u * 4096);
}

TEST(Memory, ListsItsCachesInTheOrderOfRegistration) {
  World world;
  ObjectCache<Object128> one(world.memory, "one");
  ObjectCache<Object64> two(world.memory, "two", CacheFlags::kReclaimable);
  std::vector<std::string> names;
  world.memory.ForEachCache([&](const CacheInfo& info) { names.emplace_back(info.name); });
  EXPECT_EQ(names, (std::vector<std::string>{"one", "two"}));
}

TEST(Memory, ListsItsShrinkersWithNamesIdsAndCounts) {
  World world;
  ListedCache one(world.memory, "one");
  ListedCache two(world.memory, "two");
  ASSERT_NE(two.Add(), nullptr);
  std::map<std::string, std::pair<uint32_t, size_t>> seen;
  world.memory.ForEachShrinker(
      [&](const ShrinkerInfo& info) { seen[std::string(info.name)] = {info.id, info.freeable}; });
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen["one"].second, 0u);
  EXPECT_EQ(seen["two"].second, 1u);
  EXPECT_NE(seen["one"].first, seen["two"].first);
}

TEST(Memory, ItsStatisticsHaveASchema) {
  World world(1 << 20);
  std::map<std::string, int64_t> values;
  const base::StatSet set(kMemoryFields, world.memory.stats());
  for (const base::StatField& field : set.fields()) {
    values[std::string(field.name)] = set.Value(field);
  }
  EXPECT_EQ(values["limit"], 1 << 20);
  EXPECT_EQ(values["used"], 0);
  EXPECT_TRUE(values.contains("grace_period_waits"));
}

TEST(Memory, BootingOneIsCheap) {
  // Tests boot thousands: a thousand with ten caches and ten objects each stay far below a second.
  for (int boot = 0; boot < 1000; ++boot) {
    World world;
    std::vector<std::unique_ptr<ObjectCache<Object128>>> caches;
    for (int i = 0; i < 10; ++i) {
      caches.push_back(std::make_unique<ObjectCache<Object128>>(world.memory, "thing"));
      caches.back()->Free(caches.back()->Alloc());
    }
    EXPECT_LE(world.memory.used(), 13u * 4096);
  }
}

}  // namespace
}  // namespace dentree::mm
