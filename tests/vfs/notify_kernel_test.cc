// The same random operations in a directory of the machine's tmpfs and in one of ours, watched by
// the kernel's inotify and by ours: every answer is the same, and so is what is read of events:
// records, their order, how they merge, which belong together.
#include <dirent.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "tests/vfs/host_tmpfs.h"

namespace dentree::vfs {
namespace {

constexpr int kGroups = 2;
constexpr int kHandles = 4;

// One side. Answers are 0 (or what is said) or -errno; paths are relative to the side's directory.
class Side {
 public:
  virtual ~Side() = default;
  virtual int Open(const std::string& path, int flags) = 0;  // the descriptor
  virtual int Close(int fd) = 0;
  virtual int Read(int fd, std::span<std::byte> out) = 0;  // bytes
  virtual int Write(int fd, std::string_view text) = 0;    // bytes
  virtual int Ftruncate(int fd, int64_t size) = 0;
  virtual int Fchmod(int fd, unsigned mode) = 0;
  virtual int Fallocate(int fd, int mode) = 0;
  virtual int Mkdir(const std::string& path) = 0;
  virtual int Mknod(const std::string& path) = 0;
  virtual int Symlink(const std::string& path) = 0;
  virtual int Rmdir(const std::string& path) = 0;
  virtual int Unlink(const std::string& path) = 0;
  virtual int Link(const std::string& from, const std::string& to) = 0;
  virtual int Rename(const std::string& from, const std::string& to, unsigned flags) = 0;
  virtual int Chmod(const std::string& path, unsigned mode) = 0;
  virtual int Chown(const std::string& path, bool change) = 0;
  virtual int Truncate(const std::string& path, int64_t size) = 0;
  virtual int SetTimes(const std::string& path, bool atime, bool mtime) = 0;
  virtual int Setxattr(const std::string& path) = 0;
  virtual int Removexattr(const std::string& path) = 0;
  virtual int List(const std::string& path) = 0;
  virtual int NewGroup() = 0;
  virtual int Watch(int group, const std::string& path, uint32_t mask) = 0;  // wd
  virtual int Unwatch(int group, int wd) = 0;
  virtual int Readable(int group) = 0;  // FIONREAD, and 1 << 20 if poll says so too
};

int Answer(long result) { return result < 0 ? -errno : static_cast<int>(result); }
int Answer(const Status& status) { return status ? 0 : -static_cast<int>(status.error()); }
template <class T>
int Answer(const Result<T>& result) {
  return result ? static_cast<int>(*result) : -static_cast<int>(result.error());
}

class KernelSide final : public Side {
 public:
  explicit KernelSide(std::string dir) : dir_(std::move(dir)) {
    std::filesystem::create_directory(dir_);
  }
  ~KernelSide() override { std::filesystem::remove_all(dir_); }
  int Open(const std::string& path, int flags) override {
    return Answer(::open(In(path).c_str(), flags | O_CLOEXEC, 0644));
  }
  int Close(int fd) override { return Answer(::close(fd)); }
  int Read(int fd, std::span<std::byte> out) override {
    return Answer(::read(fd, out.data(), out.size()));
  }
  int Write(int fd, std::string_view text) override {
    return Answer(::write(fd, text.data(), text.size()));
  }
  int Ftruncate(int fd, int64_t size) override { return Answer(::ftruncate(fd, size)); }
  int Fchmod(int fd, unsigned mode) override { return Answer(::fchmod(fd, mode)); }
  int Mkdir(const std::string& path) override { return Answer(::mkdir(In(path).c_str(), 0755)); }
  int Mknod(const std::string& path) override {
    return Answer(::mknod(In(path).c_str(), S_IFREG | 0644, 0));
  }
  int Symlink(const std::string& path) override { return Answer(::symlink("f", In(path).c_str())); }
  int Rmdir(const std::string& path) override { return Answer(::rmdir(In(path).c_str())); }
  int Unlink(const std::string& path) override { return Answer(::unlink(In(path).c_str())); }
  int Link(const std::string& from, const std::string& to) override {
    return Answer(::link(In(from).c_str(), In(to).c_str()));
  }
  int Rename(const std::string& from, const std::string& to, unsigned flags) override {
    return Answer(::renameat2(AT_FDCWD, In(from).c_str(), AT_FDCWD, In(to).c_str(), flags));
  }
  int Chmod(const std::string& path, unsigned mode) override {
    return Answer(::chmod(In(path).c_str(), mode));
  }
  int Chown(const std::string& path, bool change) override {
    const uid_t uid = change ? 0 : static_cast<uid_t>(-1);
    return Answer(::chown(In(path).c_str(), uid, static_cast<gid_t>(-1)));
  }
  int Truncate(const std::string& path, int64_t size) override {
    return Answer(::truncate(In(path).c_str(), size));
  }
  int SetTimes(const std::string& path, bool atime, bool mtime) override {
    const timespec times[2] = {{1, atime ? 1 : UTIME_OMIT}, {1, mtime ? 1 : UTIME_OMIT}};
    return Answer(::utimensat(AT_FDCWD, In(path).c_str(), times, 0));
  }
  int Fallocate(int fd, int mode) override { return Answer(::fallocate(fd, mode, 0, 8)); }
  int Setxattr(const std::string& path) override {
    return Answer(::setxattr(In(path).c_str(), "user.x", "1", 1, 0));
  }
  int Removexattr(const std::string& path) override {
    return Answer(::removexattr(In(path).c_str(), "user.x"));
  }
  int List(const std::string& path) override {
    const int fd = ::open(In(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    std::array<char, 32768> buffer;
    long n = 0;
    do {
      n = ::syscall(SYS_getdents64, fd, buffer.data(), buffer.size());
    } while (n > 0);
    ::close(fd);
    return 0;
  }
  int NewGroup() override { return Answer(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)); }
  int Watch(int group, const std::string& path, uint32_t mask) override {
    return Answer(::inotify_add_watch(group, In(path).c_str(), mask));
  }
  int Unwatch(int group, int wd) override { return Answer(::inotify_rm_watch(group, wd)); }
  int Readable(int group) override {
    int bytes = 0;
    ::ioctl(group, FIONREAD, &bytes);
    pollfd poll = {group, POLLIN, 0};
    return bytes | (::poll(&poll, 1, 0) == 1 ? 1 << 20 : 0);
  }

 private:
  std::string In(const std::string& path) const { return dir_ + "/" + path; }
  const std::string dir_;
};

class OurSide final : public Side {
 public:
  explicit OurSide(Task& task) : task_(task) { EXPECT_OK(task.Mkdir("/base", 0755)); }
  int Open(const std::string& path, int flags) override {
    return Answer(task_.Open(In(path), flags, 0644));
  }
  int Close(int fd) override { return Answer(task_.Close(fd)); }
  int Read(int fd, std::span<std::byte> out) override { return Answer(task_.Read(fd, out)); }
  int Write(int fd, std::string_view text) override { return Answer(task_.Write(fd, text)); }
  int Ftruncate(int fd, int64_t size) override {
    return Answer(task_.Ftruncate(fd, static_cast<uint64_t>(size)));
  }
  int Fchmod(int fd, unsigned mode) override {
    return Answer(task_.Fchmod(fd, static_cast<Mode>(mode)));
  }
  int Mkdir(const std::string& path) override { return Answer(task_.Mkdir(In(path), 0755)); }
  int Mknod(const std::string& path) override {
    return Answer(task_.Mknod(In(path), S_IFREG | 0644, 0));
  }
  int Symlink(const std::string& path) override { return Answer(task_.Symlink("f", In(path))); }
  int Rmdir(const std::string& path) override { return Answer(task_.Rmdir(In(path))); }
  int Unlink(const std::string& path) override { return Answer(task_.Unlink(In(path))); }
  int Link(const std::string& from, const std::string& to) override {
    return Answer(task_.Link(In(from), In(to)));
  }
  int Rename(const std::string& from, const std::string& to, unsigned flags) override {
    return Answer(task_.Rename(In(from), In(to), flags));
  }
  int Chmod(const std::string& path, unsigned mode) override {
    return Answer(task_.Chmod(In(path), static_cast<Mode>(mode)));
  }
  int Chown(const std::string& path, bool change) override {
    return Answer(task_.Chown(In(path), change ? std::optional<Uid>(0) : std::nullopt, {}));
  }
  int Truncate(const std::string& path, int64_t size) override {
    return Answer(task_.Truncate(In(path), static_cast<uint64_t>(size)));
  }
  int SetTimes(const std::string& path, bool atime, bool mtime) override {
    SetAttr times;
    if (atime) times.atime = 1;
    if (mtime) times.mtime = 1;
    return Answer(task_.SetTimes(In(path), times));
  }
  int Fallocate(int fd, int mode) override { return Answer(task_.Fallocate(fd, mode, 0, 8)); }
  int Setxattr(const std::string& path) override {
    return Answer(task_.Setxattr(In(path), "user.x", std::as_bytes(std::span("1", 1))));
  }
  int Removexattr(const std::string& path) override {
    return Answer(task_.Removexattr(In(path), "user.x"));
  }
  int List(const std::string& path) override {
    const auto list = task_.ListDir(In(path));
    return list ? 0 : -static_cast<int>(list.error());
  }
  int NewGroup() override { return Answer(task_.InotifyInit(O_NONBLOCK)); }
  int Watch(int group, const std::string& path, uint32_t mask) override {
    return Answer(task_.InotifyAddWatch(group, In(path), mask));
  }
  int Unwatch(int group, int wd) override { return Answer(task_.InotifyRmWatch(group, wd)); }
  int Readable(int group) override {
    const int bytes = Answer(task_.Ioctl(group, FIONREAD, 0));
    return bytes | ((*task_.Poll(group) & POLLIN) ? 1 << 20 : 0);
  }

