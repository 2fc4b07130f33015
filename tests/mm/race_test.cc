#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

using namespace std::chrono_literals;

// A shrinker whose scans stand at the sync point "test:scan".
class StoppingShrinker : public Shrinker {
 public:
  explicit StoppingShrinker(base::SyncPoints& sync) : sync_(sync) {}
  std::string_view name() const override { return "stopping"; }
  size_t Count() override { return 10; }
  ScanResult Scan(size_t nr) override {
    ++scans;
    if (sync_.armed()) sync_.Hit("test:scan");
    ScanResult result;
    result.scanned = nr;
    result.stop = true;
    return result;
  }
  std::atomic<int> scans{0};

 private:
  base::SyncPoints& sync_;
};

TEST(ShrinkerRace, UnregisteringWaitsForTheScanThatRuns) {
  World world;
  StoppingShrinker shrinker(world.sync);
  auto registration = std::make_unique<ShrinkerRegistration>(world.memory, shrinker);
  world.sync.Stop("test:scan");
  std::thread dropper([&] { world.memory.DropCaches(); });
  ASSERT_TRUE(world.sync.WaitFor("test:scan"));
  std::atomic<bool> unregistered{false};
  std::thread unregisterer([&] {
    registration.reset();
    unregistered = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(unregistered);
  world.sync.Release("test:scan");
  dropper.join();
  unregisterer.join();
  EXPECT_TRUE(unregistered);
}

TEST(ShrinkerRace, NoScanStartsOnceUnregisteringHasBegun) {
  World world;
  StoppingShrinker shrinker(world.sync);
  auto registration = std::make_unique<ShrinkerRegistration>(world.memory, shrinker);
  world.sync.Stop("test:scan");
  std::thread dropper([&] { world.memory.DropCaches(); });
  ASSERT_TRUE(world.sync.WaitFor("test:scan"));
  std::thread unregisterer([&] { registration.reset(); });
  // It is dying as soon as it is listed no more.
  size_t listed = 1;
  while (listed != 0) {
    listed = 0;
    world.memory.ForEachShrinker([&](const ShrinkerInfo&) { ++listed; });
  }
  world.memory.DropCaches();
  EXPECT_EQ(shrinker.scans, 1);
  world.sync.Release("test:scan");
  dropper.join();
  unregisterer.join();
}

TEST(ShrinkerRace, ShrinkersComeAndGoWhileOthersAreScanned) {
  World world;
  std::atomic<bool> done{false};
  ListedCache stays(world.memory, "stays");
  std::thread dropper([&] {
    while (!done) world.memory.DropCaches();
  });
  for (int i = 0; i < 300; ++i) {
    ListedCache comes(world.memory, "comes");
    for (int n = 0; n < 10; ++n) ASSERT_NE(comes.Add(), nullptr);
    ASSERT_NE(stays.Add(), nullptr);
  }
  done = true;
  dropper.join();
}

#ifdef DENTREE_SYNC_POINTS
TEST(CacheRace, TwoThreadsThatGrowACacheAtOnceShareOneSlab) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  world.sync.Stop("mm:grow:charged", base::SyncPoints::Who::kAll);
  std::array<Object128*, 2> objects{};
  std::thread one([&] { objects[0] = cache.Alloc(); });
  std::thread two([&] { objects[1] = cache.Alloc(); });
  ASSERT_TRUE(world.sync.WaitFor("mm:grow:charged", 2));
  world.sync.Release("mm:grow:charged");
  one.join();
  two.join();
  EXPECT_NE(objects[0], objects[1]);
  EXPECT_EQ(cache.Info().slabs, 1u);
  EXPECT_EQ(cache.Info().bytes, 4096u);
  EXPECT_LE(world.memory.used(), 4u * 4096);
  cache.cache().CheckInvariants();
  for (Object128* object : objects) cache.Free(object);
}

TEST(CacheRace, AThreadThatChargedForASlabFindsAnObjectFreedMeanwhile) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  std::vector<Object128*> objects;
  for (int i = 0; i < 32; ++i) objects.push_back(cache.Alloc());
  const size_t used = world.memory.used();
  world.sync.Stop("mm:grow:charged");
  Object128* late = nullptr;
  std::thread grower([&] { late = cache.Alloc(); });
  ASSERT_TRUE(world.sync.WaitFor("mm:grow:charged"));
  Object128* const freed = objects.back();
  objects.pop_back();
  cache.Free(freed);
  world.sync.Release("mm:grow:charged");
  grower.join();
  EXPECT_EQ(late, freed);
  EXPECT_EQ(world.memory.used(), used);
  cache.Free(late);
  for (Object128* object : objects) cache.Free(object);
}
#endif

// An object whose two halves agree whenever its sequence is even and unchanged.
struct Versioned {
  base::SeqCount seq;
  std::atomic<uint64_t> value;
  std::atomic<uint64_t> inverse;
  char rest[104];
};

void Rewrite(Versioned& object, uint64_t value) {
  object.seq.WriteBegin();
  object.value.store(value, std::memory_order_release);
  object.inverse.store(~value, std::memory_order_release);
  object.seq.WriteEnd();
}

