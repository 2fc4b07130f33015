#include "vfs/negative.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "vfs/dcache.h"

namespace dentree::vfs {

bool Negative::Matches(const Dentry& dir, uint32_t dir_seq, const Name& wanted) const {
  return parent.load(std::memory_order_relaxed) == &dir &&
         parent_seq.load(std::memory_order_relaxed) == dir_seq && key() == wanted.key() &&
         std::memcmp(reinterpret_cast<const char*>(this) + offsetof(Negative, name),
                     wanted.text().data(), wanted.size()) == 0;
}

NegativeLru::NegativeLru(Dcache& dcache, mm::Memory& memory, base::RcuDomain& rcu, size_t limit)
    : dcache_(dcache),
      rcu_(rcu),
      short_(memory, "dentry_negative", mm::CacheFlags::kReclaimable),
      long_(memory, "dentry_negative_long", mm::CacheFlags::kReclaimable),
      registration_(memory, *this) {
  stats_.limit = limit;
}

NegativeLru::~NegativeLru() {
  while (EvictOne(1) > 0) {
  }
  rcu_.Drain();
}

Negative* NegativeLru::Alloc(const Name& name) {
  if (name.size() <= kShortNegativeMax) return short_.Alloc();
  return static_cast<Negative*>(long_.Alloc());
}

void NegativeLru::Free(Negative* negative) {
  if (negative->len.load(std::memory_order_relaxed) <= kShortNegativeMax) {
    short_.Free(negative);
  } else {
    long_.Free(static_cast<LongNegative*>(negative));
  }
}

void NegativeLru::PushLocked(Negative& negative) {
  negative.next = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->next) = &negative;
  newest_ = &negative;
}

Negative* NegativeLru::PopLocked() {
  Negative* const negative = oldest_;
  if (negative == nullptr) return nullptr;
  oldest_ = negative->next;
  if (oldest_ == nullptr) newest_ = nullptr;
  return negative;
}

void NegativeLru::Insert(const Dentry& dir, uint32_t dir_seq, const Name& name, uint32_t asked_ms) {
  Negative* negative = nullptr;
  if (limit() > 0 && name.size() <= kNegativeNameMax && dcache_.table_.Reserve()) {
    negative = Alloc(name);
    if (negative == nullptr) dcache_.table_.Unreserve();
  }
  if (negative == nullptr) {
    stats_.refusals.Add();
    return;
  }
  negative->parent.store(&dir, std::memory_order_relaxed);
  negative->parent_seq.store(dir_seq, std::memory_order_relaxed);
  negative->hash.store(name.hash(), std::memory_order_relaxed);
  negative->asked_ms.store(asked_ms, std::memory_order_relaxed);
  negative->len.store(static_cast<uint8_t>(name.size()), std::memory_order_relaxed);
  negative->referenced.store(0, std::memory_order_relaxed);
  std::memcpy(reinterpret_cast<char*>(negative) + offsetof(Negative, name), name.text().data(),
              name.size());
  dcache_.table_.Insert(Dcache::HashOf(&dir, name.key()), Dcache::EntryOf(*negative));
  {
    base::MutexLock lock(lock_);
    PushLocked(*negative);
  }
  stats_.inserts.Add();
  const auto entries = static_cast<size_t>(stats_.entries.Add());
  stats_.high_water.Note(static_cast<int64_t>(std::min(entries, limit())));
  if (entries > limit()) EvictOne(kEvictSteps);
}

// Evicts the oldest that was not referenced since it was last looked at. Returns how many were
// looked at; 0 when there is nothing.
size_t NegativeLru::EvictOne(size_t max_steps) {
  Negative* victim = nullptr;
  size_t steps = 0;
  {
    base::MutexLock lock(lock_);
    while ((victim = PopLocked()) != nullptr) {
      ++steps;
      if (steps == max_steps || victim->referenced.load(std::memory_order_relaxed) == 0) break;
      victim->referenced.store(0, std::memory_order_relaxed);
      PushLocked(*victim);
    }
  }
  if (victim == nullptr) return 0;
  stats_.entries.Sub();
  // Not there any more when its name came to exist meanwhile.
  const void* const dir = victim->parent.load(std::memory_order_relaxed);
  dcache_.table_.Remove(Dcache::HashOf(dir, victim->key()), Dcache::EntryOf(*victim));
  victim->parent.store(this, std::memory_order_relaxed);
  rcu_.Retire(
      &victim->free,
      [](base::RcuHead* head) {
        auto* const negative =
            reinterpret_cast<Negative*>(reinterpret_cast<char*>(head) - offsetof(Negative, free));
        const void* const owner = negative->parent.load(std::memory_order_relaxed);
        static_cast<NegativeLru*>(const_cast<void*>(owner))->Free(negative);
      },
      sizeof(Negative));
  stats_.evictions.Add();
  return steps;
}

mm::ScanResult NegativeLru::Scan(size_t nr) {
  mm::ScanResult result;
  while (result.scanned < nr) {
    const size_t steps = EvictOne(std::min(nr - result.scanned, kEvictSteps));
    if (steps == 0) break;
    result.scanned += steps;
    result.kept.referenced += steps - 1;
    ++result.freed;
  }
  return result;
}

void NegativeLru::CheckInvariants() const {
  base::MutexLock lock(lock_);
  size_t count = 0;
  for (const Negative* at = oldest_; at != nullptr; at = at->next) {
    ++count;
    CHECK(at->next != nullptr || at == newest_, "the newest negative is the last of the queue");
  }
  CHECK(count == size(), "the queue of negatives holds as many as counted");
}

}  // namespace dentree::vfs
