// CpuMask: a set of processors, as text in hexadecimal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"

namespace dentree::tracefs {

// Thread safety: a value. Lifetime: its own.
class CpuMask {
 public:
  // All of `cpus` processors.
  explicit CpuMask(uint32_t cpus);

  // Hexadecimal words of up to 32 bits, separated by commas, white space around. The empty text is
  // the empty set. kInval: not that; kOverflow: a processor that is not there.
  static base::Result<CpuMask> Parse(std::string_view text, uint32_t cpus);

  // "3", "ff,ffffffff"
  std::string ToString() const;

  friend bool operator==(const CpuMask&, const CpuMask&) = default;

 private:
  uint32_t cpus_;
  std::vector<uint32_t> words_;  // the last processors first
};

}  // namespace dentree::tracefs
