#include "vfs/mount.h"

#include <algorithm>
#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

Mount::Mount(SuperRef sb, uint32_t flags, uint32_t id, std::string_view source)
    : sb_(std::move(sb)),
      root_(DentryRef::Share(&sb_->root())),
      id_(id),
      source_(source),
      flags_(flags) {}

void Mount::Put(Mount* mount) {
  while (mount != nullptr && mount->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    Mount* const parent = std::exchange(mount->parent_, nullptr);
    if (mount->mountpoint_ != nullptr) Dentry::Put(mount->mountpoint_);
    delete mount;
    mount = parent;
  }
}

Status Mount::BeginWrite() {
  writers_.fetch_add(1);
  if (!read_only()) return {};
  EndWrite();
  return base::Err(Errno::kRoFs);
}

MountOptions SplitMountOptions(std::string_view options) {
  MountOptions result;
  while (!options.empty()) {
    const size_t comma = options.find(',');
    const std::string_view option = options.substr(0, comma);
    options = comma == options.npos ? std::string_view() : options.substr(comma + 1);
    if (option == "ro") {
      result.set |= kMntReadOnly;
      result.clear &= ~kMntReadOnly;
    } else if (option == "rw") {
      result.clear |= kMntReadOnly;
      result.set &= ~kMntReadOnly;
    } else if (option != "defaults" && option != "remount" && !option.empty()) {
      if (!result.rest.empty()) result.rest += ',';
      result.rest += option;
    }
  }
  return result;
}

MountTree::MountTree(Vfs& vfs) : vfs_(vfs) {}

MountTree::~MountTree() { DetachAll(); }

Result<MountRef> MountTree::Attach(SuperRef sb, const Path& at, uint32_t flags,
                                   std::string_view source) {
  base::MutexLock lock(mutex_);
  MountRef mount = MountRef::Adopt(new Mount(std::move(sb), flags, next_id_, source));
  if (at) {
    // A directory being removed takes no more mounts; one that has any is not removed.
    base::ReadLock dir_lock(at.inode().sem());
    if (at.dentry->unhashed() || at.inode().dead()) return base::Err(Errno::kNoEnt);
    at.dentry->flags_.fetch_or(kDentryMounted, std::memory_order_release);
  }
  {
    base::WriteLock table_lock(table_sem_);
    if (at ? table_.contains(Key{at.mount.get(), at.dentry.get()}) : root_ != nullptr) {
      return base::Err(Errno::kBusy);
    }
    if (at) {
      mount->parent_ = MountRef(at.mount).Leak();
      mount->mountpoint_ = DentryRef(at.dentry).Leak();
      table_[Key{mount->parent_, mount->mountpoint_}] = mount.get();
    } else {
      root_ = mount.get();
    }
  }
  ++next_id_;
  mounts_.push_back(mount);
  return mount;
}

// In use beyond the tree's own reference and `own_references` of the caller. What is mounted on it
// refers to it too.
bool MountTree::BusyLocked(const Mount& mount, int32_t own_references) {
  return mount.refs_.load(std::memory_order_acquire) > 1 + own_references;
}

// Takes a mount out of the table and the list; its mountpoint is one no longer unless others are
// there.
MountRef MountTree::UnlinkLocked(Mount& mount) {
  if (mount.mountpoint_ != nullptr) {
    table_.erase(Key{mount.parent_, mount.mountpoint_});
    const bool still = std::any_of(table_.begin(), table_.end(), [&](const auto& entry) {
      return entry.first.dentry == mount.mountpoint_;
    });
    if (!still) mount.mountpoint_->flags_.fetch_and(~kDentryMounted, std::memory_order_release);
  } else {
    root_ = nullptr;
  }
  const auto at = std::find_if(mounts_.begin(), mounts_.end(),
                               [&](const MountRef& ref) { return ref.get() == &mount; });
  MountRef taken = std::move(*at);
  mounts_.erase(at);
  return taken;
}

