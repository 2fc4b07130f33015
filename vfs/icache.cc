#include "vfs/icache.h"

#include <array>
#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

// --- Inode -----------------------------------------------------------------------------------

Inode::Inode(SuperBlock& sb, const InodeOps& ops, Ino ino, vfs::Mode mode)
    : mode_(mode), ino_(ino), nlink_(1), ops_(&ops), sb_(&sb), aliases_(nullptr) {}

Vfs& Inode::vfs() const { return sb_->vfs(); }

void Inode::AttrsIntoSlow(Stat& stat) const {
  uint32_t seq;
  do {
    seq = seq_.ReadBegin();
    CopyAttrs(stat);
  } while (seq_.ReadRetry(seq));
}

Inode::Update& Inode::Update::AddNlink(int delta) {
  return Nlink(inode_.nlink_.Load() + static_cast<uint32_t>(delta));
}

Inode::Update& Inode::Update::AllTimes(int64_t ns) {
  inode_.btime_.Store(ns);
  return Atime(ns).Mtime(ns).Ctime(ns);
}

Inode::Update& Inode::Update::SetFlag(uint32_t flag) {
  inode_.flags_.fetch_or(flag, std::memory_order_release);
  return *this;
}

Inode::Update& Inode::Update::ClearFlag(uint32_t flag) {
  inode_.flags_.fetch_and(~flag, std::memory_order_release);
  return *this;
}

void Inode::Put(Inode* inode) { inode->vfs().icache().Put(inode); }

// --- Icache ----------------------------------------------------------------------------------

Icache::Icache(mm::Memory& memory, base::RcuDomain& rcu)
    : rcu_(rcu),
      cache_(memory, "inode", mm::CacheFlags::kReclaimable),
      table_(memory, rcu, HashOfEntry) {}

Icache::~Icache() = default;

uint64_t Icache::HashOf(const SuperBlock& sb, Ino ino) {
  return base::Mix64(ino ^ static_cast<uint64_t>(sb.dev()) << 48);
}

uint64_t Icache::HashOfEntry(SlotTable::Entry entry) {
  const auto& inode = *reinterpret_cast<const Inode*>(entry);
  return HashOf(inode.sb(), inode.ino());
}

Icache::Stripe& Icache::StripeOf(const Inode& inode) {
  return StripeOf(HashOf(inode.sb(), inode.ino()));
}

Result<InodeRef> Icache::New(SuperBlock& sb, const InodeOps& ops, Ino ino, Mode mode) {
  Inode* const inode = cache_.New(sb, ops, ino, mode);
  if (inode == nullptr) return base::Err(Errno::kNoMem);
  Inode::Update(*inode, Inode::Unpublished()).AllTimes(sb.vfs().clock().NowNs());
  stats_.Add<&InodeStats::created>();
  return InodeRef::Adopt(inode);
}

// The cached inode with a reference, if there is one. The stripe of `hash` is locked.
InodeRef Icache::FindLocked(SuperBlock& sb, Ino ino, uint64_t hash, Match match) {
  const base::RcuReadGuard guard(rcu_);
  const SlotTable::Entry entry = table_.Find(hash, [&](SlotTable::Entry candidate) {
    const auto& inode = *reinterpret_cast<const Inode*>(candidate);
    return inode.ino() == ino && &inode.sb() == &sb && match(inode);
  });
  if (entry == 0) return nullptr;
  auto* const inode = reinterpret_cast<Inode*>(entry);
  if (inode->refs_.fetch_add(1, std::memory_order_relaxed) == 0) sb.inode_lru_.Remove(*inode);
  stats_.Add<&InodeStats::hits>();
  return InodeRef::Adopt(inode);
}

InodeRef Icache::Find(SuperBlock& sb, Ino ino, Match match) {
  const uint64_t hash = HashOf(sb, ino);
  base::MutexLock lock(StripeOf(hash));
  return FindLocked(sb, ino, hash, match);
}

Result<InodeRef> Icache::Get(SuperBlock& sb, Ino ino, Match match, Make make) {
  if (InodeRef cached = Find(sb, ino, match)) return cached;
  TRY(table_.Reserve());
  Result<InodeRef> made = make();
  SYNC_POINT(sb.vfs().sync_points(), "icache:get:made");
  InodeRef winner;
  if (made) {
    const uint64_t hash = HashOf(sb, ino);
    base::MutexLock lock(StripeOf(hash));
    winner = FindLocked(sb, ino, hash, match);
    if (winner == nullptr) {
      (*made)->state_.store(InodeState::kHashed, std::memory_order_relaxed);
      table_.Insert(hash, EntryOf(**made));
      return made;
    }
  }
  table_.Unreserve();
  if (!made) return made;
  return winner;  // somebody was faster; ours goes
}

