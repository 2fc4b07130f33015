// RamfsSuper: one mounted ramfs; its limits, what is used of them, and the making of its inodes.
//
// What Inode::private_data is, by type: a directory's DirIndex, a regular file's Content (null
// until the first write), a symlink's SymlinkTarget.
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

// What the options of a mount or a remount say; not set: not given.
struct Settings {
  std::optional<vfs::Mode> mode;
  std::optional<vfs::Uid> uid;
  std::optional<vfs::Gid> gid;
  std::optional<uint64_t> max_pages;
  std::optional<uint64_t> max_inodes;
};

// Where a symlink leads. Immutable; freed after a grace period, because walks read it in RCU mode.
class SymlinkTarget {
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
  // kNoSpc: as many as allowed; kNoMem.
  vfs::Result<vfs::InodeRef> NewInode(const vfs::CreateArgs& args);
  // The content of a regular file, made when there is none. REQUIRES: its semaphore, exclusive.
  vfs::Result<Content*> MakeContent(vfs::Inode& inode);

  // kInval: less than is in use; nothing has changed then.
  vfs::Status Resize(const Settings& settings);

  mm::Memory& memory() const { return vfs().memory(); }
  PagePool& pages() { return pages_; }

  void EvictInode(vfs::Inode& inode) override;
  vfs::StatFs Statfs() const override;
  std::string ShowOptions() const override;

 private:
  vfs::Status FillNew(vfs::Inode& inode, const vfs::CreateArgs& args);

  const Settings settings_;  // as mounted; the limits in force are in the quotas
  PagePool pages_;
  Quota inodes_;
  mm::ObjectCache<DirIndex> dirs_;
  mm::ObjectCache<Content> contents_;
};

inline RamfsSuper& SuperOf(const vfs::Inode& inode) { return static_cast<RamfsSuper&>(inode.sb()); }

// The operations of inodes of one type (inode.cc), and of open ones (file.cc).
const vfs::InodeOps& OpsFor(vfs::FileType type);
const vfs::FileOps& OpenDirOps();
const vfs::FileOps& OpenFileOps();

}  // namespace dentree::ramfs
