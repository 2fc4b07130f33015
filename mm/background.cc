#include "mm/background_internal.h"

#include <algorithm>

#include "mm/memory.h"

namespace dentree::mm {

BackgroundReclaim::BackgroundReclaim(Memory& memory, size_t wake_above, size_t until)
    : memory_(memory), wake_above_(wake_above), until_(std::min(until, wake_above)) {
  memory_.wake_above_.store(wake_above_, std::memory_order_relaxed);
  thread_ = std::thread([this] { Run(); });
}

BackgroundReclaim::~BackgroundReclaim() {
  memory_.wake_above_.store(Memory::kNoLimit, std::memory_order_relaxed);
  {
    base::MutexLock lock(mu_);
    stop_ = true;
  }
  wanted_.NotifyAll();
  thread_.join();
}

void BackgroundReclaim::Wake() {
  if (awake_.load(std::memory_order_relaxed) || awake_.exchange(true)) return;
  base::MutexLock lock(mu_);
  wanted_.NotifyAll();
}

void BackgroundReclaim::Run() {
  for (;;) {
    {
      base::MutexLock lock(mu_);
      while (!stop_ && !awake_.load(std::memory_order_relaxed)) wanted_.Wait(mu_);
      if (stop_) return;
    }
    ReclaimOnce();
  }
}

void BackgroundReclaim::ReclaimOnce() {
  memory_.stats_.background_wakeups.Add();
  const bool reached = memory_.ReclaimToWatermark(until_);
  size_t wake_above = wake_above_;
  if (!reached) {
    memory_.stats_.background_failures.Add();
    const size_t step = memory_.limit() / kBackOffShare + 1;
    wake_above = std::max(wake_above, memory_.used() + step);
  }
  memory_.wake_above_.store(wake_above, std::memory_order_relaxed);
  // From here on a charge wakes it again.
  awake_.store(false);
}

}  // namespace dentree::mm
