// The program dentree.
#include <signal.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/string_util.h"
#include "os/os.h"
#include "shell/shell.h"
#include "uring/uring.h"
#include "vfs/vfs.h"

namespace dentree {
namespace {

using shell::kSuccess;
using shell::kUsageError;

constexpr char kEvents = '\x02', kVersion = '\x03', kUser = '\x04', kHist = '\x05',
               kInject = '\x06', kViaRing = '\x07', kNoHost = '\x08', kDelay = '\x0e',
               kMemory = '\x0f', kProfile = '\x10';
constexpr shell::Option kOptions[] = {
    {'c', "", "run COMMANDS and exit; further arguments are $0, $1, ...", "COMMANDS"},
    {kDelay, "delay-ns", "let each question about a name in /host take N nanoseconds more", "N"},
    {kEvents, "events", "load trace events from a catalogue (TSV); - is standard input", "FILE"},
    {kHist, "hist", "give every event the file hist"},
    {kInject, "inject", "give every event the file inject"},
    {kMemory, "memory", "let all caches and files have N MiB of memory together", "N"},
    {kNoHost, "no-host", "do without /host"},
    {kProfile, "profile", "account memory to the places in the program that ask for it"},
    {kUser, "user", "be this user, without capabilities, instead of root", "UID[:GID]"},
    {kViaRing, "via-ring", "send every system call through a loop on an io_uring"},
    {kVersion, "version", "output version information and exit"},
};

constexpr std::string_view kUsage = R"(Usage: dentree [OPTION]... [SCRIPT [ARGUMENT]...]
       dentree [OPTION]... -c COMMANDS [NAME [ARGUMENT]...]
       dentree [OPTION]... lab EXPERIMENT [LAB-OPTION]... [TRACE]...
       dentree [OPTION]... stress [STRESS-OPTION]...
       dentree [OPTION]... top [TOP-OPTION]...
A Linux-style virtual file system in one process, and a shell in it.

Without a SCRIPT reads commands from standard input: on a terminal with line
editing, history and completion, otherwise line by line. With `lab`, `stress`
or `top` runs that command alone (see `dentree stress --help`). `help` lists
the commands, `help NAME` and `NAME --help` describe one. All files are in
memory and gone when the program ends, but those in /host: that is the
directory in which the program was started, read-only.

)";

constexpr std::string_view kAfterOptions = R"(
Exit status: that of the last command; 2 for a command line or a script that
makes no sense, 126 for a command that cannot be run, 127 for one that is not
there, 128+N for one that ended like a process by signal N.

Environment: TERM=dumb turns line editing off. DENTREE_HISTORY names the file
that keeps the history (~/.dentree_history); empty: none.

Examples:
  dentree -c 'ls -l /'
  dentree -c 'mkdir -p /a/b && echo hello > /a/b/c; grep -r hello /a'
  dentree -c 'find /host -name "*.h" | wc -l'
  xzcat events.tsv.xz | dentree --events - -c 'ls /sys/kernel/tracing/events'
)";

// What a command line asks for.
struct Wanted {
  std::optional<std::string> commands;  // -c
  std::optional<std::string> events;    // --events
  eventfs::Extras extras = eventfs::Extras::kNone;
  vfs::Creds creds = vfs::Creds::Root();
  bool via_ring = false;
  size_t memory_limit = SIZE_MAX;
  bool profile = mm::Memory::kDefaultProfile;
  std::string host_directory;
  std::string host_options;
  std::vector<std::string> operands;
};

int Complain(const std::string& message, int status) {
  (void)std::fprintf(stderr, "dentree: %s\n", message.c_str());
  return status;
}

int RefuseUsage(const std::string& message) {
  (void)Complain(message, kUsageError);
  (void)std::fputs("Try 'dentree --help' for more information.\n", stderr);
  return kUsageError;
}

void Print(std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stdout); }

std::optional<vfs::Creds> ParseUser(std::string_view text) {
  const size_t colon = text.find(':');
  const auto uid = base::ParseU64(text.substr(0, colon));
  const auto gid = colon == std::string_view::npos ? uid : base::ParseU64(text.substr(colon + 1));
  if (!uid || !gid || *uid > UINT32_MAX || *gid > UINT32_MAX) return std::nullopt;
  return vfs::Creds::User(static_cast<vfs::Uid>(*uid), static_cast<vfs::Gid>(*gid));
}

// Empty when there is none that can be shown: it was removed, or the host is too old for hostfs.
std::string WorkingDirectory() {
  std::error_code error;
  std::string path = std::filesystem::current_path(error).string();
  if (error || !hostfs::FileSystem::Open({.directory = path})) return {};
  return path;
}

