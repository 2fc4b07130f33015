// SlotTable: the open-addressed hash that dcache and icache are made of.
//
// One slot is 8 bytes: the entry's 48-bit address with the top 16 bits of its hash as a tag, so a
// probe decides almost always without touching the entry, and the entry's identity comes from the
// slot and not from its own line.
//
//     0                       empty: ends a probe
//     kTombstone              removed: passed over by probes, reused by inserts
//     tag | address | flag    an entry; bit 0 is the owner's (Dcache marks negatives with it)
//
// Invariants: an entry is in one slot, found by probing from its hash without meeting an empty
// slot; slots filled or reserved stay below 7/8 of the array, so a probe always ends. The array
// grows (and sheds tombstones) in Reserve, before anything is locked: Insert cannot fail.
//
// Thread safety: Find by anyone inside an RCU section, lock-free. Insert and Remove with the
// entry's stripe locked. A rebuild takes every stripe; the old array is freed after a grace period,
// and readers who still search it see everything that was in it when they started.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/types.h"

namespace dentree::vfs {

class SlotTable {
 private:
  struct Array {
    base::RcuHead free;
    mm::Memory* memory;
    size_t mask;

    // The slots follow the header.
    std::atomic<uint64_t>& slot(size_t i) const {
      return reinterpret_cast<std::atomic<uint64_t>*>(const_cast<Array*>(this) + 1)[i];
    }
    static size_t Bytes(size_t slots) { return sizeof(Array) + slots * sizeof(uint64_t); }
  };

 public:
  using Entry = uintptr_t;  // 48-bit address, bit 0 free for the owner
  using HashOf = uint64_t (*)(Entry entry);
  // Stripes nest in index order, below kLru and above kBucket's other users.
  using StripeLock = base::SpinLock<base::LockRank::kBucket>;

  SlotTable(mm::Memory& memory, base::RcuDomain& rcu, HashOf hash_of);
  ~SlotTable();

  // Room for one more Insert. kNoMem.
  Status Reserve();
  void Unreserve() { filled_.fetch_sub(1, std::memory_order_relaxed); }

  // Calls match(entry) for the entries that may have this hash until it returns true; that entry,
  // or 0. The table may rebuild meanwhile.
  template <class Match>
  Entry Find(uint64_t hash, Match&& match) const;

  // The same for who asks more than once: the table as it is now, for the rest of an RCU section.
  // What is inserted later may not be seen in it.
  class View {
   public:
    explicit View(const SlotTable& table) {
      const Array* const array = table.array();
      if (array == nullptr) return;
      slots_ = &array->slot(0);
      mask_ = array->mask;
    }
    // Nothing was ever inserted: not to be searched.
    bool empty() const { return slots_ == nullptr; }
    // Calls match(entry) for the entries with bit 0 clear that may have this hash.
    template <class Match>
    Entry FindEven(uint64_t hash, Match&& match) const;

   private:
    const std::atomic<uint64_t>* slots_ = nullptr;
    size_t mask_ = 0;
  };

  // Uses up a reservation.
  void Insert(uint64_t hash, Entry entry);
  // False when it is not there. Gives its reservation back.
  bool Remove(uint64_t hash, Entry entry);

  // Puts `to`, which has the same hash, in the place of `from`: readers find the one or the other.
  // False when `from` is not there.
  bool Replace(uint64_t hash, Entry from, Entry to);
  // Makes the array smaller when it is nearly empty. Does nothing without memory.
  void Shed();

  size_t slots() const;
  size_t used() const {  // entries and reservations
    const size_t filled = filled_.load(std::memory_order_relaxed);
    return filled - std::min(filled, Tombstones());
  }
  uint64_t rebuilds() const { return rebuilds_.load(std::memory_order_relaxed); }
  // Calls fn(entry) for the entries in the slots from `at` on until it returns true, for `budget`
  // slots at most, which it counts down. Returns where to go on; begins again after the last slot.
  // In an RCU section. An entry that comes, goes or moves meanwhile may be missed.
  template <class Fn>
  size_t Visit(size_t at, size_t& budget, Fn&& fn) const;
  // Calls fn(entry) for every entry. REQUIRES: no concurrent writer.
  template <class Fn>
  void ForEach(Fn&& fn) const;

