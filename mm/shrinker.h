// The contract between a cache that can give memory back and the reclaim that asks it to.
//
// It is Linux's: Count() says how many objects could be freed, Scan(nr) looks at no more than nr of
// them and frees what it may. Reclaim decides how much to ask for (mm/reclaim.cc).
//
//   class DentryShrinker : public mm::Shrinker { ... };
//   DentryShrinker shrinker_{...};
//   mm::ShrinkerRegistration registration_{memory, shrinker_};   // declared last: unregisters
//   first
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/list.h"
#include "base/stats.h"

namespace dentree::mm {

class Memory;
class ReclaimGoal;

// Objects a scan looked at and left, by reason. The sum need not reach `scanned - freed`.
struct Kept {
  size_t referenced = 0;  // used since the last look (second chance)
  size_t busy = 0;        // somebody holds a reference
  size_t locked = 0;      // its lock, or its parent's, could not be had without waiting
  size_t pinned = 0;      // must stay: dirty, mounted upon, has children
};

struct ScanResult {
  size_t scanned = 0;  // looked at; never more than asked for
  size_t freed = 0;    // gone, or waiting for a grace period to be gone
  bool stop = false;  // SHRINK_STOP: no progress possible now; what was asked is deferred, not lost
  Kept kept{};
};

// A cache that frees its objects when asked.
//
// Scan() runs with no lock of rank kNode or above held, but its caller may hold locks up to rank
// kRegistry (it is allocating): an implementation takes those only by trying. It may not allocate
// from mm beyond the budget: reclaim does not recurse, so such an allocation is refused.
//
// Thread safety: Count() and Scan() are called by any number of threads at once.
// Lifetime: outlives its ShrinkerRegistration.
class Shrinker {
 public:
  static constexpr uint32_t kDefaultSeeks = 2;
  static constexpr size_t kDefaultBatch = 128;
  // What Count() says of a cache that has no objects at all (SHRINK_EMPTY): what was deferred is
  // forgotten. 0 says that it has some but can free none of them now: that stays deferred.
  static constexpr size_t kEmpty = SIZE_MAX - 1;

  Shrinker() = default;
  Shrinker(const Shrinker&) = delete;
  Shrinker& operator=(const Shrinker&) = delete;
  virtual ~Shrinker() = default;

  virtual std::string_view name() const = 0;
  // Freeable objects; 0 and kEmpty skip this shrinker. Approximate and cheap: takes no lock.
  virtual size_t Count() = 0;
  // Looks at up to `nr` objects, oldest first.
  virtual ScanResult Scan(size_t nr) = 0;

