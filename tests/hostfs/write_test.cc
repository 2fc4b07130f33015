// Changing a host directory, when it is mounted for that; and refusing to, when it is not.

#include <fcntl.h>

#include <chrono>

#include "tests/hostfs/hostfs_test.h"

namespace dentree::hostfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::ElementsAre;
using vfs::Errno;

class MountOptions : public HostfsTest {
 protected:
  std::string Shown() { return vfs().mounts().List(vfs().Root()).back().options; }
};

TEST_F(MountOptions, AreReadOnlyUnlessAsked) {
  host().Text("f", "");
  Mount();
  EXPECT_EQ(Shown(), "ro,relatime");
  EXPECT_THAT(task().Open("/host/f", O_WRONLY), FailsWith(Errno::kRoFs));
  ASSERT_OK(task().Umount("/host"));
  Mount("ro");
  EXPECT_EQ(Shown(), "ro,relatime");
  ASSERT_OK(task().Remount("/host", "rw"));
  EXPECT_EQ(Shown(), "rw,relatime");
  EXPECT_OK(task().WriteFile("/host/f", "x"));
  ASSERT_OK(task().Remount("/host", "ro"));
  EXPECT_THAT(task().Unlink("/host/f"), FailsWith(Errno::kRoFs));
}

TEST_F(MountOptions, CannotMakeATypeWritableThatIsNotToBe) {
  host().Text("f", "");
  Register({.directory = "", .may_write = false});
  Mount("rw");
  EXPECT_THAT(task().WriteFile("/host/f", "x"), FailsWith(Errno::kRoFs));
  ASSERT_OK(task().Remount("/host", "rw"));
  EXPECT_THAT(task().Unlink("/host/f"), FailsWith(Errno::kRoFs));
}

TEST_F(MountOptions, AreShownAsTheyAreInForce) {
  Mount("ttl=2,delay_ns=30");
  EXPECT_EQ(Shown(), "ro,relatime,ttl=2,delay_ns=30");
  ASSERT_OK(task().Remount("/host", "ttl=1500ms"));
  EXPECT_EQ(Shown(), "ro,relatime,ttl=1500ms,delay_ns=30");
  ASSERT_OK(task().Remount("/host", "ttl=0,delay_ns=0"));
  EXPECT_EQ(Shown(), "ro,relatime,ttl=0");
}

TEST_F(MountOptions, ThatMakeNoSenseAreRefused) {
  Register();
  for (const char* option : {"ttl=", "ttl=x", "ttl=-1", "ttl=1s", "ttl=86401", "ttl=ms", "delay_ns",
                             "delay_ns=10000000001", "dir=/", "nonsense"}) {
    EXPECT_THAT(task().Mount("top", "/host", "hostfs", option), FailsWith(Errno::kInval)) << option;
  }
}

TEST_F(MountOptions, ADirectoryThatIsNoneCannotBeShown) {
  host().Text("f", "");
  EXPECT_THAT(FileSystem::Open({.directory = host().At("missing")}), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(FileSystem::Open({.directory = host().At("f")}), FailsWith(Errno::kNotDir));
}

TEST_F(MountOptions, DelayMakesEachQuestionTakeAtLeastSoLong) {
  host().Text("d/f", "");
  Mount("delay_ns=2000000");
  const auto start = std::chrono::steady_clock::now();
  ASSERT_OK(task().Stat("/host/d/f"));
  EXPECT_THAT(task().Stat("/host/d/g"), FailsWith(Errno::kNoEnt));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(6));
  EXPECT_EQ(stats().lookups.Value(), 3u);
}

TEST_F(MountOptions, EveryChangeOfAReadOnlyMountIsRefused) {
  host().Text("d/f", "text");
  host().Dir("d/e");
  Mount();
  EXPECT_THAT(task().Open("/host/new", O_CREAT | O_WRONLY), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Open("/host/d/f", O_RDONLY | O_TRUNC), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Mkdir("/host/new", 0755), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Mknod("/host/new", S_IFIFO | 0600, 0), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Symlink("x", "/host/new"), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Link("/host/d/f", "/host/new"), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Unlink("/host/d/f"), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Rmdir("/host/d/e"), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Rename("/host/d/f", "/host/g"), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Chmod("/host/d/f", 0600), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Truncate("/host/d/f", 1), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().SetTimes("/host/d/f", {.atime = 1, .mtime = 1}), FailsWith(Errno::kRoFs));
  EXPECT_EQ(HostTree::Read(host().At("d/f")), "text");
}

class Writable : public HostfsTest {
 protected:
  Writable() { Mount("rw"); }
};

