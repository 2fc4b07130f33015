// The trees of mounts: making, copying, moving, detaching, finding.
#include <cstring>
#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

MountTree::MountTree(Vfs& vfs, size_t mount_limit, size_t namespace_limit)
    : vfs_(vfs),
      mount_limit_(mount_limit),
      namespace_limit_(namespace_limit),
      count_cache_(vfs.memory(), "mount_count"),
      cache_(vfs.memory(), "mnt_cache"),
      namespace_cache_(vfs.memory(), "mnt_namespace"),
      table_(vfs.memory(), vfs.rcu(), HashOfEntry),
      places_(vfs.memory(), vfs.rcu(), HashOfPlace),
      initial_(*this, 1) {
  base::MutexLock lock(mutex_);
  all_.PushBack(initial_);
}

MountTree::~MountTree() {
  DetachAll();
  base::MutexLock lock(mutex_);
  initial_.link_.Unlink();
}

uint64_t MountTree::HashOf(const Mount* mount, const Dentry* dentry) {
  return base::Mix64(reinterpret_cast<uintptr_t>(mount) ^ HashOfDentry(dentry));
}

uint64_t MountTree::HashOfDentry(const Dentry* dentry) {
  return base::Mix64(reinterpret_cast<uintptr_t>(dentry));
}

uint64_t MountTree::HashOfEntry(SlotTable::Entry entry) {
  const auto* const mount = reinterpret_cast<const Mount*>(entry);
  return HashOf(ParentOf(*mount), MountpointOf(*mount));
}

uint64_t MountTree::HashOfPlace(SlotTable::Entry entry) {
  return HashOfDentry(MountpointOf(*reinterpret_cast<const Mount*>(entry)));
}

// --- making -----------------------------------------------------------------------------------

// From the last to the first: what a mount stands on goes after it.
MountTree::Loose::~Loose() {
  bool split = false;
  for (Mount& mount : list) {
    split |= mount.by_thread_.exchange(nullptr, std::memory_order_acq_rel) != nullptr;
  }
  if (split) list.front().rcu_.Synchronize();
  for (Mount& mount : list) JoinCount(mount);
  while (Mount* const mount = list.PopBack()) {
    Dentry* const left = std::exchange(mount->left_, nullptr);
    if (left != nullptr) Dentry::Put(left);
    // Of a copy that was never attached.
    Dentry* const mountpoint = mount->mountpoint_.exchange(nullptr, std::memory_order_relaxed);
    if (mountpoint != nullptr) Dentry::Put(mountpoint);
    Mount::Put(mount);
  }
}

Result<Mount*> MountTree::New(SuperBlock& sb, Dentry& root, MountFlags flags,
                              std::string_view source, MountList& made) {
  void* const text = vfs_.memory().AllocBytes(source.size(), "mm:mount_source");
  if (text == nullptr) return Err(Errno::kNoMem);
  Mount* const mount = cache_.New(*this, next_id_, sb, root, flags);
  if (mount == nullptr) {
    vfs_.memory().FreeBytes(text, source.size());
    return Err(Errno::kNoMem);
  }
  ++next_id_;
  std::memcpy(text, source.data(), source.size());
  mount->source_ = static_cast<char*>(text);
  mount->source_size_ = source.size();
  // Without memory for it, it is counted in one word.
  if (count_cache_.active_objects() < kMountsCountedByThread) mount->cells_ = count_cache_.New();
  made.PushBack(*mount);
  return mount;
}

Result<MountRef> MountTree::NewDetached(SuperRef sb) {
  base::MutexLock lock(mutex_);
  MountList made;
  Mount* const mount = TRY(New(*sb, sb->root(), 0, "none", made));
  made.Remove(*mount);
  return MountRef::Adopt(mount);
}

// From now on each thread counts its references itself.
void MountTree::SplitCount(Mount& mount) {
  if (mount.cells_ == nullptr) return;
  mount.cells_->Reset();
  mount.refs_.fetch_add(Mount::kTree, std::memory_order_relaxed);
  mount.split_ = true;
  mount.by_thread_.store(mount.cells_, std::memory_order_release);
}

// Nobody counts in a cell any more: adds them up.
void MountTree::JoinCount(Mount& mount) {
  if (!std::exchange(mount.split_, false)) return;
  const auto counted = static_cast<int32_t>(mount.cells_->Value());
  mount.refs_.fetch_add(counted - Mount::kTree, std::memory_order_acq_rel);
}

