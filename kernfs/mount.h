// FileSystem: a kernfs tree as a mountable file system type.
//
// One tree has one super block: mounting it again gives the same one and, as Linux does for
// tracefs, applies the options that were given. Options:
//     uid=N, gid=N     owner of everything that was not chown'ed since
//     mode=OCTAL       permissions of the top directory
// A remount changes only what is given, or nothing when one option is bad (kInval). What is in
// force is always what /proc/mounts shows: uid and gid when not 0, mode when not the type's
// default.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernfs/root.h"
#include "vfs/super_block.h"

namespace dentree::kernfs {

class FileSystem : public vfs::FileSystemType {
 public:
  struct Init {
    std::string name;
    uint32_t magic = 0;
    RootRef root;
  };
  explicit FileSystem(Init init);

  std::string_view name() const override { return init_.name; }
  std::unique_ptr<vfs::MountContext> NewContext() override;

  const RootRef& root() const { return init_.root; }
  uint32_t magic() const { return init_.magic; }
  // Two mounts at once get one super block. Rank kRegistry: nobody is asked under it but the tree.
  using MountMutex = base::Mutex<base::LockRank::kRegistry>;
  MountMutex& mount_mutex() const { return mount_mutex_; }

 private:
  const Init init_;
  mutable MountMutex mount_mutex_;
};

}  // namespace dentree::kernfs
