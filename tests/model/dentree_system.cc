#include "tests/model/dentree_system.h"

#include <sys/stat.h>

#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "ramfs/ramfs.h"

namespace dentree::model {

namespace {

using vfs::Follow;
using vfs::Gid;
using vfs::Mode;
using vfs::Task;
using vfs::Uid;

template <class T>
int64_t Answer(const base::Result<T>& result) {
  if (!result) return -static_cast<int64_t>(result.error());
  if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(*result);
  return 0;
}

Attr AttrOf(const vfs::Stat& stat) {
  return {.ino = stat.ino,
          .mode = stat.mode,
          .nlink = stat.nlink,
          .uid = stat.uid,
          .gid = stat.gid,
          .rdev = stat.rdev,
          .size = stat.size,
          .blocks = stat.blocks,
          .atime = stat.times.atime,
          .mtime = stat.times.mtime,
          .ctime = stat.times.ctime};
}

int64_t Store(const base::Result<vfs::Stat>& stat, Attr& attr) {
  if (stat) attr = AttrOf(*stat);
  return Answer(stat);
}

std::optional<uint32_t> IdOf(uint32_t id) {
  return id == UINT32_MAX ? std::nullopt : std::optional<uint32_t>(id);
}

Follow FollowIf(bool follow) { return follow ? Follow::kYes : Follow::kNo; }

std::span<std::byte> BytesOf(std::span<char> text) { return std::as_writable_bytes(text); }
std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::optional<uint64_t> PositionOf(int64_t position) {
  if (position == -1) return std::nullopt;
  return static_cast<uint64_t>(position);
}

// A target of extended attributes as the *at calls take it.
int DirOf(const System::Target& of) { return of.path == nullptr ? of.fd : vfs::kAtFdCwd; }
std::string_view PathOf(const System::Target& of) {
  return of.path == nullptr ? std::string_view() : *of.path;
}
int FlagsOf(const System::Target& of) {
  if (of.path == nullptr) return AT_EMPTY_PATH;
  return of.follow ? 0 : AT_SYMLINK_NOFOLLOW;
}

class Collect final : public vfs::DirSink {
 public:
  explicit Collect(std::vector<Entry>& entries) : entries_(entries) {}
  bool Emit(std::string_view name, vfs::Ino ino, vfs::FileType type, int64_t) override {
    entries_.push_back({std::string(name), ino, static_cast<unsigned>(type)});
    return true;
  }

 private:
  std::vector<Entry>& entries_;
};

class DentreeSystem final : public System {
 public:
  // `base` is root's, in the directory that is to be the root.
  DentreeSystem(std::unique_ptr<Task> base, const KernelOptions& options)
      : options_(options), task_(std::move(base)) {
    if (!options.several_users) task_->SetCreds(vfs::Creds::User(options.uid, options.gid));
  }

