// Every place that allocates fails in its turn while the whole command set of the shell and the
// tracing tree are used: nothing crashes, nothing leaks, nothing half-made stays behind.
//
// A first run counts which fault points the script comes to, and how often. Then the script runs
// again for each of them, with that point's first hit failing, and its second, fourth, eighth, ...
// up to kMaxRunsPerPoint. What a command answers then is its own affair; afterwards the invariants
// of all caches hold, and when everything was removed and the caches were dropped the counts are
// those of the beginning.

#include <cstdlib>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "os/os.h"
#include "shell/command.h"
#include "shell/memory_counts.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

constexpr std::string_view kCatalogue =
    "http\trequest\t1001\tenable,filter,format,id,trigger\tu64 request:8:8:0\n"
    "http\tanswer\t1002\tenable,filter,format,id,trigger\tu64 request:8:8:0\n"
    "cache\thit\t1003\tenable,filter,format,id,trigger\tu64 request:8:8:0\n";

// Long enough to be kept outside of dentries and nodes.
constexpr std::string_view kLongName =
    "a-name-that-is-longer-than-what-a-dentry-has-room-for-and-longer-than-a-node-too";

// One line is one command line; those before it may have failed.
constexpr std::string_view kScript[] = {
    "mkdir -p a/b c",
    "echo hello > f",
    "printf '%s\\n' x y z >> f",
    "cat f | head -n 1 | tail -n 1 | wc",
    "grep -rn hello /w",
    "cp -r a c/copy",
    "cp f g",
    "mv g LONG",
    "ln f hard",
    "ln -s f soft",
    "ls -laR /w",
    "ls -l soft hard",
    "stat f soft",
    "stat LONG",
    "touch -d '2001-05-01 10:20' f",
    "chmod 640 f",
    "chown 1:2 f",
    "chattr +i f; lsattr f; chattr -i f",
    "setfattr -n user.key -v value f",
    "getfattr -d f",
    "setfattr -x user.key f",
    "truncate -s 100000 g",
    "fallocate -l 20000 g",
    "fallocate -p -o 4096 -l 4096 g",
    "mkfifo fifo",
    "mknod node c 1 3",
    "find /w -name '*' -type f",
    "tree /w",
    "test -f f && echo yes",
    "[ -d a ] || echo no",
    "flock f true",
    "inotifywait -q -t 0.01 f",
    "unshare -m mount",
    "mount -t ramfs -o size=64k none a/b",
    "echo data > a/b/data",
    "mount --bind c a",
    "df",
    "umount a",
    "umount a/b",
    "set",
    "NAME=value; unset NAME",
    "umask 027",
    "id; whoami; pwd",
    "time true",
    "help ls",
    "history",
    "sync",
    "sleep 0",
    "memory",
    "cat /proc/mounts /proc/self/mountinfo /proc/filesystems /proc/locks",
    "cat /proc/meminfo /proc/slabinfo /proc/allocinfo /proc/memory_report",
    "cat /proc/sys/fs/dentry-state /proc/sys/fs/inode-state",
    "cat /sys/kernel/debug/shrinker/*/count",
    "ls -R /sys/kernel/stats",
    "cat /sys/kernel/stats/mm/used",
    "cd /sys/kernel/tracing",
    "mkdir instances/one",
    "mkdir instances/LONG",
    "find instances",
    "cat available_events set_event README",
    "echo 1 > instances/one/events/http/enable",
    "echo http:answer > instances/one/set_event",
    "cat instances/one/events/http/request/format",
    "cat instances/one/events/http/request/enable",
    "chmod 600 instances/one/events/http/answer/enable",
    "chown 5:6 instances/one/events",
    "echo 0 > instances/one/events/enable",
    "find /nothing /w/nothing",
    "rm -r /w/a; rmdir instances/one",
    "drop_caches",
};

// What undoes the script, with nothing failing any more.
constexpr std::string_view kUndo =
    "cd /; umount /w/a; umount /w/a/b; chattr -i /w/f; rm -rf /w;"
    "rmdir /sys/kernel/tracing/instances/one /sys/kernel/tracing/instances/LONG";

