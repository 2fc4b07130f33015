#include "trace/type_map.h"

#include <new>

namespace dentree::trace {

bool TypeMap::IsTaken(uint32_t type) const {
  const auto& block = blocks_[type / kBlock];
  return block != nullptr && (block[type % kBlock / 64] >> type % 64 & 1) != 0;
}

base::Status TypeMap::Take(uint16_t type) {
  if (type == 0) return base::Err(base::Errno::kInval);
  if (IsTaken(type)) return base::Err(base::Errno::kExist);
  auto& block = blocks_[type / kBlock];
  if (block == nullptr) block.reset(new (std::nothrow) uint64_t[kBlock / 64]{});
  if (block == nullptr) return base::Err(base::Errno::kNoMem);
  block[type % kBlock / 64] |= uint64_t{1} << type % 64;
  return {};
}

base::Result<uint16_t> TypeMap::TakeAny() {
  for (uint32_t tried = kFirstChosen; tried < kTypes; ++tried) {
    const auto type = static_cast<uint16_t>(next_);
    next_ = next_ + 1 == kTypes ? kFirstChosen : next_ + 1;
    if (IsTaken(type)) continue;
    TRY(Take(type));
    return type;
  }
  return base::Err(base::Errno::kNoSpc);
}

void TypeMap::Give(uint16_t type) {
  blocks_[type / kBlock][type % kBlock / 64] &= ~(uint64_t{1} << type % 64);
}

}  // namespace dentree::trace
