// Dentry: a name in a directory, cached; the unit of path lookup. Name: a component being looked
// up.
//
// A dentry always has an inode: what is not there is a Negative (negative.h), a smaller type that
// lives in the same hash table but never on its directory's list of children.
//
// States, in the count of ref_:
//     > 0   in use: by callers, and one for each child
//     == 0  cached: on its super block's LRU, in the hash; anyone may revive it or evict it
//     < 0   dead: left the hash and its parent in the same critical section
//
// Thread safety: line 0 is what an RCU walk reads; it changes only inside seq_ (odd while it
// changes) with ref_ locked. Line 1 is written under the locks named there.
// Lifetime: type-stable. A freed dentry may be reused at once as another dentry; a reader in an
// RCU section sees the change by seq_ and must recheck it before it believes what it read.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/base.h"
#include "vfs/inode.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Dcache;

// One path component, hashed, with its first 32 bytes as words so that a comparison is a few
// loads. Does not own the text.
class Name {
 public:
  static constexpr size_t kInlineMax = 32;
  static constexpr size_t kWords = kInlineMax / 8;

  Name(const base::HashKey& key, std::string_view text);
  std::string_view text() const { return text_; }
  uint32_t hash() const { return HashOf(key_); }
  size_t size() const { return text_.size(); }
  uint64_t word(size_t i) const { return words_[i]; }  // zero-padded

  // Hash and size, as names are compared by.
  uint64_t key() const { return key_; }
  static constexpr uint32_t HashOf(uint64_t key) { return static_cast<uint32_t>(key); }
  static constexpr size_t SizeOf(uint64_t key) { return key >> 32; }
  static constexpr uint64_t KeyOf(uint64_t hash, size_t size) {
    return static_cast<uint32_t>(hash) | static_cast<uint64_t>(size) << 32;
  }

 private:
  std::string_view text_;
  uint64_t key_;
  uint64_t words_[kWords];
};

// Dentry::flags.
enum DentryFlags : uint32_t {
  kDentryTypeMask = 0xf,        // FileType of the inode
  kDentryMounted = 1 << 4,      // something is mounted here (in some namespace)
  kDentryRevalidate = 1 << 5,   // ask the file system before believing it
  kDentryUnhashed = 1 << 6,     // not reachable by lookup: removed, or not yet published
  kDentryPinned = 1 << 7,       // its file system keeps it: one extra reference until removal
  kDentryReferenced = 1 << 8,   // used since the LRU last looked (second chance)
  kDentryNoCache = 1 << 9,      // dies with its last reference
  kDentryPermission = 1 << 10,  // its inode has kHasPermission
  kDentrySymlink = 1 << 11,     // what the type says, as a bit
  kDentryNegatives = 1 << 12,   // a directory of which NegativeCache knows something
};

class alignas(64) Dentry {
 public:
  Dentry(const Dentry&) = delete;
  Dentry& operator=(const Dentry&) = delete;

  // Valid while a reference is held (rename may change parent and name: see NameCopy, Dcache).
  Inode& inode() const { return *inode_.load(std::memory_order_acquire); }
  // Without a reference: null while it has none; otherwise what is read of it is worth as much as
  // `seq_` (Dcache::Stale) says afterwards.
  const Inode* InodeRcu() const { return inode_.load(std::memory_order_acquire); }
  Dentry* parent() const { return parent_.load(std::memory_order_acquire); }
  uint32_t flags() const { return flags_.load(std::memory_order_acquire); }
  FileType type() const { return static_cast<FileType>(flags() & kDentryTypeMask); }
  bool is_dir() const { return type() == FileType::kDir; }
  bool unhashed() const { return flags() & kDentryUnhashed; }
  bool is_root() const { return parent() == this; }
  SuperBlock& sb() const { return inode().sb(); }
  int32_t refs() const { return ref_.count(); }

  // The name now, consistent against concurrent renames: copied into `buffer`, or as a string.
  std::string_view CopyName(std::span<char, kNameMax> buffer) const;
  std::string NameCopy() const;
  // For whoever holds the semaphore of its directory: the name itself, as long as he does.
  std::string_view NameInPlace() const;
  // Without a reference: `seq` was sampled before, and the caller rechecks it after.
  bool NameIs(const Name& name, uint32_t seq) const {
    return NameStarts(name.key(), name.word(0), name.word(1)) &&
           (name.size() <= 2 * sizeof(uint64_t) || LongNameIs(name, seq));
  }
  // Has the name this key, and these words at its start? Of at most 16 bytes it is the name then.
  bool NameStarts(uint64_t key, uint64_t word0, uint64_t word1) const {
    return key_.load(std::memory_order_acquire) == key &&
           name_[0].load(std::memory_order_acquire) == word0 &&
           name_[1].load(std::memory_order_acquire) == word1;
  }

  // For the file system whose directory this is in (ramfs: position in the directory). After a
  // Lookup in a super block with kSbRevalidate: Clock::MonotonicNs() of just before it; else 0.
  uint64_t fsdata() const { return fsdata_.load(std::memory_order_relaxed); }
  void set_fsdata(uint64_t fsdata) { fsdata_.store(fsdata, std::memory_order_relaxed); }

  static void Get(Dentry* dentry) { dentry->ref_.Get(); }
  static void Put(Dentry* dentry);  // dcache.cc

 private:
  friend class Dcache;
  friend class MountTree;
  friend class SuperBlock;
  Dentry() : ref_(base::Lockref::Dead{}) {}

  bool LongNameIs(const Name& name, uint32_t seq) const;
  size_t name_size() const { return Name::SizeOf(key_.load(std::memory_order_acquire)); }
  uint64_t key() const { return key_.load(std::memory_order_relaxed); }

  // Line 0: everything a lookup reads.
  base::SeqCount seq_;
  std::atomic<uint32_t> flags_;
  std::atomic<Dentry*> parent_;
  std::atomic<Inode*> inode_;
  std::atomic<uint64_t> key_;  // of the name: Name::key()
  // Up to 32 bytes inline, zero-padded; longer: 24 bytes and a pointer to the whole (RCU-freed).
  std::atomic<uint64_t> name_[Name::kWords];

  // Line 1.
  base::Lockref ref_;
  Dentry* next_sibling_ = nullptr;  // the parent's ref_ lock
  Dentry** prev_link_ = nullptr;    // likewise: what points at this one; null when on no list
  Dentry* first_child_ = nullptr;   // ref_ lock
  mm::LruLink lru_;                 // the super block's LRU lock
  Dentry* next_alias_ = nullptr;    // Dcache's alias lock
  std::atomic<uint64_t> fsdata_{0};
};
static_assert(sizeof(Dentry) == 128);

using DentryRef = base::Ref<Dentry>;

}  // namespace dentree::vfs
