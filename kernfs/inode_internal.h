// InodeOps: one set of operations for every inode of every kernfs tree.
#pragma once

#include <string>

#include "vfs/inode_ops.h"

namespace dentree::kernfs {

class InodeOps final : public vfs::InodeOps {
 public:
  constexpr InodeOps() = default;
  vfs::Result<vfs::InodeRef> Lookup(vfs::Inode& dir, const vfs::Name& name) const override;
  vfs::Result<vfs::InodeRef> Create(vfs::Inode& dir, vfs::Dentry& dentry,
                                    const vfs::CreateArgs& args) const override;
  vfs::Status Rmdir(vfs::Inode& dir, vfs::Dentry& victim) const override;
  vfs::Result<std::string> Readlink(vfs::Inode& inode) const override;
  vfs::Result<vfs::Stat> Getattr(vfs::Inode& inode) const override;
  vfs::Status Setattr(vfs::Inode& inode, const vfs::SetAttr& attr) const override;
  vfs::Validity Revalidate(const vfs::Inode& dir, const vfs::Dentry& child) const override;
  std::optional<vfs::Stat> AttrsRcu(const vfs::Inode& inode) const override;
  vfs::Validity RevalidateRcu(const vfs::Inode& child) const override;
  vfs::Result<const vfs::FileOps*> OpenOps(vfs::Inode& inode) const override;
  bool MustNotFail(const vfs::Inode& inode) const override;
};

inline constexpr InodeOps kInodeOps{};

}  // namespace dentree::kernfs
