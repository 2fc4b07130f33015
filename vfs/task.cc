#include "vfs/task.h"

#include <algorithm>
#include <array>
#include <utility>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"
#include "vfs/walk_internal.h"

namespace dentree::vfs {

using base::Err;

// --- FsContext -------------------------------------------------------------------------------

void RcuPlace::Store(const Path& place) {
  base::SeqWrite change(seq_);
  mount_.Store(place.mount.get());
  dentry_.Store(place.dentry.get());
}

FsContext::FsContext(Path root, Path cwd, Mode umask)
    : state_{std::move(root), std::move(cwd)},
      root_(state_.root),
      cwd_(state_.cwd),
      umask_(umask) {}

FsContext::FsContext(const FsContext& other)
    : FsContext(other.root(), other.cwd(), other.umask()) {}

Path FsContext::root() const {
  base::MutexLock lock(mutex_);
  return state_.root;
}

Path FsContext::cwd() const {
  base::MutexLock lock(mutex_);
  return state_.cwd;
}

void FsContext::SetCwd(Path cwd) {
  base::MutexLock lock(mutex_);
  std::swap(state_.cwd, cwd);
  cwd_.Store(state_.cwd);
  // The old one is put when the argument ends, after the lock.
}

void FsContext::SetRoot(Path root) {
  base::MutexLock lock(mutex_);
  std::swap(state_.root, root);
  root_.Store(state_.root);
}

// --- FdTable ---------------------------------------------------------------------------------

// Freed after a grace period, once bigger ones took their place.
struct FdTable::Slots {
  explicit Slots(size_t n) : size(n), slot(std::make_unique<Slot[]>(n)) {}
  const size_t size;
  const std::unique_ptr<Slot[]> slot;
  base::RcuHead free;
};

FdTable::~FdTable() {
  CloseAll();
  delete slots_.load(std::memory_order_relaxed);
}

FdTable::Slot* FdTable::At(const Slots* slots, int fd) {
  const auto index = static_cast<size_t>(fd);
  return fd < 0 || slots == nullptr || index >= slots->size ? nullptr : &slots->slot[index];
}

FdTable::Slot* FdTable::GrowToLocked(int fd) { return At(&GrowLocked(size_t(fd) + 1), fd); }

FdTable::Slots& FdTable::GrowLocked(size_t size) {
  constexpr size_t kSmallest = 8;
  Slots* const old = slots_.load(std::memory_order_relaxed);
  auto* const bigger = new Slots(std::bit_ceil(std::max(size, kSmallest)));
  for (size_t i = 0; old != nullptr && i < old->size; ++i)
    PutInto(bigger->slot[i], old->slot[i].file);
  slots_.store(bigger, std::memory_order_release);
  if (old != nullptr) rcu_.RetireDelete<Slots, &Slots::free>(old);
  return *bigger;
}

void FdTable::PutInto(Slot& slot, File* file) {
  slot.file = file;
  if (file != nullptr && file->dentry().is_dir()) slot.dir.Store(file->path());
}

FileRef FdTable::TakeOut(Slot& slot) {
  File* const file = std::exchange(slot.file, nullptr);
  if (file != nullptr && file->dentry().is_dir()) slot.dir.Store({});
  return FileRef::Adopt(file);
}

Result<FdTable::Room> FdTable::Reserve() {
  base::MutexLock lock(mutex_);
  if (full()) return Err(Errno::kMFile);
  ++reserved_;
  TakeLocked(1);
  return Room(*this);
}

FdTable::Room::~Room() {
  if (table_ == nullptr) return;
  base::MutexLock lock(table_->mutex_);
  --table_->reserved_;
  table_->TakeLocked(-1);
}

int FdTable::Install(FileRef file, Room room) {
  base::MutexLock lock(mutex_);
  room.table_ = nullptr;
  --reserved_;
  TakeLocked(-1);
  return InstallLocked(file, 0).value();
}

Result<int> FdTable::Install(FileRef file) {
  base::MutexLock lock(mutex_);
  return InstallLocked(file, 0);
}

// Takes the file over only when there is room: its end must not come under the lock.
Result<int> FdTable::InstallLocked(FileRef& file, size_t lowest) {
  Slots* slots = slots_.load(std::memory_order_relaxed);
  const size_t size = slots == nullptr ? 0 : slots->size;
  size_t fd = lowest;
  while (fd < size && slots->slot[fd].file != nullptr) ++fd;
  if (fd >= limit_ || full()) return Err(Errno::kMFile);
  if (fd >= size) slots = &GrowLocked(fd + 1);
  PutInto(slots->slot[fd], file.Leak());
  TakeLocked(1);
  return static_cast<int>(fd);
}

Result<FileRef> FdTable::Get(int fd) const {
  base::MutexLock lock(mutex_);
  const Slot* const slot = AtLocked(fd);
  if (slot == nullptr || slot->file == nullptr) return Err(Errno::kBadF);
  return FileRef::Share(slot->file);
}

void FdTable::DirRcu(int fd, RcuPath& dir) const {
  // A descriptor is closed in the array of that moment: what an older one says no longer counts.
  const Slots* slots = nullptr;
  do {
    slots = slots_.load(std::memory_order_acquire);
    const Slot* const slot = At(slots, fd);
    if (slot != nullptr) slot->dir.Load(dir);
    if (slot == nullptr) dir.dentry = nullptr;
  } while (slots_.load(std::memory_order_acquire) != slots);
}

Status FdTable::Close(int fd) {
  FileRef closing;  // released after the lock
  {
    base::MutexLock lock(mutex_);
    Slot* const slot = AtLocked(fd);
    if (slot == nullptr || slot->file == nullptr) return Err(Errno::kBadF);
    closing = TakeOut(*slot);
    TakeLocked(-1);
  }
  closing->path().vfs().locks().ReleaseOwner(*closing, this);
  return {};
}

Result<int> FdTable::Dup(int fd, int lowest) {
  FileRef file = TRY(Get(fd));
  if (lowest < 0 || static_cast<size_t>(lowest) >= limit_) return Err(Errno::kInval);
  base::MutexLock lock(mutex_);
  return InstallLocked(file, static_cast<size_t>(lowest));
}

void FdTable::CloseAll() {
  std::vector<FileRef> closing;  // released after the lock
  {
    base::MutexLock lock(mutex_);
    const Slots* const slots = slots_.load(std::memory_order_relaxed);
    for (size_t fd = 0; slots != nullptr && fd < slots->size; ++fd) {
      if (slots->slot[fd].file != nullptr) closing.push_back(TakeOut(slots->slot[fd]));
    }
    taken_.store(reserved_, std::memory_order_relaxed);
  }
  for (const FileRef& file : closing) file->path().vfs().locks().ReleaseOwner(*file, this);
}

size_t FdTable::open_count() const {
  base::MutexLock lock(mutex_);
  return taken_.load(std::memory_order_relaxed) - reserved_;
}

// --- Task: places ----------------------------------------------------------------------------

Task::Task(Vfs& vfs, Creds creds)
    : vfs_(vfs),
      creds_(std::make_shared<const Creds>(std::move(creds))),
      mounts_(MountNamespaceRef::Share(&vfs.mounts().initial())),
      fs_(vfs.Root(), vfs.Root()),
      fds_(vfs.rcu()),
      pid_(vfs.locks().NextPid()) {}

Task::Task(const Task& parent)
    : vfs_(parent.vfs_),
      creds_(parent.creds_),
      mounts_(parent.mounts_),
      fs_(parent.fs_),
      fds_(parent.vfs_.rcu()),
      pid_(parent.vfs_.locks().NextPid()) {}

std::unique_ptr<Task> Task::Fork() const { return std::unique_ptr<Task>(new Task(*this)); }

Task::~Task() { fds_.CloseAll(); }

void Task::SetCreds(Creds creds) { creds_ = std::make_shared<const Creds>(std::move(creds)); }

// Where a walk of `path` starts. A descriptor is looked at only when the path is relative and not
// empty.
Result<WalkContext> Task::Context(int dir, std::string_view path, unsigned walk) const {
  if (path.empty()) return Err(Errno::kNoEnt);
  if (path.size() >= kPathMax) return Err(Errno::kNameTooLong);
  const bool from_root = path.starts_with('/') && !(walk & kWalkInRoot);
  if (dir == kAtFdCwd || from_root) return WalkContext{fs_.root(), fs_.cwd(), *creds_};
  const FileRef file = TRY(fds_.Get(dir));
  if (!file->dentry().is_dir()) return Err(Errno::kNotDir);
  return WalkContext{fs_.root(), file->path(), *creds_};
}

Result<Path> Task::Resolve(std::string_view path, Follow follow, int dir) {
  return ResolveAt(dir, path, follow == Follow::kYes ? unsigned{kWalkFollow} : 0);
}

Result<Path> Task::ResolveAt(int dir, std::string_view path, unsigned flags) const {
  // The one that is returned. Let go of outside the section, also where it was taken in vain.
  Result<Path> place;
  Dcache::Unwanted unwanted(vfs_.dcache());
  RcuOutcome outcome;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    outcome = WalkRcu(vfs_, ContextRcu(dir, path), path, flags, *place, unwanted);
  }
  if (outcome == RcuOutcome::kMissing) {
    place = Err(Errno::kNoEnt);
  } else if (outcome == RcuOutcome::kDeclined) {
    place = ResolveRef(dir, path, flags);
  }
  return place;
}

