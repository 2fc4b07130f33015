// ramfs: files in memory, the root file system of a Vfs. Umbrella of the ramfs room.
//
// Its directories are the dcache: a dentry is pinned from the creation of its name to its removal,
// so what the cache does not know does not exist, and nothing of it can be reclaimed. Beside its
// dentry a name costs its directory 16 bytes, the index that gives readdir stable positions.
//
// Options of a mount (amounts as C writes numbers, with a suffix k, m, g, t, p or e):
//     mode=0755     permission bits of the root directory (octal)
//     uid=0 gid=0   its owner
//     size=64m      bytes of file contents, rounded up to pages of 4 KiB; kNoSpc beyond. 0: no
//                   limit. size=50%: of the memory (Vfs::Options::memory_limit, or the machine's)
//     nr_blocks=16k the same in pages
//     nr_inodes=1k  files, directories, and names of a file but its first; kNoSpc beyond. Extended
//                   attributes take of the same: 1 KiB is an inode. 0: no limit
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
