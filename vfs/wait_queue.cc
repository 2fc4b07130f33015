#include "vfs/wait_queue.h"

namespace dentree::vfs {

bool Waiter::Cancel() {
  if (queue_ == nullptr) return false;
  WaitQueue& queue = *queue_;
  queue_ = nullptr;
  base::MutexLock lock(queue.mutex_);
  if (!link_.linked()) return false;
  link_.Unlink();
  waiters_->fetch_sub(1, std::memory_order_seq_cst);
  return true;
}

void WaitQueue::WakeAll(WaitCount& waiters) {
  base::MutexLock lock(mutex_);
  moved_.NotifyAll();
  for (Waiter& waiter : waiters_) {
    if (waiter.waiters_ != &waiters) continue;
    waiter.link_.Unlink();
    waiters.fetch_sub(1, std::memory_order_seq_cst);
    waiter.Wake();
  }
}

void WaitQueue::Rouse() {
  base::MutexLock lock(mutex_);
  moved_.NotifyAll();
}

}  // namespace dentree::vfs
