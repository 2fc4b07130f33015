// Mounts: attaching and detaching, what is visible, what is busy, read-only.

#include <thread>
#include <vector>

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::HoldsTree;
using fixture::Text;
using testing::ElementsAre;

class Mounts : public fixture::VfsTest {
 protected:
  Mounts() { fs().Make({Dir("/m"), Text("/m/below", "under")}); }

  Status MountRamfs(std::string_view target, std::string_view options = "") {
    return task().Mount("none", target, "ramfs", options);
  }
  std::vector<std::string> Targets() {
    std::vector<std::string> targets;
    for (const MountInfo& info : vfs().mounts().List(vfs().Root())) targets.push_back(info.target);
    return targets;
  }

  fixture::RemoteFs remote_;
};

TEST_F(Mounts, CoversTheDirectoryUntilItIsUnmounted) {
  ASSERT_OK(MountRamfs("/m"));
  EXPECT_THAT(fs().Names("/m"), Holds(ElementsAre()));
  ASSERT_OK(fs().Write("/m/above", "over"));
  EXPECT_THAT(task().Stat("/m/below"), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().Umount("/m"));
  EXPECT_THAT(fs(), HoldsTree({Dir("/m"), Text("/m/below", "under")}));
}

TEST_F(Mounts, AreBusyWhicheverThreadTookAndLetGoOfWhat) {
  ASSERT_OK(MountRamfs("/m"));
  ASSERT_OK(fs().Write("/m/f", ""));
  std::vector<int> open;
  std::thread([&] {
    for (int i = 0; i < 3; ++i) open.push_back(*task().Open("/m/f", O_RDONLY));
  }).join();
  for (const int fd : open) {
    EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy));
    ASSERT_OK(task().Close(fd));
  }
  EXPECT_OK(task().Umount("/m"));
}

TEST_F(Mounts, HaveDevicesAndInodesOfTheirOwn) {
  const Stat covered = *task().Stat("/m");
  ASSERT_OK(MountRamfs("/m"));
  EXPECT_NE(task().Stat("/m")->dev, covered.dev);
  EXPECT_EQ(task().Stat("/m/..")->dev, covered.dev);
  EXPECT_EQ(task().Stat("/m/..")->ino, task().Stat("/")->ino) << "\"..\" crosses back";
  ASSERT_OK(task().Chdir("/m"));
  EXPECT_EQ(*task().Getcwd(), "/m");
  ASSERT_OK(task().Chdir(".."));
  EXPECT_EQ(*task().Getcwd(), "/");
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, StackOnOnePlaceAndComeOffInReverse) {
  ASSERT_OK(MountRamfs("/m"));
  ASSERT_OK(fs().Write("/m/first", ""));
  ASSERT_OK(MountRamfs("/m"));
  ASSERT_OK(fs().Write("/m/second", ""));
  EXPECT_THAT(fs().Names("/m"), Holds(ElementsAre("second")));
  EXPECT_EQ(task().Stat("/m/..")->ino, task().Stat("/")->ino);
  ASSERT_OK(task().Umount("/m"));
  EXPECT_THAT(fs().Names("/m"), Holds(ElementsAre("first")));
  ASSERT_OK(task().Umount("/m"));
  EXPECT_THAT(fs().Names("/m"), Holds(ElementsAre("below")));
}

TEST_F(Mounts, RefuseWhatIsNoPlaceOrNoType) {
  fs().Make({Text("/f", "")});
  EXPECT_THAT(MountRamfs("/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(MountRamfs("/f"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(task().Mount("none", "/m", "nofs", ""), FailsWith(Errno::kNoDev));
  EXPECT_THAT(MountRamfs("/m", "bogus"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kInval)) << "nothing is mounted there";
  EXPECT_THAT(task().Umount("/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Targets(), ElementsAre("/"));
}

TEST_F(Mounts, AreListedInOrderWithTheirOptions) {
  ASSERT_OK(MountRamfs("/m", "size=64k"));
  const auto list = vfs().mounts().List(vfs().Root());
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1].target, "/m");
  EXPECT_EQ(list[1].type, "ramfs");
  EXPECT_EQ(list[1].parent_id, list[0].id);
  EXPECT_THAT(list[1].options, testing::StartsWith("rw,relatime,size=64k"));
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, AreBusyWhileSomethingUsesThem) {
  ASSERT_OK(MountRamfs("/m"));
  fs().Make({Dir("/m/d"), Text("/m/f", "")});
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/m/f", O_RDONLY));
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy)) << "an open file";
  ASSERT_OK(task().Close(fd));
  ASSERT_OK(task().Chdir("/m/d"));
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy)) << "a working directory";
  ASSERT_OK(task().Chdir("/"));
  ASSERT_OK(MountRamfs("/m/d"));
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy)) << "another mount on it";
  ASSERT_OK(task().Umount("/m/d"));
  EXPECT_OK(task().Umount("/m"));
}

