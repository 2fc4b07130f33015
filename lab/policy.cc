#include "lab/policy.h"

#include <algorithm>
#include <memory>

#include "lab/labfs.h"

namespace dentree::lab {

namespace {

std::string NamesOfPolicies() {
  std::string names;
  for (const PolicyInfo& policy : Policies()) names += (names.empty() ? "" : " ") + policy.name;
  return names;
}

}  // namespace

std::vector<PolicyInfo> Policies() {
  return {{"none", "keeps nothing"},
          {"unbounded", "keeps all"},
          {"clock", "second chance: what was hit since it was looked at last stays"}};
}

std::string_view DefaultPolicy() { return "clock"; }

std::expected<void, std::string> CheckPolicy(std::string_view policy) {
  const std::string_view name = policy.substr(0, policy.find(':'));
  for (const PolicyInfo& known : Policies()) {
    if (known.name == name) return {};
  }
  return std::unexpected("no policy is called '" + std::string(policy) +
                         "'; there are: " + NamesOfPolicies());
}

bool ObeysCap(std::string_view policy) { return policy != kUnbounded && policy != "none"; }

std::expected<std::unique_ptr<vfs::Vfs>, std::string> MakeVfs(const LabOptions& options) {
  if (auto known = CheckPolicy(options.policy); !known) return std::unexpected(known.error());
  size_t limit = options.cap;
  if (options.policy == kUnbounded) limit = SIZE_MAX >> 1;
  if (options.policy == "none") limit = 0;
  auto vfs = vfs::Vfs::Create({.negative_limit = limit, .hash_seed = 1});
  vfs->RegisterType(Labfs());
  const auto mounted = vfs->MountRoot("labfs", MountData(options));
  if (!mounted) {
    return std::unexpected("cannot mount labfs: " + std::string(base::ErrnoText(mounted.error())));
  }
  return vfs;
}

std::string MountData(const LabOptions& options) {
  return "cost_ns=" + std::to_string(options.cost_ns);
}

PolicyCounts CountsOf(vfs::Vfs& vfs) {
  const vfs::NegativeStats& stats = vfs.negatives().stats();
  PolicyCounts counts{.entries = static_cast<uint64_t>(stats.entries.Value()),
                      .high_water = static_cast<uint64_t>(stats.high_water.Value()),
                      .inserts = stats.inserts.Value(),
                      .evictions = stats.evictions.Value()};
  vfs.memory().ForEachCache([&](const mm::CacheInfo& cache) {
    if (cache.name.starts_with("dentry_negative")) counts.bytes += cache.bytes;
  });
  return counts;
}

}  // namespace dentree::lab
