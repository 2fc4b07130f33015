// AttrMap: changed owners, modes and times of a root, whether cached or not.
//
// An override exists only for entries that somebody changed. Its owner and group each carry the
// generation in which they were set; SetMountOwner moves the root's generation on and thereby voids
// all earlier ones in one step. Modes and times stay.
//
// The owner in force: the entry's own override if it is valid, else that of the nearest ownership
// domain above that has one, else the mount's. Anything that can change the owner of more than one
// entry moves Generation() on; inodes remember for which generation their stored attributes are
// right.
//
// Thread safety: any thread; one lock (kBucket). Lifetime: overrides go with their domain or
// object.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "base/base.h"
#include "kernfs/chain_table_internal.h"
#include "kernfs/node.h"
#include "kernfs/root.h"
#include "mm/mm.h"

namespace dentree::kernfs {

struct Override {
  uint64_t domain = 0;
  uint64_t what = 0;  // object 48 | index 16
  Override* chain_next = nullptr;
  std::optional<Mode> permissions;
  vfs::Uid uid = 0;
  vfs::Gid gid = 0;
  uint32_t uid_generation = 0;  // 0: not set
  uint32_t gid_generation = 0;
  std::optional<int64_t> atime, mtime, ctime;

  static uint64_t ChainKey(const Override& o) {
    return o.what >> 16 != kSelf ? o.what >> 16 : o.domain;
  }
};

class AttrMap {
 public:
  AttrMap(mm::Memory& memory, mm::ObjectCache<Override>& cache, int64_t born)
      : memory_(memory), cache_(cache), born_(born), table_(memory) {}
  ~AttrMap();

  // Attributes in force and the generation for which they are.
  struct Effective {
    Mode mode = 0;
    vfs::Uid uid = 0;
    vfs::Gid gid = 0;
    vfs::Times times;
    uint32_t generation = 0;
  };
  // `mode`: type and permissions of an entry that nobody has changed.
  Effective Get(const Node& domain, const Identity& identity, Mode mode) const;

  // Stores what is set. `many`: the entry is an ownership domain. kNoMem leaves all as it was.
  enum class Scope : uint8_t { kOne, kMany };
  Status Set(const Identity& identity, const vfs::SetAttr& attr, Scope scope);

  void SetMountOwner(std::optional<vfs::Uid> uid, std::optional<vfs::Gid> gid);
  vfs::Uid mount_uid() const { return mount_uid_.load(std::memory_order_relaxed); }
  vfs::Gid mount_gid() const { return mount_gid_.load(std::memory_order_relaxed); }

  uint32_t Generation() const { return generation_.load(std::memory_order_acquire); }

  void ForgetDomain(uint64_t domain);
  void ForgetObject(ObjectId object);
  size_t size() const;

 private:
  using Lock = base::SpinLock<base::LockRank::kBucket>;

  Override* FindLocked(uint64_t domain, uint64_t what) const DT_REQUIRES(lock_);
  void StoreLocked(Override& o, const vfs::SetAttr& attr) DT_REQUIRES(lock_);
  bool InsertLocked(Override& o) DT_REQUIRES(lock_);
  void InheritLocked(const Node& domain, const Identity& identity, Effective& e) const
      DT_REQUIRES(lock_);
  template <class Fits>
  void Forget(Fits fits);

  mm::Memory& memory_;
  mm::ObjectCache<Override>& cache_;
  const int64_t born_;
  mutable Lock lock_;
  ChainTable<Override> table_ DT_GUARDED_BY(lock_);
  uint32_t uid_generation_ DT_GUARDED_BY(lock_) = 1;
  uint32_t gid_generation_ DT_GUARDED_BY(lock_) = 1;
  std::atomic<uint32_t> overrides_{0};  // so that nobody looks while there are none
  std::atomic<uint32_t> generation_{1};
  std::atomic<vfs::Uid> mount_uid_{0};
  std::atomic<vfs::Gid> mount_gid_{0};
};

}  // namespace dentree::kernfs
