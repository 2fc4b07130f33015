// Loop: the thread that serves queues, and its io_uring.
//
// Thread safety: any thread. Lifetime: within its Vfs's. What is in flight when it ends completes
// with kCanceled; queues may outlive it, to be asked what became of their requests, and answer
// everything else with kCanceled.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <thread>

#include "base/base.h"
#include "uring/queue.h"
#include "uring/stats.h"
#include "vfs/vfs.h"

namespace dentree::uring {

class Core;

using base::Errno;
using base::Result;
using base::Status;

// Limits of a loop.
inline constexpr uint32_t kMaxEntries = 32768;     // of one queue
inline constexpr size_t kDefaultMaxQueues = 4096;  // kNFile beyond
// Requests that wait, of all queues together, for whatever it is; the next one completes with
// kNoBufs.
inline constexpr size_t kDefaultMaxParked = 4096;
// Reads and writes of a host's descriptors that the kernel has at once; others wait.
inline constexpr size_t kDefaultMaxMoves = 64;
inline constexpr size_t kMaxMoves = 4096;
// Threads for calls that wait for a file system; other such calls wait.
inline constexpr size_t kDefaultMaxWorkers = 4;

class Loop {
 public:
  struct Options {
    size_t max_queues = kDefaultMaxQueues;
    size_t max_parked = kDefaultMaxParked;
    size_t max_moves = kDefaultMaxMoves;      // 1 to kMaxMoves
    size_t max_workers = kDefaultMaxWorkers;  // at least 1; started when first needed
  };
  // Why there is no loop.
  struct Refusal {
    Errno error;
    std::string reason;  // "io_uring is switched off: kernel.io_uring_disabled is 2"
  };

  static std::expected<std::unique_ptr<Loop>, Refusal> Start(vfs::Vfs& vfs, const Options& options);
  static std::expected<std::unique_ptr<Loop>, Refusal> Start(vfs::Vfs& vfs) {
    return Start(vfs, Options{});
  }
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // A queue for `entries` requests in flight (rounded up to a power of two), which are made as by
  // `task`. While the queue lives, the task's descriptors and places may change at any time, and no
  // other thread may sleep in a read or write of its files: the loop would wait for it.
  // kInval: no entries, or more than kMaxEntries; kNFile; kNoMem.
  Result<std::unique_ptr<Queue>> Attach(vfs::Task& task, uint32_t entries);

  const LoopStats& stats() const;
  LoopStats& stats();  // for whoever makes its high waters start again

 private:
  explicit Loop(std::shared_ptr<Core> core);

  const std::shared_ptr<Core> core_;
  std::thread thread_;
};

}  // namespace dentree::uring
