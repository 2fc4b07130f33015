// Path walk: from a string to a place.
//
// Every walk starts from a Path (root, working directory or an open directory) and goes one
// component at a time through the same steps: permission to search, hash lookup, revalidation,
// the file system's lookup on a miss, mounts, symlinks. Iterative; symlinks keep a stack of at most
// kMaxSymlinks.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/base.h"
#include "vfs/creds.h"
#include "vfs/dcache.h"
#include "vfs/mount.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Vfs;

// Where a walk starts and what it may see. `root` bounds ".." and absolute paths.
struct WalkContext {
  Path root;
  Path start;
  const Creds& creds;
  Path scope = {};  // what kWalkBeneath and kWalkInRoot do not leave; none: `start`
};

enum WalkFlags : unsigned {
  kWalkFollow = 1 << 0,     // follow a symlink in the last component
  kWalkDirectory = 1 << 1,  // the result must be a directory (kNotDir)
  kWalkEmptyPath = 1 << 2,  // "" is the start itself (kNoEnt otherwise)
  kWalkNoMount = 1 << 3,    // do not step onto what is mounted on the last component (umount)
  kWalkNoBlock = 1 << 4,    // kAgain instead of asking a file system that may block (kSbMayBlock)
  // openat2's RESOLVE_*: values as there, shifted.
  kWalkNoXdev = 1 << 8,
  kWalkNoMagicLinks = 1 << 9,
  kWalkNoSymlinks = 1 << 10,
  kWalkBeneath = 1 << 11,
  kWalkInRoot = 1 << 12,
  kWalkCached = 1 << 13,  // kAgain instead of asking any file system what a name means
};

// The place that `path` names. Errors are Linux's, in its order: kNameTooLong, kNoEnt, kNotDir,
// kAccess, kLoop; kXDev for the RESOLVE flags.
Result<Path> Walk(Vfs& vfs, const WalkContext& context, std::string_view path, unsigned flags);

// --- RCU mode: no lock, no reference, no shared write ---
//
// The same walk inside an RCU section, from a place without references, through what is cached:
// over mounts, symlinks and "..". Where more is needed (a name that is not cached, a file system
// that must be asked, "..", out of a mount, anything that changes meanwhile, any refusal but that
// there is no such name) it declines, and the caller walks with references.

class RcuPlace;
struct RcuContext {
  RcuPath start = {};    // no place: declined
  const RcuPlace& root;  // as WalkContext's; read only where a walk needs it
  const Creds& creds;
};
enum class RcuOutcome : uint8_t {
  kDeclined,
  kFound,
  kMissing,  // kNoEnt
};

// Symlinks inside symlinks that RCU mode follows; beyond, it declines.
inline constexpr int kMaxRcuNesting = 8;

struct WalkStats {
  base::Counter rcu;       // walks that RCU mode answered
  base::Counter declined;  // walks that it left to references
};
inline constexpr auto kWalkFields = base::Fields(
    base::F<&WalkStats::rcu>("rcu", "Path walks answered in RCU mode", base::StatKind::kCumulative),
    base::F<&WalkStats::declined>("declined", "Path walks that RCU mode left to references",
                                  base::StatKind::kCumulative));

// A counted place. `place` and `unwanted` may be left holding references when it declines: they are
// the caller's, and outlive the section, because letting go may block.
RcuOutcome WalkRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                   Path& place, Dcache::Unwanted& unwanted);
// The attributes alone.
RcuOutcome StatRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                   Stat& stat);
// Whether `want` (MayBits) is allowed: it is, if found.
RcuOutcome AccessRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                     unsigned want);
// The target of a symlink, copied into `buffer`, and its size.
RcuOutcome ReadlinkRcu(Vfs& vfs, const RcuContext& context, std::string_view path,
                       std::span<char, kPathMax> buffer, size_t& size);

// The last component, unresolved, and its directory: for everything that creates or removes.
struct Parent {
  enum class Last : uint8_t { kNormal, kDot, kDotDot, kRoot } kind = Last::kNormal;
  Path dir;
  std::string_view name;  // kNormal only: a part of the path that was asked for, or of `target`
  bool trailing_slash = false;
  std::unique_ptr<const std::string> target;  // what a symlink led to

  // `last` is a part of `path` or of something that does not last.
  void SetName(std::string_view last, std::string_view path);
};
Result<Parent> WalkParent(Vfs& vfs, const WalkContext& context, std::string_view path,
                          unsigned flags = 0);
// As WalkRcu.
RcuOutcome WalkParentRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                         Parent& parent, Dcache::Unwanted& unwanted);

// One component below `dir`, neither "." nor "..": the cached child or the file system's answer;
// mounts are crossed, symlinks are not followed. Search permission is checked.
Result<Path> WalkChild(Vfs& vfs, const Path& dir, std::string_view name, const Creds& creds,
                       unsigned flags = 0);

// The directory above, across mounts, never above `root`. kNoEnt: it is outside of what a bind
// mount shows, because this one or one above it was moved away.
Result<Path> WalkUp(Vfs& vfs, const Path& dir, const Path& root);

// The path of a place as seen from `root` ("/a/b"); kNoEnt for what cannot be reached from there:
// outside of it, detached or removed.
Result<std::string> PathName(Vfs& vfs, const Path& path, const Path& root);

// May `creds` do `want` (enum Access) to the object? kAccess, kRoFs for writes to read-only places.
Status MayAccess(const Path& path, unsigned want, const Creds& creds);
Status MayAccessInode(Inode& inode, unsigned want, const Creds& creds);

}  // namespace dentree::vfs
