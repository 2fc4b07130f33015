// Dcache: the hash of all dentries and negatives of a Vfs, and the life of a dentry.
//
// Who protects what:
//     a directory's children, by name   its inode's semaphore, held for writing by everyone who
//     adds,
//                                       removes or renames a name (so a name has one creator)
//     Dentry line 0                     ref_ lock, inside seq_; a rename holds both parents' too
//     the list of children              the parent's ref_ lock
//     the LRU                           its own lock (kLru); membership shows in the link itself
//     aliases of an inode               alias lock by inode (kInode)
//     the table                         lock-free readers; writers by stripe (kBucket)
// Order: ref_ parent before child, then LRU, then table. A lookup without locks may miss a name
// that is being moved; it is believed only after a second look with the directory's semaphore held.
// rename_seq_ covers what no single directory's semaphore can: the way from a dentry to its root.
//
// Both kinds of entry stand in one table (slot_table.h); bit 0 of a slot's address marks a
// Negative.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "absl/functional/function_ref.h"
#include "base/base.h"
#include "mm/mm.h"
#include "vfs/dentry.h"
#include "vfs/negative.h"
#include "vfs/slot_table.h"

namespace dentree::vfs {

class ReversePath;
class Vfs;
struct ExternalName;

struct DcacheStats {
  base::Counter allocated, freed, hits, misses, negative_hits, evicted, aged, invalidated;

  uint64_t Lookups() const { return hits.Value() + misses.Value() + negative_hits.Value(); }
};
inline constexpr auto kDcacheFields = base::Fields(
    base::F<&DcacheStats::Lookups>("lookups", "Names the cache was asked for",
                                   base::StatKind::kCumulative),
    base::F<&DcacheStats::hits>("hits", "Of these, names it knew", base::StatKind::kCumulative),
    base::F<&DcacheStats::negative_hits>("negative_hits", "Of these, names it knew not to exist",
                                         base::StatKind::kCumulative),
    base::F<&DcacheStats::misses>(
        "misses", "Of these, names it did not know; asked again once the directory is locked",
        base::StatKind::kCumulative),
    base::F<&DcacheStats::allocated>("allocated", "Dentries made", base::StatKind::kCumulative),
    base::F<&DcacheStats::freed>("freed", "Dentries freed", base::StatKind::kCumulative),
    base::F<&DcacheStats::evicted>("evicted", "Unused dentries freed by reclaim or for their age",
                                   base::StatKind::kCumulative),
    base::F<&DcacheStats::aged>("aged", "Of these, for their age", base::StatKind::kCumulative),
    base::F<&DcacheStats::invalidated>("invalidated", "Names forgotten because they no longer hold",
                                       base::StatKind::kCumulative));

class Dcache {
 public:
  Dcache(Vfs& vfs, mm::Memory& memory, base::RcuDomain& rcu);
  ~Dcache();

  // --- lookup ---

  // What the table knows of a name. `dentry` may die or change as soon as it is returned: the
  // caller is in an RCU section and rechecks `seq` (Stale) before it believes anything.
  struct Found {
    enum Kind : uint8_t { kMiss, kPositive, kNegative } kind = kMiss;
    Dentry* dentry = nullptr;
    uint32_t seq = 0;
    Negative* negative = nullptr;  // kNegative
  };
  // REQUIRES: RCU section; `dir_seq` sampled from dir.
  Found LookupRcu(const Dentry& dir, uint32_t dir_seq, const Name& name);

  // A name of at most 16 bytes that is there and nothing more than a name: not mounted upon, no
  // symlink, nobody to be asked. For walks: `key` and the words are what Name makes of it.
  struct Plain {
    Dentry* dentry;  // null: LookupRcu knows better
    uint32_t seq;
    uint32_t flags;
  };
  static Plain LookupPlainRcu(const SlotTable::View& table, const Dentry& dir, uint64_t key,
                              uint64_t word0, uint64_t word1);
  SlotTable::View ViewRcu() const { return SlotTable::View(table_); }

  static uint32_t Sample(const Dentry& dentry) { return dentry.seq_.ReadBegin(); }
  static bool Stale(const Dentry& dentry, uint32_t seq) { return dentry.seq_.ReadRetry(seq); }
  // A reference taken in an RCU section on what turned out not to be wanted. It may be the last
  // one, and what ends a dentry allocates: declared before the section, put after it.
  class Unwanted {
   public:
    explicit Unwanted(Dcache& cache) : cache_(cache) {}
    ~Unwanted() {
      if (dentry_ != nullptr) [[unlikely]]
        cache_.Put(dentry_);
    }
    Unwanted(const Unwanted&) = delete;
    Unwanted& operator=(const Unwanted&) = delete;

