// Active references, draining, and the index of what is cached.

#include "kernfs/caches_internal.h"
#include "kernfs/open_files_internal.h"
#include "kernfs/transient_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

// --- Transient: what it is ---

Transient::Transient(NodeRef domain, ObjectId object, uint16_t index)
    : domain_(std::move(domain)), what_(object << 16 | index) {}

void Transient::BecomeDir(Mode mode, const DirType& type, void* priv) {
  mode_ = mode;
  type_.dir = &type;
  priv_ = priv;
}

void Transient::BecomeFile(Mode mode, const NodeOps& ops, void* priv) {
  mode_ = mode;
  type_.file = &ops;
  priv_ = priv;
}

void Transient::BecomeLink(Mode mode, const LinkOps& ops, void* priv) {
  mode_ = mode;
  type_.link = &ops;
  priv_ = priv;
}

void Transient::Put(Transient* t) {
  if (t->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  DCHECK(!t->published_ && t->files_ == nullptr);
  base::RcuDomain& rcu = t->root().vfs().rcu();
  t->rcu_ = {};
  rcu.Retire(
      &t->rcu_,
      [](base::RcuHead* head) {
        auto* const dead = base::ObjectOf<Transient, base::RcuHead, &Transient::rcu_>(head);
        // The domain goes last: its root knows the cache.
        const NodeRef domain = std::move(dead->domain_);
        domain->root().kernfs().caches().transients.Delete(dead);
      },
      sizeof(Transient));
}

// --- Transient: active references ---

vfs::WaitQueue& Transient::wait_queue() const {
  return root().wait_[base::Mix64(reinterpret_cast<uintptr_t>(this)) % Root::kWaitQueues];
}

bool Transient::Acquire() {
  Acquire(Even::kIfDead);
  if (!dead()) return true;
  Release();
  return false;
}

void Transient::Release() {
  if (active_.fetch_sub(1, std::memory_order_seq_cst) == 1 && dead()) wait_queue().Rouse();
}

// Nothing to wait for and nothing to release. The entries lock is held.
bool Transient::quiet() const {
  return idle() && files_ == nullptr && waiters_.load(std::memory_order_seq_cst) == 0;
}

void Transient::Drain() {
  SetState(kDead);
  if (waiters_.load(std::memory_order_seq_cst) != 0) wait_queue().WakeAll(waiters_);
  Root& root = this->root();
  while (true) {
    if (!idle()) {
      root.kernfs().stats().Add<&KernfsStats::drain_waits>();
      SYNC_POINT(root.vfs().sync_points(), "kernfs:drain:wait");
      wait_queue().SleepUntil([this] { return idle(); });
    }
    OpenFile* const file = OpenFiles::Take(root, *this);
    if (file == nullptr) break;
    root.kernfs().stats().Add<&KernfsStats::drained_files>();
    // Others who remove the same entry wait for this release as for an operation.
    const ActiveRef active(*this, Even::kIfDead);
    OpenFiles::ReleaseOnce(*file);
    OpenFiles::Put(file);
  }
}

// --- Transient: waiting ---

void Transient::Bump() {
  event_.fetch_add(1, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) != 0) wait_queue().WakeAll(waiters_);
}

Status Transient::Wait(uint32_t seen) {
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  Release();
  wait_queue().SleepUntil([this, seen] { return Moved(seen); });
  // Taken even if it is dead, so that the operation gives back what it took.
  Acquire(Even::kIfDead);
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
  if (dead()) return base::Err(Errno::kNoDev);
  return {};
}

Status Transient::Park(uint32_t seen, vfs::Waiter* waiter) {
  const auto moved = [this, seen] { return Moved(seen); };
  const bool waits = waiter != nullptr ? wait_queue().Park(*waiter, waiters_, moved) : !Moved(seen);
  if (waits) return base::Err(Errno::kAgain);
  if (dead()) return base::Err(Errno::kNoDev);
  return {};
}

// --- EntryIndex ---

