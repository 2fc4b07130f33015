#include <fcntl.h>

#include <algorithm>
#include <array>
#include <new>

#include "absl/strings/str_format.h"
#include "hostfs/super_internal.h"

namespace dentree::hostfs {

using base::Err;
using vfs::Dentry;
using vfs::DentryRef;
using vfs::Inode;
using vfs::InodeRef;

namespace {

constexpr int64_t kNsPerMs = 1'000'000;

// Does the error say that the object is not where it was?
bool IsGone(Errno error) {
  return error == Errno::kNoEnt || error == Errno::kNotDir || error == Errno::kLoop ||
         error == Errno::kStale;
}

// openat2 found itself outside when it was done: what it walked through was moved away.
Result<Fd> Beneath(Result<Fd> opened) {
  if (!opened && opened.error() == Errno::kXDev) return Err(Errno::kStale);
  return opened;
}

}  // namespace

// --- HostInode -----------------------------------------------------------------------------------

std::shared_ptr<HostFile> HostInode::AnyOpen() const {
  base::MutexLock lock(lock_);
  return open_.empty() ? nullptr : open_.back();
}

void HostInode::AddOpen(std::shared_ptr<HostFile> file) {
  base::MutexLock lock(lock_);
  open_.push_back(std::move(file));
}

void HostInode::RemoveOpen(const HostFile* file) {
  std::shared_ptr<HostFile> removed;  // may be the last: closed after the lock
  base::MutexLock lock(lock_);
  const auto at = std::find_if(open_.begin(), open_.end(),
                               [file](const auto& open) { return open.get() == file; });
  if (at == open_.end()) return;
  removed = std::move(*at);
  open_.erase(at);
}

Status FileSystemState::TakeOpen() {
  const int64_t open = stats_.open.Add();
  if (open <= max_open_) {
    stats_.open_max.Note(open);
    return {};
  }
  GiveOpen();
  stats_.open_refused.Add();
  return Err(Errno::kNFile);
}

// --- HostSuper: time -----------------------------------------------------------------------------

HostSuper::HostSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, FileSystemState& state,
                     const Settings& settings)
    : SuperBlock(vfs,
                 {.type = &type,
                  .magic = kMagic,
                  .flags = vfs::kSbRevalidate | vfs::kSbMayBlock |
                           (state.may_write() ? 0u : vfs::kSbReadOnly | vfs::kSbNeverWritable)}),
      state_(state),
      calls_(state.stats()),
      ttl_ms_(settings.ttl_ms),
      delay_ns_(settings.delay_ns),
      notify_(settings.notify),
      watches_(vfs, state),
      inodes_(vfs.memory(), "hostfs_inode", mm::CacheFlags::kReclaimable) {
  if (settings.notify) watches_.TurnOn();
}

void HostSuper::Configure(const Settings& settings) {
  notify_.store(settings.notify, std::memory_order_relaxed);
  if (settings.notify) {
    watches_.TurnOn();
  } else {
    watches_.TurnOff();
  }
  ttl_ms_.store(settings.ttl_ms, std::memory_order_relaxed);
  delay_ns_.store(settings.delay_ns, std::memory_order_relaxed);
}

Settings HostSuper::settings() const {
  return {.ttl_ms = ttl_ms_.load(std::memory_order_relaxed),
          .delay_ns = delay_ns_.load(std::memory_order_relaxed),
          .notify = notify_.load(std::memory_order_relaxed)};
}

int64_t HostSuper::AskingNow() {
  const int64_t now = Now();
  watches_.Listen(now);
  return now;
}

bool HostSuper::Young(int64_t ns, int64_t now) const {
  return ns != kNeverRead && now - ns < ttl_ms_.load(std::memory_order_relaxed) * kNsPerMs;
}

bool HostSuper::NameFresh(const Inode& dir, int64_t ns) {
  if (!Young(ns, AskingNow())) return false;
  return Watches::TickOf(ns) >= watches_.Mark(HostOf(dir).watch.load(std::memory_order_acquire));
}

