// Open files: from a descriptor's call to the client's operation and back.
//
// Order in each operation: the open file's mutex, then the active reference, then client code. An
// operation on something removed is kNoDev before the client is asked.

#include "kernfs/file_internal.h"

#include <poll.h>

#include <algorithm>
#include <cstring>

#include "kernfs/caches_internal.h"
#include "kernfs/lookup_internal.h"
#include "kernfs/open_files_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

using base::Err;

namespace {

// Data is there to read and to write, as far as kernfs knows.
constexpr vfs::PollEvents kReady = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
constexpr vfs::PollEvents kReadyAndChanged = kReady | POLLERR | POLLPRI;

// The reserve of memory, for files that ask for it.
class OnReserve {
 public:
  OnReserve(Root& root, Transient& t) {
    if (t.file_ops().must_not_fail()) [[unlikely]]
      scope_.emplace(root.vfs().memory());
  }

 private:
  std::optional<mm::ReserveScope> scope_;
};

}  // namespace

// --- OpenFile ---

OpenFile::OpenFile(Root& root, Transient& entry, const vfs::File& file)
    : root_(root), entry_(entry), file_(file), event_seen_(entry.event()) {}

Node& OpenFile::domain() const { return entry_.domain(); }
ObjectId OpenFile::object() const { return entry_.object(); }
uint16_t OpenFile::index() const { return entry_.index(); }
void* OpenFile::priv() const { return entry_.priv(); }
const vfs::Creds& OpenFile::creds() const { return file_.creds(); }
vfs::OpenFlags OpenFile::flags() const { return file_.flags(); }
const vfs::Mount& OpenFile::mount() const { return *file_.path().mount; }
bool OpenFile::readable() const { return file_.readable(); }
bool OpenFile::writable() const { return file_.writable(); }

uint32_t OpenFile::event() const { return entry_.event(); }
Status OpenFile::Wait(uint32_t seen) {
  return nowait_ ? entry_.Park(seen, nowait_->waiter) : entry_.Wait(seen);
}

vfs::PollEvents OpenFile::DefaultPoll() const {
  return event_seen_.load(std::memory_order_relaxed) == event() ? kReady : kReadyAndChanged;
}

OpenFile::BreakActiveProtection::BreakActiveProtection(OpenFile& file) : file_(file) {
  file_.entry_.Release();
}

OpenFile::BreakActiveProtection::~BreakActiveProtection() { file_.entry_.Acquire(Even::kIfDead); }

// --- OpenFiles ---

void OpenFiles::Link(OpenFile& file) {
  Transient& t = file.entry_;
  base::MutexLock lock(file.root_.entries_lock_);
  file.next_ = t.files_;
  file.prev_ = &t.files_;
  if (t.files_ != nullptr) t.files_->prev_ = &file.next_;
  t.files_ = &file;
}

void OpenFiles::UnlinkLocked(OpenFile& file) {
  *file.prev_ = file.next_;
  if (file.next_ != nullptr) file.next_->prev_ = file.prev_;
  file.prev_ = nullptr;
}

void OpenFiles::Unlink(OpenFile& file) {
  base::MutexLock lock(file.root_.entries_lock_);
  if (file.prev_ != nullptr) UnlinkLocked(file);
}

OpenFile* OpenFiles::Take(Root& root, Transient& t) {
  base::MutexLock lock(root.entries_lock_);
  OpenFile* const file = t.files_;
  if (file == nullptr) return nullptr;
  file->refs_.fetch_add(1, std::memory_order_relaxed);
  UnlinkLocked(*file);
  return file;
}

void OpenFiles::ReleaseOnce(OpenFile& file) {
  if (file.released_.exchange(true, std::memory_order_acq_rel)) return;
  SYNC_POINT(file.root_.vfs().sync_points(), "kernfs:release");
  base::AssertMayCallOut();
  file.entry_.file_ops().Release(file);
}