std::string WithLongName(std::string_view line) {
  std::string text(line);
  for (size_t at = text.find("LONG"); at != text.npos; at = text.find("LONG")) {
    text.replace(at, 4, kLongName);
  }
  return text;
}

class FaultWalk : public testing::Test {
 protected:
  static constexpr uint64_t kMaxRunsPerPoint = 12;

  FaultWalk()
      : os_(os::Os::Boot({.catalogues = {kCatalogue}}).value()),
        counting_(os_->NewTask(), nullptr) {
    RunScript();
    Undo();
    before_ = CountMemoryInUse(counting_);
  }

  // Runs the script in /w, which is made before anything fails.
  void RunScript(std::optional<base::FaultPlan> plan = std::nullopt) {
    auto task = os_->NewTask();
    ASSERT_OK(task->Mkdir("/w", 0755));
    ASSERT_OK(task->Chdir("/w"));
    Shell shell(std::move(task), Quiet());
    std::optional<base::ScopedFault> fault;
    if (plan) fault.emplace(os_->faults(), *std::move(plan));
    for (std::string_view line : kScript) (void)shell.RunText(WithLongName(line));
  }
  void Undo() {
    Shell shell(os_->NewTask(), Quiet());
    (void)shell.RunText(WithLongName(kUndo));
  }
  // What has to be as it was.
  void Check(const std::string& what) {
    os_->vfs().CheckInvariants();
    Undo();
    os_->vfs().CheckInvariants();
    const MemoryCounts after = CountMemoryInUse(counting_);
    EXPECT_EQ(after, before_) << what << ": " << Describe(after) << " instead of "
                              << Describe(before_);
    EXPECT_FALSE(counting_.Stat("/w").has_value()) << what;
    EXPECT_EQ(counting_.ListDir("/sys/kernel/tracing/instances")->size(), 0u) << what;
  }

  // The points that stand for allocations: all there are but for the host's calls.
  std::map<std::string, uint64_t> CountHits() {
    std::map<std::string, uint64_t> hits;
    os_->faults().StartCounting();
    RunScript();
    for (const std::string& point : os_->faults().Points()) {
      hits[point] = os_->faults().Counts(point).hits;
    }
    os_->faults().Reset();
    Undo();
    return hits;
  }

  static Streams Quiet() {
    return {.in = std::make_shared<StringSource>("input\n"),
            .out = std::make_shared<StringSink>(),
            .err = std::make_shared<StringSink>()};
  }

  std::unique_ptr<os::Os> os_;
  uring::RingTask counting_;
  MemoryCounts before_;
};

TEST_F(FaultWalk, EveryAllocationMayFailAndNothingStaysBehind) {
  const std::map<std::string, uint64_t> hits = CountHits();
  uint64_t runs = 0;
  for (const auto& [point, count] : hits) {
    uint64_t made = 0;
    for (uint64_t nth = 1; nth <= count && made < kMaxRunsPerPoint; nth *= 2, ++made) {
      RunScript(base::FaultPlan::Nth(point, nth));
      Check(absl::StrFormat("%s, hit %d of %d", point, nth, count));
      ++runs;
      if (HasFatalFailure()) return;
    }
  }
  absl::PrintF("%d allocation sites failed in %d runs of %d command lines\n", hits.size(), runs,
               std::size(kScript));
  EXPECT_GT(hits.size(), 20u);
}

TEST_F(FaultWalk, EveryAllocationOfAKindMayFailAtOnce) {
  for (const auto& [point, count] : CountHits()) {
    RunScript(base::FaultPlan::Always(point));
    Check("always " + point);
  }
}

TEST_F(FaultWalk, TheScriptUsesEveryCommand) {
  // Those that end the shell, run for long, need a file of commands, or work on systems of their
  // own.
  const std::set<std::string_view> left_out = {".", "exit", "false", "lab", "stress", "top"};
  std::string all;
  for (std::string_view line : kScript) all.append("; ").append(line);
  for (const Command* command : Commands()) {
    if (left_out.contains(command->name)) continue;
    const std::string word = absl::StrFormat(" %s", command->name);
    EXPECT_THAT(all, testing::HasSubstr(word)) << command->name;
  }
}

}  // namespace
}  // namespace dentree::shell
