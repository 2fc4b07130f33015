#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

constexpr size_t kMiB = 1 << 20;

// A shrinker that says it has `count` objects and does what the test tells it.
class FakeShrinker : public Shrinker {
 public:
  explicit FakeShrinker(size_t objects) : count(objects) {}

  std::string_view name() const override { return "fake"; }
  size_t Count() override { return count; }
  bool scaled_by_pressure() const override { return scaled; }
  ScanResult Scan(size_t nr) override {
    ++scans;
    asked += nr;
    largest = std::max(largest, nr);
    return {.scanned = nr, .stop = stops};
  }
  uint32_t seeks() const override { return seeks_; }

  size_t scans = 0;
  size_t asked = 0;
  size_t largest = 0;
  bool stops = false;
  bool scaled = false;
  uint32_t seeks_ = kDefaultSeeks;
  size_t count;
};

TEST(Reclaim, ACacheAtItsLimitReclaimsBeforeItRefuses) {
  World world(kMiB);
  ListedCache cache(world.memory, "thing");
  for (int i = 0; i < 100'000; ++i) ASSERT_NE(cache.Add(), nullptr) << i;
  EXPECT_LE(world.memory.high_water(), kMiB);
  EXPECT_GT(world.memory.stats().reclaims.Value(), 0u);
  EXPECT_EQ(world.memory.stats().refused.Value(), 0u);
  EXPECT_EQ(cache.items().Info().refusals, 0u);
}

TEST(Reclaim, FreesFewObjectsWhenFewAreNeeded) {
  World world(kMiB);
  ListedCache cache(world.memory, "thing");
  while (world.memory.stats().reclaims.Value() == 0) ASSERT_NE(cache.Add(), nullptr);
  // One batch was enough; at 128 bytes each, a full budget holds about 8,000.
  EXPECT_EQ(cache.registration().stats().freed.Value(), 64u);
  EXPECT_GT(cache.lru().size(), 7'000u);
}

TEST(Reclaim, WaitsForAGracePeriodWhenTheFreedObjectsNeedOne) {
  World world(kMiB);
  ListedCache cache(world.memory, "thing", FreeBy::kRcu);
  for (int i = 0; i < 20'000; ++i) ASSERT_NE(cache.Add(), nullptr) << i;
  EXPECT_GT(world.memory.stats().grace_period_waits.Value(), 0u);
  EXPECT_EQ(world.memory.stats().refused.Value(), 0u);
  // It did not drop everything before it looked whether a little is enough.
  EXPECT_GT(cache.lru().size(), 7'000u);
}

TEST(Reclaim, BytesWaitingForAGracePeriodCountAsUsed) {
  World world(kMiB);
  ListedCache cache(world.memory, "thing", FreeBy::kRcu);
  for (int i = 0; i < 4000; ++i) ASSERT_NE(cache.Add(), nullptr);
  const size_t used = world.memory.used();
  {
    const base::RcuReadGuard guard(world.rcu);
    while (cache.lru().size() != 0) cache.Scan(64);
    EXPECT_EQ(world.memory.used(), used);
  }
  world.rcu.Drain();
  world.memory.DropCaches();
  EXPECT_LT(world.memory.used(), used / 10);
}

TEST(Reclaim, RefusesWhenShrinkersFreeNothing) {
  World world(kMiB);
  ObjectCache<Object128> cache(world.memory, "pinned");
  FakeShrinker shrinker(1000);
  const ShrinkerRegistration registration(world.memory, shrinker);
  std::vector<Object128*> objects;
  while (Object128* object = cache.Alloc()) objects.push_back(object);
  EXPECT_GT(objects.size(), kMiB / 128 * 9 / 10);
  EXPECT_GT(shrinker.scans, 0u);
  EXPECT_EQ(world.memory.stats().refused.Value(), 1u);
  cache.Free(objects.back());
  objects.back() = cache.Alloc();
  EXPECT_NE(objects.back(), nullptr);
  for (Object128* object : objects) cache.Free(object);
}

TEST(Reclaim, AFailingOneLooksAtEachObjectAFixedNumberOfTimes) {
  constexpr size_t kObjects = 100'000;
  World world(1000);
  FakeShrinker shrinker(kObjects);
  const ShrinkerRegistration registration(world.memory, shrinker);
  ASSERT_TRUE(world.memory.Charge(1000));
  EXPECT_FALSE(world.memory.Charge(1));
  EXPECT_LE(shrinker.asked, 6 * kObjects);
  EXPECT_LE(shrinker.largest, Shrinker::kDefaultBatch);
  EXPECT_LE(world.memory.stats().grace_period_waits.Value(), 2u);
  world.memory.Uncharge(1000);
}

TEST(Reclaim, OneThatSucceedsStopsAfterTheBatchThatWasEnough) {
  World world(2 * kMiB);
  ListedCache cache(world.memory, "thing");
  while (world.memory.limit() - world.memory.used() >= 4 * 4096) ASSERT_NE(cache.Add(), nullptr);
  const size_t reclaims = world.memory.stats().reclaims.Value();
  while (world.memory.stats().reclaims.Value() == reclaims) ASSERT_NE(cache.Add(), nullptr);
  EXPECT_LE(cache.scanned, Shrinker::kDefaultBatch);
}

TEST(Reclaim, AShrinkerThatStopsHasItsWorkDeferredNotLost) {
  World world;
  FakeShrinker shrinker(1000);
  shrinker.stops = true;
  const ShrinkerRegistration registration(world.memory, shrinker);
  world.memory.Reclaim(1);  // nothing is used, so nothing is to be done
  EXPECT_EQ(shrinker.scans, 0u);
  ASSERT_TRUE(world.memory.Charge(10));
  world.memory.Reclaim(10);
  EXPECT_GT(registration.stats().stops.Value(), 0u);
  EXPECT_GT(registration.stats().deferred.load(), 0u);
  EXPECT_LE(registration.stats().deferred.load(), 2u * 1000);
  world.memory.Uncharge(10);
}

TEST(Reclaim, AskedOfAnEmptyShrinkerDoesNotScan) {
  World world(1000);
  FakeShrinker shrinker(0);
  const ShrinkerRegistration registration(world.memory, shrinker);
  ASSERT_TRUE(world.memory.Charge(1000));
  EXPECT_FALSE(world.memory.Charge(1));
  EXPECT_EQ(shrinker.scans, 0u);
  world.memory.Uncharge(1000);
}

TEST(Reclaim, AShrinkerThatIsEmptyForgetsWhatWasDeferred) {
  World world;
  FakeShrinker some(1000);
  some.stops = true;
  const ShrinkerRegistration registration(world.memory, some);
  ASSERT_TRUE(world.memory.Charge(10));
  world.memory.Reclaim(10);
  ASSERT_GT(registration.stats().deferred.load(), 0u);
  some.count = 0;
  world.memory.Reclaim(10);
  EXPECT_GT(registration.stats().deferred.load(), 0u) << "it has some that cannot go now";
  EXPECT_EQ(registration.stats().empty.Value(), 0u);
  some.count = Shrinker::kEmpty;
  world.memory.Reclaim(10);
  EXPECT_EQ(registration.stats().deferred.load(), 0u);
  EXPECT_GT(registration.stats().empty.Value(), 0u);
  world.memory.ForEachShrinker([](const ShrinkerInfo& info) { EXPECT_EQ(info.objects, 0u); });
  world.memory.Uncharge(10);
}

TEST(Reclaim, CountsOnAsMuchOfDentriesAsTheCachePressureSays) {
  World world;
  FakeShrinker shrinker(1000);
  shrinker.scaled = true;
  const ShrinkerRegistration registration(world.memory, shrinker);
  const auto freeable = [&world] {
    size_t count = 0;
    world.memory.ForEachShrinker([&count](const ShrinkerInfo& info) { count = info.freeable; });
    return count;
  };
  EXPECT_EQ(freeable(), 1000u);
  world.memory.SetCachePressure(50);
  EXPECT_EQ(freeable(), 500u);
  world.memory.SetCachePressure(1000);
  EXPECT_EQ(freeable(), 10'000u);
  world.memory.SetCachePressureDenom(1000);
  EXPECT_EQ(freeable(), 1000u);
  world.memory.SetCachePressure(0);
  EXPECT_EQ(world.memory.DropCaches().freed_objects, 0u);
  EXPECT_EQ(shrinker.scans, 0u);
}

TEST(Reclaim, OneShrinkerMayBeAskedForANumberByItsId) {
  World world;
  ListedCache one(world.memory, "one");
  ListedCache two(world.memory, "two");
  for (int i = 0; i < 500; ++i) {
    ASSERT_NE(one.Add(), nullptr);
    ASSERT_NE(two.Add(), nullptr);
  }
  EXPECT_EQ(world.memory.ScanShrinker(two.registration().id(), 300), 300u);
  EXPECT_EQ(two.registration().stats().requested.Value(), 300u);
  EXPECT_EQ(two.lru().size(), 200u);
  EXPECT_EQ(one.lru().size(), 500u);
  EXPECT_EQ(world.memory.ScanShrinker(7, 300), std::nullopt);
}

TEST(Reclaim, GivesTheBytesAskedForAndLittleMore) {
  World world;
  ListedCache cache(world.memory, "thing");
  for (int i = 0; i < 50'000; ++i) ASSERT_NE(cache.Add(), nullptr);
  const size_t freed = world.memory.Reclaim(kMiB);
  EXPECT_GE(freed, kMiB);
  EXPECT_LE(freed, kMiB + 256 * 1024);
}

TEST(Reclaim, TwoShrinkersPayInTurn) {
  World world(kMiB);
  ListedCache one(world.memory, "one");
  ListedCache two(world.memory, "two");
  for (int i = 0; i < 50'000; ++i) {
    ASSERT_NE(one.Add(), nullptr);
    ASSERT_NE(two.Add(), nullptr);
  }
  EXPECT_GT(one.registration().stats().freed.Value(), 10'000u);
  EXPECT_GT(two.registration().stats().freed.Value(), 10'000u);
}

TEST(Reclaim, AReferencedObjectSurvivesTheFirstLook) {
  World world;
  ListedCache cache(world.memory, "thing");
  std::vector<ListedCache::Item*> items;
  for (int i = 0; i < 64; ++i) items.push_back(cache.Add());
  for (int i = 0; i < 32; ++i) items[i]->referenced = true;
  const ScanResult first = cache.Scan(64);
  EXPECT_EQ(first.freed, 32u);
  EXPECT_EQ(first.kept.referenced, 32u);
  EXPECT_TRUE(items[0]->lru.OnList());
  EXPECT_EQ(cache.Scan(64).freed, 32u);
}

// Allocates from within its own scan.
class AllocatingShrinker : public Shrinker {
 public:
  explicit AllocatingShrinker(Memory& memory) : memory_(memory) {}
  std::string_view name() const override { return "allocating"; }
  size_t Count() override { return 10; }
  ScanResult Scan(size_t nr) override {
    ++depth;
    deepest = std::max(deepest, depth);
    refused += memory_.Charge(500) ? 0 : 1;
    EXPECT_EQ(memory_.DropCaches().passes, 0u);
    --depth;
    return {.scanned = nr};
  }
  int depth = 0;
  int deepest = 0;
  int refused = 0;

 private:
  Memory& memory_;
};

TEST(Reclaim, AScanThatAllocatesIsRefusedAndDoesNotRecurse) {
  World world(1000);
  AllocatingShrinker shrinker(world.memory);
  const ShrinkerRegistration registration(world.memory, shrinker);
  ASSERT_TRUE(world.memory.Charge(1000));
  EXPECT_FALSE(world.memory.Charge(1));
  EXPECT_EQ(shrinker.deepest, 1);
  EXPECT_GT(shrinker.refused, 0);
  world.memory.Uncharge(1000);
}

TEST(DropCaches, FreesAllThatIsUnusedAndGivesTheSlabsBack) {
  World world;
  ListedCache cache(world.memory, "thing", FreeBy::kRcu);
  ListedCache::Item* used_item = cache.Make();
  for (int i = 0; i < 50'000; ++i) ASSERT_NE(cache.Add(), nullptr);
  const DropResult result = world.memory.DropCaches();
  EXPECT_EQ(result.freed_objects, 50'000u);
  // One slab stays, for the item in use.
  EXPECT_GT(result.freed_bytes, 50'000u * 128 - 65'536);
  EXPECT_EQ(cache.items().active_objects(), 1u);
  EXPECT_LE(cache.items().Info().slabs, 1u);
  cache.Delete(used_item);
}

TEST(DropCaches, FreesReferencedObjectsToo) {
  World world;
  ListedCache cache(world.memory, "thing");
  for (int i = 0; i < 1000; ++i) cache.Add()->referenced = true;
  EXPECT_EQ(world.memory.DropCaches().freed_objects, 1000u);
}

TEST(DropCaches, EndsWhereNothingIsFreed) {
  World world;
  FakeShrinker shrinker(100);
  const ShrinkerRegistration registration(world.memory, shrinker);
  const DropResult result = world.memory.DropCaches();
  EXPECT_EQ(result.freed_objects, 0u);
  EXPECT_EQ(result.passes, 1u);
}

TEST(DropCaches, TakesTypeStableSlabsThroughTheirGracePeriod) {
  World world;
  ObjectCache<Object128> cache(world.memory, "stable", CacheFlags::kTypeStable);
  std::vector<Object128*> objects;
  for (int i = 0; i < 5000; ++i) objects.push_back(cache.Alloc());
  for (Object128* object : objects) cache.Free(object);
  world.memory.DropCaches();
  EXPECT_EQ(cache.Info().bytes, 0u);
  // What remains is one chunk's header and the magazines.
  EXPECT_LE(world.memory.used(), 4u * 4096);
}

}  // namespace
}  // namespace dentree::mm
