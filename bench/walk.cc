// What a lookup costs when everything is cached: by depth, alone and beside writers, next to the
// limit, the kernel's tmpfs, LLVM's file system in memory and maps of whole paths.
//
// Names have 8 characters. Unless a title says "many paths", each contender asks for one path again
// and again, so that branches are predicted and lines are in the first cache.
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "bench/harness.h"
#include "bench/limit.h"
#include "bench/peer_llvm.h"
#include "bench/tmpfs.h"
#include "bench/tree.h"
#include "fixture/remote_fs.h"
#include "os/os.h"

namespace dentree {
namespace {

using bench::AtLeast;
using bench::AtMost;
using bench::Chain;
using bench::Companion;
using bench::Experiment;
using bench::FileAt;
using bench::MissingAt;
using bench::NewAt;
using bench::Ours;
using bench::Pace;
using bench::Paths;
using bench::SiblingAt;
using bench::StatOf;
using Contender = Experiment::Contender;

constexpr int kDepths[] = {1, 2, 4, 6, 8};
constexpr int kDepth = 6;  // of the goals

constexpr int kMany = 2000;
// Paths of 6 components, in a random order.
std::vector<std::string> ManyPaths() {
  std::vector<std::string> paths;
  for (int i = 0; i < kMany; ++i) {
    paths.push_back(absl::StrFormat("/many0001/a%07d/b%07d/c%07d/d%07d/file%04d", i / 1000, i / 200,
                                    i / 50, i / 10, i));
  }
  std::shuffle(paths.begin(), paths.end(), std::mt19937(1));
  return paths;
}

// All files of the tree.
std::vector<std::string> Files() {
  std::vector<std::string> files = ManyPaths();
  for (int depth = 1; depth <= 8; ++depth) {
    files.push_back(FileAt(depth));
    files.push_back(SiblingAt(depth));
  }
  files.push_back("/other001/sub00001/a0000001/b0000001/c0000001/file0001");
  return files;
}

// --- Contenders ---

struct SameText {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using UnorderedMap = std::unordered_map<std::string, vfs::Stat, SameText, std::equal_to<>>;
using FlatMap = absl::flat_hash_map<std::string, vfs::Stat>;

// A way to look paths up, to be measured at each depth.
struct Way {
  std::string name;
  std::function<void(const Paths&, size_t& at, uint64_t n)> look_up;
};

template <Pace kPace, class Look>
Way MakeWay(std::string name, Look look) {
  return {std::move(name), [look](const Paths& paths, size_t& at, uint64_t n) {
            bench::LookUp<kPace>(paths, at, n, look);
          }};
}

const Contender& AddWay(Experiment& experiment, const Way& way, const Paths& paths) {
  return experiment.Add(
      way.name, [&way, &paths, at = size_t{0}](uint64_t n) mutable { way.look_up(paths, at, n); });
}

class Walks {
 public:
  explicit Walks(bench::Report& report) : report_(report) {
    uint64_t ino = 0;
    if (tmpfs_) {
      bench::ForEachDirectory(files_, [&](const std::string& path) { tmpfs_.Mkdir(path); });
    }
    for (const std::string& file : files_) {
      unordered_[file].ino = flat_[file].ino = ++ino;
      if (tmpfs_) tmpfs_.Create(file);
      if (llvm_ != nullptr) llvm_->Add(file);
    }
    MakeWays();
  }

  void Machine();
  void ByDepth();
  void ManyAtOnce();
  void OtherCalls();
  void TwoThreads();
  void KernelTwoThreads();
  void Tracefs();
  void Negatives();

 private:
  using Row = bench::Report::Row;
  enum : size_t { kOurs, kOursLatency, kLimit, kLimitLatency };

