// The table of the laboratory: workloads against policies, caps and costs.
//
//     auto workloads = lab::Workloads(std::move(traces), lab::Adversaries::kYes, {.seed = 1});
//     auto reports = lab::RunNegative(workloads, {.policies = {"dirs3", "lru"}});
//     std::fputs(lab::TableText(*reports).c_str(), stdout);                        // report.h
//
// Thread safety: each call by itself. Lifetime: values; a Workload keeps what it is made from.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lab/replay.h"
#include "lab/trace.h"

namespace dentree::lab {

// Made when it is its turn: some have millions of names.
struct Workload {
  std::string name;
  std::function<Trace()> make;
};

enum class Adversaries : uint8_t { kNo, kYes };
struct WorkloadOptions {
  uint64_t seed = 1;
  size_t greatest_cap = vfs::kDefaultNegativeLimit;  // the loop is a quarter longer
};
// The traces, the developer's day made of them, and with Adversaries::kYes the synthetic ones,
// mixed into the day and into the longest trace (without traces: into a made-up compiler's).
std::vector<Workload> Workloads(std::vector<Trace> traces, Adversaries adversaries,
                                const WorkloadOptions& options);

struct NegativeProgress {
  size_t done;   // cells
  size_t total;  // cells
  std::string_view workload;
  std::string_view policy;  // at work on
};

struct NegativeOptions {
  std::vector<std::string> policies;
  std::vector<size_t> caps{vfs::kDefaultNegativeLimit};
  std::vector<uint64_t> costs{0};  // of a lookup in the file system, in ns
  unsigned threads = 1;
  const std::atomic<bool>* interrupt = nullptr;  // what is complete until then is reported
  std::function<void(const NegativeProgress&)> on_progress = {};
};

struct Cell {
  std::string policy;
  size_t cap;
  uint64_t cost_ns;
  unsigned threads;
  // Hits as a part of those of the policy that keeps all; 1 where that has none. Of all names, and
  // of the useful ones.
  double of_unbounded;
  double useful;
  ReplayResult result;

  // Time of the file system that the hits saved.
  uint64_t saved_ns() const { return result.hits() * cost_ns; }
};

struct WorkloadReport {
  std::string name;
  uint64_t events = 0;
  uint64_t misses = 0;
  uint64_t repairs = 0;
  uint64_t unbounded_hits = 0;                    // the most that is possible
  uint64_t useful_hits = 0;                       // of these, on useful names
  std::vector<std::pair<size_t, uint64_t>> best;  // cap, the most useful hits possible with it
  std::vector<Cell> cells;  // policies that need no cap have one for each cost
};

// The error is a message: a policy that the VFS does not have.
std::expected<std::vector<WorkloadReport>, std::string> RunNegative(
    const std::vector<Workload>& workloads, const NegativeOptions& options);

}  // namespace dentree::lab
