// The memory of one Vfs: a budget in bytes, the caches that use it, the shrinkers that give it
// back.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/lock_rank.h"
#include "base/mutex.h"
#include "base/rcu.h"
#include "base/stats.h"
#include "base/sync_point.h"
#include "base/thread_annotations.h"
#include "base/thread_index.h"
#include "mm/cache.h"
#include "mm/shrinker.h"
#include "mm/site.h"

namespace dentree::mm {

class BackgroundReclaim;
class ReclaimGoal;
class SlabArena;

// What a Memory does when objects outlive their cache, or bytes their Memory.
enum class OnLeak : uint8_t { kReport, kAbort };

// Objects that were still owned when their cache was destroyed, or bytes never given back.
struct Leak {
  std::string name;  // the cache's, or "bytes"
  size_t count = 0;  // objects, or bytes
  // With profiling, the sites that allocated them: "vfs/dcache.cc:189 func:Dcache::Alloc (3)", with
  // ", " between several.
  std::string sites = {};
};

struct DropResult {
  size_t freed_objects = 0;
  size_t freed_bytes = 0;  // given back to the budget
  size_t passes = 0;
};

struct MemoryStats {
  size_t limit = 0;
  std::atomic<size_t> used{0};
  std::atomic<size_t> variable_bytes{0};
  base::HighWater high_water;
  base::Counter refused;
  base::Counter reclaims;
  base::Counter scanned;
  base::Counter freed;
  base::Counter grace_period_waits;
  base::Counter drops;
  size_t reserve = 0;
  base::Counter reserve_charges;
  base::Counter background_wakeups;
  base::Counter background_failures;
  base::Counter background_bytes;
  base::Counter reports;
  base::Counter reports_suppressed;
};

inline constexpr auto kMemoryFields = base::Fields(
    base::F<&MemoryStats::limit>("limit", "The budget", base::StatKind::kInstant,
                                 base::StatUnit::kBytes),
    base::F<&MemoryStats::used>("used", "Charged to the budget", base::StatKind::kInstant,
                                base::StatUnit::kBytes),
    base::F<&MemoryStats::variable_bytes>("variable_bytes", "Of these, outside of object caches",
                                          base::StatKind::kInstant, base::StatUnit::kBytes),
    base::F<&MemoryStats::high_water, &MemoryStats::used>(
        "high_water", "The most ever charged", base::StatKind::kHighWater, base::StatUnit::kBytes),
    base::F<&MemoryStats::refused>("refused", "Charges refused after reclaim",
                                   base::StatKind::kCumulative),
    base::F<&MemoryStats::reclaims>("reclaims", "Charges that had to reclaim",
                                    base::StatKind::kCumulative),
    base::F<&MemoryStats::scanned>("scanned", "Objects shrinkers looked at",
                                   base::StatKind::kCumulative),
    base::F<&MemoryStats::freed>("freed", "Objects shrinkers freed", base::StatKind::kCumulative),
    base::F<&MemoryStats::grace_period_waits>(
        "grace_period_waits", "Grace periods reclaim waited for", base::StatKind::kCumulative),
    base::F<&MemoryStats::drops>("drops", "Times the caches were dropped",
                                 base::StatKind::kCumulative),
    base::F<&MemoryStats::reserve>("reserve", "Kept for what must not fail",
                                   base::StatKind::kInstant, base::StatUnit::kBytes),
    base::F<&MemoryStats::reserve_charges>("reserve_charges", "Charges the reserve was asked for",
                                           base::StatKind::kCumulative),
    base::F<&MemoryStats::background_wakeups>("background_wakeups",
                                              "Times the background reclaim was woken",
                                              base::StatKind::kCumulative),
    base::F<&MemoryStats::background_failures>("background_failures",
                                               "Times it ended above the high watermark",
                                               base::StatKind::kCumulative),
    base::F<&MemoryStats::background_bytes>("background_bytes", "Bytes it gave back",
                                            base::StatKind::kCumulative, base::StatUnit::kBytes),
    base::F<&MemoryStats::reports>("reports", "Reports written because memory was refused",
                                   base::StatKind::kCumulative),
    base::F<&MemoryStats::reports_suppressed>("reports_suppressed",
                                              "Reports not written so soon after another",
                                              base::StatKind::kCumulative));

// What a charge that was refused was for: what a report begins with.
struct Refusal {
  std::string_view name = {};  // a cache, or the fault point of a block; empty: there is none
  size_t bytes = 0;
};

// The budget of one Vfs or Os, with its caches and shrinkers.
//
// Every byte of slabs and of variable-size things is charged. A charge that does not fit reclaims
// directly: shrinkers at priority 12 (gentle) to 0 (everything) as Linux does, one batch at a time
// and only until the charge fits; what the shrinkers gave to RCU counts as used until a grace
// period has passed, so reclaim waits for expedited ones (kMaxGracePeriodWaits at most) before it
// refuses. With watermarks a thread reclaims earlier, so that fewer charges have to
// (mm/background_internal.h).
//
// The reserve is a part of the budget that only charges within a ReserveScope may take, after
// reclaim: for operations that must not fail, because they are how a user gets out of the shortage.
// docs/memory.md lists them.
//
// Thread safety: everything may be called by any thread. Charging is one atomic word; the lists of
// caches and shrinkers are guarded by registry_mu_ (rank kStats), which is never held while a
// shrinker runs. Whatever may reclaim (Charge, AllocBytes, Reclaim, DropCaches) may be called with
// locks up to rank kRegistry held, none of kNode or above, and outside RCU sections; it may wait
// for a grace period, so no reader may wait for a lock that is held here.
//
// Lifetime: outlives its caches and registrations; the RCU domain, faults and sync points outlive
// it.
class Memory {
 public:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
#ifdef NDEBUG
  static constexpr OnLeak kDefaultOnLeak = OnLeak::kReport;
  static constexpr bool kDefaultProfile = false;
#else
  static constexpr OnLeak kDefaultOnLeak = OnLeak::kAbort;
  static constexpr bool kDefaultProfile = true;
#endif
  static constexpr int64_t kDefaultReportIntervalNs = 1'000'000'000;

