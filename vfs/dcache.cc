#include "vfs/dcache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

// The whole of a name that does not fit its dentry. Immutable; freed after a grace period.
struct ExternalName {
  base::RcuHead free;
  mm::Memory* memory;
  size_t size;

  const char* text() const { return reinterpret_cast<const char*>(this + 1); }
  static size_t Bytes(size_t size) { return sizeof(ExternalName) + size; }
};

namespace {

constexpr size_t kNameWords = Name::kWords;
// Of a long name, the words in the dentry; the last one is the pointer.
constexpr size_t kPrefixWords = 3;

constexpr size_t WordsOf(size_t size) { return (size + 7) / 8; }

// What a dentry says of its inode.
uint32_t FlagsOf(const Inode& inode) {
  uint32_t flags = static_cast<uint32_t>(inode.type());
  if (inode.is_symlink()) flags |= kDentrySymlink;
  if (inode.op_flags() & kHasPermission) flags |= kDentryPermission;
  return flags;
}

}  // namespace

// --- Name and Dentry -------------------------------------------------------------------------

Name::Name(const base::HashKey& key, std::string_view text) : text_(text) {
  if (text.size() <= 2 * sizeof(uint64_t)) [[likely]] {
    base::internal::LoadPadded(text.data(), text.size(), words_[0], words_[1]);
    words_[2] = words_[3] = 0;
    key_ = KeyOf(base::WordsHash(key)(words_[0], words_[1]), text.size());
    return;
  }
  size_t done = 0;
  for (uint64_t& word : words_) {
    const size_t n = std::min<size_t>(text.size() - done, sizeof(word));
    word = base::internal::LoadPadded(text.data() + done, n);
    done += n;
  }
  key_ = KeyOf(base::HashBytes(key, text), text.size());
}

// What NameIs has not compared of a name that is longer than two words.
bool Dentry::LongNameIs(const Name& name, uint32_t seq) const {
  const bool is_inline = name.size() <= Name::kInlineMax;
  const size_t words = is_inline ? WordsOf(name.size()) : kPrefixWords;
  for (size_t i = 2; i < words; ++i) {
    if (name_[i].load(std::memory_order_acquire) != name.word(i)) return false;
  }
  if (is_inline) return true;
  const auto* const external =
      reinterpret_cast<const ExternalName*>(name_[kPrefixWords].load(std::memory_order_acquire));
  // While the name changes these bytes need not be a pointer.
  if (seq_.ReadRetry(seq)) return false;
  return std::memcmp(external->text(), name.text().data(), name.size()) == 0;
}

std::string_view Dentry::CopyName(std::span<char, kNameMax> buffer) const {
  base::Lockref& ref = const_cast<base::Lockref&>(ref_);
  base::MutexLock lock(ref);
  const size_t size = name_size();
  uint64_t words[kNameWords];
  for (size_t i = 0; i < kNameWords; ++i) words[i] = name_[i].load(std::memory_order_relaxed);
  const void* const text = size <= Name::kInlineMax
                               ? static_cast<const void*>(words)
                               : reinterpret_cast<const ExternalName*>(words[kPrefixWords])->text();
  std::memcpy(buffer.data(), text, size);
  return {buffer.data(), size};
}

std::string_view Dentry::NameInPlace() const {
  const size_t size = name_size();
  if (size <= Name::kInlineMax) return {reinterpret_cast<const char*>(name_), size};
  const uint64_t external = name_[kPrefixWords].load(std::memory_order_relaxed);
  return {reinterpret_cast<const ExternalName*>(external)->text(), size};
}

std::string Dentry::NameCopy() const {
  char buffer[kNameMax];
  return std::string(CopyName(buffer));
}

void Dentry::Put(Dentry* dentry) {
  if (dentry->ref_.PutUnlessLast()) return;
  dentry->inode().vfs().dcache().Put(dentry);
}

// --- table -----------------------------------------------------------------------------------

uint64_t Dcache::HashOfEntry(SlotTable::Entry entry) {
  if (IsNegative(entry)) {
    const Negative& negative = NegativeOf(entry);
    return HashOf(negative.dir->dentry, negative.key());
  }
  const auto& dentry = *reinterpret_cast<const Dentry*>(entry);
  return HashOf(dentry.parent_.load(std::memory_order_relaxed), dentry.key());
}

void Dcache::Construct(void* memory) { ::new (memory) Dentry(); }

Dcache::Dcache(Vfs& vfs, mm::Memory& memory, base::RcuDomain& rcu)
    : vfs_(vfs),
      rcu_(rcu),
      memory_(memory),
      cache_(memory, "dentry", mm::CacheFlags::kTypeStable | mm::CacheFlags::kReclaimable,
             Construct),
      table_(memory, rcu, HashOfEntry) {}

Dcache::~Dcache() = default;

