// Mount: a tree of a super block, from any of its dentries on, attached to a place. Path: a place,
// as (mount, dentry). MountNamespace: a tree of mounts, as its tasks see it.
//
// Thread safety: the trees of mounts change under MountTree's mutex (rank kMount); walks read its
// table, and only where a dentry says that something is mounted on it: in RCU mode without a lock,
// then rechecking changes(); otherwise under a semaphore of the table's own. Lifetime: a mount is
// counted by its tree and by paths; it holds its super block, its root and its mountpoint. Its
// memory is freed after a grace period. A namespace is counted by its tasks; the last one's end
// detaches everything in it.
#pragma once

#include <sys/mount.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/dentry.h"
#include "vfs/slot_table.h"
#include "vfs/super_block.h"

namespace dentree::vfs {

class Mount;
class MountNamespace;
class MountTree;
using MountRef = base::Ref<Mount>;
using MountNamespaceRef = base::Ref<MountNamespace>;

// Beyond either: kNoSpc.
inline constexpr size_t kDefaultMountLimit = 100'000;  // in one namespace
inline constexpr size_t kDefaultNamespaceLimit = 1024;
// Mounts whose references are counted by thread, at 1 KiB each ("mount_count" in slabinfo); those
// beyond count in one word.
inline constexpr size_t kMountsCountedByThread = 256;

// Flags of mounts and super blocks are the MS_* of mount(2). These are a mount's own; those of the
// times exclude each other.
using MountFlags = uint32_t;
inline constexpr MountFlags kMountTimeFlags = MS_NOATIME | MS_RELATIME;
inline constexpr MountFlags kMountFlagMask =
    MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | MS_NOSYMFOLLOW | kMountTimeFlags;

class Mount {
 public:
  SuperBlock& sb() const { return *sb_; }
  Dentry& root() const { return *root_; }
  uint32_t id() const { return id_; }
  std::string_view source() const { return {source_, source_size_}; }
  MountFlags flags() const { return flags_.load(std::memory_order_relaxed); }
  bool Has(MountFlags flag) const { return (flags() & flag) != 0; }
  bool read_only() const { return Has(MS_RDONLY) || sb_->read_only(); }
  // What kind of file may not be opened, and executed, here.
  bool no_devices() const { return Has(MS_NODEV) || sb_->Has(kSbNoDev); }
  bool no_exec() const { return Has(MS_NOEXEC) || sb_->Has(kSbNoExec); }
  // The namespace it is attached in, to compare with; null: none any more.
  const MountNamespace* ns() const { return ns_.load(std::memory_order_relaxed); }

  // Files open for writing keep a mount writable. kRoFs; each success is undone by EndWrite.
  Status BeginWrite();
  void EndWrite();

  static void Get(Mount* mount) {
    if (!mount->CountByThread(1)) mount->refs_.fetch_add(1, std::memory_order_relaxed);
  }
  static void Put(Mount* mount);
  // In an RCU section: a reference, unless the mount has ended. Whoever takes it rechecks
  // MountTree::changes(), which an unmount moves before it counts references.
  bool TryGet();

 private:
  friend class MountNamespace;
  friend class MountTree;
  template <class T>
  friend class mm::ObjectCache;

  Mount(MountTree& tree, uint32_t id, SuperBlock& sb, Dentry& root, MountFlags flags);
  ~Mount();

  // How references are counted. Of an attached mount each thread counts its own in a cell, with
  // plain stores, since the tree's reference alone keeps it from ending; refs_ then holds kTree
  // besides. Before anybody relies on the number, CountTogether makes it one: it takes the cells
  // out of sight, waits for a grace period (a cell is written inside a read section, so that nobody
  // writes one any more), and adds them to refs_.
  bool CountByThread(int64_t n);
  bool CountInSection(int64_t n);
  void PutCounted();
  static constexpr int32_t kTree = 1 << 30;

  base::RcuDomain& rcu_;
  std::atomic<base::ShardedGauge*> by_thread_{nullptr};  // null: in refs_ alone
  base::ShardedGauge* cells_ = nullptr;  // its maker's, then MountTree's; null: too many mounts
  bool split_ = false;                   // likewise: references are in the cells

