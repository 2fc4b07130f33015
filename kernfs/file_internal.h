// FileOps: what a descriptor of a kernfs file does.
#pragma once

#include "vfs/inode_ops.h"

namespace dentree::kernfs {

using base::Errno;

class FileOps final : public vfs::FileOps {
 public:
  constexpr FileOps() = default;
  vfs::Status Open(vfs::File& file) const override;
  void Release(vfs::File& file) const override;
  vfs::Result<size_t> Read(vfs::File& file, std::span<std::byte> out, uint64_t pos) const override;
  vfs::Result<size_t> Write(vfs::File& file, std::span<const std::byte> in,
                            uint64_t pos) const override;
  vfs::Result<size_t> ReadNowait(vfs::File& file, std::span<std::byte> out, uint64_t pos,
                                 vfs::Waiter* waiter) const override;
  vfs::Result<size_t> WriteNowait(vfs::File& file, std::span<const std::byte> in, uint64_t pos,
                                  vfs::Waiter* waiter) const override;
  vfs::Result<uint64_t> Seek(vfs::File& file, int64_t offset, vfs::Whence whence) const override;
  vfs::PollEvents Poll(vfs::File& file) const override;
  vfs::Result<uint64_t> Ioctl(vfs::File& file, unsigned cmd, uint64_t arg) const override;
  vfs::Status Truncate(vfs::File& file, uint64_t size) const override;
};

inline constexpr FileOps kFileOps{};

}  // namespace dentree::kernfs
