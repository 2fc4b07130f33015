#include "lab/policy.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "lab/labfs.h"
#include "vfs/negative_options.h"

namespace dentree::lab {

namespace {

using vfs::NegativeSpec;
using Kind = NegativeSpec::Kind;

// Names of a run are hashed alike in every run.
constexpr uint64_t kHashSeed = 1;

// Parameters for the policies that need one, and the second of clock's: those that their authors
// proposed, or with which they did best in the simulations that this room replaces.
constexpr std::string_view kToTry[] = {
    "none",         "unbounded",  "lru",     "clock",        "clock:2",     "sieve",
    "s3fifo",       "dirmax:256", "ratio:5", "posbound:128", "hiwater:500", "age:1000",
    "throttle:500", "khleb:3",    "freebsd", "tinylfu",      "dirs3"};

std::string NamesOfPolicies() {
  std::string names;
  for (const PolicyInfo& policy : Policies()) names += (names.empty() ? "" : " ") + policy.name;
  return names;
}

}  // namespace

std::vector<PolicyInfo> Policies() {
  std::vector<PolicyInfo> policies;
  for (const vfs::NegativePolicyInfo& policy : vfs::NegativePolicies()) {
    policies.push_back({std::string(policy.name), std::string(policy.help)});
  }
  return policies;
}

std::vector<std::string> PoliciesToTry() { return {std::begin(kToTry), std::end(kToTry)}; }

std::string_view DefaultPolicy() { return "dirs3"; }

std::expected<void, std::string> CheckPolicy(std::string_view policy) {
  if (NegativeSpec::Parse(policy)) return {};
  return std::unexpected("no policy is called '" + std::string(policy) +
                         "'; there are: " + NamesOfPolicies());
}

bool ObeysCap(std::string_view policy) {
  switch (NegativeSpec::Parse(policy).value_or(NegativeSpec()).kind) {
    case Kind::kNone:
    case Kind::kUnbounded:
    case Kind::kDirMax:
    case Kind::kRatio:
    case Kind::kPosBound:
    case Kind::kHiWater:
    case Kind::kAge:
    case Kind::kThrottle:
    case Kind::kKhleb:
      return false;
    case Kind::kLru:
    case Kind::kClock:
    case Kind::kSieve:
    case Kind::kS3Fifo:
    case Kind::kFreeBsd:
    case Kind::kTinyLfu:
    case Kind::kDirS3:
      return true;
  }
  return true;
}

std::expected<std::unique_ptr<vfs::Vfs>, std::string> MakeVfs(const LabOptions& options) {
  if (auto known = CheckPolicy(options.policy); !known) return std::unexpected(known.error());
  auto vfs = vfs::Vfs::Create({.negative_limit = options.cap, .hash_seed = kHashSeed});
  vfs->RegisterType(Labfs());
  const auto mounted = vfs->MountRoot("labfs", MountData(options));
  if (!mounted) {
    return std::unexpected("cannot mount labfs: " + std::string(base::ErrnoText(mounted.error())));
  }
  return vfs;
}

std::string MountData(const LabOptions& options) {
  return "cost_ns=" + std::to_string(options.cost_ns) + ",neg=" + options.policy;
}

PolicyCounts CountsOf(vfs::Vfs& vfs) {
  const vfs::NegativeStats& stats = vfs.negatives().stats();
  return {.entries = static_cast<uint64_t>(stats.entries.Value()),
          .high_water = static_cast<uint64_t>(stats.high_water.Value()),
          .bytes = vfs.negatives().held_bytes(),
          .inserts = stats.inserts.Value(),
          .evictions = stats.evictions.Value(),
          .refaults = stats.refaults.Value(),
          .max_steps = static_cast<uint64_t>(stats.max_steps.Value())};
}

}  // namespace dentree::lab