TEST_F(Writable, FilesAreMadeWrittenAndCut) {
  ASSERT_OK(task().WriteFile("/host/f", "hello"));
  EXPECT_EQ(HostTree::Read(host().At("f")), "hello");
  EXPECT_EQ(task().Stat("/host/f")->size, 5u) << "who changes it sees it";
  ASSERT_OK(fs().Append("/host/f", " world"));
  EXPECT_EQ(HostTree::Read(host().At("f")), "hello world");
  ASSERT_OK(task().Truncate("/host/f", 4));
  EXPECT_EQ(task().Stat("/host/f")->size, 4u);
  ASSERT_OK(task().WriteFile("/host/f", "", O_TRUNC));
  EXPECT_EQ(host().Stat("f").st_size, 0);
  EXPECT_EQ(task().Stat("/host/f")->size, 0u);
}

TEST_F(Writable, APositionIsKeptBehindWhatWasAppended) {
  host().Text("f", "12");
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/f", O_RDWR | O_APPEND));
  host().Text("f", "12345");
  ASSERT_OK(task().Write(fd, "678"));
  EXPECT_THAT(task().Lseek(fd, 0, vfs::Whence::kCur), Holds(8u));
  EXPECT_EQ(HostTree::Read(host().At("f")), "12345678");
  ASSERT_OK(task().Fsync(fd));
  ASSERT_OK(task().Ftruncate(fd, 1));
  EXPECT_EQ(task().Fstat(fd)->size, 1u);
  ASSERT_OK(task().Close(fd));
}

TEST_F(Writable, DirectoriesLinksAndFifosAreMade) {
  ASSERT_OK(task().Mkdir("/host/d", 0750));
  EXPECT_EQ(host().Stat("d").st_mode, S_IFDIR | 0750u);
  ASSERT_OK(task().Symlink("../x", "/host/d/l"));
  EXPECT_EQ(filesystem::read_symlink(host().At("d/l")), "../x");
  ASSERT_OK(task().Mknod("/host/d/p", S_IFIFO | 0600, 0));
  EXPECT_TRUE(S_ISFIFO(host().Stat("d/p").st_mode));
  EXPECT_THAT(task().Mknod("/host/d/c", S_IFCHR | 0600, 0x103), FailsWith(Errno::kPerm));
  ASSERT_OK(task().WriteFile("/host/d/f", "1"));
  ASSERT_OK(task().Link("/host/d/f", "/host/g"));
  EXPECT_EQ(host().Stat("g").st_ino, host().Stat("d/f").st_ino);
  EXPECT_EQ(task().Stat("/host/g")->nlink, 2u);
  EXPECT_EQ(task().Stat("/host/d")->nlink, host().Stat("d").st_nlink);
}

TEST_F(Writable, NamesAreRemoved) {
  host().Text("d/f", "");
  host().Text("d/g", "");
  EXPECT_THAT(task().Rmdir("/host/d"), FailsWith(Errno::kNotEmpty));
  ASSERT_OK(task().Unlink("/host/d/f"));
  EXPECT_THAT(task().Stat("/host/d/f"), FailsWith(Errno::kNoEnt));
  EXPECT_FALSE(filesystem::exists(host().At("d/f")));
  ASSERT_OK(task().Unlink("/host/d/g"));
  ASSERT_OK(task().Rmdir("/host/d"));
  EXPECT_FALSE(filesystem::exists(host().At("d")));
}

TEST_F(Writable, AFileRemovedWhileOpenIsReadOnAndHasNoLinks) {
  host().Text("f", "text");
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/f", O_RDWR));
  ASSERT_OK(task().Unlink("/host/f"));
  EXPECT_EQ(task().Fstat(fd)->nlink, 0u);
  ASSERT_OK(task().Fchmod(fd, 0600));
  EXPECT_EQ(task().Fstat(fd)->mode, S_IFREG | 0600);
  std::array<std::byte, 8> buffer;
  EXPECT_THAT(task().Read(fd, buffer), Holds(4u));
  ASSERT_OK(task().Close(fd));
}

TEST_F(Writable, NamesMoveWithAllBelowThem) {
  host().Text("a/b/f", "1");
  host().Dir("c");
  ASSERT_OK_AND_ASSIGN(const vfs::Path before, task().Resolve("/host/a/b"));
  ASSERT_OK(task().Rename("/host/a/b", "/host/c/d"));
  ASSERT_OK_AND_ASSIGN(const vfs::Path after, task().Resolve("/host/c/d"));
  EXPECT_EQ(before.dentry.get(), after.dentry.get());
  EXPECT_THAT(task().ReadFile("/host/c/d/f"), Holds("1"));
  EXPECT_EQ(HostTree::Read(host().At("c/d/f")), "1");
  EXPECT_THAT(task().Stat("/host/a/b"), FailsWith(Errno::kNoEnt));
  Expire();
  EXPECT_THAT(task().ReadFile("/host/c/d/f"), Holds("1"));
}

