#include "lab/replay.h"

#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lab/generators.h"
#include "lab/labfs.h"

namespace dentree::lab {

namespace {

using Clock = std::chrono::steady_clock;
using vfs::Errno;

constexpr uint64_t kEventsPerLook = 1024;  // between looks at the interrupt

uint64_t NsSince(Clock::time_point start) {
  return static_cast<uint64_t>((Clock::now() - start) / std::chrono::nanoseconds(1));
}

// A thread's part of a replay. Thread safety: of its own; results once it has been joined.
class Replayer {
 public:
  Replayer(vfs::Vfs& vfs, const Trace& trace, const Prepared& prepared,
           const ReplayOptions& options, unsigned number)
      : vfs_(vfs),
        trace_(trace),
        prepared_(prepared),
        options_(options),
        number_(number),
        root_(vfs.Root()),
        stats_(LabStatsOf(root_)) {}

  void Run() {
    uint64_t seen = 0;
    for (const Event& event : prepared_.events) {
      if (event.process % options_.threads != number_) continue;
      if (++seen % kEventsPerLook == 0 && Interrupted()) break;
      Do(event);
    }
    tasks_.clear();
  }

  void AddTo(ReplayResult& result) const {
    result.events += result_.events;
    result.misses += result_.misses;
    result.useful_hits += result_.useful_hits;
    result.surprises += result_.surprises;
    result.insert_ns.Merge(result_.insert_ns);
    result.hit_ns.Merge(result_.hit_ns);
  }

 private:
  bool Interrupted() const {
    return options_.interrupt != nullptr && options_.interrupt->load(std::memory_order_relaxed);
  }

  vfs::Task& TaskOf(uint32_t process) {
    auto it = tasks_.find(process);
    if (it == tasks_.end()) {
      if (tasks_.size() == kMaxTasksPerThread) tasks_.clear();
      it = tasks_.emplace(process, std::make_unique<vfs::Task>(vfs_, vfs::Creds::Root())).first;
    }
    return *it->second;
  }

  void Do(const Event& event) {
    vfs::Task& task = TaskOf(event.process);
    const std::string& path = prepared_.PathOf(trace_, event);
    ++result_.events;
    if (event.op == Op::kLookup) return Lookup(task, path, event.outcome);
    const uint64_t misses = stats_.Local().misses.Value();
    const vfs::Status done = Change(task, path, event.op);
    if (!done) {
      ++result_.surprises;
    } else if (event.op == Op::kCreate || event.op == Op::kMkdir) {
      // What is made was missing, and the walk to it found that out.
      NoteMissing(path, stats_.Local().misses.Value() == misses);
    }
  }

  void NoteMissing(std::string_view path, bool hit) {
    ++result_.misses;
    result_.useful_hits += hit && !path.starts_with(kJunk);
  }

  void Lookup(vfs::Task& task, const std::string& path, Outcome expected) {
    // Threads beyond Sharded::kOwnShards share a count; their times are then taken for inserts.
    LabStats& mine = stats_.Local();
    const uint64_t lookups = mine.lookups.Value(), misses = mine.misses.Value();
    const Clock::time_point start = Clock::now();
    const auto found = task.Stat(path);
    const uint64_t ns = NsSince(start);
    const uint64_t cost = (mine.lookups.Value() - lookups) * options_.lab.cost_ns;
    const bool missing = !found && found.error() == Errno::kNoEnt;
    if (missing != (expected == Outcome::kNoEnt) || (!found && !missing)) ++result_.surprises;
    if (!missing) return;
    const bool hit = mine.misses.Value() == misses;
    NoteMissing(path, hit);
    if (hit) {
      result_.hit_ns.Add(ns);
    } else {
      result_.insert_ns.Add(ns > cost ? ns - cost : 0);
    }
  }

  static vfs::Status Change(vfs::Task& task, const std::string& path, Op op) {
    switch (op) {
      case Op::kCreate: {
        const int fd = TRY(task.Open(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
        return task.Close(fd);
      }
      case Op::kMkdir:
        return task.Mkdir(path, 0755);
      case Op::kUnlink:
        return task.Unlink(path);
      case Op::kRmdir:
        return task.Rmdir(path);
      case Op::kLookup:
        break;
    }
    return base::Err(Errno::kInval);
  }

  vfs::Vfs& vfs_;
  const Trace& trace_;
  const Prepared& prepared_;
  const ReplayOptions& options_;
  const unsigned number_;
  const vfs::Path root_;
  base::Sharded<LabStats>& stats_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<vfs::Task>> tasks_;
  ReplayResult result_;
};

}  // namespace

std::expected<ReplayResult, std::string> Replay(const Trace& trace, const Prepared& prepared,
                                                const ReplayOptions& options) {
  auto made = MakeVfs(options.lab);
  if (!made) return std::unexpected(made.error());
  vfs::Vfs& vfs = **made;
  for (const Prepared::Name& name : prepared.names) {
    AddName(vfs.Root(), name.path, name.dir ? vfs::FileType::kDir : vfs::FileType::kRegular);
  }
  std::vector<std::unique_ptr<Replayer>> replayers;
  for (unsigned i = 0; i < options.threads; ++i) {
    replayers.push_back(std::make_unique<Replayer>(vfs, trace, prepared, options, i));
  }
  const Clock::time_point start = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (const auto& replayer : replayers) {
      threads.emplace_back([it = replayer.get()] { it->Run(); });
    }
  }
  ReplayResult result;
  result.seconds = static_cast<double>(NsSince(start)) / 1e9;
  for (const auto& replayer : replayers) replayer->AddTo(result);
  result.asked = LabStatsOf(vfs.Root()).Sum<&LabStats::misses>();
  result.repairs = prepared.repairs;
  result.negatives = CountsOf(vfs);
  replayers.clear();
  return result;
}

}  // namespace dentree::lab
