// Life and death: each test is named after the race it plays.

#include <chrono>
#include <latch>

#include "absl/strings/str_cat.h"
#include "tests/kernfs/kernfs_test.h"

namespace dentree::kernfs {
namespace {

using base::Errno;
using vfs::Whence;

// Long enough for a thread that could go on to have done so.
void Linger() { std::this_thread::sleep_for(std::chrono::milliseconds(30)); }

// A thread that runs `action`, and has had time to get to where it has to wait.
template <class Action>
std::jthread Begin(Action action) {
  auto begun = std::make_shared<std::latch>(1);
  std::jthread thread([begun, action] {
    begun->count_down();
    action();
  });
  begun->wait();
  Linger();
  return thread;
}

class Race : public KernfsTest {
 protected:
  void SetUp() override {
    KernfsTest::SetUp();
    sched_ = registry().Add("sched");
    switch_ = registry().Add("sched_switch", sched_);
    MakeInstance("a");
  }
  // What every operation of a removed file must answer.
  void ExpectDead(int fd) {
    char c[4];
    EXPECT_THAT(task().Read(fd, Bytes(c)), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Pread(fd, Bytes(c), 1), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Lseek(fd, 0, Whence::kSet), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Ioctl(fd, 1, 1), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Fchmod(fd, 0600), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Poll(fd), Holds(testing::Truly([](auto events) { return events & 0x8; })));
    EXPECT_EQ(task().Fstat(fd).value().nlink, 0u);
  }

