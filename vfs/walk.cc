#include "vfs/walk.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {
namespace {

constexpr std::string_view kDot = ".";
constexpr std::string_view kDotDot = "..";

// Whether the file system may be asked, which may block.
enum class Ask : uint8_t { kNo, kYes };

Ask MayAsk(const SuperBlock& sb, unsigned flags) {
  const bool no_block = (flags & kWalkNoBlock) && sb.Has(kSbMayBlock);
  return no_block || (flags & kWalkCached) ? Ask::kNo : Ask::kYes;
}

// The same for what is asked about an inode, which only some answer from elsewhere than memory.
Ask MayAsk(const Inode& inode, unsigned flags) {
  return inode.sb().Has(kSbMayBlock) ? MayAsk(inode.sb(), flags) : Ask::kYes;
}

Status MaySearch(Inode& dir, unsigned flags, const Creds& creds) {
  if (MayAsk(dir, flags) == Ask::kYes) return MayAccessInode(dir, kMayExec, creds);
  const std::optional<Stat> attrs = dir.ops().AttrsNowait(dir);
  if (!attrs) return base::Err(Errno::kAgain);
  return GenericPermission(*attrs, kMayExec, creds);
}

// Is what the dcache says still true? Asked only where names change without us.
bool StillValid(const Dentry& dir, const Dcache::Answer& answer, const Name& name, Ask ask) {
  Inode& inode = dir.inode();
  switch (answer.kind) {
    case Dcache::Found::kPositive: {
      if (!(answer.dentry->flags() & kDentryRevalidate)) return true;
      Validity validity = inode.ops().Revalidate(inode, *answer.dentry);
      if (validity == Validity::kAsk && ask == Ask::kYes) {
        validity = inode.ops().AskAgain(inode, *answer.dentry);
      }
      return validity == Validity::kValid;
    }
    case Dcache::Found::kNegative: {
      if (!inode.sb().Has(kSbRevalidate)) return true;
      return inode.ops().RevalidateMissing(inode, name, answer.asked_ms) == Validity::kValid;
    }
    case Dcache::Found::kMiss:
      break;
  }
  return false;
}

// A valid answer of the dcache as a result.
Result<DentryRef> Take(Dcache::Answer answer) {
  if (answer.kind == Dcache::Found::kNegative) return base::Err(Errno::kNoEnt);
  return std::move(answer.dentry);
}

Result<DentryRef> LookupChild(Vfs& vfs, Dentry& dir, const Name& name, unsigned flags) {
  Dcache::Answer answer = vfs.dcache().Lookup(dir, name);
  const Ask ask = MayAsk(dir.sb(), flags);
  if (StillValid(dir, answer, name, ask)) return Take(std::move(answer));
  if (ask == Ask::kNo) return base::Err(Errno::kAgain);
  // Judged once more under the semaphore: a rename of ours may be between the file system and the
  // dcache. What is wrong then is forgotten there, and what is mounted on it once the lock is gone.
  const DentryRef suspect = std::move(answer.dentry);
  Result<DentryRef> found = [&] {
    base::WriteLock lock(dir.inode().sem());
    return LookupLocked(vfs, dir, name);
  }();
  if (suspect != nullptr && suspect->unhashed()) vfs.mounts().DetachBelow(*suspect);
  return found;
}

// From what is mounted upon to what is mounted there, as often as it takes.
Status CrossMounts(Vfs& vfs, Path& path, unsigned flags) {
  while (path.dentry->flags() & kDentryMounted) {
    MountRef mount = vfs.mounts().Lookup(*path.mount, *path.dentry);
    if (mount == nullptr) return {};
    if (flags & kWalkNoXdev) return base::Err(Errno::kXDev);
    DentryRef root = DentryRef::Share(&mount->root());
    path = {std::move(mount), std::move(root)};
  }
  return {};
}

// One walk under way.
class Walker {
 public:
  Walker(Vfs& vfs, const WalkContext& context, unsigned flags)
      : vfs_(vfs), context_(context), flags_(flags) {}

  // Walks all but the last component.
  Status WalkToLast(std::string_view path);
  // Takes the last component, following it if it is a symlink and the flags say so.
  Status WalkLast();