   private:
    friend class Dcache;
    Dcache& cache_;
    // May be somebody's new dentry by now, without an inode: nothing for a DentryRef.
    Dentry* dentry_ = nullptr;
  };
  // A reference, if the dentry is still what it was when `seq` was sampled; otherwise null. Once
  // for an `unwanted`.
  DentryRef Legitimise(Dentry& dentry, uint32_t seq, Unwanted& unwanted);

  // What an RCU walk does not find in a super block with kSbPinned is not there, unless a name was
  // on its way from one place to another: these tell. Odd: one is.
  uint32_t Renames() const { return rename_seq_.Sample(); }
  bool RenamedSince(uint32_t renames) const { return rename_seq_.ReadRetry(renames); }

  // An RCU walk found its way over `n` names to one that is known to be missing.
  void NoteMissRcu(uint32_t n) {
    stats_.Add<&DcacheStats::hits>(n);
    stats_.Add<&DcacheStats::negative_hits>();
  }
  // An RCU walk found its way over `n` names to `dentry`, and takes no reference: reclaim sees that
  // it is used.
  void NoteUseRcu(Dentry& dentry, uint32_t n) {
    stats_.Add<&DcacheStats::hits>(n);
    if (dentry.flags() & kDentryReferenced) return;
    dentry.flags_.fetch_or(kDentryReferenced, std::memory_order_relaxed);
  }

  // The same for callers that hold a reference on `dir`: miss, negative, or a counted dentry.
  struct Answer {
    Found::Kind kind = Found::kMiss;
    DentryRef dentry;
    uint32_t asked_ms = 0;  // kNegative: when the file system was asked
  };
  Answer Lookup(const Dentry& dir, const Name& name);

  // --- making: all with the directory's semaphore held for writing ---

  // A dentry for `name` in `dir`: one reference, unhashed, without inode, seen by nobody. kNoMem.
  class New {
   public:
    New(New&& other) noexcept
        : cache_(other.cache_), dentry_(std::exchange(other.dentry_, nullptr)) {}
    New& operator=(New&&) = delete;
    ~New();
    Dentry& operator*() const { return *dentry_; }
    Dentry* operator->() const { return dentry_; }

   private:
    friend class Dcache;
    New(Dcache& cache, Dentry* dentry) : cache_(cache), dentry_(dentry) {}
    Dcache& cache_;
    Dentry* dentry_;
  };
  Result<New> Alloc(Dentry& dir, const Name& name);
  // The root of a super block: its own parent, never hashed.
  Result<DentryRef> MakeRoot(InodeRef inode);

  // Publishes a dentry with its inode: hashed, on its parent's list; a negative of that name is
  // gone. Pinned when the super block says so. A directory that already has a name elsewhere loses
  // that one (it was renamed behind our back). Cannot fail.
  DentryRef Add(New dentry, const Name& name, InodeRef inode);
  // The same for what has no name: it stays unhashed and on no list, and ends with its last
  // reference.
  DentryRef AddUnnamed(New dentry, InodeRef inode);
  // Remembers that `name` was not in `dir` at `asked_ns` (monotonic; 0: nobody will ask when); a
  // cache: may forget at once. Does nothing where the file system knows from memory.
  void AddNegative(Dentry& dir, const Name& name, int64_t asked_ns, NegativeReason reason);
  // The name has come to exist, or may have.
  void ForgetNegative(const Dentry& dir, const Name& name);

  // --- unmaking and moving ---

  // The name was removed from its directory: unhashed, pin dropped. Users keep the dentry.
  // REQUIRES: the directory's semaphore held for writing.
  void Delete(Dentry& dentry);
  // The same, and the end of a dentry that only the caller uses: it is dead then, `dentry` is null,
  // and it is freed with `ending`, which is declared before the locks around.
  class Ending {
   public:
    explicit Ending(Dcache& cache) : cache_(cache) {}
    ~Ending();
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;

   private:
    friend class Dcache;
    Dcache& cache_;
    Dentry* dead_ = nullptr;
  };
  void Delete(DentryRef& dentry, Ending& ending);
  // Forgets a name that no longer holds, with everything cached below it. What is in use stays
  // alive, unhashed. Invalidate also detaches what is mounted there and below, so it is called
  // without locks.
  void Forget(Dentry& dentry);
  void Invalidate(Dentry& dentry);
  // Invalidates every name of an inode.
  void InvalidateAliases(Inode& inode);
  // What a rename needs to allocate, so that it cannot fail once the file system has done its part.
  class NewName {
   public:
    NewName(NewName&& other) noexcept
        : cache_(std::exchange(other.cache_, nullptr)), external_(other.external_) {}
    NewName& operator=(NewName&&) = delete;
    ~NewName();

