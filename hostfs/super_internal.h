// HostSuper: one mount's tree of a host directory. HostInode: what an inode of it knows of its
// object on the host. HostFile: an open one.
//
// An inode holds no descriptor. Its object is found again by a name that the dcache knows for it,
// from the top, beneath it and through no symlink, and is believed only when it is the one meant
// (docs/decisions/0030). A name that turns out wrong is no longer believed, nor are those above it:
// the next walk asks for them.
//
// Thread safety: any thread. Attributes are stored where the inode's semaphore can be had without
// waiting: whoever holds it changes them, and then they are read again the next time.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hostfs/host_calls_internal.h"
#include "hostfs/hostfs.h"
#include "hostfs/watches_internal.h"
#include "vfs/vfs.h"

namespace dentree::hostfs {

// In Dentry::fsdata: the name is to be asked before it is believed.
inline constexpr uint64_t kNameDistrusted = std::numeric_limits<uint64_t>::max();
// In HostInode::read_ns: the attributes are to be read before they are believed.
inline constexpr int64_t kNeverRead = std::numeric_limits<int64_t>::min();

inline constexpr size_t kDirBufferBytes = 32 * 1024;

// What a listing has read from the host and not yet given to its caller. The file's position lock.
struct DirBuffer {
  alignas(8) std::byte bytes[kDirBufferBytes];
  size_t at = 0;
  size_t end = 0;
  int64_t next = 0;  // the position of the record at `at`
};

struct HostFile {
  Fd fd;
  std::unique_ptr<DirBuffer> dir;
};

struct HostInode {
  explicit HostInode(const HostId& its_id) : id(its_id) {}

  // An open file of the object, by which it can be asked without a name; null when there is none.
  std::shared_ptr<HostFile> AnyOpen() const;
  void AddOpen(std::shared_ptr<HostFile> file);
  void RemoveOpen(const HostFile* file);

  const HostId id;
  std::atomic<int64_t> read_ns{kNeverRead};  // monotonic: when the attributes were read
  std::atomic<uint64_t> blocks{0};           // what vfs::Inode has no room for
  std::atomic<uint32_t> blksize{4096};
  std::atomic<int32_t> watch{Watches::kNone};    // a directory's own; Watches
  std::atomic<int32_t> seen_in{Watches::kNone};  // of the directory that it was last found in
  std::atomic<bool> asked_unwatched{false};      // a name in it, since it last had a watch

 private:
  mutable base::SpinLock<base::LockRank::kLeaf> lock_;
  std::vector<std::shared_ptr<HostFile>> open_ DT_GUARDED_BY(lock_);
};

inline HostInode& HostOf(const vfs::Inode& inode) { return inode.priv<HostInode>(); }

// The type's part that its super blocks use.
class FileSystemState {
 public:
  FileSystemState(Fd top, const FileSystem::Options& options)
      : top_(std::move(top)),
        may_write_(options.may_write),
        max_open_(options.max_open),
        max_watches_(std::clamp(options.max_watches, int64_t{0}, int64_t{INT32_MAX})) {}

  int top() const { return top_.get(); }
  bool may_write() const { return may_write_; }
  int64_t max_watches() const { return max_watches_; }
  Stats& stats() { return stats_; }
  const Stats& stats() const { return stats_; }

  // kNFile beyond the limit.
  Status TakeOpen();
  void GiveOpen() { stats_.open.Sub(); }

 private:
  const Fd top_;
  const bool may_write_;
  const int64_t max_open_;
  const int64_t max_watches_;
  Stats stats_;
};

struct Settings {
  int64_t ttl_ms = kDefaultTtlMs;
  int64_t delay_ns = 0;
  bool notify = true;
};

// A descriptor that is the caller's or somebody else's.
class Handle {
 public:
  explicit Handle(int borrowed) : fd_(borrowed) {}
  explicit Handle(Fd owned) : owned_(std::move(owned)), fd_(owned_.get()) {}
  explicit Handle(std::shared_ptr<HostFile> file) : file_(std::move(file)), fd_(file_->fd.get()) {}
  int get() const { return fd_; }

 private:
  Fd owned_;
  std::shared_ptr<HostFile> file_;
  int fd_;
};

class HostSuper final : public vfs::SuperBlock {
 public:
  HostSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, FileSystemState& state,
            const Settings& settings);

  const HostCalls& calls() const { return calls_; }
  FileSystemState& state() { return state_; }
  Stats& stats() const { return state_.stats(); }

