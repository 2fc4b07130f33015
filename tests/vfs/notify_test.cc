// The rules of inotify(7). That events come as the machine's kernel tells them is in
// notify_kernel_test.cc.
#include <poll.h>
#include <sys/ioctl.h>

#include <string>

#include "fixture/fixture.h"
#include "ramfs/ramfs.h"
#include "tests/vfs/notify_events.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::RemoteFs;
using fixture::Text;

class NotifyTest : public fixture::VfsTest {
 protected:
  void SetUp() override {
    fs().Make({Dir("/d"), Text("/d/f", "text"), fixture::Link("/d/l", "f")});
    group_ = task().InotifyInit(O_NONBLOCK).value();
  }
  Result<int> Watch(std::string_view path, uint32_t mask = IN_ALL_EVENTS) {
    return task().InotifyAddWatch(group_, path, mask);
  }
  std::string Events() { return Told(task(), group_); }
  Result<size_t> ReadInto(size_t room) {
    std::vector<std::byte> buffer(room);
    return task().Read(group_, buffer);
  }

  int group_ = -1;
};

TEST_F(NotifyTest, InitTakesTwoFlagsAndNoOthers) {
  EXPECT_OK(task().InotifyInit(O_NONBLOCK | O_CLOEXEC));
  EXPECT_THAT(task().InotifyInit(O_APPEND), FailsWith(Errno::kInval));
}

