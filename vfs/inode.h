// Inode: one object of a file system, with the attributes that stat reports.
//
// Thread safety: attributes are read without a lock under the inode's sequence count (Attrs());
// they are changed with the inode's semaphore held for writing. Links of the inode into caches are
// changed by icache.cc and dcache.cc only.
// Lifetime: counted. Every dentry and every open file holds a reference; an inode without
// references stays in the icache until it is reclaimed (or dies at once when its super block says
// so or its link count is zero). Memory is freed after a grace period: RCU readers may still look.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Dentry;
class InodeOps;
class SuperBlock;
class Vfs;

using DirSem = base::RwSem<base::LockRank::kDir>;

// What a file system implements beyond the defaults, so that a walk asks without a virtual call.
enum InodeOpFlags : uint16_t {
  kHasPermission = 1 << 0,  // InodeOps::Permission decides; the mode bits are not enough
  kHasGetattr = 1 << 1,     // InodeOps::Getattr fills the answer
  kAnyoneMayRead = 1 << 2,  // open and read need no further check (rights were given at open)
  kCountsPages = 1 << 3,    // a regular file that says what it takes (Update::Pages)
};

// Inode::flags. Changed with the semaphore held for writing.
enum InodeFlags : uint32_t {
  kInodeDead = 1 << 0,       // a directory that was removed: nothing can be created in it
  kInodeAppend = 1 << 1,     // chattr +a
  kInodeImmutable = 1 << 2,  // chattr +i
  kInodeNoCache = 1 << 3,    // dies with its last reference
  // Of the side tables of locks and watches (inode_sides.h), under their own locks:
  kInodeLocked = 1 << 4,     // has locks, or somebody waits for one
  kInodeWatched = 1 << 5,    // has watches
  kInodeNoDump = 1 << 8,     // chattr +d
  kInodeNoAtime = 1 << 9,    // chattr +A
  kInodeLinkable = 1 << 10,  // made by O_TMPFILE: has no name, and may be given one
  kInodeFileCaps = 1 << 11,  // has security.capability, which goes when the file changes
};

// Whether the icache knows it; changes under the icache's stripe.
enum class InodeState : uint32_t { kUnhashed, kHashed, kDead };

class alignas(64) Inode {
 public:
  Inode(SuperBlock& sb, const InodeOps& ops, Ino ino, Mode mode);
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  // One consistent snapshot of the stored attributes; never blocks, never writes shared memory.
  Stat Attrs() const {
    Stat stat;
    AttrsInto(stat);
    return stat;
  }
  void AttrsInto(Stat& stat) const {
    const uint32_t seq = seq_.Sample();
    CopyAttrs(stat);
    if ((seq & 1) != 0 || seq_.ReadRetry(seq)) [[unlikely]]
      AttrsIntoSlow(stat);
  }

  // The same of mode, uid and gid.
  Owner OwnerNow() const {
    for (;;) {
      const uint32_t seq = seq_.ReadBegin();
      const Owner owner(mode_.Load(), uid_.Load(), gid_.Load());
      if (!seq_.ReadRetry(seq)) [[likely]]
        return owner;
    }
  }

  // Is `uid` the owner, and do his bits allow `want`? False also while that changes.
  bool OwnerMay(Uid uid, unsigned want) const {
    const uint32_t seq = seq_.Sample();
    const bool may = uid_.Load() == uid && (want & ~unsigned{mode_.Load()} >> 6 & 7) == 0;
    return may && (seq & 1) == 0 && !seq_.ReadRetry(seq);
  }

  Mode mode() const { return mode_.Load(); }
  Uid uid() const { return uid_.Load(); }
  Gid gid() const { return gid_.Load(); }
  Ino ino() const { return ino_; }
  uint64_t size() const { return size_.Load(); }
  int64_t ctime() const { return ctime_.Load(); }
  uint32_t nlink() const { return nlink_.Load(); }
  DevId rdev() const { return rdev_or_pages_.Load(); }
  uint32_t pages() const { return rdev_or_pages_.Load(); }  // kCountsPages
  uint32_t flags() const { return flags_.load(std::memory_order_acquire); }
  FileType type() const { return TypeOf(mode()); }
  bool is_dir() const { return IsDir(mode()); }
  bool is_symlink() const { return IsSymlink(mode()); }
  bool dead() const { return flags() & kInodeDead; }
  const InodeOps& ops() const { return *ops_; }
  uint16_t op_flags() const { return op_flags_; }
  SuperBlock& sb() const { return *sb_; }
  Vfs& vfs() const;

