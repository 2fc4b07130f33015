// Root: one kernfs tree. Kernfs: what all trees of one Vfs share.
//
//     auto kernfs = kernfs::Kernfs::Create(vfs);
//     auto root = kernfs::Root::Create(kernfs, {.type = &kTopDir, .priv = &state}).value();
//     vfs.RegisterType(std::make_unique<kernfs::FileSystem>(kernfs::FileSystem::Init{
//         .name = "demofs", .magic = 0x64656d6f, .root = root}));
//     NodeRef dir = root->CreateDir(root->top(), {.name = "a", .permissions = 0755},
//     kSomeDir).value(); root->Remove(*dir);      // waits for operations below it; afterwards
//     nobody uses its priv
//
// Who protects what:
//     shape of the listed tree, node states   tree_ (kNode); lookups and listings share it
//     what is cached of each domain           entries_lock_ (kBucket)
//     changed owners and modes                attrs_lock_ (kBucket)
//     who waits in OpenFile::Wait             wait_ (kNotify)
// No client code runs under any of them.
//
// Thread safety: every member may be called by any thread. Removal waits for operations under way
// below what is removed: not from inside one of them (but RemoveSelf and SyscallOps::Victim), and
// not holding a lock such an operation may want. Lifetime: shared by whoever created it and by its
// super block; clients' tables, providers, operations and priv pointers outlive the tree, or the
// part of it that has them: a client that goes away first calls Remove(top()), after which none of
// its code is called. Kernfs goes with its last root, which must be before the Vfs's memory: let a
// FileSystem registered in the Vfs be the last owner.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/base.h"
#include "kernfs/entry_table.h"
#include "kernfs/node.h"
#include "kernfs/ops.h"
#include "kernfs/provider.h"
#include "mm/mm.h"
#include "vfs/super_block.h"
#include "vfs/types.h"
#include "vfs/wait_queue.h"

namespace dentree::vfs {
class Vfs;
}

namespace dentree::kernfs {

class AttrMap;
class EntryIndex;
class SuperBlock;

// What every tree of a Vfs counts.
struct KernfsStats {
  base::Counter lookups, misses, opens, shows, reads, writes, listed;
  base::Counter removals, drain_waits, drained_files, notifications;
};
inline constexpr auto kKernfsFields = base::Fields(
    base::F<&KernfsStats::lookups>("lookups", "Names that file systems were asked for",
                                   base::StatKind::kCumulative),
    base::F<&KernfsStats::misses>("misses", "Of these, names that are not there",
                                  base::StatKind::kCumulative),
    base::F<&KernfsStats::opens>("opens", "Files opened", base::StatKind::kCumulative),
    base::F<&KernfsStats::shows>("shows", "Texts made for readers", base::StatKind::kCumulative),
    base::F<&KernfsStats::reads>("reads", "Reads", base::StatKind::kCumulative),
    base::F<&KernfsStats::writes>("writes", "Writes", base::StatKind::kCumulative),
    base::F<&KernfsStats::listed>("listed", "Directory entries listed",
                                  base::StatKind::kCumulative),
    base::F<&KernfsStats::removals>("removals", "Nodes and objects removed",
                                    base::StatKind::kCumulative),
    base::F<&KernfsStats::drain_waits>("drain_waits", "Removals that waited for an operation",
                                       base::StatKind::kCumulative),
    base::F<&KernfsStats::drained_files>("drained_files", "Open files released by a removal",
                                         base::StatKind::kCumulative),
    base::F<&KernfsStats::notifications>("notifications", "Calls of Notify",
                                         base::StatKind::kCumulative));

// Object caches and statistics of one Vfs.
class Kernfs {
 public:
  static std::shared_ptr<Kernfs> Create(vfs::Vfs& vfs);
  ~Kernfs();

  vfs::Vfs& vfs() const { return vfs_; }
  base::Sharded<KernfsStats>& stats() { return stats_; }

  // Rows kernfs_node, kernfs_transient and kernfs_open_file of slabinfo: listed nodes, entries that
  // a cached inode stands for, open files.
  size_t live_nodes() const;
  size_t live_transients() const;
  size_t live_open_files() const;

  struct Caches;
  Caches& caches() { return *caches_; }  // for the room itself

 private:
  explicit Kernfs(vfs::Vfs& vfs);

  vfs::Vfs& vfs_;
  std::unique_ptr<Caches> caches_;
  base::Sharded<KernfsStats> stats_;
};
inline constexpr auto kKernfsLiveFields = base::Fields(
    base::F<&Kernfs::live_nodes>("nodes", "Listed nodes", base::StatKind::kInstant),
    base::F<&Kernfs::live_transients>("entries", "Entries that a cached inode stands for",
                                      base::StatKind::kInstant),
    base::F<&Kernfs::live_open_files>("open_files", "Open files", base::StatKind::kInstant));

// Exact identity of an entry: unique for ever within its root.
struct Identity {
  uint64_t domain = 0;  // Node::id
  ObjectId object = kSelf;
  uint16_t index = kNoIndex;  // table entry, or kNoIndex for the object itself

