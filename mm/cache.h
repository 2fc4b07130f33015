// Object caches: memory for many objects of one type, in slabs.
//
// Layout. The arena (mm/slab_internal.h) hands out slabs of 64 KiB of address space, cut from 2 MiB
// chunks; an object finds its slab by masking its address. All bookkeeping lies outside the
// objects, in the chunk's header, so that a free object's bytes stay what they were:
//
//   chunk  [ header: 32 slab descriptors | slab 0 (rest of its 64 KiB) | slab 1 | ... | slab 31 ]
//   slab   [ object 0 | object 1 | ... | object ready-1 | untouched address space ... ]
//   descriptor { cache, first object, ready, live, free bit per object, list links, RCU head }
//
// A slab's memory is taken in steps (4 KiB at first, up to 16 KiB as the cache grows), so a cache
// of ten objects costs one page; a step is charged to the budget before it is touched.
//
// Invariants:
//   - a free bit is set exactly for the objects in [0, ready) that nobody owns; live counts the
//   others;
//   - a slab is on its cache's partial list exactly while it has a free bit set;
//   - at most one slab per cache is growing (ready < capacity and taken from first);
//   - a cache keeps at most one empty slab; further ones go back to the arena at once, in a
//     type-stable cache after a grace period.
//
// Debug builds without ASan keep a red zone behind each object: kRedZoneBytes at least, with a
// pattern that is looked at when the object is freed, handed out again, and by CheckInvariants.
// With profiling (Memory::Options) each slab has the number of the site that allocated it for each
// of its objects, in an array of its own.
//
// A cache of many objects also has magazines, a few free objects for each thread that are taken and
// put back without the lock (mm/magazine_internal.h). To its slab such an object is live.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/list.h"
#include "base/lock_rank.h"
#include "base/mutex.h"
#include "base/stats.h"
#include "base/thread_annotations.h"
#include "mm/site.h"

// gcc says so by a macro, clang 19 when it is asked.
#if defined(__SANITIZE_ADDRESS__)
#define DENTREE_MM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DENTREE_MM_ASAN 1
#endif
#endif

namespace dentree::mm {

class Memory;
enum class Grace : uint8_t;
struct Magazine;
struct Magazines;
struct Slab;

enum class CacheFlags : uint32_t {
  kNone = 0,
  // A freed object may be handed out again at once as an object of the same type while RCU readers
  // still look at it; what they read must survive that (atomic fields, a sequence count). The
  // memory is never used for anything else before a grace period has passed.
  kTypeStable = 1 << 0,
  // A shrinker can free these objects (SReclaimable in meminfo).
  kReclaimable = 1 << 1,
};

constexpr CacheFlags operator|(CacheFlags a, CacheFlags b) {
  return static_cast<CacheFlags>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b));
}
constexpr bool Has(CacheFlags flags, CacheFlags flag) {
  return (static_cast<uint32_t>(flags) & static_cast<uint32_t>(flag)) != 0;
}

// A cache's numbers at one moment.
struct CacheInfo {
  std::string_view name;
  CacheFlags flags = CacheFlags::kNone;
  size_t object_bytes = 0;      // sizeof
  size_t slot_bytes = 0;        // what an object takes
  size_t objects_per_slab = 0;  // in a full slab
  size_t active_objects = 0;    // owned by somebody
  size_t total_objects = 0;     // active and free
  size_t slabs = 0;
  size_t active_slabs = 0;  // with at least one owned object
  size_t bytes = 0;         // charged to the budget
  uint64_t allocs = 0;
  uint64_t refusals = 0;  // budget, system or fault point said no
};

inline constexpr auto kCacheFields = base::Fields(
    base::F<&CacheInfo::active_objects>("active_objects", "Objects owned by somebody",
                                        base::StatKind::kInstant),
    base::F<&CacheInfo::total_objects>("total_objects", "Objects there is memory for",
                                       base::StatKind::kInstant),
    base::F<&CacheInfo::object_bytes>("object_bytes", "Size of one object",
                                      base::StatKind::kInstant, base::StatUnit::kBytes),
    base::F<&CacheInfo::slot_bytes>("slot_bytes", "What one object takes", base::StatKind::kInstant,
                                    base::StatUnit::kBytes),
    base::F<&CacheInfo::active_slabs>("active_slabs", "Slabs with an object in use",
                                      base::StatKind::kInstant),
    base::F<&CacheInfo::slabs>("slabs", "Slabs", base::StatKind::kInstant),
    base::F<&CacheInfo::bytes>("bytes", "Charged to the budget", base::StatKind::kInstant,
                               base::StatUnit::kBytes),
    base::F<&CacheInfo::allocs>("allocs", "Objects handed out", base::StatKind::kCumulative),
    base::F<&CacheInfo::refusals>("refusals", "Objects refused", base::StatKind::kCumulative));

