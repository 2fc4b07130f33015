// Moving negatives together when their memory is mostly holes.
//
// There are two spaces of the same caches. Entries are made in one; when that holds much more than
// its entries take, the other becomes the one, and each call copies some of what is left of the
// first to it, in place: queue and table have the copy where the original was. Once the first is
// empty its pages are all back.
#include <cstring>

#include "vfs/dcache.h"
#include "vfs/negative_internal.h"
#include "vfs/negative_policy.h"

namespace dentree::vfs {

// Held is an eighth more than live, and two pages. Not while entries are being moved.
bool NegativeCache::WantsMoving() const {
  const size_t live = live_bytes();
  constexpr size_t kSlack = 8192;
  return held_bytes() > live + live / 8 + kSlack;
}

void NegativeCache::StartMoving() {
  const Session session(*this);
  if (IsMoving()) return;  // somebody else began
  space_.fetch_xor(1, std::memory_order_relaxed);
  move_at_ = 0;
  stats_.compactions.Add();
}

// Moves up to `most` entries, in so many slots of the table, if they should be moved at all.
void NegativeCache::Compact(size_t most, size_t slots) {
  if (!IsMoving()) {
    // What was emptied keeps a slab, for objects that threads have at hand.
    if (spaces_[1 - space_.load(std::memory_order_relaxed)].bytes() > 0) {
      memory_.SettleDeferredFrees();
    }
    if (!WantsMoving()) return;
    StartMoving();
  }
  Move(most, slots);
}

void NegativeCache::MoveAll() {
  StartMoving();
  Move(SIZE_MAX, dcache_.table_.slots());
}

void NegativeCache::Move(size_t most, size_t slots) {
  std::array<Negative*, 2> fresh = {};
  for (size_t moved = 0; moved < most && slots > 0; ++moved) {
    for (size_t i = 0; i < fresh.size(); ++i) {
      if (fresh[i] == nullptr) fresh[i] = Alloc(i == 1);
    }
    // Without memory they stay where they are: reclaim frees others meanwhile.
    if (fresh[0] == nullptr || fresh[1] == nullptr || !MoveNext(fresh, slots)) break;
  }
  for (Negative* negative : fresh) {
    if (negative != nullptr) mm::Cache::FreeObject(negative);
  }
}

// Moves the next entry. False: there was none in the slots that were left to be looked at.
bool NegativeCache::MoveNext(std::array<Negative*, 2>& fresh, size_t& slots) {
  const Session session(*this);
  const base::RcuReadGuard guard(rcu_);
  Negative* found = nullptr;
  // Under the lock what the table has of negatives is queued, and stays.
  move_at_ = dcache_.table_.Visit(move_at_, slots, [&](SlotTable::Entry entry) {
    if (!Dcache::IsNegative(entry)) return false;
    Negative& negative = Dcache::NegativeOf(entry);
    const bool stays = negative.space == (space_.load(std::memory_order_relaxed) & 1);
    // What leaves need not be moved before.
    if (stays || negative.dir->gone() || QueuedIn(negative) == nullptr) return false;
    found = &negative;
    return true;
  });
  if (found == nullptr) return false;
  MoveLocked(*found, *std::exchange(fresh[found->is_long() ? 1 : 0], nullptr));
  return true;
}

// `to` becomes what `from` was.
void NegativeCache::MoveLocked(Negative& from, Negative& to) {
  NegativePolicy& policy = *QueuedIn(from);
  to.dir = from.dir;
  to.hash = from.hash;
  to.asked_ms.store(from.asked_ms.load(std::memory_order_relaxed), std::memory_order_relaxed);
  to.generation = from.generation;
  to.queue = from.queue;
  to.stamp = from.stamp;
  to.len = from.len;
  to.SetUse(from.used());
  std::memcpy(reinterpret_cast<char*>(&to) + offsetof(Negative, name),
              reinterpret_cast<const char*>(&from) + offsetof(Negative, name), from.len);
  if (from.queue == Negative::kDeferred) {
    policy.deferred_.Replace(from, to);
  } else {
    policy.Replace(from, to);
  }
  // A reader finds the one or the other.
  dcache_.table_.Replace(Dcache::HashOf(from.dir->dentry, from.key()), Dcache::EntryOf(from),
                         Dcache::EntryOf(to));
  from.queue = Negative::kNone;
  from.link.next = std::exchange(dead_.entries, &from);
  stats_.moved.Add();
}

}  // namespace dentree::vfs
