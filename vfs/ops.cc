// Operations on names and objects. Opening is in open.cc, renaming in rename.cc, mounting in
// ops_mount.cc.
#include "vfs/ops.h"

#include <sys/statvfs.h>

#include <optional>
#include <utility>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

Result<Path> Ops::Lookup(const Path& dir, std::string_view name, const Creds& creds) {
  return WalkChild(vfs_, dir, name, creds);
}

// --- making ------------------------------------------------------------------------------------

Status Ops::CheckName(const Path& dir, std::string_view name, const Creds& creds) {
  if (!dir.dentry->is_dir()) return Err(Errno::kNotDir);
  TRY(MayAccessInode(dir.inode(), kMayExec, creds));
  TRY(CheckLength(*dir.dentry, name));
  if (name.empty()) return Err(Errno::kNoEnt);
  if (name == "." || name == "..") return Err(Errno::kExist);
  return {};
}

// The name is free and the caller may take it. The directory is locked.
Status Ops::MayTakeName(const Path& dir, const Name& name, const Creds& creds) {
  const Result<DentryRef> there = LookupLocked(vfs_, *dir.dentry, name);
  if (there) return Err(Errno::kExist);
  if (there.error() != Errno::kNoEnt) return Err(there.error());
  if (dir.mount->read_only()) return Err(Errno::kRoFs);
  return MayCreate(dir, creds);
}

// Owner, group and mode of what is made in `dir`: a set-group-id directory hands its group down.
CreateArgs Ops::OwnedBy(const Path& dir, Mode mode, const Creds& creds) {
  CreateArgs args{.mode = mode, .uid = creds.uid, .gid = creds.gid};
  if (!(dir.inode().op_flags() & kHasGetattr) && !(dir.inode().mode() & S_ISGID)) return args;
  const Result<Owner> parent = OwnerOf(dir.inode());
  if (!parent || !(parent->mode & S_ISGID)) return args;
  args.gid = parent->gid;
  if (IsDir(mode)) args.mode |= S_ISGID;
  return args;
}

Result<DentryRef> Ops::CreateLocked(const Path& dir, const Name& name, const CreateArgs& args) {
  Dcache::New fresh = TRY(vfs_.dcache().Alloc(*dir.dentry, name));
  InodeRef inode = TRY(dir.inode().ops().Create(dir.inode(), *fresh, args));
  DentryRef made = vfs_.dcache().Add(std::move(fresh), name, std::move(inode));
  vfs_.notify().OnCreate(dir.inode(), *made, name.text());
  return made;
}

namespace {

// A whiteout is a character device 0:0, which anyone may make.
bool IsDevice(const CreateArgs& args) {
  const FileType type = TypeOf(args.mode);
  return type == FileType::kBlock || (type == FileType::kChar && args.rdev != 0);
}

}  // namespace

Result<DentryRef> Ops::Create(const Path& dir, std::string_view name, const CreateArgs& args,
                              const Creds& creds) {
  TRY(CheckName(dir, name, creds));
  const Name hashed(vfs_.hash_key(), name);
  base::WriteLock lock(dir.inode().sem());
  TRY(MayTakeName(dir, hashed, creds));
  if (IsDevice(args) && !creds.Has(Cap::kMknod)) return Err(Errno::kPerm);
  SYNC_POINT(vfs_.sync_points(), "ops:create:checked");
  return CreateLocked(dir, hashed, args);
}

Result<DentryRef> Ops::Mknod(const Path& dir, std::string_view name, Mode mode, DevId rdev,
                             const Creds& creds) {
  CreateArgs args = OwnedBy(dir, mode, creds);
  const FileType type = TypeOf(mode);
  if (type == FileType::kChar || type == FileType::kBlock) args.rdev = rdev;
  return Create(dir, name, args, creds);
}

Result<DentryRef> Ops::Mkdir(const Path& dir, std::string_view name, Mode mode,
                             const Creds& creds) {
  const auto dir_mode = static_cast<Mode>((mode & 01777) | S_IFDIR);
  return Create(dir, name, OwnedBy(dir, dir_mode, creds), creds);
}

Result<DentryRef> Ops::Symlink(const Path& dir, std::string_view name, std::string_view target,
                               const Creds& creds) {
  if (target.empty()) return Err(Errno::kNoEnt);
  if (target.size() >= kPathMax) return Err(Errno::kNameTooLong);
  CreateArgs args = OwnedBy(dir, S_IFLNK | 0777, creds);
  args.target = target;
  return Create(dir, name, args, creds);
}