Result<Path> Task::ResolveRef(int dir, std::string_view path, unsigned flags) const {
  const WalkContext context = TRY(Context(dir, path, flags));
  return Walk(vfs_, context, path, flags);
}

Result<Parent> Task::ParentAt(int dir, std::string_view path, unsigned flags) const {
  Result<Parent> parent;  // the one that is returned
  Dcache::Unwanted unwanted(vfs_.dcache());
  RcuOutcome outcome;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    outcome = WalkParentRcu(vfs_, ContextRcu(dir, path), path, flags, *parent, unwanted);
  }
  if (outcome != RcuOutcome::kFound) [[unlikely]] {
    const WalkContext context = TRY(Context(dir, path, flags));
    parent = WalkParent(vfs_, context, path, flags);
  }
  return parent;
}

Status Task::Chdir(std::string_view path) {
  Path place = TRY(ResolveAt(kAtFdCwd, path, kWalkFollow | kWalkDirectory));
  TRY(MayAccess(place, kMayExec, *creds_));
  fs_.SetCwd(std::move(place));
  return {};
}

Status Task::Fchdir(int fd) {
  const FileRef file = TRY(fds_.Get(fd));
  if (!file->dentry().is_dir()) return Err(Errno::kNotDir);
  TRY(MayAccess(file->path(), kMayExec, *creds_));
  fs_.SetCwd(file->path());
  return {};
}

