// Task: a caller as POSIX knows it: credentials, root and working directory, umask, descriptors.
// Every member is a system call: same arguments, same errors, Result instead of -1 and errno.
//
// Thread safety: any number of threads may use one Task, as threads of a process do; SetCreds and
// SetUmask are for its owner alone. Lifetime: closes its descriptors and drops its places when it
// dies.
#pragma once

#include <array>
#include <atomic>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/base.h"
#include "vfs/creds.h"
#include "vfs/dcache.h"
#include "vfs/file.h"
#include "vfs/file_lock.h"
#include "vfs/mount.h"
#include "vfs/types.h"
#include "vfs/walk.h"

namespace dentree::vfs {

class Vfs;

inline constexpr int kAtFdCwd = AT_FDCWD;
inline constexpr size_t kDefaultFdLimit = 1024;  // kMFile beyond

// A place, or none, that walks read in RCU mode. Writers exclude each other, and keep references on
// the place until it is replaced.
class RcuPlace {
 public:
  RcuPlace() = default;
  explicit RcuPlace(const Path& place) { Store(place); }
  void Store(const Path& place);
  // In an RCU section.
  void Load(RcuPath& place) const {
    uint32_t seq;
    do {
      seq = seq_.ReadBegin();
      place.mount = mount_.Load();
      place.dentry = dentry_.Load();
      if (place.dentry != nullptr) place.seq = Dcache::Sample(*place.dentry);
    } while (seq_.ReadRetry(seq));
  }

 private:
  base::SeqCount seq_;
  base::SeqField<Mount*> mount_;
  base::SeqField<Dentry*> dentry_;
};

// Working directory, root, umask: what chdir, chroot and umask change.
class FsContext {
 public:
  FsContext(Path root, Path cwd, Mode umask = 022);
  FsContext(const FsContext& other);

  Path root() const;
  Path cwd() const;
  const RcuPlace& RootRcu() const { return root_; }
  const RcuPlace& CwdRcu() const { return cwd_; }
  Mode umask() const { return umask_.load(std::memory_order_relaxed); }
  void SetCwd(Path cwd);
  void SetRoot(Path root);
  Mode SetUmask(Mode mask) { return umask_.exchange(static_cast<Mode>(mask & 0777)); }  // the old

 private:
  struct State {
    Path root, cwd;
  };
  mutable base::Mutex<base::LockRank::kPlace> mutex_;
  State state_ DT_GUARDED_BY(mutex_);
  RcuPlace root_, cwd_;  // those of state_
  std::atomic<Mode> umask_;
};

// Descriptors: the lowest free number is given out.
class FdTable {
 public:
  explicit FdTable(base::RcuDomain& rcu, size_t limit = kDefaultFdLimit)
      : rcu_(rcu), limit_(limit) {}
  ~FdTable();
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;

  // The right to one more descriptor, had before the open whose effects could not be undone without
  // one. Lifetime: within its table's.
  class [[nodiscard]] Room {
   public:
    Room(Room&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {}
    Room& operator=(Room&&) = delete;
    ~Room();

   private:
    friend class FdTable;
    explicit Room(FdTable& table) : table_(&table) {}
    FdTable* table_;
  };
  Result<Room> Reserve();  // kMFile
  // Is there none left, at the moment? For an open that closing undoes, which then asks Install.
  bool full() const { return taken_.load(std::memory_order_relaxed) >= limit_; }
  Result<int> Install(FileRef file);  // kMFile
  int Install(FileRef file, Room room);
  Result<FileRef> Get(int fd) const;  // kBadF
  // In an RCU section: the directory a descriptor is open on; none: no such descriptor.
  void DirRcu(int fd, RcuPath& dir) const;
  Status Close(int fd);
  Result<int> Dup(int fd, int lowest);
  Result<int> DupTo(int fd, int to);  // what `to` was is closed; kBadF
  void CloseAll();
  size_t open_count() const;

 private:
  struct Slot {
    File* file = nullptr;  // owned; mutex_
    RcuPlace dir;          // the file's, if it is a directory
  };
  struct Slots;

  void TakeLocked(int delta) DT_REQUIRES(mutex_) {
    taken_.store(taken_.load(std::memory_order_relaxed) + static_cast<size_t>(delta),
                 std::memory_order_relaxed);
  }
  Result<int> InstallLocked(FileRef& file, size_t lowest) DT_REQUIRES(mutex_);
  static void PutInto(Slot& slot, File* file);
  static FileRef TakeOut(Slot& slot);
  Slots& GrowLocked(size_t size) DT_REQUIRES(mutex_);
  Slot* GrowToLocked(int fd) DT_REQUIRES(mutex_);
  static Slot* At(const Slots* slots, int fd);  // null: beyond the array
  Slot* AtLocked(int fd) const DT_REQUIRES(mutex_) {
    return At(slots_.load(std::memory_order_relaxed), fd);
  }

