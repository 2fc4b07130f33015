// mkdir, rmdir, rm, ln
#include <algorithm>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/remove_tree.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;

namespace {

// --- mkdir ------------------------------------------------------------------------------------

constexpr Option kMkdirOptions[] = {
    {'m', "mode", "set file mode (as in chmod), not a=rwx - umask", "MODE"},
    {'p', "parents", "no error if existing, make parent directories as needed"},
    {'v', "verbose", "print a message for each created directory"},
};

class DirMaker {
 public:
  explicit DirMaker(Call& call) : call_(call) {}

  int Run();

 private:
  bool MakeOne(const std::string& path, vfs::Mode mode);
  void MakeAll(const std::string& path);
  void Make(const std::string& path);
  void Refuse(const std::string& path, Errno error) {
    (void)call_.Fail(absl::StrFormat("cannot create directory '%s': %s", path, ErrnoText(error)));
  }

  Call& call_;
  std::optional<vfs::Mode> mode_;  // from -m
};

bool DirMaker::MakeOne(const std::string& path, vfs::Mode mode) {
  const auto made = call_.task().Mkdir(path, mode);
  if (!made) return Refuse(path, made.error()), false;
  if (call_.Has('v')) call_.out.Put(absl::StrFormat("mkdir: created directory '%s'\n", path));
  return true;
}

// mkdir -p: each prefix that is missing.
void DirMaker::MakeAll(const std::string& path) {
  for (size_t at = path.find_first_not_of('/'); at != std::string::npos;) {
    const size_t end = path.find('/', at);
    at = path.find_first_not_of('/', end);
    const std::string prefix = path.substr(0, at == std::string::npos ? path.size() : end);
    const auto st = call_.task().Stat(prefix);
    if (st && vfs::IsDir(st->mode)) continue;
    const bool last = at == std::string::npos;
    if (st) return Refuse(prefix, last ? Errno::kExist : Errno::kNotDir);
    if (!last) {
      if (!MakeOne(prefix, 0777)) return;
      continue;
    }
    Make(prefix);
  }
}

void DirMaker::Make(const std::string& path) {
  if (!MakeOne(path, mode_.value_or(0777)) || !mode_) return;
  const auto set = call_.task().Chmod(path, *mode_);  // what the umask has held back
  if (!set) (void)call_.Fail(absl::StrFormat("cannot set permissions of '%s'", path), set.error());
}

int DirMaker::Run() {
  if (call_.operands().empty()) return call_.FailUsage("missing operand");
  if (const auto text = call_.args.Value('m')) {
    const auto mode = ParseMode(*text, 0777, call_.task().fs().umask());
    if (!mode) return call_.Fail(absl::StrFormat("invalid mode '%s'", *text));
    mode_ = *mode;
  }
  for (const std::string& path : call_.operands()) {
    if (call_.Has('p')) {
      MakeAll(path);
    } else {
      Make(path);
    }
  }
  return call_.status();
}

int RunMkdir(Call& call) { return DirMaker(call).Run(); }

// --- rmdir ------------------------------------------------------------------------------------

constexpr char kIgnoreNonEmpty = '\x02';
constexpr Option kRmdirOptions[] = {
    {kIgnoreNonEmpty, "ignore-fail-on-non-empty",
     "ignore each failure that is solely because a directory is not empty"},
    {'p', "parents", "remove DIRECTORY and its ancestors; 'rmdir -p a/b' is like 'rmdir a/b a'"},
    {'v', "verbose", "output a diagnostic for every directory processed"},
};

bool RemoveDir(Call& call, const std::string& path, const char* what) {
  if (call.Has('v')) call.out.Put(absl::StrFormat("rmdir: removing directory, '%s'\n", path));
  const auto removed = call.task().Rmdir(path);
  if (removed) return true;
  const bool full = removed.error() == Errno::kNotEmpty || removed.error() == Errno::kExist;
  if (full && call.Has(kIgnoreNonEmpty)) return false;
  (void)call.Fail(
      absl::StrFormat("failed to remove %s'%s': %s", what, path, ErrnoText(removed.error())));
  return false;
}

int RunRmdir(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing operand");
  for (std::string path : call.operands()) {
    bool removed = RemoveDir(call, path, "");
    while (removed && call.Has('p')) {
      path.erase(path.find_last_not_of('/') + 1);
      const size_t slash = path.rfind('/');
      if (slash == std::string::npos) break;
      path.erase(path.find_last_not_of('/', slash) + 1);
      if (path.empty()) break;
      removed = RemoveDir(call, path, "directory ");
    }
  }
  return call.status();
}

// --- rm ---------------------------------------------------------------------------------------

constexpr Option kRmOptions[] = {
    {'d', "dir", "remove empty directories"},
    {'f', "force", "ignore nonexistent files and arguments"},
    {'r', "recursive", "remove directories and their contents recursively"},
    {'R', "", "as -r"},
    {'v', "verbose", "explain what is being done"},
};

bool RefuseRemoval(Call& call, const std::string& path, Errno error) {
  (void)call.Fail(absl::StrFormat("cannot remove '%s': %s", path, ErrnoText(error)));
  return false;
}

bool TellRemoval(Call& call, const std::string& path, vfs::FileType type, vfs::Status removed) {
  if (!removed) return RefuseRemoval(call, path, removed.error());
  if (call.name() == "rm" && call.Has('v')) {
    const bool dir = type == vfs::FileType::kDir;
    call.out.Put(absl::StrFormat("removed %s'%s'\n", dir ? "directory " : "", path));
  }
  return true;
}

bool RemoveName(Call& call, const std::string& path, vfs::FileType type) {
  const bool dir = type == vfs::FileType::kDir;
  return TellRemoval(call, path, type, dir ? call.task().Rmdir(path) : call.task().Unlink(path));
}

// What rm never removes, with the reason said; true: it was such a path.
bool Protected(Call& call, const std::string& path) {
  const std::string last = BaseName(path);
  if (last == "." || last == "..") {
    (void)call.Fail(
        absl::StrFormat("refusing to remove '.' or '..' directory: skipping '%s'", path));
    return true;
  }
  if (last != "/") return false;
  (void)call.Fail("it is dangerous to operate recursively on '/'");
  return true;
}

int RunRm(Call& call) {
  if (call.operands().empty()) return call.Has('f') ? kSuccess : call.FailUsage("missing operand");
  const bool recursive = call.Has('r') || call.Has('R');
  for (const std::string& path : call.operands()) {
    const auto st = call.task().Lstat(path);
    if (!st) {
      const bool absent = st.error() == Errno::kNoEnt || st.error() == Errno::kNotDir;
      if (!absent || !call.Has('f')) (void)RefuseRemoval(call, path, st.error());
      continue;
    }
    const vfs::FileType type = vfs::TypeOf(st->mode);
    if (type == vfs::FileType::kDir && !recursive && !call.Has('d')) {
      (void)RefuseRemoval(call, path, Errno::kIsDir);
    } else if (type == vfs::FileType::kDir && recursive) {
      if (!Protected(call, path)) (void)RemoveTree(call, path);
    } else {
      (void)RemoveName(call, path, type);
    }
  }
  return call.status();
}

// --- ln ---------------------------------------------------------------------------------------

constexpr Option kLnOptions[] = {
    {'f', "force", "remove existing destination files"},
    {'n', "no-dereference",
     "treat LINK_NAME as a normal file if it is a symbolic link to a directory"},
    {'s', "symbolic", "make symbolic links instead of hard links"},
    {'T', "no-target-directory", "treat LINK_NAME as a normal file always"},
    {'v', "verbose", "print name of each linked file"},
};

bool IsDirectory(Call& call, const std::string& path) {
  const bool follow = !call.Has('n');
  const auto st = follow ? call.task().Stat(path) : call.task().Lstat(path);
  return st && vfs::IsDir(st->mode);
}

void LinkOne(Call& call, const std::string& target, const std::string& link) {
  const bool symbolic = call.Has('s');
  if (!symbolic) {
    const auto st = call.task().Lstat(target);
    if (!st) {
      (void)call.Fail(absl::StrFormat("failed to access '%s'", target), st.error());
      return;
    }
    if (vfs::IsDir(st->mode)) {
      (void)call.Fail(absl::StrFormat("%s: hard link not allowed for directory", target));
      return;
    }
  }
  if (call.Has('f')) (void)call.task().Unlink(link);
  const auto made = symbolic ? call.task().Symlink(target, link) : call.task().Link(target, link);
  if (!made) {
    const char* kind = symbolic ? "symbolic" : "hard";
    const bool names_both = !symbolic && made.error() != Errno::kExist;
    (void)call.Fail(absl::StrFormat("failed to create %s link '%s'%s", kind, link,
                                    names_both ? absl::StrFormat(" => '%s'", target) : ""),
                    made.error());
    return;
  }
  if (call.Has('v'))
    call.out.Put(absl::StrFormat("'%s' %s '%s'\n", link, symbolic ? "->" : "=>", target));
}

int RunLn(Call& call) {
  std::vector<std::string> names = call.operands();
  if (names.empty()) return call.FailUsage("missing file operand");
  if (names.size() == 1 && call.Has('T')) {
    return call.FailUsage(absl::StrFormat("missing destination file operand after '%s'", names[0]));
  }
  if (names.size() == 1) names.emplace_back(".");
  const std::string last = names.back();
  names.pop_back();
  const bool into = !call.Has('T') && IsDirectory(call, last);
  if (names.size() > 1 && !into) {
    const auto st = call.task().Stat(last);
    return call.Fail(absl::StrFormat("target '%s'", last), st ? Errno::kNotDir : st.error());
  }
  for (const std::string& target : names) {
    LinkOne(call, target, into ? JoinPath(last, BaseName(target)) : last);
  }
  return call.status();
}

}  // namespace

