#include "tests/model/kernel_system.h"

#include <dirent.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/check.h"

namespace dentree::model {

namespace {

int64_t Answer(int64_t result) { return result < 0 ? -errno : result; }

// Everything that concerns one thread is called by number: the C library's calls would do it to
// all.
template <class... Args>
int64_t Call(long number, Args... args) {
  return Answer(syscall(number, args...));
}

template <class... Args>
void MustCall(const char* what, long number, Args... args) {
  CHECK(Call(number, args...) >= 0, what);
}

int64_t NanoSeconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Attr AttrOf(const struct stat& stat) {
  return {.ino = stat.st_ino,
          .mode = stat.st_mode,
          .nlink = static_cast<uint32_t>(stat.st_nlink),
          .uid = stat.st_uid,
          .gid = stat.st_gid,
          .rdev = stat.st_rdev,
          .size = static_cast<uint64_t>(stat.st_size),
          .blocks = static_cast<uint64_t>(stat.st_blocks),
          .atime = NanoSeconds(stat.st_atim),
          .mtime = NanoSeconds(stat.st_mtim),
          .ctime = NanoSeconds(stat.st_ctim)};
}

class KernelSystem final : public System {
 public:
  explicit KernelSystem(bool several_users) : several_users_(several_users) {}

  int64_t Open(int dir, const std::string& path, int flags, unsigned mode) override {
    // A fifo without a partner must not hold the test up.
    return Answer(openat(dir, path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode));
  }
  int64_t Close(int fd) override { return Answer(close(fd)); }
  int64_t Dup(int fd) override { return Answer(dup(fd)); }
  int64_t Read(int fd, std::span<char> out) override {
    return Answer(read(fd, out.data(), out.size()));
  }
  int64_t Write(int fd, std::string_view in) override {
    return Answer(write(fd, in.data(), in.size()));
  }
  int64_t Pread(int fd, std::span<char> out, int64_t pos) override {
    return Answer(pread(fd, out.data(), out.size(), pos));
  }
  int64_t Pwrite(int fd, std::string_view in, int64_t pos) override {
    return Answer(pwrite(fd, in.data(), in.size(), pos));
  }
  int64_t Lseek(int fd, int64_t offset, int whence) override {
    return Answer(lseek(fd, offset, whence));
  }
  int64_t Ftruncate(int fd, int64_t size) override { return Answer(ftruncate(fd, size)); }
  int64_t List(int fd, std::vector<Entry>& entries) override;
  int64_t Fstat(int fd, Attr& attr) override {
    struct stat stat;
    return Store(fstat(fd, &stat), stat, attr);
  }
  int64_t Fchmod(int fd, unsigned mode) override { return Answer(fchmod(fd, mode)); }
  int64_t Fchown(int fd, uint32_t uid, uint32_t gid) override {
    return Answer(fchown(fd, uid, gid));
  }
  int64_t Fchdir(int fd) override { return Answer(fchdir(fd)); }
  int64_t Fsync(int fd) override { return Answer(fsync(fd)); }
  int64_t Openat2(int dir, const std::string& path, uint64_t flags, uint64_t mode,
                  uint64_t resolve) override {
    open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    if (!(flags & O_PATH)) how.flags |= O_NONBLOCK;
    how.flags |= O_CLOEXEC;
    return Call(SYS_openat2, dir, path.c_str(), &how, sizeof(how));
  }
  int64_t Fallocate(int fd, int mode, int64_t offset, int64_t size) override {
    return Answer(fallocate(fd, mode, offset, size));
  }
  int64_t CopyRange(int in, int64_t in_pos, int out, int64_t out_pos, size_t size) override {
    off64_t in_at = in_pos;
    off64_t out_at = out_pos;
    return Answer(copy_file_range(in, in_pos == -1 ? nullptr : &in_at, out,
                                  out_pos == -1 ? nullptr : &out_at, size, 0));
  }
  int64_t Futimens(int fd, TimeChange atime, TimeChange mtime) override {
    const timespec times[2] = {SpecOf(atime), SpecOf(mtime)};
    return Call(SYS_utimensat, fd, nullptr, times, 0);
  }
  // Every descriptor here is opened with O_NONBLOCK.
  int64_t GetStatusFlags(int fd) override {
    const int64_t flags = Answer(fcntl(fd, F_GETFL));
    return flags < 0 ? flags : flags & ~int64_t{O_NONBLOCK};
  }
  int64_t SetStatusFlags(int fd, int flags) override { return Answer(fcntl(fd, F_SETFL, flags)); }
  int64_t GetFileFlags(int fd) override {
    int flags = 0;
    const int64_t answer = Answer(ioctl(fd, FS_IOC_GETFLAGS, &flags));
    return answer < 0 ? answer : flags;
  }
  int64_t SetFileFlags(int fd, uint32_t flags) override {
    return Answer(ioctl(fd, FS_IOC_SETFLAGS, &flags));
  }

