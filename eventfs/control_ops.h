// Pinning: operations of a file in a tracing directory. While one is open its instance cannot be
// removed (rmdir answers kBusy): any file, without exception, and no directory.
//
// Thread safety and lifetime: constants without state, as all kernfs operations.
#pragma once

#include "eventfs/host.h"
#include "kernfs/kernfs.h"
#include "trace/trace.h"
#include "vfs/vfs.h"

namespace dentree::eventfs {

using base::Errno;
using base::Result;
using base::Status;

// `Base` is kernfs::TextOps, for texts and commands, or kernfs::NodeOps, for streams.
template <class Base>
class Pinning : public Base {
 public:
  Status Open(kernfs::OpenFile& file) const final {
    Host& host = HostOf(file);
    SYNC_POINT(file.root().vfs().sync_points(), "eventfs:open:unpinned");
    trace::InstancePin pin = TRY(host.instance.Pin());
    TRY(Opened(file));
    file.set_data(pin.Leak());
    return {};
  }
  void Release(kernfs::OpenFile& file) const final {
    trace::InstancePin::Adopt(&file.data_as<trace::Instance>()).Reset();
  }

 protected:
  constexpr Pinning() = default;
  constexpr ~Pinning() = default;

  // For what a file does when opened (O_TRUNC is in flags()). An error fails the open.
  virtual Status Opened(kernfs::OpenFile&) const { return {}; }
};

// How a text file answers lseek. Linux has both kinds side by side.
enum class Seeking : uint8_t {
  kText,   // as seq_file: from the start only; 0 in a file that is open for writing only
  kBytes,  // as a regular file of no bytes
};

template <Seeking kSeeking>
class ControlOps : public Pinning<kernfs::TextOps> {
 public:
  Result<uint64_t> Seek(kernfs::OpenFile& file, int64_t offset, vfs::Whence whence) const final {
    if constexpr (kSeeking == Seeking::kBytes) {
      return kernfs::NodeOps::Seek(file, offset, whence);
    } else {
      if (!file.readable()) return 0;
      return kernfs::TextOps::Seek(file, offset, whence);
    }
  }

 protected:
  constexpr ControlOps() = default;
  constexpr ~ControlOps() = default;
};

using TextControl = ControlOps<Seeking::kText>;
using ValueControl = ControlOps<Seeking::kBytes>;
using StreamControl = Pinning<kernfs::NodeOps>;

// A command that must be 0 or 1: a number as Linux parses them, anything else is kInval (kRange if
// it is too large for a number).
Result<trace::Switch> ParseSwitch(std::string_view command);

}  // namespace dentree::eventfs
