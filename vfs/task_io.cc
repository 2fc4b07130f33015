// Task: descriptors beyond reading and writing.
#include "vfs/task.h"

#include <utility>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

Result<size_t> Task::Readv(int fd, std::span<const std::span<std::byte>> out) {
  return TRY(fds_.Get(fd))->ReadVec(out, std::nullopt);
}

Result<size_t> Task::Writev(int fd, std::span<const std::span<const std::byte>> in) {
  return TRY(fds_.Get(fd))->WriteVec(in, std::nullopt, file_size_limit(), creds_.get());
}

Result<size_t> Task::Preadv(int fd, std::span<const std::span<std::byte>> out, uint64_t pos) {
  return TRY(fds_.Get(fd))->ReadVec(out, pos);
}

Result<size_t> Task::Pwritev(int fd, std::span<const std::span<const std::byte>> in, uint64_t pos) {
  return TRY(fds_.Get(fd))->WriteVec(in, pos, file_size_limit(), creds_.get());
}

Result<size_t> Task::CopyFileRange(int in, std::optional<uint64_t> in_pos, int out,
                                   std::optional<uint64_t> out_pos, size_t size, unsigned flags) {
  const FileRef from = TRY(fds_.Get(in));
  const FileRef to = TRY(fds_.Get(out));
  if (from->path_only() || to->path_only()) return Err(Errno::kBadF);
  if (flags != 0) return Err(Errno::kInval);
  return File::CopyRange(*from, in_pos, *to, out_pos, size, file_size_limit(), creds_.get());
}

Status Task::Fallocate(int fd, int mode, int64_t offset, int64_t size) {
  return TRY(fds_.Get(fd))->Fallocate(mode, offset, size, file_size_limit(), creds_.get());
}

Status Task::Syncfs(int fd) {
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  return {};
}

Result<int> Task::Dup2(int fd, int to) { return fds_.DupTo(fd, to); }

Result<int> Task::Dup3(int fd, int to, int flags) {
  if ((flags & ~O_CLOEXEC) || fd == to) return Err(Errno::kInval);
  return fds_.DupTo(fd, to);
}

Result<int> FdTable::DupTo(int fd, int to) {
  FileRef file = TRY(Get(fd));
  if (to < 0 || static_cast<size_t>(to) >= limit_) return Err(Errno::kBadF);
  if (fd == to) return to;
  FileRef closing;  // released after the lock
  {
    base::MutexLock lock(mutex_);
    Slot* slot = AtLocked(to);
    const bool taken = slot != nullptr && slot->file != nullptr;
    if (!taken && full()) return Err(Errno::kMFile);
    if (slot == nullptr) slot = GrowToLocked(to);
    if (taken) {
      closing = TakeOut(*slot);
    } else {
      TakeLocked(1);
    }
    PutInto(*slot, file.Leak());
  }
  if (closing != nullptr) closing->path().vfs().locks().ReleaseOwner(*closing, this);
  return to;
}

namespace {

constexpr OpenFlags kLargeFile = 0100000;  // as a 64-bit program is told
constexpr OpenFlags kOpenOnly = O_TRUNC | O_CLOEXEC;
constexpr OpenFlags kSettable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

}  // namespace

Result<OpenFlags> Task::GetStatusFlags(int fd) {
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return file->flags() & ~kOpenOnly;
  return (file->flags() & ~kOpenOnly) | kLargeFile;
}

Status Task::SetStatusFlags(int fd, OpenFlags flags) {
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  const OpenFlags old = file->flags();
  Inode& inode = file->inode();
  if (((old ^ flags) & O_APPEND) && (inode.flags() & kInodeAppend)) return Err(Errno::kPerm);
  if ((flags & O_NOATIME) && !(old & O_NOATIME)) {
    const vfs::Stat attr = TRY(AttrsOf(inode));
    if (!OwnerOrCapable(attr, *creds_)) return Err(Errno::kPerm);
  }
  if ((flags & O_DIRECT) && !IsRegular(inode.mode())) return Err(Errno::kInval);
  file->set_flags((old & ~kSettable) | (flags & kSettable));
  return {};
}

Result<StatFs> Task::Fstatfs(int fd) { return vfs_.ops().Statfs(TRY(fds_.Get(fd))->path()); }

Result<uint64_t> Task::Ioctl(int fd, unsigned cmd, uint64_t arg) {
  const FileRef file = TRY(fds_.Get(fd));
  // What a file system without flags says about them may be a command of its own.
  if (!file->path_only() && cmd == kIocGetFlags) {
    const Result<uint32_t> flags = vfs_.ops().GetFlags(file->path());
    if (flags || flags.error() != Errno::kNotTy) return flags;
  }
  if (!file->path_only() && cmd == kIocSetFlags) {
    const Status set = vfs_.ops().SetFlags(file->path(), static_cast<uint32_t>(arg), *creds_);
    if (set) return 0;
    if (set.error() != Errno::kNotTy) return Err(set.error());
  }
  return file->Ioctl(cmd, arg);
}

}  // namespace dentree::vfs
