// The control files of a tracing directory: tables of them, and the operations they are made of.
#pragma once

#include <type_traits>

#include "eventfs/control_ops.h"
#include "kernfs/kernfs.h"
#include "tracefs/instance_dir_internal.h"

namespace dentree::tracefs {

using kernfs::OpenFile;

// A control file that is two functions of its directory:
//     Result<std::string> Show(InstanceDir&)   or nullptr: cannot be read
//     Status Store(InstanceDir&, std::string_view command)   or nullptr: cannot be written
template <auto kShow, auto kStore, class Base>
class Control final : public Base {
 public:
  constexpr Control() = default;
  Result<std::string> Show(OpenFile& file) const override {
    if constexpr (std::is_null_pointer_v<decltype(kShow)>) {
      return Base::Show(file);
    } else {
      return kShow(DirOf(file));
    }
  }
  Status Store(OpenFile& file, std::string_view command) const override {
    if constexpr (std::is_null_pointer_v<decltype(kStore)>) {
      return Base::Store(file, command);
    } else {
      return kStore(DirOf(file), command);
    }
  }
};

template <auto kShow, auto kStore = nullptr>
using TextFile = Control<kShow, kStore, eventfs::TextControl>;
template <auto kShow, auto kStore = nullptr>
using ValueFile = Control<kShow, kStore, eventfs::ValueControl>;

// The consuming readers of the ring buffer, as text and as pages. There is nothing to read yet:
// kAgain for who does not want to wait, the end for who does.
class Pipe final : public eventfs::StreamControl {
 public:
  constexpr Pipe() = default;
  Result<size_t> Read(OpenFile& file, std::span<std::byte> out, uint64_t pos) const override;
  Result<uint64_t> Seek(OpenFile& file, int64_t offset, vfs::Whence whence) const override;
  vfs::PollEvents Poll(OpenFile& file) const override;
};

// --- The directories ---

// Objects of the fixed directories and of processors; systems and events have eventfs's space.
inline constexpr uint8_t kDirSpace = eventfs::kObjectSpace + 1;
inline constexpr uint8_t kCpuSpace = eventfs::kObjectSpace + 2;
inline constexpr kernfs::ObjectId kOptionsObject = kernfs::ObjectIn(kDirSpace, 1);
inline constexpr kernfs::ObjectId kPerCpuObject = kernfs::ObjectIn(kDirSpace, 2);

extern const kernfs::DirType kTopDir;        // control files, events/, options/, per_cpu/
extern const kernfs::DirType kInstanceDir;   // the same without what only the top has
extern const kernfs::DirType kInstancesDir;  // listed directories only
extern const kernfs::DirType kOptionsDir;
extern const kernfs::DirType kPerCpuDir;

// What `trace` says while nothing was recorded.
Result<std::string> ShowTrace(InstanceDir& dir);
// Takes anything: what a file that is only opened to be cleared does with what is written.
Status Ignore(InstanceDir& dir, std::string_view command);

// The text of the file README.
extern const std::string_view kReadme;

}  // namespace dentree::tracefs
