// openat2 and O_TMPFILE: what Linux 6.18 answers on tmpfs.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;

constexpr uint64_t kCreate = O_CREAT | O_WRONLY;

class Openat2 : public fixture::VfsTest {
 protected:
  Openat2() {
    fs().Make({fixture::Dir("/w"), fixture::Dir("/w/d"), fixture::Dir("/w/d/e"),
               fixture::Text("/w/f", "x"), fixture::Dir("/etc")});
    CHECK(task().Chdir("/w").has_value());
    Link("f", "sl");
    Link("/etc", "abs");
    Link("nope", "dang");
    Link("../up", "d/out");
    Link("/new", "d/absnew");
    Link("e/new2", "d/relnew");
    Link("../f", "d/tof");
    dir_ = *task().Open("d", O_RDONLY);
  }

  void Link(const char* target, const char* name) {
    CHECK(task().Symlink(target, name).has_value());
  }
  Result<int> Open(std::string_view path, uint64_t flags, uint64_t mode = 0, uint64_t resolve = 0) {
    return task().Openat2(kAtFdCwd, path, {.flags = flags, .mode = mode, .resolve = resolve});
  }
  Result<int> OpenIn(std::string_view path, uint64_t flags, uint64_t resolve) {
    const uint64_t mode = flags & O_CREAT ? 0644 : 0;
    return task().Openat2(dir_, path, {.flags = flags, .mode = mode, .resolve = resolve});
  }

  int dir_ = -1;
};

TEST_F(Openat2, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Open("f", uint64_t{1} << 40), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("f", uint64_t{1} << 31), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("", uint64_t{1} << 40), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("f", 0, 0, 0x40), FailsWith(Errno::kInval));
  EXPECT_OK(Open("f", 0100000));
}

TEST_F(Openat2, RefusesModesWithoutCreationAndCombinationsThatMakeNoSense) {
  EXPECT_THAT(Open("f", 0, 0644), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("n", kCreate, 010644), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("n", kCreate | O_DIRECTORY, 0644), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("f", O_PATH | O_RDWR), FailsWith(Errno::kInval));
  EXPECT_THAT(Open("f", O_PATH | kCreate, 0644), FailsWith(Errno::kInval));
  EXPECT_OK(Open("sl", O_PATH | O_NOFOLLOW));
  EXPECT_THAT(Open("f", 0, 0, kResolveBeneath | kResolveInRoot), FailsWith(Errno::kInval));
}

TEST_F(Openat2, CachedAnswersFromTheCacheOnly) {
  EXPECT_OK(Open("f", 0, 0, kResolveCached));
  EXPECT_OK(Open("sl", 0, 0, kResolveCached));
  EXPECT_OK(Open("d/..", 0, 0, kResolveCached));
  EXPECT_THAT(Open("nope", 0, 0, kResolveCached), FailsWith(Errno::kAgain));
  EXPECT_THAT(Open("f/x", 0, 0, kResolveCached), FailsWith(Errno::kAgain));
  EXPECT_THAT(Open("f", O_TRUNC | O_WRONLY, 0, kResolveCached), FailsWith(Errno::kAgain));
  EXPECT_THAT(Open("f", kCreate, 0644, kResolveCached), FailsWith(Errno::kAgain));
  EXPECT_THAT(Open("d", O_TMPFILE | O_RDWR, 0600, kResolveCached), FailsWith(Errno::kAgain));
}

TEST_F(Openat2, BeneathLeadsNowhereElseAlsoWhenItCreates) {
  EXPECT_THAT(OpenIn("absnew", kCreate, kResolveBeneath), FailsWith(Errno::kXDev));
  EXPECT_THAT(OpenIn("out", kCreate, kResolveBeneath), FailsWith(Errno::kXDev));
  EXPECT_THAT(OpenIn("../q", kCreate, kResolveBeneath), FailsWith(Errno::kXDev));
  EXPECT_THAT(OpenIn("tof", 0, kResolveBeneath), FailsWith(Errno::kXDev));
  EXPECT_THAT(OpenIn("e/../..", 0, kResolveBeneath), FailsWith(Errno::kXDev));
  EXPECT_THAT(OpenIn("..", O_TMPFILE | O_RDWR, kResolveBeneath), FailsWith(Errno::kXDev));
  EXPECT_OK(OpenIn("relnew", kCreate, kResolveBeneath));
  EXPECT_OK(OpenIn("e/..", 0, kResolveBeneath));
  EXPECT_TRUE(fs().Has("/w/d/e/new2"));
  EXPECT_FALSE(fs().Has("/w/q"));
}