Result<DentryRef> Ops::Link(const Path& target, const Path& dir, std::string_view name,
                            const Creds& creds) {
  TRY(CheckName(dir, name, creds));
  const Name hashed(vfs_.hash_key(), name);
  Inode& inode = target.inode();
  base::WriteLock lock(dir.inode().sem());
  if (Status free = MayTakeName(dir, hashed, creds); !free && free.error() != Errno::kAccess) {
    return Err(free.error());
  }
  if (target.mount.get() != dir.mount.get()) return Err(Errno::kXDev);
  TRY(MayHardlink(inode, creds));
  TRY(MayCreate(dir, creds));
  if (inode.is_dir()) return Err(Errno::kPerm);
  if (inode.flags() & (kInodeAppend | kInodeImmutable)) return Err(Errno::kPerm);
  base::WriteLock inode_lock(inode.sem(), base::kNested);
  if (inode.nlink() == 0 && !(inode.flags() & kInodeLinkable)) return Err(Errno::kNoEnt);
  Dcache::New fresh = TRY(vfs_.dcache().Alloc(*dir.dentry, hashed));
  TRY(dir.inode().ops().Link(dir.inode(), *fresh, inode));
  Inode::Update(inode).ClearFlag(kInodeLinkable);
  DentryRef made = vfs_.dcache().Add(std::move(fresh), hashed, InodeRef::Share(&inode));
  vfs_.notify().OnLink(dir.inode(), inode, name);
  return made;
}

// --- removing ------------------------------------------------------------------------------------

Status Ops::Unlink(const Path& dir, std::string_view name, const Creds& creds,
                   const MountNamespace* ns) {
  TRY(CheckVictim(dir, name, creds));
  const Name hashed(vfs_.hash_key(), name);
  Dcache::Ending ending(vfs_.dcache());
  DentryRef victim;
  DetachLater mounted(vfs_.mounts());
  base::WriteLock lock(dir.inode().sem());
  victim = TRY(LookupLocked(vfs_, *dir.dentry, hashed));
  TRY(MayDelete(dir, *victim, creds));
  if (victim->is_dir()) return Err(Errno::kIsDir);
  base::WriteLock victim_lock(victim->inode().sem(), base::kNested);
  if (IsMountpoint(*victim, dir, ns)) return Err(Errno::kBusy);
  TRY(dir.inode().ops().Unlink(dir.inode(), *victim));
  // No reference where nothing is mounted: who uses it last decides when watchers hear of its end.
  if (victim->flags() & kDentryMounted) mounted.From(*victim);
  SYNC_POINT(vfs_.sync_points(), "ops:unlink:done");
  Dentry& gone = *victim;
  vfs_.dcache().Delete(victim, ending);
  vfs_.notify().OnDelete(dir.inode(), gone, name);
  RememberRemoved(dir, hashed, NegativeReason::kUnlink);
  return {};
}

// The name that was removed is known not to be, where the file system would have to be asked.
void Ops::RememberRemoved(const Path& dir, const Name& name, NegativeReason reason) {
  if (dir.inode().sb().Has(kSbAuthoritative)) return;
  vfs_.dcache().AddNegative(*dir.dentry, name, vfs_.clock().MonotonicNs(), reason);
}

Status Ops::CheckVictim(const Path& dir, std::string_view name, const Creds& creds) {
  if (!dir.dentry->is_dir()) return Err(Errno::kNotDir);
  TRY(MayAccessInode(dir.inode(), kMayExec, creds));
  TRY(CheckLength(*dir.dentry, name));
  if (dir.mount->read_only()) return Err(Errno::kRoFs);
  return {};
}

Status Ops::Rmdir(const Path& dir, std::string_view name, const Creds& creds,
                  const MountNamespace* ns) {
  TRY(CheckVictim(dir, name, creds));
  const Name hashed(vfs_.hash_key(), name);
  Dcache::Ending ending(vfs_.dcache());
  DentryRef victim;
  {
    base::WriteLock lock(dir.inode().sem());
    victim = TRY(LookupLocked(vfs_, *dir.dentry, hashed));
    TRY(MayDelete(dir, *victim, creds));
    if (!victim->is_dir()) return Err(Errno::kNotDir);
    base::WriteLock victim_lock(victim->inode().sem(), base::kNested);
    if (victim->is_root() || IsMountpoint(*victim, dir, ns)) return Err(Errno::kBusy);
    SYNC_POINT(vfs_.sync_points(), "ops:rmdir:locked");
    TRY(dir.inode().ops().Rmdir(dir.inode(), *victim));
    Inode::Update(victim->inode()).SetFlag(kInodeDead);
    Dentry& gone = *victim;
    vfs_.dcache().Delete(victim, ending);
    vfs_.notify().OnDelete(dir.inode(), gone, name);
    RememberRemoved(dir, hashed, NegativeReason::kRmdir);
  }
  // What was cached below, and mounted there, goes with it; what is dead has had neither.
  if (victim != nullptr) vfs_.dcache().Invalidate(*victim);
  return {};
}

