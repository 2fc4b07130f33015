// Mount: a super block's tree attached to a place. Path: a place, as (mount, dentry).
//
// Thread safety: the tree of mounts changes under MountTree's mutex (rank kMount); walks read its
// table, and only where a dentry says that something is mounted on it: in RCU mode without a lock,
// then rechecking changes(); otherwise under a semaphore of the table's own. Lifetime: a mount is
// counted by paths and by what is mounted on it; it holds its super block, its root and its
// mountpoint. Its memory is freed after a grace period.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "vfs/dentry.h"
#include "vfs/slot_table.h"
#include "vfs/super_block.h"

namespace dentree::vfs {

class Mount;
using MountRef = base::Ref<Mount>;

enum MountFlags : uint32_t { kMntReadOnly = 1 << 0 };

// What "mount -o" says, split: flags of the mount and options of the file system.
struct MountOptions {
  uint32_t set = 0, clear = 0;  // MountFlags
  std::string rest;
};
MountOptions SplitMountOptions(std::string_view options);

class Mount {
 public:
  Mount(SuperRef sb, uint32_t flags, uint32_t id, std::string_view source);

  SuperBlock& sb() const { return *sb_; }
  Dentry& root() const { return *root_; }
  uint32_t id() const { return id_; }
  const std::string& source() const { return source_; }
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  bool read_only() const { return (flags() & kMntReadOnly) || sb_->read_only(); }

  // Files open for writing keep a mount writable. kRoFs; each success is undone by EndWrite.
  Status BeginWrite();
  void EndWrite() { writers_.fetch_sub(1); }

  static void Get(Mount* mount) { mount->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(Mount* mount);
  // In an RCU section: a reference, unless the mount has ended. Whoever takes it rechecks
  // MountTree::changes(), which an unmount moves before it counts references.
  bool TryGet();

 private:
  friend class MountTree;

  // References of the mount's own, let go of in Put; what RCU walks read of it stays.
  SuperBlock* const sb_;
  Dentry* const root_;
  const uint32_t id_;
  const std::string source_;
  std::atomic<uint32_t> flags_;
  std::atomic<int32_t> writers_{0};
  std::atomic<int32_t> refs_{1};
  // Written under MountTree's table lock. A mount holds a reference on each.
  std::atomic<Mount*> parent_{nullptr};
  std::atomic<Dentry*> mountpoint_{nullptr};
  base::RcuHead free_;
};

// A place in the tree. Holds references on both, so it stays valid across rename and unlink.
struct Path {
  MountRef mount;
  DentryRef dentry;

  Inode& inode() const { return dentry->inode(); }
  Vfs& vfs() const { return mount->sb().vfs(); }
  explicit operator bool() const { return dentry != nullptr; }
  friend bool operator==(const Path& a, const Path& b) {
    return a.mount.get() == b.mount.get() && a.dentry.get() == b.dentry.get();
  }
};

// A place without references, in an RCU section: it means something as long as the dentry's
// sequence count is `seq` (Dcache::Stale). No dentry: no place.
struct RcuPath {
  Mount* mount = nullptr;
  Dentry* dentry = nullptr;
  uint32_t seq = 0;
};

// One line of /proc/mounts.
struct MountInfo {
  uint32_t id = 0, parent_id = 0;
  std::string source, target, type, options;
};

// The tree of mounts of a Vfs.
class MountTree {
 public:
  explicit MountTree(Vfs& vfs);
  ~MountTree();

  // Attaches a super block at `at`, or as the root of everything when `at` is empty.
  // kBusy: the place has a mount of its own. `source`: what /proc/mounts shows first.
  Result<MountRef> Attach(SuperRef sb, const Path& at, uint32_t flags,
                          std::string_view source = "none");

  // Detaches the mount that `root` is the root of. kInval: not a mount's root; kBusy: the root of
  // everything, or something below it is mounted, open, or somebody's working directory. Takes over
  // the caller's reference, which must be its only one.
  Status Detach(Path root);
  void DetachAll();

  // kBusy: a mount with files open for writing cannot become read-only.
  Status ChangeFlags(Mount& mount, uint32_t set, uint32_t clear);

  // What is mounted on (mount, dentry), one step; null when nothing.
  MountRef Lookup(const Mount& mount, const Dentry& dentry) const;
  // The same in RCU mode: null also while the tree changes, so whoever relies on it has sampled
  // changes() before and rechecks it.
  Mount* LookupRcu(const Mount& mount, const Dentry& dentry) const;
  // Moves with every change of the tree.
  const base::SeqCount& changes() const { return changes_; }
  // The place a mount is attached to; empty for the root mount.
  Path Mountpoint(const Mount& mount) const;

  // Detaches everything mounted on a dentry or below it, wherever: it is going away (bug E24).
  // Returns how many mounts that were.
  size_t DetachBelow(Dentry& dentry);
  // Is something mounted on it, in any place?
  bool IsMountpoint(const Dentry& dentry) const { return dentry.flags() & kDentryMounted; }

  MountRef root() const;
  // In order of mounting; targets as seen from `root`. Mounts that cannot be seen from there are
  // left out.
  std::vector<MountInfo> List(const Path& root) const;
  size_t count() const;

 private:
  static uint64_t HashOf(const Mount* mount, const Dentry* dentry);
  static uint64_t HashOfEntry(SlotTable::Entry entry);
  static Dentry* MountpointOf(const Mount& mount) {
    return mount.mountpoint_.load(std::memory_order_relaxed);
  }
  Status AttachLocked(Mount& mount, const Path& at) DT_REQUIRES(mutex_);
  Mount* FindLocked(const Mount& mount, const Dentry& dentry) const;
  static bool BusyLocked(Mount& mount, int32_t own_references);
  static bool IsBelowLocked(const Mount& mount, const Dentry& dentry);
  MountRef UnlinkLocked(Mount& mount) DT_REQUIRES(mutex_, table_sem_);
  MountRef TakeNewest();

  Vfs& vfs_;
  // Changes of the tree, from the check to the change.
  mutable base::Mutex<base::LockRank::kMount> mutex_;
  std::vector<MountRef> mounts_
      DT_GUARDED_BY(mutex_);  // the tree's references, in order of mounting
  uint32_t next_id_ DT_GUARDED_BY(mutex_) = 1;
  // What walks read: mounts by parent and mountpoint. Written with mutex_ and table_sem_ held.
  mutable base::RwSem<base::LockRank::kPlace> table_sem_;
  SlotTable table_;
  base::SeqCount changes_;  // written with table_sem_ held
  Mount* root_ DT_GUARDED_BY(table_sem_) = nullptr;
};

}  // namespace dentree::vfs
