// The races of instances/, by name. Each test promises that what it names cannot happen.

#include <atomic>
#include <set>
#include <thread>

#include "tests/eventfs/tracefs_test.h"

namespace dentree::tracefs {
namespace {

class TracefsRace : public TracefsTest {
 protected:
  static constexpr const char* kEnable = "/t/instances/a/events/sched/switch/enable";

  void SetUp() override {
    TracefsTest::SetUp();
    AddSome();
  }

  // Runs `work(round)` in a thread of its own until the object goes.
  template <class Work>
  [[nodiscard]] std::jthread Loop(Work work) {
    return std::jthread([work](std::stop_token stop) {
      for (int round = 0; !stop.stop_requested(); ++round) work(round);
    });
  }
  // An answer is right if it is success or one of these.
  template <class Answer>
  static void Allow(const Answer& answer, std::initializer_list<Errno> errors) {
    if (answer.has_value()) return;
    ASSERT_TRUE(std::ranges::find(errors, answer.error()) != errors.end())
        << base::ErrnoName(answer.error());
  }
};

// Shown by 5. Whoever opens a file of an instance that is being removed gets kNoDev, and the
// removal waits for the opening.
TEST_F(TracefsRace, OpenStoppedBeforeItsPinMakesRmdirWaitAndFindsTheInstanceGone) {
  ASSERT_OK(Mkdir("instances/a"));
  sync().Stop("eventfs:open:unpinned");
  Result<int> opened = base::Err(Errno::kIo);
  std::jthread opener([&] { opened = task().Open(kEnable, O_RDWR); });
  ASSERT_OK(sync().WaitFor("eventfs:open:unpinned"));
  sync().OnHit("tracefs:rmdir:dead", [] {});
  std::atomic<bool> removed{false};
  const auto other = TaskOf(vfs::Creds::Root());
  std::jthread remover([&] {
    EXPECT_OK(other->Rmdir("/t/instances/a"));
    removed = true;
  });
  while (sync().Hits("tracefs:rmdir:dead") == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(removed.load()) << "an operation is still running in it";
  sync().Release("eventfs:open:unpinned");
  opener.join();
  remover.join();
  EXPECT_THAT(opened, FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Stat("/t/instances/a"), FailsWith(Errno::kNoEnt));
}

// Shown by 5, with a held file: rmdir refuses; the tree itself, when it is taken down, waits.
TEST_F(TracefsRace, WriteStoppedInAHeldEnableMakesRemovalOfTheInstanceWait) {
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open(kEnable, O_RDWR));
  sync().Stop("trace:set:unlocked");
  Result<size_t> written = base::Err(Errno::kIo);
  std::jthread writer([&] { written = task().Write(fd, "1"); });
  ASSERT_OK(sync().WaitFor("trace:set:unlocked"));
  EXPECT_THAT(Rmdir("instances/a"), FailsWith(Errno::kBusy));
  std::atomic<bool> removed{false};
  kernfs::NodeRef node = tracefs().root().Find(tracefs().instances(), "a");
  ASSERT_TRUE(node);
  std::jthread remover([&] {
    tracefs().root().Remove(*node);
    removed = true;
  });
  while (node->alive()) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(removed.load()) << "an operation is still running in it";
  sync().Release("trace:set:unlocked");
  writer.join();
  remover.join();
  EXPECT_THAT(written, Holds(1u));
  EXPECT_THAT(ReadFd(fd), FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Write(fd, "0"), FailsWith(Errno::kNoDev));
  EXPECT_OK(task().Close(fd));
}

// Shown by 5, the event removed.
TEST_F(TracefsRace, ReadStoppedInAHeldEnableMakesRemovalOfTheEventWait) {
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open(kEnable, O_RDWR));
  ASSERT_OK_AND_ASSIGN(const int other, task().Open("/t/events/sched/switch/format", O_RDONLY));
  sync().Stop("kernfs:read:active");
  Result<std::string> read;
  std::jthread reader([&] { read = ReadFd(fd); });
  ASSERT_OK(sync().WaitFor("kernfs:read:active"));
  std::atomic<bool> removed{false};
  std::jthread remover([&] {
    RemoveEvent("sched", "switch");
    removed = true;
  });
  while (Find("sched", "switch") != nullptr) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(removed.load()) << "an operation is still running in it";
  sync().Release("kernfs:read:active");
  reader.join();
  remover.join();
  EXPECT_THAT(ReadFd(fd), FailsWith(Errno::kNoDev));
  EXPECT_THAT(ReadFd(other), FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Stat("/t/events/sched/switch"), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Stat("/t/events/sched/wakeup"));
  EXPECT_OK(task().Close(fd));
  // What it pinned is free again.
  EXPECT_OK(Rmdir("instances/a"));
}

// The node is published last, so nobody sees an instance in the making.
TEST_F(TracefsRace, AnInstanceIsNotFoundBeforeItIsComplete) {
  sync().Stop("tracefs:mkdir:unpublished");
  const auto other = TaskOf(vfs::Creds::Root());
  std::jthread maker([&] { EXPECT_OK(other->Mkdir("/t/instances/a", 0)); });
  ASSERT_OK(sync().WaitFor("tracefs:mkdir:unpublished"));
  EXPECT_FALSE(tracefs().root().Find(tracefs().instances(), "a"));
  sync().Release("tracefs:mkdir:unpublished");
  maker.join();
  EXPECT_OK(Stat("instances/a/trace"));
}

// Bug T1: one maker wins, the others get kExist, and a stat afterwards finds it.
TEST_F(TracefsRace, MkdirsOfOneNameHaveOneWinner) {
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> winners{0};
    {
      std::vector<std::jthread> makers;
      for (int i = 0; i < 8; ++i) {
        makers.emplace_back([&] {
          const auto made = task().Mkdir("/t/instances/a", 0);
          if (made) {
            ++winners;
          } else {
            ASSERT_THAT(made, FailsWith(Errno::kExist));
          }
          ASSERT_OK(task().Stat("/t/instances/a/trace"));
        });
      }
    }
    ASSERT_EQ(winners.load(), 1);
    ASSERT_OK(Rmdir("instances/a"));
  }
}

