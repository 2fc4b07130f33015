// What a file system that implements nothing answers: Linux's errno for a missing operation.
#include "vfs/inode_ops.h"

#include <poll.h>

#include "vfs/file.h"
#include "vfs/permission_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

Result<InodeRef> InodeOps::Lookup(Inode&, const Name&) const { return Err(Errno::kNotDir); }

Result<InodeRef> InodeOps::Create(Inode&, Dentry&, const CreateArgs& args) const {
  return Err(IsRegular(args.mode) ? Errno::kAccess : Errno::kPerm);
}

Status InodeOps::Link(Inode&, Dentry&, Inode&) const { return Err(Errno::kPerm); }
Status InodeOps::Unlink(Inode&, Dentry&) const { return Err(Errno::kPerm); }
Status InodeOps::Rmdir(Inode&, Dentry&) const { return Err(Errno::kPerm); }

Status InodeOps::Rename(Inode&, Dentry&, Inode&, const Name&, Dentry*, unsigned) const {
  return Err(Errno::kPerm);
}

Result<InodeRef> InodeOps::Tmpfile(Inode&, Dentry&, const CreateArgs&) const {
  return Err(Errno::kOpNotSupp);
}

Result<InodeRef> InodeOps::RenameWhiteout(Inode&, Dentry&, Inode&, const Name&, Dentry*, Dentry&,
                                          const CreateArgs&) const {
  return Err(Errno::kInval);
}

Result<uint32_t> InodeOps::GetFlags(Inode&) const { return Err(Errno::kNotTy); }
Status InodeOps::SetFlags(Inode&, uint32_t) const { return Err(Errno::kNotTy); }

Result<size_t> InodeOps::Getxattr(Inode&, std::string_view, std::span<std::byte>) const {
  return Err(Errno::kOpNotSupp);
}
Status InodeOps::Setxattr(Inode&, std::string_view, std::span<const std::byte>, int) const {
  return Err(Errno::kOpNotSupp);
}
Result<size_t> InodeOps::Listxattr(Inode&, std::span<char>, Trusted) const { return 0; }
Status InodeOps::Removexattr(Inode&, std::string_view) const { return Err(Errno::kOpNotSupp); }

Result<std::string> InodeOps::Readlink(Inode&) const { return Err(Errno::kInval); }

Result<Stat> InodeOps::Getattr(Inode& inode) const { return inode.Attrs(); }

Status InodeOps::Setattr(Inode& inode, const SetAttr& attr) const {
  ApplyAttr(inode, attr);
  return {};
}

Status InodeOps::Permission(Inode& inode, unsigned want, const Creds& creds) const {
  return GenericPermission(TRY(OwnerOf(inode)), want, creds);
}

Validity InodeOps::Revalidate(const Inode&, const Dentry&) const { return Validity::kValid; }

Validity InodeOps::AskAgain(Inode&, Dentry&) const { return Validity::kStale; }

std::optional<int> FileOps::HostFd(File&) const { return std::nullopt; }
void FileOps::HostWrote(File&) const {}

std::optional<Stat> InodeOps::AttrsNowait(Inode&) const { return std::nullopt; }

Validity InodeOps::RevalidateMissing(const Inode&, const Name&, uint32_t) const {
  return Validity::kValid;
}

std::optional<Stat> InodeOps::AttrsRcu(const Inode&) const { return std::nullopt; }
std::optional<std::string_view> InodeOps::LinkRcu(const Inode&) const { return std::nullopt; }
Validity InodeOps::RevalidateRcu(const Inode&) const { return Validity::kStale; }

Result<const FileOps*> InodeOps::OpenOps(Inode&) const { return Err(Errno::kNxIo); }

Status FileOps::Open(File&) const { return {}; }
void FileOps::Release(File&) const {}

Result<size_t> FileOps::Read(File&, std::span<std::byte>, uint64_t) const {
  return Err(Errno::kInval);
}
Result<size_t> FileOps::Write(File&, std::span<const std::byte>, uint64_t) const {
  return Err(Errno::kInval);
}
Result<size_t> FileOps::ReadNowait(File& file, std::span<std::byte> out, uint64_t pos,
                                   Waiter*) const {
  return Read(file, out, pos);
}
Result<size_t> FileOps::WriteNowait(File& file, std::span<const std::byte> in, uint64_t pos,
                                    Waiter*) const {
  return Write(file, in, pos);
}
Result<size_t> FileOps::ReadVec(File& file, std::span<const std::span<std::byte>> out,
                                uint64_t pos) const {
  size_t done = 0;
  for (const std::span<std::byte> part : out) {
    if (part.empty()) continue;
    const Result<size_t> n = Read(file, part, pos + done);
    if (!n && done == 0) return n;
    if (n) done += *n;
    if (!n || *n < part.size()) break;
  }
  return done;
}
Result<size_t> FileOps::WriteVec(File& file, std::span<const std::span<const std::byte>> in,
                                 uint64_t pos, uint64_t) const {
  size_t done = 0;
  for (const std::span<const std::byte> part : in) {
    if (part.empty()) continue;
    const Result<size_t> n = Write(file, part, pos + done);
    if (!n && done == 0) return n;
    if (n) done += *n;
    if (!n || *n < part.size()) break;
  }
  return done;
}
Status FileOps::Fallocate(File&, int, uint64_t, uint64_t) const { return Err(Errno::kOpNotSupp); }
Result<int64_t> FileOps::Iterate(File&, int64_t, DirSink&) const { return Err(Errno::kNotDir); }

Result<uint64_t> FileOps::Seek(File& file, int64_t offset, Whence whence) const {
  const auto size = static_cast<int64_t>(file.inode().size());
  switch (whence) {
    case Whence::kSet:
      break;
    case Whence::kEnd:
      if (__builtin_add_overflow(offset, size, &offset)) return Err(Errno::kInval);
      break;
    case Whence::kData:
    case Whence::kHole:
      // One extent of data, and the hole at its end.
      if (offset < 0 || offset >= size) return Err(Errno::kNxIo);
      return static_cast<uint64_t>(whence == Whence::kData ? offset : size);
    default:
      return Err(Errno::kInval);
  }
  if (offset < 0) return Err(Errno::kInval);
  return static_cast<uint64_t>(offset);
}

PollEvents FileOps::Poll(File&) const { return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM; }
Status FileOps::Fsync(File&) const { return {}; }
Result<uint64_t> FileOps::Ioctl(File&, unsigned, uint64_t) const { return Err(Errno::kNotTy); }

Status FileOps::Truncate(File& file, uint64_t size) const {
  Inode& inode = file.inode();
  const int64_t now = inode.vfs().clock().NowNs();
  base::WriteLock lock(inode.sem());
  return inode.ops().Setattr(inode, SetAttr{.size = size, .mtime = now, .ctime = now});
}

void ApplyAttr(Inode& inode, const SetAttr& attr) {
  Inode::Update update(inode);
  if (attr.mode) update.Mode(static_cast<Mode>((inode.mode() & ~07777) | (*attr.mode & 07777)));
  if (attr.uid || attr.gid) {
    update.Owner(attr.uid.value_or(inode.uid()), attr.gid.value_or(inode.gid()));
  }
  if (attr.atime) update.Atime(*attr.atime);
  if (attr.mtime) update.Mtime(*attr.mtime);
  if (attr.ctime) update.Ctime(*attr.ctime);
}

}  // namespace dentree::vfs
