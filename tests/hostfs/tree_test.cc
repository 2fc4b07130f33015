// What is shown of a host directory: names, attributes, contents; all of it, and once.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/hostfs/hostfs_test.h"

namespace dentree::hostfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::UnorderedElementsAre;
using vfs::Errno;
using vfs::FileType;

class Tree : public HostfsTest {
 protected:
  // As `find`: every name below `path`, with its type and number.
  void Find(const std::string& path, std::vector<std::string>& lines) {
    const auto entries = task().ListDir(path);
    ASSERT_OK(entries) << path;
    for (const vfs::DirEntry& entry : *entries) {
      const std::string name = path + "/" + entry.name;
      const auto stat = task().Lstat(name);
      ASSERT_OK(stat) << name;
      EXPECT_EQ(stat->ino, entry.ino) << name;
      EXPECT_EQ(vfs::TypeOf(stat->mode), entry.type) << name;
      lines.push_back(Line(name.substr(5), stat->ino, stat->mode, stat->size));
      if (entry.type == FileType::kDir) Find(name, lines);
    }
  }

  std::vector<std::string> HostFind() const {
    std::vector<std::string> lines;
    for (const auto& entry : filesystem::recursive_directory_iterator(host().top())) {
      const std::string name = "/" + entry.path().lexically_relative(host().top()).string();
      const struct stat stat = host().Stat(name.substr(1));
      lines.push_back(Line(name, stat.st_ino, static_cast<vfs::Mode>(stat.st_mode),
                           static_cast<uint64_t>(stat.st_size)));
    }
    std::ranges::sort(lines);
    return lines;
  }

  static std::string Line(const std::string& name, uint64_t ino, vfs::Mode mode, uint64_t size) {
    return absl::StrCat(name, " ", ino, " ", mode, " ", size);
  }
};

TEST_F(Tree, FindBelowTheMountEqualsTheHostsFind) {
  for (int dir = 0; dir < 20; ++dir) {
    for (int file = 0; file < 15; ++file) {
      host().Text(absl::StrCat("d", dir % 5, "/e", dir, "/f", file), std::string(dir * file, 'x'));
    }
    host().Link("../f1", absl::StrCat("d", dir % 5, "/e", dir, "/link"));
  }
  host().Link("nowhere", "dangling");
  filesystem::create_hard_link(host().At("d0/e0/f1"), host().At("hard"));
  ASSERT_EQ(::mkfifo(host().At("fifo").c_str(), 0600), 0);
  Mount();
  std::vector<std::string> lines;
  Find("/host", lines);
  std::ranges::sort(lines);
  EXPECT_EQ(lines, HostFind());
}