TEST(TypeStableRace, ReadersSeeObjectsOfTheTypeWhileTheyAreReused) {
  World world;
  ObjectCache<Versioned> cache(world.memory, "stable", CacheFlags::kTypeStable, [](void* memory) {
    auto* object = ::new (memory) Versioned;
    object->value = 0;
    object->inverse = ~uint64_t{0};
  });
  std::atomic<Versioned*> published{cache.Alloc()};
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done) {
      const base::RcuReadGuard guard(world.rcu);
      const Versioned* object = published.load(std::memory_order_acquire);
      for (int look = 0; look < 10; ++look) {
        const uint32_t seq = object->seq.ReadBegin();
        const uint64_t value = object->value.load(std::memory_order_acquire);
        const uint64_t inverse = object->inverse.load(std::memory_order_acquire);
        if (object->seq.ReadRetry(seq)) continue;
        ASSERT_EQ(value, ~inverse);
      }
    }
  });
  std::vector<Versioned*> ballast;
  std::mt19937 random(1);
  for (uint64_t i = 0; i < 30'000; ++i) {
    Versioned* const fresh = cache.Alloc();
    Rewrite(*fresh, i);
    cache.Free(published.exchange(fresh, std::memory_order_acq_rel));
    // Lets slabs fill up and go back now and then.
    if (i % 3'000 == 0) {
      for (Versioned* object : ballast) cache.Free(object);
      ballast.clear();
      cache.cache().ReleaseEmptySlabs();
    } else {
      ballast.push_back(cache.Alloc());
    }
  }
  done = true;
  reader.join();
  for (Versioned* object : ballast) cache.Free(object);
  cache.Free(published);
}

TEST(LruRace, AddRemoveAndIsolateMeet) {
  struct Entry {
    LruLink lru;
  };
  LruList<Entry, &Entry::lru> lru;
  std::array<Entry, 256> entries;
  std::atomic<bool> done{false};
  std::thread isolator([&] {
    while (!done) {
      lru.Isolate(64, 64, [](Entry&) { return LruVerdict::kRemove; });
      lru.Isolate(64, 64, [](Entry&) { return LruVerdict::kRotate; });
    }
  });
  std::thread checker([&] {
    while (!done) lru.CheckInvariants();
  });
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) {
    Entry& entry = entries[random() % entries.size()];
    if (entry.lru.OnList()) {
      lru.Remove(entry);
    } else {
      lru.Add(entry);
    }
  }
  done = true;
  isolator.join();
  checker.join();
  for (Entry& entry : entries) lru.Remove(entry);
  EXPECT_EQ(lru.size(), 0u);
}

TEST(CacheRace, ObjectsMayBeFreedByAnotherThreadThanTheirAllocator) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  constexpr size_t kSlots = 512;
  std::array<std::atomic<Object128*>, kSlots> slots{};
  std::atomic<bool> done{false};
  std::thread consumer([&] {
    for (size_t i = 0; !done; i = (i + 1) % kSlots) {
      if (Object128* object = slots[i].exchange(nullptr, std::memory_order_acq_rel)) {
        cache.Free(object);
      }
    }
  });
  for (size_t i = 0; i < 100'000; ++i) {
    Object128* object = cache.Alloc();
    object->bytes[i % sizeof(Object128)] = 1;
    if (Object128* old = slots[i % kSlots].exchange(object, std::memory_order_acq_rel)) {
      cache.Free(old);
    }
  }
  done = true;
  consumer.join();
  cache.cache().CheckInvariants();
  for (auto& slot : slots) {
    if (Object128* object = slot.load()) cache.Free(object);
  }
  EXPECT_EQ(cache.active_objects(), 0u);
}

TEST(MagazineRace, ObjectsAtHandOfOneThreadServeAnotherBeforeItIsRefused) {
  World world(1 << 20);
  ObjectCache<Object128> cache(world.memory, "thing");
  std::vector<Object128*> objects;
  while (Object128* object = cache.Alloc()) objects.push_back(object);
  std::atomic<bool> freed{false};
  std::atomic<bool> done{false};
  // Ten go into the magazine of a thread that does nothing more; nothing else is free.
  std::thread idle([&] {
    for (int i = 0; i < 10; ++i) {
      cache.Free(objects.back());
      objects.pop_back();
    }
    freed = true;
    while (!done) std::this_thread::yield();
  });
  while (!freed) std::this_thread::yield();
  for (int i = 0; i < 10; ++i) {
    objects.push_back(cache.Alloc());
    ASSERT_NE(objects.back(), nullptr) << i;
  }
  EXPECT_EQ(cache.Alloc(), nullptr);
  done = true;
  idle.join();
  for (Object128* object : objects) cache.Free(object);
}

TEST(MagazineRace, FlushesMeetThreadsThatAllocateAndFree) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  std::vector<Object128*> keep;
  for (int i = 0; i < 2'000; ++i) keep.push_back(cache.Alloc());
  std::atomic<bool> done{false};
  const auto work = [&](char mark) {
    std::vector<Object128*> mine;
    while (!done) {
      for (int i = 0; i < 50; ++i) {
        mine.push_back(cache.Alloc());
        std::memset(mine.back()->bytes, mark, sizeof(Object128));
      }
      // Nobody else was given what this thread owns.
      for (Object128* object : mine) {
        for (char byte : object->bytes) ASSERT_EQ(byte, mark);
        cache.Free(object);
      }
      mine.clear();
    }
  };
  std::thread one(work, 'a');
  std::thread two(work, 'b');
  for (int i = 0; i < 300; ++i) world.memory.DropCaches();
  done = true;
  one.join();
  two.join();
  cache.cache().CheckInvariants();
  EXPECT_EQ(cache.active_objects(), keep.size());
  for (Object128* object : keep) cache.Free(object);
}

}  // namespace
}  // namespace dentree::mm