// What a negative knows is the tick of its answer, and of that the lower 32 bits.
bool HostSuper::MissingFresh(const Inode& dir, uint32_t asked_ms) {
  static_assert(kListenNs == kNsPerMs);
  const int64_t now = Watches::TickOf(AskingNow());
  const uint32_t age_ms = static_cast<uint32_t>(now) - asked_ms;
  if (age_ms >= ttl_ms_.load(std::memory_order_relaxed)) return false;
  return now - age_ms >= watches_.Mark(HostOf(dir).watch.load(std::memory_order_acquire));
}

bool HostSuper::AttributesFresh(const Inode& inode) {
  const HostInode& host = HostOf(inode);
  const int64_t now = AskingNow();
  const int64_t ns = host.read_ns.load(std::memory_order_acquire);
  if (!Young(ns, now)) return false;
  const int64_t own = watches_.Mark(host.watch.load(std::memory_order_acquire));
  const int64_t above = watches_.Mark(host.seen_in.load(std::memory_order_acquire));
  return Watches::TickOf(ns) >= std::max(own, above);
}

// --- HostSuper: finding objects again ------------------------------------------------------------

Result<Fd> HostSuper::OpenPath(Dentry& name, int flags, const std::string& child) const {
  const Result<std::string> known = vfs().dcache().PathOf(name, root());
  if (!known && known.error() == Errno::kNameTooLong) return OpenDeep(name, flags, child);
  if (!known) return Err(known.error());
  std::string path = known->substr(1);
  if (!child.empty()) path += path.empty() ? child : "/" + child;
  if (path.size() >= vfs::kPathMax) return OpenDeep(name, flags, child);
  return Beneath(calls_.Open(state_.top(), path.empty() ? "." : path, flags));
}

Result<Fd> HostSuper::OpenDeep(Dentry& name, int flags, const std::string& child) const {
  std::vector<std::string> pieces;  // the last one first
  std::string piece = child;
  for (DentryRef at = DentryRef::Share(&name); !at->is_root(); at = vfs().dcache().ParentOf(*at)) {
    if (at->unhashed()) return Err(Errno::kNoEnt);
    std::string component = at->NameCopy();
    if (piece.size() + 1 + component.size() >= vfs::kPathMax) {
      pieces.push_back(std::exchange(piece, std::move(component)));
    } else {
      if (!piece.empty()) component.append("/").append(piece);
      piece = std::move(component);
    }
  }
  Handle dir(state_.top());
  while (!pieces.empty()) {
    dir = Handle(TRY(Beneath(calls_.Open(dir.get(), piece, O_PATH | O_DIRECTORY))));
    piece = std::move(pieces.back());
    pieces.pop_back();
  }
  return Beneath(calls_.Open(dir.get(), piece, flags));
}

// A name proved wrong, and any name above it may be why.
void HostSuper::Distrust(Dentry& name) const {
  stats().not_found.Add();
  for (DentryRef at = DentryRef::Share(&name); !at->is_root(); at = vfs().dcache().ParentOf(*at)) {
    at->set_fsdata(kNameDistrusted);
  }
}

Result<Fd> HostSuper::FindBy(Dentry& name, const HostId& id, int flags, HostStat* stat) {
  Result<Fd> found = OpenPath(name, flags);
  if (!found && !IsGone(found.error())) return found;
  if (found) {
    const HostStat is = TRY(calls_.Stat(found->get()));
    if (stat != nullptr) *stat = is;
    if (is.id == id) return found;
  }
  Distrust(name);
  return Err(Errno::kStale);
}

Result<HostStat> HostSuper::Ask(Inode& dir, const std::string& name) {
  DentryRef at[1];
  if (vfs().dcache().NamesOf(dir, at) == 0) return Err(Errno::kStale);
  if (at[0]->is_root()) {
    watches_.Add(HostOf(dir), state_.top());
  } else {
    const Fd found = TRY(FindBy(*at[0], HostOf(dir).id, O_PATH | O_DIRECTORY));
    watches_.Add(HostOf(dir), found.get());
  }
  AskingNow();
  SYNC_POINT(vfs().sync_points(), "hostfs:ask");
  Delay();
  const Result<Fd> object = OpenPath(*at[0], O_PATH, name);
  if (object) return calls_.Stat(object->get());
  if (object.error() == Errno::kNoEnt || !IsGone(object.error())) return Err(object.error());
  // The name alone cannot be at fault: the directory went while we asked.
  Distrust(*at[0]);
  return Err(Errno::kStale);
}

