// KernelRing: the io_uring of a loop. It is the one place where its thread sleeps, and moves the
// data of files that a host's descriptor has.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/base.h"
#include "uring/stats.h"

namespace dentree::uring {

// Why io_uring_setup may have failed like this, for people.
std::string WhyNoRing(base::Errno error);

// A read or write of a descriptor, IORING_OP_READ or IORING_OP_WRITE. From Move until NextDone
// returns it, it and its buffer are the kernel's.
struct HostOp {
  int host_fd = -1;
  bool writes = false;
  int rw_flags = 0;  // RWF_*
  uint32_t bytes = 0;
  void* data = nullptr;
  uint64_t at = 0;
  // What the kernel answers.
  int32_t res = 0;
  int32_t cancel_res = 0;  // if it was asked to cancel

  bool cancelling = false;
  uint8_t awaited = 0;  // completions that are still to come: its own, and the cancellation's
};

// Thread safety: all of it belongs to one thread, which the kernel is told. Lifetime: the eventfd
// and the statistics outlive it; nothing is moving when it is destroyed.
class KernelRing {
 public:
  // At most `max_moves` operations at once.
  KernelRing(int event_fd, size_t max_moves, LoopStats& stats);
  ~KernelRing();
  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;

  // kNoSys, kPerm, kNoMem, kMFile, ...: what io_uring_setup answers.
  base::Status Open();
  // Until the eventfd is signalled, an operation is done, or a signal comes: one io_uring_enter,
  // which also submits.
  void Sleep();

  // --- moving data: seen by the kernel with the next Submit or Sleep ---
  bool Full() const { return moving_ == max_moves_; }
  void Move(HostOp& op);
  void Cancel(HostOp& op);  // once
  void Submit();
  // One that the kernel has let go of; null: none at the moment.
  HostOp* NextDone();

 private:
  static constexpr uint64_t kEvent = 0;   // user_data of the eventfd's read
  static constexpr uint64_t kCancel = 1;  // bit of an operation's, for its cancellation

  ::io_uring_sqe& NewSqe();
  void Arm();
  HostOp* Done(const ::io_uring_cqe& cqe);

  const int event_fd_;
  const size_t max_moves_;
  LoopStats& stats_;
  bool open_ = false;
  bool armed_ = false;        // a read of the eventfd is in the kernel, or goes with the next enter
  uint64_t event_count_ = 0;  // what it reads
  size_t moving_ = 0;
  ::io_uring ring_ = {};
};

}  // namespace dentree::uring
