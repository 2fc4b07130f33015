// Races between events, watches and readers, each with its name.
#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "fixture/fixture.h"
#include "ramfs/ramfs.h"
#include "tests/vfs/notify_events.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Text;

class NotifyRace : public fixture::VfsTest {
 protected:
  void SetUp() override {
    fs().Make({Dir("/d"), Dir("/e"), Text("/d/f", "text")});
    group_ = task().InotifyInit(O_NONBLOCK).value();
  }
  int Watch(std::string_view path, uint32_t mask) {
    return task().InotifyAddWatch(group_, path, mask).value();
  }
  // The thread of `call` stands at `point` when this returns.
  template <class Call>
  std::future<Status> StandsAt(const char* point, Call call) {
    sync().Stop(point);
    auto future = std::async(std::launch::async, call);
    EXPECT_OK(sync().WaitFor(point));
    return future;
  }

  int group_ = -1;
};

// Says so, once.
class FlagWaiter final : public Waiter {
 public:
  bool woken() const { return woken_.load(); }

 private:
  void Wake() override { woken_.store(true); }
  std::atomic<bool> woken_{false};
};

constexpr const char* kTelling = "notify:tell:unlocked";

TEST_F(NotifyRace, NoEventComesAfterTheWatchThatIsRemovedMeanwhile) {
  const int wd = Watch("/d", IN_CREATE);
  auto makes = StandsAt(kTelling, [&] { return task().Mkdir("/d/x", 0755); });
  ASSERT_OK(task().InotifyRmWatch(group_, wd));
  sync().Release(kTelling);
  EXPECT_OK(makes.get());
  EXPECT_EQ(Told(task(), group_), "IGNORED\n");
}

TEST_F(NotifyRace, AGroupMayCloseWhileAnEventIsOnItsWay) {
  Watch("/d", IN_CREATE);
  auto makes = StandsAt(kTelling, [&] { return task().Mkdir("/d/x", 0755); });
  ASSERT_OK(task().Close(group_));
  sync().Release(kTelling);
  EXPECT_OK(makes.get());
  EXPECT_EQ(vfs().notify().stats().queued.load(), 0u);
  EXPECT_EQ(vfs().notify().stats().instances.load(), 0u);
}

TEST_F(NotifyRace, AnUnmountWaitsForNoEventAndItsOwnComeLast) {
  ASSERT_OK(task().Mkdir("/m", 0755));
  ASSERT_OK(task().Mount("none", "/m", "ramfs", ""));
  ASSERT_OK(task().WriteFile("/m/f", ""));
  Watch("/m/f", IN_ATTRIB);
  auto changes = StandsAt(kTelling, [&] { return task().Chmod("/m/f", 0600); });
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy));
  sync().Release(kTelling);
  EXPECT_OK(changes.get());
  EXPECT_OK(task().Umount("/m"));
  EXPECT_EQ(Told(task(), group_), "ATTRIB\nUNMOUNT\nIGNORED\n");
}

