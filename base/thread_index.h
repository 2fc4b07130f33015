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

// The number times the size of a cache line, since what it indexes are lines: the shift would be a
// tenth of the cost of an RCU read section.
inline constexpr uint64_t kThreadLine = 64;
inline constexpr uint64_t kNoThreadLine = UINT64_MAX;

// Initial-exec: a register and an offset also when linked into a shared library.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local uint64_t thread_line =
    kNoThreadLine;

// Returns the thread's line.
uint64_t RegisterThread();

}  // namespace internal

// The number of this thread. Aborts when more than kMaxThreads live.
inline uint32_t ThreadIndex() {
  const uint64_t line = internal::thread_line;
  return static_cast<uint32_t>(
      (line != internal::kNoThreadLine ? line : internal::RegisterThread()) /
      internal::kThreadLine);
}

// Whether a living thread has this number.
[[nodiscard]] bool ThreadIndexInUse(uint32_t index);

// The kernel's id of the thread that has this number; 0 if none.
[[nodiscard]] pid_t ThreadIdOf(uint32_t index);

}  // namespace dentree::base
