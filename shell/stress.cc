#include "shell/stress.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include "absl/strings/str_format.h"
#include "shell/format_internal.h"
#include "shell/remove_tree.h"

namespace dentree::shell {

using base::Errno;
using base::Result;
using base::Status;

namespace {

using Clock = std::chrono::steady_clock;
using vfs::kAtFdCwd;

// --- what may be answered ---------------------------------------------------------------------

enum class Op : uint8_t {
  kOpen,
  kCreate,
  kRead,
  kWrite,
  kReaddir,
  kMkdir,
  kRmdir,
  kUnlink,
  kRemoveTree,
  kRename,
  kExchange,
  kLink,
  kSymlink,
  kReadlink,
  kStat,
  kTruncate,
  kChmod,
  kChdir,
  kGetcwd,
  kInstanceMkdir,
  kInstanceRmdir,
  kInstanceOpen,
  kInstanceRead,
  kInstanceWrite,
  kInstanceReaddir,
  kInstanceStat,
  kCount
};

struct OpRule {
  Op op;
  std::string_view name;
  std::initializer_list<Errno> allowed;  // beside success
};

using enum Errno;
const OpRule kRules[] = {
    // A path goes through names that others remove (kNoEnt), replace by files (kNotDir) and by
    // symlinks (kLoop).
    {Op::kOpen, "open", {kNoEnt, kNotDir, kIsDir, kLoop}},
    {Op::kCreate, "create", {kNoEnt, kNotDir, kIsDir, kLoop, kExist}},
    {Op::kRead, "read", {kIsDir}},
    {Op::kWrite, "write", {}},
    {Op::kReaddir, "readdir", {kNoEnt, kNotDir, kLoop}},
    {Op::kMkdir, "mkdir", {kNoEnt, kNotDir, kLoop, kExist}},
    {Op::kRmdir, "rmdir", {kNoEnt, kNotDir, kLoop, kNotEmpty}},
    {Op::kUnlink, "unlink", {kNoEnt, kNotDir, kLoop, kIsDir}},
    {Op::kRemoveTree, "remove tree", {kNoEnt, kNotDir, kLoop, kIsDir, kNotEmpty}},
    {Op::kRename, "rename", {kNoEnt, kNotDir, kLoop, kIsDir, kNotEmpty, kExist, kInval}},
    {Op::kExchange, "exchange", {kNoEnt, kNotDir, kLoop, kInval}},
    {Op::kLink, "link", {kNoEnt, kNotDir, kLoop, kExist, kPerm}},
    {Op::kSymlink, "symlink", {kNoEnt, kNotDir, kLoop, kExist}},
    {Op::kReadlink, "readlink", {kNoEnt, kNotDir, kLoop, kInval}},
    {Op::kStat, "stat", {kNoEnt, kNotDir, kLoop}},
    {Op::kTruncate, "truncate", {kNoEnt, kNotDir, kLoop, kIsDir}},
    {Op::kChmod, "chmod", {kNoEnt, kNotDir, kLoop}},
    {Op::kChdir, "chdir", {kNoEnt, kNotDir, kLoop}},
    {Op::kGetcwd, "getcwd", {kNoEnt}},
    {Op::kInstanceMkdir, "instances: mkdir", {kExist}},
    {Op::kInstanceRmdir, "instances: rmdir", {kNoEnt, kBusy}},
    {Op::kInstanceOpen, "instances: open", {kNoEnt, kNoDev}},
    {Op::kInstanceRead, "instances: read", {kNoDev}},
    {Op::kInstanceWrite, "instances: write", {kNoDev}},
    {Op::kInstanceReaddir, "instances: readdir", {kNoEnt}},
    {Op::kInstanceStat, "instances: stat", {kNoEnt}},
};

const OpRule& RuleOf(Op op) { return kRules[static_cast<size_t>(op)]; }

constexpr size_t kOps = static_cast<size_t>(Op::kCount);
constexpr size_t kErrnos = 134;  // the largest errno of Linux, and 0
constexpr size_t kMaxFileBytes = 8192;
constexpr unsigned kFanOut = 4;  // names in a directory of the tree: so few that threads meet
constexpr unsigned kMaxTreeLevels = 3;
constexpr unsigned kInstances = 4;
constexpr int kOpsPerLook = 32;  // operations between looks at the clock

// --- one thread -------------------------------------------------------------------------------

// What all threads see.
struct Shared {
  const StressOptions& options;
  std::vector<std::string> instance_paths;  // files below an instance; empty: leave instances out
  std::atomic<bool> stop{false};
};

// A thread's part. Thread safety: operations() and violation_count() from any thread, the rest of
// its own until it has been joined.
class Worker {
 public:
  Worker(std::unique_ptr<uring::RingTask> task, const Shared& shared, uint64_t seed)
      : task_(std::move(task)), shared_(shared), random_(seed) {}

