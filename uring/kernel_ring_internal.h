// KernelRing: the io_uring of a loop; the one place where its thread sleeps.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <string>

#include "base/base.h"
#include "uring/stats.h"

namespace dentree::uring {

// Why io_uring_setup may have failed like this, for people.
std::string WhyNoRing(base::Errno error);

// Thread safety: all of it belongs to one thread, which the kernel is told. Lifetime: the eventfd
// and the statistics outlive it.
class KernelRing {
 public:
  KernelRing(int event_fd, LoopStats& stats) : event_fd_(event_fd), stats_(stats) {}
  ~KernelRing();
  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;

  // kNoSys, kPerm, kNoMem, kMFile, ...: what io_uring_setup answers.
  base::Status Open();
  // Until the eventfd is signalled, or a signal comes: one io_uring_enter.
  void Sleep();

 private:
  // Room for what else a loop may wait for; only the eventfd so far.
  static constexpr unsigned kSlots = 8;

  void Arm();

  const int event_fd_;
  LoopStats& stats_;
  bool open_ = false;
  bool armed_ = false;        // a read of the eventfd is in the kernel, or goes with the next enter
  uint64_t event_count_ = 0;  // what it reads
  ::io_uring ring_ = {};
};

}  // namespace dentree::uring
