// LRU lists that are not touched by a hit.
//
// An object enters at the newest end when it becomes reclaimable and stays where it is: a hit only
// sets a referenced bit of the owner's. Reclaim takes from the oldest end; the owner's verdict
// clears the bit and rotates the object to the newest end (second chance), or lets it go.
//
// Ages. The list has kEpochs markers among its objects. NextEpoch moves the oldest one to the
// newest end, so an object before the oldest marker has neither entered nor been rotated for
// kEpochs epochs: it is old, and who asks for what is old (LruAge::kOld) gets no other. So a list
// that grows slowly, with no pressure on memory ever, does not grow for ever, and an object pays
// nothing for its age.
//
// Invariants:
//   - an object is on at most one list; its link's `next` is null exactly when it is on none;
//   - only Add, Remove and Isolate change a link, and only under the list's lock;
//   - size() counts the objects between the sentinel's two ends, not the markers;
//   - the markers stand in the list in the order of their epochs.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/check.h"
#include "base/list.h"
#include "base/lock_rank.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace dentree::mm {

// An object's place on an LRU list, 16 bytes. May share memory with something used only off the
// list (an RCU head) as long as `next` is null again before anybody asks OnList().
struct LruLink {
  std::atomic<LruLink*> next{nullptr};
  LruLink* prev = nullptr;

  // Without the list's lock: a hint that is exact only for who keeps others from moving the object.
  bool OnList() const { return next.load(std::memory_order_relaxed) != nullptr; }
};
static_assert(sizeof(LruLink) == 16);

enum class LruAge : uint8_t {
  kAny,
  kOld,  // before the oldest marker
};

enum class LruVerdict : uint8_t {
  kRemove,  // off the list and into the result
  kRotate,  // to the newest end
  kSkip,    // stays where it is
};

// What one Isolate took and saw.
template <class T>
struct Isolated {
  static constexpr size_t kMax = 64;

  std::array<T*, kMax> items;  // the first `count`, oldest first
  size_t count = 0;
  size_t scanned = 0;
  size_t rotated = 0;
  size_t skipped = 0;

  T* const* begin() const { return items.data(); }
  T* const* end() const { return items.data() + count; }
};

// A list of T linked through `kLink`, oldest first.
//
// Thread safety: every call takes the list's own lock (rank kLru); size() and LruLink::OnList() do
// not. Lifetime: owns nothing. Objects leave the list before they are freed; who isolates keeps the
// memory of what it took alive (reference, RCU section or type-stable memory), since the lock is
// dropped.
template <class T, LruLink T::* kLink>
class LruList {
 public:
  // The most objects one Isolate looks at in one hold of the lock.
  static constexpr size_t kMaxScan = 1024;
  // An object that nobody used for so many epochs is old.
  static constexpr size_t kEpochs = 8;

  LruList() {
    head_.next.store(&head_, std::memory_order_relaxed);
    head_.prev = &head_;
    base::MutexLock lock(lock_);
    for (LruLink& marker : markers_) InsertNewestLocked(marker);
  }
  ~LruList() { CHECK(size() == 0); }
  LruList(const LruList&) = delete;
  LruList& operator=(const LruList&) = delete;

  // Enters at the newest end. False if it was on a list already.
  bool Add(T& object) {
    LruLink& link = object.*kLink;
    base::MutexLock lock(lock_);
    if (link.OnList()) return false;
    InsertNewestLocked(link);
    SetSizeLocked(size() + 1);
    return true;
  }

  // False if it was on no list. The object must not be on another list of the same link.
  bool Remove(T& object) {
    LruLink& link = object.*kLink;
    base::MutexLock lock(lock_);
    if (!link.OnList()) return false;
    UnlinkLocked(link);
    SetSizeLocked(size() - 1);
    return true;
  }

  // An epoch ends and another begins.
  void NextEpoch() {
    base::MutexLock lock(lock_);
    LruLink& marker = markers_[oldest_marker_];
    oldest_marker_ = (oldest_marker_ + 1) % kEpochs;
    UnlinkLocked(marker);
    InsertNewestLocked(marker);
  }

