// hostfs: a directory of the host as a file system. Umbrella of the hostfs room.
//
//     auto type = hostfs::FileSystem::Open({.directory = "src"}).value();
//     const hostfs::Stats& stats = type->stats();
//     vfs->RegisterType(std::move(type));
//     task.Mount("src", "/host", "hostfs", "");          // read-only
//     task.Mount("src", "/work", "hostfs", "rw,ttl=0");  // written through, asked each time
//
// Who mounts chooses options, never the directory: that belongs to the type, and a type shows one
// directory and what is below it, nothing else. Every question starts at a descriptor of that
// directory and is put with openat2's RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
// RESOLVE_NO_MAGICLINKS, so that nothing the host renames or links meanwhile leads out of it. What
// was found is compared with what was meant by device, inode number, mount, type and time of birth:
// another object under the same name is another inode, and two names of one object are one.
// Symlinks are shown as they are; a walk follows them in the tree in which it is under way.
//
// What the host answered, names, misses and attributes alike, is believed for `ttl` of the Vfs's
// monotonic clock and then asked again when somebody needs it. Of changes in directories in which a
// name was asked the host tells before that (inotify), where it can: they are seen within
// kListenNs. Not every file system tells, and not of changes by names elsewhere.
//
// Rights: a caller needs those that the shown owner, group and mode give it, and the process those
// that the host wants. What is created belongs to the process's user, and its umask applies as well
// as the caller's.
//
// Options of a mount and of a remount:
//     rw           may be written; without it the mount is read-only
//     ttl=N        seconds for which an answer is believed (ttl=250ms: milliseconds); default 1,
//                  0 asks the host each time, at most kMaxTtlMs
//     notify=on, notify=off   whether the host is asked to tell of changes; default on
//     delay_ns=N   each question about a name takes at least so long: for experiments; default 0,
//                  at most kMaxDelayNs
//
// Regular files, directories and symlinks work as elsewhere; fifos, sockets and devices are listed
// and described, and opening them fails: kNxIo for fifos and sockets, kAccess for devices.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/base.h"
#include "vfs/vfs.h"

namespace dentree::hostfs {

// What statfs reports: HOSTFS_SUPER_MAGIC of Linux's user mode port (fs/hostfs).
inline constexpr uint32_t kMagic = 0x00c0ffee;

inline constexpr int64_t kDefaultTtlMs = 1000;
inline constexpr int64_t kMaxTtlMs = 24LL * 60 * 60 * 1000;
inline constexpr int64_t kMaxDelayNs = 10'000'000'000;
// Files and directories of one type open at once; each holds one descriptor of the process's, a
// directory also a buffer of 32 KiB. kNFile beyond.
inline constexpr int64_t kDefaultMaxOpen = 512;
// Directories of one type watched at once; each counts against fs.inotify.max_user_watches. The
// others are not, and their changes are seen when the ttl is over.
inline constexpr int64_t kDefaultMaxWatches = 1024;
// How often events are looked for at most: what the host changes is seen this much later.
inline constexpr int64_t kListenNs = 1'000'000;
// Names tried to find an object that nobody has open, when more than one is cached.
inline constexpr size_t kMaxNamesTried = 4;

// Of all mounts of a type. Thread safety: any thread.
struct Stats {
  base::Counter calls;         // system calls that ask or change something (close does not)
  base::Counter lookups;       // names asked for the first time
  base::Counter misses;        // of these, not there
  base::Counter asked_again;   // names asked again when their time was over
  base::Counter stale;         // of these, with another meaning or none
  base::Counter attributes;    // attributes read again
  base::Counter not_found;     // objects that were not where they had been
  base::Counter open_refused;  // beyond max_open
  base::Gauge open;
  base::HighWater open_max;
  base::Gauge watches;
  base::HighWater watches_max;
  base::Counter watch_refused;    // beyond max_watches, or by the host
  base::Counter events;           // of watched directories
  base::Counter event_overflows;  // events were lost: all that was believed was forgotten
  base::Counter event_reads;      // system calls that looked for events
};
inline constexpr auto kStatFields = base::Fields(
    base::F<&Stats::calls>("calls", "System calls that ask or change something on the host",
                           base::StatKind::kCumulative),
    base::F<&Stats::lookups>("lookups", "Names asked for the first time",
                             base::StatKind::kCumulative),
    base::F<&Stats::misses>("misses", "Names asked that were not there",
                            base::StatKind::kCumulative),
    base::F<&Stats::asked_again>("asked_again", "Names asked again after their ttl",
                                 base::StatKind::kCumulative),
    base::F<&Stats::stale>("stale", "Names that had changed their meaning when asked again",
                           base::StatKind::kCumulative),
    base::F<&Stats::attributes>("attributes", "Attributes read again after their ttl",
                                base::StatKind::kCumulative),
    base::F<&Stats::not_found>("not_found", "Objects that were not where they had been",
                               base::StatKind::kCumulative),
    base::F<&Stats::open_refused>("open_refused", "Opens refused because too many are open",
                                  base::StatKind::kCumulative),
    base::F<&Stats::open>("open", "Open files and directories", base::StatKind::kInstant),
    base::F<&Stats::open_max, &Stats::open>("open_max", "Most open files and directories",
                                            base::StatKind::kHighWater),
    base::F<&Stats::watches>("watches", "Directories that are watched", base::StatKind::kInstant),
    base::F<&Stats::watches_max, &Stats::watches>("watches_max", "Most directories watched",
                                                  base::StatKind::kHighWater),
    base::F<&Stats::watch_refused>("watch_refused", "Times a directory could not be watched",
                                   base::StatKind::kCumulative),
    base::F<&Stats::events>("events", "Events of watched directories", base::StatKind::kCumulative),
    base::F<&Stats::event_overflows>("event_overflows",
                                     "Times events were lost and all was forgotten",
                                     base::StatKind::kCumulative),
    base::F<&Stats::event_reads>("event_reads", "System calls that looked for events",
                                 base::StatKind::kCumulative));

// The type "hostfs" for one directory. Each mount is a super block of its own.
//
// Thread safety: any thread. Lifetime: a Vfs owns it once it is registered; pointers to it and to
// its statistics are good until that Vfs goes.
class FileSystem : public vfs::FileSystemType {
 public:
  struct Options {
    std::string directory;  // as the process names it; held open from now on
    bool may_write = true;  // false: no mount of it can be written, whatever its options say
    int64_t max_open = kDefaultMaxOpen;
    int64_t max_watches = kDefaultMaxWatches;
  };
  // The host's error for the directory (kNoEnt, kNotDir, kAccess), or kNoSys where the host has no
  // openat2 (Linux before 5.6).
  static base::Result<std::unique_ptr<FileSystem>> Open(const Options& options);

  std::string_view name() const override { return "hostfs"; }
  bool read_only_unless_asked() const override { return true; }
  virtual const Stats& stats() const = 0;
  virtual Stats& stats() = 0;  // for whoever makes its high water start again
};

}  // namespace dentree::hostfs