  // Where the walk is, and the component it has not taken.
  Path at;
  std::string_view last;
  bool trailing_slash = false;

 private:
  // The rest of a path that waits for a symlink's target to be walked.
  struct Waiting {
    std::unique_ptr<const std::string> target;  // what the walk reads now; stays where it is
    Components rest;
  };

  const Path& Scope() const { return context_.scope ? context_.scope : context_.start; }
  Status Start(std::string_view path);
  Status WalkPrefix();
  bool AtEnd() const;
  Status Step(std::string_view name, Follow follow, bool is_last);
  Status StepUp();
  Status EnterLink(Path link, bool is_last);
  Status ProtectedLink(const Path& link) const;

  Vfs& vfs_;
  const WalkContext& context_;
  const unsigned flags_;
  Components rest_;
  absl::InlinedVector<Waiting, 2> waiting_;
  int links_ = 0;
};

Status Walker::Start(std::string_view path) {
  if (path.size() >= kPathMax) return base::Err(Errno::kNameTooLong);
  if (path.find('\0') != path.npos) return base::Err(Errno::kInval);
  const bool absolute = path.starts_with('/');
  if (absolute && (flags_ & kWalkBeneath)) return base::Err(Errno::kXDev);
  at = context_.start;
  if (absolute) at = flags_ & kWalkInRoot ? Scope() : context_.root;
  rest_ = Components(path);
  return {};
}

// Is what was taken last the end of the whole path?
bool Walker::AtEnd() const {
  if (!rest_.empty()) return false;
  for (const Waiting& waiting : waiting_) {
    if (!waiting.rest.empty()) return false;
  }
  return true;
}

Status Walker::WalkToLast(std::string_view path) {
  TRY(Start(path));
  if (path.empty()) return base::Err(Errno::kNoEnt);
  return WalkPrefix();
}

Status Walker::WalkPrefix() {
  for (;;) {
    if (rest_.empty() && !waiting_.empty()) {
      rest_ = waiting_.back().rest;
      waiting_.pop_back();
      continue;
    }
    last = rest_.Next();
    trailing_slash = rest_.trailing_slash();
    if (last.empty()) return {};  // "/" alone
    if (!at.dentry->is_dir()) return base::Err(Errno::kNotDir);
    TRY(MaySearch(at.inode(), flags_, context_.creds));
    if (AtEnd()) return {};
    TRY(Step(last, Follow::kYes, false));
  }
}

Status Walker::Step(std::string_view name, Follow follow, bool is_last) {
  if (name == kDot) return {};
  if (name == kDotDot) return StepUp();
  TRY(CheckLength(*at.dentry, name));
  const Name hashed(vfs_.hash_key(), name);
  DentryRef child = TRY(LookupChild(vfs_, *at.dentry, hashed, flags_));
  if (!(child->flags() & (kDentrySymlink | kDentryMounted))) [[likely]] {
    at.dentry = std::move(child);
    return {};
  }
  Path next{at.mount, std::move(child)};
  if (next.dentry->type() == FileType::kSymlink) {
    if (follow == Follow::kYes) return EnterLink(std::move(next), is_last);
  } else if (!is_last || !(flags_ & kWalkNoMount)) {
    TRY(CrossMounts(vfs_, next, flags_));
  }
  at = std::move(next);
  return {};
}

// To the directory above, or where there is none to stay; and onto what is mounted over it.
Status Walker::StepUp() {
  const bool at_root = at == context_.root;
  const bool scoped = flags_ & (kWalkBeneath | kWalkInRoot);
  const bool at_top = scoped && at == Scope();
  if (at_top && (flags_ & kWalkBeneath)) return base::Err(Errno::kXDev);
  if (!at_root && !at_top) {
    Path up = TRY(WalkUp(vfs_, at, context_.root));
    if ((flags_ & kWalkNoXdev) && up.mount.get() != at.mount.get()) return base::Err(Errno::kXDev);
    at = std::move(up);
  }
  return CrossMounts(vfs_, at, flags_);
}

// In a sticky directory that anyone may write, links are followed for their owner and the
// directory's only.
Status Walker::ProtectedLink(const Path& link) const {
  const Stat dir = at.inode().Attrs();
  constexpr Mode kShared = S_ISVTX | S_IWOTH;
  if ((dir.mode & kShared) != kShared) return {};
  const Uid owner = link.inode().uid();
  if (owner == context_.creds.uid || owner == dir.uid) return {};
  return base::Err(Errno::kAccess);
}

// Goes on with the target of a symlink; `at` stays where the link is.
Status Walker::EnterLink(Path link, bool is_last) {
  if (++links_ > kMaxSymlinks || (flags_ & kWalkNoSymlinks)) return base::Err(Errno::kLoop);
  TRY(ProtectedLink(link));
  if (link.mount->Has(MS_NOSYMFOLLOW)) return base::Err(Errno::kLoop);
  if (MayAsk(link.inode(), flags_) == Ask::kNo) return base::Err(Errno::kAgain);
  std::string target = TRY(link.inode().ops().Readlink(link.inode()));
  if (target.empty()) return base::Err(Errno::kNoEnt);
  // A slash after the link asks for a directory wherever it leads.
  const bool need_directory = is_last && trailing_slash;
  if (target.starts_with('/')) {
    if (flags_ & kWalkBeneath) return base::Err(Errno::kXDev);
    Path top = flags_ & kWalkInRoot ? Scope() : context_.root;
    if ((flags_ & kWalkNoXdev) && top.mount.get() != at.mount.get()) return base::Err(Errno::kXDev);
    at = std::move(top);
  }
  waiting_.push_back({std::make_unique<const std::string>(std::move(target)), rest_});
  rest_ = Components(*waiting_.back().target);
  if (!is_last) return {};
  TRY(WalkPrefix());
  trailing_slash |= need_directory;
  return WalkLast();
}

Status Walker::WalkLast() {
  const bool directory = trailing_slash || (flags_ & kWalkDirectory);
  const bool follow = trailing_slash || (flags_ & kWalkFollow);
  if (!last.empty()) TRY(Step(last, follow ? Follow::kYes : Follow::kNo, true));
  if (directory && !at.dentry->is_dir()) return base::Err(Errno::kNotDir);
  return {};
}

}  // namespace