  uint64_t sched_ = 0, switch_ = 0;
  const std::string format_ = "/k/events/sched/sched_switch/format";
  const std::string deep_ = "/k/instances/a/events/sched/sched_switch/format";
};

// --- held files ---

// E20, T9: files held over the removal of what they are about.
TEST_F(Race, HeldFilesOfARemovedInstanceAnswerEnodevWhateverTheyAre) {
  std::vector<int> fds;
  for (const char* name : {"README", "value", "pipe", "events/enable", "events/sched/enable",
                           "events/sched/sched_switch/id", "events/sched/sched_switch/format"}) {
    const std::string path = absl::StrCat("/k/instances/a/", name);
    fds.push_back(task().Open(path, O_RDONLY | O_NONBLOCK).value());
    char c[1];
    static_cast<void>(task().Pread(fds.back(), Bytes(c), 0));
  }
  const int writer = task().Open("/k/instances/a/value", O_WRONLY).value();
  RemoveInstance("a");
  for (const int fd : fds) ExpectDead(fd);
  EXPECT_THAT(task().Write(writer, "1"), FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Ftruncate(writer, 0), FailsWith(Errno::kNoDev));
  for (const int fd : fds) EXPECT_THAT(task().Close(fd), IsOk());
}

TEST_F(Race, HeldFilesOfARemovedEventAnswerEnodevInEveryInstance) {
  MakeInstance("b");
  std::vector<int> fds;
  for (const char* at : {"/k", "/k/instances/a", "/k/instances/b"}) {
    for (const char* name : {"enable", "id", "format"}) {
      fds.push_back(
          task().Open(absl::StrCat(at, "/events/sched/sched_switch/", name), O_RDONLY).value());
      EXPECT_FALSE(ReadAll(task(), fds.back()).empty());
    }
  }
  const uint64_t other = registry().Add("sched_wakeup", sched_);
  const int alive = task().Open("/k/events/sched/sched_wakeup/format", O_RDONLY).value();
  RemoveEvent(switch_);
  for (const int fd : fds) ExpectDead(fd);
  EXPECT_EQ(ReadAll(task(), alive), absl::StrCat("sched_wakeup ", other, "\n"));
  EXPECT_THAT(task().Stat(format_), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat(deep_), FailsWith(Errno::kNoEnt));
}

// K11: release called twice, or never.
TEST_F(Race, ReleaseHappensOnceAtCloseOrAtRemoval) {
  Node& dir = *root()
                   .CreateDir(root().top(), {.name = "d", .permissions = 0755, .priv = &top()},
                              kInstanceType)
                   .value();
  const int closed = task().Open("/k/d/value", O_RDONLY).value();
  const int held = task().Open("/k/d/value", O_RDONLY).value();
  ASSERT_THAT(task().Close(closed), IsOk());
  EXPECT_EQ(top().releases, 1);
  root().Remove(dir);
  EXPECT_EQ(top().releases, 2) << "at removal, not at close";
  ASSERT_THAT(task().Close(held), IsOk());
  EXPECT_EQ(top().releases, 2);
  EXPECT_EQ(top().opens, 2);
}

// T7: getcwd in a removed tree printed a path that looked alive.
TEST_F(Race, WorkingDirectoryInARemovedInstanceHasNoPath) {
  ASSERT_THAT(task().Chdir("/k/instances/a/events/sched"), IsOk());
  EXPECT_EQ(task().Getcwd().value(), "/k/instances/a/events/sched");
  ASSERT_THAT(task().Rmdir("/k/instances/a"), IsOk()) << "a working directory does not pin";
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("enable"), FailsWith(Errno::kNoEnt));
  ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  EXPECT_THAT(task().Stat("enable"), FailsWith(Errno::kNoEnt)) << "the new one is another";
}

TEST_F(Race, AFileOfARemovedThingCannotBeOpenedThroughWhatIsHeld) {
  const int dir = task().Open("/k/events/sched/sched_switch", O_RDONLY | O_DIRECTORY).value();
  RemoveEvent(switch_);
  EXPECT_THAT(task().OpenAt(dir, "format", O_RDONLY), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().OpenAt(dir, ".", O_RDONLY), FailsWith(Errno::kNoEnt));
}

// --- operations under way ---

TEST_F(Race, ReadStoppedInsideAnOperationVersusRemovalOfTheInstance) {
  const int fd = task().Open(deep_, O_RDONLY).value();
  sync().Stop("test:event:show");
  char c[64];
  std::jthread reader([&] { EXPECT_THAT(task().Read(fd, Bytes(c)), IsOk()); });
  ASSERT_THAT(sync().WaitFor("test:event:show"), IsOk());
  std::atomic<bool> removed{false};
  std::jthread remover = Begin([&] {
    RemoveInstance("a");  // frees what the operation uses
    removed = true;
  });
  EXPECT_FALSE(removed) << "the removal did not wait for the operation";
  // Meanwhile nothing new starts.
  EXPECT_THAT(task().Stat("/k/instances/a"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Open(deep_, O_RDONLY), FailsWith(Errno::kNoEnt));
  sync().Release("test:event:show");
  remover.join();
  reader.join();
  ExpectDead(fd);
}

TEST_F(Race, ReadStoppedInsideAnOperationVersusRemovalOfTheEvent) {
  const int fd = task().Open(deep_, O_RDONLY).value();
  sync().Stop("test:event:show");
  char c[64];
  std::jthread reader([&] { EXPECT_THAT(task().Read(fd, Bytes(c)), IsOk()); });
  ASSERT_THAT(sync().WaitFor("test:event:show"), IsOk());
  std::atomic<bool> removed{false};
  std::jthread remover = Begin([&] {
    RemoveEvent(switch_);  // expects that no operation runs, and frees the event
    removed = true;
  });
  EXPECT_FALSE(removed);
  // An operation on another event of the instance, or this one's name elsewhere, is no obstacle.
  registry().Add("other", sched_);
  EXPECT_THAT(task().ReadFile("/k/instances/a/events/sched/other/enable"), IsOk());
  sync().Release("test:event:show");
  remover.join();
  reader.join();
  ExpectDead(fd);
}

TEST_F(Race, OpenStoppedInsideVersusRemoval) {
  sync().Stop("kernfs:open:active");
  Result<int> fd = 0;
  std::jthread opener([&] { fd = task().Open("/k/instances/a/value", O_RDONLY); });
  ASSERT_THAT(sync().WaitFor("kernfs:open:active"), IsOk());
  std::atomic<bool> removed{false};
  std::jthread remover = Begin([&] {
    RemoveInstance("a");
    removed = true;
  });
  EXPECT_FALSE(removed);
  sync().Release("kernfs:open:active");
  opener.join();
  remover.join();
  ASSERT_THAT(fd, IsOk()) << "it had begun before";
  ExpectDead(*fd);
}

TEST_F(Race, LookupThatFoundAnEventVersusItsRemoval) {
  for (const char* point : {"kernfs:lookup:found", "kernfs:lookup:published"}) {
    const uint64_t id = registry().Add("short", sched_);
    ASSERT_THAT(task().Stat("/k/events/sched"), IsOk());
    sync().Stop(point);
    Result<vfs::Stat> stat = base::Err(Errno::kIo);
    std::jthread looker([&] {
      auto mine = TaskOf(vfs::Creds::Root());
      stat = mine->Stat("/k/events/sched/short");
    });
    ASSERT_THAT(sync().WaitFor(point), IsOk());
    std::jthread remover = Begin([&] { RemoveEvent(id); });
    sync().Release(point);
    looker.join();
    remover.join();
    EXPECT_THAT(stat, FailsWith(Errno::kNoEnt)) << point;
    EXPECT_THAT(task().Stat("/k/events/sched/short"), FailsWith(Errno::kNoEnt)) << point;
  }
}

TEST_F(Race, LookupThatFindsAHeldFileAgainVersusItsRemoval) {
  const std::string id = "/k/events/sched/sched_switch/id";
  const int fd = task().Open(id, O_RDONLY).value();
  root().PresenceChanged(ObjectOf(switch_));  // so that the next walk asks kernfs
  sync().Stop("kernfs:lookup:found");
  Result<vfs::Stat> stat = base::Err(Errno::kIo);
  std::jthread looker([&] { stat = task().Stat(id); });
  ASSERT_THAT(sync().WaitFor("kernfs:lookup:found"), IsOk());
  std::jthread remover = Begin([&] { RemoveEvent(switch_); });
  sync().Release("kernfs:lookup:found");
  looker.join();
  remover.join();
  EXPECT_THAT(stat, FailsWith(Errno::kNoEnt));
  ExpectDead(fd);
}

TEST_F(Race, LookupThatFoundANodeVersusItsRemoval) {
  sync().Stop("kernfs:lookup:found");
  Result<vfs::Stat> stat = base::Err(Errno::kIo);
  std::jthread looker([&] { stat = task().Stat("/k/instances"); });
  ASSERT_THAT(sync().WaitFor("kernfs:lookup:found"), IsOk());
  sync().Release("kernfs:lookup:found");
  looker.join();
  EXPECT_THAT(stat, IsOk());
  sync().Stop("kernfs:lookup:found");
  std::jthread again([&] { stat = task().Stat("/k/instances/a"); });
  ASSERT_THAT(sync().WaitFor("kernfs:lookup:found"), IsOk());
  RemoveInstance("a");
  sync().Release("kernfs:lookup:found");
  again.join();
  EXPECT_THAT(stat, FailsWith(Errno::kNoEnt));
}

// Rule: an operation that sleeps holds no removal up, and is woken by it. K12.
TEST_F(Race, WaitingReadersVersusRemoval) {
  std::latch opened(4);
  std::vector<std::jthread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([this, &opened] {
      auto mine = TaskOf(vfs::Creds::Root());
      const int fd = mine->Open("/k/instances/a/pipe", O_RDONLY).value();
      opened.count_down();
      char c[1];
      EXPECT_THAT(mine->Read(fd, Bytes(c)), FailsWith(Errno::kNoDev));
      EXPECT_THAT(mine->Read(fd, Bytes(c)), FailsWith(Errno::kNoDev));
    });
  }
  opened.wait();
  Linger();
  RemoveInstance("a");
  readers.clear();
}

TEST_F(Race, CloseVersusRemovalReleasesOnce) {
  for (int round = 0; round < 200; ++round) {
    top().opens = top().releases = 0;
    const NodeRef dir =
        root()
            .CreateDir(root().top(), {.name = "d", .permissions = 0755, .priv = &top()},
                       kInstanceType)
            .value();
    std::vector<int> fds;
    for (int i = 0; i < 4; ++i) fds.push_back(task().Open("/k/d/value", O_RDONLY).value());
    std::jthread closer([&] {
      for (const int fd : fds) EXPECT_THAT(task().Close(fd), IsOk());
    });
    root().Remove(*dir);
    // Nobody runs client code any more, though not every descriptor may be closed yet.
    const int released = top().releases;
    closer.join();
    EXPECT_EQ(released, 4);
    EXPECT_EQ(top().releases, 4);
  }
}

TEST_F(Race, ReleaseStoppedInsideVersusRemoval) {
  const int fd = task().Open("/k/instances/a/value", O_RDONLY).value();
  sync().Stop("kernfs:release");
  std::jthread closer([&] { EXPECT_THAT(task().Close(fd), IsOk()); });
  ASSERT_THAT(sync().WaitFor("kernfs:release"), IsOk());
  std::atomic<bool> removed{false};
  std::jthread remover = Begin([&] {
    RemoveInstance("a");
    removed = true;
  });
  EXPECT_FALSE(removed) << "the instance would be freed under its release";
  sync().Release("kernfs:release");
  remover.join();
  closer.join();
}

// --- removers ---

// K3: two removers of one name.
TEST_F(Race, ConcurrentRemoversOfOneNodeAllReturnWhenItIsGone) {
  for (int round = 0; round < 50; ++round) {
    const NodeRef dir =
        root()
            .CreateDir(root().top(), {.name = "d", .permissions = 0755, .priv = &top()},
                       kInstanceType)
            .value();
    ASSERT_THAT(root().CreateDir(*dir, {.name = "below", .permissions = 0755}, kPlainType), IsOk());
    top().opens = top().releases = 0;
    const int fd = task().Open("/k/d/value", O_RDONLY).value();
    std::vector<std::jthread> removers;
    for (int i = 0; i < 8; ++i) {
      removers.emplace_back([&] {
        root().Remove(*dir);
        EXPECT_EQ(top().releases, 1);
        EXPECT_THAT(task().Stat("/k/d"), FailsWith(Errno::kNoEnt));
      });
    }
    removers.clear();
    ASSERT_THAT(task().Close(fd), IsOk());
    EXPECT_EQ(root().Find(root().top(), "d"), nullptr);
  }
}

TEST_F(Race, RemoversAndCreatorsOfOneNameByEight) {
  std::atomic<int> created{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      auto mine = TaskOf(vfs::Creds::Root());
      for (int n = 0; n < 200; ++n) {
        auto made =
            root().CreateDir(instances(), {.name = "same", .permissions = 0755}, kPlainType);
        if (made) {
          ++created;
        } else {
          EXPECT_EQ(made.error(), Errno::kExist);
        }
        const auto stat = mine->Stat("/k/instances/same");
        EXPECT_TRUE(stat || stat.error() == Errno::kNoEnt);
        if (const NodeRef node = root().Find(instances(), "same")) root().Remove(*node);
      }
    });
  }
  threads.clear();
  EXPECT_GT(created, 0);
  EXPECT_EQ(root().Find(instances(), "same"), nullptr);
  EXPECT_THAT(Names("/k/instances"), testing::ElementsAre("a"));
}

