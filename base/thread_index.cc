#include "base/thread_index.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "base/check.h"

namespace dentree::base {
namespace {

constexpr uint32_t kBitsPerWord = 64;

// Bit set: the number is taken.
constinit std::array<std::atomic<uint64_t>, kMaxThreads / kBitsPerWord> taken{};
constinit std::array<std::atomic<pid_t>, kMaxThreads> ids{};

void ReturnIndex(void* value) {
  const auto index = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(value) - 1);
  internal::thread_index = internal::kNoThreadIndex;
  internal::thread_line = internal::kSlowThreadLine;
  ids[index].store(0, std::memory_order_relaxed);
  taken[index / kBitsPerWord].fetch_and(~(uint64_t{1} << index % kBitsPerWord),
                                        std::memory_order_release);
}

// A key's destructor runs after those of thread_local objects, which may still use RCU; should a
// later one do so too, the thread registers again and the destructor runs again.
pthread_key_t ExitKey() {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    CHECK(pthread_key_create(&made, ReturnIndex) == 0, "no pthread key left");
    return made;
  }();
  return key;
}

uint32_t TakeIndex() {
  for (uint32_t w = 0; w < taken.size(); ++w) {
    uint64_t bits = taken[w].load(std::memory_order_relaxed);
    while (bits != UINT64_MAX) {
      const auto bit = static_cast<uint32_t>(std::countr_one(bits));
      if (taken[w].compare_exchange_weak(bits, bits | uint64_t{1} << bit, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
        return w * kBitsPerWord + bit;
      }
    }
  }
  CHECK(false, "more than kMaxThreads threads");
  return 0;
}

}  // namespace

uint32_t internal::RegisterThread() {
  const pthread_key_t key = ExitKey();
  const uint32_t index = TakeIndex();
  ids[index].store(gettid(), std::memory_order_relaxed);
  // Plus one: a null value has no destructor.
  const auto value = reinterpret_cast<void*>(static_cast<uintptr_t>(index) + 1);
  CHECK(pthread_setspecific(key, value) == 0, "the end of this thread would not be noticed");
  internal::thread_index = index;
  internal::thread_line = std::min(index, kFastThreads) * kThreadLine;
  return index;
}

bool ThreadIndexInUse(uint32_t index) {
  const uint64_t bits = taken[index / kBitsPerWord].load(std::memory_order_acquire);
  return (bits >> index % kBitsPerWord & 1) != 0;
}

pid_t ThreadIdOf(uint32_t index) { return ids[index].load(std::memory_order_relaxed); }

}  // namespace dentree::base
