// Path walk in RCU mode.
//
// What is read is believed because of sequence counts: a child was found in its directory while the
// directory's count stood still, and so on down from the start, so there was a moment for each step
// at which it held; and what is returned held at the end. Every pointer is followed before it is
// known to be current, which is why dentries are type-stable and inodes, mounts and files wait for
// a grace period.
#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {
namespace {

constexpr unsigned kUnderstood = kWalkFollow | kWalkDirectory | kWalkNoMount;

// One walk under way. A step that returns false declines.
class RcuWalker {
 public:
  RcuWalker(Vfs& vfs, const RcuContext& context, unsigned flags)
      : vfs_(vfs),
        creds_(context.creds),
        flags_(flags),
        at_(context.start),
        mounts_(vfs.mounts().changes().Sample()) {}

  // Walks all but the last component, which is then `last`.
  bool WalkToLast(std::string_view path);
  // Takes it.
  bool WalkLast();

  bool HasNormalLast() const { return !last.empty() && last != "." && last != ".."; }
  bool trailing_slash() const { return components_.trailing_slash(); }
  // Does what was read of the place still hold?
  bool Holds() const { return !Dcache::Stale(*at_.dentry, at_.seq) && MountsHold(); }
  bool Attrs(Stat& stat) const;
  bool Legitimise(Path& place) const;
  // Counted.
  RcuOutcome Outcome(bool there) const;

  std::string_view last;

 private:
  bool Enter(const RcuPath& place);
  bool MaySearch() const;
  bool Step(std::string_view name, bool is_last);
  bool CrossMounts(RcuPath& place) const;
  // Odd: they changed when the walk began.
  bool MountsHold() const {
    return (mounts_ & 1) == 0 && !vfs_.mounts().changes().ReadRetry(mounts_);
  }

