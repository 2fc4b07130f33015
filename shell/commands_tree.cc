// tree
#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/memory_counts.h"
#include "shell/pattern.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;

namespace {

constexpr char kCached = '\x02';
constexpr Option kOptions[] = {
    {'a', "", "all files are listed, those that begin with a dot too"},
    {'d', "", "list directories only"},
    {'f', "", "print the full path prefix for each file"},
    {'i', "", "do not print indentation lines"},
    {'L', "", "descend only LEVEL directories deep", "LEVEL"},
    {'P', "", "list only those files that match the pattern", "PATTERN"},
    {kCached, "cached", "list what is in memory: dentries, their inodes and the counts of both"},
};

constexpr std::string_view kBranch = "├── ", kLastBranch = "└── ";
constexpr std::string_view kTrunk = "│   ", kNoTrunk = "    ";

// What both kinds of tree print: one line per entry with lines that lead to it.
class TreePrinter {
 public:
  explicit TreePrinter(Call& call) : call_(call), plain_(call.Has('i')) {}

  void Line(std::string_view text, bool last) {
    call_.out.Put(plain_
                      ? std::string(text) + "\n"
                      : absl::StrFormat("%s%s%s\n", prefix_, last ? kLastBranch : kBranch, text));
  }
  void Enter(bool last) { prefix_ += last ? kNoTrunk : kTrunk; }
  void Leave(bool last) { prefix_.resize(prefix_.size() - (last ? kNoTrunk : kTrunk).size()); }

 private:
  Call& call_;
  const bool plain_;
  std::string prefix_;
};

std::optional<size_t> ParseLevel(Call& call) {
  const auto text = call.args.Value('L');
  if (!text) return kMaxTreeDepth;
  const auto level = base::ParseU64(*text);
  if (level && *level > 0) return std::min<size_t>(*level, kMaxTreeDepth);
  (void)call.Fail("Invalid level, must be greater than 0.");
  return std::nullopt;
}

// The tree as the file systems list it.
class NameTree {
 public:
  NameTree(Call& call, size_t max_depth) : call_(call), max_depth_(max_depth), printer_(call) {}

  void Start(const std::string& path);
  std::string Summary() const {
    const std::string dirs = absl::StrFormat("%d director%s", dirs_, dirs_ == 1 ? "y" : "ies");
    if (call_.Has('d')) return dirs;
    return absl::StrFormat("%s, %d file%s", dirs, files_, files_ == 1 ? "" : "s");
  }

 private:
  bool Wanted(const vfs::DirEntry& entry) const {
    const bool dir = entry.type == vfs::FileType::kDir;
    if (entry.name[0] == '.' && !call_.Has('a')) return false;
    if (call_.Has('d') && !dir) return false;
    const auto pattern = call_.args.Value('P');
    return dir || !pattern || Matches(*pattern, entry.name);
  }
  void Children(const std::string& path, size_t depth);

  Call& call_;
  const size_t max_depth_;
  TreePrinter printer_;
  uint64_t dirs_ = 0, files_ = 0;
};

void NameTree::Start(const std::string& path) {
  const auto st = call_.task().Stat(path);
  if (!st || !vfs::IsDir(st->mode)) {
    call_.out.Put(absl::StrFormat("%s  [error opening dir]\n", path));
    call_.set_status(kUsageError);
    return;
  }
  call_.out.Put(path + "\n");
  ++dirs_;
  Children(path, 1);
}

void NameTree::Children(const std::string& path, size_t depth) {
  auto listed = call_.task().ListDir(path);
  if (!listed) return (void)call_.Fail(path, listed.error());
  std::vector<vfs::DirEntry> entries = *std::move(listed);
  std::erase_if(entries, [this](const vfs::DirEntry& entry) { return !Wanted(entry); });
  std::ranges::sort(entries, {}, &vfs::DirEntry::name);
  for (size_t i = 0; i < entries.size() && !call_.Stopped(); ++i) {
    const vfs::DirEntry& entry = entries[i];
    const std::string child = JoinPath(path, entry.name);
    const bool last = i + 1 == entries.size();
    std::string shown = call_.Has('f') ? child : entry.name;
    if (entry.type == vfs::FileType::kSymlink) {
      shown += " -> " + call_.task().Readlink(child).value_or("?");
    }
    printer_.Line(shown, last);
    const bool dir = entry.type == vfs::FileType::kDir;
    ++(dir ? dirs_ : files_);
    if (!dir || depth == max_depth_) continue;
    printer_.Enter(last);
    Children(child, depth + 1);
    printer_.Leave(last);
  }
}

// The tree as the dentry cache holds it, across mounts. Asks no file system anything.
class CachedTree {
 public:
  CachedTree(Call& call, size_t max_depth)
      : call_(call), vfs_(call.task().vfs()), max_depth_(max_depth), printer_(call) {}

