// Renaming: the one operation on two directories at once.
#include <array>
#include <utility>

#include "vfs/ops.h"
#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

namespace {

// Both directories of a rename, locked: ancestor first, else by address; across directories the
// super block's rename mutex keeps "ancestor" true meanwhile.
class RenameDirs {
 public:
  RenameDirs(const Path& a, const Path& b) DT_NO_THREAD_SAFETY_ANALYSIS : a_(a.inode().sem()),
                                                                          b_(b.inode().sem()) {
    if (&a_ == &b_) {
      a_.Lock();
      return;
    }
    mutex_ = &a.inode().sb().rename_mutex();
    mutex_->Lock();
    const bool a_first = Dcache::IsSubdir(*b.dentry, *a.dentry) ||
                         (!Dcache::IsSubdir(*a.dentry, *b.dentry) && &a_ < &b_);
    (a_first ? a_ : b_).Lock();
    (a_first ? b_ : a_).Lock(base::LockOrder::kChild);
  }
  ~RenameDirs() DT_NO_THREAD_SAFETY_ANALYSIS {
    a_.Unlock();
    if (mutex_ == nullptr) return;
    b_.Unlock();
    mutex_->Unlock();
  }
  RenameDirs(const RenameDirs&) = delete;
  RenameDirs& operator=(const RenameDirs&) = delete;

 private:
  DirSem& a_;
  DirSem& b_;
  SuperBlock::RenameMutex* mutex_ = nullptr;
};

// The inodes that change place, locked below their directories.
class RenameInodes {
 public:
  RenameInodes(Inode& source, Inode* target) DT_NO_THREAD_SAFETY_ANALYSIS {
    held_[0] = &source.sem();
    if (target != nullptr && target != &source) held_[1] = &target->sem();
    if (held_[1] != nullptr && held_[1] < held_[0]) std::swap(held_[0], held_[1]);
    for (DirSem* sem : held_) {
      if (sem != nullptr) sem->Lock(base::LockOrder::kChild);
    }
  }
  ~RenameInodes() DT_NO_THREAD_SAFETY_ANALYSIS {
    for (DirSem* sem : held_) {
      if (sem != nullptr) sem->Unlock();
    }
  }
  RenameInodes(const RenameInodes&) = delete;
  RenameInodes& operator=(const RenameInodes&) = delete;

 private:
  std::array<DirSem*, 2> held_{};
};

constexpr unsigned kKnownFlags =
    kRenameNoReplace | kRenameExchange | kRenameWhiteout | kRenameOldSlash | kRenameNewSlash;

Status CheckFlags(unsigned flags) {
  if (flags & ~kKnownFlags) return Err(Errno::kInval);
  if ((flags & kRenameExchange) && (flags & (kRenameNoReplace | kRenameWhiteout))) {
    return Err(Errno::kInval);
  }
  return {};
}

// A path that ends in a slash names a directory.
Status CheckSlashes(const Dentry& source, const Dentry* target, unsigned flags) {
  const bool exchange = flags & kRenameExchange;
  const bool source_is_dir = source.is_dir();
  if (exchange && (flags & kRenameNewSlash) && !target->is_dir()) return Err(Errno::kNotDir);
  if (source_is_dir) return {};
  if ((flags & kRenameOldSlash) || (!exchange && (flags & kRenameNewSlash))) {
    return Err(Errno::kNotDir);
  }
  return {};
}

Status CheckTypes(const Dentry& source, const Dentry& target, unsigned flags) {
  if (flags & kRenameExchange) return {};
  if (source.is_dir() && !target.is_dir()) return Err(Errno::kNotDir);
  if (!source.is_dir() && target.is_dir()) return Err(Errno::kIsDir);
  return {};
}

}  // namespace

// What must hold of a rename once both directories are locked and both names looked up.
Status Ops::MayRename(const Path& old_dir, Dentry& source, const Path& new_dir, Dentry* target,
                      unsigned flags, const Creds& creds) {
  if (Dcache::IsSubdir(*new_dir.dentry, source)) return Err(Errno::kInval);
  if (target != nullptr && Dcache::IsSubdir(*old_dir.dentry, *target)) {
    return Err(flags & kRenameExchange ? Errno::kInval : Errno::kNotEmpty);
  }
  TRY(MayDelete(old_dir, source, creds));
  if (target == nullptr) {
    TRY(MayCreate(new_dir, creds));
  } else {
    TRY(MayDelete(new_dir, *target, creds));
    TRY(CheckTypes(source, *target, flags));
  }
  // A directory that moves gets another "..": its owner must agree.
  const bool moves = &old_dir.inode() != &new_dir.inode();
  if (moves && source.is_dir()) TRY(MayAccessInode(source.inode(), kMayWrite, creds));
  const bool swaps_dir = (flags & kRenameExchange) && target->is_dir();
  if (moves && swaps_dir) TRY(MayAccessInode(target->inode(), kMayWrite, creds));
  return {};
}

