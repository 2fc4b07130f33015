// W-TinyLFU (Einziger, Friedman, Manes: TinyLFU, TOS 2017): what is new passes through a window of
// 1 % in order of use; when it leaves that, it stays only if it was asked for more often than what
// would have to go for it. Told of each hit.
#include <algorithm>
#include <cstdint>

#include "vfs/negative_policies_internal.h"

namespace dentree::vfs {
namespace {

// How often names were asked for, approximately: four counters each, up to 15, the least counts.
class Sketch {
 public:
  static constexpr size_t kRows = 4;
  static constexpr uint8_t kMost = 15;
  static size_t WidthFor(size_t limit) { return std::bit_ceil(std::max<size_t>(limit, 64)); }

  Sketch(void* counters, size_t width)
      : counters_(static_cast<uint8_t*>(counters)), width_(width) {}

  void Add(uint64_t print) {
    if (counters_ == nullptr) return;
    for (size_t row = 0; row < kRows; ++row) {
      uint8_t& counter = At(print, row);
      if (counter < kMost) ++counter;
    }
  }
  uint8_t Estimate(uint64_t print) const {
    if (counters_ == nullptr) return 0;
    uint8_t least = kMost;
    for (size_t row = 0; row < kRows; ++row) least = std::min(least, At(print, row));
    return least;
  }
  void Halve() {
    if (counters_ == nullptr) return;
    for (size_t i = 0; i < kRows * width_; ++i) counters_[i] >>= 1;
  }

 private:
  uint8_t& At(uint64_t print, size_t row) const {
    return counters_[row * width_ + (base::Mix64(print + row) & (width_ - 1))];
  }

  uint8_t* counters_;
  size_t width_;
};

class TinyLfu final : public GlobalNegativePolicy {
 public:
  explicit TinyLfu(NegativeCache& cache) : GlobalNegativePolicy(cache) {}

  uint32_t max_steps() const override { return NegativeCache::kStepsBefore + 3; }
  uint8_t first_use() const override { return Negative::kTold; }
  size_t wants_bytes() const override { return Sketch::kRows * Sketch::WidthFor(cache_.limit()); }
  void Enter(Negative& negative) override {
    Count(negative);
    Put(negative, kWindow);
  }
  void Trim(Negative&) override {
    if (count(kWindow) <= WindowMax()) return;
    cache_.Step();
    Move(*queue(kWindow).oldest(), kProbation);
  }
  Victim Choose(NegativeDir*) override {
    cache_.Step();
    cache_.Step();
    Negative* const candidate = queue(kProbation).newest();
    Negative* const oldest = queue(kProbation).oldest();
    if (oldest != nullptr) {
      const bool stays = candidate != oldest && IsWorthMore(*candidate, *oldest);
      return Out(stays || candidate == oldest ? *oldest : *candidate, NegativeEviction::kCold);
    }
    for (const Negative::Queue which : {kProtected, kWindow}) {
      if (Negative* const any = queue(which).oldest()) return Out(*any, NegativeEviction::kHot);
    }
    return {};
  }
  void Hit(Negative& negative) override {
    Count(negative);
    if (negative.queue == kWindow) return Move(negative, kWindow);
    if (negative.queue == kProbation) stats().promotions.Add();
    Move(negative, kProtected);
    if (count(kProtected) > ProtectedMax()) Move(*queue(kProtected).oldest(), kProbation);
  }

 private:
  static constexpr auto kWindow = Negative::kFirst, kProbation = Negative::kSecond,
                        kProtected = Negative::kThird;
  // Counts per entry of the limit after which all are halved.
  static constexpr size_t kSample = 10;

  static uint64_t PrintOf(const Negative& negative) {
    return base::Mix64(reinterpret_cast<uintptr_t>(negative.dir->dentry) ^ negative.key());
  }
  Sketch sketch() const { return Sketch(given(), Sketch::WidthFor(cache_.limit())); }
  size_t WindowMax() const { return std::max<size_t>(cache_.Share() / 100, 1); }
  size_t ProtectedMax() const { return (cache_.Share() - WindowMax()) / 5 * 4; }
  void Count(const Negative& negative) {
    sketch().Add(PrintOf(negative));
    if (++counted_ < kSample * std::max<size_t>(cache_.limit(), 1)) return;
    counted_ = 0;
    sketch().Halve();
  }
  bool IsWorthMore(const Negative& candidate, const Negative& other) const {
    if (other.dir->gone()) return true;
    return sketch().Estimate(PrintOf(candidate)) > sketch().Estimate(PrintOf(other));
  }

  size_t counted_ = 0;
};

}  // namespace

NegativePolicy* MakeSketchPolicy(const NegativeMake& make) {
  if (make.spec.kind != NegativeSpec::Kind::kTinyLfu) return nullptr;
  return MakeNegativePolicy<TinyLfu>(make.memory, make.bytes, make.cache);
}

}  // namespace dentree::vfs