// K8: a node that removes itself; of many who ask exactly one has done it.
TEST_F(Race, RemoveSelfByEightWritersIsDoneByOne) {
  for (int round = 0; round < 20; ++round) {
    top().self_removals = 0;
    ASSERT_THAT(root().CreateDir(root().top(), {.name = "d", .permissions = 0755, .priv = &top()},
                                 kInstanceType),
                IsOk());
    sync().Stop("test:delete", base::SyncPoints::Who::kAll);
    std::vector<std::jthread> writers;
    for (int i = 0; i < 8; ++i) {
      writers.emplace_back([this] {
        auto mine = TaskOf(vfs::Creds::Root());
        EXPECT_THAT(mine->WriteFile("/k/d/delete", "1", 0), IsOk());
        EXPECT_THAT(mine->Stat("/k/d"), FailsWith(Errno::kNoEnt));
      });
    }
    ASSERT_THAT(sync().WaitFor("test:delete", 8), IsOk());
    sync().Release("test:delete");
    writers.clear();
    EXPECT_EQ(top().self_removals, 1);
  }
}

// --- mkdir, rmdir and everybody ---

// T1: mkdir with its directory unlocked: two winners, or a name that was not there a moment later.
TEST_F(Race, MkdirVersusMkdirHasOneWinner) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> won{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        auto mine = TaskOf(vfs::Creds::Root());
        const auto made = mine->Mkdir("/k/instances/new", 0755);
        if (made) ++won;
        EXPECT_TRUE(made || made.error() == Errno::kExist);
        EXPECT_THAT(mine->Stat("/k/instances/new/events/sched"), IsOk());
      });
    }
    threads.clear();
    EXPECT_EQ(won, 1);
    ASSERT_THAT(task().Rmdir("/k/instances/new"), IsOk());
  }
}

