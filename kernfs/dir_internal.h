// DirOps: listing of kernfs directories.
#pragma once

#include "vfs/inode_ops.h"

namespace dentree::kernfs {

class DirOps final : public vfs::FileOps {
 public:
  constexpr DirOps() = default;
  vfs::Status Open(vfs::File& file) const override;
  vfs::Result<int64_t> Iterate(vfs::File& file, int64_t pos, vfs::DirSink& sink) const override;
  // kSet to any position that is not negative; anything else kInval.
  vfs::Result<uint64_t> Seek(vfs::File& file, int64_t offset, vfs::Whence whence) const override;
};

inline constexpr DirOps kDirOps{};

}  // namespace dentree::kernfs