   private:
    friend class Dcache;
    NewName(Dcache& cache, ExternalName* external) : cache_(&cache), external_(external) {}
    ExternalName* Take() { return cache_ = nullptr, external_; }
    Dcache* cache_;
    ExternalName* external_;
  };
  Result<NewName> Plan(const Name& name);
  // Moves a dentry to a new name, over `target` (which is unhashed) or into the gap; Exchange gives
  // each the other's name and directory. Atomic for walkers. REQUIRES: both directories' semaphores
  // held for writing; across directories rename_mutex() too.
  void Move(Dentry& dentry, Dentry& new_dir, const Name& name, NewName plan, Dentry* target);
  void Exchange(Dentry& a, const Name& new_a, NewName plan_a, Dentry& b, const Name& new_b,
                NewName plan_b);

  // Names in the cache of an inode, referenced, as many as `names` has room for: one of a directory
  // (its root's for a root), perhaps more of others. For file systems that find objects by path.
  size_t NamesOf(Inode& inode, std::span<DentryRef> names);
  // The directory a dentry is in now (itself, for a root).
  DentryRef ParentOf(Dentry& dentry);
  // Is `ancestor` on the way from `dentry` to its root (or the same)? Stable only under the super
  // block's rename mutex.
  static bool IsSubdir(const Dentry& dentry, const Dentry& ancestor);
  // The same as of one moment, without any lock; removed directories count as where they were.
  bool IsBelow(const Dentry& dentry, const Dentry& ancestor) const;

  // --- reading names ---

  // Path of a dentry as seen from `top`, "/" for that itself; kNoEnt when it is not below, or a
  // part of it was removed, kNameTooLong beyond kPathMax.
  Result<std::string> PathOf(const Dentry& dentry, const Dentry& top) const;
  // Children in memory, newest first, each with a reference for the call. For tree --cached and
  // checks: ends early when the child at hand is moved away meanwhile.
  void ForEachChild(Dentry& dir, absl::FunctionRef<void(Dentry&)> fn);
  bool HasChildren(Dentry& dir) const;

  // --- memory ---

  // Looks at up to `nr` unreferenced dentries of a super block, oldest first, and evicts those not
  // used since the last look.
  mm::ScanResult Shrink(SuperBlock& sb, size_t nr, mm::LruAge age = mm::LruAge::kAny);
  // Shutdown: drops pins and ends the tree below and including the root. False when somebody still
  // holds a part of it.
  bool KillTree(SuperBlock& sb);

  size_t live() const { return cache_.active_objects(); }
  const SlotTable& table() const { return table_; }
  const base::Sharded<DcacheStats>& stats() const { return stats_; }
  base::RcuDomain& rcu() { return rcu_; }
  void CheckInvariants();

 private:
  friend class Dentry;
  friend class NegativeCache;

  static constexpr size_t kAliasStripes = 16;
  static constexpr SlotTable::Entry kNegativeBit = 1;
  // Reads of a path's names before it keeps renames out.
  static constexpr int kMaxPathTries = 3;
  // Walks of a tree that is dropped, before renames in it win.
  static constexpr int kMaxDropTries = 16;
  using AliasLock = base::SpinLock<base::LockRank::kInode>;
  using RenameMutex = base::Mutex<base::LockRank::kRenameSeq>;

  // The name's hash is keyed; the directory's address only has to be spread over it.
  static uint64_t HashOf(const void* dir, uint64_t name_key) {
    const uint64_t mixed = (reinterpret_cast<uintptr_t>(dir) >> 6 ^ name_key) * 0x9e3779b97f4a7c15;
    return mixed ^ mixed >> 29;
  }
  static uint64_t HashOfEntry(SlotTable::Entry entry);
  static SlotTable::Entry EntryOf(const Dentry& dentry) {
    return reinterpret_cast<uintptr_t>(&dentry);
  }
  static SlotTable::Entry EntryOf(const Negative& negative) {
    return reinterpret_cast<uintptr_t>(&negative) | kNegativeBit;
  }
  static bool IsNegative(SlotTable::Entry entry) { return entry & kNegativeBit; }
  static Negative& NegativeOf(SlotTable::Entry entry) {
    return *reinterpret_cast<Negative*>(entry & ~kNegativeBit);
  }
  static void Construct(void* memory);

  // Whether DropBelow also takes a file system's pins.
  enum class Pins : uint8_t { kKeep, kDrop };
  class MoveLocks;

