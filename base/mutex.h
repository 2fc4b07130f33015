#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "base/lock_rank.h"
#include "base/thread_annotations.h"

// The locks of the house. All carry their rank in the type (it takes no space), thread-safety
// annotations, and, in debug builds, the check that ranks are taken outermost first.
//
//   Mutex<LockRank::kRegistry> mu_;
//   std::map<...> systems_ DT_GUARDED_BY(mu_);
//   ...
//   MutexLock lock(mu_);
//
// Which one: SpinLock (4 bytes) for sections of a few instructions, RwSem (4 bytes) for
// directories, read by many and held across file-system calls, Mutex (40 bytes) wherever a CondVar
// waits or nothing else asks. None is recursive. A try-lock may be used against the order, since it
// cannot wait.

namespace dentree::base {

// A mutual exclusion lock that a CondVar can wait under.
//
// Thread safety: is the means to it. Lifetime: unlocked when destroyed.
template <LockRank R>
class DT_CAPABILITY("mutex") Mutex {
 public:
  static constexpr LockRank kRank = R;

  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock(LockOrder order = LockOrder::kStrict) DT_ACQUIRE() {
    CheckLockOrder(R, order);
    mutex_.lock();
    NoteLocked(R, this);
  }
  [[nodiscard]] bool TryLock() DT_TRY_ACQUIRE(true) {
    if (!mutex_.try_lock()) return false;
    NoteLocked(R, this);
    return true;
  }
  void Unlock() DT_RELEASE() {
    NoteUnlocked(R, this);
    mutex_.unlock();
  }
  // Debug builds verify that this thread holds the lock; the analysis believes it from here on.
  void AssertHeld() const DT_ASSERT_CAPABILITY(this);

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// A lock for sections of a few instructions: spins a little, then sleeps.
//
// Thread safety: is the means to it. Lifetime: unlocked when destroyed; all zero bytes are an
// unlocked one.
class SpinWord {
 public:
  void Lock() {
    uint32_t expected = kFree;
    if (!word_.compare_exchange_weak(expected, kHeld, std::memory_order_acquire,
                                     std::memory_order_relaxed)) [[unlikely]] {
      LockSlow();
    }
  }
  [[nodiscard]] bool TryLock() {
    uint32_t expected = kFree;
    return word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  void Unlock() {
    if (word_.exchange(kFree, std::memory_order_release) == kContended) [[unlikely]]
      WakeOne();
  }

 private:
  enum : uint32_t { kFree, kHeld, kContended };

  void LockSlow();
  void WakeOne();

  std::atomic<uint32_t> word_{kFree};
};

template <LockRank R>
class DT_CAPABILITY("spinlock") SpinLock {
 public:
  static constexpr LockRank kRank = R;

  SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void Lock(LockOrder order = LockOrder::kStrict) DT_ACQUIRE() {
    CheckLockOrder(R, order);
    word_.Lock();
    NoteLocked(R, this);
  }
  [[nodiscard]] bool TryLock() DT_TRY_ACQUIRE(true) {
    if (!word_.TryLock()) return false;
    NoteLocked(R, this);
    return true;
  }
  void Unlock() DT_RELEASE() {
    NoteUnlocked(R, this);
    word_.Unlock();
  }
  void AssertHeld() const DT_ASSERT_CAPABILITY(this);

