#include "uring/kernel_ring_internal.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "absl/strings/str_format.h"

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
// need no interrupt for it.
int Setup(unsigned slots, ::io_uring* ring) {
  const int newest = ::io_uring_queue_init(
      slots, ring,
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL);
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

KernelRing::~KernelRing() {
  if (!open_) return;
  if (armed_) {
    // The read ends before the memory it reads into.
    const uint64_t one = 1;
    CHECK(::write(event_fd_, &one, sizeof(one)) == sizeof(one));
    while (armed_) Sleep();
  }
  ::io_uring_queue_exit(&ring_);
}

Status KernelRing::Open() {
  if (const int error = Setup(kSlots, &ring_); error < 0) return Err(static_cast<Errno>(-error));
  open_ = true;
  ::io_uring_probe* const probe = ::io_uring_get_probe_ring(&ring_);
  const bool reads = probe != nullptr && ::io_uring_opcode_supported(probe, IORING_OP_READ) != 0;
  ::io_uring_free_probe(probe);
  if (!reads) return Err(Errno::kNoSys);
  return {};
}

void KernelRing::Arm() {
  ::io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring_);
  CHECK(sqe != nullptr, "the ring has room for all that is waited for");
  ::io_uring_prep_read(sqe, event_fd_, &event_count_, sizeof(event_count_), 0);
  armed_ = true;
}

void KernelRing::Sleep() {
  if (!armed_) Arm();
  stats_.enters.AddOwned();
  const int entered = ::io_uring_submit_and_wait(&ring_, 1);
  CHECK(entered >= 0 || entered == -EINTR || entered == -EAGAIN || entered == -EBUSY,
        "the kernel does not let the loop wait");
  ::io_uring_cqe* cqe = nullptr;
  while (::io_uring_peek_cqe(&ring_, &cqe) == 0) {
    CHECK(cqe->res == sizeof(event_count_) || cqe->res == -EINTR, "the eventfd cannot be read");
    armed_ = false;
    ::io_uring_cqe_seen(&ring_, cqe);
  }
}

}  // namespace dentree::uring
