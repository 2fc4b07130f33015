// Random: numbers that are the same everywhere for the same seed (SplitMix64).
#pragma once

#include <cstddef>
#include <cstdint>

namespace dentree::model {

// Thread safety: one thread.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <class T, size_t kN>
  const T& Of(const T (&values)[kN]) {
    return values[Below(kN)];
  }

 private:
  uint64_t state_;
};

// A seed of its own for part `part` of `seed`.
inline uint64_t SeedOf(uint64_t seed, uint64_t part) {
  return Random(seed * 0x100000001b3 + part).Next();
}

}  // namespace dentree::model
