// chmod, chown, touch
#include <charconv>
#include <ctime>
#include <limits>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Err;
using base::Errno;
using base::ErrnoText;
using base::Result;
using base::Status;

namespace {

constexpr Option kRecursive{'R', "recursive", "change files and directories recursively"};

// --- modes ------------------------------------------------------------------------------------

// One clause of a symbolic mode: [ugoa...][-+=][rwxXst...] and more of operator and letters.
class ModeClause {
 public:
  ModeClause(std::string_view text, vfs::Mode umask) : text_(text) {
    for (; pos_ < text_.size(); ++pos_) {
      constexpr std::string_view kWho = "ugoa";
      constexpr vfs::Mode kMasks[] = {04700, 02070, 01007, 07777};
      const size_t at = kWho.find(text_[pos_]);
      if (at == std::string_view::npos) break;
      who_ |= kMasks[at];
    }
    if (who_ == 0) {
      who_ = 07777;
      held_back_ = umask;
    }
  }

  Result<vfs::Mode> Apply(vfs::Mode mode) {
    if (pos_ == text_.size()) return Err(Errno::kInval);
    while (pos_ < text_.size()) {
      const char op = text_[pos_++];
      if (op != '+' && op != '-' && op != '=') return Err(Errno::kInval);
      const vfs::Mode bits = TRY(Permissions(mode)) & who_ & ~held_back_;
      if (op == '=') mode = (mode & ~Erased(mode)) | bits;
      if (op == '+') mode |= bits;
      if (op == '-') mode &= ~bits;
    }
    return mode;
  }

 private:
  // What = clears: a directory keeps its set-ID bits.
  vfs::Mode Erased(vfs::Mode mode) const { return who_ & (vfs::IsDir(mode) ? 01777 : 07777); }

  // The letters after an operator, as bits for everybody.
  Result<vfs::Mode> Permissions(vfs::Mode mode) {
    vfs::Mode bits = 0;
    for (; pos_ < text_.size(); ++pos_) {
      switch (text_[pos_]) {
        case 'r':
          bits |= 0444;
          break;
        case 'w':
          bits |= 0222;
          break;
        case 'x':
          bits |= 0111;
          break;
        case 'X':
          bits |= vfs::IsDir(mode) || mode & 0111 ? 0111 : 0;
          break;
        case 's':
          bits |= 06000;
          break;
        case 't':
          bits |= 01000;
          break;
        case 'u':
          bits |= (mode >> 6 & 7) * 0111;
          break;
        case 'g':
          bits |= (mode >> 3 & 7) * 0111;
          break;
        case 'o':
          bits |= (mode & 7) * 0111;
          break;
        case '+':
        case '-':
        case '=':
          return bits;
        default:
          return Err(Errno::kInval);
      }
    }
    return bits;
  }