// Room for one more. Only the first buckets cannot be done without.
Status EntryIndex::Reserve() {
  using Table = ChainTable<Transient>;
  size_t wanted;
  {
    base::MutexLock lock(lock_);
    wanted = table_.Wanted();
  }
  if (wanted == 0) return {};
  const Table::Buckets fresh = Table::Allocate(memory_, wanted, "mm:kernfs_index");
  Table::Buckets old;
  bool usable;
  {
    base::MutexLock lock(lock_);
    old = table_.Adopt(fresh);
    usable = table_.usable();
  }
  Table::Free(memory_, old);
  if (!usable) return base::Err(Errno::kNoMem);
  return {};
}

Status EntryIndex::Publish(Transient& t) {
  TRY(Reserve());
  base::MutexLock lock(lock_);
  Node& domain = t.domain();
  // Whoever removes the domain has marked it before it looks at the list.
  if (domain.dead()) return base::Err(Errno::kNoEnt);
  table_.Insert(t);
  t.links_ = {.next = domain.entries_, .prev = &domain.entries_};
  if (domain.entries_ != nullptr) domain.entries_->links_.prev = &t.links_.next;
  domain.entries_ = &t;
  t.published_ = true;
  return {};
}

void EntryIndex::UnpublishLocked(Transient& t) {
  if (!t.published_) return;
  t.published_ = false;
  table_.Remove(t);
  *t.links_.prev = t.links_.next;
  if (t.links_.next != nullptr) t.links_.next->links_.prev = t.links_.prev;
  t.links_ = {};
}

void EntryIndex::Unpublish(Transient& t) {
  base::MutexLock lock(lock_);
  UnpublishLocked(t);
}

TransientRef EntryIndex::FirstOfDomain(Node& domain) {
  base::MutexLock lock(lock_);
  if (domain.entries_ == nullptr) return nullptr;
  return TransientRef::Share(domain.entries_);
}

TransientRef EntryIndex::FirstOfObject(ObjectId object) {
  base::MutexLock lock(lock_);
  Transient* const t =
      table_.Find(object, [object](const Transient& each) { return each.object() == object; });
  return t == nullptr ? nullptr : TransientRef::Share(t);
}

TransientRef EntryIndex::Find(const Identity& identity) {
  base::MutexLock lock(lock_);
  Transient* const t =
      table_.Find(Transient::KeyOf(identity.domain, identity.object),
                  [&identity](const Transient& each) { return each.identity() == identity; });
  return t == nullptr ? nullptr : TransientRef::Share(t);
}

void EntryIndex::KillQuiet(Node& domain) {
  while (KillQuietBatch(domain) > 0) {
  }
}

size_t EntryIndex::KillQuietBatch(Node& domain) {
  base::MutexLock lock(lock_);
  size_t killed = 0;
  size_t seen = 0;
  Transient* next = nullptr;
  for (Transient* t = domain.entries_; t != nullptr && seen < kKillBatch; t = next, ++seen) {
    next = t->links_.next;
    t->SetState(Transient::kDead);
    if (!t->quiet()) continue;
    UnpublishLocked(*t);
    ++killed;
  }
  return killed;
}

void EntryIndex::MarkDead(ObjectId object) {
  base::MutexLock lock(lock_);
  const auto fits = [object](const Transient& t) { return t.object() == object; };
  for (Transient* t = table_.Find(object, fits); t != nullptr; t = table_.Find(object, fits, t)) {
    t->SetState(Transient::kDead);
  }
}

void EntryIndex::MarkStale(const Node* domain, ObjectId object) {
  base::MutexLock lock(lock_);
  const auto fits = [domain, object](const Transient& t) {
    return t.object() == object && t.index() != kNoIndex &&
           (domain == nullptr || &t.domain() == domain);
  };
  const uint64_t key = Transient::KeyOf(domain == nullptr ? 0 : domain->id(), object);
  for (Transient* t = table_.Find(key, fits); t != nullptr; t = table_.Find(key, fits, t)) {
    t->SetState(Transient::kStale);
  }
}

size_t EntryIndex::size() const {
  base::MutexLock lock(lock_);
  return table_.size();
}

void EntryIndex::CheckInvariants() const {
  base::MutexLock lock(lock_);
  table_.FindAnywhere([](const Transient& t) {
    CHECK(t.published_, "in the index but not published");
    CHECK(*t.links_.prev == &t, "not on the list of its domain");
    CHECK(t.refs_.load() > 0, "published without a reference");
    return false;
  });
}

}  // namespace dentree::kernfs
