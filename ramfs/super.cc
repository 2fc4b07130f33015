#include "ramfs/super_internal.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_format.h"
#include "ramfs/ramfs.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::FileType;
using vfs::Inode;
using vfs::InodeRef;
using vfs::Result;
using vfs::Status;

namespace {

constexpr uint32_t kFlags = vfs::kSbPinned | vfs::kSbAuthoritative | vfs::kSbNoInodeCache;

constexpr const char kTargetSite[] = "mm:ramfs_symlink";

// What new files have of their directory's flags.
constexpr uint32_t kInherited = vfs::kInodeNoDump | vfs::kInodeNoAtime;

}  // namespace

SymlinkTarget* SymlinkTarget::New(mm::Memory& memory, std::string_view target) {
  void* const place = memory.AllocBytes(Bytes(target.size()), kTargetSite);
  if (place == nullptr) return nullptr;
  auto* const made = ::new (place) SymlinkTarget(memory, target.size());
  std::memcpy(static_cast<char*>(place) + sizeof(SymlinkTarget), target.data(), target.size());
  return made;
}

void SymlinkTarget::Retire(base::RcuDomain& rcu, SymlinkTarget* target) {
  rcu.Retire(
      &target->free_,
      [](base::RcuHead* head) {
        auto* const dead =
            base::ObjectOf<SymlinkTarget, base::RcuHead, &SymlinkTarget::free_>(head);
        dead->memory_.FreeBytes(dead, Bytes(dead->size_));
      },
      Bytes(target->size_));
}

uint64_t SizeLimit::PagesIn(const mm::Memory& memory) const {
  if (percent == 0) return pages;
  const uint64_t all = memory.limit() != mm::Memory::kNoLimit
                           ? memory.limit() / kPageBytes
                           : static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  return std::max<uint64_t>(1, (all * percent + 99) / 100);
}

RamfsSuper::RamfsSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, const Settings& settings)
    : SuperBlock(vfs, {.type = &type, .magic = kMagic, .flags = kFlags}),
      settings_(settings),
      pages_(vfs.memory()),
      dirs_(vfs.memory(), "ramfs_dir"),
      contents_(vfs.memory(), "ramfs_file"),
      holders_(vfs.memory(), "ramfs_special"),
      xattrs_(vfs.memory(), "ramfs_xattrs") {
  pages_.quota().SetMax(settings.size.value_or(SizeLimit()).PagesIn(vfs.memory()));
  inode_space_.SetMax(settings.max_inodes.value_or(0) * kInodeSpace);
}

Result<InodeRef> RamfsSuper::NewInode(const vfs::CreateArgs& args, const Inode* dir) {
  if (!inode_space_.Take(kInodeSpace)) return Err(Errno::kNoSpc);
  vfs::Icache& icache = vfs().icache();
  auto inode = icache.New(*this, OpsFor(vfs::TypeOf(args.mode)), icache.NextIno(), args.mode);
  if (!inode) {
    inode_space_.Give(kInodeSpace);
    return inode;
  }
  TRY(FillNew(**inode, args));
  const uint32_t flags = dir == nullptr ? 0 : dir->flags() & kInherited;
  if (flags != 0) Inode::Update(**inode, Inode::Unpublished()).SetFlag(flags);
  return inode;
}

Status RamfsSuper::FillNew(Inode& inode, const vfs::CreateArgs& args) {
  const FileType type = vfs::TypeOf(args.mode);
  if (type == FileType::kDir) {
    inode.set_private_data(dirs_.New());
  } else if (type == FileType::kSymlink) {
    inode.set_private_data(SymlinkTarget::New(memory(), args.target));
  }
  const bool needs_data = type == FileType::kDir || type == FileType::kSymlink;
  if (needs_data && inode.private_data() == nullptr) return Err(Errno::kNoMem);
  if (type == FileType::kChar || type == FileType::kBlock) inode.set_rdev(args.rdev);
  if (type == FileType::kRegular) inode.set_op_flags(vfs::kCountsPages);
  Inode::Update(inode, Inode::Unpublished())
      .Owner(args.uid, args.gid)
      .Nlink(type == FileType::kDir ? 2 : 1)
      .Size(args.target.size());
  return {};
}

