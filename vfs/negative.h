// Negative: the knowledge that a name does not exist, one cache line each; NegativeDir: what is
// kept for a directory that has some; NegativeCache: all of a Vfs. Which are kept and which go is
// decided by a policy for each super block: negative_policy.h.
//
// Which events move an entry:
//     a lookup misses, and the file system has to be asked  -> the policy admits it or not; in the
//                                                              hash and in a queue
//     a name is removed                                     -> the same, or first to go
//     a lookup hits it                                      -> one store; none when saturated
//     it was asked for again, and is still missing          -> its time is new, no more
//     the name comes to exist                               -> freed at once
//     its directory's dentry dies, is removed or renamed    -> dead where it stands: the
//                                                              NegativeDir says so, O(1)
//     the policy, the limit or reclaim chooses it           -> freed
// No dentry knows its negatives, and rmdir, readdir, notify and unmount never meet one. Where the
// policy keeps a queue for each directory, that is put as a whole with what is leaving; elsewhere
// the dead are taken as they come to be the oldest. Later work frees a few of those that leave each
// time, and reclaim frees them first.
//
// Thread safety: what a lookup reads is written before the entry enters the hash and not after, but
// for `use`; readers are in an RCU section. All queues have one lock per Vfs, of rank kLru; under
// it, an entry is in a queue exactly while it is in the hash.
// Lifetime: entries and NegativeDirs are freed after a grace period; an entry's NegativeDir
// outlives it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/dentry.h"
#include "vfs/negative_options.h"
#include "vfs/negative_queue.h"
#include "vfs/slot_table.h"

namespace dentree::vfs {

class Dcache;
class NegativePolicy;
class SuperBlock;

// Negatives kept per Vfs unless Vfs::Options says otherwise.
inline constexpr size_t kDefaultNegativeLimit = 8192;

// Why a name is missing.
enum class NegativeReason : uint8_t { kMiss, kUnlink, kRmdir, kRename };
// Why an entry goes.
enum class NegativeEviction : uint8_t {
  kCold,      // seldom or never asked for, to make room
  kHot,       // though it had been asked for, to make room
  kDir,       // its directory had more than it may have
  kShrink,    // reclaim
  kAge,       // nobody asked for it for a long time
  kDeferred,  // of a removed name, and nobody asked for it soon
  kGone,      // its directory is gone, or its policy
};

struct NegativeHits {
  base::Counter hits;
};

struct NegativeStats {
  static constexpr size_t kReasons = static_cast<size_t>(NegativeEviction::kGone) + 1;

  base::Gauge entries;
  size_t limit = 0;
  base::HighWater high_water;
  base::Counter inserts, evictions, refusals, drops, replaced, deferred, refaults, promotions;
  base::Counter evicted[kReasons];
  base::Gauge bytes, dirs, quota_units;
  base::HighWater max_steps;
  base::Counter steps_to_1, steps_to_4, steps_to_8, steps_to_16, steps_to_25, steps_more;
  base::Counter ticks, compactions, moved;
  const base::Sharded<NegativeHits>* shards = nullptr;

