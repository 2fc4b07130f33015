// Reclaim: how a charge that does not fit makes room, and how everything unused is dropped.
//
// The arithmetic is that of Linux's shrinkers. At priority p a shrinker that has `freeable` objects
// is asked for (freeable >> p) * 4 / seeks of them plus its share of what earlier runs asked for
// and did not do, twice what it has at most, in batches. What is asked for and not done is
// deferred.
//
// Unlike there, the goal is looked at after every batch, and freed objects that wait for a grace
// period are waited for as soon as they promise to meet it. So the work is bounded by what is
// needed: no priority is entered, and no further batch asked for, that an object already freed
// makes unnecessary; and a reclaim that fails has looked at each freeable object a small fixed
// number of times (2 at priority 0, 1 at priority 1, half of them at priority 2, ...). Because
// reclaim stops so early, it starts each time with the shrinker after the one that met the last
// goal, or the first would pay for all.

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "mm/memory.h"
#include "mm/reclaim_internal.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

namespace {

// The Memory this thread reclaims for. A scan that allocates finds it set and is not let in again.
thread_local const Memory* reclaiming = nullptr;

// Marks the thread as reclaiming while it lives.
class ReclaimScope {
 public:
  explicit ReclaimScope(const Memory& memory) : before_(std::exchange(reclaiming, &memory)) {}
  ~ReclaimScope() { reclaiming = before_; }
  ReclaimScope(const ReclaimScope&) = delete;
  ReclaimScope& operator=(const ReclaimScope&) = delete;

 private:
  const Memory* const before_;
};

// Room for a charge, which it takes.
class ChargeGoal final : public ReclaimGoal {
 public:
  ChargeGoal(Memory& memory, size_t bytes) : ReclaimGoal(bytes), memory_(memory) {}
  bool Met() override { return memory_.TryCharge(bytes()); }

 private:
  Memory& memory_;
};

// Use at or below a level.
class LevelGoal final : public ReclaimGoal {
 public:
  LevelGoal(const Memory& memory, size_t level)
      : ReclaimGoal(memory.used() - std::min(level, memory.used())),
        memory_(memory),
        level_(level) {}
  bool Met() override { return memory_.used() <= level_; }

 private:
  const Memory& memory_;
  const size_t level_;
};

// Nothing ends it but that there is nothing more to free.
class DropGoal final : public ReclaimGoal {
 public:
  DropGoal() : ReclaimGoal(Memory::kNoLimit) {}
  bool Met() override { return false; }
};

int64_t SteadyNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

// ---- One shrinker
// --------------------------------------------------------------------------------

struct ShrinkerRegistration::Run {
  ScanResult sum;
  size_t requested = 0;
  size_t stops = 0;
  int64_t ns = 0;
  int64_t end_ns = 0;

