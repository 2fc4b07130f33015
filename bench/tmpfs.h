// The kernel as a peer: a directory on a tmpfs, used by system calls that nothing stands before.
#pragma once

#include <string>
#include <string_view>

namespace dentree::bench {

// Thread safety: any thread. Lifetime: what is in the directory goes with it.
class Tmpfs {
 public:
  // A tmpfs of its own where this may be mounted, else a directory in /dev/shm; where that is no
  // tmpfs there is none.
  Tmpfs();
  ~Tmpfs();
  Tmpfs(const Tmpfs&) = delete;
  Tmpfs& operator=(const Tmpfs&) = delete;

  explicit operator bool() const { return fd_ >= 0; }
  // What it is, for a report.
  std::string_view description() const;
  // The directory; paths are relative to it.
  int fd() const { return fd_; }

  // As Task's, aborting where they fail. Absolute paths are taken from the directory on.
  void Mkdir(const std::string& path) const;
  void Create(const std::string& path) const;

 private:
  std::string place_;
  bool mounted_ = false;
  int fd_ = -1;
};

// Raw system calls, without the C library's wrappers. `path` ends with a NUL; one that begins with
// '/' is taken from `dir` on.
long SyscallStat(int dir, const char* path, void* stat);
// The cheapest one: what any system call costs.
void SyscallNothing();

}  // namespace dentree::bench
