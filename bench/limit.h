// LIMIT: what every lookup by components has to do, and nothing besides; the bound that walks are
// measured against.
//
// One wide load finds the slashes of 64 bytes. Each component is hashed (at most 16 bytes, keyed,
// one folded multiplication), the hash is mixed with its directory's id by an exclusive or and one
// multiplication, one entry of a table is probed, and the name and the directory in it are
// compared. There is no RCU, no permission, no mount and no attributes. The chain from one
// component's id to the next one's is 11 to 13 cycles (exclusive or, multiplication, shift, mask,
// load); the rest overlaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/paths.h"

namespace dentree::bench {

// Thread safety: lookups by any thread, once the paths are in. Lifetime: owns what it was told.
class Limit {
 public:
  enum class Layout : uint8_t {
    kEntries,  // a 64-byte entry is the whole answer
    kSlots,    // 8-byte slots have the id, the entry is verified off the chain: fewer lines to wait
               // for
  };

  // Knows these paths, each from "/" on, and every directory on their way. The table is at most
  // half full; with few names each stands where it is looked for first.
  // `names`: how many names these are, if that is known.
  Limit(Layout layout, const std::vector<std::string>& paths, size_t names = 0);
  ~Limit();
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

  // What a path leads to: a number of its own, or 0.
  uint64_t Find(std::string_view path) const;

  // Looks `n` paths up, from `at` on, which moves on with them.
  template <Pace kPace>
  void LookUp(const Paths& paths, size_t& at, uint64_t n) const;

  // The widest load that this processor has: "AVX-512", "AVX2" or "SSE2".
  static const char* WidestLoad();

  struct Entry;
  // What a lookup reads.
  struct Tables {
    Entry* entries = nullptr;
    uint64_t* slots = nullptr;  // kSlots
    size_t mask = 0;
    unsigned shift = 0;  // from a hash to a slot, or to the byte of an entry
    uint64_t key[2] = {};
  };

 private:
  void Fill(const std::vector<std::string>& paths);
  uint64_t Insert(uint64_t parent, std::string_view name);

  const Layout layout_;
  Tables tables_;
  size_t bytes_ = 0, slot_bytes_ = 0;
  size_t entries_ = 0;    // and the root
  size_t displaced_ = 0;  // names that are not found by one probe
};

// The clock of this processor now, from a chain of multiplications of three cycles each.
double ClockGhz();

}  // namespace dentree::bench
