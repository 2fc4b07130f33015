// linearize: races of a few threads on a few names, recorded, and explained by one order of steps.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "ramfs/ramfs.h"
#include "tests/model/arguments.h"
#include "tests/model/explain.h"
#include "tests/model/racer.h"

namespace dentree::model {
namespace {

constexpr int kExitUnexplained = 1;
constexpr int kExitUsage = 2;
constexpr int kCallsPerThread = 8;
constexpr uint64_t kHistoriesPerVfs = 100;
constexpr int kMaxReports = 3;  // histories that are printed

// Where threads that hold locks, or have just let them go, are made to wait for a moment.
constexpr const char* kSyncPoints[] = {
    "ops:create:checked", "ops:open:checked", "ops:rename:checked",   "ops:rename:done",
    "ops:rmdir:locked",   "ops:unlink:done",  "dcache:move:unlisted", "walk:lookup:slow"};

constexpr const char kHelp[] =
    R"(Usage: linearize --histories N --seed S [OPTION]...
Race threads on a few names of a small tree, and explain what they were answered.

Each history is 8 calls of each thread and a look at the whole tree at the end. One that no
order of steps of a sequential tree explains is printed. The last line tells how much was done.

  --histories N  how many
  --seed S       which calls are made; how the threads meet is up to the machine
  --threads T    threads in a history, at most 6 (4)
  --keep-going   do not end with the first history that cannot be explained
  --inject NAME  give dentree a bug, to see it found (help: lists them)
  --expect-unexplained  exit with 0 if there is one, with 1 if there is none
  --verbose      print every history
  --help         display this help and exit

Exit status: 0 all explained, 1 one was not, 2 a command line that makes no sense.
)";

struct Options {
  uint64_t histories = 0;
  uint64_t seed = 0;
  uint64_t threads = 4;
  const RacerBug* bug = nullptr;
  bool keep_going = false;
  bool expected = false;
  bool verbose = false;
  bool help = false;
};

// The error, or nothing.
std::optional<std::string> ParseValue(std::string_view name, std::string_view value,
                                      Options& options) {
  if (name == "--inject") {
    options.bug = FindRacerBug(value);
    if (options.bug != nullptr) return std::nullopt;
    return absl::StrFormat("no bug '%s'; there are\n%s", value, BugLines(RacerBugs()));
  }
  uint64_t* number = nullptr;
  if (name == "--histories") number = &options.histories;
  if (name == "--seed") number = &options.seed;
  if (name == "--threads") number = &options.threads;
  if (number == nullptr) return absl::StrFormat("unknown option '%s'", name);
  return ParseNumber(name, value, UINT64_MAX, *number);
}

std::optional<std::string> Parse(std::span<const std::string_view> arguments, Options& options) {
  const Switch switches[] = {{"--keep-going", options.keep_going},
                             {"--verbose", options.verbose},
                             {"--expect-unexplained", options.expected},
                             {"--help", options.help}};
  const auto set = [&](std::string_view name, std::string_view value) {
    return ParseValue(name, value, options);
  };
  if (auto error = ParseArguments(arguments, switches, set)) return error;
  if (options.threads == 0 || options.threads > kMaxThreads) return "--threads is from 1 to 6";
  if (options.histories == 0 && !options.help) return "--histories is missing";
  return std::nullopt;
}

// --- calls -------------------------------------------------------------------------------------

ShortPath RandomPath(Random& random) {
  ShortPath path;
  // Two names, rarely the third: threads must meet.
  const auto name = [&] { return static_cast<int8_t>(random.OneIn(6) ? 2 : random.Below(2)); };
  path.first = name();
  if (random.OneIn(2)) path.second = name();
  return path;
}

Call RandomCall(Random& random, size_t thread) {
  static constexpr CallKind kKinds[] = {
      CallKind::kCreate, CallKind::kCreate, CallKind::kOpen,   CallKind::kOpenDir, CallKind::kMkdir,
      CallKind::kMkdir,  CallKind::kRmdir,  CallKind::kUnlink, CallKind::kUnlink,  CallKind::kLink,
      CallKind::kLink,   CallKind::kRename, CallKind::kRename, CallKind::kRename,  CallKind::kStat,
      CallKind::kStat,   CallKind::kRead,   CallKind::kWrite,  CallKind::kList,    CallKind::kList};
  Call call{.kind = random.Of(kKinds)};
  call.path = RandomPath(random);
  call.path2 = RandomPath(random);
  if (call.kind == CallKind::kWrite) call.byte = static_cast<char>('A' + thread);
  return call;
}

History PlanHistory(uint64_t seed, size_t threads) {
  Random random(seed);
  History history(threads);
  for (size_t thread = 0; thread < threads; ++thread) {
    for (int i = 0; i < kCallsPerThread; ++i) {
      history[thread].push_back(RandomCall(random, thread));
    }
  }
  return history;
}

// --- runs --------------------------------------------------------------------------------------

class Linearize {
 public:
  explicit Linearize(const Options& options) : options_(options) {}

