// Plain values that cross the surface of the VFS: modes, flags, attributes, limits.
//
// Numeric values are Linux's (asm-generic, x86-64), so that a stat or an open flag can be handed
// to a C library or put on a FUSE wire unchanged.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/errno.h"

namespace dentree::vfs {

using base::Errno;
using base::Result;
using base::Status;

// Limits. Each is what Linux answers with the errno beside it.
inline constexpr size_t kNameMax = 255;               // bytes in one component       ENAMETOOLONG
inline constexpr size_t kPathMax = 4096;              // bytes in a path with its NUL ENAMETOOLONG
inline constexpr int kMaxSymlinks = 40;               // links followed in one walk   ELOOP
inline constexpr size_t kXattrNameMax = 255;          // bytes in a name of an attribute  ERANGE
inline constexpr size_t kXattrSizeMax = 65536;        // bytes in its value               E2BIG
inline constexpr size_t kXattrListMax = 65536;        // bytes in a list of names         E2BIG
inline constexpr size_t kIovMax = 1024;               // parts of a readv or writev       EINVAL
inline constexpr size_t kMaxIoBytes = 0x7ffff000;     // one read or write moves no more
inline constexpr uint64_t kMaxFileBytes = INT64_MAX;  // what off_t can say            EFBIG
// RLIMIT_FSIZE where there is none.
inline constexpr uint64_t kNoSizeLimit = UINT64_MAX;

using Mode = uint16_t;  // type and permission bits, S_IF* | 07777
using Uid = uint32_t;
using Gid = uint32_t;
using Ino = uint64_t;
using DevId = uint32_t;  // as makedev(0, n): one per super block

enum class FileType : uint8_t {  // values are DT_* and S_IF* >> 12
  kUnknown = 0,
  kFifo = 1,
  kChar = 2,
  kDir = 4,
  kBlock = 6,
  kRegular = 8,
  kSymlink = 10,
  kSocket = 12,
};

constexpr FileType TypeOf(Mode mode) { return static_cast<FileType>(mode >> 12); }
constexpr Mode TypeBits(FileType type) {
  return static_cast<Mode>(static_cast<unsigned>(type) << 12);
}
constexpr bool IsDir(Mode mode) { return TypeOf(mode) == FileType::kDir; }
constexpr bool IsSymlink(Mode mode) { return TypeOf(mode) == FileType::kSymlink; }
constexpr bool IsRegular(Mode mode) { return TypeOf(mode) == FileType::kRegular; }

// Access wanted from an object: the bits of access(2).
enum MayBits : uint8_t { kMayExec = 1, kMayWrite = 2, kMayRead = 4 };

// Times are nanoseconds since the epoch (signed 64 bits: years 1677 to 2262).
struct Times {
  int64_t atime = 0, mtime = 0, ctime = 0, btime = 0;
};

// What stat(2) and statx(2) report.
struct Stat {
  Ino ino = 0;
  DevId dev = 0;
  Mode mode = 0;
  uint32_t nlink = 0;
  Uid uid = 0;
  Gid gid = 0;
  DevId rdev = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  uint32_t blksize = 4096;
  Times times;
};

// What permission is judged by.
struct Owner {
  Mode mode = 0;
  Uid uid = 0;
  Gid gid = 0;

  Owner() = default;
  Owner(Mode m, Uid u, Gid g) : mode(m), uid(u), gid(g) {}
  Owner(const Stat& attr) : Owner(attr.mode, attr.uid, attr.gid) {}  // NOLINT: a part of it
};

// What statfs(2) reports.
struct StatFs {
  uint32_t magic = 0;
  uint32_t bsize = 4096;
  uint64_t blocks = 0, bfree = 0, bavail = 0;
  uint64_t files = 0, ffree = 0;
  uint32_t namelen = kNameMax;
  uint32_t flags = 0;  // ST_*: those of the mount
};

// A change of attributes; what is not set stays. The VFS fills ctime.
struct SetAttr {
  std::optional<Mode> mode = {};  // permission bits only
  std::optional<Uid> uid = {};
  std::optional<Gid> gid = {};
  std::optional<uint64_t> size = {};
  std::optional<int64_t> atime = {}, mtime = {}, ctime = {};
  bool times_are_now = false;  // utimensat with UTIME_NOW: a writer may do it, not only the owner
  bool drops_set_id = false;   // chown, which takes set-id bits away even where no owner is given
  uint64_t size_limit = kNoSizeLimit;  // RLIMIT_FSIZE: a file does not grow beyond it, kFBig
};

// Flags of open(2) with Linux's values; O_* constants of <fcntl.h> are used as they are.
using OpenFlags = int;

enum class Follow : uint8_t { kNo, kYes };

// The argument of openat2(2).
struct OpenHow {
  uint64_t flags = 0;    // O_*
  uint64_t mode = 0;     // only with O_CREAT or O_TMPFILE
  uint64_t resolve = 0;  // ResolveFlags
};
enum ResolveFlags : uint64_t {  // values of <linux/openat2.h>
  kResolveNoXdev = 0x01,
  kResolveNoMagicLinks = 0x02,
  kResolveNoSymlinks = 0x04,
  kResolveBeneath = 0x08,
  kResolveInRoot = 0x10,
  kResolveCached = 0x20,
};

// setxattr flags, values of <sys/xattr.h>.
enum XattrFlags : int { kXattrCreate = 1, kXattrReplace = 2 };
inline constexpr std::string_view kXattrFileCaps = "security.capability";

// fallocate modes, values of <linux/falloc.h>.
enum FallocateModes : int { kFallocKeepSize = 1, kFallocPunchHole = 2 };

// What chattr changes, by Task::Ioctl, where 64 bits stand for the pointer of ioctl(2):
// kIocGetFlags answers with the flags, kIocSetFlags takes them as its argument. Values of
// <linux/fs.h>.
inline constexpr unsigned kIocGetFlags = 0x80086601;
inline constexpr unsigned kIocSetFlags = 0x40086602;
enum FileFlags : uint32_t {
  kFlImmutable = 0x10,  // +i
  kFlAppend = 0x20,     // +a
  kFlNoDump = 0x40,     // +d
  kFlNoAtime = 0x80,    // +A
};

// rename flags, values of renameat2(2).
enum RenameFlags : unsigned {
  kRenameNoReplace = 1,
  kRenameExchange = 2,
  kRenameWhiteout = 4,
  // Not of Linux: the old or the new path ended in a slash, so it must be a directory.
  kRenameOldSlash = 1 << 16,
  kRenameNewSlash = 1 << 17,
};

enum class Whence : int { kSet = 0, kCur = 1, kEnd = 2, kData = 3, kHole = 4 };

// poll(2) events, with Linux's values.
using PollEvents = uint16_t;

// Receives directory entries. Returns false when it has no room: the listing stops before that
// entry and resumes with it. `next` is the position after the entry (its d_off).
class DirSink {
 public:
  virtual bool Emit(std::string_view name, Ino ino, FileType type, int64_t next) = 0;

 protected:
  ~DirSink() = default;
};

}  // namespace dentree::vfs