void Parent::SetName(std::string_view last, std::string_view path) {
  const std::less_equal<> before;
  const bool inside = before(path.data(), last.data()) &&
                      before(last.data() + last.size(), path.data() + path.size());
  if (!inside) target = std::make_unique<const std::string>(last);
  name = inside ? last : std::string_view(*target);
}

Status CheckLength(const Dentry& dir, std::string_view name) {
  if (name.size() <= kNameMax) return {};
  return base::Err(dir.inode().dead() ? Errno::kNoEnt : Errno::kNameTooLong);
}

Result<DentryRef> LookupLocked(Vfs& vfs, Dentry& dir, const Name& name) {
  Inode& inode = dir.inode();
  // One that the cache forgot is as good as removed: its successor in the cache would not hear of
  // changes.
  if (inode.dead() || dir.unhashed()) return base::Err(Errno::kNoEnt);
  Dcache::Answer answer = vfs.dcache().Lookup(dir, name);
  const bool plain =
      answer.kind == Dcache::Found::kPositive && !(answer.dentry->flags() & kDentryRevalidate);
  if (plain) [[likely]]
    return std::move(answer.dentry);
  if (StillValid(dir, answer, name, Ask::kYes)) return Take(std::move(answer));
  if (answer.kind == Dcache::Found::kPositive) vfs.dcache().Forget(*answer.dentry);
  const bool was_missing = answer.kind == Dcache::Found::kNegative;
  SYNC_POINT(vfs.sync_points(), "walk:lookup:slow");
  const int64_t asked_ns = inode.sb().Has(kSbRevalidate) ? vfs.clock().MonotonicNs() : 0;
  Result<InodeRef> found = inode.ops().Lookup(inode, name);
  if (!found && found.error() == Errno::kNoEnt) {
    const bool kept = was_missing && vfs.negatives().Refresh(dir, name, MonotonicMs(asked_ns));
    if (!kept) vfs.dcache().AddNegative(dir, name, asked_ns, NegativeReason::kMiss);
    return base::Err(Errno::kNoEnt);
  }
  if (was_missing) vfs.dcache().ForgetNegative(dir, name);
  if (!found) return base::Err(found.error());
  Dcache::New fresh = TRY(vfs.dcache().Alloc(dir, name));
  fresh->set_fsdata(static_cast<uint64_t>(asked_ns));
  DentryRef dentry = vfs.dcache().Add(std::move(fresh), name, *std::move(found));
  if (name.hash() % SuperBlock::kNamesPerAgeing == 0) inode.sb().AgeCaches();
  return dentry;
}

