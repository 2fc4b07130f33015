// The best that any cache of negatives could do with a trace, computed with the future known
// (Belady's rule: what is needed last goes first, which may be what has just come).
//
// Thread safety: a function of its argument.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lab/prepare.h"

namespace dentree::lab {

// How many of Prepared::misses a cache of `cap` entries can answer. An entry is made by a lookup
// that finds nothing and by an unlink or rmdir; it is of use until its name is made or its
// directory goes.
enum class HitsOf : uint8_t {
  kAll,
  kUseful,  // leaves junk out (kJunk), which then takes no room either
};
uint64_t BestHits(const Trace& trace, const Prepared& prepared, size_t cap,
                  HitsOf of = HitsOf::kAll);

}  // namespace dentree::lab
