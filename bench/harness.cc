#include "bench/harness.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_format.h"

namespace dentree::bench {
namespace {

constexpr int64_t kBatchMinNs = 100'000;
constexpr int64_t kBatchNs = 200'000;  // aimed at, so that noise leaves it between 100 and 300 us

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// How many operations fill a batch. Doubles until the clock can tell, then scales.
uint64_t Calibrate(const std::function<int64_t(uint64_t)>& batch) {
  for (uint64_t operations = 1;; operations *= 2) {
    const int64_t ns = batch(operations);
    if (ns >= kBatchMinNs) {
      const double per_operation = static_cast<double>(ns) / static_cast<double>(operations);
      return std::max<uint64_t>(1, std::llround(kBatchNs / per_operation));
    }
  }
}

// Enough digits to compare by, and never an exponent.
std::string Number(double value) {
  const double size = std::abs(value);
  if (value == std::floor(value) || size >= 1000) return absl::StrFormat("%.0f", value);
  return absl::StrFormat("%.*f", size >= 100 ? 1 : size >= 0.1 ? 2 : 4, value);
}

// The first processor this process may use: where it stands still, caches stay warm.
void PinToOneProcessor() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_ZERO(&allowed);
    CPU_SET(cpu, &allowed);
    sched_setaffinity(0, sizeof(allowed), &allowed);
    return;
  }
}

[[noreturn]] void ExitWithUsage(const char* program) {
  absl::FPrintF(stderr, "usage: %s [--goals] [--rounds N]\n", program);
  std::exit(2);
}

}  // namespace

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Percentile90(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() * 9 + 9) / 10 - 1];
}

double MedianOfRatios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios(a.size());
  std::transform(a.begin(), a.end(), b.begin(), ratios.begin(), std::divides<>());
  return Median(std::move(ratios));
}

const Experiment::Contender& Experiment::Add(std::string_view name,
                                             std::function<void(uint64_t)> body) {
  return AddTimed(name, [body = std::move(body)](uint64_t operations) {
    const int64_t start = NowNs();
    body(operations);
    return NowNs() - start;
  });
}

const Experiment::Contender& Experiment::AddTimed(std::string_view name,
                                                  std::function<int64_t(uint64_t)> batch) {
  Contender& contender = contenders_.emplace_back();
  contender.name_ = name;
  contender.batch_ = std::move(batch);
  return contender;
}

void Experiment::Run() {
  for (Contender& contender : contenders_) contender.operations_ = Calibrate(contender.batch_);
  for (int round = 0; round < rounds_; ++round) {
    for (Contender& contender : contenders_) {
      const int64_t ns = contender.batch_(contender.operations_);
      contender.samples_.push_back(static_cast<double>(ns) /
                                   static_cast<double>(contender.operations_));
    }
  }
}

std::string GoalLine(std::string_view goal, std::string_view what, double value,
                     std::string_view unit, Bound bound) {
  return absl::StrFormat("%s %s %s %s must %s%.10g %s", goal, what, Number(value), unit,
                         bound.side == Bound::Side::kAtMost ? "<=" : ">=", bound.limit,
                         bound.Holds(value) ? "ok" : "short");
}

Report::Report(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--goals") {
      output_ = Output::kGoals;
    } else if (argument == "--rounds" && i + 1 < argc) {
      const std::string_view number = argv[++i];
      const auto [end, error] = std::from_chars(number.begin(), number.end(), rounds_);
      if (error != std::errc() || end != number.end() || rounds_ < 1) ExitWithUsage(argv[0]);
    } else {
      ExitWithUsage(argv[0]);
    }
  }
  PinToOneProcessor();
  [[maybe_unused]] const int priority = nice(-15);  // refused to most users, and no worse for it
}

void Report::Table(std::string_view title, const Experiment& experiment) const {
  if (output_ == Output::kGoals) return;
  absl::PrintF("\n%-40s %10s %10s %10s\n", title, "min ns", "median", "p90");
  for (const Experiment::Contender& contender : experiment.contenders()) {
    const std::vector<double>& samples = contender.samples();
    absl::PrintF("  %-38s %10s %10s %10s\n", contender.name(),
                 Number(*std::min_element(samples.begin(), samples.end())),
                 Number(contender.median()), Number(Percentile90(samples)));
  }
}

void Report::Value(std::string_view what, double value, std::string_view unit) const {
  if (output_ == Output::kTables) absl::PrintF("  %-38s %10s %s\n", what, Number(value), unit);
}

void Report::Goal(std::string_view goal, std::string_view what, double value, std::string_view unit,
                  Bound bound) const {
  if (output_ == Output::kGoals) absl::PrintF("%s\n", GoalLine(goal, what, value, unit, bound));
}

}  // namespace dentree::bench
