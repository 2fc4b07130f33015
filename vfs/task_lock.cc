// Locks as a task asks for them: flock(2) and fcntl(2).
#include <sys/file.h>

#include "vfs/task.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

namespace {

// The range of a struct flock, as Linux reads it.
Status ReadRange(File& file, const struct flock& from, FileLock& lock) {
  int64_t base = 0;
  switch (from.l_whence) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      base = static_cast<int64_t>(file.position());
      break;
    case SEEK_END:
      base = static_cast<int64_t>(file.inode().size());
      break;
    default:
      return Err(Errno::kInval);
  }
  int64_t start = 0;
  if (__builtin_add_overflow(base, from.l_start, &start)) return Err(Errno::kOverflow);
  if (start < 0) return Err(Errno::kInval);
  int64_t end = INT64_MAX;
  if (from.l_len > 0) {
    if (__builtin_add_overflow(start, from.l_len - 1, &end)) return Err(Errno::kOverflow);
  } else if (from.l_len < 0) {
    // The bytes before it.
    if (start + from.l_len < 0) return Err(Errno::kInval);
    end = start - 1;
    start += from.l_len;
  }
  if (from.l_type != F_RDLCK && from.l_type != F_WRLCK && from.l_type != F_UNLCK) {
    return Err(Errno::kInval);
  }
  lock.type = from.l_type;
  lock.start = start;
  lock.end = end;
  return {};
}

// FMODE_READ and FMODE_WRITE: neither for O_PATH and for the mode 3 that only ioctl uses.
bool HasMode(const File& file, int access) {
  return !file.path_only() && ((file.flags() + 1) & O_ACCMODE & access);
}

}  // namespace

Status Task::Flock(int fd, int operation) {
  return FlockWait(fd, operation, {FileLocks::Wait::kSleep});
}

Status Task::FlockNowait(int fd, int operation, Waiter* waiter) {
  return FlockWait(fd, operation, {FileLocks::Wait::kPark, waiter});
}

Status Task::FlockWait(int fd, int operation, FileLocks::Wait wait) {
  // LOCK_MAND: Linux has forgotten it, and says nothing.
  constexpr int kMand = 32;
  if (operation & kMand) return {};
  FileLock want;
  want.kind = LockKind::kFlock;
  switch (operation & ~LOCK_NB) {
    case LOCK_SH:
      want.type = F_RDLCK;
      break;
    case LOCK_EX:
      want.type = F_WRLCK;
      break;
    case LOCK_UN:
      want.type = F_UNLCK;
      break;
    default:
      return Err(Errno::kInval);
  }
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  if (want.type != F_UNLCK && !HasMode(*file, O_ACCMODE)) return Err(Errno::kBadF);
  want.owner = file.get();
  want.pid = pid_;
  want.end = INT64_MAX;
  if (operation & LOCK_NB) wait = {};
  return vfs_.locks().Set(file->inode(), want, wait);
}

Status Task::FcntlLock(int fd, int command, struct flock& lock) {
  return FcntlLockWait(fd, command, lock, {FileLocks::Wait::kSleep});
}

Status Task::FcntlLockNowait(int fd, int command, struct flock& lock, Waiter* waiter) {
  return FcntlLockWait(fd, command, lock, {FileLocks::Wait::kPark, waiter});
}

Status Task::FcntlLockWait(int fd, int command, struct flock& lock, FileLocks::Wait wait) {
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  const bool ofd = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  FileLock want;
  want.kind = ofd ? LockKind::kOfd : LockKind::kPosix;
  want.owner = ofd ? static_cast<const void*>(file.get()) : &fds_;
  want.pid = ofd ? -1 : pid_;
  switch (command) {
    case F_GETLK:
    case F_OFD_GETLK:
      return GetLock(*file, want, lock);
    case F_SETLK:
    case F_OFD_SETLK:
      return SetLock(fd, *file, want, lock, {});
    case F_SETLKW:
    case F_OFD_SETLKW:
      return SetLock(fd, *file, want, lock, wait);
    default:
      return Err(Errno::kInval);
  }
}

Status Task::GetLock(File& file, FileLock& want, struct flock& lock) {
  const bool ofd = want.kind == LockKind::kOfd;
  if (!ofd && lock.l_type != F_RDLCK && lock.l_type != F_WRLCK) return Err(Errno::kInval);
  TRY(ReadRange(file, lock, want));
  if (ofd && lock.l_pid != 0) return Err(Errno::kInval);
  FileLock found;
  if (!vfs_.locks().Test(file.inode(), want, found)) {
    lock.l_type = F_UNLCK;
    return {};
  }
  lock.l_type = found.type;
  lock.l_whence = SEEK_SET;
  lock.l_start = found.start;
  lock.l_len = found.end == INT64_MAX ? 0 : found.end - found.start + 1;
  lock.l_pid = found.pid;
  return {};
}

Status Task::SetLock(int fd, File& file, FileLock& want, const struct flock& lock,
                     FileLocks::Wait wait) {
  TRY(ReadRange(file, lock, want));
  if (want.type == F_RDLCK && !HasMode(file, 1)) return Err(Errno::kBadF);
  if (want.type == F_WRLCK && !HasMode(file, 2)) return Err(Errno::kBadF);
  if (want.kind == LockKind::kOfd && lock.l_pid != 0) return Err(Errno::kInval);
  TRY(vfs_.locks().Set(file.inode(), want, wait));
  if (want.kind == LockKind::kOfd || want.type == F_UNLCK) return {};
  SYNC_POINT(vfs_.sync_points(), "locks:posix:taken");
  // A close of the descriptor meanwhile could not let go of what was not yet there.
  const Result<FileRef> still = fds_.Get(fd);
  if (still && still->get() == &file) return {};
  vfs_.locks().ReleaseOwner(file, &fds_);
  return Err(Errno::kBadF);
}

}  // namespace dentree::vfs
