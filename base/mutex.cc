#include "base/mutex.h"

#include "base/futex_internal.h"

namespace dentree::base {

using internal::CpuRelax;
using internal::FutexWait;
using internal::FutexWake;
using internal::kSpinTurns;

namespace {
// Readers and writers of an RwWord sleep in classes of their own.
constexpr uint32_t kReaderClass = 1;
constexpr uint32_t kWriterClass = 2;
constexpr int kEveryone = 0x7fffffff;
}  // namespace

void SpinWord::LockSlow() {
  for (int turn = 0; turn < kSpinTurns; ++turn) {
    if (word_.load(std::memory_order_relaxed) == kFree && TryLock()) return;
    CpuRelax();
  }
  // Who has slept takes the lock as contended: there may be other sleepers, and only the word
  // knows.
  while (word_.exchange(kContended, std::memory_order_acquire) != kFree) {
    FutexWait(&word_, kContended);
  }
}

void SpinWord::WakeOne() { FutexWake(&word_, 1); }

void RwWord::LockSharedSlow() {
  for (int turn = 0; turn < kSpinTurns; ++turn) {
    if (TryLockShared()) return;
    CpuRelax();
  }
  // A reader that has slept once passes waiting writers: it is its turn.
  uint32_t blockers = kWriter | kWritersWait;
  uint32_t state = state_.load(std::memory_order_relaxed);
  while (true) {
    if ((state & blockers) == 0) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return;
      }
      continue;
    }
    if ((state & kReadersWait) == 0 &&
        !state_.compare_exchange_weak(state, state | kReadersWait, std::memory_order_relaxed)) {
      continue;
    }
    FutexWait(&state_, state | kReadersWait, kReaderClass);
    blockers = kWriter;
    state = state_.load(std::memory_order_relaxed);
  }
}

void RwWord::LockSlow() {
  for (int turn = 0; turn < kSpinTurns; ++turn) {
    if (TryLock()) return;
    CpuRelax();
  }
  // As in SpinWord: a writer that has slept takes the lock with the waiting bit on.
  uint32_t waiting = 0;
  uint32_t state = state_.load(std::memory_order_relaxed);
  while (true) {
    if ((state & kHeldMask) == 0) {
      if (state_.compare_exchange_weak(state, state | kWriter | waiting, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return;
      }
      continue;
    }
    if ((state & kWritersWait) == 0 &&
        !state_.compare_exchange_weak(state, state | kWritersWait, std::memory_order_relaxed)) {
      continue;
    }
    FutexWait(&state_, state | kWritersWait, kWriterClass);
    waiting = kWritersWait;
    state = state_.load(std::memory_order_relaxed);
  }
}

void RwWord::WakeNext(uint32_t first) {
  uint32_t preferred = first;
  while (true) {
    const uint32_t state = state_.load(std::memory_order_relaxed);
    // A new holder has inherited the duty; with no bit left there is none.
    if ((state & kHeldMask) != 0 || (state & kAnyWaiting) == 0) return;
    const uint32_t chosen = (state & preferred) != 0 ? preferred : (state & kAnyWaiting);
    state_.fetch_and(~chosen, std::memory_order_relaxed);
    const int woken = chosen == kWritersWait ? FutexWake(&state_, 1, kWriterClass)
                                             : FutexWake(&state_, kEveryone, kReaderClass);
    if (woken > 0) return;
    preferred = chosen ^ kAnyWaiting;
  }
}

}  // namespace dentree::base
