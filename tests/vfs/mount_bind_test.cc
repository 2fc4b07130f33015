// Bind mounts, moves and stacks, and the flags of each mount. Errors are those of Linux 6.18, where
// each case was tried; mount_kernel_test.cc tries many of them again.

#include <sys/mount.h>

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::Link;
using fixture::Special;
using fixture::Text;
using testing::ElementsAre;
using testing::IsEmpty;

class Binds : public fixture::VfsTest {
 protected:
  Binds() {
    fs().Make({Text("/a/f", "in a"), Dir("/a/s"), Dir("/b"), Dir("/c"), Text("/g", "g"),
               Text("/h", "h"), Link("/l", "a")});
  }
  void TearDown() override {
    vfs().mounts().CheckInvariants();
    VfsTest::TearDown();
  }

  Status Bind(std::string_view from, std::string_view to, uint64_t flags = 0) {
    return task().Mount(from, to, "", MS_BIND | flags, "");
  }
  Status Move(std::string_view from, std::string_view to) {
    return task().Mount(from, to, "", MS_MOVE, "");
  }
  Status Ramfs(std::string_view at, uint64_t flags = 0) {
    return task().Mount("none", at, "ramfs", flags, "");
  }
  Status SetFlags(std::string_view at, uint64_t flags) {
    return task().Mount("", at, "", MS_REMOUNT | MS_BIND | flags, "");
  }
  std::vector<std::string> Targets() {
    std::vector<std::string> targets;
    for (const MountInfo& info : vfs().mounts().List(vfs().Root())) targets.push_back(info.target);
    return targets;
  }
  MountInfo Last() { return vfs().mounts().List(vfs().Root()).back(); }
};

TEST_F(Binds, ShowOneDirectoryAtTwoPlaces) {
  ASSERT_OK(Bind("/a", "/b"));
  EXPECT_THAT(task().ReadFile("/b/f"), Holds("in a"));
  ASSERT_OK(fs().Write("/b/new", "x"));
  EXPECT_THAT(task().ReadFile("/a/new"), Holds("x"));
  EXPECT_EQ(task().Stat("/b")->ino, task().Stat("/a")->ino);
  EXPECT_EQ(task().Stat("/b/..")->ino, task().Stat("/")->ino);
  ASSERT_OK(task().Chdir("/b/s"));
  EXPECT_THAT(task().Getcwd(), Holds("/b/s"));
  EXPECT_EQ(Last().root, "/a");
  EXPECT_EQ(Last().dev, task().Stat("/a")->dev);
}

TEST_F(Binds, ShowOneFileUponAnother) {
  ASSERT_OK(Bind("/h", "/g"));
  EXPECT_THAT(task().ReadFile("/g"), Holds("h"));
  EXPECT_THAT(task().Unlink("/g"), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Rename("/g", "/x"), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Rename("/a/f", "/g"), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Link("/g", "/x"), FailsWith(Errno::kXDev));
  EXPECT_THAT(task().Open("/g", O_CREAT | O_EXCL), FailsWith(Errno::kExist));
  ASSERT_OK(task().Unlink("/h"));
  EXPECT_THAT(task().ReadFile("/g"), Holds("h")) << "its name is gone, the file is not";
  EXPECT_EQ(Last().root, "/h//deleted");
  ASSERT_OK(task().Umount("/g"));
  EXPECT_THAT(task().ReadFile("/g"), Holds("g"));
}