  friend bool operator==(const Identity&, const Identity&) = default;
};

class Root {
 public:
  struct Init {
    const DirType* type = nullptr;  // of the top directory
    void* priv = nullptr;
    Mode permissions = 0755;
    SyscallOps* syscalls = nullptr;
  };
  static Result<std::shared_ptr<Root>> Create(std::shared_ptr<Kernfs> kernfs, const Init& init);
  ~Root();
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  Node& top() const { return *top_; }
  Kernfs& kernfs() const { return *kernfs_; }
  vfs::Vfs& vfs() const { return kernfs_->vfs(); }

  // --- building ---

  // A new child of a listed directory. kNameTooLong, kInval (a name that cannot be), kExist (also
  // against a table entry that is absent just now, and a node not yet active), kNoEnt (the parent
  // was removed), kNoMem. What fails leaves nothing.
  Result<NodeRef> CreateDir(Node& parent, const NodeInit& init, const DirType& type);
  Result<NodeRef> CreateFile(Node& parent, const NodeInit& init, const NodeOps& ops);
  Result<NodeRef> CreateSymlink(Node& parent, const NodeInit& init, std::string_view target);
  Result<NodeRef> CreateSymlink(Node& parent, const NodeInit& init, const LinkOps& ops);
  // Shows a node made with Publish::kLater and all nodes below it, in one step for every reader.
  void Activate(Node& node);

  // --- removing ---

  // Takes a node and all below it away: no new operation starts, waits for those under way,
  // releases open files, forgets cached names (submounts are detached). Any number of threads may
  // remove the same node: each returns when it is gone. Not for the victim of SyscallOps::Rmdir.
  void Remove(Node& node);
  // Remove from within an operation on `file`: its domain. Exactly one of the operations that ask
  // gets true; the others wait until it is gone and get false. Afterwards priv and data may be
  // gone.
  bool RemoveSelf(OpenFile& file);
  // The registry has marked `object` dead (provider.h): waits for operations on it in every domain
  // and forgets it. Its own children that are objects are removed by calls of their own, before it.
  void RemoveObject(ObjectId object);

  // --- changes ---

  // Answers of `present` callbacks in directories about `object` have changed (in one domain, or in
  // all).
  void PresenceChanged(Node& domain, ObjectId object = kSelf);
  void PresenceChanged(ObjectId object);
  // Something happened to an entry: pollers and OpenFile::Wait of it wake up.
  void Notify(const Identity& entry);
  void Notify(Node& node) { Notify(Identity{.domain = node.id()}); }

  // --- looking ---

  // The active listed child, or null.
  NodeRef Find(Node& parent, std::string_view name);
  // The inode number of an entry, whether anybody has looked at it or not.
  vfs::Ino InoOf(const Identity& entry) const;
  // Path of a listed node from the top: "/instances/foo".
  std::string PathOf(const Node& node) const;
  void CheckInvariants();

  // --- attributes ---

  // What applies to everything that nobody has changed since. O(1): changes of the given id made by
  // chown before this are void, everywhere.
  void SetMountOwner(std::optional<vfs::Uid> uid, std::optional<vfs::Gid> gid);
  // Permissions of the top directory. kNoMem.
  Status SetTopPermissions(Mode permissions);

 private:
  friend class EntryIndex;
  friend class Lookups;
  friend class Node;
  friend class OpenFiles;
  friend class SuperBlock;
  friend class SyscallOps::Victim;
  friend class Transient;

  using TreeLock = base::RwSem<base::LockRank::kNode>;
  using EntriesLock = base::SpinLock<base::LockRank::kBucket>;

  static constexpr size_t kWaitQueues = 16;

  Root(std::shared_ptr<Kernfs> kernfs, const Init& init);

  // node.cc
  static void FreeNode(Node* node);
  Status NameNode(Node& node, std::string_view name);
  // Parent may be null: the top.
  Result<NodeRef> MakeNode(Node* parent, const NodeInit& init, vfs::FileType kind);
  Status Link(Node& node, uint8_t flags);
  Result<uint32_t> TryLink(Node& node, uint32_t hash, uint8_t flags, ChildIndex*& spare);
  void Unlink(Node& node);
  uint32_t HashOf(std::string_view name) const;
  NodeRef FindLinked(Node& parent, std::string_view name, uint32_t hash);
  static Node& FirstBelowLocked(Node& top);
  static Node* NextLocked(Node& node, Node& top);
  void MarkAll(Node& top, uint8_t flag);

  // root.cc
  Status CheckNewName(const Node& parent, std::string_view name) const;
  Result<NodeRef> Publish(NodeRef node, Node& parent, const NodeInit& init);

  // remove.cc
  void KillTree(Node& top);
  void DrainDomain(Node& node);
  void ForgetNames(const Identity& entry);
  base::Ref<vfs::SuperBlock> Super();

  const std::shared_ptr<Kernfs> kernfs_;
  SyscallOps* const syscalls_;
  const int64_t born_;  // all times nobody has set
  TreeLock tree_;
  uint64_t last_id_ DT_GUARDED_BY(tree_) = 0;
  NodeRef top_;
  EntriesLock entries_lock_;
  std::unique_ptr<EntryIndex> entries_;
  std::unique_ptr<AttrMap> attrs_;
  SuperBlock* super_ DT_GUARDED_BY(entries_lock_) = nullptr;  // the only one, while mounted
  // Each for some entries: who waits for an event, or for the last operation to end.
  std::array<vfs::WaitQueue, kWaitQueues> wait_;
};

using RootRef = std::shared_ptr<Root>;

}  // namespace dentree::kernfs