DentryRef Dcache::Legitimise(Dentry& dentry, uint32_t seq, Unwanted& unwanted) {
  if (!dentry.ref_.GetNotDead()) return nullptr;
  SYNC_POINT(vfs_.sync_points(), "dcache:legitimise:held");
  if (!Stale(dentry, seq)) return DentryRef::Adopt(&dentry);
  DCHECK(unwanted.dentry_ == nullptr);
  unwanted.dentry_ = &dentry;
  return nullptr;
}

Dcache::Answer Dcache::Lookup(const Dentry& dir, const Name& name) {
  Unwanted unwanted(*this);
  const base::RcuReadGuard guard(rcu_);
  const Found found = LookupRcu(dir, Sample(dir), name);
  switch (found.kind) {
    case Found::kPositive:
      if (DentryRef dentry = Legitimise(*found.dentry, found.seq, unwanted)) {
        stats_.Add<&DcacheStats::hits>();
        return {Found::kPositive, std::move(dentry), 0};
      }
      break;
    case Found::kNegative:
      stats_.Add<&DcacheStats::negative_hits>();
      vfs_.negatives().NoteHit(*found.negative);
      return {Found::kNegative, nullptr, found.negative->asked_ms.load(std::memory_order_relaxed)};
    case Found::kMiss:
      break;
  }
  stats_.Add<&DcacheStats::misses>();
  return {};
}

// --- making ----------------------------------------------------------------------------------

Result<ExternalName*> Dcache::MakeExternal(const Name& name) {
  if (name.size() <= Name::kInlineMax) return nullptr;
  void* const memory = memory_.AllocBytes(ExternalName::Bytes(name.size()), "mm:name");
  if (memory == nullptr) return base::Err(Errno::kNoMem);
  auto* const external = ::new (memory) ExternalName{{}, &memory_, name.size()};
  std::memcpy(const_cast<char*>(external->text()), name.text().data(), name.size());
  return external;
}

void Dcache::FreeExternal(ExternalName* name) {
  if (name == nullptr) return;
  rcu_.Retire(
      &name->free,
      [](base::RcuHead* head) {
        auto* const external = reinterpret_cast<ExternalName*>(head);
        external->memory->FreeBytes(external, ExternalName::Bytes(external->size));
      },
      ExternalName::Bytes(name->size));
}

ExternalName* Dcache::ExternalOf(const Dentry& dentry) {
  if (dentry.name_size() <= Name::kInlineMax) return nullptr;
  return reinterpret_cast<ExternalName*>(
      dentry.name_[kPrefixWords].load(std::memory_order_relaxed));
}

void Dcache::SetName(Dentry& dentry, const Name& name, ExternalName* external) {
  dentry.key_.store(name.key(), std::memory_order_release);
  for (size_t i = 0; i < kNameWords; ++i) {
    dentry.name_[i].store(name.word(i), std::memory_order_release);
  }
  if (external != nullptr) {
    dentry.name_[kPrefixWords].store(reinterpret_cast<uintptr_t>(external),
                                     std::memory_order_release);
  }
}

Result<Dcache::New> Dcache::Alloc(Dentry& dir, const Name& name) {
  vfs_.negatives().Work();
  TRY(table_.Reserve());
  Dentry* const dentry = cache_.Alloc();
  Result<ExternalName*> external = base::Err(Errno::kNoMem);
  if (dentry != nullptr) external = MakeExternal(name);
  if (!external) {
    if (dentry != nullptr) cache_.Free(dentry);
    table_.Unreserve();
    return base::Err(Errno::kNoMem);
  }
  Dentry::Get(&dir);
  {
    // Without its lock: a reader who found the former dentry in this memory cannot hold it, because
    // it is dead; and reclaim, which may lock it together with the former parent, finds it dead or
    // (once it is revived) in use, and changes nothing.
    base::SeqWrite change(dentry->seq_);
    dentry->flags_.store(kDentryUnhashed, std::memory_order_release);
    dentry->parent_.store(&dir, std::memory_order_release);
    SetName(*dentry, name, *external);
    dentry->set_fsdata(0);
  }
  dentry->ref_.Revive(1);
  stats_.Add<&DcacheStats::allocated>();
  return New(*this, dentry);
}

Dcache::New::~New() {
  if (dentry_ == nullptr) return;
  cache_.table_.Unreserve();
  cache_.Put(dentry_);
}

Result<DentryRef> Dcache::MakeRoot(InodeRef inode) {
  Dentry* const dentry = cache_.Alloc();
  if (dentry == nullptr) return base::Err(Errno::kNoMem);
  {
    base::MutexLock lock(dentry->ref_);
    base::SeqWrite change(dentry->seq_);
    dentry->flags_.store(FlagsOf(*inode), std::memory_order_release);
    dentry->parent_.store(dentry, std::memory_order_release);
    dentry->inode_.store(inode.get(), std::memory_order_release);
    SetName(*dentry, Name(vfs_.hash_key(), ""), nullptr);
    dentry->set_fsdata(0);
    dentry->ref_.ReviveLocked(1);
  }
  AddAlias(*inode.Leak(), *dentry);
  stats_.Add<&DcacheStats::allocated>();
  return DentryRef::Adopt(dentry);
}