// The walk has taken a reference in vain, and it is the last: what then ends the file, and tells of
// it, is not done inside the section.
TEST_F(NotifyRace, AWalkThatHoldsARemovedFileLastTellsOfItsEndAfterItsSection) {
  Watch("/d/f", IN_DELETE_SELF);
  auto walks = StandsAt("dcache:legitimise:held", [&] { return task().Chmod("/d/f", 0600); });
  Task other(vfs(), Creds::Root());
  ASSERT_OK(other.Unlink("/d/f"));
  EXPECT_EQ(Told(task(), group_), "");
  sync().Release("dcache:legitimise:held");
  EXPECT_THAT(walks.get(), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(Told(task(), group_), "GONE\nIGNORED\n");
}

TEST_F(NotifyRace, TwoWhoWatchAnInodeAtOnceGetOneWatch) {
  sync().Stop("notify:add:prepared");
  auto first = std::async(std::launch::async,
                          [&] { return task().InotifyAddWatch(group_, "/d", IN_CREATE); });
  ASSERT_OK(sync().WaitFor("notify:add:prepared"));
  const auto second = task().InotifyAddWatch(group_, "/d", IN_DELETE | IN_MASK_ADD);
  sync().Release("notify:add:prepared");
  EXPECT_EQ(first.get(), second);
  EXPECT_EQ(vfs().notify().stats().watches.load(), 1u);
}

TEST_F(NotifyRace, AReaderSleepsUntilThereIsAnEvent) {
  const int group = task().InotifyInit(0).value();
  ASSERT_OK(task().InotifyAddWatch(group, "/d", IN_CREATE));
  auto reads = std::async(std::launch::async, [&] {
    std::array<std::byte, 256> buffer;
    return task().Read(group, buffer);
  });
  ASSERT_OK(task().Mkdir("/d/x", 0755));
  EXPECT_THAT(reads.get(), fixture::Holds(32u));
}

TEST_F(NotifyRace, AWaiterIsWokenByTheFirstEvent) {
  const int group = task().InotifyInit(0).value();
  ASSERT_OK(task().InotifyAddWatch(group, "/d", IN_CREATE));
  const FileRef file = task().fds().Get(group).value();
  std::array<std::byte, 256> buffer;
  FlagWaiter waiter;
  EXPECT_THAT(file->ReadNowait(buffer, {}, &waiter), FailsWith(Errno::kAgain));
  EXPECT_TRUE(waiter.armed());
  EXPECT_FALSE(waiter.woken());
  ASSERT_OK(task().Mkdir("/d/x", 0755));
  EXPECT_TRUE(waiter.woken());
  EXPECT_FALSE(waiter.Cancel());
  EXPECT_THAT(file->ReadNowait(buffer, {}, &waiter), fixture::Holds(32u));
  EXPECT_FALSE(waiter.armed());
}

TEST_F(NotifyRace, TheLastNameAndTheLastUserGoTogetherAndOneEventSaysSo) {
  for (int round = 0; round < 50; ++round) {
    ASSERT_OK(task().WriteFile("/d/x", ""));
    const int fd = task().Open("/d/x", O_RDONLY).value();
    Watch("/d/x", IN_DELETE_SELF);
    auto closes = std::async(std::launch::async, [&] { return task().Close(fd); });
    EXPECT_OK(task().Unlink("/d/x"));
    EXPECT_OK(closes.get());
    EXPECT_EQ(Told(task(), group_), "GONE\nIGNORED\n");
  }
}

TEST_F(NotifyRace, MoversOfManyThreadsLeavePairsWithCookiesOfTheirOwn) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 100;
  Watch("/d", IN_MOVE);
  Watch("/e", IN_MOVE);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        Task own(vfs(), Creds::Root());
        const std::string name = "/t" + std::to_string(i);
        EXPECT_OK(own.Mkdir("/d" + name, 0755));
        for (int round = 0; round < kRounds; ++round) {
          EXPECT_OK(own.Rename("/d" + name, "/e" + name));
          EXPECT_OK(own.Rename("/e" + name, "/d" + name));
        }
      });
    }
  }
  std::map<uint32_t, std::string> from;
  size_t pairs = 0;
  for (const ReadEvent& event : ReadAll(task(), group_)) {
    if (event.mask & IN_MOVED_FROM) {
      EXPECT_TRUE(from.emplace(event.cookie, event.name).second);
    } else {
      EXPECT_EQ(from[event.cookie], event.name);
      from.erase(event.cookie);
      ++pairs;
    }
  }
  EXPECT_TRUE(from.empty());
  EXPECT_EQ(pairs, size_t{kThreads} * kRounds * 2);
}

TEST(NotifyOverflow, OfManyThreadsKeepsTheOrderOfEach) {
  constexpr size_t kRoom = 64;
  const auto vfs = Vfs::Create({.notify = {.queued_events = kRoom}});
  vfs->RegisterType(ramfs::Type());
  ASSERT_OK(vfs->MountRoot("ramfs", ""));
  Task task(*vfs, Creds::Root());
  const int group = task.InotifyInit(O_NONBLOCK).value();
  ASSERT_OK(task.InotifyAddWatch(group, "/", IN_CREATE));
  {
    std::vector<std::jthread> threads;
    for (char id = 'a'; id < 'd'; ++id) {
      threads.emplace_back([&, id] {
        Task own(*vfs, Creds::Root());
        for (int i = 100; i < 200; ++i) {
          EXPECT_OK(own.Mkdir("/" + std::string(1, id) + std::to_string(i), 0755));
        }
      });
    }
  }
  std::map<char, std::string> last;
  const std::vector<ReadEvent> events = ReadAll(task, group);
  ASSERT_EQ(events.size(), kRoom + 1);
  EXPECT_EQ(events.back().mask, uint32_t{IN_Q_OVERFLOW});
  EXPECT_EQ(events.back().wd, -1);
  for (size_t i = 0; i < kRoom; ++i) {
    std::string& before = last[events[i].name[0]];
    EXPECT_LT(before, events[i].name);
    before = events[i].name;
  }
}

}  // namespace
}  // namespace dentree::vfs
