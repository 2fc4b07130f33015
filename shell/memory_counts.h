// What a Vfs keeps in memory, as numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "uring/ring_task.h"
#include "vfs/vfs.h"

namespace dentree::shell {

struct MemoryCounts {
  uint64_t dentries = 0;
  uint64_t negatives = 0;
  uint64_t inodes = 0;
  std::optional<uint64_t> nodes;  // of kernfs, as /proc/slabinfo says; nothing without that file

  friend bool operator==(const MemoryCounts&, const MemoryCounts&) = default;
};

// The counts now. Thread safety: any thread. Reading nodes walks to /proc/slabinfo, after the other
// numbers were taken.
MemoryCounts CountMemory(uring::RingTask& task);

// The counts after everything unused was dropped from the caches.
MemoryCounts CountMemoryInUse(uring::RingTask& task);

// "12 dentries, 3 negatives, 9 inodes, 4 nodes"
std::string Describe(const MemoryCounts& counts);

}  // namespace dentree::shell