DentryRef Dcache::Add(New fresh, const Name& name, InodeRef inode) {
  Dentry& dentry = *std::exchange(fresh.dentry_, nullptr);
  Dentry& dir = *dentry.parent();
  if (inode->is_dir()) {
    while (DentryRef other = AnyAlias(*inode, &dentry)) Forget(*other);
  }
  const SuperBlock& sb = inode->sb();
  if (!sb.Has(kSbAuthoritative)) ForgetNegative(dir, name);
  uint32_t flags = FlagsOf(*inode);
  if (sb.Has(kSbRevalidate)) flags |= kDentryRevalidate;
  if (sb.Has(kSbPinned)) flags |= kDentryPinned;
  AddAlias(*inode, dentry);
  // Whoever finds it, as a child or as an alias, locks its directory first.
  base::MutexLock dir_lock(dir.ref_);
  if (flags & kDentryPinned) Dentry::Get(&dentry);
  {
    base::SeqWrite change(dentry.seq_);
    dentry.inode_.store(inode.Leak(), std::memory_order_release);
    dentry.flags_.store(flags, std::memory_order_release);
  }
  LinkChildLocked(dir, dentry);
  table_.Insert(HashOf(&dir, name.key()), EntryOf(dentry));
  return DentryRef::Adopt(&dentry);
}

DentryRef Dcache::AddUnnamed(New fresh, InodeRef inode) {
  Dentry& dentry = *std::exchange(fresh.dentry_, nullptr);
  table_.Unreserve();
  AddAlias(*inode, dentry);
  base::MutexLock lock(dentry.ref_);
  base::SeqWrite change(dentry.seq_);
  const uint32_t flags = static_cast<uint32_t>(inode->type()) | kDentryUnhashed;
  dentry.inode_.store(inode.Leak(), std::memory_order_release);
  dentry.flags_.store(flags, std::memory_order_release);
  return DentryRef::Adopt(&dentry);
}

void Dcache::AddNegative(Dentry& dir, const Name& name, int64_t asked_ns, NegativeReason reason) {
  if (dir.sb().Has(kSbAuthoritative)) return;
  const bool made = vfs_.negatives().Insert(dir, Sample(dir), name, MonotonicMs(asked_ns), reason);
  if (!made || (dir.flags() & kDentryNegatives)) return;
  dir.flags_.fetch_or(kDentryNegatives, std::memory_order_relaxed);
}

void Dcache::ForgetNegative(const Dentry& dir, const Name& name) {
  vfs_.negatives().Forget(dir, name);
}

// --- lists of children and of aliases ------------------------------------------------------------

void Dcache::LinkChildLocked(Dentry& dir, Dentry& child) {
  child.next_sibling_ = dir.first_child_;
  child.prev_link_ = &dir.first_child_;
  if (dir.first_child_ != nullptr) dir.first_child_->prev_link_ = &child.next_sibling_;
  dir.first_child_ = &child;
}

void Dcache::UnlinkChildLocked(Dentry& child) {
  if (child.prev_link_ == nullptr) return;
  *child.prev_link_ = child.next_sibling_;
  if (child.next_sibling_ != nullptr) child.next_sibling_->prev_link_ = child.prev_link_;
  child.next_sibling_ = nullptr;
  child.prev_link_ = nullptr;
}

Dcache::AliasLock& Dcache::AliasLockOf(const Inode& inode) {
  return alias_locks_[base::Mix64(reinterpret_cast<uintptr_t>(&inode)) % kAliasStripes];
}

// Nobody else knows the inode nor can come to: the one reference is the caller's.
bool Dcache::IsOurs(const Inode& inode) {
  return inode.state_.load(std::memory_order_relaxed) == InodeState::kUnhashed &&
         inode.refs_.load(std::memory_order_acquire) == 1;
}

void Dcache::AddAlias(Inode& inode, Dentry& dentry) {
  if (IsOurs(inode)) return PushAlias(inode, dentry);
  base::MutexLock lock(AliasLockOf(inode));
  PushAlias(inode, dentry);
}

void Dcache::PushAlias(Inode& inode, Dentry& dentry) {
  dentry.next_alias_ = inode.aliases_;
  inode.aliases_ = &dentry;
}

void Dcache::RemoveAlias(Inode& inode, const Dentry& dentry) {
  if (IsOurs(inode)) return UnlinkAlias(inode, dentry);
  base::MutexLock lock(AliasLockOf(inode));
  UnlinkAlias(inode, dentry);
}