Status Task::Chroot(std::string_view path) {
  const WalkContext context = TRY(Context(kAtFdCwd, path));
  Path place = TRY(Walk(vfs_, context, path, kWalkFollow | kWalkDirectory));
  TRY(MayAccess(place, kMayExec, *creds_));
  if (!creds_->Has(Cap::kSysAdmin)) return Err(Errno::kPerm);
  fs_.SetRoot(std::move(place));
  return {};
}

Result<std::string> Task::Getcwd() { return PathName(vfs_, fs_.cwd(), fs_.root()); }

// --- Task: descriptors
// -----------------------------------------------------------------------------

Result<size_t> Task::Read(int fd, std::span<std::byte> out) { return TRY(fds_.Get(fd))->Read(out); }

Result<size_t> Task::Write(int fd, std::span<const std::byte> in) {
  const FileRef file = TRY(fds_.Get(fd));
  const uint64_t limit = file_size_limit();
  if (limit != kNoSizeLimit) return file->WriteVec({&in, 1}, std::nullopt, limit, creds_.get());
  return file->Write(in, creds_.get());
}

Result<size_t> Task::Write(int fd, std::string_view text) {
  return Write(fd, std::as_bytes(std::span(text)));
}

Result<size_t> Task::Pread(int fd, std::span<std::byte> out, uint64_t pos) {
  if (pos > INT64_MAX) return Err(Errno::kInval);
  return TRY(fds_.Get(fd))->Pread(out, pos);
}