// Bug E25, and the answers of Linux under stress: nothing else may come.
TEST_F(TracefsRace, MkdirRmdirOpenAndListStormGivesOnlyTheExpectedAnswers) {
  std::vector<std::unique_ptr<vfs::Task>> tasks;  // outlive the threads
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) tasks.push_back(TaskOf(vfs::Creds::Root()));
  for (int i = 0; i < 2; ++i) {
    threads.push_back(Loop([&t = *tasks[i]](int round) {
      const std::string name = "/t/instances/" + std::string(1, static_cast<char>('a' + round % 3));
      Allow(t.Mkdir(name, 0), {Errno::kExist});
      Allow(t.Rmdir(name), {Errno::kBusy, Errno::kNoEnt});
    }));
  }
  threads.push_back(Loop([&t = *tasks[2]](int round) {
    const std::string name = "/t/instances/" + std::string(1, static_cast<char>('a' + round % 3));
    Allow(t.WriteFile(name + "/events/sched/switch/enable", "1", 0),
          {Errno::kNoEnt, Errno::kNoDev});
    Allow(t.ReadFile(name + "/options/overwrite"), {Errno::kNoEnt, Errno::kNoDev});
    Allow(t.ReadFile(name + "/set_event"), {Errno::kNoEnt, Errno::kNoDev});
  }));
  threads.push_back(Loop([&t = *tasks[3]](int) {
    Allow(t.ListDir("/t/instances"), {});
    Allow(t.ListDir("/t/instances/a/events/sched"), {Errno::kNoEnt});
    Allow(t.ListDir("/t/instances/b"), {Errno::kNoEnt});
  }));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  threads.clear();
  for (const char* name : {"a", "b", "c"}) {
    Allow(Rmdir(std::string("instances/") + name), {Errno::kNoEnt});
  }
  EXPECT_EQ(registry().stats().instances.Value(), 1);
  EXPECT_EQ(registry().stats().enabled.Value(), 0);
}

// Bug E2: nodes must not point at what is evicted.
TEST_F(TracefsRace, EvictionVersusLookupAndRemovalOfEvents) {
  std::vector<std::unique_ptr<vfs::Task>> tasks;  // outlive the threads
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) tasks.push_back(TaskOf(vfs::Creds::Root()));
  threads.push_back(Loop([&t = *tasks[0]](int) {
    Allow(t.Stat("/t/events/churn/event/enable"), {Errno::kNoEnt});
    Allow(t.ReadFile("/t/events/churn/event/format"), {Errno::kNoEnt, Errno::kNoDev});
  }));
  threads.push_back(Loop([this](int) { vfs().DropCaches(); }));
  threads.push_back(Loop([&t = *tasks[1]](int) {
    Allow(t.ListDir("/t/events/churn"), {Errno::kNoEnt});
    Allow(t.ListDir("/t/events"), {});
  }));
  for (int round = 0; round < 300; ++round) {
    Add("churn", "event");
    Stat("events/churn/event");
    RemoveEvent("churn", "event");
    ASSERT_THAT(Stat("events/churn"), FailsWith(Errno::kNoEnt));
  }
}

// Bugs E7 and E16: what is there throughout is listed exactly once.
TEST_F(TracefsRace, ListingWhileEventsComeAndGoSeesEachStableOneOnce) {
  for (int i = 0; i < 50; ++i) {
    Add("stable", "s" + std::to_string(i));
    Add("stable", "x" + std::to_string(i));
  }
  const auto lister = TaskOf(vfs::Creds::Root());
  std::jthread listing = Loop([&](int) {
    const auto entries = lister->ListDir("/t/events/stable");
    ASSERT_OK(entries);
    std::multiset<std::string> seen;
    for (const vfs::DirEntry& entry : *entries) seen.insert(entry.name);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(seen.count("s" + std::to_string(i)), 1u);
  });
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) RemoveEvent("stable", "x" + std::to_string(i));
    for (int i = 0; i < 50; ++i) Add("stable", "x" + std::to_string(i));
  }
}

// Bug E13: the last remount wins everywhere.
TEST_F(TracefsRace, RemountVersusChownVersusEventsLeavesTheLastOwner) {
  const auto owner = TaskOf(vfs::Creds::Root());
  {
    const std::jthread chown = Loop([&](int round) {
      Allow(owner->Chown("/t/events/churn/event/enable", round % 7, round % 5),
            {Errno::kNoEnt, Errno::kNoDev});
      Allow(owner->Chown("/t/events/sched", round % 7, std::nullopt), {});
    });
    const std::jthread churn = Loop([&](int) {
      Add("churn", "event");
      RemoveEvent("churn", "event");
    });
    for (int round = 0; round < 300; ++round) {
      ASSERT_OK(task().Remount("/t", "uid=" + std::to_string(round)));
    }
  }
  ASSERT_OK(task().Remount("/t", "uid=77,gid=78"));
  EXPECT_EQ(Stat("events/sched")->uid, 77u);
  EXPECT_EQ(Stat("events/sched/switch/id")->gid, 78u);
}

}  // namespace
}  // namespace dentree::tracefs
