// Negative: the knowledge that a name does not exist, one cache line each; and their own LRU.
//
// Which events move an entry:
//     a lookup misses in a file system that is not authoritative   -> queued as newest, in the hash
//     a lookup hits it                                             -> its referenced bit is set,
//     once the name comes to exist                                      -> leaves the hash at once
//     its directory's dentry dies or is renamed                    -> dead where it stands:
//     directory and
//                                                                     sequence number no longer
//                                                                     match, O(1)
//     it is the oldest: referenced -> newest again, bit cleared; otherwise, or if dead -> freed
// So a directory knows nothing of its negatives, and rmdir, readdir and notify never meet one. What
// is dead takes space only until it is the oldest: the queue is bounded by NegativeLru's limit.
//
// Thread safety: fields are written before the entry enters the hash and not after; readers are in
// an RCU section. The queue has a lock of rank kLru.
// Lifetime: freed after a grace period.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/dentry.h"

namespace dentree::vfs {

class Dcache;
class NegativeLru;

// Negatives kept per Vfs unless Vfs::Options says otherwise.
inline constexpr size_t kDefaultNegativeLimit = 8192;

struct alignas(64) Negative {
  // The directory; once freed and waiting for its grace period, the NegativeLru it goes back to.
  std::atomic<const void*> parent;
  union {
    Negative* next;      // towards newer; NegativeLru's lock
    base::RcuHead free;  // off the queue
  };
  std::atomic<uint32_t> parent_seq;  // the directory's sequence number when it was looked up
  std::atomic<uint32_t> hash;        // of the name alone
  std::atomic<uint32_t> asked_ms;    // when the file system was asked: MonotonicMs()
  std::atomic<uint8_t> len;
  std::atomic<uint8_t> referenced;
  char name[26];  // of a LongNegative: and on

  uint64_t key() const {
    return Name::KeyOf(hash.load(std::memory_order_relaxed), len.load(std::memory_order_relaxed));
  }
  bool Matches(const Dentry& dir, uint32_t dir_seq, const Name& wanted) const;
  // Second chance: one store for the first hit since the queue last looked, none after it.
  void Touch() {
    if (referenced.load(std::memory_order_relaxed) == 0) {
      referenced.store(1, std::memory_order_relaxed);
    }
  }
};
static_assert(sizeof(Negative) == 64);

// For names that do not fit one line: build artefacts and versioned libraries are often missed.
struct LongNegative : Negative {
  char more[64];
};
static_assert(sizeof(LongNegative) == 128);

inline constexpr size_t kShortNegativeMax = sizeof(Negative::name);
// Names longer than this are not cached as negatives.
inline constexpr size_t kNegativeNameMax = kShortNegativeMax + sizeof(LongNegative::more);

// Monotonic milliseconds modulo 2^32, the unit of Negative::asked_ms.
constexpr uint32_t MonotonicMs(int64_t monotonic_ns) {
  return static_cast<uint32_t>(monotonic_ns / 1'000'000);
}

struct NegativeStats {
  base::Gauge entries;
  size_t limit = 0;
  base::HighWater high_water;
  base::Counter inserts, evictions, refusals;
};
inline constexpr auto kNegativeFields = base::Fields(
    base::F<&NegativeStats::entries>("entries", "Negatives in the queue", base::StatKind::kInstant),
    base::F<&NegativeStats::limit>("limit", "The most that are kept", base::StatKind::kInstant),
    base::F<&NegativeStats::high_water, &NegativeStats::entries>(
        "high_water", "The most there were", base::StatKind::kHighWater),
    base::F<&NegativeStats::inserts>("inserts", "Negatives made", base::StatKind::kCumulative),
    base::F<&NegativeStats::evictions>("evictions", "Negatives evicted, by the limit or by reclaim",
                                       base::StatKind::kCumulative),
    base::F<&NegativeStats::refusals>("refusals", "Negatives not kept: no memory, or a long name",
                                      base::StatKind::kCumulative));

// The queue of all negatives of a Vfs, oldest first, with a limit.
class NegativeLru final : public mm::Shrinker {
 public:
  NegativeLru(Dcache& dcache, mm::Memory& memory, base::RcuDomain& rcu, size_t limit);
  ~NegativeLru() override;

  // Remembers that `name` is not in `dir`; evicts the oldest beyond the limit, in at most
  // kEvictSteps steps. Does nothing without memory: it is a cache. Called with the directory's
  // semaphore held for writing.
  void Insert(const Dentry& dir, uint32_t dir_seq, const Name& name, uint32_t asked_ms);

  size_t size() const { return static_cast<size_t>(stats_.entries.Value()); }
  size_t limit() const { return stats_.limit; }
  const NegativeStats& stats() const { return stats_; }
  NegativeStats& stats() { return stats_; }  // for whoever makes the high water start again

  std::string_view name() const override { return "negative"; }
  size_t Count() override { return size(); }
  mm::ScanResult Scan(size_t nr) override;

  void CheckInvariants() const;

 private:
  static constexpr size_t kEvictSteps = 8;  // looked at per eviction; the last one goes in any case

  Negative* Alloc(const Name& name);
  void Free(Negative* negative);
  void PushLocked(Negative& negative) DT_REQUIRES(lock_);
  Negative* PopLocked() DT_REQUIRES(lock_);
  size_t EvictOne(size_t max_steps);

  Dcache& dcache_;
  base::RcuDomain& rcu_;
  mm::ObjectCache<Negative> short_;
  mm::ObjectCache<LongNegative> long_;
  mutable base::SpinLock<base::LockRank::kLru> lock_;
  Negative* oldest_ DT_GUARDED_BY(lock_) = nullptr;
  Negative* newest_ DT_GUARDED_BY(lock_) = nullptr;
  NegativeStats stats_;
  mm::ShrinkerRegistration registration_;
};

}  // namespace dentree::vfs