Result<size_t> Task::Pwrite(int fd, std::span<const std::byte> in, uint64_t pos) {
  if (pos > INT64_MAX) return Err(Errno::kInval);
  const FileRef file = TRY(fds_.Get(fd));
  const uint64_t limit = file_size_limit();
  if (limit != kNoSizeLimit) return file->WriteVec({&in, 1}, pos, limit, creds_.get());
  return file->Pwrite(in, pos, creds_.get());
}

Result<uint64_t> Task::Lseek(int fd, int64_t offset, Whence whence) {
  return TRY(fds_.Get(fd))->Seek(offset, whence);
}

Status Task::Getdents(int fd, DirSink& sink) { return TRY(fds_.Get(fd))->Readdir(sink); }

Status Task::Ftruncate(int fd, uint64_t size) {
  if (size > INT64_MAX) return Err(Errno::kInval);
  return TRY(fds_.Get(fd))->Truncate(size, file_size_limit(), creds_.get());
}

Status Task::Fsync(int fd) { return TRY(fds_.Get(fd))->Fsync(); }
Result<PollEvents> Task::Poll(int fd) { return TRY(fds_.Get(fd))->Poll(); }

Result<vfs::Stat> Task::Fstat(int fd) { return vfs_.ops().Getattr(TRY(fds_.Get(fd))->path()); }

// --- Task: names
// -----------------------------------------------------------------------------------

Result<vfs::Stat> Task::StatAt(int dir, std::string_view path, Follow follow) {
  const unsigned flags = follow == Follow::kYes ? unsigned{kWalkFollow} : 0;
  Result<vfs::Stat> stat;  // the one that is returned: attributes are copied once
  RcuOutcome outcome;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    outcome = StatRcu(vfs_, ContextRcu(dir, path), path, flags, *stat);
  }
  if (outcome == RcuOutcome::kMissing) {
    stat = Err(Errno::kNoEnt);
  } else if (outcome == RcuOutcome::kDeclined) {
    stat = RetryStale([&]() -> Result<vfs::Stat> {
      return vfs_.ops().Getattr(TRY(ResolveRef(dir, path, flags)));
    });
  }
  return stat;
}

Status Task::Access(std::string_view path, unsigned want, int dir) {
  if (want & ~unsigned{kMayRead | kMayWrite | kMayExec}) return Err(Errno::kInval);
  RcuOutcome outcome;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    outcome = AccessRcu(vfs_, ContextRcu(dir, path), path, kWalkFollow, want);
  }
  if (outcome == RcuOutcome::kFound) return {};
  if (outcome == RcuOutcome::kMissing) return Err(Errno::kNoEnt);
  const Path place = TRY(ResolveRef(dir, path, kWalkFollow));
  const bool exec = (want & kMayExec) && place.dentry->type() == FileType::kRegular;
  if (exec && place.mount->no_exec()) return Err(Errno::kAccess);
  return MayAccess(place, want, *creds_);
}

Status Task::Mkdir(std::string_view path, Mode mode, int dir) {
  const Parent parent = TRY(ParentAt(dir, path));
  if (parent.kind != Parent::Last::kNormal) return Err(Errno::kExist);
  mode &= static_cast<Mode>(~fs_.umask());
  TRY(vfs_.ops().Mkdir(parent.dir, parent.name, mode, *creds_));
  return {};
}

