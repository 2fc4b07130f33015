// A Linux-style virtual file system as an object: caches, mounts, file system types. Umbrella of
// the vfs room.
//
//     auto vfs = vfs::Vfs::Create();
//     vfs->RegisterType(ramfs::Type());
//     vfs->MountRoot("ramfs", "");
//     vfs::Task task(*vfs, vfs::Creds::Root());
//     int fd = task.Open("/hello", O_CREAT | O_WRONLY, 0644).value();
//
// Thread safety: a Vfs may be used from any number of threads; a Task like a POSIX process.
// Lifetime: many live in one process. Tasks and files must be gone before their Vfs; destroying it
// unmounts everything and proves that nothing leaked (LeakReport; fatal in debug builds).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/anon_fs.h"
#include "vfs/creds.h"
#include "vfs/dcache.h"
#include "vfs/dentry.h"
#include "vfs/file.h"
#include "vfs/file_limit.h"
#include "vfs/file_lock.h"
#include "vfs/file_pool.h"
#include "vfs/icache.h"
#include "vfs/inode.h"
#include "vfs/inode_ops.h"
#include "vfs/mount.h"
#include "vfs/negative.h"
#include "vfs/notify.h"
#include "vfs/ops.h"
#include "vfs/super_block.h"
#include "vfs/task.h"
#include "vfs/types.h"
#include "vfs/wait_queue.h"
#include "vfs/walk.h"

namespace dentree::vfs {

inline constexpr size_t kDefaultMaxFiles = size_t{1} << 20;
// Of a memory limit (and at most an eighth of it): what a walk to a control file, its open file and
// their slabs take, several times.
inline constexpr size_t kDefaultMemoryReserve = size_t{128} << 10;

struct FileStats {
  base::ShardedGauge open;
  base::Counter refused;  // opens that found max_files open
};
inline constexpr auto kFileFields = base::Fields(
    base::F<&FileStats::open>("open", "Open file descriptions", base::StatKind::kInstant),
    base::F<&FileStats::refused>("refused", "Opens refused because too many files are open",
                                 base::StatKind::kCumulative));

class Vfs {
 public:
  struct Options {
    size_t memory_limit = SIZE_MAX;  // bytes, all caches together
    size_t memory_reserve =
        kDefaultMemoryReserve;  // bytes of it that only what must not fail takes
    // Bytes free below which a thread reclaims, and up to which; 0: no such thread.
    size_t memory_low = 0;
    size_t memory_high = 0;
    bool memory_profile = mm::Memory::kDefaultProfile;  // /proc/allocinfo
    size_t negative_limit = kDefaultNegativeLimit;      // entries, of all policies with a limit
    size_t lock_limit = kDefaultLockLimit;              // advisory locks
    size_t mount_limit = kDefaultMountLimit;            // mounts in one namespace
    size_t namespace_limit = kDefaultNamespaceLimit;
    NotifyLimits notify = {};
    size_t max_files = kDefaultMaxFiles;  // open files; kNFile beyond, but for CAP_SYS_ADMIN
    base::Clock* clock = nullptr;         // null: the real one; must outlive the Vfs
    uint64_t hash_seed = 0;               // 0: random
  };

  static std::unique_ptr<Vfs> Create(const Options& options);
  static std::unique_ptr<Vfs> Create() { return Create(Options{}); }
  ~Vfs();

  // --- file system types and mounts ---
  void RegisterType(std::unique_ptr<FileSystemType> type);
  FileSystemType* FindType(std::string_view name) const;  // null when there is none
  std::vector<const FileSystemType*> Types() const;

  // Mounts the first file system. kNoDev: unknown type; option errors as the type says.
  Status MountRoot(std::string_view type, std::string_view options);
  Path Root() const;

  // --- parts ---
  mm::Memory& memory() { return memory_; }
  base::RcuDomain& rcu() { return rcu_; }
  base::FaultInjector& faults() { return faults_; }
  base::SyncPoints& sync_points() { return sync_points_; }
  const base::Clock& clock() const { return *clock_; }
  const base::HashKey& hash_key() const { return hash_key_; }
  Dcache& dcache() { return dcache_; }
  Icache& icache() { return icache_; }
  NegativeCache& negatives() { return negatives_; }
  MountTree& mounts() { return mounts_; }
  Ops& ops() { return ops_; }
  base::Sharded<WalkStats>& walk_stats() { return walk_stats_; }
  FilePool& files() { return files_; }
  FileLocks& locks() { return locks_; }
  Notify& notify() { return notify_; }
  AnonFs& anon() { return anon_; }

  // Is there a super block whose file system may block (kSbMayBlock)?
  bool may_block() const { return may_block_.load(std::memory_order_relaxed) != 0; }
  // Open file descriptions: how many there may be, and how that went.
  size_t max_files() const { return file_limit_.limit(); }
  FileLimit& file_limit() { return file_limit_; }
  FileStats& file_stats() { return file_stats_; }

  // --- caches, as echo 1..3 > /proc/sys/vm/drop_caches ---
  void DropCaches();

  // Unmounts everything. What is still referenced then is a leak (LeakReport). The destructor does
  // it.
  void Shutdown();
  // What would be a leak if the Vfs ended now: one line each; empty is good after Shutdown.
  std::string LeakReport() const;
  void CheckInvariants();

 private:
  friend class SuperBlock;
  explicit Vfs(const Options& options);

  void NoteBusyUnmount(const SuperBlock& sb);

  DevId NextDev() { return next_dev_.fetch_add(1, std::memory_order_relaxed); }

  // In order of dependence: destroyed from the last to the first.
  base::RealClock real_clock_;
  const base::Clock* const clock_;
  const base::HashKey hash_key_;
  base::FaultInjector faults_;
  base::SyncPoints sync_points_;
  base::RcuDomain rcu_;
  mm::Memory memory_;
  mm::RcuShrinker rcu_shrinker_;
  mm::ShrinkerRegistration rcu_registration_;
  Icache icache_;
  Dcache dcache_;
  NegativeCache negatives_;
  mutable base::Mutex<base::LockRank::kLeaf> types_mutex_;
  std::vector<std::unique_ptr<FileSystemType>> types_ DT_GUARDED_BY(types_mutex_);
  std::vector<std::string> busy_unmounts_ DT_GUARDED_BY(types_mutex_);
  std::atomic<DevId> next_dev_{1};
  std::atomic<int32_t> may_block_{0};  // super blocks
  FilePool files_;
  FileStats file_stats_;
  FileLimit file_limit_;
  FileLocks locks_;
  Notify notify_;
  AnonFs anon_;
  MountTree mounts_;
  base::Sharded<WalkStats> walk_stats_;
  Ops ops_;
};

}  // namespace dentree::vfs
