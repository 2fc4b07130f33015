#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/check.h"
#include "mm/poison_internal.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

namespace {

constexpr uint32_t kAllSlabs = ~uint32_t{0};
static_assert(kSlabsPerChunk == 32);

// Address space of a chunk's size at a multiple of it; nullptr when the system refuses.
void* MapAligned() {
  const size_t reserve = 2 * kChunkBytes;
  void* const mapped = mmap(nullptr, reserve, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  char* const start = static_cast<char*>(mapped);
  const size_t before = -reinterpret_cast<uintptr_t>(start) & (kChunkBytes - 1);
  const size_t after = reserve - kChunkBytes - before;
  if (before != 0) munmap(start, before);
  if (after != 0) munmap(start + before + kChunkBytes, after);
  return start + before;
}

void DescribeSlabs(Chunk& chunk) {
  char* const start = reinterpret_cast<char*>(&chunk);
  for (size_t i = 0; i < kSlabsPerChunk; ++i) {
    const size_t skip = i == 0 ? kChunkHeaderBytes : 0;
    chunk.slabs[i].first = start + i * kSlabBytes + skip;
    chunk.slabs[i].usable = static_cast<uint32_t>(kSlabBytes - skip);
  }
}

}  // namespace

size_t Slab::TakeBit() {
  size_t word = hint;
  while (free_bits[word] == 0) ++word;
  hint = static_cast<uint16_t>(word);
  const int bit = std::countr_zero(free_bits[word]);
  free_bits[word] &= free_bits[word] - 1;
  return word * 64 + static_cast<size_t>(bit);
}

void Slab::PutBit(size_t index) {
  const size_t word = index / 64;
  const uint64_t bit = uint64_t{1} << (index % 64);
  CHECK((free_bits[word] & bit) == 0, "object freed twice");
  free_bits[word] |= bit;
  if (word < hint) hint = static_cast<uint16_t>(word);
}

void Slab::SetBits(size_t from, size_t to) {
  for (size_t i = from; i < to; ++i) free_bits[i / 64] |= uint64_t{1} << (i % 64);
  if (from / 64 < hint) hint = static_cast<uint16_t>(from / 64);
}

size_t Slab::CountBits() const {
  size_t count = 0;
  for (const uint64_t word : free_bits) count += static_cast<size_t>(std::popcount(word));
  return count;
}

SlabArena::~SlabArena() {
  CHECK(slabs_waiting() == 0, "slabs wait for a grace period");
  base::MutexLock lock(lock_);
  while (Chunk* const chunk = chunks_.PopFront()) Unmap(*chunk);
}

Slab* SlabArena::Take() {
  {
    base::MutexLock lock(lock_);
    if (Slab* const slab = TakeLocked()) return slab;
  }
  Chunk* surplus = MapChunk();
  if (surplus == nullptr) return nullptr;
  Slab* slab = nullptr;
  {
    base::MutexLock lock(lock_);
    slab = TakeLocked();
    if (slab == nullptr) {
      chunks_.PushFront(*std::exchange(surplus, nullptr));
      ++empty_chunks_;
      slab = TakeLocked();
    }
  }
  if (surplus != nullptr) Unmap(*surplus);
  return slab;
}

Slab* SlabArena::TakeLocked() {
  if (chunks_.empty() || chunks_.front().free_mask == 0) return nullptr;
  Chunk& chunk = chunks_.front();
  if (chunk.free_mask == kAllSlabs) --empty_chunks_;
  const int index = std::countr_zero(chunk.free_mask);
  chunk.free_mask &= chunk.free_mask - 1;
  if (chunk.free_mask == 0) chunks_.MoveToBack(chunk);
  return &chunk.slabs[index];
}

Chunk* SlabArena::MapChunk() {
  void* const memory = MapAligned();
  if (memory == nullptr) return nullptr;
  if (chunk_count_.load(std::memory_order_relaxed) >= kHugePagesFromChunk) {
    madvise(memory, kChunkBytes, MADV_HUGEPAGE);
  }
  // Fresh anonymous pages are zero: nothing but the chunk itself needs to be written.
  Chunk* const chunk = ::new (memory) Chunk;
  chunk->arena = this;
  chunk->free_mask = kAllSlabs;
  DescribeSlabs(*chunk);
  chunk_count_.fetch_add(1, std::memory_order_relaxed);
  memory_.ChargeAlways(kChunkHeaderBytes);
  return chunk;
}

void SlabArena::Unmap(Chunk& chunk) {
  chunk.arena->chunk_count_.fetch_sub(1, std::memory_order_relaxed);
  chunk.arena->memory_.Uncharge(kChunkHeaderBytes);
  // Those of slabs that never came back.
  for (auto& sites : chunk.sites) std::free(sites.load(std::memory_order_relaxed));
  UnpoisonRegion(&chunk, kChunkBytes);
  munmap(&chunk, kChunkBytes);
}

void SlabArena::Release(Slab& slab, Grace grace) {
  if (grace == Grace::kNone) return TakeBack(slab);
  waiting_.fetch_add(1, std::memory_order_relaxed);
  memory_.rcu().Retire(
      &slab.rcu,
      [](base::RcuHead* head) {
        SlabArena& arena = *Chunk::Of(head).arena;
        arena.TakeBack(*base::ObjectOf<Slab, base::RcuHead, &Slab::rcu>(head));
        arena.waiting_.fetch_sub(1, std::memory_order_release);
      },
      slab.committed);
}

void SlabArena::TakeBack(Slab& slab) {
  const size_t committed = slab.committed;
  std::free(SitesOf(slab).exchange(nullptr, std::memory_order_relaxed));
  UnpoisonRegion(slab.first, slab.usable);
  if (committed != 0) madvise(slab.first, committed, MADV_DONTNEED);
  slab.committed = 0;
  slab.cache = nullptr;
  memory_.Uncharge(committed);
  if (Chunk* const surplus = PutSlab(slab)) Unmap(*surplus);
}

// Returns a chunk to unmap: the slab's own, if it is empty now and another empty one is kept
// already.
Chunk* SlabArena::PutSlab(Slab& slab) {
  Chunk& chunk = Chunk::Of(&slab);
  const auto index = static_cast<size_t>(&slab - chunk.slabs);
  base::MutexLock lock(lock_);
  const bool was_full = chunk.free_mask == 0;
  chunk.free_mask |= uint32_t{1} << index;
  if (chunk.free_mask == kAllSlabs && empty_chunks_ > 0) {
    chunks_.Remove(chunk);
    return &chunk;
  }
  if (chunk.free_mask == kAllSlabs) ++empty_chunks_;
  if (was_full) chunks_.MoveToFront(chunk);
  return nullptr;
}

}  // namespace dentree::mm
