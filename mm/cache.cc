#include "mm/cache.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/fault.h"
#include "base/sync_point.h"
#include "mm/magazine_internal.h"
#include "mm/memory.h"
#include "mm/poison_internal.h"
#include "mm/reclaim_internal.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

namespace {

constexpr std::string_view kFaultPrefix = "mm:";
constexpr size_t kSmallestStep = kPageBytes;
constexpr size_t kLargestStep = 4 * kPageBytes;
constexpr size_t kSlotAlignment = 16;

size_t SlotBytes(size_t object_bytes, size_t alignment) {
  const size_t bytes = object_bytes + kRedZoneBytes;
  return std::max(kMinSlotBytes, RoundUp(bytes, std::max(alignment, kSlotAlignment)));
}

// Exact for offsets below 2^16: the rounding error, offset / 2^32, stays below 1 / slot.
uint32_t Reciprocal(uint32_t slot_bytes) {
  return static_cast<uint32_t>(((uint64_t{1} << 32) + slot_bytes - 1) / slot_bytes);
}

template <class T>
void AddRelaxed(std::atomic<T>& cell, T delta) {
  cell.store(cell.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
}

}  // namespace

// Room for a step of slab, or a free object that somebody gave back meanwhile.
class Cache::GrowGoal final : public ReclaimGoal {
 public:
  GrowGoal(Cache& cache, size_t step)
      : ReclaimGoal(cache.slot_bytes_), cache_(cache), step_(step) {}

  size_t step() const { return step_; }
  bool charged() const { return charged_; }

 private:
  bool Met() override {
    charged_ = cache_.memory_.TryCharge(step_);
    return charged_ || cache_.HasFreeObject();
  }

