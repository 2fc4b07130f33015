#pragma once

#include <cstdint>
#include <string_view>

namespace dentree::base {

// The order in which locks may be taken, outermost first. A thread takes a lock only if every lock
// it holds has a lower rank; two of one rank only as a LockPair or with kNested (parent before
// child). Docs/locking.md says what each rank protects.
enum class LockRank : uint8_t {
  kFile,      // position of an open file: held across its whole read, write or listing
  kOpenFile,  // one open control file: held while its operation runs
  kMount,
  kRename,
  kDir,
  kInstance,
  kRegistry,
  kNode,
  kPlace,      // places: a task's root and working directory, the table of mounts
  kRenameSeq,  // moving names: serialises changes of the dcache's rename sequence
  kInode,      // inode cache stripes: the last reference
  kDentry,
  kLru,
  kAttached,   // what is attached to an inode from outside: its locks, its watches
  kBucket,
  kNotify,
  kStats,
  kLoopQueue,
  kLeaf,
};

// "kDir"
std::string_view LockRankName(LockRank rank);

// Says that a lock of a rank already held is taken parent before child.
struct Nested {
  explicit constexpr Nested() = default;
};
inline constexpr Nested kNested{};

// How an acquisition relates to the locks the thread holds.
enum class LockOrder : uint8_t {
  kStrict,  // every held lock has a lower rank
  kChild,   // every held lock has a lower or the same rank
  kTry,     // cannot wait, so it cannot deadlock: any order
};

#ifndef NDEBUG

// Aborts with both names if the thread may not take a lock of `rank` now.
void CheckLockOrder(LockRank rank, LockOrder order);
void NoteLocked(LockRank rank, const void* lock);
void NoteUnlocked(LockRank rank, const void* lock);

// Whether this thread holds a lock of `rank` or one inside it. Debug builds only; false in release.
[[nodiscard]] bool HoldsRankAtLeast(LockRank rank);
// Whether this thread holds this very lock.
[[nodiscard]] bool HoldsLock(const void* lock);

void AssertHolds(const void* lock);

// Client code may be called: no lock of rank kNode or inside it is held.
void AssertMayCallOut();
// Memory may be allocated: as above, and the thread is in no RCU read section.
void AssertMayAllocate();

// Read sections of all domains this thread is in.
void NoteRcuEnter();
void NoteRcuExit();
[[nodiscard]] bool InAnyRcuReadSection();

// While one lives, this thread may take locks of rank kLeaf only: the rule for RCU callbacks.
class OnlyLeafLocks {
 public:
  OnlyLeafLocks();
  ~OnlyLeafLocks();
  OnlyLeafLocks(const OnlyLeafLocks&) = delete;
  OnlyLeafLocks& operator=(const OnlyLeafLocks&) = delete;
};

#else

inline void CheckLockOrder(LockRank, LockOrder) {}
inline void NoteLocked(LockRank, const void*) {}
inline void NoteUnlocked(LockRank, const void*) {}
[[nodiscard]] inline bool HoldsRankAtLeast(LockRank) { return false; }
[[nodiscard]] inline bool HoldsLock(const void*) { return true; }
inline void AssertHolds(const void*) {}
inline void AssertMayCallOut() {}
inline void AssertMayAllocate() {}
inline void NoteRcuEnter() {}
inline void NoteRcuExit() {}
[[nodiscard]] inline bool InAnyRcuReadSection() { return true; }
class OnlyLeafLocks {
 public:
  OnlyLeafLocks() {}
  ~OnlyLeafLocks() {}
};

#endif

}  // namespace dentree::base