TEST_F(Mounts, AMountpointIsNotRemovedNorRenamed) {
  fs().Make({Dir("/x/mnt"), Dir("/y")});
  ASSERT_OK(MountRamfs("/x/mnt"));
  EXPECT_THAT(task().Rmdir("/x/mnt"), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Rename("/x/mnt", "/x/other"), FailsWith(Errno::kBusy));
  EXPECT_THAT(task().Rename("/y", "/x/mnt"), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Rename("/x", "/z"));
  EXPECT_THAT(Targets(), ElementsAre("/", "/z/mnt")) << "a directory above may move";
  ASSERT_OK(fs().Write("/z/mnt/f", "x"));
  ASSERT_OK(task().Umount("/z/mnt"));
}

TEST_F(Mounts, ReadOnlyRefusesEveryChange) {
  ASSERT_OK(MountRamfs("/m"));
  fs().Make({Dir("/m/d"), Text("/m/f", "x"), Dir("/m/e")});
  ASSERT_OK(task().Remount("/m", "ro"));
  SetAttr times;
  times.mtime = 1;
  const std::pair<const char*, Status> answers[] = {
      {"mkdir", task().Mkdir("/m/new", 0755)},
      {"mknod", task().Mknod("/m/new", S_IFIFO | 0644, 0)},
      {"symlink", task().Symlink("x", "/m/new")},
      {"link", task().Link("/m/f", "/m/new")},
      {"unlink", task().Unlink("/m/f")},
      {"rmdir", task().Rmdir("/m/d")},
      {"rename", task().Rename("/m/f", "/m/g")},
      {"chmod", task().Chmod("/m/f", 0600)},
      {"chown", task().Chown("/m/f", 1, 1)},
      {"utimes", task().SetTimes("/m/f", times)},
      {"truncate", task().Truncate("/m/f", 0)},
      {"creat", task().WriteFile("/m/new", "x")},
      {"write", task().WriteFile("/m/f", "x", 0)},
      {"access", task().Access("/m/f", kMayWrite)},
  };
  for (const auto& [what, answer] : answers) EXPECT_THAT(answer, FailsWith(Errno::kRoFs)) << what;
  EXPECT_OK(task().ReadFile("/m/f"));
  EXPECT_OK(task().Open("/m/f", O_RDONLY | O_CREAT)) << "it is there: nothing to create";
  task().fds().CloseAll();
  ASSERT_OK(task().Remount("/m", "rw"));
  EXPECT_OK(fs().Write("/m/f", "y"));
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, ThatANameIsTakenIsToldBeforeReadOnlyAndThatItIsMissingAfter) {
  ASSERT_OK(MountRamfs("/m"));
  fs().Make({Dir("/m/d")});
  ASSERT_OK(task().Remount("/m", "ro"));
  EXPECT_THAT(task().Mkdir("/m/d", 0755), FailsWith(Errno::kExist));
  EXPECT_THAT(task().Open("/m/nope", O_WRONLY), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Unlink("/m/nope"), FailsWith(Errno::kRoFs));
  EXPECT_THAT(task().Rename("/m/nope", "/m/x"), FailsWith(Errno::kRoFs));
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, AFileOpenForWritingKeepsTheMountWritable) {
  ASSERT_OK(MountRamfs("/m"));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/m/f", O_CREAT | O_WRONLY, 0644));
  EXPECT_THAT(task().Remount("/m", "ro"), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Close(fd));
  EXPECT_OK(task().Remount("/m", "ro"));
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, MountedReadOnlyFromTheStart) {
  ASSERT_OK(MountRamfs("/m", "ro"));
  EXPECT_THAT(task().Mkdir("/m/x", 0755), FailsWith(Errno::kRoFs));
  EXPECT_THAT(vfs().mounts().List(vfs().Root())[1].options, testing::StartsWith("ro"));
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, RemovingADirectoryBehindTheVfsDetachesWhatIsMountedBelow) {
  remote_.Make({Dir("/d/mnt")});
  vfs().RegisterType(remote_.Type());
  ASSERT_OK(task().Mount("server", "/m", "remote", "revalidate"));
  ASSERT_OK(MountRamfs("/m/d/mnt"));
  remote_.Remove("/d");
  EXPECT_THAT(task().Stat("/m/d"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Targets(), ElementsAre("/", "/m"));
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(Mounts, FilesOfAVfsEndWithIt) {
  // Mounts that nobody unmounted are the Vfs's to take down.
  ASSERT_OK(MountRamfs("/m"));
  fs().Make({Dir("/m/a/b"), Text("/m/a/f", "x")});
  ASSERT_OK(MountRamfs("/m/a/b"));
  ASSERT_OK(fs().Write("/m/a/b/g", "y"));
}

}  // namespace
}  // namespace dentree::vfs
