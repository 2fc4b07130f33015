// The mount options that are about negatives, and what they may say:
//
//     neg=NAME[:PARAMETER]            which policy (negative_policy.h); default dirs3
//     neg_unlink=keep|drop|defer      what a removed name leaves; default: as the policy says
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vfs/types.h"

namespace dentree::vfs {

// What a policy decides about a name that is found missing.
enum class NegativeVerdict : uint8_t {
  kKeep,
  kDrop,
  // Kept, and the first to go, at the latest after NegativeCache::kDeferMs; unless it is asked for.
  kDefer,
};
struct NegativePolicyInfo {
  std::string_view name;  // with its parameter: "clock:N"
  std::string_view help;
};
std::span<const NegativePolicyInfo> NegativePolicies();

// A policy as a mount option says it.
struct NegativeSpec {
  enum class Kind : uint8_t {
    kNone,
    kUnbounded,
    kLru,
    kClock,
    kSieve,
    kS3Fifo,
    kDirMax,
    kRatio,
    kPosBound,
    kHiWater,
    kAge,
    kThrottle,
    kKhleb,
    kFreeBsd,
    kTinyLfu,
    kDirS3,
  };
  Kind kind = Kind::kDirS3;
  uint32_t parameter = 64;

  // kInval: no such policy, or a parameter it cannot have.
  static Result<NegativeSpec> Parse(std::string_view text);
  std::string Text() const;
  bool operator==(const NegativeSpec&) const = default;
};

// The options of a super block that are about negatives.
struct NegativeOptions {
  std::optional<NegativeSpec> policy;
  std::optional<NegativeVerdict> unlink;

  bool empty() const { return !policy && !unlink; }
  // Takes them out of "a,neg=lru,b=c". kInval: a value that is none.
  static Result<NegativeOptions> TakeFrom(std::string& options);
  // ",neg=lru,neg_unlink=drop", what was given.
  std::string Text() const;
};

}  // namespace dentree::vfs