  base::RcuDomain& rcu_;
  mutable base::Mutex<base::LockRank::kPlace> mutex_;
  std::atomic<Slots*> slots_{nullptr};         // one for each descriptor; written with mutex_ held
  size_t reserved_ DT_GUARDED_BY(mutex_) = 0;  // Rooms
  std::atomic<size_t> taken_{
      0};  // slots with a file and Rooms, <= limit_; written with mutex_ held
  const size_t limit_;
};

struct DirEntry {
  std::string name;
  Ino ino = 0;
  FileType type = FileType::kUnknown;
  int64_t next = 0;  // d_off: the position after this entry
};

class Task {
 public:
  // Root and working directory are the Vfs's root, in its initial namespace of mounts.
  Task(Vfs& vfs, Creds creds);
  // A child as after fork: same places, umask and namespace, its own descriptors (none).
  std::unique_ptr<Task> Fork() const;
  ~Task();

  Vfs& vfs() const { return vfs_; }
  const Creds& creds() const { return *creds_; }
  void SetCreds(Creds creds);
  FsContext& fs() { return fs_; }
  FdTable& fds() { return fds_; }
  int32_t pid() const { return pid_; }  // unique within the Vfs; what l_pid shows

  // --- descriptors ---
  Result<int> Open(std::string_view path, OpenFlags flags, Mode mode = 0) {
    return OpenAt(kAtFdCwd, path, flags, mode);
  }
  Result<int> OpenAt(int dir, std::string_view path, OpenFlags flags, Mode mode = 0);
  Status Close(int fd) { return fds_.Close(fd); }
  Result<size_t> Read(int fd, std::span<std::byte> out);
  Result<size_t> Write(int fd, std::span<const std::byte> in);
  Result<size_t> Write(int fd, std::string_view text);
  Result<size_t> Pread(int fd, std::span<std::byte> out, uint64_t pos);
  Result<size_t> Pwrite(int fd, std::span<const std::byte> in, uint64_t pos);
  Result<uint64_t> Lseek(int fd, int64_t offset, Whence whence);
  Status Getdents(int fd, DirSink& sink);
  Status Ftruncate(int fd, uint64_t size);
  Status Fsync(int fd);
  Result<PollEvents> Poll(int fd);
  Result<uint64_t> Ioctl(int fd, unsigned cmd, uint64_t arg);
  Result<int> Dup(int fd) { return fds_.Dup(fd, 0); }
  Result<vfs::Stat> Fstat(int fd);

  // --- locks (task_lock.cc) ---
  Status Flock(int fd, int operation);  // LOCK_SH, LOCK_EX or LOCK_UN, and LOCK_NB
  // F_GETLK, F_SETLK, F_SETLKW and F_OFD_ of these. A wait ends when the lock is had (kDeadlk: it
  // would not), also if the descriptor was closed meanwhile.
  Status FcntlLock(int fd, int command, struct flock& lock);
  // The same for a caller that must not sleep: where they would, kAgain with `waiter` (unless null)
  // armed to be woken when it is worth trying again; if it is not armed, that is now.
  Status FlockNowait(int fd, int operation, Waiter* waiter);
  Status FcntlLockNowait(int fd, int command, struct flock& lock, Waiter* waiter);

  // --- descriptors, continued (task_io.cc) ---
  Result<int> Openat2(int dir, std::string_view path, const OpenHow& how);  // task_open.cc
  Result<size_t> Readv(int fd, std::span<const std::span<std::byte>> out);
  Result<size_t> Writev(int fd, std::span<const std::span<const std::byte>> in);
  Result<size_t> Preadv(int fd, std::span<const std::span<std::byte>> out, uint64_t pos);
  Result<size_t> Pwritev(int fd, std::span<const std::span<const std::byte>> in, uint64_t pos);
  // Without a position: at the file's, which moves.
  Result<size_t> CopyFileRange(int in, std::optional<uint64_t> in_pos, int out,
                               std::optional<uint64_t> out_pos, size_t size, unsigned flags = 0);
  Status Fallocate(int fd, int mode, int64_t offset, int64_t size);
  // All is in memory: these check their descriptor.
  Status Fdatasync(int fd) { return Fsync(fd); }
  Status Syncfs(int fd);
  void Sync() {}
  Result<int> Dup2(int fd, int to);
  Result<int> Dup3(int fd, int to, int flags);  // O_CLOEXEC means nothing: there is no exec
  // fcntl: F_GETFL, and F_SETFL, which changes O_APPEND, O_NONBLOCK, O_DIRECT and O_NOATIME.
  Result<OpenFlags> GetStatusFlags(int fd);
  Status SetStatusFlags(int fd, OpenFlags flags);
  Result<StatFs> Fstatfs(int fd);
  // RLIMIT_FSIZE: files do not grow beyond it by this task (kFBig; a write ends there).
  uint64_t file_size_limit() const { return file_size_limit_.load(std::memory_order_relaxed); }
  void SetFileSizeLimit(uint64_t bytes) { file_size_limit_.store(bytes); }

