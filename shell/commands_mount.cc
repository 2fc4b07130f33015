// mount, umount, unshare, df, sync, drop_caches
#include <sched.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/memory_counts.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;
using base::Status;

namespace {

constexpr int kMountFailed = 32;  // as mount(8)
constexpr const char* kMountsFile = "/proc/mounts";
constexpr const char* kDropCachesFile = "/proc/sys/vm/drop_caches";

// --- mount and umount -------------------------------------------------------------------------

constexpr Option kMountOptions[] = {
    {'t', "types", "the type of file system (see /proc/filesystems)", "TYPE"},
    {'o', "options", "comma-separated mount options; remount changes those of a mount in use",
     "LIST"},
    {'r', "read-only", "as -o ro"},
    {'w', "rw", "as -o rw"},
    {'B', "bind", "mount a directory or file of the tree (SOURCE) at another place too"},
    {'R', "rbind", "the same with all that is mounted in it"},
    {'M', "move", "move what is mounted on SOURCE to another place"},
};

// What options as words mean for the command line: a new mount needs a type, and all but a remount
// take a source.
enum class Action : uint8_t { kMount, kRemount, kFrom, kChange };

// All of -o and of the letters that stand for a word of it.
struct WantedOptions {
  std::string text;
  Action action = Action::kMount;
};

Action ActionOf(std::string_view option, Action otherwise) {
  if (option == "remount") return Action::kRemount;
  if (otherwise == Action::kRemount) return otherwise;
  if (option == "bind" || option == "rbind" || option == "move") return Action::kFrom;
  for (std::string_view kind : {"private", "slave", "shared", "unbindable"}) {
    if (option.ends_with(kind)) return Action::kChange;
  }
  return otherwise;
}

WantedOptions CollectOptions(const Arguments& args) {
  constexpr std::pair<char, std::string_view> kLetters[] = {
      {'r', "ro"}, {'w', "rw"}, {'B', "bind"}, {'R', "rbind"}, {'M', "move"}};
  WantedOptions wanted;
  const auto add = [&](std::string_view option) {
    if (option.empty()) return;
    wanted.action = ActionOf(option, wanted.action);
    wanted.text += (wanted.text.empty() ? "" : ",") + std::string(option);
  };
  for (const Arguments::Given& given : args.options) {
    for (const auto& [letter, word] : kLetters) {
      if (given.id == letter) add(word);
    }
    if (given.id != 'o') continue;
    for (std::string_view rest = given.value; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      add(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return wanted;
}

std::string WhyNotMounted(Errno error, const std::string& type, Action action) {
  if (error == Errno::kInval && action == Action::kRemount) {
    return "mount point not mounted or bad option.";
  }
  if (error == Errno::kNoEnt) return "mount point does not exist.";
  if (error == Errno::kNotDir) return "mount point is not a directory.";
  if (error == Errno::kNoDev) return absl::StrFormat("unknown filesystem type '%s'.", type);
  if (error == Errno::kPerm) return "must be superuser to use mount.";
  if (error == Errno::kInval) return "wrong fs type or bad option.";
  return absl::StrFormat("mount failed: %s.", ErrnoText(error));
}

int ShowMounts(Call& call) {
  const auto text = call.task().ReadFile(kMountsFile);
  if (!text) return call.Fail(kMountsFile, text.error());
  call.out.Put(*text);
  return kSuccess;
}

int RunMount(Call& call) {
  const std::vector<std::string>& operands = call.operands();
  if (operands.empty() && call.args.options.empty()) return ShowMounts(call);
  const WantedOptions wanted = CollectOptions(call.args);
  const std::string type = call.args.Value('t').value_or("");
  if (operands.empty() || operands.size() > 2) return call.FailUsage("bad usage");
  if (wanted.action == Action::kMount && type.empty()) {
    return call.FailUsage("a type is needed: -t TYPE");
  }
  if (wanted.action == Action::kFrom && operands.size() != 2) return call.FailUsage("bad usage");
  const std::string& target = operands.back();
  const std::string source = operands.size() == 2 ? operands[0] : "none";
  const Status done = call.task().Mount(source, target, type, wanted.text);
  if (done) return kSuccess;
  (void)call.Fail(
      absl::StrFormat("%s: %s", target, WhyNotMounted(done.error(), type, wanted.action)));
  return kMountFailed;
}

std::string WhyNotUnmounted(Errno error) {
  if (error == Errno::kNoEnt) return "no mount point specified.";
  if (error == Errno::kInval) return "not mounted.";
  if (error == Errno::kBusy) return "target is busy.";
  if (error == Errno::kPerm) return "must be superuser to unmount.";
  return absl::StrFormat("umount failed: %s.", ErrnoText(error));
}

constexpr Option kUmountOptions[] = {
    {'l', "lazy", "detach it now, with all that is mounted in it; who uses it goes on"},
    {'f', "force", "accepted: no file system here keeps anybody waiting"},
};

int RunUmount(Call& call) {
  if (call.operands().empty()) return call.FailUsage("bad usage");
  const int flags = (call.Has('l') ? MNT_DETACH : 0) | (call.Has('f') ? MNT_FORCE : 0);
  int status = kSuccess;
  for (const std::string& target : call.operands()) {
    const Status done = call.task().Umount(target, flags);
    if (done) continue;
    (void)call.Fail(absl::StrFormat("%s: %s", target, WhyNotUnmounted(done.error())));
    status = kMountFailed;
  }
  return status;
}

// --- unshare ----------------------------------------------------------------------------------

constexpr Option kUnshareOptions[] = {
    {'m', "mount", "a namespace of mounts of its own: a copy that changes by itself"},
};

int RunUnshare(Call& call) {
  const int flags = call.Has('m') ? CLONE_NEWNS : 0;
  if (!call.operands().empty()) {
    return call.shell.RunUnshared(call.operands(), call.shell.streams(), flags);
  }
  const Status done = call.task().Unshare(flags);
  return done ? kSuccess : call.Fail("unshare failed", done.error());
}

// --- df ---------------------------------------------------------------------------------------

constexpr Option kDfOptions[] = {
    {'h', "human-readable", "print sizes in powers of 1024 (e.g., 1023M)"},
    {'i', "inodes", "list inode information instead of block usage"},
    {'T', "print-type", "print file system type"},
};

struct DfRow {
  std::string source, type, total, used, free, use, target;
};

// A field of /proc/mounts: blanks and backslashes in it are written \ooo.
std::string Unmangle(std::string_view field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      text += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 +
                                field[i + 3] - '0');
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

std::optional<DfRow> MakeRow(Call& call, std::string_view line) {
  std::string fields[3];
  for (std::string& field : fields) {
    const size_t blank = std::min(line.find(' '), line.size());
    field = Unmangle(line.substr(0, blank));
    line.remove_prefix(std::min(blank + 1, line.size()));
  }
  const auto st = call.task().Statfs(fields[1]);
  if (!st) return (void)call.Fail(fields[1], st.error()), std::nullopt;
  const bool inodes = call.Has('i');
  const uint64_t unit = inodes ? 1 : st->bsize;
  const uint64_t total = inodes ? st->files : st->blocks;
  const uint64_t used = total - std::min(total, inodes ? st->ffree : st->bfree);
  const uint64_t free = inodes ? st->ffree : st->bavail;
  const auto show = [&](uint64_t count) {
    if (call.Has('h')) return HumanSize(count * unit);
    return std::to_string(inodes ? count : count * unit / 1024);
  };
  std::string use = "-";
  if (used + free > 0)
    use = absl::StrFormat("%d%%", (used * 100 + used + free - 1) / (used + free));
  return DfRow{fields[0], fields[2], show(total), show(used), show(free), use, fields[1]};
}

int RunDf(Call& call) {
  const auto mounts = call.task().ReadFile(kMountsFile);
  if (!mounts) return call.Fail(kMountsFile, mounts.error());
  const bool inodes = call.Has('i');
  std::vector<DfRow> rows;
  rows.push_back({"Filesystem", "Type", inodes ? "Inodes" : (call.Has('h') ? "Size" : "1K-blocks"),
                  inodes ? "IUsed" : "Used",
                  inodes ? "IFree" : (call.Has('h') ? "Avail" : "Available"),
                  inodes ? "IUse%" : "Use%", "Mounted on"});
  for (std::string_view rest = *mounts; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (auto row = MakeRow(call, rest.substr(0, end))) rows.push_back(*std::move(row));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto width = [&](std::string DfRow::* column, int least) {
    for (const DfRow& row : rows) least = std::max(least, static_cast<int>((row.*column).size()));
    return least;
  };
  const int source = width(&DfRow::source, 14), type = width(&DfRow::type, 4);
  const int total = width(&DfRow::total, 5), used = width(&DfRow::used, 5);
  const int free = width(&DfRow::free, 5), use = width(&DfRow::use, 4);
  for (const DfRow& row : rows) {
    const std::string kind = call.Has('T') ? absl::StrFormat(" %-*s", type, row.type) : "";
    call.out.Put(absl::StrFormat("%-*s%s %*s %*s %*s %*s %s\n", source, row.source, kind, total,
                                 row.total, used, row.used, free, row.free, use, row.use,
                                 row.target));
  }
  return call.status();
}

// --- sync and drop_caches ---------------------------------------------------------------------

int RunSync(Call& call) {
  for (const std::string& path : call.operands()) {
    const auto fd = call.task().Open(path, O_RDONLY);
    if (!fd) {
      (void)call.Fail(absl::StrFormat("error opening '%s'", path), fd.error());
      continue;
    }
    const Status done = call.task().Fsync(*fd);
    if (!done) (void)call.Fail(absl::StrFormat("error syncing '%s'", path), done.error());
    (void)call.task().Close(*fd);
  }
  return call.status();
}

constexpr Option kDropOptions[] = {
    {'v', "verbose", "print what was in memory before and after"},
};

int RunDropCaches(Call& call) {
  const MemoryCounts before = CountMemory(call.task());
  if (call.task().Stat(kDropCachesFile)) {
    const Status done = call.task().WriteFile(kDropCachesFile, "3\n", 0);
    if (!done) return call.Fail(kDropCachesFile, done.error());
  } else if (!call.task().creds().Has(vfs::Cap::kSysAdmin)) {
    return call.Fail("cannot drop caches", Errno::kPerm);
  }
  // The file itself and the way to it are cached again by now.
  call.task().vfs().DropCaches();
  if (!call.Has('v')) return kSuccess;
  call.out.Put("before: " + Describe(before) + "\n");
  call.out.Put("after:  " + Describe(CountMemory(call.task())) + "\n");
  return kSuccess;
}

}  // namespace

constinit const Command kMountCommand{
    .name = "mount",
    .summary = "mount a filesystem",
    .synopsis =
        "[-t TYPE [-o LIST] [SOURCE] PLACE | -B|-R|-M SOURCE PLACE | -o remount[,LIST] PLACE]",
    .details =
        "Without arguments prints what is mounted: the lines of /proc/mounts. PLACE is a "
        "directory, or\n"
        "with -B and -M a file for a file. `-o remount,bind,ro` changes this mount, `-o "
        "remount,ro` "
        "the\n"
        "whole file system. Exit status: 0 if all went well, 1 for a command line that makes no "
        "sense,\n"
        "32 if the mount failed. Where the file system has to be asked, `-o neg=POLICY` says "
        "which\n"
        "names that do not exist are remembered, `-o neg_unlink=keep|drop|defer` what a removed\n"
        "name leaves; see docs/negatives.md.",
    .options = kMountOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunMount,
};

constinit const Command kUmountCommand{
    .name = "umount",
    .summary = "unmount filesystems",
    .synopsis = "[OPTION]... PLACE...",
    .details =
        "Exit status: 0 if all went well, 1 for a command line that makes no sense, 32 if it "
        "failed.",
    .options = kUmountOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunUmount,
};

constinit const Command kUnshareCommand{
    .name = "unshare",
    .summary = "run a command in a namespace of its own",
    .synopsis = "[OPTION]... [COMMAND [ARGUMENT]...]",
    .details =
        "Runs COMMAND in a subshell with what the options say of its own. Without COMMAND this "
        "shell goes\n"
        "on like that.",
    .options = kUnshareOptions,
    .parsing = Command::Parsing::kOptionsFirst,
    .usage_status = 1,
    .run = RunUnshare,
};

constinit const Command kDfCommand{
    .name = "df",
    .summary = "report file system space usage",
    .synopsis = "[OPTION]...",
    .details = "Reports every file system of /proc/mounts, those without blocks too.",
    .options = kDfOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunDf,
};

constinit const Command kSyncCommand{
    .name = "sync",
    .summary = "synchronize cached writes to persistent storage",
    .synopsis = "[FILE]...",
    .details =
        "Synchronizes each FILE. There is nothing to wait for without one: no file system here "
        "writes\n"
        "back later.",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunSync,
};

constinit const Command kDropCachesCommand{
    .name = "drop_caches",
    .summary = "free all dentries, negatives, inodes and nodes that nothing uses",
    .synopsis = "[OPTION]...",
    .details = "The same as `echo 3 > /proc/sys/vm/drop_caches`.",
    .options = kDropOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunDropCaches,
};

}  // namespace dentree::shell
