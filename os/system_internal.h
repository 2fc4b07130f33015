// The trees of /proc and /sys.
#pragma once

#include "kernfs/kernfs.h"
#include "os/os.h"

namespace dentree::os {

inline constexpr uint32_t kProcMagic = 0x9fa0;
inline constexpr uint32_t kSysMagic = 0x62656572;

// The priv of both trees.
struct System {
  explicit System(const vfs::Vfs& vfs) : boot_ns(vfs.clock().MonotonicNs()) {}

  const int64_t boot_ns;
  kernfs::RootRef proc, sys;
};

inline const System& SystemOf(const kernfs::OpenFile& file) { return file.priv_as<System>(); }

extern const kernfs::DirType kProcDir;
extern const kernfs::DirType kSysDir;

}  // namespace dentree::os
