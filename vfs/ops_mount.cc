// Operations on mounts.
#include <utility>

#include "vfs/mount_options.h"
#include "vfs/ops.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

bool Ops::IsMountpoint(const Dentry& dentry, const Path& dir, const MountNamespace* ns) const {
  return vfs_.mounts().IsMountpoint(ns != nullptr ? ns : dir.mount->ns(), dentry);
}

Status Ops::MayMount(const MountCaller& caller) {
  if (!caller.creds.Has(Cap::kSysAdmin)) return Err(Errno::kPerm);
  return {};
}

Status Ops::Mount(const MountCaller& caller, const Path& at, std::string_view type,
                  std::string_view source, uint64_t ms, std::string_view data) {
  TRY(MayMount(caller));
  if (type.data() == nullptr) return Err(Errno::kInval);
  FileSystemType* const fs = vfs_.FindType(type);
  if (fs == nullptr) return Err(Errno::kNoDev);
  MountData split = SplitMountData(data);
  const NegativeOptions negatives = TRY(NegativeOptions::TakeFrom(split.rest));
  const bool asked = split.clear & kSbReadOnly;
  if (fs->read_only_unless_asked() && !asked) ms |= MS_RDONLY;
  const std::unique_ptr<MountContext> context = fs->NewContext();
  TRY(context->ParseAll(split.rest));
  SuperRef sb = TRY(context->GetTree(vfs_));
  if (!sb->mounted()) {
    TRY(sb->SetNegativeOptions(negatives));
    const uint32_t flags = (SuperFlagsOf(ms) & ~split.clear) | split.set;
    for (const SuperFlags flag : {kSbReadOnly, kSbSync, kSbDirSync, kSbMand, kSbLazyTime}) {
      if (flags & flag) sb->SetFlag(flag, true);
    }
  }
  return vfs_.mounts().Attach(caller.ns, std::move(sb), at, MountFlagsOf(ms), source);
}

Status Ops::Bind(const MountCaller& caller, const Path& from, const Path& at, uint64_t ms) {
  TRY(MayMount(caller));
  const auto depth = ms & MS_REC ? MountTree::Depth::kAll : MountTree::Depth::kOne;
  return vfs_.mounts().Bind(caller.ns, from, at, depth);
}

Status Ops::MoveMount(const MountCaller& caller, const Path& from, const Path& at) {
  TRY(MayMount(caller));
  return vfs_.mounts().Move(caller.ns, from, at);
}

// What a remount changes of a super block: all of kSbRemountMask, or nothing.
Status Ops::Reconfigure(SuperBlock& sb, uint32_t wanted, MountContext& context) {
  if (sb.Has(kSbNeverWritable)) wanted |= kSbReadOnly;
  const bool freeze = (wanted & kSbReadOnly) && !sb.read_only();
  if (freeze) TRY(sb.MakeReadOnly());
  const Status done = context.Reconfigure(sb);
  if (!done && freeze) sb.SetFlag(kSbReadOnly, false);
  TRY(done);
  for (const SuperFlags flag : {kSbReadOnly, kSbSync, kSbMand, kSbLazyTime}) {
    sb.SetFlag(flag, wanted & flag);
  }
  return {};
}

Status Ops::Remount(const MountCaller& caller, const Path& at, uint64_t ms, std::string_view data) {
  TRY(MayMount(caller));
  TRY(MountTree::CheckRoot(caller.ns, at));
  const MountFlags flags = MountFlagsOf(ms | MS_REMOUNT, at.mount->flags());
  if (ms & MS_BIND) return vfs_.mounts().SetFlags(caller.ns, *at.mount, flags);
  MountData split = SplitMountData(data);
  const NegativeOptions negatives = TRY(NegativeOptions::TakeFrom(split.rest));
  SuperBlock& sb = at.mount->sb();
  if (!negatives.empty() && sb.Has(kSbAuthoritative)) return Err(Errno::kInval);
  FileSystemType* const fs = vfs_.FindType(sb.type().name());
  const std::unique_ptr<MountContext> context = fs->NewContext();
  TRY(context->ParseAll(split.rest));
  const uint32_t wanted = (SuperFlagsOf(ms) & ~split.clear) | split.set;
  TRY(Reconfigure(sb, wanted, *context));
  TRY(sb.SetNegativeOptions(negatives));
  vfs_.mounts().ForceFlags(*at.mount, flags);
  return {};
}

// All mounts are private: that, or to follow nobody, is all that can be asked for.
Status Ops::SetPropagation(const MountCaller& caller, const Path& at, uint64_t ms) {
  TRY(MayMount(caller));
  const uint64_t kind = ms & ~uint64_t{MS_REC | MS_SILENT};
  if (kind != MS_PRIVATE && kind != MS_SLAVE) return Err(Errno::kInval);
  return MountTree::CheckRoot(caller.ns, at);
}

Status Ops::Umount(const MountCaller& caller, Path root, int flags) {
  TRY(MayMount(caller));
  TRY(MountTree::CheckRoot(caller.ns, root));
  const bool lazily = flags & MNT_DETACH;
  if (root.mount.get() == caller.root && !lazily) {
    // The caller stands on it: nothing changes any more there instead.
    SuperBlock& sb = root.mount->sb();
    return sb.read_only() ? Status() : sb.MakeReadOnly();
  }
  return vfs_.mounts().Detach(caller.ns, std::move(root),
                              lazily ? MountTree::Mode::kLazily : MountTree::Mode::kUnused);
}

}  // namespace dentree::vfs
