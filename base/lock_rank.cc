#include "base/lock_rank.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <span>
#include <utility>

#include "base/check.h"

namespace dentree::base {
namespace {

constexpr std::array<std::string_view, 19> kRankNames = {
    "kFile",     "kOpenFile", "kMount",  "kRename",    "kDir",       "kInstance",
    "kRegistry", "kNode",     "kPlace",  "kRenameSeq", "kInode",     "kDentry",
    "kLru",      "kAttached", "kBucket",   "kNotify", "kStats",     "kLoopQueue", "kLeaf"};
static_assert(kRankNames.size() == std::to_underlying(LockRank::kLeaf) + 1);

}  // namespace

std::string_view LockRankName(LockRank rank) { return kRankNames[std::to_underlying(rank)]; }

#ifndef NDEBUG
namespace {

struct Held {
  LockRank rank;
  const void* lock;
};

// What one thread holds, in the order taken. Two dentry trees' worth of nesting is far below the
// limit.
constexpr size_t kMaxHeld = 64;

struct ThreadLocks {
  std::array<Held, kMaxHeld> held;
  size_t count;
  int rcu_depth;
  int leaf_only_depth;

  std::span<Held> Locks() { return {held.data(), count}; }
};

constinit thread_local ThreadLocks locks_of_thread{};

[[noreturn]] void Abort(LockRank wanted, LockRank held, const char* rule) {
  const std::string_view a = LockRankName(wanted);
  const std::string_view b = LockRankName(held);
  std::fprintf(stderr, "lock rank violation: taking %.*s while holding %.*s (%s)\n",
               static_cast<int>(a.size()), a.data(), static_cast<int>(b.size()), b.data(), rule);
  std::abort();
}

}  // namespace

void CheckLockOrder(LockRank rank, LockOrder order) {
  if (order == LockOrder::kTry) return;
  ThreadLocks& mine = locks_of_thread;
  if (mine.leaf_only_depth > 0 && rank != LockRank::kLeaf) {
    Abort(rank, LockRank::kLeaf, "an RCU callback takes leaf locks only");
  }
  for (const Held& held : mine.Locks()) {
    if (held.rank > rank) Abort(rank, held.rank, "ranks are taken outermost first");
    if (held.rank == rank && order != LockOrder::kChild) {
      Abort(rank, held.rank, "two of one rank need a LockPair or kNested");
    }
  }
}

void NoteLocked(LockRank rank, const void* lock) {
  ThreadLocks& mine = locks_of_thread;
  CHECK(mine.count < kMaxHeld, "a thread holds too many locks");
  mine.held[mine.count++] = {rank, lock};
}

void NoteUnlocked(LockRank rank, const void* lock) {
  ThreadLocks& mine = locks_of_thread;
  const auto held = mine.Locks();
  const auto it = std::find_if(held.rbegin(), held.rend(),
                               [&](const Held& h) { return h.lock == lock && h.rank == rank; });
  CHECK(it != held.rend(), "unlocked by a thread that does not hold it");
  std::move(it.base(), held.end(), std::prev(it.base()));
  --mine.count;
}

bool HoldsRankAtLeast(LockRank rank) {
  return std::ranges::any_of(locks_of_thread.Locks(),
                             [&](const Held& held) { return held.rank >= rank; });
}

bool HoldsLock(const void* lock) {
  return std::ranges::any_of(locks_of_thread.Locks(),
                             [&](const Held& held) { return held.lock == lock; });
}

void AssertHolds(const void* lock) { CHECK(HoldsLock(lock), "the lock is not held"); }

void AssertMayCallOut() {
  CHECK(!HoldsRankAtLeast(LockRank::kNode),
        "client code runs under no lock of rank kNode or inside");
}

void AssertMayAllocate() {
  CHECK(!HoldsRankAtLeast(LockRank::kNode), "nothing allocates under rank kNode or inside");
  CHECK(!InAnyRcuReadSection(), "nothing allocates inside an RCU read section");
}

void NoteRcuEnter() { ++locks_of_thread.rcu_depth; }
void NoteRcuExit() { --locks_of_thread.rcu_depth; }
bool InAnyRcuReadSection() { return locks_of_thread.rcu_depth > 0; }

OnlyLeafLocks::OnlyLeafLocks() { ++locks_of_thread.leaf_only_depth; }
OnlyLeafLocks::~OnlyLeafLocks() { --locks_of_thread.leaf_only_depth; }

#endif

}  // namespace dentree::base
