// Unmounting lazily, and namespaces of mounts: who sees what, what ends when, and the limits.

#include <sched.h>
#include <sys/mount.h>

#include "fixture/fixture.h"
#include "ramfs/ramfs.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::Text;
using testing::ElementsAre;

class Detaching : public fixture::VfsTest {
 protected:
  Detaching() { fs().Make({Dir("/m"), Dir("/n"), Text("/f", "f"), Text("/g", "g")}); }
  void TearDown() override {
    vfs().mounts().CheckInvariants();
    VfsTest::TearDown();
  }

  static Status Ramfs(Task& as, std::string_view at) {
    return as.Mount("none", at, "ramfs", 0, "");
  }
  static Status Bind(Task& as, std::string_view from, std::string_view to) {
    return as.Mount(from, to, "", MS_BIND, "");
  }
  static std::vector<std::string> Targets(Task& as) {
    std::vector<std::string> targets;
    const Path root = as.fs().root();
    for (const MountInfo& info : as.vfs().mounts().List(root)) targets.push_back(info.target);
    return targets;
  }
};

TEST_F(Detaching, LazilyTheTreeIsGoneAtOnceAndItsUsersGoOn) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Dir("/m/in"), Text("/m/t", "text")});
  ASSERT_OK(Ramfs(task(), "/m/in"));
  fs().Make({Text("/m/in/t", "below")});
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/m/in/t", O_RDONLY));
  ASSERT_OK(task().Chdir("/m"));
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Umount("/m", MNT_DETACH));
  EXPECT_THAT(Targets(task()), ElementsAre("/"));
  EXPECT_EQ(vfs().mounts().count(), 1u);
  EXPECT_EQ(vfs().mounts().live(), 3u) << "two are in use";
  EXPECT_THAT(task().ReadFile("t"), Holds("text"));
  EXPECT_THAT(fs().Names("in"), Holds(ElementsAre())) << "what was mounted below went too";
  EXPECT_EQ(task().Stat("..")->ino, task().Stat(".")->ino) << "nothing is above";
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().Close(fd));
  ASSERT_OK(task().Chdir("/"));
  DropCaches();
  EXPECT_EQ(vfs().mounts().live(), 1u);
}