void OpenFiles::Put(OpenFile* file) {
  if (file->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Kernfs& kernfs = file->root_.kernfs();
  kernfs.vfs().memory().Uncharge(file->charged_);
  kernfs.caches().open_files.Delete(file);
}

// --- FileOps ---

vfs::Status FileOps::Open(vfs::File& file) const {
  Root& root = Lookups::RootOf(file.inode());
  Transient& t = Lookups::Of(file.inode());
  const OnReserve reserve(root, t);
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoDev);
  OpenFile* const open = root.kernfs().caches().open_files.New(root, t, file);
  if (open == nullptr) return Err(Errno::kNoMem);
  SYNC_POINT(root.vfs().sync_points(), "kernfs:open:active");
  base::AssertMayCallOut();
  if (const Status opened = t.file_ops().Open(*open); !opened) {
    OpenFiles::Put(open);
    return opened;
  }
  OpenFiles::Link(*open);
  file.set_private_data(open);
  root.kernfs().stats().Add<&KernfsStats::opens>();
  return {};
}

// A release under way counts as an operation, even on what is removed: so that a removal waits for
// it and does not return while client code runs.
void FileOps::Release(vfs::File& file) const {
  auto& open = file.priv<OpenFile>();
  {
    Transient& t = Lookups::Of(file.inode());
    const ActiveRef active(t, Even::kIfDead);
    OpenFiles::ReleaseOnce(open);
    OpenFiles::Unlink(open);
  }
  OpenFiles::Put(&open);
}

namespace {

Result<size_t> ReadLocked(OpenFile& open, Transient& t, std::span<std::byte> out, uint64_t pos) {
  const OnReserve reserve(open.root(), t);
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoDev);
  open.root().kernfs().stats().Add<&KernfsStats::reads>();
  SYNC_POINT(open.root().vfs().sync_points(), "kernfs:read:active");
  base::AssertMayCallOut();
  return t.file_ops().Read(open, out, pos);
}

Result<size_t> WriteLocked(OpenFile& open, Transient& t, std::span<const std::byte> in,
                           uint64_t pos) {
  const OnReserve reserve(open.root(), t);
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoDev);
  const size_t atomic = t.file_ops().AtomicWriteBytes();
  if (atomic != 0 && in.size() > atomic) return Err(Errno::kTooBig);
  const size_t size = atomic != 0 ? in.size() : std::min(in.size(), kMaxWriteBytes);
  open.root().kernfs().stats().Add<&KernfsStats::writes>();
  SYNC_POINT(open.root().vfs().sync_points(), "kernfs:write:active");
  base::AssertMayCallOut();
  return t.file_ops().Write(open, {reinterpret_cast<const char*>(in.data()), size}, pos);
}

}  // namespace

vfs::Result<size_t> FileOps::Read(vfs::File& file, std::span<std::byte> out, uint64_t pos) const {
  auto& open = file.priv<OpenFile>();
  base::MutexLock lock(OpenFiles::MutexOf(open));
  return ReadLocked(open, Lookups::Of(file.inode()), out, pos);
}

vfs::Result<size_t> FileOps::Write(vfs::File& file, std::span<const std::byte> in,
                                   uint64_t pos) const {
  auto& open = file.priv<OpenFile>();
  base::MutexLock lock(OpenFiles::MutexOf(open));
  return WriteLocked(open, Lookups::Of(file.inode()), in, pos);
}

vfs::Result<size_t> FileOps::ReadNowait(vfs::File& file, std::span<std::byte> out, uint64_t pos,
                                        vfs::Waiter* waiter) const {
  auto& open = file.priv<OpenFile>();
  base::MutexLock lock(OpenFiles::MutexOf(open));
  const OpenFiles::Nowait nowait(open, waiter);
  return ReadLocked(open, Lookups::Of(file.inode()), out, pos);
}

vfs::Result<size_t> FileOps::WriteNowait(vfs::File& file, std::span<const std::byte> in,
                                         uint64_t pos, vfs::Waiter* waiter) const {
  auto& open = file.priv<OpenFile>();
  base::MutexLock lock(OpenFiles::MutexOf(open));
  const OpenFiles::Nowait nowait(open, waiter);
  return WriteLocked(open, Lookups::Of(file.inode()), in, pos);
}