TEST_F(Tree, AttributesAreTheHosts) {
  host().Text("f", std::string(10000, 'x'));
  ASSERT_EQ(::chmod(host().At("f").c_str(), 02741), 0);
  const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 2}, {.tv_sec = 3, .tv_nsec = 4}};
  ASSERT_EQ(::utimensat(AT_FDCWD, host().At("f").c_str(), times, 0), 0);
  filesystem::create_hard_link(host().At("f"), host().At("g"));
  Mount();
  ASSERT_OK_AND_ASSIGN(const vfs::Stat stat, task().Stat("/host/f"));
  const struct stat is = host().Stat("f");
  EXPECT_EQ(stat.ino, is.st_ino);
  EXPECT_EQ(stat.mode, is.st_mode);
  EXPECT_EQ(stat.nlink, 2u);
  EXPECT_EQ(stat.uid, is.st_uid);
  EXPECT_EQ(stat.gid, is.st_gid);
  EXPECT_EQ(stat.size, 10000u);
  EXPECT_EQ(stat.blocks, static_cast<uint64_t>(is.st_blocks));
  EXPECT_EQ(stat.times.atime, 1'000'000'002);
  EXPECT_EQ(stat.times.mtime, 3'000'000'004);
  EXPECT_EQ(stat.times.ctime, is.st_ctim.tv_sec * 1'000'000'000 + is.st_ctim.tv_nsec);
  ASSERT_OK_AND_ASSIGN(const vfs::StatFs statfs, task().Statfs("/host"));
  EXPECT_EQ(statfs.magic, kMagic);
  EXPECT_GT(statfs.blocks, 0u);
}

TEST_F(Tree, TwoNamesOfOneObjectAreOneInode) {
  host().Text("d/f", "1");
  filesystem::create_hard_link(host().At("d/f"), host().At("g"));
  Mount();
  ASSERT_OK_AND_ASSIGN(const vfs::Path f, task().Resolve("/host/d/f"));
  ASSERT_OK_AND_ASSIGN(const vfs::Path g, task().Resolve("/host/g"));
  EXPECT_EQ(&f.inode(), &g.inode());
}

TEST_F(Tree, ReadsFromAnyPositionToTheEnd) {
  std::string text;
  for (int i = 0; text.size() < 100'000; ++i) absl::StrAppend(&text, i, "\n");
  host().Text("f", text);
  Mount();
  EXPECT_THAT(task().ReadFile("/host/f"), Holds(text));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/f", O_RDONLY));
  std::array<std::byte, 5> buffer;
  EXPECT_THAT(task().Lseek(fd, -5, vfs::Whence::kEnd), Holds(text.size() - 5));
  EXPECT_THAT(task().Read(fd, buffer), Holds(5u));
  EXPECT_EQ(std::memcmp(buffer.data(), text.data() + text.size() - 5, 5), 0);
  EXPECT_THAT(task().Read(fd, buffer), Holds(0u));
  EXPECT_THAT(task().Pread(fd, buffer, 2), Holds(5u));
  EXPECT_EQ(std::memcmp(buffer.data(), text.data() + 2, 5), 0);
  EXPECT_THAT(task().Lseek(fd, 7, vfs::Whence::kData), Holds(7u));
  EXPECT_THAT(task().Lseek(fd, 7, vfs::Whence::kHole), Holds(text.size()));
  ASSERT_OK(task().Close(fd));
}

TEST_F(Tree, SymlinksAreFollowedInTheTreeOfTheWalk) {
  host().Text("d/f", "in the host's tree");
  host().Link("f", "d/near");
  host().Link("../d/f", "d/up");
  host().Link("/absolute", "d/far");
  ASSERT_OK(task().WriteFile("/absolute", "in the root file system"));
  Mount();
  EXPECT_THAT(task().Readlink("/host/d/up"), Holds("../d/f"));
  EXPECT_THAT(task().ReadFile("/host/d/near"), Holds("in the host's tree"));
  EXPECT_THAT(task().ReadFile("/host/d/up"), Holds("in the host's tree"));
  EXPECT_THAT(task().ReadFile("/host/d/far"), Holds("in the root file system"));
  EXPECT_EQ(task().Lstat("/host/d/near")->size, 1u);
}

TEST_F(Tree, SpecialFilesAreListedAndDescribedAndOpeningThemFailsAtOnce) {
  ASSERT_EQ(::mkfifo(host().At("fifo").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = host().At("socket").string();
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Mount();
  EXPECT_EQ(vfs::TypeOf(task().Stat("/host/fifo")->mode), FileType::kFifo);
  EXPECT_EQ(vfs::TypeOf(task().Stat("/host/socket")->mode), FileType::kSocket);
  for (const char* name : {"/host/fifo", "/host/socket"}) {
    EXPECT_THAT(task().Open(name, O_RDONLY), FailsWith(Errno::kNxIo)) << name;
  }
  EXPECT_THAT(fs().Names("/host"), Holds(UnorderedElementsAre("fifo", "socket")));
  ::close(socket);
  if (::mknod(host().At("null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) return;
  EXPECT_EQ(task().Stat("/host/null")->rdev, makedev(1, 3));
  EXPECT_THAT(task().Open("/host/null", O_RDONLY), FailsWith(Errno::kAccess));
}

TEST_F(Tree, NamesMayHoldAnyByte) {
  const std::string names[] = {"new\nline", "\xff\xfe\x80",       "tab\tand\\", "\x01\x1b[31m",
                               "ü",         std::string(255, 'n')};
  for (const std::string& name : names) host().Text(name, name);
  Mount();
  EXPECT_THAT(fs().Names("/host"), Holds(testing::UnorderedElementsAreArray(names)));
  for (const std::string& name : names) {
    EXPECT_THAT(task().ReadFile("/host/" + name), Holds(name));
  }
  EXPECT_THAT(task().Stat("/host/" + std::string(256, 'n')), FailsWith(Errno::kNameTooLong));
}

TEST_F(Tree, PathsMayBeDeeperThanPathMax) {
  constexpr int kDeep = 40;
  const std::string name(200, 'd');
  std::vector<int> fds{::open(host().top().c_str(), O_PATH | O_DIRECTORY)};
  for (int i = 0; i < kDeep; ++i) {
    ASSERT_EQ(::mkdirat(fds.back(), name.c_str(), 0755), 0);
    fds.push_back(::openat(fds.back(), name.c_str(), O_PATH | O_DIRECTORY));
  }
  const int file = ::openat(fds.back(), "f", O_CREAT | O_WRONLY, 0644);
  ASSERT_EQ(::write(file, "deep", 4), 4);
  ::close(file);
  for (const int fd : fds) ::close(fd);
  Mount("rw");
  ASSERT_OK(task().Chdir("/host"));
  for (int i = 0; i < kDeep; ++i) ASSERT_OK(task().Chdir(name));
  EXPECT_THAT(task().ReadFile("f"), Holds("deep"));
  EXPECT_THAT(fs().Names("."), Holds(UnorderedElementsAre("f")));
  Expire();
  EXPECT_THAT(task().ReadFile("f"), Holds("deep"));
  ASSERT_OK(task().Rename("f", "g"));
  ASSERT_OK(task().Unlink("g"));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Tree, ADirectoryOfTwentyThousandNamesIsListedOnceAndFromAnyPosition) {
  constexpr size_t kNames = 20'000;
  host().Dir("d");
  for (size_t i = 0; i < kNames; ++i) host().Text(absl::StrCat("d/name", i), "");
  Mount();
  const uint64_t before = Calls();
  ASSERT_OK_AND_ASSIGN(const auto entries, task().ListDir("/host/d"));
  EXPECT_LT(Calls() - before, 100u) << "in large pieces";
  std::set<std::string> names;
  for (const vfs::DirEntry& entry : entries) names.insert(entry.name);
  EXPECT_EQ(entries.size(), kNames);
  EXPECT_EQ(names.size(), kNames);

  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/d", O_RDONLY | O_DIRECTORY));
  class Rest final : public vfs::DirSink {
   public:
    bool Emit(std::string_view, vfs::Ino, FileType, int64_t) override { return ++count, true; }
    size_t count = 0;
  };
  for (const size_t i : {size_t{0}, size_t{1}, kNames / 2, kNames - 2}) {
    ASSERT_OK(task().Lseek(fd, entries[i].next, vfs::Whence::kSet));
    Rest rest;
    ASSERT_OK(task().Getdents(fd, rest));
    EXPECT_GE(rest.count, kNames - 1 - i) << "dots may stand anywhere";
    EXPECT_LE(rest.count, kNames + 1 - i);
  }
  ASSERT_OK(task().Close(fd));
}

TEST_F(Tree, CachedInodesHoldNoDescriptors) {
  for (int i = 0; i < 200; ++i) host().Text(absl::StrCat("d", i, "/f"), "");
  Mount();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int next = ::dup(0);
  ::close(next);
  const rlimit few{.rlim_cur = static_cast<rlim_t>(next) + 4, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  int found = 0;
  for (int i = 0; i < 200; ++i) found += task().Stat(absl::StrCat("/host/d", i, "/f")) ? 1 : 0;
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(found, 200);
  EXPECT_EQ(stats().open_max.Value(), 0);
}

TEST_F(Tree, OpenFilesAreBoundedAndCounted) {
  host().Text("f", "");
  Register({.directory = "", .max_open = 3});
  Mount();
  std::vector<int> fds;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/f", O_RDONLY));
    fds.push_back(fd);
  }
  EXPECT_THAT(task().Open("/host/f", O_RDONLY), FailsWith(Errno::kNFile));
  EXPECT_EQ(stats().open.Value(), 3);
  EXPECT_EQ(stats().open_refused.Value(), 1u);
  for (const int fd : fds) ASSERT_OK(task().Close(fd));
  EXPECT_EQ(stats().open.Value(), 0);
  EXPECT_OK(task().ReadFile("/host/f"));
}

TEST_F(Tree, RightsAreCheckedByWhatIsShown) {
  host().Text("d/f", "x");
  ASSERT_EQ(::chmod(host().At("d/f").c_str(), 0600), 0);
  Mount();
  const auto stranger = TaskOf(vfs::Creds::User(host().Stat("d/f").st_uid + 1, 12345));
  EXPECT_THAT(stranger->Open("/host/d/f", O_RDONLY), FailsWith(Errno::kAccess));
  ASSERT_EQ(::chmod(host().At("d").c_str(), 0700), 0);
  Expire();
  EXPECT_THAT(stranger->Stat("/host/d/f"), FailsWith(Errno::kAccess));
  ASSERT_EQ(::chmod(host().At("d").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(host().At("d/f").c_str(), 0644), 0);
  Expire();
  EXPECT_OK(stranger->ReadFile("/host/d/f"));
}

}  // namespace
}  // namespace dentree::hostfs
