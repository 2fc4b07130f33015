#include "uring/workers_internal.h"

#include <pthread.h>

#include <algorithm>

#include "uring/core_internal.h"

namespace dentree::uring {

Workers::Workers(Core& core, LoopStats& stats, size_t max_threads)
    : core_(core), stats_(stats), max_threads_(std::max<size_t>(max_threads, 1)) {
  threads_.reserve(max_threads_);
}

Workers::~Workers() { DCHECK(threads_.empty(), "workers outlive their loop"); }

void Workers::Push(Away& away) {
  bool more = false;
  {
    base::MutexLock lock(mutex_);
    queue_.PushBack(away);
    ++queued_;
    more = queued_ > idle_ && threads_.size() < max_threads_;
    changed_.NotifyOne();
  }
  if (!more) return;
  threads_.emplace_back([this] { Run(); });
  stats_.workers.Add();
}

bool Workers::TakeBack(Away& away) {
  base::MutexLock lock(mutex_);
  if (!away.worker_link.linked()) return false;
  queue_.Remove(away);
  --queued_;
  return true;
}

Away* Workers::TakeBackAny() {
  base::MutexLock lock(mutex_);
  Away* const away = queue_.PopFront();
  if (away != nullptr) --queued_;
  return away;
}

void Workers::End() {
  {
    base::MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  stats_.workers.Sub(static_cast<int64_t>(threads_.size()));
  threads_.clear();
}

Away* Workers::Next() {
  base::MutexLock lock(mutex_);
  ++idle_;
  while (queue_.empty() && !ending_) changed_.Wait(mutex_);
  --idle_;
  Away* const away = queue_.PopFront();
  if (away != nullptr) --queued_;
  return away;
}

void Workers::Run() {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "dentree-worker"));
  while (Away* const away = Next()) {
    SYNC_POINT(core_.vfs().sync_points(), "uring:worker");
    away->outcome = PerformAway(*away);
    SYNC_POINT(core_.vfs().sync_points(), "uring:worker:done");
    core_.Push(*away);
  }
}

}  // namespace dentree::uring
