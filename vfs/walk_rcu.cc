// Path walk in RCU mode.
//
// What is read is believed because of sequence counts: a child was found in its directory while the
// directory's count stood still, and so on down from the start, so there was a moment for each step
// at which it held; and what is returned held at the end. Every pointer is followed before it is
// known to be current, which is why dentries are type-stable and inodes, mounts and files wait for
// a grace period.
//
// A component costs 85 instructions (docs/decisions/0007), and that is what this file is about: a
// component is hashed from the words it was found with, and a directory is judged by its dentry's
// flags.
#include <array>
#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {
namespace {

constexpr unsigned kUnderstood =
    kWalkFollow | kWalkDirectory | kWalkNoMount | kWalkNoBlock | kWalkCached;

// A component of a path, with its first sixteen bytes as words.
struct Component {
  static constexpr size_t kWordBytes = 2 * sizeof(uint64_t);

  const char* begin;
  size_t size;
  uint64_t word0, word1;  // zero-padded

  std::string_view text() const { return {begin, size}; }
};

// What is left of a path. Reads nothing outside of the path.
class Rest {
 public:
  Rest() = default;
  explicit Rest(std::string_view path)
      : begin_(path.data()), at_(path.data()), end_(path.data() + path.size()) {
    while (at_ != end_ && *at_ == '/') ++at_;
  }

  bool empty() const { return at_ == end_; }
  // `component`, taken off last, was followed by a slash.
  bool SlashAfter(const Component& component) const {
    return at_ != component.begin + component.size;
  }
  // Takes the next component and the slashes after it off. REQUIRES: !empty().
  [[gnu::always_inline]] Component Take() {
    const char* const begin = at_;
    if (end_ - begin > static_cast<ptrdiff_t>(Component::kWordBytes)) [[likely]] {
      const uint32_t slashes = SlashesAt(begin);
      if (slashes != 0) [[likely]] {
        const auto size = static_cast<size_t>(std::countr_zero(slashes));
        if (size >= Component::kWordBytes) __builtin_unreachable();
        const Mask& mask = kFirst[size];
        at_ = begin + size + 1;
        if (*at_ == '/') [[unlikely]]
          at_ = SkipSlashes(at_, end_);
        return {begin, size, base::internal::Load8(begin) & mask.word0,
                base::internal::Load8(begin + 8) & mask.word1};
      }
    }
    const Component component = LastOrLong(begin_, begin, end_);
    at_ = SkipSlashes(begin + component.size, end_);
    return component;
  }

 private:
  // Masks of the first n bytes.
  struct Mask {
    uint64_t word0, word1;
  };
  static constexpr std::array<Mask, Component::kWordBytes + 1> kFirst = [] {
    std::array<Mask, Component::kWordBytes + 1> masks = {};
    for (size_t n = 0; n < masks.size(); ++n) {
      const auto bytes = [](size_t k) {
        return k >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * k) - 1;
      };
      masks[n] = {bytes(n), n > 8 ? bytes(n - 8) : 0};
    }
    return masks;
  }();

  // Bit n: byte n of the sixteen at `p` is a slash. Of what the lowest bit tells all is true.
  static uint32_t SlashesAt(const char* p) {
#ifdef __SSE2__
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('/'))));
#else
    return SlashesOf(base::internal::Load8(p)) | SlashesOf(base::internal::Load8(p + 8)) << 8;