// A name for what is no directory must not end in a slash: kNoEnt when it is free, else kExist.
Status Task::CheckNoSlash(const Parent& parent) {
  if (parent.kind != Parent::Last::kNormal) return Err(Errno::kExist);
  if (!parent.trailing_slash) return {};
  const Result<Path> there = WalkChild(vfs_, parent.dir, parent.name, *creds_);
  if (there) return Err(Errno::kExist);
  return Err(there.error());
}

namespace {

// Types that mknod makes.
Status CheckNodeType(Mode mode) {
  switch (TypeOf(mode)) {
    case FileType::kUnknown:
    case FileType::kFifo:
    case FileType::kChar:
    case FileType::kBlock:
    case FileType::kRegular:
    case FileType::kSocket:
      return {};
    case FileType::kDir:
      return Err(Errno::kPerm);
    default:
      return Err(Errno::kInval);
  }
}

}  // namespace

Status Task::Mknod(std::string_view path, Mode mode, DevId rdev, int dir) {
  return RetryStale([&]() -> Status {
    TRY(CheckNodeType(mode));
    if (TypeOf(mode) == FileType::kUnknown) mode |= S_IFREG;
    const Parent parent = TRY(ParentAt(dir, path));
    TRY(CheckNoSlash(parent));
    mode = StripSetGroupId(parent.dir, mode, *creds_) & static_cast<Mode>(~fs_.umask());
    TRY(vfs_.ops().Mknod(parent.dir, parent.name, mode, rdev, *creds_));
    return {};
  });
}

namespace {

// A removal must not fail for want of memory: it is how memory is given back. Refused, it has
// changed nothing, and is done once more on the reserve.
template <class Once>
Status Remove(Vfs& vfs, Once once) {
  const Status done = RetryStale(once);
  if (done || done.error() != Errno::kNoMem) return done;
  const mm::ReserveScope reserve(vfs.memory());
  return RetryStale(once);
}

}  // namespace

Status Task::Rmdir(std::string_view path, int dir) {
  return Remove(vfs_, [&]() -> Status {
    const Parent parent = TRY(ParentAt(dir, path));
    switch (parent.kind) {
      case Parent::Last::kDot:
        return Err(Errno::kInval);
      case Parent::Last::kDotDot:
        return Err(Errno::kNotEmpty);
      case Parent::Last::kRoot:
        return Err(Errno::kBusy);
      case Parent::Last::kNormal:
        break;
    }
    return vfs_.ops().Rmdir(parent.dir, parent.name, *creds_, mounts_.get());
  });
}

Status Task::Unlink(std::string_view path, int dir) {
  return Remove(vfs_, [&]() -> Status {
    const Parent parent = TRY(ParentAt(dir, path));
    if (parent.kind != Parent::Last::kNormal) return Err(Errno::kIsDir);
    if (parent.trailing_slash) {
      const Path there = TRY(WalkChild(vfs_, parent.dir, parent.name, *creds_));
      return Err(there.dentry->is_dir() ? Errno::kIsDir : Errno::kNotDir);
    }
    return vfs_.ops().Unlink(parent.dir, parent.name, *creds_, mounts_.get());
  });
}

Status Task::Symlink(std::string_view target, std::string_view path, int dir) {
  if (target.empty()) return Err(Errno::kNoEnt);
  if (target.size() >= kPathMax) return Err(Errno::kNameTooLong);
  const Parent parent = TRY(ParentAt(dir, path));
  TRY(CheckNoSlash(parent));
  TRY(vfs_.ops().Symlink(parent.dir, parent.name, target, *creds_));
  return {};
}

Status Task::Link(std::string_view target, std::string_view path, Follow follow) {
  return LinkAt(kAtFdCwd, target, kAtFdCwd, path, follow == Follow::kYes ? AT_SYMLINK_FOLLOW : 0);
}

Status Task::Rename(std::string_view from, std::string_view to, unsigned flags) {
  return RenameAt(kAtFdCwd, from, kAtFdCwd, to, flags);
}

Status Task::SetattrAt(std::string_view path, Follow follow, const SetAttr& attr) {
  return RetryStale(
      [&]() -> Status { return vfs_.ops().Setattr(TRY(Resolve(path, follow)), attr, *creds_); });
}