vfs::Result<uint64_t> FileOps::Seek(vfs::File& file, int64_t offset, vfs::Whence whence) const {
  auto& open = file.priv<OpenFile>();
  Transient& t = Lookups::Of(file.inode());
  base::MutexLock lock(OpenFiles::MutexOf(open));
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoDev);
  base::AssertMayCallOut();
  return t.file_ops().Seek(open, offset, whence);
}

vfs::PollEvents FileOps::Poll(vfs::File& file) const {
  Transient& t = Lookups::Of(file.inode());
  const ActiveRef active(t);
  if (!active.ok()) return kReadyAndChanged;
  base::AssertMayCallOut();
  return t.file_ops().Poll(file.priv<OpenFile>());
}

vfs::Result<uint64_t> FileOps::Ioctl(vfs::File& file, unsigned cmd, uint64_t arg) const {
  auto& open = file.priv<OpenFile>();
  Transient& t = Lookups::Of(file.inode());
  base::MutexLock lock(OpenFiles::MutexOf(open));
  const ActiveRef active(t);
  if (!active.ok()) return Err(Errno::kNoDev);
  base::AssertMayCallOut();
  return t.file_ops().Ioctl(open, cmd, arg);
}

// The size of a control file is 0 and stays so.
vfs::Status FileOps::Truncate(vfs::File& file, uint64_t) const {
  if (Lookups::Of(file.inode()).dead()) return Err(Errno::kNoDev);
  return {};
}

// --- NodeOps: what a file without an operation answers ---

Status NodeOps::Open(OpenFile&) const { return {}; }
void NodeOps::Release(OpenFile&) const {}
Result<size_t> NodeOps::Read(OpenFile&, std::span<std::byte>, uint64_t) const {
  return Err(Errno::kInval);
}
Result<size_t> NodeOps::Write(OpenFile&, std::string_view, uint64_t) const {
  return Err(Errno::kInval);
}
Result<uint64_t> NodeOps::Ioctl(OpenFile&, unsigned, uint64_t) const { return Err(Errno::kNotTy); }

Result<uint64_t> NodeOps::Seek(OpenFile&, int64_t offset, vfs::Whence whence) const {
  if (whence == vfs::Whence::kData || whence == vfs::Whence::kHole) return Err(Errno::kNxIo);
  if (offset < 0) return Err(Errno::kInval);
  return static_cast<uint64_t>(offset);
}

// --- TextOps ---

Result<std::string> TextOps::Show(OpenFile&) const { return Err(Errno::kInval); }
Status TextOps::Store(OpenFile&, std::string_view) const { return Err(Errno::kInval); }

// Makes the text anew. What was charged for a longer one stays charged until close.
Status TextOps::Refresh(OpenFile& file) const {
  file.root_.kernfs().stats().Add<&KernfsStats::shows>();
  // Before the text: what happens while it is made shows in the next one.
  const uint32_t event = file.event();
  std::string text = TRY(Show(file));
  if (text.size() > kMaxTextBytes) return Err(Errno::kOverflow);
  if (text.size() > file.charged_) {
    TRY(file.root_.vfs().memory().Charge(text.size() - file.charged_));
    file.charged_ = static_cast<uint32_t>(text.size());
  }
  file.event_seen_.store(event, std::memory_order_relaxed);
  file.text_ = std::move(text);
  file.has_text_ = true;
  return {};
}

Result<size_t> TextOps::Read(OpenFile& file, std::span<std::byte> out, uint64_t pos) const {
  if (pos == 0 || !file.has_text_) TRY(Refresh(file));
  if (pos >= file.text_.size()) return 0;
  const size_t size = std::min(out.size(), file.text_.size() - pos);
  std::memcpy(out.data(), file.text_.data() + pos, size);
  return size;
}

Result<size_t> TextOps::Write(OpenFile& file, std::string_view in, uint64_t) const {
  TRY(Store(file, in));
  return in.size();
}

Result<uint64_t> TextOps::Seek(OpenFile&, int64_t offset, vfs::Whence whence) const {
  if (whence != vfs::Whence::kSet || offset < 0) return Err(Errno::kInval);
  return static_cast<uint64_t>(offset);
}

}  // namespace dentree::kernfs
