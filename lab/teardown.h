// What it costs to be rid of a directory full of negatives, and to do something else with it: the
// time for which the caller waits.
//
// Thread safety: each call by itself. Lifetime: results are values.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "lab/policy.h"

namespace dentree::lab {

struct TeardownOptions {
  uint64_t count = 1'000'000;  // negatives
  std::string policy{kUnbounded};
  const std::atomic<bool>* interrupt = nullptr;
  // Now and then: what is done, and how many of the lookups that fill the directory are.
  std::function<void(std::string_view what, uint64_t done)> on_progress = {};
};

// Times in ns.
struct TeardownResult {
  uint64_t count = 0;    // lookups, each of another missing name
  uint64_t entries = 0;  // negatives there were at the first of these
  uint64_t bytes = 0;    // charged to the Vfs then
  int64_t watch_ns = 0;  // inotify_add_watch on the directory
  int64_t readdir_ns = 0;
  int64_t rmdir_ns = 0;
  int64_t stall_ns = 0;   // the longest stat of another thread during the rmdir
  int64_t umount_ns = 0;  // of another such file system
  int64_t drop_ns = 0;    // of all caches of another such Vfs
  double fill_ns = 0;     // mean of a lookup that put a negative in
};

// The error is a message; "interrupted" too.
std::expected<TeardownResult, std::string> RunTeardown(const TeardownOptions& options);

// The times beside those of goal G14.
std::string TeardownText(const TeardownResult& result);

}  // namespace dentree::lab