TEST_F(Openat2, InRootTakesTheDirectoryForTheRootAlsoWhenItCreates) {
  EXPECT_OK(OpenIn("absnew", kCreate, kResolveInRoot));
  EXPECT_OK(OpenIn("out", kCreate, kResolveInRoot));
  EXPECT_OK(OpenIn("../q", kCreate, kResolveInRoot));
  EXPECT_THAT(OpenIn("tof", 0, kResolveInRoot), FailsWith(Errno::kNoEnt));
  EXPECT_OK(OpenIn("/", 0, kResolveInRoot));
  EXPECT_THAT(OpenIn("/", kCreate, kResolveInRoot), FailsWith(Errno::kIsDir));
  EXPECT_TRUE(fs().Has("/w/d/new"));
  EXPECT_TRUE(fs().Has("/w/d/up"));
  EXPECT_TRUE(fs().Has("/w/d/q"));
  EXPECT_FALSE(fs().Has("/new"));
}

TEST_F(Openat2, InRootLooksAtTheDescriptorOfAnAbsolutePathToo) {
  EXPECT_THAT(task().Openat2(99, "/etc", {.resolve = kResolveInRoot}), FailsWith(Errno::kBadF));
  const int file = *task().Open("f", O_RDONLY);
  EXPECT_THAT(task().Openat2(file, "/etc", {.resolve = kResolveInRoot}), FailsWith(Errno::kNotDir));
  EXPECT_OK(task().Openat2(99, "/etc", {}));
}

TEST_F(Openat2, NoSymlinksFollowsNoneAlsoWhenItCreates) {
  EXPECT_THAT(Open("sl", kCreate, 0644, kResolveNoSymlinks), FailsWith(Errno::kLoop));
  EXPECT_THAT(Open("dang", kCreate, 0644, kResolveNoSymlinks), FailsWith(Errno::kLoop));
  EXPECT_OK(Open("sl", O_PATH | O_NOFOLLOW, 0, kResolveNoSymlinks));
  EXPECT_FALSE(fs().Has("/w/nope"));
}

TEST_F(Openat2, NoXdevStaysOnTheMountAlsoWhenItCreates) {
  ASSERT_OK(task().Mount("none", "d", "ramfs", ""));
  EXPECT_THAT(Open("d/x", kCreate, 0644, kResolveNoXdev), FailsWith(Errno::kXDev));
  EXPECT_THAT(Open("d", 0, 0, kResolveNoXdev), FailsWith(Errno::kXDev));
  ASSERT_OK(task().Chdir("d"));
  EXPECT_THAT(Open("..", 0, 0, kResolveNoXdev), FailsWith(Errno::kXDev));
  ASSERT_OK(task().Symlink("/etc", "away"));
  EXPECT_THAT(Open("away", 0, 0, kResolveNoXdev), FailsWith(Errno::kXDev));
  EXPECT_THAT(Open("away", kCreate, 0644, kResolveNoXdev), FailsWith(Errno::kXDev));
  ASSERT_OK(task().Chdir("/"));
  ASSERT_OK(task().Umount("/w/d"));
}

class Tmpfile : public fixture::VfsTest {
 protected:
  Tmpfile() {
    fs().Make({fixture::Dir("/d"), fixture::Text("/f", "x")});
    CHECK(task().Symlink("d", "/ld").has_value());
  }
  Result<int> Make(int more = 0, Mode mode = 0666) {
    return task().Open("/d", O_TMPFILE | O_RDWR | more, mode);
  }
  Status Name(int fd, std::string_view name) {
    return task().LinkAt(fd, "", kAtFdCwd, name, AT_EMPTY_PATH);
  }
};

TEST_F(Tmpfile, HasNoNameUntilItIsLinked) {
  const int fd = *Make();
  EXPECT_EQ(task().Fstat(fd)->nlink, 0u);
  EXPECT_EQ(task().Fstat(fd)->mode, S_IFREG | 0644);
  EXPECT_TRUE(fs().Names("/d")->empty());
  ASSERT_OK(task().Write(fd, "text"));
  ASSERT_OK(Name(fd, "/d/n"));
  EXPECT_EQ(task().Fstat(fd)->nlink, 1u);
  EXPECT_EQ(task().ReadFile("/d/n"), "text");
  ASSERT_OK(Name(fd, "/d/n2"));
  EXPECT_EQ(task().Stat("/d/n2")->nlink, 2u);
}

