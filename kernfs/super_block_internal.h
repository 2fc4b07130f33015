// SuperBlock: the one super block of a kernfs tree.
#pragma once

#include <string>

#include "kernfs/root.h"
#include "vfs/super_block.h"

namespace dentree::kernfs {

class SuperBlock final : public vfs::SuperBlock {
 public:
  SuperBlock(RootRef root, Init init);

  // Makes itself the tree's super block, with its root dentry. kNoMem.
  Status Fill();
  Root& tree() const { return *root_; }

  void EvictInode(vfs::Inode& inode) override;
  std::string ShowOptions() const override;
  void Shutdown() override;

  // The tree's super block, or null.
  static base::Ref<vfs::SuperBlock> Of(Root& root) { return root.Super(); }

 private:
  const RootRef root_;
};

}  // namespace dentree::kernfs
