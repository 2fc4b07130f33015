#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/errno.h"
#include "base/rcu.h"

namespace dentree::trace {

// Hands out small dense numbers; one given back is handed out again only after a grace period, when
// no reader that found its former owner is left.
//
// Thread safety: none of its own; its owner's lock. Lifetime: the domain outlives it.
class IndexPool {
 public:
  IndexPool(base::RcuDomain& rcu, uint32_t limit) : rcu_(rcu), limit_(limit) {}

  // kNoSpc when `limit` numbers are in use.
  base::Result<uint32_t> Take();

  // Cannot fail: when there is no memory to remember the number, it is never handed out again.
  void Give(uint32_t index);

  // One above the largest number ever handed out.
  uint32_t high_water() const { return high_water_; }

 private:
  struct Freed {
    uint32_t index;
    uint64_t cookie;
  };

  base::RcuDomain& rcu_;
  const uint32_t limit_;
  uint32_t high_water_ = 0;
  // In the order given back, so the first one's grace period ends first; those before first_ have
  // been handed out again.
  std::vector<Freed> freed_;
  size_t first_ = 0;
};

}  // namespace dentree::trace
