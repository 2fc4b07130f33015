#include "lab/teardown.h"

#include <sys/inotify.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/strings/str_format.h"
#include "lab/labfs.h"

namespace dentree::lab {

namespace {

using Clock = std::chrono::steady_clock;
using vfs::FileType;

constexpr uint64_t kLookupsPerReport = 1 << 18;
constexpr std::string_view kMount = "/mnt";
constexpr std::string_view kFull = "/mnt/full";

// Goal G14: foreground time, whatever the number of past misses.
constexpr int64_t kRmdirGoalNs = 1'000'000;
constexpr int64_t kWatchGoalNs = 10'000;
constexpr int64_t kStallGoalNs = 100'000;
constexpr int64_t kDropGoalNs = 2'000'000;

int64_t NsSince(Clock::time_point start) {
  return (Clock::now() - start) / std::chrono::nanoseconds(1);
}

// Another thread, which looks up a name that has nothing to do with it all.
class Bystander {
 public:
  explicit Bystander(vfs::Vfs& vfs)
      : thread_([this, &vfs](const std::stop_token& stop) {
          const vfs::Creds root = vfs::Creds::Root();
          vfs::Task task(vfs, root);
          while (!stop.stop_requested()) {
            const auto start = Clock::now();
            (void)task.Stat("/other");
            longest_ = std::max(longest_, NsSince(start));
            ready_.store(true, std::memory_order_release);
          }
        }) {
    while (!ready_.load(std::memory_order_acquire)) std::this_thread::yield();
  }
  // Ends it; the longest of its lookups.
  int64_t Longest() {
    thread_.request_stop();
    thread_.join();
    return longest_;
  }

 private:
  int64_t longest_ = 0;
  std::atomic<bool> ready_{false};
  std::jthread thread_;  // last: it uses the others
};

// A Vfs with a labfs on /mnt, in which /mnt/full was asked for `count` names that it has not.
class FullDirectory {
 public:
  static std::expected<std::unique_ptr<FullDirectory>, std::string> Make(
      const TeardownOptions& options, std::string_view what) {
    auto vfs = MakeVfs({.policy = options.policy, .cap = vfs::kDefaultNegativeLimit});
    if (!vfs) return std::unexpected(vfs.error());
    auto full = std::unique_ptr<FullDirectory>(new FullDirectory(*std::move(vfs)));
    if (auto filled = full->Fill(options, what); !filled) return std::unexpected(filled.error());
    return full;
  }

  vfs::Vfs& vfs() { return *vfs_; }
  vfs::Task& task() { return *task_; }
  double fill_ns() const { return fill_ns_; }

 private:
  explicit FullDirectory(std::unique_ptr<vfs::Vfs> vfs)
      : vfs_(std::move(vfs)), task_(std::make_unique<vfs::Task>(*vfs_, vfs::Creds::Root())) {}

  std::expected<void, std::string> Fill(const TeardownOptions& options, std::string_view what) {
    AddName(vfs_->Root(), kMount, FileType::kDir);
    AddName(vfs_->Root(), "/other", FileType::kRegular);
    const auto mounted =
        task_->Mount("lab", kMount, "labfs", MountData({.policy = options.policy}));
    const auto made = mounted ? task_->Mkdir(kFull, 0755) : mounted;
    if (!made) return std::unexpected(std::string(base::ErrnoText(made.error())));
    std::string path = std::string(kFull) + "/";
    const size_t prefix = path.size();
    const auto start = Clock::now();
    for (uint64_t i = 0; i < options.count; ++i) {
      path.resize(prefix);
      path += std::to_string(i);
      (void)task_->Stat(path);
      if (i % kLookupsPerReport != 0) continue;
      if (options.interrupt != nullptr && options.interrupt->load()) {
        return std::unexpected("interrupted");
      }
      if (options.on_progress) options.on_progress(what, i);
    }
    fill_ns_ = static_cast<double>(NsSince(start)) / static_cast<double>(options.count);
    return {};
  }

