#include "tests/model/tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/string_util.h"

namespace dentree::model {

namespace {

constexpr size_t kWholeUpTo = 64 * 1024;  // bytes; of longer files the data only
constexpr int kMaxExtents = 64;
// In files that end beyond it the kernel answers SEEK_HOLE with nonsense: the end of their last
// page is no position.
constexpr int64_t kLastPosition = INT64_MAX - 2 * 4096;
constexpr size_t kPage = 4096;
// Times below are what utimens set, not the clock's.
constexpr int64_t kClockFrom = 10'000'000'000'000;

void AppendBytes(System& system, int fd, int64_t from, int64_t size, std::string& text) {
  const size_t before = text.size();
  text.resize(before + static_cast<size_t>(size));
  const int64_t n = system.Pread(fd, std::span(text).subspan(before), from);
  text.resize(before + static_cast<size_t>(std::max<int64_t>(n, 0)));
  if (n < 0) absl::StrAppendFormat(&text, "[error %d]", -n);
}

// Where the data is, and the bytes of it.
std::string ContentOf(System& system, int fd, int64_t size) {
  std::string text;
  const bool whole = size <= static_cast<int64_t>(kWholeUpTo);
  if (whole) AppendBytes(system, fd, 0, size, text);
  if (size < static_cast<int64_t>(kPage) || size > kLastPosition) return text;
  int64_t at = 0;
  for (int i = 0; i < kMaxExtents; ++i) {
    const int64_t data = system.Lseek(fd, at, SEEK_DATA);
    if (data < 0) break;
    at = system.Lseek(fd, data, SEEK_HOLE);
    absl::StrAppendFormat(&text, "[data %d to %d]", data, at);
    if (at <= data) break;
    if (!whole) AppendBytes(system, fd, data, std::min<int64_t>(at - data, kWholeUpTo), text);
  }
  return text;
}

std::string XattrsOf(System& system, int fd) {
  const System::Target of{.fd = fd};
  constexpr size_t kRoom = 65536;
  std::string names;
  const int64_t n = system.Listxattr(of, 0, names);
  if (n == 0) return {};
  if (n > 0) system.Listxattr(of, static_cast<size_t>(n), names);
  std::string text;
  const std::string sorted = SortedNames(names);
  for (const std::string_view name : base::Split(sorted, ' ')) {
    std::string value;
    if (name.empty()) continue;
    const int64_t answer = system.Getxattr(of, std::string(name), kRoom, value);
    absl::StrAppendFormat(&text, "%s=%d(%s) ", name, answer, value);
  }
  return text;
}

class Taker {
 public:
  explicit Taker(System& system) : system_(system) {}

  void TakeRoot() {
    Node& root = nodes.emplace_back();
    root.path = "/";
    CHECK(system_.Stat(AT_FDCWD, "/", true, root.attr) == 0, "the root is there");
    const auto fd = static_cast<int>(system_.Open(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0));
    CHECK(fd >= 0, "the root opens");
    TakeBelow(fd, "");
    system_.Close(fd);
  }

  std::vector<Node> nodes;

 private:
  void TakeBelow(int dir, const std::string& above) {
    std::vector<Entry> entries;
    const int64_t answer = system_.List(dir, entries);
    if (answer < 0) nodes.back().text = absl::StrFormat("[list: error %d]", -answer);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    for (const Entry& entry : entries) {
      if (entry.name != "." && entry.name != "..") TakeOne(dir, above, entry);
    }
  }

  void TakeOne(int dir, const std::string& above, const Entry& entry) {
    Node node;
    node.path = above + "/" + entry.name;
    const int64_t answer = system_.Stat(dir, entry.name, false, node.attr);
    if (answer < 0) node.text = absl::StrFormat("[stat: error %d]", -answer);
    node.listed_right =
        answer == 0 && entry.ino == node.attr.ino && entry.type == node.attr.mode >> 12;
    const uint32_t type = node.attr.mode & S_IFMT;
    if (type == S_IFLNK) system_.Readlink(dir, entry.name, node.text);
    if (type != S_IFREG && type != S_IFDIR) {
      nodes.push_back(std::move(node));
      return;
    }
    const int flags = O_RDONLY | O_NOFOLLOW | (type == S_IFDIR ? O_DIRECTORY : 0);
    const auto fd = static_cast<int>(system_.Open(dir, entry.name, flags, 0));
    if (fd < 0) node.text = absl::StrFormat("[open: error %d]", -fd);
    if (fd >= 0) node.xattrs = XattrsOf(system_, fd);
    if (fd >= 0 && type == S_IFREG) {
      node.text = ContentOf(system_, fd, static_cast<int64_t>(node.attr.size));
    }
    std::string path = node.path;
    nodes.push_back(std::move(node));
    if (fd < 0) return;
    if (type == S_IFDIR) TakeBelow(fd, path);
    system_.Close(fd);
  }

