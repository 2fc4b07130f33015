// What the files of NegativeCache share.
#pragma once

#include <utility>

#include "vfs/negative.h"

namespace dentree::vfs {

// NegativeCache's lock, held; what dies meanwhile is freed once it is not.
class NegativeCache::Session {
 public:
  explicit Session(NegativeCache& cache) DT_NO_THREAD_SAFETY_ANALYSIS : cache_(cache) {
    cache.lock_.Lock();
    cache.steps_ = 0;
  }
  ~Session() DT_NO_THREAD_SAFETY_ANALYSIS {
    const Dead dead = std::exchange(cache_.dead_, {});
    cache_.lock_.Unlock();
    cache_.Settle(dead);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  NegativeCache& cache_;
};

}  // namespace dentree::vfs