// --- objects -------------------------------------------------------------------------------------

Result<Stat> Ops::Getattr(const Path& path) { return AttrsOf(path.inode()); }

namespace {

Status MayChown(const Stat& attr, const SetAttr& change, const Creds& creds) {
  if (creds.Has(Cap::kChown)) return {};
  const bool owner = attr.uid == creds.uid;
  if (change.uid && (!owner || *change.uid != attr.uid)) return Err(Errno::kPerm);
  const bool own_group = change.gid && (creds.InGroup(*change.gid) || *change.gid == attr.gid);
  if (change.gid && (!owner || !own_group)) return Err(Errno::kPerm);
  return {};
}

// Takes set-id bits away with a change of owner or size; whoever changes the mode is asked for.
void DropSetId(const Stat& attr, SetAttr& change, const Creds& creds) {
  const Mode lost = SetIdLost(attr, creds);
  if (lost != 0) change.mode = attr.mode & 07777 & ~lost;
}

// Permission for a change of attributes, and what the change implies for the mode.
Status PrepareSetattr(const Path& path, const Stat& attr, SetAttr& change, const Creds& creds) {
  const uint32_t flags = path.inode().flags();
  const bool chowns = change.uid || change.gid || change.drops_set_id;
  const bool sets_times = (change.atime || change.mtime) && !change.times_are_now;
  // A chown that changes neither owner nor group is none to these.
  const bool sets = change.mode || change.uid || change.gid;
  const bool touches = change.atime || change.mtime;
  if ((flags & kInodeImmutable) && (sets || touches)) return Err(Errno::kPerm);
  if ((flags & kInodeAppend) && (sets || sets_times)) return Err(Errno::kPerm);
  TRY(MayChown(attr, change, creds));
  if (change.mode && IsSymlink(attr.mode)) return Err(Errno::kOpNotSupp);
  if (chowns && !change.mode && !IsDir(attr.mode)) DropSetId(attr, change, creds);
  if (change.mode) {
    if (!OwnerOrCapable(attr, creds)) return Err(Errno::kPerm);
    const Gid group = change.gid.value_or(attr.gid);
    if (!creds.InGroup(group) && !creds.Has(Cap::kFsetid)) *change.mode &= Mode{07777 & ~S_ISGID};
  }
  if (change.atime || change.mtime) {
    if (OwnerOrCapable(attr, creds)) return {};
    if (!change.times_are_now) return Err(Errno::kPerm);
    return MayAccess(path, kMayWrite, creds);
  }
  return {};
}

// The same for a change of size, the right to write being given.
Status PrepareResize(const Stat& attr, SetAttr& change, const Creds& creds) {
  if (*change.size > attr.size && *change.size > change.size_limit) return Err(Errno::kFBig);
  if (!creds.Has(Cap::kFsetid)) DropSetId(attr, change, creds);
  return {};
}

}  // namespace

Status Ops::Setattr(const Path& path, const SetAttr& attr, const Creds& creds) {
  if (path.mount->read_only()) return Err(Errno::kRoFs);
  Inode& inode = path.inode();
  SetAttr change = attr;
  if (change.size) {
    if (inode.is_dir()) return Err(Errno::kIsDir);
    if (!IsRegular(inode.mode()) || *change.size > INT64_MAX) return Err(Errno::kInval);
    TRY(MayAccess(path, kMayWrite, creds));
    if (inode.flags() & kInodeAppend) return Err(Errno::kPerm);
  }
  const int64_t now = vfs_.clock().NowNs();
  change.ctime = now;
  if (change.size) change.mtime = now;
  base::WriteLock lock(inode.sem());
  const Stat current = TRY(AttrsOf(inode));
  if (change.size == current.size) change.mtime = change.ctime = std::nullopt;
  if (change.size) {
    TRY(PrepareResize(current, change, creds));
  } else {
    TRY(PrepareSetattr(path, current, change, creds));
  }
  TRY(inode.ops().Setattr(inode, change));
  const bool chowns = change.uid || change.gid || change.drops_set_id;
  if (change.size || (chowns && !inode.is_dir())) DropFileCaps(inode);
  vfs_.notify().OnSetattr(*path.dentry, attr);
  return {};
}

Result<std::string> Ops::Readlink(const Path& path) {
  if (path.dentry->type() != FileType::kSymlink) return Err(Errno::kInval);
  return path.inode().ops().Readlink(path.inode());
}

Result<StatFs> Ops::Statfs(const Path& path) {
  StatFs stat = path.inode().sb().Statfs();
  if (path.mount->read_only()) stat.flags |= ST_RDONLY;
  return stat;
}

}  // namespace dentree::vfs
