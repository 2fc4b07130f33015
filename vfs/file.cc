#include "vfs/file.h"

#include <poll.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <utility>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

File::File(Path path, OpenFlags flags, CredsRef creds)
    : path_(std::move(path)), creds_(std::move(creds)), flags_(flags) {}

void File::Put(File* file) {
  // Nobody can add to the only reference but who has it.
  const bool last = file->refs_.load(std::memory_order_acquire) == 1;
  if (!last && file->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Vfs& vfs = file->path_.vfs();
  if (file->ops_ != nullptr) {
    vfs.notify().OnFile(*file, file->writable() ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
  }
  vfs.locks().Release(*file);
  if (file->ops_ != nullptr) file->ops_->Release(*file);
  vfs.file_stats().open.Sub();
  if (file->holds_writer_) file->path_.mount->EndWrite();
  // The path's references go last: they may be the mount's.
  const Path path = std::move(file->path_);
  vfs.files().Delete(file);
}

// A write by someone without the right to keep them takes the set-id bits away, and by anyone the
// capabilities of the program.
Status File::StripPrivileges(const Creds* caller) const {
  const Creds& creds = caller != nullptr ? *caller : *creds_;
  Inode& changed = inode();
  const Stat attr = changed.Attrs();
  const Mode lost =
      creds.Has(Cap::kFsetid) || !IsRegular(attr.mode) ? Mode{0} : SetIdLost(attr, creds);
  if (lost == 0 && !(changed.flags() & kInodeFileCaps)) return {};
  base::WriteLock lock(changed.sem());
  DropFileCaps(changed);
  if (lost == 0) return {};
  const SetAttr change{.mode = static_cast<Mode>(attr.mode & 07777 & ~lost)};
  TRY(changed.ops().Setattr(changed, change));
  changed.vfs().notify().OnSetattr(dentry(), change);
  return {};
}

namespace {

template <class Bytes>
size_t TotalOf(std::span<const Bytes> parts) {
  size_t total = 0;
  for (const Bytes& part : parts) {
    if (__builtin_add_overflow(total, part.size(), &total)) return SIZE_MAX;
  }
  return total;
}

// The end of a transfer must be a position.
Status CheckRange(uint64_t pos, size_t size) {
  if (pos > kMaxFileBytes || size > kMaxFileBytes - pos) return base::Err(Errno::kInval);
  return {};
}

// Tells of a transfer that moved something.
Result<size_t> Told(const File& file, uint32_t event, Result<size_t> moved) {
  if (moved && *moved > 0) file.path().vfs().notify().OnFile(file, event);
  return moved;
}

}  // namespace

Status File::MayRead(uint64_t pos, size_t size) const {
  if (!readable()) return base::Err(Errno::kBadF);
  TRY(CheckRange(pos, size));
  if (dentry().is_dir()) return base::Err(Errno::kIsDir);
  return {};
}

Status File::MayWrite(uint64_t pos, size_t size, const Creds* caller) const {
  if (!writable()) return base::Err(Errno::kBadF);
  TRY(CheckRange(pos, size));
  // A write for which there is no room changes nothing at all.
  const uint64_t begin = (flags() & O_APPEND) ? inode().size() : pos;
  if (size == 0 || begin >= kMaxFileBytes) return {};
  return StripPrivileges(caller);
}

Result<size_t> File::Read(std::span<std::byte> out) {
  base::MutexLock lock(pos_mutex_);
  const size_t n = TRY(Pread(out, pos_));
  pos_ += n;
  return n;
}

Result<size_t> File::Write(std::span<const std::byte> in, const Creds* caller) {
  base::MutexLock lock(pos_mutex_);
  const size_t n = TRY(Pwrite(in, pos_, caller));
  pos_ = AfterWrite(pos_, n);
  return n;
}

Result<size_t> File::Pread(std::span<std::byte> out, uint64_t pos) {
  TRY(MayRead(pos, out.size()));
  return Told(*this, IN_ACCESS, ops_->Read(*this, out, pos));
}

Result<size_t> File::Pwrite(std::span<const std::byte> in, uint64_t pos, const Creds* caller) {
  TRY(MayWrite(pos, in.size(), caller));
  return Told(*this, IN_MODIFY, ops_->Write(*this, in, pos));
}

Result<size_t> File::ReadNowait(std::span<std::byte> out, std::optional<uint64_t> pos,
                                Waiter* waiter) {
  if (pos) {
    TRY(MayRead(*pos, out.size()));
    return Told(*this, IN_ACCESS, ops_->ReadNowait(*this, out, *pos, waiter));
  }
  base::MutexLock lock(pos_mutex_);
  TRY(MayRead(pos_, out.size()));
  const size_t n = TRY(Told(*this, IN_ACCESS, ops_->ReadNowait(*this, out, pos_, waiter)));
  pos_ += n;
  return n;
}

Result<size_t> File::WriteNowait(std::span<const std::byte> in, std::optional<uint64_t> pos,
                                 Waiter* waiter) {
  if (pos) {
    TRY(MayWrite(*pos, in.size()));
    return Told(*this, IN_MODIFY, ops_->WriteNowait(*this, in, *pos, waiter));
  }
  base::MutexLock lock(pos_mutex_);
  TRY(MayWrite(pos_, in.size()));
  const size_t n = TRY(Told(*this, IN_MODIFY, ops_->WriteNowait(*this, in, pos_, waiter)));
  pos_ = AfterWrite(pos_, n);
  return n;
}

Result<uint64_t> File::Seek(int64_t offset, Whence whence) {
  if (path_only()) return base::Err(Errno::kBadF);
  base::MutexLock lock(pos_mutex_);
  if (whence == Whence::kCur) {
    if (__builtin_add_overflow(offset, static_cast<int64_t>(pos_), &offset)) {
      return base::Err(Errno::kInval);
    }
    whence = Whence::kSet;
  }
  pos_ = TRY(ops_->Seek(*this, offset, whence));
  return pos_;
}

Status File::Readdir(DirSink& sink) {
  if (path_only()) return base::Err(Errno::kBadF);
  if (!dentry().is_dir()) return base::Err(Errno::kNotDir);
  base::MutexLock lock(pos_mutex_);
  if (inode().dead()) return base::Err(Errno::kNoEnt);
  pos_ = static_cast<uint64_t>(TRY(ops_->Iterate(*this, static_cast<int64_t>(pos_), sink)));
  path_.vfs().notify().OnFile(*this, IN_ACCESS);
  return {};
}

Result<size_t> File::ReadVecAt(std::span<const std::span<std::byte>> out, uint64_t pos) {
  TRY(MayRead(pos, TotalOf(out)));
  return Told(*this, IN_ACCESS,
              out.size() == 1 ? ops_->Read(*this, out[0], pos) : ops_->ReadVec(*this, out, pos));
}

Result<size_t> File::WriteVecAt(std::span<const std::span<const std::byte>> in, uint64_t pos,
                                uint64_t limit, const Creds* caller) {
  const size_t total = TotalOf(in);
  TRY(CheckRange(pos, total));
  const uint64_t begin = (flags() & O_APPEND) ? inode().size() : pos;
  TRY(MayWrite(pos, begin < limit ? total : 0, caller));
  const bool plain = in.size() == 1 && limit == kNoSizeLimit;
  return Told(*this, IN_MODIFY,
              plain ? ops_->Write(*this, in[0], pos) : ops_->WriteVec(*this, in, pos, limit));
}

Result<size_t> File::ReadVec(std::span<const std::span<std::byte>> out,
                             std::optional<uint64_t> pos) {
  if (!readable()) return base::Err(Errno::kBadF);
  if (out.size() > kIovMax) return base::Err(Errno::kInval);
  if (pos) return ReadVecAt(out, *pos);
  base::MutexLock lock(pos_mutex_);
  const size_t n = TRY(ReadVecAt(out, pos_));
  pos_ += n;
  return n;
}

Result<size_t> File::WriteVec(std::span<const std::span<const std::byte>> in,
                              std::optional<uint64_t> pos, uint64_t limit, const Creds* caller) {
  if (!writable()) return base::Err(Errno::kBadF);
  if (in.size() > kIovMax) return base::Err(Errno::kInval);
  if (pos) return WriteVecAt(in, *pos, limit, caller);
  base::MutexLock lock(pos_mutex_);
  const size_t n = TRY(WriteVecAt(in, pos_, limit, caller));
  pos_ = AfterWrite(pos_, n);
  return n;
}

// Modes that Linux knows, of which file systems have what they can.
static bool IsFallocateMode(int mode) {
  const bool keeps_size = mode & kFallocKeepSize;
  switch (mode & ~kFallocKeepSize) {
    case 0:
    case 0x10:  // zero range
    case 0x40:  // unshare range
      return true;
    case kFallocPunchHole:
      return keeps_size;
    case 0x08:  // collapse range
    case 0x20:  // insert range
    case 0x80:  // write zeroes
      return !keeps_size;
    default:
      return false;
  }
}

Status File::Fallocate(int mode, int64_t offset, int64_t size, uint64_t limit,
                       const Creds* caller) {
  if (path_only()) return base::Err(Errno::kBadF);
  if (offset < 0 || size <= 0) return base::Err(Errno::kInval);
  if (!IsFallocateMode(mode)) return base::Err(Errno::kOpNotSupp);
  if (!writable()) return base::Err(Errno::kBadF);
  const bool plain = (mode & ~kFallocKeepSize) == 0;
  const bool punch = mode == (kFallocPunchHole | kFallocKeepSize);
  if (!plain && (inode().flags() & kInodeAppend)) return base::Err(Errno::kPerm);
  if (inode().flags() & kInodeImmutable) return base::Err(Errno::kPerm);
  if (inode().type() == FileType::kFifo) return base::Err(Errno::kSPipe);
  if (inode().is_dir()) return base::Err(Errno::kIsDir);
  if (!IsRegular(inode().mode())) return base::Err(Errno::kNoDev);
  const uint64_t end = static_cast<uint64_t>(offset) + static_cast<uint64_t>(size);
  if (end > kMaxFileBytes) return base::Err(Errno::kFBig);
  if (!plain && !punch) return base::Err(Errno::kOpNotSupp);
  if (!punch && end > limit && end > inode().size()) return base::Err(Errno::kFBig);
  TRY(ops_->Fallocate(*this, mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(size)));
  const Status stripped = StripPrivileges(caller);
  path_.vfs().notify().OnFile(*this, IN_MODIFY);
  return stripped;
}

namespace {

// What copy_file_range asks of the two, in Linux's order.
Status MayCopy(const File& in, const File& out) {
  if (in.inode().is_dir() || out.inode().is_dir()) return base::Err(Errno::kIsDir);
  if (!IsRegular(in.inode().mode()) || !IsRegular(out.inode().mode())) {
    return base::Err(Errno::kInval);
  }
  if (!in.readable() || !out.writable() || (out.flags() & O_APPEND)) return base::Err(Errno::kBadF);
  if (&in.inode().sb() != &out.inode().sb()) return base::Err(Errno::kXDev);
  if (out.inode().flags() & kInodeImmutable) return base::Err(Errno::kPerm);
  return {};
}

Result<size_t> CopyBytes(File& in, uint64_t from, File& out, uint64_t to, size_t size,
                         const Creds* caller) {
  std::array<std::byte, 16384> buffer;
  size_t done = 0;
  while (done < size) {
    const auto wanted = std::span(buffer).first(std::min(buffer.size(), size - done));
    const Result<size_t> got = in.Pread(wanted, from + done);
    const Result<size_t> put = got ? out.Pwrite(wanted.first(*got), to + done, caller) : got;
    if (!put && done == 0) return put;
    if (put) done += *put;
    if (!put || *put < wanted.size()) break;
  }
  return done;
}

}  // namespace

uint64_t File::pos() {
  base::MutexLock lock(pos_mutex_);
  return pos_;
}

void File::Advance(size_t n) {
  base::MutexLock lock(pos_mutex_);
  pos_ += n;
}

Result<size_t> File::CopyRange(File& in, std::optional<uint64_t> in_pos, File& out,
                               std::optional<uint64_t> out_pos, size_t size, uint64_t limit,
                               const Creds* caller) {
  TRY(MayCopy(in, out));
  const uint64_t from = in_pos ? *in_pos : in.pos();
  const uint64_t to = out_pos ? *out_pos : out.pos();
  uint64_t end = 0;
  if (__builtin_add_overflow(from, size, &end) || __builtin_add_overflow(to, size, &end)) {
    return base::Err(Errno::kOverflow);
  }
  const uint64_t in_size = in.inode().size();
  uint64_t count = from >= in_size ? 0 : std::min<uint64_t>(size, in_size - from);
  if (to <= kMaxFileBytes && to >= std::min(limit, kMaxFileBytes)) return base::Err(Errno::kFBig);
  if (from > kMaxFileBytes || to > kMaxFileBytes) return base::Err(Errno::kInval);
  count = std::min({count, limit - to, kMaxFileBytes - to, uint64_t{kMaxIoBytes}});
  if (&in.inode() == &out.inode() && to + count > from && to < from + count) {
    return base::Err(Errno::kInval);
  }
  const size_t n = TRY(CopyBytes(in, from, out, to, count, caller));
  if (!in_pos) in.Advance(n);
  if (!out_pos) out.Advance(n);
  return n;
}

Status File::Truncate(uint64_t size, uint64_t limit, const Creds* caller) {
  if (size > kMaxFileBytes) return base::Err(Errno::kInval);
  if (path_only()) return base::Err(Errno::kBadF);
  if (!writable() || !IsRegular(inode().mode())) return base::Err(Errno::kInval);
  if (inode().flags() & kInodeAppend) return base::Err(Errno::kPerm);
  if (size > limit && size > inode().size()) return base::Err(Errno::kFBig);
  TRY(StripPrivileges(caller));
  TRY(ops_->Truncate(*this, size));
  path_.vfs().notify().OnDentry(dentry(), IN_MODIFY);
  return {};
}

PollEvents File::Poll() { return path_only() ? POLLNVAL : ops_->Poll(*this); }

Status File::Fsync() {
  if (path_only()) return base::Err(Errno::kBadF);
  return ops_->Fsync(*this);
}

Result<uint64_t> File::Ioctl(unsigned cmd, uint64_t arg) {
  if (path_only()) return base::Err(Errno::kBadF);
  return ops_->Ioctl(*this, cmd, arg);
}

}  // namespace dentree::vfs
