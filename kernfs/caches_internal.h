// The object caches of a Kernfs: one row of slabinfo each.
#pragma once

#include "kernfs/attrs_internal.h"
#include "kernfs/node.h"
#include "kernfs/ops.h"
#include "kernfs/root.h"
#include "kernfs/transient_internal.h"
#include "mm/mm.h"

namespace dentree::kernfs {

struct Kernfs::Caches {
  explicit Caches(mm::Memory& memory)
      : nodes(memory, "kernfs_node"),
        transients(memory, "kernfs_transient", mm::CacheFlags::kReclaimable),
        open_files(memory, "kernfs_open_file"),
        overrides(memory, "kernfs_attr") {}

  mm::ObjectCache<Node> nodes;
  mm::ObjectCache<Transient> transients;  // go with their inodes
  mm::ObjectCache<OpenFile> open_files;
  mm::ObjectCache<Override> overrides;
};

}  // namespace dentree::kernfs