Status MountTree::Detach(Path root) {
  if (root.dentry.get() != &root.mount->root()) return base::Err(Errno::kInval);
  MountRef gone;
  {
    base::MutexLock lock(mutex_);
    Mount& mount = *root.mount;
    // No new reference can be had while the table is locked, unless somebody has one.
    base::WriteLock table_lock(table_sem_);
    if (&mount == root_ || BusyLocked(mount, 1)) return base::Err(Errno::kBusy);
    if (mount.mountpoint_ == nullptr) return base::Err(Errno::kInval);  // detached already
    gone = UnlinkLocked(mount);
  }
  return {};
}

void MountTree::DetachAll() {
  // What is mounted on a mount comes after it in the list. Each one's end runs without our locks.
  for (MountRef gone; (gone = TakeNewest()) != nullptr;) {
  }
}

MountRef MountTree::TakeNewest() {
  base::MutexLock lock(mutex_);
  if (mounts_.empty()) return nullptr;
  base::WriteLock table_lock(table_sem_);
  return UnlinkLocked(*mounts_.back());
}

Status MountTree::ChangeFlags(Mount& mount, uint32_t set, uint32_t clear) {
  base::MutexLock lock(mutex_);
  const uint32_t before = mount.flags();
  // First the flag, then the look at the writers: one who begins now sees the flag.
  mount.flags_.store((before & ~clear) | set);
  const bool refuses = (set & ~before & kMntReadOnly) && mount.writers_.load() > 0;
  if (!refuses) return {};
  mount.flags_.store(before);
  return base::Err(Errno::kBusy);
}

MountRef MountTree::Lookup(const Mount& mount, const Dentry& dentry) const {
  base::ReadLock table_lock(table_sem_);
  const auto found = table_.find(Key{&mount, &dentry});
  return found == table_.end() ? nullptr : MountRef::Share(found->second);
}

Path MountTree::Mountpoint(const Mount& mount) const {
  base::ReadLock table_lock(table_sem_);
  if (mount.mountpoint_ == nullptr) return {};
  return {MountRef::Share(mount.parent_), DentryRef::Share(mount.mountpoint_)};
}

size_t MountTree::DetachBelow(Dentry& dentry) {
  std::vector<MountRef> gone;
  {
    base::MutexLock lock(mutex_);
    base::WriteLock table_lock(table_sem_);
    // From the newest: what is mounted on a mount goes before it.
    for (size_t i = mounts_.size(); i-- > 0;) {
      if (IsBelowLocked(*mounts_[i], dentry)) gone.push_back(UnlinkLocked(*mounts_[i]));
    }
  }
  return gone.size();
}

// Is the place the mount is attached to (or that of a mount it stands on) at or below `dentry`?
bool MountTree::IsBelowLocked(const Mount& mount, const Dentry& dentry) {
  for (const Mount* at = &mount; at->mountpoint_ != nullptr; at = at->parent_) {
    if (Dcache::IsSubdir(*at->mountpoint_, dentry)) return true;
  }
  return false;
}

MountRef MountTree::root() const {
  base::ReadLock table_lock(table_sem_);
  return root_ == nullptr ? nullptr : MountRef::Share(root_);
}

size_t MountTree::count() const {
  base::MutexLock lock(mutex_);
  return mounts_.size();
}

std::vector<MountInfo> MountTree::List(const Path& root) const {
  std::vector<MountRef> mounts;
  {
    base::MutexLock lock(mutex_);
    mounts = mounts_;
  }
  std::vector<MountInfo> result;
  for (const MountRef& mount : mounts) {
    const Path top{mount, DentryRef::Share(&mount->root())};
    const Result<std::string> target = PathName(vfs_, top, root);
    if (!target) continue;
    const Path parent = Mountpoint(*mount);
    MountInfo info;
    info.id = mount->id();
    info.parent_id = parent ? parent.mount->id() : 0;
    info.source = mount->source();
    info.target = *target;
    info.type = std::string(mount->sb().type().name());
    info.options = (mount->read_only() ? "ro" : "rw") + mount->sb().ShowOptions();
    result.push_back(std::move(info));
  }
  return result;
}

}  // namespace dentree::vfs
