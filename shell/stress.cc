#include "shell/stress.h"

#include <sys/mount.h>

#include <algorithm>
#include <memory>
#include <ranges>
#include <thread>

#include "absl/strings/str_format.h"
#include "shell/format_internal.h"
#include "shell/remove_tree.h"
#include "shell/stress_internal.h"

namespace dentree::shell {

using base::Errno;
using base::Result;
using base::Status;
using stress::kInstances;
using stress::Shared;
using stress::Worker;

namespace {

using Clock = std::chrono::steady_clock;

void AddViolation(StressReport& report, std::string text) {
  ++report.violation_count;
  if (report.violations.size() < kMaxToldViolations) report.violations.push_back(std::move(text));
}

// Files of an instance that are worth opening: those of one event, of its system, and the first few
// of all.
std::vector<std::string> InstancePaths(uring::RingTask& task, const std::string& instances) {
  const std::string probe = JoinPath(instances, "i0");
  std::vector<std::string> paths;
  if (!task.Mkdir(probe, 0755)) return paths;
  const auto add_files = [&](const std::string& dir) {
    const auto entries = task.ListDir(JoinPath(probe, dir));
    if (!entries) return;
    for (const vfs::DirEntry& entry : *entries) {
      const std::string path = dir.empty() ? entry.name : JoinPath(dir, entry.name);
      const auto st = task.Stat(JoinPath(probe, path));
      if (st && vfs::IsRegular(st->mode) && (st->mode & 0444)) paths.push_back(path);
    }
  };
  const auto first_dir = [&](const std::string& dir) {
    const auto entries = task.ListDir(JoinPath(probe, dir));
    for (const vfs::DirEntry& entry : entries.value_or(std::vector<vfs::DirEntry>())) {
      if (entry.type == vfs::FileType::kDir) return JoinPath(dir, entry.name);
    }
    return std::string();
  };
  std::string dir = "events";
  add_files("");
  for (int level = 0; level < 3 && !dir.empty(); ++level) {
    add_files(dir);
    dir = first_dir(dir);
  }
  // What waits for data would hold its thread until somebody writes some.
  std::erase_if(paths,
                [](const std::string& path) { return path.find("pipe") != std::string::npos; });
  (void)task.Rmdir(probe);
  return paths;
}

void RemoveInstances(uring::RingTask& task, const std::string& instances, StressReport& report) {
  for (unsigned i = 0; i < kInstances; ++i) {
    const std::string path = JoinPath(instances, "i" + std::to_string(i));
    const Status removed = task.Rmdir(path);
    if (removed || removed.error() == Errno::kNoEnt) continue;
    AddViolation(report, absl::StrFormat("at the end: rmdir %s: %s", path,
                                         base::ErrnoName(removed.error())));
  }
}

// What the threads have left mounted, the youngest first: it may hide others. Ends when a look
// finds no fewer than the one before.
void RemoveMounts(uring::RingTask& task, const std::string& tree, StressReport& report) {
  for (size_t before = SIZE_MAX;;) {
    size_t left = 0;
    auto mounts = task.vfs().mounts().List(task.task().fs().root());
    for (const vfs::MountInfo& mount : mounts | std::views::reverse) {
      if (!mount.target.starts_with(tree + "/")) continue;
      ++left;
      (void)task.task().Umount(mount.target, MNT_DETACH);
    }
    if (left == 0) return;
    if (left >= before) {
      return AddViolation(report, absl::StrFormat("at the end: %d mounts below %s", left, tree));
    }
    before = left;
  }
}

void WaitForEnd(const StressOptions& options, const std::vector<std::unique_ptr<Worker>>& workers,
                Clock::time_point begin) {
  const auto end = begin + options.duration;
  auto next = begin + std::chrono::seconds(1);
  while (Clock::now() < end) {
    if (options.interrupt != nullptr && options.interrupt->load(std::memory_order_relaxed)) return;
    constexpr auto kStep = std::chrono::milliseconds(50);
    std::this_thread::sleep_until(std::min({end, next, Clock::now() + kStep}));
    if (Clock::now() < next || !options.on_progress) continue;
    StressProgress progress{std::chrono::duration_cast<std::chrono::seconds>(next - begin), 0, 0};
    for (const auto& worker : workers) {
      progress.operations += worker->operations();
      progress.violations += worker->violation_count();
    }
    options.on_progress(progress);
    next += std::chrono::seconds(1);
  }
}

void CheckEnd(uring::RingTask& task, StressReport& report) {
  task.vfs().CheckInvariants();
  report.after = CountMemoryInUse(task);
  if (report.after == report.before) return;
  AddViolation(report, "memory left behind: " + Describe(report.before) + " before, " +
                           Describe(report.after) + " after");
}

}  // namespace

Result<StressReport> RunStress(uring::RingTask& task, const StressOptions& options) {
  StressReport report;
  report.seed = options.seed;
  // The file system of inotify's descriptors is made for the first, and stays.
  const int watcher = TRY(task.task().InotifyInit());
  TRY(task.Close(watcher));
  const bool check = options.check == StressOptions::Check::kAtEnd;
  if (check) report.before = CountMemoryInUse(task);
  TRY(task.Mkdir(options.tree, 0777));
  Shared shared{.options = options, .instance_paths = InstancePaths(task, options.instances)};
  std::vector<std::unique_ptr<Worker>> workers;
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < options.threads; ++i) {
      workers.push_back(std::make_unique<Worker>(task.Fork(), shared, options.seed + i));
      threads.emplace_back([worker = workers.back().get()] { worker->Run(); });
    }
    WaitForEnd(options, workers, begin);
    shared.stop.store(true, std::memory_order_relaxed);
  }
  report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  for (const auto& worker : workers) worker->AddTo(report);
  workers.clear();
  RemoveMounts(task, options.tree, report);
  (void)RemoveTree(task, options.tree,
                   [&report](const std::string& path, vfs::FileType, Status removed) {
                     if (!removed)
                       AddViolation(report, absl::StrFormat("at the end: remove %s: %s", path,
                                                            base::ErrnoName(removed.error())));
                     return removed.has_value();
                   });
  if (!shared.instance_paths.empty()) RemoveInstances(task, options.instances, report);
  if (check) CheckEnd(task, report);
  return report;
}

std::string Describe(const StressReport& report) {
  std::string text = absl::StrFormat("%-20s %12s  %s\n", "operation", "ok", "errors");
  for (const auto& [op, answers] : report.answers) {
    const auto ok = answers.find(0);
    std::string errors;
    for (const auto& [error, count] : answers) {
      if (error == 0) continue;
      absl::StrAppendFormat(&errors, "%s%s %d", errors.empty() ? "" : ", ",
                            base::ErrnoName(static_cast<Errno>(error)), count);
    }
    const std::string line =
        absl::StrFormat("%-20s %12d  %s", op, ok == answers.end() ? 0 : ok->second, errors);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  for (const std::string& violation : report.violations) text += "violation: " + violation + "\n";
  absl::StrAppendFormat(&text, "%d operations in %.1f s, seed %d, %d violations\n",
                        report.operations, report.seconds, report.seed, report.violation_count);
  if (report.after != MemoryCounts()) text += "in use after: " + Describe(report.after) + "\n";
  return text;
}

}  // namespace dentree::shell
