#include "uring/core_internal.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace dentree::uring {

using base::Err;

namespace {

int32_t ResOf(const Result<size_t>& moved) {
  return moved ? static_cast<int32_t>(*moved) : -static_cast<int32_t>(moved.error());
}

bool WouldBlock(const Result<size_t>& moved) { return !moved && moved.error() == Errno::kAgain; }

constexpr int32_t kCanceledRes = -static_cast<int32_t>(Errno::kCanceled);

Result<size_t> Move(vfs::File& file, const Entry& entry, vfs::Waiter* waiter) {
  std::optional<uint64_t> pos;
  if (entry.off != kCurrentPosition) pos = entry.off;
  return entry.opcode == Opcode::kRead ? file.ReadNowait(entry.bytes(), pos, waiter)
                                       : file.WriteNowait(entry.bytes(), pos, waiter);
}

}  // namespace

void Parked::Wake() { core_.Push(*this); }

Core::Core(vfs::Vfs& vfs, const Loop::Options& options)
    : vfs_(vfs),
      options_(options),
      cache_(vfs.memory(), "uring_parked"),
      away_cache_(vfs.memory(), "uring_away"),
      workers_(*this, stats_, options.max_workers) {}

Core::~Core() {
  if (event_fd_ >= 0) ::close(event_fd_);
}

Status Core::Open() {
  event_fd_ = ::eventfd(0, EFD_CLOEXEC);
  if (event_fd_ < 0) return Err(static_cast<Errno>(errno));
  return {};
}

// --- the inbox ---

