#include "tests/model/compare.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>

#include "absl/strings/str_format.h"
#include "base/errno.h"

namespace dentree::model {

namespace {

bool Opens(const Op& op) {
  const std::string_view name = op.kind->name;
  return name == "open" || name == "create" || name == "opendir" || name == "openat2";
}

void DropSlot(System& system, int slot) {
  int& fd = system.Slot(slot);
  if (fd >= 0) system.Close(fd);
  fd = -1;
}

// Of what the path led to, as far as it did.
Attr WhatOpenMeant(System& system, const Op& op) {
  const auto flags = static_cast<uint64_t>(op.a);
  Attr attr;
  const auto fd = static_cast<int>(system.Openat2(
      system.Dir(op.dir), op.path, O_PATH | (flags & O_NOFOLLOW), 0, flags >> kResolveShift));
  if (fd < 0) return attr;
  system.Fstat(fd, attr);
  system.Close(fd);
  return attr;
}

// Both sides are as if the descriptor had been closed.
void LevelSpecialFiles(Compared& compared) {
  Outcome& kernel = compared.kernel_out;
  const int64_t dentree = compared.dentree_out.result;
  if (!Opens(compared.op) || (dentree != -ENXIO && dentree != -EPERM)) return;
  Attr attr;
  if (kernel.result == 0) {
    compared.kernel.Fstat(compared.kernel.Slot(compared.op.slot), attr);
  } else {
    // Both: who has looked is somebody else to descriptors that were opened before.
    for (System* system : {&compared.kernel, &compared.dentree}) system->Inspect(true);
    attr = WhatOpenMeant(compared.kernel, compared.op);
    for (System* system : {&compared.kernel, &compared.dentree}) system->Inspect(false);
  }
  const bool fifo =
      S_ISFIFO(attr.mode) && dentree == -ENXIO && (kernel.result == 0 || kernel.result == -EINVAL);
  // The tmpfs lets no device be opened, and says so first.
  const bool device = (S_ISCHR(attr.mode) || S_ISBLK(attr.mode)) && kernel.result == -EACCES;
  if (!fifo && !device) return;
  kernel.result = dentree;
  DropSlot(compared.kernel, compared.op.slot);
  DropSlot(compared.dentree, compared.op.slot);
}

// Beyond it, where a page ends is no position any more.
constexpr uint64_t kLastPosition = INT64_MAX - 2 * 4096;

void LevelLastPage(Compared& compared) {
  const Op& op = compared.op;
  if (std::string_view(op.kind->name) != "lseek" || op.b < SEEK_DATA) return;
  Attr attr;
  compared.kernel.Fstat(compared.kernel.Slot(op.slot), attr);
  if (attr.size <= kLastPosition) return;
  compared.kernel_out.result = compared.dentree_out.result;
  for (System* system : {&compared.kernel, &compared.dentree}) {
    system->Lseek(system->Slot(op.slot), 0, SEEK_SET);
  }
}

void LevelBlocks(Attr& kernel, Attr& dentree) {
  if (!S_ISREG(kernel.mode) || !S_ISREG(dentree.mode)) dentree.blocks = kernel.blocks;
}

void LevelDirSize(Attr& kernel, Attr& dentree) {
  if (S_ISDIR(kernel.mode) && S_ISDIR(dentree.mode)) dentree.size = kernel.size;
}

constexpr Filter kFilters[] = {
    {"special-files", "fifos and devices are names only: ENXIO from open", LevelSpecialFiles,
     nullptr},
    {"last-page", "Linux loses the data in the last page that a file can have", LevelLastPage,
     nullptr},
    {"blocks", "long symlinks take a page in tmpfs", nullptr, LevelBlocks},
    {"directory-size", "tmpfs counts 20 bytes a name, dentree 0", nullptr, LevelDirSize},
};

void LevelAttrs(Attr& kernel, Attr& dentree) {
  for (const Filter& filter : kFilters) {
    if (filter.attrs != nullptr) filter.attrs(kernel, dentree);
  }
}

std::string ListDifference(std::vector<Entry>& kernel, std::vector<Entry>& dentree,
                           InodePairs& pairs) {
  const auto by_name = [](const Entry& a, const Entry& b) { return a.name < b.name; };
  std::sort(kernel.begin(), kernel.end(), by_name);
  std::sort(dentree.begin(), dentree.end(), by_name);
  const auto [k, d] =
      std::mismatch(kernel.begin(), kernel.end(), dentree.begin(), dentree.end(),
                    [](const Entry& a, const Entry& b) { return a.name == b.name; });
  if (k != kernel.end() || d != dentree.end()) {
    return absl::StrFormat("names: kernel has %s, dentree has %s",
                           k == kernel.end() ? "no more" : Quoted(k->name),
                           d == dentree.end() ? "no more" : Quoted(d->name));
  }
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i].type != dentree[i].type) return "type of " + Quoted(kernel[i].name);
    // Above the root of a world each kernel sees something else.
    if (kernel[i].name != ".." && !pairs.Same(kernel[i].ino, dentree[i].ino)) {
      return "inode of " + Quoted(kernel[i].name);
    }
  }
  return {};
}

}  // namespace

std::span<const Filter> Filters() { return kFilters; }

std::string ResultText(int64_t result) {
  if (result >= 0) return result == 0 ? "success" : std::to_string(result);
  return std::string(base::ErrnoName(static_cast<base::Errno>(-result)));
}

std::string AnswerDifference(Compared compared, InodePairs& pairs) {
  for (const Filter& filter : kFilters) {
    if (filter.answers != nullptr) filter.answers(compared);
  }
  Outcome& kernel = compared.kernel_out;
  Outcome& dentree = compared.dentree_out;
  if (kernel.result != dentree.result) {
    return absl::StrFormat("kernel %s, dentree %s", ResultText(kernel.result),
                           ResultText(dentree.result));
  }
  if (kernel.result < 0) return {};
  if (kernel.data != dentree.data) {
    return absl::StrFormat("kernel %s, dentree %s", Quoted(kernel.data), Quoted(dentree.data));
  }
  if (kernel.attr && dentree.attr) {
    LevelAttrs(*kernel.attr, *dentree.attr);
    const std::string difference = AttrDifference(*kernel.attr, *dentree.attr, pairs);
    if (!difference.empty()) return difference;
  }
  return ListDifference(kernel.entries, dentree.entries, pairs);
}

std::string LevelledTreeDifference(std::vector<Node>& kernel, std::vector<Node>& dentree,
                                   InodePairs& pairs) {
  for (size_t i = 0; i < std::min(kernel.size(), dentree.size()); ++i) {
    LevelAttrs(kernel[i].attr, dentree[i].attr);
  }
  return TreeDifference(kernel, dentree, pairs);
}

}  // namespace dentree::model
