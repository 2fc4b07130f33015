#include "lab/report.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace dentree::lab {

namespace {

// The goals: at this cap, under this junk, at least this part of unbounded's hits; and steps.
constexpr size_t kGoalCap = vfs::kDefaultNegativeLimit;
constexpr std::string_view kGoalMix = "+scan10:1";
constexpr double kGoalHits = 0.95;
constexpr uint64_t kGoalSteps = 25;
// Goal G15: of the hits that Survive leaves for the end, which are half of all.
constexpr std::string_view kGoalSurvive = "survive";

std::string CapText(const Cell& cell) {
  return ObeysCap(cell.policy) ? std::to_string(cell.cap) : "-";
}

std::string HeadOf(const WorkloadReport& report) {
  std::string text =
      absl::StrFormat("%s: %d events, %d misses; unbounded hits %d, useful %d", report.name,
                      report.events, report.misses, report.unbounded_hits, report.useful_hits);
  for (const auto& [cap, hits] : report.best) {
    text += absl::StrFormat("; best of %d %d", cap, hits);
  }
  if (report.repairs > 0) text += absl::StrFormat("; repairs %d", report.repairs);
  return text + "\n";
}

constexpr std::string_view kColumns =
    "  policy            cap  cost ns       hits  of unb  useful  entries     KiB  steps"
    "  insert ns: p50     p99   p9999       max  hit ns  saved ms\n";

std::string LineOf(const Cell& cell) {
  const ReplayResult& result = cell.result;
  std::string line = absl::StrFormat(
      "  %-14s %6s %8d %10d %6.1f%% %6.1f%% %8d %7d %6d %15d %7d %7d %9d %7d %9.1f", cell.policy,
      CapText(cell), cell.cost_ns, result.hits(), 100 * cell.of_unbounded, 100 * cell.useful,
      result.negatives.high_water, result.negatives.bytes / 1024, result.negatives.max_steps,
      result.insert_ns.Quantile(0.5), result.insert_ns.Quantile(0.99),
      result.insert_ns.Quantile(0.9999), result.insert_ns.max(), result.hit_ns.Quantile(0.5),
      static_cast<double>(cell.saved_ns()) / 1e6);
  if (result.surprises > 0) line += absl::StrFormat("  (%d other answers)", result.surprises);
  return line + "\n";
}

// What one policy did over all workloads.
struct Sum {
  Sum(std::string of, std::string with) : policy(std::move(of)), cap(std::move(with)) {}

  std::string policy;
  std::string cap;
  size_t cells = 0;
  double sum = 0;
  double least = 2;
  std::string_view least_on;
  uint64_t entries = 0;
  uint64_t steps = 0;
  Histogram insert_ns;

  void Add(const WorkloadReport& report, const Cell& cell) {
    ++cells;
    sum += cell.useful;
    if (cell.useful < least) least_on = report.name;
    least = std::min(least, cell.useful);
    entries = std::max(entries, cell.result.negatives.high_water);
    steps = std::max(steps, cell.result.negatives.max_steps);
    insert_ns.Merge(cell.result.insert_ns);
  }
  double mean() const { return sum / static_cast<double>(cells); }
};

std::vector<Sum> SumsOf(std::span<const WorkloadReport> reports) {
  std::vector<Sum> sums;
  for (const WorkloadReport& report : reports) {
    if (report.useful_hits == 0) continue;  // all are equally good at nothing
    for (const Cell& cell : report.cells) {
      auto it = std::ranges::find_if(sums, [&](const Sum& sum) {
        return sum.policy == cell.policy && sum.cap == CapText(cell);
      });
      if (it == sums.end()) {
        it = sums.insert(sums.end(), Sum{cell.policy, CapText(cell)});
      }
      it->Add(report, cell);
    }
  }
  std::vector<Sum> sorted;  // equal ones as they came
  for (Sum& sum : sums) {
    const auto place = std::ranges::upper_bound(sorted, sum.mean(), std::greater(), &Sum::mean);
    sorted.insert(place, std::move(sum));
  }
  return sorted;
}

std::string SummaryText(std::span<const WorkloadReport> reports) {
  std::string text =
      "useful hits over all workloads, best mean first\n"
      "  policy            cap     mean    least  entries  steps  insert ns: p50     p99   p9999"
      "       max  least on\n";
  for (const Sum& sum : SumsOf(reports)) {
    text += absl::StrFormat("  %-14s %6s %7.1f%% %7.1f%% %8d %6d %15d %7d %7d %9d  %s\n",
                            sum.policy, sum.cap, 100 * sum.mean(), 100 * sum.least, sum.entries,
                            sum.steps, sum.insert_ns.Quantile(0.5), sum.insert_ns.Quantile(0.99),
                            sum.insert_ns.Quantile(0.9999), sum.insert_ns.max(), sum.least_on);
  }
  return text;
}

std::string GoalLine(std::string_view what, const std::string& value, std::string_view must,
                     bool met) {
  return absl::StrFormat("goal: %s %s, must be %s: %s\n", what, value, must, met ? "ok" : "MISSED");
}

}  // namespace

