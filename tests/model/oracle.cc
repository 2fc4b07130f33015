// oracle: the same random operations on dentree and on a tmpfs of the kernel, compared.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "tests/model/arguments.h"
#include "tests/model/replay.h"

namespace dentree::model {
namespace {

constexpr int kExitDivergence = 1;
constexpr int kExitUsage = 2;
constexpr int kExitSkipped = 77;  // meson's
constexpr uint64_t kOpsPerWorld = 3000;
constexpr uint64_t kOpsPerCheckpoint = 100;
constexpr size_t kMaxReports =
    20;  // divergences that are made short; of others only the first line
constexpr unsigned kMaxThreads = 64;

constexpr const char kHelp[] =
    R"(Usage: oracle --ops N --seed S [OPTION]...
       oracle --replay FILE
Run random operations on dentree and on a tmpfs of this machine, and compare.

Compared are results, errors, bytes, attributes and listings of each operation, and at
checkpoints the whole trees. The first divergence is made as short as it can be, and printed
for --replay and for the shell. The last line tells how much was compared.

  --ops N        operations, of all threads together
  --seed S       where they come from: the same seed, the same operations
  --threads T    drive T worlds of one dentree at the same time (1)
  --keep-going   do not end with the first divergence
  --inject NAME  give dentree a bug, to see it found (help: lists them)
  --expect-divergence  exit with 0 if there is one, with 1 if there is none
  --replay FILE  run the operations in FILE (- is standard input), one on a line; an empty line
                 begins another sequence, in new worlds
  --trace        write every operation to standard error before it runs
  --help         display this help and exit

Exit status: 0 no divergence, 1 a divergence, 2 a command line or a file that makes no sense,
77 this machine gives us no tmpfs.
)";

struct Options {
  uint64_t ops = 0;
  uint64_t seed = 0;
  unsigned threads = 1;
  bool keep_going = false;
  bool expected = false;
  bool help = false;
  std::string replay;
  ReplayOptions run;
};

// --- the command line --------------------------------------------------------------------------

// The error, or nothing.
std::optional<std::string> ParseValue(std::string_view name, std::string_view value,
                                      Options& options) {
  if (name == "--ops") return ParseNumber("--ops", value, UINT64_MAX, options.ops);
  if (name == "--seed") return ParseNumber("--seed", value, UINT64_MAX, options.seed);
  if (name == "--threads") {
    uint64_t threads = 0;
    if (auto error = ParseNumber("--threads", value, kMaxThreads, threads)) return error;
    options.threads = std::max(1u, static_cast<unsigned>(threads));
    return std::nullopt;
  }
  if (name == "--replay") {
    options.replay = value;
    return std::nullopt;
  }
  if (name == "--inject") {
    options.run.injection = FindInjection(value);
    if (options.run.injection != nullptr) return std::nullopt;
    return absl::StrFormat("no bug '%s'; there are\n%s", value, BugLines(Injections()));
  }
  return absl::StrFormat("unknown option '%s'", name);
}

std::optional<std::string> Parse(std::span<const std::string_view> arguments, Options& options) {
  const Switch switches[] = {{"--keep-going", options.keep_going},
                             {"--trace", options.run.trace},
                             {"--expect-divergence", options.expected},
                             {"--help", options.help}};
  const auto set = [&](std::string_view name, std::string_view value) {
    return ParseValue(name, value, options);
  };
  if (auto error = ParseArguments(arguments, switches, set)) return error;
  if (options.ops == 0 && options.replay.empty() && !options.help) return "--ops is missing";
  return std::nullopt;
}

// --- random sequences --------------------------------------------------------------------------

// One thread's part of an epoch.
struct WorldReport {
  uint64_t operations = 0;
  uint64_t checkpoints = 0;
  std::optional<Divergence> divergence;
  std::string why_not;  // no world
};

class Oracle {
 public:
  explicit Oracle(const Options& options) : options_(options) {}

  int Run();

 private:
  using Clock = std::chrono::steady_clock;

  void RunEpoch(uint64_t ops);
  WorldReport RunWorld(vfs::Vfs& vfs, unsigned world, uint64_t ops);
  uint64_t SeedOfWorld(unsigned world) const {
    return SeedOf(SeedOf(options_.seed, epoch_), world);
  }
  void Report(unsigned world, const Divergence& divergence);
  void Progress();

