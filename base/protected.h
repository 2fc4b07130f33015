#pragma once

#include <utility>

#include "base/mutex.h"

namespace dentree::base {

// A value that can be reached only while its lock is held.
//
//   Protected<std::map<std::string, Event>, LockRank::kRegistry> events_;
//   events_.With([&](auto& events) { events.emplace(...); });
//   const size_t n = events_.WithShared([](const auto& events) { return events.size(); });
//
// Thread safety: any thread. The callable must not keep a reference to the value. Lifetime: the
// value's.
template <class T, LockRank R>
class Protected {
 public:
  template <class... Args>
  explicit Protected(Args&&... args) : value_(std::forward<Args>(args)...) {}

  template <class F>
  decltype(auto) With(F&& f) {
    WriteLock lock(lock_);
    return std::forward<F>(f)(value_);
  }
  template <class F>
  decltype(auto) WithShared(F&& f) const {
    ReadLock lock(lock_);
    return std::forward<F>(f)(value_);
  }

 private:
  mutable RwSem<R> lock_;
  T value_ DT_GUARDED_BY(lock_);
};

}  // namespace dentree::base
