// A thread of a stress run: its operations and how their answers are judged.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "shell/format_internal.h"
#include "shell/remove_tree.h"
#include "shell/stress_internal.h"

namespace dentree::shell::stress {

using base::Errno;
using base::Result;
using base::Status;

namespace {

struct OpRule {
  Op op;
  std::string_view name;
  std::initializer_list<Errno> allowed;           // beside success
  std::initializer_list<Errno> with_mounts = {};  // also, when threads mount and unmount
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
    {Op::kRmdir, "rmdir", {kNoEnt, kNotDir, kLoop, kNotEmpty}, {kBusy}},
    {Op::kUnlink, "unlink", {kNoEnt, kNotDir, kLoop, kIsDir}, {kBusy}},
    {Op::kRemoveTree, "remove tree", {kNoEnt, kNotDir, kLoop, kIsDir, kNotEmpty}, {kBusy}},
    {Op::kRename,
     "rename",
     {kNoEnt, kNotDir, kLoop, kIsDir, kNotEmpty, kExist, kInval},
     {kBusy, kXDev}},
    {Op::kExchange, "exchange", {kNoEnt, kNotDir, kLoop, kInval}, {kBusy, kXDev}},
    {Op::kLink, "link", {kNoEnt, kNotDir, kLoop, kExist, kPerm}, {kXDev}},
    {Op::kSymlink, "symlink", {kNoEnt, kNotDir, kLoop, kExist}},
    {Op::kReadlink, "readlink", {kNoEnt, kNotDir, kLoop, kInval}},
    {Op::kStat, "stat", {kNoEnt, kNotDir, kLoop}},
    {Op::kTruncate, "truncate", {kNoEnt, kNotDir, kLoop, kIsDir}},
    {Op::kChmod, "chmod", {kNoEnt, kNotDir, kLoop}},
    {Op::kChdir, "chdir", {kNoEnt, kNotDir, kLoop}},
    {Op::kGetcwd, "getcwd", {kNoEnt}},
    {Op::kFlock, "flock", {kAgain}},
    // A descriptor that may not write takes no lock for writing.
    {Op::kRangeLock, "range lock", {kAgain, kBadF}},
    // A place that was detached takes no mount and is no source of one; a mount is not moved below
    // itself.
    {Op::kMount, "mount", {kNoEnt, kNotDir, kLoop, kInval}},
    {Op::kMove, "mount --move", {kNoEnt, kNotDir, kLoop, kInval}},
    {Op::kUmount, "umount", {kNoEnt, kNotDir, kLoop, kInval, kBusy}},
    {Op::kWatch, "inotify: watch", {kNoEnt, kNotDir, kLoop, kNoSpc}},
    {Op::kUnwatch, "inotify: unwatch", {kInval}},
    {Op::kEvents, "inotify: read", {kAgain}},
    {Op::kInstanceMkdir, "instances: mkdir", {kExist}},
    {Op::kInstanceRmdir, "instances: rmdir", {kNoEnt, kBusy}},
    {Op::kInstanceOpen, "instances: open", {kNoEnt, kNoDev}},
    {Op::kInstanceRead, "instances: read", {kNoDev}},
    {Op::kInstanceWrite, "instances: write", {kNoDev}},
    {Op::kInstanceReaddir, "instances: readdir", {kNoEnt}},
    {Op::kInstanceStat, "instances: stat", {kNoEnt}},
};

const OpRule& RuleOf(Op op) { return kRules[static_cast<size_t>(op)]; }

constexpr size_t kMaxFileBytes = 8192;
constexpr unsigned kFanOut = 4;  // names in a directory of the tree: so few that threads meet
constexpr unsigned kMaxTreeLevels = 3;
constexpr int kOpsPerLook = 32;  // operations between looks at the clock

}  // namespace

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
  const auto has = [error](std::initializer_list<Errno> errors) {
    return std::ranges::find(errors, static_cast<Errno>(error)) != errors.end();
  };
  if (!has(rule.allowed) && !(shared_.options.mounts && has(rule.with_mounts))) {
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

void Worker::StepLocks() {
  if (held_ < 0) return;
  vfs::Task& task = task_->task();
  if (Pick(2) == 0) {
    constexpr int kOperations[] = {LOCK_SH, LOCK_EX, LOCK_UN};
    return (void)Judge(Op::kFlock, task.Flock(held_, kOperations[Pick(3)] | LOCK_NB), "held");
  }
  constexpr short kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  struct flock lock{};
  lock.l_type = kTypes[Pick(3)];
  lock.l_whence = SEEK_SET;
  lock.l_start = Pick(kMaxFileBytes);
  lock.l_len = Pick(kMaxFileBytes);  // 0: to the end
  const int command = Pick(2) == 0 ? F_OFD_SETLK : F_SETLK;
  (void)Judge(Op::kRangeLock, task.FcntlLock(held_, command, lock), "held");
}

// Two of three take away, so that there are never many.
void Worker::StepMounts() {
  vfs::Task& task = task_->task();
  const std::string path = RandomPath(), other = RandomPath();
  const std::string both = path + " " + other;
  switch (Pick(6)) {
    case 0:
      return (void)Judge(Op::kMount, task.Mount(path, other, "", "bind"), both);
    case 1:
      return (void)Judge(Op::kMove, task.Mount(path, other, "", "move"), both);
    default:
      return (void)Judge(Op::kUmount, task.Umount(path, Pick(2) == 0 ? MNT_DETACH : 0), path);
  }
}

void Worker::ReadEvents() {
  alignas(inotify_event) std::array<std::byte, 4096> bytes;
  const auto n = task_->Read(watcher_, bytes);
  if (!Judge(Op::kEvents, n, "")) return;
  size_t at = 0;
  while (at + sizeof(inotify_event) <= *n) {
    const auto& event = *reinterpret_cast<const inotify_event*>(&bytes[at]);
    const bool overflow = event.mask & IN_Q_OVERFLOW;
    if (overflow ? event.wd != -1 : event.wd < 1) return Violation("inotify: read: no such watch");
    at += sizeof(inotify_event) + event.len;
  }
  if (at != *n) Violation("inotify: read: half an event");
}

void Worker::StepWatches() {
  vfs::Task& task = task_->task();
  if (watcher_ < 0) {
    const auto fd = task.InotifyInit(O_NONBLOCK);
    if (Judge(Op::kWatch, fd, "inotify_init")) watcher_ = *fd;
    return;
  }
  const std::string path = RandomPath();
  constexpr uint32_t kMasks[] = {IN_ALL_EVENTS, IN_CREATE | IN_DELETE | IN_ONLYDIR,
                                 IN_MOVE | IN_MOVE_SELF | IN_DONT_FOLLOW, IN_MODIFY | IN_ONESHOT};
  constexpr unsigned kWatches = 16;  // numbers tried when one is to go
  switch (Pick(4)) {
    case 0:
      return (void)Judge(Op::kWatch, task.InotifyAddWatch(watcher_, path, kMasks[Pick(4)]), path);
    case 1: {
      const int wd = 1 + static_cast<int>(Pick(kWatches));
      return (void)Judge(Op::kUnwatch, task.InotifyRmWatch(watcher_, wd), "");
    }
    case 2:
      // Everything goes at once, watches and events.
      if (Pick(8) != 0) return;
      (void)task_->Close(watcher_);
      watcher_ = -1;
      return;
    default:
      return ReadEvents();
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
  const unsigned rare = Pick(16);
  if (rare == 0) return StepLocks();
  if (rare == 1) return StepWatches();
  if (rare == 2 && shared_.options.mounts) return StepMounts();
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
  if (watcher_ >= 0) (void)task_->Close(watcher_);
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

}  // namespace dentree::shell::stress
