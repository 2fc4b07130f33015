// Who asks: user, groups and capabilities, as one immutable value.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vfs/types.h"

namespace dentree::vfs {

// The capabilities that Linux checks for files, bit numbers of <linux/capability.h>.
enum class Cap : uint8_t {
  kChown = 0,
  kDacOverride = 1,
  kDacReadSearch = 2,
  kFowner = 3,
  kFsetid = 4,
  kLinuxImmutable = 9,
  kSysAdmin = 21,
  kSysResource = 24,
  kMknod = 27,
  kSetfcap = 31,
};

// Credentials of a caller. Thread safety: immutable once shared. Lifetime: by value or through
// CredsRef; an open file keeps the reference it was opened with.
struct Creds {
  Uid uid = 0;
  Gid gid = 0;
  std::vector<Gid> groups;  // supplementary
  uint64_t caps = 0;        // bit n = Cap n

  static Creds Root() { return Creds{.uid = 0, .gid = 0, .groups = {}, .caps = ~uint64_t{0}}; }
  static Creds User(Uid uid, Gid gid, std::vector<Gid> groups = {}) {
    return Creds{.uid = uid, .gid = gid, .groups = std::move(groups), .caps = 0};
  }

  bool Has(Cap cap) const { return (caps >> static_cast<unsigned>(cap)) & 1; }
  bool InGroup(Gid gid) const;
};

using CredsRef = std::shared_ptr<const Creds>;

}  // namespace dentree::vfs
