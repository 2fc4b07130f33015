#pragma once

#include <atomic>
#include <cstdint>

// The private futex calls under the room's own locks, and the spin that comes before them.

namespace dentree::base::internal {

inline constexpr uint32_t kAllWaiters = 0xffffffff;

// Sleeps while *word == expected, in the classes of waiters named by `classes`. May return
// spuriously.
void FutexWait(const void* word, uint32_t expected, uint32_t classes = kAllWaiters);

// Wakes at most `count` waiters of any of the classes; returns how many it woke.
int FutexWake(const void* word, int count, uint32_t classes = kAllWaiters);

inline void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Turns a waiter spins before it sleeps: about the cost of one sleep and wake-up. More would only
// burn the time of the holder when there are more threads than processors.
inline constexpr int kSpinTurns = 60;

}  // namespace dentree::base::internal
