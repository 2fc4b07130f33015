// Owners, modes and remount.

#include "absl/strings/str_cat.h"
#include "tests/kernfs/kernfs_test.h"

namespace dentree::kernfs {
namespace {

using base::Errno;

struct Owner {
  vfs::Uid uid;
  vfs::Gid gid;
  friend bool operator==(const Owner&, const Owner&) = default;
  friend void PrintTo(const Owner& owner, std::ostream* out) {
    *out << owner.uid << ":" << owner.gid;
  }
};

class Attrs : public KernfsTest {
 protected:
  void SetUp() override {
    KernfsTest::SetUp();
    switch_ = registry().Add("sched_switch", registry().Add("sched"));
    MakeInstance("a");
  }
  Owner OwnerOf(std::string_view path) {
    const auto stat = task().Lstat(path).value();
    return {stat.uid, stat.gid};
  }
  vfs::Mode ModeOf(std::string_view path) {
    return static_cast<vfs::Mode>(task().Stat(path).value().mode & 07777);
  }
  std::string Options() { return task().Resolve("/k").value().mount->sb().ShowOptions(); }

  uint64_t switch_ = 0;
  const std::string format_ = "/k/events/sched/sched_switch/format";
  const std::string deep_ = "/k/instances/a/events/sched/sched_switch/format";
};

// E11: changed attributes were lost when the inode was reclaimed.
TEST_F(Attrs, ChangesOfFilesAndDirectoriesOfEveryKindSurviveEviction) {
  const std::string paths[] = {"/k",    "/k/instances", "/k/README", "/k/events", "/k/events/sched",
                               format_, deep_};
  for (const std::string& path : paths) {
    ASSERT_THAT(task().Chmod(path, 0751), IsOk()) << path;
    ASSERT_THAT(task().Chown(path, 12, 34), IsOk()) << path;
  }
  DropCaches();
  for (const std::string& path : paths) {
    EXPECT_EQ(ModeOf(path), 0751) << path;
    EXPECT_EQ(OwnerOf(path), (Owner{12, 34})) << path;
  }
  // Neighbours are not touched.
  EXPECT_EQ(ModeOf("/k/events/sched/sched_switch/id"), 0440);
}

TEST_F(Attrs, TimesAreThoseOfTheTreeUntilSomebodySetsThem) {
  const auto stat = task().Stat(format_).value();
  DropCaches();
  EXPECT_EQ(task().Stat(format_).value().times.mtime, stat.times.mtime);
  ASSERT_THAT(task().SetTimes(format_, {.atime = 5, .mtime = 6}), IsOk());
  DropCaches();
  EXPECT_EQ(task().Stat(format_).value().times.atime, 5);
  EXPECT_EQ(task().Stat(format_).value().times.mtime, 6);
}

// E12, E15: children took the wrong owner; the top directory and instances followed different
// rules.
TEST_F(Attrs, OwnersComeFromTheNearestOwnershipDomain) {
  ASSERT_THAT(task().Stat(format_), IsOk());
  ASSERT_THAT(task().Stat(deep_), IsOk());
  ASSERT_THAT(task().Chown("/k", 5, 6), IsOk());
  EXPECT_EQ(OwnerOf(format_), (Owner{5, 6})) << "cached before";
  EXPECT_EQ(OwnerOf("/k/events/enable"), (Owner{5, 6})) << "not cached before";
  EXPECT_EQ(OwnerOf(deep_), (Owner{5, 6})) << "through the instance, which nobody changed";
  ASSERT_THAT(task().Chown("/k/instances/a", 7, std::nullopt), IsOk());
  EXPECT_EQ(OwnerOf(deep_), (Owner{7, 6})) << "each id by itself";
  EXPECT_EQ(OwnerOf("/k/instances/a/value"), (Owner{7, 6}));
  EXPECT_EQ(OwnerOf(format_), (Owner{5, 6}));
  EXPECT_EQ(OwnerOf("/k/instances"), (Owner{5, 6}));
  // An ordinary directory hands nothing down.
  ASSERT_THAT(task().Chown("/k/events", 8, 8), IsOk());
  EXPECT_EQ(OwnerOf("/k/events/enable"), (Owner{5, 6}));
  EXPECT_EQ(OwnerOf("/k/events"), (Owner{8, 8}));
}

TEST_F(Attrs, InheritedOwnersDecideWhoMay) {
  auto user = TaskOf(vfs::Creds::User(1000, 1000));
  EXPECT_THAT(user->Open("/k/value", O_RDONLY), FailsWith(Errno::kAccess));
  ASSERT_THAT(task().Chown("/k", 1000, std::nullopt), IsOk());
  EXPECT_THAT(user->WriteFile("/k/value", "1", 0), IsOk());
  ASSERT_THAT(task().Remount("/k", "uid=0"), IsOk());
  EXPECT_THAT(user->Open("/k/value", O_RDONLY), FailsWith(Errno::kAccess));
  user->fds().CloseAll();
}

// E13: remount did not reset what was chowned, or not cached.
TEST_F(Attrs, RemountWithUidResetsOnlyUidsEverywhere) {
  const std::string paths[] = {"/k", "/k/README", format_, "/k/instances/a", deep_};
  for (const std::string& path : paths) {
    ASSERT_THAT(task().Chown(path, 5, 6), IsOk());
    ASSERT_THAT(task().Chmod(path, 0705), IsOk());
  }
  DropCaches();
  ASSERT_THAT(task().Stat(format_), IsOk());
  ASSERT_THAT(task().Remount("/k", "uid=88"), IsOk());
  for (const std::string& path : paths) {
    EXPECT_EQ(OwnerOf(path), (Owner{88, 6})) << path;
    EXPECT_EQ(ModeOf(path), 0705) << "modes survive";
  }
  ASSERT_THAT(task().Remount("/k", "gid=99"), IsOk());
  for (const std::string& path : paths) EXPECT_EQ(OwnerOf(path), (Owner{88, 99})) << path;
  ASSERT_THAT(task().Chown(format_, 1, 1), IsOk());
  EXPECT_EQ(OwnerOf(format_), (Owner{1, 1})) << "a later change counts again";
}

TEST_F(Attrs, MountOptionsReachWhatNobodyHasLookedAt) {
  ASSERT_THAT(task().Umount("/k"), IsOk());
  ASSERT_THAT(task().Mount("none", "/k", "testfs", "gid=77"), IsOk());
  EXPECT_EQ(OwnerOf(deep_), (Owner{0, 77}));
  EXPECT_EQ(OwnerOf("/k"), (Owner{0, 77}));
}

// E12, T3, T5: a bad option half applied, or garbage taken.
TEST_F(Attrs, BadOptionsChangeNothing) {
  for (const char* bad : {"uid=1,nonsense=2", "uid=1,gid=abc", "gid=1,mode=9", "uid=-1",
                          "uid=4294967295", "uid=1,uid=", "mode="}) {
    EXPECT_THAT(task().Remount("/k", bad), FailsWith(Errno::kInval)) << bad;
    EXPECT_EQ(OwnerOf("/k"), (Owner{0, 0})) << bad;
    EXPECT_EQ(ModeOf("/k"), 0755) << bad;
  }
  EXPECT_EQ(Options(), "");
}

// E14: what /proc/mounts shows was not what was in force.
TEST_F(Attrs, ShowOptionsIsAlwaysWhatIsInForce) {
  EXPECT_EQ(Options(), "");
  ASSERT_THAT(task().Remount("/k", "mode=0711,uid=3"), IsOk());
  EXPECT_EQ(Options(), ",uid=3,mode=711");
  ASSERT_THAT(task().Remount("/k", "gid=4"), IsOk());
  EXPECT_EQ(Options(), ",uid=3,gid=4,mode=711");
  EXPECT_EQ(ModeOf("/k"), 0711);
  ASSERT_THAT(task().Mkdir("/again", 0755), IsOk());
  ASSERT_THAT(task().Mount("none", "/again", "testfs", "gid=9"), IsOk());
  EXPECT_EQ(Options(), ",uid=3,gid=9,mode=711");
  EXPECT_EQ(OwnerOf("/k/README"), (Owner{3, 9}));
  ASSERT_THAT(task().Chmod("/k", 0700), IsOk());
  ASSERT_THAT(task().Chown("/k", 8, std::nullopt), IsOk());
  EXPECT_EQ(Options(), ",uid=8,gid=9,mode=700");
  ASSERT_THAT(task().Remount("/k", "mode=177755"), IsOk());
  EXPECT_EQ(ModeOf("/k"), 07755) << "07777 is what counts";
  ASSERT_THAT(task().Umount("/again"), IsOk());
}

TEST_F(Attrs, AListedNodeCanBeBornWithAnOwner) {
  ASSERT_THAT(
      root().CreateDir(instances(), {.name = "mine", .permissions = 0700, .uid = 42}, kPlainType),
      IsOk());
  ASSERT_THAT(task().Chown("/k", 5, 6), IsOk());
  EXPECT_EQ(OwnerOf("/k/instances/mine"), (Owner{42, 6}));
}

TEST_F(Attrs, OfWhatIsRemovedCannotBeChangedAndAreForgotten) {
  const int fd = task().Open(format_, O_RDONLY).value();
  ASSERT_THAT(task().Chmod(format_, 0400), IsOk());
  ASSERT_THAT(task().Chmod(deep_, 0400), IsOk());
  ASSERT_THAT(task().Chmod("/k/instances/a/value", 0400), IsOk());
  const auto overrides = [this] {
    size_t active = 0;
    vfs().memory().ForEachCache([&](const mm::CacheInfo& info) {
      if (info.name == "kernfs_attr") active = info.active_objects;
    });
    return active;
  };
  EXPECT_EQ(overrides(), 3u);
  RemoveEvent(switch_);
  EXPECT_THAT(task().Fchmod(fd, 0644), FailsWith(Errno::kNoDev)) << "K16";
  EXPECT_EQ(overrides(), 1u);
  RemoveInstance("a");
  EXPECT_EQ(overrides(), 0u);
}

TEST_F(Attrs, ChangeThatRunsOutOfMemoryChangesNothing) {
  ASSERT_THAT(task().Stat(format_), IsOk());
  const auto plan = faults().Arm(base::FaultPlan::Always("mm:kernfs_attr*"));
  EXPECT_THAT(task().Chmod(format_, 0400), FailsWith(Errno::kNoMem));
  faults().Disarm(plan);
  EXPECT_EQ(ModeOf(format_), 0440);
  EXPECT_THAT(task().Chmod(format_, 0400), IsOk());
}

// E13, T2: remount beside creation, removal and chown; the last remount wins for everything, and
// nobody ever sees a mode that was never set.
TEST_F(Attrs, RemountVersusChownAndRemoval) {
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      auto mine = TaskOf(vfs::Creds::Root());
      static_cast<void>(mine->Chown(format_, i % 50 + 1, i % 50 + 1));
      static_cast<void>(mine->Chown("/k/instances/a", i % 50 + 1, std::nullopt));
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      MakeInstance("b");
      static_cast<void>(task().Chown("/k/instances/b/value", 3, 3));
      RemoveInstance("b");
    }
  });
  threads.emplace_back([&] {
    auto mine = TaskOf(vfs::Creds::Root());
    while (!stop) {
      const auto mode = mine->Stat("/k").value().mode & 07777;
      EXPECT_TRUE(mode == 0755 || mode == 0700) << mode;
    }
  });
  auto mine = TaskOf(vfs::Creds::Root());
  for (int i = 0; i < 300; ++i) {
    ASSERT_THAT(
        mine->Remount("/k", absl::StrCat("uid=", 100 + i, i % 2 ? ",mode=700" : ",mode=755")),
        IsOk());
  }
  stop = true;
  threads.clear();
  ASSERT_THAT(mine->Remount("/k", "uid=500,gid=501"), IsOk());
  for (const std::string& path : {std::string("/k"), format_, deep_, std::string("/k/README")}) {
    EXPECT_EQ(OwnerOf(path), (Owner{500, 501})) << path;
  }
}

}  // namespace
}  // namespace dentree::kernfs
