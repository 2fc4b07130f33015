// Policies with one or two queues for the whole super block, and no more memory than these.
#include <algorithm>
#include <cstdint>

#include "base/thread_index.h"
#include "vfs/negative_policies_internal.h"

namespace dentree::vfs {
namespace {

using Kind = NegativeSpec::Kind;
constexpr auto kOnly = Negative::kFirst;

// The least recently used goes. Told of each hit.
class Lru final : public GlobalNegativePolicy {
 public:
  explicit Lru(NegativeCache& cache) : GlobalNegativePolicy(cache) {}

  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + 1; }
  uint8_t first_use() const override { return Negative::kTold; }
  void Enter(Negative& negative) override { Put(negative, kOnly); }
  void Hit(Negative& negative) override { Move(negative, kOnly); }
  Victim Choose(NegativeDir*) override {
    Negative* const oldest = queue(kOnly).oldest();
    if (oldest == nullptr) return {};
    cache_.Step();
    return Out(*oldest, NegativeEviction::kCold);
  }
};

// The oldest goes, unless it was hit so often since it was looked at last. Textbooks know no bound
// for what it looks at: here the last of kChances goes in any case.
class Clock final : public GlobalNegativePolicy {
 public:
  Clock(NegativeCache& cache, uint32_t threshold)
      : GlobalNegativePolicy(cache), threshold_(static_cast<uint8_t>(threshold)) {}

  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + kChances; }
  void Enter(Negative& negative) override { Put(negative, kOnly); }
  Victim Choose(NegativeDir*) override {
    for (uint32_t n = 1;; ++n) {
      Negative* const oldest = queue(kOnly).oldest();
      if (oldest == nullptr) return {};
      cache_.Step();
      const bool stays = oldest->used() >= threshold_ && !oldest->dir->gone();
      if (n == kChances || !stays) return Out(*oldest, NegativeEviction::kCold);
      oldest->SetUse(0);
      queue(kOnly).Rotate();
    }
  }

 private:
  static constexpr uint32_t kChances = 8;
  const uint8_t threshold_;
};

// Zhang et al., SIEVE (NSDI 2024): a hand goes from the oldest to the newest and takes the first
// that was not hit since it came by; what stays keeps its place. Bounded as Clock is.
class Sieve final : public GlobalNegativePolicy {
 public:
  explicit Sieve(NegativeCache& cache) : GlobalNegativePolicy(cache) {}

  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + kChances; }
  void Enter(Negative& negative) override { Put(negative, kOnly); }
  Victim Choose(NegativeDir*) override {
    for (uint32_t n = 1;; ++n) {
      if (hand_ == nullptr) hand_ = queue(kOnly).oldest();
      if (hand_ == nullptr) return {};
      cache_.Step();
      Negative& at = *hand_;
      hand_ = queue(kOnly).After(at);
      const bool stays = at.used() != 0 && !at.dir->gone();
      if (n == kChances || !stays) return Out(at, NegativeEviction::kCold);
      at.SetUse(0);
    }
  }
  void Leave(Negative& negative) override {
    if (hand_ == &negative) hand_ = queue(kOnly).After(negative);
    GlobalNegativePolicy::Leave(negative);
  }
  void Replace(Negative& from, Negative& to) override {
    if (hand_ == &from) hand_ = &to;
    GlobalNegativePolicy::Replace(from, to);
  }

 private:
  static constexpr uint32_t kChances = 64;
  Negative* hand_ = nullptr;  // null: the oldest
};

// What was not hit for so long goes, once it is the oldest.
class Age final : public GlobalNegativePolicy {
 public:
  Age(NegativeCache& cache, uint32_t ms)
      : GlobalNegativePolicy(cache),
        unit_ms_(std::max<uint32_t>(ms / kUnits, 1)),
        most_(static_cast<uint16_t>(ms / unit_ms_)) {}

