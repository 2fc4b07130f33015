// ramfs: files in memory, the root file system of a Vfs. Umbrella of the ramfs room.
//
// Its directories are the dcache: a dentry is pinned from the creation of its name to its removal,
// so what the cache does not know does not exist, and nothing of it can be reclaimed. Beside its
// dentry a name costs its directory 16 bytes, the index that gives readdir stable positions.
//
// Options of a mount (sizes take a suffix k, m or g):
//     mode=0755     permission bits of the root directory (octal)
//     uid=0 gid=0   its owner
//     size=64m      bytes of file contents, rounded up to pages of 4 KiB; kNoSpc beyond. 0: no
//     limit nr_inodes=1k  files and directories; kNoSpc beyond. 0: no limit
// A remount may change size and nr_inodes, never below what is in use; the others describe the root
// directory as it was made and are accepted without effect, as Linux does.
#pragma once

#include <memory>

#include "vfs/vfs.h"

namespace dentree::ramfs {

// As in <linux/magic.h>: what statfs reports.
inline constexpr uint32_t kMagic = 0x858458f6;

// The type "ramfs", to be registered with a Vfs: every mount of it is a file system of its own.
std::unique_ptr<vfs::FileSystemType> Type();

}  // namespace dentree::ramfs
