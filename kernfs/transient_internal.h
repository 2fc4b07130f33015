// Transient: an entry of any kind while a cached inode stands for it; carries its active references
// and its open files. EntryIndex: all transients of a root, found by what they are.
//
// An entry that nobody looks at has no transient, so no byte. The inode owns one reference
// (private_data) and lets it go in EvictInode; the transient pins its domain.
//
// Life and death. `active` counts operations under way; `dead` turns new ones away:
//     Acquire   ++active, then read dead: if set, undo and fail
//     Drain     set dead, then wait until active == 0; release open files; wait again
// Both are sequentially consistent, so an operation either sees dead or is waited for. A transient
// is published (EntryIndex::Publish) with an operation under way *before* client code is asked what
// the entry is: a client that marks its object dead first and removes it then cannot be missed.
//
// Thread safety: atomics as named; links and `files` belong to Root::entries_lock_; the rest is
// constant. Lifetime: counted; memory is freed after a grace period, because revalidation in RCU
// walks reads state.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/base.h"
#include "kernfs/chain_table_internal.h"
#include "kernfs/node.h"
#include "kernfs/ops.h"
#include "kernfs/root.h"
#include "mm/mm.h"

namespace dentree::kernfs {

// Says how an acquisition treats a dead entry.
enum class Even : uint8_t { kIfDead };

class Transient {
 public:
  enum State : uint8_t {
    kDead = 1 << 0,   // removed; for ever
    kStale = 1 << 1,  // its table entry's presence may have changed: look it up again
  };

  Transient(NodeRef domain, ObjectId object, uint16_t index);
  Transient(const Transient&) = delete;
  Transient& operator=(const Transient&) = delete;

  Identity identity() const { return {domain_->id(), object(), index()}; }
  Node& domain() const { return *domain_; }
  Root& root() const { return domain_->root(); }
  ObjectId object() const { return what_ >> 16; }
  uint16_t index() const { return static_cast<uint16_t>(what_); }
  bool is_listed() const { return object() == kSelf && index() == kNoIndex; }

  // Filled once by Describe, before anybody but Drain can see it.
  Mode mode() const { return mode_; }
  vfs::FileType kind() const { return vfs::TypeOf(mode_); }
  const DirType& dir_type() const { return *type_.dir; }
  const NodeOps& file_ops() const { return *type_.file; }
  const LinkOps& link_ops() const { return *type_.link; }
  void* priv() const { return priv_; }
  // REQUIRES: a directory.
  Dir dir() const { return {*domain_, object(), priv_}; }
  void BecomeDir(Mode mode, const DirType& type, void* priv);
  void BecomeFile(Mode mode, const NodeOps& ops, void* priv);
  void BecomeLink(Mode mode, const LinkOps& ops, void* priv);

  uint8_t state() const { return state_.load(std::memory_order_seq_cst); }
  bool dead() const { return state() & kDead; }
  void SetState(State bit) { state_.fetch_or(bit, std::memory_order_seq_cst); }
  void ClearState(State bit) {
    state_.fetch_and(static_cast<uint8_t>(~bit), std::memory_order_seq_cst);
  }

  // --- active references ---
  [[nodiscard]] bool Acquire();
  void Acquire(Even) { active_.fetch_add(1, std::memory_order_seq_cst); }
  void Release();
  bool idle() const { return active_.load(std::memory_order_seq_cst) == 0; }

  // No operation runs or will run when it returns, open files are released. No locks held but those
  // of directories. Any number of threads at once.
  void Drain();

  // --- waiting ---
  uint32_t event() const { return event_.load(std::memory_order_seq_cst); }
  void Bump();  // event, and wakes who waits
  [[nodiscard]] Status Wait(uint32_t seen);
  // As Wait, without sleeping: kAgain, with `waiter` (unless null) left to be woken.
  [[nodiscard]] Status Park(uint32_t seen, vfs::Waiter* waiter);

