// A group of notify: its queue, and the file it is read through.
#include <poll.h>
#include <sys/ioctl.h>

#include <cstring>
#include <new>
#include <utility>

#include "vfs/notify_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

namespace {

// Tries to leave a Waiter behind while events come and others take them.
constexpr int kMaxReadTries = 16;

bool Equal(const NotifyRecord& queued, int wd, uint32_t mask, std::string_view name) {
  // What names a watch's end is never merged. Cookies are not compared, as in Linux.
  return queued.wd == wd && queued.mask == mask && !(mask & IN_IGNORED) && queued.name() == name;
}

}  // namespace

NotifyGroup::NotifyGroup(Notify& notify, mm::Memory& memory, Notify::User* of)
    : user(of), notify_(notify), memory_(memory) {
  base::MutexLock lock(mutex_);
  overflow_.mask = IN_Q_OVERFLOW;
}

NotifyGroup::~NotifyGroup() {
  base::MutexLock lock(mutex_);
  while (NotifyRecord* const record = queue_.PopFront()) {
    if (record != &overflow_) FreeRecord(record);
  }
  notify_.stats_.queued.fetch_sub(length_.load(), std::memory_order_relaxed);
}

// --- events in -------------------------------------------------------------------------------

NotifyRecord* NotifyGroup::NewRecord(int32_t wd, const Notify::Event& event) {
  void* const memory =
      memory_.AllocBytes(sizeof(NotifyRecord) + event.name.size(), "mm:inotify_event");
  if (memory == nullptr) return nullptr;
  auto* const record = ::new (memory) NotifyRecord;
  record->wd = wd;
  record->mask = event.event;
  record->cookie = event.cookie;
  record->name_size = static_cast<uint32_t>(event.name.size());
  if (!event.name.empty()) std::memcpy(record->text(), event.name.data(), event.name.size());
  return record;
}

void NotifyGroup::FreeRecord(NotifyRecord* record) {
  if (record == nullptr) return;
  const size_t size = sizeof(NotifyRecord) + record->name_size;
  record->~NotifyRecord();
  memory_.FreeBytes(record, size);
}

NotifyGroup::Fate NotifyGroup::FateLocked(const NotifyWatch& watch, const Notify::Event& event) {
  if (watch.dead || watch.spent) return Fate::kNobody;
  if (length_.load(std::memory_order_relaxed) >= notify_.limits().queued_events) {
    return Fate::kOverflow;
  }
  if (queue_.empty() || !Equal(queue_.back(), watch.wd, event.event, event.name)) {
    return Fate::kQueue;
  }
  return Fate::kMerged;
}

void NotifyGroup::PushLocked(NotifyRecord& record) {
  queue_.PushBack(record);
  bytes_.fetch_add(record.ReadSize(), std::memory_order_relaxed);
  length_.fetch_add(1, std::memory_order_seq_cst);
  NotifyStats& stats = notify_.stats_;
  stats.events.Add();
  const size_t queued = stats.queued.fetch_add(1, std::memory_order_relaxed) + 1;
  stats.queued_most.Note(static_cast<int64_t>(queued));
}

void NotifyGroup::OverflowLocked() {
  notify_.stats_.lost.Add();
  if (overflow_.link.linked()) return;
  notify_.stats_.overflows.Add();
  PushLocked(overflow_);
}

// The event has met its fate.
void NotifyGroup::SettleLocked(NotifyWatch& watch, Fate fate) {
  if (fate == Fate::kNobody) return;
  if (fate == Fate::kMerged) notify_.stats_.merged.Add();
  if (fate == Fate::kOverflow) OverflowLocked();
  watch.spent = watch.mask.load(std::memory_order_relaxed) & IN_ONESHOT;
}

void NotifyGroup::Tell(NotifyWatch& watch, const Notify::Event& event) {
  Fate fate = Fate::kQueue;
  {
    base::MutexLock lock(mutex_);
    fate = FateLocked(watch, event);
    if (fate != Fate::kQueue) SettleLocked(watch, fate);
  }
  if (fate == Fate::kQueue) {
    NotifyRecord* const record = NewRecord(watch.wd, event);
    base::MutexLock lock(mutex_);
    fate = FateLocked(watch, event);
    if (fate == Fate::kQueue && record == nullptr) fate = Fate::kOverflow;
    if (fate == Fate::kQueue) {
      PushLocked(*record);
    } else {
      FreeRecord(record);
    }
    SettleLocked(watch, fate);
  }
  if (fate != Fate::kNobody) Wake();
}

void NotifyGroup::Wake() {
  if (waiting_.load(std::memory_order_seq_cst) != 0) readers_.WakeAll(waiting_);
}

// --- watches ---------------------------------------------------------------------------------

