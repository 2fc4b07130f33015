// The trees of /proc and /sys.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "kernfs/kernfs.h"
#include "os/os.h"

namespace dentree::os {

inline constexpr uint32_t kProcMagic = 0x9fa0;
inline constexpr uint32_t kSysMagic = 0x62656572;

// The priv of both trees.
struct System final : mm::ShrinkerWatch {
  explicit System(vfs::Vfs& owner) : vfs(owner), boot_ns(owner.clock().MonotonicNs()) {}

  // Its directory below /sys/kernel/debug goes (debug.cc).
  void ShrinkerGone(uint32_t id) override;

  vfs::Vfs& vfs;
  const int64_t boot_ns;
  kernfs::RootRef proc, sys;
};

inline const System& SystemOf(const kernfs::OpenFile& file) { return file.priv_as<System>(); }

// A file that is two functions:
//     std::string Show(const kernfs::OpenFile&)   or nullptr: cannot be read
//     Status Store(const kernfs::OpenFile&, std::string_view command)   or nullptr: cannot be
//     written
// The last says whether it is a way out of a shortage of memory (NodeOps::must_not_fail).
enum class MustNotFail : uint8_t { kNo, kYes };
template <auto kShow, auto kStore = nullptr, MustNotFail kMustNotFail = MustNotFail::kNo>
class SystemFile final : public kernfs::TextOps {
 public:
  constexpr SystemFile() = default;
  bool must_not_fail() const override { return kMustNotFail == MustNotFail::kYes; }
  Result<std::string> Show(kernfs::OpenFile& file) const override {
    if constexpr (std::is_null_pointer_v<decltype(kShow)>) {
      return kernfs::TextOps::Show(file);
    } else {
      return kShow(file);
    }
  }
  Status Store(kernfs::OpenFile& file, std::string_view command) const override {
    if constexpr (std::is_null_pointer_v<decltype(kStore)>) {
      return kernfs::TextOps::Store(file, command);
    } else {
      return kStore(file, command);
    }
  }
};

extern const kernfs::DirType kProcDir;
extern const kernfs::DirType kSysDir;
extern const kernfs::DirType kVmSysctlDir;  // proc_memory.cc
extern const kernfs::DirType kFsSysctlDir;
extern const kernfs::DirType kDebugDir;  // debug.cc

// proc_memory.cc
std::string ShowAllocInfo(const kernfs::OpenFile& file);
std::string ShowMemoryReport(const kernfs::OpenFile& file);

}  // namespace dentree::os
