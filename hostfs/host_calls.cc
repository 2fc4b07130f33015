#include "hostfs/host_calls_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "absl/strings/str_format.h"

namespace dentree::hostfs {

using base::Err;

namespace {

constexpr uint64_t kBeneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
// STATX_MNT_ID (Linux 5.8), which the C library of Debian 12 does not name everywhere.
constexpr unsigned kStatxMountId = 0x1000;
constexpr unsigned kStatxWanted = STATX_BASIC_STATS | STATX_BTIME | kStatxMountId;
constexpr int64_t kNsPerSecond = 1'000'000'000;

Errno LastError() { return static_cast<Errno>(errno); }

int Openat2(int dir, const std::string& path, const open_how& how) {
  return static_cast<int>(::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof(how)));
}

// Years beyond 64 bits of nanoseconds become the last one.
int64_t Nanoseconds(const statx_timestamp& time) {
  int64_t ns = 0;
  if (__builtin_mul_overflow(int64_t{time.tv_sec}, kNsPerSecond, &ns) ||
      __builtin_add_overflow(ns, int64_t{time.tv_nsec}, &ns)) {
    return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
  }
  return ns;
}

timespec TimeOf(const std::optional<int64_t>& ns, bool now) {
  if (!ns) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  if (now) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  int64_t seconds = *ns / kNsPerSecond;
  int64_t rest = *ns % kNsPerSecond;
  if (rest < 0) {
    rest += kNsPerSecond;
    --seconds;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

HostStat FromStatx(const struct statx& in) {
  const auto mode = static_cast<vfs::Mode>(in.stx_mode);
  HostStat out;
  out.id = {.dev = ::makedev(in.stx_dev_major, in.stx_dev_minor),
            .ino = in.stx_ino,
            .mount = in.stx_mask & kStatxMountId ? uint64_t{in.stx_mnt_id} : 0,
            .birth_ns = in.stx_mask & STATX_BTIME ? Nanoseconds(in.stx_btime) : 0,
            .type = vfs::TypeOf(mode)};
  out.mode = mode;
  out.nlink = in.stx_nlink;
  out.uid = in.stx_uid;
  out.gid = in.stx_gid;
  out.rdev = static_cast<vfs::DevId>(::makedev(in.stx_rdev_major, in.stx_rdev_minor));
  out.size = in.stx_size;
  out.blocks = in.stx_blocks;
  out.blksize = in.stx_blksize;
  out.times = {.atime = Nanoseconds(in.stx_atime),
               .mtime = Nanoseconds(in.stx_mtime),
               .ctime = Nanoseconds(in.stx_ctime),
               .btime = out.id.birth_ns};
  return out;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) (void)::close(fd_);
}

template <class T>
Result<T> HostCalls::Check(T result) const {
  stats_.calls.Add();
  if (result < 0) return Err(LastError());
  return result;
}

Status HostCalls::Done(int result) const {
  TRY(Check(result));
  return {};
}

Result<Fd> HostCalls::OpenTop(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Err(LastError());
  Fd top(fd);
  // Whether the host has openat2 at all.
  const Fd again(Openat2(fd, ".", {.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = kBeneath}));
  if (again.get() < 0) return Err(LastError());
  return top;
}

// --- finding -------------------------------------------------------------------------------------

Result<Fd> HostCalls::Open(int dir, const std::string& path, int flags, vfs::Mode mode) const {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  how.mode = mode;
  how.resolve = kBeneath;
  return Fd(TRY(Check(Openat2(dir, path, how))));
}

Result<HostStat> HostCalls::StatAt(int dir, const char* name, int flags) const {
  struct statx stat{};
  TRY(Done(::statx(dir, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kStatxWanted, &stat)));
  return FromStatx(stat);
}

Result<HostStat> HostCalls::Stat(int dir, const std::string& name) const {
  return StatAt(dir, name.c_str(), 0);
}

Result<HostStat> HostCalls::Stat(int fd) const { return StatAt(fd, "", AT_EMPTY_PATH); }

Result<std::string> HostCalls::Readlink(int fd) const {
  std::string target(vfs::kPathMax, '\0');
  target.resize(
      static_cast<size_t>(TRY(Check(::readlinkat(fd, "", target.data(), target.size())))));
  return target;
}

// --- names ---------------------------------------------------------------------------------------

Status HostCalls::Mkdir(int dir, const std::string& name, vfs::Mode mode) const {
  return Done(::mkdirat(dir, name.c_str(), mode));
}

Status HostCalls::Mkfifo(int dir, const std::string& name, vfs::Mode mode) const {
  return Done(::mkfifoat(dir, name.c_str(), mode));
}

Status HostCalls::Symlink(const std::string& target, int dir, const std::string& name) const {
  return Done(::symlinkat(target.c_str(), dir, name.c_str()));
}

Status HostCalls::Link(int old_dir, const std::string& old_name, int dir,
                       const std::string& name) const {
  return Done(::linkat(old_dir, old_name.c_str(), dir, name.c_str(), 0));
}

Status HostCalls::Unlink(int dir, const std::string& name) const {
  return Done(::unlinkat(dir, name.c_str(), 0));
}

Status HostCalls::Rmdir(int dir, const std::string& name) const {
  return Done(::unlinkat(dir, name.c_str(), AT_REMOVEDIR));
}

Status HostCalls::Rename(int old_dir, const std::string& old_name, int new_dir,
                         const std::string& new_name, unsigned flags) const {
  return Done(static_cast<int>(
      ::syscall(SYS_renameat2, old_dir, old_name.c_str(), new_dir, new_name.c_str(), flags)));
}

// --- objects -------------------------------------------------------------------------------------

Status HostCalls::Chmod(int fd, vfs::Mode mode) const {
  // fchmodat2 (Linux 6.6); before it, the way to change what a descriptor of O_PATH refers to is
  // its name in /proc.
  constexpr long kFchmodat2 = 452;
  const Status done =
      Done(static_cast<int>(::syscall(kFchmodat2, fd, "", unsigned{mode}, AT_EMPTY_PATH)));
  if (done || done.error() != Errno::kNoSys) return done;
  return Done(::chmod(absl::StrFormat("/proc/self/fd/%d", fd).c_str(), mode));
}

Status HostCalls::Chown(int fd, const vfs::SetAttr& attr) const {
  constexpr uint32_t kKeep = UINT32_MAX;
  return Done(
      ::fchownat(fd, "", attr.uid.value_or(kKeep), attr.gid.value_or(kKeep), AT_EMPTY_PATH));
}

Status HostCalls::SetTimes(int fd, const vfs::SetAttr& attr) const {
  const timespec times[2] = {TimeOf(attr.atime, attr.times_are_now),
                             TimeOf(attr.mtime, attr.times_are_now)};
  // The C library refuses an empty name here; the kernel knows it since 5.8.
  return Done(static_cast<int>(::syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH)));
}

Status HostCalls::Truncate(int fd, uint64_t size) const {
  return Done(::ftruncate(fd, static_cast<off_t>(size)));
}

Result<vfs::StatFs> HostCalls::Statfs(int fd) const {
  struct statfs host{};
  TRY(Done(::fstatfs(fd, &host)));
  vfs::StatFs out;
  out.magic = kMagic;
  out.bsize = static_cast<uint32_t>(host.f_bsize);
  out.blocks = host.f_blocks;
  out.bfree = host.f_bfree;
  out.bavail = host.f_bavail;
  out.files = host.f_files;
  out.ffree = host.f_ffree;
  out.namelen = static_cast<uint32_t>(std::min<int64_t>(host.f_namelen, vfs::kNameMax));
  return out;
}

// --- open files ----------------------------------------------------------------------------------

Result<size_t> HostCalls::Read(int fd, std::span<std::byte> out, uint64_t pos) const {
  const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(pos));
  return static_cast<size_t>(TRY(Check(n)));
}