TEST_F(Binds, RefuseWhatDoesNotFit) {
  EXPECT_THAT(Ramfs("/g"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(Bind("/a", "/g"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(Bind("/g", "/a"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(Bind("/nope", "/a"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Bind("/a", "/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Bind("", "/a"), FailsWith(Errno::kInval));
  EXPECT_THAT(Move("", "/a"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount("none", "/a", {}, 0, ""), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount("none", "/a", "", 0, ""), FailsWith(Errno::kNoDev));
  EXPECT_THAT(Targets(), ElementsAre("/"));
}

TEST_F(Binds, FollowSymlinksOnBothSides) {
  ASSERT_OK(Bind("/b", "/l"));
  EXPECT_THAT(Targets(), ElementsAre("/", "/a"));
  EXPECT_THAT(task().Umount("/l", UMOUNT_NOFOLLOW), FailsWith(Errno::kInval));
  ASSERT_OK(task().Umount("/l"));
  ASSERT_OK(Bind("/l", "/b"));
  EXPECT_EQ(Last().root, "/a");
}

TEST_F(Binds, LeaveOutWhatIsMountedBelowUnlessRecursive) {
  ASSERT_OK(Ramfs("/a/s"));
  fs().Make({Dir("/a/s/deep")});
  ASSERT_OK(Ramfs("/a/s/deep"));
  ASSERT_OK(Bind("/a", "/b"));
  EXPECT_THAT(fs().Names("/b/s"), Holds(IsEmpty()));
  ASSERT_OK(task().Umount("/b"));
  ASSERT_OK(Bind("/a", "/b", MS_REC));
  EXPECT_THAT(fs().Names("/b/s"), Holds(ElementsAre("deep")));
  EXPECT_THAT(Targets(), ElementsAre("/", "/a/s", "/a/s/deep", "/b", "/b/s", "/b/s/deep"));
  EXPECT_THAT(task().Umount("/b"), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Umount("/b", MNT_DETACH));
  EXPECT_THAT(Targets(), ElementsAre("/", "/a/s", "/a/s/deep"));
}

TEST_F(Binds, OfATreeIntoItselfAreOneLevelDeep) {
  ASSERT_OK(Ramfs("/a/s"));
  fs().Make({Dir("/a/s/z")});
  ASSERT_OK(Bind("/a", "/a/s/z", MS_REC));
  EXPECT_THAT(Targets(), ElementsAre("/", "/a/s", "/a/s/z", "/a/s/z/s"));
  EXPECT_THAT(fs().Names("/a/s/z/s/z"), Holds(IsEmpty()));
}

TEST_F(Binds, OfARemovedDirectoryAreRefused) {
  ASSERT_OK(task().Chdir("/a/s"));
  ASSERT_OK(task().Rmdir("/a/s"));
  EXPECT_THAT(Bind(".", "/b"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Bind("/b", "."), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Ramfs("."), FailsWith(Errno::kNoEnt));
}

TEST_F(Binds, NeverLeadAboveTheirRootByDotDot) {
  fs().Make({Dir("/q/in/deep"), Dir("/o")});
  ASSERT_OK(Bind("/q", "/b"));
  ASSERT_OK(task().Chdir("/b/in/deep"));
  ASSERT_OK(task().Rename("/q/in", "/o/in"));
  EXPECT_THAT(task().Stat(".."), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("../../.."), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
}

TEST_F(Binds, AreOtherMountsForRenameAndLink) {
  ASSERT_OK(Bind("/a", "/b"));
  EXPECT_THAT(task().Rename("/a/f", "/b/x"), FailsWith(Errno::kXDev));
  EXPECT_THAT(task().Link("/a/f", "/b/x"), FailsWith(Errno::kXDev));
}

TEST_F(Binds, SeeAMountpointOfTheOtherPlaceAsBusy) {
  ASSERT_OK(Bind("/a", "/b"));
  ASSERT_OK(Ramfs("/a/s"));
  EXPECT_THAT(task().Rmdir("/b/s"), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Rename("/b/s", "/b/t"), FailsWith(Errno::kBusy));
}

TEST_F(Binds, StackAlsoForWhoStandsBelow) {
  ASSERT_OK(task().Chdir("/c"));
  ASSERT_OK(task().Mount("one", "/c", "ramfs", 0, ""));
  ASSERT_OK(task().Mount("two", ".", "ramfs", 0, ""));
  const auto list = vfs().mounts().List(vfs().Root());
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[2].source, "two");
  EXPECT_EQ(list[2].parent_id, list[1].id) << "it went on top of the first";
  ASSERT_OK(Bind("/a", "/b"));
  ASSERT_OK(Bind("/a", "/b"));
  EXPECT_THAT(Targets(), ElementsAre("/", "/c", "/c", "/b", "/b"));
}

TEST_F(Binds, AreSteppedOntoByDotDotFromBelow) {
  ASSERT_OK(task().Chdir("/a/s"));
  ASSERT_OK(Ramfs("/a"));
  ASSERT_OK(fs().Write("/a/over", "x"));
  EXPECT_THAT(task().ReadFile("../over"), Holds("x"));
  EXPECT_THAT(task().Stat("../f"), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().Chdir("/"));
  ASSERT_OK(Ramfs("/"));
  ASSERT_OK(fs().Write("/../top", "x"));
  EXPECT_THAT(task().Stat("/top"), FailsWith(Errno::kNoEnt)) << "\"/\" stays what it was";
  EXPECT_OK(task().Stat("/../top"));
}

TEST_F(Binds, MoveTakesAllThatIsMountedInAMount) {
  ASSERT_OK(Ramfs("/a"));
  fs().Make({Dir("/a/x"), Text("/a/t", "t")});
  ASSERT_OK(Ramfs("/a/x"));
  ASSERT_OK(Move("/a", "/b"));
  EXPECT_THAT(Targets(), ElementsAre("/", "/b", "/b/x"));
  EXPECT_THAT(task().ReadFile("/a/f"), Holds("in a"));
  EXPECT_THAT(task().ReadFile("/b/t"), Holds("t"));
}

TEST_F(Binds, MoveRefusesWhatCannotBe) {
  EXPECT_THAT(Move("/a", "/c"), FailsWith(Errno::kInval)) << "no mount";
  ASSERT_OK(Ramfs("/b"));
  fs().Make({Dir("/b/s")});
  EXPECT_THAT(Move("/b", "/b/s"), FailsWith(Errno::kLoop));
  EXPECT_THAT(Move("/b", "/b"), FailsWith(Errno::kLoop));
  EXPECT_THAT(Move("/b", "/g"), FailsWith(Errno::kInval)) << "a directory upon a file";
  EXPECT_THAT(Move("/", "/c"), FailsWith(Errno::kInval)) << "the root of the namespace";
  ASSERT_OK(Ramfs("/b/s"));
  fs().Make({Dir("/b/s/z")});
  EXPECT_THAT(Move("/b", "/b/s/z"), FailsWith(Errno::kLoop));
  ASSERT_OK(Bind("/g", "/g"));
  EXPECT_THAT(Move("/g", "/c"), FailsWith(Errno::kInval));
  EXPECT_OK(Move("/g", "/h"));
}

TEST_F(Binds, ATypeWithOneSuperBlockIsNotMountedUponItself) {
  fixture::RemoteFs remote;
  remote.Make({Dir("/d")});
  ASSERT_OK(Ramfs("/b"));
  const SuperRef sb = SuperRef::Share(&task().Resolve("/b")->mount->sb());
  const Path at = *task().Resolve("/b");
  MountNamespace& ns = task().mount_namespace();
  EXPECT_THAT(vfs().mounts().Attach(ns, sb, at, 0, "x"), FailsWith(Errno::kBusy));
  EXPECT_OK(vfs().mounts().Attach(ns, sb, *task().Resolve("/c"), 0, "x"));
  EXPECT_OK(Bind("/b", "/b")) << "a bind is not asked";
}

// --- flags -----------------------------------------------------------------------------------

TEST_F(Binds, HaveTheFlagsOfWhatTheyShowWhateverIsAskedFor) {
  ASSERT_OK(Ramfs("/a", MS_NOSUID | MS_NOATIME));
  ASSERT_OK(Bind("/a", "/b", MS_RDONLY | MS_NOEXEC));
  EXPECT_EQ(Last().mount_options, "rw,nosuid,noatime");
}

TEST_F(Binds, ReadOnlyIsOfOnePlaceAndOfTheFileSystemIsOfAll) {
  ASSERT_OK(Ramfs("/a"));
  ASSERT_OK(Bind("/a", "/b"));
  ASSERT_OK(SetFlags("/b", MS_RDONLY));
  EXPECT_THAT(task().Mkdir("/b/x", 0755), FailsWith(Errno::kRoFs));
  EXPECT_OK(task().Mkdir("/a/x", 0755));
  EXPECT_EQ(Last().options, "ro,relatime");
  EXPECT_EQ(Last().super_options, "rw");
  ASSERT_OK(task().Mount("", "/a", "", MS_REMOUNT | MS_RDONLY, ""));
  EXPECT_THAT(task().Mkdir("/a/y", 0755), FailsWith(Errno::kRoFs));
  EXPECT_EQ(Last().super_options, "ro");
  ASSERT_OK(task().Mount("", "/a", "", MS_REMOUNT, ""));
  EXPECT_OK(task().Mkdir("/a/y", 0755));
  EXPECT_THAT(task().Mkdir("/b/z", 0755), FailsWith(Errno::kRoFs)) << "it keeps its own";
}

TEST_F(Binds, AWriterKeepsItsMountAndItsFileSystemWritableButNotOtherMounts) {
  ASSERT_OK(Ramfs("/a"));
  ASSERT_OK(Bind("/a", "/b"));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/a/w", O_CREAT | O_WRONLY, 0644));
  EXPECT_OK(SetFlags("/b", MS_RDONLY));
  EXPECT_THAT(SetFlags("/a", MS_RDONLY), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Mount("", "/b", "", MS_REMOUNT | MS_RDONLY, ""), FailsWith(Errno::kBusy));
  EXPECT_OK(task().Mkdir("/a/x", 0755)) << "nothing was changed by the refusals";
  ASSERT_OK(task().Close(fd));
  EXPECT_OK(task().Mount("", "/b", "", MS_REMOUNT | MS_RDONLY, ""));
}

TEST_F(Binds, ARemountIsOfAMountsRootOnly) {
  EXPECT_THAT(SetFlags("/a", MS_RDONLY), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount("", "/a", "", MS_REMOUNT, ""), FailsWith(Errno::kInval));
  ASSERT_OK(Ramfs("/a"));
  EXPECT_THAT(task().Mount("", "/a", "", MS_REMOUNT, "bogus=1"), FailsWith(Errno::kInval));
  EXPECT_OK(task().Mount("", "/a", "", MS_REMOUNT | MS_BIND, "bogus=1")) << "nobody reads it";
}

TEST_F(Binds, ARemountReplacesTheFlagsButKeepsTimesThatAreNotNamed) {
  ASSERT_OK(Ramfs("/a", MS_NOSUID | MS_NOATIME | MS_NODIRATIME));
  ASSERT_OK(task().Mount("", "/a", "", MS_REMOUNT, "size=1m"));
  EXPECT_EQ(Last().mount_options, "rw,noatime,nodiratime");
  EXPECT_EQ(Last().super_options, "rw,size=1024k");
  ASSERT_OK(task().Mount("", "/a", "", MS_REMOUNT | MS_STRICTATIME | MS_SYNCHRONOUS, ""));
  EXPECT_EQ(Last().options, "rw,sync,size=1024k");
  ASSERT_OK(SetFlags("/a", MS_RELATIME));
  EXPECT_EQ(Last().mount_options, "rw,relatime");
  EXPECT_EQ(Last().super_options, "rw,sync,size=1024k");
}

TEST_F(Binds, AsWordsARemountKeepsWhatIsNotNamed) {
  ASSERT_OK(task().Mount("none", "/a", "ramfs", "nosuid,noatime,size=4k"));
  ASSERT_OK(task().Remount("/a", "bind,ro"));
  EXPECT_EQ(Last().mount_options, "ro,nosuid,noatime");
  EXPECT_EQ(Last().super_options, "rw,size=4k");
  ASSERT_OK(task().Remount("/a", "rw,suid,relatime"));
  EXPECT_EQ(Last().options, "rw,relatime,size=4k");
  ASSERT_OK(task().Mount("/a", "/b", "", "bind,ro,nodev"));
  EXPECT_EQ(Last().mount_options, "ro,nodev,relatime");
}

TEST_F(Binds, NodevRefusesToOpenDevices) {
  ASSERT_OK(Ramfs("/a"));
  fs().Make({Special("/a/null", FileType::kChar)});
  EXPECT_THAT(task().Open("/a/null", O_RDONLY), FailsWith(Errno::kNxIo));
  ASSERT_OK(SetFlags("/a", MS_NODEV));
  EXPECT_THAT(task().Open("/a/null", O_RDONLY), FailsWith(Errno::kAccess));
  EXPECT_OK(task().Open("/a/null", O_PATH));
  task().fds().CloseAll();
}

TEST_F(Binds, NoexecRefusesToExecuteFilesButNotToSearchDirectories) {
  fs().Make({Text("/a/x", "", 0755)});
  ASSERT_OK(Bind("/a", "/b"));
  ASSERT_OK(SetFlags("/b", MS_NOEXEC));
  EXPECT_OK(task().Access("/a/x", kMayExec));
  EXPECT_THAT(task().Access("/b/x", kMayExec), FailsWith(Errno::kAccess));
  EXPECT_OK(task().Access("/b/x", kMayRead));
  EXPECT_OK(task().Access("/b/s", kMayExec));
  ASSERT_OK(SetFlags("/b", MS_NOEXEC | MS_RDONLY));
  EXPECT_THAT(task().Access("/b/x", kMayExec | kMayWrite), FailsWith(Errno::kAccess));
  EXPECT_THAT(task().Access("/b/x", kMayWrite), FailsWith(Errno::kRoFs));
}

TEST_F(Binds, NosymfollowRefusesToFollowItsLinksButNotThoseThatLeadThere) {
  ASSERT_OK(Ramfs("/b"));
  fs().Make(
      {Text("/b/x", "x"), Link("/b/l", "x"), Dir("/b/d"), Link("/b/ld", "d"), Link("/to", "b")});
  ASSERT_OK(SetFlags("/b", MS_NOSYMFOLLOW));
  EXPECT_THAT(task().Open("/b/l", O_RDONLY), FailsWith(Errno::kLoop));
  EXPECT_THAT(task().Open("/b/l", O_CREAT | O_WRONLY), FailsWith(Errno::kLoop));
  EXPECT_THAT(task().Stat("/b/ld/"), FailsWith(Errno::kLoop));
  EXPECT_THAT(task().Stat("/b/l"), FailsWith(Errno::kLoop));
  EXPECT_THAT(Bind("/b/ld", "/c"), FailsWith(Errno::kLoop));
  EXPECT_OK(task().Lstat("/b/l"));
  EXPECT_THAT(task().Readlink("/b/l"), Holds("x"));
  EXPECT_THAT(task().ReadFile("/to/x"), Holds("x"));
}

TEST_F(Binds, PropagationIsPrivateAndNothingElse) {
  EXPECT_THAT(task().Mount("", "/a", "", MS_PRIVATE, ""), FailsWith(Errno::kInval)) << "no mount";
  EXPECT_OK(task().Mount("", "/", "", MS_PRIVATE | MS_REC, ""));
  EXPECT_OK(task().Mount("", "/", "", MS_SLAVE, "")) << "of nobody";
  for (const uint64_t flags : {uint64_t{MS_SHARED}, uint64_t{MS_UNBINDABLE},
                               uint64_t{MS_PRIVATE | MS_SLAVE}, uint64_t{MS_PRIVATE | MS_RDONLY}}) {
    EXPECT_THAT(task().Mount("", "/", "", flags, ""), FailsWith(Errno::kInval)) << flags;
  }
}

}  // namespace
}  // namespace dentree::vfs
