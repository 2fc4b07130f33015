// What a request loop asks before it makes a call itself: would the call wait for a file system?
#include "vfs/task.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

namespace {

bool MayBlock(const Path& place) { return place.inode().sb().Has(kSbMayBlock); }

bool IsAgain(Errno error) { return error == Errno::kAgain; }

}  // namespace

Result<Stat> Task::StatAtNowait(int dir, std::string_view path, Follow follow) const {
  const unsigned flags = follow == Follow::kYes ? unsigned{kWalkFollow} : 0;
  vfs::Stat stat;
  RcuOutcome outcome;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    outcome = StatRcu(vfs_, ContextRcu(dir, path), path, flags, stat);
  }
  if (outcome == RcuOutcome::kFound) return stat;
  if (outcome == RcuOutcome::kMissing) return Err(Errno::kNoEnt);
  return AttrsNowait(TRY(ResolveRef(dir, path, flags | kWalkNoBlock)));
}

Result<Stat> Task::FstatNowait(int fd) const { return AttrsNowait(TRY(fds_.Get(fd))->path()); }

Result<Stat> Task::AttrsNowait(const Path& place) const {
  if (!MayBlock(place)) return vfs_.ops().Getattr(place);
  const std::optional<vfs::Stat> stat = place.inode().ops().AttrsNowait(place.inode());
  if (!stat) return Err(Errno::kAgain);
  return *stat;
}

bool Task::OpenWouldBlock(int dir, std::string_view path, OpenFlags flags) const {
  if (!vfs_.may_block()) return false;
  // A link that is made or opened through may lead anywhere: whoever opens it finds out.
  if ((flags & O_CREAT) && !(flags & O_PATH)) {
    const Result<Parent> parent = ParentAt(dir, path, kWalkNoBlock);
    if (!parent) return IsAgain(parent.error());
    if (MayBlock(parent->dir)) return true;
    if (parent->kind != Parent::Last::kNormal) return false;
    const auto there = WalkChild(vfs_, parent->dir, parent->name, *creds_, kWalkNoMount);
    return there && there->dentry->type() == FileType::kSymlink;
  }
  const unsigned walk = flags & O_NOFOLLOW ? 0 : unsigned{kWalkFollow};
  const Result<Path> place = ResolveAt(dir, path, walk | kWalkNoBlock);
  if (!place) return IsAgain(place.error());
  return !(flags & O_PATH) && MayBlock(*place);
}

bool Task::ChangeWouldBlock(int dir, std::string_view path) const {
  if (!vfs_.may_block()) return false;
  const Result<Parent> parent = ParentAt(dir, path, kWalkNoBlock);
  return parent ? MayBlock(parent->dir) : IsAgain(parent.error());
}

}  // namespace dentree::vfs
