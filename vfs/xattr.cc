// Extended attributes and file flags: who may do what to them.
#include <sys/inotify.h>

#include <array>
#include <cstring>

#include "vfs/ops.h"
#include "vfs/permission_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

namespace {

constexpr std::string_view kUser = "user.";
constexpr std::string_view kTrusted = "trusted.";
constexpr std::string_view kSecurity = "security.";
constexpr std::string_view kSystem = "system.";

// May the caller read (kMayRead) or change (kMayWrite) this attribute? What must not be seen is
// not there.
Status MayXattr(Inode& inode, std::string_view name, unsigned want, const Creds& creds) {
  const bool writes = want & kMayWrite;
  if (writes && (inode.flags() & (kInodeAppend | kInodeImmutable))) return Err(Errno::kPerm);
  if (name.starts_with(kSecurity) || name.starts_with(kSystem)) return {};
  const Errno hidden = writes ? Errno::kPerm : Errno::kNoData;
  if (name.starts_with(kTrusted)) {
    if (!creds.Has(Cap::kSysAdmin)) return Err(hidden);
    return {};
  }
  if (name.starts_with(kUser)) {
    const Stat attr = TRY(AttrsOf(inode));
    if (!IsRegular(attr.mode) && !IsDir(attr.mode)) return Err(hidden);
    const bool shared = IsDir(attr.mode) && (attr.mode & S_ISVTX);
    if (shared && writes && !OwnerOrCapable(attr, creds)) return Err(Errno::kPerm);
  }
  return MayAccessInode(inode, want, creds);
}

// security.* takes a capability to change; that of a program's own capabilities another one.
Status MaySecurity(std::string_view name, const Creds& creds) {
  if (!name.starts_with(kSecurity)) return {};
  const Cap needed = name == kXattrFileCaps ? Cap::kSetfcap : Cap::kSysAdmin;
  if (!creds.Has(needed)) return Err(Errno::kPerm);
  return {};
}

// struct vfs_cap_data of <linux/capability.h>: a revision, which says the size.
bool IsFileCaps(std::span<const std::byte> value) {
  std::array<uint8_t, 4> magic{};
  if (value.size() < magic.size()) return false;
  std::memcpy(magic.data(), value.data(), magic.size());
  return (magic[3] == 2 && value.size() == 20) || (magic[3] == 3 && value.size() == 24);
}

}  // namespace

Status CheckXattrName(std::string_view name) {
  if (name.empty() || name.size() > kXattrNameMax) return Err(Errno::kRange);
  return {};
}

Status CheckXattr(std::string_view name, std::span<const std::byte> value, int flags) {
  if (flags & ~(kXattrCreate | kXattrReplace)) return Err(Errno::kInval);
  TRY(CheckXattrName(name));
  if (value.size() > kXattrSizeMax) return Err(Errno::kTooBig);
  return {};
}

void DropFileCaps(Inode& inode) {
  if (!(inode.flags() & kInodeFileCaps)) return;
  (void)inode.ops().Removexattr(inode, kXattrFileCaps);
  Inode::Update(inode).ClearFlag(kInodeFileCaps);
}

Result<size_t> Ops::Getxattr(const Path& path, std::string_view name, std::span<std::byte> out,
                             const Creds& creds) {
  TRY(CheckXattrName(name));
  Inode& inode = path.inode();
  TRY(MayXattr(inode, name, kMayRead, creds));
  base::ReadLock lock(inode.sem());
  return inode.ops().Getxattr(inode, name, out);
}

Status Ops::Setxattr(const Path& path, std::string_view name, std::span<const std::byte> value,
                     int flags, const Creds& creds) {
  TRY(CheckXattr(name, value, flags));
  if (path.mount->read_only()) return Err(Errno::kRoFs);
  const bool caps = name == kXattrFileCaps;
  if (caps && !value.empty() && !IsFileCaps(value)) return Err(Errno::kInval);
  Inode& inode = path.inode();
  base::WriteLock lock(inode.sem());
  TRY(MayXattr(inode, name, kMayWrite, creds));
  TRY(MaySecurity(name, creds));
  TRY(inode.ops().Setxattr(inode, name, value, flags));
  if (caps) Inode::Update(inode).SetFlag(kInodeFileCaps);
  vfs_.notify().OnDentry(*path.dentry, IN_ATTRIB);
  return {};
}

Result<size_t> Ops::Listxattr(const Path& path, std::span<char> out, const Creds& creds) {
  Inode& inode = path.inode();
  out = out.first(std::min(out.size(), kXattrListMax));
  const auto trusted =
      creds.Has(Cap::kSysAdmin) ? InodeOps::Trusted::kShow : InodeOps::Trusted::kHide;
  base::ReadLock lock(inode.sem());
  const Result<size_t> size = inode.ops().Listxattr(inode, out, trusted);
  const bool never_fits = out.size() == kXattrListMax;
  if (!size && size.error() == Errno::kRange && never_fits) return Err(Errno::kTooBig);
  return size;
}

Status Ops::Removexattr(const Path& path, std::string_view name, const Creds& creds) {
  TRY(CheckXattrName(name));
  if (path.mount->read_only()) return Err(Errno::kRoFs);
  Inode& inode = path.inode();
  base::WriteLock lock(inode.sem());
  TRY(MayXattr(inode, name, kMayWrite, creds));
  TRY(MaySecurity(name, creds));
  TRY(inode.ops().Removexattr(inode, name));
  if (name == kXattrFileCaps) Inode::Update(inode).ClearFlag(kInodeFileCaps);
  vfs_.notify().OnDentry(*path.dentry, IN_ATTRIB);
  return {};
}

// --- flags --------------------------------------------------------------------------------------

Result<uint32_t> Ops::GetFlags(const Path& path) {
  return path.inode().ops().GetFlags(path.inode());
}

Status Ops::SetFlags(const Path& path, uint32_t flags, const Creds& creds) {
  if (path.mount->read_only()) return Err(Errno::kRoFs);
  Inode& inode = path.inode();
  base::WriteLock lock(inode.sem());
  const uint32_t old = TRY(inode.ops().GetFlags(inode));
  const Stat attr = TRY(AttrsOf(inode));
  if (!OwnerOrCapable(attr, creds)) return Err(Errno::kPerm);
  const bool guarded = (old ^ flags) & (kFlAppend | kFlImmutable);
  if (guarded && !creds.Has(Cap::kLinuxImmutable)) return Err(Errno::kPerm);
  return inode.ops().SetFlags(inode, flags);
}

}  // namespace dentree::vfs
