#include <set>

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

template <class T>
std::vector<T*> AllocMany(ObjectCache<T>& cache, size_t count) {
  std::vector<T*> objects;
  for (size_t i = 0; i < count; ++i) objects.push_back(cache.Alloc());
  return objects;
}

template <class T>
void FreeAll(ObjectCache<T>& cache, const std::vector<T*>& objects) {
  for (T* object : objects) cache.Free(object);
}

TEST(ObjectCache, AnUnusedOneCostsNothing) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  EXPECT_EQ(world.memory.used(), 0u);
  EXPECT_EQ(cache.Info().slabs, 0u);
}

TEST(ObjectCache, TenObjectsCostOnePageAndTheChunksHeader) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  const auto objects = AllocMany(cache, 10);
  EXPECT_EQ(cache.Info().bytes, 4096u);
  EXPECT_LE(world.memory.used(), 4u * 4096);
  FreeAll(cache, objects);
}

TEST(ObjectCache, ObjectsAreDistinctAndKeepWhatIsWrittenToThem) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  const auto objects = AllocMany(cache, 5000);
  for (size_t i = 0; i < objects.size(); ++i)
    std::memset(objects[i], int(i % 251), sizeof(Object128));
  std::set<Object128*> distinct(objects.begin(), objects.end());
  EXPECT_EQ(distinct.size(), objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    ASSERT_EQ(objects[i]->bytes[0], char(i % 251));
    ASSERT_EQ(objects[i]->bytes[sizeof(Object128) - 1], char(i % 251));
  }
  cache.cache().CheckInvariants();
  FreeAll(cache, objects);
}

TEST(ObjectCache, ObjectsOf64And128BytesStartACacheLine) {
  World world;
  ObjectCache<Object64> small(world.memory, "small");
  ObjectCache<Object128> large(world.memory, "large");
  const auto smalls = AllocMany(small, 3000);
  const auto larges = AllocMany(large, 3000);
  for (auto* object : smalls) ASSERT_EQ(reinterpret_cast<uintptr_t>(object) % 64, 0u);
  for (auto* object : larges) ASSERT_EQ(reinterpret_cast<uintptr_t>(object) % 128, 0u);
  FreeAll(small, smalls);
  FreeAll(large, larges);
}

template <size_t kBytes>
struct Sized {
  unsigned char bytes[kBytes];
};

template <size_t kBytes>
void FillAndEmpty() {
  World world;
  ObjectCache<Sized<kBytes>> cache(world.memory, "sized");
  auto objects = AllocMany(cache, 3 * 65536 / kBytes);
  for (auto* object : objects) std::memset(object, 0x5a, kBytes);
  cache.cache().CheckInvariants();
  // Every second first, so that slabs are partial for a while.
  for (size_t i = 0; i < objects.size(); i += 2) cache.Free(objects[i]);
  cache.cache().CheckInvariants();
  for (size_t i = 1; i < objects.size(); i += 2) cache.Free(objects[i]);
  cache.cache().CheckInvariants();
  EXPECT_EQ(cache.active_objects(), 0u);
  world.memory.DropCaches();
  EXPECT_EQ(cache.Info().slabs, 0u);
}

TEST(ObjectCache, ServesEverySizeItAccepts) {
  FillAndEmpty<1>();
  FillAndEmpty<24>();
  FillAndEmpty<33>();
  FillAndEmpty<100>();
  FillAndEmpty<192>();
  FillAndEmpty<616>();
  FillAndEmpty<2000>();
  FillAndEmpty<5000>();
  FillAndEmpty<9000>();
  FillAndEmpty<16384>();
}

TEST(ObjectCache, CountsObjectsSlabsAndBytes) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  const auto objects = AllocMany(cache, 1000);
  const CacheInfo info = cache.Info();
  EXPECT_EQ(info.name, "thing");
  EXPECT_EQ(info.object_bytes, sizeof(Object128));
  EXPECT_EQ(info.active_objects, 1000u);
  EXPECT_GE(info.total_objects, 1000u);
  EXPECT_EQ(info.total_objects * 128, info.bytes);
  EXPECT_EQ(info.slabs, 2u + (1000 > 2 * 512 - 96));
  EXPECT_EQ(info.allocs, 1000u);
  FreeAll(cache, objects);
  EXPECT_EQ(cache.Info().active_objects, 0u);
}