  // References of the mount's own, let go of in Put; what RCU walks read of it stays.
  SuperBlock* const sb_;
  Dentry* const root_;
  MountTree& tree_;
  const uint32_t id_;
  char* source_ = nullptr;
  size_t source_size_ = 0;
  std::atomic<MountFlags> flags_;
  std::atomic<int32_t> writers_{0};
  std::atomic<int32_t> refs_{1};
  // Written with MountTree's mutex and table locked. It holds a reference on the mountpoint; the
  // parent stays attached as long as it.
  std::atomic<MountNamespace*> ns_{nullptr};
  std::atomic<Mount*> parent_{nullptr};
  std::atomic<Dentry*> mountpoint_{nullptr};
  // MountTree's mutex.
  base::ListNode in_namespace_;  // or on a list of those that come or go
  base::ListNode sibling_;
  base::List<Mount, &Mount::sibling_> children_;
  Mount* copy_ = nullptr;   // while a tree is copied
  Dentry* left_ = nullptr;  // the mountpoint it was taken from, with its reference
  base::RcuHead free_;
};

inline bool Mount::CountByThread(int64_t n) {
  const base::RcuReadGuard guard(rcu_);
  return CountInSection(n);
}

// The same in an RCU section.
inline bool Mount::CountInSection(int64_t n) {
  base::ShardedGauge* const cells = by_thread_.load(std::memory_order_acquire);
  if (cells == nullptr) return false;
  cells->Add(n);
  return true;
}

// A place in the tree. Holds references on both, so it stays valid across rename and unlink. The
// dentry's goes first, in an assignment too: the mount's may be what its super block lives by.
struct Path {
  Path() = default;
  Path(MountRef of, DentryRef at) : mount(std::move(of)), dentry(std::move(at)) {}
  Path(const Path&) = default;
  Path(Path&&) = default;
  Path& operator=(Path other) noexcept {
    std::swap(mount, other.mount);
    std::swap(dentry, other.dentry);
    return *this;
  }
  ~Path() = default;

  MountRef mount;
  DentryRef dentry;

  Inode& inode() const { return dentry->inode(); }
  Vfs& vfs() const { return mount->sb().vfs(); }
  explicit operator bool() const { return dentry != nullptr; }
  bool is_mount_root() const { return dentry.get() == &mount->root(); }
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

// One mount as /proc/mounts and /proc/self/mountinfo show it; nothing is escaped.
struct MountInfo {
  uint32_t id = 0, parent_id = 0;  // the root of a namespace is its own parent
  DevId dev = 0;
  std::string source, target, type;
  std::string root;           // in its file system; "//deleted" follows one that was removed
  std::string options;        // "rw,relatime,size=4k": both of the following, as in /proc/mounts
  std::string mount_options;  // "rw,relatime"
  std::string super_options;  // "rw,size=4k"
};

class MountNamespace {
 public:
  uint32_t id() const { return id_; }

  static void Get(MountNamespace* ns) { ns->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(MountNamespace* ns);

 private:
  friend class MountTree;
  template <class T>
  friend class mm::ObjectCache;

  MountNamespace(MountTree& tree, uint32_t id) : tree_(tree), id_(id) {}

  MountTree& tree_;
  const uint32_t id_;
  std::atomic<int32_t> refs_{1};
  Mount* root_ = nullptr;  // written with MountTree's mutex and table locked
  // MountTree's mutex.
  base::List<Mount, &Mount::in_namespace_> mounts_;  // in order of mounting
  size_t count_ = 0;
  base::ListNode link_;
};

struct MountStats {
  base::Counter attached;  // by mount, bind and the copies of both
  base::Counter moved;
  base::Counter detached;
  base::Counter lazy;        // of these, in a tree that went in use
  base::Counter namespaces;  // made
  base::Counter refused;     // for a limit
};
inline constexpr auto kMountFields = base::Fields(
    base::F<&MountStats::attached>("attached", "Mounts made", base::StatKind::kCumulative),
    base::F<&MountStats::moved>("moved", "Mounts moved", base::StatKind::kCumulative),
    base::F<&MountStats::detached>("detached", "Mounts taken away", base::StatKind::kCumulative),
    base::F<&MountStats::lazy>("lazy", "Mounts taken away without asking who uses them",
                               base::StatKind::kCumulative),
    base::F<&MountStats::namespaces>("namespaces", "Namespaces copied",
                                     base::StatKind::kCumulative),
    base::F<&MountStats::refused>("refused", "Mounts and namespaces refused for a limit",
                                  base::StatKind::kCumulative));

// All trees of mounts of a Vfs.
//
// Where a place to mount on is asked for, what is mounted there already is stepped onto first, so
// mounts stack. Errors that all share: kInval, what is to be changed is not of the caller's
// namespace, or kNoEnt, the place is not; kNoEnt, the place was removed; kNotDir, a directory meets
// what is none; kNoSpc, a limit; kNoMem.
class MountTree {
 public:
  MountTree(Vfs& vfs, size_t mount_limit, size_t namespace_limit);
  ~MountTree();

