#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

// The registration of threads: the one piece of process-wide state. Each thread that asks gets the
// lowest number no other living thread has, and keeps it until it has ended (after the destructors
// of its thread_local objects). An array indexed by it therefore has exclusive cells, which their
// thread may write with plain stores: RCU slots, statistics shards, object magazines.
//
// The step from one owner of a number to the next is ordered: the new one sees all stores of the
// old.

namespace dentree::base {

// Threads that may be registered at the same time.
inline constexpr uint32_t kMaxThreads = 4096;

namespace internal {

inline constexpr uint32_t kNoThreadIndex = UINT32_MAX;

// Threads with a number below this one find their cell in arrays of cache lines by an offset that
// is at hand; all others, and threads not registered, have the offset of the line behind those. So
// a read section of RCU needs neither a multiplication nor a test of the number.
inline constexpr uint32_t kFastThreads = 32;
inline constexpr uint64_t kThreadLine = 64;
inline constexpr uint64_t kSlowThreadLine = kFastThreads * kThreadLine;

// Initial-exec: a register and an offset also when linked into a shared library.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local uint64_t thread_line =
    kSlowThreadLine;
[[gnu::tls_model("initial-exec")]] inline constinit thread_local uint32_t thread_index =
    kNoThreadIndex;

uint32_t RegisterThread();

}  // namespace internal

// The number of this thread. Aborts when more than kMaxThreads live.
inline uint32_t ThreadIndex() {
  const uint32_t index = internal::thread_index;
  return index != internal::kNoThreadIndex ? index : internal::RegisterThread();
}

// Whether a living thread has this number.
[[nodiscard]] bool ThreadIndexInUse(uint32_t index);

// The kernel's id of the thread that has this number; 0 if none.
[[nodiscard]] pid_t ThreadIdOf(uint32_t index);

}  // namespace dentree::base