  // The file system's own data. Set once, before the inode is published.
  void* private_data() const { return private_; }
  void set_private_data(void* data) { private_ = data; }
  template <class T>
  T& priv() const {
    return *static_cast<T*>(private_);
  }

  void set_op_flags(uint16_t op_flags) { op_flags_ = op_flags; }
  void set_rdev(DevId rdev) { rdev_or_pages_.Store(rdev); }

  // Changing attributes: everything set inside one Update becomes visible at once.
  // REQUIRES: sem() held for writing, or the inode not yet published.
  struct Unpublished {};  // of an inode that nobody else knows yet: without its sequence count
  class Update {
   public:
    explicit Update(Inode& inode) : inode_(inode), seq_(&inode.seq_) { seq_->WriteBegin(); }
    Update(Inode& inode, Unpublished) : inode_(inode), seq_(nullptr) {}
    ~Update() {
      if (seq_ != nullptr) seq_->WriteEnd();
    }
    Update(const Update&) = delete;
    Update& operator=(const Update&) = delete;

    Update& Mode(vfs::Mode mode) { return inode_.mode_.Store(mode), *this; }
    Update& Owner(Uid uid, Gid gid) {
      return inode_.uid_.Store(uid), inode_.gid_.Store(gid), *this;
    }
    Update& Size(uint64_t size) { return inode_.size_.Store(size), *this; }
    Update& Nlink(uint32_t nlink) { return inode_.nlink_.Store(nlink), *this; }
    Update& AddNlink(int delta);
    // Of 4 KiB, what a regular file with kCountsPages takes; others keep their device there.
    Update& Pages(uint32_t pages) { return inode_.rdev_or_pages_.Store(pages), *this; }
    Update& Atime(int64_t ns) { return inode_.atime_.Store(ns), *this; }
    Update& Mtime(int64_t ns) { return inode_.mtime_.Store(ns), *this; }
    Update& Ctime(int64_t ns) { return inode_.ctime_.Store(ns), *this; }
    Update& AllTimes(int64_t ns);
    Update& SetFlag(uint32_t flag);
    Update& ClearFlag(uint32_t flag);

   private:
    Inode& inode_;
    base::SeqCount* const seq_;
  };

  // The directory lock (shared: listing; exclusive: lookup of a cold name, create, remove, rename)
  // and the lock of the attributes and data of every other type.
  DirSem& sem() const { return sem_; }

  // For side tables: whether they have something about this inode.
  void SetSideFlag(InodeFlags flag) { flags_.fetch_or(flag, std::memory_order_release); }
  void ClearSideFlag(InodeFlags flag) {
    flags_.fetch_and(~uint32_t{flag}, std::memory_order_release);
  }

  static void Get(Inode* inode) { inode->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(Inode* inode);  // icache.cc

  int32_t refs() const { return refs_.load(std::memory_order_relaxed); }

 private:
  friend class Icache;
  friend class Dcache;
  friend class SuperBlock;

  void CopyAttrs(Stat& stat) const;
  void AttrsIntoSlow(Stat& stat) const;

  // Line 0: all that a walk and a stat read. Written under sem_ inside seq_, except refs_.
  base::SeqField<vfs::Mode> mode_;
  uint16_t op_flags_ = 0;
  base::SeqField<Uid> uid_;
  base::SeqField<Gid> gid_;
  std::atomic<uint32_t> flags_{0};
  const Ino ino_;
  base::SeqField<uint64_t> size_;
  base::SeqField<uint32_t> nlink_;
  base::SeqField<uint32_t> rdev_or_pages_;
  mutable base::SeqCount seq_;
  std::atomic<int32_t> refs_{1};  // zero is reached under the icache's stripe only
  const InodeOps* const ops_;
  SuperBlock* const sb_;

  // Line 1.
  base::SeqField<int64_t> atime_, mtime_, ctime_, btime_;  // sem_, inside seq_
  void* private_ = nullptr;                                // immutable once published
  mutable DirSem sem_;
  std::atomic<InodeState> state_{InodeState::kUnhashed};  // icache's stripe
  union {
    Dentry* aliases_;     // refs_ > 0: Dcache's alias lock
    mm::LruLink lru_;     // refs_ == 0 and kept: the super block's inode LRU lock
    base::RcuHead free_;  // dead, waiting for a grace period
  };
};
static_assert(sizeof(Inode) == 128);

using InodeRef = base::Ref<Inode>;

}  // namespace dentree::vfs
