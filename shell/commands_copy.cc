// cp, mv
#include <array>
#include <vector>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Err;
using base::Errno;
using base::ErrnoText;
using base::Status;

namespace {

constexpr size_t kChunk = 64 * 1024;

constexpr Option kCpOptions[] = {
    {'a', "archive", "same as -d -r -p"},
    {'d', "", "never follow symbolic links in SOURCE"},
    {'f', "force", "if a destination file cannot be opened, remove it and try again"},
    {'n', "no-clobber", "do not overwrite an existing file"},
    {'p', "preserve", "preserve mode, ownership and times"},
    {'r', "recursive", "copy directories recursively"},
    {'R', "", "as -r"},
    {'T', "no-target-directory", "treat DEST as a normal file"},
    {'v', "verbose", "explain what is being done"},
};

constexpr Option kMvOptions[] = {
    {'f', "force", "do not prompt before overwriting (it never does)"},
    {'n', "no-clobber", "do not overwrite an existing file"},
    {'T', "no-target-directory", "treat DEST as a normal file"},
    {'v', "verbose", "explain what is being done"},
};

// What is copied beside the bytes.
struct CopyRules {
  enum class Links : uint8_t { kFollow, kKeep } links = Links::kFollow;
  enum class Directories : uint8_t { kRefuse, kDescend } directories = Directories::kRefuse;
  enum class Attributes : uint8_t { kNew, kKeep } attributes = Attributes::kNew;
  enum class Existing : uint8_t { kReplace, kKeep } existing = Existing::kReplace;
  enum class Unopenable : uint8_t { kFail, kRemove } unopenable = Unopenable::kFail;
  enum class Report : uint8_t { kNothing, kNames } report = Report::kNothing;
};

class Copier {
 public:
  Copier(Call& call, const CopyRules& rules) : call_(call), task_(call.task()), rules_(rules) {}

  bool Copy(const std::string& src, const std::string& dst, size_t depth = 0);

 private:
  bool Refuse(std::string_view what, const std::string& path, Errno error) {
    (void)call_.Fail(absl::StrFormat("%s '%s': %s", what, path, ErrnoText(error)));
    return false;
  }
  bool MayReplace(const std::string& src, const vfs::Stat& from, const std::string& dst);
  bool CopyDirectory(const std::string& src, const vfs::Stat& from, const std::string& dst,
                     size_t depth);
  bool CopyFile(const std::string& src, const vfs::Stat& from, const std::string& dst);
  bool CopySymlink(const std::string& src, const std::string& dst);
  bool CopyBytes(int in, int out, const std::string& src, const std::string& dst);
  bool KeepAttributes(const vfs::Stat& from, const std::string& dst);

