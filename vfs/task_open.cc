// Task: open and openat2.
#include "vfs/task.h"

#include <optional>
#include <utility>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

namespace {

constexpr uint64_t kTmpfileBit = O_TMPFILE & ~O_DIRECTORY;
// Opens whose effects closing does not undo.
constexpr uint64_t kChanges = O_CREAT | O_TRUNC | kTmpfileBit;
constexpr uint64_t kLargeFile = 0100000;  // the C library's is 0 where it is the rule
constexpr uint64_t kPathFlags = O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC;
constexpr uint64_t kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND |
                                O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT | kLargeFile |
                                O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
                                kTmpfileBit;
constexpr uint64_t kResolveFlags = kResolveNoXdev | kResolveNoMagicLinks | kResolveNoSymlinks |
                                   kResolveBeneath | kResolveInRoot | kResolveCached;
constexpr unsigned kResolveShift = 8;
static_assert(kWalkNoXdev == kResolveNoXdev << kResolveShift);
static_assert(kWalkCached == kResolveCached << kResolveShift);

bool MayCreate(uint64_t flags) { return flags & (O_CREAT | kTmpfileBit); }

// What does not go together, whichever call asks for it.
Status CheckFlags(uint64_t flags) {
  constexpr uint64_t kBoth = O_CREAT | O_DIRECTORY;
  if ((flags & kBoth) == kBoth) return Err(Errno::kInval);
  if (flags & kTmpfileBit) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (!(flags & O_DIRECTORY) || !writes) return Err(Errno::kInval);
  }
  if ((flags & O_PATH) && (flags & ~kPathFlags)) return Err(Errno::kInval);
  return {};
}

Status CheckHow(const OpenHow& how) {
  if ((how.flags & ~kOpenFlags) || (how.resolve & ~kResolveFlags)) return Err(Errno::kInval);
  constexpr uint64_t kScopes = kResolveBeneath | kResolveInRoot;
  if ((how.resolve & kScopes) == kScopes) return Err(Errno::kInval);
  if (how.mode & ~(MayCreate(how.flags) ? uint64_t{07777} : 0)) return Err(Errno::kInval);
  TRY(CheckFlags(how.flags));
  const bool changes = how.flags & (O_TRUNC | O_CREAT | kTmpfileBit);
  if ((how.resolve & kResolveCached) && changes) return Err(Errno::kAgain);
  return {};
}

// What RESOLVE_CACHED leaves to who may ask again: Linux goes out of RCU mode to refuse, and a miss
// of tmpfs is not in its cache.
bool IsRefusal(Errno error) {
  return error == Errno::kNoEnt || error == Errno::kNotDir || error == Errno::kAccess;
}

}  // namespace

Result<int> Task::OpenAt(int dir, std::string_view path, OpenFlags flags, Mode mode) {
  // What open(2) does not know it does not see.
  const auto known = static_cast<OpenFlags>(kOpenFlags & (flags & O_PATH ? kPathFlags : ~0ul));
  TRY(CheckFlags(static_cast<uint64_t>(flags & known)));
  return OpenWalking(dir, path, flags & known, mode & 07777, 0);
}

Result<int> Task::Openat2(int dir, std::string_view path, const OpenHow& how) {
  TRY(CheckHow(how));
  return OpenWalking(dir, path, static_cast<OpenFlags>(how.flags), static_cast<Mode>(how.mode),
                     static_cast<unsigned>(how.resolve << kResolveShift));
}

