// The slab arena: address space for slabs, and the descriptors that keep their books.
//
// Address space comes from the system in chunks of 2 MiB, aligned to their size, each cut into 32
// slabs of 64 KiB. The chunk's header holds the descriptors of all its slabs, side by side instead
// of one at the same place of each slab, so that they do not compete for the same cache sets. Pages
// become memory when they are first touched and stop being memory when their slab is released, so a
// chunk costs what its caches use plus one header page.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "base/mutex.h"
#include "base/rcu.h"
#include "mm/cache.h"
#include "mm/memory.h"

namespace dentree::mm {

inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kSlabBytes = 64 * 1024;
inline constexpr size_t kChunkBytes = 2 * 1024 * 1024;
inline constexpr size_t kSlabsPerChunk = kChunkBytes / kSlabBytes;
inline constexpr size_t kMinSlotBytes = 32;
inline constexpr size_t kMaxObjectsPerSlab = kSlabBytes / kMinSlotBytes;
// From this many chunks on (16 MiB) new ones ask for huge pages; below, their zeroing would cost
// more than the faults it saves and hold memory that was not charged.
inline constexpr size_t kHugePagesFromChunk = 8;

constexpr size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

struct Chunk;

// The descriptor of a slab, for the whole life of its chunk.
//
// Guarded by the lock of the cache that owns the slab; by nobody while only one thread can know it
// (between the arena and a cache).
struct alignas(64) Slab {
  // What a free object's lookup and an owned object's return read.
  Cache* cache = nullptr;
  char* first = nullptr;  // object 0; page-aligned
  Slab* next = nullptr;   // the cache's partial list; prev of its head is null
  Slab* prev = nullptr;
  uint16_t capacity = 0;   // objects that fit
  uint16_t ready = 0;      // objects that exist: [0, ready)
  uint16_t live = 0;       // of these, owned
  uint16_t hint = 0;       // no word of free_bits below this one has a bit set
  uint32_t committed = 0;  // bytes charged, from `first`
  uint32_t usable = 0;     // bytes there are, from `first`
  base::RcuHead rcu;       // while the slab waits for a grace period
  uint64_t free_bits[kMaxObjectsPerSlab / 64];

  // Marks the first free object owned and returns its index. Some bit is set.
  size_t TakeBit();
  // Marks an owned object free; aborts if it is free already.
  void PutBit(size_t index);
  // Marks objects [from, to) free for the first time.
  void SetBits(size_t from, size_t to);
  size_t CountBits() const;
};

// The head of a chunk, at its first byte.
struct Chunk {
  SlabArena* arena = nullptr;
  base::ListNode node;     // all chunks of the arena
  uint32_t free_mask = 0;  // slabs in the arena's hands; guarded by its lock
  // With profiling, for each slab the site of each of its objects, from when a cache adopts it to
  // when it lets it go; an object's own is written and read by its owner.
  std::atomic<SiteTable::Id*> sites[kSlabsPerChunk] = {};
  Slab slabs[kSlabsPerChunk];

  static Chunk& Of(const void* address) {
    return *reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(address) & ~(kChunkBytes - 1));
  }
};
inline constexpr size_t kChunkHeaderBytes = RoundUp(sizeof(Chunk), kPageBytes);
static_assert(sizeof(Slab) % 64 == 0);
static_assert(kChunkHeaderBytes + Cache::kMaxObjectBytes <= kSlabBytes);

inline std::atomic<SiteTable::Id*>& SitesOf(const Slab& slab) {
  Chunk& chunk = Chunk::Of(&slab);
  return chunk.sites[&slab - chunk.slabs];
}

// The slab an object lies in.
inline Slab& SlabOf(const void* object) {
  const uintptr_t in_chunk = reinterpret_cast<uintptr_t>(object) & (kChunkBytes - 1);
  return Chunk::Of(object).slabs[in_chunk / kSlabBytes];
}

enum class Grace : uint8_t {
  kNone,  // nobody can still look at the memory
  kWait,  // RCU readers may
};

// Hands out slabs and takes them back.
//
// Thread safety: lock_ (kLeaf) guards the chunk list and every free_mask; system calls are made
// without it. Lifetime: owned by its Memory; before its destruction every slab is back or leaked,
// and no slab waits for a grace period.
class SlabArena {
 public:
  explicit SlabArena(Memory& memory) : memory_(memory) {}
  ~SlabArena();
  SlabArena(const SlabArena&) = delete;
  SlabArena& operator=(const SlabArena&) = delete;

  // A slab with first and usable set and nothing committed; nullptr when the system has no memory.
  Slab* Take();
  // The slab's pages go back to the system and its charge to the budget, now or after a grace
  // period.
  void Release(Slab& slab, Grace grace);

  // fn(const Slab&) for each slab that `cache` has. Under lock_: fn takes no lock.
  template <class Fn>
  void ForEachSlab(const Cache& cache, Fn&& fn) {
    base::MutexLock lock(lock_, base::kNested);
    for (const Chunk& chunk : chunks_) {
      for (size_t i = 0; i < kSlabsPerChunk; ++i) {
        const bool taken = (chunk.free_mask >> i & 1) == 0;
        if (taken && chunk.slabs[i].cache == &cache) fn(chunk.slabs[i]);
      }
    }
  }

  size_t slabs_waiting() const { return waiting_.load(std::memory_order_acquire); }

 private:
  Slab* TakeLocked() DT_REQUIRES(lock_);
  Chunk* MapChunk();
  static void Unmap(Chunk& chunk);
  void TakeBack(Slab& slab);
  Chunk* PutSlab(Slab& slab);

  Memory& memory_;
  base::SpinLock<base::LockRank::kLeaf> lock_;
  // Chunks with a free slab come before those without.
  base::List<Chunk, &Chunk::node> chunks_ DT_GUARDED_BY(lock_);
  size_t empty_chunks_ DT_GUARDED_BY(lock_) = 0;
  std::atomic<size_t> chunk_count_{0};
  std::atomic<size_t> waiting_{0};  // slabs that wait for a grace period
};

}  // namespace dentree::mm
