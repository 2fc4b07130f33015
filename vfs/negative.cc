// How negatives leave. How they are made is in negative_insert.cc.
#include "vfs/negative.h"

#include <algorithm>

#include "vfs/dcache.h"
#include "vfs/negative_internal.h"
#include "vfs/negative_policy.h"
#include "vfs/super_block.h"

namespace dentree::vfs {

void NegativeStats::NoteSteps(uint32_t steps) {
  max_steps.Note(steps);
  base::Counter& bucket = steps <= 1    ? steps_to_1
                          : steps <= 4  ? steps_to_4
                          : steps <= 8  ? steps_to_8
                          : steps <= 16 ? steps_to_16
                          : steps <= 25 ? steps_to_25
                                        : steps_more;
  bucket.Add();
}

NegativeCache::NegativeCache(Dcache& dcache, mm::Memory& memory, base::RcuDomain& rcu,
                             const base::Clock& clock, size_t limit)
    : dcache_(dcache),
      memory_(memory),
      rcu_(rcu),
      clock_(clock),
      spaces_{{memory, "dentry_negative", "dentry_negative_long"},
              {memory, "dentry_negative_2", "dentry_negative_long_2"}},
      dir_cache_(memory, "negative_dir", mm::CacheFlags::kReclaimable),
      dirs_(memory, rcu, HashOfDir),
      registration_(memory, *this) {
  stats_.limit = limit;
  now_ms_ = ticked_ms_ = MonotonicMs(clock.MonotonicNs());
  stats_.shards = &hits_;
}

NegativeCache::~NegativeCache() {
  rcu_.Drain();
  CHECK(policies_ == nullptr, "a super block outlived its Vfs");
  {
    base::MutexLock lock(lock_);
    closing_ = true;
  }
  while (leaving_count_.load(std::memory_order_relaxed) != 0) FreeLeaving();
  const Session last(*this);  // what DirGone left
}

// --- finding ---------------------------------------------------------------------------------

uint64_t NegativeCache::HashOfDir(SlotTable::Entry entry) {
  return Dcache::HashOf(reinterpret_cast<const NegativeDir*>(entry)->dentry, 0);
}

NegativeDir* NegativeCache::FindDir(const Dentry& dir) const {
  const base::RcuReadGuard guard(rcu_);
  return reinterpret_cast<NegativeDir*>(
      dirs_.Find(Dcache::HashOf(&dir, 0), [&](SlotTable::Entry entry) {
        return reinterpret_cast<const NegativeDir*>(entry)->dentry == &dir;
      }));
}

// In an RCU section, or with the lock held.
Negative* NegativeCache::Find(const Dentry& dir, const Name& name) const {
  const base::RcuReadGuard guard(rcu_);
  const uint32_t dir_seq = Dcache::Sample(dir);
  const SlotTable::Entry entry =
      dcache_.table_.Find(Dcache::HashOf(&dir, name.key()), [&](SlotTable::Entry candidate) {
        return Dcache::IsNegative(candidate) &&
               Dcache::NegativeOf(candidate).Matches(dir, dir_seq, name);
      });
  return entry == 0 ? nullptr : &Dcache::NegativeOf(entry);
}

// The policy of a directory that is not gone: null when there is none just now.
NegativePolicy* NegativeCache::PolicyOf(const NegativeDir& dir) const {
  return dir.dentry->inode().sb().negatives_.policy;
}

// The policy in whose queues an entry is; null when it is leaving. Its directory is not gone.
NegativePolicy* NegativeCache::QueuedIn(const Negative& negative) const {
  NegativePolicy* const policy = PolicyOf(*negative.dir);
  return policy != nullptr && policy->generation() == negative.generation ? policy : nullptr;
}

void NegativeCache::Tell(Negative& negative) {
  const Session session(*this);
  if (negative.queue == Negative::kNone || negative.dir->gone()) return;
  NegativePolicy* const policy = QueuedIn(negative);
  if (policy == nullptr || negative.queue == Negative::kDeferred) return;
  policy->Hit(negative);
}

// --- leaving ---------------------------------------------------------------------------------

// So many entries of a policy are in its queues no longer.
void NegativeCache::Left(NegativePolicy& policy, size_t count) {
  policy.size_ -= count;
  if (policy.has_limit()) limited_ -= count;
}

// Ends an entry that is in no queue any more.
void NegativeCache::Discard(Negative& negative) {
  NegativeDir& dir = *negative.dir;
  const bool found =
      dcache_.table_.Remove(Dcache::HashOf(dir.dentry, negative.key()), Dcache::EntryOf(negative));
  DCHECK(found, "a negative that is queued is in the table");
  (void)found;
  negative.queue = Negative::kNone;
  negative.link.next = std::exchange(dead_.entries, &negative);
  stats_.entries.Sub();
  stats_.bytes.Sub(static_cast<int64_t>(negative.bytes()));
  if (--dir.entries > 0) return;
  if (dir.gone()) {
    dir.link.next = std::exchange(dead_.dirs, &dir);
  } else if (scanning_) {
    DirGoneLocked(dir);
  }
}

void NegativeCache::Evicted(Negative& negative, NegativeEviction reason) {
  if (scanning_ && reason <= NegativeEviction::kDir) reason = NegativeEviction::kShrink;
  stats_.evictions.Add();
  stats_.evicted[static_cast<size_t>(reason)].Add();
  Discard(negative);
}

// Takes an entry out of its queue, whichever that is. Its directory is not gone.
void NegativeCache::Take(Negative& negative) {
  NegativePolicy* const policy = QueuedIn(negative);
  if (policy == nullptr) {
    leaving_.Remove(negative);
    leaving_count_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  if (negative.queue == Negative::kDeferred) {
    policy->deferred_.Remove(negative);
    --policy->deferred_count_;
  } else {
    policy->Leave(negative);
  }
  Left(*policy, 1);
}

void NegativeCache::Forget(const Dentry& dir, const Name& name) {
  // What is moved in memory meanwhile changes its place in the table at once: either is found.
  if (Find(dir, name) == nullptr) return;
  const Session session(*this);
  while (Negative* const negative = Find(dir, name)) {
    Take(*negative);
    Discard(*negative);
    stats_.replaced.Add();
  }
}

bool NegativeCache::Refresh(const Dentry& dir, const Name& name, uint32_t asked_ms) {
  const base::RcuReadGuard guard(rcu_);
  Negative* const negative = Find(dir, name);
  if (negative == nullptr) return false;
  // What is copied or evicted this moment is asked for again: no more.
  negative->asked_ms.store(asked_ms, std::memory_order_relaxed);
  return true;
}

// One of those that leave goes, or joins the policy there is now, if it was asked for. False: there
// is none.
bool NegativeCache::PopLeaving() {
  Negative* const negative = leaving_.oldest();
  if (negative == nullptr) return false;
  ++steps_;
  leaving_.Remove(*negative);
  leaving_count_.fetch_sub(1, std::memory_order_relaxed);
  const uint8_t use = negative->used();
  const bool used = use != 0 && use != Negative::kTold;
  NegativePolicy* const policy =
      negative->dir->gone() || scanning_ ? nullptr : PolicyOf(*negative->dir);
  const bool fits = policy != nullptr && policy->ready() && limited_ < limit();
  if (used && fits && policy->Admit(negative->dir, 0)) {
    Join(*negative, *policy, NegativeVerdict::kKeep);
  } else {
    Evicted(*negative, NegativeEviction::kGone);
  }
  return true;
}

void NegativeCache::FreeLeaving() {
  const Session session(*this);
  for (int i = 0; i < kLeavingPerWork && PopLeaving(); ++i) {
  }
}

void NegativeCache::DirGoneLocked(NegativeDir& dir) {
  if (NegativePolicy* const policy = PolicyOf(dir)) {
    const size_t queued = dir.queued_count();
    if (queued > 0 && leaving_.empty()) leaving_since_ = next_generation_;
    policy->DirGone(dir);
    if (policy->per_dir()) {
      Left(*policy, queued);
      leaving_count_.fetch_add(queued, std::memory_order_relaxed);
    }
  }
  stats_.quota_units.Sub(dir.quota);
  stats_.dirs.Sub();
  dirs_.Remove(Dcache::HashOf(dir.dentry, 0), reinterpret_cast<uintptr_t>(&dir));
  dir.seq.fetch_or(1, std::memory_order_relaxed);
  if (dir.entries == 0) dir.link.next = std::exchange(dead_.dirs, &dir);
}

void NegativeCache::DirGone(const Dentry& dir) {
  base::MutexLock lock(lock_);
  if (NegativeDir* const known = FindDir(dir)) DirGoneLocked(*known);
}

// Frees what is dead, after a grace period. Nothing is locked by us.
void NegativeCache::Settle(Dead dead) {
  const auto free = [](base::RcuHead* head) {
    mm::Cache::FreeObject(reinterpret_cast<char*>(head) - offsetof(Negative, free));
  };
  const auto free_dir = [](base::RcuHead* head) {
    mm::Cache::FreeObject(reinterpret_cast<char*>(head) - offsetof(NegativeDir, free));
  };
  while (Negative* const negative = dead.entries) {
    dead.entries = negative->link.next;
    if (closing_) {
      mm::Cache::FreeObject(negative);
    } else {
      rcu_.Retire(&negative->free, free, negative->bytes());
    }
  }
  while (NegativeDir* const dir = dead.dirs) {
    dead.dirs = dir->link.next;
    if (closing_) {
      mm::Cache::FreeObject(dir);
    } else {
      rcu_.Retire(&dir->free, free_dir, sizeof(NegativeDir));
    }
  }
}

// --- reclaim ---------------------------------------------------------------------------------

// Lets one of a policy's go. False: it has none.
bool NegativeCache::EvictOne(NegativePolicy& policy, NegativeDir* dir) {
  const NegativePolicy::Victim victim = policy.Choose(dir);
  if (victim.negative == nullptr) return false;
  policy.Evict(victim);
  return true;
}

// Those that leave first, then those of removed names, then each policy in its turn.
bool NegativeCache::EvictForScan() {
  if (PopLeaving()) return true;
  NegativePolicy* const first = policies_;
  if (first == nullptr) return false;
  do {
    NegativePolicy& policy = *policies_;
    policies_ = policy.next_;
    if (Negative* const deferred = policy.deferred_.oldest()) {
      ++steps_;
      policy.deferred_.Remove(*deferred);
      --policy.deferred_count_;
      Left(policy, 1);
      Evicted(*deferred, NegativeEviction::kDeferred);
      return true;
    }
    if (EvictOne(policy, nullptr)) return true;
  } while (policies_ != first);
  return false;
}

mm::ScanResult NegativeCache::Scan(size_t nr) {
  mm::ScanResult result;
  while (result.scanned < nr) {
    const Session session(*this);
    scanning_ = true;
    const bool freed = EvictForScan();
    scanning_ = false;
    if (!freed) break;
    result.scanned += std::clamp<size_t>(steps_, 1, nr - result.scanned);
    if (steps_ > 1) result.kept.referenced += steps_ - 1;
    ++result.freed;
  }
  dcache_.table_.Shed();
  // While most of what is looked at goes, what is left may go too: not worth moving.
  if (2 * result.freed <= result.scanned) Compact(kMovesPerScan, kSlotsPerScan);
  return result;
}

// --- checks ----------------------------------------------------------------------------------

void NegativeCache::CheckInvariants() const {
  base::MutexLock lock(lock_);
  size_t count = leaving_count_.load(std::memory_order_relaxed);
  size_t limited = 0;
  const NegativePolicy* policy = policies_;
  if (policy != nullptr) {
    do {
      count += policy->size();
      if (policy->has_limit()) limited += policy->size();
      policy = policy->next_;
    } while (policy != policies_);
  }
  CHECK(count == size(), "as many negatives are queued as counted");
  CHECK(limited == limited_, "as many negatives are limited as counted");
  size_t in_table = 0;
  const base::RcuReadGuard guard(rcu_);
  dcache_.table_.ForEach([&](SlotTable::Entry entry) {
    if (!Dcache::IsNegative(entry)) return;
    ++in_table;
    const Negative& negative = Dcache::NegativeOf(entry);
    CHECK(negative.queue != Negative::kNone, "a negative in the table is in a queue");
    CHECK(negative.dir->entries > 0, "a directory knows how many negatives it has");
  });
  CHECK(in_table == size(), "as many negatives are in the table as counted");
}

}  // namespace dentree::vfs
