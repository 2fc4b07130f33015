#include "vfs/anon_fs.h"

#include <memory>
#include <utility>

#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

namespace {

constexpr uint32_t kAnonMagic = 0x09041934;
constexpr Mode kAnonMode = 0600;  // of no type, as Linux shows it

class AnonType final : public FileSystemType {
 public:
  std::string_view name() const override { return "anon_inodefs"; }
  std::unique_ptr<MountContext> NewContext() override { return nullptr; }
};

class AnonOps final : public InodeOps {
 public:
  constexpr AnonOps() = default;
  Status Setattr(Inode&, const SetAttr&) const override { return Err(Errno::kOpNotSupp); }
};
constexpr AnonOps kAnonOps;

}  // namespace

AnonFs::AnonFs(Vfs& vfs) : vfs_(vfs), type_(std::make_unique<AnonType>()) {}

Result<MountRef> AnonFs::Make() {
  SuperRef sb = SuperRef::Adopt(
      new SuperBlock(vfs_, {.type = type_.get(), .magic = kAnonMagic, .flags = kSbNoInodeCache}));
  InodeRef inode = TRY(vfs_.icache().New(*sb, kAnonOps, vfs_.icache().NextIno(), kAnonMode));
  TRY(sb->MakeRoot(std::move(inode)));
  return vfs_.mounts().NewDetached(std::move(sb));
}

Result<MountRef> AnonFs::MountOf() {
  {
    base::MutexLock lock(mutex_);
    if (mount_ != nullptr) return mount_;
  }
  MountRef made = TRY(Make());
  base::MutexLock lock(mutex_);
  if (mount_ == nullptr) std::swap(mount_, made);  // else somebody was faster, and ours goes
  return mount_;
}

Result<FileRef> AnonFs::Open(const FileOps& ops, void* private_data, OpenFlags flags,
                             CredsRef creds) {
  if (vfs_.file_limit().Reached() && !creds->Has(Cap::kSysAdmin)) {
    vfs_.file_stats().refused.Add();
    return Err(Errno::kNFile);
  }
  MountRef mount = TRY(MountOf());
  DentryRef dentry = DentryRef::Share(&mount->root());
  File* const file =
      vfs_.files().New(Path{std::move(mount), std::move(dentry)}, flags, std::move(creds));
  if (file == nullptr) return Err(Errno::kNoMem);
  vfs_.file_stats().open.Add();
  file->set_private_data(private_data);
  file->ops_ = &ops;
  return FileRef::Adopt(file);
}

void AnonFs::Shutdown() {
  MountRef mount;  // ends after the lock
  base::MutexLock lock(mutex_);
  std::swap(mount, mount_);
}

}  // namespace dentree::vfs
