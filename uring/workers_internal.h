// Workers: the threads that make those calls of a loop that wait for a file system, as io-wq does
// for io_uring. Started when first needed, at most as many as Loop::Options says; what finds none
// idle is queued, first come first served. The queue needs no limit of its own: what is in it
// counts as a request that waits (max_parked).
//
// Thread safety: the loop's thread calls; the workers push what they have done into Core's inbox.
// Lifetime: ends before its Core does.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

#include "base/base.h"
#include "uring/request_ring_internal.h"
#include "uring/stats.h"

namespace dentree::uring {

class Core;

class Workers {
 public:
  Workers(Core& core, LoopStats& stats, size_t max_threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void Push(Away& away);
  // Takes one out of the queue. False: a worker has it, and it will come back.
  bool TakeBack(Away& away);
  // Any of the queue; null: it is empty.
  Away* TakeBackAny();
  // The threads end when they are done with what they have. REQUIRES: nothing queued.
  void End();

 private:
  void Run();
  Away* Next();

  Core& core_;
  LoopStats& stats_;
  const size_t max_threads_;
  std::vector<std::thread> threads_;  // the loop's thread

  base::Mutex<base::LockRank::kLeaf> mutex_;
  base::CondVar changed_;
  base::List<Away, &Away::worker_link> queue_ DT_GUARDED_BY(mutex_);
  size_t queued_ DT_GUARDED_BY(mutex_) = 0;
  size_t idle_ DT_GUARDED_BY(mutex_) = 0;
  bool ending_ DT_GUARDED_BY(mutex_) = false;
};

}  // namespace dentree::uring