void MountTree::CountTogether(Mount& mount) {
  if (mount.by_thread_.exchange(nullptr, std::memory_order_acq_rel) != nullptr) {
    vfs_.rcu().Synchronize();
  }
  JoinCount(mount);
}

// The mount after `at` in the tree below `top`, parents first.
Mount* MountTree::NextIn(Mount& at, const Mount& top, Into children) {
  if (children == Into::kYes && !at.children_.empty()) return &at.children_.front();
  for (Mount* mount = &at; mount != &top;) {
    Mount* const parent = ParentOf(*mount);
    if (Mount* const next = parent->children_.Next(*mount)) return next;
    mount = parent;
  }
  return nullptr;
}

// Copies of `top`, from `root` on, and of what is mounted there.
Status MountTree::CopyInto(Mount& top, Dentry& root, Depth depth, MountList& made) {
  for (Mount* at = &top; at != nullptr;) {
    const bool is_top = at == &top;
    Mount* const parent = is_top ? nullptr : ParentOf(*at);
    Dentry* const mountpoint = is_top ? nullptr : MountpointOf(*at);
    const bool outside = parent == &top && !vfs_.dcache().IsBelow(*mountpoint, root);
    if (!outside) {
      Mount* const copy =
          TRY(New(at->sb(), is_top ? root : at->root(), at->flags(), at->source(), made));
      at->copy_ = copy;
      if (!is_top) {
        copy->parent_.store(parent->copy_, std::memory_order_relaxed);
        copy->mountpoint_.store(DentryRef::Share(mountpoint).Leak(), std::memory_order_relaxed);
      }
    }
    if (depth == Depth::kOne) break;
    at = NextIn(*at, top, outside ? Into::kNo : Into::kYes);
  }
  return {};
}

// --- attaching --------------------------------------------------------------------------------

// A name being removed takes no more mounts; one that has any is not removed.
Status MountTree::CheckAlive(const Path& at) {
  if (at.dentry->unhashed() || at.inode().dead()) return Err(Errno::kNoEnt);
  return {};
}

// `at`, or on top of what is mounted there.
Result<Path> MountTree::Place(const MountNamespace& ns, const Path& at) const {
  Path top = at;
  while (Mount* const over = FindLocked(*top.mount, *top.dentry)) {
    top = {MountRef::Share(over), DentryRef::Share(&over->root())};
  }
  if (top.mount->ns() != &ns) return Err(Errno::kNoEnt);
  TRY(CheckAlive(top));
  return top;
}

Status MountTree::CheckLimit(size_t have, size_t more, size_t limit) {
  if (have + more <= limit) return {};
  stats_.Add<&MountStats::refused>();
  return Err(Errno::kNoSpc);
}

Status MountTree::Reserve(size_t mounts) {
  for (size_t done = 0; done < mounts; ++done) {
    Status reserved = table_.Reserve();
    if (reserved) {
      reserved = places_.Reserve();
      if (!reserved) table_.Unreserve();
    }
    if (reserved) continue;
    Unreserve(done);
    return reserved;
  }
  return {};
}

void MountTree::Unreserve(size_t mounts) {
  for (size_t i = 0; i < mounts; ++i) {
    table_.Unreserve();
    places_.Unreserve();
  }
}

void MountTree::Insert(Mount& mount) {
  const auto entry = reinterpret_cast<SlotTable::Entry>(&mount);
  table_.Insert(HashOfEntry(entry), entry);
  places_.Insert(HashOfPlace(entry), entry);
  MountpointOf(mount)->flags_.fetch_or(kDentryMounted, std::memory_order_release);
  ParentOf(mount)->children_.PushBack(mount);
}

void MountTree::PutOn(Mount& mount, Mount& parent, Dentry& mountpoint) {
  mount.parent_.store(&parent, std::memory_order_relaxed);
  mount.mountpoint_.store(DentryRef::Share(&mountpoint).Leak(), std::memory_order_relaxed);
}

// Its mountpoint is one no longer, unless others are there.
DentryRef MountTree::TakeOff(Mount& mount) {
  const auto entry = reinterpret_cast<SlotTable::Entry>(&mount);
  table_.Remove(HashOfEntry(entry), entry);
  places_.Remove(HashOfPlace(entry), entry);
  mount.sibling_.Unlink();
  mount.parent_.store(nullptr, std::memory_order_relaxed);
  Dentry* const mountpoint = mount.mountpoint_.exchange(nullptr, std::memory_order_relaxed);
  if (FindOn(*mountpoint, nullptr) == nullptr) {
    mountpoint->flags_.fetch_and(~kDentryMounted, std::memory_order_release);
  }
  return DentryRef::Adopt(mountpoint);
}

