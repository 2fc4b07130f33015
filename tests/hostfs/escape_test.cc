// Attempts to get out of the directory that is shown. All of them fail.

#include <fcntl.h>

#include "tests/hostfs/hostfs_test.h"

namespace dentree::hostfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using vfs::Errno;

class Escape : public HostfsTest {
 protected:
  // Exchanges two names on the host.
  static void Exchange(const filesystem::path& a, const filesystem::path& b) {
    CHECK(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0, "exchange");
  }
};

TEST_F(Escape, SymlinksNeverLeadOut) {
  host().Dir("d");
  host().Link("../outside/secret", "relative");
  host().Link("../../outside", "d/relative");
  host().Link(host().outside().string(), "absolute");
  host().Link("/proc/self/root" + (host().outside() / "secret").string(), "magic");
  host().Link("/proc/self/cwd", "cwd");
  Mount();
  for (const char* path : {"/host/relative", "/host/d/relative/secret", "/host/absolute/secret",
                           "/host/magic", "/host/cwd/secret"}) {
    EXPECT_THAT(task().ReadFile(path), FailsWith(Errno::kNoEnt)) << path;
    EXPECT_THAT(task().Stat(path), FailsWith(Errno::kNoEnt)) << path;
  }
}

TEST_F(Escape, DotDotNeverLeaves) {
  host().Text("d/f", "");
  Mount();
  for (const char* path : {"/host/../outside/secret", "/host/d/../../outside/secret",
                           "/host/d/../../../../../../outside/secret"}) {
    EXPECT_THAT(task().ReadFile(path), FailsWith(Errno::kNoEnt)) << path;
  }
  ASSERT_OK(task().Chdir("/host/d"));
  EXPECT_THAT(task().ReadFile("../../outside/secret"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(task().Stat("../..")->ino, task().Stat("/")->ino);
  ASSERT_OK(task().Chdir("/"));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host", O_RDONLY | O_DIRECTORY));
  class DotDot final : public vfs::DirSink {
   public:
    bool Emit(std::string_view name, vfs::Ino number, vfs::FileType, int64_t) override {
      if (name == "..") ino = number;
      return true;
    }
    vfs::Ino ino = 0;
  } sink;
  ASSERT_OK(task().Getdents(fd, sink));
  EXPECT_EQ(sink.ino, task().Fstat(fd)->ino) << "the number of what is above is not told";
  ASSERT_OK(task().Close(fd));
}

TEST_F(Escape, ADirectoryReplacedByASymlinkIsNotWalkedThrough) {
  host().Text("d/secret", "inside");
  host().Link("../outside", "link");
  Mount();
  EXPECT_THAT(task().ReadFile("/host/d/secret"), Holds("inside"));
  Exchange(host().At("d"), host().At("link"));
  EXPECT_THAT(task().ReadFile("/host/d/secret"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/host/d/other"), FailsWith(Errno::kNoEnt));
}

TEST_F(Escape, ADirectoryReplacedWhileANameInItIsAskedForIsNotWalkedThrough) {
  host().Dir("d");
  host().Link("../outside", "link");
  Mount();
  bool done = false;
  sync().OnHit("hostfs:ask", [&] {
    if (stats().lookups.Value() < 2 || std::exchange(done, true)) return;
    Exchange(host().At("d"), host().At("link"));
  });
  EXPECT_THAT(task().Stat("/host/d/secret"), FailsWith(Errno::kNoEnt));
  EXPECT_TRUE(done);
}

TEST_F(Escape, ADirectoryMovedOutWhileANameInItIsAskedForTakesNobodyAlong) {
  host().Dir("d");
  Mount();
  bool done = false;
  sync().OnHit("hostfs:ask", [&] {
    if (stats().lookups.Value() < 2 || std::exchange(done, true)) return;
    filesystem::rename(host().At("d"), host().outside() / "d");
    HostTree::Write(host().outside() / "d/secret", HostTree::kSecret);
  });
  EXPECT_THAT(task().Stat("/host/d/secret"), FailsWith(Errno::kNoEnt));
  EXPECT_TRUE(done);
}

TEST_F(Escape, ADirectoryMovedOutIsNotLookedIntoEvenByWhoStandsInIt) {
  host().Dir("d/e");
  Mount();
  ASSERT_OK(task().Chdir("/host/d/e"));
  filesystem::rename(host().At("d"), host().outside() / "d");
  HostTree::Write(host().outside() / "d/e/secret", HostTree::kSecret);
  for (const char* path : {"secret", "/host/d/e/secret"}) {
    EXPECT_FALSE(task().Stat(path)) << path;
    EXPECT_FALSE(task().ReadFile(path)) << path;
  }
  EXPECT_FALSE(task().ListDir("."));
  EXPECT_FALSE(task().ListDir("/host/d/e"));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Escape, AFileReplacedByASymlinkWhileItIsOpenedIsNotFollowed) {
  host().Text("f", "inside");
  host().Link("../outside/secret", "link");
  Mount();
  ASSERT_OK(task().Stat("/host/f"));
  bool done = false;
  sync().OnHit("hostfs:open", [&] {
    if (!std::exchange(done, true)) Exchange(host().At("f"), host().At("link"));
  });
  EXPECT_FALSE(task().ReadFile("/host/f"));
  EXPECT_TRUE(done);
}

TEST_F(Escape, AFileReplacedByAFifoWhileItIsOpenedDoesNotBlock) {
  host().Text("f", "inside");
  ASSERT_EQ(::mkfifo(host().At("fifo").c_str(), 0600), 0);
  Mount();
  ASSERT_OK(task().Stat("/host/f"));
  bool done = false;
  sync().OnHit("hostfs:open", [&] {
    if (!std::exchange(done, true)) Exchange(host().At("f"), host().At("fifo"));
  });
  EXPECT_THAT(task().ReadFile("/host/f"), FailsWith(Errno::kNxIo));
}

TEST_F(Escape, NothingIsMadeRemovedOrMovedOutside) {
  host().Text("d/secret", "inside");
  host().Text("f", "f");
  host().Link("../outside", "link");
  Mount("rw");
  ASSERT_OK(task().Stat("/host/d/secret"));
  ASSERT_OK(task().Stat("/host/f"));
  Exchange(host().At("d"), host().At("link"));
  EXPECT_FALSE(task().WriteFile("/host/d/new", "x", O_CREAT, 0644));
  EXPECT_FALSE(task().Mkdir("/host/d/newdir", 0755));
  EXPECT_FALSE(task().Symlink("x", "/host/d/newlink"));
  EXPECT_FALSE(task().Unlink("/host/d/secret"));
  EXPECT_FALSE(task().Rename("/host/f", "/host/d/f"));
  EXPECT_FALSE(task().Link("/host/f", "/host/d/f"));
  EXPECT_FALSE(task().Truncate("/host/d/secret", 0));
  EXPECT_FALSE(task().Chmod("/host/d/secret", 0));
  size_t names = 0;
  for (const auto& entry : filesystem::directory_iterator(host().outside())) {
    EXPECT_EQ(entry.path().filename(), "secret");
    ++names;
  }
  EXPECT_EQ(names, 1u);
  EXPECT_EQ(HostTree::Read(host().outside() / "secret"), HostTree::kSecret);
}

TEST_F(Escape, TheDirectoryShownStaysItselfWhenItsNameIsGivenAway) {
  host().Text("f", "inside");
  Mount("ttl=0");
  const filesystem::path moved = host().outside() / "moved";
  filesystem::rename(host().top(), moved);
  filesystem::create_symlink(host().outside(), host().top());
  EXPECT_THAT(task().ReadFile("/host/f"), Holds("inside"));
  EXPECT_THAT(task().Stat("/host/secret"), FailsWith(Errno::kNoEnt));
  filesystem::remove(host().top());
  filesystem::rename(moved, host().top());
}

}  // namespace
}  // namespace dentree::hostfs