  Vfs& vfs_;
  const Creds& creds_;
  const unsigned flags_;
  RcuPath at_;
  const Inode* inode_ = nullptr;  // of at_
  const uint32_t mounts_;
  Components components_;
  uint32_t hits_ = 0;
  bool missing_ = false;  // the walk came to a name that is known not to be
};

// Goes on from `place`, unless it is dying or changes.
bool RcuWalker::Enter(const RcuPath& place) {
  at_ = place;
  inode_ = at_.dentry->InodeRcu();
  return inode_ != nullptr && !Dcache::Stale(*at_.dentry, at_.seq);
}

bool RcuWalker::MaySearch() const {
  if (inode_->op_flags() & kHasPermission) return false;
  if (creds_.Has(Cap::kDacReadSearch)) return true;
  if (!(inode_->op_flags() & kHasGetattr)) {
    constexpr Mode kAnyone = S_IXUSR | S_IXGRP | S_IXOTH;
    if ((inode_->mode() & kAnyone) == kAnyone) return true;
    return GenericPermission(inode_->Attrs(), kMayExec, creds_).has_value();
  }
  const std::optional<Stat> attrs = inode_->ops().AttrsRcu(*inode_);
  return attrs && GenericPermission(*attrs, kMayExec, creds_);
}

bool RcuWalker::WalkToLast(std::string_view path) {
  if (at_.dentry == nullptr || path.empty() || path.size() >= kPathMax) return false;
  if ((flags_ & ~kUnderstood) != 0 || path.find('\0') != path.npos) return false;
  if (!Enter(at_)) return false;
  components_ = Components(path);
  for (;;) {
    last = components_.Next();
    if (last.empty()) return true;  // "/" alone
    if (!at_.dentry->is_dir() || !MaySearch() || last.size() > kNameMax) return false;
    if (components_.empty()) return true;
    if (!Step(last, false)) return false;
  }
}

bool RcuWalker::WalkLast() {
  if (!last.empty() && !Step(last, true)) return false;
  const bool directory = trailing_slash() || (flags_ & kWalkDirectory);
  return !directory || at_.dentry->is_dir();
}

bool RcuWalker::Step(std::string_view name, bool is_last) {
  if (name == ".") return true;
  if (name == "..") return false;
  const Dcache::Found found =
      vfs_.dcache().LookupRcu(*at_.dentry, at_.seq, Name(vfs_.hash_key(), name));
  if (found.kind == Dcache::Found::kNegative) {
    missing_ = !inode_->sb().Has(kSbRevalidate) && Holds();
    return false;
  }
  if (found.kind == Dcache::Found::kMiss) return false;
  const uint32_t flags = found.dentry->flags();
  const InodeOps& ops = inode_->ops();
  RcuPath next{at_.mount, found.dentry, found.seq};
  const RcuPath dir = at_;
  if (!Enter(next) || Dcache::Stale(*dir.dentry, dir.seq)) return false;
  ++hits_;
  if ((flags & kDentryRevalidate) && ops.RevalidateRcu(*inode_) != Validity::kValid) return false;
  const bool link = static_cast<FileType>(flags & kDentryTypeMask) == FileType::kSymlink;
  const bool follow = !is_last || trailing_slash() || (flags_ & kWalkFollow);
  if (link && follow) return false;
  const bool stays = is_last && (flags_ & kWalkNoMount);
  if (!(flags & kDentryMounted) || stays) return true;
  return CrossMounts(next) && Enter(next);
}

// From what is mounted upon to what is mounted there, as often as it takes.
bool RcuWalker::CrossMounts(RcuPath& place) const {
  while (place.dentry->flags() & kDentryMounted) {
    Mount* const mount = vfs_.mounts().LookupRcu(*place.mount, *place.dentry);
    if (mount == nullptr) break;
    Dentry& root = mount->root();
    place = {mount, &root, Dcache::Sample(root)};
    if (!MountsHold()) return false;  // so the mount held its root until after the sample
  }
  return MountsHold();
}

bool RcuWalker::Attrs(Stat& stat) const {
  if (inode_->op_flags() & kHasGetattr) {
    const std::optional<Stat> attrs = inode_->ops().AttrsRcu(*inode_);
    if (!attrs) return false;
    stat = *attrs;
  } else {
    stat = inode_->Attrs();
  }
  if (!Holds()) return false;
  vfs_.dcache().NoteUseRcu(*at_.dentry, hits_);
  return true;
}

bool RcuWalker::Legitimise(Path& place) const {
  if (!at_.mount->TryGet()) return false;
  place.mount = MountRef::Adopt(at_.mount);
  place.dentry = vfs_.dcache().Legitimise(*at_.dentry, at_.seq);
  if (place.dentry == nullptr || !MountsHold()) return false;
  vfs_.dcache().NoteUseRcu(*at_.dentry, hits_);
  return true;
}

RcuOutcome RcuWalker::Outcome(bool there) const {
  if (there || missing_) {
    vfs_.walk_stats().Add<&WalkStats::rcu>();
    if (!there) vfs_.dcache().NoteMissRcu(hits_);
    return there ? RcuOutcome::kFound : RcuOutcome::kMissing;
  }
  vfs_.walk_stats().Add<&WalkStats::declined>();
  return RcuOutcome::kDeclined;
}

}  // namespace

RcuOutcome WalkRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                   Path& place) {
  RcuWalker walker(vfs, context, flags);
  const bool there = walker.WalkToLast(path) && walker.WalkLast() && walker.Legitimise(place);
  return walker.Outcome(there);
}

RcuOutcome StatRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                   Stat& stat) {
  RcuWalker walker(vfs, context, flags);
  const bool there = walker.WalkToLast(path) && walker.WalkLast() && walker.Attrs(stat);
  return walker.Outcome(there);
}

RcuOutcome WalkParentRcu(Vfs& vfs, const RcuContext& context, std::string_view path,
                         Parent& parent) {
  RcuWalker walker(vfs, context, 0);
  const bool there =
      walker.WalkToLast(path) && walker.HasNormalLast() && walker.Legitimise(parent.dir);
  if (there) {
    parent.name = std::string(walker.last);
    parent.trailing_slash = walker.trailing_slash();
  }
  return walker.Outcome(there);
}

}  // namespace dentree::vfs