  template <Pace kPace>
  Way MakeLimit(std::string name);
  void MakeWays();
  uint64_t TmpfsStat(std::string_view path) const {
    struct ::stat stat;
    return bench::SyscallStat(tmpfs_.fd(), path.data(), &stat) == 0 ? stat.st_ino : 0;
  }
  void AddPeers(std::vector<Way>& ways);
  void Grid(std::string_view title, std::string (*path_at)(int), bool goals);
  void HotGoals(const std::vector<std::vector<const Contender*>>& by_way, const Contender& floor);
  void NegativeHit(std::string_view where, vfs::Task& task, const std::string& directory);
  struct Beside {
    std::string name;
    Companion::Job job;
    double bound;   // times alone; 0: no goal
    bool may_miss;  // the path is away at times
  };
  std::vector<Beside> Writers(vfs::Task& task) const;

  bench::Report& report_;
  const std::vector<std::string> files_ = Files();
  Ours ours_{files_};
  const bench::Limit few_{bench::Limit::Layout::kEntries,
                          {FileAt(8), FileAt(6), FileAt(4), FileAt(2), FileAt(1)}};
  const bench::Limit many_{bench::Limit::Layout::kEntries, ManyPaths()};
  bench::Tmpfs tmpfs_;
  std::unique_ptr<bench::LlvmFiles> llvm_ = bench::LlvmFiles::Create();
  UnorderedMap unordered_;
  FlatMap flat_;
  std::vector<Way> ways_;
};

template <Pace kPace>
Way Walks::MakeLimit(std::string name) {
  return {std::move(name), [this](const Paths& paths, size_t& at, uint64_t n) {
            (paths.count() == 1 ? few_ : many_).LookUp<kPace>(paths, at, n);
          }};
}

void Walks::MakeWays() {
  vfs::Task& task = *ours_.task;
  const auto stat = [&task](std::string_view path) { return StatOf(task, path); };
  ways_ = {MakeWay<Pace::kThroughput>("Task::Stat, throughput", stat),
           MakeWay<Pace::kLatency>("Task::Stat, latency", stat),
           MakeLimit<Pace::kThroughput>("LIMIT, throughput"),
           MakeLimit<Pace::kLatency>("LIMIT, latency")};
  AddPeers(ways_);
}

void Walks::AddPeers(std::vector<Way>& ways) {
  const auto copy = [](const auto& map, const auto found) -> uint64_t {
    if (found == map.end()) return 0;
    const vfs::Stat stat = found->second;
    bench::Keep(stat);
    return stat.ino;
  };
  const auto in_unordered = [this, copy](std::string_view path) {
    return copy(unordered_, unordered_.find(path));
  };
  const auto in_flat = [this, copy](std::string_view path) {
    return copy(flat_, flat_.find(absl::string_view(path.data(), path.size())));
  };
  if (tmpfs_) {
    ways.push_back(MakeWay<Pace::kThroughput>(
        "tmpfs newfstatat, raw", [this](std::string_view path) { return TmpfsStat(path); }));
  }
  if (llvm_ != nullptr) {
    const std::string name = absl::StrFormat("LLVM %d status()", bench::LlvmFiles::Version());
    ways.push_back({name + ", throughput", [this](const Paths& paths, size_t& at, uint64_t n) {
                      llvm_->Status(Pace::kThroughput, paths, at, n);
                    }});
    ways.push_back({name + ", latency", [this](const Paths& paths, size_t& at, uint64_t n) {
                      llvm_->Status(Pace::kLatency, paths, at, n);
                    }});
  }
  ways.push_back(MakeWay<Pace::kThroughput>("unordered_map of whole paths", in_unordered));
  ways.push_back(MakeWay<Pace::kThroughput>("flat_hash_map of whole paths", in_flat));
  ways.push_back(MakeWay<Pace::kLatency>("flat_hash_map, latency", in_flat));
}

void Walks::Machine() {
  report_.Note(absl::StrFormat("clock %.2f GHz; LIMIT scans with %s; the kernel's: %s; %s",
                               bench::ClockGhz(), bench::Limit::WidestLoad(), tmpfs_.description(),
                               llvm_ != nullptr
                                   ? absl::StrFormat("LLVM %d", bench::LlvmFiles::Version())
                                   : "LLVM's development files are not installed"));
}

// Nanoseconds per component: of each round the line that fits its samples best, and of these slopes
// the median.
double Slope(const std::vector<double>& depths, const std::vector<const Contender*>& contenders) {
  const double mean =
      std::accumulate(depths.begin(), depths.end(), 0.0) / static_cast<double>(depths.size());
  double variance = 0;
  for (const double depth : depths) variance += (depth - mean) * (depth - mean);
  std::vector<double> slopes(contenders.front()->samples().size());
  for (size_t round = 0; round < slopes.size(); ++round) {
    for (size_t i = 0; i < depths.size(); ++i) {
      slopes[round] += (depths[i] - mean) * contenders[i]->samples()[round] / variance;
    }
  }
  return bench::Median(std::move(slopes));
}
double Slope(const std::vector<const Contender*>& contenders) {
  return Slope({std::begin(kDepths), std::end(kDepths)}, contenders);
}

// One table: each way at each depth, all in one experiment.
void Walks::Grid(std::string_view title, std::string (*path_at)(int), bool goals) {
  std::vector<std::unique_ptr<Paths>> paths;
  Experiment experiment(report_.rounds());
  std::vector<std::vector<const Contender*>> by_way(ways_.size());
  const Contender& floor = experiment.Add("a system call (getppid)", [](uint64_t n) {
    while (n--) bench::SyscallNothing();
  });
  for (const int depth : kDepths) {
    const Paths& at = *paths.emplace_back(std::make_unique<Paths>(std::vector{path_at(depth)}));
    for (size_t way = 0; way < ways_.size(); ++way) {
      by_way[way].push_back(&AddWay(experiment, ways_[way], at));
    }
  }
  experiment.Run();
  std::vector<Row> rows;
  for (size_t way = 0; way < ways_.size(); ++way) {
    Row& row = rows.emplace_back(Row{ways_[way].name, {}});
    for (const Contender* contender : by_way[way]) row.values.push_back(contender->median());
    row.values.push_back(Slope(by_way[way]));
    row.values.push_back(by_way[way][3]->min());
    row.values.push_back(by_way[kOurs][3]->RatioTo(*by_way[way][3]));
    if (ways_[way].name.starts_with("tmpfs")) {
      Row net{"  net of the system call's floor", {}};
      for (const Contender* contender : by_way[way]) {
        net.values.push_back(contender->median() - floor.median());
      }
      rows.push_back(net);
    }
  }
  report_.Grid(title, {"d1", "d2", "d4", "d6", "d8", "slope", "d6 min", "ours/it"}, rows);
  report_.Value("a system call (getppid)", floor.median(), "ns");
  if (goals) HotGoals(by_way, floor);
}

void Walks::HotGoals(const std::vector<std::vector<const Contender*>>& by_way,
                     const Contender& floor) {
  constexpr size_t kAt6 = 3;
  const double clock = bench::ClockGhz() / 4;
  const auto limit_slope = [&](size_t way) {
    return (by_way[way][kAt6]->median() - by_way[way][0]->median()) / (kDepth - 1) * clock;
  };
  const double slope = limit_slope(kLimit);
  report_.Note(absl::StrFormat(
      "LIMIT's slope from 1 to 6 components at 4 GHz: throughput %.2f, latency %.2f ns; valid "
      "between "
      "2.0 and 3.0: %s",
      slope, limit_slope(kLimitLatency), slope >= 2.0 && slope <= 3.0 ? "valid" : "NOT VALID"));
  report_.Goal("LIMIT", "slope at 4 GHz", slope, "ns", AtLeast(2.0));
  report_.Goal("LIMIT", "slope at 4 GHz", slope, "ns", AtMost(3.0));
  const Contender& ours = *by_way[kOurs][kAt6];
  report_.Goal("G1", "hot stat d6, throughput, over LIMIT", ours.RatioTo(*by_way[kLimit][kAt6]),
               "x", AtMost(1.9));
  for (size_t way = 0; way < ways_.size(); ++way) {
    const Contender& peer = *by_way[way][kAt6];
    if (ways_[way].name.starts_with("tmpfs")) {
      std::vector<double> net(peer.samples());
      for (size_t i = 0; i < net.size(); ++i) net[i] -= floor.samples()[i];
      report_.Value("tmpfs d6 over ours, raw", peer.RatioTo(ours), "x");
      report_.Value("tmpfs d6 over ours, net", bench::MedianOfRatios(net, ours.samples()), "x");
      report_.Goal("G1", "hot stat d6, kernel net over ours",
                   bench::MedianOfRatios(net, ours.samples()), "x", AtLeast(25));
    }
    if (ways_[way].name.starts_with("LLVM") && ways_[way].name.ends_with("throughput")) {
      report_.Goal("G1", "hot stat d6, " + ways_[way].name + " over ours", peer.RatioTo(ours), "x",
                   AtLeast(bench::LlvmFiles::Version() >= 19 ? 7.8 : 5.4));
    }
  }
  report_.Goal("G2", "hot stat d6, latency, over LIMIT",
               by_way[kOursLatency][kAt6]->RatioTo(*by_way[kLimitLatency][kAt6]), "x",
               AtMost(1.35));
  report_.Goal("G3", "slope per component, ramfs", Slope(by_way[kOurs]), "ns", AtMost(4.5));
}

void Walks::ByDepth() {
  Grid("hot stat, one path, one thread; median ns", FileAt, true);
  Grid("hot stat of a missing last name; median ns", MissingAt, false);
}

void Walks::ManyAtOnce() {
  const Paths paths(ManyPaths());
  Experiment experiment(report_.rounds());
  for (const Way& way : ways_) AddWay(experiment, way, paths);
  experiment.Run();
  report_.Table("hot stat, many paths (2,000), d6", experiment);
}

void Walks::OtherCalls() {
  vfs::Task& task = *ours_.task;
  CHECK(task.Symlink("file0001", Chain(kDepth - 1) + "/link0001").has_value());
  const std::string link = Chain(kDepth - 1) + "/link0001", file = FileAt(kDepth);
  Experiment experiment(report_.rounds());
  const auto add = [&](std::string_view name, auto call) {
    experiment.Add(name, [call](uint64_t n) {
      while (n--) bench::Keep(call());
    });
  };
  add("Task::Stat", [&] { return task.Stat(file); });
  add("Task::Lstat of a link", [&] { return task.Lstat(link); });
  add("Task::Stat through a link", [&] { return task.Stat(link); });
  add("Task::Access, F_OK", [&] { return task.Access(file, 0); });
  add("Task::Access, R_OK", [&] { return task.Access(file, vfs::kMayRead); });
  add("Task::Readlink", [&] { return task.Readlink(link); });
  if (tmpfs_) {
    const std::string inside = link.substr(1);
    CHECK(::symlinkat("file0001", tmpfs_.fd(), inside.c_str()) == 0);
    add("tmpfs faccessat, F_OK", [this, name = file.substr(1)] {
      return ::syscall(SYS_faccessat, tmpfs_.fd(), name.c_str(), F_OK);
    });
    add("tmpfs readlinkat", [this, inside] {
      char text[64];
      return ::syscall(SYS_readlinkat, tmpfs_.fd(), inside.c_str(), text, sizeof(text));
    });
  }
  experiment.Run();
  report_.Table("other calls, d6, hot, throughput", experiment);
}

// --- Two threads ---

std::vector<Walks::Beside> Walks::Writers(vfs::Task& task) const {
  const auto there_and_back = [&task](std::string from, std::string to) {
    return [&task, from = std::move(from), to = std::move(to)] {
      CHECK(task.Rename(from, to).has_value() && task.Rename(to, from).has_value());
    };
  };
  const auto reads = [&task](std::string path) {
    return [&task, path = std::move(path)] {
      for (int i = 0; i < 64; ++i) CHECK(task.Stat(path).has_value());
    };
  };
  const std::string fresh = NewAt(kDepth);
  return {
      {"stat of the same path", reads(FileAt(kDepth)), 1.05, false},
      {"stat of a sibling", reads(SiblingAt(kDepth)), 1.05, false},
      {"stat in another tree", reads(files_.back()), 1.05, false},
      {"create, unlink in the same directory",
       [&task, fresh] {
         CHECK(task.Mknod(fresh, S_IFREG | 0644, 0).has_value() && task.Unlink(fresh).has_value());
       },
       1.05, false},
      {"rename of a sibling", there_and_back(SiblingAt(kDepth), fresh), 1.05, false},
      {"rename of unrelated directories",
       there_and_back("/other001/sub00001", "/other001/sub00002"), 1.05, false},
      {"rename of an ancestor", there_and_back(Chain(2), Chain(1) + "/moved001"), 3, true},
  };
}

void Walks::TwoThreads() {
  if (report_.other_processor() < 0) return report_.Note("one processor: nothing of two threads");
  const std::unique_ptr<vfs::Task> other = ours_.task->Fork();
  vfs::Task& task = *ours_.task;
  const Paths paths({FileAt(kDepth)});
  const uint64_t ino = StatOf(task, paths[0]);
  uint64_t wrong = 0, away = 0;
  const auto body = [&](bool may_miss) {
    return [&, may_miss, at = size_t{0}](uint64_t n) mutable {
      bench::LookUp<Pace::kThroughput>(paths, at, n, [&](std::string_view path) -> uint64_t {
        const auto stat = task.Stat(path);
        if (stat && stat->ino == ino) [[likely]]
          return ino;
        const bool missed = !stat && stat.error() == vfs::Errno::kNoEnt;
        ++(may_miss && missed ? away : wrong);
        return 0;
      });
    };
  };
  const std::vector<Beside> writers = Writers(*other);
  Companion companion(report_.other_processor());
  Experiment experiment(report_.rounds());
  const Contender& alone = experiment.Add("alone", body(false));
  std::vector<const Contender*> beside;
  for (const Beside& b : writers) {
    beside.push_back(&experiment.AddBeside(b.name, companion, b.job, body(b.may_miss)));
  }
  experiment.Run();
  report_.Table("stat d6 beside a second thread, throughput", experiment);
  report_.Value("windows in which it stood still", static_cast<double>(experiment.windows_lost()),
                "");
  report_.Value("answers while the ancestor was away", static_cast<double>(away), "");
  report_.Value("wrong answers", static_cast<double>(wrong), "");
  for (size_t i = 0; i < writers.size(); ++i) {
    report_.Value("over alone: " + writers[i].name, beside[i]->RatioTo(alone), "x");
    report_.Goal("G5", "stat d6 beside " + writers[i].name + ", over alone",
                 beside[i]->RatioTo(alone), "x", AtMost(writers[i].bound));
  }
  report_.Goal("G5", "wrong answers", static_cast<double>(wrong), "", AtMost(0));
}

void Walks::KernelTwoThreads() {
  if (report_.other_processor() < 0 || !tmpfs_) return;
  const Paths paths({FileAt(kDepth)});
  const auto body = [&, at = size_t{0}](uint64_t n) mutable {
    bench::LookUp<Pace::kThroughput>(paths, at, n,
                                     [this](std::string_view path) { return TmpfsStat(path); });
  };
  const int dir = tmpfs_.fd();
  const auto there_and_back = [dir](const std::string& from, const std::string& to) {
    return [dir, from = from.substr(1), to = to.substr(1)] {
      CHECK(::renameat(dir, from.c_str(), dir, to.c_str()) == 0);
      CHECK(::renameat(dir, to.c_str(), dir, from.c_str()) == 0);
    };
  };
  const std::string fresh = NewAt(kDepth);
  Companion companion(report_.other_processor());
  Experiment experiment(report_.rounds());
  const Contender& alone = experiment.Add("alone", body);
  const Contender& create = experiment.AddBeside(
      "create, unlink in the same directory", companion,
      [dir, name = fresh.substr(1)] {
        CHECK(::mknodat(dir, name.c_str(), S_IFREG | 0644, 0) == 0);
        CHECK(::unlinkat(dir, name.c_str(), 0) == 0);
      },
      body);
  const Contender& sibling = experiment.AddBeside("rename of a sibling", companion,
                                                  there_and_back(SiblingAt(kDepth), fresh), body);
  const Contender& unrelated =
      experiment.AddBeside("rename of unrelated directories", companion,
                           there_and_back("/other001/sub00001", "/other001/sub00002"), body);
  const Contender& ancestor = experiment.AddBeside(
      "rename of an ancestor", companion, there_and_back(Chain(2), Chain(1) + "/moved001"), body);
  experiment.Run();
  report_.Table("tmpfs newfstatat d6 beside a second thread", experiment);
  for (const Contender* beside : {&create, &sibling, &unrelated, &ancestor}) {
    report_.Value("over alone: " + beside->name(), beside->RatioTo(alone), "x");
  }
}

// --- Other file systems ---

void Walks::Tracefs() {
  const std::string catalogue =
      "system01\tevent001\t100\tenable,filter,format,id,trigger\tu64 a:8:8:0\n";
  const auto os = os::Os::Boot({.catalogues = {catalogue}}).value();
  const auto task = os->NewTask();
  CHECK(task->Chdir(os::kTracingDir).has_value());
  CHECK(task->Mkdir("instances/inst0001", 0).has_value());
  const std::vector<std::string> names = {"instances", "inst0001", "events",
                                          "system01",  "event001", "enable"};
  std::vector<std::unique_ptr<Paths>> paths;
  Experiment experiment(report_.rounds());
  std::vector<const Contender*> contenders;
  std::vector<double> depths;
  std::string path;
  for (const std::string& name : names) {
    path += (path.empty() ? "" : "/") + name;
    const Paths& at = *paths.emplace_back(std::make_unique<Paths>(std::vector{path}));
    CHECK(StatOf(*task, path) != 0);
    contenders.push_back(&experiment.Add(path, [&task, &at, i = size_t{0}](uint64_t n) mutable {
      bench::LookUp<Pace::kThroughput>(at, i, n,
                                       [&](std::string_view p) { return StatOf(*task, p); });
    }));
  }
  experiment.Run();
  for (size_t i = 1; i <= names.size(); ++i) depths.push_back(static_cast<double>(i));
  report_.Table("hot stat in tracefs, one path, throughput", experiment);
  const double slope = Slope(depths, contenders);
  report_.Value("slope per component", slope, "ns");
  report_.Goal("G3", "slope per component, tracefs", slope, "ns", AtMost(4.5));
}

void Walks::NegativeHit(std::string_view where, vfs::Task& task, const std::string& directory) {
  const Paths there({directory + "/file0001"}), missing({directory + "/none0001"});
  CHECK(StatOf(task, there[0]) != 0 && StatOf(task, missing[0]) == 0);
  const auto stat =
      MakeWay<Pace::kThroughput>("", [&task](std::string_view path) { return StatOf(task, path); });
  Experiment experiment(report_.rounds());
  const Contender& positive = AddWay(experiment, {"there", stat.look_up}, there);
  const Contender& negative = AddWay(experiment, {"missing", stat.look_up}, missing);
  experiment.Run();
  report_.Table(absl::StrFormat("hot stat d6 in %s, throughput", where), experiment);
  report_.Goal("G12", absl::StrFormat("negative over positive hit, %s", where),
               negative.RatioTo(positive), "x", AtMost(1));
}

void Walks::Negatives() {
  NegativeHit("ramfs", *ours_.task, Chain(kDepth - 1));
  fixture::RemoteFs remote;
  const std::vector<std::string> files = {Chain(kDepth - 1) + "/file0001"};
  remote.Make({fixture::Text(files[0], "")});
  const Ours world;
  world.vfs->RegisterType(remote.Type());
  CHECK(world.task->Mkdir("/r", 0755).has_value());
  CHECK(world.task->Mount("bench", "/r", "remote", "").has_value());
  CHECK(world.task->Chroot("/r").has_value());
  NegativeHit("a file system that has to be asked", *world.task, Chain(kDepth - 1));
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  dentree::bench::Report report(argc, argv);
  dentree::Walks walks(report);
  walks.Machine();
  walks.ByDepth();
  walks.ManyAtOnce();
  walks.OtherCalls();
  walks.TwoThreads();
  walks.KernelTwoThreads();
  walks.Tracefs();
  walks.Negatives();
}
