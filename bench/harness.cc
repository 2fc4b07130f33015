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
#include "base/check.h"

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

template <class T>
bool ParseNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  return error == std::errc() && end == text.end() && number >= 1;
}

void PinThread(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

[[noreturn]] void ExitWithUsage(const char* program, const std::vector<Report::Option>& options) {
  absl::FPrintF(stderr, "usage: %s [--goals] [--rounds N]", program);
  for (const Report::Option& option : options) absl::FPrintF(stderr, " [%s N]", option.name);
  absl::FPrintF(stderr, "\n");
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

// --- Companion ---

Companion::Companion(int processor)
    : thread_([this, processor] {
        if (processor >= 0) PinThread(processor);
        Run();
      }) {}

Companion::~Companion() {
  Stop();
  wanted_.store(kEnding, std::memory_order_release);
  wanted_.notify_one();
  thread_.join();
}

void Companion::Start(const Job& job) {
  job_ = job;
  idle_.store(false, std::memory_order_relaxed);
  const uint64_t before = steps();
  wanted_.store(kRunning, std::memory_order_release);
  wanted_.notify_one();
  while (steps() == before) sched_yield();
}

void Companion::Stop() {
  wanted_.store(kIdle, std::memory_order_release);
  while (!idle_.load(std::memory_order_acquire)) sched_yield();
}

void Companion::Run() {
  for (;;) {
    wanted_.wait(kIdle, std::memory_order_acquire);
    if (wanted_.load(std::memory_order_acquire) == kEnding) return;
    while (wanted_.load(std::memory_order_acquire) == kRunning) {
      job_();
      steps_.store(steps_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    idle_.store(true, std::memory_order_release);
  }
}

// --- Experiment ---

double Experiment::Contender::min() const {
  return *std::min_element(samples_.begin(), samples_.end());
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

const Experiment::Contender& Experiment::AddBeside(std::string_view name, Companion& companion,
                                                   Companion::Job job,
                                                   std::function<void(uint64_t)> body) {
  const auto window = [&companion, body = std::move(body)](uint64_t operations, bool& advanced) {
    int64_t ns = 0;
    for (uint64_t quarter = 4; quarter != 0; --quarter) {
      const uint64_t part = operations / quarter;
      const uint64_t before = companion.steps();
      const int64_t start = NowNs();
      body(part);
      ns += NowNs() - start;
      if (companion.steps() == before) advanced = false;
      operations -= part;
    }
    return ns;
  };
  return AddTimed(name, [this, &companion, job = std::move(job), window](uint64_t operations) {
    for (int tries = 0;; ++tries) {
      CHECK(tries < kMaxWindows, "the companion stands still");
      bool advanced = true;
      companion.Start(job);
      const int64_t ns = window(operations, advanced);
      companion.Stop();
      if (advanced || ns < kBatchMinNs) return ns;  // too short: a calibration
      ++windows_lost_;
    }
  });
}

const Experiment::Contender& Experiment::AddDifference(std::string_view name, const Contender& a,
                                                       const Contender& b) {
  Contender& contender = contenders_.emplace_back();
  contender.name_ = name;
  contender.minuend_ = &a;
  contender.subtrahend_ = &b;
  return contender;
}

void Experiment::Run() {
  for (Contender& contender : contenders_) {
    if (contender.batch_) contender.operations_ = Calibrate(contender.batch_);
  }
  for (int round = 0; round < rounds_; ++round) {
    for (Contender& contender : contenders_) {
      if (!contender.batch_) continue;
      const int64_t ns = contender.batch_(contender.operations_);
      contender.samples_.push_back(static_cast<double>(ns) /
                                   static_cast<double>(contender.operations_));
    }
  }
  for (Contender& contender : contenders_) {
    if (contender.minuend_ == nullptr) continue;
    const std::vector<double>& a = contender.minuend_->samples_;
    const std::vector<double>& b = contender.subtrahend_->samples_;
    contender.samples_.resize(a.size());
    std::transform(a.begin(), a.end(), b.begin(), contender.samples_.begin(), std::minus<>());
  }
}

std::string GoalLine(std::string_view goal, std::string_view what, double value,
                     std::string_view unit, Bound bound) {
  return absl::StrFormat("%s %s %s %s must %s%.10g %s", goal, what, Number(value), unit,
                         bound.side == Bound::Side::kAtMost ? "<=" : ">=", bound.limit,
                         bound.Holds(value) ? "ok" : "short");
}

Report::Report(int argc, char** argv, std::vector<Option> options) {
  options.insert(options.begin(), Option{"--rounds", nullptr});
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&](const Option& known) { return known.name == argument; });
    if (argument == "--goals") {
      output_ = Output::kGoals;
      continue;
    }
    const bool has_number = option != options.end() && ++i < argc;
    const bool valid =
        has_number && (option->value == nullptr ? ParseNumber(argv[i], rounds_)
                                                : ParseNumber(argv[i], *option->value));
    if (!valid) ExitWithUsage(argv[0], {options.begin() + 1, options.end()});
  }
  PinToOneProcessor();
  [[maybe_unused]] const int priority = nice(-15);  // refused to most users, and no worse for it
}

// The first processor this process may use: where it stands still, caches stay warm. The second one
// is for a companion.
void Report::PinToOneProcessor() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int first = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE && other_processor_ < 0; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) (first < 0 ? first : other_processor_) = cpu;
  }
  if (first >= 0) PinThread(first);
}

void Report::Table(std::string_view title, const Experiment& experiment) const {
  if (output_ == Output::kGoals) return;
  absl::PrintF("\n%-40s %10s %10s %10s\n", title, "min ns", "median", "p90");
  for (const Experiment::Contender& contender : experiment.contenders()) {
    const std::vector<double>& samples = contender.samples();
    absl::PrintF("  %-38s %10s %10s %10s\n", contender.name(), Number(contender.min()),
                 Number(contender.median()), Number(Percentile90(samples)));
  }
}

void Report::Grid(std::string_view title, const std::vector<std::string>& columns,
                  const std::vector<Row>& rows) const {
  if (output_ == Output::kGoals) return;
  absl::PrintF("\n%-48s", title);
  for (const std::string& column : columns) absl::PrintF(" %9s", column);
  absl::PrintF("\n");
  for (const Row& row : rows) {
    absl::PrintF("  %-46s", row.name);
    for (const double value : row.values) absl::PrintF(" %9s", Number(value));
    absl::PrintF("\n");
  }
}

void Report::Note(std::string_view text) const {
  if (output_ == Output::kTables) absl::PrintF("  %s\n", text);
}

void Report::Value(std::string_view what, double value, std::string_view unit) const {
  if (output_ == Output::kTables) absl::PrintF("  %-38s %10s %s\n", what, Number(value), unit);
}

void Report::Goal(std::string_view goal, std::string_view what, double value, std::string_view unit,
                  Bound bound) const {
  if (output_ == Output::kGoals) absl::PrintF("%s\n", GoalLine(goal, what, value, unit, bound));
}

}  // namespace dentree::bench