  Dentry* LockParentOf(Dentry& dentry);
  void DeleteLocked(Dentry& dentry);
  void LockWithParent(Dentry& dentry, Dentry*& parent);
  void UnlockWithParent(Dentry& dentry, Dentry* parent);
  bool KeepLocked(Dentry& dentry);
  void MarkDeadLocked(Dentry& dentry);
  void UnhashLocked(Dentry& dentry);
  uint32_t UnhashLocked(Dentry& dentry, uint32_t dropped);
  void Unlist(Dentry& dentry);
  ExternalName* RenameLocked(Dentry& dentry, Dentry& new_dir, const Name& name,
                             ExternalName* external);
  static void LinkChildLocked(Dentry& dir, Dentry& child);
  static void UnlinkChildLocked(Dentry& child);

  // Whether a dentry nobody refers to any more may stay cached.
  enum class Keep : uint8_t { kNo, kYes };

  void Put(Dentry* dentry);
  void Put(Dentry* dentry, Keep keep);
  Dentry* PutLast(Dentry* dentry, Keep keep);
  Dentry* Dispose(Dentry* dead);
  bool EvictIfUnused(Dentry& dentry);
  void DropBelow(Dentry& top, Pins pins);
  bool TryDropBelow(Dentry& top, Pins pins);
  DentryRef CondemnChild(Dentry& dir, Dentry* after, Pins pins);
  DentryRef NextChild(Dentry& dir, Dentry* after);

  static bool IsOurs(const Inode& inode);
  void AddAlias(Inode& inode, Dentry& dentry);
  void RemoveAlias(Inode& inode, const Dentry& dentry);
  static void PushAlias(Inode& inode, Dentry& dentry);
  static void UnlinkAlias(Inode& inode, const Dentry& dentry);
  DentryRef AnyAlias(Inode& inode, const Dentry* other_than);
  AliasLock& AliasLockOf(const Inode& inode);

  Result<ExternalName*> MakeExternal(const Name& name);
  void FreeExternal(ExternalName* name);
  static void SetName(Dentry& dentry, const Name& name, ExternalName* external);
  static ExternalName* ExternalOf(const Dentry& dentry);
  Result<std::string> TryPathOf(const Dentry& dentry, const Dentry& top) const;
  static Status ReadPath(const Dentry& dentry, const Dentry& top, ReversePath& path);

  Vfs& vfs_;
  base::RcuDomain& rcu_;
  mm::Memory& memory_;
  mm::ObjectCache<Dentry> cache_;
  SlotTable table_;
  mutable RenameMutex rename_mutex_;
  base::SeqCount rename_seq_;  // rename_mutex_
  std::array<AliasLock, kAliasStripes> alias_locks_;
  base::Sharded<DcacheStats> stats_;
};

[[gnu::always_inline]] inline Dcache::Plain Dcache::LookupPlainRcu(const SlotTable::View& table,
                                                                   const Dentry& dir, uint64_t key,
                                                                   uint64_t word0, uint64_t word1) {
  Plain found = {};
  constexpr uint32_t kMore = kDentryUnhashed | kDentryMounted | kDentryRevalidate | kDentrySymlink;
  const SlotTable::Entry entry = table.FindEven(HashOf(&dir, key), [&](SlotTable::Entry candidate) {
    const auto& dentry = *reinterpret_cast<const Dentry*>(candidate);
    found.seq = dentry.seq_.Sample();
    found.flags = dentry.flags();
    return dentry.parent() == &dir && dentry.NameStarts(key, word0, word1) &&
           (found.flags & kMore) == 0;
  });
  // Of a dentry that changes now nothing is believed: no count is even and this one at once.
  found.seq &= ~uint32_t{1};
  found.dentry = reinterpret_cast<Dentry*>(entry);
  return found;
}

inline Dcache::Found Dcache::LookupRcu(const Dentry& dir, uint32_t dir_seq, const Name& name) {
  Found found;
  table_.Find(HashOf(&dir, name.key()), [&](SlotTable::Entry entry) {
    if (IsNegative(entry)) [[unlikely]] {
      Negative& negative = NegativeOf(entry);
      if (!negative.Matches(dir, dir_seq, name)) return false;
      found.kind = Found::kNegative;
      found.negative = &negative;
      return true;
    }
    auto& dentry = *reinterpret_cast<Dentry*>(entry);
    const uint32_t seq = Sample(dentry);
    if (dentry.parent() != &dir || dentry.unhashed() || !dentry.NameIs(name, seq)) return false;
    found.kind = Found::kPositive;
    found.dentry = &dentry;
    found.seq = seq;
    return true;
  });
  return found;
}

}  // namespace dentree::vfs
