#include "bench/tmpfs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/check.h"

namespace dentree::bench {
namespace {

const char* Relative(const char* path) { return *path == '/' ? path + 1 : path; }

bool IsTmpfs(const std::string& place) {
  struct statfs what;
  return ::statfs(place.c_str(), &what) == 0 && what.f_type == TMPFS_MAGIC;
}

std::string MakePlace(std::string base) {
  base += "/bench-tmpfs-XXXXXX";
  return ::mkdtemp(base.data()) != nullptr ? base : "";
}

}  // namespace

Tmpfs::Tmpfs() {
  place_ = MakePlace(std::filesystem::temp_directory_path());
  mounted_ = !place_.empty() && ::mount("bench", place_.c_str(), "tmpfs", 0, "nr_inodes=0") == 0;
  if (!mounted_) {
    if (!place_.empty()) ::rmdir(place_.c_str());
    place_ = MakePlace("/dev/shm");
  }
  if (place_.empty() || !IsTmpfs(place_)) return;
  fd_ = ::open(place_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

Tmpfs::~Tmpfs() {
  if (fd_ >= 0) ::close(fd_);
  std::error_code ignored;
  if (mounted_) {
    ::umount2(place_.c_str(), MNT_DETACH);
    ::rmdir(place_.c_str());
  } else if (!place_.empty()) {
    std::filesystem::remove_all(place_, ignored);
  }
}

std::string_view Tmpfs::description() const {
  if (fd_ < 0) return "no tmpfs to be had";
  return mounted_ ? "a tmpfs of its own" : "a directory on /dev/shm";
}

void Tmpfs::Mkdir(const std::string& path) const {
  CHECK(::mkdirat(fd_, Relative(path.c_str()), 0755) == 0, "mkdir on tmpfs");
}

void Tmpfs::Create(const std::string& path) const {
  CHECK(::mknodat(fd_, Relative(path.c_str()), S_IFREG | 0644, 0) == 0, "mknod on tmpfs");
}

long SyscallStat(int dir, const char* path, void* stat) {
  return ::syscall(SYS_newfstatat, dir, Relative(path), stat, 0);
}

void SyscallNothing() { ::syscall(SYS_getppid); }

}  // namespace dentree::bench
