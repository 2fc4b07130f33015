// S3-FIFO, for a super block and for each directory.
//
// Yang et al., FIFO queues are all you need for cache eviction (SOSP 2023): what is new comes into
// a small queue; what was hit more than once by the time it is the oldest there moves to the main
// queue, everything else goes and leaves a fingerprint. Who comes back while that is there enters
// the main queue at once. The oldest of the main queue goes unless it was hit, which costs it one
// of its hits. Here both together look at no more than kChances entries.
#include <algorithm>

#include "vfs/negative_policies_internal.h"

namespace dentree::vfs {
namespace {

using Kind = NegativeSpec::Kind;

// What a victim's choice looks at. When all of it was hit, the newest one goes, which nobody had
// the time to ask for; else the last that was looked at.
constexpr uint32_t kChances = 9;
// Hits that take an entry from the small to the main queue.
constexpr uint8_t kPromote = 2;
// The small queue's share: one in so many.
constexpr size_t kSmallShare = 10;

// Epochs: nobody asked for it in kMaxEpochs of them, and it goes.
constexpr uint32_t kEpochMs = 16'384;
constexpr uint16_t kMaxEpochs = 20;

// Fingerprints of what went, the last ones by place.
class Ghost {
 public:
  explicit Ghost(void* slots, size_t count)
      : slots_(static_cast<uint32_t*>(slots)), mask_(count - 1) {}

  static constexpr size_t kMinSlots = 256, kMaxSlots = 32 * 1024;
  static size_t SlotsFor(size_t limit) {
    return std::bit_ceil(std::clamp(2 * limit, kMinSlots, kMaxSlots));
  }

  void Add(const Negative& negative) {
    if (slots_ == nullptr) return;
    const uint64_t print = PrintOf(negative);
    slots_[print & mask_] = static_cast<uint32_t>(print >> 32) | 1;
  }
  // Is it there? It is not afterwards.
  bool Take(const Negative& negative) {
    if (slots_ == nullptr) return false;
    const uint64_t print = PrintOf(negative);
    uint32_t& slot = slots_[print & mask_];
    if (slot != (static_cast<uint32_t>(print >> 32) | 1)) return false;
    slot = 0;
    return true;
  }

 private:
  static uint64_t PrintOf(const Negative& negative) {
    return base::Mix64(reinterpret_cast<uintptr_t>(negative.dir->dentry) ^
                       uint64_t{negative.hash} << 16 ^ uint64_t{negative.len} << 56);
  }

  uint32_t* slots_;
  size_t mask_;
};

constexpr auto kSmall = Negative::kFirst, kMain = Negative::kSecond;

// Who goes, when `oldest` is the n-th that was looked at and the last.
Negative& VictimOf(uint32_t n, Negative& oldest, const NegativeQueue& small) {
  Negative* const newest = small.newest();
  const bool spared = n == kChances && oldest.used() != 0 && newest != nullptr;
  return spared && newest->used() == 0 ? *newest : oldest;
}

NegativeEviction ReasonOf(const Negative& victim) {
  return victim.queue == kSmall ? NegativeEviction::kCold : NegativeEviction::kHot;
}

class S3Fifo final : public GlobalNegativePolicy {
 public:
  explicit S3Fifo(NegativeCache& cache) : GlobalNegativePolicy(cache) {}

  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + kChances; }
  size_t wants_bytes() const override { return Ghost::SlotsFor(cache_.limit()) * sizeof(uint32_t); }
  void Enter(Negative& negative) override {
    const bool known = ghost().Take(negative);
    if (known) stats().refaults.Add();
    Put(negative, known ? kMain : kSmall);
  }
  Victim Choose(NegativeDir*) override {
    for (uint32_t n = 1;; ++n) {
      const bool small = FromSmall();
      Negative* const oldest = queue(small ? kSmall : kMain).oldest();
      if (oldest == nullptr) return {};
      cache_.Step();
      if (oldest->dir->gone()) return Out(*oldest, NegativeEviction::kGone);
      const uint8_t use = oldest->used();
      if (n == kChances || use < (small ? kPromote : 1)) {
        Negative& victim = VictimOf(n, *oldest, queue(kSmall));
        if (victim.queue == kSmall) ghost().Add(victim);
        return Out(victim, ReasonOf(victim));
      }
      if (small) stats().promotions.Add();
      oldest->SetUse(small ? 0 : use - 1);
      Move(*oldest, kMain);
    }
  }

 private:
  Ghost ghost() const { return Ghost(given(), Ghost::SlotsFor(cache_.limit())); }
  bool FromSmall() {
    const size_t small = count(kSmall);
    return small > 0 && (small * kSmallShare >= small + count(kMain) || count(kMain) == 0);
  }
};

// S3-FIFO in each directory. A directory may have as many as fit while there is room; when there is
// none, those pay that have more than their quota: the directory that wants room if it is one of
// them, else the next of them in their ring, else one that a clock over all directories finds, by
// what it was worth lately. A quota grows when an entry of the main queue has been hit again by the
// time it is the oldest there, and falls with each new name beyond it: so a scan pays for itself,
// once over or often, and so does who makes names come back that nobody wants.
class DirS3 final : public DirNegativePolicy {
 public:
  DirS3(NegativeCache& cache, uint32_t floor)
      : DirNegativePolicy(cache),
        floor_(std::clamp<uint32_t>(static_cast<uint32_t>(std::min<size_t>(
                                        cache.limit() / kFloorShare, NegativeDir::kMaxQuota)),
                                    1, floor) *
               NegativeDir::kQuotaUnit) {}

