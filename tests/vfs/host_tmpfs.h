// The machine's own tmpfs, for tests that compare with the kernel.
#pragma once

#include <sys/vfs.h>

namespace dentree::vfs {

// Is /dev/shm a tmpfs?
inline bool ShmIsTmpfs() {
  constexpr long kTmpfs = 0x01021994;
  struct statfs where = {};
  return ::statfs("/dev/shm", &where) == 0 && where.f_type == kTmpfs;
}

}  // namespace dentree::vfs
