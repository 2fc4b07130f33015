// true, false, sleep, time, id, whoami, stress
#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <random>
#include <thread>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

namespace {

using Clock = std::chrono::steady_clock;

int RunTrue(Call&) { return kSuccess; }
int RunFalse(Call&) { return kFailure; }

// --- sleep ------------------------------------------------------------------------------------

int RunSleep(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing operand");
  double seconds = 0;
  for (const std::string& text : call.operands()) {
    const auto interval = ParseInterval(text);
    if (!interval) return call.FailUsage(absl::StrFormat("invalid time interval '%s'", text));
    seconds += *interval;
  }
  SleepUnlessStopped(call, seconds);
  return kSuccess;
}

// --- time -------------------------------------------------------------------------------------

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::string TimeLine(const char* what, double seconds) {
  const auto minutes = static_cast<int64_t>(seconds / 60);
  return absl::StrFormat("%s\t%dm%.6fs\n", what, minutes,
                         seconds - static_cast<double>(minutes * 60));
}

int RunTime(Call& call) {
  rusage before{}, after{};
  (void)::getrusage(RUSAGE_SELF, &before);
  const auto begin = Clock::now();
  int status = kSuccess;
  if (!call.operands().empty()) {
    status = call.shell.RunArguments(call.operands(), call.shell.streams());
  }
  const double real = std::chrono::duration<double>(Clock::now() - begin).count();
  (void)::getrusage(RUSAGE_SELF, &after);
  call.err.Put("\n" + TimeLine("real", real) +
               TimeLine("user", Seconds(after.ru_utime) - Seconds(before.ru_utime)) +
               TimeLine("sys", Seconds(after.ru_stime) - Seconds(before.ru_stime)));
  return status;
}

// --- id, whoami -------------------------------------------------------------------------------

constexpr Option kIdOptions[] = {
    {'g', "group", "print only the effective group ID"},
    {'G', "groups", "print all group IDs"},
    {'n', "name", "print a name instead of a number, for -ugG"},
    {'u', "user", "print only the effective user ID"},
};

std::string IdText(uint32_t id) { return id == 0 ? "0(root)" : std::to_string(id); }

int RunId(Call& call) {
  const vfs::Creds& creds = call.task().creds();
  const auto show = [&](uint32_t id) { return call.Has('n') ? OwnerText(id) : std::to_string(id); };
  switch (call.args.LastOf("ugG")) {
    case 'u':
      call.out.Put(show(creds.uid) + "\n");
      return kSuccess;
    case 'g':
      call.out.Put(show(creds.gid) + "\n");
      return kSuccess;
    case 'G': {
      std::string text = show(creds.gid);
      for (vfs::Gid gid : creds.groups) text += " " + show(gid);
      call.out.Put(text + "\n");
      return kSuccess;
    }
    default:
      break;
  }
  std::string groups = IdText(creds.gid);
  for (vfs::Gid gid : creds.groups) groups += "," + IdText(gid);
  call.out.Put(
      absl::StrFormat("uid=%s gid=%s groups=%s\n", IdText(creds.uid), IdText(creds.gid), groups));
  return kSuccess;
}

int RunWhoami(Call& call) {
  const vfs::Uid uid = call.task().creds().uid;
  if (uid != 0) return call.Fail(absl::StrFormat("cannot find name for user ID %d", uid));
  call.out.Put("root\n");
  return kSuccess;
}

// --- stress -----------------------------------------------------------------------------------

constexpr char kThreads = '\x02', kSeconds = '\x03', kCheck = '\x04', kSeed = '\x05',
               kNoMounts = '\x06';
constexpr Option kStressOptions[] = {
    {kThreads, "threads", "threads at work, each with a Task of its own (4)", "N"},
    {kSeconds, "seconds", "how long (5)", "S"},
    {kCheck, "check", "at the end check all invariants, and that no memory stays behind"},
    {kNoMounts, "no-mounts", "leave mount and umount out; then EBUSY and EXDEV are violations"},
    {kSeed, "seed", "begin the random numbers with X; the one used is printed", "X"},
};

// The value of a numeric option; nothing after a message.
std::optional<uint64_t> NumberOption(Call& call, char option, uint64_t otherwise, uint64_t least,
                                     uint64_t most) {
  const auto text = call.args.Value(option);
  if (!text) return otherwise;
  const auto value = base::ParseU64(*text);
  if (value && *value >= least && *value <= most) return *value;
  (void)call.FailUsage(
      absl::StrFormat("invalid number '%s': expected %d to %d", *text, least, most));
  return std::nullopt;
}

int RunStressCommand(Call& call) {
  if (!call.operands().empty()) {
    return call.FailUsage(absl::StrFormat("extra operand '%s'", call.operands()[0]));
  }
  const auto threads = NumberOption(call, kThreads, 4, 1, kMaxStressThreads);
  const auto seconds = NumberOption(call, kSeconds, 5, 1, 1'000'000);
  const auto seed = NumberOption(call, kSeed, std::random_device()(), 0, UINT64_MAX);
  if (!threads || !seconds || !seed) return call.status();
  StressOptions options;
  options.threads = static_cast<unsigned>(*threads);
  options.duration = std::chrono::seconds(*seconds);
  options.seed = *seed;
  options.check = call.Has(kCheck) ? StressOptions::Check::kAtEnd : StressOptions::Check::kNone;
  options.mounts = !call.Has(kNoMounts);
  options.interrupt = &call.shell.interrupt();
  options.on_progress = [&](const StressProgress& progress) {
    call.err.Put(absl::StrFormat("stress: %d s, %d operations, %d violations\n",
                                 progress.elapsed.count(), progress.operations,
                                 progress.violations));
  };
  call.err.Put(absl::StrFormat("stress: %d threads, %d s, --seed %d\n", *threads, *seconds, *seed));
  const auto report = RunStress(call.task(), options);
  if (!report) return call.Fail("cannot prepare", report.error());
  call.out.Put(Describe(*report));
  return report->passed() ? kSuccess : kFailure;
}

}  // namespace

