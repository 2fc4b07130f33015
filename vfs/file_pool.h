// FilePool: the memory of open files. A thread keeps that of the file it closed last for the file
// it opens next, so that opening and closing in turn takes no lock, and hands no memory from one
// processor to another.
//
// Thread safety: any thread. Lifetime: all files are closed when it is destroyed.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/file.h"

namespace dentree::vfs {

class FilePool {
 public:
  // Threads that keep one; no shrinker asks for these.
  static constexpr uint32_t kSpares = 15;

  FilePool(mm::Memory& memory, base::FaultInjector& faults)
      : memory_(memory), faults_(faults), cache_(memory, kCacheName) {}
  ~FilePool() {
    for (Spare& spare : spares_) {
      if (File* const memory = spare.memory.load(std::memory_order_acquire)) cache_.Free(memory);
    }
  }
  FilePool(const FilePool&) = delete;
  FilePool& operator=(const FilePool&) = delete;

  // Null: no memory.
  template <class... Args>
  File* New(Args&&... args) {
    File* const memory = Take();
    return memory == nullptr ? nullptr : ::new (memory) File(std::forward<Args>(args)...);
  }
  void Delete(File* file) {
    file->~File();
    Spare* const spare = SpareOfThread();
    if (spare == nullptr || spare->memory.load(std::memory_order_relaxed) != nullptr) {
      return cache_.Free(file);
    }
    spare->memory.store(file, std::memory_order_release);
  }

  // Files there are; exact when no other thread opens or closes.
  size_t active_objects() const {
    size_t spares = 0;
    for (const Spare& spare : spares_) {
      spares += spare.memory.load(std::memory_order_relaxed) == nullptr ? 0 : 1;
    }
    const size_t owned = cache_.active_objects();
    return owned - std::min(owned, spares);
  }

 private:
  static constexpr const char kCacheName[] = "filp";
  static constexpr const char kFaultPoint[] = "mm:filp";

  // Written by the thread with its index alone.
  struct alignas(64) Spare {
    std::atomic<File*> memory{nullptr};
  };

  Spare* SpareOfThread() {
    const uint32_t index = base::ThreadIndex();
    return index < kSpares ? &spares_[index] : nullptr;
  }
  File* Take() {
    Spare* const spare = SpareOfThread();
    File* const memory = spare == nullptr ? nullptr : spare->memory.load(std::memory_order_relaxed);
    if (memory == nullptr) return cache_.Alloc();
    if (faults_.ShouldFail(kFaultPoint) && !memory_.MayUseReserve()) return nullptr;
    spare->memory.store(nullptr, std::memory_order_relaxed);
    return memory;
  }

  mm::Memory& memory_;
  base::FaultInjector& faults_;
  mm::ObjectCache<File> cache_;
  std::array<Spare, kSpares> spares_;
};

}  // namespace dentree::vfs
