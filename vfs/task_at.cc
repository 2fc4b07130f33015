// Task: the calls whose names end in "at", with the flags of <fcntl.h>.
#include "vfs/task.h"

#include <sys/stat.h>

#include <array>
#include <limits>
#include <utility>

#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

namespace {

constexpr int kPlaceFlags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
constexpr int kAtStatxSyncType = 0x6000;  // <linux/stat.h>
constexpr int64_t kSecond = 1'000'000'000;

Status OnlyFlags(int flags, int known) {
  if (flags & ~known) return Err(Errno::kInval);
  return {};
}

// The nearest time that there is.
int64_t Nanoseconds(const timespec& time) {
  int64_t ns = 0;
  const bool overflow = __builtin_mul_overflow(int64_t{time.tv_sec}, kSecond, &ns) ||
                        __builtin_add_overflow(ns, int64_t{time.tv_nsec}, &ns);
  if (!overflow) return ns;
  return time.tv_sec < 0 ? std::numeric_limits<int64_t>::min()
                         : std::numeric_limits<int64_t>::max();
}

bool Omitted(const timespec& time) { return time.tv_nsec == UTIME_OMIT; }
bool IsNow(const timespec& time) { return time.tv_nsec == UTIME_NOW; }
bool IsTime(const timespec& time) {
  return Omitted(time) || IsNow(time) || (time.tv_nsec >= 0 && time.tv_nsec < kSecond);
}

std::optional<int64_t> NewTime(const timespec& time, int64_t now) {
  if (Omitted(time)) return std::nullopt;
  return IsNow(time) ? now : Nanoseconds(time);
}

}  // namespace

Result<Path> Task::PlaceAt(int dir, std::string_view path, int flags) {
  if (!path.empty() || !(flags & AT_EMPTY_PATH)) {
    return ResolveAt(dir, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : unsigned{kWalkFollow});
  }
  if (dir == kAtFdCwd) return fs_.cwd();
  const FileRef file = TRY(fds_.Get(dir));
  return file->path();
}

Result<vfs::Stat> Task::StatAt(int dir, std::string_view path, int flags) {
  TRY(OnlyFlags(flags, kPlaceFlags | AT_NO_AUTOMOUNT | kAtStatxSyncType));
  if (!path.empty()) {
    return StatAt(dir, path, flags & AT_SYMLINK_NOFOLLOW ? Follow::kNo : Follow::kYes);
  }
  const Path place = TRY(PlaceAt(dir, path, flags));
  return vfs_.ops().Getattr(place);
}

// Without AT_EACCESS it is the real user who is asked about, who has no capabilities unless it is
// root's.
Status Task::AccessAt(int dir, std::string_view path, unsigned want, int flags) {
  constexpr unsigned kWants = kMayRead | kMayWrite | kMayExec;
  TRY(OnlyFlags(flags, kPlaceFlags | AT_EACCESS));
  if (want & ~kWants) return Err(Errno::kInval);
  return RetryStale([&]() -> Status {
    const Path place = TRY(PlaceAt(dir, path, flags));
    if ((flags & AT_EACCESS) || creds_->uid == 0) return MayAccess(place, want, *creds_);
    return MayAccess(place, want, Creds::User(creds_->uid, creds_->gid, creds_->groups));
  });
}

Status Task::UnlinkAt(int dir, std::string_view path, int flags) {
  TRY(OnlyFlags(flags, AT_REMOVEDIR));
  return flags & AT_REMOVEDIR ? Rmdir(path, dir) : Unlink(path, dir);
}

Status Task::LinkAt(int old_dir, std::string_view old_path, int new_dir, std::string_view new_path,
                    int flags) {
  TRY(OnlyFlags(flags, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH));
  if (old_path.size() >= kPathMax) return Err(Errno::kNameTooLong);
  return RetryStale([&]() -> Status {
    const bool uses_dir = old_dir != kAtFdCwd && !old_path.starts_with('/');
    if ((flags & AT_EMPTY_PATH) && uses_dir) {
      const FileRef file = TRY(fds_.Get(old_dir));
      const bool own = &file->creds() == creds_.get();
      if (!own && !creds_->Has(Cap::kDacReadSearch)) return Err(Errno::kNoEnt);
    }
    const int follow = flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
    const Path source = TRY(PlaceAt(old_dir, old_path, (flags & AT_EMPTY_PATH) | follow));
    const Parent parent = TRY(ParentAt(new_dir, new_path));
    TRY(CheckNoSlash(parent));
    TRY(vfs_.ops().Link(source, parent.dir, parent.name, *creds_));
    return {};
  });
}