  // --- time ---
  void Configure(const Settings& settings);
  Settings settings() const;
  int64_t Now() const { return vfs().clock().MonotonicNs(); }
  // The same, of an answer that is about to be asked for: what was heard until then is of before.
  int64_t AskingNow();
  // Is what was learned at `ns` of a name in `dir` still to be believed? Of an inode's attributes?
  bool NameFresh(const vfs::Inode& dir, int64_t ns);
  bool MissingFresh(const vfs::Inode& dir, uint32_t asked_ms);
  bool AttributesFresh(const vfs::Inode& inode);
  // Lets a question about a name take as long as it is to.
  void Delay() const { HostCalls::Delay(delay_ns_.load(std::memory_order_relaxed)); }

  // --- objects ---

  // The inode of what was found, cached or new, with what was found out at `asked_ns`.
  Result<vfs::InodeRef> InodeOf(const HostStat& stat, int64_t asked_ns);
  // It was found in `dir`, whose events are of its attributes too.
  static void FoundIn(const vfs::Inode& dir, const vfs::Inode& inode);
  // The object of an inode: `flags` as for open(2), with O_PATH to hold it only. kStale: it is
  // under none of its names any more; these are distrusted then.
  Result<Handle> Find(vfs::Inode& inode, int flags, HostStat* stat = nullptr);
  // Is there a name that is believed to mean the inode?
  bool HasBelievedName(vfs::Inode& inode);
  // The same as Find by one name.
  Result<Fd> FindBy(vfs::Dentry& name, const HostId& id, int flags, HostStat* stat = nullptr);
  // What a name in a directory means. The whole path is resolved beneath the top for it: a
  // directory that is moved away at this moment takes nobody along.
  Result<HostStat> Ask(vfs::Inode& dir, const std::string& name);
  // A directory, to change names in it: found beneath the top, it stays the one meant.
  Result<Handle> FindDir(vfs::Inode& dir);
  // A name of a file that is still its own: the directory, and what it is called there.
  struct Place {
    Handle dir;
    std::string name;
  };
  Result<Place> FindPlace(vfs::Inode& inode);
  // Does `name` in `dir` still mean the inode? kNoEnt, kStale.
  Status CheckName(int dir, const std::string& name, const vfs::Inode& inode) const;

  // --- attributes ---

  // Those in force: as read, while they are fresh, else read again.
  Result<vfs::Stat> Attributes(vfs::Inode& inode);
  // The same if they are fresh.
  std::optional<vfs::Stat> AttributesAtHand(const vfs::Inode& inode);
  // As the host tells them, whatever we know.
  Result<HostStat> ReadAttributes(vfs::Inode& inode);
  // Takes over what was found at `asked_ns`, unless somebody else is changing the inode.
  static void Offer(vfs::Inode& inode, const HostStat& stat, int64_t asked_ns);
  // REQUIRES: inode.sem() held for writing, or the inode not yet published.
  static void Store(vfs::Inode& inode, const HostStat& stat, int64_t asked_ns);
  static void Expire(const vfs::Inode& inode) { HostOf(inode).read_ns.store(kNeverRead); }
  vfs::Stat ToStat(const vfs::Inode& inode, const HostStat& stat) const;

  // The number shown for an object: the host's, mixed with its device if that is not the top's, so
  // that equal numbers stay equal objects.
  vfs::Ino ShownIno(uint64_t dev, uint64_t ino) const;

  // Null without memory.
  static std::shared_ptr<HostFile> NewFile(Fd fd, std::unique_ptr<DirBuffer> dir);

  void EvictInode(vfs::Inode& inode) override;
  vfs::StatFs Statfs() const override;
  std::string ShowOptions() const override;

  Result<vfs::InodeRef> MakeTop();

 private:
  // Opens what a name leads to from the top, or `child` in it.
  Result<Fd> OpenPath(vfs::Dentry& name, int flags, const std::string& child = {}) const;
  // The same for a path that no system call takes: in pieces, each beneath the one before.
  Result<Fd> OpenDeep(vfs::Dentry& name, int flags, const std::string& child) const;
  void Distrust(vfs::Dentry& name) const;
  void DistrustNames(vfs::Inode& inode);
  Result<vfs::InodeRef> NewInode(const HostStat& stat, int64_t asked_ns);
  bool Young(int64_t ns, int64_t now) const;

  FileSystemState& state_;
  const HostCalls calls_;
  uint64_t top_dev_ = 0;  // set before the first lookup
  std::atomic<int64_t> ttl_ms_;
  std::atomic<int64_t> delay_ns_;
  std::atomic<bool> notify_;
  Watches watches_;
  mm::ObjectCache<HostInode> inodes_;
};

inline HostSuper& SuperOf(const vfs::Inode& inode) { return static_cast<HostSuper&>(inode.sb()); }

// The operations of inodes of one type (inode.cc), and of open ones (file.cc).
const vfs::InodeOps& OpsFor(vfs::FileType type);
const vfs::FileOps& OpenDirOps();
const vfs::FileOps& OpenFileOps();

}  // namespace dentree::hostfs
