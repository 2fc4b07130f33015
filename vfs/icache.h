// Icache: the inodes in memory, found by (super block, identity).
//
// Thread safety: all members from any thread. A stripe's lock (rank kInode) makes "last reference"
// and "leaves the table" one step. Lifetime: an inode enters when its file system asks for it by
// Get, or with Insert; it leaves in the same critical section in which its count becomes zero and
// it is not to be kept, or when reclaimed.
#pragma once

#include <array>
#include <atomic>

#include "absl/functional/function_ref.h"
#include "base/base.h"
#include "mm/mm.h"
#include "vfs/inode.h"
#include "vfs/slot_table.h"
#include "vfs/super_block.h"

namespace dentree::vfs {

struct InodeStats {
  base::Counter created, freed, hits, evicted;
};
inline constexpr auto kInodeFields = base::Fields(
    base::F<&InodeStats::created>("created", "Inodes made", base::StatKind::kCumulative),
    base::F<&InodeStats::freed>("freed", "Inodes freed", base::StatKind::kCumulative),
    base::F<&InodeStats::hits>("hits", "Inodes found by their number", base::StatKind::kCumulative),
    base::F<&InodeStats::evicted>("evicted", "Unused inodes freed by reclaim",
                                  base::StatKind::kCumulative));

class Icache {
 public:
  Icache(mm::Memory& memory, base::RcuDomain& rcu);
  ~Icache();

  // Tells whether a cached inode with the wanted number is the one meant (identities may be wider
  // than a number). Called in an RCU section and under a lock: compares constant data, no more.
  using Match = absl::FunctionRef<bool(const Inode&)>;
  // Makes the inode when it is not cached: by New, and fills it. May block and fail.
  using Make = absl::FunctionRef<Result<InodeRef>()>;

  // The inode with this identity, cached or made; one inode however many ask at once.
  Result<InodeRef> Get(SuperBlock& sb, Ino ino, Match match, Make make);
  // The cached inode, or null. Revives one from the LRU.
  InodeRef Find(SuperBlock& sb, Ino ino, Match match);

  // A new inode with one reference, not to be found. kNoMem.
  Result<InodeRef> New(SuperBlock& sb, const InodeOps& ops, Ino ino, Mode mode);

  // A number unique within the Vfs, for file systems without identities of their own.
  Ino NextIno() { return next_ino_.fetch_add(1, std::memory_order_relaxed); }

  // Frees up to `nr` unreferenced inodes of a super block, oldest first.
  mm::ScanResult Shrink(SuperBlock& sb, size_t nr, mm::LruAge age = mm::LruAge::kAny);

  size_t live() const { return cache_.active_objects(); }
  const base::Sharded<InodeStats>& stats() const { return stats_; }
  void CheckInvariants();

 private:
  friend class Inode;
  static constexpr size_t kStripes = 16;
  using Stripe = base::SpinLock<base::LockRank::kInode>;

  static uint64_t HashOf(const SuperBlock& sb, Ino ino);
  static uint64_t HashOfEntry(SlotTable::Entry entry);
  static SlotTable::Entry EntryOf(const Inode& inode) {
    return reinterpret_cast<uintptr_t>(&inode);
  }
  Stripe& StripeOf(const Inode& inode);
  Stripe& StripeOf(uint64_t hash) { return stripes_[hash % kStripes]; }
  InodeRef FindLocked(SuperBlock& sb, Ino ino, uint64_t hash, Match match);

  void Put(Inode* inode);
  bool EvictIfUnused(Inode& inode);
  void Free(Inode& inode);

  base::RcuDomain& rcu_;
  mm::ObjectCache<Inode> cache_;
  SlotTable table_;
  std::array<Stripe, kStripes> stripes_;
  std::atomic<Ino> next_ino_{2};
  base::Sharded<InodeStats> stats_;
};

}  // namespace dentree::vfs
