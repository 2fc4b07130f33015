#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "base/mutex.h"

// Named places in the code at which tests stop and order threads.
//
//   SYNC_POINT(vfs.sync_points(), "dcache:evict:unlocked");
//
// A test that wants a lookup to come between two steps of an eviction:
//
//   points.Stop("dcache:evict:unlocked");
//   std::jthread evictor([&] { Evict(); });
//   ASSERT_TRUE(points.WaitFor("dcache:evict:unlocked"));  // the evictor stands there
//   Lookup();
//   points.Release("dcache:evict:unlocked");
//
// Compiled out unless DENTREE_SYNC_POINTS; a disarmed one costs one relaxed load.

namespace dentree::base {

// The sync points of one Vfs or Os.
//
// Thread safety: any thread. Lifetime: no thread stands at a point when destroyed.
class SyncPoints {
 public:
  // Who stops at a point that is armed with Stop.
  enum class Who : uint8_t {
    kFirst,  // the first thread to come; others pass
    kAll,    // every thread until Release
  };

  SyncPoints() = default;
  SyncPoints(const SyncPoints&) = delete;
  SyncPoints& operator=(const SyncPoints&) = delete;
  ~SyncPoints();

  [[nodiscard]] bool armed() const { return armed_.load(std::memory_order_relaxed); }
  // What SYNC_POINT does when something is armed.
  void Hit(std::string_view point);

  // Threads that come to `point` stop there until Release.
  void Stop(std::string_view point, Who who = Who::kFirst);
  // Waits until `threads` threads stand at `point`; kTimedOut if they do not come.
  [[nodiscard]] Status WaitFor(std::string_view point, int threads = 1,
                               std::chrono::nanoseconds timeout = std::chrono::seconds(30));
  // Lets go whoever stands at `point`; nobody stops there any more.
  void Release(std::string_view point);
  // Threads that come to `point` run `action` there, outside the locks of this object.
  void OnHit(std::string_view point, std::function<void()> action);
  // Releases everything and forgets all counts and actions.
  void Reset();

  // Hits since the point was first named to this object.
  [[nodiscard]] uint64_t Hits(std::string_view point) const;

 private:
  struct Point {
    uint64_t hits = 0;
    int standing = 0;
    uint64_t releases = 0;
    bool stops = false;
    Who who = Who::kFirst;
    std::function<void()> action;
  };

  Point& Named(std::string_view point) DT_REQUIRES(mu_);

  std::atomic<bool> armed_{false};
  mutable Mutex<LockRank::kLeaf> mu_;
  CondVar changed_;
  std::map<std::string, Point, std::less<>> points_ DT_GUARDED_BY(mu_);
};

}  // namespace dentree::base

#ifdef DENTREE_SYNC_POINTS
#define SYNC_POINT(points, name)       \
  do {                                 \
    if ((points).armed()) [[unlikely]] \
      (points).Hit(name);              \
  } while (false)
#else
#define SYNC_POINT(points, name) static_cast<void>(sizeof(points))
#endif
