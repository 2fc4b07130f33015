// HostCalls: every system call that hostfs makes. No other file of the room makes one, so that they
// can be counted here. Reading and writing an open file may also be done by a request loop's
// io_uring, with its descriptor.
//
// A path or name given here is relative to a descriptor; Open resolves it beneath that descriptor
// and through no symlink. The other calls take one component, which the caller got from a dentry:
// neither
// "." nor ".." nor with a slash in it, and the last component of a call is never followed.
//
// Errors are the host's errno. Thread safety: any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/base.h"
#include "hostfs/hostfs.h"
#include "vfs/types.h"

namespace dentree::hostfs {

using base::Errno;
using base::Result;
using base::Status;

// A descriptor of the process's, closed with its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// What makes an object of the host this one and no other. A number that a file system gives out
// again differs in the time of birth where the file system keeps one, and in the type often.
struct HostId {
  uint64_t dev = 0;
  uint64_t ino = 0;
  uint64_t mount = 0;    // 0 where the host does not say
  int64_t birth_ns = 0;  // likewise
  vfs::FileType type = vfs::FileType::kUnknown;

  bool operator==(const HostId&) const = default;
};

// What statx tells.
struct HostStat {
  HostId id;
  vfs::Mode mode = 0;
  uint32_t nlink = 0;
  vfs::Uid uid = 0;
  vfs::Gid gid = 0;
  vfs::DevId rdev = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;
  uint32_t blksize = 0;
  vfs::Times times;
};

class HostCalls {
 public:
  explicit HostCalls(Stats& stats) : stats_(stats) {}

  // The directory that a type shows: named as the process names it, symlinks and all.
  static Result<Fd> OpenTop(const std::string& directory);

  // --- finding ---
  Result<Fd> Open(int dir, const std::string& path, int flags, vfs::Mode mode = 0) const;
  Result<HostStat> Stat(int dir, const std::string& name) const;
  Result<HostStat> Stat(int fd) const;
  Result<std::string> Readlink(int fd) const;

  // --- names ---
  Status Mkdir(int dir, const std::string& name, vfs::Mode mode) const;
  Status Mkfifo(int dir, const std::string& name, vfs::Mode mode) const;
  Status Symlink(const std::string& target, int dir, const std::string& name) const;
  Status Link(int old_dir, const std::string& old_name, int dir, const std::string& name) const;
  Status Unlink(int dir, const std::string& name) const;
  Status Rmdir(int dir, const std::string& name) const;
  Status Rename(int old_dir, const std::string& old_name, int new_dir, const std::string& new_name,
                unsigned flags) const;

  // --- objects; `fd` may be one of O_PATH, but not for Truncate ---
  Status Chmod(int fd, vfs::Mode mode) const;
  // Changes what is set.
  Status Chown(int fd, const vfs::SetAttr& attr) const;
  Status SetTimes(int fd, const vfs::SetAttr& attr) const;
  Status Truncate(int fd, uint64_t size) const;
  Result<vfs::StatFs> Statfs(int fd) const;

  // --- open files ---
  Result<size_t> Read(int fd, std::span<std::byte> out, uint64_t pos) const;
  Result<size_t> Write(int fd, std::span<const std::byte> in, uint64_t pos, bool append) const;
  Result<uint64_t> Seek(int fd, int64_t offset, int whence) const;
  Status Fsync(int fd) const;
  // linux_dirent64 records from the descriptor's position on; 0 at the end.
  Result<size_t> Getdents(int fd, std::span<std::byte> out) const;

  // --- notification (inotify); not counted as calls ---
  static Result<Fd> OpenNotify();
  // Has `notify` tell of changes in a directory: its watch descriptor. kExist: it does already.
  static Result<int> AddWatch(int notify, int dir);
  static void RemoveWatch(int notify, int watch);
  // Whole inotify_events; nothing: none are there.
  static Result<size_t> ReadEvents(int notify, std::span<std::byte> out);

  // At least `ns` pass.
  static void Delay(int64_t ns);

 private:
  // Counts the call and makes an error of a negative result.
  template <class T>
  Result<T> Check(T result) const;
  Status Done(int result) const;
  Result<HostStat> StatAt(int dir, const char* name, int flags) const;

  Stats& stats_;
};

}  // namespace dentree::hostfs
