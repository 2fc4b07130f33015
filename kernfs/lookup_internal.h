// Lookups: from a name in a directory to what it is, and to the inode that stands for it.
#pragma once

#include <optional>
#include <string_view>

#include "kernfs/root.h"
#include "kernfs/super_block_internal.h"
#include "kernfs/transient_internal.h"
#include "vfs/dentry.h"
#include "vfs/inode.h"

namespace dentree::kernfs {

// A child by identity, and who can say what it is.
struct Found {
  NodeRef domain;
  ObjectId object = kSelf;
  uint16_t index = kNoIndex;
  const TableEntry* entry = nullptr;   // from a table,
  const Provider* provider = nullptr;  // or from a provider; neither: listed

  Identity identity() const { return {domain->id(), object, index}; }
};

class Lookups {
 public:
  static Transient& Of(const vfs::Inode& inode) { return inode.priv<Transient>(); }
  static Root& RootOf(const vfs::Inode& inode) {
    return static_cast<SuperBlock&>(inode.sb()).tree();
  }

  // The child of a directory with this name. Table entries are found whether present or not.
  // Nothing is allocated. REQUIRES: an active reference of `dir`.
  static std::optional<Found> Child(Root& root, Transient& dir, std::string_view name,
                                    uint32_t hash);

  // The inode of a child, cached or made. kNoEnt: it is not there, or not any more. `dir` may be
  // null for a listed child. REQUIRES: an active reference of `dir`.
  static Result<vfs::InodeRef> InodeOf(SuperBlock& sb, Transient* dir, const Found& child);

  // The attributes in force, without waiting and without allocation; stored into the inode when
  // that is possible at once.
  static vfs::Stat Attrs(vfs::Inode& inode);
  // Stores them. REQUIRES: the inode's semaphore held for writing, or the inode seen by nobody.
  static void StoreAttrs(Root& root, vfs::Inode& inode);

  static SyscallOps* Syscalls(Root& root) { return root.syscalls_; }
  static AttrMap& AttrsOf(Root& root) { return *root.attrs_; }
  // Copies active listed children with ids above `after` into the sink.
  static void ListListed(Root& root, Node& dir, uint64_t after, ChildSink& sink);

 private:
  static void BecomeListed(Transient& t);
  static Status Describe(Transient& t, const Found& child, Transient* dir);
  static Result<vfs::InodeRef> Make(SuperBlock& sb, Transient* dir, const Found& child);
};

}  // namespace dentree::kernfs
