// WaitQueue: who waits for something to happen to a thing, as threads that sleep or as Waiters that
// are told. One queue may serve many things, each known by its count of waiters.
//
// No wake-up is lost: who waits is counted before it looks once more (`done`), who wakes changes
// the thing before it reads the count; counts and changes are sequentially consistent.
//
// Thread safety: any thread. Lifetime: nobody waits when destroyed.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/base.h"

namespace dentree::vfs {

class WaitQueue;

// How many wait for one thing.
using WaitCount = std::atomic<uint32_t>;

// Is told, once, that the operation which left it behind is worth trying again.
//
// Thread safety: Wake comes from any thread; everything else is its owner's, who leaves it in at
// most one queue. Lifetime: not armed when destroyed; longer than the wait, as is what it waits
// for.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Left to be woken since the last Cancel.
  bool armed() const { return queue_ != nullptr; }
  // Ends the wait. True: Wake was not called and will not be. False: it was not armed, or Wake has
  // been called and has returned.
  bool Cancel();

 protected:
  virtual ~Waiter() { DCHECK(!armed(), "destroyed while it waits"); }

 private:
  friend class WaitQueue;

  // Called with the queue's lock (kNotify) held: does not sleep, takes locks inside that one only.
  virtual void Wake() = 0;

  WaitQueue* queue_ = nullptr;    // the owner's
  WaitCount* waiters_ = nullptr;  // of what it waits for; the queue's lock
  base::ListNode link_;           // the queue's lock
};

class WaitQueue {
 public:
  // Sleeps until `done()`, which is asked under the lock. Wakers of what it is about find it
  // counted in their WaitCount, or call Rouse.
  template <class Done>
  void SleepUntil(Done done) {
    base::MutexLock lock(mutex_);
    moved_.WaitUntil(mutex_, done);
  }

  // Leaves `waiter` behind for the next WakeAll of `waiters` and returns true; false, and nothing
  // left, if it turns out to be `done()`.
  template <class Done>
  bool Park(Waiter& waiter, WaitCount& waiters, Done done) {
    base::MutexLock lock(mutex_);
    waiters.fetch_add(1, std::memory_order_seq_cst);
    if (done()) {
      waiters.fetch_sub(1, std::memory_order_seq_cst);
      return false;
    }
    waiter.queue_ = this;
    waiter.waiters_ = &waiters;
    waiters_.PushBack(waiter);
    return true;
  }

  // Something happened to what has this count. Linear in the Waiters of the queue.
  void WakeAll(WaitCount& waiters);
  // Sleeping threads look again; Waiters stay.
  void Rouse();

 private:
  friend class Waiter;

  base::Mutex<base::LockRank::kNotify> mutex_;
  base::CondVar moved_;
  base::List<Waiter, &Waiter::link_> waiters_ DT_GUARDED_BY(mutex_);
};

}  // namespace dentree::vfs