  uint64_t Hits() const { return shards->Sum<&NegativeHits::hits>(); }
  template <NegativeEviction kReason>
  uint64_t Evicted() const {
    return evicted[static_cast<size_t>(kReason)].Value();
  }
  int64_t Quota() const { return quota_units.Value() / 16; }
  void NoteSteps(uint32_t steps);
};
inline constexpr auto kNegativeFields = base::Fields(
    base::F<&NegativeStats::entries>("entries", "Negatives there are", base::StatKind::kInstant),
    base::F<&NegativeStats::limit>("limit", "The most that policies with a limit keep",
                                   base::StatKind::kInstant),
    base::F<&NegativeStats::high_water, &NegativeStats::entries>(
        "high_water", "The most there were", base::StatKind::kHighWater),
    base::F<&NegativeStats::bytes>("bytes", "What they take", base::StatKind::kInstant,
                                   base::StatUnit::kBytes),
    base::F<&NegativeStats::dirs>("dirs", "Directories that have some, or had",
                                  base::StatKind::kInstant),
    base::F<&NegativeStats::Quota>("quota", "Sum of the directories' quotas (dirs3)",
                                   base::StatKind::kInstant),
    base::F<&NegativeStats::Hits>("hits", "Lookups answered by one", base::StatKind::kCumulative),
    base::F<&NegativeStats::inserts>("inserts", "Negatives made", base::StatKind::kCumulative),
    base::F<&NegativeStats::drops>("drops", "Not made, by the policy", base::StatKind::kCumulative),
    base::F<&NegativeStats::refusals>("refusals", "Not made: no memory, or a long name",
                                      base::StatKind::kCumulative),
    base::F<&NegativeStats::deferred>("deferred", "Of removed names, made to go first",
                                      base::StatKind::kCumulative),
    base::F<&NegativeStats::refaults>("refaults", "Made again soon after they went",
                                      base::StatKind::kCumulative),
    base::F<&NegativeStats::promotions>("promotions", "Put among those that are asked for often",
                                        base::StatKind::kCumulative),
    base::F<&NegativeStats::replaced>("replaced", "Gone because the name came to exist",
                                      base::StatKind::kCumulative),
    base::F<&NegativeStats::evictions>("evictions", "Gone for any other reason",
                                       base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kCold>>(
        "evicted_cold", "Of these, seldom asked for, to make room", base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kHot>>(
        "evicted_hot", "Often asked for, to make room", base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kDir>>(
        "evicted_dir", "Their directory had too many", base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kShrink>>("evicted_shrink", "By reclaim",
                                                                base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kAge>>(
        "evicted_age", "Not asked for in a long time", base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kDeferred>>(
        "evicted_deferred", "Of removed names", base::StatKind::kCumulative),
    base::F<&NegativeStats::Evicted<NegativeEviction::kGone>>(
        "evicted_gone", "Their directory or their policy is gone", base::StatKind::kCumulative),
    base::F<&NegativeStats::max_steps>("max_steps",
                                       "The most entries and directories looked at "
                                       "to insert one",
                                       base::StatKind::kHighWater),
    base::F<&NegativeStats::steps_to_1>("steps_to_1", "Inserts that looked at one or none",
                                        base::StatKind::kCumulative),
    base::F<&NegativeStats::steps_to_4>("steps_to_4", "At 2 to 4", base::StatKind::kCumulative),
    base::F<&NegativeStats::steps_to_8>("steps_to_8", "At 5 to 8", base::StatKind::kCumulative),
    base::F<&NegativeStats::steps_to_16>("steps_to_16", "At 9 to 16", base::StatKind::kCumulative),
    base::F<&NegativeStats::steps_to_25>("steps_to_25", "At 17 to 25", base::StatKind::kCumulative),
    base::F<&NegativeStats::steps_more>("steps_more", "At more", base::StatKind::kCumulative),
    base::F<&NegativeStats::ticks>("ticks", "Rounds of ageing", base::StatKind::kCumulative),
    base::F<&NegativeStats::compactions>("compactions", "Times they were moved together",
                                         base::StatKind::kCumulative),
    base::F<&NegativeStats::moved>("moved", "Moved then", base::StatKind::kCumulative));

// All negatives of a Vfs.
class NegativeCache final : public mm::Shrinker {
 public:
  // Of those that leave, what one insert frees at most.
  static constexpr uint32_t kLeavingPerInsert = 2;
  // The most that are deferred in one super block, and for how long.
  static constexpr size_t kMaxDeferred = 256;
  static constexpr uint32_t kDeferMs = 5000;
  // What one tick looks at; a tick is due when an insert or reclaim finds the last one this old.
  static constexpr uint32_t kTickSteps = 64;
  static constexpr uint32_t kTickMs = 1000;
  // One insert in so many reads the clock, unless it knows the time.
  static constexpr uint32_t kClockInserts = 16;
  // Other super blocks that are looked at for one with more than its share.
  static constexpr int kMaxPolicyVisits = 4;
  // Tries of one insert, each with what the one before found wanting.
  static constexpr int kMaxTries = 5;
  // What FreeLeaving frees.
  static constexpr int kLeavingPerWork = 8;
  // Steps of one insert before its policy is asked for a victim: those that leave, and two of
  // removed names.
  static constexpr uint32_t kStepsBefore = kLeavingPerInsert + 2;
  // Entries moved and slots of the table searched for them per call, where memory is mostly holes.
  static constexpr size_t kMovesPerTick = 256, kSlotsPerTick = 4096;
  static constexpr size_t kMovesPerScan = 1024, kSlotsPerScan = 16384;

  NegativeCache(Dcache& dcache, mm::Memory& memory, base::RcuDomain& rcu, const base::Clock& clock,
                size_t limit);
  ~NegativeCache() override;

  // Remembers that `name` is not in `dir`, if the policy will have it; what has to go for it goes
  // in a bounded number of steps: NegativePolicy::max_steps(). Does nothing without memory: it is a
  // cache. `now_ms`: 0 if not known. False: the dentry need not be marked (kDentryNegatives).
  // REQUIRES: the directory's semaphore held for writing.
  bool Insert(const Dentry& dir, uint32_t dir_seq, const Name& name, uint32_t now_ms,
              NegativeReason reason);
  // The name came to exist, or may have.
  // REQUIRES: as Insert.
  void Forget(const Dentry& dir, const Name& name);
  // The file system was asked again, and the name is still missing: it keeps its place. False: it
  // is not known. REQUIRES: as Insert.
  bool Refresh(const Dentry& dir, const Name& name, uint32_t asked_ms);
  // A lookup found it and believes it. In the RCU section in which it was found.
  void NoteHit(Negative& negative) {
    hits_.Add<&NegativeHits::hits>();
    if (negative.Touch()) [[unlikely]]
      Tell(negative);
  }
  // What was known of the directory holds no longer, or it is about to be freed. O(1). Never waits.
  // May be called with the dentry locked.
  void DirGone(const Dentry& dir);
  // Frees a few of those that leave. Called with no lock of rank kNode or inside it.
  void Work() {
    if (leaving_count_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      FreeLeaving();
  }

  // --- the policy of a super block ---

  // Takes effect at once; negatives of the former policy stay known until they have left. Until the
  // first negative comes, a super block has options only. kNoMem.
  Status SetOptions(SuperBlock& sb, const NegativeOptions& options);
  // ",neg=lru" if it was asked for, as in /proc/mounts.
  std::string OptionsText(const SuperBlock& sb) const;
  // The super block's dentries are gone. O(directories that have negatives).
  void SuperGone(SuperBlock& sb);

  size_t size() const { return static_cast<size_t>(stats_.entries.Value()); }
  size_t limit() const { return stats_.limit; }
  const NegativeStats& stats() const { return stats_; }
  NegativeStats& stats() { return stats_; }  // for whoever makes the high water start again
  // Moves entries together whether that is worth it or not, and all of them: for tests.
  void MoveAll();
  // Memory that the entries' pages take, as charged; and of that, what the entries fill.
  size_t held_bytes() const { return spaces_[0].bytes() + spaces_[1].bytes(); }
  size_t live_bytes() const { return spaces_[0].live_bytes() + spaces_[1].live_bytes(); }

  std::string_view name() const override { return "negative"; }
  size_t Count() override { return size(); }
  mm::ScanResult Scan(size_t nr) override;

  void CheckInvariants() const;

  // --- for policies, which are called with the lock held ---

  // Something was looked at.
  void Step() { ++steps_; }
  // What of the limit is a policy's: all of it while it is alone.
  size_t Share() const { return limit() / std::max<size_t>(limited_policies_, 1); }
  bool IsFull() const { return limited_ >= limit(); }
  uint32_t now_ms() const { return now_ms_; }

 private:
  friend class NegativePolicy;
  using Lock = base::SpinLock<base::LockRank::kLru>;

  class Session;
  struct Newcomer;
  struct Supplies;
  enum class Outcome : uint8_t { kMade, kNot, kWants };
  // To be freed once nothing is locked, each by `next`.
  struct Dead {
    Negative* entries = nullptr;
    NegativeDir* dirs = nullptr;
  };
  // Two of each, so that the entries of one that is full of holes can move to the other.
  struct Space {
    Space(mm::Memory& memory, const char* short_name, const char* long_name)
        : shorts(memory, short_name, mm::CacheFlags::kReclaimable),
          longs(memory, long_name, mm::CacheFlags::kReclaimable) {}
    size_t active() const { return shorts.active_objects() + longs.active_objects(); }
    size_t bytes() const { return shorts.Info().bytes + longs.Info().bytes; }
    size_t live_bytes() const { return LiveBytes(shorts.Info()) + LiveBytes(longs.Info()); }
    static size_t LiveBytes(const mm::CacheInfo& info) {
      return info.active_objects * info.slot_bytes;
    }
    mm::ObjectCache<Negative> shorts;
    mm::ObjectCache<LongNegative> longs;
  };

  // Making (negative_insert.cc).
  uint32_t TimeOf(const Newcomer& newcomer);
  Negative* Alloc(bool is_long);
  bool Supply(const Newcomer& newcomer, Supplies& supplies);
  Outcome TryInsert(const Newcomer& newcomer, Supplies& supplies);
  NegativePolicy* PolicyFor(const Newcomer& newcomer, Supplies& supplies);
  NegativeVerdict Judge(const Newcomer& newcomer, NegativePolicy& policy, NegativeDir* dir) const;
  NegativeDir* DirFor(const Newcomer& newcomer, Supplies& supplies);
  void Join(Negative& negative, NegativePolicy& policy, NegativeVerdict verdict);
  bool PassDeferred(NegativePolicy& policy);
  void MakeRoom(NegativePolicy& policy, NegativeDir* dir);
  NegativePolicy& WhoPays(NegativePolicy& policy);
  void AddPolicy(NegativePolicy& policy, SuperBlock& sb);
  void RemovePolicy(NegativePolicy& policy);
  void TickLocked();

  // Leaving.
  bool EvictOne(NegativePolicy& policy, NegativeDir* dir);
  bool EvictForScan();
  bool PopLeaving();
  void FreeLeaving();
  void Take(Negative& negative);
  void Left(NegativePolicy& policy, size_t count);
  void Discard(Negative& negative);
  void Evicted(Negative& negative, NegativeEviction reason);
  void DirGoneLocked(NegativeDir& dir);
  void Settle(Dead dead);

  NegativePolicy* PolicyOf(const NegativeDir& dir) const;
  NegativePolicy* QueuedIn(const Negative& negative) const;
  static uint64_t HashOfDir(SlotTable::Entry entry);
  NegativeDir* FindDir(const Dentry& dir) const;
  Negative* Find(const Dentry& dir, const Name& name) const;
  void Tell(Negative& negative);

  // Moving together (negative_compact.cc).
  bool IsMoving() const { return spaces_[1 - space_.load(std::memory_order_relaxed)].active() > 0; }
  bool WantsMoving() const;
  void Compact(size_t most, size_t slots);
  void StartMoving();
  void Move(size_t most, size_t slots);
  bool MoveNext(std::array<Negative*, 2>& fresh, size_t& slots);
  void MoveLocked(Negative& from, Negative& to);

  Dcache& dcache_;
  mm::Memory& memory_;
  base::RcuDomain& rcu_;
  const base::Clock& clock_;
  Space spaces_[2];
  std::atomic<uint8_t> space_{0};  // where entries are made
  mm::ObjectCache<NegativeDir> dir_cache_;
  SlotTable dirs_;
  std::atomic<uint32_t> inserts_{0};
  std::atomic<size_t> leaving_count_{0};

  // All that follows, all queues, all NegativeDirs and all policies.
  mutable Lock lock_;
  NegativePolicy* policies_ = nullptr;  // a ring
  size_t limited_policies_ = 0;         // with a limit
  size_t limited_ = 0;                  // entries of these
  NegativeQueue leaving_;               // their policy or their directory is gone
  uint16_t next_generation_ = 0;
  uint16_t leaving_since_ = 0;  // next_generation_ when the first of leaving_ came
  bool scanning_ = false;       // empty directories go too
  bool closing_ = false;        // no reader is left
  uint32_t now_ms_ = 0;
  uint32_t ticked_ms_ = 0;
  uint32_t steps_ = 0;  // of the call at hand
  Dead dead_;
  size_t move_at_ = 0;  // slot of the table
  base::Sharded<NegativeHits> hits_;
  NegativeStats stats_;
  mm::ShrinkerRegistration registration_;
};

// Monotonic milliseconds modulo 2^32, the unit of Negative::asked_ms.
constexpr uint32_t MonotonicMs(int64_t monotonic_ns) {
  return static_cast<uint32_t>(monotonic_ns / 1'000'000);
}

}  // namespace dentree::vfs
