#include "vfs/mount.h"

#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

Mount::Mount(MountTree& tree, uint32_t id, SuperBlock& sb, Dentry& root, MountFlags flags)
    : rcu_(tree.vfs_.rcu()),
      sb_(SuperRef::Share(&sb).Leak()),
      root_(DentryRef::Share(&root).Leak()),
      tree_(tree),
      id_(id),
      flags_(flags) {
  sb_->mounts_.fetch_add(1, std::memory_order_relaxed);
}

Mount::~Mount() {
  if (cells_ != nullptr) tree_.count_cache_.Delete(cells_);
  tree_.vfs_.memory().FreeBytes(source_, source_size_);
}

void Mount::Put(Mount* mount) {
  if (!mount->CountByThread(-1)) mount->PutCounted();
}

void Mount::PutCounted() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const SuperRef sb = SuperRef::Adopt(sb_);  // the last to go
  sb->mounts_.fetch_sub(1, std::memory_order_relaxed);
  Dentry::Put(root_);
  rcu_.Retire(
      &free_,
      [](base::RcuHead* head) {
        auto* const dead = base::ObjectOf<Mount, base::RcuHead, &Mount::free_>(head);
        dead->tree_.cache_.Delete(dead);
      },
      sizeof(Mount));
}

bool Mount::TryGet() {
  if (CountInSection(1)) return true;
  int32_t refs = refs_.load(std::memory_order_relaxed);
  while (refs > 0) {
    if (refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

Status Mount::BeginWrite() {
  writers_.fetch_add(1);
  sb_->writers_.fetch_add(1);
  if (!(flags_.load() & MS_RDONLY) && !(sb_->flags_.load() & kSbReadOnly)) return {};
  EndWrite();
  return base::Err(Errno::kRoFs);
}

void Mount::EndWrite() {
  sb_->writers_.fetch_sub(1);
  writers_.fetch_sub(1);
}

void MountNamespace::Put(MountNamespace* ns) {
  if (ns->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) ns->tree_.End(*ns);
}

}  // namespace dentree::vfs
