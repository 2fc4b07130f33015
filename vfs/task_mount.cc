// The calls of a Task that are about mounts.
#include <sched.h>

#include <utility>

#include "vfs/mount_options.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

namespace {

constexpr uint64_t kPropagation = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
// What says which call of mount(2) is meant, or how; the rest are flags of what is mounted.
constexpr uint64_t kKinds = MS_REMOUNT | MS_BIND | MS_MOVE | MS_REC | MS_SILENT | kPropagation;

// The magic number that programs of old put above the flags.
uint64_t WithoutMagic(uint64_t flags) {
  return (flags & MS_MGC_MSK) == MS_MGC_VAL ? flags & ~uint64_t{MS_MGC_MSK} : flags;
}

}  // namespace

Status Task::Mount(std::string_view source, std::string_view target, std::string_view type,
                   uint64_t flags, std::string_view data) {
  return RetryStale([&]() -> Status {
    const Path at = TRY(Resolve(target));
    return MountOn(at, source, type, WithoutMagic(flags), data);
  });
}

Status Task::MountOn(const Path& at, std::string_view source, std::string_view type, uint64_t flags,
                     std::string_view data) {
  if (!creds_->Has(Cap::kSysAdmin)) return Err(Errno::kPerm);
  const Path root = fs_.root();
  const MountCaller caller{*mounts_, root.mount.get(), *creds_};
  Ops& ops = vfs_.ops();
  if (flags & MS_REMOUNT) return ops.Remount(caller, at, flags, data);
  const bool moves = !(flags & MS_BIND) && !(flags & kPropagation) && (flags & MS_MOVE);
  if (!(flags & MS_BIND) && (flags & kPropagation)) return ops.SetPropagation(caller, at, flags);
  if (!(flags & MS_BIND) && !moves) return ops.Mount(caller, at, type, source, flags, data);
  if (source.empty()) return Err(Errno::kInval);
  const Path from = TRY(Resolve(source));
  return moves ? ops.MoveMount(caller, from, at) : ops.Bind(caller, from, at, flags);
}

Status Task::Mount(std::string_view source, std::string_view target, std::string_view type,
                   std::string_view options) {
  MountOptions wanted = SplitMountOptions(options);
  if (wanted.set & MS_REMOUNT) return Remount(target, options);
  // Who asks for "rw" must be heard by types that are read-only unless asked.
  if (wanted.clear & MS_RDONLY) wanted.data = wanted.data.empty() ? "rw" : "rw," + wanted.data;
  TRY(Mount(source, target, type, wanted.set, wanted.data));
  // A bind has the flags of what it shows; others are a second call, as mount(8) makes it.
  const bool changes = ((wanted.set | wanted.clear) & ~kKinds) != 0;
  if (!(wanted.set & MS_BIND) || !changes) return {};
  return Remount(target, std::string("bind,").append(options));
}

Status Task::Remount(std::string_view target, std::string_view options) {
  const MountOptions wanted = SplitMountOptions(options);
  return RetryStale([&]() -> Status {
    const Path at = TRY(Resolve(target));
    const uint64_t flags = (RemountFlagsOf(*at.mount) & ~wanted.clear) | wanted.set | MS_REMOUNT;
    return MountOn(at, {}, {}, flags, wanted.data);
  });
}

Status Task::Umount(std::string_view target, int flags) {
  constexpr int kKnown = MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW;
  if (flags & ~kKnown) return Err(Errno::kInval);
  const Follow follow = flags & UMOUNT_NOFOLLOW ? Follow::kNo : Follow::kYes;
  return RetryStale([&]() -> Status {
    Path place = TRY(Resolve(target, follow));
    // A walk steps onto what is mounted on a name; "/" and "." are where they were. This is asked
    // of what covers those too.
    while (MountRef over = vfs_.mounts().Lookup(*place.mount, *place.dentry)) {
      DentryRef top = DentryRef::Share(&over->root());
      place = {std::move(over), std::move(top)};
    }
    // The pointer is compared with, no more: a reference of ours would make a root busy.
    const vfs::Mount* const root = fs_.root().mount.get();
    return vfs_.ops().Umount({*mounts_, root, *creds_}, std::move(place), flags);
  });
}

Status Task::Unshare(int flags) {
  if (flags & ~(CLONE_NEWNS | CLONE_FS)) return Err(Errno::kInval);
  if (!(flags & CLONE_NEWNS)) return {};
  if (!creds_->Has(Cap::kSysAdmin)) return Err(Errno::kPerm);
  Path root = fs_.root();
  Path cwd = fs_.cwd();
  mounts_ = TRY(vfs_.mounts().CopyNamespace(*mounts_, root, cwd));
  fs_.SetRoot(std::move(root));
  fs_.SetCwd(std::move(cwd));
  return {};
}

}  // namespace dentree::vfs