  Call& call_;
  uring::RingTask& task_;
  const CopyRules rules_;
  std::string src_top_, dst_top_;  // the operands, for messages
  std::vector<vfs::Ino>
      made_;  // directories created by this copy: not to be copied into themselves
};

bool Copier::KeepAttributes(const vfs::Stat& from, const std::string& dst) {
  if (rules_.attributes == CopyRules::Attributes::kNew) return true;
  (void)task_.Chown(dst, from.uid, from.gid, vfs::Follow::kNo);  // for those who may
  if (vfs::IsSymlink(from.mode)) return true;
  vfs::SetAttr times;
  times.atime = from.times.atime;
  times.mtime = from.times.mtime;
  const Status times_kept = task_.SetTimes(dst, times);
  if (!times_kept) return Refuse("preserving times for", dst, times_kept.error());
  const Status mode_kept = task_.Chmod(dst, from.mode & 07777);
  return mode_kept.has_value() || Refuse("preserving permissions for", dst, mode_kept.error());
}

// Reports what stands in the way at `dst`. A symlink there is followed by a file's copy.
bool Copier::MayReplace(const std::string& src, const vfs::Stat& from, const std::string& dst) {
  const auto to = vfs::IsSymlink(from.mode) ? task_.Lstat(dst) : task_.Stat(dst);
  if (!to) return true;
  if (to->dev == from.dev && to->ino == from.ino) {
    (void)call_.Fail(absl::StrFormat("'%s' and '%s' are the same file", src, dst));
    return false;
  }
  if (vfs::IsDir(to->mode) && !vfs::IsDir(from.mode)) {
    (void)call_.Fail(absl::StrFormat("cannot overwrite directory '%s' with non-directory", dst));
    return false;
  }
  if (!vfs::IsDir(to->mode) && vfs::IsDir(from.mode)) {
    (void)call_.Fail(
        absl::StrFormat("cannot overwrite non-directory '%s' with directory '%s'", dst, src));
    return false;
  }
  return vfs::IsDir(from.mode) || rules_.existing == CopyRules::Existing::kReplace;
}

bool Copier::CopyBytes(int in, int out, const std::string& src, const std::string& dst) {
  std::vector<std::byte> chunk(kChunk);
  while (!call_.Stopped()) {
    const auto n = task_.Read(in, chunk);
    if (!n) return Refuse("error reading", src, n.error());
    if (*n == 0) return true;
    for (std::span<const std::byte> rest(chunk.data(), *n); !rest.empty();) {
      const auto written = task_.Write(out, rest);
      if (!written || *written == 0) {
        return Refuse("error writing", dst, written ? Errno::kIo : written.error());
      }
      rest = rest.subspan(*written);
    }
  }
  return false;
}

bool Copier::CopyFile(const std::string& src, const vfs::Stat& from, const std::string& dst) {
  const auto in = task_.Open(src, O_RDONLY);
  if (!in) {
    (void)call_.Fail(absl::StrFormat("cannot open '%s' for reading", src), in.error());
    return false;
  }
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  auto out = task_.Open(dst, kFlags, from.mode & 0777);
  if (!out && rules_.unopenable == CopyRules::Unopenable::kRemove && task_.Unlink(dst)) {
    out = task_.Open(dst, kFlags, from.mode & 0777);
  }
  bool done = false;
  if (out) {
    done = CopyBytes(*in, *out, src, dst);
    (void)task_.Close(*out);
  } else {
    (void)Refuse("cannot create regular file", dst, out.error());
  }
  (void)task_.Close(*in);
  return done && KeepAttributes(from, dst);
}

bool Copier::CopySymlink(const std::string& src, const std::string& dst) {
  const auto target = task_.Readlink(src);
  if (!target) return Refuse("cannot read symbolic link", src, target.error());
  (void)task_.Unlink(dst);
  const Status made = task_.Symlink(*target, dst);
  return made.has_value() || Refuse("cannot create symbolic link", dst, made.error());
}

bool Copier::CopyDirectory(const std::string& src, const vfs::Stat& from, const std::string& dst,
                           size_t depth) {
  if (depth == kMaxTreeDepth) return Refuse("cannot access", src, Errno::kNameTooLong);
  if (const auto made = task_.Mkdir(dst, (from.mode & 0777) | 0700);
      !made && made.error() != Errno::kExist) {
    return Refuse("cannot create directory", dst, made.error());
  }
  if (const auto st = task_.Stat(dst)) made_.push_back(st->ino);
  const auto entries = task_.ListDir(src);
  if (!entries) return Refuse("cannot access", src, entries.error());
  bool done = true;
  for (const vfs::DirEntry& entry : *entries) {
    if (call_.Stopped()) return false;
    done &= Copy(JoinPath(src, entry.name), JoinPath(dst, entry.name), depth + 1);
  }
  return KeepAttributes(from, dst) && done;
}

bool Copier::Copy(const std::string& src, const std::string& dst, size_t depth) {
  if (depth == 0) {
    src_top_ = src;
    dst_top_ = dst;
  }
  const bool follow = rules_.links == CopyRules::Links::kFollow;
  const auto from = follow ? task_.Stat(src) : task_.Lstat(src);
  if (!from) return Refuse("cannot stat", src, from.error());
  for (vfs::Ino ino : made_) {
    if (vfs::IsDir(from->mode) && ino == from->ino) {
      (void)call_.Fail(
          absl::StrFormat("cannot copy a directory, '%s', into itself, '%s'", src_top_, dst_top_));
      return false;
    }
  }
  const bool is_dir = vfs::IsDir(from->mode);
  if (is_dir && rules_.directories == CopyRules::Directories::kRefuse) {
    (void)call_.Fail(absl::StrFormat("-r not specified; omitting directory '%s'", src));
    return false;
  }
  if (!MayReplace(src, *from, dst)) return rules_.existing == CopyRules::Existing::kKeep;
  if (rules_.report == CopyRules::Report::kNames) {
    call_.out.Put(absl::StrFormat("'%s' -> '%s'\n", src, dst));
  }
  if (is_dir) return CopyDirectory(src, *from, dst, depth);
  if (vfs::IsSymlink(from->mode)) return CopySymlink(src, dst);
  return CopyFile(src, *from, dst);
}

// --- where things go --------------------------------------------------------------------------

struct Move {
  std::string from, to;
};

// The pairs that operands SOURCE... DEST mean; nothing after a message.
std::optional<std::vector<Move>> Destinations(Call& call) {
  const std::vector<std::string>& names = call.operands();
  if (names.empty()) return (void)call.FailUsage("missing file operand"), std::nullopt;
  if (names.size() == 1) {
    (void)call.FailUsage(absl::StrFormat("missing destination file operand after '%s'", names[0]));
    return std::nullopt;
  }
  const std::string& last = names.back();
  if (call.Has('T') && names.size() > 2) {
    return (void)call.FailUsage(absl::StrFormat("extra operand '%s'", names[2])), std::nullopt;
  }
  const auto st = call.task().Stat(last);
  const bool into = st && vfs::IsDir(st->mode) && !call.Has('T');
  if (names.size() > 2 && !into) {
    (void)call.Fail(absl::StrFormat("target '%s'", last), st ? Errno::kNotDir : st.error());
    return std::nullopt;
  }
  if (!st && st.error() != Errno::kNoEnt) {
    (void)call.Fail(absl::StrFormat("cannot stat '%s'", last), st.error());
    return std::nullopt;
  }
  std::vector<Move> moves;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    moves.push_back({names[i], into ? JoinPath(last, BaseName(names[i])) : last});
  }
  return moves;
}

