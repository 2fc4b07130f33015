// File: an open file description; what dup shares and fork would.
//
// Thread safety: reads and writes that move the position take pos_mutex(); positional ones do not.
// Lifetime: counted by descriptors and by operations under way. The last reference calls
// FileOps::Release exactly once. A file pins its path.
#pragma once

#include <atomic>
#include <optional>
#include <span>

#include "base/base.h"
#include "vfs/creds.h"
#include "vfs/inode_ops.h"
#include "vfs/mount.h"
#include "vfs/types.h"

namespace dentree::vfs {

class File {
 public:
  File(Path path, OpenFlags flags, CredsRef creds);
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const Path& path() const { return path_; }
  Inode& inode() const { return path_.inode(); }
  Dentry& dentry() const { return *path_.dentry; }
  const Creds& creds() const { return *creds_; }
  OpenFlags flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(OpenFlags flags) { flags_.store(flags, std::memory_order_relaxed); }

  // Neither, when opened with mode 3.
  bool readable() const { return (flags() + 1) & kCanRead && !path_only(); }
  bool writable() const { return (flags() + 1) & kCanWrite && !path_only(); }
  bool path_only() const { return flags() & O_PATH; }
  bool nonblocking() const { return flags() & O_NONBLOCK; }
  uint64_t position() {
    base::MutexLock lock(pos_mutex_);
    return pos_;
  }

  const FileOps* ops() const { return ops_; }  // null: O_PATH
  // The file system's own data, from FileOps::Open to FileOps::Release.
  void* private_data() const { return private_; }
  void set_private_data(void* data) { private_ = data; }
  template <class T>
  T& priv() const {
    return *static_cast<T*>(private_);
  }

  // --- what a descriptor does. Rights of the open mode are checked: kBadF. A change takes set-id
  // bits away as `caller` must have it, who need not be who opened the file; null: who did. ---
  Result<size_t> Read(std::span<std::byte> out);
  // O_APPEND: at the end.
  Result<size_t> Write(std::span<const std::byte> in, const Creds* caller = nullptr);
  Result<size_t> Pread(std::span<std::byte> out, uint64_t pos);
  Result<size_t> Pwrite(std::span<const std::byte> in, uint64_t pos, const Creds* caller = nullptr);
  // The same, at `pos` or (nothing) at the position, for a caller that must not sleep: where they
  // would, kAgain as FileOps::ReadNowait says. They do wait for a thread that is inside another
  // call of the same file, so no other thread may sleep in one.
  Result<size_t> ReadNowait(std::span<std::byte> out, std::optional<uint64_t> pos, Waiter* waiter);
  Result<size_t> WriteNowait(std::span<const std::byte> in, std::optional<uint64_t> pos,
                             Waiter* waiter);
  // Several parts in one step, at `pos` or (nothing) at the position. Whoever has an RLIMIT_FSIZE
  // gives it as `limit`, a position: a write ends there, and kFBig from there on.
  Result<size_t> ReadVec(std::span<const std::span<std::byte>> out, std::optional<uint64_t> pos);
  Result<size_t> WriteVec(std::span<const std::span<const std::byte>> in,
                          std::optional<uint64_t> pos, uint64_t limit = kNoSizeLimit,
                          const Creds* caller = nullptr);
  // `mode` of FallocateModes.
  Status Fallocate(int mode, int64_t offset, int64_t size, uint64_t limit = kNoSizeLimit,
                   const Creds* caller = nullptr);
  // Copies between two regular files of one file system; they may be one.
  static Result<size_t> CopyRange(File& in, std::optional<uint64_t> in_pos, File& out,
                                  std::optional<uint64_t> out_pos, size_t size,
                                  uint64_t limit = kNoSizeLimit, const Creds* caller = nullptr);
  // --- for a request loop whose io_uring moves the data (host_move.cc) ---
  std::optional<int> HostFd() { return path_only() ? std::nullopt : ops_->HostFd(*this); }
  // `want` is kMayRead or kMayWrite. Where the bytes are: `pos`, or (nothing) the position. kAgain:
  // only a thread that may wait can do it (Read, Write).
  Result<uint64_t> BeginHostMove(unsigned want, std::optional<uint64_t> pos, size_t size);
  // `n` bytes were moved at what BeginHostMove answered: so moves the position, if it was used. Two
  // at once at the position are as with io_uring: the second may begin where the first did.
  void EndHostMove(unsigned want, std::optional<uint64_t> pos, uint64_t began, size_t n);

  Result<uint64_t> Seek(int64_t offset, Whence whence);
  Status Readdir(DirSink& sink);  // from the position on; moves it
  Status Truncate(uint64_t size, uint64_t limit = kNoSizeLimit, const Creds* caller = nullptr);
  PollEvents Poll();
  Status Fsync();
  Result<uint64_t> Ioctl(unsigned cmd, uint64_t arg);

  static void Get(File* file) { file->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(File* file);

 private:
  friend class AnonFs;
  friend class Ops;

  static constexpr OpenFlags kCanRead = O_RDONLY + 1, kCanWrite = O_WRONLY + 1;

  Status MayRead(uint64_t pos, size_t size) const;
  Status MayWrite(uint64_t pos, size_t size, const Creds* caller = nullptr) const;
  Status StripPrivileges(const Creds* caller) const;
  uint64_t pos();
  void Advance(size_t n);
  Result<size_t> ReadVecAt(std::span<const std::span<std::byte>> out, uint64_t pos);
  Result<size_t> WriteVecAt(std::span<const std::span<const std::byte>> in, uint64_t pos,
                            uint64_t limit, const Creds* caller);
  uint64_t AfterWrite(uint64_t pos, size_t n) const {
    return (flags() & O_APPEND) && n > 0 ? inode().size() : pos + n;
  }

  Path path_;
  const CredsRef creds_;
  std::atomic<OpenFlags> flags_;
  std::atomic<int32_t> refs_{1};
  const FileOps* ops_ = nullptr;  // null: O_PATH
  bool holds_writer_ = false;     // one of its mount's writers
  void* private_ = nullptr;
  base::Mutex<base::LockRank::kFile> pos_mutex_;
  uint64_t pos_ DT_GUARDED_BY(pos_mutex_) = 0;
};

using FileRef = base::Ref<File>;

}  // namespace dentree::vfs
