#pragma once

#include <atomic>
#include <cstdint>

namespace dentree::base {

// Where a Vfs gets its time from, so that tests can turn the hands.
//
// Thread safety: any thread. Lifetime: outlives everything that was given it.
class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since the epoch, for timestamps that people see.
  [[nodiscard]] virtual int64_t NowNs() const = 0;
  // Nanoseconds that never go back, for durations.
  [[nodiscard]] virtual int64_t MonotonicNs() const = 0;
};

class RealClock final : public Clock {
 public:
  [[nodiscard]] int64_t NowNs() const override;
  [[nodiscard]] int64_t MonotonicNs() const override;
};

// Stands still until told to move.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t now_ns = 0) : now_ns_(now_ns) {}

  [[nodiscard]] int64_t NowNs() const override { return now_ns_.load(std::memory_order_relaxed); }
  [[nodiscard]] int64_t MonotonicNs() const override {
    return monotonic_ns_.load(std::memory_order_relaxed);
  }
  // Both clocks go forward.
  void Advance(int64_t ns) {
    now_ns_.fetch_add(ns, std::memory_order_relaxed);
    monotonic_ns_.fetch_add(ns, std::memory_order_relaxed);
  }
  // Somebody sets the time of day, perhaps back; durations do not notice.
  void SetNow(int64_t now_ns) { now_ns_.store(now_ns, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> now_ns_;
  std::atomic<int64_t> monotonic_ns_{0};
};

}  // namespace dentree::base
