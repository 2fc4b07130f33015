// Accumulator: all aggregates of a value, from one pass over those who have it.
//
// Numbers are exact while they are added (128 bits); a sum that no 64 bits can hold is the nearest
// number that they can. Of nothing every aggregate is 0: there is no value that could be mistaken
// for a smallest or greatest one.
//
// Thread safety: a value. Lifetime: its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "statsfs/schema.h"

namespace dentree::statsfs {

class Accumulator {
 public:
  explicit Accumulator(const base::StatField& field) : is_signed_(field.is_signed) {}

  void Add(int64_t value) {
    const Wide wide = is_signed_ ? Wide{value} : Wide{static_cast<uint64_t>(value)};
    sum_ += wide;
    min_ = count_ == 0 ? wide : std::min(min_, wide);
    max_ = count_ == 0 ? wide : std::max(max_, wide);
    ++count_;
    if (value == 0) ++zeros_;
  }

  // With the sign of the field.
  int64_t Result(Aggregate aggregate) const {
    switch (aggregate) {
      case Aggregate::kSum:
        return Narrow(sum_);
      case Aggregate::kMin:
        return Narrow(min_);
      case Aggregate::kMax:
        return Narrow(max_);
      case Aggregate::kAvg:  // towards zero
        return count_ == 0 ? 0 : Narrow(sum_ / static_cast<Wide>(count_));
      case Aggregate::kCountZero:
        return static_cast<int64_t>(zeros_);
    }
    return 0;
  }

 private:
  __extension__ using Wide = __int128;

  int64_t Narrow(Wide wide) const {
    if (!is_signed_) {
      constexpr auto kMax = static_cast<Wide>(std::numeric_limits<uint64_t>::max());
      return static_cast<int64_t>(static_cast<uint64_t>(std::min(wide, kMax)));
    }
    return static_cast<int64_t>(std::clamp(wide,
                                           static_cast<Wide>(std::numeric_limits<int64_t>::min()),
                                           static_cast<Wide>(std::numeric_limits<int64_t>::max())));
  }

  const bool is_signed_;
  uint64_t count_ = 0, zeros_ = 0;
  Wide sum_ = 0, min_ = 0, max_ = 0;
};

}  // namespace dentree::statsfs
