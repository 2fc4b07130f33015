#include "mm/cache.h"

#include <algorithm>

#include "base/check.h"
#include "base/fault.h"
#include "base/sync_point.h"
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
  return std::max(kMinSlotBytes, RoundUp(object_bytes, std::max(alignment, kSlotAlignment)));
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
  if (const size_t leaked = active_objects()) memory_.RecordLeak(name_, leaked);
  ReleaseEmptySlabs(Grace::kNone);
}

void* Cache::Alloc() {
  base::AssertMayAllocate();
  void* object = nullptr;
  if (!memory_.faults_.ShouldFail(fault_point_)) [[likely]] {
    object = TakeFreeObject();
    if (object == nullptr) [[unlikely]]
      object = AllocSlow();
  }
  if (object == nullptr) [[unlikely]] {
    refusals_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  PrepareForOwner(object);
  return object;
}

void* Cache::TakeFreeObject() {
  base::MutexLock lock(lock_);
  return partial_ == nullptr ? nullptr : TakeLocked();
}

void* Cache::TakeLocked() {
  Slab& slab = *partial_;
  if (&slab == spare_) spare_ = nullptr;
  const size_t index = slab.TakeBit();
  if (++slab.live == slab.ready) UnlinkLocked(slab);
  AddRelaxed<size_t>(active_, 1);
  AddRelaxed<uint64_t>(allocs_, 1);
  return slab.first + index * slot_bytes_;
}

void* Cache::AllocSlow() {
  // Another thread may take what this one made reclaim free; that is progress, but not this one's.
  for (int attempt = 0; attempt < kMaxGrowAttempts; ++attempt) {
    GrowGoal goal(*this, NextStep());
    if (!goal.Check() && !memory_.ReclaimUntil(goal)) {
      memory_.stats_.refused.Add();
      return nullptr;
    }
    void* const object = goal.charged() ? Grow(goal.step()) : TakeFreeObject();
    if (object != nullptr) return object;
  }
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
  }
  if (fresh != nullptr) memory_.arena_->Release(*fresh, Grace::kNone);
  memory_.Uncharge(step - used);
  return object;
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
  if (constructor_ != nullptr) constructor_(object);
  if (!Has(flags_, CacheFlags::kTypeStable)) PrepareForFree(object);
}

void Cache::PrepareForOwner(void* object) const {
  if (Has(flags_, CacheFlags::kTypeStable)) return;
  UnpoisonRegion(object, slot_bytes_);
  CheckFreed(object, slot_bytes_);
  PoisonRegion(static_cast<char*>(object) + object_bytes_, slot_bytes_ - object_bytes_);
}

void Cache::PrepareForFree(void* object) const {
  if (Has(flags_, CacheFlags::kTypeStable)) return;
  UnpoisonRegion(static_cast<char*>(object) + object_bytes_, slot_bytes_ - object_bytes_);
  FillFreed(object, slot_bytes_);
  PoisonRegion(object, slot_bytes_);
}

void Cache::Free(void* object) {
  Slab& slab = SlabOf(object);
  DCHECK(slab.cache == this, "object of another cache");
  const auto offset = static_cast<size_t>(static_cast<char*>(object) - slab.first);
  const size_t index = offset * slot_reciprocal_ >> 32;
  DCHECK(index * slot_bytes_ == offset, "not the start of an object");
  PrepareForFree(object);
  if (Slab* const surplus = PutObject(slab, index)) {
    memory_.arena_->Release(*surplus, grace());
  }
}

// Returns the slab if it is empty now and the cache has a spare one already.
Slab* Cache::PutObject(Slab& slab, size_t index) {
  base::MutexLock lock(lock_);
  slab.PutBit(index);
  if (slab.live-- == slab.ready) LinkLocked(slab);
  AddRelaxed<size_t>(active_, size_t{0} - 1);
  if (slab.live != 0) return nullptr;
  if (spare_ == nullptr) {
    spare_ = &slab;
    return nullptr;
  }
  DetachLocked(slab);
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
  base::MutexLock lock(lock_);
  return partial_ != nullptr;
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
  info.active_objects = active_.load(std::memory_order_relaxed);
  info.total_objects = total_.load(std::memory_order_relaxed);
  info.slabs = slabs_.load(std::memory_order_relaxed);
  info.active_slabs = info.slabs - (spare_ == nullptr ? 0 : 1);
  info.bytes = bytes_.load(std::memory_order_relaxed);
  info.allocs = allocs_.load(std::memory_order_relaxed);
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
  CHECK(active_.load(std::memory_order_relaxed) + free_objects ==
        total_.load(std::memory_order_relaxed));
}

}  // namespace dentree::mm
