// The background reclaim: a thread that makes room before a charge has to.
//
// As Linux's kswapd: woken by the charge that leaves less than the low watermark free, it reclaims
// until the high watermark is. Where that is not possible it waits until use has grown by a
// kBackOffShare of the budget, so that a budget full of what cannot be freed does not keep it busy.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>

#include "base/lock_rank.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace dentree::mm {

class Memory;

// Thread safety: Wake by any thread, under any lock outside kLeaf; it is cheap when the thread is
// awake. Lifetime: owned by its Memory; the destructor lets a run end and joins the thread.
class BackgroundReclaim {
 public:
  static constexpr size_t kBackOffShare = 64;

  // In bytes used: woken above the first, goes on down to the second.
  BackgroundReclaim(Memory& memory, size_t wake_above, size_t until);
  ~BackgroundReclaim();
  BackgroundReclaim(const BackgroundReclaim&) = delete;
  BackgroundReclaim& operator=(const BackgroundReclaim&) = delete;

  void Wake();

 private:
  void Run();
  void ReclaimOnce();

  Memory& memory_;
  const size_t wake_above_;
  const size_t until_;
  std::atomic<bool> awake_{false};
  base::Mutex<base::LockRank::kLeaf> mu_;
  base::CondVar wanted_;
  bool stop_ DT_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace dentree::mm