// The untyped cache; use ObjectCache<T>.
//
// Thread safety: everything may be called by any thread. One lock of rank kLeaf guards lists, bits
// and counts. Alloc() may reclaim: locks up to rank kRegistry may be held, none of kNode or above,
// and no RCU section. Free() may be called under any lock but another kLeaf, and in RCU callbacks.
// Lifetime: the Memory outlives the cache. When the cache is destroyed no RCU reader may still look
// at its objects; objects that are still owned are a leak (Memory::LeakReport).
class Cache {
 public:
  // Runs once on each object's memory, when its slab reaches it. Only for type-stable caches: a
  // state that every free keeps, such as a sequence count.
  using Constructor = void (*)(void* object);

  static constexpr size_t kMaxObjectBytes = 16 * 1024;
  // The least there is between an object and the next one.
#if defined(NDEBUG) || defined(DENTREE_MM_ASAN)
  static constexpr size_t kRedZoneBytes = 0;
#else
  static constexpr size_t kRedZoneBytes = 8;
#endif

  Cache(Memory& memory, const char* name, size_t object_bytes, size_t alignment, CacheFlags flags,
        Constructor constructor);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Uninitialised memory for one object; nullptr when the budget (after reclaim), the system or the
  // fault point "mm:<name>" refuses.
  [[nodiscard]] void* Alloc(Site site = std::source_location::current());
  void Free(void* object);
  // Frees an object of whatever cache it is.
  static void FreeObject(void* object);

  std::string_view name() const { return name_; }
  CacheFlags flags() const { return flags_; }
  CacheInfo Info() const;
  // Owned objects; exact when no other thread allocates or frees.
  size_t active_objects() const;

  // Gives the empty slab back; returns the bytes that are now free or wait for a grace period.
  size_t ReleaseEmptySlabs();

  // Aborts unless the invariants above hold. Linear in the slabs, in debug builds in the objects;
  // for tests and teardown: the objects are at rest.
  void CheckInvariants() const;

 private:
  friend class Memory;
  class GrowGoal;

  // Attempts of one Alloc() to keep an object that reclaim freed from the hands of other threads.
  static constexpr int kMaxGrowAttempts = 64;

  // Allocation: from the thread's magazine, from a slab, from new memory.
  Magazine* MagazineOfThread() const;
  void* TakeFreeObject();
  void* TakeFromMagazine(Magazine& magazine);
  void Refill(Magazine& magazine);
  void* TakeFromSlab();
  void* TakeLocked() DT_REQUIRES(lock_);
  void* AllocSlow();
  void* AllocFromReserve();
  bool HasFreeObject() const;
  // Growth: a step is chosen, charged (which may reclaim), then used under the lock.
  size_t NextStep() const;
  bool IsGrowing() const;
  void* Grow(size_t step);
  void AddMagazines();
  void AdoptLocked(Slab& slab) DT_REQUIRES(lock_);
  size_t ExtendLocked(Slab& slab, size_t step) DT_REQUIRES(lock_);
  void MakeObject(void* object) const;
  // Poisoning, around an object's time with its owner.
  void PrepareForOwner(void* object) const;
  void PrepareForFree(void* object) const;
  void CheckRedZone(const void* object) const;
  // Accounting to sites (profile.cc); only with profiling.
  size_t IndexOf(const Slab& slab, const void* object) const;
  void NoteAlloc(void* object, Site site) const;
  void NoteFree(void* object) const;
  Site SiteOf(const void* object) const;
  void AttachSites(Slab& slab) const;
  std::vector<SiteUse> Owners() const;
  void CheckObjects(const Slab& slab) const DT_REQUIRES(lock_);
  // Return: to the thread's magazine, else to the slab; surplus slabs go back to the arena.
  void FreeSlow(void* object);
  void PutIntoSlabs(std::span<void* const> objects);
  Slab* PutLocked(void* object, Slab* surplus) DT_REQUIRES(lock_);
  void DetachLocked(Slab& slab) DT_REQUIRES(lock_);
  size_t ReleaseEmptySlabs(Grace grace);
  // Flushing (Memory::FlushMagazines): a grace period lies between the first call and the second.
  void StartFlush();
  void FinishFlush();
  void EmptyMagazines();
  size_t ObjectsInMagazines() const;
  uint64_t Allocs() const;
  Grace grace() const;
  void LinkLocked(Slab& slab) DT_REQUIRES(lock_);
  void UnlinkLocked(Slab& slab) DT_REQUIRES(lock_);