void Dcache::UnlinkAlias(Inode& inode, const Dentry& dentry) {
  for (Dentry** link = &inode.aliases_; *link != nullptr; link = &(*link)->next_alias_) {
    if (*link != &dentry) continue;
    *link = dentry.next_alias_;
    return;
  }
}

DentryRef Dcache::AnyAlias(Inode& inode, const Dentry* other_than) {
  base::MutexLock lock(AliasLockOf(inode));
  for (Dentry* alias = inode.aliases_; alias != nullptr; alias = alias->next_alias_) {
    // A root is nobody's name: it goes with its super block.
    if (alias == other_than || alias->unhashed() || alias->is_root()) continue;
    if (alias->ref_.GetNotDead()) return DentryRef::Adopt(alias);
  }
  return nullptr;
}

size_t Dcache::NamesOf(Inode& inode, std::span<DentryRef> names) {
  size_t count = 0;
  base::MutexLock lock(AliasLockOf(inode));
  for (Dentry* alias = inode.aliases_; alias != nullptr; alias = alias->next_alias_) {
    if (count == names.size()) break;
    if (!alias->unhashed() && alias->ref_.GetNotDead()) names[count++] = DentryRef::Adopt(alias);
  }
  return count;
}

// --- the end of a dentry
// ---------------------------------------------------------------------------

// The parent of a dentry, locked; null when there is none to lock: it is a root, dead or memory, or
// went elsewhere this moment.
Dentry* Dcache::LockParentOf(Dentry& dentry) DT_NO_THREAD_SAFETY_ANALYSIS {
  // A rename may let the parent go, which is then another's memory before it is locked.
  const base::RcuReadGuard guard(rcu_);
  Dentry* const seen = dentry.parent();
  if (seen == nullptr || seen == &dentry) return nullptr;
  SYNC_POINT(vfs_.sync_points(), "dcache:lock:seen");
  seen->ref_.Lock();
  SYNC_POINT(vfs_.sync_points(), "dcache:lock:parent");
  // A living child stays one while its parent is locked. Life is asked for first: memory that was
  // freed meanwhile gets a parent before it lives again.
  if (!dentry.ref_.dead() && dentry.parent() == seen) return seen;
  seen->ref_.Unlock();
  return nullptr;
}

// Locks a dentry and its parent, parent first, whatever renames do meanwhile. `parent` is null for
// a root and for what is dead. Nobody waits for a dentry with the lock of what is not its parent:
// that may be below it by now, where others hold the one and wait for the other.
void Dcache::LockWithParent(Dentry& dentry, Dentry*& parent) DT_NO_THREAD_SAFETY_ANALYSIS {
  for (;;) {
    parent = LockParentOf(dentry);
    dentry.ref_.Lock(parent != nullptr ? base::LockOrder::kChild : base::LockOrder::kStrict);
    const bool nothing_above = dentry.ref_.dead() || dentry.is_root();
    if (parent != nullptr ? dentry.parent() == parent : nothing_above) return;
    UnlockWithParent(dentry, parent);
  }
}

void Dcache::UnlockWithParent(Dentry& dentry, Dentry* parent) DT_NO_THREAD_SAFETY_ANALYSIS {
  dentry.ref_.Unlock();
  if (parent != nullptr) parent->ref_.Unlock();
}

// Takes a dentry out of the table; its users keep it. Both it and its parent are locked.
void Dcache::UnhashLocked(Dentry& dentry) {
  if (dentry.unhashed() || dentry.is_root()) return;
  UnhashLocked(dentry, 0);
}

// The same of one that is in the table, and takes `dropped` of its flags away. Returns what it had.
uint32_t Dcache::UnhashLocked(Dentry& dentry, uint32_t dropped) {
  table_.Remove(HashOf(dentry.parent(), dentry.key()), EntryOf(dentry));
  if (dentry.flags() & kDentryNegatives) vfs_.negatives().DirGone(dentry);
  base::SeqWrite change(dentry.seq_);
  uint32_t flags = dentry.flags_.load(std::memory_order_relaxed);
  while (!dentry.flags_.compare_exchange_weak(flags, (flags & ~dropped) | kDentryUnhashed,
                                              std::memory_order_release,
                                              std::memory_order_relaxed)) {
  }
  return flags;
}

// Nobody refers to it: leaves the table, its parent's list and the LRU in the same critical section
// in which it dies. Both it and its parent are locked.
void Dcache::MarkDeadLocked(Dentry& dentry) {
  dentry.ref_.AssertHeld();
  UnhashLocked(dentry);
  dentry.ref_.MarkDead();
  UnlinkChildLocked(dentry);
  if (dentry.lru_.OnList()) dentry.sb().dentry_lru_.Remove(dentry);
}

