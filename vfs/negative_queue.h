// The entries that negatives are, and the queues that policies keep them in.
//
// Thread safety: an entry's name and directory are constant while it can be found; `use` is written
// by whoever hits it, `asked_ms` by whoever asked again; everything else belongs to NegativeCache's
// lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/base.h"
#include "vfs/dentry.h"

namespace dentree::vfs {

struct Negative;
struct NegativeDir;

// A circular list, oldest first.
class NegativeQueue {
 public:
  bool empty() const { return oldest_ == nullptr; }
  Negative* oldest() const { return oldest_; }
  Negative* newest() const;
  // Towards newer; null after the newest.
  Negative* After(const Negative& negative) const;
  void PushNewest(Negative& negative);
  void Remove(Negative& negative);
  void Rotate();  // the oldest becomes the newest
  // What is in `other` comes after what is here. O(1).
  void Append(NegativeQueue& other);
  // `to` takes the place of `from`.
  void Replace(Negative& from, Negative& to);

 private:
  Negative* oldest_ = nullptr;
};

struct alignas(64) Negative {
  static constexpr uint8_t kMaxUse = 3;
  static constexpr uint8_t kTold = 0x80;  // the policy is told of each hit; it keeps the rest

  // Which queue of its policy it is in. What these are called in each policy is said there.
  enum Queue : uint8_t { kNone, kFirst, kSecond, kThird, kDeferred };

  struct Link {
    Negative* next;  // towards newer
    Negative* prev;
  };

  NegativeDir* dir;
  union {
    Link link;
    base::RcuHead free;  // in no queue
  };
  uint32_t hash;                   // of the name alone
  std::atomic<uint32_t> asked_ms;  // when the file system was asked last: MonotonicMs()
  uint16_t generation : 12;        // of the policy it was made for: NegativePolicy::generation()
  uint16_t space : 1;              // whose memory it is: NegativeCache
  uint16_t queue : 3;
  uint16_t stamp;  // a policy's clock
  uint8_t len;
  std::atomic<uint8_t> use;  // hits, up to kMaxUse
  char name[26];             // of a LongNegative: and on

  uint64_t key() const { return Name::KeyOf(hash, len); }
  bool is_long() const { return len > sizeof(name); }
  size_t bytes() const;
  bool Matches(const Dentry& dentry, uint32_t dir_seq, const Name& wanted) const;
  // True: its policy wants to be told.
  bool Touch() {
    const uint8_t was = use.load(std::memory_order_relaxed);
    if (was < kMaxUse) use.store(was + 1, std::memory_order_relaxed);
    return was == kTold;
  }
  uint8_t used() const { return use.load(std::memory_order_relaxed); }
  void SetUse(uint8_t hits) { use.store(hits, std::memory_order_relaxed); }
};
static_assert(sizeof(Negative) == 64);

// For names that do not fit one line: build artefacts and versioned libraries are often missed.
struct LongNegative : Negative {
  char more[64];
};
static_assert(sizeof(LongNegative) == 128);

inline size_t Negative::bytes() const { return is_long() ? sizeof(LongNegative) : sizeof(*this); }

inline constexpr size_t kShortNegativeMax = sizeof(Negative::name);
// Names longer than this are not cached as negatives.
inline constexpr size_t kNegativeNameMax = kShortNegativeMax + sizeof(LongNegative::more);

// A directory that has negatives, or had: made with the first one, freed with the directory or when
// reclaim finds it empty. A line of its own: hits in one directory do not meet inserts in another.
struct alignas(64) NegativeDir {
  // Quotas are counted in sixteenths of an entry.
  static constexpr uint32_t kQuotaUnit = 16;
  static constexpr uint32_t kMaxQuota = (1 << 24) - 1;
  static constexpr uint32_t kMaxScore = 31;

  struct Link {
    NegativeDir* next;  // in a ring of its policy
    NegativeDir* prev;
  };

  const Dentry* dentry;       // once gone() an address and no more
  std::atomic<uint32_t> seq;  // the dentry's; odd once gone
  uint32_t entries;           // that refer to it, in whatever queue
  union {
    Link link;
    base::RcuHead free;
  };
  NegativeQueue small, main;
  uint32_t small_count, main_count;
  uint32_t quota : 24;
  uint32_t score : 5;  // worth of the directory, as its clock sees it
  uint32_t ring : 2;   // 0: in none
  uint32_t : 1;

  size_t queued_count() const { return size_t{small_count} + main_count; }
  bool gone() const { return seq.load(std::memory_order_relaxed) & 1; }
};
static_assert(sizeof(NegativeDir) == 64);

// A circular list of directories with a hand that goes round.
class NegativeRing {
 public:
  bool empty() const { return hand_ == nullptr; }
  NegativeDir* hand() const { return hand_; }
  void Turn() { hand_ = hand_->link.next; }
  // Just behind the hand: where it comes last.
  void Add(NegativeDir& dir);
  void Remove(NegativeDir& dir);

 private:
  NegativeDir* hand_ = nullptr;
};

}  // namespace dentree::vfs