TEST(ObjectCache, FreedObjectsAreReusedBeforeNewMemoryIsTaken) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  auto objects = AllocMany(cache, 1000);
  const size_t used = world.memory.used();
  for (int round = 0; round < 10; ++round) {
    for (size_t i = round; i < objects.size(); i += 3) cache.Free(objects[i]);
    for (size_t i = round; i < objects.size(); i += 3) objects[i] = cache.Alloc();
  }
  EXPECT_EQ(world.memory.used(), used);
  FreeAll(cache, objects);
}

TEST(ObjectCache, EmptySlabsGoBackButOneAndTheMagazines) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  FreeAll(cache, AllocMany(cache, 10'000));
  EXPECT_LE(cache.Info().slabs, 2u);
  cache.cache().CheckInvariants();
  world.memory.DropCaches();
  EXPECT_EQ(cache.Info().slabs, 0u);
  EXPECT_EQ(cache.Info().bytes, 0u);
  cache.cache().CheckInvariants();
}

TEST(ObjectCache, AnObjectInAMagazineIsNotActive) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  const auto objects = AllocMany(cache, 3'000);
  EXPECT_EQ(cache.active_objects(), 3'000u);
  EXPECT_EQ(cache.Info().allocs, 3'000u);
  for (int i = 0; i < 100; ++i) {
    Object128* object = cache.Alloc();
    EXPECT_EQ(cache.active_objects(), 3'001u);
    cache.Free(object);
  }
  FreeAll(cache, objects);
  EXPECT_EQ(cache.active_objects(), 0u);
  EXPECT_EQ(cache.Info().active_objects, 0u);
}

TEST(ObjectCache, CachesThatTakeTurnsShareAddressSpace) {
  World world;
  ObjectCache<Object128> one(world.memory, "one");
  FreeAll(one, AllocMany(one, 100'000));
  world.memory.DropCaches();
  const size_t used = world.memory.used();
  ObjectCache<Object64> other(world.memory, "other");
  FreeAll(other, AllocMany(other, 100'000));
  world.memory.DropCaches();
  // But the magazines of each.
  EXPECT_LE(world.memory.used(), used + 4096);
}

TEST(ObjectCache, NewConstructsAndDeleteDestroys) {
  struct Counted {
    explicit Counted(int& alive) : alive_(alive) { ++alive_; }
    ~Counted() { --alive_; }
    int& alive_;
  };
  World world;
  ObjectCache<Counted> cache(world.memory, "counted");
  int alive = 0;
  Counted* object = cache.New(alive);
  EXPECT_EQ(alive, 1);
  cache.Delete(object);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(cache.active_objects(), 0u);
}

TEST(ObjectCache, AFaultPointOfItsNameRefuses) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  const base::ScopedFault fault(world.faults, base::FaultPlan::Nth("mm:thing", 2));
  Object128* first = cache.Alloc();
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(cache.Alloc(), nullptr);
  Object128* third = cache.Alloc();
  EXPECT_NE(third, nullptr);
  EXPECT_EQ(cache.Info().refusals, 1u);
  cache.Free(first);
  cache.Free(third);
}

TEST(ObjectCache, EveryNthAllocationMayFailAndNothingLeaks) {
  for (uint64_t n = 1; n <= 20; ++n) {
    World world;
    ObjectCache<Object128> cache(world.memory, "thing");
    const base::ScopedFault fault(world.faults, base::FaultPlan::EveryNth("mm:*", n));
    std::vector<Object128*> objects;
    std::vector<void*> bytes;
    for (int i = 0; i < 200; ++i) {
      if (Object128* object = cache.Alloc()) objects.push_back(object);
      if (void* memory = world.memory.AllocBytes(100, "mm:name")) bytes.push_back(memory);
    }
    EXPECT_EQ(objects.size() + bytes.size(), 400 - 400 / n);
    FreeAll(cache, objects);
    for (void* memory : bytes) world.memory.FreeBytes(memory, 100);
    EXPECT_EQ(cache.active_objects(), 0u);
  }
}

TEST(TypeStableCache, AFreedObjectKeepsItsBytesAndItsConstructorRunsOnce) {
  World world;
  static int constructed;
  constructed = 0;
  ObjectCache<Object128> cache(world.memory, "stable", CacheFlags::kTypeStable, [](void* object) {
    ++constructed;
    std::memset(object, 0, sizeof(Object128));
  });
  Object128* object = cache.Alloc();
  EXPECT_EQ(constructed, 32);  // a page of them
  object->bytes[0] = 'x';
  object->bytes[sizeof(Object128) - 1] = 'y';
  cache.Free(object);
  EXPECT_EQ(object->bytes[0], 'x');
  EXPECT_EQ(object->bytes[sizeof(Object128) - 1], 'y');
  EXPECT_EQ(cache.Alloc(), object);
  EXPECT_EQ(object->bytes[0], 'x');
  EXPECT_EQ(constructed, 32);
  cache.Free(object);
}

TEST(TypeStableCache, ASlabGoesBackOnlyAfterAGracePeriod) {
  World world;
  ObjectCache<Object128> cache(world.memory, "stable", CacheFlags::kTypeStable);
  auto objects = AllocMany(cache, 512);
  const size_t used = world.memory.used();
  objects[0]->bytes[0] = 'x';
  {
    const base::RcuReadGuard guard(world.rcu);
    for (Object128* object : objects) cache.Free(object);
    cache.cache().ReleaseEmptySlabs();
    EXPECT_EQ(world.memory.used(), used);
    EXPECT_EQ(objects[0]->bytes[0], 'x');
  }
  world.rcu.Drain();
  EXPECT_LT(world.memory.used(), used - 50'000);
}

TEST(ObjectCache, OfAnOsThatLeaksSaysWhatAndHowMany) {
  World world(Memory::kNoLimit, OnLeak::kReport);
  {
    ObjectCache<Object128> cache(world.memory, "leaky");
    for (int i = 0; i < 3; ++i) ASSERT_NE(cache.Alloc(), nullptr);
  }
  const std::vector<Leak> leaks = world.memory.LeakReport();
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].name, "leaky");
  EXPECT_EQ(leaks[0].count, 3u);
}

TEST(ObjectCacheDeathTest, LeakingAbortsWhereItIsAskedFor) {
  EXPECT_DEATH(
      {
        World world(Memory::kNoLimit, OnLeak::kAbort);
        ObjectCache<Object128> cache(world.memory, "leaky");
        static_cast<void>(cache.New());
      },
      "leaky: 1 leaked");
}

TEST(ObjectCacheDeathTest, FreeingTwiceAborts) {
  World world;
  ObjectCache<Object128> cache(world.memory, "stable", CacheFlags::kTypeStable);
  Object128* object = cache.Alloc();
  Object128* other = cache.Alloc();
  cache.Free(object);
  EXPECT_DEATH(cache.Free(object), "freed twice");
  cache.Free(other);
}

#if defined(__SANITIZE_ADDRESS__)
TEST(ObjectCacheDeathTest, TouchingAFreedObjectIsFoundByAsan) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* volatile object = cache.Alloc();
  cache.Free(object);
  EXPECT_DEATH(object->bytes[5] = 1, "use-after-poison");
}

TEST(ObjectCacheDeathTest, WritingBeyondAnObjectIsFoundByAsan) {
  World world;
  ObjectCache<Sized<100>> cache(world.memory, "thing");
  Sized<100>* object = cache.Alloc();
  volatile size_t beyond = 100;
  EXPECT_DEATH(object->bytes[beyond] = 1, "use-after-poison");
  cache.Free(object);
}
#elif !defined(NDEBUG)
TEST(ObjectCacheDeathTest, AWriteToAFreedObjectIsFoundWhenItIsReused) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* object = cache.Alloc();
  cache.Free(object);
  EXPECT_DEATH(
      {
        object->bytes[77] = 1;
        static_cast<void>(cache.Alloc());
      },
      "freed object was written to");
}

TEST(ObjectCacheDeathTest, AllocatingUnderANodeLockAborts) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  base::Mutex<base::LockRank::kNode> mu;
  EXPECT_DEATH(
      {
        base::MutexLock lock(mu);
        static_cast<void>(cache.Alloc());
      },
      "");
}
#endif

}  // namespace
}  // namespace dentree::mm