  Cache& cache_;
  const size_t step_;
  bool charged_ = false;
};

Cache::Cache(Memory& memory, const char* name, size_t object_bytes, size_t alignment,
             CacheFlags flags, Constructor constructor)
    : memory_(memory),
      fault_point_(std::string(kFaultPrefix) + name),
      name_(std::string_view(fault_point_).substr(kFaultPrefix.size())),
      object_bytes_(static_cast<uint32_t>(object_bytes)),
      slot_bytes_(static_cast<uint32_t>(SlotBytes(object_bytes, alignment))),
      slot_reciprocal_(Reciprocal(slot_bytes_)),
      flags_(flags),
      constructor_(constructor) {
  CHECK(object_bytes > 0 && object_bytes <= kMaxObjectBytes && alignment <= kPageBytes);
  CHECK(constructor == nullptr || Has(flags, CacheFlags::kTypeStable),
        "only a type-stable object keeps what its constructor made");
  memory_.Register(*this);
}

Cache::~Cache() {
  memory_.Unregister(*this);
  EmptyMagazines();
  if (Magazines* const magazines = magazines_.load(std::memory_order_acquire)) {
    delete magazines;
    memory_.Uncharge(sizeof(Magazines));
  }
  if (const size_t leaked = live_.load(std::memory_order_relaxed)) {
    memory_.RecordLeak(name_, leaked, Owners());
  }
  ReleaseEmptySlabs(Grace::kNone);
}

void* Cache::Alloc(Site site) {
  base::AssertMayAllocate();
  void* object = nullptr;
  if (!memory_.faults_.ShouldFail(fault_point_)) [[likely]] {
    object = TakeFreeObject();
    if (object == nullptr) [[unlikely]]
      object = AllocSlow();
  }
  if (object == nullptr && memory_.MayUseReserve()) [[unlikely]]
    object = AllocFromReserve();
  if (object == nullptr) [[unlikely]] {
    refusals_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  PrepareForOwner(object);
  if (memory_.sites_ != nullptr) NoteAlloc(object, site);
  return object;
}

// This thread's magazine, if it may use one now. Inside an RCU read section.
Magazine* Cache::MagazineOfThread() const {
  Magazines* const magazines = magazines_.load(std::memory_order_acquire);
  if (magazines == nullptr || flushing_.load(std::memory_order_acquire)) return nullptr;
  const uint32_t index = base::ThreadIndex();
  return index < kMagazines ? &magazines->of[index] : nullptr;
}

void* Cache::TakeFreeObject() {
  {
    const base::RcuReadGuard guard(memory_.rcu_);
    if (Magazine* const magazine = MagazineOfThread()) [[likely]] {
      return TakeFromMagazine(*magazine);
    }
  }
  return TakeFromSlab();
}

void* Cache::TakeFromMagazine(Magazine& magazine) {
  if (magazine.Count() == 0) [[unlikely]] {
    Refill(magazine);
    if (magazine.Count() == 0) return nullptr;
  }
  AddRelaxed<uint64_t>(magazine.allocs, 1);
  return magazine.Pop();
}

void Cache::Refill(Magazine& magazine) {
  base::MutexLock lock(lock_);
  while (partial_ != nullptr && magazine.Count() < Magazine::kCapacity / 2) {
    magazine.Push(TakeLocked());
  }
}

void* Cache::TakeFromSlab() {
  base::MutexLock lock(lock_);
  if (partial_ == nullptr) return nullptr;
  AddRelaxed<uint64_t>(allocs_, 1);
  return TakeLocked();
}

void* Cache::TakeLocked() {
  Slab& slab = *partial_;
  if (&slab == spare_) spare_ = nullptr;
  const size_t index = slab.TakeBit();
  if (++slab.live == slab.ready) UnlinkLocked(slab);
  AddRelaxed<size_t>(live_, 1);
  return slab.first + index * slot_bytes_;
}

void* Cache::AllocSlow() {
  // Another thread may take what this one made reclaim free; that is progress, but not this one's.
  for (int attempt = 0; attempt < kMaxGrowAttempts; ++attempt) {
    GrowGoal goal(*this, NextStep());
    if (!goal.Check() && !memory_.ReclaimUntil(goal)) {
      if (!memory_.MayUseReserve()) memory_.NoteRefusal({.name = name_, .bytes = goal.step()});
      return nullptr;
    }
    void* const object = goal.charged() ? Grow(goal.step()) : TakeFreeObject();
    if (object != nullptr) return object;
  }
  return nullptr;
}

// What is free, or the smallest step on the reserve.
void* Cache::AllocFromReserve() {
  const size_t step = RoundUp(slot_bytes_, kPageBytes);
  for (int attempt = 0; attempt < kMaxGrowAttempts; ++attempt) {
    if (void* const object = TakeFreeObject()) return object;
    if (!memory_.TryChargeReserve(step)) break;
    if (void* const object = Grow(step)) return object;
  }
  memory_.NoteRefusal({.name = name_, .bytes = step});
  return nullptr;
}

size_t Cache::NextStep() const {
  const size_t as_large_as_before = RoundUp(bytes_.load(std::memory_order_relaxed), kPageBytes);
  const size_t one_object = RoundUp(slot_bytes_, kPageBytes);
  return std::max(one_object, std::clamp(as_large_as_before, kSmallestStep, kLargestStep));
}

// Takes an object with a step of slab that is already charged. Nullptr only without system memory.
void* Cache::Grow(size_t step) {
  SYNC_POINT(memory_.sync_, "mm:grow:charged");
  Slab* fresh = IsGrowing() ? nullptr : memory_.arena_->Take();
  if (fresh != nullptr && memory_.sites_ != nullptr) AttachSites(*fresh);
  size_t used = 0;
  void* object = nullptr;
  {
    base::MutexLock lock(lock_);
    if (partial_ == nullptr && growing_ == nullptr && fresh != nullptr) {
      AdoptLocked(*fresh);
      fresh = nullptr;
    }
    if (partial_ == nullptr && growing_ != nullptr) used = ExtendLocked(*growing_, step);
    if (partial_ != nullptr) object = TakeLocked();
    if (object != nullptr) AddRelaxed<uint64_t>(allocs_, 1);
  }
  if (total_.load(std::memory_order_relaxed) >= kMagazinesFromObjects) AddMagazines();
  if (fresh != nullptr) memory_.arena_->Release(*fresh, Grace::kNone);
  memory_.Uncharge(step - used);
  return object;
}

// Without reclaim: a cache works without magazines.
void Cache::AddMagazines() {
  if (magazines_.load(std::memory_order_relaxed) != nullptr) return;
  if (!memory_.TryCharge(sizeof(Magazines))) return;
  Magazines* const made = new (std::nothrow) Magazines;
  Magazines* none = nullptr;
  if (made != nullptr &&
      magazines_.compare_exchange_strong(none, made, std::memory_order_acq_rel)) {
    return;
  }
  delete made;
  memory_.Uncharge(sizeof(Magazines));
}

bool Cache::IsGrowing() const {
  base::MutexLock lock(lock_);
  return growing_ != nullptr;
}

void Cache::AdoptLocked(Slab& slab) {
  slab.cache = this;
  slab.capacity =
      static_cast<uint16_t>(std::min<size_t>(slab.usable / slot_bytes_, kMaxObjectsPerSlab));
  slab.ready = 0;
  slab.live = 0;
  slab.hint = 0;
  // Bits of a former owner: all objects were free when it let the slab go.
  std::fill(std::begin(slab.free_bits), std::end(slab.free_bits), 0);
  growing_ = &slab;
  AddRelaxed<size_t>(slabs_, 1);
}

size_t Cache::ExtendLocked(Slab& slab, size_t step) {
  step = std::min<size_t>(step, slab.usable - slab.committed);
  const size_t ready = std::min<size_t>((slab.committed + step) / slot_bytes_, slab.capacity);
  for (size_t i = slab.ready; i < ready; ++i) MakeObject(slab.first + i * slot_bytes_);
  slab.SetBits(slab.ready, ready);
  if (slab.live == slab.ready) LinkLocked(slab);
  AddRelaxed<size_t>(total_, ready - slab.ready);
  AddRelaxed<size_t>(bytes_, step);
  slab.ready = static_cast<uint16_t>(ready);
  slab.committed += static_cast<uint32_t>(step);
  if (ready == slab.capacity) growing_ = nullptr;
  return step;
}

void Cache::MakeObject(void* object) const {
  FillRedZone(static_cast<char*>(object) + object_bytes_, slot_bytes_ - object_bytes_);
  if (constructor_ != nullptr) constructor_(object);
  if (!Has(flags_, CacheFlags::kTypeStable)) PrepareForFree(object);
}

void Cache::PrepareForOwner(void* object) const {
  CheckRedZone(object);
  if (Has(flags_, CacheFlags::kTypeStable)) return;
  UnpoisonRegion(object, slot_bytes_);
  CheckFreed(object, object_bytes_);
  PoisonRegion(static_cast<char*>(object) + object_bytes_, slot_bytes_ - object_bytes_);
}

void Cache::PrepareForFree(void* object) const {
  if (Has(flags_, CacheFlags::kTypeStable)) return;
  UnpoisonRegion(static_cast<char*>(object) + object_bytes_, slot_bytes_ - object_bytes_);
  FillFreed(object, object_bytes_);
  PoisonRegion(object, slot_bytes_);
}

void Cache::CheckRedZone(const void* object) const {
  const auto* const zone = static_cast<const char*>(object) + object_bytes_;
  if (RedZoneIntact(zone, slot_bytes_ - object_bytes_)) [[likely]]
    return;
  const Site site = SiteOf(object);
  std::fprintf(stderr, "mm: %.*s: object allocated at %.*s:%u\n", static_cast<int>(name_.size()),
               name_.data(), static_cast<int>(site.file().size()), site.file().data(), site.line());
  CHECK(false, "written beyond the end of an object");
}

void Cache::Free(void* object) {
  DCHECK(SlabOf(object).cache == this, "object of another cache");
  CheckNotPoisoned(object);
  CheckRedZone(object);
  if (memory_.sites_ != nullptr) NoteFree(object);
  PrepareForFree(object);
  {
    const base::RcuReadGuard guard(memory_.rcu_);
    if (Magazine* const magazine = MagazineOfThread()) [[likely]] {
      DCHECK(!magazine->Has(object), "object freed twice");
      if (magazine->Count() < Magazine::kCapacity) [[likely]] {
        return magazine->Push(object);
      }
    }
  }
  FreeSlow(object);
}

void Cache::FreeObject(void* object) { SlabOf(object).cache->Free(object); }

// Without room in a magazine: the older half of it goes back to the slabs, or else the object does.
void Cache::FreeSlow(void* object) {
  std::array<void*, Magazine::kCapacity / 2> older;
  {
    const base::RcuReadGuard guard(memory_.rcu_);
    Magazine* const magazine = MagazineOfThread();
    if (magazine == nullptr) return PutIntoSlabs({&object, 1});
    // A flush may have come and gone since it was found full.
    const bool full = magazine->Count() == Magazine::kCapacity;
    if (full) magazine->TakeOlder(older);
    magazine->Push(object);
    if (!full) return;
  }
  PutIntoSlabs(older);
}

void Cache::PutIntoSlabs(std::span<void* const> objects) {
  Slab* surplus = nullptr;
  {
    base::MutexLock lock(lock_);
    for (void* object : objects) surplus = PutLocked(object, surplus);
  }
  while (surplus != nullptr) {
    memory_.arena_->Release(*std::exchange(surplus, surplus->next), grace());
  }
}

size_t Cache::IndexOf(const Slab& slab, const void* object) const {
  const auto offset = static_cast<size_t>(static_cast<const char*>(object) - slab.first);
  const size_t index = offset * slot_reciprocal_ >> 32;
  DCHECK(index * slot_bytes_ == offset, "not the start of an object");
  return index;
}

// Returns the surplus slabs, chained by `next`: with the object's own if it is empty now and the
// cache has a spare one already.
Slab* Cache::PutLocked(void* object, Slab* surplus) {
  Slab& slab = SlabOf(object);
  slab.PutBit(IndexOf(slab, object));
  if (slab.live-- == slab.ready) LinkLocked(slab);
  AddRelaxed<size_t>(live_, size_t{0} - 1);
  if (slab.live != 0) return surplus;
  if (spare_ == nullptr) {
    spare_ = &slab;
    return surplus;
  }
  DetachLocked(slab);
  slab.next = surplus;
  return &slab;
}

void Cache::DetachLocked(Slab& slab) {
  UnlinkLocked(slab);
  if (growing_ == &slab) growing_ = nullptr;
  if (spare_ == &slab) spare_ = nullptr;
  AddRelaxed<size_t>(total_, size_t{0} - slab.ready);
  AddRelaxed<size_t>(bytes_, size_t{0} - slab.committed);
  AddRelaxed<size_t>(slabs_, size_t{0} - 1);
}

size_t Cache::ReleaseEmptySlabs() { return ReleaseEmptySlabs(grace()); }

size_t Cache::ReleaseEmptySlabs(Grace grace) {
  Slab* empty = nullptr;
  {
    base::MutexLock lock(lock_);
    empty = spare_;
    if (empty != nullptr) DetachLocked(*empty);
  }
  if (empty == nullptr) return 0;
  const size_t bytes = empty->committed;
  memory_.arena_->Release(*empty, grace);
  return bytes;
}

Grace Cache::grace() const {
  return Has(flags_, CacheFlags::kTypeStable) ? Grace::kWait : Grace::kNone;
}

bool Cache::HasFreeObject() const {
  {
    const base::RcuReadGuard guard(memory_.rcu_);
    const Magazine* const magazine = MagazineOfThread();
    if (magazine != nullptr && magazine->Count() != 0) return true;
  }
  base::MutexLock lock(lock_);
  return partial_ != nullptr;
}

void Cache::StartFlush() { flushing_.store(true, std::memory_order_release); }

void Cache::FinishFlush() {
  // A cache that was not there when the flush began: its magazines are in use.
  if (!flushing_.load(std::memory_order_relaxed)) return;
  EmptyMagazines();
  flushing_.store(false, std::memory_order_release);
}

void Cache::EmptyMagazines() {
  Magazines* const magazines = magazines_.load(std::memory_order_acquire);
  if (magazines == nullptr) return;
  for (Magazine& magazine : magazines->of) {
    PutIntoSlabs({magazine.objects.data(), magazine.Count()});
    magazine.count.store(0, std::memory_order_relaxed);
  }
}

size_t Cache::ObjectsInMagazines() const {
  size_t count = 0;
  if (const Magazines* const magazines = magazines_.load(std::memory_order_acquire)) {
    for (const Magazine& magazine : magazines->of) count += magazine.Count();
  }
  return count;
}

size_t Cache::active_objects() const {
  const size_t in_magazines = ObjectsInMagazines();
  const size_t live = live_.load(std::memory_order_relaxed);
  return live - std::min(live, in_magazines);
}

uint64_t Cache::Allocs() const {
  uint64_t count = allocs_.load(std::memory_order_relaxed);
  if (const Magazines* const magazines = magazines_.load(std::memory_order_acquire)) {
    for (const Magazine& m : magazines->of) count += m.allocs.load(std::memory_order_relaxed);
  }
  return count;
}

void Cache::LinkLocked(Slab& slab) {
  slab.prev = nullptr;
  slab.next = partial_;
  if (partial_ != nullptr) partial_->prev = &slab;
  partial_ = &slab;
}

void Cache::UnlinkLocked(Slab& slab) {
  (slab.prev == nullptr ? partial_ : slab.prev->next) = slab.next;
  if (slab.next != nullptr) slab.next->prev = slab.prev;
}

CacheInfo Cache::Info() const {
  base::MutexLock lock(lock_);
  CacheInfo info;
  info.name = name_;
  info.flags = flags_;
  info.object_bytes = object_bytes_;
  info.slot_bytes = slot_bytes_;
  info.objects_per_slab = kSlabBytes / slot_bytes_;
  info.active_objects = active_objects();
  info.total_objects = total_.load(std::memory_order_relaxed);
  info.slabs = slabs_.load(std::memory_order_relaxed);
  info.active_slabs = info.slabs - (spare_ == nullptr ? 0 : 1);
  info.bytes = bytes_.load(std::memory_order_relaxed);
  info.allocs = Allocs();
  info.refusals = refusals_.load(std::memory_order_relaxed);
  return info;
}

void Cache::CheckInvariants() const {
  base::MutexLock lock(lock_);
  size_t free_objects = 0;
  for (const Slab* slab = partial_; slab != nullptr; slab = slab->next) {
    CHECK(slab->cache == this);
    CHECK(slab->live < slab->ready && slab->ready <= slab->capacity);
    CHECK(slab->ready - slab->live == static_cast<int>(slab->CountBits()));
    CHECK(slab->ready == slab->capacity || slab == growing_);
    CHECK(slab->live != 0 || slab == spare_);
    CHECK(slab->next == nullptr || slab->next->prev == slab);
    free_objects += slab->ready - slab->live;
  }
  CHECK(live_.load(std::memory_order_relaxed) + free_objects ==
        total_.load(std::memory_order_relaxed));
  if constexpr (kRedZones) {
    memory_.arena_->ForEachSlab(*this, [this](const Slab& slab) {
      lock_.AssertHeld();
      CheckObjects(slab);
    });
  }
}

// Red zones are intact, and nobody wrote to what is free in its slab.
void Cache::CheckObjects(const Slab& slab) const {
  for (size_t i = 0; i < slab.ready; ++i) {
    const char* const object = slab.first + i * slot_bytes_;
    CheckRedZone(object);
    const bool free = slab.free_bits[i / 64] >> (i % 64) & 1;
    if (free && !Has(flags_, CacheFlags::kTypeStable)) CheckFreed(object, object_bytes_);
  }
}

}  // namespace dentree::mm