  // --- inotify(7) (task_notify.cc) ---
  Result<int> InotifyInit(OpenFlags flags = 0);  // O_NONBLOCK, O_CLOEXEC
  // IN_* as in <sys/inotify.h>; kAccess without the right to read what is watched.
  Result<int> InotifyAddWatch(int fd, std::string_view path, uint32_t mask);
  Status InotifyRmWatch(int fd, int wd);

  // --- names. `dir`: kAtFdCwd or a descriptor that relative paths start from. ---
  Result<vfs::Stat> StatAt(int dir, std::string_view path, Follow follow);
  Result<vfs::Stat> Stat(std::string_view path) { return StatAt(kAtFdCwd, path, Follow::kYes); }
  Result<vfs::Stat> Lstat(std::string_view path) { return StatAt(kAtFdCwd, path, Follow::kNo); }
  Status Access(std::string_view path, unsigned want, int dir = kAtFdCwd);
  Status Mkdir(std::string_view path, Mode mode, int dir = kAtFdCwd);
  Status Mknod(std::string_view path, Mode mode, DevId rdev, int dir = kAtFdCwd);
  Status Rmdir(std::string_view path, int dir = kAtFdCwd);
  Status Unlink(std::string_view path, int dir = kAtFdCwd);
  Status Symlink(std::string_view target, std::string_view path, int dir = kAtFdCwd);
  Status Link(std::string_view target, std::string_view path, Follow follow = Follow::kNo);
  Status Rename(std::string_view from, std::string_view to, unsigned flags = 0);
  Result<std::string> Readlink(std::string_view path, int dir = kAtFdCwd);
  Status Chmod(std::string_view path, Mode mode);
  Status Chown(std::string_view path, std::optional<Uid> uid, std::optional<Gid> gid,
               Follow follow = Follow::kYes);
  Status SetTimes(std::string_view path, const SetAttr& times, Follow follow = Follow::kYes);
  Status Truncate(std::string_view path, uint64_t size);
  Status Fchmod(int fd, Mode mode);
  Status Fchown(int fd, std::optional<Uid> uid, std::optional<Gid> gid);
  Result<StatFs> Statfs(std::string_view path);

  // --- names, as the *at calls have them: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH and what else each
  // knows in `flags`, kInval for others (task_at.cc) ---
  Result<vfs::Stat> StatAt(int dir, std::string_view path, int flags);
  Status AccessAt(int dir, std::string_view path, unsigned want, int flags = 0);  // faccessat2
  Status MkdirAt(int dir, std::string_view path, Mode mode) { return Mkdir(path, mode, dir); }
  Status MknodAt(int dir, std::string_view path, Mode mode, DevId rdev) {
    return Mknod(path, mode, rdev, dir);
  }
  Status UnlinkAt(int dir, std::string_view path, int flags);  // AT_REMOVEDIR
  Status SymlinkAt(std::string_view target, int dir, std::string_view path) {
    return Symlink(target, path, dir);
  }
  // AT_SYMLINK_FOLLOW; AT_EMPTY_PATH: what `old_dir` is open on, opened with the task's own
  // credentials or Cap::kDacReadSearch, otherwise kNoEnt. A file of O_TMPFILE gets its name so.
  Status LinkAt(int old_dir, std::string_view old_path, int new_dir, std::string_view new_path,
                int flags = 0);
  Status RenameAt(int old_dir, std::string_view from, int new_dir, std::string_view to,
                  unsigned flags = 0);
  // "" is the symlink that `dir` is open on (O_PATH | O_NOFOLLOW).
  Result<std::string> ReadlinkAt(int dir, std::string_view path) { return Readlink(path, dir); }
  Status ChmodAt(int dir, std::string_view path, Mode mode, int flags = 0);
  Status ChownAt(int dir, std::string_view path, std::optional<Uid> uid, std::optional<Gid> gid,
                 int flags = 0);
  // Access and modification time, each with UTIME_NOW or UTIME_OMIT in tv_nsec or a time.
  using TwoTimes = std::array<timespec, 2>;
  Status UtimensAt(int dir, std::string_view path, const TwoTimes& times, int flags = 0);
  Status Futimens(int fd, const TwoTimes& times);