// Frees what is dead; no locks held. Returns the parent, whose reference is now the caller's.
Dentry* Dcache::Dispose(Dentry* dead) {
  Inode* const inode = dead->inode_.load(std::memory_order_relaxed);
  if (dead->flags() & kDentryNegatives) vfs_.negatives().DirGone(*dead);
  Dentry* const parent = dead->is_root() ? nullptr : dead->parent();
  if (inode != nullptr) RemoveAlias(*inode, *dead);
  ExternalName* const external = ExternalOf(*dead);
  {
    // Whoever locks it finds it dead, as in Alloc.
    base::SeqWrite change(dead->seq_);
    dead->inode_.store(nullptr, std::memory_order_release);
    dead->parent_.store(nullptr, std::memory_order_release);
    dead->key_.store(0, std::memory_order_release);
  }
  FreeExternal(external);
  cache_.Free(dead);
  stats_.Add<&DcacheStats::freed>();
  if (inode != nullptr) {
    vfs_.notify().OnLetGo(*inode);
    Inode::Put(inode);
  }
  return parent;
}

void Dcache::Put(Dentry* dentry) { Put(dentry, Keep::kYes); }

void Dcache::Put(Dentry* dentry, Keep keep) {
  while (dentry != nullptr && !dentry->ref_.PutUnlessLast()) dentry = PutLast(dentry, keep);
}

// Keeps a dentry cached whose last reference goes, if it is worth keeping. It is locked.
bool Dcache::KeepLocked(Dentry& dentry) {
  const uint32_t flags = dentry.flags();
  if (flags & (kDentryUnhashed | kDentryNoCache)) return false;
  dentry.ref_.AssertHeld();
  dentry.ref_.PutLocked();
  // Reclaim may take it off the list this moment: then it finds it unreferenced once we unlock.
  if (!dentry.lru_.OnList()) {
    dentry.sb().dentry_lru_.Add(dentry);
  } else if (!(flags & kDentryReferenced)) {
    dentry.flags_.fetch_or(kDentryReferenced, std::memory_order_relaxed);
  }
  return true;
}

// Drops a reference that may be the last: keeps the dentry cached (if `keep` allows), or ends it
// and returns its parent, whose reference is now the caller's to drop.
Dentry* Dcache::PutLast(Dentry* dentry, Keep keep) {
  SYNC_POINT(vfs_.sync_points(), "dcache:put:last");
  if (keep == Keep::kYes && !(dentry->flags() & (kDentryUnhashed | kDentryNoCache))) {
    base::MutexLock lock(dentry->ref_);
    if (dentry->ref_.count() > 1) {
      dentry->ref_.PutLocked();
      return nullptr;
    }
    if (KeepLocked(*dentry)) return nullptr;
  }
  SYNC_POINT(vfs_.sync_points(), "dcache:put:unlocked");
  Dentry* parent = nullptr;
  LockWithParent(*dentry, parent);
  dentry->ref_.AssertHeld();
  const bool dies = dentry->ref_.PutLocked() == 0;
  if (dies) MarkDeadLocked(*dentry);
  UnlockWithParent(*dentry, parent);
  return dies ? Dispose(dentry) : nullptr;
}

// Ends a dentry that reclaim found, if nobody uses it. The caller is in an RCU section: what was
// found may be other memory by now, but evicting any unreferenced dentry is right.
bool Dcache::EvictIfUnused(Dentry& dentry) {
  Dentry* parent = nullptr;
  LockWithParent(dentry, parent);
  const bool unused = dentry.ref_.count() == 0;
  if (unused) MarkDeadLocked(dentry);
  UnlockWithParent(dentry, parent);
  return unused;
}

mm::ScanResult Dcache::Shrink(SuperBlock& sb, size_t nr, mm::LruAge age) {
  mm::ScanResult result;
  while (result.scanned < nr) {
    std::array<Dentry*, mm::Isolated<Dentry>::kMax> dead;
    size_t count = 0;
    size_t scanned = 0;
    {
      const base::RcuReadGuard guard(rcu_);
      const auto second_chance = [](Dentry& dentry) {
        if (!(dentry.flags() & kDentryReferenced)) return mm::LruVerdict::kRemove;
        dentry.flags_.fetch_and(~kDentryReferenced, std::memory_order_relaxed);
        return mm::LruVerdict::kRotate;
      };
      const auto taken =
          sb.dentry_lru_.Isolate(dead.size(), nr - result.scanned, second_chance, age);
      SYNC_POINT(vfs_.sync_points(), "dcache:evict:unlocked");
      scanned = taken.scanned;
      result.kept.referenced += taken.rotated;
      for (Dentry* dentry : taken) {
        if (EvictIfUnused(*dentry)) dead[count++] = dentry;
      }
      result.kept.busy += taken.count - count;
    }
    // With its last child goes the use of a directory.
    for (size_t i = 0; i < count; ++i) Put(Dispose(dead[i]), Keep::kNo);
    stats_.Add<&DcacheStats::evicted>(count);
    if (age == mm::LruAge::kOld) stats_.Add<&DcacheStats::aged>(count);
    result.scanned += scanned;
    result.freed += count;
    if (scanned == 0) break;
  }
  return result;
}

