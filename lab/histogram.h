// Histogram: how often which number came, to within 1/16 of it, in constant memory.
//
// Thread safety: of one thread; Merge afterwards. Lifetime: a value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace dentree::lab {

class Histogram {
 public:
  void Add(uint64_t value) {
    ++counts_[BucketOf(value)];
    ++count_;
    max_ = std::max(max_, value);
  }
  void Merge(const Histogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }  // exact; 0 without values
  // The least number that a fraction `q` (0 to 1) of the values does not exceed, rounded up to the
  // end of its bucket; 0 without values.
  uint64_t Quantile(double q) const {
    const auto wanted = static_cast<uint64_t>(q * static_cast<double>(count_));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= wanted) return std::min(EndOf(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned kSubBits = 4;
  static constexpr uint64_t kSub = 1u << kSubBits;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) * kSub;

  // Numbers below kSub have a bucket each; above, each power of two has kSub.
  static size_t BucketOf(uint64_t value) {
    if (value < kSub) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    return (shift + 1) * kSub + (value >> shift) - kSub;
  }
  static uint64_t EndOf(size_t bucket) {
    if (bucket < kSub) return bucket;
    const auto shift = static_cast<unsigned>(bucket / kSub - 1);
    return ((bucket % kSub + kSub + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace dentree::lab