  int64_t Stat(int dir, const std::string& path, bool follow, Attr& attr) override {
    struct stat stat;
    const int flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    return Store(fstatat(dir, path.c_str(), &stat, flags), stat, attr);
  }
  int64_t Access(int dir, const std::string& path, unsigned want) override {
    return Call(SYS_faccessat2, dir, path.c_str(), want, AT_EACCESS);
  }
  int64_t Mkdir(int dir, const std::string& path, unsigned mode) override {
    return Answer(mkdirat(dir, path.c_str(), mode));
  }
  int64_t Mknod(int dir, const std::string& path, unsigned mode, uint32_t rdev) override {
    return Answer(mknodat(dir, path.c_str(), mode, rdev));
  }
  int64_t Rmdir(int dir, const std::string& path) override {
    return Answer(unlinkat(dir, path.c_str(), AT_REMOVEDIR));
  }
  int64_t Unlink(int dir, const std::string& path) override {
    return Answer(unlinkat(dir, path.c_str(), 0));
  }
  int64_t Symlink(const std::string& target, int dir, const std::string& path) override {
    return Answer(symlinkat(target.c_str(), dir, path.c_str()));
  }
  int64_t Link(const std::string& from, const std::string& to, bool follow) override {
    const int flags = follow ? AT_SYMLINK_FOLLOW : 0;
    return Answer(linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags));
  }
  int64_t Rename(const std::string& from, const std::string& to, unsigned flags) override {
    return Call(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
  }
  int64_t Readlink(int dir, const std::string& path, std::string& target) override {
    char buffer[PATH_MAX];
    const int64_t n = Answer(readlinkat(dir, path.c_str(), buffer, sizeof(buffer)));
    if (n >= 0) target.assign(buffer, static_cast<size_t>(n));
    return n < 0 ? n : 0;
  }
  int64_t Chmod(const std::string& path, unsigned mode) override {
    return Answer(chmod(path.c_str(), mode));
  }
  int64_t Chown(const std::string& path, uint32_t uid, uint32_t gid, bool follow) override {
    const int flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    return Answer(fchownat(AT_FDCWD, path.c_str(), uid, gid, flags));
  }
  int64_t Utimens(const std::string& path, TimeChange atime, TimeChange mtime,
                  bool follow) override {
    const timespec times[2] = {SpecOf(atime), SpecOf(mtime)};
    const int flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    return Call(SYS_utimensat, AT_FDCWD, path.c_str(), times, flags);
  }
  int64_t Truncate(const std::string& path, int64_t size) override {
    return Answer(truncate(path.c_str(), size));
  }
  int64_t Linkat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                 int flags) override {
    return Answer(linkat(from_dir, from.c_str(), to_dir, to.c_str(), flags));
  }
  int64_t Renameat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                   unsigned flags) override {
    return Call(SYS_renameat2, from_dir, from.c_str(), to_dir, to.c_str(), flags);
  }
  int64_t Getxattr(const Target& of, const std::string& name, size_t room,
                   std::string& value) override {
    value.resize(room);
    const char* const key = name.c_str();
    const int64_t n = Answer(of.path == nullptr ? fgetxattr(of.fd, key, value.data(), room)
                             : of.follow ? getxattr(of.path->c_str(), key, value.data(), room)
                                         : lgetxattr(of.path->c_str(), key, value.data(), room));
    value.resize(room == 0 || n < 0 ? 0 : static_cast<size_t>(n));
    return n;
  }
  int64_t Setxattr(const Target& of, const std::string& name, const std::string& value,
                   int flags) override {
    const char* const key = name.c_str();
    const size_t size = value.size();
    return Answer(of.path == nullptr ? fsetxattr(of.fd, key, value.data(), size, flags)
                  : of.follow        ? setxattr(of.path->c_str(), key, value.data(), size, flags)
                                     : lsetxattr(of.path->c_str(), key, value.data(), size, flags));
  }
  int64_t Removexattr(const Target& of, const std::string& name) override {
    return Answer(of.path == nullptr ? fremovexattr(of.fd, name.c_str())
                  : of.follow        ? removexattr(of.path->c_str(), name.c_str())
                                     : lremovexattr(of.path->c_str(), name.c_str()));
  }
  int64_t Listxattr(const Target& of, size_t room, std::string& names) override {
    names.resize(room);
    const int64_t n = Answer(of.path == nullptr ? flistxattr(of.fd, names.data(), room)
                             : of.follow        ? listxattr(of.path->c_str(), names.data(), room)
                                                : llistxattr(of.path->c_str(), names.data(), room));
    names.resize(room == 0 || n < 0 ? 0 : static_cast<size_t>(n));
    return n;
  }
  int64_t NameMax(const std::string& path) override {
    struct statfs stat;
    const int64_t answer = Answer(statfs(path.c_str(), &stat));
    return answer < 0 ? answer : stat.f_namelen;
  }

