// RamfsSuper: one mounted ramfs; its limits, what is used of them, and the making of its inodes.
//
// What Inode::private_data is, by type: a directory's DirIndex, a regular file's Content (null
// until the first write), a symlink's SymlinkTarget, else an XattrHolder (null until it is needed).
//
// Thread safety: any thread. Lifetime: a super block's; its inodes are gone before it is destroyed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mm/mm.h"
#include "ramfs/content_internal.h"
#include "ramfs/dir_index_internal.h"
#include "ramfs/page_pool_internal.h"
#include "vfs/vfs.h"

namespace dentree::ramfs {

// size= or nr_blocks=: pages, or so many percent of the memory.
struct SizeLimit {
  uint64_t pages = 0;
  uint64_t percent = 0;

  // In pages, for a Vfs with this memory (the machine's, if it has no limit).
  uint64_t PagesIn(const mm::Memory& memory) const;
};

// What the options of a mount or a remount say; not set: not given.
struct Settings {
  std::optional<vfs::Mode> mode;
  std::optional<vfs::Uid> uid;
  std::optional<vfs::Gid> gid;
  std::optional<SizeLimit> size;
  std::optional<uint64_t> max_inodes;
};

// What an inode, and each name of it but the first, takes of nr_inodes, whose rest extended
// attributes may have.
inline constexpr uint64_t kInodeSpace = 1024;

// Where a symlink leads. Immutable but for its attributes; freed after a grace period, because
// walks read it in RCU mode.
class SymlinkTarget : public XattrHolder {
 public:
  // Null without memory.
  static SymlinkTarget* New(mm::Memory& memory, std::string_view target);
  static void Retire(base::RcuDomain& rcu, SymlinkTarget* target);

  std::string_view text() const { return {reinterpret_cast<const char*>(this + 1), size_}; }

 private:
  SymlinkTarget(mm::Memory& memory, size_t size) : memory_(memory), size_(size) {}
  static size_t Bytes(size_t size) { return sizeof(SymlinkTarget) + size; }

  base::RcuHead free_;
  mm::Memory& memory_;
  const size_t size_;
};

class RamfsSuper final : public vfs::SuperBlock {
 public:
  RamfsSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, const Settings& settings);

  // A new inode of the type in args.mode, with one reference; nlink 2 for directories, else 1.
  // `dir`: whose flags it inherits, or none. kNoSpc: as many as allowed; kNoMem.
  vfs::Result<vfs::InodeRef> NewInode(const vfs::CreateArgs& args, const vfs::Inode* dir = nullptr);
  // The content of a regular file, made when there is none. REQUIRES: its semaphore, exclusive.
  vfs::Result<Content*> MakeContent(vfs::Inode& inode);

  // kInval: less than is in use; nothing has changed then.
  vfs::Status Resize(const Settings& settings);

  // The attributes of an inode; null: none yet. REQUIRES: its semaphore.
  static const Xattrs* XattrsOf(const vfs::Inode& inode);
  vfs::Result<Xattrs*> MakeXattrs(vfs::Inode& inode);

  Quota& inode_space() { return inode_space_; }
  mm::Memory& memory() const { return vfs().memory(); }
  PagePool& pages() { return pages_; }

  void EvictInode(vfs::Inode& inode) override;
  vfs::StatFs Statfs() const override;
  std::string ShowOptions() const override;

 private:
  vfs::Status FillNew(vfs::Inode& inode, const vfs::CreateArgs& args);
  static XattrHolder* HolderOf(const vfs::Inode& inode);

  const Settings settings_;  // as mounted; the limits in force are in the quotas
  PagePool pages_;
  Quota inode_space_;  // bytes: kInodeSpace each, and attributes
  mm::ObjectCache<DirIndex> dirs_;
  mm::ObjectCache<Content> contents_;
  mm::ObjectCache<XattrHolder> holders_;
  mm::ObjectCache<Xattrs> xattrs_;
};

inline RamfsSuper& SuperOf(const vfs::Inode& inode) { return static_cast<RamfsSuper&>(inode.sb()); }

// As Inode::Update::Pages takes them: no memory holds more.
inline uint32_t PagesOf(const vfs::Inode& inode) {
  const auto* const content = static_cast<const Content*>(inode.private_data());
  return content == nullptr ? 0 : static_cast<uint32_t>(content->pages());
}

// The operations of inodes of one type (inode.cc), those that all types share (attributes.cc), and
// of open ones (file.cc).
const vfs::InodeOps& OpsFor(vfs::FileType type);
class CommonOps : public vfs::InodeOps {
 public:
  vfs::Result<uint32_t> GetFlags(vfs::Inode& inode) const override;
  vfs::Status SetFlags(vfs::Inode& inode, uint32_t flags) const override;
  vfs::Result<size_t> Getxattr(vfs::Inode& inode, std::string_view name,
                               std::span<std::byte> out) const override;
  vfs::Status Setxattr(vfs::Inode& inode, std::string_view name, std::span<const std::byte> value,
                       int flags) const override;
  vfs::Result<size_t> Listxattr(vfs::Inode& inode, std::span<char> out,
                                Trusted trusted) const override;
  vfs::Status Removexattr(vfs::Inode& inode, std::string_view name) const override;

 protected:
  constexpr CommonOps() = default;
  constexpr ~CommonOps() = default;
};
const vfs::FileOps& OpenDirOps();
const vfs::FileOps& OpenFileOps();

}  // namespace dentree::ramfs
