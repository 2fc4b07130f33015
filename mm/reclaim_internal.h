// What a reclaim is after.
#pragma once

#include <cstddef>

#include "mm/memory.h"

namespace dentree::mm {

// The end of one reclaim: asked after every batch, so that no more is freed than needed.
//
// Thread safety: used by the reclaiming thread only.
class ReclaimGoal {
 public:
  // `bytes`: from so many deferred bytes on, waiting for a grace period promises to meet the goal.
  explicit ReclaimGoal(size_t bytes) : bytes_(bytes) {}
  ReclaimGoal(const ReclaimGoal&) = delete;
  ReclaimGoal& operator=(const ReclaimGoal&) = delete;

  // Whether reclaim may end. Once it may, it is not asked again.
  bool Check() { return reached_ || (reached_ = Met()); }
  bool reached() const { return reached_; }

  size_t bytes() const { return bytes_; }
  // One of the grace periods this reclaim may wait for before the last; false when they are used
  // up.
  bool MayWait() { return ++waits_ < Memory::kMaxGracePeriodWaits; }

 protected:
  ~ReclaimGoal() = default;

 private:
  // True when met; takes what it is after, if it is after something that others could take.
  virtual bool Met() = 0;

  const size_t bytes_;
  int waits_ = 0;
  bool reached_ = false;
};

}  // namespace dentree::mm