namespace {

Result<Path> WalkOnce(Vfs& vfs, const WalkContext& context, std::string_view path, unsigned flags) {
  Walker walker(vfs, context, flags);
  TRY(walker.WalkToLast(path));
  TRY(walker.WalkLast());
  return std::move(walker.at);
}

Result<Parent> WalkParentOnce(Vfs& vfs, const WalkContext& context, std::string_view path,
                              unsigned flags) {
  Walker walker(vfs, context, flags);
  TRY(walker.WalkToLast(path));
  Parent parent;
  parent.dir = std::move(walker.at);
  parent.trailing_slash = walker.trailing_slash;
  if (walker.last.empty()) {
    parent.kind = Parent::Last::kRoot;
  } else if (walker.last == kDot) {
    parent.kind = Parent::Last::kDot;
  } else if (walker.last == kDotDot) {
    parent.kind = Parent::Last::kDotDot;
  } else {
    parent.SetName(walker.last, path);
  }
  return parent;
}

}  // namespace

Result<Path> Walk(Vfs& vfs, const WalkContext& context, std::string_view path, unsigned flags) {
  if (path.empty() && (flags & kWalkEmptyPath)) return context.start;
  return RetryStale([&] { return WalkOnce(vfs, context, path, flags); });
}

Result<Parent> WalkParent(Vfs& vfs, const WalkContext& context, std::string_view path,
                          unsigned flags) {
  return RetryStale([&] { return WalkParentOnce(vfs, context, path, flags); });
}

Result<Path> WalkChild(Vfs& vfs, const Path& dir, std::string_view name, const Creds& creds,
                       unsigned flags) {
  if (!dir.dentry->is_dir()) return base::Err(Errno::kNotDir);
  TRY(MaySearch(dir.inode(), flags, creds));
  TRY(CheckLength(*dir.dentry, name));
  DentryRef found = TRY(LookupChild(vfs, *dir.dentry, Name(vfs.hash_key(), name), flags));
  Path child{dir.mount, std::move(found)};
  if (!(flags & kWalkNoMount)) TRY(CrossMounts(vfs, child, flags));
  return child;
}

Result<Path> WalkUp(Vfs& vfs, const Path& dir, const Path& root) {
  Path at = dir;
  while (at.is_mount_root()) {
    if (at == root) return at;
    Path below = vfs.mounts().Mountpoint(*at.mount);
    if (!below) return at;
    at = std::move(below);
  }
  if (at == root) return at;
  at.dentry = vfs.dcache().ParentOf(*at.dentry);
  const Dentry& top = at.mount->root();
  const bool whole = &top == &at.mount->sb().root();
  if (!whole && !vfs.dcache().IsBelow(*at.dentry, top)) return base::Err(Errno::kNoEnt);
  return at;
}

Result<std::string> PathName(Vfs& vfs, const Path& path, const Path& root) {
  std::string name;
  Path at = path;
  for (;;) {
    const bool same_mount = at.mount.get() == root.mount.get();
    Dentry& top = same_mount ? *root.dentry : at.mount->root();
    std::string part = TRY(vfs.dcache().PathOf(*at.dentry, top));
    if (part != "/") name.insert(0, part);
    if (same_mount) break;
    at = vfs.mounts().Mountpoint(*at.mount);
    if (!at) return base::Err(Errno::kNoEnt);
  }
  return name.empty() ? std::string("/") : name;
}

}  // namespace dentree::vfs
