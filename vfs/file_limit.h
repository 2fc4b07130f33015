// FileLimit: how many open files there may be, asked by every open without counting them each time.
//
// A thread that finds more room than all threads together may use unseen opens the next kUnseen
// files without looking. So the limit is kept as it is when every open counts, but for what other
// threads open and close in the moment of a count.
//
// Thread safety: any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/base.h"

namespace dentree::vfs {

class FileLimit {
 public:
  FileLimit(const base::ShardedGauge& open, size_t limit)
      : open_(open), limit_(static_cast<int64_t>(std::min<size_t>(limit, INT64_MAX))) {}

  size_t limit() const { return static_cast<size_t>(limit_); }
  // Asked before each open: is there none left?
  bool Reached() {
    const uint32_t index = base::ThreadIndex();
    if (index >= kThreads) return open_.Value() >= limit_;
    int32_t& unseen = threads_[index].unseen;
    if (unseen > 0) [[likely]] {
      --unseen;
      return false;
    }
    const int64_t left = limit_ - open_.Value();
    if (left > int64_t{kThreads + 1} * kUnseen) unseen = kUnseen;
    return left <= 0;
  }

 private:
  static constexpr uint32_t kThreads = base::ShardedGauge::kOwnCells;
  static constexpr int32_t kUnseen = 64;
  // Written by the thread with its index alone.
  struct alignas(64) Thread {
    int32_t unseen = 0;
  };

  const base::ShardedGauge& open_;
  const int64_t limit_;
  std::array<Thread, kThreads> threads_;
};

}  // namespace dentree::vfs
