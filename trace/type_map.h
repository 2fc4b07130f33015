#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/errno.h"

namespace dentree::trace {

// Which trace types are taken. Catalogues bring their own (Linux's are small numbers); types of the
// registry's choosing come from the upper half, round and round, so that one given back is not seen
// again before all the others have been used.
//
// Thread safety: none of its own; the registry's lock. Lifetime: 512 bytes per 4,096 types in use.
class TypeMap {
 public:
  static constexpr uint32_t kFirstChosen = 0x8000;
  static constexpr uint32_t kTypes = 0x10000;

  // kExist if it is taken, kInval for 0.
  base::Status Take(uint16_t type);
  // kNoSpc when the upper half is full.
  base::Result<uint16_t> TakeAny();
  void Give(uint16_t type);

 private:
  static constexpr uint32_t kBlock = 4096;

  bool IsTaken(uint32_t type) const;

  std::array<std::unique_ptr<uint64_t[]>, kTypes / kBlock> blocks_;
  uint32_t next_ = kFirstChosen;
};

}  // namespace dentree::trace
