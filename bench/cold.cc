// A lookup in a tree that no cache holds: all components of all paths are distinct, and paths are
// asked for in a random order, so that each name is a line from memory, or several.
//
//   build/bench/cold --entries 10000000     # G4; 5 GB
#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/harness.h"
#include "bench/limit.h"
#include "bench/tree.h"

namespace dentree {
namespace {

using bench::Experiment;
using bench::Pace;
using bench::Paths;

constexpr uint64_t kComponents = 6;

std::vector<std::string> DistinctPaths(uint64_t entries) {
  std::vector<std::string> paths;
  for (uint64_t i = 0; i < entries / kComponents; ++i) {
    paths.push_back(absl::StrFormat("/a%07x/b%07x/c%07x/d%07x/e%07x/f%07x", i, i, i, i, i, i));
  }
  return paths;
}

void MakeChains(const bench::Ours& ours, const std::vector<std::string>& paths) {
  for (const std::string_view path : paths) {
    for (size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1)) {
      ours.Mkdir(path.substr(0, end));
    }
    ours.Create(path);
  }
}

void Measure(const bench::Report& report, uint64_t entries) {
  std::vector<std::string> text = DistinctPaths(entries);
  const bench::Ours ours;
  MakeChains(ours, text);
  const bench::Limit limit(bench::Limit::Layout::kSlots, text, text.size() * kComponents);
  std::shuffle(text.begin(), text.end(), std::mt19937_64(1));
  const Paths paths(text);
  text = {};
  vfs::Task& task = *ours.task;
  const auto stat = [&task](std::string_view path) { return bench::StatOf(task, path); };
  Experiment experiment(report.rounds());
  // Each from a place of its own on, so that nobody finds the text of a path in a cache because
  // another one has just read it.
  uint64_t contenders = 0;
  const auto add = [&](std::string_view name, auto look_up) -> const Experiment::Contender& {
    size_t at = paths.count() / 4 * contenders++;
    return experiment.Add(name, [look_up, at](uint64_t n) mutable { look_up(at, n); });
  };
  const auto& latency = add("Task::Stat, latency", [&](size_t& at, uint64_t n) {
    bench::LookUp<Pace::kLatency>(paths, at, n, stat);
  });
  const auto& limit_latency = add("LIMIT with 8-byte slots, latency", [&](size_t& at, uint64_t n) {
    limit.LookUp<Pace::kLatency>(paths, at, n);
  });
  const auto& throughput = add("Task::Stat, throughput", [&](size_t& at, uint64_t n) {
    bench::LookUp<Pace::kThroughput>(paths, at, n, stat);
  });
  add("LIMIT with 8-byte slots, throughput",
      [&](size_t& at, uint64_t n) { limit.LookUp<Pace::kThroughput>(paths, at, n); });
  experiment.Run();
  const std::string what = absl::StrFormat("stat d6 of %d entries, all distinct", entries);
  report.Table(what, experiment);
  report.Value("latency over LIMIT's", latency.RatioTo(limit_latency), "x");
  report.Value("latency over LIMIT's, of the minima", latency.min() / limit_latency.min(), "x");
  report.Value("throughput over LIMIT's latency", throughput.RatioTo(limit_latency), "x");
  report.Value("bytes per entry, charged",
               static_cast<double>(ours.vfs->memory().used()) / static_cast<double>(entries), "B");
  report.Goal("G4", what + ", latency over the dependent limit", latency.RatioTo(limit_latency),
              "x", bench::AtMost(1.15));
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  uint64_t entries = 1'200'000;
  const dentree::bench::Report report(argc, argv, {{"--entries", &entries}});
  dentree::Measure(report, entries);
}