  void Add(const ScanResult& result) {
    sum.scanned += result.scanned;
    sum.freed += result.freed;
    sum.kept.referenced += result.kept.referenced;
    sum.kept.busy += result.kept.busy;
    sum.kept.locked += result.kept.locked;
    sum.kept.pinned += result.kept.pinned;
    if (result.stop) ++stops;
  }
};

ShrinkerRegistration::ShrinkerRegistration(Memory& memory, Shrinker& shrinker)
    : memory_(memory), shrinker_(shrinker) {
  memory_.Register(*this);
}

ShrinkerRegistration::~ShrinkerRegistration() {
  memory_.Unregister(*this);
  ShrinkerWatch* const watch = memory_.shrinker_watch_.load(std::memory_order_acquire);
  if (watch != nullptr) watch->ShrinkerGone(id_);
}

size_t ShrinkerRegistration::Share(int priority, size_t freeable) const {
  const size_t seeks = shrinker_.seeks();
  return seeks == 0 ? freeable / 2 : (freeable >> priority) * 4 / seeks;
}

size_t ShrinkerRegistration::Scaled(size_t objects) const {
  if (!shrinker_.scaled_by_pressure()) return objects;
  const uint64_t denom = memory_.cache_pressure_denom();
  // Not as objects * pressure: pressure may be anything.
  return objects / denom * memory_.cache_pressure() +
         objects % denom * memory_.cache_pressure() / denom;
}

size_t ShrinkerRegistration::Shrink(int priority, ReclaimGoal& goal) {
  const size_t objects = shrinker_.Count();
  if (objects == Shrinker::kEmpty) {
    stats_.empty.Add();
    stats_.deferred.store(0, std::memory_order_relaxed);
    return 0;
  }
  const size_t freeable = Scaled(objects);
  if (freeable == 0) return 0;
  const size_t deferred = stats_.deferred.exchange(0, std::memory_order_relaxed);
  const size_t share = Share(priority, freeable);
  Run run;
  run.requested = std::min((deferred >> priority) + share, 2 * freeable);
  ScanInBatches(freeable, goal, run);
  const size_t asked = deferred + share;
  const size_t left = asked - std::min(asked, run.sum.scanned);
  stats_.deferred.fetch_add(std::min(left, 2 * freeable), std::memory_order_relaxed);
  Account(run);
  return run.sum.freed;
}

void ShrinkerRegistration::ScanInBatches(size_t freeable, ReclaimGoal& goal, Run& run) {
  const size_t batch = std::max<size_t>(shrinker_.batch(), 1);
  size_t left = run.requested;
  while (left != 0 && (left >= batch || left >= freeable)) {
    const int64_t start = SteadyNs();
    const ScanResult result = shrinker_.Scan(std::min(batch, left));
    run.end_ns = SteadyNs();
    run.ns += run.end_ns - start;
    run.Add(result);
    left -= std::min(left, result.scanned);
    if (memory_.Reached(goal, result.freed) || result.stop || result.scanned == 0) return;
  }
}

void ShrinkerRegistration::Account(const Run& run) {
  stats_.runs.Add();
  stats_.requested.Add(run.requested);
  stats_.scanned.Add(run.sum.scanned);
  stats_.freed.Add(run.sum.freed);
  stats_.stops.Add(run.stops);
  stats_.ns.Add(static_cast<uint64_t>(run.ns));
  stats_.kept_referenced.Add(run.sum.kept.referenced);
  stats_.kept_busy.Add(run.sum.kept.busy);
  stats_.kept_locked.Add(run.sum.kept.locked);
  stats_.kept_pinned.Add(run.sum.kept.pinned);
  if (run.sum.scanned != 0) stats_.last_scan_ns.store(run.end_ns, std::memory_order_relaxed);
  if (run.sum.freed != 0) stats_.last_freed_ns.store(run.end_ns, std::memory_order_relaxed);
  memory_.stats_.scanned.Add(run.sum.scanned);
  memory_.stats_.freed.Add(run.sum.freed);
}

ShrinkerInfo ShrinkerRegistration::Info() const {
  const size_t count = shrinker_.Count();
  const size_t objects = count == Shrinker::kEmpty ? 0 : count;
  return {.name = shrinker_.name(),
          .id = id_,
          .objects = objects,
          .freeable = Scaled(objects),
          .stats = stats_};
}

// ---- All of them
// ---------------------------------------------------------------------------------

base::Status Memory::Charge(size_t bytes) { return ChargeFor(bytes, {}); }

base::Status Memory::ChargeFor(size_t bytes, std::string_view name) {
  if (TryCharge(bytes)) [[likely]]
    return {};
  base::AssertMayAllocate();
  ChargeGoal goal(*this, bytes);
  if (bytes <= ordinary_limit_ && ReclaimUntil(goal)) return {};
  if (TryChargeReserve(bytes)) return {};
  NoteRefusal({.name = name, .bytes = bytes});
  return base::Err(base::Errno::kNoMem);
}

size_t Memory::Reclaim(size_t bytes) {
  base::AssertMayAllocate();
  const size_t before = used();
  LevelGoal goal(*this, before - std::min(bytes, before));
  ReclaimUntil(goal);
  const size_t after = used();
  return before - std::min(before, after);
}

DropResult Memory::DropCaches() {
  base::AssertMayAllocate();
  DropResult result;
  if (reclaiming == this) return result;
  ReclaimScope scope(*this);
  stats_.drops.Add();
  const size_t before = used();
  DropGoal goal;
  size_t freed = 0;
  do {
    freed = ShrinkAll(0, goal);
    result.freed_objects += freed;
    WaitForDeferredFrees();
    // What other threads keep making reclaimable must earn each further pass.
  } while ((freed >> result.passes++) > 1 && result.passes < kMaxDropPasses);
  SettleDeferredFrees();
  const size_t after = used();
  result.freed_bytes = before - std::min(before, after);
  return result;
}

std::optional<size_t> Memory::ScanShrinker(uint32_t id, size_t nr) {
  base::AssertMayAllocate();
  ShrinkerRegistration* entry = NextShrinker(nullptr);
  while (entry != nullptr && entry->id() != id) entry = NextShrinker(entry);
  if (entry == nullptr) return std::nullopt;
  const size_t freed = reclaiming == this ? 0 : entry->ScanNow(nr);
  PutShrinker(*entry);
  return freed;
}

size_t ShrinkerRegistration::ScanNow(size_t nr) {
  ReclaimScope scope(memory_);
  DropGoal goal;
  Run run;
  run.requested = nr;
  // As many as were asked for, in batches.
  ScanInBatches(0, goal, run);
  Account(run);
  return run.sum.freed;
}

// For the background reclaim: until no more than `level` is used.
bool Memory::ReclaimToWatermark(size_t level) {
  const size_t before = used();
  if (before <= level) return true;
  LevelGoal goal(*this, level);
  const bool reached = ReclaimUntil(goal);
  const size_t after = used();
  stats_.background_bytes.Add(before - std::min(before, after));
  return reached;
}

bool Memory::ReclaimUntil(ReclaimGoal& goal) {
  if (reclaiming == this) return false;
  ReclaimScope scope(*this);
  stats_.reclaims.Add();
  if (Reached(goal, ReleaseEmptySlabs())) return true;
  for (int priority = kGentlestPriority; priority >= 0; --priority) {
    ShrinkAll(priority, goal);
    if (goal.reached()) return true;
  }
  SettleDeferredFrees();
  return goal.Check();
}

// Whether the goal is met now that `freed` more (objects or bytes) were freed, at once or by RCU.
bool Memory::Reached(ReclaimGoal& goal, size_t freed) {
  if (goal.Check()) return true;
  if (freed == 0 || rcu_.PendingBytes() < goal.bytes() || !goal.MayWait()) return false;
  WaitForDeferredFrees();
  return goal.Check();
}

size_t Memory::ShrinkAll(int priority, ReclaimGoal& goal) {
  const uint32_t start = shrink_from_.load(std::memory_order_relaxed);
  size_t freed = ShrinkHalf(priority, goal, start, Half::kFromStart);
  if (!goal.reached()) freed += ShrinkHalf(priority, goal, start, Half::kBeforeStart);
  return freed;
}

size_t Memory::ShrinkHalf(int priority, ReclaimGoal& goal, uint32_t start, Half half) {
  size_t freed = 0;
  ShrinkerRegistration* entry = NextShrinker(nullptr);
  for (; entry != nullptr && !goal.reached(); entry = NextShrinker(entry)) {
    const bool from_start = entry->id() >= start;
    if (from_start != (half == Half::kFromStart)) continue;
    freed += entry->Shrink(priority, goal);
    if (goal.reached()) shrink_from_.store(entry->id() + 1, std::memory_order_relaxed);
  }
  if (entry != nullptr) PutShrinker(*entry);
  return freed;
}

// Runs every deferred free that was handed to RCU before the call: after one grace period those
// that had been waiting for one, and after a second those that had not been given theirs yet.
void Memory::WaitForDeferredFrees() {
  stats_.grace_period_waits.Add();
  for (int round = 0; round < 2 && rcu_.PendingBytes() != 0; ++round) {
    rcu_.SynchronizeExpedited();
    rcu_.Reclaim();
  }
}

// Deferred frees empty slabs, and those of type-stable caches wait for a grace period of their own.
void Memory::SettleDeferredFrees() {
  WaitForDeferredFrees();
  FlushMagazines();
  ReleaseEmptySlabs();
  if (arena_->slabs_waiting() != 0) WaitForDeferredFrees();
}

// Brings the free objects that threads have at hand back to their slabs.
void Memory::FlushMagazines() {
  base::MutexLock flush(flush_mu_);
  {
    base::MutexLock lock(registry_mu_);
    for (Cache& cache : caches_) cache.StartFlush();
  }
  rcu_.SynchronizeExpedited();
  {
    base::MutexLock lock(registry_mu_);
    for (Cache& cache : caches_) cache.FinishFlush();
  }
}

size_t Memory::ReleaseEmptySlabs() {
  base::MutexLock lock(registry_mu_);
  size_t bytes = 0;
  for (Cache& cache : caches_) bytes += cache.ReleaseEmptySlabs();
  return bytes;
}

}  // namespace dentree::mm
