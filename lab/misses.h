// Does the memory for negatives have a bound, and does looking names up stay fast? Very many
// distinct missing names of one directory, on a file system that answers from memory.
//
// Thread safety: each call by itself. Lifetime: results are values.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "lab/histogram.h"
#include "lab/policy.h"

namespace dentree::lab {

// The first and the last so many lookups are compared; of a smaller count, a tenth.
inline constexpr uint64_t kMissWindow = 1'000'000;

struct MissesOptions {
  LabOptions lab;
  uint64_t count = 10'000'000;
  const std::atomic<bool>* interrupt = nullptr;
  std::function<void(uint64_t done)> on_progress = {};  // now and then
};

struct MissesResult {
  uint64_t count = 0;   // done
  uint64_t window = 0;  // lookups in the first and in the last window
  // Charged to the Vfs before, after the first window and at the end; the process's resident
  // memory.
  uint64_t bytes_start = 0, bytes_first = 0, bytes_last = 0;
  uint64_t resident_first = 0, resident_last = 0;
  double per_second_first = 0, per_second_last = 0;
  PolicyCounts negatives;
  Histogram ns;  // of each lookup, less the injected cost
  double seconds = 0;
  bool complete = false;  // not interrupted

  double growth() const;    // bytes_last by bytes_first
  double slowdown() const;  // per_second_last by per_second_first
};

std::expected<MissesResult, std::string> RunMisses(const MissesOptions& options);

// A table of what each policy did, then the goals (the issue's, and G13) for the first, "goal: ...,
// ok" or "..., MISSED".
struct NamedMisses {
  std::string policy;
  MissesResult result;
};
std::string MissesText(const std::vector<NamedMisses>& results);

}  // namespace dentree::lab
