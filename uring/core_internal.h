// Core: what a loop's thread and its clients share, from the loop's start to the last queue's end.
//
// The inbox is a stack of Work without a lock: any thread pushes, the loop takes all of it. The
// loop sleeps so: it says that it does (asleep_), looks into the inbox once more, and enters the
// kernel. Who pushes onto an empty inbox looks at asleep_ and, the first to see it, signals the
// eventfd that the loop's io_uring reads. Stores and loads of both are sequentially consistent: one
// of the two sees the other. Who pushes onto what others have pushed relies on the first of them.
//
// Thread safety: as said at each part. Lifetime: shared by the Loop and its queues.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/base.h"
#include "uring/kernel_ring_internal.h"
#include "uring/loop.h"
#include "uring/request_ring_internal.h"
#include "uring/stats.h"
#include "uring/workers_internal.h"
#include "vfs/vfs.h"

namespace dentree::uring {

// All opcodes but those that the loop itself has to know: kRead, kWrite and kAsyncCancel. May wait
// for file systems.
int32_t Perform(vfs::Task& task, const Entry& entry);
// The same without waiting; nothing: that cannot be.
std::optional<int32_t> PerformNowait(vfs::Task& task, const Entry& entry);
// By a worker: the same for one that is away, whose file it lets go.
int32_t PerformAway(Away& away);

// Is it a write that ends at the task's RLIMIT_FSIZE? And the write; it may wait.
bool IsLimited(const vfs::Task& task, const vfs::File& file, const Entry& entry);
Result<size_t> WriteLimited(const vfs::Task& task, vfs::File& file, const Entry& entry);

class Core {
 public:
  Core(vfs::Vfs& vfs, const Loop::Options& options);
  ~Core();
  Status Open();  // the eventfd
  int event_fd() const { return event_fd_; }
  LoopStats& stats() { return stats_; }
  const Loop::Options& options() const { return options_; }
  vfs::Vfs& vfs() const { return vfs_; }

  // --- any thread ---
  void Push(Work& work);
  void Stop();
  Status Attach(RequestRing& ring);
  // The loop's thread says how its start went; the starter hears it.
  void Opened(Status status);
  Status AwaitOpened();

  // --- a ring's client ---
  void Announce(RequestRing& ring);  // it has published something
  void Detach(RequestRing& ring);    // when it returns the loop will not touch it again

  // --- the loop's thread ---
  void Run(KernelRing& kernel);

 private:
  Work* TakeAll();  // the first pushed first
  bool GoesToSleep();
  void WakeLoop();
  void Signal();

  void RunAll(Work* work);
  void Visit(RequestRing& ring);
  void Serve(RequestRing& ring, const Request& request);
  void Transfer(RequestRing& ring, const Request& request);
  void Finish(RequestRing& ring, uint64_t user_data, int32_t res);
  void Leave(RequestRing& ring);
  void Depart(RequestRing& ring);
  void Close();
  void CancelQueuedLocked(RequestRing& ring) DT_REQUIRES(mutex_);

  Parked* Spare();
  void Park(Parked& parked, RequestRing& ring, const Request& request, vfs::FileRef file);
  void Retry(Parked& parked);
  void Unpark(Parked& parked);
  void Discard(Parked& parked);
  void Cancel(Parked& parked);
  std::optional<int32_t> CancelOf(RequestRing& ring, const Request& by);

  // --- away.cc ---
  Away* NewAway(RequestRing& ring, const Request& request, vfs::FileRef file);
  void SendAway(RequestRing& ring, const Request& request, vfs::FileRef file = nullptr);
  void List(RequestRing& ring, const Request& request);
  void CloseFile(RequestRing& ring, const Request& request);
  bool MayBegin(const Away& away);
  void Begin(Away& away);
  void Punt(Away& away);
  bool MoveByKernel(Away& away);
  void BeginWaiting();
  void ReapMoves();
  void FinishMove(Away& away);
  void Return(Away& away);
  void FinishAway(Away& away, int32_t res);
  bool EndAway(Away& away);
  void EndAllAway();

  vfs::Vfs& vfs_;
  const Loop::Options options_;
  int event_fd_ = -1;
  LoopStats stats_;

  alignas(64) std::atomic<Work*> inbox_{nullptr};
  std::atomic<bool> asleep_{false};
  std::atomic<bool> stop_{false};

  // The loop's thread.
  alignas(64) mm::ObjectCache<Parked> cache_;
  Parked* spare_ = nullptr;  // to be armed by the next request that turns out to have to wait
  size_t parked_count_ = 0;  // those that are away too
  base::List<Parked, &Parked::loop_link> parked_;
  KernelRing* kernel_ = nullptr;
  mm::ObjectCache<Away> away_cache_;
  base::List<Away, &Away::place_link> waiting_;       // in the order in which they came
  base::List<Away, &Away::place_link> moving_;        // in the kernel
  base::List<Away, &Away::position_link> positions_;  // begun, and using their file's position
  Workers workers_;

  base::Mutex<base::LockRank::kLoopQueue> mutex_;
  base::CondVar changed_;  // opened_; a ring's `detached`
  std::optional<Status> opened_ DT_GUARDED_BY(mutex_);
  size_t ring_count_ DT_GUARDED_BY(mutex_) = 0;
  base::List<RequestRing, &RequestRing::link> rings_ DT_GUARDED_BY(mutex_);
};

}  // namespace dentree::uring
