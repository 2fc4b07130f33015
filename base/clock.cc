#include "base/clock.h"

#include <ctime>

namespace dentree::base {
namespace {

int64_t Read(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int64_t RealClock::NowNs() const { return Read(CLOCK_REALTIME); }
int64_t RealClock::MonotonicNs() const { return Read(CLOCK_MONOTONIC); }

}  // namespace dentree::base
