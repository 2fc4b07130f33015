// SuperBlock: one mounted instance of a file system. FileSystemType: where they come from.
// MountContext: the options of a mount on their way in (parse, validate, apply or reconfigure).
//
// Thread safety: every public member may be called from any thread; what a file system overrides
// says which locks are held.
// Lifetime: counted by mounts. The last unmount kills the dentry tree, then the inodes; what is
// still referenced then is a leak, reported by Vfs::LeakReport and fatal in debug builds.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/creds.h"
#include "vfs/dentry.h"
#include "vfs/inode.h"
#include "vfs/negative_options.h"
#include "vfs/types.h"

namespace dentree::vfs {

class FileSystemType;
class NegativePolicy;
class SuperBlock;
class Vfs;

enum SuperFlags : uint32_t {
  kSbReadOnly = 1 << 0,
  kSbPinned = 1 << 1,  // the dcache is the directory: dentries are pinned from creation to removal
  kSbRevalidate = 1 << 2,     // cached children are asked for by InodeOps::Revalidate
  kSbAuthoritative = 1 << 3,  // Lookup answers a miss from memory: negatives are not cached
  kSbNoInodeCache = 1 << 4,   // an inode dies with its last reference
  kSbNoExec = 1 << 5,
  kSbNoDev = 1 << 6,
  kSbMayBlock = 1 << 7,  // its operations may wait long (for a host, a network): a request loop has
                         // other threads call them; needs kSbRevalidate
  // Options of mount(2) that are the super block's: accepted and shown.
  kSbSync = 1 << 16,
  kSbDirSync = 1 << 17,
  kSbMand = 1 << 18,
  kSbLazyTime = 1 << 19,
  kSbNeverWritable = 1 << 20,  // read-only, whatever a remount asks for
};

// Options on their way into a super block. One context serves one mount or one remount.
class MountContext {
 public:
  virtual ~MountContext() = default;

  // One "key" or "key=value" (value empty for the first form). kInval: unknown key or bad value;
  // LastError() then names it. Nothing is applied before all is parsed.
  virtual Status ParseOption(std::string_view key, std::string_view value);
  virtual Status Validate() { return {}; }

  // A super block for a new mount: a new one, or one that exists (single-instance file systems).
  virtual Result<base::Ref<SuperBlock>> GetTree(Vfs& vfs) = 0;
  // Applies the parsed options to a super block in use; only options that were given change.
  virtual Status Reconfigure(SuperBlock& sb);

  // Parses "a,b=c" option by option, then validates.
  Status ParseAll(std::string_view options);
  const std::string& LastError() const { return error_; }

 protected:
  std::unexpected<Errno> Fail(Errno error, std::string why);

 private:
  std::string error_;
};

class FileSystemType {
 public:
  virtual ~FileSystemType() = default;
  virtual std::string_view name() const = 0;
  virtual bool needs_device() const { return false; }  // "nodev" in /proc/filesystems otherwise
  // A mount without "rw" among its options is "ro".
  virtual bool read_only_unless_asked() const { return false; }
  virtual std::unique_ptr<MountContext> NewContext() = 0;
};

class SuperBlock {
 public:
  struct Init {
    const FileSystemType* type;
    uint32_t magic;
    uint32_t flags = 0;  // SuperFlags
  };
  SuperBlock(Vfs& vfs, Init init);
  virtual ~SuperBlock();
  SuperBlock(const SuperBlock&) = delete;
  SuperBlock& operator=(const SuperBlock&) = delete;

  Vfs& vfs() const { return vfs_; }
  const FileSystemType& type() const { return *type_; }
  DevId dev() const { return dev_; }
  uint32_t magic() const { return magic_; }
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  bool Has(SuperFlags flag) const { return flags() & flag; }
  bool read_only() const { return Has(kSbReadOnly); }
  void SetFlag(SuperFlags flag, bool on);
  // kBusy: files are open for writing, in whatever mount of it.
  Status MakeReadOnly();
  // Is it mounted, attached or still in use? Until its first mount it is its maker's alone.
  bool mounted() const { return mounts_.load(std::memory_order_relaxed) > 0; }
  Dentry& root() const { return *root_; }

  // --- ageing: what nobody used for LruList::kEpochs epochs goes, without any pressure ---
  static constexpr int64_t kEpochNs = 120'000'000'000;
  // One new name of so many, by its hash, lets go of what is old: of so many dentries and inodes at
  // most, which is more than have come since.
  static constexpr uint32_t kNamesPerAgeing = 64;
  static constexpr size_t kAgeBatch = 128;
  void AgeCaches();