// E25, and the table of section 2.4: what each call may answer while instances come and go.
TEST_F(Race, OpenReadListMkdirAndRmdirOfOneInstance) {
  std::atomic<bool> stop{false};
  const auto among = [](const auto& result, std::initializer_list<Errno> allowed) {
    if (result) return;
    EXPECT_TRUE(std::ranges::find(allowed, result.error()) != allowed.end())
        << base::ErrnoName(result.error());
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      auto mine = TaskOf(vfs::Creds::Root());
      while (!stop) {
        among(mine->Mkdir("/k/instances/x", 0755), {Errno::kExist});
        among(mine->Rmdir("/k/instances/x"), {Errno::kNoEnt});
      }
    });
    threads.emplace_back([&] {
      auto mine = TaskOf(vfs::Creds::Root());
      while (!stop) {
        among(mine->ReadFile("/k/instances/x/events/sched/sched_switch/format"),
              {Errno::kNoEnt, Errno::kNoDev});
        among(mine->WriteFile("/k/instances/x/value", "3", 0), {Errno::kNoEnt, Errno::kNoDev});
        among(mine->ListDir("/k/instances/x/events/sched"), {Errno::kNoEnt});
        among(mine->ListDir("/k/instances"), {});
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) vfs().DropCaches();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  stop = true;
  threads.clear();
  static_cast<void>(task().Rmdir("/k/instances/x"));
}

// E2, E16, E17, E20: events come and go under lookups, listings, reads and eviction.
TEST_F(Race, EventsComeAndGoUnderEverybody) {
  MakeInstance("b");
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (const char* at : {"/k", "/k/instances/a", "/k/instances/b"}) {
    threads.emplace_back([&, at] {
      auto mine = TaskOf(vfs::Creds::Root());
      const std::string dir = absl::StrCat(at, "/events/sched");
      while (!stop) {
        for (int i = 0; i < 4; ++i) {
          const auto text = mine->ReadFile(absl::StrCat(dir, "/ev", i, "/format"));
          if (!text) {
            EXPECT_TRUE(text.error() == Errno::kNoEnt || text.error() == Errno::kNoDev);
          }
        }
        EXPECT_THAT(mine->ListDir(dir), IsOk());
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) vfs().DropCaches();
  });
  std::vector<uint64_t> live(4);
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 4; ++i) {
      if (live[i] != 0) RemoveEvent(live[i]);
      live[i] = registry().Add(absl::StrCat("ev", i), sched_);
    }
  }
  stop = true;
  threads.clear();
}

}  // namespace
}  // namespace dentree::kernfs