  struct Options {
    size_t limit_bytes = kNoLimit;
    OnLeak on_leak = kDefaultOnLeak;
    // Of the limit; at most an eighth of it. Without a limit there is none.
    size_t reserve_bytes = 0;
    // Bytes free: below the first a thread begins to reclaim, until the second are free. 0: there
    // is no such thread. Like the limit they leave the reserve out.
    size_t low_watermark_bytes = 0;
    size_t high_watermark_bytes = 0;
    // Whether each object has the site that allocated it beside it (SiteTable).
    bool profile = kDefaultProfile;
    // Refusals sooner after a report than this make none.
    int64_t report_interval_ns = kDefaultReportIntervalNs;
  };

  // The most that a report is.
  static constexpr size_t kReportBytes = 8192;
  // vfs_cache_pressure: what reclaim counts on of the dentries and inodes, in parts of the
  // denominator. 0: none, they are never reclaimed.
  static constexpr uint32_t kDefaultPressure = 100;

  // Shrinker priorities: at priority p a shrinker is asked for about 2^-p of what it has.
  static constexpr int kGentlestPriority = 12;
  // Grace periods one reclaim waits for, the last before refusing included.
  static constexpr int kMaxGracePeriodWaits = 16;
  // Passes one DropCaches makes.
  static constexpr int kMaxDropPasses = 64;

  Memory(Options options, base::RcuDomain& rcu, base::FaultInjector& faults,
         base::SyncPoints& sync);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Takes `bytes` from the budget; kNoMem only after reclaim could not make room.
  base::Status Charge(size_t bytes);
  // As Charge, without reclaim.
  [[nodiscard]] bool TryCharge(size_t bytes);
  void Uncharge(size_t bytes);

  // Ends the background reclaim, if there is one, before what its shrinkers need goes.
  void StopBackground();

  size_t used() const { return stats_.used.load(std::memory_order_relaxed); }
  size_t limit() const { return stats_.limit; }
  size_t high_water() const { return static_cast<size_t>(stats_.high_water.Value()); }

  // Asks shrinkers until `bytes` came back to the budget or all have been asked for everything.
  // Returns the bytes that came back.
  size_t Reclaim(size_t bytes);
  // Everything that nobody uses goes: priority 0, repeated while it makes progress.
  DropResult DropCaches();

  // Lets all memory go that no object uses, threads' free objects included; waits for grace
  // periods. May be called where memory may be allocated.
  void SettleDeferredFrees();