bool RemoveTree(Call& call, const std::string& path) {
  return RemoveTree(call.task(), path,
                    [&call](const std::string& at, vfs::FileType type, vfs::Status removed) {
                      (void)TellRemoval(call, at, type, removed);
                      return !call.Stopped();
                    });
}

constinit const Command kMkdirCommand{
    .name = "mkdir",
    .summary = "make directories",
    .synopsis = "[OPTION]... DIRECTORY...",
    .details = "Creates the DIRECTORies, if they do not already exist.",
    .options = kMkdirOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunMkdir,
};

constinit const Command kRmdirCommand{
    .name = "rmdir",
    .summary = "remove empty directories",
    .synopsis = "[OPTION]... DIRECTORY...",
    .details = "Removes the DIRECTORies, if they are empty.",
    .options = kRmdirOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunRmdir,
};

constinit const Command kRmCommand{
    .name = "rm",
    .summary = "remove files or directories",
    .synopsis = "[OPTION]... [FILE]...",
    .details =
        "Removes (unlinks) each FILE. Does not remove directories without -r or -d, never asks.",
    .options = kRmOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunRm,
};

constinit const Command kLnCommand{
    .name = "ln",
    .summary = "make links between files",
    .synopsis = "[OPTION]... TARGET... LINK_NAME|DIRECTORY",
    .details =
        "Creates a link to each TARGET with the name LINK_NAME or in DIRECTORY; with one operand, "
        "in\n"
        "the current directory.",
    .options = kLnOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunLn,
};

}  // namespace dentree::shell