  int Run();

 private:
  void NewVfs();
  void Race(History& history, uint64_t number);
  std::unique_ptr<Racer> NewRacer(const std::string& top, uint64_t seed);
  void Judge(const History& history, uint64_t number);

  const Options& options_;
  std::unique_ptr<vfs::Vfs> vfs_;
  std::atomic<uint64_t> clock_{0};
  std::atomic<uint64_t> chaos_{0};
  uint64_t calls_ = 0;
  uint64_t overlapping_ = 0;
  uint64_t states_ = 0;
  uint64_t unexplained_ = 0;
};

void Linearize::NewVfs() {
  if (vfs_ != nullptr) vfs_->CheckInvariants();
  vfs_ = vfs::Vfs::Create();
  vfs_->RegisterType(ramfs::Type());
  CHECK(vfs_->MountRoot("ramfs", "").has_value(), "a ramfs mounts");
  for (const char* point : kSyncPoints) {
    vfs_->sync_points().OnHit(point, [this] {
      Chaos(SeedOf(options_.seed, chaos_.fetch_add(1, std::memory_order_relaxed))).Pause();
    });
  }
}

std::unique_ptr<Racer> Linearize::NewRacer(const std::string& top, uint64_t seed) {
  auto task = std::make_unique<vfs::Task>(*vfs_, vfs::Creds::Root());
  CHECK(task->Chdir(top).has_value(), "the tree is there");
  if (options_.bug != nullptr) return options_.bug->make(std::move(task), clock_, seed);
  return std::make_unique<Racer>(std::move(task), clock_, seed);
}

// Runs the planned calls, all threads at once, and fills in what they were answered.
void Linearize::Race(History& history, uint64_t number) {
  const std::string home = absl::StrFormat("/history%d", number);
  const std::string top = home + "/tree";
  vfs::Task task(*vfs_, vfs::Creds::Root());
  CHECK(task.Mkdir(home, 0777) && task.Mkdir(top, 0777), "a tree of its own");
  std::atomic<size_t> waiting{history.size()};
  std::vector<std::unique_ptr<Racer>> racers;
  for (size_t i = 0; i < history.size(); ++i) {
    racers.push_back(NewRacer(top, SeedOf(number, i)));
  }
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < history.size(); ++i) {
      threads.emplace_back([&racer = *racers[i], &calls = history[i], &waiting] {
        waiting.fetch_sub(1);
        while (waiting.load() > 0) sched_yield();
        for (Call& call : calls) racer.Run(call);
      });
    }
  }
  history[0].push_back({.kind = CallKind::kFinal});
  racers[0]->Run(history[0].back());
}

uint64_t Overlapping(const History& history) {
  uint64_t count = 0;
  for (const auto& mine : history) {
    for (const Call& call : mine) {
      for (const auto& others : history) {
        const bool any =
            &others != &mine && std::any_of(others.begin(), others.end(), [&](const Call& other) {
              return call.begin < other.end && other.begin < call.end;
            });
        if (!any) continue;
        ++count;
        break;
      }
    }
  }
  return count;
}

void Linearize::Judge(const History& history, uint64_t number) {
  const Explanation explanation = Explain(history);
  for (const auto& calls : history) calls_ += calls.size();
  overlapping_ += Overlapping(history);
  states_ += explanation.states;
  if (options_.verbose) absl::PrintF("# history %d\n%s", number, ToString(history));
  if (explanation.explained) return;
  if (unexplained_++ < kMaxReports) {
    absl::PrintF("# history %d of seed %d has no explanation:\n%s# it ends with %s", number,
                 options_.seed, ToString(history), explanation.stuck);
  }
}

int Linearize::Run() {
  uint64_t number = 0;
  for (; number < options_.histories; ++number) {
    if (unexplained_ > 0 && !options_.keep_going) break;
    if (number % kHistoriesPerVfs == 0) NewVfs();
    History history = PlanHistory(SeedOf(options_.seed, number), options_.threads);
    Race(history, number);
    Judge(history, number);
  }
  vfs_.reset();
  absl::PrintF(
      "%d histories, seed %d, %d calls, %d of them beside others, %d states, %d unexplained\n",
      number, options_.seed, calls_, overlapping_, states_, unexplained_);
  return (unexplained_ > 0) != options_.expected ? kExitUnexplained : 0;
}

int Main(const std::vector<std::string_view>& arguments) {
  Options options;
  if (const auto error = Parse(arguments, options)) {
    absl::FPrintF(stderr, "linearize: %s\n", *error);
    return kExitUsage;
  }
  if (options.help) {
    absl::PrintF("%s\nBugs for --inject:\n%s", kHelp, BugLines(RacerBugs()));
    return 0;
  }
  return Linearize(options).Run();
}

}  // namespace
}  // namespace dentree::model

int main(int argc, char** argv) { return dentree::model::Main({argv + 1, argv + argc}); }