 private:
  static std::string In(const std::string& path) { return "/base/" + path; }
  Task& task_;
};

// What one side has open.
struct Open {
  std::array<int, kGroups> groups{};
  std::array<int, kHandles> handles{-1, -1, -1, -1};
  std::map<uint32_t, int> cookies;  // numbered as they appear
};

// "3 100 <1> name" for each record, with the padding counted.
std::string Records(std::span<const std::byte> bytes, std::map<uint32_t, int>& cookies) {
  std::string text;
  while (!bytes.empty()) {
    inotify_event head;
    std::memcpy(&head, bytes.data(), sizeof(head));
    const auto* const name = reinterpret_cast<const char*>(bytes.data() + sizeof(head));
    int cookie = 0;
    if (head.cookie != 0) {
      cookie = cookies.emplace(head.cookie, static_cast<int>(cookies.size()) + 1).first->second;
    }
    absl::StrAppendFormat(&text, "  %d %x <%d> %d %s\n", head.wd, head.mask, cookie, head.len,
                          head.len == 0 ? "" : std::string(name, ::strnlen(name, head.len)));
    bytes = bytes.subspan(sizeof(head) + head.len);
  }
  return text;
}

class NotifyOfTheKernel : public fixture::VfsTest {
 protected:
  void SetUp() override {
    if (!ShmIsTmpfs()) GTEST_SKIP() << "/dev/shm is no tmpfs here";
    if (::geteuid() != 0) GTEST_SKIP() << "chown needs root";
  }

