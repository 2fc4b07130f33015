// InstanceDir: what stands behind a tracing directory, the top one or one in instances/: the priv
// of its node (as eventfs::Host*). One node and one of these is all that an untouched instance is.
//
// Thread safety: as its parts. Lifetime: from before its node can be found until Root::Remove of
// the node has returned.
#pragma once

#include "base/base.h"
#include "eventfs/eventfs.h"
#include "tracefs/settings_internal.h"

namespace dentree::tracefs {

struct InstanceDir : eventfs::Host {
  // The top one.
  InstanceDir(trace::Registry& r, eventfs::Extras e, uint32_t cpus)
      : Host(r, r.top(), e), settings(Level::kTop, cpus) {}
  InstanceDir(base::Ref<trace::Instance> created, const InstanceDir& top)
      : Host(top.registry, *created, top.extras),
        kept(std::move(created)),
        settings(Level::kInstance, top.settings.cpus()) {}

  // What kernfs keeps.
  void* priv() { return static_cast<eventfs::Host*>(this); }
  static InstanceDir& From(void* priv) {
    return static_cast<InstanceDir&>(*static_cast<eventfs::Host*>(priv));
  }

  const base::Ref<trace::Instance> kept;  // null at the top
  Settings settings;
  base::ListNode siblings;
};

inline InstanceDir& DirOf(const kernfs::OpenFile& file) {
  return static_cast<InstanceDir&>(eventfs::HostOf(file));
}

}  // namespace dentree::tracefs
