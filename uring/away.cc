// Requests that wait for a file system: with workers, or with the kernel's ring.
//
// As io_uring does: what can be had without waiting is done at once, by the loop; everything else
// is given away. A walk that waited on the loop's own thread, as a request of the kernel's ring,
// would keep the locks of that thread (docs/decisions/0021).
#include <sys/uio.h>

#include <utility>

#include "uring/core_internal.h"

namespace dentree::uring {

namespace {

constexpr int32_t kCanceledRes = -static_cast<int32_t>(Errno::kCanceled);

unsigned WantedOf(const Request& request) {
  return request.entry.opcode == Opcode::kWrite ? vfs::kMayWrite : vfs::kMayRead;
}

std::optional<uint64_t> PositionOf(const Request& request) {
  if (request.entry.off == kCurrentPosition) return std::nullopt;
  return request.entry.off;
}

bool MovesData(const Request& request) {
  return request.entry.opcode == Opcode::kRead || request.entry.opcode == Opcode::kWrite;
}

bool MayBlock(const vfs::File& file) { return file.inode().sb().Has(vfs::kSbMayBlock); }

}  // namespace

// --- giving away ---

// Null: no room, or no memory.
Away* Core::NewAway(RequestRing& ring, const Request& request, vfs::FileRef file) {
  if (parked_count_ >= options_.max_parked) return nullptr;
  Away* const away = away_cache_.New(ring, request, std::move(file));
  if (away == nullptr) return nullptr;
  ++parked_count_;
  ring.away.PushBack(*away);
  return away;
}

void Core::SendAway(RequestRing& ring, const Request& request, vfs::FileRef file) {
  Away* const away = NewAway(ring, request, std::move(file));
  if (away == nullptr) {
    stats_.park_refused.AddOwned();
    return Finish(ring, request.user_data, -static_cast<int32_t>(Errno::kNoBufs));
  }
  if (MayBegin(*away)) return Begin(*away);
  stats_.move_waits.AddOwned();
  waiting_.PushBack(*away);
}

void Core::List(RequestRing& ring, const Request& request) {
  vfs::Result<vfs::FileRef> file = ring.task().fds().Get(request.entry.fd);
  if (file && MayBlock(**file)) return SendAway(ring, request, *std::move(file));
  Finish(ring, request.user_data, Perform(ring.task(), request.entry));
}

// The descriptor goes at once. The file's end may wait, so a worker has its last reference; if
// there is no room for that, the loop waits, because to close cannot fail.
void Core::CloseFile(RequestRing& ring, const Request& request) {
  vfs::Result<vfs::FileRef> file = ring.task().fds().Get(request.entry.fd);
  const int32_t res = Perform(ring.task(), request.entry);
  Away* away = nullptr;
  if (res == 0 && file && MayBlock(**file)) away = NewAway(ring, request, *std::move(file));
  return away != nullptr ? Punt(*away) : Finish(ring, request.user_data, res);
}

// Those at the position of a file take turns, in the order in which they came.
bool Core::MayBegin(const Away& away) {
  if (MovesData(away.request) && kernel_->Full()) return false;
  if (!away.at_position()) return true;
  for (const Away& other : positions_) {
    if (other.file_id == away.file_id) return false;
  }
  for (const Away& other : waiting_) {
    if (&other == &away) break;
    if (other.at_position() && other.file_id == away.file_id) return false;
  }
  return true;
}

// It may be gone afterwards.
void Core::Begin(Away& away) {
  if (away.at_position()) positions_.PushBack(away);
  if (!MovesData(away.request) || !MoveByKernel(away)) Punt(away);
}

void Core::Punt(Away& away) {
  away.where = Away::Where::kWorker;
  stats_.punted.AddOwned();
  stats_.punts_high.Note(stats_.punts.Add());
  workers_.Push(away);
}

// False: it takes a worker. The kernel first tries without waiting, too.
bool Core::MoveByKernel(Away& away) {
  vfs::File& file = *away.file;
  const Entry& entry = away.request.entry;
  if (IsLimited(away.ring.task(), file, entry)) return false;
  const Result<uint64_t> at =
      file.BeginHostMove(WantedOf(away.request), PositionOf(away.request), entry.len);
  if (!at && at.error() == Errno::kAgain) return false;
  if (!at) {
    FinishAway(away, -static_cast<int32_t>(at.error()));
    return true;
  }
  away.host_fd = *file.HostFd();
  away.writes = entry.opcode == Opcode::kWrite;
  away.data = entry.addr;
  away.bytes = entry.len;
  away.at = *at;
  away.rw_flags = away.writes && (file.flags() & O_APPEND) ? RWF_APPEND : 0;
  // O_NONBLOCK means nothing to a regular file.
  if (file.nonblocking() && !vfs::IsRegular(file.inode().mode())) away.rw_flags |= RWF_NOWAIT;
  away.where = Away::Where::kKernel;
  moving_.PushBack(away);
  kernel_->Move(away);
  return true;
}

// --- coming back ---

void Core::BeginWaiting() {
  for (Away& away : waiting_) {
    if (!MayBegin(away)) continue;
    away.place_link.Unlink();
    Begin(away);
  }
}

void Core::ReapMoves() {
  bool any = false;
  while (HostOp* const done = kernel_->NextDone()) {
    any = true;
    FinishMove(static_cast<Away&>(*done));
  }
  if (any) BeginWaiting();
}

void Core::FinishMove(Away& away) {
  away.place_link.Unlink();
  int32_t res = away.res;
  if (res >= 0) {
    away.file->EndHostMove(WantedOf(away.request), PositionOf(away.request), away.at,
                           static_cast<size_t>(res));
  }
  // A read that slept in a thread of the kernel's is woken by a signal.
  if (away.cancelling && res == -static_cast<int32_t>(Errno::kIntr)) res = kCanceledRes;
  if (res == kCanceledRes) stats_.canceled.AddOwned();
  if (away.cancelled_by) {
    Finish(away.ring, *away.cancelled_by, res == kCanceledRes ? 0 : away.cancel_res);
  }
  FinishAway(away, res);
}

// From a worker.
void Core::Return(Away& away) {
  stats_.punts.Sub();
  FinishAway(away, away.outcome);
  BeginWaiting();
}

void Core::FinishAway(Away& away, int32_t res) {
  RequestRing& ring = away.ring;
  away.ring_link.Unlink();
  if (away.position_link.linked()) away.position_link.Unlink();
  Finish(ring, away.request.user_data, res);
  away_cache_.Delete(&away);
  --parked_count_;
  ring.Flush();
  if (ring.leaving && ring.away.empty()) Depart(ring);
}

// --- the end of one ---

// True: it is gone, cancelled. False: it will come back.
bool Core::EndAway(Away& away) {
  switch (away.where) {
    case Away::Where::kWaiting:
      away.place_link.Unlink();
      break;
    case Away::Where::kWorker:
      if (!workers_.TakeBack(away)) return false;
      stats_.punts.Sub();
      break;
    case Away::Where::kKernel:
      if (!away.cancelling) kernel_->Cancel(away);
      return false;
  }
  stats_.canceled.AddOwned();
  FinishAway(away, kCanceledRes);
  return true;
}

// With the loop: when it returns, workers and kernel have let go of everything, and what workers
// have done is in the inbox.
void Core::EndAllAway() {
  while (!waiting_.empty()) EndAway(waiting_.front());
  while (Away* const away = workers_.TakeBackAny()) {
    stats_.punts.Sub();
    stats_.canceled.AddOwned();
    FinishAway(*away, kCanceledRes);
  }
  workers_.End();
  for (Away& away : moving_) EndAway(away);
  for (ReapMoves(); !moving_.empty(); ReapMoves()) kernel_->Sleep();
}

}  // namespace dentree::uring