// --- unmaking and moving -----------------------------------------------------------------------

void Dcache::DeleteLocked(Dentry& dentry) {
  dentry.ref_.AssertHeld();
  const uint32_t flags = dentry.unhashed() || dentry.is_root()
                             ? dentry.flags_.fetch_and(~kDentryPinned)
                             : UnhashLocked(dentry, kDentryPinned);
  // Not the last one: the caller has another.
  if (flags & kDentryPinned) dentry.ref_.PutLocked();
}

void Dcache::Delete(Dentry& dentry) {
  Dentry* parent = nullptr;
  LockWithParent(dentry, parent);
  DeleteLocked(dentry);
  UnlockWithParent(dentry, parent);
}

void Dcache::Delete(DentryRef& dentry, Ending& ending) {
  Dentry* parent = nullptr;
  LockWithParent(*dentry, parent);
  DeleteLocked(*dentry);
  dentry->ref_.AssertHeld();
  const bool dies = dentry->ref_.count() == 1;
  if (dies) {
    dentry->ref_.PutLocked();
    MarkDeadLocked(*dentry);
  }
  UnlockWithParent(*dentry, parent);
  if (dies) ending.dead_ = dentry.Leak();
}

Dcache::Ending::~Ending() {
  if (dead_ == nullptr) return;
  SYNC_POINT(cache_.vfs_.sync_points(), "dcache:put:last");
  cache_.Put(cache_.Dispose(dead_));
}

void Dcache::Forget(Dentry& dentry) {
  Delete(dentry);
  DropBelow(dentry, Pins::kKeep);
  stats_.Add<&DcacheStats::invalidated>();
}

void Dcache::Invalidate(Dentry& dentry) {
  Forget(dentry);
  vfs_.mounts().DetachBelow(dentry);
}

void Dcache::InvalidateAliases(Inode& inode) {
  while (const DentryRef alias = AnyAlias(inode, nullptr)) Invalidate(*alias);
}

// The child after `after` on the list, as NextChild, from now on to die with its last reference.
DentryRef Dcache::CondemnChild(Dentry& dir, Dentry* after, Pins pins) {
  DentryRef child = NextChild(dir, after);
  if (child == nullptr) return child;
  child->flags_.fetch_or(kDentryNoCache);
  if (pins == Pins::kKeep) return child;
  if (child->flags_.fetch_and(~kDentryPinned) & kDentryPinned) Put(child.get());
  return child;
}

// Ends every dentry below `top` that nobody uses; those in use die with their last reference.
void Dcache::DropBelow(Dentry& top, Pins pins) {
  // What a rename moves out while we are there may lead astray: then once more from the top. Who
  // renames faster than that finds leftovers in a tree that no lookup reaches, and reclaim finds
  // them too.
  for (int tries = 0; tries < kMaxDropTries; ++tries) {
    if (TryDropBelow(top, pins)) return;
  }
}

// One try, depth first without a stack: the way back is the parent. False: a rename came between.
bool Dcache::TryDropBelow(Dentry& top, Pins pins) {
  const uint32_t seq = rename_seq_.ReadBegin();
  DentryRef at = DentryRef::Share(&top);
  for (;;) {
    DentryRef next = CondemnChild(*at, nullptr, pins);
    while (next == nullptr) {
      if (at == &top) return !rename_seq_.ReadRetry(seq);
      DentryRef parent = ParentOf(*at);
      if (rename_seq_.ReadRetry(seq)) return false;
      next = CondemnChild(*parent, at.get(), pins);
      if (next == nullptr) at = std::move(parent);
    }
    at = std::move(next);
  }
}

bool Dcache::KillTree(SuperBlock& sb) {
  DropBelow(*sb.root_, Pins::kDrop);
  Dentry* const root = std::exchange(sb.root_, nullptr);
  root->flags_.fetch_or(kDentryNoCache);
  const bool unused = root->refs() == 1;
  Put(root);
  return unused;
}

// --- rename ---

// All locks of a rename: both directories, ancestor first, then the dentries.
class Dcache::MoveLocks {
 public:
  MoveLocks(Dcache& cache, Dentry& a, Dentry& dir_b, Dentry* b) DT_NO_THREAD_SAFETY_ANALYSIS
      : cache_(cache) {
    cache_.rename_mutex_.Lock();
    cache_.rename_seq_.WriteBegin();
    Dentry* first = a.parent();
    Dentry* second = &dir_b;
    if (IsSubdir(*first, *second) || (!IsSubdir(*second, *first) && second < first)) {
      std::swap(first, second);
    }
    Take(first);
    if (second != first) Take(second);
    Take(&a);
    if (b != nullptr) Take(b);
  }
  ~MoveLocks() DT_NO_THREAD_SAFETY_ANALYSIS {
    while (count_ > 0) held_[--count_]->ref_.Unlock();
    cache_.rename_seq_.WriteEnd();
    cache_.rename_mutex_.Unlock();
  }
  MoveLocks(const MoveLocks&) = delete;
  MoveLocks& operator=(const MoveLocks&) = delete;

