#include "vfs/mount_options.h"

#include <algorithm>
#include <iterator>

namespace dentree::vfs {
namespace {

constexpr uint64_t kTimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

// A word of mount -o.
struct Word {
  std::string_view name;
  uint64_t set = 0, clear = 0;
};
constexpr Word kWords[] = {
    {"defaults"},
    {"ro", MS_RDONLY},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC},
    {"mand", MS_MANDLOCK},
    {"nomand", 0, MS_MANDLOCK},
    {"lazytime", MS_LAZYTIME},
    {"nolazytime", 0, MS_LAZYTIME},
    {"noatime", MS_NOATIME, MS_RELATIME | MS_STRICTATIME},
    {"atime", 0, MS_NOATIME},
    {"relatime", MS_RELATIME, MS_NOATIME | MS_STRICTATIME},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, MS_NOATIME | MS_RELATIME},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"nodiratime", MS_NODIRATIME},
    {"diratime", 0, MS_NODIRATIME},
    {"nosymfollow", MS_NOSYMFOLLOW},
    {"symfollow", 0, MS_NOSYMFOLLOW},
    {"silent", MS_SILENT},
    {"loud", 0, MS_SILENT},
    {"remount", MS_REMOUNT},
    {"bind", MS_BIND},
    {"rbind", MS_BIND | MS_REC},
    {"move", MS_MOVE},
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
};

struct Pair {
  uint64_t ms;
  uint32_t super;
  std::string_view shown;
};
constexpr Pair kSuperFlags[] = {
    {MS_RDONLY, kSbReadOnly, ""},
    {MS_SYNCHRONOUS, kSbSync, ",sync"},
    {MS_DIRSYNC, kSbDirSync, ",dirsync"},
    {MS_MANDLOCK, kSbMand, ",mand"},
    {MS_LAZYTIME, kSbLazyTime, ",lazytime"},
};

struct Shown {
  MountFlags flag;
  std::string_view text;
};
constexpr Shown kMountFlagNames[] = {
    {MS_NOSUID, ",nosuid"},           {MS_NODEV, ",nodev"},           {MS_NOEXEC, ",noexec"},
    {MS_NOATIME, ",noatime"},         {MS_NODIRATIME, ",nodiratime"}, {MS_RELATIME, ",relatime"},
    {MS_NOSYMFOLLOW, ",nosymfollow"},
};

// Calls fn(word) for each; commas separate them.
template <class Fn>
void ForEachWord(std::string_view options, Fn fn) {
  while (!options.empty()) {
    const size_t comma = std::min(options.find(','), options.size());
    if (comma > 0) fn(options.substr(0, comma));
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
}

const Word* FindWord(std::string_view name) {
  const auto* const found = std::ranges::find(kWords, name, &Word::name);
  return found == std::end(kWords) ? nullptr : found;
}

void AddWord(std::string& list, std::string_view word) {
  if (!list.empty()) list += ',';
  list += word;
}

}  // namespace

MountOptions SplitMountOptions(std::string_view options) {
  MountOptions result;
  ForEachWord(options, [&result](std::string_view option) {
    const Word* const word = FindWord(option);
    if (word == nullptr) return AddWord(result.data, option);
    result.set = (result.set & ~word->clear) | word->set;
    result.clear = (result.clear & ~word->set) | word->clear;
  });
  return result;
}

MountData SplitMountData(std::string_view data) {
  MountData result;
  ForEachWord(data, [&result](std::string_view option) {
    const Word* const word = FindWord(option);
    constexpr uint64_t kSupers =
        MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME;
    const uint64_t touched = word == nullptr ? 0 : word->set | word->clear;
    if (touched == 0 || (touched & ~kSupers)) return AddWord(result.rest, option);
    const uint32_t set = SuperFlagsOf(word->set);
    const uint32_t clear = SuperFlagsOf(word->clear);
    result.set = (result.set & ~clear) | set;
    result.clear = (result.clear & ~set) | clear;
  });
  return result;
}

MountFlags MountFlagsOf(uint64_t ms, MountFlags old) {
  auto flags = static_cast<MountFlags>(ms & kMountFlagMask & ~uint64_t{MS_RELATIME});
  if (!(ms & MS_NOATIME)) flags |= MS_RELATIME;
  if (ms & MS_STRICTATIME) flags &= ~kMountTimeFlags;
  if ((ms & MS_REMOUNT) && !(ms & (kTimes | MS_NODIRATIME))) {
    constexpr MountFlags kKept = kMountTimeFlags | MS_NODIRATIME;
    flags = (flags & ~kKept) | (old & kKept);
  }
  return flags;
}

uint32_t SuperFlagsOf(uint64_t ms) {
  uint32_t flags = 0;
  for (const Pair& pair : kSuperFlags) {
    if (ms & pair.ms) flags |= pair.super;
  }
  return flags;
}

uint64_t RemountFlagsOf(const Mount& mount) {
  uint64_t ms = mount.flags();
  if (!mount.Has(kMountTimeFlags)) ms |= MS_STRICTATIME;
  for (const Pair& pair : kSuperFlags) {
    if (mount.sb().flags() & pair.super) ms |= pair.ms;
  }
  return ms;
}

std::string ShowMountFlags(MountFlags flags) {
  std::string text = flags & MS_RDONLY ? "ro" : "rw";
  for (const Shown& name : kMountFlagNames) {
    if (flags & name.flag) text += name.text;
  }
  return text;
}

std::string ShowSuperFlags(uint32_t flags) {
  std::string text = flags & kSbReadOnly ? "ro" : "rw";
  for (const Pair& pair : kSuperFlags) {
    if (flags & pair.super) text += pair.shown;
  }
  return text;
}

}  // namespace dentree::vfs
