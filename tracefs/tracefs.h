// tracefs: the tracing directory of a Vfs. Umbrella of the room.
//
//     trace::Registry registry({... .reserved_system_names = eventfs::ReservedSystemNames(),
//                               .reserved_event_names = eventfs::ReservedEventNames()});
//     auto tracefs = tracefs::Tracefs::Create(kernfs, registry, {}).value();
//     task.Mount("nodev", "/sys/kernel/tracing", "tracefs", "gid=1000");
//     task.Mkdir("/sys/kernel/tracing/instances/mine", 0);
//
// It is a kernfs tree and nothing besides. Two nodes are listed: its top and instances/; each
// instance is one more, with an object of a few hundred bytes behind it. Everything in them comes
// from constant tables and from providers (eventfs, per_cpu/).
//
// instances/ is where directories can be made and removed, decided by comparing the parent with the
// node kept from its creation. A directory made there has mode 0750 whatever was asked for, and can
// be found only when it is complete. It can be removed when no file in it is open (kBusy), whatever
// is enabled in it and whoever has directories of it open.
//
// Mount options: uid, gid and mode, as kernfs/mount.h tells; mode is 0700 otherwise.
#pragma once

#include <cstdint>
#include <memory>

#include "base/base.h"
#include "eventfs/eventfs.h"
#include "kernfs/kernfs.h"
#include "mm/mm.h"
#include "trace/trace.h"

namespace dentree::tracefs {

using base::Errno;
using base::Result;
using base::Status;

inline constexpr uint32_t kMagic = 0x74726163;

struct InstanceDir;

// The tree of one registry, registered in its Vfs as the file system type "tracefs".
//
// Thread safety: any thread. Lifetime: owned by who creates it, who also outlives it with the
// registry and the Vfs; destroyed while nobody looks at the registry (no event comes or goes). Its
// end takes all that is in the tree away: files still open answer kNoDev from then on.
class Tracefs final : private kernfs::SyscallOps {
 public:
  struct Options {
    eventfs::Extras extras = eventfs::Extras::kNone;
    uint32_t cpus = 0;  // 0: as many as the host has
  };
  // kNoMem.
  static Result<std::unique_ptr<Tracefs>> Create(std::shared_ptr<kernfs::Kernfs> kernfs,
                                                 trace::Registry& registry, const Options& options);
  ~Tracefs();

  kernfs::Root& root() const { return *root_; }
  kernfs::Node& instances() const { return *instances_; }

 private:
  class Instances;

  Tracefs(trace::Registry& registry, mm::Memory& memory, const Options& options);
  Status Build(std::shared_ptr<kernfs::Kernfs> kernfs);

  Result<kernfs::NodeRef> Mkdir(kernfs::Node& parent, std::string_view name,
                                kernfs::Mode permissions) override;
  Status Rmdir(Victim& victim) override;

  trace::Registry& registry_;
  const std::unique_ptr<Instances> live_;  // the objects behind the nodes
  const std::unique_ptr<InstanceDir> top_;
  kernfs::RootRef root_;
  kernfs::NodeRef instances_;
  std::unique_ptr<eventfs::RegistryWatch> watch_;
};

}  // namespace dentree::tracefs
