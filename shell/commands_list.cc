// ls
#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::ErrnoText;

namespace {

constexpr Option kOptions[] = {
    {'a', "all", "do not ignore entries starting with ."},
    {'A', "almost-all", "do not list implied . and .."},
    {'C', "", "list entries by columns"},
    {'d', "directory", "list directories themselves, not their contents"},
    {'F', "classify", "append indicator (one of */=@|) to entries"},
    {'h', "human-readable", "with -l, print sizes like 1K 234M 2G"},
    {'i', "inode", "print the index number of each file"},
    {'l', "", "use a long listing format"},
    {'n', "numeric-uid-gid", "like -l, but list numeric user and group IDs"},
    {'r', "reverse", "reverse order while sorting"},
    {'R', "recursive", "list subdirectories recursively"},
    {'S', "", "sort by file size, largest first"},
    {'t', "", "sort by time, newest first"},
    {'U', "", "do not sort; list entries in directory order"},
    {'1', "", "list one file per line"},
};

constexpr int kMinor = 1;          // something below an argument could not be shown
constexpr int kSerious = 2;        // an argument could not be shown
constexpr size_t kMaxDepth = 256;  // of -R; names of a deeper tree exceed the path limit soon after
constexpr int64_t kHalfYearNs = 31'556'952'000'000'000 / 2;

struct Entry {
  std::string name;  // as shown
  std::string path;  // to reach it
  vfs::FileType type = vfs::FileType::kUnknown;
  vfs::Ino ino = 0;
  vfs::Stat st;
  std::string target;  // of a symlink in a long listing

  std::string InodeText() const { return std::to_string(ino); }
};

class Lister {
 public:
  explicit Lister(Call& call)
      : call_(call), long_(call.Has('n') || call.args.LastOf("lC") == 'l') {}

  int Run();

 private:
  bool NeedsStat() const {
    const char key = call_.args.LastOf("StU");
    return long_ || call_.Has('F') || key == 'S' || key == 't';
  }
  void Complain(int severity, std::string_view what, const std::string& path, base::Errno error);
  std::optional<Entry> FromArgument(const std::string& path);
  bool Complete(Entry& entry);
  std::optional<std::vector<Entry>> Read(const std::string& dir, int severity);
  void Sort(std::vector<Entry>& entries) const;
  void ListDirectory(const std::string& dir, int severity, size_t depth);
  void Header(const std::string& dir);

  void Show(const std::vector<Entry>& entries);
  void ShowLong(const std::vector<Entry>& entries);
  void ShowColumns(const std::vector<Entry>& entries);
  std::string ShownName(const Entry& entry) const;
  std::string Indicator(vfs::Mode mode) const;
  std::string SizeText(const vfs::Stat& st) const;
  std::string Owner(uint32_t id) const {
    return call_.Has('n') ? std::to_string(id) : OwnerText(id);
  }
  std::string When(int64_t mtime) const;