void Core::Push(Work& work) {
  Work* first = inbox_.load(std::memory_order_relaxed);
  do {
    work.next = first;
  } while (!inbox_.compare_exchange_weak(first, &work, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
  if (first == nullptr) WakeLoop();
}

void Core::WakeLoop() {
  if (!asleep_.load(std::memory_order_seq_cst)) return;
  if (!asleep_.exchange(false, std::memory_order_seq_cst)) return;
  stats_.wakeups.Add();
  Signal();
}

void Core::Signal() {
  const uint64_t one = 1;
  while (::write(event_fd_, &one, sizeof(one)) < 0) {
    CHECK(errno == EINTR, "the loop cannot be woken");
  }
}

Work* Core::TakeAll() {
  Work* last = inbox_.exchange(nullptr, std::memory_order_seq_cst);
  Work* first = nullptr;
  while (last != nullptr) {
    Work* const before = last->next;
    last->next = first;
    first = std::exchange(last, before);
  }
  return first;
}

bool Core::GoesToSleep() {
  asleep_.store(true, std::memory_order_seq_cst);
  if (inbox_.load(std::memory_order_seq_cst) == nullptr && !stop_.load(std::memory_order_seq_cst)) {
    return true;
  }
  asleep_.store(false, std::memory_order_relaxed);
  return false;
}

void Core::Stop() {
  stop_.store(true, std::memory_order_seq_cst);
  WakeLoop();
}

void Core::Opened(Status status) {
  base::MutexLock lock(mutex_);
  opened_ = status;
  changed_.NotifyAll();
}

Status Core::AwaitOpened() {
  base::MutexLock lock(mutex_);
  while (!opened_) changed_.Wait(mutex_);
  return *opened_;
}

// --- queues come and go ---

Status Core::Attach(RequestRing& ring) {
  base::MutexLock lock(mutex_);
  if (ring_count_ == options_.max_queues) return Err(Errno::kNFile);
  ++ring_count_;
  rings_.PushBack(ring);
  stats_.queues_high.Note(stats_.queues.Add());
  return {};
}

void Core::Announce(RequestRing& ring) {
  if (!ring.announced.exchange(true, std::memory_order_seq_cst)) Push(ring);
  if (!ring.closed.load(std::memory_order_seq_cst)) return;
  // The loop has seen what was published before it closed the ring; this is the rest.
  base::MutexLock lock(mutex_);
  CancelQueuedLocked(ring);
}

void Core::Detach(RequestRing& ring) {
  ring.detaching.store(true, std::memory_order_seq_cst);
  if (!ring.announced.exchange(true, std::memory_order_seq_cst)) Push(ring);
  base::MutexLock lock(mutex_);
  changed_.WaitUntil(mutex_, [&ring] { return ring.detached; });
}

// The client waits in Detach. What it did not hear of is forgotten; but what a worker or the kernel
// has, and with it the task and the buffers, has to come back before the client may go on.
void Core::Leave(RequestRing& ring) {
  while (!ring.parked.empty()) {
    stats_.canceled.AddOwned();
    Unpark(ring.parked.front());
  }
  for (Away& away : ring.away) static_cast<void>(EndAway(away));
  ring.leaving = true;
  SYNC_POINT(vfs_.sync_points(), "uring:leaving");
  if (ring.away.empty()) Depart(ring);
  BeginWaiting();
}

void Core::Depart(RequestRing& ring) {
  base::MutexLock lock(mutex_);
  rings_.Remove(ring);
  --ring_count_;
  stats_.queues.Sub();
  ring.detached = true;
  changed_.NotifyAll();
}

void Core::CancelQueuedLocked(RequestRing& ring) {
  const uint32_t tail = ring.Published();
  while (const std::optional<Request> request = ring.Next(tail)) {
    ring.Complete(request->user_data, kCanceledRes);
    stats_.canceled.Add();
  }
  ring.Flush();
}

// The end: nothing runs any more, everything is answered.
void Core::Close() {
  while (!parked_.empty()) Cancel(parked_.front());
  EndAllAway();
  // After it only rings can come, and nobody will look.
  for (Work* work = TakeAll(); work != nullptr;) {
    Work* const next = work->next;
    if (work->kind == Work::Kind::kParked) Retry(static_cast<Parked&>(*work));
    if (work->kind == Work::Kind::kAway) Return(static_cast<Away&>(*work));
    work = next;
  }
  if (spare_ != nullptr) cache_.Delete(spare_);
  base::MutexLock lock(mutex_);
  while (RequestRing* const ring = rings_.PopFront()) {
    --ring_count_;
    stats_.queues.Sub();
    ring->closed.store(true, std::memory_order_seq_cst);
    CancelQueuedLocked(*ring);
    ring->detached = true;
  }
  changed_.NotifyAll();
}

// --- the loop ---

void Core::Run(KernelRing& kernel) {
  kernel_ = &kernel;
  while (!stop_.load(std::memory_order_seq_cst)) {
    ReapMoves();
    if (Work* const work = TakeAll()) {
      RunAll(work);
      kernel.Submit();
      continue;
    }
    SYNC_POINT(vfs_.sync_points(), "uring:idle");
    if (!GoesToSleep()) continue;
    SYNC_POINT(vfs_.sync_points(), "uring:asleep");
    kernel.Sleep();
    asleep_.store(false, std::memory_order_relaxed);
  }
  Close();
}

void Core::RunAll(Work* work) {
  while (work != nullptr) {
    Work* const next = work->next;  // the work may be gone, or in the inbox again
    switch (work->kind) {
      case Work::Kind::kRing:
        Visit(static_cast<RequestRing&>(*work));
        break;
      case Work::Kind::kParked:
        Retry(static_cast<Parked&>(*work));
        break;
      case Work::Kind::kAway:
        Return(static_cast<Away&>(*work));
        break;
    }
    work = next;
  }
}

// From here on the client may announce the ring again; so what it publishes now is seen here, or
// announced. Once it wants to leave, whoever sets `announced` has the last word: this visit ends
// the ring's life, or the one that the client has just asked for.
void Core::Visit(RequestRing& ring) {
  ring.announced.store(false, std::memory_order_seq_cst);
  if (ring.detaching.load(std::memory_order_seq_cst)) {
    if (!ring.announced.exchange(true, std::memory_order_seq_cst)) Leave(ring);
    return;
  }
  const uint32_t tail = ring.Published();
  std::optional<Request> request = ring.Next(tail);
  if (!request) return;
  stats_.batches.AddOwned();
  for (; request; request = ring.Next(tail)) Serve(ring, *request);
  ring.Flush();
}

void Core::Finish(RequestRing& ring, uint64_t user_data, int32_t res) {
  stats_.requests.AddOwned();
  ring.Complete(user_data, res);
}

void Core::Serve(RequestRing& ring, const Request& request) {
  switch (request.entry.opcode) {
    case Opcode::kRead:
    case Opcode::kWrite:
      return Transfer(ring, request);
    case Opcode::kAsyncCancel: {
      const std::optional<int32_t> res = CancelOf(ring, request);
      if (res) Finish(ring, request.user_data, *res);
      return;
    }
    case Opcode::kClose:
      return CloseFile(ring, request);
    case Opcode::kGetdents:
      return List(ring, request);
    default: {
      const std::optional<int32_t> res = PerformNowait(ring.task(), request.entry);
      return res ? Finish(ring, request.user_data, *res) : SendAway(ring, request);
    }
  }
}

// --- what may have to wait ---

Parked* Core::Spare() {
  if (spare_ == nullptr && parked_count_ < options_.max_parked) spare_ = cache_.New(*this);
  return spare_;
}

void Core::Transfer(RequestRing& ring, const Request& request) {
  vfs::Result<vfs::FileRef> file = ring.task().fds().Get(request.entry.fd);
  if (!file) {
    return Finish(ring, request.user_data, -static_cast<int32_t>(file.error()));
  }
  if ((*file)->HostFd()) return SendAway(ring, request, *std::move(file));
  if (IsLimited(ring.task(), **file, request.entry)) {  // of memory, which lets nobody wait
    return Finish(ring, request.user_data, ResOf(WriteLimited(ring.task(), **file, request.entry)));
  }
  Parked* const spare = Spare();
  Result<size_t> moved = Move(**file, request.entry, spare);
  SYNC_POINT(vfs_.sync_points(), "uring:armed");
  if (spare != nullptr && spare->armed()) {
    spare_ = nullptr;
    if (WouldBlock(moved)) return Park(*spare, ring, request, *std::move(file));
    Discard(*spare);
  } else if (spare == nullptr && WouldBlock(moved) && !(*file)->nonblocking()) {
    stats_.park_refused.AddOwned();
    moved = Err(Errno::kNoBufs);
  }
  Finish(ring, request.user_data, ResOf(moved));
}

void Core::Park(Parked& parked, RequestRing& ring, const Request& request, vfs::FileRef file) {
  parked.ring = &ring;
  parked.request = request;
  parked.file = std::move(file);
  parked_.PushBack(parked);
  ring.parked.PushBack(parked);
  ++parked_count_;
  stats_.parks.AddOwned();
  stats_.parked_high.Note(stats_.parked.Add());
}

void Core::Retry(Parked& parked) {
  static_cast<void>(parked.Cancel());  // its wake-up is why it is here
  if (parked.ring == nullptr) return cache_.Delete(&parked);
  stats_.retries.AddOwned();
  RequestRing& ring = *parked.ring;
  const uint64_t user_data = parked.request.user_data;
  const Result<size_t> moved = Move(*parked.file, parked.request.entry, &parked);
  if (parked.armed() && WouldBlock(moved)) return;
  Unpark(parked);
  Finish(ring, user_data, ResOf(moved));
  ring.Flush();
}

// The file goes last: what the request waits for is the file's.
void Core::Unpark(Parked& parked) {
  const vfs::FileRef file = std::move(parked.file);
  parked.loop_link.Unlink();
  parked.ring_link.Unlink();
  parked.ring = nullptr;
  --parked_count_;
  stats_.parked.Sub();
  Discard(parked);
}

// Frees it, unless it has been woken: then it is in the inbox, and freed when it comes out.
void Core::Discard(Parked& parked) {
  const bool armed = parked.armed();
  if (!armed || parked.Cancel()) cache_.Delete(&parked);
}

void Core::Cancel(Parked& parked) {
  RequestRing& ring = *parked.ring;
  const uint64_t user_data = parked.request.user_data;
  Unpark(parked);
  stats_.canceled.AddOwned();
  Finish(ring, user_data, kCanceledRes);
  ring.Flush();
}

// Linear in what this queue has waiting. Nothing: the kernel is asked, and then both are answered.
std::optional<int32_t> Core::CancelOf(RequestRing& ring, const Request& by) {
  for (Parked& parked : ring.parked) {
    if (parked.request.user_data != by.entry.off) continue;
    Cancel(parked);
    return 0;
  }
  for (Away& away : ring.away) {
    if (away.request.user_data != by.entry.off) continue;
    if (away.where == Away::Where::kKernel && !away.cancelling) {
      away.cancelled_by = by.user_data;
      kernel_->Cancel(away);
      return std::nullopt;
    }
    if (!EndAway(away)) return -static_cast<int32_t>(Errno::kAlready);
    BeginWaiting();
    return 0;
  }
  return -static_cast<int32_t>(Errno::kNoEnt);
}

}  // namespace dentree::uring