  // Memory for things of variable size (names, tables), charged; aligned for any scalar. `point`
  // is a string literal, the fault point's name ("mm:name"). nullptr when refused.
  [[nodiscard]] void* AllocBytes(size_t bytes, const char* point,
                                 Site site = std::source_location::current());
  // `bytes` as given to AllocBytes; nullptr is allowed.
  void FreeBytes(void* memory, size_t bytes);

  // fn(CacheInfo) in the order of registration; under registry_mu_, so fn only copies.
  template <class Fn>
  void ForEachCache(Fn&& fn) const;
  // fn(ShrinkerInfo) in the order of registration; no lock is held, but no shrinker it has seen
  // last can unregister meanwhile.
  template <class Fn>
  void ForEachShrinker(Fn&& fn) const;

  // /proc/slabinfo, version 2.1: objects, sizes in bytes, pages of 4 KiB.
  std::string SlabInfoText() const;
  // /proc/meminfo: the rows that have a meaning here, in kB. MemTotal is the limit, or the host's
  // memory when there is none.
  std::string MemInfoText() const;
  // /proc/allocinfo, version 1.0: bytes and calls held by each site; empty without profiling.
  std::string AllocInfoText() const;
  bool profiles() const { return sites_ != nullptr; }

  // What holds the memory, and why it is not given back: a verdict of one sentence, the ten largest
  // caches, the ten shrinkers with the most objects. Words and order stay as they are. Allocates
  // nothing; returns the bytes written.
  size_t WriteReport(std::span<char> out, const Refusal& refusal = {}) const;
  // The report of the last refusal that made one; empty if there was none.
  std::string LastReport() const;

  // Null: nobody any more.
  void SetShrinkerWatch(ShrinkerWatch* watch) {
    shrinker_watch_.store(watch, std::memory_order_release);
  }
  // The shrinker with this id looks at up to `nr` objects now, whatever the budget says. Returns
  // those freed; nothing: there is no such shrinker.
  std::optional<size_t> ScanShrinker(uint32_t id, size_t nr);

  uint32_t cache_pressure() const { return pressure_.load(std::memory_order_relaxed); }
  uint32_t cache_pressure_denom() const { return pressure_denom_.load(std::memory_order_relaxed); }
  void SetCachePressure(uint32_t pressure) { pressure_.store(pressure, std::memory_order_relaxed); }
  void SetCachePressureDenom(uint32_t denom) {
    pressure_denom_.store(denom, std::memory_order_relaxed);  // not 0
  }

  const MemoryStats& stats() const { return stats_; }
  MemoryStats& stats() { return stats_; }  // for whoever makes the high water start again

  // What leaked so far: caches destroyed with owned objects. Call after the caches are gone.
  std::vector<Leak> LeakReport() const;

  base::RcuDomain& rcu() { return rcu_; }
  base::FaultInjector& faults() { return faults_; }
  base::SyncPoints& sync_points() { return sync_; }

  // In a ReserveScope of this thread.
  bool MayUseReserve() const {
    return reserve_scopes_[base::ThreadIndex()].load(std::memory_order_relaxed) != 0;
  }

 private:
  friend class BackgroundReclaim;
  friend class Cache;
  friend class ReserveScope;
  friend class ShrinkerRegistration;
  friend class SlabArena;

  // The shrinkers registered at or after, or before, the one a reclaim starts with.
  enum class Half : uint8_t { kFromStart, kBeforeStart };

  // The budget (memory.cc).
  void ChargeAlways(size_t bytes);
  bool TryChargeUpTo(size_t bytes, size_t limit);
  // In a ReserveScope of this thread: what is left of the budget with the reserve.
  bool TryChargeReserve(size_t bytes);
  base::Status ChargeFor(size_t bytes, std::string_view name);
  // What was refused is counted and, now and then, reported (oom_report.cc).
  void NoteRefusal(const Refusal& refusal);
  bool ReclaimToWatermark(size_t level);

  // Reclaim (reclaim.cc).
  bool ReclaimUntil(ReclaimGoal& goal);
  bool Reached(ReclaimGoal& goal, size_t freed);
  size_t ShrinkAll(int priority, ReclaimGoal& goal);
  size_t ShrinkHalf(int priority, ReclaimGoal& goal, uint32_t start, Half half);
  void WaitForDeferredFrees();
  void FlushMagazines();
  size_t ReleaseEmptySlabs();

