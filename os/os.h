// Os: a whole system in an object: a Vfs with the usual tree in it, and tracing. Umbrella of the
// room.
//
//     auto os = os::Os::Boot().value();
//     auto registration = os->registry().Register(my_tracepoint).value();
//     auto task = os->NewTask();
//     task->WriteFile("/sys/kernel/tracing/events/my/event/enable", "1");
//
// The tree:
//     /                    ramfs, with /home /mnt /root /run and /tmp (1777)
//     /proc                mounts, filesystems, locks, meminfo, slabinfo, uptime, version,
//                          self/, self/mounts, self/mountinfo; of memory (docs/memory.md):
//                          allocinfo, memory_report, sys/vm/drop_caches, sys/vm/mem_profiling,
//                          sys/vm/vfs_cache_pressure, sys/vm/vfs_cache_pressure_denom,
//                          sys/fs/dentry-state, sys/fs/inode-nr, sys/fs/inode-state
//     /sys/kernel/debug    shrinker/NAME-ID/count, shrinker/NAME-ID/scan
//     /sys                 what is mounted on: kernel/stats, kernel/tracing
//     /sys/kernel/stats    statsfs: the counters of every room (docs/statsfs.md)
//     /sys/kernel/tracing  tracefs
//     /host                a directory of the host, if Options names one (docs/hostfs.md)
//
// Thread safety: any thread; each Task as it says. Lifetime: many live in one process. Tasks, paths
// and registrations of tracepoints end before their Os, which takes everything else down with it: a
// debug build stops if anything of it was still in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "eventfs/eventfs.h"
#include "hostfs/hostfs.h"
#include "statsfs/statsfs.h"
#include "trace/trace.h"
#include "tracefs/tracefs.h"
#include "vfs/vfs.h"

namespace dentree::os {

using base::Errno;
using base::Result;
using base::Status;

inline constexpr std::string_view kStatsDir = "/sys/kernel/stats";
inline constexpr std::string_view kTracingDir = "/sys/kernel/tracing";
inline constexpr std::string_view kHostDir = "/host";

struct Options {
  // Texts of event catalogues (docs/event-catalogues.md), loaded in this order. One with an error
  // in it is kInval; who wants to know which boots without and calls trace::LoadCatalogue.
  std::vector<std::string_view> catalogues = {};
  eventfs::Extras extras = eventfs::Extras::kNone;     // files that events have besides
  size_t memory_limit = SIZE_MAX;                      // bytes, all caches together
  size_t memory_reserve = vfs::kDefaultMemoryReserve;  // of these; docs/memory.md
  size_t memory_low = 0;   // bytes free below which a thread reclaims; 0: there is none
  size_t memory_high = 0;  // and up to which
  bool memory_profile = mm::Memory::kDefaultProfile;  // /proc/allocinfo
  size_t negative_limit = vfs::kDefaultNegativeLimit;
  base::Clock* clock = nullptr;  // null: the real one; outlives the Os
  uint64_t hash_seed = 0;        // 0: random
  // The directory of the host that is mounted on /host, as the process names it; empty: none, and
  // no /host. It is mounted with these options: read-only, unless they say "rw". Who may mount can
  // mount it again with others.
  std::string host_directory = {};
  std::string host_options = {};
};

class Statistics;
struct System;

class Os {
 public:
  // kNoMem; kInval for a catalogue or for host_options; the host's error for host_directory.
  static Result<std::unique_ptr<Os>> Boot(const Options& options = {});
  ~Os();
  Os(const Os&) = delete;
  Os& operator=(const Os&) = delete;

  vfs::Vfs& vfs() const { return *vfs_; }
  trace::Registry& registry() const { return *registry_; }
  tracefs::Tracefs& tracefs() const { return *tracefs_; }
  // For sources of a program's own; they end before the Os.
  statsfs::Statsfs& statsfs() const;
  // Of the host directory; null without one.
  const hostfs::Stats* host_stats() const { return host_stats_; }
  base::FaultInjector& faults() const { return vfs_->faults(); }
  base::SyncPoints& sync_points() const { return vfs_->sync_points(); }

  // A caller in /.
  std::unique_ptr<vfs::Task> NewTask(vfs::Creds creds = vfs::Creds::Root());

 private:
  explicit Os(const Options& options);
  Status Start(const Options& options);
  Status MakeTypes(const Options& options);
  Status MakeTree(const Options& options);
  Status MountHost(vfs::Task& task, const Options& options);

  // From the last to the first they go: nothing below needs what is above it.
  const std::unique_ptr<vfs::Vfs> vfs_;
  const std::unique_ptr<System> system_;
  std::unique_ptr<trace::Registry> registry_;
  std::unique_ptr<tracefs::Tracefs> tracefs_;
  std::unique_ptr<Statistics> statistics_;
  const hostfs::Stats* host_stats_ = nullptr;  // the Vfs's
};

}  // namespace dentree::os
