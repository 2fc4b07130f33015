// Who may do what: mode bits, groups, capabilities, sticky directories.
#include <algorithm>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

bool Creds::InGroup(Gid group) const {
  return group == gid || std::find(groups.begin(), groups.end(), group) != groups.end();
}

namespace {

// The three bits of the mode that apply to the caller.
unsigned BitsFor(const Owner& owner, const Creds& creds) {
  if (owner.uid == creds.uid) return owner.mode >> 6 & 7;
  if (creds.InGroup(owner.gid)) return owner.mode >> 3 & 7;
  return owner.mode & 7;
}

// What a capability allows that the mode does not.
bool Overrides(const Owner& owner, unsigned want, const Creds& creds) {
  const bool dir = IsDir(owner.mode);
  if (creds.Has(Cap::kDacReadSearch)) {
    if (dir ? !(want & kMayWrite) : want == kMayRead) return true;
  }
  if (!creds.Has(Cap::kDacOverride)) return false;
  // Executing a file takes one execute bit at least, whoever asks.
  return dir || !(want & kMayExec) || (owner.mode & 0111);
}

}  // namespace

Status GenericPermission(const Owner& owner, unsigned want, const Creds& creds) {
  if ((want & ~BitsFor(owner, creds)) == 0) return {};
  if (Overrides(owner, want, creds)) return {};
  return base::Err(Errno::kAccess);
}

namespace {

// What MayAccessInode cannot tell at a glance.
[[gnu::noinline]] Status MayAccessSlow(Inode& inode, unsigned want, const Creds& creds) {
  if ((want & kMayWrite) && (inode.flags() & kInodeImmutable)) return base::Err(Errno::kPerm);
  if (inode.op_flags() & kHasPermission) return inode.ops().Permission(inode, want, creds);
  if (!(inode.op_flags() & kHasGetattr)) return GenericPermission(inode.OwnerNow(), want, creds);
  return GenericPermission(TRY(inode.ops().Getattr(inode)), want, creds);
}

}  // namespace

Status MayAccessInode(Inode& inode, unsigned want, const Creds& creds) {
  // The owner and his bits: of one moment, as the other two are not looked at.
  const bool plain =
      !(inode.op_flags() & (kHasPermission | kHasGetattr)) && !(inode.flags() & kInodeImmutable);
  if (plain && inode.OwnerMay(creds.uid, want)) [[likely]]
    return {};
  return MayAccessSlow(inode, want, creds);
}

// That a file system is read-only is told before what the object allows, that a mount is after it.
Status MayAccess(const Path& path, unsigned want, const Creds& creds) {
  const FileType type = path.dentry->type();
  const bool data =
      type == FileType::kRegular || type == FileType::kDir || type == FileType::kSymlink;
  const bool writes = data && (want & kMayWrite);
  if (writes && path.mount->sb().read_only()) return base::Err(Errno::kRoFs);
  TRY(MayAccessInode(path.inode(), want, creds));
  if (writes && path.mount->read_only()) return base::Err(Errno::kRoFs);
  return {};
}

Result<Owner> OwnerOf(Inode& inode) {
  if (inode.op_flags() & kHasGetattr) return Owner(TRY(inode.ops().Getattr(inode)));
  return inode.OwnerNow();
}

Result<Stat> AttrsOf(Inode& inode) {
  if (inode.op_flags() & kHasGetattr) return inode.ops().Getattr(inode);
  return inode.Attrs();
}

bool OwnerOrCapable(const Stat& attr, const Creds& creds) {
  return attr.uid == creds.uid || creds.Has(Cap::kFowner);
}

Mode SetIdLost(const Stat& attr, const Creds& creds) {
  Mode lost = attr.mode & S_ISUID;
  const bool stranger = !creds.InGroup(attr.gid) && !creds.Has(Cap::kFsetid);
  // Without execution by the group it marked mandatory locks once, and whoever may keeps it.
  if ((attr.mode & S_IXGRP) || stranger) lost |= attr.mode & S_ISGID;
  return lost;
}

Status MayDelete(const Path& dir, Dentry& victim, const Creds& creds) {
  Inode& parent = dir.inode();
  TRY(MayAccessInode(parent, kMayWrite | kMayExec, creds));
  if (parent.flags() & kInodeAppend) return base::Err(Errno::kPerm);
  if (creds.Has(Cap::kFowner)) {
    // Sticky directories let him.
  } else if (const Owner dir_owner = TRY(OwnerOf(parent)); dir_owner.mode & S_ISVTX) {
    const Owner owner = TRY(OwnerOf(victim.inode()));
    if (owner.uid != creds.uid && dir_owner.uid != creds.uid) return base::Err(Errno::kPerm);
  }
  const bool fixed = victim.inode().flags() & (kInodeAppend | kInodeImmutable);
  if (fixed) return base::Err(Errno::kPerm);
  return {};
}

Status MayCreate(const Path& dir, const Creds& creds) {
  if (dir.inode().dead() || dir.dentry->unhashed()) return base::Err(Errno::kNoEnt);
  return MayAccessInode(dir.inode(), kMayWrite | kMayExec, creds);
}

Status MayHardlink(Inode& inode, const Creds& creds) {
  const Owner attr = TRY(OwnerOf(inode));
  if (attr.uid == creds.uid || creds.Has(Cap::kFowner)) return {};
  constexpr Mode kSetgidExec = S_ISGID | S_IXGRP;
  const bool safe = IsRegular(attr.mode) && !(attr.mode & S_ISUID) &&
                    (attr.mode & kSetgidExec) != kSetgidExec &&
                    MayAccessInode(inode, kMayRead | kMayWrite, creds);
  if (!safe) return base::Err(Errno::kPerm);
  return {};
}

Mode StripSetGroupId(const Path& dir, Mode mode, const Creds& creds) {
  constexpr Mode kGroupExec = S_ISGID | S_IXGRP;
  if ((mode & kGroupExec) != kGroupExec || creds.Has(Cap::kFsetid)) return mode;
  const Result<Owner> owner = OwnerOf(dir.inode());
  if (!owner || !(owner->mode & S_ISGID) || creds.InGroup(owner->gid)) return mode;
  return mode & static_cast<Mode>(~S_ISGID);
}

}  // namespace dentree::vfs