  const Options& options_;
  uint64_t epoch_ = 0;
  uint64_t operations_ = 0;
  uint64_t checkpoints_ = 0;
  uint64_t divergences_ = 0;
  std::set<std::string> seen_;
  std::string why_not_;
  Clock::time_point next_progress_ = Clock::now() + std::chrono::seconds(10);
};

WorldReport Oracle::RunWorld(vfs::Vfs& vfs, unsigned world, uint64_t ops) {
  WorldReport report;
  const auto pair = Pair::New(vfs, absl::StrFormat("world%d", world), options_.run.kernel,
                              options_.run.injection, report.why_not);
  if (pair == nullptr) return report;
  Generator generator(SeedOfWorld(world), options_.run.kernel);
  for (uint64_t i = 0; i < ops && !report.divergence; ++i) {
    const Op op = generator.Next();
    if (options_.run.trace) absl::FPrintF(stderr, "%d %s\n", world, ToLine(op));
    const bool checkpoint = i + 1 == ops || (i + 1) % kOpsPerCheckpoint == 0;
    report.divergence = pair->Run(op, checkpoint);
    ++report.operations;
    report.checkpoints += checkpoint ? 1 : 0;
  }
  return report;
}

// All worlds once more, from nothing, in a Vfs of their own that must end empty.
void Oracle::RunEpoch(uint64_t ops) {
  std::vector<WorldReport> reports(options_.threads);
  std::unique_ptr<vfs::Vfs> vfs = NewVfs();
  {
    std::vector<std::jthread> threads;
    for (unsigned world = 0; world < options_.threads; ++world) {
      const uint64_t share = ops / options_.threads + (world < ops % options_.threads ? 1 : 0);
      threads.emplace_back([this, &vfs = *vfs, &report = reports[world], world, share] {
        report = RunWorld(vfs, world, share);
      });
    }
  }
  vfs->CheckInvariants();
  vfs->Shutdown();
  const std::string leaks = vfs->LeakReport();
  for (unsigned world = 0; world < options_.threads; ++world) {
    operations_ += reports[world].operations;
    checkpoints_ += reports[world].checkpoints;
    if (!reports[world].why_not.empty()) why_not_ = reports[world].why_not;
    if (reports[world].divergence) Report(world, *reports[world].divergence);
  }
  if (!leaks.empty()) {
    ++divergences_;
    absl::PrintF("# leak: epoch %d of seed %d:\n%s", epoch_, options_.seed, leaks);
  }
}

void Oracle::Report(unsigned world, const Divergence& divergence) {
  ++divergences_;
  absl::PrintF("# divergence: seed %d, epoch %d, world %d, operation %d: %s\n# %s\n", options_.seed,
               epoch_, world, divergence.at, divergence.Signature(), ToLine(divergence.op));
  if (seen_.size() >= kMaxReports || !seen_.insert(divergence.Signature()).second) return;
  Generator generator(SeedOfWorld(world), options_.run.kernel);
  std::vector<Op> ops;
  while (ops.size() <= divergence.at) ops.push_back(generator.Next());
  const auto shrunk = Shrink(std::move(ops), divergence, options_.run);
  if (shrunk) {
    absl::PrintF("%s", Describe(shrunk->ops, shrunk->divergence));
  } else {
    absl::PrintF("# alone it does not diverge: it takes the other threads\n");
  }
  std::fflush(stdout);
}

void Oracle::Progress() {
  if (Clock::now() < next_progress_) return;
  next_progress_ = Clock::now() + std::chrono::seconds(10);
  absl::FPrintF(stderr, "oracle: %d of %d operations, %d divergences\n", operations_, options_.ops,
                divergences_);
}

int Oracle::Run() {
  while (operations_ < options_.ops && why_not_.empty()) {
    if (divergences_ > 0 && !options_.keep_going) break;
    RunEpoch(std::min(options_.ops - operations_, kOpsPerWorld * options_.threads));
    ++epoch_;
    Progress();
  }
  if (!why_not_.empty()) {
    absl::FPrintF(stderr, "oracle: SKIPPED: %s\n", why_not_);
    return kExitSkipped;
  }
  absl::PrintF("%d operations, seed %d, %d checkpoints, %d divergences\n", operations_,
               options_.seed, checkpoints_, divergences_);
  return (divergences_ > 0) != options_.expected ? kExitDivergence : 0;
}

// --- sequences from a file ---------------------------------------------------------------------

struct Sequence {
  size_t line;  // where it begins
  std::vector<Op> ops;
};

// Nothing: a line makes no sense.
std::optional<std::vector<Sequence>> ReadSequences(std::istream& in) {
  std::vector<Sequence> sequences;
  bool begins = true;
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.starts_with('#')) continue;
    if (line.empty()) {
      begins = true;
      continue;
    }
    const auto op = FromLine(line);
    if (!op) {
      absl::FPrintF(stderr, "oracle: line %d: no operation: %s\n", number, line);
      return std::nullopt;
    }
    if (begins) sequences.push_back({number, {}});
    begins = false;
    sequences.back().ops.push_back(*op);
  }
  return sequences;
}

int RunFile(const Options& options) {
  std::ifstream file;
  if (options.replay != "-") file.open(options.replay);
  std::istream& in = options.replay == "-" ? std::cin : file;
  if (!in) {
    absl::FPrintF(stderr, "oracle: cannot read %s\n", options.replay);
    return kExitUsage;
  }
  const auto sequences = ReadSequences(in);
  if (!sequences) return kExitUsage;
  size_t operations = 0;
  size_t divergences = 0;
  for (const Sequence& sequence : *sequences) {
    operations += sequence.ops.size();
    const auto divergence = Replay(sequence.ops, Checkpoints::kAlways, options.run);
    if (!divergence) continue;
    ++divergences;
    absl::PrintF("# divergence: line %d, operation %d: %s\n", sequence.line, divergence->at,
                 divergence->Signature());
  }
  absl::PrintF("%d operations, %d divergences\n", operations, divergences);
  return divergences > 0 ? kExitDivergence : 0;
}

int Main(const std::vector<std::string_view>& arguments) {
  Options options;
  if (const auto error = Parse(arguments, options)) {
    absl::FPrintF(stderr, "oracle: %s\n", *error);
    return kExitUsage;
  }
  if (options.help) {
    absl::PrintF("%s\nBugs for --inject:\n%s", kHelp, BugLines(Injections()));
    return 0;
  }
  std::string why_not;
  options.run.kernel = PrepareKernel(why_not);
  if (!why_not.empty()) {
    absl::FPrintF(stderr, "oracle: SKIPPED: %s\n", why_not);
    return kExitSkipped;
  }
  return options.replay.empty() ? Oracle(options).Run() : RunFile(options);
}

}  // namespace
}  // namespace dentree::model

int main(int argc, char** argv) { return dentree::model::Main({argv + 1, argv + argc}); }