  // The lists (memory.cc).
  void Register(Cache& cache);
  void Unregister(Cache& cache);
  void Register(ShrinkerRegistration& registration);
  void Unregister(ShrinkerRegistration& registration);
  // The registration after `after` (nullptr: the first), kept from unregistering until it is passed
  // as `after` in its turn, or to PutShrinker.
  ShrinkerRegistration* NextShrinker(ShrinkerRegistration* after) const;
  void PutShrinker(ShrinkerRegistration& registration) const;
  void PutShrinkerLocked(ShrinkerRegistration& registration) const DT_REQUIRES(registry_mu_);
  void RecordLeak(std::string_view name, size_t count, const std::vector<SiteUse>& sites);
  std::vector<SiteUse> BytesBySite() const;

  const OnLeak on_leak_;
  const size_t ordinary_limit_;  // without the reserve
  const int64_t report_interval_ns_;
  base::RcuDomain& rcu_;
  base::FaultInjector& faults_;
  base::SyncPoints& sync_;
  MemoryStats stats_;
  std::atomic<uint32_t> shrink_from_{0};  // id of the shrinker the next reclaim starts with
  std::atomic<uint32_t> pressure_{kDefaultPressure};
  std::atomic<uint32_t> pressure_denom_{kDefaultPressure};
  std::atomic<size_t> wake_above_{kNoLimit};  // use at which the background reclaim is woken
  // ReserveScopes of each thread, by its index.
  std::array<std::atomic<uint8_t>, base::kMaxThreads> reserve_scopes_{};

  // Held through a flush of the magazines, outside of registry_mu_. No reader takes it.
  base::Mutex<base::LockRank::kNotify> flush_mu_;
  mutable base::Mutex<base::LockRank::kStats> registry_mu_;
  mutable base::CondVar scan_ended_;  // with registry_mu_: some registration's running_ became 0
  mutable base::List<Cache, &Cache::registry_node_> caches_ DT_GUARDED_BY(registry_mu_);
  mutable base::List<ShrinkerRegistration, &ShrinkerRegistration::registry_node_> shrinkers_
      DT_GUARDED_BY(registry_mu_);
  uint32_t next_shrinker_id_ DT_GUARDED_BY(registry_mu_) = 0;
  std::vector<Leak> leaks_ DT_GUARDED_BY(registry_mu_);

  std::atomic<ShrinkerWatch*> shrinker_watch_{nullptr};
  std::atomic<int64_t> next_report_ns_{0};  // steady clock
  mutable base::Mutex<base::LockRank::kNotify> report_mu_;
  size_t last_report_bytes_ DT_GUARDED_BY(report_mu_) = 0;
  std::array<char, kReportBytes> last_report_ DT_GUARDED_BY(report_mu_);

  const std::unique_ptr<SiteTable> sites_;  // null: no profiling
  std::unique_ptr<SlabArena> arena_;
  std::unique_ptr<BackgroundReclaim> background_;  // null: none
};

// While one lives, what its thread is refused is taken from the reserve of the Memory: for
// operations that must not fail. Scopes nest. An injected failure, too, is a refusal that the
// reserve answers.
//
// Thread safety: stays on its thread.
class [[nodiscard]] ReserveScope {
 public:
  explicit ReserveScope(Memory& memory) : depth_(memory.reserve_scopes_[base::ThreadIndex()]) {
    depth_.store(static_cast<uint8_t>(depth_.load(std::memory_order_relaxed) + 1),
                 std::memory_order_relaxed);
  }
  ~ReserveScope() {
    depth_.store(static_cast<uint8_t>(depth_.load(std::memory_order_relaxed) - 1),
                 std::memory_order_relaxed);
  }
  ReserveScope(const ReserveScope&) = delete;
  ReserveScope& operator=(const ReserveScope&) = delete;

 private:
  std::atomic<uint8_t>& depth_;
};

template <class Fn>
void Memory::ForEachCache(Fn&& fn) const {
  base::MutexLock lock(registry_mu_);
  for (const Cache& cache : caches_) fn(cache.Info());
}

template <class Fn>
void Memory::ForEachShrinker(Fn&& fn) const {
  for (ShrinkerRegistration* entry = NextShrinker(nullptr); entry != nullptr;
       entry = NextShrinker(entry)) {
    fn(entry->Info());
  }
}

}  // namespace dentree::mm