int RunCp(Call& call) {
  const auto moves = Destinations(call);
  if (!moves) return call.status();
  CopyRules rules;
  const bool recursive = call.Has('r') || call.Has('R') || call.Has('a');
  if (recursive) rules.directories = CopyRules::Directories::kDescend;
  if (recursive || call.Has('d')) rules.links = CopyRules::Links::kKeep;
  if (call.Has('p') || call.Has('a')) rules.attributes = CopyRules::Attributes::kKeep;
  if (call.Has('n')) rules.existing = CopyRules::Existing::kKeep;
  if (call.Has('f')) rules.unopenable = CopyRules::Unopenable::kRemove;
  if (call.Has('v')) rules.report = CopyRules::Report::kNames;
  Copier copier(call, rules);
  for (const Move& move : *moves) (void)copier.Copy(move.from, move.to);
  return call.status();
}

// --- mv ---------------------------------------------------------------------------------------

void RefuseMove(Call& call, const Move& move, const vfs::Stat& from, Errno error) {
  const auto to = call.task().Lstat(move.to);
  if (error == Errno::kInval && vfs::IsDir(from.mode)) {
    (void)call.Fail(
        absl::StrFormat("cannot move '%s' to a subdirectory of itself, '%s'", move.from, move.to));
  } else if (error == Errno::kNotDir && to && !vfs::IsDir(to->mode) && vfs::IsDir(from.mode)) {
    (void)call.Fail(absl::StrFormat("cannot overwrite non-directory '%s' with directory '%s'",
                                    move.to, move.from));
  } else if (error == Errno::kIsDir && to && vfs::IsDir(to->mode) && !vfs::IsDir(from.mode)) {
    (void)call.Fail(absl::StrFormat("cannot overwrite directory '%s' with non-directory", move.to));
  } else {
    (void)call.Fail(absl::StrFormat("cannot move '%s' to '%s'", move.from, move.to), error);
  }
}

// Between file systems: a copy, then the original goes. False after messages.
bool MoveAcross(Call& call, const Move& move, const vfs::Stat& from) {
  if (!CopyTree(call, move.from, move.to)) return false;
  if (vfs::IsDir(from.mode)) return RemoveTree(call, move.from);
  const Status removed = call.task().Unlink(move.from);
  if (!removed) (void)call.Fail(absl::StrFormat("cannot remove '%s'", move.from), removed.error());
  return removed.has_value();
}

void MoveOne(Call& call, const Move& move) {
  uring::RingTask& task = call.task();
  const auto from = task.Lstat(move.from);
  if (!from) {
    return (void)call.Fail(absl::StrFormat("cannot stat '%s'", move.from), from.error());
  }
  const auto to = task.Lstat(move.to);
  if (to && to->dev == from->dev && to->ino == from->ino) {
    return (void)call.Fail(absl::StrFormat("'%s' and '%s' are the same file", move.from, move.to));
  }
  const unsigned flags = call.Has('n') ? unsigned{vfs::kRenameNoReplace} : 0;
  const Status moved = task.Rename(move.from, move.to, flags);
  if (!moved && moved.error() == Errno::kExist && call.Has('n')) return;
  if (!moved && moved.error() != Errno::kXDev) return RefuseMove(call, move, *from, moved.error());
  if (!moved && !MoveAcross(call, move, *from)) return;
  if (call.Has('v')) {
    call.out.Put(absl::StrFormat("renamed '%s' -> '%s'\n", move.from, move.to));
  }
}

int RunMv(Call& call) {
  const auto moves = Destinations(call);
  if (!moves) return call.status();
  for (const Move& move : *moves) MoveOne(call, move);
  return call.status();
}

}  // namespace

bool CopyTree(Call& call, const std::string& src, const std::string& dst) {
  return Copier(call, {.links = CopyRules::Links::kKeep,
                       .directories = CopyRules::Directories::kDescend,
                       .attributes = CopyRules::Attributes::kKeep})
      .Copy(src, dst);
}

constinit const Command kCpCommand{
    .name = "cp",
    .summary = "copy files and directories",
    .synopsis = "[OPTION]... SOURCE... DEST|DIRECTORY",
    .details = "Copies SOURCE to DEST, or several SOURCEs to DIRECTORY.",
    .options = kCpOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunCp,
};

constinit const Command kMvCommand{
    .name = "mv",
    .summary = "move (rename) files",
    .synopsis = "[OPTION]... SOURCE... DEST|DIRECTORY",
    .details =
        "Renames SOURCE to DEST, or moves SOURCEs to DIRECTORY. Between file systems it copies "
        "and\n"
        "removes.",
    .options = kMvOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunMv,
};

}  // namespace dentree::shell
