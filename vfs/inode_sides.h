// InodeSides: what some inodes have beside them (locks, watches), found by inode. An inode that has
// nothing costs nothing; one that has something says so in its flags.
//
// Thread safety: whatever concerns one inode happens under its stripe (rank kAttached). Lifetime:
// empty when destroyed. An entry is freed after a grace period: probes of other stripes may look at
// which inode it is of.
#pragma once

#include <array>
#include <utility>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/inode.h"
#include "vfs/slot_table.h"

namespace dentree::vfs {

// What an entry begins with.
struct InodeSide {
  explicit InodeSide(Inode& of) : inode(&of) {}

  Inode* const inode;
  void* sides = nullptr;
  base::RcuHead free;
};

// `Side` derives from InodeSide first of all and is made from an Inode&.
template <class Side, InodeFlags kFlag>
class InodeSides {
 public:
  static constexpr size_t kStripes = 16;
  using Stripe = base::Mutex<base::LockRank::kAttached>;

  InodeSides(mm::Memory& memory, base::RcuDomain& rcu, const char* name)
      : rcu_(rcu), cache_(memory, name), table_(memory, rcu, HashOfEntry) {}
  InodeSides(const InodeSides&) = delete;
  InodeSides& operator=(const InodeSides&) = delete;

  static size_t StripeIndex(const Inode& inode) { return (HashOf(inode) >> 32) % kStripes; }
  Stripe& StripeOf(const Inode& inode) { return stripes_[StripeIndex(inode)]; }

  // An entry made before the stripe is locked, since nothing is allocated under it.
  class Spare {
   public:
    explicit Spare(InodeSides& sides) : sides_(sides) {}
    ~Spare() {
      if (side_ == nullptr) return;
      sides_.cache_.Delete(side_);
      sides_.table_.Unreserve();
    }
    Spare(const Spare&) = delete;
    Spare& operator=(const Spare&) = delete;

    // kNoMem.
    Status Make(Inode& inode) {
      if (side_ != nullptr) return {};
      TRY(sides_.table_.Reserve());
      side_ = sides_.cache_.New(inode);
      if (side_ != nullptr) return {};
      sides_.table_.Unreserve();
      return base::Err(Errno::kNoMem);
    }

   private:
    friend class InodeSides;
    InodeSides& sides_;
    Side* side_ = nullptr;
  };

  // --- all with the inode's stripe locked ---

  // Null: there is none.
  Side* Find(const Inode& inode) {
    if (!(inode.flags() & kFlag)) return nullptr;
    const base::RcuReadGuard guard(rcu_);
    return reinterpret_cast<Side*>(table_.Find(HashOf(inode), [&](SlotTable::Entry entry) {
      return reinterpret_cast<const Side*>(entry)->inode == &inode;
    }));
  }
  // The entry there is, or the spare one: null only when there is neither.
  Side* FindOrInsert(Inode& inode, Spare& spare) {
    if (Side* const there = Find(inode)) return there;
    Side* const side = std::exchange(spare.side_, nullptr);
    if (side == nullptr) return nullptr;
    side->sides = this;
    table_.Insert(HashOf(inode), reinterpret_cast<SlotTable::Entry>(side));
    inode.SetSideFlag(kFlag);
    return side;
  }
  void Remove(Side& side) {
    side.inode->ClearSideFlag(kFlag);
    table_.Remove(HashOf(*side.inode), reinterpret_cast<SlotTable::Entry>(&side));
    rcu_.Retire(
        &side.free,
        [](base::RcuHead* head) {
          auto* const base = reinterpret_cast<InodeSide*>(reinterpret_cast<char*>(head) -
                                                          offsetof(InodeSide, free));
          auto* const dead = static_cast<Side*>(base);
          static_cast<InodeSides*>(dead->sides)->cache_.Delete(dead);
        },
        sizeof(Side));
  }

  // Calls fn(side) for every entry with all stripes locked: fn only copies.
  template <class Fn>
  void ForEach(Fn&& fn) DT_NO_THREAD_SAFETY_ANALYSIS {
    for (Stripe& stripe : stripes_) stripe.Lock(base::LockOrder::kChild);
    {
      const base::RcuReadGuard guard(rcu_);
      table_.ForEach([&](SlotTable::Entry entry) { fn(*reinterpret_cast<Side*>(entry)); });
    }
    for (Stripe& stripe : stripes_) stripe.Unlock();
  }

  size_t live() const { return table_.used(); }

 private:
  static uint64_t HashOf(const Inode& inode) {
    return base::Mix64(reinterpret_cast<uintptr_t>(&inode));
  }
  static uint64_t HashOfEntry(SlotTable::Entry entry) {
    return HashOf(*reinterpret_cast<const Side*>(entry)->inode);
  }

  base::RcuDomain& rcu_;
  mm::ObjectCache<Side> cache_;
  SlotTable table_;
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace dentree::vfs