TEST_F(Detaching, NothingIsMountedInWhatIsDetached) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Dir("/m/in")});
  ASSERT_OK(task().Chdir("/m"));
  ASSERT_OK(task().Umount("/m", MNT_DETACH));
  EXPECT_THAT(Ramfs(task(), "in"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Bind(task(), "/n", "in"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Bind(task(), "in", "/n"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount(".", "/n", "", MS_MOVE, ""), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount("", ".", "", MS_REMOUNT | MS_BIND, ""), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount("", ".", "", MS_PRIVATE, ""), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Umount("."), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Umount(".", MNT_DETACH), FailsWith(Errno::kInval));
  EXPECT_OK(task().Rename("in", "out")) << "files are as before";
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Detaching, FlagsAreLookedAtFirstAndPathsBeforePermission) {
  const auto other = TaskOf(Creds::User(1, 1));
  EXPECT_THAT(other->Umount("/nope", 0x40), FailsWith(Errno::kInval));
  EXPECT_THAT(other->Umount("/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(other->Umount("/m"), FailsWith(Errno::kPerm));
  EXPECT_THAT(other->Mount("none", "/nope", "ramfs", 0, ""), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(other->Mount("none", "/m", "nofs", 0, ""), FailsWith(Errno::kPerm));
  EXPECT_THAT(other->Unshare(CLONE_NEWNS), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Umount("/m", MNT_EXPIRE), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Umount("/f/x"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(task().Umount("/f"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Unshare(CLONE_FILES), FailsWith(Errno::kInval));
  ASSERT_OK(Ramfs(task(), "/m"));
  ASSERT_OK(task().Chdir("/m"));
  EXPECT_THAT(task().Umount("/m", MNT_FORCE), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Chdir("/"));
  EXPECT_OK(task().Umount("/m", MNT_FORCE));
}

TEST_F(Detaching, TheCallersRootBecomesReadOnlyInstead) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Dir("/m/d")});
  const auto jailed = task().Fork();
  ASSERT_OK(jailed->Chroot("/m"));
  ASSERT_OK(jailed->Chdir("/"));
  ASSERT_OK_AND_ASSIGN(const int fd, jailed->Open("/w", O_CREAT | O_WRONLY, 0644));
  EXPECT_THAT(jailed->Umount("/"), FailsWith(Errno::kBusy));
  ASSERT_OK(jailed->Close(fd));
  EXPECT_OK(jailed->Umount("/"));
  EXPECT_THAT(jailed->Mkdir("/x", 0755), FailsWith(Errno::kRoFs));
  EXPECT_THAT(Targets(task()), ElementsAre("/", "/m"));
  ASSERT_OK(jailed->Umount("/", MNT_DETACH));
  EXPECT_THAT(Targets(task()), ElementsAre("/"));
  EXPECT_THAT(jailed->Getcwd(), Holds("/"));
  EXPECT_THAT(Ramfs(*jailed, "/d"), FailsWith(Errno::kNoEnt));
}

TEST_F(Detaching, TheRootOfANamespaceStays) {
  EXPECT_THAT(task().Umount("/", MNT_DETACH), FailsWith(Errno::kInval));
  const auto jailed = task().Fork();
  ASSERT_OK(jailed->Chroot("/m"));
  EXPECT_THAT(jailed->Umount("/"), FailsWith(Errno::kInval)) << "no mount's root";
}

// --- namespaces ------------------------------------------------------------------------------

TEST_F(Detaching, ANamespaceIsACopyThatChangesByItself) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Text("/m/t", "t")});
  const auto other = task().Fork();
  ASSERT_OK(other->Unshare(CLONE_NEWNS));
  EXPECT_EQ(vfs().mounts().namespaces(), 2u);
  ASSERT_OK(Ramfs(*other, "/n"));
  ASSERT_OK(other->Umount("/m"));
  EXPECT_THAT(Targets(task()), ElementsAre("/", "/m"));
  EXPECT_THAT(Targets(*other), ElementsAre("/", "/n"));
  EXPECT_THAT(task().ReadFile("/m/t"), Holds("t"));
  EXPECT_THAT(other->Stat("/m/t"), FailsWith(Errno::kNoEnt));
  ASSERT_OK(other->WriteFile("/both", "x"));
  EXPECT_THAT(task().ReadFile("/both"), Holds("x")) << "the files are the same";
}

TEST_F(Detaching, RootAndWorkingDirectoryMoveIntoTheCopy) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Dir("/m/d")});
  const auto other = task().Fork();
  ASSERT_OK(other->Chdir("/m/d"));
  ASSERT_OK(other->Unshare(CLONE_NEWNS));
  EXPECT_THAT(other->Getcwd(), Holds("/m/d"));
  EXPECT_THAT(other->Umount("/m"), FailsWith(Errno::kBusy));
  EXPECT_OK(task().Umount("/m")) << "nobody is in this one";
  ASSERT_OK(other->Chdir("/"));
  EXPECT_OK(other->Umount("/m"));
}

TEST_F(Detaching, ANamespaceIsInheritedAndEndsWithItsLastTask) {
  auto other = task().Fork();
  ASSERT_OK(other->Unshare(CLONE_NEWNS));
  ASSERT_OK(Ramfs(*other, "/n"));
  auto child = other->Fork();
  EXPECT_EQ(&child->mount_namespace(), &other->mount_namespace());
  other.reset();
  EXPECT_THAT(Targets(*child), ElementsAre("/", "/n"));
  EXPECT_EQ(vfs().mounts().count(), 3u);
  child.reset();
  EXPECT_EQ(vfs().mounts().count(), 1u);
  EXPECT_EQ(vfs().mounts().namespaces(), 1u);
}

TEST_F(Detaching, WhatIsOfAnotherNamespaceCannotBeChanged) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Dir("/m/dd")});
  const auto other = task().Fork();
  ASSERT_OK_AND_ASSIGN(const int fd, other->Open("/m", O_RDONLY | O_DIRECTORY));
  ASSERT_OK(other->Unshare(CLONE_NEWNS));
  ASSERT_OK(other->Fchdir(fd));
  EXPECT_THAT(Ramfs(*other, "dd"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Bind(*other, ".", "/n"), FailsWith(Errno::kInval));
  EXPECT_THAT(other->Umount("."), FailsWith(Errno::kInval));
  EXPECT_THAT(other->Mount("", ".", "", MS_REMOUNT | MS_BIND, ""), FailsWith(Errno::kInval));
  EXPECT_THAT(other->Getcwd(), FailsWith(Errno::kNoEnt));
  EXPECT_OK(other->Rmdir("dd"));
}