TEST_F(Writable, ARenameReplacesOrExchanges) {
  host().Text("a", "a");
  host().Text("b", "b");
  ASSERT_OK(task().Rename("/host/a", "/host/b", vfs::kRenameExchange));
  EXPECT_THAT(task().ReadFile("/host/a"), Holds("b"));
  EXPECT_THAT(task().Rename("/host/a", "/host/b", vfs::kRenameNoReplace), FailsWith(Errno::kExist));
  ASSERT_OK(task().Rename("/host/a", "/host/b"));
  EXPECT_THAT(task().ReadFile("/host/b"), Holds("b"));
  EXPECT_THAT(fs().Names("/host"), Holds(ElementsAre("b")));
  EXPECT_EQ(HostTree::Read(host().At("b")), "b");
}

TEST_F(Writable, ModesAndTimesAreSet) {
  host().Text("f", "");
  host().Link("f", "l");
  ASSERT_OK(task().Chmod("/host/f", 0640));
  EXPECT_EQ(host().Stat("f").st_mode, S_IFREG | 0640u);
  ASSERT_OK(task().SetTimes("/host/f", {.atime = 1'000'000'005, .mtime = -1}));
  EXPECT_EQ(host().Stat("f").st_atim.tv_sec, 1);
  EXPECT_EQ(host().Stat("f").st_atim.tv_nsec, 5);
  EXPECT_EQ(host().Stat("f").st_mtim.tv_sec, -1);
  EXPECT_EQ(host().Stat("f").st_mtim.tv_nsec, 999'999'999);
  EXPECT_EQ(task().Stat("/host/f")->times.mtime, -1);
  ASSERT_OK(task().SetTimes("/host/l", {.mtime = 7'000'000'000}, vfs::Follow::kNo));
  EXPECT_EQ(host().Stat("l").st_mtim.tv_sec, 7);
  EXPECT_EQ(host().Stat("f").st_mtim.tv_sec, -1);
}

TEST_F(Writable, ErrorsAreTheHosts) {
  host().Dir("d");
  ASSERT_OK(task().Stat("/host/d"));
  EXPECT_THAT(task().Stat("/host/new"), FailsWith(Errno::kNoEnt));
  host().Text("new", "the host was faster");
  EXPECT_THAT(task().Mkdir("/host/new", 0755), FailsWith(Errno::kExist));
  EXPECT_OK(task().Stat("/host/new")) << "and now we know";
  EXPECT_THAT(task().Stat("/host/new2"), FailsWith(Errno::kNoEnt));
  host().Text("new2", "again");
  EXPECT_THAT(task().Mknod("/host/new2", S_IFREG | 0644, 0), FailsWith(Errno::kExist));
  filesystem::remove(host().At("d"));
  EXPECT_THAT(task().Rmdir("/host/d"), FailsWith(Errno::kNoEnt));
}

TEST_F(Writable, AFileThatTheHostMadeMeanwhileIsOpenedNotRefused) {
  EXPECT_THAT(task().Stat("/host/f"), FailsWith(Errno::kNoEnt));
  host().Text("f", "here");
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/f", O_CREAT | O_RDWR, 0644));
  EXPECT_EQ(task().Fstat(fd)->size, 4u);
  ASSERT_OK(task().Close(fd));
  EXPECT_THAT(task().Stat("/host/g"), FailsWith(Errno::kNoEnt));
  host().Text("g", "here");
  EXPECT_THAT(task().Open("/host/g", O_CREAT | O_EXCL | O_RDWR, 0644), FailsWith(Errno::kExist));
}

TEST_F(Writable, WhatIsDoneToAReplacedFileIsDoneToTheNewOne) {
  const auto replace = [&] {
    ASSERT_OK(task().Stat("/host/f"));
    host().Text("new", "new");
    filesystem::rename(host().At("new"), host().At("f"));
  };
  host().Text("f", "old");
  ASSERT_OK_AND_ASSIGN(const int old, task().Open("/host/f", O_RDONLY));
  replace();
  ASSERT_OK(task().Chmod("/host/f", 0600));
  EXPECT_EQ(host().Stat("f").st_mode, S_IFREG | 0600u);
  EXPECT_EQ(task().Fstat(old)->mode, S_IFREG | 0644);
  replace();
  ASSERT_OK(task().Link("/host/f", "/host/g"));
  EXPECT_EQ(host().Stat("g").st_ino, host().Stat("f").st_ino);
  replace();
  ASSERT_OK(task().Rename("/host/f", "/host/h"));
  EXPECT_EQ(HostTree::Read(host().At("h")), "new");
  host().Text("f", "again");
  Expire();
  replace();
  ASSERT_OK(task().Unlink("/host/f"));
  EXPECT_FALSE(filesystem::exists(host().At("f")));
  ASSERT_OK(task().Close(old));
}

TEST_F(Writable, AFileOfAnotherTypeIsNotRemovedByTheNameOfTheOldOne) {
  host().Text("f", "old");
  ASSERT_OK(task().Stat("/host/f"));
  filesystem::remove(host().At("f"));
  host().Text("f/kept", "");
  EXPECT_THAT(task().Unlink("/host/f"), FailsWith(Errno::kIsDir));
  EXPECT_TRUE(filesystem::exists(host().At("f/kept")));
}

}  // namespace
}  // namespace dentree::hostfs