  // Looks at up to `max_scan` objects from the oldest end, each at most once, and takes up to
  // `max_items` (at most 64) of them. verdict(T&) -> LruVerdict runs under rank kLru: it may read
  // and clear the owner's bits and try locks, nothing else.
  template <class Verdict>
  Isolated<T> Isolate(size_t max_items, size_t max_scan, Verdict&& verdict,
                      LruAge age = LruAge::kAny) {
    Isolated<T> result;
    max_items = std::min(max_items, Isolated<T>::kMax);
    base::MutexLock lock(lock_);
    max_scan = std::min({max_scan, kMaxScan, size()});
    LruLink* next = nullptr;
    for (LruLink* link = Next(head_); result.scanned < max_scan && result.count < max_items;
         link = next) {
      next = Next(*link);
      if (IsMarkerLocked(*link)) {
        if (age == LruAge::kOld) break;
        continue;
      }
      ++result.scanned;
      ApplyLocked(*link, verdict(ObjectOf(*link)), result);
    }
    return result;
  }

  size_t size() const { return size_.load(std::memory_order_relaxed); }

  // Aborts unless links are symmetric and as many as counted. Linear; for tests and teardown.
  void CheckInvariants() const {
    base::MutexLock lock(lock_);
    size_t count = 0;
    size_t markers = 0;
    for (const LruLink* link = Next(head_); link != &head_; link = Next(*link)) {
      CHECK(link != nullptr);
      CHECK(Next(*link)->prev == link);
      if (!IsMarkerLocked(*link)) {
        ++count;
        continue;
      }
      CHECK(link == &markers_[(oldest_marker_ + markers) % kEpochs], "epochs stand in order");
      ++markers;
    }
    CHECK(count == size());
    CHECK(markers == kEpochs);
  }

 private:
  static LruLink* Next(const LruLink& link) { return link.next.load(std::memory_order_relaxed); }

  static T& ObjectOf(LruLink& link) { return *base::ObjectOf<T, LruLink, kLink>(&link); }

  bool IsMarkerLocked(const LruLink& link) const DT_REQUIRES(lock_) {
    const std::less<> before;
    return !before(&link, markers_.data()) && before(&link, markers_.data() + kEpochs);
  }

  void InsertNewestLocked(LruLink& link) DT_REQUIRES(lock_) {
    link.prev = head_.prev;
    link.next.store(&head_, std::memory_order_relaxed);
    head_.prev->next.store(&link, std::memory_order_relaxed);
    head_.prev = &link;
  }

  void UnlinkLocked(LruLink& link) DT_REQUIRES(lock_) {
    LruLink* const next = Next(link);
    link.prev->next.store(next, std::memory_order_relaxed);
    next->prev = link.prev;
    link.prev = nullptr;
    link.next.store(nullptr, std::memory_order_relaxed);
  }

  void ApplyLocked(LruLink& link, LruVerdict verdict, Isolated<T>& result) DT_REQUIRES(lock_) {
    if (verdict == LruVerdict::kSkip) {
      ++result.skipped;
      return;
    }
    UnlinkLocked(link);
    if (verdict == LruVerdict::kRotate) {
      InsertNewestLocked(link);
      ++result.rotated;
      return;
    }
    result.items[result.count++] = &ObjectOf(link);
    SetSizeLocked(size() - 1);
  }

  void SetSizeLocked(size_t size) DT_REQUIRES(lock_) {
    size_.store(size, std::memory_order_relaxed);
  }

  mutable base::SpinLock<base::LockRank::kLru> lock_;
  LruLink head_ DT_GUARDED_BY(lock_);
  std::array<LruLink, kEpochs> markers_ DT_GUARDED_BY(lock_);
  size_t oldest_marker_ DT_GUARDED_BY(lock_) = 0;
  std::atomic<size_t> size_{0};
};

}  // namespace dentree::mm