Result<Handle> HostSuper::FindDir(Inode& dir) {
  if (&dir == &root().inode()) return Handle(state_.top());
  return Find(dir, O_PATH | O_DIRECTORY);
}

Result<Handle> HostSuper::Find(Inode& inode, int flags, HostStat* stat) {
  std::array<DentryRef, kMaxNamesTried> names;
  const size_t count = vfs().dcache().NamesOf(inode, names);
  for (size_t i = 0; i < count; ++i) {
    Result<Fd> found = FindBy(*names[i], HostOf(inode).id, flags, stat);
    if (found) return Handle(*std::move(found));
    if (found.error() != Errno::kStale) return Err(found.error());
  }
  return Err(Errno::kStale);
}

bool HostSuper::HasBelievedName(Inode& inode) {
  std::array<DentryRef, kMaxNamesTried> names;
  const size_t count = vfs().dcache().NamesOf(inode, names);
  return std::any_of(names.begin(), names.begin() + count,
                     [](const DentryRef& name) { return name->fsdata() != kNameDistrusted; });
}

// The object has no name any more.
void HostSuper::DistrustNames(Inode& inode) {
  std::array<DentryRef, kMaxNamesTried> names;
  const size_t count = vfs().dcache().NamesOf(inode, names);
  for (size_t i = 0; i < count; ++i) names[i]->set_fsdata(kNameDistrusted);
}

Status HostSuper::CheckName(int dir, const std::string& name, const Inode& inode) const {
  const HostStat is = TRY(calls_.Stat(dir, name));
  if (is.id == HostOf(inode).id) return {};
  return Err(Errno::kStale);
}

Result<HostSuper::Place> HostSuper::FindPlace(Inode& inode) {
  std::array<DentryRef, kMaxNamesTried> names;
  const size_t count = vfs().dcache().NamesOf(inode, names);
  for (size_t i = 0; i < count; ++i) {
    if (names[i]->is_root()) continue;
    const DentryRef parent = vfs().dcache().ParentOf(*names[i]);
    Result<Handle> dir = FindDir(parent->inode());
    if (!dir) continue;
    std::string name = names[i]->NameCopy();
    if (CheckName(dir->get(), name, inode)) return Place{*std::move(dir), std::move(name)};
    Distrust(*names[i]);
  }
  return Err(Errno::kStale);
}

// --- HostSuper: inodes ---------------------------------------------------------------------------

vfs::Ino HostSuper::ShownIno(uint64_t dev, uint64_t ino) const {
  return dev == top_dev_ ? ino : base::Mix64(ino ^ base::Mix64(dev));
}

Result<InodeRef> HostSuper::InodeOf(const HostStat& stat, int64_t asked_ns) {
  InodeRef inode = TRY(vfs().icache().Get(
      *this, ShownIno(stat.id.dev, stat.id.ino),
      [&stat](const Inode& cached) { return HostOf(cached).id == stat.id; },
      [&] { return NewInode(stat, asked_ns); }));
  Offer(*inode, stat, asked_ns);
  return inode;
}

Result<InodeRef> HostSuper::NewInode(const HostStat& stat, int64_t asked_ns) {
  InodeRef inode = TRY(vfs().icache().New(*this, OpsFor(stat.id.type),
                                          ShownIno(stat.id.dev, stat.id.ino), stat.mode));
  HostInode* const host = inodes_.New(stat.id);
  if (host == nullptr) return Err(Errno::kNoMem);
  inode->set_private_data(host);
  inode->set_op_flags(vfs::kHasPermission | vfs::kHasGetattr);
  inode->set_rdev(stat.rdev);
  Store(*inode, stat, asked_ns);
  return inode;
}

Result<InodeRef> HostSuper::MakeTop() {
  const int64_t now = AskingNow();
  const HostStat stat = TRY(calls_.Stat(state_.top()));
  top_dev_ = stat.id.dev;
  return InodeOf(stat, now);
}

void HostSuper::EvictInode(Inode& inode) {
  if (inode.private_data() == nullptr) return;
  watches_.Remove(HostOf(inode));
  inodes_.Delete(&HostOf(inode));
}