  // --- extended attributes (task_xattr.cc). L: of a symlink itself; F: of what is open. An empty
  // `out` asks for the size; kRange: it does not fit. ---
  Result<size_t> GetxattrAt(int dir, std::string_view path, std::string_view name,
                            std::span<std::byte> out, int flags = 0);
  Status SetxattrAt(int dir, std::string_view path, std::string_view name,
                    std::span<const std::byte> value, int xattr_flags = 0, int flags = 0);
  Result<size_t> ListxattrAt(int dir, std::string_view path, std::span<char> out, int flags = 0);
  Status RemovexattrAt(int dir, std::string_view path, std::string_view name, int flags = 0);
  Result<size_t> Getxattr(std::string_view path, std::string_view name, std::span<std::byte> out) {
    return GetxattrAt(kAtFdCwd, path, name, out);
  }
  Result<size_t> Lgetxattr(std::string_view path, std::string_view name, std::span<std::byte> out) {
    return GetxattrAt(kAtFdCwd, path, name, out, AT_SYMLINK_NOFOLLOW);
  }
  Result<size_t> Fgetxattr(int fd, std::string_view name, std::span<std::byte> out) {
    return GetxattrAt(fd, "", name, out, AT_EMPTY_PATH);
  }
  Status Setxattr(std::string_view path, std::string_view name, std::span<const std::byte> value,
                  int xattr_flags = 0) {
    return SetxattrAt(kAtFdCwd, path, name, value, xattr_flags);
  }
  Status Lsetxattr(std::string_view path, std::string_view name, std::span<const std::byte> value,
                   int xattr_flags = 0) {
    return SetxattrAt(kAtFdCwd, path, name, value, xattr_flags, AT_SYMLINK_NOFOLLOW);
  }
  Status Fsetxattr(int fd, std::string_view name, std::span<const std::byte> value,
                   int xattr_flags = 0) {
    return SetxattrAt(fd, "", name, value, xattr_flags, AT_EMPTY_PATH);
  }
  Result<size_t> Listxattr(std::string_view path, std::span<char> out) {
    return ListxattrAt(kAtFdCwd, path, out);
  }
  Result<size_t> Llistxattr(std::string_view path, std::span<char> out) {
    return ListxattrAt(kAtFdCwd, path, out, AT_SYMLINK_NOFOLLOW);
  }
  Result<size_t> Flistxattr(int fd, std::span<char> out) {
    return ListxattrAt(fd, "", out, AT_EMPTY_PATH);
  }
  Status Removexattr(std::string_view path, std::string_view name) {
    return RemovexattrAt(kAtFdCwd, path, name);
  }
  Status Lremovexattr(std::string_view path, std::string_view name) {
    return RemovexattrAt(kAtFdCwd, path, name, AT_SYMLINK_NOFOLLOW);
  }
  Status Fremovexattr(int fd, std::string_view name) {
    return RemovexattrAt(fd, "", name, AT_EMPTY_PATH);
  }

  // --- places ---
  Status Chdir(std::string_view path);
  Status Fchdir(int fd);
  Status Chroot(std::string_view path);
  Result<std::string> Getcwd();
  Mode Umask(Mode mask) { return fs_.SetUmask(mask); }

  // --- mounts ---

  // mount(2): `flags` are MS_*, `data` is the file system's. A type without data() is no type.
  Status Mount(std::string_view source, std::string_view target, std::string_view type,
               uint64_t flags, std::string_view data);
  // The same as mount -o has it, in words: "ro,nosuid,size=4k", "bind", "rbind,ro", "move".
  Status Mount(std::string_view source, std::string_view target, std::string_view type,
               std::string_view options);
  // mount -o remount,LIST: what is not named stays. With "bind" among them: of the mount alone.
  Status Remount(std::string_view target, std::string_view options);
  // umount2(2): MNT_DETACH, MNT_FORCE, UMOUNT_NOFOLLOW. kInval for others.
  Status Umount(std::string_view target, int flags = 0);
  // unshare(2): CLONE_NEWNS gives this task a copy of its namespace of mounts, CLONE_FS nothing, as
  // it shares with nobody. kInval for others, kPerm, kNoSpc. As SetCreds: for the owner alone.
  Status Unshare(int flags);
  MountNamespace& mount_namespace() const { return *mounts_; }