  int64_t Chdir(const std::string& path) override { return Answer(chdir(path.c_str())); }
  int64_t Getcwd(std::string& path) override {
    char buffer[PATH_MAX];
    const int64_t n = Call(SYS_getcwd, buffer, sizeof(buffer));
    if (n >= 0) path = buffer;
    return n < 0 ? n : 0;
  }
  int64_t Umask(unsigned mask) override { return umask(mask); }
  void Become(size_t who) override;
  void Inspect(bool on) override;
  void Tick() override;

 private:
  static int64_t Store(int result, const struct stat& stat, Attr& attr) {
    if (result < 0) return -errno;
    attr = AttrOf(stat);
    return 0;
  }

  const bool several_users_;
  size_t who_ = 0;
  int clock_file_ = -1;  // the thread's end closes it
};

int64_t KernelSystem::List(int fd, std::vector<Entry>& entries) {
  alignas(8) char buffer[16384];
  for (;;) {
    const int64_t n = Call(SYS_getdents64, fd, buffer, sizeof(buffer));
    if (n <= 0) return n;
    for (int64_t at = 0; at < n;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(buffer + at);
      entries.push_back({entry->d_name, entry->d_ino, entry->d_type});
      at += entry->d_reclen;
    }
  }
}

// Effective capabilities go with the effective user: all of them for root, none for the others.
void KernelSystem::Become(size_t who) {
  who_ = who;
  if (!several_users_) return;
  const Credentials& to = kWho[who];
  constexpr auto kSame = static_cast<uid_t>(-1);
  MustCall("setresuid", SYS_setresuid, kSame, uid_t{0}, kSame);
  MustCall("setgroups", SYS_setgroups, to.group_count, to.groups.data());
  MustCall("setresgid", SYS_setresgid, kSame, to.gid, kSame);
  if (to.uid != 0) MustCall("setresuid", SYS_setresuid, kSame, to.uid, kSame);
}

