// inotify(7) as a task asks for it.
#include <sys/inotify.h>

#include "vfs/task.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

Result<int> Task::InotifyInit(OpenFlags flags) {
  FdTable::Room room = TRY(fds_.Reserve());
  FileRef file = TRY(vfs_.notify().Init(flags, creds_));
  return fds_.Install(std::move(file), std::move(room));
}

Result<int> Task::InotifyAddWatch(int fd, std::string_view path, uint32_t mask) {
  constexpr uint32_t kKnown = IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR |
                              IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD |
                              IN_ISDIR | IN_ONESHOT;
  if (mask == 0 || (mask & ~kKnown)) return Err(Errno::kInval);
  const FileRef file = TRY(fds_.Get(fd));
  if ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE)) return Err(Errno::kInval);
  if (!Notify::IsGroup(*file)) return Err(Errno::kInval);
  unsigned walk = mask & IN_DONT_FOLLOW ? 0 : unsigned{kWalkFollow};
  if (mask & IN_ONLYDIR) walk |= kWalkDirectory;
  const Path place = TRY(ResolveAt(kAtFdCwd, path, walk));
  TRY(MayAccess(place, kMayRead, *creds_));
  return vfs_.notify().AddWatch(*file, place.inode(), mask);
}

Status Task::InotifyRmWatch(int fd, int wd) {
  const FileRef file = TRY(fds_.Get(fd));
  if (!Notify::IsGroup(*file)) return Err(Errno::kInval);
  return vfs_.notify().RmWatch(*file, wd);
}

}  // namespace dentree::vfs