  void Run();
  void AddTo(StressReport& report) const;
  uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }
  uint64_t violation_count() const { return violation_count_.load(std::memory_order_relaxed); }

 private:
  unsigned Pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
  std::string RandomPath();
  std::string RandomInstance() {
    return JoinPath(shared_.options.instances, "i" + std::to_string(Pick(kInstances)));
  }

  template <class T>
  bool Judge(Op op, const Result<T>& result, std::string_view about) {
    return JudgeErrno(op, result ? 0 : static_cast<int>(result.error()), about);
  }
  bool JudgeErrno(Op op, int error, std::string_view about);
  void Violation(std::string text);

  void Step();
  void StepNames();
  void StepFiles();
  void StepPlaces();
  void RemoveSome(const std::string& path);
  void StepInstances();
  void InstanceFile();
  void List(Op op, const std::string& path);
  void UseHeld();
  void Hold(int fd, Op read_op, Op write_op);

  const std::unique_ptr<uring::RingTask> task_;
  const Shared& shared_;
  std::mt19937_64 random_;
  std::array<std::array<uint64_t, kErrnos>, kOps> answers_{};
  std::atomic<uint64_t> operations_{0};
  std::atomic<uint64_t> violation_count_{0};
  std::vector<std::string> violations_;

  // One descriptor is kept open while others remove what it is of.
  int held_ = -1;
  Op held_read_ = Op::kRead;
  Op held_write_ = Op::kWrite;
};

std::string Worker::RandomPath() {
  std::string path = shared_.options.tree;
  const unsigned levels = 1 + Pick(kMaxTreeLevels);
  for (unsigned i = 0; i < levels; ++i)
    path = JoinPath(path, std::string(1, static_cast<char>('a' + Pick(kFanOut))));
  return path;
}

void Worker::Violation(std::string text) {
  violation_count_.fetch_add(1, std::memory_order_relaxed);
  if (violations_.size() < kMaxToldViolations) violations_.push_back(std::move(text));
}

bool Worker::JudgeErrno(Op op, int error, std::string_view about) {
  operations_.fetch_add(1, std::memory_order_relaxed);
  ++answers_[static_cast<size_t>(op)][std::min<size_t>(static_cast<size_t>(error), kErrnos - 1)];
  if (error == 0) return true;
  const OpRule& rule = RuleOf(op);
  if (std::ranges::find(rule.allowed, static_cast<Errno>(error)) == rule.allowed.end()) {
    Violation(
        absl::StrFormat("%s %s: %s", rule.name, about, base::ErrnoName(static_cast<Errno>(error))));
  }
  return false;
}

// Everything written is a run of one lower-case letter; holes are zeros.
bool IsWritten(std::byte b) {
  return b == std::byte{0} || (b >= std::byte{'a'} && b <= std::byte{'z'});
}

void Worker::Hold(int fd, Op read_op, Op write_op) {
  if (held_ >= 0) (void)task_->Close(held_);
  held_ = fd;
  held_read_ = read_op;
  held_write_ = write_op;
}

void Worker::UseHeld() {
  if (held_ < 0) return;
  std::array<std::byte, 512> bytes;
  const auto n = task_->Pread(held_, bytes, held_read_ == Op::kRead ? Pick(kMaxFileBytes) : 0);
  if (Judge(held_read_, n, "of a held descriptor") && held_read_ == Op::kRead &&
      !std::all_of(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(*n), IsWritten)) {
    Violation("read: bytes that nobody wrote");
  }
  if (Pick(4) == 0) Hold(-1, Op::kRead, Op::kWrite);
}

void Worker::List(Op op, const std::string& path) {
  const auto entries = task_->ListDir(path);
  if (!Judge(op, entries, path)) return;
  // A name that was removed and made again meanwhile may come twice, a position never.
  std::vector<int64_t> positions;
  for (const vfs::DirEntry& entry : *entries) positions.push_back(entry.next);
  std::ranges::sort(positions);
  if (std::ranges::adjacent_find(positions) != positions.end()) {
    Violation("readdir " + path + ": a position twice");
  }
}

void Worker::StepFiles() {
  const std::string path = RandomPath();
  switch (Pick(5)) {
    case 0:
    case 1: {
      constexpr int kFlags[] = {0, O_EXCL, O_TRUNC, O_APPEND};
      const auto fd = task_->Open(path, O_RDWR | O_CREAT | kFlags[Pick(4)], 0600 + Pick(0100));
      if (!Judge(Op::kCreate, fd, path)) return;
      const std::string text(1 + Pick(1000), static_cast<char>('a' + Pick(26)));
      const auto n = task_->Pwrite(*fd, std::as_bytes(std::span(text)), Pick(kMaxFileBytes));
      (void)Judge(Op::kWrite, n, path);
      return Hold(*fd, Op::kRead, Op::kWrite);
    }
    case 2: {
      const auto fd = task_->Open(path, O_RDONLY);
      if (Judge(Op::kOpen, fd, path)) Hold(*fd, Op::kRead, Op::kWrite);
      return;
    }
    case 3:
      return (void)Judge(Op::kTruncate, task_->Truncate(path, Pick(kMaxFileBytes)), path);
    default:
      return UseHeld();
  }
}

void Worker::RemoveSome(const std::string& path) {
  (void)RemoveTree(*task_, path, [&](const std::string& at, vfs::FileType, Status removed) {
    return Judge(Op::kRemoveTree, removed, at);
  });
}

void Worker::StepNames() {
  const std::string path = RandomPath(), other = RandomPath();
  const std::string both = path + " " + other;
  switch (Pick(12)) {
    case 0:
    case 1:
    case 2:
      return (void)Judge(Op::kMkdir, task_->Mkdir(path, 0777), path);
    case 3:
      return (void)Judge(Op::kRmdir, task_->Rmdir(path), path);
    case 4:
    case 5:
      return (void)Judge(Op::kUnlink, task_->Unlink(path), path);
    case 6:
    case 7: {
      const unsigned flags = Pick(4) == 0 ? unsigned{vfs::kRenameNoReplace} : 0;
      return (void)Judge(Op::kRename, task_->Rename(path, other, flags), both);
    }
    case 8:
      return (void)Judge(Op::kExchange, task_->Rename(path, other, vfs::kRenameExchange), both);
    case 9:
      return (void)Judge(Op::kLink, task_->Link(path, other), both);
    case 10:
      return (void)Judge(Op::kSymlink, task_->Symlink(Pick(2) == 0 ? path : BaseName(path), other),
                         both);
    default:
      // Renames put trees below trees; this keeps them from growing without end.
      if (Pick(4) == 0) return RemoveSome(path);
      return (void)Judge(Op::kReadlink, task_->Readlink(path), path);
  }
}

void Worker::StepPlaces() {
  const std::string path = RandomPath();
  switch (Pick(8)) {
    case 0:
    case 1:
      return List(Op::kReaddir, path);
    case 2:
    case 3:
      return (void)Judge(Op::kStat, task_->Stat(path), path);
    case 4:
      return (void)Judge(Op::kStat, task_->Lstat(path), path);
    case 5:
      return (void)Judge(Op::kChmod, task_->Chmod(path, static_cast<vfs::Mode>(0700 + Pick(0100))),
                         path);
    case 6: {
      // From a directory that others may have removed, and above it.
      (void)Judge(Op::kChdir, task_->Chdir(Pick(2) == 0 ? path : shared_.options.tree), path);
      const std::string relative = Pick(2) == 0 ? "a/b" : "../a";
      return (void)Judge(Op::kStat, task_->Stat(relative), relative);
    }
    default:
      return (void)Judge(Op::kGetcwd, task_->Getcwd(), "");
  }
}

void Worker::InstanceFile() {
  const auto& paths = shared_.instance_paths;
  const std::string path =
      JoinPath(RandomInstance(), paths[Pick(static_cast<unsigned>(paths.size()))]);
  const bool control = path.ends_with("/enable") || path.ends_with("/tracing_on");
  const auto fd = task_->Open(path, control ? O_RDWR : O_RDONLY);
  if (!Judge(Op::kInstanceOpen, fd, path)) return;
  std::array<std::byte, 512> bytes;
  (void)Judge(Op::kInstanceRead, task_->Read(*fd, bytes), path);
  if (control) (void)Judge(Op::kInstanceWrite, task_->Write(*fd, Pick(2) == 0 ? "0" : "1"), path);
  Hold(*fd, Op::kInstanceRead, Op::kInstanceWrite);
}

void Worker::StepInstances() {
  const std::string path = RandomInstance();
  switch (Pick(8)) {
    case 0:
    case 1:
      return (void)Judge(Op::kInstanceMkdir, task_->Mkdir(path, 0755), path);
    case 2:
      if (Pick(2) == 0) Hold(-1, Op::kRead, Op::kWrite);
      return (void)Judge(Op::kInstanceRmdir, task_->Rmdir(path), path);
    case 3:
      return List(Op::kInstanceReaddir,
                  Pick(4) == 0 ? shared_.options.instances : path + "/events");
    case 4:
      return (void)Judge(Op::kInstanceStat, task_->Stat(path + "/events"), path);
    case 5:
      return UseHeld();
    default:
      return InstanceFile();
  }
}

void Worker::Step() {
  const unsigned which = Pick(shared_.instance_paths.empty() ? 6 : 9);
  if (which < 2) return StepFiles();
  if (which < 4) return StepNames();
  if (which < 6) return StepPlaces();
  return StepInstances();
}

void Worker::Run() {
  while (!shared_.stop.load(std::memory_order_relaxed)) {
    for (int i = 0; i < kOpsPerLook; ++i) Step();
  }
  Hold(-1, Op::kRead, Op::kWrite);
  (void)task_->Chdir("/");
}

void Worker::AddTo(StressReport& report) const {
  for (size_t op = 0; op < kOps; ++op) {
    for (size_t error = 0; error < kErrnos; ++error) {
      if (answers_[op][error] == 0) continue;
      report.answers[std::string(kRules[op].name)][static_cast<int>(error)] += answers_[op][error];
    }
  }
  report.operations += operations();
  report.violation_count += violation_count();
  for (const std::string& violation : violations_) {
    if (report.violations.size() < kMaxToldViolations) report.violations.push_back(violation);
  }
}

// --- the run ----------------------------------------------------------------------------------

void AddViolation(StressReport& report, std::string text) {
  ++report.violation_count;
  report.violations.push_back(std::move(text));
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
    if (removed || removed.error() == kNoEnt) continue;
    AddViolation(report, absl::StrFormat("at the end: rmdir %s: %s", path,
                                         base::ErrnoName(removed.error())));
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
