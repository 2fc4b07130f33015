// Extended attributes and file flags, the same for every type.
#include <cstring>

#include "ramfs/super_internal.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::Inode;
using vfs::Result;
using vfs::Status;

namespace {

struct FlagPair {
  uint32_t file;   // vfs::FileFlags
  uint32_t inode;  // vfs::InodeFlags
};
constexpr FlagPair kFlags[] = {{vfs::kFlImmutable, vfs::kInodeImmutable},
                               {vfs::kFlAppend, vfs::kInodeAppend},
                               {vfs::kFlNoDump, vfs::kInodeNoDump},
                               {vfs::kFlNoAtime, vfs::kInodeNoAtime}};

// The families that are kept here. A family is not a name.
Status CheckFamily(std::string_view name) {
  for (const std::string_view family : {"user.", "trusted.", "security."}) {
    if (!name.starts_with(family)) continue;
    if (name.size() == family.size()) return Err(Errno::kInval);
    return {};
  }
  return Err(Errno::kOpNotSupp);
}

void Changed(Inode& inode) { Inode::Update(inode).Ctime(inode.vfs().clock().NowNs()); }

}  // namespace

Result<uint32_t> CommonOps::GetFlags(Inode& inode) const {
  uint32_t flags = 0;
  for (const FlagPair& pair : kFlags) {
    if (inode.flags() & pair.inode) flags |= pair.file;
  }
  return flags;
}

Status CommonOps::SetFlags(Inode& inode, uint32_t flags) const {
  uint32_t set = 0;
  uint32_t clear = 0;
  for (const FlagPair& pair : kFlags) {
    (flags & pair.file ? set : clear) |= pair.inode;
    flags &= ~pair.file;
  }
  if (flags != 0) return Err(Errno::kOpNotSupp);
  Inode::Update(inode).SetFlag(set).ClearFlag(clear).Ctime(inode.vfs().clock().NowNs());
  return {};
}

Result<size_t> CommonOps::Getxattr(Inode& inode, std::string_view name,
                                   std::span<std::byte> out) const {
  TRY(CheckFamily(name));
  const Xattrs* const xattrs = RamfsSuper::XattrsOf(inode);
  const auto value = xattrs == nullptr ? std::nullopt : xattrs->Find(name);
  if (!value) return Err(Errno::kNoData);
  if (out.empty() || value->empty()) return value->size();
  if (out.size() < value->size()) return Err(Errno::kRange);
  std::memcpy(out.data(), value->data(), value->size());
  return value->size();
}

Status CommonOps::Setxattr(Inode& inode, std::string_view name, std::span<const std::byte> value,
                           int flags) const {
  TRY(CheckFamily(name));
  RamfsSuper& sb = SuperOf(inode);
  const Xattrs* const old = RamfsSuper::XattrsOf(inode);
  const bool there = old != nullptr && old->Find(name);
  Quota& quota = sb.inode_space();
  const uint64_t space = Xattrs::SpaceOf(name.size(), value.size());
  if (!quota.Take(space)) return Err(Errno::kNoSpc);
  const auto fail = [&](Errno error) -> Status {
    quota.Give(space);
    return Err(error);
  };
  if (there && (flags & vfs::kXattrCreate)) return fail(Errno::kExist);
  if (!there && (flags & vfs::kXattrReplace)) return fail(Errno::kNoData);
  const Result<Xattrs*> xattrs = sb.MakeXattrs(inode);
  if (!xattrs) return fail(xattrs.error());
  const Result<uint64_t> freed = (*xattrs)->Set(sb.memory(), name, value);
  if (!freed) return fail(freed.error());
  quota.Give(*freed);
  Changed(inode);
  return {};
}

Result<size_t> CommonOps::Listxattr(Inode& inode, std::span<char> out, Trusted trusted) const {
  const Xattrs* const xattrs = RamfsSuper::XattrsOf(inode);
  size_t size = 0;
  for (size_t i = 0; xattrs != nullptr && i < xattrs->size(); ++i) {
    const std::string_view name = xattrs->NameAt(i);
    if (trusted == Trusted::kHide && name.starts_with("trusted.")) continue;
    if (!out.empty()) {
      if (out.size() - size <= name.size()) return Err(Errno::kRange);
      std::memcpy(&out[size], name.data(), name.size());
      out[size + name.size()] = '\0';
    }
    size += name.size() + 1;
  }
  return size;
}

Status CommonOps::Removexattr(Inode& inode, std::string_view name) const {
  TRY(CheckFamily(name));
  if (RamfsSuper::XattrsOf(inode) == nullptr) return Err(Errno::kNoData);
  RamfsSuper& sb = SuperOf(inode);
  Xattrs* const xattrs = TRY(sb.MakeXattrs(inode));
  const uint64_t freed = xattrs->Remove(sb.memory(), name);
  if (freed == 0) return Err(Errno::kNoData);
  sb.inode_space().Give(freed);
  Changed(inode);
  return {};
}

}  // namespace dentree::ramfs
