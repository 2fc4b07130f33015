// Opening, and creating by opening.
#include <sys/inotify.h>

#include <utility>

#include "vfs/ops.h"
#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

namespace {

// The access that an open mode asks for. Mode 3 wants both, to do neither (ioctl only).
unsigned WantedAccess(OpenFlags flags) {
  static constexpr unsigned kWanted[] = {kMayRead, kMayWrite, kMayRead | kMayWrite,
                                         kMayRead | kMayWrite};
  const unsigned truncate = flags & O_TRUNC ? unsigned{kMayWrite} : 0;
  return kWanted[flags & O_ACCMODE] | truncate;
}

// What open(2) checks of an object that exists.
Status MayOpen(const Path& path, OpenFlags flags, const Creds& creds) {
  const FileType type = path.dentry->type();
  const unsigned want = WantedAccess(flags);
  if (type == FileType::kSymlink) return Err(Errno::kLoop);
  if (type == FileType::kDir && (want & kMayWrite)) return Err(Errno::kIsDir);
  const bool device = type == FileType::kChar || type == FileType::kBlock;
  if (device && path.mount->no_devices()) return Err(Errno::kAccess);
  TRY(MayAccess(path, want, creds));
  Inode& inode = path.inode();
  if ((inode.flags() & kInodeAppend) && (want & kMayWrite)) {
    if (!(flags & O_APPEND) || (flags & O_TRUNC)) return Err(Errno::kPerm);
  }
  if (flags & O_NOATIME) {
    const Stat attr = TRY(AttrsOf(inode));
    if (attr.uid != creds.uid && !creds.Has(Cap::kFowner)) return Err(Errno::kPerm);
  }
  return {};
}

}  // namespace

// An open file of an inode, all checks passed.
Result<FileRef> Ops::OpenChecked(Path path, OpenFlags flags, CredsRef creds) {
  const bool path_only = flags & O_PATH;
  const FileOps* const ops = path_only ? nullptr : TRY(path.inode().ops().OpenOps(path.inode()));
  // What open alone uses is not part of the file's state.
  const OpenFlags kept = flags & ~(O_CREAT | O_EXCL | O_NOCTTY);
  if (vfs_.file_limit().Reached() && !creds->Has(Cap::kSysAdmin)) {
    vfs_.file_stats().refused.Add();
    return Err(Errno::kNFile);
  }
  File* const file = vfs_.files().New(std::move(path), kept, std::move(creds));
  if (file == nullptr) return Err(Errno::kNoMem);
  vfs_.file_stats().open.Add();
  FileRef ref = FileRef::Adopt(file);
  if (path_only) return ref;
  // Devices, pipes and sockets are written through, not into, a file system.
  const bool writes = file->writable() && file->dentry().type() == FileType::kRegular;
  if (writes) TRY(file->path().mount->BeginWrite());
  file->holds_writer_ = writes;
  TRY(ops->Open(*file));
  file->ops_ = ops;  // from here on Release is due
  vfs_.notify().OnFile(*file, IN_OPEN);
  return ref;
}

Result<FileRef> Ops::Open(Path path, OpenFlags flags, CredsRef creds) {
  if (flags & O_PATH) return OpenChecked(std::move(path), flags, std::move(creds));
  const bool truncates = (flags & O_TRUNC) && path.dentry->type() == FileType::kRegular;
  if (truncates && path.mount->read_only()) return Err(Errno::kRoFs);
  TRY(MayOpen(path, flags, *creds));
  SYNC_POINT(vfs_.sync_points(), "ops:open:checked");
  FileRef file = TRY(OpenChecked(std::move(path), flags, std::move(creds)));
  if (truncates) {
    TRY(file->StripPrivileges(nullptr));
    TRY(file->ops_->Truncate(*file, 0));
    vfs_.notify().OnDentry(file->dentry(), IN_MODIFY);
  }
  return file;
}

Result<FileRef> Ops::Tmpfile(const Path& dir, OpenFlags flags, Mode mode, CredsRef creds) {
  if (dir.mount->read_only()) return Err(Errno::kRoFs);
  TRY(MayAccessInode(dir.inode(), kMayWrite | kMayExec, *creds));
  const CreateArgs args = OwnedBy(dir, static_cast<Mode>((mode & 07777) | S_IFREG), *creds);
  Path place;
  {
    base::WriteLock lock(dir.inode().sem());
    // A name to show, which nobody can look up.
    Dcache::New fresh = TRY(vfs_.dcache().Alloc(*dir.dentry, Name(vfs_.hash_key(), "#tmpfile")));
    InodeRef inode = TRY(dir.inode().ops().Tmpfile(dir.inode(), *fresh, args));
    if (!(flags & O_EXCL)) Inode::Update(*inode).SetFlag(kInodeLinkable);
    place = {dir.mount, vfs_.dcache().AddUnnamed(std::move(fresh), std::move(inode))};
  }
  return OpenChecked(std::move(place), flags & ~O_TRUNC, std::move(creds));
}

Result<Ops::OpenAt> Ops::OpenCreate(const Path& dir, std::string_view name, OpenFlags flags,
                                    Mode mode, CredsRef creds, unsigned walk) {
  TRY(CheckName(dir, name, *creds));
  const Name hashed(vfs_.hash_key(), name);
  Path place;
  bool created = false;
  {
    base::WriteLock lock(dir.inode().sem());
    Result<DentryRef> found = LookupLocked(vfs_, *dir.dentry, hashed);
    if (!found) {
      if (found.error() != Errno::kNoEnt) return Err(found.error());
      if (dir.mount->read_only()) return Err(Errno::kRoFs);
      TRY(MayCreate(dir, *creds));
      const auto file_mode = static_cast<Mode>((mode & 07777) | S_IFREG);
      found = TRY(CreateLocked(dir, hashed, OwnedBy(dir, file_mode, *creds)));
      created = true;
    }
    place = {dir.mount, *std::move(found)};
  }
  // Its maker may open it as asked, whatever the mode it was given.
  if (created) {
    FileRef file = TRY(OpenChecked(std::move(place), flags & ~O_TRUNC, std::move(creds)));
    return OpenAt{std::move(file), {}};
  }
  if (flags & O_EXCL) return Err(Errno::kExist);
  while (place.dentry->flags() & kDentryMounted) {
    MountRef mount = vfs_.mounts().Lookup(*place.mount, *place.dentry);
    if (mount == nullptr) break;
    if (walk & kWalkNoXdev) return Err(Errno::kXDev);
    DentryRef root = DentryRef::Share(&mount->root());
    place = {std::move(mount), std::move(root)};
  }
  if (place.dentry->type() == FileType::kSymlink) return OpenAt{nullptr, std::move(place)};
  if (place.dentry->is_dir()) return Err(Errno::kIsDir);
  FileRef file = TRY(Open(std::move(place), flags, std::move(creds)));
  return OpenAt{std::move(file), {}};
}

}  // namespace dentree::vfs
