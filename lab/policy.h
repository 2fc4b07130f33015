// What the laboratory needs to know of the policies by which the VFS keeps negatives: their names,
// how a mount asks for one, and what it counted.
//
// Thread safety: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vfs/vfs.h"

namespace dentree::lab {

// The policy that every other is compared with: it keeps all.
inline constexpr std::string_view kUnbounded = "unbounded";

struct PolicyInfo {
  std::string name;  // as the VFS describes it: "dirmax:N"
  std::string help;
};
// Those that the VFS has.
std::vector<PolicyInfo> Policies();
// What "all" stands for: each of them, with a parameter where it needs one.
std::vector<std::string> PoliciesToTry();
// The policy of a mount that asks for none.
std::string_view DefaultPolicy();
// "NAME" or "NAME:PARAMETER", as the mount option neg= takes it; the error is a message that names
// what there is.
std::expected<void, std::string> CheckPolicy(std::string_view policy);
// Whether it keeps within the cap: the others have bounds of their own, or none. `policy` is one.
bool ObeysCap(std::string_view policy);

// A Vfs of which the root is an empty labfs. The error is a message.
struct LabOptions {
  std::string policy{DefaultPolicy()};
  size_t cap = vfs::kDefaultNegativeLimit;  // entries
  uint64_t cost_ns = 0;                     // of a lookup in the file system
};
std::expected<std::unique_ptr<vfs::Vfs>, std::string> MakeVfs(const LabOptions& options);
// The options by which a further labfs of it is mounted.
std::string MountData(const LabOptions& options);

// What the VFS holds and counted.
struct PolicyCounts {
  uint64_t entries = 0;
  uint64_t high_water = 0;  // of entries
  uint64_t bytes = 0;       // of their pages
  uint64_t inserts = 0;
  uint64_t evictions = 0;
  uint64_t refaults = 0;
  uint64_t max_steps = 0;  // of one insert
};
PolicyCounts CountsOf(vfs::Vfs& vfs);

}  // namespace dentree::lab
