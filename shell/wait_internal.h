// Waiting for a file in a command that the user may interrupt.
#pragma once

#include <chrono>
#include <optional>

#include "base/base.h"
#include "shell/command.h"
#include "vfs/wait_queue.h"

namespace dentree::shell {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

// A Waiter that its thread waits for. Thread safety and lifetime: as a Waiter's.
class ThreadWaiter final : public vfs::Waiter {
 public:
  ~ThreadWaiter() override { Cancel(); }

  // False: the command is to stop, or it is too late.
  bool Wait(const Call& call, Deadline deadline) {
    constexpr auto kStep = std::chrono::milliseconds(50);  // how soon control-C is seen
    base::MutexLock lock(mutex_);
    while (!woken_) {
      const auto left =
          deadline ? *deadline - std::chrono::steady_clock::now() : std::chrono::nanoseconds(kStep);
      if (call.Stopped() || left <= std::chrono::nanoseconds(0)) return false;
      (void)moved_.WaitFor(mutex_, std::min<std::chrono::nanoseconds>(left, kStep),
                           [this] { return woken_; });
    }
    return true;
  }

 private:
  void Wake() override {
    base::MutexLock lock(mutex_);
    woken_ = true;
    moved_.NotifyAll();
  }

  base::Mutex<base::LockRank::kLeaf> mutex_;
  base::CondVar moved_;
  bool woken_ = false;  // mutex_
};

// Calls `attempt(waiter)` until it answers something else than kAgain. kIntr: the command is to
// stop; kTimedOut.
template <class Attempt>
auto RetryWoken(const Call& call, Deadline deadline, Attempt attempt)
    -> decltype(attempt(static_cast<vfs::Waiter*>(nullptr))) {
  for (;;) {
    ThreadWaiter waiter;
    auto result = attempt(&waiter);
    if (result || result.error() != base::Errno::kAgain) return result;
    if (!waiter.armed()) continue;  // it is worth trying again at once
    if (waiter.Wait(call, deadline)) continue;
    return base::Err(call.Stopped() ? base::Errno::kIntr : base::Errno::kTimedOut);
  }
}

}  // namespace dentree::shell