 private:
  static constexpr uint64_t kTombstone = 1;
  static constexpr size_t kStripes = 16;
  static constexpr size_t kMinSlots = 64;
  static constexpr size_t kMinShrunkSlots = 8 * base::kMaxThreads;
  // Shed: slots for each one used.
  static constexpr size_t kSparse = 16;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << 48) - 1;

  // Tombstones of the current array: removals under a stripe's lock, less reuses.
  struct Stripe {
    StripeLock lock;
    std::atomic<int32_t> tombstones{0};  // written with the lock held

    void AddTombstones(int32_t n) {
      tombstones.store(tombstones.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
  };

  static uint64_t Tag(uint64_t hash) { return hash & ~kAddressMask; }
  Array* array() const { return array_.load(std::memory_order_acquire); }
  Stripe& StripeOf(uint64_t hash) { return stripes_[(hash >> 44) % kStripes]; }

  size_t Tombstones() const;
  Array* NewArray(size_t slots);
  void LockAll();
  void UnlockAll();
  Status Rebuild(const Array* seen);
  static void CopyInto(const Array& from, Array& to, HashOf hash_of);
  void Retire(Array* old);

  mm::Memory& memory_;
  base::RcuDomain& rcu_;
  const HashOf hash_of_;
  std::atomic<Array*> array_{nullptr};
  // Writers change these; a lookup reads the line of array_.
  alignas(64) std::atomic<size_t> filled_{0};  // entries, reservations and tombstones
  std::atomic<uint64_t> rebuilds_{0};
  std::array<Stripe, kStripes> stripes_;
};

// Inlined, so that what a match finds stays in registers.
template <class Match>
[[gnu::always_inline]] inline SlotTable::Entry SlotTable::Find(uint64_t hash, Match&& match) const {
  const Array* const table = array();
  if (table == nullptr) return 0;
  const uint64_t tag = Tag(hash);
  for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
    const uint64_t slot = table->slot(i).load(std::memory_order_acquire);
    if (slot == 0) return 0;
    if (Tag(slot) != tag || slot == kTombstone) continue;
    const Entry entry = slot & kAddressMask;
    if (match(entry)) return entry;
  }
}

template <class Match>
[[gnu::always_inline]] inline SlotTable::Entry SlotTable::View::FindEven(uint64_t hash,
                                                                         Match&& match) const {
  for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
    const uint64_t slot = slots_[i].load(std::memory_order_acquire);
    if (slot == 0) return 0;
    // Neither an entry with bit 0 set nor a tombstone.
    if ((slot ^ hash) > kAddressMask || (slot & 1) != 0) continue;
    const Entry entry = slot & kAddressMask;
    if (match(entry)) return entry;
  }
}

template <class Fn>
size_t SlotTable::Visit(size_t at, size_t& budget, Fn&& fn) const {
  const Array* const table = array();
  if (table == nullptr) return budget = 0;
  while (budget > 0) {
    --budget;
    const uint64_t slot = table->slot(at & table->mask).load(std::memory_order_acquire);
    at = (at + 1) & table->mask;
    if (slot != 0 && slot != kTombstone && fn(slot & kAddressMask)) break;
  }
  return at;
}

template <class Fn>
void SlotTable::ForEach(Fn&& fn) const {
  const Array* const table = array();
  if (table == nullptr) return;
  for (size_t i = 0; i <= table->mask; ++i) {
    const uint64_t slot = table->slot(i).load(std::memory_order_acquire);
    if (slot != 0 && slot != kTombstone) fn(slot & kAddressMask);
  }
}

}  // namespace dentree::vfs