Result<size_t> HostCalls::Write(int fd, std::span<const std::byte> in, uint64_t pos,
                                bool append) const {
  const iovec piece{const_cast<std::byte*>(in.data()), in.size()};
  const ssize_t n = ::pwritev2(fd, &piece, 1, static_cast<off_t>(pos), append ? RWF_APPEND : 0);
  return static_cast<size_t>(TRY(Check(n)));
}

Result<uint64_t> HostCalls::Seek(int fd, int64_t offset, int whence) const {
  return static_cast<uint64_t>(TRY(Check(::lseek(fd, offset, whence))));
}

Status HostCalls::Fsync(int fd) const { return Done(::fsync(fd)); }

Result<size_t> HostCalls::Getdents(int fd, std::span<std::byte> out) const {
  return static_cast<size_t>(TRY(Check(::getdents64(fd, out.data(), out.size()))));
}

// --- notification ----------------------------------------------------------------------------

Result<Fd> HostCalls::OpenNotify() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return Err(LastError());
  return Fd(fd);
}

Result<int> HostCalls::AddWatch(int notify, int dir) {
  // inotify takes a path; a descriptor's name in /proc leads to the very directory.
  constexpr uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                                IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF;
  const std::string name = absl::StrFormat("/proc/self/fd/%d", dir);
  const int watch = ::inotify_add_watch(notify, name.c_str(),
                                        kChanges | IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_CREATE);
  if (watch < 0) return Err(LastError());
  return watch;
}

void HostCalls::RemoveWatch(int notify, int watch) { (void)::inotify_rm_watch(notify, watch); }

Result<size_t> HostCalls::ReadEvents(int notify, std::span<std::byte> out) {
  const ssize_t n = ::read(notify, out.data(), out.size());
  if (n >= 0) return static_cast<size_t>(n);
  if (LastError() == Errno::kAgain) return 0;
  return Err(LastError());
}

void HostCalls::Delay(int64_t ns) {
  if (ns <= 0) return;
  timespec left{.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
  while (::clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
}

}  // namespace dentree::hostfs
