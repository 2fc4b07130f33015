// Free objects at hand: each thread keeps a few of a cache's, taken and put back without a lock.
//
// A magazine belongs to the thread with its index (base/thread_index.h), who uses it inside an RCU
// read section and only while its cache is not being flushed. Reclaim flushes: it raises the
// cache's flag, waits for one grace period, after which every thread has seen the flag or has left
// its magazine, and then owns them all until it lowers the flag. So the owner pays for two plain
// stores and no atomic read-modify-write; who needs all objects back pays for a grace period.
//
// An object in a magazine counts as live in its slab, and as free everywhere else.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace dentree::mm {

// Threads with a magazine; those beyond use the cache's lock.
inline constexpr uint32_t kMagazines = 16;
// A cache gets magazines when it has this many objects: a small one needs none, and its Os boots
// faster.
inline constexpr size_t kMagazinesFromObjects = 1024;

// The counts are written by the owner (or the flusher) and read by statistics.
struct alignas(64) Magazine {
  static constexpr uint32_t kCapacity = 30;

  std::atomic<uint32_t> count{0};
  std::atomic<uint64_t> allocs{0};  // objects handed out from here
  std::array<void*, kCapacity> objects;

  uint32_t Count() const { return count.load(std::memory_order_relaxed); }
  bool Has(const void* object) const {
    return std::find(objects.begin(), objects.begin() + Count(), object) !=
           objects.begin() + Count();
  }
  void* Pop() {
    const uint32_t left = Count() - 1;
    count.store(left, std::memory_order_relaxed);
    return objects[left];
  }
  void Push(void* object) {
    const uint32_t before = Count();
    objects[before] = object;
    count.store(before + 1, std::memory_order_relaxed);
  }
  // Takes the half of a full magazine that has been in it longest; what is left moves down.
  void TakeOlder(std::array<void*, kCapacity / 2>& older) {
    std::copy_n(objects.begin(), older.size(), older.begin());
    std::copy(objects.begin() + older.size(), objects.end(), objects.begin());
    count.store(kCapacity - static_cast<uint32_t>(older.size()), std::memory_order_relaxed);
  }
};
static_assert(sizeof(Magazine) == 256);

struct Magazines {
  std::array<Magazine, kMagazines> of;
};

}  // namespace dentree::mm
