// labfs: a file system whose names are somewhere else, as on a server, and whose answers take the
// time one wants them to take.
//
//     vfs->RegisterType(lab::Labfs());
//     vfs->MountRoot("labfs", "cost_ns=4000");
//     lab::AddName(vfs->Root(), "/usr/lib/libc.so", vfs::FileType::kRegular);   // no cache hears
//     task.Stat("/usr/lib/nope");                              // asks, and takes 4 microseconds
//     lab::LabStatsOf(vfs->Root()).Sum<&lab::LabStats::misses>();              // 1
//
// It is not authoritative: dentries, inodes and negatives are cached as those of a disk are. Names
// can be made, moved and removed; regular files stay empty (kNoSpc).
//
// Mount option:
//     cost_ns=N   how long one lookup takes (0); the thread is kept busy so long, and the error is
//                 one reading of the clock, some 30 ns
//
// Thread safety: as any file system; AddName before others use the mount. Lifetime: a mount has its
// own names, which go with it. They are the far side's: not charged to the Vfs.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/base.h"
#include "vfs/vfs.h"

namespace dentree::lab {

// What a lookup may cost at most: a second.
inline constexpr uint64_t kMaxCostNs = 1'000'000'000;

struct LabStats {
  base::Counter lookups;  // names the file system was asked for
  base::Counter misses;   // of these, names that it did not have
};

// The file system type "labfs".
std::unique_ptr<vfs::FileSystemType> Labfs();

// Makes a name, with directories above it, without any cache of the Vfs; one that is there stays
// what it is. `place` is on a labfs, `path` from the root of that.
void AddName(const vfs::Path& place, std::string_view path, vfs::FileType type);

// Of the labfs that `place` is on.
base::Sharded<LabStats>& LabStatsOf(const vfs::Path& place);

}  // namespace dentree::lab