  // --- conveniences made of the above ---

  // Whole file as text, from open to close.
  Result<std::string> ReadFile(std::string_view path);
  // open(O_WRONLY | flags), one write, close: how a control file is written.
  Status WriteFile(std::string_view path, std::string_view text,
                   OpenFlags flags = O_CREAT | O_TRUNC, Mode mode = 0666);
  // A whole value, and all names in the order of the file system.
  Result<std::string> ReadXattr(std::string_view path, std::string_view name,
                                Follow follow = Follow::kYes);
  Result<std::vector<std::string>> ListXattrs(std::string_view path, Follow follow = Follow::kYes);
  // Whole directory without "." and "..", in the directory's order.
  Result<std::vector<DirEntry>> ListDir(std::string_view path, int dir = kAtFdCwd);

  // --- for a request loop, which must not wait (task_nowait.cc) ---

  // As StatAt and Fstat; kAgain where they would have to ask a file system that may block
  // (kSbMayBlock).
  Result<vfs::Stat> StatAtNowait(int dir, std::string_view path, Follow follow) const;
  Result<vfs::Stat> FstatNowait(int fd) const;
  // Would the call, as things are now, have to ask such a file system? Open; mkdir, rmdir, unlink.
  // False too if it will fail for another reason.
  bool OpenWouldBlock(int dir, std::string_view path, OpenFlags flags) const;
  bool ChangeWouldBlock(int dir, std::string_view path) const;

  // The place a path names, for callers of Ops.
  Result<Path> Resolve(std::string_view path, Follow follow = Follow::kYes, int dir = kAtFdCwd);

 private:
  Task(const Task& parent);

  Result<WalkContext> Context(int dir, std::string_view path, unsigned walk = 0) const;
  RcuContext ContextRcu(int dir, std::string_view path) const;
  // The place of a path with flags of enum WalkFlags: in RCU mode if it can, or with references
  // only.
  Result<Path> ResolveAt(int dir, std::string_view path, unsigned flags) const;
  Result<Path> ResolveRef(int dir, std::string_view path, unsigned flags) const;
  Result<Parent> ParentAt(int dir, std::string_view path, unsigned flags = 0) const;
  Result<vfs::Stat> AttrsNowait(const Path& place) const;
  Status CheckNoSlash(const Parent& parent);
  // What open and openat2 share once their flags are checked. `walk`: the scope, of enum WalkFlags.
  Result<int> OpenWalking(int dir, std::string_view path, OpenFlags flags, Mode mode,
                          unsigned walk);
  Result<FileRef> OpenOrCreate(int dir, std::string_view path, OpenFlags flags, Mode mode,
                               unsigned walk);
  Result<FileRef> OpenTmpfile(int dir, std::string_view path, OpenFlags flags, Mode mode,
                              unsigned walk);
  // The place of an *at call; `flags` of AT_*.
  Result<Path> PlaceAt(int dir, std::string_view path, int flags);
  // Likewise, but kBadF for an O_PATH descriptor.
  Result<Path> XattrPlace(int dir, std::string_view path, int flags);
  Status SetTimesOf(const Path& place, const TwoTimes& times);
  Status SetattrAt(std::string_view path, Follow follow, const SetAttr& attr);
  Status FlockWait(int fd, int operation, FileLocks::Wait wait);
  Status FcntlLockWait(int fd, int command, struct flock& lock, FileLocks::Wait wait);
  Status GetLock(File& file, FileLock& want, struct flock& lock);
  Status SetLock(int fd, File& file, FileLock& want, const struct flock& lock,
                 FileLocks::Wait wait);
  Status MountOn(const Path& at, std::string_view source, std::string_view type, uint64_t flags,
                 std::string_view data);

  Vfs& vfs_;
  CredsRef creds_;
  MountNamespaceRef mounts_;
  FsContext fs_;
  FdTable fds_;
  const int32_t pid_;
  std::atomic<uint64_t> file_size_limit_ = kNoSizeLimit;
};

// The same in an RCU section.
inline RcuContext Task::ContextRcu(int dir, std::string_view path) const {
  RcuContext context{.root = fs_.RootRcu(), .creds = *creds_};
  if (path.starts_with('/')) {
    fs_.RootRcu().Load(context.start);
  } else if (dir == kAtFdCwd) {
    fs_.CwdRcu().Load(context.start);
  } else {
    fds_.DirRcu(dir, context.start);
  }
  return context;
}

}  // namespace dentree::vfs
