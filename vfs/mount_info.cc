// What is told of mounts: the tables of /proc, and the checks of tests.
#include <utility>

#include "vfs/mount_options.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

// The place in its file system that a mount's tree begins at.
std::string MountTree::RootName(const Mount& mount) {
  Dentry& root = mount.root();
  if (&root == &mount.sb().root()) return "/";
  Dcache& dcache = mount.sb().vfs().dcache();
  const Result<std::string> path = dcache.PathOf(root, mount.sb().root());
  if (path) return *path;
  const DentryRef parent = dcache.ParentOf(root);
  const Result<std::string> above = dcache.PathOf(*parent, mount.sb().root());
  const std::string dir = above ? *above : "/";
  return dir + (dir == "/" ? "" : "/") + root.NameCopy() + "//deleted";
}

MountInfo MountTree::Describe(const Mount& mount, std::string target) const {
  const Path parent = Mountpoint(mount);
  MountInfo info;
  info.id = mount.id();
  info.parent_id = parent ? parent.mount->id() : mount.id();
  info.dev = mount.sb().dev();
  info.source = std::string(mount.source());
  info.target = std::move(target);
  info.type = std::string(mount.sb().type().name());
  info.root = RootName(mount);
  info.mount_options = ShowMountFlags(mount.flags());
  // /proc/mounts has both in one: read-only by either, the super block's, the mount's, the file
  // system's.
  const std::string supers = ShowSuperFlags(mount.sb().flags());
  const std::string own = mount.sb().NegativeOptionsText() + mount.sb().ShowOptions();
  info.super_options = supers + own;
  info.options =
      (mount.read_only() ? "ro" : "rw") + supers.substr(2) + info.mount_options.substr(2) + own;
  return info;
}

std::vector<MountInfo> MountTree::List(const Path& root) const {
  std::vector<MountRef> mounts;
  {
    base::MutexLock lock(mutex_);
    MountNamespace* const ns = root.mount->ns_.load(std::memory_order_relaxed);
    if (ns == nullptr) return {};
    mounts.reserve(ns->count_);
    for (Mount& mount : ns->mounts_) mounts.push_back(MountRef::Share(&mount));
  }
  std::vector<MountInfo> result;
  for (const MountRef& mount : mounts) {
    const Path top{mount, DentryRef::Share(&mount->root())};
    Result<std::string> target = PathName(vfs_, top, root);
    if (target) result.push_back(Describe(*mount, *std::move(target)));
  }
  return result;
}

size_t MountTree::namespaces() const {
  base::MutexLock lock(mutex_);
  return namespace_count_;
}

void MountTree::CheckNamespace(MountNamespace& ns) const {
  size_t count = 0;
  size_t children = 0;
  ns.mounts_.CheckInvariants();
  for (Mount& mount : ns.mounts_) {
    ++count;
    CHECK(mount.ns() == &ns && mount.refs_.load() > 0);
    for (Mount& child : mount.children_) {
      ++children;
      CHECK(ParentOf(child) == &mount, "a child knows its parent");
    }
    const Dentry* const at = MountpointOf(mount);
    const Mount* const parent = ParentOf(mount);
    CHECK((at == nullptr) == (parent == nullptr));
    CHECK((parent == nullptr) == (&mount == ns.root_), "the root alone is on nothing");
    if (parent == nullptr) continue;
    CHECK(parent->ns() == &ns, "a parent is in the same namespace");
    CHECK(at->flags() & kDentryMounted);
    CHECK(&at->sb() == &parent->sb() && at->is_dir() == mount.root().is_dir());
    CHECK(FindLocked(*parent, *at) == &mount, "a walk finds it");
    CHECK(FindOn(*at, &ns) != nullptr);
    for (const Mount* up = parent; up != nullptr; up = ParentOf(*up)) CHECK(up != &mount, "a loop");
  }
  CHECK(count == ns.count_ && count <= mount_limit_);
  CHECK(children + (ns.root_ != nullptr ? 1 : 0) == count, "all hang on the root");
}

void MountTree::CheckInvariants() const {
  base::MutexLock lock(mutex_);
  size_t namespaces = 0;
  size_t mounts = 0;
  size_t roots = 0;
  for (MountNamespace& ns : all_) {
    ++namespaces;
    mounts += ns.count_;
    roots += ns.root_ != nullptr ? 1 : 0;
    CheckNamespace(ns);
  }
  CHECK(namespaces == namespace_count_ && namespaces <= namespace_limit_);
  CHECK(mounts == count());
  CHECK(table_.used() == mounts - roots && places_.used() == mounts - roots);
}

}  // namespace dentree::vfs