// Makes a list of mounts a part of a namespace.
void MountTree::Link(MountNamespace& ns, MountList& made) {
  size_t count = 0;
  while (Mount* const mount = made.PopFront()) {
    if (ParentOf(*mount) != nullptr) {
      Insert(*mount);
    } else {
      ns.root_ = mount;
    }
    mount->ns_.store(&ns, std::memory_order_relaxed);
    SplitCount(*mount);
    ns.mounts_.PushBack(*mount);
    ++count;
  }
  ns.count_ += count;
  attached_.fetch_add(count, std::memory_order_relaxed);
  stats_.Add<&MountStats::attached>(count);
}

// The first of the list goes upon `place`.
Status MountTree::AttachAt(MountNamespace& ns, const Path& place, MountList& made) {
  Mount& top = made.front();
  if (place.dentry->is_dir() != top.root().is_dir()) return Err(Errno::kNotDir);
  if (top.root().unhashed()) return Err(Errno::kNoEnt);
  const size_t count = made.Count();
  TRY(CheckLimit(ns.count_, count, mount_limit_));
  TRY(Reserve(count));
  base::ReadLock place_lock(place.inode().sem());
  const Status alive = CheckAlive(place);
  if (!alive) Unreserve(count);
  TRY(alive);
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  PutOn(top, *place.mount, *place.dentry);
  Link(ns, made);
  return {};
}

Status MountTree::AttachRoot(SuperRef sb, MountFlags flags) {
  Loose made;
  base::MutexLock lock(mutex_);
  if (initial_.root_ != nullptr) return Err(Errno::kBusy);
  TRY(New(*sb, sb->root(), flags, "none", made.list));
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  Link(initial_, made.list);
  return {};
}

Status MountTree::Attach(MountNamespace& ns, SuperRef sb, const Path& at, MountFlags flags,
                         std::string_view source) {
  Loose made;
  base::MutexLock lock(mutex_);
  const Path place = TRY(Place(ns, at));
  if (&place.mount->sb() == sb.get() && place.is_mount_root()) return Err(Errno::kBusy);
  TRY(New(*sb, sb->root(), flags, source, made.list));
  return AttachAt(ns, place, made.list);
}

Status MountTree::Bind(MountNamespace& ns, const Path& from, const Path& at, Depth depth) {
  Loose made;
  base::MutexLock lock(mutex_);
  const Path place = TRY(Place(ns, at));
  if (from.mount->ns() != &ns) return Err(Errno::kInval);
  TRY(CopyInto(*from.mount, *from.dentry, depth, made.list));
  return AttachAt(ns, place, made.list);
}

Status MountTree::Move(MountNamespace& ns, const Path& from, const Path& at) {
  DentryRef left;
  base::MutexLock lock(mutex_);
  if (!from.is_mount_root() || at.dentry->is_dir() != from.dentry->is_dir()) {
    return Err(Errno::kInval);
  }
  const Path place = TRY(Place(ns, at));
  TRY(CheckRoot(ns, from));
  Mount& mount = *from.mount;
  if (ParentOf(mount) == nullptr) return Err(Errno::kInval);
  for (const Mount* up = place.mount.get(); up != nullptr; up = ParentOf(*up)) {
    if (up == &mount) return Err(Errno::kLoop);
  }
  TRY(CheckAlive(from));
  TRY(Reserve(1));
  base::ReadLock place_lock(place.inode().sem());
  const Status alive = CheckAlive(place);
  if (!alive) Unreserve(1);
  TRY(alive);
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  left = TakeOff(mount);
  PutOn(mount, *place.mount, *place.dentry);
  Insert(mount);
  stats_.Add<&MountStats::moved>();
  return {};
}

// --- detaching --------------------------------------------------------------------------------

// In use beyond the tree's own reference and `own_references` of the caller. Counted by writing: a
// walk that takes a reference in RCU mode has either been counted, or sees after it that the tree
// has changed.
bool MountTree::Busy(Mount& mount, int32_t own_references) {
  return !mount.children_.empty() ||
         mount.refs_.fetch_add(0, std::memory_order_acq_rel) > 1 + own_references;
}

