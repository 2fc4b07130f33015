// AnonFs: where open files stand that no path leads to (inotify). One super block with one inode,
// mounted nowhere, made when it is first asked for.
//
// Thread safety: any thread. Lifetime: its files are closed before Shutdown.
#pragma once

#include <memory>

#include "base/base.h"
#include "vfs/creds.h"
#include "vfs/file.h"
#include "vfs/mount.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Vfs;

class AnonFs {
 public:
  explicit AnonFs(Vfs& vfs);
  ~AnonFs() { Shutdown(); }

  // An open file with these operations, whose Open is not called. kNoMem, kNFile: then Release is
  // not called either.
  Result<FileRef> Open(const FileOps& ops, void* private_data, OpenFlags flags, CredsRef creds);
  void Shutdown();

 private:
  Result<MountRef> MountOf();
  Result<MountRef> Make();

  Vfs& vfs_;
  const std::unique_ptr<FileSystemType> type_;
  base::Mutex<base::LockRank::kMount> mutex_;
  MountRef mount_ DT_GUARDED_BY(mutex_);
};

}  // namespace dentree::vfs