  uint32_t max_steps() const override {
    return NegativeCache::kStepsBefore + kDirVisits + kChances;
  }
  NegativeVerdict on_unlink() const override { return NegativeVerdict::kDefer; }
  size_t wants_bytes() const override { return Ghost::SlotsFor(cache_.limit()) * sizeof(uint32_t); }
  void Enter(Negative& negative) override {
    NegativeDir& dir = *negative.dir;
    const bool known = ghost().Take(negative);
    if (known) stats().refaults.Add();
    if (dir.quota < floor_) SetQuota(dir, floor_);
    if (IsOver(dir) || cache_.IsFull()) {
      SetQuota(dir, std::max<uint32_t>(dir.quota - 1, floor_));
    }
    negative.stamp = Epoch();
    Queue(negative, known ? kMain : kSmall);
    Settle(dir);
  }
  Victim Choose(NegativeDir* dir) override {
    NegativeDir* const payer = WhoPays(dir);
    return payer == nullptr ? Victim() : ChooseIn(*payer);
  }
  void Tick(uint32_t steps) override {
    for (const uint32_t which : {kOver, kFair}) {
      for (; steps > 0 && !ring(which).empty(); --steps) {
        NegativeDir& dir = *ring(which).hand();
        cache_.Step();
        // Where one was old, the next may be.
        if (!AgeOldest(dir, dir.small) && !AgeOldest(dir, dir.main)) ring(which).Turn();
      }
    }
  }

 private:
  static constexpr uint32_t kDirVisits = 12;
  // The floor is at most one in so many of the limit.
  static constexpr size_t kFloorShare = 16;
  static constexpr uint32_t kQuotaGain = 8 * NegativeDir::kQuotaUnit;

  Ghost ghost() const { return Ghost(given(), Ghost::SlotsFor(cache_.limit())); }
  uint16_t Epoch() const { return static_cast<uint16_t>(cache_.now_ms() / kEpochMs); }
  uint32_t MaxQuota() const {
    const size_t most = NegativeDir::kMaxQuota / NegativeDir::kQuotaUnit;
    return static_cast<uint32_t>(std::min(cache_.limit(), most)) * NegativeDir::kQuotaUnit;
  }
  static bool IsOver(const NegativeDir& dir) {
    return dir.queued_count() * NegativeDir::kQuotaUnit > dir.quota;
  }
  uint32_t RingOf(const NegativeDir& dir) const override { return IsOver(dir) ? kOver : kFair; }
  static void Praise(NegativeDir& dir) {
    dir.score = std::min<uint32_t>(dir.score + 1, NegativeDir::kMaxScore) & NegativeDir::kMaxScore;
  }
  void SetQuota(NegativeDir& dir, uint32_t quota) {
    stats().quota_units.Add(static_cast<int64_t>(quota) - dir.quota);
    dir.quota = quota & NegativeDir::kMaxQuota;
  }

  NegativeDir* WhoPays(NegativeDir* wanting) {
    if (wanting != nullptr && wanting->ring == kOver) return wanting;
    if (NegativeDir* const over = ring(kOver).hand()) {
      ring(kOver).Turn();
      cache_.Step();
      return over;
    }
    NegativeDir* dir = nullptr;
    for (uint32_t n = 0; n < kDirVisits && !ring(kFair).empty(); ++n) {
      dir = ring(kFair).hand();
      ring(kFair).Turn();
      cache_.Step();
      if (dir->score == 0) return dir;
      dir->score >>= 1;
    }
    return wanting != nullptr && wanting->ring != 0 ? wanting : dir;
  }

  Victim ChooseIn(NegativeDir& dir) {
    for (uint32_t n = 1;; ++n) {
      const size_t smalls = dir.small_count;
      const bool small =
          smalls > 0 && (smalls * kSmallShare >= dir.queued_count() || dir.main_count == 0);
      Negative& oldest = *(small ? dir.small : dir.main).oldest();
      cache_.Step();
      const uint8_t use = oldest.used();
      if (n == kChances || use < (small ? kPromote : 1)) {
        Negative& victim = VictimOf(n, oldest, dir.small);
        if (victim.queue == kSmall) ghost().Add(victim);
        return Out(victim, ReasonOf(victim));
      }
      if (small) {
        stats().promotions.Add();
      } else {
        SetQuota(dir, std::max<uint32_t>(std::min(dir.quota + kQuotaGain, MaxQuota()), dir.quota));
      }
      Praise(dir);
      Unqueue(oldest);
      oldest.SetUse(small ? 0 : use - 1);
      oldest.stamp = Epoch();
      Queue(oldest, kMain);
    }
  }

  // The oldest of a queue goes if nobody asked for it in a long time, and is one of the newest if
  // somebody did. False: it is not old.
  bool AgeOldest(NegativeDir& dir, NegativeQueue& queue) {
    Negative* const oldest = queue.oldest();
    if (oldest == nullptr) return false;
    const auto age = static_cast<uint16_t>(Epoch() - oldest->stamp);
    if (age < kMaxEpochs) return false;
    if (oldest->used() == 0) {
      Evict(Out(*oldest, NegativeEviction::kAge));
      return true;
    }
    Unqueue(*oldest);
    oldest->SetUse(0);
    oldest->stamp = Epoch();
    Queue(*oldest, kMain);
    Settle(dir);
    return true;
  }

  const uint32_t floor_;
};

}  // namespace

NegativePolicy* MakeS3Policy(const NegativeMake& make) {
  switch (make.spec.kind) {
    case Kind::kS3Fifo:
      return MakeNegativePolicy<S3Fifo>(make.memory, make.bytes, make.cache);
    case Kind::kDirS3:
      return MakeNegativePolicy<DirS3>(make.memory, make.bytes, make.cache, make.spec.parameter);
    default:
      return nullptr;
  }
}

}  // namespace dentree::vfs