#endif
  }
  static uint32_t SlashesOf(uint64_t word) {
    constexpr uint64_t kOnes = 0x0101010101010101;
    const uint64_t x = word ^ kOnes * '/';
    const uint64_t tops = (x - kOnes) & ~x & kOnes * 0x80;
    return tops == 0 ? 0 : uint32_t{1} << std::countr_zero(tops) / 8;
  }

  // What follows takes no Rest, so that a walk's stays in registers.

  // On from the end of a component.
  [[gnu::noinline]] static const char* SkipSlashes(const char* p, const char* end) {
    while (p != end && *p == '/') ++p;
    return p;
  }
  // The component at `at` of a path, longer than sixteen bytes or among the last sixteen.
  static Component LastOrLong(const char* path, const char* at, const char* end) {
    const auto left = static_cast<size_t>(end - at);
    Component component{at, left, 0, 0};
    if (left > Component::kWordBytes) {
      component.word0 = base::internal::Load8(at);
      component.word1 = base::internal::Load8(at + 8);
      const void* const slash = std::memchr(at + 16, '/', left - 16);
      if (slash != nullptr) {
        component.size = static_cast<size_t>(static_cast<const char*>(slash) - at);
      }
    } else {
      LoadTail(path, end, left, component);
      const uint32_t slashes = SlashesOf(component.word0) | SlashesOf(component.word1) << 8;
      component.size = static_cast<size_t>(std::countr_zero(slashes | uint32_t{1} << left));
      component.word0 &= kFirst[component.size].word0;
      component.word1 &= kFirst[component.size].word1;
    }
    return component;
  }
  // The last `left` bytes of a path, at most sixteen: read with those before them, if there are
  // enough.
  static void LoadTail(const char* path, const char* end, size_t left, Component& component) {
    using base::internal::Load8;
    using base::internal::LoadPadded;
    if (end - path >= static_cast<ptrdiff_t>(Component::kWordBytes)) {
      const base::internal::Uint128 words =
          (base::internal::Uint128{Load8(end - 8)} << 64 | Load8(end - 16)) >>
          8 * (Component::kWordBytes - left);
      component.word0 = static_cast<uint64_t>(words);
      component.word1 = static_cast<uint64_t>(words >> 64);
    } else {
      LoadPadded(end - left, left, component.word0, component.word1);
    }
  }

  const char* begin_;
  const char* at_;
  const char* end_;
};

// One walk under way. A step that returns false declines.
class RcuWalker {
 public:
  RcuWalker(Vfs& vfs, const RcuContext& context, unsigned flags)
      : vfs_(vfs),
        context_(context),
        flags_(flags),
        searchable_(context.creds.Has(Cap::kDacReadSearch) ? kAsDirectory : kAsNothing),
        hash_(vfs.hash_key()),
        mounts_(vfs.mounts().changes().Sample()),
        table_(vfs.dcache().ViewRcu()) {}

  // Walks all but the last component, which is then `last`.
  bool WalkToLast(std::string_view path);
  // Takes it.
  bool WalkLast();

  bool HasNormalLast() const {
    return last_.size != 0 && last_.text() != "." && last_.text() != "..";
  }
  std::string_view last() const { return last_.text(); }
  bool trailing_slash() const { return rest_.SlashAfter(last_); }
  bool Attrs(Stat& stat) const;
  bool MayAccess(unsigned want) const;
  bool Readlink(std::span<char, kPathMax> buffer, size_t& size) const;
  bool Legitimise(Path& place, Dcache::Unwanted& unwanted) const;
  // Counted.
  RcuOutcome Outcome(bool there) const;

 private:
  // Flags of a dentry that tell whether it is a directory that has nobody to be asked.
  static constexpr uint32_t kLooks = kDentryTypeMask | kDentryPermission;
  static constexpr uint32_t kAsDirectory = static_cast<uint32_t>(FileType::kDir);
  static constexpr uint32_t kAsNothing = ~uint32_t{0};

  bool Enter(const RcuPath& place);
  bool MaySearch(const Dentry& dir, uint32_t flags) const {
    return (flags & kLooks) == searchable_ || MaySearchByMode(dir, flags);
  }
  bool MaySearchByMode(const Dentry& dir, uint32_t flags) const;
  bool WalkRest();
  bool FollowLast();
  bool PopRest();
  bool AtEnd() const;
  Dcache::Plain FindPlain(const Dentry& dir, const Component& component) const;
  bool Step(const Component& component, bool is_last);
  bool StepInto(RcuPath child, uint32_t flags, bool is_last);
  bool StepUp();
  bool EnterLink(const RcuPath& link, bool is_last);
  bool CrossMounts(RcuPath& place) const;
  bool IsMissing(const Name& name, Dcache::Found found) const;

  const Inode* InodeHere() const { return at_.dentry->InodeRcu(); }
  bool AttrsHere(Stat& stat) const;
  // Does what was read of the place still hold?
  bool Holds() const { return !Dcache::Stale(*at_.dentry, at_.seq) && MountsHold(); }
  bool Used() const;
  // Odd: they changed when the walk began.
  bool MountsHold() const {
    return (mounts_ & 1) == 0 && !vfs_.mounts().changes().ReadRetry(mounts_);
  }

  Vfs& vfs_;
  const RcuContext& context_;
  const unsigned flags_;
  const uint32_t searchable_;  // kAsDirectory: the caller may search all that look like that
  const base::WordsHash hash_;
  const uint32_t mounts_;
  const SlotTable::View table_;
  std::string_view path_;
  RcuPath at_;
  Rest rest_;
  Component last_ = {};
  uint32_t hits_ = 0;
  bool missing_ = false;    // the walk came to a name that is known not to be
  bool directory_ = false;  // there was a slash after the last component, or a symlink in its place
  int links_ = 0;
  int depth_ = 0;
  std::array<Rest, kMaxRcuNesting> waiting_;  // for the targets of `depth_` symlinks to be walked
};

