#include "hostfs/watches_internal.h"

#include <memory>
#include <utility>

#include "hostfs/super_internal.h"

namespace dentree::hostfs {

Watches::Watches(vfs::Vfs& vfs, FileSystemState& state) : vfs_(vfs), state_(state) {
  buckets_.fill(kNone);
}

Watches::~Watches() {
  TurnOff();
  Slot* const slots = slots_.load(std::memory_order_relaxed);
  if (slots == nullptr) return;
  const auto count = static_cast<size_t>(state_.max_watches());
  std::destroy_n(slots, count);
  vfs_.memory().FreeBytes(slots, count * sizeof(Slot));
}

void Watches::MakeSlots() {
  const auto count = static_cast<size_t>(state_.max_watches());
  if (count == 0 || slots_.load(std::memory_order_acquire) != nullptr) return;
  auto* const slots =
      static_cast<Slot*>(vfs_.memory().AllocBytes(count * sizeof(Slot), "mm:hostfs_watches"));
  if (slots == nullptr) return;
  std::uninitialized_default_construct_n(slots, count);
  base::MutexLock lock(mutex_);
  if (slots_.load(std::memory_order_relaxed) != nullptr) {
    vfs_.memory().FreeBytes(slots, count * sizeof(Slot));
    return;
  }
  for (size_t i = count; i-- > 0;) slots[i].next = std::exchange(free_, static_cast<int32_t>(i));
  slots_.store(slots, std::memory_order_release);
}

void Watches::TurnOn() {
  MakeSlots();
  base::MutexLock lock(mutex_);
  if (slots_.load(std::memory_order_relaxed) == nullptr) return;
  if (notify_.get() < 0) {
    Result<Fd> opened = HostCalls::OpenNotify();
    if (!opened) return;
    notify_ = *std::move(opened);
  }
  on_.store(true, std::memory_order_release);
}

void Watches::TurnOff() {
  base::MutexLock lock(mutex_);
  on_.store(false, std::memory_order_release);
  for (int32_t& first : buckets_) {
    while (first != kNone) {
      HostCalls::RemoveWatch(notify_.get(), At(first).watch);
      ForgetLocked(first);
    }
  }
}

// --- events --------------------------------------------------------------------------------------

void Watches::Listen(int64_t now_ns) {
  if (!on_.load(std::memory_order_acquire)) return;
  const int64_t tick = TickOf(now_ns);
  if (heard_.load(std::memory_order_acquire) >= tick) return;
  base::MutexLock lock(mutex_);
  if (heard_.load(std::memory_order_relaxed) >= tick) return;
  TakeEventsLocked(tick);
  heard_.store(tick, std::memory_order_release);
}

void Watches::TakeEventsLocked(int64_t tick) {
  for (int reads = 0; reads < kMaxReads; ++reads) {
    state_.stats().event_reads.Add();
    const Result<size_t> size = HostCalls::ReadEvents(notify_.get(), buffer_);
    if (!size) break;
    if (*size == 0) return;
    for (size_t at = 0; at < *size;) {
      const auto* const event = reinterpret_cast<const ::inotify_event*>(&buffer_[at]);
      HearLocked(*event, tick);
      at += sizeof(::inotify_event) + event->len;
    }
    // What fits no more comes with the next read; a buffer that is not nearly full had it all.
    if (*size + sizeof(::inotify_event) + vfs::kNameMax + 1 <= kBufferBytes) return;
  }
  MarkAll(tick);
}

void Watches::MarkAll(int64_t tick) {
  state_.stats().event_overflows.Add();
  mark_of_all_.store(tick, std::memory_order_release);
}

void Watches::HearLocked(const ::inotify_event& event, int64_t tick) {
  if (event.mask & IN_Q_OVERFLOW) return MarkAll(tick);
  state_.stats().events.Add();
  for (int32_t place = buckets_[BucketOf(event.wd)]; place != kNone; place = At(place).next) {
    if (At(place).watch != event.wd) continue;
    At(place).mark.store(tick, std::memory_order_release);
    if (event.mask & IN_IGNORED) ForgetLocked(place);  // it was removed, or its file system was
    return;
  }
  ++unknown_;
}

// --- watches -------------------------------------------------------------------------------------

int32_t Watches::TakeSlot() {
  Stats& stats = state_.stats();
  const int64_t watches = stats.watches.Add();
  base::MutexLock lock(mutex_);
  const bool room = watches <= state_.max_watches() && free_ != kNone;
  if (!room || !on_.load(std::memory_order_relaxed)) {
    stats.watches.Sub();
    if (!room) stats.watch_refused.Add();
    return kNone;
  }
  stats.watches_max.Note(watches);
  return std::exchange(free_, At(free_).next);
}

void Watches::GiveSlotLocked(int32_t place) {
  Slot& slot = At(place);
  slot.dir = nullptr;
  slot.watch = -1;
  slot.next = std::exchange(free_, place);
  state_.stats().watches.Sub();
}

void Watches::Add(HostInode& dir, int fd) {
  if (dir.watch.load(std::memory_order_acquire) >= 0 || TryAdd(dir, fd)) return;
  dir.asked_unwatched.store(true, std::memory_order_seq_cst);
}

bool Watches::TryAdd(HostInode& dir, int fd) {
  int32_t none = kNone;
  if (!on_.load(std::memory_order_acquire)) return false;
  if (!dir.watch.compare_exchange_strong(none, kPlacing, std::memory_order_acq_rel)) return false;
  const bool placed = Place(dir, fd);
  if (!placed) dir.watch.store(kNone, std::memory_order_release);
  return placed;
}

// The host is asked for the watch without the lock; what it tells meanwhile is of a watch that is
// not in the table.
bool Watches::Place(HostInode& dir, int fd) {
  const int32_t place = TakeSlot();
  if (place == kNone) return false;
  int notify = -1;
  uint64_t unknown_before = 0;
  {
    base::MutexLock lock(mutex_);
    notify = notify_.get();
    unknown_before = unknown_;
  }
  const Result<int> watch = HostCalls::AddWatch(notify, fd);
  SYNC_POINT(vfs_.sync_points(), "hostfs:watch:added");
  base::MutexLock lock(mutex_);
  if (watch) return PlaceLocked(dir, place, *watch, unknown_before);
  state_.stats().watch_refused.Add();
  GiveSlotLocked(place);
  return false;
}

// False: they were turned off meanwhile.
bool Watches::PlaceLocked(HostInode& dir, int32_t place, int watch, uint64_t unknown_before) {
  if (!on_.load(std::memory_order_relaxed)) {
    HostCalls::RemoveWatch(notify_.get(), watch);
    GiveSlotLocked(place);
    return false;
  }
  Slot& slot = At(place);
  slot.dir = &dir;
  slot.watch = watch;
  slot.next = std::exchange(buckets_[BucketOf(watch)], place);
  dir.watch.store(place, std::memory_order_seq_cst);
  const bool earlier = dir.asked_unwatched.exchange(false, std::memory_order_seq_cst);
  if (earlier || unknown_ != unknown_before) {
    slot.mark.store(TickOf(vfs_.clock().MonotonicNs()) + 1, std::memory_order_release);
  }
  return true;
}

void Watches::Remove(HostInode& dir) {
  if (dir.watch.load(std::memory_order_acquire) == kNone) return;
  base::MutexLock lock(mutex_);
  const int32_t place = dir.watch.load(std::memory_order_relaxed);
  if (place < 0) return;
  HostCalls::RemoveWatch(notify_.get(), At(place).watch);
  ForgetLocked(place);
}

void Watches::ForgetLocked(int32_t place) {
  Slot& slot = At(place);
  int32_t* link = &buckets_[BucketOf(slot.watch)];
  while (*link != place) link = &At(*link).next;
  *link = slot.next;
  slot.dir->asked_unwatched.store(true, std::memory_order_seq_cst);
  slot.dir->watch.store(kNone, std::memory_order_seq_cst);
  GiveSlotLocked(place);
}

}  // namespace dentree::hostfs