  bool has_limit() const override { return false; }
  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + kLooks; }
  void Enter(Negative& negative) override {
    negative.stamp = Now();
    Put(negative, kOnly);
  }
  void Trim(Negative&) override { Look(kLooks); }
  void Tick(uint32_t steps) override { Look(steps); }
  Victim Choose(NegativeDir*) override {
    Negative* const oldest = queue(kOnly).oldest();
    if (oldest == nullptr) return {};
    cache_.Step();
    return Out(*oldest, NegativeEviction::kCold);
  }

 private:
  static constexpr uint32_t kUnits = 1024;
  static constexpr uint32_t kLooks = 8;

  uint16_t Now() const { return static_cast<uint16_t>(cache_.now_ms() / unit_ms_); }
  void Look(uint32_t steps) {
    for (uint32_t n = 0; n < steps; ++n) {
      Negative* const oldest = queue(kOnly).oldest();
      if (oldest == nullptr) return;
      cache_.Step();
      if (static_cast<uint16_t>(Now() - oldest->stamp) < most_) return;
      if (oldest->used() == 0 || oldest->dir->gone()) {
        Evict(Out(*oldest, NegativeEviction::kAge));
        continue;
      }
      oldest->SetUse(0);
      oldest->stamp = Now();
      queue(kOnly).Rotate();
    }
  }

  const uint32_t unit_ms_;  // of stamps
  const uint16_t most_;
};

// A thread has a credit that each new one costs, each hit gives back, and each second fills.
class Throttle final : public GlobalNegativePolicy {
 public:
  Throttle(NegativeCache& cache, uint32_t credit)
      : GlobalNegativePolicy(cache), most_(static_cast<uint16_t>(credit)) {
    credits_.fill(most_);
  }

  bool has_limit() const override { return false; }
  uint32_t max_steps() const override { return NegativeCache::kStepsBefore; }
  uint8_t first_use() const override { return Negative::kTold; }
  bool Admit(const NegativeDir*, size_t) override { return Mine() > 0; }
  void Enter(Negative& negative) override { Put(negative, kOnly); }
  void Trim(Negative&) override { --Mine(); }
  void Hit(Negative&) override { Mine() = std::min<uint16_t>(Mine() + 1, most_); }
  void Tick(uint32_t) override { credits_.fill(most_); }
  Victim Choose(NegativeDir*) override {
    Negative* const oldest = queue(kOnly).oldest();
    if (oldest == nullptr) return {};
    cache_.Step();
    return Out(*oldest, NegativeEviction::kCold);
  }

 private:
  uint16_t& Mine() { return credits_[base::ThreadIndex() % credits_.size()]; }

  const uint16_t most_;
  std::array<uint16_t, 64> credits_;
};

// Khlebnikov (2020): of those in a hash bucket the newest are kept, but no N+1 in a row that were
// never hit. The table here has no buckets; these are the policy's own, as many as would hold the
// limit.
class Khleb final : public GlobalNegativePolicy {
 public:
  Khleb(NegativeCache& cache, uint32_t most) : GlobalNegativePolicy(cache), most_(most) {}

  bool has_limit() const override { return false; }
  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + most_ + 1; }
  size_t wants_bytes() const override { return Buckets() * sizeof(NegativeQueue); }
  bool needs_bytes() const override { return true; }
  void Enter(Negative& negative) override {
    negative.queue = kOnly;
    BucketOf(negative).PushNewest(negative);
  }
  void Trim(Negative& negative) override {
    NegativeQueue& bucket = BucketOf(negative);
    Negative* at = &negative;
    for (uint32_t n = 0; n <= most_; ++n) {
      cache_.Step();
      if (at->used() != 0) return;
      if (n == most_) break;
      if (at == bucket.oldest()) return;
      at = at->link.prev;
    }
    bucket.Remove(*at);
    Evict({at, NegativeEviction::kCold});
  }
  Victim Choose(NegativeDir*) override {
    if (given() == nullptr || size() == 0) return {};
    for (size_t n = 0; n < Buckets(); ++n) {
      NegativeQueue& bucket = buckets()[hand_++ % Buckets()];
      Negative* const oldest = bucket.oldest();
      if (oldest == nullptr) continue;
      cache_.Step();
      bucket.Remove(*oldest);
      return {oldest, NegativeEviction::kCold};
    }
    return {};
  }
  void Leave(Negative& negative) override { BucketOf(negative).Remove(negative); }
  void Replace(Negative& from, Negative& to) override { BucketOf(from).Replace(from, to); }
  void Dissolve() override {
    for (size_t i = 0; given() != nullptr && i < Buckets(); ++i) Abandon(buckets()[i]);
  }

 private:
  size_t Buckets() const { return std::bit_ceil(std::max<size_t>(cache_.limit() / most_, 1)); }
  NegativeQueue* buckets() const { return static_cast<NegativeQueue*>(given()); }
  NegativeQueue& BucketOf(const Negative& negative) const {
    const uint64_t hash =
        base::Mix64(reinterpret_cast<uintptr_t>(negative.dir->dentry) ^ negative.hash);
    return buckets()[hash & (Buckets() - 1)];
  }

  const uint32_t most_;
  size_t hand_ = 0;
};

