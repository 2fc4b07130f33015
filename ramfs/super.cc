#include "ramfs/super_internal.h"

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

RamfsSuper::RamfsSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, const Settings& settings)
    : SuperBlock(vfs, {.type = &type, .magic = kMagic, .flags = kFlags}),
      settings_(settings),
      pages_(vfs.memory()),
      dirs_(vfs.memory(), "ramfs_dir"),
      contents_(vfs.memory(), "ramfs_file") {
  pages_.quota().SetMax(settings.max_pages.value_or(0));
  inodes_.SetMax(settings.max_inodes.value_or(0));
}

Result<InodeRef> RamfsSuper::NewInode(const vfs::CreateArgs& args) {
  if (!inodes_.Take()) return Err(Errno::kNoSpc);
  vfs::Icache& icache = vfs().icache();
  auto inode = icache.New(*this, OpsFor(vfs::TypeOf(args.mode)), icache.NextIno(), args.mode);
  if (!inode) {
    inodes_.Give();
    return inode;
  }
  TRY(FillNew(**inode, args));
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
  inode.set_rdev(args.rdev);
  Inode::Update(inode)
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
  if (!pages_.quota().SetMax(settings.max_pages.value_or(old_max_pages))) return Err(Errno::kInval);
  if (!inodes_.SetMax(settings.max_inodes.value_or(inodes_.max()))) {
    pages_.quota().SetMax(old_max_pages);
    return Err(Errno::kInval);
  }
  return {};
}

void RamfsSuper::EvictInode(Inode& inode) {
  inodes_.Give();
  if (inode.private_data() == nullptr) return;
  switch (inode.type()) {
    case FileType::kDir:
      inode.priv<DirIndex>().Free(memory());
      dirs_.Delete(&inode.priv<DirIndex>());
      break;
    case FileType::kRegular:
      inode.priv<Content>().Cut(pages_, 0);
      contents_.Delete(&inode.priv<Content>());
      break;
    default:
      SymlinkTarget::Retire(vfs().rcu(), &inode.priv<SymlinkTarget>());
  }
}

vfs::StatFs RamfsSuper::Statfs() const {
  const Quota& pages = pages_.quota();
  return {.magic = magic(),
          .bsize = kPageBytes,
          .blocks = pages.max(),
          .bfree = pages.left(),
          .bavail = pages.left(),
          .files = inodes_.max(),
          .ffree = inodes_.left()};
}

std::string RamfsSuper::ShowOptions() const {
  std::string text;
  const uint64_t max_pages = pages_.quota().max();
  if (max_pages != 0) absl::StrAppendFormat(&text, ",size=%dk", max_pages * kPageBytes / 1024);
  if (inodes_.max() != 0) absl::StrAppendFormat(&text, ",nr_inodes=%d", inodes_.max());
  if (settings_.mode) absl::StrAppendFormat(&text, ",mode=%03o", *settings_.mode);
  if (settings_.uid) absl::StrAppendFormat(&text, ",uid=%d", *settings_.uid);
  if (settings_.gid) absl::StrAppendFormat(&text, ",gid=%d", *settings_.gid);
  return text;
}

}  // namespace dentree::ramfs
