// Replays a trace on the real VFS: every path is walked from the root, every creation and removal
// is done, by as many threads as wanted, and what the negatives were good for is measured.
//
// What is measured:
//     hits      answers that a name is missing (to lookups, and to the creation of it) for which
//               the file system was not asked
//     insert    how long a lookup took that had to ask, and so put in a negative, less the injected
//               cost: what the VFS and its policy cost
//     hit       how long a lookup took that had not
// Times have two readings of the clock in them, some 50 ns.
//
// Thread safety: makes its own Vfs and threads. Lifetime: results are values.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "lab/histogram.h"
#include "lab/policy.h"
#include "lab/prepare.h"

namespace dentree::lab {

inline constexpr unsigned kMaxReplayThreads = 256;
// Tasks a thread keeps for the processes of a trace; beyond, it begins anew.
inline constexpr size_t kMaxTasksPerThread = 256;

struct ReplayOptions {
  LabOptions lab;
  // A process is one thread's, so its own events keep their order; what others do meanwhile is not
  // as recorded, and some answers differ (ReplayResult::surprises).
  unsigned threads = 1;
  const std::atomic<bool>* interrupt = nullptr;  // ends it early
};

struct ReplayResult {
  uint64_t events = 0;
  uint64_t misses = 0;       // lookups that found nothing, and creations
  uint64_t asked = 0;        // of these, for which the file system was asked
  uint64_t useful_hits = 0;  // on names that are not junk (kJunk)
  uint64_t surprises = 0;    // answers that were not those of the trace
  uint64_t repairs = 0;      // Prepared::repairs
  PolicyCounts negatives;    // at the end
  Histogram insert_ns;
  Histogram hit_ns;
  double seconds = 0;

  uint64_t hits() const { return misses > asked ? misses - asked : 0; }
};

// The error is a message: an unknown policy, no memory for the tree.
std::expected<ReplayResult, std::string> Replay(const Trace& trace, const Prepared& prepared,
                                                const ReplayOptions& options);

}  // namespace dentree::lab