// All of a file of the host, or of standard input for "-".
std::optional<std::string> ReadHostFile(const std::string& path) {
  if (path == "-") {
    shell::HostSource in(0);
    const auto text = in.ReadAll();
    if (!text) return std::nullopt;
    return *text;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (!file || !(text.assign(std::istreambuf_iterator<char>(file), {}), file)) return std::nullopt;
  return text;
}

// Turns SIGINT into the shell's interruption: what runs gives up, the session goes on.
//
// Must be made before any other thread: all of them keep the signal blocked.
class InterruptWatcher {
 public:
  explicit InterruptWatcher(shell::Interrupt& interrupt) : interrupt_(interrupt) {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    (void)::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::jthread([this](std::stop_token stop) { Watch(stop); });
  }

 private:
  void Watch(const std::stop_token& stop) {
    constexpr timespec kLook{.tv_sec = 0, .tv_nsec = 100'000'000};
    while (!stop.stop_requested()) {
      if (::sigtimedwait(&signals_, nullptr, &kLook) == SIGINT) {
        interrupt_.store(true, std::memory_order_relaxed);
      }
    }
  }

  shell::Interrupt& interrupt_;
  sigset_t signals_;
  std::jthread thread_;
};

int RunInput(shell::Shell& shell) {
  shell::StreamReader plain(shell);
  if (!plain.interactive()) return shell.Run(plain);
  const InterruptWatcher watcher(shell.interrupt());
  const auto terminal = shell::NewTerminalReader(shell);
  return shell.Run(terminal != nullptr ? *terminal : plain);
}

int RunShell(shell::Shell& shell, const Wanted& wanted) {
  if (wanted.commands) {
    if (!wanted.operands.empty()) shell.SetParameters(wanted.operands);
    return shell.RunText(*wanted.commands);
  }
  if (wanted.operands.empty()) return RunInput(shell);
  if (wanted.operands[0] == "lab" || wanted.operands[0] == "stress" ||
      wanted.operands[0] == "top") {
    return shell.RunArguments(wanted.operands, shell.streams());
  }
  const auto text = ReadHostFile(wanted.operands[0]);
  if (!text) return Complain(wanted.operands[0] + ": " + std::strerror(errno), shell::kNotFound);
  shell.SetParameters(wanted.operands);
  shell::TextReader reader(*text, wanted.operands[0]);
  return shell.Run(reader);
}

// False after a message.
bool LoadEvents(os::Os& os, const std::string& path) {
  const auto text = ReadHostFile(path);
  if (!text) {
    (void)Complain(path + ": " + std::strerror(errno), shell::kFailure);
    return false;
  }
  const auto loaded = trace::LoadCatalogue(os.registry(), *text);
  if (!loaded) (void)Complain(path + ": " + loaded.error().ToString(), shell::kFailure);
  return loaded.has_value();
}

int BootAndRun(const Wanted& wanted) {
  const auto os = os::Os::Boot({.extras = wanted.extras,
                                .memory_limit = wanted.memory_limit,
                                .memory_profile = wanted.profile,
                                .host_directory = wanted.host_directory,
                                .host_options = wanted.host_options});
  if (!os) {
    return Complain("cannot boot: " + std::string(base::ErrnoText(os.error())), shell::kFailure);
  }
  if (wanted.events && !LoadEvents(**os, *wanted.events)) return shell::kFailure;
  std::unique_ptr<uring::Loop> loop;
  if (wanted.via_ring) {
    auto started = uring::Loop::Start((*os)->vfs());
    if (!started) return Complain("--via-ring: " + started.error().reason, shell::kFailure);
    loop = *std::move(started);
  }
  statsfs::Source ring;
  if (loop != nullptr) {
    auto added = (*os)->statsfs().Add("ring", statsfs::Values<uring::kLoopFields>(loop->stats()));
    if (!added) {
      return Complain("--via-ring: " + std::string(base::ErrnoText(added.error())),
                      shell::kFailure);
    }
    ring = *std::move(added);
  }
  shell::Shell shell((*os)->NewTask(wanted.creds), shell::Streams::OfHost(), loop.get());
  return RunShell(shell, wanted);
}

int Main(std::vector<std::string> argv) {
  const auto arguments = shell::ParseArguments(kOptions, argv, shell::Permute::kOperandsLast);
  if (!arguments) return RefuseUsage(arguments.error());
  if (arguments->Has(shell::kHelpOption)) {
    Print(kUsage);
    Print(shell::DescribeOptions(kOptions));
    Print(kAfterOptions);
    return kSuccess;
  }
  if (arguments->Has(kVersion)) {
    Print("dentree " + std::string(shell::Version()) + "\n");
    return kSuccess;
  }
  Wanted wanted;
  wanted.commands = arguments->Value('c');
  wanted.events = arguments->Value(kEvents);
  wanted.operands = arguments->operands;
  if (const auto user = arguments->Value(kUser)) {
    const auto creds = ParseUser(*user);
    if (!creds) return RefuseUsage("invalid user: '" + *user + "'");
    wanted.creds = *creds;
  }
  wanted.via_ring = arguments->Has(kViaRing);
  wanted.profile |= arguments->Has(kProfile);
  if (const auto memory = arguments->Value(kMemory)) {
    constexpr uint64_t kMostMiB = uint64_t{1} << 40;
    const auto mib = base::ParseU64(*memory);
    if (!mib || *mib == 0 || *mib > kMostMiB) {
      return RefuseUsage("invalid size of memory: '" + *memory + "'");
    }
    wanted.memory_limit = *mib << 20;
  }
  if (!arguments->Has(kNoHost)) wanted.host_directory = WorkingDirectory();
  if (const auto delay = arguments->Value(kDelay)) {
    const auto ns = base::ParseU64(*delay);
    if (!ns || *ns > uint64_t{hostfs::kMaxDelayNs}) {
      return RefuseUsage("invalid delay: '" + *delay + "'");
    }
    wanted.host_options = "delay_ns=" + std::to_string(*ns);
  }
  if (arguments->Has(kHist)) wanted.extras = wanted.extras | eventfs::Extras::kHist;
  if (arguments->Has(kInject)) wanted.extras = wanted.extras | eventfs::Extras::kInject;
  // A pipe whose reader is gone is an error of write, not the end of the process.
  (void)::signal(SIGPIPE, SIG_IGN);
  return BootAndRun(wanted);
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  return dentree::Main(std::vector<std::string>(argv, argv + argc));
}