 private:
  void Take(Dentry* dentry) DT_NO_THREAD_SAFETY_ANALYSIS {
    dentry->ref_.Lock(count_ == 0 ? base::LockOrder::kStrict : base::LockOrder::kChild);
    held_[count_++] = dentry;
  }

  Dcache& cache_;
  std::array<Dentry*, 4> held_;
  size_t count_ = 0;
};

// Gives `dentry` another directory and name. It is locked and not in the table; returns what its
// long name leaves behind.
ExternalName* Dcache::RenameLocked(Dentry& dentry, Dentry& new_dir, const Name& name,
                                   ExternalName* external) {
  ExternalName* const old = ExternalOf(dentry);
  if (dentry.flags() & kDentryNegatives) vfs_.negatives().DirGone(dentry);
  {
    base::SeqWrite change(dentry.seq_);
    SetName(dentry, name, external);
    dentry.parent_.store(&new_dir, std::memory_order_release);
  }
  UnlinkChildLocked(dentry);
  LinkChildLocked(new_dir, dentry);
  if (dentry.unhashed()) {
    table_.Unreserve();  // forgotten meanwhile: it stays so
  } else {
    table_.Insert(HashOf(&new_dir, name.key()), EntryOf(dentry));
  }
  return old;
}

void Dcache::Unlist(Dentry& dentry) {
  table_.Remove(HashOf(dentry.parent(), dentry.key()), EntryOf(dentry));
}

Result<Dcache::NewName> Dcache::Plan(const Name& name) {
  TRY(table_.Reserve());
  Result<ExternalName*> external = MakeExternal(name);
  if (!external) {
    table_.Unreserve();
    return base::Err(Errno::kNoMem);
  }
  return NewName(*this, *external);
}

Dcache::NewName::~NewName() {
  if (cache_ == nullptr) return;
  cache_->table_.Unreserve();
  cache_->FreeExternal(external_);
}

void Dcache::Move(Dentry& dentry, Dentry& new_dir, const Name& name, NewName plan, Dentry* target) {
  if (!dentry.sb().Has(kSbAuthoritative)) ForgetNegative(new_dir, name);
  Dentry* const old_dir = dentry.parent();
  // Where it stays in its directory, that stays referenced.
  const bool moves = old_dir != &new_dir;
  if (moves) Dentry::Get(&new_dir);
  ExternalName* old_name = nullptr;
  bool unpinned = false;
  {
    MoveLocks locks(*this, dentry, new_dir, target);
    if (target != nullptr) {
      UnhashLocked(*target);
      unpinned = target->flags_.fetch_and(~kDentryPinned) & kDentryPinned;
    }
    Unlist(dentry);
    SYNC_POINT(vfs_.sync_points(), "dcache:move:unlisted");
    old_name = RenameLocked(dentry, new_dir, name, plan.Take());
  }
  if (unpinned) Put(target);
  FreeExternal(old_name);
  if (moves) Put(old_dir);
}

void Dcache::Exchange(Dentry& a, const Name& new_a, NewName plan_a, Dentry& b, const Name& new_b,
                      NewName plan_b) {
  Dentry& dir_a = *a.parent();
  Dentry& dir_b = *b.parent();
  ExternalName* old_a = nullptr;
  ExternalName* old_b = nullptr;
  {
    MoveLocks locks(*this, a, dir_b, &b);
    Unlist(a);
    Unlist(b);
    old_a = RenameLocked(a, dir_b, new_a, plan_a.Take());
    old_b = RenameLocked(b, dir_a, new_b, plan_b.Take());
  }
  // The references on the directories changed hands with the names.
  FreeExternal(old_a);
  FreeExternal(old_b);
}

DentryRef Dcache::ParentOf(Dentry& dentry) {
  for (;;) {
    Dentry* seen = nullptr;
    {
      // A rename may take the dentry elsewhere, and the parent with its last child may end.
      const base::RcuReadGuard guard(rcu_);
      seen = dentry.parent();
      if (!seen->ref_.GetNotDead()) continue;
    }
    if (seen == dentry.parent()) return DentryRef::Adopt(seen);
    // It may be somebody's new dentry by now, without an inode: not for DentryRef to put.
    Put(seen);
  }
}

bool Dcache::IsSubdir(const Dentry& dentry, const Dentry& ancestor) {
  for (const Dentry* at = &dentry;; at = at->parent()) {
    if (at == &ancestor) return true;
    if (at->is_root()) return false;
  }
}