// Goes on from `place`, unless it changes.
inline bool RcuWalker::Enter(const RcuPath& place) {
  at_.mount = place.mount, at_.dentry = place.dentry, at_.seq = place.seq;
  return !Dcache::Stale(*at_.dentry, at_.seq);
}

// Is it a directory that may be searched? What is read here holds if the sequence count does after
// the next step.
bool RcuWalker::MaySearchByMode(const Dentry& dentry, uint32_t flags) const {
  const Inode* const inode = dentry.InodeRcu();
  if ((flags & kLooks) != kAsDirectory || inode == nullptr) return false;
  const Inode& dir = *inode;
  if (!(dir.op_flags() & kHasGetattr)) {
    constexpr Mode kAnyone = S_IXUSR | S_IXGRP | S_IXOTH;
    if ((dir.mode() & kAnyone) == kAnyone) return true;
    return GenericPermission(dir.OwnerNow(), kMayExec, context_.creds).has_value();
  }
  const std::optional<Stat> attrs = dir.ops().AttrsRcu(dir);
  return attrs && GenericPermission(*attrs, kMayExec, context_.creds);
}

[[gnu::always_inline]] inline bool RcuWalker::WalkToLast(std::string_view path) {
  if (context_.start.dentry == nullptr || path.empty() || path.size() >= kPathMax) return false;
  if ((flags_ & ~kUnderstood) != 0 || table_.empty() || !Enter(context_.start)) return false;
  path_ = path;
  rest_ = Rest(path);
  return WalkRest();
}

// Walks what is left but for the last component. The place and the rest of the path are kept in
// registers as long as every component is a plain one.
[[gnu::always_inline]] inline bool RcuWalker::WalkRest() {
  for (;;) {
    while (rest_.empty()) {
      if (!PopRest()) return true;
    }
    Dentry* dir = at_.dentry;
    uint32_t seq = at_.seq;
    uint32_t flags = dir->flags();
    Rest rest = rest_;
    Component component;
    for (;;) {
      component = rest.Take();
      if (!MaySearch(*dir, flags)) return false;
      if (rest.empty()) break;
      const Dcache::Plain child = FindPlain(*dir, component);
      if (child.dentry == nullptr || Dcache::Stale(*dir, seq)) break;
      dir = child.dentry, seq = child.seq, flags = child.flags;
      ++hits_;
    }
    at_.dentry = dir, at_.seq = seq;
    rest_ = rest;
    last_.begin = component.begin, last_.size = component.size;
    last_.word0 = component.word0, last_.word1 = component.word1;
    if (rest.empty() && AtEnd()) return true;
    if (!Step(component, false)) return false;
  }
}

// Nothing is left of the path at hand. False: nor of those that wait for it; there is no last
// component, and the walk is where it was to go ("/", or a symlink to it).
bool RcuWalker::PopRest() {
  last_ = {};
  if (depth_ == 0) return false;
  rest_ = waiting_[static_cast<size_t>(--depth_)];
  return true;
}

// Is what was taken last the end of the whole path?
inline bool RcuWalker::AtEnd() const {
  for (size_t i = 0; i < static_cast<size_t>(depth_); ++i) {
    if (!waiting_[i].empty()) return false;
  }
  return true;
}

[[gnu::always_inline]] inline bool RcuWalker::WalkLast() {
  if (last_.size != 0) [[likely]] {
    directory_ = trailing_slash();
    const Dcache::Plain child = FindPlain(*at_.dentry, last_);
    if (child.dentry != nullptr && !Dcache::Stale(*at_.dentry, at_.seq)) [[likely]] {
      at_.dentry = child.dentry, at_.seq = child.seq;
      ++hits_;
    } else if (!FollowLast()) {
      return false;
    }
  }
  return !(directory_ || (flags_ & kWalkDirectory)) || at_.dentry->is_dir();
}

// Takes a last component that is not a plain one, and what symlinks in its place lead to.
bool RcuWalker::FollowLast() {
  do {
    directory_ |= trailing_slash();
    const int links = links_;
    if (!Step(last_, true)) return false;
    if (links == links_) return true;
    if (!WalkRest()) return false;
  } while (last_.size != 0);
  return true;
}

