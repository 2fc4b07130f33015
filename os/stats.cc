// Which statistics there are, and where.

#include <vector>

#include "os/os.h"
#include "os/stats_internal.h"

namespace dentree::os {

using statsfs::Values;

// Copies first: nothing is called under the lock of the list.
void CacheRows::ForEach(Visit visit) const {
  std::vector<mm::CacheInfo> caches;
  memory_.ForEachCache([&caches](const mm::CacheInfo& cache) { caches.push_back(cache); });
  for (const mm::CacheInfo& cache : caches) {
    visit(cache.name, base::StatSet(mm::kCacheFields, cache));
  }
}

void ShrinkerRows::ForEach(Visit visit) const {
  memory_.ForEachShrinker([&visit](const mm::ShrinkerInfo& shrinker) {
    visit(shrinker.name, base::StatSet(mm::kShrinkerFields, shrinker.stats));
  });
}

Statistics::Statistics(std::shared_ptr<kernfs::Kernfs> kernfs, trace::Registry& registry)
    : kernfs_(std::move(kernfs)),
      vfs_(kernfs_->vfs()),
      registry_(registry),
      vfs_now_{vfs_},
      rcu_now_{vfs_.rcu()},
      caches_(vfs_.memory()),
      shrinkers_(vfs_.memory()) {}

Result<std::unique_ptr<Statistics>> Statistics::Create(std::shared_ptr<kernfs::Kernfs> kernfs,
                                                       trace::Registry& registry) {
  std::unique_ptr<Statistics> statistics(new Statistics(std::move(kernfs), registry));
  TRY(statistics->Build());
  return statistics;
}

Status Statistics::Build() {
  statsfs_ = TRY(statsfs::Statsfs::Create(kernfs_));
  TRY(BuildVfs());
  TRY(BuildMemory());
  kernfs_sources_.top =
      TRY(statsfs_->Add("kernfs", Values<kernfs::kKernfsLiveFields>(std::as_const(*kernfs_))));
  kernfs_sources_.calls =
      TRY(kernfs_sources_.top.Add("calls", Values<kernfs::kKernfsFields>(kernfs_->stats())));
  trace_source_ = TRY(statsfs_->Add("trace", Values<trace::kTraceFields>(registry_.stats())));
  rcu_source_ = TRY(statsfs_->Add("rcu", Values<kRcuFields>(rcu_now_)));
  return {};
}

Status Statistics::AddHost(hostfs::Stats& stats) {
  host_source_ = TRY(statsfs_->Add("hostfs", Values<hostfs::kStatFields>(stats)));
  return {};
}

Status Statistics::BuildVfs() {
  auto& in = vfs_sources_;
  in.top = TRY(statsfs_->Add("vfs", Values<kVfsFields>(vfs_now_)));
  in.dcache = TRY(in.top.Add("dcache", Values<vfs::kDcacheFields>(vfs_.dcache().stats())));
  in.file_table = TRY(in.top.Add("file_table", Values<vfs::kFileFields>(vfs_.file_stats())));
  in.icache = TRY(in.top.Add("icache", Values<vfs::kInodeFields>(vfs_.icache().stats())));
  in.mount = TRY(in.top.Add("mount", Values<vfs::kMountFields>(vfs_.mounts().stats())));
  in.negative = TRY(in.top.Add("negative", Values<vfs::kNegativeFields>(vfs_.negatives().stats())));
  in.locks = TRY(in.top.Add("locks", Values<vfs::kLockFields>(vfs_.locks().stats())));
  in.notify = TRY(in.top.Add("notify", Values<vfs::kNotifyFields>(vfs_.notify().stats())));
  in.walk = TRY(in.top.Add("walk", Values<vfs::kWalkFields>(vfs_.walk_stats())));
  return {};
}

Status Statistics::BuildMemory() {
  auto& in = memory_sources_;
  in.top = TRY(statsfs_->Add("mm", Values<mm::kMemoryFields>(vfs_.memory().stats())));
  in.caches = TRY(in.top.Add("caches", statsfs::Table<mm::kCacheFields>(caches_)));
  in.shrinkers = TRY(in.top.Add("shrinkers", statsfs::Table<mm::kShrinkerFields>(shrinkers_)));
  return {};
}

}  // namespace dentree::os
