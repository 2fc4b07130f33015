// What /sys/kernel/stats shows of the parts of an Os.
#pragma once

#include <memory>

#include "hostfs/hostfs.h"
#include "kernfs/kernfs.h"
#include "statsfs/statsfs.h"
#include "trace/trace.h"
#include "vfs/vfs.h"

namespace dentree::os {

// What a Vfs has in memory now: the numbers that its parts keep themselves.
struct VfsNow {
  vfs::Vfs& vfs;

  size_t dentries() const { return vfs.dcache().live(); }
  size_t negatives() const { return vfs.negatives().size(); }
  size_t inodes() const { return vfs.icache().live(); }
  size_t files() const { return vfs.files().active_objects(); }
  size_t mounts() const { return vfs.mounts().count(); }
  size_t mount_namespaces() const { return vfs.mounts().namespaces(); }
};
inline constexpr auto kVfsFields = base::Fields(
    base::F<&VfsNow::dentries>("dentries", "Names in memory", base::StatKind::kInstant),
    base::F<&VfsNow::negatives>("negatives", "Names known not to exist", base::StatKind::kInstant),
    base::F<&VfsNow::inodes>("inodes", "Inodes in memory", base::StatKind::kInstant),
    base::F<&VfsNow::files>("files", "Open files", base::StatKind::kInstant),
    base::F<&VfsNow::mounts>("mounts", "Mounts, in all namespaces", base::StatKind::kInstant),
    base::F<&VfsNow::mount_namespaces>("mount_namespaces", "Namespaces of mounts",
                                       base::StatKind::kInstant));

// What an RCU domain counts, added up from its threads when asked.
struct RcuNow {
  base::RcuDomain& rcu;

  uint64_t grace_periods() const { return rcu.Stats().grace_periods; }
  uint64_t retired() const { return rcu.Stats().retired; }
  uint64_t finished() const { return rcu.Stats().finished; }
  uint64_t pending_bytes() const { return rcu.Stats().pending_bytes; }
  uint64_t stalls() const { return rcu.Stats().stalls; }
  uint64_t throttled() const { return rcu.Stats().throttled; }
};
inline constexpr auto kRcuFields = base::Fields(
    base::F<&RcuNow::grace_periods>("grace_periods", "Grace periods that are over",
                                    base::StatKind::kCumulative),
    base::F<&RcuNow::retired>("retired", "Objects given to be freed later",
                              base::StatKind::kCumulative),
    base::F<&RcuNow::finished>("finished", "Of these, objects freed", base::StatKind::kCumulative),
    base::F<&RcuNow::pending_bytes>("pending_bytes", "Waiting to be freed",
                                    base::StatKind::kInstant, base::StatUnit::kBytes),
    base::F<&RcuNow::stalls>("stalls", "Times a reader held up a grace period for too long",
                             base::StatKind::kCumulative),
    base::F<&RcuNow::throttled>("throttled", "Times a thread waited because too much was pending",
                                base::StatKind::kCumulative));

// The object caches, as /proc/slabinfo lists them.
class CacheRows final : public statsfs::Rows {
 public:
  explicit CacheRows(const mm::Memory& memory) : memory_(memory) {}
  void ForEach(Visit visit) const override;

 private:
  const mm::Memory& memory_;
};

class ShrinkerRows final : public statsfs::Rows {
 public:
  explicit ShrinkerRows(const mm::Memory& memory) : memory_(memory) {}
  void ForEach(Visit visit) const override;

 private:
  const mm::Memory& memory_;
};

// The statsfs of an Os and its sources. A room's counters become files by one member here and one
// line in Statistics::Build.
//
// Lifetime: within that of everything it shows.
class Statistics {
 public:
  // kNoMem.
  static Result<std::unique_ptr<Statistics>> Create(std::shared_ptr<kernfs::Kernfs> kernfs,
                                                    trace::Registry& registry);

  statsfs::Statsfs& statsfs() { return *statsfs_; }
  // What is counted of /host, in a directory hostfs.
  Status AddHost(hostfs::Stats& stats);

 private:
  Statistics(std::shared_ptr<kernfs::Kernfs> kernfs, trace::Registry& registry);
  Status Build();
  Status BuildVfs();
  Status BuildMemory();

  const std::shared_ptr<kernfs::Kernfs> kernfs_;
  vfs::Vfs& vfs_;
  trace::Registry& registry_;
  const VfsNow vfs_now_;
  const RcuNow rcu_now_;
  const CacheRows caches_;
  const ShrinkerRows shrinkers_;

  // From the last to the first they go: what stands in another before that.
  std::unique_ptr<statsfs::Statsfs> statsfs_;
  struct {
    statsfs::Source top, dcache, file_table, icache, locks, mount, negative, notify, walk;
  } vfs_sources_;
  struct {
    statsfs::Source top, caches, shrinkers;
  } memory_sources_;
  struct {
    statsfs::Source top, calls;
  } kernfs_sources_;
  statsfs::Source trace_source_, rcu_source_, host_source_;
};

}  // namespace dentree::os