// Takes a tree out of its namespace and apart.
size_t MountTree::UnlinkTree(Mount& top, MountList& gone) {
  MountNamespace& ns = *top.ns_.load(std::memory_order_relaxed);
  MountList tree;
  size_t count = 0;
  for (Mount* at = &top; at != nullptr; at = NextIn(*at, top, Into::kYes)) {
    MountList::Remove(*at);
    tree.PushBack(*at);
    ++count;
  }
  if (ns.root_ == &top) ns.root_ = nullptr;
  ns.count_ -= count;
  for (Mount& mount : tree) {
    if (ParentOf(mount) != nullptr) mount.left_ = TakeOff(mount).Leak();
    mount.ns_.store(nullptr, std::memory_order_relaxed);
  }
  gone.TakeAll(tree);
  attached_.fetch_sub(count, std::memory_order_relaxed);
  stats_.Add<&MountStats::detached>(count);
  return count;
}

Status MountTree::Detach(MountNamespace& ns, Path root, Mode mode) {
  Loose gone;
  base::MutexLock lock(mutex_);
  TRY(CheckRoot(ns, root));
  Mount& mount = *root.mount;
  if (MountpointOf(mount) == nullptr) return Err(Errno::kInval);
  // No new reference can be had while the table is locked, unless somebody has one: so it is also
  // while a grace period passes. No read section waits for the table.
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  if (mode == Mode::kUnused) {
    CountTogether(mount);
    if (Busy(mount, 1)) {
      SplitCount(mount);
      return Err(Errno::kBusy);
    }
  }
  const size_t count = UnlinkTree(mount, gone.list);
  if (mode == Mode::kLazily) stats_.Add<&MountStats::lazy>(count);
  return {};
}

void MountTree::DetachAll() {
  Loose gone;
  base::MutexLock lock(mutex_);
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  for (MountNamespace& ns : all_) {
    if (ns.root_ != nullptr) UnlinkTree(*ns.root_, gone.list);
  }
}

size_t MountTree::DetachFrom(Dentry& dentry) {
  if (!(dentry.flags() & kDentryMounted)) return 0;
  Loose gone;
  size_t count = 0;
  base::MutexLock lock(mutex_);
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  while (Mount* const mount = FindOn(dentry, nullptr)) count += UnlinkTree(*mount, gone.list);
  stats_.Add<&MountStats::lazy>(count);
  return count;
}

Mount* MountTree::FirstBelow(const Dentry& dentry) {
  for (MountNamespace& ns : all_) {
    for (Mount& mount : ns.mounts_) {
      const Dentry* const at = MountpointOf(mount);
      if (at != nullptr && vfs_.dcache().IsBelow(*at, dentry)) return &mount;
    }
  }
  return nullptr;
}

size_t MountTree::DetachBelow(Dentry& dentry) {
  // A mountpoint keeps all directories above it.
  if (!(dentry.flags() & kDentryMounted) && !vfs_.dcache().HasChildren(dentry)) return 0;
  Loose gone;
  size_t count = 0;
  base::MutexLock lock(mutex_);
  while (Mount* const mount = FirstBelow(dentry)) {
    base::WriteLock table_lock(table_sem_);
    base::SeqWrite change(changes_);
    count += UnlinkTree(*mount, gone.list);
  }
  stats_.Add<&MountStats::lazy>(count);
  return count;
}

// --- changing ---------------------------------------------------------------------------------

Status MountTree::CheckRoot(const MountNamespace& ns, const Path& place) {
  if (place.mount->ns() != &ns || !place.is_mount_root()) return Err(Errno::kInval);
  return {};
}

Status MountTree::SetFlags(MountNamespace& ns, Mount& mount, MountFlags flags) {
  base::MutexLock lock(mutex_);
  if (mount.ns() != &ns) return Err(Errno::kInval);
  // First the flag, then the look at the writers: one who begins now sees the flag.
  const MountFlags before = mount.flags_.exchange(flags);
  const bool refuses = (flags & ~before & MS_RDONLY) && mount.writers_.load() > 0;
  if (!refuses) return {};
  mount.flags_.store(before);
  return Err(Errno::kBusy);
}

void MountTree::ForceFlags(Mount& mount, MountFlags flags) {
  base::MutexLock lock(mutex_);
  mount.flags_.store(flags);
}

