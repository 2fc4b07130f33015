// Removal: of nodes, of provided objects, and of what one is standing on.
//
// The order is always: no new operation can start; those under way end; open files are released;
// the cached names go; the memory follows its last reference.

#include "kernfs/attrs_internal.h"
#include "kernfs/children_internal.h"
#include "kernfs/super_block_internal.h"
#include "kernfs/transient_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

void Root::Remove(Node& node) {
  base::AssertMayCallOut();
  const NodeRef pin = NodeRef::Share(&node);
  KillTree(node);
  ForgetNames({.domain = node.id()});
}

// Children before parents. Any number of threads may do this at once with trees that overlap: every
// one of them drains what it comes across itself, so none returns too early.
void Root::KillTree(Node& top) {
  const NodeRef pin = NodeRef::Share(&top);
  MarkAll(top, Node::kDead);
  SYNC_POINT(vfs().sync_points(), "kernfs:remove:marked");
  NodeRef victim;
  do {
    {
      base::ReadLock lock(tree_);
      victim = NodeRef::Share(&FirstBelowLocked(top));
    }
    DrainDomain(*victim);
    Unlink(*victim);
  } while (victim.get() != &top);
  kernfs().stats().Add<&KernfsStats::removals>();
}

void Root::DrainDomain(Node& node) {
  entries_->KillQuiet(node);
  while (const TransientRef t = entries_->FirstOfDomain(node)) {
    t->Drain();
    entries_->Unpublish(*t);
  }
  attrs_->ForgetDomain(node.id());
}

void Root::RemoveObject(ObjectId object) {
  base::AssertMayCallOut();
  DCHECK(object != kSelf && object <= kMaxObject);
  entries_->MarkDead(object);
  while (const TransientRef t = entries_->FirstOfObject(object)) {
    t->Drain();
    entries_->Unpublish(*t);
    // Names of its table's files go with the directory's.
    if (t->index() == kNoIndex) ForgetNames(t->identity());
  }
  attrs_->ForgetObject(object);
  kernfs().stats().Add<&KernfsStats::removals>();
}

bool Root::RemoveSelf(OpenFile& file) {
  Node& node = file.domain();
  const OpenFile::BreakActiveProtection unprotected(file);
  const bool won =
      !(node.flags_.fetch_or(Node::kSelfRemoval, std::memory_order_acq_rel) & Node::kSelfRemoval);
  Remove(node);
  return won;
}

// Protection is broken for the length of the removal only, so that the counts of the VFS's own
// operation stay right; the entry is dead by then.
void SyscallOps::Victim::Remove() {
  if (entry_ != nullptr) entry_->Release();
  root_.KillTree(node_);
  if (entry_ != nullptr) entry_->Acquire(Even::kIfDead);
}

base::Ref<vfs::SuperBlock> Root::Super() {
  base::MutexLock lock(entries_lock_);
  return super_ == nullptr ? nullptr : vfs::SuperBlock::TryGet(super_);
}

// The names by which an entry is cached, and all that is cached below them. The top has no name:
// what is below it goes.
void Root::ForgetNames(const Identity& entry) {
  const base::Ref<vfs::SuperBlock> super = Super();
  if (super == nullptr) return;
  vfs::Dcache& dcache = vfs().dcache();
  if (entry == Identity{.domain = top_->id()}) {
    dcache.ForEachChild(super->root(), [&dcache](vfs::Dentry& child) { dcache.Invalidate(child); });
    return;
  }
  const vfs::InodeRef inode =
      vfs().icache().Find(*super, InoOf(entry), [&entry](const vfs::Inode& each) {
        return each.priv<const Transient>().identity() == entry;
      });
  if (inode != nullptr) dcache.InvalidateAliases(*inode);
}

}  // namespace dentree::kernfs
