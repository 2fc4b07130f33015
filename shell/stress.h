// Random operations from many threads at once, each answer judged.
//
// An operation is right if it answers with one of the errors documented for it; what is read must
// have been written by someone. At the end everything is removed, and with Check::kAtEnd the
// invariants of all caches are checked and the counts of dentries, inodes and nodes must be those
// of the start.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "shell/memory_counts.h"
#include "shell/stream.h"
#include "uring/ring_task.h"

namespace dentree::shell {

inline constexpr unsigned kMaxStressThreads = 1024;
// Violations that a report tells in full.
inline constexpr size_t kMaxToldViolations = 16;

struct StressProgress {
  std::chrono::seconds elapsed;
  uint64_t operations;
  uint64_t violations;
};

struct StressOptions {
  unsigned threads = 4;
  std::chrono::milliseconds duration{5000};
  uint64_t seed = 1;
  enum class Check : uint8_t { kNone, kAtEnd } check = Check::kAtEnd;
  bool mounts = true;            // mount and unmount in the tree, too
  std::string tree = "/stress";  // made for the run and removed: must not exist
  std::string instances = "/sys/kernel/tracing/instances";  // left out if it does not exist
  std::function<void(const StressProgress&)> on_progress =
      {};                                // every second, on the caller's thread
  const Interrupt* interrupt = nullptr;  // ends the run early
};

struct StressReport {
  // Answers: operation, errno (0: success), how often.
  std::map<std::string, std::map<int, uint64_t>> answers;
  uint64_t operations = 0;
  uint64_t violation_count = 0;
  std::vector<std::string> violations;  // the first kMaxToldViolations
  uint64_t seed = 0;
  double seconds = 0;
  MemoryCounts before, after;  // in use, caches dropped; only with a check

  bool passed() const { return violation_count == 0; }
};

// Runs with the credentials of `task`, which should be root's. Fails only if it cannot begin.
base::Result<StressReport> RunStress(uring::RingTask& task, const StressOptions& options);

// The table of operations and answers, the violations, and a last line that says how it went.
std::string Describe(const StressReport& report);

}  // namespace dentree::shell