// --- namespaces -------------------------------------------------------------------------------

Result<MountNamespaceRef> MountTree::CopyNamespace(MountNamespace& from, Path& root, Path& cwd) {
  Loose made;
  MountNamespaceRef copy;
  base::MutexLock lock(mutex_);
  TRY(CheckLimit(namespace_count_, 1, namespace_limit_));
  copy = MountNamespaceRef::Adopt(namespace_cache_.New(*this, next_namespace_id_));
  if (copy == nullptr) return Err(Errno::kNoMem);
  ++next_namespace_id_;
  ++namespace_count_;
  all_.PushBack(*copy);
  stats_.Add<&MountStats::namespaces>();
  if (from.root_ == nullptr) return copy;
  TRY(CopyInto(*from.root_, from.root_->root(), Depth::kAll, made.list));
  TRY(Reserve(made.list.Count() - 1));
  base::WriteLock table_lock(table_sem_);
  base::SeqWrite change(changes_);
  Link(*copy, made.list);
  for (Path* place : {&root, &cwd}) {
    if (place->mount->ns() == &from) place->mount = MountRef::Share(place->mount->copy_);
  }
  return copy;
}

// The last task of a namespace has left it.
void MountTree::End(MountNamespace& ns) {
  {
    Loose gone;
    base::MutexLock lock(mutex_);
    all_.Remove(ns);
    --namespace_count_;
    if (ns.root_ != nullptr) {
      base::WriteLock table_lock(table_sem_);
      base::SeqWrite change(changes_);
      UnlinkTree(*ns.root_, gone.list);
    }
  }
  namespace_cache_.Delete(&ns);
}

Path MountTree::RootOfNamespace(const MountNamespace& ns) const {
  if (ns.root_ == nullptr) return {};
  Mount* top = ns.root_;
  while (Mount* const over = FindLocked(*top, top->root())) top = over;
  return {MountRef::Share(top), DentryRef::Share(&top->root())};
}

Path MountTree::RootOf(const Mount& mount) const {
  base::ReadLock table_lock(table_sem_);
  const MountNamespace* const ns = mount.ns();
  return RootOfNamespace(ns != nullptr ? *ns : initial_);
}

Path MountTree::InitialRoot() const {
  base::ReadLock table_lock(table_sem_);
  return RootOfNamespace(initial_);
}

// --- looking ----------------------------------------------------------------------------------

Mount* MountTree::FindLocked(const Mount& mount, const Dentry& dentry) const {
  const base::RcuReadGuard guard(vfs_.rcu());
  return LookupRcu(mount, dentry);
}

Mount* MountTree::FindOn(const Dentry& dentry, const MountNamespace* ns) const {
  const base::RcuReadGuard guard(vfs_.rcu());
  return reinterpret_cast<Mount*>(places_.Find(HashOfDentry(&dentry), [&](SlotTable::Entry entry) {
    const auto* const candidate = reinterpret_cast<const Mount*>(entry);
    return MountpointOf(*candidate) == &dentry && (ns == nullptr || candidate->ns() == ns);
  }));
}

MountRef MountTree::Lookup(const Mount& mount, const Dentry& dentry) const {
  base::ReadLock table_lock(table_sem_);
  Mount* const found = FindLocked(mount, dentry);
  return found == nullptr ? nullptr : MountRef::Share(found);
}

Mount* MountTree::LookupRcu(const Mount& mount, const Dentry& dentry) const {
  return reinterpret_cast<Mount*>(table_.Find(HashOf(&mount, &dentry), [&](SlotTable::Entry entry) {
    const auto* const candidate = reinterpret_cast<const Mount*>(entry);
    return ParentOf(*candidate) == &mount && MountpointOf(*candidate) == &dentry;
  }));
}

Path MountTree::Mountpoint(const Mount& mount) const {
  base::ReadLock table_lock(table_sem_);
  Dentry* const mountpoint = MountpointOf(mount);
  if (mountpoint == nullptr) return {};
  return {MountRef::Share(ParentOf(mount)), DentryRef::Share(mountpoint)};
}

bool MountTree::IsMountpoint(const MountNamespace* ns, const Dentry& dentry) const {
  if (ns == nullptr || !(dentry.flags() & kDentryMounted)) return false;
  base::ReadLock table_lock(table_sem_);
  return FindOn(dentry, ns) != nullptr;
}

}  // namespace dentree::vfs