  Call& call_;
  const bool long_;
  bool headers_ = false;
  bool printed_ = false;  // something came before: a blank line separates
  int status_ = kSuccess;
};

void Lister::Complain(int severity, std::string_view what, const std::string& path,
                      base::Errno error) {
  (void)call_.Fail(absl::StrFormat("cannot %s '%s': %s", what, path, ErrnoText(error)));
  status_ = std::max(status_, severity);
}

// Fills what the listing needs beyond the directory's own answer; false after a message.
bool Lister::Complete(Entry& entry) {
  const bool needs = NeedsStat() || entry.type == vfs::FileType::kUnknown;
  if (needs && entry.st.mode == 0) {
    auto st = call_.task().Lstat(entry.path);
    if (!st) return Complain(kMinor, "access", entry.path, st.error()), false;
    entry.st = *st;
    entry.ino = st->ino;
    entry.type = vfs::TypeOf(st->mode);
  }
  if (long_ && entry.type == vfs::FileType::kSymlink) {
    auto target = call_.task().Readlink(entry.path);
    if (!target) return Complain(kMinor, "read symbolic link", entry.path, target.error()), false;
    entry.target = *std::move(target);
  }
  return true;
}

// An argument as an entry; a symlink is followed unless the listing shows links themselves.
std::optional<Entry> Lister::FromArgument(const std::string& path) {
  const bool follow = !long_ && !call_.Has('d') && !call_.Has('F');
  auto st = follow ? call_.task().Stat(path) : call_.task().Lstat(path);
  if (!st && follow) st = call_.task().Lstat(path);
  if (!st) return Complain(kSerious, "access", path, st.error()), std::nullopt;
  Entry entry{.name = path,
              .path = path,
              .type = vfs::TypeOf(st->mode),
              .ino = st->ino,
              .st = *st,
              .target = {}};
  if (!Complete(entry)) return std::nullopt;
  return entry;
}

std::optional<std::vector<Entry>> Lister::Read(const std::string& dir, int severity) {
  auto listed = call_.task().ListDir(dir);
  if (!listed) return Complain(severity, "open directory", dir, listed.error()), std::nullopt;
  std::vector<vfs::DirEntry> names = *std::move(listed);
  if (call_.args.LastOf("aA") == 'a') {
    for (const char* dots : {"..", "."}) names.insert(names.begin(), vfs::DirEntry{.name = dots});
  }
  std::vector<Entry> entries;
  for (vfs::DirEntry& name : names) {
    if (name.name[0] == '.' && !call_.Has('a') && !call_.Has('A')) continue;
    Entry entry{.name = name.name,
                .path = JoinPath(dir, name.name),
                .type = name.type,
                .ino = name.ino,
                .st = {},
                .target = {}};
    if (Complete(entry)) entries.push_back(std::move(entry));
  }
  return entries;
}

void Lister::Sort(std::vector<Entry>& entries) const {
  const char key = call_.args.LastOf("StU");
  if (key == 'U') return;
  std::sort(entries.begin(), entries.end(), [key](const Entry& a, const Entry& b) {
    if (key == 'S' && a.st.size != b.st.size) return a.st.size > b.st.size;
    if (key == 't' && a.st.times.mtime != b.st.times.mtime)
      return a.st.times.mtime > b.st.times.mtime;
    return a.name < b.name;
  });
  if (call_.Has('r')) std::reverse(entries.begin(), entries.end());
}

void Lister::Header(const std::string& dir) {
  if (printed_) call_.out.Put("\n");
  if (headers_) call_.out.Put(dir + ":\n");
  printed_ = true;
}

void Lister::ListDirectory(const std::string& dir, int severity, size_t depth) {
  auto entries = Read(dir, severity);
  if (!entries) return;
  Sort(*entries);
  Header(dir);
  if (long_) {
    uint64_t blocks = 0;
    for (const Entry& entry : *entries) blocks += entry.st.blocks;
    call_.out.Put(absl::StrFormat(
        "total %s\n", call_.Has('h') ? HumanSize(blocks * 512) : std::to_string((blocks + 1) / 2)));
  }
  Show(*entries);
  if (!call_.Has('R')) return;
  for (const Entry& entry : *entries) {
    if (entry.type != vfs::FileType::kDir || entry.name == "." || entry.name == "..") continue;
    if (call_.Stopped()) return;
    if (depth == kMaxDepth) {
      Complain(kMinor, "open directory", entry.path, base::Errno::kNameTooLong);
    } else {
      ListDirectory(entry.path, kMinor, depth + 1);
    }
  }
}

std::string Lister::Indicator(vfs::Mode mode) const {
  if (!call_.Has('F')) return "";
  switch (vfs::TypeOf(mode)) {
    case vfs::FileType::kDir:
      return "/";
    case vfs::FileType::kSymlink:
      return long_ ? "" : "@";
    case vfs::FileType::kFifo:
      return "|";
    case vfs::FileType::kSocket:
      return "=";
    case vfs::FileType::kRegular:
      return mode & 0111 ? "*" : "";
    default:
      return "";
  }
}

// On a terminal bytes that would move the cursor are shown as ?.
std::string Lister::ShownName(const Entry& entry) const {
  std::string name = entry.name;
  if (call_.out.is_terminal()) {
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  }
  return name + Indicator(entry.st.mode);
}

std::string Lister::SizeText(const vfs::Stat& st) const {
  const vfs::FileType type = vfs::TypeOf(st.mode);
  if (type == vfs::FileType::kChar || type == vfs::FileType::kBlock) {
    return absl::StrFormat("%d, %d", st.rdev >> 20, st.rdev & 0xfffff);
  }
  return call_.Has('h') ? HumanSize(st.size) : std::to_string(st.size);
}

std::string Lister::When(int64_t mtime) const {
  const int64_t now = call_.task().vfs().clock().NowNs();
  const bool recent = mtime <= now && now - mtime < kHalfYearNs;
  return TimeText(mtime, recent ? "%b %e %H:%M" : "%b %e  %Y");
}

void Lister::ShowLong(const std::vector<Entry>& entries) {
  int ino = 0, nlink = 0, uid = 0, gid = 0, size = 0;
  const auto widen = [](int& width, const std::string& text) {
    width = std::max(width, static_cast<int>(text.size()));
  };
  for (const Entry& entry : entries) {
    widen(ino, entry.InodeText());
    widen(nlink, std::to_string(entry.st.nlink));
    widen(uid, Owner(entry.st.uid));
    widen(gid, Owner(entry.st.gid));
    widen(size, SizeText(entry.st));
  }
  const bool left = !call_.Has('n');  // names are aligned left, numbers right
  for (const Entry& entry : entries) {
    const vfs::Stat& st = entry.st;
    if (call_.Has('i')) call_.out.Put(absl::StrFormat("%*s ", ino, entry.InodeText()));
    call_.out.Put(absl::StrFormat("%s %*d ", ModeText(st.mode), nlink, st.nlink));
    call_.out.Put(left ? absl::StrFormat("%-*s %-*s ", uid, Owner(st.uid), gid, Owner(st.gid))
                       : absl::StrFormat("%*s %*s ", uid, Owner(st.uid), gid, Owner(st.gid)));
    call_.out.Put(
        absl::StrFormat("%*s %s %s", size, SizeText(st), When(st.times.mtime), ShownName(entry)));
    if (entry.type == vfs::FileType::kSymlink) call_.out.Put(" -> " + entry.target);
    call_.out.Put("\n");
  }
}

// From one column of the screen to another, with tabs where they pay, as ls does.
std::string Blanks(size_t from, size_t to) {
  constexpr size_t kTab = 8;
  std::string blanks;
  while (from < to) {
    const bool tab = to / kTab > (from + 1) / kTab;
    blanks += tab ? '\t' : ' ';
    from = tab ? (from / kTab + 1) * kTab : from + 1;
  }
  return blanks;
}

void Lister::ShowColumns(const std::vector<Entry>& entries) {
  const size_t room = call_.out.sink().columns();
  std::vector<std::string> cells;
  for (const Entry& entry : entries) {
    cells.push_back((call_.Has('i') ? entry.InodeText() + " " : "") + ShownName(entry));
  }
  std::vector<size_t> widths;
  size_t rows = 1;
  for (;; ++rows) {  // the fewest rows whose columns fit
    widths.assign((cells.size() + rows - 1) / rows, 0);
    size_t total = 0;
    for (size_t i = 0; i < cells.size(); ++i) {
      widths[i / rows] = std::max(widths[i / rows], cells[i].size() + 2);
    }
    for (size_t width : widths) total += width;
    if (rows >= cells.size() || total <= room + 2) break;
  }
  for (size_t row = 0; row < rows; ++row) {
    std::string line;
    size_t column = 0;  // where this cell begins on the screen
    for (size_t i = row; i < cells.size(); i += rows) {
      line += cells[i];
      if (i + rows < cells.size()) {
        line += Blanks(column + cells[i].size(), column + widths[i / rows]);
        column += widths[i / rows];
      }
    }
    call_.out.Put(line + "\n");
  }
}

void Lister::Show(const std::vector<Entry>& entries) {
  if (entries.empty()) return;
  if (long_) return ShowLong(entries);
  const char layout = call_.args.LastOf("C1");
  if (layout == 'C' || (layout == 0 && call_.out.is_terminal())) return ShowColumns(entries);
  int ino = 0;
  for (const Entry& entry : entries) {
    ino = std::max(ino, static_cast<int>(entry.InodeText().size()));
  }
  for (const Entry& entry : entries) {
    if (call_.Has('i')) call_.out.Put(absl::StrFormat("%*s ", ino, entry.InodeText()));
    call_.out.Put(ShownName(entry) + "\n");
  }
}

int Lister::Run() {
  std::vector<std::string> paths = call_.operands();
  if (paths.empty()) paths.emplace_back(".");
  std::vector<Entry> files, dirs;
  for (const std::string& path : paths) {
    auto entry = FromArgument(path);
    if (!entry) continue;
    const bool list = entry->type == vfs::FileType::kDir && !call_.Has('d');
    (list ? dirs : files).push_back(*std::move(entry));
  }
  headers_ = paths.size() > 1 || call_.Has('R');
  Sort(files);
  Sort(dirs);
  Show(files);
  printed_ = !files.empty();
  for (const Entry& dir : dirs) ListDirectory(dir.path, kSerious, 0);
  return status_;
}

int RunLs(Call& call) { return Lister(call).Run(); }

}  // namespace

constinit const Command kLsCommand{
    .name = "ls",
    .summary = "list directory contents",
    .synopsis = "[OPTION]... [FILE]...",
    .details =
        "Lists the FILEs (the current directory by default), sorted by name. On a terminal in\n"
        "columns, otherwise one per line. Exit status: 0 if all went well, 1 if something below\n"
        "an argument could not be read, 2 if an argument could not.",
    .options = kOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunLs,
};

}  // namespace dentree::shell