Status Task::Chmod(std::string_view path, Mode mode) {
  return SetattrAt(path, Follow::kYes, SetAttr{.mode = mode});
}

Status Task::Chown(std::string_view path, std::optional<Uid> uid, std::optional<Gid> gid,
                   Follow follow) {
  return SetattrAt(path, follow, SetAttr{.uid = uid, .gid = gid, .drops_set_id = true});
}

Status Task::SetTimes(std::string_view path, const SetAttr& times, Follow follow) {
  if (!times.atime && !times.mtime && !times.times_are_now) return {};  // not even the path counts
  const int64_t now = vfs_.clock().NowNs();
  SetAttr change{.atime = times.atime, .mtime = times.mtime, .times_are_now = times.times_are_now};
  if (change.times_are_now) change.atime = change.mtime = now;
  return SetattrAt(path, follow, change);
}

Status Task::Truncate(std::string_view path, uint64_t size) {
  if (size > INT64_MAX) return Err(Errno::kInval);
  return SetattrAt(path, Follow::kYes, SetAttr{.size = size, .size_limit = file_size_limit()});
}

Status Task::Fchmod(int fd, Mode mode) {
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  return RetryStale(
      [&] { return vfs_.ops().Setattr(file->path(), SetAttr{.mode = mode}, *creds_); });
}

Status Task::Fchown(int fd, std::optional<Uid> uid, std::optional<Gid> gid) {
  const FileRef file = TRY(fds_.Get(fd));
  if (file->path_only()) return Err(Errno::kBadF);
  const SetAttr change{.uid = uid, .gid = gid, .drops_set_id = true};
  return RetryStale([&] { return vfs_.ops().Setattr(file->path(), change, *creds_); });
}

Result<StatFs> Task::Statfs(std::string_view path) {
  return vfs_.ops().Statfs(TRY(Resolve(path, Follow::kYes)));
}

// --- Task: conveniences
// --------------------------------------------------------------------------------

namespace {

// Closes a descriptor at the end of a scope.
class ScopedFd {
 public:
  ScopedFd(Task& task, int fd) : task_(task), fd_(fd) {}
  ~ScopedFd() { static_cast<void>(task_.Close(fd_)); }
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;
  int get() const { return fd_; }

 private:
  Task& task_;
  const int fd_;
};

// Takes every entry but the dots.
class ListSink final : public DirSink {
 public:
  bool Emit(std::string_view name, Ino ino, FileType type, int64_t next) override {
    ++emitted;
    if (name != "." && name != "..") entries.push_back({std::string(name), ino, type, next});
    return true;
  }
  std::vector<DirEntry> entries;
  size_t emitted = 0;
};

}  // namespace

Result<std::string> Task::ReadFile(std::string_view path) {
  const ScopedFd fd(*this, TRY(Open(path, O_RDONLY)));
  std::string text;
  std::array<std::byte, 16384> buffer;
  for (;;) {
    const size_t n = TRY(Read(fd.get(), buffer));
    if (n == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

Status Task::WriteFile(std::string_view path, std::string_view text, OpenFlags flags, Mode mode) {
  const ScopedFd fd(*this, TRY(Open(path, O_WRONLY | flags, mode)));
  const size_t n = TRY(Write(fd.get(), text));
  return n == text.size() ? Status() : Status(Err(Errno::kNoSpc));
}

Result<std::vector<DirEntry>> Task::ListDir(std::string_view path, int dir) {
  const ScopedFd fd(*this, TRY(OpenAt(dir, path, O_RDONLY | O_DIRECTORY)));
  ListSink sink;
  for (;;) {
    const size_t before = sink.emitted;
    const Status more = Getdents(fd.get(), sink);
    // A directory that was removed meanwhile has ended, as for readdir(3).
    if (!more && more.error() != Errno::kNoEnt) return Err(more.error());
    if (!more || sink.emitted == before) return std::move(sink.entries);
  }
}

}  // namespace dentree::vfs