  size_t Below(size_t n) { return random_() % n; }
  std::string Path() {
    static constexpr std::array kPaths = {
        "f", "g", "a", "b", "a/f", "a/g", "b/f", "b/a", "a/b", "b/a/f", "a/a-name-of-17-byt", "."};
    return kPaths[Below(kPaths.size())];
  }
  uint32_t Mask() {
    if (Below(2) == 0) return IN_ALL_EVENTS;
    uint32_t mask = static_cast<uint32_t>(random_()) & IN_ALL_EVENTS;
    static constexpr std::array<uint32_t, 8> kFlags = {
        IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_ADD, IN_MASK_CREATE, IN_ONESHOT, 0, 0};
    for (int i = 0; i < 2; ++i) mask |= kFlags[Below(kFlags.size())];
    return mask;
  }

  using Call = std::function<int(Side&, Open&)>;

  // A random operation and its name.
  std::pair<std::string, Call> Pick() {
    const size_t kind = Below(30);
    if (kind < 10) return PickHandle(kind);
    if (kind < 25) return PickName(kind - 10);
    const size_t group = Below(kGroups);
    if (kind < 28) {
      const std::string path = Path();
      const uint32_t mask = Mask();
      return {absl::StrFormat("watch %d %s %x", group, path, mask),
              [=](Side& side, Open& open) { return side.Watch(open.groups[group], path, mask); }};
    }
    const int wd = static_cast<int>(Below(30));
    return {absl::StrFormat("unwatch %d %d", group, wd),
            [=](Side& side, Open& open) { return side.Unwatch(open.groups[group], wd); }};
  }