void HostSuper::FoundIn(const Inode& dir, const Inode& inode) {
  const int32_t watch = HostOf(dir).watch.load(std::memory_order_acquire);
  HostOf(inode).seen_in.store(watch, std::memory_order_release);
}

std::shared_ptr<HostFile> HostSuper::NewFile(Fd fd, std::unique_ptr<DirBuffer> dir) {
  auto* const file = new (std::nothrow) HostFile{std::move(fd), std::move(dir)};
  return std::shared_ptr<HostFile>(file);
}

// --- HostSuper: attributes -----------------------------------------------------------------------

void HostSuper::Store(Inode& inode, const HostStat& stat, int64_t asked_ns) {
  Inode::Update(inode)
      .Mode(stat.mode)
      .Owner(stat.uid, stat.gid)
      .Nlink(stat.nlink)
      .Size(stat.size)
      .AllTimes(stat.times.btime)
      .Atime(stat.times.atime)
      .Mtime(stat.times.mtime)
      .Ctime(stat.times.ctime);
  HostInode& host = HostOf(inode);
  host.blocks.store(stat.blocks, std::memory_order_relaxed);
  host.blksize.store(stat.blksize, std::memory_order_relaxed);
  host.read_ns.store(asked_ns, std::memory_order_release);
}

void HostSuper::Offer(Inode& inode, const HostStat& stat, int64_t asked_ns) {
  if (!inode.sem().TryLock()) return;
  if (HostOf(inode).read_ns.load(std::memory_order_relaxed) < asked_ns) {
    Store(inode, stat, asked_ns);
  }
  inode.sem().Unlock();
}

vfs::Stat HostSuper::ToStat(const Inode& inode, const HostStat& stat) const {
  return {.ino = inode.ino(),
          .dev = dev(),
          .mode = stat.mode,
          .nlink = stat.nlink,
          .uid = stat.uid,
          .gid = stat.gid,
          .rdev = stat.rdev,
          .size = stat.size,
          .blocks = stat.blocks,
          .blksize = stat.blksize,
          .times = stat.times};
}

Result<HostStat> HostSuper::ReadAttributes(Inode& inode) {
  stats().attributes.Add();
  if (const std::shared_ptr<HostFile> open = HostOf(inode).AnyOpen()) {
    return calls_.Stat(open->fd.get());
  }
  HostStat stat;
  TRY(Find(inode, O_PATH, &stat));
  return stat;
}

std::optional<vfs::Stat> HostSuper::AttributesAtHand(const Inode& inode) {
  if (!AttributesFresh(inode)) return std::nullopt;
  const HostInode& host = HostOf(inode);
  vfs::Stat stat = inode.Attrs();
  stat.blocks = host.blocks.load(std::memory_order_relaxed);
  stat.blksize = host.blksize.load(std::memory_order_relaxed);
  return stat;
}

Result<vfs::Stat> HostSuper::Attributes(Inode& inode) {
  if (const std::optional<vfs::Stat> fresh = AttributesAtHand(inode)) return *fresh;
  const int64_t now = AskingNow();
  const HostStat stat = TRY(ReadAttributes(inode));
  if (stat.nlink == 0) DistrustNames(inode);
  Offer(inode, stat, now);
  return ToStat(inode, stat);
}

// --- HostSuper: what is shown of it --------------------------------------------------------------

vfs::StatFs HostSuper::Statfs() const {
  return calls_.Statfs(state_.top()).value_or(vfs::StatFs{.magic = kMagic});
}

std::string HostSuper::ShowOptions() const {
  std::string text;
  const Settings now = settings();
  if (now.ttl_ms % 1000 != 0) {
    absl::StrAppendFormat(&text, ",ttl=%dms", now.ttl_ms);
  } else if (now.ttl_ms != kDefaultTtlMs) {
    absl::StrAppendFormat(&text, ",ttl=%d", now.ttl_ms / 1000);
  }
  if (now.delay_ns != 0) absl::StrAppendFormat(&text, ",delay_ns=%d", now.delay_ns);
  if (!now.notify) text += ",notify=off";
  return text;
}

}  // namespace dentree::hostfs
