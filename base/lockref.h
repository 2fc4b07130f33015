#pragma once

#include <atomic>
#include <cstdint>

#include "base/check.h"
#include "base/lock_rank.h"
#include "base/thread_annotations.h"

namespace dentree::base {

// A reference count and a lock in one eight-byte word, so that taking a reference and "nobody holds
// the lock" are one atomic step.
//
// Invariants:
//   - the count moves only while the lock is free, or by the holder of the lock: a holder sees it
//   stand
//     still, so "zero references, therefore dead" is decided and done in one critical section;
//   - dead (a negative count) is final for the object; GetNotDead fails from then on (until
//   type-stable
//     memory is revived as another object: who got hold of that one rechecks what it is).
//
// The free-standing operations (Get...) wait while another thread holds the lock, so they obey its
// rank: not under a lock inside kDentry. PutUnlessLast never waits.
//
// Thread safety: any thread. Lifetime: all zero bytes are an unlocked one with no references.
class DT_CAPABILITY("lockref") Lockref {
 public:
  static constexpr LockRank kRank = LockRank::kDentry;

  Lockref() = default;
  explicit Lockref(int32_t count) : word_(Pack(count, kFree)) {}
  // Of memory that is no object yet (ReviveLocked).
  struct Dead {};
  explicit Lockref(Dead) : word_(Pack(static_cast<int32_t>(kDead), kFree)) {}
  Lockref(const Lockref&) = delete;
  Lockref& operator=(const Lockref&) = delete;

  // For a caller who holds a reference already, or otherwise knows the object is alive.
  void Get() {
    const bool alive = GetIfAtLeast(0);
    CHECK(alive, "a reference to a dead object");
  }
  // False if the object is dead.
  [[nodiscard]] bool GetNotDead() { return GetIfAtLeast(0); }
  // False if there is no reference (or it is dead).
  [[nodiscard]] bool GetNotZero() { return GetIfAtLeast(1); }
  // False when the count would reach zero, or while the lock is held: then the caller locks, calls
  // PutLocked and decides there.
  [[nodiscard]] bool PutUnlessLast() {
    uint64_t word = word_.load(std::memory_order_relaxed);
    while (LockPart(word) == kFree && CountPart(word) > 1) {
      if (word_.compare_exchange_weak(word, word - kOne, std::memory_order_release,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void Lock(LockOrder order = LockOrder::kStrict) DT_ACQUIRE() {
    CheckLockOrder(kRank, order);
    Acquire();
    NoteLocked(kRank, this);
  }
  [[nodiscard]] bool TryLock() DT_TRY_ACQUIRE(true) {
    if (!TryAcquire()) return false;
    NoteLocked(kRank, this);
    return true;
  }
  void Unlock() DT_RELEASE() {
    NoteUnlocked(kRank, this);
    Release();
  }
  void AssertHeld() const DT_ASSERT_CAPABILITY(this) { AssertHolds(this); }

  // By the holder of the lock. PutLocked returns the references left.
  void GetLocked() DT_REQUIRES(this) {
    DCHECK(count() >= 0);
    word_.fetch_add(kOne, std::memory_order_relaxed);
  }
  int32_t PutLocked() DT_REQUIRES(this) {
    DCHECK(count() > 0);
    return CountPart(word_.fetch_sub(kOne, std::memory_order_acq_rel)) - 1;
  }
  // Nobody will get a reference from now on.
  void MarkDead() DT_REQUIRES(this) {
    const int32_t now = count();
    CHECK(now == 0, "only what nobody refers to dies");
    word_.fetch_add(static_cast<uint64_t>(kDead) << kCountShift, std::memory_order_relaxed);
  }

  // Type-stable memory becomes another object, with `count` references.
  void ReviveLocked(int32_t count) DT_REQUIRES(this) {
    DCHECK(dead());
    const auto delta = static_cast<uint32_t>(count - this->count());
    word_.fetch_add(static_cast<uint64_t>(delta) << kCountShift, std::memory_order_relaxed);
  }

  // The same by who alone may revive it, without the lock: others may hold that a moment longer to
  // find it dead.
  void Revive(int32_t count) {
    uint64_t word = Pack(static_cast<int32_t>(kDead), kFree);
    if (word_.compare_exchange_strong(word, Pack(count, kFree), std::memory_order_release,
                                      std::memory_order_relaxed)) [[likely]] {
      return;
    }
    Lock();
    ReviveLocked(count);
    Unlock();
  }

  // References; negative when dead. Stands still only for the holder of the lock.
  [[nodiscard]] int32_t count() const { return CountPart(word_.load(std::memory_order_relaxed)); }
  // What is read after it is at least as new.
  [[nodiscard]] bool dead() const { return CountPart(word_.load(std::memory_order_acquire)) < 0; }

 private:
  // The low half is the lock (a futex), the high half the count.
  enum : uint32_t { kFree, kHeld, kContended };
  static constexpr int kCountShift = 32;
  static constexpr uint64_t kOne = uint64_t{1} << kCountShift;
  static constexpr uint32_t kDead = static_cast<uint32_t>(-128);

  static constexpr uint64_t Pack(int32_t count, uint32_t lock) {
    return static_cast<uint64_t>(static_cast<uint32_t>(count)) << kCountShift | lock;
  }
  static constexpr uint32_t LockPart(uint64_t word) { return static_cast<uint32_t>(word); }
  static constexpr int32_t CountPart(uint64_t word) {
    return static_cast<int32_t>(static_cast<uint32_t>(word >> kCountShift));
  }

  bool GetIfAtLeast(int32_t least) {
    CheckLockOrder(kRank, LockOrder::kChild);
    uint64_t word = word_.load(std::memory_order_relaxed);
    while (LockPart(word) == kFree) {
      if (CountPart(word) < least) return false;
      if (word_.compare_exchange_weak(word, word + kOne, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return GetIfAtLeastSlow(least);
  }
  bool GetIfAtLeastSlow(int32_t least);
  bool TryAcquire() {
    uint64_t word = word_.load(std::memory_order_relaxed);
    while (LockPart(word) == kFree) {
      if (word_.compare_exchange_weak(word, word | kHeld, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  void Acquire() {
    if (!TryAcquire()) [[unlikely]]
      AcquireSlow();
  }
  void AcquireSlow();
  void Release() {
    const uint64_t was = word_.fetch_and(~uint64_t{0xffffffff}, std::memory_order_release);
    if (LockPart(was) == kContended) [[unlikely]]
      WakeOne();
  }
  void WakeOne();
  const void* LockWord() const;

  std::atomic<uint64_t> word_{0};
};
static_assert(sizeof(Lockref) == 8);

}  // namespace dentree::base
