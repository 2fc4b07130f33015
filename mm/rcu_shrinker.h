// What waits for a grace period, as a shrinker: so that it shows among the others what it holds,
// and that a gentle reclaim runs what is due before it takes anything from a cache.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/rcu.h"
#include "mm/shrinker.h"

namespace dentree::mm {

// Thread safety: any thread. Lifetime: within its domain's.
class RcuShrinker final : public Shrinker {
 public:
  explicit RcuShrinker(base::RcuDomain& rcu) : rcu_(rcu) {}

  std::string_view name() const override { return "rcu-kfree"; }
  size_t Count() override {
    const base::RcuStats stats = rcu_.Stats();
    const uint64_t pending = stats.retired - std::min(stats.retired, stats.finished);
    return pending == 0 ? kEmpty : pending;
  }
  // Runs what is due without waiting: all of it, however little was asked for. Reclaim waits for
  // grace periods itself, where that helps.
  ScanResult Scan(size_t nr) override {
    const size_t freed = rcu_.Reclaim();
    return {.scanned = std::min(nr, freed), .freed = freed, .stop = freed == 0};
  }
  // Nothing has to be brought back.
  uint32_t seeks() const override { return 0; }

 private:
  base::RcuDomain& rcu_;
};

}  // namespace dentree::mm
