// The paths that a benchmark looks up, and the two ways to do it: as many at a time as the
// processor can overlap (throughput), or each only when the one before is known (latency).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "bench/harness.h"

namespace dentree::bench {

// Paths of one length, side by side in the order in which they are looked up. Each begins a block
// of 64-byte lines of its own, so whoever reads lines never reads beyond what is there.
class Paths {
 public:
  static constexpr size_t kLine = 64;

  explicit Paths(const std::vector<std::string>& paths)
      : count_(paths.size()),
        size_(paths.front().size()),
        stride_((size_ / kLine + 1) * kLine),
        lines_(new Line[count_ * stride_ / kLine]{}) {
    for (size_t i = 0; i < count_; ++i) {
      CHECK(paths[i].size() == size_, "paths of one length");
      std::memcpy(lines_[0].text + i * stride_, paths[i].data(), size_);
    }
  }

  size_t count() const { return count_; }
  size_t length() const { return size_; }
  size_t stride() const { return stride_; }
  size_t IndexOf(const char* path) const {
    return static_cast<size_t>(path - lines_[0].text) / stride_;
  }
  const char* at(size_t i) const { return lines_[0].text + i * stride_; }
  std::string_view operator[](size_t i) const { return {at(i), size_}; }
  // The one after `i`, in a circle.
  size_t After(size_t i) const { return i + 1 == count_ ? 0 : i + 1; }

 private:
  struct alignas(kLine) Line {
    char text[kLine];
  };

  size_t count_, size_, stride_;
  std::unique_ptr<Line[]> lines_;
};

enum class Pace : uint8_t {
  kThroughput,  // lookups do not depend on each other
  kLatency,     // where the next path is depends on the last result
};

// Zero, but not to the compiler.
inline uint64_t HiddenZero() {
  uint64_t zero = 0;
  asm volatile("" : "+r"(zero));
  return zero;
}

// Calls look(path) -> uint64_t for `n` paths from `at` on, which moves on with them.
template <Pace kPace, class Look>
void LookUp(const Paths& paths, size_t& at, uint64_t n, Look look) {
  const uint64_t zero = HiddenZero();
  uint64_t last = 0;
  size_t i = at;
  for (; n != 0; --n, i = paths.After(i)) {
    const size_t shift = kPace == Pace::kLatency ? last & zero : 0;
    last = look(std::string_view(paths.at(i) + shift, paths.length()));
    Keep(last);
  }
  at = i;
}

}  // namespace dentree::bench
