#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace dentree::base {

// When a fault point fails. `points` is a glob over names such as "mm:alloc:dentry".
struct FaultPlan {
  enum class When : uint8_t {
    kNth,          // the n-th hit from now on, once (n counts from 1)
    kEveryNth,     // each n-th hit
    kProbability,  // each hit with probability n / 2^32, reproducible from the seed
  };

  std::string points;
  When when = When::kNth;
  uint64_t n = 1;
  uint64_t seed = 0;

  [[nodiscard]] static FaultPlan Nth(std::string points, uint64_t n);
  [[nodiscard]] static FaultPlan EveryNth(std::string points, uint64_t n);
  [[nodiscard]] static FaultPlan Always(std::string points) {
    return EveryNth(std::move(points), 1);
  }
  [[nodiscard]] static FaultPlan WithProbability(std::string points, double p, uint64_t seed);
};

// Makes named operations fail on purpose, according to plans; one per Vfs or Os.
//
//   if (faults.ShouldFail("mm:alloc:dentry")) return Err(Errno::kNoMem);
//
// Costs one relaxed load while nothing is armed; hits are counted only while something is, or
// between StartCounting and Reset. A plan counts the hits of all points it matches together.
//
// Thread safety: any thread. Lifetime: outlives everything that has its points.
class FaultInjector {
 public:
  using PlanId = uint64_t;

  [[nodiscard]] bool ShouldFail(std::string_view point) {
    return active_.load(std::memory_order_relaxed) && ShouldFailSlow(point);
  }

  PlanId Arm(FaultPlan plan);
  void Disarm(PlanId id);
  void StartCounting();
  // Forgets plans and counts.
  void Reset();

  struct PointCounts {
    uint64_t hits = 0;
    uint64_t failures = 0;
  };
  [[nodiscard]] PointCounts Counts(std::string_view point) const;
  // The points hit so far, by name.
  [[nodiscard]] std::vector<std::string> Points() const;

 private:
  struct Armed {
    PlanId id;
    FaultPlan plan;
    uint64_t hits;
    uint64_t random;

    [[nodiscard]] bool Fires();
  };

  bool ShouldFailSlow(std::string_view point);

  std::atomic<bool> active_{false};
  mutable Mutex<LockRank::kLeaf> mu_;
  bool counting_ DT_GUARDED_BY(mu_) = false;
  PlanId last_id_ DT_GUARDED_BY(mu_) = 0;
  std::vector<Armed> armed_ DT_GUARDED_BY(mu_);
  std::map<std::string, PointCounts, std::less<>> points_ DT_GUARDED_BY(mu_);
};

// A plan armed for a scope.
class [[nodiscard]] ScopedFault {
 public:
  ScopedFault(FaultInjector& faults, FaultPlan plan)
      : faults_(faults), id_(faults.Arm(std::move(plan))) {}
  ~ScopedFault() { faults_.Disarm(id_); }
  ScopedFault(const ScopedFault&) = delete;
  ScopedFault& operator=(const ScopedFault&) = delete;

 private:
  FaultInjector& faults_;
  FaultInjector::PlanId id_;
};

}  // namespace dentree::base
