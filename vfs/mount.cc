#include "vfs/mount.h"

#include <algorithm>
#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

Mount::Mount(SuperRef sb, uint32_t flags, uint32_t id, std::string_view source)
    : sb_(sb.Leak()),
      root_(DentryRef::Share(&sb_->root()).Leak()),
      id_(id),
      source_(source),
      flags_(flags) {}

void Mount::Put(Mount* mount) {
  while (mount != nullptr && mount->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    const SuperRef sb = SuperRef::Adopt(mount->sb_);  // the last to go
    Mount* const parent = mount->parent_.exchange(nullptr, std::memory_order_relaxed);
    Dentry* const mountpoint = mount->mountpoint_.load(std::memory_order_relaxed);
    if (mountpoint != nullptr) Dentry::Put(mountpoint);
    Dentry::Put(mount->root_);
    sb->vfs().rcu().RetireDelete<Mount, &Mount::free_>(mount);
    mount = parent;
  }
}

bool Mount::TryGet() {
  int32_t refs = refs_.load(std::memory_order_relaxed);
  while (refs > 0) {
    if (refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
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

MountTree::MountTree(Vfs& vfs) : vfs_(vfs), table_(vfs.memory(), vfs.rcu(), HashOfEntry) {}

MountTree::~MountTree() { DetachAll(); }

uint64_t MountTree::HashOf(const Mount* mount, const Dentry* dentry) {
  return base::Mix64(reinterpret_cast<uintptr_t>(mount) ^
                     base::Mix64(reinterpret_cast<uintptr_t>(dentry)));
}

uint64_t MountTree::HashOfEntry(SlotTable::Entry entry) {
  const auto* const mount = reinterpret_cast<const Mount*>(entry);
  return HashOf(mount->parent_.load(std::memory_order_relaxed),
                mount->mountpoint_.load(std::memory_order_relaxed));
}

Result<MountRef> MountTree::Attach(SuperRef sb, const Path& at, uint32_t flags,
                                   std::string_view source) {
  base::MutexLock lock(mutex_);
  MountRef mount = MountRef::Adopt(new Mount(std::move(sb), flags, next_id_, source));
  TRY(table_.Reserve());
  const Status attached = AttachLocked(*mount, at);
  if (!attached || !at) table_.Unreserve();
  TRY(attached);
  ++next_id_;
  mounts_.push_back(mount);
  return mount;
}

Status MountTree::AttachLocked(Mount& mount, const Path& at) {
  if (at) {
    // A directory being removed takes no more mounts; one that has any is not removed.
    base::ReadLock dir_lock(at.inode().sem());
    if (at.dentry->unhashed() || at.inode().dead()) return base::Err(Errno::kNoEnt);
    at.dentry->flags_.fetch_or(kDentryMounted, std::memory_order_release);
  }
  base::WriteLock table_lock(table_sem_);
  const bool taken = at ? FindLocked(*at.mount, *at.dentry) != nullptr : root_ != nullptr;
  if (taken) return base::Err(Errno::kBusy);
  base::SeqWrite change(changes_);
  if (!at) {
    root_ = &mount;
    return {};
  }
  mount.parent_.store(MountRef(at.mount).Leak(), std::memory_order_relaxed);
  mount.mountpoint_.store(DentryRef(at.dentry).Leak(), std::memory_order_relaxed);
  const auto entry = reinterpret_cast<SlotTable::Entry>(&mount);
  table_.Insert(HashOfEntry(entry), entry);
  return {};
}

// In use beyond the tree's own reference and `own_references` of the caller. What is mounted on it
// refers to it too. Counted by writing: a walk that takes a reference in RCU mode has either been
// counted, or sees after it that the tree has changed.
bool MountTree::BusyLocked(Mount& mount, int32_t own_references) {
  return mount.refs_.fetch_add(0, std::memory_order_acq_rel) > 1 + own_references;
}

// Takes a mount out of the table and the list; its mountpoint is one no longer unless others are
// there.
MountRef MountTree::UnlinkLocked(Mount& mount) {
  if (Dentry* const mountpoint = MountpointOf(mount)) {
    const auto entry = reinterpret_cast<SlotTable::Entry>(&mount);
    table_.Remove(HashOfEntry(entry), entry);
    const bool still = std::any_of(mounts_.begin(), mounts_.end(), [&](const MountRef& other) {
      return other.get() != &mount && MountpointOf(*other) == mountpoint;
    });
    if (!still) mountpoint->flags_.fetch_and(~kDentryMounted, std::memory_order_release);
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
    base::SeqWrite change(changes_);
    if (&mount == root_ || BusyLocked(mount, 1)) return base::Err(Errno::kBusy);
    if (MountpointOf(mount) == nullptr) return base::Err(Errno::kInval);  // detached already
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
  base::SeqWrite change(changes_);
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

Mount* MountTree::FindLocked(const Mount& mount, const Dentry& dentry) const {
  const base::RcuReadGuard guard(vfs_.rcu());
  return LookupRcu(mount, dentry);
}

MountRef MountTree::Lookup(const Mount& mount, const Dentry& dentry) const {
  base::ReadLock table_lock(table_sem_);
  Mount* const found = FindLocked(mount, dentry);
  return found == nullptr ? nullptr : MountRef::Share(found);
}

Mount* MountTree::LookupRcu(const Mount& mount, const Dentry& dentry) const {
  return reinterpret_cast<Mount*>(table_.Find(HashOf(&mount, &dentry), [&](SlotTable::Entry entry) {
    const auto* const candidate = reinterpret_cast<const Mount*>(entry);
    return candidate->parent_.load(std::memory_order_relaxed) == &mount &&
           MountpointOf(*candidate) == &dentry;
  }));
}

Path MountTree::Mountpoint(const Mount& mount) const {
  base::ReadLock table_lock(table_sem_);
  Dentry* const mountpoint = MountpointOf(mount);
  if (mountpoint == nullptr) return {};
  return {MountRef::Share(mount.parent_.load(std::memory_order_relaxed)),
          DentryRef::Share(mountpoint)};
}

size_t MountTree::DetachBelow(Dentry& dentry) {
  std::vector<MountRef> gone;
  {
    base::MutexLock lock(mutex_);
    base::WriteLock table_lock(table_sem_);
    base::SeqWrite change(changes_);
    // From the newest: what is mounted on a mount goes before it.
    for (size_t i = mounts_.size(); i-- > 0;) {
      if (IsBelowLocked(*mounts_[i], dentry)) gone.push_back(UnlinkLocked(*mounts_[i]));
    }
  }
  return gone.size();
}

// Is the place the mount is attached to (or that of a mount it stands on) at or below `dentry`?
bool MountTree::IsBelowLocked(const Mount& mount, const Dentry& dentry) {
  const Mount* at = &mount;
  while (const Dentry* const mountpoint = MountpointOf(*at)) {
    if (Dcache::IsSubdir(*mountpoint, dentry)) return true;
    at = at->parent_.load(std::memory_order_relaxed);
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