  std::unique_ptr<vfs::Vfs> vfs_;
  std::unique_ptr<vfs::Task> task_;
  double fill_ns_ = 0;
};

// How long a call took, which must succeed.
template <class Call>
std::expected<int64_t, std::string> Timed(std::string_view what, Call call) {
  const auto start = Clock::now();
  const auto done = call();
  const int64_t ns = NsSince(start);
  if (!done) {
    return std::unexpected(std::string(what) + ": " + std::string(base::ErrnoText(done.error())));
  }
  return ns;
}

std::expected<void, std::string> TimeDirectory(FullDirectory& full, TeardownResult& result) {
  vfs::Task& task = full.task();
  const auto inotify = task.InotifyInit();
  if (!inotify) return std::unexpected("cannot make an inotify descriptor");
  const auto watch =
      Timed("watch", [&] { return task.InotifyAddWatch(*inotify, kFull, IN_ALL_EVENTS); });
  if (!watch) return std::unexpected(watch.error());
  const auto readdir = Timed("readdir", [&] { return task.ListDir(kFull); });
  if (!readdir) return std::unexpected(readdir.error());
  (void)task.Close(*inotify);
  Bystander other(full.vfs());
  const auto rmdir = Timed("rmdir", [&] { return task.Rmdir(kFull); });
  result.stall_ns = other.Longest();
  if (!rmdir) return std::unexpected(rmdir.error());
  result.watch_ns = *watch;
  result.readdir_ns = *readdir;
  result.rmdir_ns = *rmdir;
  return {};
}

std::string Line(std::string_view what, int64_t ns, std::string_view linux_says, int64_t goal_ns) {
  std::string text = absl::StrFormat("%-34s %14.1f us   Linux, 5,000,000: %-8s", what,
                                     static_cast<double>(ns) / 1e3, linux_says);
  if (goal_ns == 0) return text + "\n";
  return text +
         absl::StrFormat("  must <= %d us: %s\n", goal_ns / 1000, ns <= goal_ns ? "ok" : "MISSED");
}

}  // namespace

std::expected<TeardownResult, std::string> RunTeardown(const TeardownOptions& options) {
  TeardownResult result{.count = options.count};
  {
    auto full = FullDirectory::Make(options, "watch, readdir, rmdir");
    if (!full) return std::unexpected(full.error());
    result.entries = CountsOf((*full)->vfs()).entries;
    result.bytes = (*full)->vfs().memory().used();
    result.fill_ns = (*full)->fill_ns();
    if (auto timed = TimeDirectory(**full, result); !timed) return std::unexpected(timed.error());
  }
  {
    auto full = FullDirectory::Make(options, "umount");
    if (!full) return std::unexpected(full.error());
    const auto umount = Timed("umount", [&] { return (*full)->task().Umount(kMount); });
    if (!umount) return std::unexpected(umount.error());
    result.umount_ns = *umount;
  }
  auto full = FullDirectory::Make(options, "drop caches");
  if (!full) return std::unexpected(full.error());
  const auto start = Clock::now();
  (*full)->vfs().DropCaches();
  result.drop_ns = NsSince(start);
  return result;
}

std::string TeardownText(const TeardownResult& result) {
  return absl::StrFormat(
             "%d lookups of missing names in one directory, %.0f ns each: %d negatives, "
             "%d KiB\n",
             result.count, result.fill_ns, result.entries, result.bytes / 1024) +
         Line("watch on the directory", result.watch_ns, "697 ms", kWatchGoalNs) +
         Line("readdir of it", result.readdir_ns, "-", 0) +
         Line("rmdir of it", result.rmdir_ns, "3.8 s", kRmdirGoalNs) +
         Line("longest stat of others meanwhile", result.stall_ns, "700 ms", kStallGoalNs) +
         Line("umount of its file system", result.umount_ns, "-", 0) +
         Line("drop of all caches", result.drop_ns, "3.9 s", kDropGoalNs);
}

}  // namespace dentree::lab