  void Start(const std::string& path);

 private:
  struct Child {
    std::string name;
    vfs::DentryRef dentry;
  };
  std::vector<Child> ChildrenOf(vfs::Dentry& dir);
  void Children(const vfs::Path& place, size_t depth);
  static std::string Label(std::string_view name, const vfs::Dentry& dentry);

  Call& call_;
  vfs::Vfs& vfs_;
  const size_t max_depth_;
  TreePrinter printer_;
};

// "name  dentry N  inode #INO M  TYPE [flags]"; the reference this listing holds is not counted.
std::string CachedTree::Label(std::string_view name, const vfs::Dentry& dentry) {
  const vfs::Inode& inode = dentry.inode();
  const uint32_t flags = dentry.flags();
  std::string label = absl::StrFormat("%s  dentry %d, inode %d #%d", name, dentry.refs() - 1,
                                      inode.refs(), inode.ino());
  if (flags & vfs::kDentryPinned) label += ", pinned";
  if (flags & vfs::kDentryMounted) label += ", mountpoint";
  if (flags & vfs::kDentryReferenced) label += ", referenced";
  if (dentry.is_root()) absl::StrAppendFormat(&label, ", root of %s", dentry.sb().type().name());
  return label;
}

std::vector<CachedTree::Child> CachedTree::ChildrenOf(vfs::Dentry& dir) {
  std::vector<Child> children;
  vfs_.dcache().ForEachChild(
      dir, [&](vfs::Dentry& dentry) { children.push_back({{}, vfs::DentryRef::Share(&dentry)}); });
  for (Child& child : children) child.name = child.dentry->NameCopy();
  std::ranges::sort(children, {}, &Child::name);
  return children;
}

void CachedTree::Children(const vfs::Path& place, size_t depth) {
  const std::vector<Child> children = ChildrenOf(*place.dentry);
  for (size_t i = 0; i < children.size() && !call_.Stopped(); ++i) {
    const bool last = i + 1 == children.size();
    printer_.Line(Label(children[i].name, *children[i].dentry), last);
    const vfs::Path child{place.mount, children[i].dentry};
    if (!child.dentry->is_dir() || depth == max_depth_) continue;
    printer_.Enter(last);
    Children(child, depth + 1);
    if (auto mounted = vfs_.mounts().Lookup(*place.mount, *child.dentry)) {
      const vfs::Path root{mounted, vfs::DentryRef::Share(&mounted->root())};
      printer_.Line(Label(children[i].name, *root.dentry), true);
      printer_.Enter(true);
      Children(root, depth + 1);
      printer_.Leave(true);
    }
    printer_.Leave(last);
  }
}

void CachedTree::Start(const std::string& path) {
  const auto place = call_.task().Resolve(path);
  if (!place) return (void)call_.Fail(path, place.error());
  call_.out.Put(Label(path, *place->dentry) + "\n");
  Children(*place, 1);
}

int RunTree(Call& call) {
  const auto level = ParseLevel(call);
  if (!level) return call.status();
  std::vector<std::string> paths = call.operands();
  if (paths.empty()) paths.emplace_back(".");
  if (call.Has(kCached)) {
    const MemoryCounts counts = CountMemory(call.task());
    CachedTree tree(call, *level);
    for (const std::string& path : paths) tree.Start(path);
    call.out.Put("\nin memory: " + Describe(counts) + "\n");
    return call.status();
  }
  NameTree tree(call, *level);
  for (const std::string& path : paths) tree.Start(path);
  call.out.Put("\n" + tree.Summary() + "\n");
  return call.status();
}

}  // namespace

constinit const Command kTreeCommand{
    .name = "tree",
    .summary = "list contents of directories in a tree-like format",
    .synopsis = "[OPTION]... [DIRECTORY]...",
    .details =
        "With --cached it lists what the dentry cache holds instead: for each name the references "
        "on\n"
        "its dentry, and the references on its inode with the inode number; below a mountpoint "
        "the\n"
        "root of what is mounted there; at the end the counts of everything in memory. A dentry "
        "with\n"
        "0 references is cached and may be dropped at any time (see drop_caches).",
    .options = kOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunTree,
};

}  // namespace dentree::shell