 private:
  SpinWord word_;
};
static_assert(sizeof(SpinLock<LockRank::kLeaf>) == 4);

// The state of a reader/writer lock in one word.
//
// A writer that waits keeps new readers out (so it gets its turn), and a writer that leaves lets
// the waiting readers in first (so they get theirs). Invariants:
//   - kWriter and a reader count above zero never stand together;
//   - a thread sleeps only while the lock is held, or as a reader behind a writer already being
//   woken;
//   - whoever releases the lock with a waiting bit set wakes someone (WakeNext), and whoever is
//   woken
//     takes the lock or sleeps behind its new holder: the duty to wake is never lost.
class RwWord {
 public:
  void LockShared() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    if (!MayRead(state) ||
        !state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed)) [[unlikely]] {
      LockSharedSlow();
    }
  }
  [[nodiscard]] bool TryLockShared() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    while (MayRead(state)) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  void UnlockShared() {
    const uint32_t left = state_.fetch_sub(1, std::memory_order_release) - 1;
    if ((left & kReaders) == 0 && (left & kAnyWaiting) != 0) [[unlikely]]
      WakeNext(kWritersWait);
  }
  void Lock() {
    uint32_t free = 0;
    if (!state_.compare_exchange_weak(free, kWriter, std::memory_order_acquire,
                                      std::memory_order_relaxed)) [[unlikely]] {
      LockSlow();
    }
  }
  [[nodiscard]] bool TryLock() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & kHeldMask) == 0) {
      if (state_.compare_exchange_weak(state, state | kWriter, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  void Unlock() {
    // A subtraction, because its old value comes for free on x86; that of an AND costs a loop.
    const uint32_t was = state_.fetch_sub(kWriter, std::memory_order_release);
    if ((was & kAnyWaiting) != 0) [[unlikely]]
      WakeNext(kReadersWait);
  }

 private:
  static constexpr uint32_t kWriter = 1u << 31;
  static constexpr uint32_t kWritersWait = 1u << 30;
  static constexpr uint32_t kReadersWait = 1u << 29;
  static constexpr uint32_t kReaders = kReadersWait - 1;
  static constexpr uint32_t kHeldMask = kWriter | kReaders;
  static constexpr uint32_t kAnyWaiting = kWritersWait | kReadersWait;

  static constexpr bool MayRead(uint32_t state) { return (state & (kWriter | kWritersWait)) == 0; }

  void LockSharedSlow();
  void LockSlow();
  // Called after a release: wakes one writer or all readers, `first` being the class preferred.
  void WakeNext(uint32_t first);

  std::atomic<uint32_t> state_{0};
};

// A reader/writer lock of four bytes that may be held for long: the lock of a directory.
//
// Thread safety: is the means to it. A reader must not take it again (a waiting writer would stand
// between). Lifetime: unlocked when destroyed; all zero bytes are an unlocked one.
template <LockRank R>
class DT_CAPABILITY("rwsem") RwSem {
 public:
  static constexpr LockRank kRank = R;

  RwSem() = default;
  RwSem(const RwSem&) = delete;
  RwSem& operator=(const RwSem&) = delete;

  void Lock(LockOrder order = LockOrder::kStrict) DT_ACQUIRE() {
    CheckLockOrder(R, order);
    word_.Lock();
    NoteLocked(R, this);
  }
  [[nodiscard]] bool TryLock() DT_TRY_ACQUIRE(true) {
    if (!word_.TryLock()) return false;
    NoteLocked(R, this);
    return true;
  }
  void Unlock() DT_RELEASE() {
    NoteUnlocked(R, this);
    word_.Unlock();
  }
  void LockShared(LockOrder order = LockOrder::kStrict) DT_ACQUIRE_SHARED() {
    CheckLockOrder(R, order);
    word_.LockShared();
    NoteLocked(R, this);
  }
  [[nodiscard]] bool TryLockShared() DT_TRY_ACQUIRE_SHARED(true) {
    if (!word_.TryLockShared()) return false;
    NoteLocked(R, this);
    return true;
  }
  void UnlockShared() DT_RELEASE_SHARED() {
    NoteUnlocked(R, this);
    word_.UnlockShared();
  }
  void AssertHeld() const DT_ASSERT_CAPABILITY(this);

 private:
  RwWord word_;
};
static_assert(sizeof(RwSem<LockRank::kDir>) == 4);

// Holds any lock that has Lock and Unlock exclusively for a scope.
//
//   MutexLock lock(mu_);               // strictly outermost first
//   MutexLock child(child.mu_, kNested);  // same rank as one held: parent before child
template <class L>
class [[nodiscard]] DT_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(L& lock) DT_ACQUIRE(lock) : lock_(lock) { lock_.Lock(); }
  MutexLock(L& lock, Nested) DT_ACQUIRE(lock) : lock_(lock) { lock_.Lock(LockOrder::kChild); }
  ~MutexLock() DT_RELEASE() { lock_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  L& lock_;
};
template <class L>
using WriteLock = MutexLock<L>;

// Holds an RwSem shared for a scope.
template <class L>
class [[nodiscard]] DT_SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(L& lock) DT_ACQUIRE_SHARED(lock) : lock_(lock) { lock_.LockShared(); }
  ReadLock(L& lock, Nested) DT_ACQUIRE_SHARED(lock) : lock_(lock) {
    lock_.LockShared(LockOrder::kChild);
  }
  ~ReadLock() DT_RELEASE_GENERIC() { lock_.UnlockShared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  L& lock_;
};

enum class PairOrder : uint8_t {
  kByAddress,  // no other relation: the lower address first
  kAsGiven,    // the first is the ancestor of the second
};

// Holds two locks of one rank exclusively for a scope; they may be the same one.
template <class L>
class [[nodiscard]] DT_SCOPED_CAPABILITY LockPair {
 public:
  LockPair(L& a, L& b, PairOrder order = PairOrder::kByAddress)
      DT_ACQUIRE(a, b) DT_NO_THREAD_SAFETY_ANALYSIS : first_(&a),
                                                      second_(&b) {
    if (order == PairOrder::kByAddress && second_ < first_) std::swap(first_, second_);
    first_->Lock();
    if (second_ != first_) second_->Lock(LockOrder::kChild);
  }
  ~LockPair() DT_RELEASE() DT_NO_THREAD_SAFETY_ANALYSIS {
    if (second_ != first_) second_->Unlock();
    first_->Unlock();
  }
  LockPair(const LockPair&) = delete;
  LockPair& operator=(const LockPair&) = delete;

 private:
  L* first_;
  L* second_;
};

// Lets threads wait under a Mutex until another says that something changed.
//
// Thread safety: any thread. Lifetime: no waiter when destroyed.
class CondVar {
 public:
  template <LockRank R>
  void Wait(Mutex<R>& mutex) DT_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    cond_.wait(lock);
    lock.release();
  }
  // Waits until `ready()` is true; it is called with the mutex held. A lambda that reads guarded
  // members begins with mutex.AssertHeld(), since the analysis does not know who calls it.
  template <LockRank R, class Ready>
  void WaitUntil(Mutex<R>& mutex, Ready ready) DT_REQUIRES(mutex) {
    while (!ready()) Wait(mutex);
  }
  // As WaitUntil, for at most `timeout`; returns the last ready().
  template <LockRank R, class Ready>
  [[nodiscard]] bool WaitFor(Mutex<R>& mutex, std::chrono::nanoseconds timeout, Ready ready)
      DT_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool result = cond_.wait_for(lock, timeout, ready);
    lock.release();
    return result;
  }
  void NotifyOne() { cond_.notify_one(); }
  void NotifyAll() { cond_.notify_all(); }

 private:
  std::condition_variable cond_;
};

template <LockRank R>
void Mutex<R>::AssertHeld() const {
  AssertHolds(this);
}
template <LockRank R>
void SpinLock<R>::AssertHeld() const {
  AssertHolds(this);
}
template <LockRank R>
void RwSem<R>::AssertHeld() const {
  AssertHolds(this);
}

}  // namespace dentree::base
