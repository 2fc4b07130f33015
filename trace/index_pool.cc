#include "trace/index_pool.h"

#include <new>

namespace dentree::trace {

base::Result<uint32_t> IndexPool::Take() {
  if (first_ < freed_.size() && rcu_.Poll(freed_[first_].cookie)) {
    const uint32_t index = freed_[first_++].index;
    if (first_ == freed_.size()) freed_.clear(), first_ = 0;
    return index;
  }
  if (high_water_ == limit_) return base::Err(base::Errno::kNoSpc);
  return high_water_++;
}

void IndexPool::Give(uint32_t index) {
  if (first_ > freed_.size() / 2) {
    freed_.erase(freed_.begin(), freed_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
  try {
    freed_.push_back({index, rcu_.StartPoll()});
  } catch (const std::bad_alloc&) {
    // The number is lost, which is safe; the alternative would be a removal that can fail.
  }
}

}  // namespace dentree::trace