  System& system_;
};

std::string Abbreviated(std::string_view text) {
  constexpr size_t kShown = 60;
  if (text.size() <= kShown) return std::string(text);
  return absl::StrFormat("%s... (%d bytes)", text.substr(0, kShown), text.size());
}

std::string NodeDifference(const Node& kernel, const Node& dentree, InodePairs& pairs) {
  std::string difference = AttrDifference(kernel.attr, dentree.attr, pairs);
  if (!difference.empty()) return difference;
  if (kernel.listed_right != dentree.listed_right) return "listed with another inode or type";
  if (kernel.xattrs != dentree.xattrs) {
    return absl::StrFormat("attributes: kernel \"%s\", dentree \"%s\"", Abbreviated(kernel.xattrs),
                           Abbreviated(dentree.xattrs));
  }
  if (kernel.text == dentree.text) return {};
  const auto at = std::mismatch(kernel.text.begin(), kernel.text.end(), dentree.text.begin(),
                                dentree.text.end());
  const auto offset = static_cast<size_t>(at.first - kernel.text.begin());
  return absl::StrFormat("contents from byte %d on: kernel \"%s\", dentree \"%s\"", offset,
                         Abbreviated(std::string_view(kernel.text).substr(offset)),
                         Abbreviated(std::string_view(dentree.text).substr(offset)));
}

struct Moved {
  bool mtime, ctime;
  bool operator==(const Moved&) const = default;
};

using Before = std::unordered_map<uint64_t, const Attr*>;

Before ByInode(const std::vector<Node>& nodes) {
  Before before;
  for (const Node& node : nodes) before.emplace(node.attr.ino, &node.attr);
  return before;
}

// Nothing: it was not there before.
std::optional<Moved> MovedOf(const Before& before, const Attr& after) {
  const auto there = before.find(after.ino);
  if (there == before.end()) return std::nullopt;
  return Moved{there->second->mtime != after.mtime, there->second->ctime != after.ctime};
}

}  // namespace

std::string SortedNames(const std::string& names) {
  std::vector<std::string_view> sorted = base::Split(names, '\0');
  std::sort(sorted.begin(), sorted.end());
  std::string text;
  for (const std::string_view name : sorted) {
    if (!name.empty()) text.append(name).append(" ");
  }
  return text;
}

std::vector<Node> TakeTree(System& system) {
  Taker taker(system);
  system.Inspect(true);
  taker.TakeRoot();
  system.Inspect(false);
  return std::move(taker.nodes);
}

bool InodePairs::Same(uint64_t kernel, uint64_t dentree) {
  const auto [of_kernel, new_kernel] = of_kernel_.emplace(kernel, dentree);
  const auto [of_dentree, new_dentree] = of_dentree_.emplace(dentree, kernel);
  return of_kernel->second == dentree && of_dentree->second == kernel;
}

std::string AttrDifference(const Attr& kernel, const Attr& dentree, InodePairs& pairs) {
  if (kernel.mode != dentree.mode) {
    return absl::StrFormat("mode: kernel %o, dentree %o", kernel.mode, dentree.mode);
  }
  const auto differs = [](const char* what, auto k, auto d) {
    return absl::StrFormat("%s: kernel %d, dentree %d", what, k, d);
  };
  if (kernel.nlink != dentree.nlink) return differs("nlink", kernel.nlink, dentree.nlink);
  if (kernel.uid != dentree.uid) return differs("uid", kernel.uid, dentree.uid);
  if (kernel.gid != dentree.gid) return differs("gid", kernel.gid, dentree.gid);
  if (kernel.rdev != dentree.rdev) return differs("rdev", kernel.rdev, dentree.rdev);
  if (kernel.size != dentree.size) return differs("size", kernel.size, dentree.size);
  if (kernel.blocks != dentree.blocks) return differs("blocks", kernel.blocks, dentree.blocks);
  const auto time_differs = [](int64_t k, int64_t d) {
    return (k < kClockFrom || d < kClockFrom) && k != d;
  };
  if (time_differs(kernel.atime, dentree.atime)) {
    return differs("atime", kernel.atime, dentree.atime);
  }
  if (time_differs(kernel.mtime, dentree.mtime)) {
    return differs("mtime", kernel.mtime, dentree.mtime);
  }
  if (!pairs.Same(kernel.ino, dentree.ino)) {
    return differs("ino: another inode than before", kernel.ino, dentree.ino);
  }
  return {};
}

std::string TreeDifference(const std::vector<Node>& kernel, const std::vector<Node>& dentree,
                           InodePairs& pairs) {
  const size_t both = std::min(kernel.size(), dentree.size());
  for (size_t i = 0; i < both; ++i) {
    if (kernel[i].path != dentree[i].path) {
      return absl::StrFormat("kernel has \"%s\" where dentree has \"%s\"", kernel[i].path,
                             dentree[i].path);
    }
    const std::string difference = NodeDifference(kernel[i], dentree[i], pairs);
    if (!difference.empty()) return kernel[i].path + ": " + difference;
  }
  if (kernel.size() == dentree.size()) return {};
  const bool kernels = kernel.size() > both;
  return absl::StrFormat("only %s has \"%s\"", kernels ? "the kernel" : "dentree",
                         (kernels ? kernel : dentree)[both].path);
}

std::string MovedDifference(const std::vector<Node>& kernel_before,
                            const std::vector<Node>& kernel_after,
                            const std::vector<Node>& dentree_before,
                            const std::vector<Node>& dentree_after) {
  const Before kernel = ByInode(kernel_before);
  const Before dentree = ByInode(dentree_before);
  for (size_t i = 0; i < std::min(kernel_after.size(), dentree_after.size()); ++i) {
    const auto in_kernel = MovedOf(kernel, kernel_after[i].attr);
    const auto in_dentree = MovedOf(dentree, dentree_after[i].attr);
    if (!in_kernel || !in_dentree || in_kernel == in_dentree) continue;
    const bool mtime = in_kernel->mtime != in_dentree->mtime;
    const bool kernels = mtime ? in_kernel->mtime : in_kernel->ctime;
    const Attr& was = *kernel.at(kernel_after[i].attr.ino);
    return absl::StrFormat("%s: %s changed in %s only (kernel: %d, was %d)", kernel_after[i].path,
                           mtime ? "mtime" : "ctime", kernels ? "the kernel" : "dentree",
                           mtime ? kernel_after[i].attr.mtime : kernel_after[i].attr.ctime,
                           mtime ? was.mtime : was.ctime);
  }
  return {};
}

}  // namespace dentree::model
