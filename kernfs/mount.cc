// Mounting: super block, options, and what /proc/mounts shows of them.

#include "kernfs/mount.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "kernfs/attrs_internal.h"
#include "kernfs/lookup_internal.h"
#include "kernfs/super_block_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

using base::Err;

// --- SuperBlock ---

SuperBlock::SuperBlock(RootRef root, Init init)
    : vfs::SuperBlock(root->vfs(), std::move(init)), root_(std::move(root)) {}

Status SuperBlock::Fill() {
  vfs::InodeRef top =
      TRY(Lookups::InodeOf(*this, nullptr, {.domain = NodeRef::Share(&root_->top())}));
  TRY(MakeRoot(std::move(top)));
  base::MutexLock lock(root_->entries_lock_);
  root_->super_ = this;
  return {};
}

void SuperBlock::EvictInode(vfs::Inode& inode) {
  auto* const t = static_cast<Transient*>(inode.private_data());
  if (t == nullptr) return;
  root_->entries_->Unpublish(*t);
  Transient::Put(t);
}

void SuperBlock::Shutdown() {
  base::MutexLock lock(root_->entries_lock_);
  if (root_->super_ == this) root_->super_ = nullptr;
}

// What is in force for the top directory, whoever changed it and how.
std::string SuperBlock::ShowOptions() const {
  const Node& top = root_->top();
  const AttrMap::Effective now = root_->attrs_->Get(top, {.domain = top.id()}, top.created_mode());
  std::string options;
  if (now.uid != 0) absl::StrAppend(&options, ",uid=", now.uid);
  if (now.gid != 0) absl::StrAppend(&options, ",gid=", now.gid);
  if (now.mode != top.created_mode()) absl::StrAppendFormat(&options, ",mode=%o", now.mode & 07777);
  if (root_->syscalls_ != nullptr) options += root_->syscalls_->ShowOptions();
  return options;
}

// --- options ---

namespace {

class Context final : public vfs::MountContext {
 public:
  explicit Context(const FileSystem& type) : type_(type) {}

  Status ParseOption(std::string_view key, std::string_view value) override {
    if (key == "uid") {
      uid_ = TRY(ParseId(key, value));
    } else if (key == "gid") {
      gid_ = TRY(ParseId(key, value));
    } else if (key == "mode") {
      const auto mode = base::ParseU64(value, 8);
      if (!mode) return Fail(Errno::kInval, absl::StrFormat("bad mode '%s'", value));
      mode_ = static_cast<Mode>(*mode & 07777);
    } else {
      return vfs::MountContext::ParseOption(key, value);
    }
    return {};
  }

  Result<base::Ref<vfs::SuperBlock>> GetTree(vfs::Vfs&) override {
    const RootRef& root = type_.root();
    base::MutexLock lock(type_.mount_mutex());
    base::Ref<vfs::SuperBlock> super = SuperBlock::Of(*root);
    if (super == nullptr) {
      auto fresh = base::Ref<SuperBlock>::Adopt(
          new SuperBlock(root, {.type = &type_,
                                .magic = type_.magic(),
                                .flags = vfs::kSbAuthoritative | vfs::kSbRevalidate |
                                         vfs::kSbNoInodeCache | vfs::kSbNoExec | vfs::kSbNoDev}));
      TRY(fresh->Fill());
      super = std::move(fresh);
    }
    TRY(Reconfigure(*super));
    return super;
  }

  // The mode first: it is the one that can fail.
  Status Reconfigure(vfs::SuperBlock&) override {
    if (mode_) TRY(type_.root()->SetTopPermissions(*mode_));
    type_.root()->SetMountOwner(uid_, gid_);
    return {};
  }

 private:
  Result<uint32_t> ParseId(std::string_view key, std::string_view value) {
    const auto id = base::ParseU64(value);
    // The last one means "no change" to chown, so nobody is called that.
    if (!id || *id >= UINT32_MAX) {
      return Fail(Errno::kInval, absl::StrFormat("bad %s '%s'", key, value));
    }
    return static_cast<uint32_t>(*id);
  }

  const FileSystem& type_;
  std::optional<vfs::Uid> uid_;
  std::optional<vfs::Gid> gid_;
  std::optional<Mode> mode_;
};

}  // namespace

// --- FileSystem ---

FileSystem::FileSystem(Init init) : init_(std::move(init)) {
  CHECK(init_.root != nullptr, "a file system has a tree");
}

std::unique_ptr<vfs::MountContext> FileSystem::NewContext() {
  return std::make_unique<Context>(*this);
}

}  // namespace dentree::kernfs