std::string TableText(std::span<const WorkloadReport> reports) {
  std::string text;
  for (const WorkloadReport& report : reports) {
    text += HeadOf(report);
    text += kColumns;
    for (const Cell& cell : report.cells) text += LineOf(cell);
    text += "\n";
  }
  if (reports.size() > 1) text += SummaryText(reports);
  return text;
}

std::string CsvText(std::span<const WorkloadReport> reports) {
  std::string text =
      "workload,policy,cap,cost_ns,threads,events,misses,hits,asked,of_unbounded,useful_hits,"
      "useful,best_useful,surprises,"
      "repairs,entries_most,entries_end,bytes,inserts,evictions,refaults,steps_most,insert_p50_ns,"
      "insert_p99_ns,insert_p9999_ns,insert_max_ns,hit_p50_ns,saved_ns,seconds\n";
  for (const WorkloadReport& report : reports) {
    for (const Cell& cell : report.cells) {
      const ReplayResult& result = cell.result;
      const auto best = std::ranges::find(report.best, cell.cap, [](auto& at) { return at.first; });
      text += absl::StrFormat(
          "%s,%s,%d,%d,%d,%d,%d,%d,%d,%.4f,%d,%.4f,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,"
          "%.6f\n",
          report.name, cell.policy, cell.cap, cell.cost_ns, cell.threads, result.events,
          result.misses, result.hits(), result.asked, cell.of_unbounded, result.useful_hits,
          cell.useful, best == report.best.end() ? 0 : best->second, result.surprises,
          result.repairs, result.negatives.high_water, result.negatives.entries,
          result.negatives.bytes, result.negatives.inserts, result.negatives.evictions,
          result.negatives.refaults, result.negatives.max_steps, result.insert_ns.Quantile(0.5),
          result.insert_ns.Quantile(0.99), result.insert_ns.Quantile(0.9999),
          result.insert_ns.max(), result.hit_ns.Quantile(0.5), cell.saved_ns(), result.seconds);
    }
  }
  return text;
}

std::string GoalsText(std::span<const WorkloadReport> reports, std::string_view policy) {
  std::string text;
  uint64_t steps = 0;
  for (const WorkloadReport& report : reports) {
    for (const Cell& cell : report.cells) {
      if (cell.policy != policy) continue;
      steps = std::max(steps, cell.result.negatives.max_steps);
      if (cell.cap != kGoalCap) continue;
      if (report.name == kGoalSurvive) {
        const double survive = 2 * cell.of_unbounded - 1;
        text += GoalLine(absl::StrFormat("G15 %s, hot names that survive a scan", policy),
                         absl::StrFormat("%.4f", survive), "at least 0.95", survive >= kGoalHits);
      }
      if (report.name.ends_with(kGoalMix)) {
        text += GoalLine(
            absl::StrFormat("%s on %s at %d, of unbounded's hits", policy, report.name, cell.cap),
            absl::StrFormat("%.4f", cell.of_unbounded), "at least 0.95",
            cell.of_unbounded >= kGoalHits);
      }
    }
  }
  if (steps > 0) {
    text += GoalLine(absl::StrFormat("%s most steps of an insert", policy), std::to_string(steps),
                     "at most 25", steps <= kGoalSteps);
  }
  return text;
}

}  // namespace dentree::lab
