// Memory in /proc: what holds it, how hard it is reclaimed, and the report of a shortage.

#include <array>
#include <climits>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "os/system_internal.h"

namespace dentree::os {

using base::Err;
using kernfs::File;
using kernfs::OpenFile;

namespace {

mm::Memory& MemoryOf(const OpenFile& file) { return file.root().vfs().memory(); }

// Objects of the shrinkers whose names begin like this: those nobody uses.
size_t Unused(const OpenFile& file, std::string_view names) {
  size_t unused = 0;
  MemoryOf(file).ForEachShrinker([&](const mm::ShrinkerInfo& shrinker) {
    if (shrinker.name.starts_with(names)) unused += shrinker.objects;
  });
  return unused;
}

// --- /proc/sys/fs ---

// Linux's six numbers: dentries, of these unused, two that have no meaning any more, negatives, and
// one that has none yet.
std::string ShowDentryState(const OpenFile& file) {
  constexpr int kAgeLimit = 45;
  vfs::Vfs& vfs = file.root().vfs();
  const size_t negatives = vfs.negatives().size();
  return absl::StrFormat("%d\t%d\t%d\t0\t%d\t0\n", vfs.dcache().live() + negatives,
                         Unused(file, "dentry-") + negatives, kAgeLimit, negatives);
}

std::string ShowInodeNr(const OpenFile& file) {
  return absl::StrFormat("%d\t%d\n", file.root().vfs().icache().live(), Unused(file, "inode-"));
}

// The same two, whether Linux 2.2 had to free inodes to make others, and four that were nothing
// then.
std::string ShowInodeState(const OpenFile& file) {
  return absl::StrFormat("%d\t%d\t0\t0\t0\t0\t0\n", file.root().vfs().icache().live(),
                         Unused(file, "inode-"));
}

// --- /proc/sys/vm ---

// 1: pages, of which there is no cache; 2: dentries and inodes; 3: both; 4: no message about it in
// the log, of which there is none.
Status StoreDropCaches(const OpenFile& file, std::string_view command) {
  constexpr uint64_t kMost = 4;
  constexpr uint64_t kSlabs = 2;
  const uint64_t what = TRY(base::ParseControlU64(command));
  if (what < 1 || what > kMost) return Err(Errno::kInval);
  if (what & kSlabs) file.root().vfs().DropCaches();
  return {};
}

std::string ShowPressure(const OpenFile& file) {
  return absl::StrFormat("%d\n", MemoryOf(file).cache_pressure());
}
Status StorePressure(const OpenFile& file, std::string_view command) {
  const uint64_t pressure = TRY(base::ParseControlU64(command));
  if (pressure > INT_MAX) return Err(Errno::kInval);
  MemoryOf(file).SetCachePressure(static_cast<uint32_t>(pressure));
  return {};
}

std::string ShowPressureDenom(const OpenFile& file) {
  return absl::StrFormat("%d\n", MemoryOf(file).cache_pressure_denom());
}
Status StorePressureDenom(const OpenFile& file, std::string_view command) {
  const uint64_t denom = TRY(base::ParseControlU64(command));
  if (denom < mm::Memory::kDefaultPressure || denom > INT_MAX) return Err(Errno::kInval);
  MemoryOf(file).SetCachePressureDenom(static_cast<uint32_t>(denom));
  return {};
}

// Decided when the Os is booted, as by sysctl.vm.mem_profiling=never of Linux.
std::string ShowMemProfiling(const OpenFile& file) {
  return MemoryOf(file).profiles() ? "1\n" : "0\n";
}

constexpr SystemFile<nullptr, &StoreDropCaches> kDropCaches;
constexpr SystemFile<&ShowPressure, &StorePressure> kPressure;
constexpr SystemFile<&ShowPressureDenom, &StorePressureDenom> kPressureDenom;
constexpr SystemFile<&ShowMemProfiling> kMemProfiling;
constexpr SystemFile<&ShowDentryState> kDentryState;
constexpr SystemFile<&ShowInodeNr> kInodeNr;
constexpr SystemFile<&ShowInodeState> kInodeState;

constexpr auto kVmTable = kernfs::MakeTable(File("drop_caches", 0200, kDropCaches),       //
                                            File("mem_profiling", 0444, kMemProfiling),   //
                                            File("vfs_cache_pressure", 0644, kPressure),  //
                                            File("vfs_cache_pressure_denom", 0644, kPressureDenom));

constexpr auto kFsTable =
    kernfs::MakeTable(File("dentry-state", 0444, kDentryState), File("inode-nr", 0444, kInodeNr),
                      File("inode-state", 0444, kInodeState));

}  // namespace

constexpr kernfs::DirType kVmSysctlDir{.table = kVmTable};
constexpr kernfs::DirType kFsSysctlDir{.table = kFsTable};

std::string ShowAllocInfo(const OpenFile& file) { return MemoryOf(file).AllocInfoText(); }

// As things are now; and as they were when memory was refused last, if it was.
std::string ShowMemoryReport(const OpenFile& file) {
  const mm::Memory& memory = MemoryOf(file);
  std::array<char, mm::Memory::kReportBytes> now;
  std::string text(now.data(), memory.WriteReport(now));
  const std::string last = memory.LastReport();
  if (!last.empty()) text.append("\nat the last refusal:\n").append(last);
  return text;
}

}  // namespace dentree::os