  // --- mounting ---

  // The root of everything, once.
  Status AttachRoot(SuperRef sb, MountFlags flags);
  // A super block, from its root on. kBusy: it is what is mounted there already. `source`: what
  // /proc/mounts shows first.
  Status Attach(MountNamespace& ns, SuperRef sb, const Path& at, MountFlags flags,
                std::string_view source);
  // The tree from `from` on, as it is seen there, and with `recursive` what is mounted in it, at
  // another place too.
  enum class Depth : uint8_t { kOne, kAll };
  Status Bind(MountNamespace& ns, const Path& from, const Path& at, Depth depth);
  // A mount, given by its root, with all that is mounted in it. kInval: not a mount's root, or the
  // namespace's, or a directory and none; kLoop: into itself.
  Status Move(MountNamespace& ns, const Path& from, const Path& at);

  // A super block from its root on, attached nowhere: for files that no path leads to. kNoMem.
  Result<MountRef> NewDetached(SuperRef sb);

  // --- unmounting ---

  // Detaches the mount that `root` is the root of. kInval: not a mount's root, or the namespace's;
  // kBusy: something is mounted in it, open, or somebody's working directory. Takes over the
  // caller's reference, which must be its only one. kLazily: with what is mounted in it, used or
  // not; each mount ends with its last user.
  enum class Mode : uint8_t { kUnused, kLazily };
  Status Detach(MountNamespace& ns, Path root, Mode mode);
  void DetachAll();
  // A directory entry was removed: detaches, in all namespaces, what is mounted on it, or on it and
  // below. Called without locks. Returns how many mounts that were.
  size_t DetachFrom(Dentry& dentry);
  size_t DetachBelow(Dentry& dentry);

  // --- changing ---

  // Replaces the flags of kMountFlagMask. kBusy: a mount with files open for writing cannot become
  // read-only.
  Status SetFlags(MountNamespace& ns, Mount& mount, MountFlags flags);
  // The same after the super block was changed: its writers were looked at.
  void ForceFlags(Mount& mount, MountFlags flags);
  // Whether `place` is the root of a mount of the namespace; else kInval.
  static Status CheckRoot(const MountNamespace& ns, const Path& place);

  // --- namespaces ---

  MountNamespace& initial() { return initial_; }
  // A copy of the whole tree. `root` and `cwd`, where they are in the one, become the same places
  // in the other.
  Result<MountNamespaceRef> CopyNamespace(MountNamespace& from, Path& root, Path& cwd);
  // The root of the namespace that a mount is in, as its tasks see it; of the initial one for a
  // mount that is in none. Empty: nothing is mounted.
  Path RootOf(const Mount& mount) const;
  Path InitialRoot() const;

  // --- looking ---

  // What is mounted on (mount, dentry), one step; null when nothing.
  MountRef Lookup(const Mount& mount, const Dentry& dentry) const;
  // The same in RCU mode: null also while the tree changes, so whoever relies on it has sampled
  // changes() before and rechecks it.
  Mount* LookupRcu(const Mount& mount, const Dentry& dentry) const;
  // Moves with every change of a tree.
  const base::SeqCount& changes() const { return changes_; }
  // The place a mount is attached to; empty for the root of a namespace and for what is detached.
  Path Mountpoint(const Mount& mount) const;
  // Is something mounted on it, wherever in the namespace? Null is none.
  bool IsMountpoint(const MountNamespace* ns, const Dentry& dentry) const;

  // The mounts of the namespace that `root` is in, in order of mounting; targets as seen from
  // there. Mounts that cannot be seen from there are left out.
  std::vector<MountInfo> List(const Path& root) const;
  size_t count() const { return attached_.load(std::memory_order_relaxed); }  // attached
  size_t live() const { return cache_.active_objects(); }  // in memory, those in use too
  size_t namespaces() const;
  const base::Sharded<MountStats>& stats() const { return stats_; }
  // REQUIRES: nothing else uses the Vfs.
  void CheckInvariants() const;

 private:
  friend class Mount;
  friend class MountNamespace;
  using MountList = base::List<Mount, &Mount::in_namespace_>;

  static uint64_t HashOf(const Mount* mount, const Dentry* dentry);
  static uint64_t HashOfDentry(const Dentry* dentry);
  static uint64_t HashOfEntry(SlotTable::Entry entry);
  static uint64_t HashOfPlace(SlotTable::Entry entry);
  static Dentry* MountpointOf(const Mount& mount) {
    return mount.mountpoint_.load(std::memory_order_relaxed);
  }
  static Mount* ParentOf(const Mount& mount) {
    return mount.parent_.load(std::memory_order_relaxed);
  }