TEST_F(Tmpfile, ThatLostItsNameGetsNoOther) {
  const int fd = *Make();
  ASSERT_OK(Name(fd, "/d/n"));
  ASSERT_OK(task().Unlink("/d/n"));
  EXPECT_THAT(Name(fd, "/d/n"), FailsWith(Errno::kNoEnt));
}

TEST_F(Tmpfile, ThatIsExclusiveGetsNone) {
  EXPECT_THAT(Name(*Make(O_EXCL), "/d/n"), FailsWith(Errno::kNoEnt));
}

TEST_F(Tmpfile, TakesADirectoryThatMayBeWritten) {
  EXPECT_THAT(task().Open("/f", O_TMPFILE | O_RDWR, 0600), FailsWith(Errno::kNotDir));
  EXPECT_THAT(task().Open("/none", O_TMPFILE | O_RDWR, 0600), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Open("/ld", O_TMPFILE | O_RDWR, 0600));
  EXPECT_THAT(task().Open("/ld", O_TMPFILE | O_RDWR | O_NOFOLLOW, 0600), FailsWith(Errno::kNotDir));
  const auto stranger = task().Fork();
  stranger->SetCreds(Creds::User(1000, 1000));
  EXPECT_THAT(stranger->Open("/d", O_TMPFILE | O_RDWR, 0600), FailsWith(Errno::kAccess));
}

TEST_F(Tmpfile, TakesAModeThatWrites) {
  EXPECT_THAT(task().Open("/d", O_TMPFILE | O_RDONLY, 0600), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Open("/d", O_TMPFILE | O_RDWR | O_CREAT, 0600), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Open("/d", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR), FailsWith(Errno::kInval));
  EXPECT_OK(Make(O_TRUNC, 0));
  const int path = *task().Open("/d", O_TMPFILE | O_PATH);
  EXPECT_EQ(task().Fstat(path)->mode & S_IFMT, unsigned{S_IFDIR});
}

TEST_F(Tmpfile, InheritsTheGroupOfItsDirectory) {
  ASSERT_OK(task().Chown("/d", 0, 77));
  ASSERT_OK(task().Chmod("/d", 02777));
  EXPECT_EQ(task().Fstat(*Make())->gid, 77u);
}

TEST_F(Tmpfile, CountsAsOneInodeWithItsFirstName) {
  ASSERT_OK(task().Mount("none", "/d", "ramfs", "nr_inodes=4"));
  const int fd = *Make();
  EXPECT_EQ(task().Statfs("/d")->ffree, 2u);
  ASSERT_OK(Name(fd, "/d/a"));
  EXPECT_EQ(task().Statfs("/d")->ffree, 2u);
  ASSERT_OK(Name(fd, "/d/b"));
  EXPECT_EQ(task().Statfs("/d")->ffree, 1u);
  ASSERT_OK(task().Unlink("/d/a"));
  ASSERT_OK(task().Unlink("/d/b"));
  EXPECT_EQ(task().Statfs("/d")->ffree, 2u);
  ASSERT_OK(task().Close(fd));
  EXPECT_EQ(task().Statfs("/d")->ffree, 3u);
  ASSERT_OK(task().Umount("/d"));
}

TEST_F(Tmpfile, EndsWithItsDescriptor) {
  ASSERT_OK(task().Close(*Make()));
  EXPECT_OK(task().Rmdir("/d"));
}

TEST_F(Tmpfile, OutlivesItsDirectory) {
  const int fd = *Make();
  ASSERT_OK(task().Rmdir("/d"));
  EXPECT_OK(Name(fd, "/n"));
  EXPECT_TRUE(fs().Has("/n"));
}

TEST_F(Tmpfile, IsLinkedByWhoOpenedItOrMaySearchEverything) {
  const auto user = task().Fork();
  user->SetCreds(Creds::User(1000, 1000));
  ASSERT_OK(task().Chmod("/d", 0777));
  const int own = *user->Open("/d", O_TMPFILE | O_RDWR, 0600);
  EXPECT_OK(user->LinkAt(own, "", kAtFdCwd, "/d/own", AT_EMPTY_PATH));
  user->SetCreds(Creds::User(1000, 1000));  // the same, but not those it was opened with
  EXPECT_THAT(user->LinkAt(own, "", kAtFdCwd, "/d/other", AT_EMPTY_PATH), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().LinkAt(kAtFdCwd, "", kAtFdCwd, "/d/cwd", AT_EMPTY_PATH),
              FailsWith(Errno::kPerm));
}

}  // namespace
}  // namespace dentree::vfs