  // The policy of its negatives. kInval: it has none (kSbAuthoritative). kNoMem.
  Status SetNegativeOptions(const NegativeOptions& options);
  // What was asked for, as in /proc/mounts: ",neg=lru".
  std::string NegativeOptionsText() const;

  // Gives the super block its root: called once, by GetTree, before the first mount.
  Status MakeRoot(InodeRef root);

  // The parent directory lock for renames between directories.
  using RenameMutex = base::Mutex<base::LockRank::kRename>;
  RenameMutex& rename_mutex() { return rename_mutex_; }

  // --- what a file system overrides ---

  // An inode is about to be freed; release what private_data holds. No lock held; cannot fail.
  virtual void EvictInode(Inode& inode);
  virtual StatFs Statfs() const;
  // Mount options in force, as in /proc/mounts after "rw": ",size=4k". Empty when all default.
  virtual std::string ShowOptions() const { return {}; }
  // After the last unmount, when dentries and inodes are gone.
  virtual void Shutdown() {}

  static void Get(SuperBlock* sb) { sb->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(SuperBlock* sb);
  // A reference, unless its end has begun. For single-instance file systems that find theirs again.
  static base::Ref<SuperBlock> TryGet(SuperBlock* sb);

 private:
  friend class Dcache;
  friend class Icache;
  friend class Mount;
  friend class NegativeCache;
  friend class Vfs;

  void Kill();

  Vfs& vfs_;
  const FileSystemType* const type_;
  const uint32_t magic_;
  const DevId dev_;
  std::atomic<uint32_t> flags_;
  std::atomic<int32_t> refs_{1};
  std::atomic<int32_t> mounts_{0};
  std::atomic<int32_t> writers_{0};  // of all its mounts
  Dentry* root_ = nullptr;
  RenameMutex rename_mutex_;
  mm::LruList<Dentry, &Dentry::lru_> dentry_lru_;  // dentries nobody refers to
  mm::LruList<Inode, &Inode::lru_> inode_lru_;     // inodes nobody refers to
  base::ShardedGauge inodes_waiting_;              // freed, but not before a grace period
  std::atomic<int64_t> epoch_began_ns_;            // of the two lists; monotonic

  // NegativeCache's.
  struct {
    NegativeOptions options;           // what was asked for
    NegativePolicy* policy = nullptr;  // with the first negative
    std::atomic<bool> drops_all{false};
  } negatives_;

  // The two lists, as memory reclaim sees them.
  static size_t OrEmpty(size_t objects) { return objects == 0 ? mm::Shrinker::kEmpty : objects; }
  class DentryShrinker final : public mm::Shrinker {
   public:
    explicit DentryShrinker(SuperBlock& sb);
    std::string_view name() const override { return name_; }
    size_t Count() override { return OrEmpty(sb_.dentry_lru_.size()); }
    bool scaled_by_pressure() const override { return true; }
    mm::ScanResult Scan(size_t nr) override;

   private:
    SuperBlock& sb_;
    const std::string name_;
  };
  class InodeShrinker final : public mm::Shrinker {
   public:
    explicit InodeShrinker(SuperBlock& sb);
    std::string_view name() const override { return name_; }
    size_t Count() override { return OrEmpty(sb_.inode_lru_.size()); }
    bool scaled_by_pressure() const override { return true; }
    mm::ScanResult Scan(size_t nr) override;

   private:
    SuperBlock& sb_;
    const std::string name_;
  };
  DentryShrinker dentry_shrinker_;
  InodeShrinker inode_shrinker_;
  // Taken off before the file system's part of the super block goes.
  std::optional<mm::ShrinkerRegistration> dentry_registration_;
  std::optional<mm::ShrinkerRegistration> inode_registration_;
};

using SuperRef = base::Ref<SuperBlock>;

inline void Inode::CopyAttrs(Stat& stat) const {
  stat.ino = ino_;
  stat.dev = sb_->dev();
  stat.mode = mode_.Load();
  stat.nlink = nlink_.Load();
  stat.uid = uid_.Load();
  stat.gid = gid_.Load();
  stat.size = size_.Load();
  const uint32_t rdev_or_pages = rdev_or_pages_.Load();
  const bool counts_pages = op_flags_ & kCountsPages;
  stat.rdev = counts_pages ? 0 : rdev_or_pages;
  stat.blocks = counts_pages ? uint64_t{rdev_or_pages} * 8 : (stat.size + 511) / 512;
  stat.blksize = Stat().blksize;
  stat.times.atime = atime_.Load();
  stat.times.mtime = mtime_.Load();
  stat.times.ctime = ctime_.Load();
  stat.times.btime = btime_.Load();
}

}  // namespace dentree::vfs