  int64_t Open(int dir, const std::string& path, int flags, unsigned mode) override {
    return Answer(task().OpenAt(dir, path, flags, static_cast<Mode>(mode)));
  }
  int64_t Close(int fd) override { return Answer(task().Close(fd)); }
  int64_t Dup(int fd) override { return Answer(task().Dup(fd)); }
  int64_t Read(int fd, std::span<char> out) override {
    return Answer(task().Read(fd, BytesOf(out)));
  }
  int64_t Write(int fd, std::string_view in) override { return Answer(task().Write(fd, in)); }
  int64_t Pread(int fd, std::span<char> out, int64_t pos) override {
    return Answer(task().Pread(fd, BytesOf(out), static_cast<uint64_t>(pos)));
  }
  int64_t Pwrite(int fd, std::string_view in, int64_t pos) override {
    return Answer(task().Pwrite(fd, BytesOf(in), static_cast<uint64_t>(pos)));
  }
  int64_t Lseek(int fd, int64_t offset, int whence) override {
    return Answer(task().Lseek(fd, offset, static_cast<vfs::Whence>(whence)));
  }
  int64_t Ftruncate(int fd, int64_t size) override {
    return Answer(task().Ftruncate(fd, static_cast<uint64_t>(size)));
  }
  int64_t List(int fd, std::vector<Entry>& entries) override {
    Collect sink(entries);
    for (;;) {
      const size_t before = entries.size();
      const base::Status status = task().Getdents(fd, sink);
      if (!status || entries.size() == before) return Answer(status);
    }
  }
  int64_t Fstat(int fd, Attr& attr) override { return Store(task().Fstat(fd), attr); }
  int64_t Fchmod(int fd, unsigned mode) override {
    return Answer(task().Fchmod(fd, static_cast<Mode>(mode)));
  }
  int64_t Fchown(int fd, uint32_t uid, uint32_t gid) override {
    return Answer(task().Fchown(fd, IdOf(uid), IdOf(gid)));
  }
  int64_t Fchdir(int fd) override { return Answer(task().Fchdir(fd)); }
  int64_t Fsync(int fd) override { return Answer(task().Fsync(fd)); }
  int64_t Openat2(int dir, const std::string& path, uint64_t flags, uint64_t mode,
                  uint64_t resolve) override {
    return Answer(task().Openat2(dir, path, {.flags = flags, .mode = mode, .resolve = resolve}));
  }
  int64_t Fallocate(int fd, int mode, int64_t offset, int64_t size) override {
    return Answer(task().Fallocate(fd, mode, offset, size));
  }
  int64_t CopyRange(int in, int64_t in_pos, int out, int64_t out_pos, size_t size) override {
    return Answer(task().CopyFileRange(in, PositionOf(in_pos), out, PositionOf(out_pos), size));
  }
  int64_t Futimens(int fd, TimeChange atime, TimeChange mtime) override {
    return Answer(task().Futimens(fd, {SpecOf(atime), SpecOf(mtime)}));
  }
  int64_t GetStatusFlags(int fd) override { return Answer(task().GetStatusFlags(fd)); }
  int64_t SetStatusFlags(int fd, int flags) override {
    return Answer(task().SetStatusFlags(fd, flags));
  }
  int64_t GetFileFlags(int fd) override { return Answer(task().Ioctl(fd, vfs::kIocGetFlags, 0)); }
  int64_t SetFileFlags(int fd, uint32_t flags) override {
    return Answer(task().Ioctl(fd, vfs::kIocSetFlags, flags));
  }

  int64_t Stat(int dir, const std::string& path, bool follow, Attr& attr) override {
    return Store(task().StatAt(dir, path, FollowIf(follow)), attr);
  }
  int64_t Access(int dir, const std::string& path, unsigned want) override {
    return Answer(task().Access(path, want, dir));
  }
  int64_t Mkdir(int dir, const std::string& path, unsigned mode) override {
    return Answer(task().Mkdir(path, static_cast<Mode>(mode), dir));
  }
  int64_t Mknod(int dir, const std::string& path, unsigned mode, uint32_t rdev) override {
    return Answer(task().Mknod(path, static_cast<Mode>(mode), rdev, dir));
  }
  int64_t Rmdir(int dir, const std::string& path) override {
    return Answer(task().Rmdir(path, dir));
  }
  int64_t Unlink(int dir, const std::string& path) override {
    return Answer(task().Unlink(path, dir));
  }
  int64_t Symlink(const std::string& target, int dir, const std::string& path) override {
    return Answer(task().Symlink(target, path, dir));
  }
  int64_t Link(const std::string& from, const std::string& to, bool follow) override {
    return Answer(task().Link(from, to, FollowIf(follow)));
  }
  int64_t Rename(const std::string& from, const std::string& to, unsigned flags) override {
    return Answer(task().Rename(from, to, flags));
  }
  int64_t Readlink(int dir, const std::string& path, std::string& target) override {
    base::Result<std::string> link = task().Readlink(path, dir);
    if (link) target = *std::move(link);
    return Answer(link);
  }
  int64_t Chmod(const std::string& path, unsigned mode) override {
    return Answer(task().Chmod(path, static_cast<Mode>(mode)));
  }
  int64_t Chown(const std::string& path, uint32_t uid, uint32_t gid, bool follow) override {
    return Answer(task().Chown(path, IdOf(uid), IdOf(gid), FollowIf(follow)));
  }
  int64_t Utimens(const std::string& path, TimeChange atime, TimeChange mtime,
                  bool follow) override;
  int64_t Truncate(const std::string& path, int64_t size) override {
    return Answer(task().Truncate(path, static_cast<uint64_t>(size)));
  }
  int64_t Linkat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                 int flags) override {
    return Answer(task().LinkAt(from_dir, from, to_dir, to, flags));
  }
  int64_t Renameat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                   unsigned flags) override {
    return Answer(task().RenameAt(from_dir, from, to_dir, to, flags));
  }
  int64_t Getxattr(const Target& of, const std::string& name, size_t room,
                   std::string& value) override {
    value.resize(room);
    const auto n =
        task().GetxattrAt(DirOf(of), PathOf(of), name, BytesOf(std::span(value)), FlagsOf(of));
    value.resize(room == 0 || !n ? 0 : *n);
    return Answer(n);
  }
  int64_t Setxattr(const Target& of, const std::string& name, const std::string& value,
                   int flags) override {
    const std::string_view bytes = value;
    return Answer(
        task().SetxattrAt(DirOf(of), PathOf(of), name, BytesOf(bytes), flags, FlagsOf(of)));
  }
  int64_t Removexattr(const Target& of, const std::string& name) override {
    return Answer(task().RemovexattrAt(DirOf(of), PathOf(of), name, FlagsOf(of)));
  }
  int64_t Listxattr(const Target& of, size_t room, std::string& names) override {
    names.resize(room);
    const auto n = task().ListxattrAt(DirOf(of), PathOf(of), std::span(names), FlagsOf(of));
    names.resize(room == 0 || !n ? 0 : *n);
    return Answer(n);
  }
  int64_t NameMax(const std::string& path) override {
    const auto stat = task().Statfs(path);
    return stat ? int64_t{stat->namelen} : Answer(stat);
  }