void Icache::Put(Inode* inode) {
  int32_t refs = inode->refs_.load(std::memory_order_relaxed);
  while (refs > 1) {
    if (inode->refs_.compare_exchange_weak(refs, refs - 1, std::memory_order_acq_rel)) return;
  }
  const SuperBlock& sb = inode->sb();
  // What is not found by number nobody else can come to: the one reference is ours.
  const bool unhashed = inode->state_.load(std::memory_order_relaxed) == InodeState::kUnhashed;
  if (unhashed && inode->refs_.load(std::memory_order_acquire) == 1) {
    inode->refs_.store(0, std::memory_order_relaxed);
    inode->state_.store(InodeState::kDead, std::memory_order_relaxed);
    return Free(*inode);
  }
  {
    base::MutexLock lock(StripeOf(*inode));
    if (inode->refs_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    const bool hashed = inode->state_.load(std::memory_order_relaxed) == InodeState::kHashed;
    const bool keep = hashed && !sb.Has(kSbNoInodeCache) && !(inode->flags() & kInodeNoCache) &&
                      inode->nlink() > 0;
    if (keep) {
      inode->sb().inode_lru_.Add(*inode);
      return;
    }
    if (hashed) table_.Remove(HashOf(sb, inode->ino()), EntryOf(*inode));
    inode->state_.store(InodeState::kDead, std::memory_order_relaxed);
  }
  Free(*inode);
}

// Nobody can find it and nobody refers to it. No locks held.
void Icache::Free(Inode& inode) {
  inode.sb().EvictInode(inode);
  inode.sb().inodes_waiting_.Add();
  stats_.Add<&InodeStats::freed>();
  rcu_.Retire(
      &inode.free_,
      [](base::RcuHead* head) {
        auto* const dead =
            reinterpret_cast<Inode*>(reinterpret_cast<char*>(head) - offsetof(Inode, free_));
        // The super block waits for its inodes before it goes.
        SuperBlock& sb = dead->sb();
        sb.vfs().icache().cache_.Delete(dead);
        sb.inodes_waiting_.Sub();
      },
      sizeof(Inode));
}

// Takes an inode that reclaim found, if nobody uses it. The caller is in an RCU section, so the
// memory is still an inode's, though perhaps a dead one's.
bool Icache::EvictIfUnused(Inode& inode) {
  base::MutexLock lock(StripeOf(inode));
  if (inode.refs_.load(std::memory_order_relaxed) != 0 ||
      inode.state_.load(std::memory_order_relaxed) != InodeState::kHashed) {
    return false;
  }
  inode.sb().inode_lru_.Remove(inode);
  table_.Remove(HashOf(inode.sb(), inode.ino()), EntryOf(inode));
  inode.state_.store(InodeState::kDead, std::memory_order_relaxed);
  return true;
}

mm::ScanResult Icache::Shrink(SuperBlock& sb, size_t nr, mm::LruAge age) {
  mm::ScanResult result;
  while (result.scanned < nr) {
    std::array<Inode*, mm::Isolated<Inode>::kMax> dead;
    size_t count = 0;
    size_t scanned = 0;
    {
      const base::RcuReadGuard guard(rcu_);
      const auto taken = sb.inode_lru_.Isolate(
          dead.size(), nr - result.scanned, [](Inode&) { return mm::LruVerdict::kRemove; }, age);
      SYNC_POINT(sb.vfs().sync_points(), "icache:evict:unlocked");
      scanned = taken.scanned;
      for (Inode* inode : taken) {
        if (EvictIfUnused(*inode)) dead[count++] = inode;
      }
      result.kept.busy += taken.count - count;
    }
    for (size_t i = 0; i < count; ++i) Free(*dead[i]);
    stats_.Add<&InodeStats::evicted>(count);
    result.scanned += scanned;
    result.freed += count;
    if (scanned == 0) break;
  }
  return result;
}

void Icache::CheckInvariants() {
  size_t entries = 0;
  const base::RcuReadGuard guard(rcu_);
  table_.ForEach([&](SlotTable::Entry entry) {
    ++entries;
    const auto& inode = *reinterpret_cast<const Inode*>(entry);
    CHECK(inode.state_.load() == InodeState::kHashed, "an inode in the table that is not hashed");
    CHECK(inode.refs() >= 0, "an inode with less than no references");
  });
  CHECK(entries == table_.used(), "the inode table's count is not what it holds");
}

}  // namespace dentree::vfs