[[gnu::always_inline]] inline Dcache::Plain RcuWalker::FindPlain(const Dentry& dir,
                                                                 const Component& component) const {
  if (component.size > Component::kWordBytes) [[unlikely]]
    return {};
  const uint64_t key = Name::KeyOf(hash_(component.word0, component.word1), component.size);
  return Dcache::LookupPlainRcu(table_, dir, key, component.word0, component.word1);
}

// Any component.
bool RcuWalker::Step(const Component& component, bool is_last) {
  if (component.size > kNameMax) return false;
  if (component.text() == ".") return true;
  if (component.text() == "..") return StepUp();
  const Name name(vfs_.hash_key(), component.text());
  const Dcache::Found found = vfs_.dcache().LookupRcu(*at_.dentry, at_.seq, name);
  if (found.kind != Dcache::Found::kPositive) {
    missing_ = IsMissing(name, found);
    return false;
  }
  const RcuPath child{at_.mount, found.dentry, found.seq};
  const uint32_t flags = child.dentry->flags();
  if (Dcache::Stale(*at_.dentry, at_.seq)) return false;
  ++hits_;
  return StepInto(child, flags, is_last);
}

// A child that is more than a name: to be asked about, mounted upon, or a symlink.
bool RcuWalker::StepInto(RcuPath child, uint32_t flags, bool is_last) {
  if (flags & kDentryRevalidate) {
    const Inode* const dir = InodeHere();
    const Inode* const inode = child.dentry->InodeRcu();
    if (dir == nullptr || inode == nullptr || Dcache::Stale(*child.dentry, child.seq)) return false;
    if (dir->ops().RevalidateRcu(*inode) != Validity::kValid) return false;
  }
  const bool link = (flags & kDentryTypeMask) == static_cast<uint32_t>(FileType::kSymlink);
  const bool follow = !is_last || directory_ || (flags_ & kWalkFollow);
  if (link && follow) return EnterLink(child, is_last);
  const bool stays = is_last && (flags_ & kWalkNoMount);
  if ((flags & kDentryMounted) && !stays && !CrossMounts(child)) return false;
  return Enter(child);
}

// Goes on with the target of a symlink; stays where the link is.
bool RcuWalker::EnterLink(const RcuPath& link, bool is_last) {
  if (++links_ > kMaxSymlinks || at_.mount->Has(MS_NOSYMFOLLOW)) return false;
  // Whose links are followed in a directory that is everybody's is not for here.
  constexpr Mode kShared = S_ISVTX | S_IWOTH;
  Stat dir;
  if (!AttrsHere(dir) || (dir.mode & kShared) == kShared) return false;
  const Inode* const inode = link.dentry->InodeRcu();
  if (inode == nullptr) return false;
  const std::optional<std::string_view> target = inode->ops().LinkRcu(*inode);
  if (!target || target->empty() || Dcache::Stale(*link.dentry, link.seq)) return false;
  if (!is_last) {
    if (depth_ == kMaxRcuNesting) return false;
    waiting_[static_cast<size_t>(depth_++)] = rest_;
  }
  rest_ = Rest(*target);
  if (!target->starts_with('/')) return Enter(at_);
  RcuPath root;
  context_.root.Load(root);
  return Enter(root);
}

