// Policies that bound what a directory may have, and the one that bounds nothing.
#include <algorithm>

#include "vfs/negative_policies_internal.h"

namespace dentree::vfs {
namespace {

using Kind = NegativeSpec::Kind;

// A queue for each directory, oldest first, with a second chance for what was hit.
class DirFifo : public DirNegativePolicy {
 public:
  DirFifo(NegativeCache& cache, Kind kind, uint32_t parameter)
      : DirNegativePolicy(cache), kind_(kind), parameter_(parameter) {}

  bool has_limit() const override { return false; }
  uint32_t max_steps() const override {
    return NegativeCache::kStepsBefore + kEvictions * kChances;
  }
  bool Admit(const NegativeDir* dir, size_t names) override {
    if (kind_ == Kind::kNone) return false;
    const size_t missing = dir == nullptr ? 0 : dir->entries;
    return kind_ != Kind::kHiWater || missing + names < parameter_;
  }
  void Enter(Negative& negative) override {
    Queue(negative, Negative::kFirst);
    Settle(*negative.dir);
  }
  void Trim(Negative& negative) override {
    NegativeDir& dir = *negative.dir;
    const size_t bound = BoundOf(dir);
    for (uint32_t i = 0; i < kEvictions && dir.small_count > bound; ++i) {
      Evict(ChooseIn(dir, NegativeEviction::kDir));
    }
  }
  Victim Choose(NegativeDir*) override {
    if (ring(kFair).empty()) return {};
    NegativeDir& dir = *ring(kFair).hand();
    ring(kFair).Turn();
    return ChooseIn(dir, NegativeEviction::kCold);
  }

 private:
  // What one insert evicts at most, where the bound has fallen; and looks at for each.
  static constexpr uint32_t kEvictions = 2;
  static constexpr uint32_t kChances = 8;

  size_t BoundOf(const NegativeDir& dir) const {
    const auto names = static_cast<size_t>(std::max(dir.dentry->refs(), 0));
    switch (kind_) {
      case Kind::kDirMax:
        return parameter_;
      case Kind::kRatio:
        return parameter_ * std::max<size_t>(names, 1);
      case Kind::kPosBound:
        return std::max<size_t>(parameter_, names);
      default:
        return SIZE_MAX;
    }
  }
  Victim ChooseIn(NegativeDir& dir, NegativeEviction reason) {
    for (uint32_t n = 1;; ++n) {
      Negative& oldest = *dir.small.oldest();
      cache_.Step();
      if (n == kChances || oldest.used() == 0) return Out(oldest, reason);
      oldest.SetUse(0);
      dir.small.Rotate();
    }
  }

  const Kind kind_;
  const uint32_t parameter_;
};

}  // namespace

NegativePolicy* MakeDirPolicy(const NegativeMake& make) {
  switch (make.spec.kind) {
    case Kind::kNone:
    case Kind::kUnbounded:
    case Kind::kDirMax:
    case Kind::kRatio:
    case Kind::kPosBound:
    case Kind::kHiWater:
      return MakeNegativePolicy<DirFifo>(make.memory, make.bytes, make.cache, make.spec.kind,
                                         make.spec.parameter);
    default:
      return nullptr;
  }
}

}  // namespace dentree::vfs