bool Dcache::IsBelow(const Dentry& dentry, const Dentry& ancestor) const {
  for (int tries = 0; tries < kMaxPathTries; ++tries) {
    const uint32_t seq = rename_seq_.ReadBegin();
    const base::RcuReadGuard guard(rcu_);
    const Dentry* at = &dentry;
    while (at != nullptr && at != &ancestor && !at->is_root()) at = at->parent();
    if (at != nullptr && !rename_seq_.ReadRetry(seq)) return at == &ancestor;
  }
  base::MutexLock no_renames(rename_mutex_);
  return IsSubdir(dentry, ancestor);
}

// --- reading names -------------------------------------------------------------------------------

// A path built from its end towards its start, in place.
class ReversePath {
 public:
  bool Prepend(std::string_view text) {
    if (text.size() > at_) return false;
    at_ -= text.size();
    std::memcpy(buffer_ + at_, text.data(), text.size());
    return true;
  }
  std::string_view text() const { return {buffer_ + at_, sizeof(buffer_) - at_}; }

 private:
  char buffer_[kPathMax];
  size_t at_ = sizeof(buffer_);
};

// Reads names without locks, in an RCU section; the caller checks that no rename came between.
// kAgain: one did, and what was above is gone.
Status Dcache::ReadPath(const Dentry& dentry, const Dentry& top, ReversePath& path) {
  const Dentry* parent = nullptr;
  for (const Dentry* at = &dentry; at != &top; at = parent) {
    uint64_t words[kNameWords];
    size_t size = 0;
    uint32_t seq = 0;
    do {
      seq = Sample(*at);
      parent = at->parent();
      for (size_t i = 0; i < kNameWords; ++i)
        words[i] = at->name_[i].load(std::memory_order_acquire);
      size = at->name_size();
    } while (Stale(*at, seq));
    if (parent == nullptr) return base::Err(Errno::kAgain);
    if (parent == at || at->unhashed()) return base::Err(Errno::kNoEnt);
    std::string_view name(reinterpret_cast<const char*>(words), size);
    if (size > Name::kInlineMax) {
      name = {reinterpret_cast<const ExternalName*>(words[kPrefixWords])->text(), size};
    }
    if (!path.Prepend(name) || !path.Prepend("/")) return base::Err(Errno::kNameTooLong);
  }
  return {};
}

// A whole try of PathOf. kAgain: a rename came between.
Result<std::string> Dcache::TryPathOf(const Dentry& dentry, const Dentry& top) const {
  ReversePath path;
  {
    const base::RcuReadGuard guard(rcu_);
    TRY(ReadPath(dentry, top, path));
  }
  return path.text().empty() ? std::string("/") : std::string(path.text());
}

Result<std::string> Dcache::PathOf(const Dentry& dentry, const Dentry& top) const {
  for (int tries = 0; tries < kMaxPathTries; ++tries) {
    const uint32_t seq = rename_seq_.ReadBegin();
    Result<std::string> path = TryPathOf(dentry, top);
    const bool torn = !path && path.error() == Errno::kAgain;
    if (!torn && !rename_seq_.ReadRetry(seq)) return path;
  }
  base::MutexLock no_renames(rename_mutex_);
  return TryPathOf(dentry, top);
}

void Dcache::ForEachChild(Dentry& dir, absl::FunctionRef<void(Dentry&)> fn) {
  DentryRef at = NextChild(dir, nullptr);
  while (at != nullptr) {
    fn(*at);
    at = NextChild(dir, at.get());
  }
}

// The child after `after` on the list (null: the first), with a reference; null at the end, or when
// `after` has left the directory.
DentryRef Dcache::NextChild(Dentry& dir, Dentry* after) {
  base::MutexLock lock(dir.ref_);
  if (after != nullptr && after->parent() != &dir) return nullptr;
  Dentry* child = after == nullptr ? dir.first_child_ : after->next_sibling_;
  while (child != nullptr && !child->ref_.GetNotDead()) child = child->next_sibling_;
  return DentryRef::Adopt(child);
}

bool Dcache::HasChildren(Dentry& dir) const {
  base::MutexLock lock(dir.ref_);
  return dir.first_child_ != nullptr;
}

void Dcache::CheckInvariants() {
  size_t entries = 0;
  const base::RcuReadGuard guard(rcu_);
  table_.ForEach([&](SlotTable::Entry entry) {
    ++entries;
    if (IsNegative(entry)) return;
    const auto& dentry = *reinterpret_cast<const Dentry*>(entry);
    CHECK(!dentry.ref_.dead(), "a dead dentry in the table");
    CHECK(!dentry.unhashed(), "an unhashed dentry in the table");
    CHECK(dentry.inode_.load() != nullptr, "a dentry without inode in the table");
    CHECK(!dentry.parent()->ref_.dead(), "a child whose parent is dead");
    CHECK(dentry.ref_.count() > 0 || dentry.lru_.OnList(), "an unreferenced dentry off the LRU");
  });
  CHECK(entries == table_.used(), "the table's count is not what it holds");
}

}  // namespace dentree::vfs