Result<Content*> RamfsSuper::MakeContent(Inode& inode) {
  if (inode.private_data() == nullptr) {
    Content* const content = contents_.New();
    if (content == nullptr) return Err(Errno::kNoMem);
    inode.set_private_data(content);
  }
  return &inode.priv<Content>();
}

Status RamfsSuper::Resize(const Settings& settings) {
  const uint64_t old_max_pages = pages_.quota().max();
  const uint64_t max_pages = settings.size ? settings.size->PagesIn(memory()) : old_max_pages;
  if (!pages_.quota().SetMax(max_pages)) return Err(Errno::kInval);
  const uint64_t max_inodes = settings.max_inodes.value_or(inode_space_.max() / kInodeSpace);
  if (!inode_space_.SetMax(max_inodes * kInodeSpace)) {
    pages_.quota().SetMax(old_max_pages);
    return Err(Errno::kInval);
  }
  return {};
}

XattrHolder* RamfsSuper::HolderOf(const Inode& inode) {
  if (inode.private_data() == nullptr) return nullptr;
  switch (inode.type()) {
    case FileType::kDir:
      return &inode.priv<DirIndex>();
    case FileType::kRegular:
      return &inode.priv<Content>();
    case FileType::kSymlink:
      return &inode.priv<SymlinkTarget>();
    default:
      return &inode.priv<XattrHolder>();
  }
}

const Xattrs* RamfsSuper::XattrsOf(const Inode& inode) {
  const XattrHolder* const holder = HolderOf(inode);
  return holder == nullptr ? nullptr : holder->xattrs;
}

Result<Xattrs*> RamfsSuper::MakeXattrs(Inode& inode) {
  if (inode.private_data() == nullptr) {
    if (inode.type() == FileType::kRegular) {
      TRY(MakeContent(inode));
    } else {
      inode.set_private_data(holders_.New());
    }
  }
  XattrHolder* const holder = HolderOf(inode);
  if (holder == nullptr) return Err(Errno::kNoMem);
  if (holder->xattrs == nullptr) holder->xattrs = xattrs_.New();
  if (holder->xattrs == nullptr) return Err(Errno::kNoMem);
  return holder->xattrs;
}

void RamfsSuper::EvictInode(Inode& inode) {
  inode_space_.Give(kInodeSpace);
  XattrHolder* const holder = HolderOf(inode);
  if (holder == nullptr) return;
  if (holder->xattrs != nullptr) {
    inode_space_.Give(holder->xattrs->Clear(memory()));
    xattrs_.Delete(holder->xattrs);
  }
  switch (inode.type()) {
    case FileType::kDir:
      inode.priv<DirIndex>().Free(memory());
      dirs_.Delete(&inode.priv<DirIndex>());
      break;
    case FileType::kRegular:
      inode.priv<Content>().Cut(pages_, 0);
      contents_.Delete(&inode.priv<Content>());
      break;
    case FileType::kSymlink:
      SymlinkTarget::Retire(vfs().rcu(), &inode.priv<SymlinkTarget>());
      break;
    default:
      holders_.Delete(holder);
  }
}

vfs::StatFs RamfsSuper::Statfs() const {
  const Quota& pages = pages_.quota();
  return {.magic = magic(),
          .bsize = kPageBytes,
          .blocks = pages.max(),
          .bfree = pages.left(),
          .bavail = pages.left(),
          .files = inode_space_.max() / kInodeSpace,
          .ffree = inode_space_.left() / kInodeSpace};
}

std::string RamfsSuper::ShowOptions() const {
  std::string text;
  const uint64_t max_pages = pages_.quota().max();
  if (max_pages != 0) absl::StrAppendFormat(&text, ",size=%dk", max_pages * kPageBytes / 1024);
  if (inode_space_.max() != 0) {
    absl::StrAppendFormat(&text, ",nr_inodes=%d", inode_space_.max() / kInodeSpace);
  }
  if (settings_.mode) absl::StrAppendFormat(&text, ",mode=%03o", *settings_.mode);
  if (settings_.uid) absl::StrAppendFormat(&text, ",uid=%d", *settings_.uid);
  if (settings_.gid) absl::StrAppendFormat(&text, ",gid=%d", *settings_.gid);
  return text;
}

}  // namespace dentree::ramfs