  int64_t Chdir(const std::string& path) override { return Answer(task().Chdir(path)); }
  int64_t Getcwd(std::string& path) override {
    base::Result<std::string> cwd = task().Getcwd();
    if (cwd) path = *std::move(cwd);
    return Answer(cwd);
  }
  int64_t Umask(unsigned mask) override { return task().Umask(static_cast<Mode>(mask)); }
  void Become(size_t who) override {
    const Credentials& to = kWho[who];
    if (!options_.several_users) return;
    if (to.uid == 0) {
      task_->SetCreds(vfs::Creds::Root());
    } else {
      const std::vector<Gid> groups(to.groups.begin(), to.groups.begin() + to.group_count);
      task_->SetCreds(vfs::Creds::User(to.uid, to.gid, groups));
    }
  }
  // The same descriptors and places, other credentials.
  void Inspect(bool on) override {
    if (on) {
      kept_ = task_->creds();
      task_->SetCreds(vfs::Creds::Root());
    } else if (kept_) {
      task_->SetCreds(*std::exchange(kept_, std::nullopt));
    }
  }

 private:
  Task& task() { return *task_; }

  const KernelOptions options_;
  const std::unique_ptr<Task> task_;
  std::optional<vfs::Creds> kept_;
};

int64_t DentreeSystem::Utimens(const std::string& path, TimeChange atime, TimeChange mtime,
                               bool follow) {
  const int flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
  return Answer(task().UtimensAt(vfs::kAtFdCwd, path, {SpecOf(atime), SpecOf(mtime)}, flags));
}

}  // namespace

std::unique_ptr<vfs::Vfs> NewVfs() {
  std::unique_ptr<vfs::Vfs> vfs = vfs::Vfs::Create();
  vfs->RegisterType(ramfs::Type());
  CHECK(vfs->MountRoot("ramfs", "").has_value(), "a ramfs mounts");
  return vfs;
}

std::unique_ptr<System> NewDentreeSystem(vfs::Vfs& vfs, const std::string& name,
                                         const KernelOptions& options) {
  auto task = std::make_unique<Task>(vfs, vfs::Creds::Root());
  const std::string top = "/" + name;
  const bool made = task->Mkdir(top, 0777) && task->Chmod(top, 0777) &&
                    task->Chown(top, options.uid, options.gid) && task->Chroot(top) &&
                    task->Chdir("/");
  CHECK(made, "a world of its own");
  return std::make_unique<DentreeSystem>(std::move(task), options);
}

}  // namespace dentree::model
