// Where in the program memory is asked for, and how much of what was asked for there is still held.
//
// A Site is taken by default arguments, so that the place that calls is the one that is named:
//
//   void* Alloc(Site site = std::source_location::current());
//
// The compiler makes one constant for each such place; a Site is a pointer to it. It is a constant
// expression, needs no registration, and costs its caller one register. A Memory learns of a site
// when somebody first allocates there.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <source_location>
#include <string_view>

#include "base/thread_index.h"

namespace dentree::mm {

// Thread safety: immutable. Lifetime: names constants of the program.
class Site {
 public:
  constexpr Site() = default;                           // nowhere
  constexpr Site(std::source_location at) : at_(at) {}  // NOLINT: a default argument becomes one

  // "vfs/dcache.cc": from the root of the tree.
  std::string_view file() const;
  uint32_t line() const { return at_.line(); }
  // "Dcache::Alloc": without namespaces' common head, arguments and result.
  std::string_view function() const;

  const void* key() const { return std::bit_cast<const void*>(at_); }
  static Site FromKey(const void* key) { return Site(std::bit_cast<std::source_location>(key)); }

 private:
  std::source_location at_;
};
static_assert(sizeof(Site) == sizeof(void*));

// What is held of what was allocated at one site.
struct SiteUse {
  Site site;
  int64_t bytes = 0;
  int64_t calls = 0;  // objects and blocks that are held, as allocinfo counts them
};

// The sites of one Memory, with what is held of each: counters for each thread, added up when
// somebody asks.
//
// Thread safety: any thread. Numbers are exact at rest. Lifetime: of its Memory. Its own memory
// (kShards tables of 8 KiB, touched when used) is bookkeeping and not charged: what profiling says
// would otherwise not be what happens without it.
class SiteTable {
 public:
  // A site's number; 0 for those of which nothing is known.
  using Id = uint16_t;
  static constexpr Id kUnknown = 0;
  // Sites beyond are accounted to kUnknown.
  static constexpr size_t kMaxSites = 511;

  SiteTable();
  ~SiteTable() { std::free(shards_); }
  SiteTable(const SiteTable&) = delete;
  SiteTable& operator=(const SiteTable&) = delete;

  Id IdOf(Site site);
  Site SiteOf(Id id) const { return Site::FromKey(keys_[id].load(std::memory_order_acquire)); }
  void Add(Id id, size_t bytes) { Move(id, static_cast<int64_t>(bytes), 1); }
  void Sub(Id id, size_t bytes) { Move(id, -static_cast<int64_t>(bytes), -1); }

  // fn(SiteUse) for each site known so far, in no order; the same place in two translation units
  // comes twice.
  template <class Fn>
  void ForEach(Fn&& fn) const {
    for (size_t id = 0; id <= kMaxSites; ++id) {
      const SiteUse use = UseOf(static_cast<Id>(id));
      if (id != kUnknown && use.site.key() == nullptr) continue;
      fn(use);
    }
  }

 private:
  static constexpr uint32_t kShards = 16;  // one for each of the first threads, one for the others
  static constexpr size_t kMaxProbes = 64;

  struct Cell {
    std::atomic<int64_t> bytes;
    std::atomic<int64_t> calls;
  };
  struct Shard {
    std::array<Cell, kMaxSites + 1> cells;
  };

  SiteUse UseOf(Id id) const;
  void Move(Id id, int64_t bytes, int64_t calls) {
    if (shards_ == nullptr) return;
    const uint32_t index = base::ThreadIndex();
    if (index < kShards - 1) [[likely]] {
      Cell& cell = shards_[index].cells[id];
      cell.bytes.store(cell.bytes.load(std::memory_order_relaxed) + bytes,
                       std::memory_order_relaxed);
      cell.calls.store(cell.calls.load(std::memory_order_relaxed) + calls,
                       std::memory_order_relaxed);
      return;
    }
    Cell& cell = shards_[kShards - 1].cells[id];
    cell.bytes.fetch_add(bytes, std::memory_order_relaxed);
    cell.calls.fetch_add(calls, std::memory_order_relaxed);
  }

  // keys_[id] is the site; a site is looked for from where its hash says.
  std::array<std::atomic<const void*>, kMaxSites + 1> keys_{};
  Shard* const shards_;  // null: the system had no memory, nothing is counted
};

}  // namespace dentree::mm