void SetEffectiveCaps(bool on) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2];
  MustCall("capget", SYS_capget, &header, data);
  for (__user_cap_data_struct& half : data) half.effective = on ? half.permitted : 0;
  MustCall("capset", SYS_capset, &header, data);
}

void KernelSystem::Inspect(bool on) {
  if (!several_users_) return SetEffectiveCaps(on);
  const size_t who = who_;
  if (who == 0) return;
  Become(on ? 0 : who);
  who_ = who;
}

// A change that follows a look gets a time of its own (since 6.13), and later changes of any inode
// are not before it.
void KernelSystem::Tick() {
  Inspect(true);
  if (clock_file_ < 0) clock_file_ = memfd_create("clock", MFD_CLOEXEC);
  // The first may get the time of the clock's last tick, which others have too.
  for (int i = 0; i < 2; ++i) {
    struct stat stat;
    fstat(clock_file_, &stat);
    fchmod(clock_file_, 0600);
  }
  Inspect(false);
}

bool SysctlOn(const char* name) {
  std::ifstream file(std::string("/proc/sys/fs/") + name);
  int value = 0;
  file >> value;
  return value != 0;
}

bool WriteFile(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// A user becomes root of a user namespace in which only he exists: enough for a tmpfs and a chroot.
bool EnterUserNamespace(uint32_t uid, uint32_t gid) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  const std::string user = std::to_string(uid);
  const std::string group = std::to_string(gid);
  return WriteFile("/proc/self/setgroups", "deny") &&
         WriteFile("/proc/self/uid_map", user + " " + user + " 1") &&
         WriteFile("/proc/self/gid_map", group + " " + group + " 1");
}

// A tmpfs that is mounted nowhere; -1 and errno.
int DetachedTmpfs() {
  const auto context = static_cast<int>(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
  if (context < 0) return -1;
  const auto set = [&](const char* key, const char* value) {
    return syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0) == 0;
  };
  int mount = -1;
  if (set("size", "256m") && set("mode", "0777") &&
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    mount = static_cast<int>(
        syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODEV));
  }
  const int error = errno;
  close(context);
  errno = error;
  return mount;
}

}  // namespace

KernelOptions PrepareKernel(std::string& why_not) {
  KernelOptions options;
  options.uid = geteuid();
  options.gid = getegid();
  options.several_users = options.uid == 0;
  options.protected_links = SysctlOn("protected_symlinks") && !SysctlOn("protected_fifos") &&
                            !SysctlOn("protected_regular");
  options.protected_hardlinks = SysctlOn("protected_hardlinks");
  if (!options.several_users && !EnterUserNamespace(options.uid, options.gid)) {
    why_not = std::string("not root, and no user namespace: ") + strerror(errno);
    return options;
  }
  const int mount = DetachedTmpfs();
  if (mount < 0) why_not = std::string("no tmpfs: ") + strerror(errno);
  if (mount >= 0) close(mount);
  return options;
}

// What a thread has of its own there. Equal descriptors of two tables are one to ThreadSanitizer,
// which knows nothing of such tables; the numbers are not compared.
#ifdef __SANITIZE_THREAD__
constexpr int kOwn = CLONE_FS;
#else
constexpr int kOwn = CLONE_FS | CLONE_FILES;
#endif

std::unique_ptr<System> NewKernelSystem(const KernelOptions& options, std::string& why_not) {
  int mount = -1;
  const bool there = unshare(kOwn) == 0 && (mount = DetachedTmpfs()) >= 0 && fchdir(mount) == 0 &&
                     chroot(".") == 0 && chdir("/") == 0;
  if (!there) {
    why_not = std::string("no tmpfs of this thread's: ") + strerror(errno);
    return nullptr;
  }
  umask(022);
  auto system = std::make_unique<KernelSystem>(options.several_users);
  system->Inspect(false);
  return system;
}

}  // namespace dentree::model