  // The cost of bringing an object back; 0 means cheap (half of the objects are asked for at once).
  virtual uint32_t seeks() const { return kDefaultSeeks; }
  // Objects per Scan() call.
  virtual size_t batch() const { return kDefaultBatch; }
  // Whether what it counts is scaled by vfs_cache_pressure: dentries and inodes.
  virtual bool scaled_by_pressure() const { return false; }
};

// What one shrinker was asked for and what it did, since it was registered. Added to once per run.
struct ShrinkerStats {
  base::Counter runs;
  base::Counter requested;
  base::Counter scanned;
  base::Counter freed;
  base::Counter stops;
  base::Counter empty;
  base::Counter ns;
  base::Counter kept_referenced;
  base::Counter kept_busy;
  base::Counter kept_locked;
  base::Counter kept_pinned;
  std::atomic<size_t> deferred{0};
  std::atomic<int64_t> last_scan_ns{0};   // steady clock; 0 = never
  std::atomic<int64_t> last_freed_ns{0};  // steady clock; 0 = never
};

inline constexpr auto kShrinkerFields = base::Fields(
    base::F<&ShrinkerStats::runs>("runs", "Times reclaim turned to it",
                                  base::StatKind::kCumulative),
    base::F<&ShrinkerStats::requested>("requested", "Objects it was asked to look at",
                                       base::StatKind::kCumulative),
    base::F<&ShrinkerStats::scanned>("scanned", "Objects it looked at",
                                     base::StatKind::kCumulative),
    base::F<&ShrinkerStats::freed>("freed", "Objects it freed", base::StatKind::kCumulative),
    base::F<&ShrinkerStats::stops>("stops", "Scans it gave up", base::StatKind::kCumulative),
    base::F<&ShrinkerStats::empty>("empty", "Times it had nothing at all",
                                   base::StatKind::kCumulative),
    base::F<&ShrinkerStats::ns>("ns", "Time it took", base::StatKind::kCumulative,
                                base::StatUnit::kNanoseconds),
    base::F<&ShrinkerStats::kept_referenced>(
        "kept_referenced", "Left because used since the last look", base::StatKind::kCumulative),
    base::F<&ShrinkerStats::kept_busy>("kept_busy", "Left because somebody holds a reference",
                                       base::StatKind::kCumulative),
    base::F<&ShrinkerStats::kept_locked>("kept_locked", "Left because a lock was taken",
                                         base::StatKind::kCumulative),
    base::F<&ShrinkerStats::kept_pinned>("kept_pinned", "Left because they have to stay",
                                         base::StatKind::kCumulative),
    base::F<&ShrinkerStats::deferred>("deferred", "Objects the next run is asked for besides",
                                      base::StatKind::kInstant));

// What Memory::ForEachShrinker shows of one; the references hold during the call.
struct ShrinkerInfo {
  std::string_view name;
  uint32_t id = 0;      // unique within the Memory, never reused
  size_t objects = 0;   // Count() now
  size_t freeable = 0;  // of these, what vfs_cache_pressure lets reclaim count on
  const ShrinkerStats& stats;
};

// Hears of shrinkers that went: who shows them in a tree (os/debug.cc).
//
// Thread safety: any thread. Lifetime: from Memory::SetShrinkerWatch to its end, between which no
// shrinker goes.
class ShrinkerWatch {
 public:
  // No lock of mm's is held; the id is never used again.
  virtual void ShrinkerGone(uint32_t id) = 0;

 protected:
  ~ShrinkerWatch() = default;
};

// Keeps a shrinker known to a Memory, with its statistics.
//
// A member of its own and not part of Shrinker, because a base class would unregister after the
// derived class is already gone. Declare it after everything that Count() and Scan() use.
//
// Thread safety: any thread.
// Lifetime: the destructor waits until no scan of this shrinker runs; it must not be called from
// within one, nor with a lock that one may wait for.
class ShrinkerRegistration {
 public:
  ShrinkerRegistration(Memory& memory, Shrinker& shrinker);
  ~ShrinkerRegistration();
  ShrinkerRegistration(const ShrinkerRegistration&) = delete;
  ShrinkerRegistration& operator=(const ShrinkerRegistration&) = delete;

  uint32_t id() const { return id_; }
  const ShrinkerStats& stats() const { return stats_; }

 private:
  friend class Memory;

  // What one run adds up before it is accounted.
  struct Run;

  // Asks for what `priority` says, in batches, until that is done, the shrinker stops or the goal
  // is met; returns the objects freed (reclaim.cc).
  size_t Shrink(int priority, ReclaimGoal& goal);
  // `objects` as vfs_cache_pressure scales it.
  size_t Scaled(size_t objects) const;
  size_t ScanNow(size_t nr);
  ShrinkerInfo Info() const;
  size_t Share(int priority, size_t freeable) const;
  void ScanInBatches(size_t freeable, ReclaimGoal& goal, Run& run);
  void Account(const Run& run);

  Memory& memory_;
  Shrinker& shrinker_;
  ShrinkerStats stats_;
  // Guarded by the Memory's registry lock.
  uint32_t id_ = 0;
  uint32_t running_ = 0;  // scans that use this registration now; it stays linked until they ended
  bool dying_ = false;    // no further scan starts
  base::ListNode registry_node_;
};

}  // namespace dentree::mm
