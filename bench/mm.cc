// What an object costs: allocation and return, alone and in thousands, beside malloc; LRU moves;
// boot.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/base.h"
#include "bench/harness.h"
#include "mm/mm.h"

namespace dentree {
namespace {

struct Object {
  mm::LruLink lru;
  char payload[128 - sizeof(mm::LruLink)];
};
static_assert(sizeof(Object) == 128);

struct World {
  explicit World(const mm::Memory::Options& options = {.profile = false})
      : memory(options, rcu, faults, sync) {}

  base::RcuDomain rcu;
  base::FaultInjector faults;
  base::SyncPoints sync;
  mm::Memory memory;
};

constexpr size_t kMany = 1000;

// Allocates a thousand, then frees them: what a directory listing and its eviction do.
template <class Alloc, class Free>
void InThousands(uint64_t n, std::vector<void*>& held, Alloc alloc, Free free) {
  for (; n != 0; n -= held.size()) {
    held.resize(std::min<uint64_t>(n, kMany));
    for (void*& object : held) object = alloc();
    for (void* object : held) free(object);
  }
}

void MeasureObjects(const bench::Report& report) {
  World world;
  mm::ObjectCache<Object> cache(world.memory, "object");
  // What a cache in use has; a small one has no magazines.
  std::vector<Object*> in_use(10'000);
  for (Object*& object : in_use) object = cache.Alloc();
  std::vector<void*> held(kMany);
  bench::Experiment experiment(report.rounds());
  experiment.Add("cache, one at a time", [&](uint64_t n) {
    while (n--) {
      Object* object = cache.Alloc();
      bench::Keep(object);
      cache.Free(object);
    }
  });
  experiment.Add("malloc, one at a time", [](uint64_t n) {
    while (n--) {
      void* object = std::malloc(sizeof(Object));
      bench::Keep(object);
      std::free(object);
    }
  });
  experiment.Add("cache, in thousands", [&](uint64_t n) {
    InThousands(
        n, held, [&]() -> void* { return cache.Alloc(); },
        [&](void* object) { cache.Free(static_cast<Object*>(object)); });
  });
  experiment.Add("malloc, in thousands", [&](uint64_t n) {
    InThousands(
        n, held, [] { return std::malloc(sizeof(Object)); },
        [](void* object) { std::free(object); });
  });
  const auto charged = [](mm::Memory& memory, uint64_t n) {
    while (n--) {
      void* bytes = memory.AllocBytes(48, "mm:bench");
      bench::Keep(bytes);
      memory.FreeBytes(bytes, 48);
    }
  };
  experiment.Add("charged bytes", [&](uint64_t n) { charged(world.memory, n); });
  // The same, with each object and block accounted to the place that asked for it.
  World profiled({.profile = true});
  mm::ObjectCache<Object> accounted(profiled.memory, "object");
  std::vector<Object*> accounted_in_use(in_use.size());
  for (Object*& object : accounted_in_use) object = accounted.Alloc();
  experiment.Add("cache with profiling, one at a time", [&](uint64_t n) {
    while (n--) {
      Object* object = accounted.Alloc();
      bench::Keep(object);
      accounted.Free(object);
    }
  });
  experiment.Add("cache with profiling, in thousands", [&](uint64_t n) {
    InThousands(
        n, held, [&]() -> void* { return accounted.Alloc(); },
        [&](void* object) { accounted.Free(static_cast<Object*>(object)); });
  });
  experiment.Add("charged bytes with profiling", [&](uint64_t n) { charged(profiled.memory, n); });
  experiment.Run();
  report.Table("128-byte object, allocated and freed", experiment);
  for (Object* object : in_use) cache.Free(object);
  for (Object* object : accounted_in_use) accounted.Free(object);
}

void MeasureLru(const bench::Report& report) {
  mm::LruList<Object, &Object::lru> lru;
  std::vector<Object> objects(kMany);
  for (Object& object : objects) lru.Add(object);
  bench::Experiment experiment(report.rounds());
  experiment.Add("remove and add", [&](uint64_t n) {
    while (n--) {
      lru.Remove(objects[n % kMany]);
      lru.Add(objects[n % kMany]);
    }
  });
  experiment.Add("second chance", [&](uint64_t n) {
    for (uint64_t done = 0; done < n; done += 64) {
      lru.Isolate(64, 64, [](Object&) { return mm::LruVerdict::kRotate; });
    }
  });
  experiment.Run();
  report.Table("LRU list", experiment);
  for (Object& object : objects) lru.Remove(object);
}

void MeasureBoot(const bench::Report& report) {
  bench::Experiment experiment(report.rounds());
  experiment.Add("ten caches, one object each", [](uint64_t n) {
    while (n--) {
      World world;
      std::vector<std::unique_ptr<mm::ObjectCache<Object>>> caches;
      for (int i = 0; i < 10; ++i) {
        caches.push_back(std::make_unique<mm::ObjectCache<Object>>(world.memory, "object"));
        caches.back()->Free(caches.back()->Alloc());
      }
    }
  });
  experiment.Run();
  report.Table("memory of an Os, booted and torn down", experiment);
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  const dentree::bench::Report report(argc, argv);
  dentree::MeasureObjects(report);
  dentree::MeasureLru(report);
  dentree::MeasureBoot(report);
}