Result<int> Task::OpenWalking(int dir, std::string_view path, OpenFlags flags, Mode mode,
                              unsigned walk) {
  const auto open_once = [&]() -> Result<FileRef> {
    if (static_cast<uint64_t>(flags) & kTmpfileBit) {
      return OpenTmpfile(dir, path, flags, mode, walk);
    }
    if (flags & O_CREAT) return OpenOrCreate(dir, path, flags, mode, walk);
    unsigned how = walk | (flags & O_NOFOLLOW ? 0 : unsigned{kWalkFollow});
    if (flags & O_DIRECTORY) how |= kWalkDirectory;
    Result<Path> place = ResolveAt(dir, path, how);
    const bool asks = (walk & kWalkCached) && !path.empty() && !place;
    if (asks && IsRefusal(place.error())) return Err(Errno::kAgain);
    if (!place) return Err(place.error());
    return vfs_.ops().Open(*std::move(place), flags, creds_);
  };
  const bool changes = static_cast<uint64_t>(flags) & kChanges;
  if (!changes && fds_.full()) return Err(Errno::kMFile);
  std::optional<FdTable::Room> room;
  if (changes) {
    FdTable::Room reserved = TRY(fds_.Reserve());
    room.emplace(std::move(reserved));
  }
  // What the walk leaves is reclaimable, so that anybody's may borrow from the reserve; an open
  // file only where it must not fail.
  const auto open_on_reserve = [&]() -> Result<FileRef> {
    const mm::ReserveScope reserve(vfs_.memory());
    const unsigned how = walk | (flags & O_NOFOLLOW ? 0 : unsigned{kWalkFollow});
    Path place = TRY(ResolveAt(dir, path, how));
    if (!place.inode().ops().MustNotFail(place.inode())) return Err(Errno::kNoMem);
    return vfs_.ops().Open(std::move(place), flags & ~O_CREAT, creds_);
  };
  Result<FileRef> file = RetryStale(open_once);
  constexpr uint64_t kOther = O_EXCL | O_DIRECTORY | O_PATH | kTmpfileBit;
  if (!file && file.error() == Errno::kNoMem && !(static_cast<uint64_t>(flags) & kOther)) {
    if (Result<FileRef> again = RetryStale(open_on_reserve)) file = std::move(again);
  }
  if (!file) return Err(file.error());
  if (!room) return fds_.Install(*std::move(file));
  return fds_.Install(*std::move(file), *std::move(room));
}

// open with O_CREAT: the last component may be missing, or a symlink to what is missing.
Result<FileRef> Task::OpenOrCreate(int dir, std::string_view path, OpenFlags flags, Mode mode,
                                   unsigned walk) {
  std::optional<WalkContext> context;  // from the first symlink on
  std::string target;                  // its
  for (int links = 0; links <= kMaxSymlinks; ++links) {
    const Parent parent =
        TRY(context ? WalkParent(vfs_, *context, target, walk) : ParentAt(dir, path, walk));
    if (parent.kind != Parent::Last::kNormal) {
      // ".." may lead out of the scope
      TRY(context ? Walk(vfs_, *context, target, walk) : ResolveRef(dir, path, walk));
      return Err(flags & O_EXCL ? Errno::kExist : Errno::kIsDir);
    }
    if (parent.trailing_slash) return Err(Errno::kIsDir);
    const auto masked =
        static_cast<Mode>(StripSetGroupId(parent.dir, mode, *creds_) & ~fs_.umask());
    Ops::OpenAt opened =
        TRY(vfs_.ops().OpenCreate(parent.dir, parent.name, flags, masked, creds_, walk));
    if (opened.file != nullptr) return std::move(opened.file);
    if ((flags & O_NOFOLLOW) || (walk & kWalkNoSymlinks)) return Err(Errno::kLoop);
    if (opened.link.mount->Has(MS_NOSYMFOLLOW)) return Err(Errno::kLoop);
    target = TRY(vfs_.ops().Readlink(opened.link));
    if (!context) {
      WalkContext begun = TRY(Context(dir, path, walk));
      begun.scope = begun.start;
      context.emplace(std::move(begun));
    }
    const Path& top = walk & kWalkInRoot ? context->scope : context->root;
    const bool leaves = target.starts_with('/') && top.mount.get() != parent.dir.mount.get();
    if ((walk & kWalkNoXdev) && leaves) return Err(Errno::kXDev);
    context->start = parent.dir;
  }
  return Err(Errno::kLoop);
}

Result<FileRef> Task::OpenTmpfile(int dir, std::string_view path, OpenFlags flags, Mode mode,
                                  unsigned walk) {
  walk |= kWalkDirectory | (flags & O_NOFOLLOW ? 0 : unsigned{kWalkFollow});
  const Path place = TRY(ResolveAt(dir, path, walk));
  mode = StripSetGroupId(place, mode, *creds_) & static_cast<Mode>(~fs_.umask());
  return vfs_.ops().Tmpfile(place, flags, mode, creds_);
}

}  // namespace dentree::vfs
