#include "base/sync_point.h"

#include <algorithm>

#include "base/check.h"

namespace dentree::base {

SyncPoints::~SyncPoints() {
  MutexLock lock(mu_);
  for (const auto& [name, point] : points_)
    CHECK(point.standing == 0, "a thread stands at a sync point");
}

SyncPoints::Point& SyncPoints::Named(std::string_view point) {
  auto it = points_.find(point);
  if (it == points_.end()) it = points_.emplace(std::string(point), Point{}).first;
  armed_.store(true, std::memory_order_relaxed);
  return it->second;
}

void SyncPoints::Hit(std::string_view name) {
  std::function<void()> action;
  {
    MutexLock lock(mu_, kNested);
    const auto it = points_.find(name);
    if (it == points_.end()) return;
    Point& point = it->second;
    ++point.hits;
    action = point.action;
    if (point.stops) {
      if (point.who == Who::kFirst) point.stops = false;
      ++point.standing;
      changed_.NotifyAll();
      const uint64_t release = point.releases;
      changed_.WaitUntil(mu_, [&] { return point.releases != release; });
      --point.standing;
      changed_.NotifyAll();
    }
  }
  if (action) action();
}

void SyncPoints::Stop(std::string_view name, Who who) {
  MutexLock lock(mu_);
  Point& point = Named(name);
  point.stops = true;
  point.who = who;
}

Status SyncPoints::WaitFor(std::string_view name, int threads, std::chrono::nanoseconds timeout) {
  MutexLock lock(mu_);
  Point& point = Named(name);
  if (changed_.WaitFor(mu_, timeout, [&] { return point.standing >= threads; })) return {};
  return Err(Errno::kTimedOut);
}

void SyncPoints::Release(std::string_view name) {
  MutexLock lock(mu_);
  Point& point = Named(name);
  point.stops = false;
  ++point.releases;
  changed_.NotifyAll();
}

void SyncPoints::OnHit(std::string_view name, std::function<void()> action) {
  MutexLock lock(mu_);
  Named(name).action = std::move(action);
}

void SyncPoints::Reset() {
  MutexLock lock(mu_);
  for (auto& [name, point] : points_) {
    point.stops = false;
    ++point.releases;
  }
  changed_.NotifyAll();
  changed_.WaitUntil(mu_, [&] {
    mu_.AssertHeld();
    return std::ranges::none_of(points_, [](const auto& p) { return p.second.standing != 0; });
  });
  points_.clear();
  armed_.store(false, std::memory_order_relaxed);
}

uint64_t SyncPoints::Hits(std::string_view name) const {
  MutexLock lock(mu_);
  const auto it = points_.find(name);
  return it == points_.end() ? 0 : it->second.hits;
}

}  // namespace dentree::base
