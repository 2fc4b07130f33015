// What the host changes is seen at the next look where it tells, however long the ttl.

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "tests/hostfs/hostfs_test.h"

namespace dentree::hostfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::HasSubstr;
using testing::Not;
using vfs::Errno;

class Notify : public HostfsTest {
 protected:
  void SetUp() override {
    HostfsTest::SetUp();
    const int probe = ::inotify_init1(IN_CLOEXEC);
    if (probe < 0) GTEST_SKIP() << "the host has no notification, or none left";
    ::close(probe);
  }
  void Mount(std::string_view options = "") {
    HostfsTest::Mount("ttl=86400," + std::string(options));
  }
  // The next look finds what has happened until now.
  void NextLook() { clock().Advance(kListenNs); }
};

TEST_F(Notify, AFileCreatedOnTheHostAppearsAtTheNextLook) {
  host().Dir("d");
  Mount();
  EXPECT_THAT(task().Stat("/host/d/new"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/host/new"), FailsWith(Errno::kNoEnt));
  host().Text("d/new", "here");
  host().Text("new", "");
  NextLook();
  EXPECT_THAT(task().ReadFile("/host/d/new"), Holds("here"));
  EXPECT_OK(task().Stat("/host/new"));
}

TEST_F(Notify, AFileRemovedOnTheHostIsGoneAtTheNextLook) {
  host().Text("d/f", "");
  Mount();
  ASSERT_OK(task().Stat("/host/d/f"));
  filesystem::remove(host().At("d/f"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/d/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(Notify, AFileRenamedOnTheHostIsUnderItsNewNameAtTheNextLook) {
  host().Text("a/f", "moved");
  host().Dir("b");
  Mount();
  ASSERT_OK(task().Stat("/host/a/f"));
  EXPECT_THAT(task().Stat("/host/b/g"), FailsWith(Errno::kNoEnt));
  filesystem::rename(host().At("a/f"), host().At("b/g"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/a/f"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().ReadFile("/host/b/g"), Holds("moved"));
}

TEST_F(Notify, AChangedModeAndSizeAreSeenAtTheNextLookByNameAndByDescriptor) {
  host().Text("d/f", "12345");
  Mount();
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/d/f", O_RDONLY));
  ASSERT_EQ(task().Fstat(fd)->size, 5u);
  ASSERT_EQ(::chmod(host().At("d/f").c_str(), 0600), 0);
  NextLook();
  EXPECT_EQ(task().Fstat(fd)->mode, S_IFREG | 0600);
  host().Text("d/f", "1234567");
  NextLook();
  EXPECT_EQ(task().Fstat(fd)->size, 7u);
  EXPECT_EQ(task().Stat("/host/d/f")->size, 7u);
  ASSERT_OK(task().Close(fd));
}

TEST_F(Notify, AChangedModeOfADirectoryIsSeenAtTheNextLook) {
  host().Text("d/f", "");
  Mount();
  const auto user = TaskOf(vfs::Creds::User(1000, 1000));
  ASSERT_OK(user->Stat("/host/d/f"));
  ASSERT_EQ(::chmod(host().At("d").c_str(), 0700), 0);
  NextLook();
  EXPECT_THAT(user->Stat("/host/d/f"), FailsWith(Errno::kAccess));
}

TEST_F(Notify, WhileNothingHappensTheHostIsAskedNothing) {
  host().Text("a/b/f", "");
  Mount();
  ASSERT_OK(task().Stat("/host/a/b/f"));
  EXPECT_THAT(task().Stat("/host/a/b/g"), FailsWith(Errno::kNoEnt));
  const uint64_t before = Calls();
  for (int i = 0; i < 100; ++i) {
    NextLook();
    ASSERT_OK(task().Stat("/host/a/b/f"));
    EXPECT_THAT(task().Stat("/host/a/b/g"), FailsWith(Errno::kNoEnt));
  }
  EXPECT_EQ(Calls(), before);
  EXPECT_EQ(stats().watches.Value(), 3);
}

TEST_F(Notify, EventsAreLookedForOnceInATick) {
  host().Text("f", "");
  Mount();
  ASSERT_OK(task().Stat("/host/f"));
  const uint64_t before = stats().event_reads.Value();
  for (int i = 0; i < 100; ++i) ASSERT_OK(task().Stat("/host/f"));
  EXPECT_EQ(stats().event_reads.Value(), before);
  NextLook();
  for (int i = 0; i < 100; ++i) ASSERT_OK(task().Stat("/host/f"));
  EXPECT_EQ(stats().event_reads.Value(), before + 1);
}

TEST_F(Notify, WhatIsAskedAgainInTheTickOfAnEventIsBelieved) {
  host().Text("f", "1");
  Mount();
  ASSERT_OK(task().Stat("/host/f"));
  EXPECT_THAT(task().Stat("/host/g"), FailsWith(Errno::kNoEnt));
  host().Text("f", "12");
  NextLook();
  ASSERT_OK(task().Stat("/host/f"));
  EXPECT_THAT(task().Stat("/host/g"), FailsWith(Errno::kNoEnt));
  const uint64_t before = Calls();
  ASSERT_OK(task().Stat("/host/f"));
  EXPECT_THAT(task().Stat("/host/g"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(Calls(), before);
}

TEST_F(Notify, AnEventBetweenTheWatchAndTheAnswerIsHeard) {
  host().Dir("d");
  Mount();
  ASSERT_OK(task().Stat("/host/d"));
  // The answer is on its way: the file comes to exist after the host was asked for it.
  bool made = false;
  sync().OnHit("hostfs:watch:added", [&] {
    if (!std::exchange(made, true)) host().Text("d/early", "");
  });
  ASSERT_OK(task().Stat("/host/d/early"));
  EXPECT_TRUE(made);
  filesystem::remove(host().At("d/early"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/d/early"), FailsWith(Errno::kNoEnt));
}

TEST_F(Notify, EventsThatWereLostForgetEverything) {
  host().Text("d/f", "1");
  host().Dir("busy");
  Mount();
  EXPECT_THAT(task().Stat("/host/busy/x"), FailsWith(Errno::kNoEnt));
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  int events = 0;
  ASSERT_TRUE(limit >> events);
  if (events > 100'000) GTEST_SKIP() << "the host keeps too many events";
  ASSERT_OK(task().Stat("/host/d/f"));
  const std::string paths[] = {host().At("busy/a"), host().At("busy/b")};
  HostTree::Write(paths[0], "");
  for (int i = 0; i <= events; ++i) {
    ASSERT_EQ(::rename(paths[i % 2].c_str(), paths[1 - i % 2].c_str()), 0);
  }
  host().Text("d/f", "12");  // of this nothing is told any more
  NextLook();
  EXPECT_EQ(task().Stat("/host/d/f")->size, 2u);
  EXPECT_GT(stats().event_overflows.Value(), 0u);
}

TEST_F(Notify, BeyondTheLimitTheTtlAloneSays) {
  host().Text("a/f", "1");
  host().Text("b/f", "1");
  Register({.directory = {}, .max_watches = 2});
  Mount();
  ASSERT_OK(task().Stat("/host/a/f"));
  ASSERT_OK(task().Stat("/host/b/f"));
  EXPECT_EQ(stats().watches.Value(), 2);
  EXPECT_EQ(stats().watches_max.Value(), 2);
  EXPECT_GT(stats().watch_refused.Value(), 0u);
  filesystem::remove(host().At("a/f"));
  filesystem::remove(host().At("b/f"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/a/f"), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Stat("/host/b/f")) << "nobody tells of it";
  clock().Advance(int64_t{86400} * 1'000'000'000);
  EXPECT_THAT(task().Stat("/host/b/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(Notify, WhatWasAskedWithoutAWatchIsAskedAgainOnceThereIsOne) {
  host().Text("a/f", "");
  host().Text("b/f", "");
  Register({.directory = {}, .max_watches = 2});
  Mount();
  ASSERT_OK(task().Stat("/host/a/f"));
  ASSERT_OK(task().Stat("/host/b/f"));  // not watched
  filesystem::remove_all(host().At("a"));
  filesystem::remove(host().At("b/f"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/a/f"), FailsWith(Errno::kNoEnt));
  NextLook();
  EXPECT_EQ(stats().watches.Value(), 1) << "that of a went with it";
  EXPECT_THAT(task().Stat("/host/b/other"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(stats().watches.Value(), 2);
  EXPECT_THAT(task().Stat("/host/b/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(Notify, ADirectoryRemovedAndMadeAgainIsTheNewOne) {
  host().Text("d/old", "");
  Mount();
  ASSERT_OK(task().Stat("/host/d/old"));
  filesystem::remove_all(host().At("d"));
  host().Text("d/new", "new");
  NextLook();
  EXPECT_THAT(task().Stat("/host/d/old"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().ReadFile("/host/d/new"), Holds("new"));
  filesystem::remove(host().At("d/new"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/d/new"), FailsWith(Errno::kNoEnt)) << "it has a watch of its own";
}

TEST_F(Notify, AWorkingDirectoryThatWasRemovedIsGoneAtTheNextLook) {
  host().Text("d/f", "");
  Mount();
  ASSERT_OK(task().Chdir("/host/d"));
  ASSERT_OK(task().Stat("f"));
  filesystem::remove_all(host().At("d"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/d"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("f"), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Notify, CachesThatAreDroppedGiveTheirWatchesBack) {
  host().Text("a/b/c/f", "");
  Mount();
  ASSERT_OK(task().Stat("/host/a/b/c/f"));
  EXPECT_EQ(stats().watches.Value(), 4);
  DropCaches();
  EXPECT_EQ(stats().watches.Value(), 1) << "the top's, which is in use";
  ASSERT_OK(task().Umount("/host"));
  EXPECT_EQ(stats().watches.Value(), 0);
}

TEST_F(Notify, OwnChangesAreSeenAtOnceAndStaySeen) {
  Mount("rw");
  ASSERT_OK(task().Mkdir("/host/d", 0755));
  ASSERT_OK(task().WriteFile("/host/d/f", "12"));
  EXPECT_EQ(task().Stat("/host/d/f")->size, 2u);
  NextLook();
  EXPECT_EQ(task().Stat("/host/d/f")->size, 2u);
  ASSERT_OK(task().Rename("/host/d/f", "/host/g"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/d/f"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(task().Stat("/host/g")->size, 2u);
  ASSERT_OK(task().Unlink("/host/g"));
  NextLook();
  EXPECT_THAT(task().Stat("/host/g"), FailsWith(Errno::kNoEnt));
}

TEST_F(Notify, IsAnOptionThatIsShownAndCanBeRemounted) {
  host().Text("f", "1");
  const auto shown = [&] {
    std::string text;
    for (const vfs::MountInfo& info : vfs().mounts().List(vfs().Root()))
      text += info.options + "\n";
    return text;
  };
  Mount();
  ASSERT_OK(task().Stat("/host/f"));
  EXPECT_THAT(shown(), Not(HasSubstr("notify")));
  ASSERT_OK(task().Remount("/host", "notify=off"));
  EXPECT_THAT(shown(), HasSubstr(",notify=off"));
  EXPECT_EQ(stats().watches.Value(), 0);
  host().Text("f", "12");
  NextLook();
  EXPECT_EQ(task().Stat("/host/f")->size, 1u) << "believed";
  ASSERT_OK(task().Remount("/host", "notify=on"));
  EXPECT_THAT(task().Stat("/host/other"), FailsWith(Errno::kNoEnt));
  NextLook();
  EXPECT_EQ(task().Stat("/host/f")->size, 2u) << "asked before it was watched again";
  EXPECT_THAT(task().Remount("/host", "notify=maybe"), FailsWith(Errno::kInval));
}

}  // namespace
}  // namespace dentree::hostfs