TEST_F(NotifyTest, AddWatchRefusesInLinuxOrder) {
  EXPECT_THAT(task().InotifyAddWatch(999, "/nope", 0), FailsWith(Errno::kInval));
  EXPECT_THAT(task().InotifyAddWatch(999, "/nope", 0x10000), FailsWith(Errno::kInval));
  EXPECT_THAT(task().InotifyAddWatch(999, "/nope", IN_OPEN), FailsWith(Errno::kBadF));
  EXPECT_THAT(Watch("/nope", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE), FailsWith(Errno::kInval));
  const int file = task().Open("/d/f", O_RDWR).value();
  EXPECT_THAT(task().InotifyAddWatch(file, "/nope", IN_OPEN), FailsWith(Errno::kInval));
  EXPECT_THAT(Watch("/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Watch(""), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Watch("/d/f", IN_OPEN | IN_ONLYDIR), FailsWith(Errno::kNotDir));
  EXPECT_OK(Watch("/d", IN_ISDIR));
}

TEST_F(NotifyTest, WatchingTakesTheRightToRead) {
  ASSERT_OK(task().Chmod("/d", 0711));
  ASSERT_OK(task().Mkdir("/w", 0777));
  const auto other = TaskOf(Creds::User(7, 7));
  const int group = other->InotifyInit(O_NONBLOCK).value();
  EXPECT_THAT(other->InotifyAddWatch(group, "/d", IN_OPEN), FailsWith(Errno::kAccess));
  EXPECT_OK(other->InotifyAddWatch(group, "/d/f", IN_OPEN));
}

TEST_F(NotifyTest, AnInodeHasOneWatchInAGroupWhicheverNameLeadsThere) {
  const int wd = Watch("/d/f", IN_MODIFY).value();
  EXPECT_THAT(Watch("/d/l", IN_MODIFY), Holds(wd));
  EXPECT_NE(Watch("/d/l", IN_MODIFY | IN_DONT_FOLLOW).value(), wd);
  EXPECT_THAT(Watch("/d/f", IN_MODIFY | IN_MASK_CREATE), FailsWith(Errno::kExist));
  EXPECT_EQ(vfs().notify().stats().watches.load(), 2u);
}

TEST_F(NotifyTest, AddingAgainReplacesTheMaskOrAddsToIt) {
  ASSERT_OK(Watch("/d/f", IN_ATTRIB));
  ASSERT_OK(Watch("/d/f", IN_MODIFY | IN_MASK_ADD));
  const int fd = task().Open("/d/f", O_WRONLY).value();
  ASSERT_OK(task().Write(fd, "x"));
  ASSERT_OK(task().Fchmod(fd, 0600));
  EXPECT_EQ(Events(), "MODIFY\nATTRIB\n");
  ASSERT_OK(Watch("/d/f", IN_ATTRIB));
  ASSERT_OK(task().Write(fd, "x"));
  EXPECT_EQ(Events(), "");
}

TEST_F(NotifyTest, RemovingSaysIgnoredAndItsNumberIsNotUsedAgain) {
  const int wd = Watch("/d/f").value();
  EXPECT_OK(task().InotifyRmWatch(group_, wd));
  EXPECT_EQ(Events(), "IGNORED\n");
  EXPECT_THAT(task().InotifyRmWatch(group_, wd), FailsWith(Errno::kInval));
  EXPECT_THAT(task().InotifyRmWatch(999, wd), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().InotifyRmWatch(task().Open("/d/f", O_RDONLY).value(), wd),
              FailsWith(Errno::kInval));
  EXPECT_THAT(Watch("/d/f"), Holds(wd + 1));
}

TEST_F(NotifyTest, AOneShotIsToldOnceAndGoes) {
  ASSERT_OK(Watch("/d", IN_CREATE | IN_ONESHOT));
  ASSERT_OK(task().Mkdir("/d/a", 0755));
  ASSERT_OK(task().Mkdir("/d/b", 0755));
  EXPECT_EQ(Events(), "CREATE|ISDIR a\nIGNORED\n");
}

TEST_F(NotifyTest, EqualEventsInARowAreOne) {
  ASSERT_OK(Watch("/d", IN_MODIFY | IN_ATTRIB));
  const int fd = task().Open("/d/f", O_WRONLY).value();
  for (int i = 0; i < 5; ++i) ASSERT_OK(task().Write(fd, "x"));
  ASSERT_OK(task().Fchmod(fd, 0600));
  ASSERT_OK(task().Write(fd, "x"));
  EXPECT_EQ(Events(), "MODIFY f\nATTRIB f\nMODIFY f\n");
  EXPECT_EQ(vfs().notify().stats().merged.Value(), 4u);
}

TEST_F(NotifyTest, ARenameThatLeavesAWhiteoutIsAMoveAndNothingElse) {
  ASSERT_OK(Watch("/d"));
  ASSERT_OK(task().Rename("/d/f", "/d/g", kRenameWhiteout));
  EXPECT_EQ(Events(), "MOVED_FROM f\nMOVED_TO g\n");
}

TEST_F(NotifyTest, ItsDescriptorCountsAmongOpenFiles) {
  const int64_t before = vfs().file_stats().open.Value();
  ASSERT_OK(task().Close(group_));
  EXPECT_EQ(vfs().file_stats().open.Value(), before - 1);
  ASSERT_OK(task().InotifyInit(0));
  EXPECT_EQ(vfs().file_stats().open.Value(), before);
}

TEST_F(NotifyTest, AReadGivesWholeRecordsAndTooLittleRoomIsAnError) {
  ASSERT_OK(Watch("/d", IN_CREATE));
  ASSERT_OK(task().Mkdir("/d/abc", 0755));
  ASSERT_OK(task().Mkdir("/d/name-of-16-bytes", 0755));
  EXPECT_THAT(task().Ioctl(group_, FIONREAD, 0), Holds(32u + 48u));
  EXPECT_THAT(task().Poll(group_), Holds(POLLIN | POLLRDNORM));
  EXPECT_THAT(ReadInto(0), FailsWith(Errno::kInval));
  EXPECT_THAT(ReadInto(31), FailsWith(Errno::kInval));
  EXPECT_THAT(ReadInto(79), Holds(32u));
  EXPECT_THAT(ReadInto(80), Holds(48u));
  EXPECT_THAT(ReadInto(0), FailsWith(Errno::kAgain));
  EXPECT_THAT(task().Poll(group_), Holds(0));
}

TEST_F(NotifyTest, TheDescriptorIsAFileWithoutAName) {
  EXPECT_THAT(task().Write(group_, "x"), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Lseek(group_, 5, Whence::kSet), Holds(0u));
  EXPECT_THAT(task().Fchmod(group_, 0777), FailsWith(Errno::kOpNotSupp));
  EXPECT_THAT(task().Ftruncate(group_, 0), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Fsync(group_), FailsWith(Errno::kInval));
  EXPECT_EQ(task().Fstat(group_)->mode, 0600);
  EXPECT_THAT(task().Ioctl(group_, 0x1234, 0), FailsWith(Errno::kNotTy));
}

TEST_F(NotifyTest, UnmountingTellsAndTakesTheWatchesThatDoNotKeepItBusy) {
  ASSERT_OK(task().Mkdir("/m", 0755));
  ASSERT_OK(task().Mount("none", "/m", "ramfs", ""));
  ASSERT_OK(task().WriteFile("/m/f", ""));
  ASSERT_OK(Watch("/m/f", IN_MODIFY));
  ASSERT_OK(Watch("/d", IN_CREATE));
  ASSERT_OK(task().Umount("/m"));
  EXPECT_EQ(Events(), "UNMOUNT\nIGNORED\n");
  EXPECT_EQ(vfs().notify().stats().watches.load(), 1u);
}

class NotifyRemote : public NotifyTest {
 protected:
  RemoteFs remote_;
};

TEST_F(NotifyRemote, AWatchOutlivesTheCachedNameOfItsInode) {
  remote_.Make({Text("/f", "1")});
  vfs().RegisterType(remote_.Type());
  ASSERT_OK(task().Mkdir("/r", 0755));
  ASSERT_OK(task().Mount("server", "/r", "remote", ""));
  ASSERT_OK(Watch("/r/f", IN_OPEN));
  DropCaches();
  ASSERT_OK(task().ReadFile("/r/f"));
  EXPECT_EQ(Events(), "OPEN\n");
}

// --- limits ----------------------------------------------------------------------------------

class FewEvents : public testing::Test {
 protected:
  FewEvents() {
    vfs_->RegisterType(ramfs::Type());
    EXPECT_OK(vfs_->MountRoot("ramfs", ""));
    task_ = std::make_unique<Task>(*vfs_, Creds::Root());
  }
  const std::unique_ptr<Vfs> vfs_ =
      Vfs::Create({.notify = {.queued_events = 3, .user_instances = 2, .user_watches = 3}});
  std::unique_ptr<Task> task_;
};

TEST_F(FewEvents, AFullQueueKeepsWhatIsInItInOrderAndSaysThatMoreCame) {
  const int group = task_->InotifyInit(O_NONBLOCK).value();
  const int wd = task_->InotifyAddWatch(group, "/", IN_CREATE).value();
  for (const char* name : {"/a", "/b", "/c", "/d", "/e"}) ASSERT_OK(task_->Mkdir(name, 0755));
  ASSERT_OK(task_->InotifyRmWatch(group, wd));
  EXPECT_EQ(Told(*task_, group), "CREATE|ISDIR a\nCREATE|ISDIR b\nCREATE|ISDIR c\nOVERFLOW\n");
  EXPECT_EQ(vfs_->notify().stats().overflows.Value(), 1u);
  EXPECT_EQ(vfs_->notify().stats().lost.Value(), 3u);
  ASSERT_OK(task_->InotifyAddWatch(group, "/", IN_DELETE));
  ASSERT_OK(task_->Rmdir("/a"));
  EXPECT_EQ(Told(*task_, group), "DELETE|ISDIR a\n");
}

TEST_F(FewEvents, AUserHasSoManyInstancesAndWatchesAndAnotherHasHisOwn) {
  const int group = task_->InotifyInit(O_NONBLOCK).value();
  const int second = task_->InotifyInit(O_NONBLOCK).value();
  EXPECT_THAT(task_->InotifyInit(0), FailsWith(Errno::kMFile));
  Task other(*vfs_, Creds::User(7, 7));
  EXPECT_OK(other.InotifyInit(0));
  for (const char* name : {"/a", "/b", "/c", "/d"}) ASSERT_OK(task_->Mkdir(name, 0755));
  ASSERT_OK(task_->InotifyAddWatch(group, "/a", IN_OPEN));
  ASSERT_OK(task_->InotifyAddWatch(group, "/b", IN_OPEN));
  ASSERT_OK(task_->InotifyAddWatch(second, "/c", IN_OPEN));
  EXPECT_THAT(task_->InotifyAddWatch(group, "/d", IN_OPEN), FailsWith(Errno::kNoSpc));
  EXPECT_OK(task_->InotifyAddWatch(group, "/b", IN_CLOSE));
  ASSERT_OK(task_->Close(second));
  EXPECT_OK(task_->InotifyInit(0));
  EXPECT_OK(task_->InotifyAddWatch(group, "/d", IN_OPEN));
}

TEST_F(NotifyTest, AnEventWithoutMemoryIsAnOverflow) {
  const int wd = Watch("/d", IN_CREATE).value();
  {
    const base::ScopedFault fault(faults(), base::FaultPlan::Always("mm:inotify_event"));
    ASSERT_OK(task().Mkdir("/d/a", 0755));
    EXPECT_THAT(Watch("/d/f"), FailsWith(Errno::kNoMem));
    ASSERT_OK(task().InotifyRmWatch(group_, wd));
  }
  EXPECT_EQ(Events(), "OVERFLOW\nIGNORED\n");
}

TEST_F(NotifyTest, EachAllocationOfANewWatchMayFailAndLeavesNothing) {
  for (const char* site : {"mm:inotify_inode", "mm:inotify_watch", "mm:inotify_event"}) {
    const base::ScopedFault fault(faults(), base::FaultPlan::Always(site));
    EXPECT_THAT(Watch("/d/f"), FailsWith(Errno::kNoMem)) << site;
  }
  for (const char* site : {"mm:inotify_user", "mm:inotify_group", "mm:filp"}) {
    const base::ScopedFault fault(faults(), base::FaultPlan::Always(site));
    EXPECT_THAT(task().InotifyInit(0), FailsWith(Errno::kNoMem)) << site;
  }
  EXPECT_EQ(vfs().notify().stats().watches.load(), 0u);
  EXPECT_EQ(vfs().notify().stats().instances.load(), 1u);
}

TEST_F(NotifyTest, TheLastWatchTakesTheInodesMarkWithIt) {
  const Path place = task().Resolve("/d/f").value();
  const auto marked = [&] { return (place.inode().flags() & kInodeWatched) != 0; };
  EXPECT_FALSE(marked());
  ASSERT_OK(Watch("/d/f"));
  const int second = task().InotifyInit(O_NONBLOCK).value();
  ASSERT_OK(task().InotifyAddWatch(second, "/d/f", IN_OPEN));
  EXPECT_TRUE(marked());
  ASSERT_OK(task().Close(group_));
  EXPECT_TRUE(marked());
  ASSERT_OK(task().Close(second));
  EXPECT_FALSE(marked());
  EXPECT_FALSE(vfs().notify().active());
}

TEST_F(NotifyTest, MoreWatchersThanAreToldAtOnceAreAllTold) {
  std::vector<int> groups;
  for (int i = 0; i < 40; ++i) {
    groups.push_back(task().InotifyInit(O_NONBLOCK).value());
    ASSERT_OK(task().InotifyAddWatch(groups.back(), "/d", IN_CREATE));
  }
  ASSERT_OK(task().Mkdir("/d/x", 0755));
  for (const int group : groups) EXPECT_EQ(Told(task(), group), "CREATE|ISDIR x\n");
}

}  // namespace
}  // namespace dentree::vfs
