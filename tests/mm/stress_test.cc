#include <random>
#include <thread>

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

constexpr size_t kLimit = 512 * 1024;
constexpr int kSteps = 50'000;

// One thread's random mixture of everything mm offers.
class Worker {
 public:
  Worker(World& world, ListedCache& cache, ObjectCache<Object64>& stable, unsigned seed)
      : world_(world), cache_(cache), stable_(stable), random_(seed) {}

  void Run() {
    for (int i = 0; i < kSteps; ++i) Step();
    for (Object64* object : held_) stable_.Free(object);
    for (auto [bytes, size] : bytes_) world_.memory.FreeBytes(bytes, size);
  }

 private:
  void Step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        if (ListedCache::Item* item = cache_.Make()) {
          item->referenced = random_() % 4 == 0;
          cache_.lru().Add(*item);
        }
        break;
      case 3:
      case 4:
        if (Object64* object = stable_.Alloc()) held_.push_back(object);
        if (held_.size() > 1'000) DropHeld();
        break;
      case 5:
        if (!held_.empty()) {
          stable_.Free(held_.back());
          held_.pop_back();
        }
        break;
      case 6:
        StepBytes();
        break;
      case 7:
        if (random_() % 2'000 == 0) world_.memory.DropCaches();
        break;
    }
  }

  void StepBytes() {
    const size_t size = 1 + random_() % 300;
    if (bytes_.size() < 100) {
      if (void* memory = world_.memory.AllocBytes(size, "mm:name"))
        bytes_.push_back({memory, size});
    } else {
      world_.memory.FreeBytes(bytes_.back().first, bytes_.back().second);
      bytes_.pop_back();
    }
  }

  void DropHeld() {
    for (Object64* object : held_) stable_.Free(object);
    held_.clear();
  }

  World& world_;
  ListedCache& cache_;
  ObjectCache<Object64>& stable_;
  std::mt19937 random_;
  std::vector<Object64*> held_;
  std::vector<std::pair<void*, size_t>> bytes_;
};

void StressWith(FreeBy free_by) {
  World world(kLimit);
  {
    ListedCache cache(world.memory, "thing", free_by);
    ObjectCache<Object64> stable(world.memory, "stable", CacheFlags::kTypeStable);
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] { Worker(world, cache, stable, seed).Run(); });
    }
    for (std::thread& thread : threads) thread.join();
    cache.items().cache().CheckInvariants();
    stable.cache().CheckInvariants();
    cache.lru().CheckInvariants();
    EXPECT_EQ(stable.active_objects(), 0u);
    // A chunk's header is charged even where nothing else would fit.
    EXPECT_LE(world.memory.high_water(), kLimit + 4 * 12 * 1024);
    EXPECT_GT(world.memory.stats().reclaims.Value(), 0u);
    world.memory.DropCaches();
    EXPECT_EQ(cache.items().active_objects(), 0u);
  }
  world.rcu.Drain();
  EXPECT_LE(world.memory.used(), 4u * 12 * 1024);
}

TEST(MemoryStress, BudgetAndCountsHoldUnderThreadsThatFreeAtOnce) { StressWith(FreeBy::kAtOnce); }

TEST(MemoryStress, BudgetAndCountsHoldUnderThreadsThatFreeByRcu) { StressWith(FreeBy::kRcu); }

}  // namespace
}  // namespace dentree::mm
