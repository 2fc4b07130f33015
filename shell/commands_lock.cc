// flock
#include <sys/file.h>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"
#include "shell/wait_internal.h"

namespace dentree::shell {

namespace {

// As util-linux's, from <sysexits.h>.
constexpr int kFlockUsage = 64;
constexpr int kFlockNoInput = 66;

constexpr Option kFlockOptions[] = {
    {'e', "exclusive", "get an exclusive lock (default)"},
    {'x', "", "the same"},
    {'s', "shared", "get a shared lock"},
    {'u', "unlock", "remove a lock"},
    {'n', "nonblock", "fail rather than wait"},
    {'w', "timeout", "wait for a limited amount of time", "SECONDS"},
    {'E', "conflict-exit-code", "exit status after a conflict or timeout (1)", "NUMBER"},
};

base::Result<int> OpenLockFile(Call& call, const std::string& path) {
  const auto fd = call.task().Open(path, O_RDONLY | O_CREAT | O_NOCTTY, 0666);
  if (fd || fd.error() != base::Errno::kIsDir) return fd;
  return call.task().Open(path, O_RDONLY | O_NOCTTY);
}

// The operation, or nothing after a message.
std::optional<int> Operation(Call& call) {
  int operation = LOCK_EX;
  switch (call.args.LastOf("exsu")) {
    case 's':
      operation = LOCK_SH;
      break;
    case 'u':
      operation = LOCK_UN;
      break;
    default:
      break;
  }
  return call.Has('n') ? operation | LOCK_NB : operation;
}

int RunLocked(Call& call, int fd, int operation, Deadline deadline, int conflict) {
  const base::Status locked = RetryWoken(call, deadline, [&](vfs::Waiter* waiter) {
    // Without waiting the answer is the answer.
    const base::Status status = call.task().FlockNowait(fd, operation, waiter);
    const bool busy = !status && status.error() == base::Errno::kAgain && (operation & LOCK_NB);
    return busy ? base::Status(base::Err(base::Errno::kTimedOut)) : status;
  });
  if (!locked) {
    if (locked.error() == base::Errno::kTimedOut) return conflict;
    if (locked.error() == base::Errno::kIntr) return kInterrupted;
    return call.Fail(call.operands()[0], locked.error());
  }
  const std::vector<std::string> command(call.operands().begin() + 1, call.operands().end());
  return call.shell.RunArguments(command, call.shell.streams());
}

int RunFlock(Call& call) {
  if (call.operands().empty()) return call.FailUsage("requires file descriptor, file or directory");
  const std::string& path = call.operands()[0];
  if (call.operands().size() == 1) {
    return call.FailUsage(absl::StrFormat("bad file descriptor: '%s'", path));
  }
  const std::optional<int> operation = Operation(call);
  Deadline deadline;
  if (const auto text = call.args.Value('w')) {
    const auto seconds = ParseInterval(*text);
    if (!seconds) return call.FailUsage(absl::StrFormat("invalid timeout value: '%s'", *text));
    const std::chrono::duration<double> wait(std::min(*seconds, 1e9));
    deadline = std::chrono::steady_clock::now() +
               std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait);
  }
  int conflict = kFailure;
  if (const auto text = call.args.Value('E')) {
    const auto status = base::ParseU64(*text);
    if (!status || *status > 255) {
      return call.FailUsage(absl::StrFormat("invalid exit code: '%s'", *text));
    }
    conflict = static_cast<int>(*status);
  }
  const auto fd = OpenLockFile(call, path);
  if (!fd) {
    (void)call.Fail("cannot open lock file " + path, fd.error());
    return kFlockNoInput;
  }
  const int status = RunLocked(call, *fd, *operation, deadline, conflict);
  (void)call.task().Close(*fd);
  return status;
}

}  // namespace

constinit const Command kFlockCommand{
    .name = "flock",
    .summary = "run a command with a lock on a file",
    .synopsis = "[OPTION]... FILE|DIRECTORY COMMAND [ARGUMENT]...",
    .details =
        "Locks FILE, which is created if it is missing, runs COMMAND and lets the lock go. Exits\n"
        "with the status of COMMAND, or with 1 if -n or -w gave up. The locks held are in\n"
        "/proc/locks.",
    .options = kFlockOptions,
    .parsing = Command::Parsing::kOptionsFirst,
    .usage_status = kFlockUsage,
    .run = RunFlock,
};

}  // namespace dentree::shell
