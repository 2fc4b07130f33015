// instances/: making and removing tracing directories, what keeps one, what one costs.

#include <malloc.h>

#include "tests/eventfs/tracefs_test.h"

namespace dentree::tracefs {
namespace {

class InstancesTest : public TracefsTest {
 protected:
  size_t Count() { return static_cast<size_t>(registry().stats().instances.Value()) - 1; }
};

TEST_F(InstancesTest, AreMadeWithMode0750WhateverWasAskedFor) {
  for (const vfs::Mode mode : {0, 0777, 07777}) {
    ASSERT_OK(task().Mkdir("/t/instances/a", mode));
    EXPECT_EQ(PermissionsOf("instances/a"), 0750u);
    EXPECT_EQ(Count(), 1u);
    ASSERT_OK(Rmdir("instances/a"));
    EXPECT_EQ(Count(), 0u);
  }
}

TEST_F(InstancesTest, MayHaveAnyNameOf1To255Bytes) {
  const std::string longest(255, 'x');
  for (const std::string& name : {std::string("with space"), std::string("new\nline"),
                                  std::string("größe"), std::string("!*:"), longest}) {
    ASSERT_OK(Mkdir("instances/" + name)) << name;
    EXPECT_OK(Stat("instances/" + name + "/events/enable")) << name;
    ASSERT_OK(Rmdir("instances/" + name)) << name;
  }
  EXPECT_THAT(Mkdir("instances/" + longest + "x"), FailsWith(Errno::kNameTooLong));
  EXPECT_OK(Mkdir("instances/slash/"));
  EXPECT_THAT(Mkdir("instances/slash"), FailsWith(Errno::kExist));
  EXPECT_THAT(Mkdir("instances/."), FailsWith(Errno::kExist));
  EXPECT_THAT(Mkdir("instances/.."), FailsWith(Errno::kExist));
}

TEST_F(InstancesTest, AreTheOnlyDirectoriesThatCanBeMadeAndRemoved) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  for (const char* place : {"new", "instances/a/new", "instances/a/instances", "events/new",
                            "events/sched/new", "options/new", "per_cpu/cpu9"}) {
    EXPECT_THAT(Mkdir(place), FailsWith(Errno::kPerm)) << place;
  }
  for (const char* there : {"events", "tracing_on", "instances/a/events/sched", "options/raw"}) {
    EXPECT_THAT(Mkdir(there), FailsWith(Errno::kExist)) << there;
  }
  for (const char* fixed :
       {"events", "instances", "options", "per_cpu", "per_cpu/cpu0", "events/sched",
        "events/sched/switch", "instances/a/events", "instances/a/options"}) {
    EXPECT_THAT(Rmdir(fixed), FailsWith(Errno::kPerm)) << fixed;
  }
  EXPECT_THAT(Rmdir("instances/missing"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Rmdir("tracing_on"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(Rmdir("instances/a/."), FailsWith(Errno::kInval));
  EXPECT_THAT(Rmdir("instances/a/.."), FailsWith(Errno::kNotEmpty));
}

TEST_F(InstancesTest, AndTheirFilesRefuseEveryOtherChange) {
  ASSERT_OK(Mkdir("instances/a"));
  EXPECT_THAT(task().Unlink("/t/tracing_on"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Unlink("/t/instances/a"), FailsWith(Errno::kIsDir));
  EXPECT_THAT(task().Unlink("/t/missing"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Rename("/t/instances/a", "/t/instances/b"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rename("/t/tracing_on", "/t/x"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Link("/t/tracing_on", "/t/x"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Symlink("tracing_on", "/t/x"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Mknod("/t/x", S_IFIFO | 0600, 0), FailsWith(Errno::kPerm));
  EXPECT_THAT(Open("events", O_WRONLY), FailsWith(Errno::kIsDir));
  EXPECT_THAT(Open("tracing_on", O_WRONLY | O_CREAT | O_EXCL), FailsWith(Errno::kExist));
  EXPECT_OK(Open("tracing_on", O_WRONLY | O_CREAT | O_TRUNC));
  EXPECT_THAT(task().Access("/t/tracing_on", vfs::kMayExec), FailsWith(Errno::kAccess));
}

TEST_F(InstancesTest, EnableEventsForThemselves) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK(Mkdir("instances/b"));
  ASSERT_OK(Write("instances/a/events/sched/switch/enable", "1"));
  EXPECT_THAT(Read("instances/a/set_event"), Holds("sched:switch\n"));
  EXPECT_THAT(Read("instances/b/set_event"), Holds(""));
  EXPECT_THAT(Read("set_event"), Holds(""));
  ASSERT_OK(Rmdir("instances/a"));  // with it enabled
  RemoveEvent("sched", "switch");   // and so it is not any more
}

// --- What keeps one: the uniform pin rule ---

// Bug T9: options/* did not pin. Of Linux also format, trigger and id do not.
TEST_F(InstancesTest, CannotBeRemovedWhileAnyFileOfThemIsOpen) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  std::vector<std::string> dirs = {"",
                                   "options/",
                                   "per_cpu/cpu0/",
                                   "events/",
                                   "events/sched/",
                                   "events/sched/switch/",
                                   "events/ftrace/print/"};
  size_t tried = 0;
  for (const std::string& dir : dirs) {
    for (const std::string& name : Names("instances/a/" + dir)) {
      const std::string path = "instances/a/" + dir + name;
      if (vfs::IsDir(Stat(path)->mode)) continue;
      for (const int flags : {O_RDONLY, O_WRONLY}) {
        ASSERT_OK_AND_ASSIGN(const int fd, Open(path, flags));
        EXPECT_THAT(Rmdir("instances/a"), FailsWith(Errno::kBusy)) << path;
        ASSERT_OK(task().Close(fd));
        ++tried;
      }
    }
  }
  EXPECT_GT(tried, 100u);
  EXPECT_OK(Rmdir("instances/a"));
}

TEST_F(InstancesTest, AreRemovedUnderOpenDirectoriesAndWorkingDirectories) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  std::vector<int> fds;
  for (const char* dir :
       {"", "/events", "/events/sched", "/events/sched/switch", "/options", "/per_cpu/cpu0"}) {
    ASSERT_OK_AND_ASSIGN(const int fd,
                         Open(std::string("instances/a") + dir, O_RDONLY | O_DIRECTORY));
    fds.push_back(fd);
  }
  ASSERT_OK(task().Chdir("/t/instances/a/events/sched"));
  ASSERT_OK(Rmdir("instances/a"));
  // Bugs E8 and T7: Linux lists dots and then EINVAL, and getcwd knows a path.
  NameSink sink;
  for (const int fd : fds) {
    for (int again = 0; again < 2; ++again) {
      EXPECT_THAT(task().Getdents(fd, sink), FailsWith(Errno::kNoEnt));
    }
    EXPECT_EQ(task().Fstat(fd)->nlink, 0u);  // Bug T8
    EXPECT_THAT(task().StatAt(fd, "enable", vfs::Follow::kYes), FailsWith(Errno::kNoEnt));
  }
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("switch"), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(InstancesTest, OfOneNameAreDifferentOnes) {
  ASSERT_OK(Mkdir("instances/a"));
  const vfs::Ino first = Stat("instances/a")->ino;
  const vfs::Ino first_file = Stat("instances/a/tracing_on")->ino;
  ASSERT_OK(Write("instances/a/tracing_on", "0"));
  ASSERT_OK(Rmdir("instances/a"));
  ASSERT_OK(Mkdir("instances/a"));
  EXPECT_NE(Stat("instances/a")->ino, first);
  EXPECT_NE(Stat("instances/a/tracing_on")->ino, first_file);
  EXPECT_THAT(Read("instances/a/tracing_on"), Holds("1\n"));
}

// Bug E24.
TEST_F(InstancesTest, AreNotRemovedUnderAMountButTakeMountsBelowAlong) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK(task().Mount("none", "/t/instances/a", "ramfs", ""));
  EXPECT_THAT(Rmdir("instances/a"), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Umount("/t/instances/a"));
  const size_t mounts = vfs().mounts().count();
  ASSERT_OK(task().Mount("none", "/t/instances/a/events/sched", "ramfs", ""));
  EXPECT_OK(Rmdir("instances/a"));
  EXPECT_EQ(vfs().mounts().count(), mounts);
}

// --- Failures ---

// Bug E19.
TEST_F(InstancesTest, LeaveNothingWhenAnyStepOfMakingOneFails) {
  ASSERT_OK(Mkdir("instances/warm"));
  DropCaches();
  const size_t nodes = Objects("kernfs_node");
  for (const char* point : {"trace:alloc:instance", "trace:alloc:index", "mm:tracing_instance",
                            "mm:kernfs_node", "mm:dentry", "mm:inode", "mm:kernfs_transient"}) {
    faults().Arm(base::FaultPlan::Nth(point, 1));
    EXPECT_THAT(Mkdir("instances/a"), FailsWith(Errno::kNoMem)) << point;
    faults().Reset();
    EXPECT_THAT(Stat("instances/a"), FailsWith(Errno::kNoEnt)) << point;
    EXPECT_EQ(Count(), 1u) << point;
    EXPECT_EQ(Objects("tracing_instance"), 1u) << point;
    EXPECT_OK(Mkdir("instances/a")) << point;
    EXPECT_OK(Rmdir("instances/a")) << point;
  }
  DropCaches();
  EXPECT_EQ(Objects("kernfs_node"), nodes);
}

// --- Cost (Shown by 3) ---

TEST_F(InstancesTest, AHundredCostAHundredNodesAndAtMost4KiBEach) {
  AddMany();
  ASSERT_OK(Mkdir("instances/warm"));
  Walk("/t/instances", AlsoStat::kNo);
  DropCaches();
  const size_t nodes = Objects("kernfs_node");
  const size_t used = vfs().memory().used();
  for (int i = 0; i < 100; ++i) ASSERT_OK(Mkdir("instances/i" + std::to_string(i)));
  DropCaches();
  EXPECT_EQ(Objects("kernfs_node"), nodes + 100);
  EXPECT_EQ(Objects("kernfs_transient"), 1u);  // the top's
  EXPECT_LE(vfs().memory().used() - used, 100 * 4096u);
  EXPECT_LE(registry().top().bytes() + 512, 4096u);
}

TEST_F(InstancesTest, WalkedWhollyAndDroppedLeaveNothing) {
  AddMany();
  for (int i = 0; i < 3; ++i) ASSERT_OK(Mkdir("instances/i" + std::to_string(i)));
  DropCaches();
  const size_t dentries = vfs().dcache().live(), inodes = vfs().icache().live();
  const size_t nodes = Objects("kernfs_node"), transients = Objects("kernfs_transient");
  const size_t entries = Walk("/t", AlsoStat::kYes);
  EXPECT_GT(entries, 4 * 14000u);
  DropCaches();
  EXPECT_EQ(vfs().dcache().live(), dentries);
  EXPECT_EQ(vfs().icache().live(), inodes);
  EXPECT_EQ(Objects("kernfs_node"), nodes);
  EXPECT_EQ(Objects("kernfs_transient"), transients);
}

// Bug E4.
TEST_F(InstancesTest, AreListedWithoutADentryOrInode) {
  AddMany();
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK_AND_ASSIGN(const int fd, Open("instances/a/events", O_RDONLY | O_DIRECTORY));
  const size_t dentries = vfs().dcache().live(), inodes = vfs().icache().live();
  NameSink sink;
  ASSERT_OK(task().Getdents(fd, sink));
  EXPECT_EQ(sink.names.size(), 2u + 3u + 102u);
  EXPECT_EQ(vfs().dcache().live(), dentries);
  EXPECT_EQ(vfs().icache().live(), inodes);
}

}  // namespace
}  // namespace dentree::tracefs