  // Constant after construction.
  Memory& memory_;
  const std::string fault_point_;  // "mm:<name>"
  const std::string_view name_;    // its tail
  const uint32_t object_bytes_;
  const uint32_t slot_bytes_;
  const uint32_t slot_reciprocal_;  // index = offset * reciprocal >> 32
  const CacheFlags flags_;
  const Constructor constructor_;

  // lock_ guards all of this; the atomics are written under it (refusals_ aside) and read without.
  mutable base::SpinLock<base::LockRank::kLeaf> lock_;
  Slab* partial_ DT_GUARDED_BY(lock_) = nullptr;
  Slab* growing_ DT_GUARDED_BY(lock_) = nullptr;  // the one with ready < capacity
  Slab* spare_ DT_GUARDED_BY(lock_) = nullptr;    // the one with live == 0
  std::atomic<size_t> live_{0};                   // objects owned or in magazines
  std::atomic<size_t> total_{0};                  // ready objects
  std::atomic<size_t> slabs_{0};
  std::atomic<size_t> bytes_{0};     // committed
  std::atomic<uint64_t> allocs_{0};  // not counting those from magazines
  std::atomic<uint64_t> refusals_{0};

  // Magazines, once there are enough objects. While flushing_ is set nobody but the flusher uses
  // them.
  std::atomic<Magazines*> magazines_{nullptr};
  std::atomic<bool> flushing_{false};

  // Guarded by the Memory's registry lock.
  base::ListNode registry_node_;
};

// A cache of T.
//
//   ObjectCache<Dentry> dentries_{memory, "dentry", CacheFlags::kReclaimable};
//   Dentry* dentry = dentries_.New(args...);   // nullptr: kNoMem
//   dentries_.Delete(dentry);
//
// Alloc() and Free() deal in raw memory: for types whose state survives a free (kTypeStable), or
// that are destroyed elsewhere than they are freed.
template <class T>
class ObjectCache {
 public:
  static_assert(sizeof(T) <= Cache::kMaxObjectBytes);

  explicit ObjectCache(Memory& memory, const char* name, CacheFlags flags = CacheFlags::kNone,
                       Cache::Constructor constructor = nullptr)
      : cache_(memory, name, sizeof(T), alignof(T), flags, constructor) {}

  // Raw, uninitialised and NOT constructed; nullptr when refused.
  [[nodiscard]] T* Alloc(Site site = std::source_location::current()) {
    return static_cast<T*>(cache_.Alloc(site));
  }
  void Free(T* object) { cache_.Free(object); }

  // One overload for each number of arguments: nothing can follow a parameter pack, and the site
  // has to be a default argument.
  [[nodiscard]] T* New(Site site = std::source_location::current()) { return NewAt(site); }
  template <class A>
  [[nodiscard]] T* New(A&& a, Site site = std::source_location::current()) {
    return NewAt(site, std::forward<A>(a));
  }
  template <class A, class B>
  [[nodiscard]] T* New(A&& a, B&& b, Site site = std::source_location::current()) {
    return NewAt(site, std::forward<A>(a), std::forward<B>(b));
  }
  template <class A, class B, class C>
  [[nodiscard]] T* New(A&& a, B&& b, C&& c, Site site = std::source_location::current()) {
    return NewAt(site, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c));
  }
  template <class A, class B, class C, class D>
  [[nodiscard]] T* New(A&& a, B&& b, C&& c, D&& d, Site site = std::source_location::current()) {
    return NewAt(site, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                 std::forward<D>(d));
  }
  template <class A, class B, class C, class D, class E>
  [[nodiscard]] T* New(A&& a, B&& b, C&& c, D&& d, E&& e,
                       Site site = std::source_location::current()) {
    return NewAt(site, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                 std::forward<D>(d), std::forward<E>(e));
  }
  template <class... Args>
  [[nodiscard]] T* NewAt(Site site, Args&&... args) {
    void* memory = cache_.Alloc(site);
    return memory == nullptr ? nullptr : ::new (memory) T(std::forward<Args>(args)...);
  }
  void Delete(T* object) {
    object->~T();
    cache_.Free(object);
  }

  CacheInfo Info() const { return cache_.Info(); }
  size_t active_objects() const { return cache_.active_objects(); }
  Cache& cache() { return cache_; }
  const Cache& cache() const { return cache_; }

 private:
  Cache cache_;
};

}  // namespace dentree::mm