  // --- attributes: the root's generation for which the inode's are right ---
  uint32_t attrs_generation() const { return attrs_generation_.load(std::memory_order_acquire); }
  void set_attrs_generation(uint32_t generation) {
    attrs_generation_.store(generation, std::memory_order_release);
  }

  static void Get(Transient* t) { t->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(Transient* t);

  static uint64_t KeyOf(uint64_t domain, ObjectId object) {
    return object != kSelf ? object : domain;
  }
  static uint64_t ChainKey(const Transient& t) { return KeyOf(t.domain_->id(), t.object()); }

 private:
  friend class EntryIndex;
  friend class OpenFiles;
  friend class ChainTable<Transient>;

  vfs::WaitQueue& wait_queue() const;
  bool Moved(uint32_t seen) const { return event() != seen || dead(); }
  bool quiet() const;

  std::atomic<uint8_t> state_{0};
  bool published_ = false;  // entries lock
  Mode mode_ = 0;
  std::atomic<uint32_t> active_{1};
  std::atomic<uint32_t> refs_{1};
  std::atomic<uint32_t> event_{1};
  std::atomic<uint32_t> attrs_generation_{0};
  vfs::WaitCount waiters_{0};
  NodeRef domain_;
  const uint64_t what_;  // object 48 | index 16
  union {
    const DirType* dir;
    const NodeOps* file;
    const LinkOps* link;
  } type_ = {};
  void* priv_ = nullptr;
  OpenFile* files_ = nullptr;
  Transient* chain_next = nullptr;  // same key
  struct DomainLinks {
    Transient* next = nullptr;
    Transient** prev = nullptr;
  };
  union {
    DomainLinks links_ = {};  // published: the list of its domain
    base::RcuHead rcu_;       // dead, waiting for a grace period
  };
};
static_assert(sizeof(Transient) == 88);

using TransientRef = base::Ref<Transient>;

// An active reference for a scope; check `ok` before anything else.
class ActiveRef {
 public:
  explicit ActiveRef(Transient& t) : transient_(t.Acquire() ? &t : nullptr) {}
  ActiveRef(Transient& t, Even even) : transient_(&t) { t.Acquire(even); }
  ~ActiveRef() {
    if (transient_ != nullptr) transient_->Release();
  }
  ActiveRef(const ActiveRef&) = delete;
  ActiveRef& operator=(const ActiveRef&) = delete;
  bool ok() const { return transient_ != nullptr; }

 private:
  Transient* const transient_;
};

// All transients of a root: by (object, or domain for what is listed) and by domain.
class EntryIndex {
 public:
  EntryIndex(mm::Memory& memory, Root::EntriesLock& lock)
      : memory_(memory), lock_(lock), table_(memory) {}

  // Makes the transient findable for removal. kNoEnt: its domain is dead. kNoMem.
  Status Publish(Transient& t);
  void Unpublish(Transient& t);

  // One transient each, with a reference; null when there is none (left).
  TransientRef FirstOfDomain(Node& domain);
  TransientRef FirstOfObject(ObjectId object);
  TransientRef Find(const Identity& identity);
  // Kills what is quiet of a domain on the spot; the rest is left to FirstOfDomain and Drain.
  void KillQuiet(Node& domain);
  // Turns new operations away from everything about an object, before any of it is drained.
  void MarkDead(ObjectId object);
  // Marks table entries with a `present` callback in directories about (domain, object).
  void MarkStale(const Node* domain, ObjectId object);

  size_t size() const;
  void CheckInvariants() const;

 private:
  static constexpr size_t kKillBatch = 256;  // under one hold of the lock

  Status Reserve();
  void UnpublishLocked(Transient& t) DT_REQUIRES(lock_);
  size_t KillQuietBatch(Node& domain);

  mm::Memory& memory_;
  Root::EntriesLock& lock_;
  ChainTable<Transient> table_ DT_GUARDED_BY(lock_);
};

}  // namespace dentree::kernfs