// A rename that leaves a whiteout: a character device 0:0. Walkers find the one or the other under
// the old name at any time, because both have it for a moment.
Status Ops::RenameWhiteout(const Path& old_dir, Dentry& source, const Name& old_name,
                           const Path& new_dir, const Name& name, Dcache::NewName plan,
                           Dentry* target, const Creds& creds) {
  Dcache& dcache = vfs_.dcache();
  Dcache::New whiteout = TRY(dcache.Alloc(*old_dir.dentry, old_name));
  const CreateArgs args = OwnedBy(old_dir, S_IFCHR, creds);
  InodeRef inode = TRY(old_dir.inode().ops().RenameWhiteout(
      old_dir.inode(), source, new_dir.inode(), name, target, *whiteout, args));
  if (target != nullptr && target->is_dir()) Inode::Update(target->inode()).SetFlag(kInodeDead);
  const DentryRef made = dcache.Add(std::move(whiteout), old_name, std::move(inode));
  SYNC_POINT(vfs_.sync_points(), "ops:rename:whiteout");
  dcache.Move(source, *new_dir.dentry, name, std::move(plan), target);
  vfs_.notify().OnMove({old_dir.inode(), old_name.text(), new_dir.inode(), name.text(),
                        source.inode(), target == nullptr ? nullptr : &target->inode()});
  return {};
}

// The file system's part and the dcache's. The inodes are locked too.
Status Ops::RenameLocked(const Path& old_dir, Dentry& source, const Name& old_name,
                         const Path& new_dir, const Name& name, Dentry* target, unsigned flags,
                         const Creds& creds) {
  Dcache& dcache = vfs_.dcache();
  const unsigned fs_flags = flags & (kRenameNoReplace | kRenameExchange);
  Dcache::NewName plan = TRY(dcache.Plan(name));
  if (flags & kRenameWhiteout) {
    return RenameWhiteout(old_dir, source, old_name, new_dir, name, std::move(plan), target, creds);
  }
  if (flags & kRenameExchange) {
    Dcache::NewName back = TRY(dcache.Plan(old_name));
    TRY(old_dir.inode().ops().Rename(old_dir.inode(), source, new_dir.inode(), name, target,
                                     fs_flags));
    dcache.Exchange(source, name, std::move(plan), *target, old_name, std::move(back));
    vfs_.notify().OnMove(
        {old_dir.inode(), old_name.text(), new_dir.inode(), name.text(), source.inode()});
    vfs_.notify().OnMove(
        {new_dir.inode(), name.text(), old_dir.inode(), old_name.text(), target->inode()});
    return {};
  }
  TRY(old_dir.inode().ops().Rename(old_dir.inode(), source, new_dir.inode(), name, target,
                                   fs_flags));
  SYNC_POINT(vfs_.sync_points(), "ops:rename:done");
  if (target != nullptr && target->is_dir()) Inode::Update(target->inode()).SetFlag(kInodeDead);
  dcache.Move(source, *new_dir.dentry, name, std::move(plan), target);
  vfs_.notify().OnMove({old_dir.inode(), old_name.text(), new_dir.inode(), name.text(),
                        source.inode(), target == nullptr ? nullptr : &target->inode()});
  RememberRemoved(old_dir, old_name, NegativeReason::kRename);
  return {};
}

Status Ops::Rename(const Path& old_dir, std::string_view old_name, const Path& new_dir,
                   std::string_view new_name, unsigned flags, const Creds& creds,
                   const MountNamespace* ns) {
  TRY(CheckFlags(flags));
  if (old_dir.mount.get() != new_dir.mount.get()) return Err(Errno::kXDev);
  TRY(CheckVictim(old_dir, old_name, creds));
  // The new name is looked at when the old one is there.
  const std::string_view new_checked = new_name.substr(0, kNameMax);
  TRY(CheckVictim(new_dir, new_checked, creds));
  const Name old_hashed(vfs_.hash_key(), old_name);
  const Name new_hashed(vfs_.hash_key(), new_checked);
  // Declared before the locks: what the rename lets go ends without them.
  DentryRef source;
  DentryRef target;
  DetachLater mounted(vfs_.mounts());
  RenameDirs dirs(old_dir, new_dir);
  source = TRY(LookupLocked(vfs_, *old_dir.dentry, old_hashed));
  TRY(CheckLength(*new_dir.dentry, new_name));
  Result<DentryRef> there = LookupLocked(vfs_, *new_dir.dentry, new_hashed);
  if (!there && there.error() != Errno::kNoEnt) return Err(there.error());
  if (there) target = *std::move(there);
  if (!there && new_dir.inode().dead()) return Err(Errno::kNoEnt);
  if ((flags & kRenameNoReplace) && target != nullptr) return Err(Errno::kExist);
  if ((flags & kRenameExchange) && target == nullptr) return Err(Errno::kNoEnt);
  TRY(CheckSlashes(*source, target.get(), flags));
  if (target != nullptr && &source->inode() == &target->inode()) return {};
  TRY(MayRename(old_dir, *source, new_dir, target.get(), flags, creds));
  SYNC_POINT(vfs_.sync_points(), "ops:rename:checked");
  RenameInodes inodes(source->inode(), target != nullptr ? &target->inode() : nullptr);
  if (IsMountpoint(*source, old_dir, ns)) return Err(Errno::kBusy);
  if (target != nullptr && IsMountpoint(*target, old_dir, ns)) return Err(Errno::kBusy);
  TRY(RenameLocked(old_dir, *source, old_hashed, new_dir, new_hashed, target.get(), flags, creds));
  if (target != nullptr && !(flags & kRenameExchange)) mounted.From(*target);
  return {};
}

}  // namespace dentree::vfs
