// lab
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "lab/lab.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

namespace {

constexpr char kAdversaries = '\x02', kCaps = '\x03', kCosts = '\x04', kCount = '\x05',
               kCsv = '\x06', kPolicies = '\x07', kSeed = '\x08', kSvg = '\x0e', kThreads = '\x0f',
               kTraces = '\x10';
constexpr Option kLabOptions[] = {
    {kAdversaries, "adversaries", "negative: also what breaks caches, mixed into the traces"},
    {kCaps, "caps", "negative, misses: the most negatives there may be (8192)", "N,..."},
    {kCosts, "costs", "negative, misses: what a lookup takes in the file system (0)", "NS,..."},
    {kCount, "count", "misses, teardown: names to look up (10000000, 1000000)", "N"},
    {kCsv, "csv", "negative: write all numbers to a file of the host", "FILE"},
    {kPolicies, "policies", "policies to try: NAME or NAME:PARAMETER (all; the default's)", "LIST"},
    {kSeed, "seed", "negative: begin the random numbers with X (1)", "X"},
    {kSvg, "svg", "negative: draw a picture into a file of the host", "FILE"},
    {kThreads, "threads", "negative: threads that replay, a process of the trace on one (1)", "N"},
    {kTraces, "traces", "negative: a trace, or a directory of *.tsv and *.tsv.xz, of the host",
     "PATH"},
};

constexpr uint64_t kMostCount = 1'000'000'000;
constexpr uint64_t kMostCap = 1'000'000'000;
// Names for what is only there to be compared with, at most.
constexpr uint64_t kUnboundedCount = 4'000'000;
constexpr uint64_t kExt4Count = 1'000'000;

// --- the command line -------------------------------------------------------------------------

// Numbers of an option, separated by commas; nothing after a message.
std::optional<std::vector<uint64_t>> Numbers(Call& call, char option, uint64_t otherwise,
                                             uint64_t least, uint64_t most) {
  const auto text = call.args.Value(option);
  if (!text) return std::vector{otherwise};
  std::vector<uint64_t> numbers;
  for (const std::string_view word : base::Split(*text, ',')) {
    const auto number = base::ParseU64(word);
    if (!number || *number < least || *number > most) {
      (void)call.FailUsage(
          absl::StrFormat("invalid number '%s': expected %d to %d", word, least, most));
      return std::nullopt;
    }
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<uint64_t> Number(Call& call, char option, uint64_t otherwise, uint64_t least,
                               uint64_t most) {
  const auto numbers = Numbers(call, option, otherwise, least, most);
  if (!numbers) return std::nullopt;
  if (numbers->size() == 1) return numbers->front();
  (void)call.FailUsage(absl::StrFormat("invalid number '%s'", *call.args.Value(option)));
  return std::nullopt;
}

std::optional<std::vector<std::string>> PoliciesOf(Call& call,
                                                   const std::vector<std::string>& otherwise) {
  const auto text = call.args.Value(kPolicies);
  if (!text) return otherwise;
  std::vector<std::string> policies;
  for (const std::string_view word : base::Split(*text, ',')) {
    if (word == "all") {
      std::ranges::copy(lab::PoliciesToTry(), std::back_inserter(policies));
    } else {
      policies.emplace_back(word);
    }
  }
  for (const std::string& policy : policies) {
    if (const auto known = lab::CheckPolicy(policy); !known) {
      (void)call.FailUsage(known.error());
      return std::nullopt;
    }
  }
  return policies;
}

// The traces that the command line names; nothing after a message.
std::optional<std::vector<lab::Trace>> TracesOf(Call& call) {
  std::vector<lab::Trace> traces;
  std::vector<std::string> paths(call.operands().begin() + 1, call.operands().end());
  for (const Arguments::Given& given : call.args.options) {
    if (given.id == kTraces) paths.push_back(given.value);
  }
  for (const std::string& path : paths) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      auto some = lab::ReadTraces(path);
      if (!some) return (void)call.Fail(some.error()), std::nullopt;
      std::ranges::move(*some, std::back_inserter(traces));
    } else {
      auto trace = lab::ReadTrace(path);
      if (!trace) return (void)call.Fail(trace.error()), std::nullopt;
      traces.push_back(*std::move(trace));
    }
  }
  return traces;
}

// False after a message.
bool WriteHostFile(Call& call, char option, const std::string& text) {
  const auto path = call.args.Value(option);
  if (!path) return true;
  std::ofstream file(*path, std::ios::binary);
  file << text;
  file.close();
  if (file) return true;
  (void)call.Fail(*path + ": " + std::strerror(errno));
  return false;
}

lab::Progress ProgressOf(Call& call) {
  return lab::Progress(
      call.err.is_terminal() ? lab::ProgressStyle::kBar : lab::ProgressStyle::kLines,
      [&call](std::string_view text) {
        call.err.Put(text);
        call.err.Flush();
      });
}

// --- the experiments --------------------------------------------------------------------------

int RunNegative(Call& call) {
  lab::NegativeOptions options;
  auto policies = PoliciesOf(call, lab::PoliciesToTry());
  if (!policies) return call.status();
  const auto caps = Numbers(call, kCaps, vfs::kDefaultNegativeLimit, 1, kMostCap);
  if (!caps) return call.status();
  const auto costs = Numbers(call, kCosts, 0, 0, lab::kMaxCostNs);
  if (!costs) return call.status();
  const auto threads = Number(call, kThreads, 1, 1, lab::kMaxReplayThreads);
  if (!threads) return call.status();
  const auto seed = Number(call, kSeed, 1, 0, UINT64_MAX);
  if (!seed) return call.status();
  auto traces = TracesOf(call);
  if (!traces) return call.status();
  if (traces->empty() && !call.Has(kAdversaries)) {
    return call.FailUsage("nothing to replay: name traces, or give --adversaries");
  }
  // What cannot be written is found out before an hour's work.
  if (!WriteHostFile(call, kCsv, "") || !WriteHostFile(call, kSvg, "")) return call.status();
  lab::Progress progress = ProgressOf(call);
  options.policies = *std::move(policies);
  options.caps = {caps->begin(), caps->end()};
  options.costs = *costs;
  options.threads = static_cast<unsigned>(*threads);
  options.interrupt = &call.shell.interrupt();
  options.on_progress = [&](const lab::NegativeProgress& now) {
    progress.Show(now.done, now.total,
                  call.err.is_terminal() ? absl::StrFormat("%s on %s", now.policy, now.workload)
                                         : std::string(now.workload));
  };
  const auto workloads = lab::Workloads(
      *std::move(traces), call.Has(kAdversaries) ? lab::Adversaries::kYes : lab::Adversaries::kNo,
      {.seed = *seed, .greatest_cap = std::ranges::max(options.caps)});
  const auto reports = lab::RunNegative(workloads, options);
  progress.Clear();
  if (!reports) return call.Fail(reports.error());
  call.out.Put(lab::TableText(*reports) + lab::GoalsText(*reports, lab::DefaultPolicy()));
  (void)WriteHostFile(call, kCsv, lab::CsvText(*reports));
  (void)WriteHostFile(call, kSvg, lab::SvgText(*reports));
  return call.shell.Interrupted() ? kInterrupted : call.status();
}

int RunMisses(Call& call) {
  const auto policies =
      PoliciesOf(call, {std::string(lab::DefaultPolicy()), std::string(lab::kUnbounded)});
  if (!policies) return call.status();
  const auto count = Number(call, kCount, 10'000'000, 1, kMostCount);
  if (!count) return call.status();
  const auto cap = Number(call, kCaps, vfs::kDefaultNegativeLimit, 1, kMostCap);
  if (!cap) return call.status();
  const auto cost = Number(call, kCosts, 0, 0, lab::kMaxCostNs);
  if (!cost) return call.status();
  lab::Progress progress = ProgressOf(call);
  std::vector<lab::NamedMisses> results;
  for (const std::string& policy : *policies) {
    lab::MissesOptions options{
        .lab = {.policy = policy, .cap = *cap, .cost_ns = *cost},
        .count = policy == lab::kUnbounded ? std::min(*count, kUnboundedCount) : *count,
        .interrupt = &call.shell.interrupt(),
        .on_progress = [&](uint64_t done) { progress.Show(done, options.count, policy); }};
    const auto result = lab::RunMisses(options);
    progress.Clear();
    if (!result) return call.Fail(result.error());
    results.push_back({policy, *result});
    if (call.shell.Interrupted()) break;
  }
  call.out.Put(lab::MissesText(results));
  if (call.shell.Interrupted()) return kInterrupted;
  call.out.Flush();
  call.out.Put(lab::Ext4Text(lab::RunExt4(std::min(*count, kExt4Count), &call.shell.interrupt())));
  return call.status();
}

int RunTeardown(Call& call) {
  const auto policies = PoliciesOf(call, {std::string(lab::kUnbounded)});
  if (!policies) return call.status();
  const auto count = Number(call, kCount, 1'000'000, 1, kMostCount);
  if (!count) return call.status();
  lab::Progress progress = ProgressOf(call);
  for (const std::string& policy : *policies) {
    const auto result = lab::RunTeardown({.count = *count,
                                          .policy = policy,
                                          .interrupt = &call.shell.interrupt(),
                                          .on_progress = [&](std::string_view what, uint64_t done) {
                                            progress.Show(done, *count, what);
                                          }});
    progress.Clear();
    if (call.shell.Interrupted()) return kInterrupted;
    if (!result) return call.Fail(result.error());
    call.out.Put(policy + ": " + lab::TeardownText(*result));
    call.out.Flush();
  }
  return call.status();
}

int RunPolicies(Call& call) {
  for (const lab::PolicyInfo& policy : lab::Policies()) {
    const bool standard = policy.name.substr(0, policy.name.find(':')) == lab::DefaultPolicy();
    call.out.Put(absl::StrFormat("%-14s %s%s\n", policy.name, policy.help,
                                 standard ? " (the default)" : ""));
  }
  return call.status();
}

struct Experiment {
  std::string_view name;
  std::string_view options;  // ids of those it knows
  int (*run)(Call& call);
};
constexpr Experiment kExperiments[] = {
    {"misses", "\x03\x04\x05\x07", RunMisses},
    {"negative", "\x02\x03\x04\x06\x07\x08\x0e\x0f\x10", RunNegative},
    {"policies", "", RunPolicies},
    {"teardown", "\x05\x07", RunTeardown},
};

std::string_view NameOf(char id) { return std::ranges::find(kLabOptions, id, &Option::id)->name; }

int RunLab(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing operand");
  const std::string& name = call.operands()[0];
  const auto* const experiment = std::ranges::find(kExperiments, name, &Experiment::name);
  if (experiment == std::end(kExperiments)) {
    return call.FailUsage(absl::StrFormat("no experiment is called '%s'", name));
  }
  for (const Arguments::Given& given : call.args.options) {
    if (experiment->options.find(given.id) == std::string_view::npos) {
      return call.FailUsage(
          absl::StrFormat("option '--%s' means nothing to '%s'", NameOf(given.id), name));
    }
  }
  if (name != "negative" && call.operands().size() > 1) {
    return call.FailUsage(absl::StrFormat("extra operand '%s'", call.operands()[1]));
  }
  return experiment->run(call);
}

}  // namespace

constinit const Command kLabCommand{
    .name = "lab",
    .summary = "measure what keeping negatives is good for, and what it costs",
    .synopsis = "[OPTION]... EXPERIMENT [TRACE]...",
    .details =
        "Experiments on virtual file systems of their own; the tree of this shell is not used.\n"
        "  negative   replays TRACEs with each policy and prints a table: hits, memory, times\n"
        "  misses     looks up names that are not there, without end: memory and speed; beside "
        "it\n"
        "             the unbounded policy, and a loop-mounted ext4 where root may mount one\n"
        "  teardown   what rmdir, watch, readdir and umount cost when all those are remembered\n"
        "  policies   lists the policies\n"
        "Interrupted, it prints what it has. The host's docs/lab.md tells how to read it all.",
    .options = kLabOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunLab,
};

}  // namespace dentree::shell
