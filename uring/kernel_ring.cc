#include "uring/kernel_ring_internal.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <fstream>

#include "absl/strings/str_format.h"
#include "uring/loop.h"

namespace dentree::uring {

using base::Err;
using base::Errno;
using base::Status;

namespace {

// 0: anyone may use io_uring; 1: those in a group; 2: nobody. Kernels before 6.6 have no such file.
int IoUringDisabled() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = 0;
  return file >> value ? value : 0;
}

// The newest flags that the kernel takes: 6.1 and later run completions in this thread only and
// need no interrupt for it, but say that some wait to be run.
int Setup(unsigned slots, ::io_uring* ring) {
  const int newest = ::io_uring_queue_init(slots, ring,
                                           IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                               IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL);
  return newest == -EINVAL ? ::io_uring_queue_init(slots, ring, 0) : newest;
}

}  // namespace

std::string WhyNoRing(Errno error) {
  if (const int disabled = IoUringDisabled(); error == Errno::kPerm && disabled != 0) {
    return absl::StrFormat("io_uring is switched off: kernel.io_uring_disabled is %d", disabled);
  }
  if (error == Errno::kPerm) return "io_uring is forbidden, probably by a seccomp filter";
  if (error == Errno::kNoSys) {
    return "the kernel has no io_uring or an old one, or a seccomp filter hides it";
  }
  return absl::StrFormat("io_uring cannot be set up: %s", base::ErrnoText(error));
}

KernelRing::KernelRing(int event_fd, size_t max_moves, LoopStats& stats)
    : event_fd_(event_fd), max_moves_(std::clamp<size_t>(max_moves, 1, kMaxMoves)), stats_(stats) {}

KernelRing::~KernelRing() {
  if (!open_) return;
  DCHECK(moving_ == 0, "the kernel still has buffers");
  if (armed_) {
    // The read ends before the memory it reads into.
    const uint64_t one = 1;
    CHECK(::write(event_fd_, &one, sizeof(one)) == sizeof(one));
    while (armed_) {
      Sleep();
      static_cast<void>(NextDone());
    }
  }
  ::io_uring_queue_exit(&ring_);
}

// Completions have twice as many slots as submissions: one for each operation, one for the
// cancellation of each, and the eventfd's.
Status KernelRing::Open() {
  const auto slots = std::bit_ceil(static_cast<unsigned>(max_moves_) + 1);
  if (const int error = Setup(slots, &ring_); error < 0) return Err(static_cast<Errno>(-error));
  open_ = true;
  ::io_uring_probe* const probe = ::io_uring_get_probe_ring(&ring_);
  const auto can = [probe](int op) { return ::io_uring_opcode_supported(probe, op) != 0; };
  const bool enough = probe != nullptr && can(IORING_OP_READ) && can(IORING_OP_WRITE) &&
                      can(IORING_OP_ASYNC_CANCEL);
  ::io_uring_free_probe(probe);
  if (!enough) return Err(Errno::kNoSys);
  return {};
}

::io_uring_sqe& KernelRing::NewSqe() {
  ::io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
  if (sqe == nullptr) {
    Submit();
    sqe = ::io_uring_get_sqe(&ring_);
  }
  CHECK(sqe != nullptr, "the kernel takes no more submissions");
  return *sqe;
}

void KernelRing::Arm() {
  ::io_uring_sqe& sqe = NewSqe();
  ::io_uring_prep_read(&sqe, event_fd_, &event_count_, sizeof(event_count_), 0);
  ::io_uring_sqe_set_data64(&sqe, kEvent);
  armed_ = true;
}

void KernelRing::Sleep() {
  if (!armed_) Arm();
  stats_.enters.AddOwned();
  const int entered = ::io_uring_submit_and_wait(&ring_, 1);
  CHECK(entered >= 0 || entered == -EINTR || entered == -EAGAIN || entered == -EBUSY,
        "the kernel does not let the loop wait");
}

// --- moving data ---

void KernelRing::Move(HostOp& op) {
  DCHECK(!Full() && op.awaited == 0);
  ::io_uring_sqe& sqe = NewSqe();
  if (op.writes) {
    ::io_uring_prep_write(&sqe, op.host_fd, op.data, op.bytes, op.at);
  } else {
    ::io_uring_prep_read(&sqe, op.host_fd, op.data, op.bytes, op.at);
  }
  sqe.rw_flags = op.rw_flags;
  ::io_uring_sqe_set_data64(&sqe, reinterpret_cast<uintptr_t>(&op));
  op.awaited = 1;
  stats_.moves.AddOwned();
  stats_.moving_high.Note(stats_.moving.Add());
  ++moving_;
}

void KernelRing::Cancel(HostOp& op) {
  DCHECK(!op.cancelling && op.awaited == 1);
  ::io_uring_sqe& sqe = NewSqe();
  ::io_uring_prep_cancel64(&sqe, reinterpret_cast<uintptr_t>(&op), 0);
  ::io_uring_sqe_set_data64(&sqe, reinterpret_cast<uintptr_t>(&op) | kCancel);
  op.cancelling = true;
  ++op.awaited;
}

// What the kernel does not take now (no memory) it takes with the next.
void KernelRing::Submit() {
  if (::io_uring_sq_ready(&ring_) == 0) return;
  stats_.enters.AddOwned();
  const int entered = ::io_uring_submit(&ring_);
  CHECK(entered >= 0 || entered == -EINTR || entered == -EAGAIN || entered == -EBUSY,
        "the kernel takes no submissions");
}

HostOp* KernelRing::NextDone() {
  // Then looking enters the kernel.
  if (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_TASKRUN) stats_.enters.AddOwned();
  ::io_uring_cqe* cqe = nullptr;
  while (::io_uring_peek_cqe(&ring_, &cqe) == 0) {
    HostOp* const done = Done(*cqe);
    ::io_uring_cqe_seen(&ring_, cqe);
    if (done != nullptr) return done;
  }
  return nullptr;
}

HostOp* KernelRing::Done(const ::io_uring_cqe& cqe) {
  const uint64_t tag = cqe.user_data;
  if (tag == kEvent) {
    CHECK(cqe.res == sizeof(event_count_) || cqe.res == -EINTR, "the eventfd cannot be read");
    armed_ = false;
    return nullptr;
  }
  HostOp& op = *reinterpret_cast<HostOp*>(tag & ~kCancel);
  (tag & kCancel ? op.cancel_res : op.res) = cqe.res;
  if (--op.awaited != 0) return nullptr;
  --moving_;
  stats_.moving.Sub();
  return &op;
}

}  // namespace dentree::uring