TEST_F(Detaching, AMountpointElsewhereIsRemovedWithWhatIsOnIt) {
  fs().Make({Dir("/ns/m"), Dir("/ns/k"), Dir("/ns/t"), Dir("/ns/p"), Text("/ns/file", "")});
  const auto other = task().Fork();
  ASSERT_OK(other->Unshare(CLONE_NEWNS));
  for (const char* at : {"/ns/m", "/ns/k", "/ns/t", "/ns/p", "/ns/p"}) {
    ASSERT_OK(Ramfs(*other, at));
  }
  ASSERT_OK(Bind(*other, "/f", "/ns/file"));
  EXPECT_THAT(other->Rmdir("/ns/m"), FailsWith(Errno::kBusy)) << "here it is one";
  EXPECT_OK(task().Rmdir("/ns/m"));
  EXPECT_OK(task().Rename("/ns/k", "/ns/k2")) << "what is on it moves with it";
  EXPECT_THAT(Targets(*other), ElementsAre("/", "/ns/k2", "/ns/t", "/ns/p", "/ns/p", "/ns/file"));
  EXPECT_OK(task().Rename("/ns/k2", "/ns/t")) << "what was on the target goes";
  EXPECT_OK(task().Unlink("/ns/file"));
  EXPECT_OK(task().Rmdir("/ns/p"));
  EXPECT_THAT(Targets(*other), ElementsAre("/", "/ns/t"));
}

// --- limits ----------------------------------------------------------------------------------

TEST_F(Detaching, MountsAndNamespacesHaveLimits) {
  const auto small = Vfs::Create({.mount_limit = 4, .namespace_limit = 2});
  small->RegisterType(ramfs::Type());
  ASSERT_OK(small->MountRoot("ramfs", ""));
  {
    Task root(*small, Creds::Root());
    ASSERT_OK(root.Mkdir("/m", 0755));
    ASSERT_OK(Ramfs(root, "/m"));
    ASSERT_OK(root.Mkdir("/m/x", 0755));
    ASSERT_OK(root.Mount("/", "/m/x", "", MS_BIND | MS_REC, ""));
    EXPECT_EQ(small->mounts().count(), 4u);
    EXPECT_THAT(Ramfs(root, "/m"), FailsWith(Errno::kNoSpc));
    EXPECT_THAT(root.Mount("/", "/m", "", MS_BIND | MS_REC, ""), FailsWith(Errno::kNoSpc));
    EXPECT_EQ(small->mounts().count(), 4u);
    const auto second = root.Fork();
    ASSERT_OK(second->Unshare(CLONE_NEWNS)) << "each namespace has its own";
    EXPECT_THAT(root.Unshare(CLONE_NEWNS), FailsWith(Errno::kNoSpc));
    EXPECT_EQ(small->mounts().stats().Sum<&MountStats::refused>(), 3u);
    small->CheckInvariants();
  }
  small->Shutdown();
  EXPECT_EQ(small->LeakReport(), "");
}

TEST_F(Detaching, MemoryThatRunsOutLeavesEverythingAsItWas) {
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Dir("/m/a"), Dir("/m/b")});
  ASSERT_OK(Ramfs(task(), "/m/a"));
  const auto other = task().Fork();
  for (const char* site : {"mm:mnt_cache", "mm:mount_source"}) {
    for (const uint64_t nth : {1, 2, 3}) {
      const base::ScopedFault fault(faults(), base::FaultPlan::Nth(site, nth));
      EXPECT_THAT(other->Unshare(CLONE_NEWNS), FailsWith(Errno::kNoMem)) << site << nth;
    }
    for (const uint64_t nth : {1, 2}) {
      const base::ScopedFault fault(faults(), base::FaultPlan::Nth(site, nth));
      EXPECT_THAT(task().Mount("/m", "/n", "", MS_BIND | MS_REC, ""), FailsWith(Errno::kNoMem));
    }
  }
  EXPECT_EQ(vfs().mounts().count(), 3u);
  EXPECT_EQ(vfs().mounts().namespaces(), 1u);
  vfs().mounts().CheckInvariants();
  EXPECT_OK(other->Unshare(CLONE_NEWNS));
}

}  // namespace
}  // namespace dentree::vfs
