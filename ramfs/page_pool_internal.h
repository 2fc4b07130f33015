// PagePool: where a ramfs gets the pages of its files from, within its limit and the budget.
// Quota: an amount of something and its limit.
//
// Thread safety: any thread, no lock of rank kNode or above held (the budget may reclaim).
// Lifetime: the super block's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "mm/mm.h"
#include "vfs/vfs.h"

namespace dentree::ramfs {

inline constexpr uint64_t kPageBytes = 4096;

class Quota {
 public:
  // False at the limit.
  bool Take(uint64_t n = 1);
  void Give(uint64_t n = 1) { used_.fetch_sub(n, std::memory_order_relaxed); }
  // 0: no limit. False, and nothing changes, if more than that is in use.
  bool SetMax(uint64_t max);
  uint64_t max() const { return max_.load(std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t left() const;

 private:
  std::atomic<uint64_t> max_{0};
  std::atomic<uint64_t> used_{0};
};

class PagePool {
 public:
  explicit PagePool(mm::Memory& memory) : memory_(memory) {}

  // A page of zeros. kNoSpc: the file system is full; kNoMem: the budget is.
  vfs::Result<std::byte*> New();
  void Free(std::byte* page);

  Quota& quota() { return quota_; }
  const Quota& quota() const { return quota_; }
  mm::Memory& memory() { return memory_; }

 private:
  mm::Memory& memory_;
  Quota quota_;
};

}  // namespace dentree::ramfs