  // Mounts that are in no tree, each after its parent. Lets go of them: declared before the locks.
  struct Loose {
    ~Loose();
    MountList list;
  };

  // Making. A new mount's reference is the list's.
  Result<Mount*> New(SuperBlock& sb, Dentry& root, MountFlags flags, std::string_view source,
                     MountList& made) DT_REQUIRES(mutex_);
  static void SplitCount(Mount& mount);
  static void JoinCount(Mount& mount);
  void CountTogether(Mount& mount) DT_REQUIRES(mutex_);
  Status CopyInto(Mount& top, Dentry& root, Depth depth, MountList& made) DT_REQUIRES(mutex_);
  enum class Into : uint8_t { kNo, kYes };
  static Mount* NextIn(Mount& at, const Mount& top, Into children);

  // Changing.
  Result<Path> Place(const MountNamespace& ns, const Path& at) const DT_REQUIRES(mutex_);
  static Status CheckAlive(const Path& at);
  Status CheckLimit(size_t have, size_t more, size_t limit);
  Status Reserve(size_t mounts);
  void Unreserve(size_t mounts);
  Status AttachAt(MountNamespace& ns, const Path& place, MountList& made) DT_REQUIRES(mutex_);
  void Link(MountNamespace& ns, MountList& made) DT_REQUIRES(mutex_, table_sem_);
  void PutOn(Mount& mount, Mount& parent, Dentry& mountpoint) DT_REQUIRES(mutex_, table_sem_);
  void Insert(Mount& mount) DT_REQUIRES(mutex_, table_sem_);
  DentryRef TakeOff(Mount& mount) DT_REQUIRES(mutex_, table_sem_);
  size_t UnlinkTree(Mount& top, MountList& gone) DT_REQUIRES(mutex_, table_sem_);
  static bool Busy(Mount& mount, int32_t own_references);
  Mount* FirstBelow(const Dentry& dentry) DT_REQUIRES(mutex_);
  void End(MountNamespace& ns);

  // Looking.
  Mount* FindLocked(const Mount& mount, const Dentry& dentry) const;
  Mount* FindOn(const Dentry& dentry, const MountNamespace* ns) const;  // null: in any
  Path RootOfNamespace(const MountNamespace& ns) const;
  static std::string RootName(const Mount& mount);
  MountInfo Describe(const Mount& mount, std::string target) const;
  void CheckNamespace(MountNamespace& ns) const DT_REQUIRES(mutex_);

  Vfs& vfs_;
  const size_t mount_limit_, namespace_limit_;
  mm::ObjectCache<base::ShardedGauge> count_cache_;
  mm::ObjectCache<Mount> cache_;
  mm::ObjectCache<MountNamespace> namespace_cache_;
  // Changes of the trees, from the check to the change.
  mutable base::Mutex<base::LockRank::kMount> mutex_;
  uint32_t next_id_ DT_GUARDED_BY(mutex_) = 1;
  uint32_t next_namespace_id_ DT_GUARDED_BY(mutex_) = 2;
  size_t namespace_count_ DT_GUARDED_BY(mutex_) = 1;
  mutable base::List<MountNamespace, &MountNamespace::link_> all_ DT_GUARDED_BY(mutex_);
  // What walks read: mounts by parent and mountpoint. Written with mutex_ and table_sem_ held.
  mutable base::RwSem<base::LockRank::kPlace> table_sem_;
  SlotTable table_;
  SlotTable places_;        // the same mounts by mountpoint alone
  base::SeqCount changes_;  // written with table_sem_ held
  std::atomic<size_t> attached_{0};
  mutable base::Sharded<MountStats> stats_;
  MountNamespace initial_;
};

// Detaches what is mounted on a dentry that is being removed, at the end of a scope: declared
// before the locks around the removal.
class DetachLater {
 public:
  explicit DetachLater(MountTree& mounts) : mounts_(mounts) {}
  ~DetachLater() {
    if (dentry_ != nullptr) mounts_.DetachFrom(*dentry_);
  }
  DetachLater(const DetachLater&) = delete;
  DetachLater& operator=(const DetachLater&) = delete;
  void From(Dentry& dentry) { dentry_ = DentryRef::Share(&dentry); }

 private:
  MountTree& mounts_;
  DentryRef dentry_;
};

}  // namespace dentree::vfs