// FreeBSD's name cache: what was hit twice is hot. To make room the oldest hot one becomes cold,
// and of the four oldest cold ones the one hit least goes. There a hit moves an entry to the hot
// ones; here that happens when it is looked at.
class FreeBsd final : public GlobalNegativePolicy {
 public:
  explicit FreeBsd(NegativeCache& cache) : GlobalNegativePolicy(cache) {}

  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + 1 + 2 * kLooks; }
  void Enter(Negative& negative) override { Put(negative, kCold); }
  Victim Choose(NegativeDir*) override {
    if (Negative* const hot = queue(kHot).oldest()) {
      cache_.Step();
      hot->SetUse(0);
      Move(*hot, kCold);
    }
    Promote();
    Negative* least = queue(kCold).oldest();
    if (least == nullptr) least = queue(kHot).oldest();
    if (least == nullptr) return {};
    const Negative* at = least;
    for (uint32_t n = 0; n < kLooks && at != nullptr; ++n) {
      cache_.Step();
      if (at->used() < least->used()) least = const_cast<Negative*>(at);
      at = QueueOf(*least).After(*at);
    }
    const bool hot = least->queue == kHot;
    return Out(*least, hot ? NegativeEviction::kHot : NegativeEviction::kCold);
  }

 private:
  static constexpr auto kCold = Negative::kFirst, kHot = Negative::kSecond;
  static constexpr uint32_t kLooks = 4;
  static constexpr uint8_t kThreshold = 2;

  // Of the oldest cold ones, those that were hit often become hot.
  void Promote() {
    Negative* at = queue(kCold).oldest();
    for (uint32_t n = 0; n < kLooks && at != nullptr; ++n) {
      cache_.Step();
      Negative* const next = queue(kCold).After(*at);
      if (at->used() >= kThreshold) {
        Move(*at, kHot);
        stats().promotions.Add();
      }
      at = next;
    }
  }
};

}  // namespace

NegativePolicy* MakeFifoPolicy(const NegativeMake& make) {
  const uint32_t parameter = make.spec.parameter;
  switch (make.spec.kind) {
    case Kind::kLru:
      return MakeNegativePolicy<Lru>(make.memory, make.bytes, make.cache);
    case Kind::kClock:
      return MakeNegativePolicy<Clock>(make.memory, make.bytes, make.cache, parameter);
    case Kind::kSieve:
      return MakeNegativePolicy<Sieve>(make.memory, make.bytes, make.cache);
    case Kind::kAge:
      return MakeNegativePolicy<Age>(make.memory, make.bytes, make.cache, parameter);
    case Kind::kThrottle:
      return MakeNegativePolicy<Throttle>(make.memory, make.bytes, make.cache, parameter);
    case Kind::kKhleb:
      return MakeNegativePolicy<Khleb>(make.memory, make.bytes, make.cache, parameter);
    case Kind::kFreeBsd:
      return MakeNegativePolicy<FreeBsd>(make.memory, make.bytes, make.cache);
    default:
      return nullptr;
  }
}

}  // namespace dentree::vfs
