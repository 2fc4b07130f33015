#include "base/fault.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/string_util.h"

namespace dentree::base {

FaultPlan FaultPlan::Nth(std::string points, uint64_t n) {
  return {.points = std::move(points), .when = When::kNth, .n = n};
}

FaultPlan FaultPlan::EveryNth(std::string points, uint64_t n) {
  return {.points = std::move(points), .when = When::kEveryNth, .n = n};
}

FaultPlan FaultPlan::WithProbability(std::string points, double p, uint64_t seed) {
  constexpr double kOne = 4294967296.0;
  return {.points = std::move(points),
          .when = When::kProbability,
          .n = static_cast<uint64_t>(std::clamp(p, 0.0, 1.0) * kOne),
          .seed = seed};
}

bool FaultInjector::Armed::Fires() {
  ++hits;
  switch (plan.when) {
    case FaultPlan::When::kNth:
      return hits == plan.n;
    case FaultPlan::When::kEveryNth:
      return hits % plan.n == 0;
    case FaultPlan::When::kProbability:
      random = Mix64(random + internal::kHashB);
      return random >> 32 < plan.n;
  }
  return false;
}

FaultInjector::PlanId FaultInjector::Arm(FaultPlan plan) {
  CHECK(plan.when == FaultPlan::When::kProbability || plan.n > 0, "hits are counted from 1");
  MutexLock lock(mu_);
  const uint64_t seed = plan.seed;
  armed_.push_back({++last_id_, std::move(plan), 0, seed});
  active_.store(true, std::memory_order_relaxed);
  return last_id_;
}

void FaultInjector::Disarm(PlanId id) {
  MutexLock lock(mu_);
  std::erase_if(armed_, [id](const Armed& armed) { return armed.id == id; });
  active_.store(counting_ || !armed_.empty(), std::memory_order_relaxed);
}

void FaultInjector::StartCounting() {
  MutexLock lock(mu_);
  counting_ = true;
  active_.store(true, std::memory_order_relaxed);
}

void FaultInjector::Reset() {
  MutexLock lock(mu_);
  counting_ = false;
  armed_.clear();
  points_.clear();
  active_.store(false, std::memory_order_relaxed);
}

bool FaultInjector::ShouldFailSlow(std::string_view point) {
  MutexLock lock(mu_, kNested);  // a point may stand under a leaf lock
  auto it = points_.find(point);
  if (it == points_.end()) it = points_.emplace(std::string(point), PointCounts{}).first;
  ++it->second.hits;
  bool fail = false;
  // Every matching plan counts the hit, also when another one fires.
  for (Armed& armed : armed_) {
    if (GlobMatch(armed.plan.points, it->first)) fail |= armed.Fires();
  }
  it->second.failures += fail ? 1 : 0;
  return fail;
}

FaultInjector::PointCounts FaultInjector::Counts(std::string_view point) const {
  MutexLock lock(mu_);
  const auto it = points_.find(point);
  return it == points_.end() ? PointCounts{} : it->second;
}

std::vector<std::string> FaultInjector::Points() const {
  MutexLock lock(mu_);
  std::vector<std::string> names;
  for (const auto& [name, counts] : points_) names.push_back(name);
  return names;
}

}  // namespace dentree::base
