#include "lab/negative.h"

#include <algorithm>

#include "lab/belady.h"
#include "lab/generators.h"
#include "lab/prepare.h"

namespace dentree::lab {

namespace {

// Sizes of what is made up: large against every cap that is asked for, small enough to wait for.
constexpr uint64_t kUniqueNames = 200'000;
constexpr uint64_t kZipfLookups = 400'000;
constexpr uint64_t kZipfHot = 2'000;
constexpr uint64_t kLoopRounds = 6;
constexpr uint64_t kFlipFlops = 2'000;
constexpr uint64_t kSurvivors = 1'000;
constexpr uint64_t kSurvivorsScan = 1'000'000;

using SharedTrace = std::shared_ptr<const Trace>;

Trace CopyOf(const Trace& trace) {
  Trace copy(trace.name());
  copy.Append(trace, 0);
  return copy;
}

void AddMix(std::vector<Workload>& workloads, const SharedTrace& base, const Mix& mix) {
  // The name is the trace's own: that of nothing, mixed in the same way, says it without the work.
  std::string name = Mixed(Trace(base->name()), mix).name();
  workloads.push_back({std::move(name), [base, mix] { return Mixed(*base, mix); }});
}

void AddMixes(std::vector<Workload>& workloads, const SharedTrace& base) {
  using enum Mix::Kind;
  for (const Mix& mix :
       {Mix{kScan, 1}, Mix{kScan, 10}, Mix{kScan, 10, 2}, Mix{kScan, 10, 3}, Mix{kSpread, 5},
        Mix{kGhosts, 5}, Mix{kNss, 3}, Mix{kTemporary, 1}, Mix{kShortTasks, 10}, Mix{kTrickle}}) {
    AddMix(workloads, base, mix);
  }
}

std::vector<size_t> CapsFor(const NegativeOptions& options, std::string_view policy) {
  if (ObeysCap(policy)) return options.caps;
  return {options.caps.front()};
}

// One workload's cells, one after the other.
class Experiment {
 public:
  Experiment(const NegativeOptions& options, size_t workloads) : options_(options) {
    for (const std::string& policy : options.policies) {
      total_ += CapsFor(options, policy).size() * options.costs.size() * workloads;
    }
  }

  std::expected<WorkloadReport, std::string> Run(const Workload& workload) {
    const Trace trace = workload.make();
    const Prepared prepared = Prepare(trace);
    WorkloadReport report;
    report.name = workload.name;
    report.events = prepared.events.size();
    report.misses = prepared.misses;
    report.repairs = prepared.repairs;
    report.unbounded_hits = BestHits(trace, prepared, SIZE_MAX);
    report.useful_hits = BestHits(trace, prepared, SIZE_MAX, HitsOf::kUseful);
    for (const size_t cap : options_.caps) {
      report.best.emplace_back(cap, BestHits(trace, prepared, cap, HitsOf::kUseful));
    }
    for (const std::string& policy : options_.policies) {
      for (const size_t cap : CapsFor(options_, policy)) {
        for (const uint64_t cost : options_.costs) {
          if (Interrupted()) return report;
          Tell(workload.name, policy);
          auto result = Replay(trace, prepared,
                               {.lab = {.policy = policy, .cap = cap, .cost_ns = cost},
                                .threads = options_.threads,
                                .interrupt = options_.interrupt});
          if (!result) return std::unexpected(result.error());
          ++done_;
          if (Interrupted()) return report;  // the last one is not complete
          Add(report, {policy, cap, cost, options_.threads, 0, 0, *std::move(result)});
        }
      }
    }
    return report;
  }

  bool Interrupted() const {
    return options_.interrupt != nullptr && options_.interrupt->load(std::memory_order_relaxed);
  }
  void Tell(std::string_view workload, std::string_view policy) const {
    if (options_.on_progress) options_.on_progress({done_, total_, workload, policy});
  }

 private:
  static double Part(uint64_t hits, uint64_t of) {
    return of == 0 ? 1 : static_cast<double>(hits) / static_cast<double>(of);
  }
  static void Add(WorkloadReport& report, Cell cell) {
    cell.of_unbounded = Part(cell.result.hits(), report.unbounded_hits);
    cell.useful = Part(cell.result.useful_hits, report.useful_hits);
    report.cells.push_back(std::move(cell));
  }

  const NegativeOptions& options_;
  size_t done_ = 0;
  size_t total_ = 0;
};

}  // namespace

std::vector<Workload> Workloads(std::vector<Trace> traces, Adversaries adversaries,
                                const WorkloadOptions& options) {
  std::vector<Workload> workloads;
  SharedTrace base, longest;
  Trace day = DeveloperDay(traces);
  for (Trace& trace : traces) {
    const auto shared = std::make_shared<const Trace>(std::move(trace));
    if (longest == nullptr || shared->events().size() > longest->events().size()) longest = shared;
    workloads.push_back({shared->name(), [shared] { return CopyOf(*shared); }});
  }
  if (!day.events().empty()) base = std::make_shared<const Trace>(std::move(day));
  if (base == nullptr) base = std::make_shared<const Trace>(Compiler(40, 200, 24, options.seed));
  if (!workloads.empty() || adversaries == Adversaries::kYes) {
    workloads.push_back({base->name(), [base] { return CopyOf(*base); }});
  }
  if (adversaries == Adversaries::kNo) return workloads;
  AddMixes(workloads, base);
  if (longest != nullptr) AddMix(workloads, longest, {Mix::Kind::kScan, 10});
  workloads.push_back({"unique", [] { return UniqueNames(kUniqueNames); }});
  workloads.push_back({"survive", [] { return Survive(kSurvivors, kSurvivorsScan); }});
  workloads.push_back(
      {"zipf", [seed = options.seed] { return ZipfInOneDirectory(kZipfLookups, kZipfHot, seed); }});
  workloads.push_back({"loop", [cap = options.greatest_cap] {
                         return Loop(std::max<uint64_t>(cap + cap / 4, 1), kLoopRounds);
                       }});
  workloads.push_back({"flipflop", [] { return FlipFlop(kFlipFlops); }});
  return workloads;
}

std::expected<std::vector<WorkloadReport>, std::string> RunNegative(
    const std::vector<Workload>& workloads, const NegativeOptions& options) {
  for (const std::string& policy : options.policies) {
    if (auto known = CheckPolicy(policy); !known) return std::unexpected(known.error());
  }
  Experiment experiment(options, workloads.size());
  std::vector<WorkloadReport> reports;
  for (const Workload& workload : workloads) {
    auto report = experiment.Run(workload);
    if (!report) return std::unexpected(report.error());
    if (!report->cells.empty()) reports.push_back(*std::move(report));
    if (experiment.Interrupted()) break;
  }
  experiment.Tell("", "");
  return reports;
}

}  // namespace dentree::lab
