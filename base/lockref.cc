#include "base/lockref.h"

#include <bit>

#include "base/futex_internal.h"

namespace dentree::base {

const void* Lockref::LockWord() const {
  const char* bytes = reinterpret_cast<const char*>(&word_);
  return std::endian::native == std::endian::little ? bytes : bytes + sizeof(uint32_t);
}

void Lockref::AcquireSlow() {
  for (int turn = 0; turn < internal::kSpinTurns; ++turn) {
    if (TryAcquire()) return;
    internal::CpuRelax();
  }
  // Who has waited holds the lock as contended: only the word knows whether others sleep.
  uint64_t word = word_.load(std::memory_order_relaxed);
  while (true) {
    const uint64_t wanted = (word & ~uint64_t{0xffffffff}) | kContended;
    if (LockPart(word) != kContended &&
        !word_.compare_exchange_weak(word, wanted, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      continue;
    }
    if (LockPart(word) == kFree) return;
    internal::FutexWait(LockWord(), kContended);
    word = word_.load(std::memory_order_relaxed);
  }
}

bool Lockref::GetIfAtLeastSlow(int32_t least) {
  Acquire();
  const bool enough = count() >= least;
  if (enough) word_.fetch_add(kOne, std::memory_order_relaxed);
  Release();
  return enough;
}

void Lockref::WakeOne() { internal::FutexWake(LockWord(), 1); }

}  // namespace dentree::base