namespace {

// How much of `path` names the directory of its last component, which has no slash behind it.
size_t DirSize(const Parent& parent, std::string_view path) {
  return static_cast<size_t>(parent.name.data() - path.data());
}

// Does `other` name a component of the same directory in the same words as `path`?
bool IsBeside(const Parent& parent, std::string_view path, std::string_view other) {
  const bool plain = parent.kind == Parent::Last::kNormal && parent.target == nullptr;
  if (!plain || other.size() >= kPathMax) return false;
  const std::string_view dir = path.substr(0, DirSize(parent, path));
  if (!other.starts_with(dir)) return false;
  const std::string_view last = other.substr(dir.size());
  if (last.empty() || last == "." || last == "..") return false;
  return last.find('/') == last.npos && last.find('\0') == last.npos;
}

}  // namespace

Status Task::RenameAt(int old_dir, std::string_view from, int new_dir, std::string_view to,
                      unsigned flags) {
  // Before anything is looked at: what Ops takes beside them is not the caller's to say.
  if (flags & ~(kRenameNoReplace | kRenameExchange | kRenameWhiteout)) return Err(Errno::kInval);
  if ((flags & kRenameExchange) && flags != kRenameExchange) return Err(Errno::kInval);
  return RetryStale([&]() -> Status {
    const Parent source = TRY(ParentAt(old_dir, from));
    if (old_dir == new_dir && IsBeside(source, from, to)) {
      const unsigned slash = source.trailing_slash ? unsigned{kRenameOldSlash} : 0;
      return vfs_.ops().Rename(source.dir, source.name, source.dir,
                               to.substr(DirSize(source, from)), flags | slash, *creds_,
                               mounts_.get());
    }
    const Parent target = TRY(ParentAt(new_dir, to));
    if (source.dir.mount.get() != target.dir.mount.get()) return Err(Errno::kXDev);
    if (source.kind != Parent::Last::kNormal) return Err(Errno::kBusy);
    if (target.kind != Parent::Last::kNormal) {
      return Err(flags & kRenameNoReplace ? Errno::kExist : Errno::kBusy);
    }
    const unsigned slashes = (source.trailing_slash ? unsigned{kRenameOldSlash} : 0) |
                             (target.trailing_slash ? unsigned{kRenameNewSlash} : 0);
    return vfs_.ops().Rename(source.dir, source.name, target.dir, target.name, flags | slashes,
                             *creds_, mounts_.get());
  });
}

Result<std::string> Task::Readlink(std::string_view path, int dir) {
  std::array<char, kPathMax> target;
  size_t size = 0;
  RcuOutcome outcome;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    outcome = ReadlinkRcu(vfs_, ContextRcu(dir, path), path, target, size);
  }
  if (outcome == RcuOutcome::kFound) return std::string(target.data(), size);
  if (outcome == RcuOutcome::kMissing) return Err(Errno::kNoEnt);
  return RetryStale([&]() -> Result<std::string> {
    if (!path.empty() || dir == kAtFdCwd) {
      return vfs_.ops().Readlink(TRY(ResolveRef(dir, path, 0)));
    }
    const FileRef file = TRY(fds_.Get(dir));
    if (file->dentry().type() != FileType::kSymlink) return Err(Errno::kNoEnt);
    return vfs_.ops().Readlink(file->path());
  });
}

Status Task::ChmodAt(int dir, std::string_view path, Mode mode, int flags) {
  TRY(OnlyFlags(flags, kPlaceFlags));
  return RetryStale([&]() -> Status {
    const Path place = TRY(PlaceAt(dir, path, flags));
    return vfs_.ops().Setattr(place, SetAttr{.mode = static_cast<Mode>(mode & 07777)}, *creds_);
  });
}

Status Task::ChownAt(int dir, std::string_view path, std::optional<Uid> uid, std::optional<Gid> gid,
                     int flags) {
  TRY(OnlyFlags(flags, kPlaceFlags));
  return RetryStale([&]() -> Status {
    const Path place = TRY(PlaceAt(dir, path, flags));
    const SetAttr change{.uid = uid, .gid = gid, .drops_set_id = true};
    return vfs_.ops().Setattr(place, change, *creds_);
  });
}

Status Task::SetTimesOf(const Path& place, const TwoTimes& times) {
  if (!IsTime(times[0]) || !IsTime(times[1])) return Err(Errno::kInval);
  const int64_t now = vfs_.clock().NowNs();
  const SetAttr change{.atime = NewTime(times[0], now),
                       .mtime = NewTime(times[1], now),
                       .times_are_now = IsNow(times[0]) && IsNow(times[1])};
  return vfs_.ops().Setattr(place, change, *creds_);
}

Status Task::UtimensAt(int dir, std::string_view path, const TwoTimes& times, int flags) {
  // Nothing to do: not even the path is looked at.
  if (Omitted(times[0]) && Omitted(times[1])) return {};
  TRY(OnlyFlags(flags, kPlaceFlags));
  return RetryStale([&]() -> Status {
    const Path place = TRY(PlaceAt(dir, path, flags));
    return SetTimesOf(place, times);
  });
}

Status Task::Futimens(int fd, const TwoTimes& times) {
  if (Omitted(times[0]) && Omitted(times[1])) return {};
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  return RetryStale([&] { return SetTimesOf(file->path(), times); });
}

}  // namespace dentree::vfs