// What is mounted over the place it comes to is left to references, and so is a mount that shows a
// part of its file system: a rename may have taken the place out of it.
bool RcuWalker::StepUp() {
  RcuPath root;
  context_.root.Load(root);
  const bool at_root = at_.dentry == root.dentry && at_.mount == root.mount;
  if (at_root) return !(at_.dentry->flags() & kDentryMounted);
  const Dentry* const top = &at_.mount->root();
  if (at_.dentry == top || top != &at_.mount->sb().root()) return false;
  Dentry* const parent = at_.dentry->parent();
  if (parent == nullptr || Dcache::Stale(*at_.dentry, at_.seq)) return false;
  const RcuPath above{at_.mount, parent, Dcache::Sample(*parent)};
  // Only now is it known that the parent was alive when it was sampled.
  if (Dcache::Stale(*at_.dentry, at_.seq)) return false;
  return Enter(above) && !(parent->flags() & kDentryMounted);
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

// Nothing was found: is it known that there is nothing?
bool RcuWalker::IsMissing(const Name& name, Dcache::Found found) const {
  const Inode* const dir = InodeHere();
  if (dir == nullptr || !Holds()) return false;
  if (path_.find('\0') != path_.npos) return false;  // no path at all
  if (found.kind == Dcache::Found::kNegative) {
    if (dir->sb().Has(kSbRevalidate)) return false;
    vfs_.negatives().NoteHit(*found.negative);
    return true;
  }
  if (!dir->sb().Has(kSbPinned)) return false;
  Dcache& dcache = vfs_.dcache();
  const uint32_t renames = dcache.Renames();
  if (renames & 1) return false;
  const bool still = dcache.LookupRcu(*at_.dentry, at_.seq, name).kind == Dcache::Found::kMiss;
  return still && !dcache.RenamedSince(renames) && Holds();
}

// The attributes in force, if the place holds afterwards.
inline bool RcuWalker::AttrsHere(Stat& stat) const {
  const Inode* const inode = InodeHere();
  if (inode == nullptr) return false;
  if (!(inode->op_flags() & kHasGetattr)) return inode->AttrsInto(stat), true;
  const std::optional<Stat> attrs = inode->ops().AttrsRcu(*inode);
  if (attrs) stat = *attrs;
  return attrs.has_value();
}

// The place held while it was read, and reclaim sees that it is used.
inline bool RcuWalker::Used() const {
  if (!Holds()) return false;
  vfs_.dcache().NoteUseRcu(*at_.dentry, hits_);
  return true;
}

inline bool RcuWalker::Attrs(Stat& stat) const { return AttrsHere(stat) && Used(); }

bool RcuWalker::MayAccess(unsigned want) const {
  if (want != 0) {
    const Inode* const inode = InodeHere();
    Stat attrs;
    if (!AttrsHere(attrs) || (inode->op_flags() & kHasPermission)) return false;
    if ((want & kMayExec) && at_.mount->no_exec()) return false;
    const bool fixed = at_.mount->read_only() || (inode->flags() & kInodeImmutable);
    if ((want & kMayWrite) && fixed) return false;
    if (!GenericPermission(attrs, want, context_.creds)) return false;
  }
  return Used();
}

bool RcuWalker::Readlink(std::span<char, kPathMax> buffer, size_t& size) const {
  const Inode* const inode = InodeHere();
  if (inode == nullptr || at_.dentry->type() != FileType::kSymlink) return false;
  const std::optional<std::string_view> target = inode->ops().LinkRcu(*inode);
  if (!target || target->size() > buffer.size()) return false;
  std::memcpy(buffer.data(), target->data(), target->size());
  size = target->size();
  return Used();
}

bool RcuWalker::Legitimise(Path& place, Dcache::Unwanted& unwanted) const {
  if (!at_.mount->TryGet()) return false;
  place.mount = MountRef::Adopt(at_.mount);
  place.dentry = vfs_.dcache().Legitimise(*at_.dentry, at_.seq, unwanted);
  if (place.dentry == nullptr || !MountsHold()) return false;
  vfs_.dcache().NoteUseRcu(*at_.dentry, hits_);
  return true;
}

inline RcuOutcome RcuWalker::Outcome(bool there) const {
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
                   Path& place, Dcache::Unwanted& unwanted) {
  RcuWalker walker(vfs, context, flags);
  const bool there =
      walker.WalkToLast(path) && walker.WalkLast() && walker.Legitimise(place, unwanted);
  return walker.Outcome(there);
}

RcuOutcome StatRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                   Stat& stat) {
  RcuWalker walker(vfs, context, flags);
  const bool there = walker.WalkToLast(path) && walker.WalkLast() && walker.Attrs(stat);
  return walker.Outcome(there);
}

RcuOutcome AccessRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                     unsigned want) {
  RcuWalker walker(vfs, context, flags);
  const bool there = walker.WalkToLast(path) && walker.WalkLast() && walker.MayAccess(want);
  return walker.Outcome(there);
}

RcuOutcome ReadlinkRcu(Vfs& vfs, const RcuContext& context, std::string_view path,
                       std::span<char, kPathMax> buffer, size_t& size) {
  RcuWalker walker(vfs, context, 0);
  const bool there = walker.WalkToLast(path) && walker.WalkLast() && walker.Readlink(buffer, size);
  return walker.Outcome(there);
}

RcuOutcome WalkParentRcu(Vfs& vfs, const RcuContext& context, std::string_view path, unsigned flags,
                         Parent& parent, Dcache::Unwanted& unwanted) {
  RcuWalker walker(vfs, context, flags);
  const bool there =
      walker.WalkToLast(path) && walker.HasNormalLast() && walker.Legitimise(parent.dir, unwanted);
  if (there) {
    parent.SetName(walker.last(), path);
    parent.trailing_slash = walker.trailing_slash();
  }
  return walker.Outcome(there);
}

}  // namespace dentree::vfs