  // On an open file.
  std::pair<std::string, Call> PickHandle(size_t kind) {
    const size_t slot = Below(kHandles);
    const size_t n = Below(4);
    const std::string path = Path();
    if (kind < 3) {
      static constexpr std::array kFlags = {
          O_RDWR | O_CREAT,          O_RDONLY, O_WRONLY | O_CREAT | O_TRUNC, O_WRONLY | O_TRUNC,
          O_RDWR | O_CREAT | O_EXCL, O_PATH,   O_RDONLY | O_NOFOLLOW};
      int flags = kFlags[Below(kFlags.size())];
      if (path == ".") flags &= ~(O_CREAT | O_EXCL);
      return {absl::StrFormat("open %d %s %o", slot, path, flags), [=](Side& side, Open& open) {
                int& fd = open.handles[slot];
                if (fd >= 0) side.Close(fd);
                fd = side.Open(path, flags);
                return std::min(fd, 0);
              }};
    }
    const auto on = [slot](auto call) {
      return [slot, call](Side& side, Open& open) { return call(side, open.handles[slot]); };
    };
    switch (kind) {
      case 3:
        return {absl::StrFormat("close %d", slot), [=](Side& side, Open& open) {
                  return side.Close(std::exchange(open.handles[slot], -1));
                }};
      case 4:
        return {absl::StrFormat("read %d %d", slot, n), on([n](Side& side, int fd) {
                  std::array<std::byte, 4> buffer;
                  return side.Read(fd, std::span(buffer).first(n));
                })};
      case 5:
      case 6:
        return {absl::StrFormat("write %d %d", slot, n), on([n](Side& side, int fd) {
                  return side.Write(fd, std::string_view("xxxx").substr(0, n));
                })};
      case 7:
        return {absl::StrFormat("ftruncate %d %d", slot, n), on([n](Side& side, int fd) {
                  return side.Ftruncate(fd, static_cast<int64_t>(n));
                })};
      case 8:
        return {absl::StrFormat("fallocate %d %d", slot, n),
                on([n](Side& side, int fd) { return side.Fallocate(fd, static_cast<int>(n)); })};
      default:
        return {absl::StrFormat("fchmod %d", slot),
                on([n](Side& side, int fd) { return side.Fchmod(fd, n % 2 == 0 ? 0644 : 0755); })};
    }
  }

