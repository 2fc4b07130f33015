// /proc: what a shell user looks for there, and what the tests measure memory with.

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "os/system_internal.h"

namespace dentree::os {

using kernfs::File;
using kernfs::OpenFile;

namespace {

// --- What is mounted, and what could be ---

// A field of /proc/mounts: these bytes are written as \ooo.
constexpr std::string_view kPathEscapes = " \t\n\\";
constexpr std::string_view kNameEscapes = " \t\n\\#";  // a line of fstab would be a comment
std::string Escape(std::string_view field, std::string_view bytes = kPathEscapes) {
  std::string text;
  for (char c : field) {
    if (bytes.find(c) != bytes.npos) {
      absl::StrAppendFormat(&text, "\\%03o", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text;
}

// Those of the namespace in which the file was opened. Where that has no mounts any more, of the
// first one.
std::vector<vfs::MountInfo> MountsOf(const OpenFile& file) {
  const vfs::MountTree& mounts = file.root().vfs().mounts();
  const vfs::Path root = mounts.RootOf(file.mount());
  return root ? mounts.List(root) : std::vector<vfs::MountInfo>();
}

std::string ShowMounts(const OpenFile& file) {
  std::string text;
  for (const vfs::MountInfo& mount : MountsOf(file)) {
    absl::StrAppendFormat(&text, "%s %s %s %s 0 0\n", Escape(mount.source, kNameEscapes),
                          Escape(mount.target), Escape(mount.type, kNameEscapes), mount.options);
  }
  return text;
}

// Its optional fields, between the options and the dash, tell of propagation: there is none.
std::string ShowMountInfo(const OpenFile& file) {
  std::string text;
  for (const vfs::MountInfo& mount : MountsOf(file)) {
    absl::StrAppendFormat(&text, "%u %u 0:%u %s %s %s - %s %s %s\n", mount.id, mount.parent_id,
                          mount.dev, Escape(mount.root), Escape(mount.target), mount.mount_options,
                          Escape(mount.type, kNameEscapes), Escape(mount.source, kNameEscapes),
                          mount.super_options);
  }
  return text;
}

std::string ShowFilesystems(const OpenFile& file) {
  std::string text;
  for (const vfs::FileSystemType* type : file.root().vfs().Types()) {
    absl::StrAppendFormat(&text, "%s\t%s\n", type->needs_device() ? "" : "nodev", type->name());
  }
  return text;
}

// As Linux writes it: one lock to a line, below it who waits for it, deeper who stands behind
// others.
std::string ShowLocks(const OpenFile& file) {
  std::string text;
  uint64_t serial = 0;
  int number = 0;
  for (const vfs::LockInfo& lock : file.root().vfs().locks().List()) {
    if (std::exchange(serial, lock.serial) != lock.serial) ++number;
    static constexpr std::string_view kKinds[] = {"FLOCK ", "OFDLCK", "POSIX "};
    const std::string arrow = lock.depth == 0 ? "" : std::string(lock.depth - 1, ' ') + "-> ";
    const std::string end = lock.end == INT64_MAX ? "EOF" : std::to_string(lock.end);
    absl::StrAppendFormat(&text, "%d: %s%s ADVISORY  %s %d %02x:%02x:%d %d %s\n", number, arrow,
                          kKinds[static_cast<size_t>(lock.kind)],
                          lock.type == F_WRLCK ? "WRITE" : "READ", lock.pid, lock.dev >> 8,
                          lock.dev & 0xff, lock.ino, lock.start, end);
  }
  return text;
}

// --- Memory ---

std::string ShowMeminfo(const OpenFile& file) { return file.root().vfs().memory().MemInfoText(); }
std::string ShowSlabinfo(const OpenFile& file) { return file.root().vfs().memory().SlabInfoText(); }

// --- The system ---

// Seconds since booting, and those that a processor had nothing to do: nobody counts them.
std::string ShowUptime(const OpenFile& file) {
  const int64_t up_ns = file.root().vfs().clock().MonotonicNs() - SystemOf(file).boot_ns;
  return absl::StrFormat("%d.%02d 0.00\n", up_ns / 1'000'000'000, up_ns / 10'000'000 % 100);
}

std::string ShowVersion(const OpenFile&) {
  return absl::StrFormat("dentree version %s (%s)\n", DENTREE_VERSION, __VERSION__);
}

class MountsLink final : public kernfs::LinkOps {
 public:
  constexpr MountsLink() = default;
  Result<std::string> Target(const kernfs::Dir&) const override { return "self/mounts"; }
};
constexpr MountsLink kMountsLink;

// --- The directories ---

constexpr SystemFile<&ShowMounts> kMounts;
constexpr SystemFile<&ShowMountInfo> kMountInfo;
constexpr SystemFile<&ShowFilesystems> kFilesystems;
constexpr SystemFile<&ShowLocks> kLocks;
constexpr SystemFile<&ShowMeminfo> kMeminfo;
constexpr SystemFile<&ShowAllocInfo> kAllocInfo;
constexpr SystemFile<&ShowMemoryReport, nullptr, MustNotFail::kYes> kMemoryReport;
constexpr SystemFile<&ShowSlabinfo> kSlabinfo;
constexpr SystemFile<&ShowUptime> kUptime;
constexpr SystemFile<&ShowVersion> kVersion;

enum Object : kernfs::ObjectId { kSelfDir = 1, kSysctlDir, kVmDir, kFsDir };

constexpr auto kSelfTable =
    kernfs::MakeTable(File("mountinfo", 0444, kMountInfo), File("mounts", 0444, kMounts));
constexpr kernfs::DirType kSelfType{.table = kSelfTable};

constexpr auto kSysctlTable = kernfs::MakeTable(kernfs::Subdir("fs", 0555, kFsSysctlDir, kFsDir),
                                                kernfs::Subdir("vm", 0555, kVmSysctlDir, kVmDir));
constexpr kernfs::DirType kSysctlType{.table = kSysctlTable};

constexpr auto kProcTable = kernfs::MakeTable(
    File("allocinfo", 0400, kAllocInfo),                                                   //
    File("filesystems", 0444, kFilesystems), File("locks", 0444, kLocks),                  //
    File("meminfo", 0444, kMeminfo), File("memory_report", 0444, kMemoryReport),           //
    kernfs::Link("mounts", kMountsLink),                                                   //
    kernfs::Subdir("self", 0555, kSelfType, kSelfDir), File("slabinfo", 0400, kSlabinfo),  //
    kernfs::Subdir("sys", 0555, kSysctlType, kSysctlDir), File("uptime", 0444, kUptime),   //
    File("version", 0444, kVersion));

}  // namespace

constexpr kernfs::DirType kProcDir{.table = kProcTable};

}  // namespace dentree::os
