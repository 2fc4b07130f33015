#include "vfs/file.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "vfs/permission_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

File::File(Path path, OpenFlags flags, CredsRef creds)
    : path_(std::move(path)), creds_(std::move(creds)), flags_(flags) {}

void File::Put(File* file) {
  if (file->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Vfs& vfs = file->path_.vfs();
  vfs.locks().Release(*file);
  if (file->ops_ != nullptr) file->ops_->Release(*file);
  if (file->holds_writer_) file->path_.mount->EndWrite();
  // The path's references go last: they may be the mount's.
  Path path = file->path_;
  vfs.files().Delete(file);
}

namespace {

// A write by someone without the right to keep them takes the set-id bits away.
Status StripSetId(const File& file) {
  Inode& inode = file.inode();
  const Mode mode = inode.mode();
  Mode strip = mode & S_ISUID;
  if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) strip |= S_ISGID;
  if (strip == 0 || !IsRegular(mode) || file.creds().Has(Cap::kFsetid)) return {};
  base::WriteLock lock(inode.sem());
  return inode.ops().Setattr(inode, SetAttr{.mode = static_cast<Mode>(mode & 07777 & ~strip)});
}

}  // namespace

Status File::MayRead(uint64_t pos, size_t size) const {
  if (!readable()) return base::Err(Errno::kBadF);
  if (pos > INT64_MAX || size > INT64_MAX - pos) return base::Err(Errno::kInval);
  if (dentry().is_dir()) return base::Err(Errno::kIsDir);
  return {};
}

Status File::MayWrite(uint64_t pos, size_t size) const {
  if (!writable()) return base::Err(Errno::kBadF);
  if (pos > INT64_MAX || size > INT64_MAX - pos) return base::Err(Errno::kInval);
  return StripSetId(*this);
}

Result<size_t> File::Read(std::span<std::byte> out) {
  base::MutexLock lock(pos_mutex_);
  const size_t n = TRY(Pread(out, pos_));
  pos_ += n;
  return n;
}

Result<size_t> File::Write(std::span<const std::byte> in) {
  base::MutexLock lock(pos_mutex_);
  const size_t n = TRY(Pwrite(in, pos_));
  pos_ = AfterWrite(pos_, n);
  return n;
}

Result<size_t> File::Pread(std::span<std::byte> out, uint64_t pos) {
  TRY(MayRead(pos, out.size()));
  return ops_->Read(*this, out, pos);
}

Result<size_t> File::Pwrite(std::span<const std::byte> in, uint64_t pos) {
  TRY(MayWrite(pos, in.size()));
  return ops_->Write(*this, in, pos);
}

Result<size_t> File::ReadNowait(std::span<std::byte> out, std::optional<uint64_t> pos,
                                Waiter* waiter) {
  if (pos) {
    TRY(MayRead(*pos, out.size()));
    return ops_->ReadNowait(*this, out, *pos, waiter);
  }
  base::MutexLock lock(pos_mutex_);
  TRY(MayRead(pos_, out.size()));
  const size_t n = TRY(ops_->ReadNowait(*this, out, pos_, waiter));
  pos_ += n;
  return n;
}

Result<size_t> File::WriteNowait(std::span<const std::byte> in, std::optional<uint64_t> pos,
                                 Waiter* waiter) {
  if (pos) {
    TRY(MayWrite(*pos, in.size()));
    return ops_->WriteNowait(*this, in, *pos, waiter);
  }
  base::MutexLock lock(pos_mutex_);
  TRY(MayWrite(pos_, in.size()));
  const size_t n = TRY(ops_->WriteNowait(*this, in, pos_, waiter));
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
  return {};
}

Status File::Truncate(uint64_t size) {
  if (path_only()) return base::Err(Errno::kBadF);
  if (!writable() || !IsRegular(inode().mode()) || size > INT64_MAX)
    return base::Err(Errno::kInval);
  TRY(StripSetId(*this));
  return ops_->Truncate(*this, size);
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