void NotifyGroup::Add(NotifyWatch& watch) {
  base::MutexLock lock(mutex_);
  // Numbers are not used again before all were, as in Linux.
  watch.wd = next_wd_;
  next_wd_ = next_wd_ == INT32_MAX ? 1 : next_wd_ + 1;
  watch.ignored->wd = watch.wd;
  watches_.PushBack(watch);
}

void NotifyGroup::Drop(NotifyWatch& watch) {
  base::MutexLock lock(mutex_);
  watch.group_link.Unlink();
  watch.dead = true;
  NotifyRecord* const last = std::exchange(watch.ignored, nullptr);
  if (length_.load(std::memory_order_relaxed) < notify_.limits().queued_events) {
    PushLocked(*last);
    return;
  }
  OverflowLocked();
  FreeRecord(last);
}

NotifyWatchRef NotifyGroup::AnyWatch() {
  base::MutexLock lock(mutex_);
  // On the list it has its inode's reference.
  return watches_.empty() ? nullptr : NotifyWatchRef::Share(&watches_.front());
}

// --- events out ------------------------------------------------------------------------------

// The first event, taken out. kAgain: there is none; kInval: it is longer than `room`.
Result<NotifyRecord*> NotifyGroup::PopFor(size_t room) {
  base::MutexLock lock(mutex_);
  if (queue_.empty()) return Err(Errno::kAgain);
  NotifyRecord& record = queue_.front();
  if (record.ReadSize() > room) return Err(Errno::kInval);
  record.link.Unlink();
  bytes_.fetch_sub(record.ReadSize(), std::memory_order_relaxed);
  length_.fetch_sub(1, std::memory_order_seq_cst);
  notify_.stats_.queued.fetch_sub(1, std::memory_order_relaxed);
  return &record;
}

Result<size_t> NotifyGroup::Take(std::span<std::byte> out) {
  size_t used = 0;
  for (;;) {
    const Result<NotifyRecord*> next = PopFor(out.size() - used);
    if (!next) {
      if (used != 0) return used;
      return Err(next.error());
    }
    NotifyRecord& record = **next;
    inotify_event head = {};
    head.wd = record.wd;
    head.mask = record.mask;
    head.cookie = record.cookie;
    head.len = static_cast<uint32_t>(record.PaddedName());
    std::byte* const to = out.data() + used;
    std::memcpy(to, &head, sizeof(head));
    std::memset(to + sizeof(head), 0, head.len);
    std::memcpy(to + sizeof(head), record.name().data(), record.name_size);
    used += record.ReadSize();
    if (record.mask != IN_Q_OVERFLOW) FreeRecord(&record);
  }
}

Result<size_t> NotifyGroup::Read(std::span<std::byte> out) {
  for (;;) {
    const Result<size_t> taken = Take(out);
    if (taken || taken.error() != Errno::kAgain) return taken;
    waiting_.fetch_add(1, std::memory_order_seq_cst);
    readers_.SleepUntil([this] { return has_events(); });
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

Result<size_t> NotifyGroup::ReadOrPark(std::span<std::byte> out, Waiter* waiter) {
  for (int tries = 0; tries < kMaxReadTries; ++tries) {
    const Result<size_t> taken = Take(out);
    if (taken || taken.error() != Errno::kAgain || waiter == nullptr) return taken;
    if (readers_.Park(*waiter, waiting_, [this] { return has_events(); })) return taken;
  }
  return Err(Errno::kAgain);
}

// --- the file --------------------------------------------------------------------------------

namespace {

NotifyGroup& GroupOf(const File& file) { return file.priv<NotifyGroup>(); }

}  // namespace

void NotifyFileOps::Release(File& file) const {
  file.path().vfs().notify().Close(GroupOf(file));
  NotifyGroup::Put(&GroupOf(file));
}

Result<size_t> NotifyFileOps::Read(File& file, std::span<std::byte> out, uint64_t) const {
  return file.nonblocking() ? GroupOf(file).Take(out) : GroupOf(file).Read(out);
}

Result<size_t> NotifyFileOps::ReadNowait(File& file, std::span<std::byte> out, uint64_t,
                                         Waiter* waiter) const {
  return GroupOf(file).ReadOrPark(out, file.nonblocking() ? nullptr : waiter);
}

Result<uint64_t> NotifyFileOps::Seek(File&, int64_t, Whence) const { return 0; }

PollEvents NotifyFileOps::Poll(File& file) const {
  return GroupOf(file).has_events() ? POLLIN | POLLRDNORM : 0;
}

Status NotifyFileOps::Fsync(File&) const { return Err(Errno::kInval); }

// FIONREAD: the bytes that can be read; the answer is the number itself.
Result<uint64_t> NotifyFileOps::Ioctl(File& file, unsigned cmd, uint64_t) const {
  if (cmd != FIONREAD) return Err(Errno::kNotTy);
  return GroupOf(file).readable_bytes();
}

}  // namespace dentree::vfs
