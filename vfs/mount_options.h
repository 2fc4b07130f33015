// Options of mounts in the two forms that there are: words, as mount -o takes them, and the MS_*
// flags and data of mount(2).
#pragma once

#include <string>
#include <string_view>

#include "vfs/mount.h"

namespace dentree::vfs {

// What "mount -o" says, split as mount(8) does.
struct MountOptions {
  uint64_t set = 0, clear = 0;  // MS_*; the last word counts
  std::string data;             // the rest, which is the file system's
};
MountOptions SplitMountOptions(std::string_view options);

// What the data of mount(2) says that is not the file system's: "ro", "rw", "sync" and the like are
// the super block's.
struct MountData {
  uint32_t set = 0, clear = 0;  // SuperFlags
  std::string rest;
};
MountData SplitMountData(std::string_view data);

// A mount's flags as mount(2) makes them of MS_*: relatime unless another is asked for. With
// MS_REMOUNT and nothing said about times, those of `old` stay.
MountFlags MountFlagsOf(uint64_t ms, MountFlags old = 0);
// A super block's, SuperFlags.
uint32_t SuperFlagsOf(uint64_t ms);
// The MS_* that would make a mount as it is, for a remount that changes some of them.
uint64_t RemountFlagsOf(const Mount& mount);
// What a remount may change of a super block.
inline constexpr uint32_t kSbRemountMask = kSbReadOnly | kSbSync | kSbMand | kSbLazyTime;

// "rw,nosuid,relatime", and "rw,sync".
std::string ShowMountFlags(MountFlags flags);
std::string ShowSuperFlags(uint32_t flags);

}  // namespace dentree::vfs