std::optional<double> ParseInterval(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view suffix(end, text.data() + text.size());
  if (error != std::errc() || value < 0 || suffix.size() > 1) return std::nullopt;
  if (suffix.empty() || suffix == "s") return value;
  if (suffix == "m") return value * 60;
  if (suffix == "h") return value * 3600;
  if (suffix == "d") return value * 86400;
  return std::nullopt;
}

void SleepUnlessStopped(const Call& call, double seconds) {
  constexpr auto kStep = std::chrono::milliseconds(50);  // how soon control-C is seen
  const auto end = Clock::now() + std::chrono::duration<double>(std::min(seconds, 1e9));
  for (auto now = Clock::now(); now < end && !call.Stopped(); now = Clock::now()) {
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(end - now, kStep));
  }
}

constinit const Command kTrueCommand{
    .name = "true",
    .summary = "do nothing, successfully",
    .synopsis = "",
    .details = "",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 1,
    .run = RunTrue,
};

constinit const Command kFalseCommand{
    .name = "false",
    .summary = "do nothing, unsuccessfully",
    .synopsis = "",
    .details = "",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 1,
    .run = RunFalse,
};

constinit const Command kSleepCommand{
    .name = "sleep",
    .summary = "delay for a specified amount of time",
    .synopsis = "NUMBER[SUFFIX]...",
    .details =
        "Pauses for NUMBER seconds, or minutes (m), hours (h), days (d). The time is the host's.",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunSleep,
};

constinit const Command kTimeCommand{
    .name = "time",
    .summary = "run a command and tell how long it took",
    .synopsis = "COMMAND [ARGUMENT]...",
    .details =
        "Prints the real time, and the user and system time of the whole process, to standard "
        "error.",
    .options = {},
    .parsing = Command::Parsing::kOptionsFirst,
    .usage_status = 2,
    .run = RunTime,
};

constinit const Command kIdCommand{
    .name = "id",
    .summary = "print user and group IDs",
    .synopsis = "[OPTION]...",
    .details = "",
    .options = kIdOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunId,
};

constinit const Command kWhoamiCommand{
    .name = "whoami",
    .summary = "print the user name of the current user",
    .synopsis = "",
    .details = "",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunWhoami,
};

constinit const Command kStressCommand{
    .name = "stress",
    .summary = "try to break the file systems from many threads at once",
    .synopsis = "[OPTION]...",
    .details =
        "Threads do random operations in /stress (made for it, removed at the end) and, if it is "
        "there,\n"
        "in /sys/kernel/tracing/instances: open, read, write, readdir, mkdir, rmdir, unlink, "
        "rename,\n"
        "link, symlink, stat, locks, watches, mounts and more. An operation that answers with an\n"
        "error it is not documented to give, or with bytes nobody wrote, is a violation. Prints "
        "how\n"
        "often each operation gave which answer. Exit status: 0 without violations, otherwise 1.",
    .options = kStressOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunStressCommand,
};

}  // namespace dentree::shell