  // On names.
  std::pair<std::string, Call> PickName(size_t kind) {
    const std::string a = Path();
    const std::string b = Path();
    const size_t n = Below(4);
    const auto named = [](std::string what, auto call) {
      return std::pair<std::string, Call>(std::move(what),
                                          [call](Side& side, Open&) { return call(side); });
    };
    switch (kind) {
      case 0:
        return named("mkdir " + a, [=](Side& side) { return side.Mkdir(a); });
      case 1:
        return named("mknod " + a, [=](Side& side) { return side.Mknod(a); });
      case 2:
        return named("symlink " + a, [=](Side& side) { return side.Symlink(a); });
      case 3:
        return named("rmdir " + a, [=](Side& side) { return side.Rmdir(a); });
      case 4:
        return named("unlink " + a, [=](Side& side) { return side.Unlink(a); });
      case 5:
        return named("link " + a + " " + b, [=](Side& side) { return side.Link(a, b); });
      case 6:
      case 7: {
        static constexpr std::array<unsigned, 4> kFlags = {0, 0, kRenameNoReplace, kRenameExchange};
        const unsigned flags = kFlags[n];
        return named(absl::StrFormat("rename %s %s %d", a, b, flags),
                     [=](Side& side) { return side.Rename(a, b, flags); });
      }
      case 8:
        return named("chmod " + a,
                     [=](Side& side) { return side.Chmod(a, n % 2 == 0 ? 0755 : 0711); });
      case 9:
        return named("chown " + a, [=](Side& side) { return side.Chown(a, n % 2 == 0); });
      case 10:
        if (n == 0) {
          return named("truncate " + a, [=](Side& side) { return side.Truncate(a, 2); });
        }
        return named(absl::StrFormat("times %s %d", a, n),
                     [=](Side& side) { return side.SetTimes(a, n & 1, n & 2); });
      case 11:
        return named("setxattr " + a, [=](Side& side) { return side.Setxattr(a); });
      case 12:
        return named("removexattr " + a, [=](Side& side) { return side.Removexattr(a); });
      default:
        return named("list " + a, [=](Side& side) { return side.List(a); });
    }
  }

  // The answer of a read, and what it gave.
  static std::string ReadEvents(Side& side, Open& open, size_t group, size_t room) {
    std::string text = absl::StrFormat("%d bytes\n", side.Readable(open.groups[group]));
    std::vector<std::byte> buffer(room);
    const int n = side.Read(open.groups[group], buffer);
    absl::StrAppendFormat(&text, "read %d\n", n);
    if (n > 0) text += Records(std::span(buffer).first(static_cast<size_t>(n)), open.cookies);
    return text;
  }

  void RunSeed(uint64_t seed, int steps) {
    random_.seed(seed);
    KernelSide kernel(absl::StrFormat("/dev/shm/dentree-notify.%d", ::getpid()));
    const auto own = TaskOf(Creds::Root());
    OurSide ours(*own);
    Open theirs;
    Open mine;
    for (size_t i = 0; i < kGroups; ++i) {
      theirs.groups[i] = kernel.NewGroup();
      mine.groups[i] = ours.NewGroup();
    }
    std::string history;
    for (int step = 0; step < steps && !HasFailure(); ++step) {
      const auto [what, call] = Pick();
      history += what + "\n";
      ASSERT_EQ(call(kernel, theirs), call(ours, mine)) << "seed " << seed << "\n" << history;
      if (Below(3) != 0) continue;
      const size_t group = Below(kGroups);
      const size_t room = Below(4) == 0 ? Below(80) : 65536;
      const std::string expected = ReadEvents(kernel, theirs, group, room);
      history += absl::StrFormat("read events %d, room %d: %s", group, room, expected);
      ASSERT_EQ(expected, ReadEvents(ours, mine, group, room)) << "seed " << seed << "\n"
                                                               << history;
    }
    for (const int fd : theirs.handles) kernel.Close(fd);
    for (const int fd : theirs.groups) kernel.Close(fd);
    own->fds().CloseAll();
    EXPECT_OK(fs().Remove("/base"));
  }

  std::mt19937_64 random_;
};

TEST_F(NotifyOfTheKernel, RandomOperationsAreToldAsItTellsThem) {
  constexpr uint64_t kSeeds = 25;
  constexpr int kSteps = 1500;
  for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) RunSeed(seed, kSteps);
}

}  // namespace
}  // namespace dentree::vfs
