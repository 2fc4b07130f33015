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
unsigned BitsFor(const Stat& attr, const Creds& creds) {
  if (attr.uid == creds.uid) return attr.mode >> 6 & 7;
  if (creds.InGroup(attr.gid)) return attr.mode >> 3 & 7;
  return attr.mode & 7;
}

// What a capability allows that the mode does not.
bool Overrides(const Stat& attr, unsigned want, const Creds& creds) {
  const bool dir = IsDir(attr.mode);
  if (creds.Has(Cap::kDacReadSearch)) {
    if (dir ? !(want & kMayWrite) : want == kMayRead) return true;
  }
  if (!creds.Has(Cap::kDacOverride)) return false;
  // Executing a file takes one execute bit at least, whoever asks.
  return dir || !(want & kMayExec) || (attr.mode & 0111);
}

}  // namespace

Status GenericPermission(const Stat& attr, unsigned want, const Creds& creds) {
  if ((want & ~BitsFor(attr, creds)) == 0) return {};
  if (Overrides(attr, want, creds)) return {};
  return base::Err(Errno::kAccess);
}

Status MayAccessInode(Inode& inode, unsigned want, const Creds& creds) {
  if ((want & kMayWrite) && (inode.flags() & kInodeImmutable)) return base::Err(Errno::kPerm);
  if (inode.op_flags() & kHasPermission) return inode.ops().Permission(inode, want, creds);
  return GenericPermission(TRY(AttrsOf(inode)), want, creds);
}

Status MayAccess(const Path& path, unsigned want, const Creds& creds) {
  if (want & kMayWrite) {
    const FileType type = path.dentry->type();
    const bool data =
        type == FileType::kRegular || type == FileType::kDir || type == FileType::kSymlink;
    if (data && path.mount->read_only()) return base::Err(Errno::kRoFs);
  }
  return MayAccessInode(path.inode(), want, creds);
}

Result<Stat> AttrsOf(Inode& inode) {
  if (inode.op_flags() & kHasGetattr) return inode.ops().Getattr(inode);
  return inode.Attrs();
}

Status MayDelete(const Path& dir, Dentry& victim, const Creds& creds) {
  Inode& parent = dir.inode();
  TRY(MayAccessInode(parent, kMayWrite | kMayExec, creds));
  if (parent.flags() & kInodeAppend) return base::Err(Errno::kPerm);
  const Stat dir_attr = TRY(AttrsOf(parent));
  const Stat attr = TRY(AttrsOf(victim.inode()));
  const bool sticky = (dir_attr.mode & S_ISVTX) && attr.uid != creds.uid &&
                      dir_attr.uid != creds.uid && !creds.Has(Cap::kFowner);
  const bool fixed = victim.inode().flags() & (kInodeAppend | kInodeImmutable);
  if (sticky || fixed) return base::Err(Errno::kPerm);
  return {};
}

Status MayCreate(const Path& dir, const Creds& creds) {
  if (dir.inode().dead() || dir.dentry->unhashed()) return base::Err(Errno::kNoEnt);
  return MayAccessInode(dir.inode(), kMayWrite | kMayExec, creds);
}

Status MayHardlink(Inode& inode, const Creds& creds) {
  const Stat attr = TRY(AttrsOf(inode));
  if (attr.uid == creds.uid || creds.Has(Cap::kFowner)) return {};
  constexpr Mode kSetgidExec = S_ISGID | S_IXGRP;
  const bool safe = IsRegular(attr.mode) && !(attr.mode & S_ISUID) &&
                    (attr.mode & kSetgidExec) != kSetgidExec &&
                    MayAccessInode(inode, kMayRead | kMayWrite, creds);
  if (!safe) return base::Err(Errno::kPerm);
  return {};
}

}  // namespace dentree::vfs
