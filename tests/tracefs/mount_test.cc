// The mount: options, owners, remounts.

#include "tests/eventfs/tracefs_test.h"

namespace dentree::tracefs {
namespace {

class MountTest : public TracefsTest {
 protected:
  Status Remount(std::string_view options) { return task().Remount("/t", options); }
  std::string Shown() {
    for (const vfs::MountInfo& mount : vfs().mounts().List(vfs().Root())) {
      if (mount.target == "/t") return mount.options;
    }
    return "not mounted";
  }
  std::string OwnerOf(std::string_view path) {
    const auto stat = Stat(path);
    return stat ? std::to_string(stat->uid) + ":" + std::to_string(stat->gid) : "?";
  }
};

TEST_F(MountTest, IsOfLinuxsKind) {
  ASSERT_OK_AND_ASSIGN(const vfs::StatFs stat, task().Statfs("/t"));
  EXPECT_EQ(stat.magic, 0x74726163u);
  EXPECT_EQ(stat.namelen, 255u);
  EXPECT_EQ(stat.blocks, 0u);
}

// Bug E12: options that did not parse were applied in part.
TEST_F(MountTest, RefusesBadOptionsAndAppliesNothingOfThem) {
  for (const char* bad : {"gid=abc", "uid=-1", "uid=4294967295", "mode=9", "mode=", "size=1",
                          "gid=5,bad", "mode=755,uid=x"}) {
    EXPECT_THAT(Remount(bad), FailsWith(Errno::kInval)) << bad;
  }
  EXPECT_EQ(Shown(), "rw,relatime");
  EXPECT_EQ(OwnerOf(""), "0:0");
  EXPECT_EQ(PermissionsOf(""), 0700u);
  ASSERT_OK(task().Mkdir("/u", 0755));
  EXPECT_THAT(task().Mount("nodev", "/u", "tracefs", "bogus"), FailsWith(Errno::kInval));
}

TEST_F(MountTest, TakesModesBeyondTheirBits) {
  ASSERT_OK(Remount("mode=177777"));
  EXPECT_EQ(PermissionsOf(""), 07777u);
  EXPECT_EQ(Shown(), "rw,relatime,mode=7777");
}

// Bug E12: what nobody had looked at yet got another group.
TEST_F(MountTest, GivesItsGroupToEverythingSeenOrNot) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK(Stat("events/sched/switch"));
  ASSERT_OK(Remount("gid=99"));
  for (const char* path :
       {"", "trace", "events", "events/sched/switch/enable", "options/raw", "instances",
        "instances/a/per_cpu/cpu0/stats", "instances/a/events/sched/wakeup/id"}) {
    EXPECT_EQ(OwnerOf(path), "0:99") << path;
  }
  ASSERT_OK(Mkdir("instances/b"));
  EXPECT_EQ(OwnerOf("instances/b/events/enable"), "0:99");
}

// Bug E13.
TEST_F(MountTest, RemountResetsOwnersOfTheGivenKindOnlyAndNoModes) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  for (const char* path : {"/t/trace", "/t/events/sched/switch/enable", "/t/instances/a"}) {
    ASSERT_OK(task().Chown(path, 5, 6));
    ASSERT_OK(task().Chmod(path, 0600));
  }
  DropCaches();
  ASSERT_OK(Remount("gid=88"));
  for (const char* path : {"trace", "events/sched/switch/enable", "instances/a"}) {
    EXPECT_EQ(OwnerOf(path), "5:88") << path;
    EXPECT_EQ(PermissionsOf(path), 0600u) << path;
  }
  ASSERT_OK(Remount("uid=7"));
  EXPECT_EQ(OwnerOf("events/sched/switch/enable"), "7:88");
}

// Bug E11.
TEST_F(MountTest, ChangedAttributesSurviveTheCaches) {
  AddSome();
  for (const char* path : {"/t/events/sched", "/t/events/sched/switch/format", "/t/options/raw"}) {
    ASSERT_OK(task().Chown(path, 5, 6));
    ASSERT_OK(task().Chmod(path, 0711));
  }
  DropCaches();
  for (const char* path : {"events/sched", "events/sched/switch/format", "options/raw"}) {
    EXPECT_EQ(OwnerOf(path), "5:6") << path;
    EXPECT_EQ(PermissionsOf(path), 0711u) << path;
  }
  EXPECT_EQ(OwnerOf("events/sched/switch"), "0:0") << "owners of directories are their own";
}

// Bug E15: one rule for the top and for instances.
TEST_F(MountTest, OwnersAreInheritedFromTheInstanceOrElseTheTop) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK(Mkdir("instances/b"));
  ASSERT_OK(task().Chown("/t/instances/a", 31, 32));
  EXPECT_EQ(OwnerOf("instances/a/events/sched/switch/enable"), "31:32");
  EXPECT_EQ(OwnerOf("instances/a/trace"), "31:32");
  EXPECT_EQ(OwnerOf("instances/b/trace"), "0:0");
  ASSERT_OK(task().Chown("/t", 41, 42));
  EXPECT_EQ(OwnerOf("events/sched/switch/enable"), "41:42");
  EXPECT_EQ(OwnerOf("instances/b/events/enable"), "41:42");
  EXPECT_EQ(OwnerOf("instances/a/events/enable"), "31:32");
}

TEST_F(MountTest, OwnersDecideWhoMay) {
  AddSome();
  ASSERT_OK(Mkdir("instances/a"));
  const auto user = TaskOf(vfs::Creds::User(1000, 1000));
  EXPECT_THAT(user->ReadFile("/t/tracing_on"), FailsWith(Errno::kAccess));
  ASSERT_OK(Remount("mode=755"));
  ASSERT_OK(task().Chmod("/t/instances", 0755));
  ASSERT_OK(task().Chown("/t/instances/a", 1000, std::nullopt));
  EXPECT_OK(user->WriteFile("/t/instances/a/events/sched/enable", "1", 0));
  EXPECT_THAT(user->ReadFile("/t/tracing_on"), FailsWith(Errno::kAccess));
  EXPECT_THAT(user->Mkdir("/t/instances/b", 0755), FailsWith(Errno::kAccess));
}

// Bug E14: a second mount without options hid the mode in force.
TEST_F(MountTest, ASecondMountIsTheSameTreeAndShowsWhatIsInForce) {
  ASSERT_OK(task().Mkdir("/u", 0755));
  ASSERT_OK(Remount("mode=755"));
  ASSERT_OK(task().Mount("nodev", "/u", "tracefs", "gid=99"));
  EXPECT_EQ(Shown(), "rw,relatime,gid=99,mode=755");
  EXPECT_EQ(task().Stat("/u")->ino, Stat("")->ino);
  EXPECT_EQ(OwnerOf("trace"), "0:99");
  ASSERT_OK(task().Mkdir("/u/instances/a", 0));
  EXPECT_OK(Stat("instances/a/trace"));
  ASSERT_OK(task().Umount("/u"));
  EXPECT_OK(Stat("instances/a/trace"));
}

TEST_F(MountTest, UnmountedAndMountedAgainHasEverythingStill) {
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK(Write("instances/a/tracing_on", "0"));
  ASSERT_OK(task().Umount("/t"));
  ASSERT_OK(task().Mount("nodev", "/t", "tracefs", ""));
  EXPECT_THAT(Read("instances/a/tracing_on"), Holds("0\n"));
}

}  // namespace
}  // namespace dentree::tracefs
