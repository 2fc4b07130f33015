#include "vfs/slot_table.h"

#include <algorithm>
#include <bit>
#include <new>

namespace dentree::vfs {

SlotTable::SlotTable(mm::Memory& memory, base::RcuDomain& rcu, HashOf hash_of)
    : memory_(memory), rcu_(rcu), hash_of_(hash_of) {}

SlotTable::~SlotTable() {
  if (Array* const table = array()) memory_.FreeBytes(table, Array::Bytes(table->mask + 1));
}

size_t SlotTable::slots() const {
  const base::RcuReadGuard guard(rcu_);
  const Array* const table = array();
  return table == nullptr ? 0 : table->mask + 1;
}

Status SlotTable::Reserve() {
  for (;;) {
    size_t limit = 0;
    const Array* table = nullptr;
    {
      const base::RcuReadGuard guard(rcu_);
      table = array();
      if (table != nullptr) limit = (table->mask + 1) / 8 * 7;
    }
    if (filled_.fetch_add(1, std::memory_order_relaxed) < limit) return {};
    Unreserve();
    TRY(Rebuild(table));
  }
}

size_t SlotTable::Tombstones() const {
  int64_t sum = 0;
  for (const Stripe& stripe : stripes_) sum += stripe.tombstones.load(std::memory_order_relaxed);
  return static_cast<size_t>(sum);
}

SlotTable::Array* SlotTable::NewArray(size_t slots) {
  void* const memory = memory_.AllocBytes(Array::Bytes(slots), "mm:hash_table");
  if (memory == nullptr) return nullptr;
  auto* const table = ::new (memory) Array{.free = {}, .memory = &memory_, .mask = slots - 1};
  for (size_t i = 0; i < slots; ++i) ::new (&table->slot(i)) std::atomic<uint64_t>(0);
  return table;
}

// All stripes, which analysis cannot count.
void SlotTable::LockAll() DT_NO_THREAD_SAFETY_ANALYSIS {
  for (Stripe& stripe : stripes_) stripe.lock.Lock(base::LockOrder::kChild);
}

void SlotTable::UnlockAll() DT_NO_THREAD_SAFETY_ANALYSIS {
  for (Stripe& stripe : stripes_) stripe.lock.Unlock();
}

// Replaces the array `seen` by one that is at most half full; nothing to do when somebody else did.
//
// A reservation that was granted for the larger of two arrays may be counted when the smaller one
// is there already: one for each thread. So an array shrinks only to where that many fit besides,
// or it could be without an empty slot, and who looks for what is not there would not end.
Status SlotTable::Rebuild(const Array* seen) {
  const size_t least = std::clamp(slots(), kMinSlots, kMinShrunkSlots);
  const size_t want = std::bit_ceil(std::max(least, (used() + 1) * 2));
  Array* const fresh = NewArray(want);
  if (fresh == nullptr) return base::Err(Errno::kNoMem);
  LockAll();
  Array* const old = array();
  // Reservations taken meanwhile may have outgrown the new array: then the caller tries again.
  const bool current = old == seen && (used() + 1) * 8 <= want * 7;
  if (current) {
    if (old != nullptr) CopyInto(*old, *fresh, hash_of_);
    filled_.fetch_sub(Tombstones(), std::memory_order_relaxed);
    for (Stripe& stripe : stripes_) stripe.tombstones.store(0, std::memory_order_relaxed);
    array_.store(fresh, std::memory_order_release);
  }
  UnlockAll();
  if (!current) {
    memory_.FreeBytes(fresh, Array::Bytes(want));
    return {};
  }
  rebuilds_.fetch_add(1, std::memory_order_relaxed);
  if (old != nullptr) Retire(old);
  return {};
}

void SlotTable::CopyInto(const Array& from, Array& to, HashOf hash_of) {
  // An entry says its hash itself, from a line that is in no cache: fetched before its turn.
  constexpr size_t kAhead = 16;
  for (size_t i = 0; i <= from.mask; ++i) {
    const uint64_t ahead = from.slot((i + kAhead) & from.mask).load(std::memory_order_relaxed);
    __builtin_prefetch(reinterpret_cast<const void*>(ahead & kAddressMask));
    const uint64_t slot = from.slot(i).load(std::memory_order_relaxed);
    if (slot == 0 || slot == kTombstone) continue;
    size_t at = hash_of(slot & kAddressMask) & to.mask;
    while (to.slot(at).load(std::memory_order_relaxed) != 0) at = (at + 1) & to.mask;
    to.slot(at).store(slot, std::memory_order_relaxed);
  }
}

void SlotTable::Retire(Array* old) {
  rcu_.Retire(
      &old->free,
      [](base::RcuHead* head) {
        auto* const table = reinterpret_cast<Array*>(head);
        table->memory->FreeBytes(table, Array::Bytes(table->mask + 1));
      },
      Array::Bytes(old->mask + 1));
}

void SlotTable::Insert(uint64_t hash, Entry entry) {
  Stripe& stripe = StripeOf(hash);
  base::MutexLock lock(stripe.lock);
  Array& table = *array();
  const uint64_t value = Tag(hash) | entry;
  for (size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    uint64_t slot = table.slot(i).load(std::memory_order_relaxed);
    // Another stripe's insert may take the slot first: then look at it again.
    while (slot == 0 || slot == kTombstone) {
      if (!table.slot(i).compare_exchange_weak(slot, value, std::memory_order_release,
                                               std::memory_order_relaxed)) {
        continue;
      }
      if (slot == kTombstone) {
        stripe.AddTombstones(-1);
        Unreserve();
      }
      return;
    }
  }
}

bool SlotTable::Replace(uint64_t hash, Entry from, Entry to) {
  base::MutexLock lock(StripeOf(hash).lock);
  Array* const table = array();
  if (table == nullptr) return false;
  for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
    const uint64_t slot = table->slot(i).load(std::memory_order_relaxed);
    if (slot == 0) return false;
    if (slot != (Tag(hash) | from)) continue;
    table->slot(i).store(Tag(hash) | to, std::memory_order_release);
    return true;
  }
}

void SlotTable::Shed() {
  const Array* table = nullptr;
  {
    const base::RcuReadGuard guard(rcu_);
    table = array();
    const size_t enough = std::max(kMinShrunkSlots, (used() + 1) * kSparse);
    if (table == nullptr || table->mask + 1 <= enough) return;
  }
  (void)Rebuild(table);
}

bool SlotTable::Remove(uint64_t hash, Entry entry) {
  Stripe& stripe = StripeOf(hash);
  base::MutexLock lock(stripe.lock);
  Array* const table = array();
  if (table == nullptr) return false;
  const uint64_t value = Tag(hash) | entry;
  for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
    const uint64_t slot = table->slot(i).load(std::memory_order_relaxed);
    if (slot == 0) return false;
    if (slot != value) continue;
    table->slot(i).store(kTombstone, std::memory_order_release);
    stripe.AddTombstones(1);
    return true;
  }
}

}  // namespace dentree::vfs