  std::string_view text_;
  size_t pos_ = 0;
  vfs::Mode who_ = 0;
  vfs::Mode held_back_ = 0;
};

// --- chmod ------------------------------------------------------------------------------------

constexpr Option kChmodOptions[] = {
    {'f', "silent", "suppress most error messages"},
    kRecursive,
    {'v', "verbose", "output a diagnostic for every file processed"},
};

// Options with which a walk over a tree calls `change` for each path.
template <class Change>
void ForEachBelow(Call& call, const std::string& path, vfs::FileType type, size_t depth,
                  Change change) {
  if (!change(path) || type != vfs::FileType::kDir || depth == kMaxTreeDepth) return;
  const auto entries = call.task().ListDir(path);
  if (!entries) {
    (void)call.Fail(absl::StrFormat("cannot read directory '%s'", path), entries.error());
    return;
  }
  for (const vfs::DirEntry& entry : *entries) {
    if (call.Stopped()) return;
    if (entry.type == vfs::FileType::kSymlink) continue;  // as chmod -R: links are not followed
    ForEachBelow(call, JoinPath(path, entry.name), entry.type, depth + 1, change);
  }
}

bool ChangeMode(Call& call, const std::string& path, std::string_view text) {
  uring::RingTask& task = call.task();
  const auto st = task.Stat(path);
  if (!st) {
    if (!call.Has('f')) (void)call.Fail(absl::StrFormat("cannot access '%s'", path), st.error());
    call.set_status(kFailure);
    return false;
  }
  const vfs::Mode mode = ParseMode(text, st->mode, task.fs().umask()).value_or(st->mode) & 07777;
  const auto set = task.Chmod(path, mode);
  if (!set) {
    if (!call.Has('f'))
      (void)call.Fail(absl::StrFormat("changing permissions of '%s'", path), set.error());
    call.set_status(kFailure);
    return false;
  }
  if (call.Has('v')) {
    const vfs::Mode old = st->mode & 07777;
    const std::string now = absl::StrFormat("%04o (%s)", mode, ModeText(mode).substr(1));
    call.out.Put(old == mode ? absl::StrFormat("mode of '%s' retained as %s\n", path, now)
                             : absl::StrFormat("mode of '%s' changed from %04o (%s) to %s\n", path,
                                               old, ModeText(old).substr(1), now));
  }
  return true;
}

int RunChmod(Call& call) {
  // A mode may begin with a minus: what looks like options of mode letters is one.
  std::vector<std::string> argv = call.argv;
  std::string mode;
  for (size_t i = 1; i < argv.size() && argv[i] != "--"; ++i) {
    if (argv[i].size() < 2 || argv[i][0] != '-' ||
        argv[i].find_first_not_of("-+=,rwxXstugoa", 0) != std::string::npos) {
      continue;
    }
    mode = argv[i];
    argv.erase(argv.begin() + static_cast<ptrdiff_t>(i));
    break;
  }
  auto arguments = ParseArguments(kChmodOptions, argv);
  if (!arguments) return call.FailUsage(arguments.error());
  call.args = *std::move(arguments);
  std::vector<std::string> paths = call.operands();
  if (mode.empty()) {
    if (paths.empty()) return call.FailUsage("missing operand");
    mode = paths[0];
    paths.erase(paths.begin());
  }
  if (paths.empty()) return call.FailUsage(absl::StrFormat("missing operand after '%s'", mode));
  if (!ParseMode(mode, 0, 0)) return call.FailUsage(absl::StrFormat("invalid mode: '%s'", mode));
  for (const std::string& path : paths) {
    const auto st = call.task().Stat(path);
    const bool descend = call.Has('R') && st && vfs::IsDir(st->mode);
    ForEachBelow(call, path, descend ? vfs::FileType::kDir : vfs::FileType::kRegular, 0,
                 [&](const std::string& each) { return ChangeMode(call, each, mode); });
  }
  return call.status();
}

// --- chown ------------------------------------------------------------------------------------

constexpr Option kChownOptions[] = {
    {'f', "silent", "suppress most error messages"},
    {'h', "no-dereference", "affect symbolic links instead of any referenced file"},
    kRecursive,
};

struct Owner {
  std::optional<vfs::Uid> uid;
  std::optional<vfs::Gid> gid;
};

std::optional<uint32_t> ParseId(std::string_view text) {
  if (text == "root") return 0;
  const auto id = base::ParseU64(text);
  if (!id || *id >= std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

// OWNER, OWNER:GROUP, OWNER: (its login group: the same number) or :GROUP.
std::expected<Owner, std::string> ParseOwner(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view user = text.substr(0, colon);
  Owner owner;
  if (!user.empty()) {
    owner.uid = ParseId(user);
    if (!owner.uid) return std::unexpected(absl::StrFormat("invalid user: '%s'", text));
  }
  if (colon == std::string_view::npos) return owner;
  const std::string_view group = text.substr(colon + 1);
  if (group.empty()) {
    owner.gid = owner.uid;
    return owner;
  }
  owner.gid = ParseId(group);
  if (!owner.gid) return std::unexpected(absl::StrFormat("invalid group: '%s'", text));
  return owner;
}

int RunChown(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing operand");
  const std::string& text = call.operands()[0];
  if (call.operands().size() == 1) {
    return call.FailUsage(absl::StrFormat("missing operand after '%s'", text));
  }
  const auto owner = ParseOwner(text);
  if (!owner) return call.Fail(owner.error());
  const vfs::Follow follow = call.Has('h') ? vfs::Follow::kNo : vfs::Follow::kYes;
  const auto change = [&](const std::string& path) {
    const auto set = call.task().Chown(path, owner->uid, owner->gid, follow);
    if (set) return true;
    const bool missing = !call.task().Lstat(path);
    if (!call.Has('f')) {
      (void)call.Fail(
          absl::StrFormat("%s '%s'", missing ? "cannot access" : "changing ownership of", path),
          set.error());
    }
    call.set_status(kFailure);
    return !missing;
  };
  for (size_t i = 1; i < call.operands().size(); ++i) {
    const std::string& path = call.operands()[i];
    const auto st = call.task().Lstat(path);
    const bool descend = call.Has('R') && st && vfs::IsDir(st->mode);
    ForEachBelow(call, path, descend ? vfs::FileType::kDir : vfs::FileType::kRegular, 0, change);
  }
  return call.status();
}

// --- touch ------------------------------------------------------------------------------------

constexpr Option kTouchOptions[] = {
    {'a', "", "change only the access time"},
    {'c', "no-create", "do not create any files"},
    {'d', "date", "use this time: 2026-01-31, '2026-01-31 12:30:00' or @SECONDS since 1970",
     "STRING"},
    {'m', "", "change only the modification time"},
    {'r', "reference", "use this file's times instead of current time", "FILE"},
    {'t', "", "use this time", "[[CC]YY]MMDDhhmm[.ss]"},
};

constexpr int64_t kSecond = 1'000'000'000;
// Times are int64 nanoseconds: what does not fit is refused.
constexpr int64_t kMaxSeconds = std::numeric_limits<int64_t>::max() / kSecond - 1;

std::optional<int64_t> FromLocal(std::tm local) {
  local.tm_isdst = -1;
  const std::tm wanted = local;
  const std::time_t seconds = std::mktime(&local);
  const bool normalised = local.tm_mday != wanted.tm_mday || local.tm_mon != wanted.tm_mon ||
                          local.tm_min != wanted.tm_min;  // there is no such date
  if (normalised || seconds > kMaxSeconds || seconds < -kMaxSeconds) return std::nullopt;
  return seconds * kSecond;
}

std::optional<int64_t> ParseDate(const std::string& text) {
  if (text.starts_with('@')) {
    const auto seconds = base::ParseI64(text.substr(1));
    if (!seconds || *seconds > kMaxSeconds || *seconds < -kMaxSeconds) return std::nullopt;
    return *seconds * kSecond;
  }
  for (const char* format :
       {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm local{};
    const char* end = ::strptime(text.c_str(), format, &local);
    if (end != nullptr && *end == '\0') return FromLocal(local);
  }
  return std::nullopt;
}

// [[CC]YY]MMDDhhmm[.ss]
std::optional<int64_t> ParseStamp(const std::string& given, int64_t now) {
  std::string text = given;
  std::string seconds = "00";
  if (const size_t dot = text.find('.'); dot != std::string::npos) {
    seconds = text.substr(dot + 1);
    text.erase(dot);
  }
  const bool digits = (text + seconds).find_first_not_of("0123456789") == std::string::npos;
  if (!digits || seconds.size() != 2) return std::nullopt;
  if (text.size() == 8) text = TimeText(now, "%Y") + text;
  if (text.size() == 10) text = (text < "69" ? "20" : "19") + text;
  if (text.size() != 12) return std::nullopt;
  text += seconds;
  std::tm local{};
  const char* end = ::strptime(text.c_str(), "%Y%m%d%H%M%S", &local);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return FromLocal(local);
}

// The times that the options ask for; nothing after a message.
std::optional<vfs::SetAttr> WantedTimes(Call& call) {
  vfs::SetAttr times;
  const int64_t now = call.task().vfs().clock().NowNs();
  std::optional<int64_t> when;
  if (const auto path = call.args.Value('r')) {
    const auto st = call.task().Stat(*path);
    if (!st) {
      (void)call.Fail(absl::StrFormat("failed to get attributes of '%s'", *path), st.error());
      return std::nullopt;
    }
    times.atime = st->times.atime;
    times.mtime = st->times.mtime;
  } else if (const char how = call.args.LastOf("dt"); how != 0) {
    const std::string text = call.args.Value(how).value_or("");
    when = how == 'd' ? ParseDate(text) : ParseStamp(text, now);
    if (!when) {
      (void)call.Fail(absl::StrFormat("invalid date format '%s'", text));
      return std::nullopt;
    }
    times.atime = times.mtime = when;
  } else {
    times.atime = times.mtime = now;
    times.times_are_now = true;
  }
  if (call.Has('a') && !call.Has('m')) times.mtime.reset();
  if (call.Has('m') && !call.Has('a')) times.atime.reset();
  return times;
}

vfs::Status TouchOne(Call& call, const std::string& path, const vfs::SetAttr& times) {
  uring::RingTask& task = call.task();
  const vfs::Status set = task.SetTimes(path, times);
  if (set || set.error() != Errno::kNoEnt) return set;
  if (call.Has('c')) return {};
  TRY(task.Close(TRY(task.Open(path, O_WRONLY | O_CREAT, 0666))));
  return times.times_are_now ? vfs::Status() : task.SetTimes(path, times);
}

int RunTouch(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing file operand");
  const auto times = WantedTimes(call);
  if (!times) return call.status();
  for (const std::string& path : call.operands()) {
    const vfs::Status touched = TouchOne(call, path, *times);
    if (!touched) {
      (void)call.Fail(absl::StrFormat("cannot touch '%s'", path), touched.error());
    }
  }
  return call.status();
}

}  // namespace

Result<vfs::Mode> ParseMode(std::string_view text, vfs::Mode old, vfs::Mode umask) {
  const vfs::Mode type = old & S_IFMT;
  if (!text.empty() && text.find_first_not_of("01234567") == std::string_view::npos) {
    const uint64_t mode = TRY(base::ParseU64(text, 8));
    if (mode > 07777) return Err(Errno::kInval);
    // Up to four digits say nothing of a directory's set-ID bits.
    const vfs::Mode kept = vfs::IsDir(old) && text.size() < 5 ? old & 06000 : 0;
    return static_cast<vfs::Mode>(type | kept | mode);
  }
  vfs::Mode mode = old;
  while (true) {
    const size_t comma = text.find(',');
    mode = TRY(ModeClause(text.substr(0, comma), umask).Apply(mode));
    if (comma == std::string_view::npos) return static_cast<vfs::Mode>(type | (mode & 07777));
    text.remove_prefix(comma + 1);
  }
}

constinit const Command kChmodCommand{
    .name = "chmod",
    .summary = "change file mode bits",
    .synopsis = "[OPTION]... MODE[,MODE]... FILE...",
    .details =
        "MODE is octal, or clauses such as u+x,g=rw,o-rwx,a=rX: of whom (ugoa), + - or =, and "
        "what\n"
        "(letters of rwxXst, or u, g or o for what that one has).",
    .options = kChmodOptions,
    .parsing = Command::Parsing::kRaw,
    .usage_status = 1,
    .run = RunChmod,
};

constinit const Command kChownCommand{
    .name = "chown",
    .summary = "change file owner and group",
    .synopsis = "[OPTION]... [OWNER][:[GROUP]] FILE...",
    .details = "OWNER and GROUP are numbers; root is 0. OWNER: means its group of the same number.",
    .options = kChownOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunChown,
};

constinit const Command kTouchCommand{
    .name = "touch",
    .summary = "change file timestamps",
    .synopsis = "[OPTION]... FILE...",
    .details =
        "Updates the access and modification times of each FILE to the current time. A FILE that "
        "does\n"
        "not exist is created empty.",
    .options = kTouchOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunTouch,
};

}  // namespace dentree::shell
