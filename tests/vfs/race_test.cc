// Races, each with its name. The first part stops threads at sync points to force one order; the
// second lets them run and checks what must hold whatever the order was.

#include <atomic>
#include <future>
#include <thread>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::HoldsTree;
using fixture::RemoteFs;
using fixture::Text;

class Race : public fixture::VfsTest {
 protected:
  Race() { vfs().RegisterType(remote_.Type()); }

  void MountRemote(std::string_view options = "") {
    ASSERT_OK(task().Mkdir("/r", 0755));
    ASSERT_OK(task().Mount("server", "/r", "remote", options));
  }

  // Runs `operation` with a task of its own; it is expected to wait for something.
  template <class Operation>
  auto Async(Operation operation) {
    return std::async(std::launch::async, [this, operation] {
      Task own(vfs(), Creds::Root());
      return operation(own);
    });
  }

  // The thread of `operation` stands at `point` when this returns.
  template <class Operation>
  auto AsyncUntil(const char* point, Operation operation) {
    sync().Stop(point);
    auto future = Async(operation);
    EXPECT_OK(sync().WaitFor(point));
    return future;
  }

  // `fn(task, i)` in `count` threads, started together.
  template <class Fn>
  void InThreads(int count, Fn fn) {
    std::atomic<bool> go{false};
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        Task own(vfs(), Creds::Root());
        while (!go.load()) std::this_thread::yield();
        fn(own, i);
      });
    }
    go.store(true);
  }

  RemoteFs remote_;
};

// Long enough for a thread that does not have to wait.
bool Waits(const auto& future) {
  return future.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout;
}

// --- one order, forced ---------------------------------------------------------------------------

TEST_F(Race, ARenameUnderWayIsNotTakenForAChangeBehindOurBack) {
  remote_.Make({Text("/d/f", "1")});
  MountRemote("revalidate");
  ASSERT_OK(task().Chdir("/r/d"));
  auto renaming =
      AsyncUntil("ops:rename:done", [](Task& own) { return own.Rename("/r/d", "/r/e"); });
  auto looking = Async([](Task& own) { return own.Stat("/r/d"); });
  EXPECT_TRUE(Waits(looking)) << "the remote has the new name already, the cache has not";
  sync().Release("ops:rename:done");
  EXPECT_OK(renaming.get());
  EXPECT_THAT(looking.get(), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Getcwd(), Holds("/r/e"));
  vfs().CheckInvariants();
  ASSERT_OK(task().Chdir("/"));
}

// Both dentries have the name for a moment: a walker finds the one or the other and never nothing.
TEST_F(Race, AWalkVersusARenameWithWhiteoutFindsTheFileOrTheWhiteout) {
  fs().Make({Text("/old", "x")});
  auto renaming = AsyncUntil("ops:rename:whiteout",
                             [](Task& own) { return own.Rename("/old", "/new", kRenameWhiteout); });
  for (int i = 0; i < 2; ++i) {
    const auto met = task().Lstat("/old");
    ASSERT_OK(met);
    EXPECT_TRUE(IsRegular(met->mode) || (TypeOf(met->mode) == FileType::kChar && met->rdev == 0))
        << met->mode;
  }
  EXPECT_THAT(task().Lstat("/new"), FailsWith(Errno::kNoEnt)) << "it has not moved yet";
  sync().Release("ops:rename:whiteout");
  EXPECT_OK(renaming.get());
  const auto moved = task().Lstat("/new");
  ASSERT_OK(moved);
  EXPECT_TRUE(IsRegular(moved->mode));
  const auto left = task().Lstat("/old");
  ASSERT_OK(left);
  EXPECT_TRUE(TypeOf(left->mode) == FileType::kChar);
  vfs().CheckInvariants();
}

TEST_F(Race, CreateVersusCreateHasOneWinner) {
  auto first = AsyncUntil("ops:create:checked", [](Task& t) { return t.Mkdir("/x", 0755); });
  auto second = Async([](Task& t) { return t.Mkdir("/x", 0700); });
  EXPECT_TRUE(Waits(second));
  sync().Release("ops:create:checked");
  EXPECT_OK(first.get());
  EXPECT_THAT(second.get(), FailsWith(Errno::kExist));
  EXPECT_THAT(fs(), HoldsTree({Dir("/x", 0755)}));
}

// An eviction that has seen the parent of its dentry is overtaken by two renames that put the
// parent below the dentry, and by one who locks them in their new order.
TEST_F(Race, AnEvictionVersusRenamesThatTurnTheTreeOverDoesNotWaitForWhoWaitsForIt) {
  remote_.Make({Text("/p/d/f", "1")});
  MountRemote();
  ASSERT_OK(task().Unlink("/r/p/d/f"));
  ASSERT_OK(task().Stat("/r/p/d"));
  sync().Stop("dcache:lock:seen", base::SyncPoints::Who::kAll);
  auto evicting = Async([](Task& own) { return own.vfs().DropCaches(), true; });
  ASSERT_OK(sync().WaitFor("dcache:lock:seen"));
  ASSERT_OK(task().Rename("/r/p/d", "/r/d"));
  ASSERT_OK(task().Rename("/r/p", "/r/d/p"));
  auto removing = Async([](Task& own) { return own.Rmdir("/r/d/p"); });
  ASSERT_OK(sync().WaitFor("dcache:lock:seen", 2));
  sync().Stop("dcache:lock:parent");
  sync().Release("dcache:lock:seen");
  ASSERT_OK(sync().WaitFor("dcache:lock:parent"));
  EXPECT_TRUE(Waits(removing) || Waits(evicting)) << "the one who does not stand there";
  sync().Release("dcache:lock:parent");
  EXPECT_OK(removing.get());
  EXPECT_TRUE(evicting.get());
  vfs().CheckInvariants();
}

TEST_F(Race, LookupVersusUnlinkSeesTheNameOrDoesNot) {
  fs().Make({Text("/f", "x")});
  auto unlink = AsyncUntil("ops:unlink:done", [](Task& t) { return t.Unlink("/f"); });
  auto stat = Async([](Task& t) { return t.Stat("/f"); });
  sync().Release("ops:unlink:done");
  EXPECT_OK(unlink.get());
  const auto seen = stat.get();
  if (!seen) {
    EXPECT_THAT(seen, FailsWith(Errno::kNoEnt));
  }
  EXPECT_THAT(task().Stat("/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(Race, OpenVersusUnlinkKeepsTheFile) {
  fs().Make({Text("/f", "x")});
  auto open = AsyncUntil("ops:open:checked", [](Task& t) -> Result<Stat> {
    const int fd = TRY(t.Open("/f", O_RDONLY));
    return t.Fstat(fd);
  });
  EXPECT_OK(task().Unlink("/f"));
  sync().Release("ops:open:checked");
  const auto stat = open.get();
  ASSERT_OK(stat);
  EXPECT_EQ(stat->nlink, 0u);
}

TEST_F(Race, WalkVersusRenameFindsTheNewName) {
  fs().Make({Dir("/a"), Text("/a/f", "x"), Dir("/b")});
  auto rename =
      AsyncUntil("dcache:move:unlisted", [](Task& t) { return t.Rename("/a/f", "/b/g"); });
  auto old_name = Async([](Task& t) { return t.Stat("/a/f"); });
  auto new_name = Async([](Task& t) { return t.Stat("/b/g"); });
  EXPECT_TRUE(Waits(old_name));
  EXPECT_TRUE(Waits(new_name));
  sync().Release("dcache:move:unlisted");
  EXPECT_OK(rename.get());
  EXPECT_THAT(old_name.get(), FailsWith(Errno::kNoEnt));
  EXPECT_OK(new_name.get());
}

TEST_F(Race, CreateInsideVersusRmdirIsTooLate) {
  fs().Make({Dir("/d")});
  auto rmdir = AsyncUntil("ops:rmdir:locked", [](Task& t) { return t.Rmdir("/d"); });
  auto create = Async([](Task& t) { return t.WriteFile("/d/f", "x"); });
  EXPECT_TRUE(Waits(create));
  sync().Release("ops:rmdir:locked");
  EXPECT_OK(rmdir.get());
  EXPECT_THAT(create.get(), FailsWith(Errno::kNoEnt));
}

TEST_F(Race, RmdirVersusCreateInsideFindsItNotEmpty) {
  fs().Make({Dir("/d")});
  auto create = AsyncUntil("ops:create:checked", [](Task& t) { return t.Mkdir("/d/e", 0755); });
  auto rmdir = Async([](Task& t) { return t.Rmdir("/d"); });
  EXPECT_TRUE(Waits(rmdir));
  sync().Release("ops:create:checked");
  EXPECT_OK(create.get());
  EXPECT_THAT(rmdir.get(), FailsWith(Errno::kNotEmpty));
}

TEST_F(Race, UmountVersusOpenIsBusy) {
  fs().Make({Dir("/m")});
  ASSERT_OK(task().Mount("none", "/m", "ramfs", ""));
  fs().Make({Text("/m/f", "x")});
  auto open = AsyncUntil("ops:open:checked", [](Task& t) { return t.ReadFile("/m/f"); });
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy));
  sync().Release("ops:open:checked");
  EXPECT_THAT(open.get(), Holds("x"));
  EXPECT_OK(task().Umount("/m"));
}

TEST_F(Race, ColdLookupsOfOneNameAskTheFileSystemOnce) {
  remote_.Make({Text("/f", "x")});
  MountRemote();
  auto first = AsyncUntil("remote:lookup", [](Task& t) { return t.Stat("/r/f"); });
  std::vector<std::future<Result<Stat>>> others;
  for (int i = 0; i < 4; ++i) others.push_back(Async([](Task& t) { return t.Stat("/r/f"); }));
  EXPECT_TRUE(Waits(others[0]));
  sync().Release("remote:lookup");
  EXPECT_OK(first.get());
  for (auto& other : others) EXPECT_OK(other.get());
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup, "/f"), 1u);
}

TEST_F(Race, ColdMissesOfOneNameAskTheFileSystemOnce) {
  MountRemote();
  auto first = AsyncUntil("remote:lookup", [](Task& t) { return t.Stat("/r/nope"); });
  auto other = Async([](Task& t) { return t.Stat("/r/nope"); });
  EXPECT_TRUE(Waits(other));
  sync().Release("remote:lookup");
  EXPECT_THAT(first.get(), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(other.get(), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup, "/nope"), 1u);
}

TEST_F(Race, AMissThatIsAnsweredWhileTheNameIsCreatedDoesNotHideIt) {
  MountRemote();
  auto miss = AsyncUntil("remote:lookup:answered", [](Task& t) { return t.Stat("/r/f"); });
  auto create = Async([](Task& t) { return t.WriteFile("/r/f", "x"); });
  sync().Release("remote:lookup:answered");
  EXPECT_THAT(miss.get(), FailsWith(Errno::kNoEnt));
  EXPECT_OK(create.get());
  EXPECT_OK(task().Stat("/r/f"));
}

TEST_F(Race, TwoNamesOfOneObjectLookedUpAtOnceShareItsInode) {
  remote_.Make({Dir("/a"), Dir("/b"), Text("/a/f", "x")});
  MountRemote();
  ASSERT_OK(task().Link("/r/a/f", "/r/b/f"));
  DropCaches();
  EXPECT_OK(task().Stat("/r/a"));
  EXPECT_OK(task().Stat("/r/b"));
  const auto resolve = [](const char* path) { return [path](Task& t) { return t.Resolve(path); }; };
  auto first = AsyncUntil("icache:get:made", resolve("/r/a/f"));
  ASSERT_OK_AND_ASSIGN(const Path second, task().Resolve("/r/b/f"));
  sync().Release("icache:get:made");
  ASSERT_OK_AND_ASSIGN(const Path other, first.get());
  EXPECT_EQ(&second.inode(), &other.inode());
}

TEST_F(Race, LookupVersusTheLastPutKeepsTheDentry) {
  remote_.Make({Text("/f", "x")});
  MountRemote();
  auto put = AsyncUntil("dcache:put:last", [](Task& t) { return t.Stat("/r/f"); });
  EXPECT_OK(task().Stat("/r/f"));
  sync().Release("dcache:put:last");
  EXPECT_OK(put.get());
  remote_.ForgetAsked();
  EXPECT_OK(task().Stat("/r/f"));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), 0u);
  vfs().CheckInvariants();
}

TEST_F(Race, RevivalVersusEvictionKeepsTheDentry) {
  remote_.Make({Text("/f", "x")});
  MountRemote();
  EXPECT_OK(task().Stat("/r/f"));
  SuperBlock& sb = task().Resolve("/r")->mount->sb();
  auto shrink =
      AsyncUntil("dcache:evict:unlocked", [&](Task& t) { return t.vfs().dcache().Shrink(sb, 10); });
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/r/f", O_RDONLY));
  sync().Release("dcache:evict:unlocked");
  const mm::ScanResult result = shrink.get();
  EXPECT_EQ(result.freed, 0u);
  EXPECT_EQ(result.kept.busy, 1u);
  remote_.ForgetAsked();
  EXPECT_OK(task().Stat("/r/f"));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), 0u);
  ASSERT_OK(task().Close(fd));
  vfs().CheckInvariants();
}

TEST_F(Race, RevivalAndReleaseVersusEvictionLosesNothing) {
  // Revived and let go again while reclaim stands between isolating and ending it.
  remote_.Make({Text("/f", "x")});
  MountRemote();
  EXPECT_OK(task().Stat("/r/f"));
  SuperBlock& sb = task().Resolve("/r")->mount->sb();
  auto shrink =
      AsyncUntil("dcache:evict:unlocked", [&](Task& t) { return t.vfs().dcache().Shrink(sb, 10); });
  EXPECT_OK(task().Stat("/r/f"));
  sync().Release("dcache:evict:unlocked");
  shrink.get();
  vfs().CheckInvariants();
  EXPECT_OK(task().Stat("/r/f"));
}

TEST_F(Race, RevivalVersusEvictionKeepsTheInode) {
  remote_.Make({Text("/f", "x")});
  MountRemote();
  EXPECT_OK(task().Stat("/r/f"));
  SuperBlock& sb = task().Resolve("/r")->mount->sb();
  while (vfs().dcache().Shrink(sb, 10).freed > 0) {
  }
  const uint64_t created = vfs().icache().stats().Sum<&InodeStats::created>();
  auto shrink =
      AsyncUntil("icache:evict:unlocked", [&](Task& t) { return t.vfs().icache().Shrink(sb, 10); });
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/r/f", O_RDONLY));
  sync().Release("icache:evict:unlocked");
  EXPECT_EQ(shrink.get().freed, 0u);
  EXPECT_EQ(vfs().icache().stats().Sum<&InodeStats::created>(), created);
  EXPECT_OK(task().Fstat(fd));
  vfs().CheckInvariants();
}

TEST_F(Race, UnlinkVersusTheLastPutFreesTheFileOnce) {
  fs().Make({Text("/f", "x")});
  auto put = AsyncUntil("dcache:put:last", [](Task& t) { return t.Unlink("/f"); });
  sync().Release("dcache:put:last");
  EXPECT_OK(put.get());
  fs().Make({Text("/f", "y")});
  EXPECT_THAT(fs().Read("/f"), Holds("y"));
}

// --- any order
// -------------------------------------------------------------------------------------

// Rounds that keep a run short under a sanitizer.
constexpr int kRounds = 2000;
constexpr int kThreads = 4;

TEST_F(Race, OfManyCreatorsOfOneNameOneWins) {
  for (int round = 0; round < 50; ++round) {
    const std::string path = absl::StrFormat("/f%d", round);
    std::atomic<int> winners{0};
    InThreads(kThreads, [&](Task& t, int) {
      const auto fd = t.Open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
      if (fd) {
        ++winners;
      } else {
        EXPECT_THAT(fd, FailsWith(Errno::kExist));
      }
    });
    EXPECT_EQ(winners, 1);
  }
  EXPECT_EQ(fs().Names("/")->size(), 50u);
}

TEST_F(Race, OfManyRemoversOfOneNameOneWins) {
  for (int round = 0; round < 50; ++round) {
    fs().Make({Text("/f", "")});
    std::atomic<int> winners{0};
    InThreads(kThreads, [&](Task& t, int i) {
      const Status done = i % 2 == 0 ? t.Unlink("/f") : t.Rename("/f", absl::StrFormat("/g%d", i));
      if (done) {
        ++winners;
      } else {
        EXPECT_THAT(done, FailsWith(Errno::kNoEnt));
      }
    });
    EXPECT_EQ(winners, 1);
  }
}

TEST_F(Race, ReplacingAFileNeverLeavesItsNameMissingOrTorn) {
  fs().Make({Text("/f", "00000000")});
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int round = 0; round < kRounds / 4; ++round) {
        EXPECT_OK(t.WriteFile("/f.new", absl::StrFormat("%08d", round)));
        EXPECT_OK(t.Rename("/f.new", "/f"));
      }
      done = true;
    }
    while (!done) {
      const auto text = t.ReadFile("/f");
      ASSERT_OK(text);
      EXPECT_EQ(text->size(), 8u);
    }
  });
}

TEST_F(Race, ExchangingTwoDirectoriesNeverLeavesANameMissing) {
  fs().Make({Text("/a/x/f", "1"), Text("/b/y/f", "1")});
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int round = 0; round < kRounds; ++round) {
        EXPECT_OK(t.Rename("/a/x", "/b/y", kRenameExchange));
      }
      done = true;
    }
    while (!done) {
      EXPECT_OK(t.Stat("/a/x/f"));
      EXPECT_OK(t.Stat("/b/y/f"));
    }
  });
}

TEST_F(Race, MovingDirectoriesIntoEachOtherMakesNoLoop) {
  for (int round = 0; round < 100; ++round) {
    fs().Make({Dir("/a/in"), Dir("/b/in")});
    InThreads(2, [&](Task& t, int i) {
      const Status moved = i == 0 ? t.Rename("/a", "/b/in/a") : t.Rename("/b", "/a/in/b");
      if (!moved) {
        EXPECT_THAT(moved, testing::AnyOf(FailsWith(Errno::kNoEnt), FailsWith(Errno::kInval)));
      }
    });
    EXPECT_EQ(fs().Nodes().size(), 4u) << "all is still below the root";
    const auto names = fs().Names("/");
    for (const std::string& name : *names) EXPECT_OK(fs().Remove("/" + name));
  }
}

TEST_F(Race, DotDotOfAMovingDirectoryIsAlwaysADirectory) {
  fs().Make({Dir("/a/d"), Dir("/b")});
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int round = 0; round < kRounds; ++round) {
        EXPECT_OK(t.Rename("/a/d", "/b/d"));
        EXPECT_OK(t.Rmdir("/a"));
        EXPECT_OK(t.Mkdir("/a", 0755));
        EXPECT_OK(t.Rename("/b/d", "/a/d"));
      }
      done = true;
      return;
    }
    const auto dir = t.Open("/a/d", O_PATH);
    if (!dir) return;
    while (!done) {
      EXPECT_OK(t.StatAt(*dir, "..", Follow::kYes));
      EXPECT_OK(t.StatAt(*dir, "../..", Follow::kYes));
      ASSERT_OK(t.Fchdir(*dir));
      const auto cwd = t.Getcwd();
      if (cwd) {
        EXPECT_THAT(*cwd, testing::AnyOf("/a/d", "/b/d"));
      }
    }
  });
}

TEST_F(Race, RemovingATreeWhileOthersBuildInItEndsEmptyOrRefused) {
  for (int round = 0; round < 50; ++round) {
    fs().Make({Dir("/d")});
    InThreads(kThreads, [&](Task& t, int i) {
      for (int n = 0; n < 20; ++n) {
        const std::string path = absl::StrFormat("/d/%d", n);
        if (i == 0) {
          (void)t.Rmdir(path);
          (void)t.Rmdir("/d");
        } else {
          (void)t.Mkdir(path, 0755);
          (void)t.Mkdir(path + "/sub", 0755);
          (void)t.Rmdir(path + "/sub");
        }
      }
    });
    if (fs().Has("/d")) {
      EXPECT_OK(fs().Remove("/d"));
    }
    EXPECT_THAT(fs(), HoldsTree({}));
  }
}

TEST_F(Race, MountingAndUnmountingUnderWalkersIsBusyOrDone) {
  fs().Make({Dir("/m")});
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int round = 0; round < kRounds / 10; ++round) {
        EXPECT_OK(t.Mount("none", "/m", "ramfs", ""));
        (void)t.WriteFile("/m/f", "x");
        while (!t.Umount("/m")) std::this_thread::yield();
      }
      done = true;
      return;
    }
    while (!done) {
      const auto text = t.ReadFile("/m/f");
      if (!text) {
        EXPECT_THAT(text, FailsWith(Errno::kNoEnt));
      }
    }
  });
}

TEST_F(Race, LookupsVersusReclaimFindEverythingThatIsThere) {
  constexpr int kFiles = 64;
  for (int i = 0; i < kFiles; ++i) remote_.Make({Text(absl::StrFormat("/d%d/f", i), "x")});
  MountRemote();
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      while (!done) t.vfs().DropCaches();
      return;
    }
    for (int n = 0; n < kRounds; ++n) {
      EXPECT_OK(t.Stat(absl::StrFormat("/r/d%d/f", (n * 7 + i) % kFiles)));
      EXPECT_THAT(t.Stat(absl::StrFormat("/r/d%d/nope", n % kFiles)), FailsWith(Errno::kNoEnt));
    }
    done = true;
  });
  vfs().CheckInvariants();
}

TEST_F(Race, NegativesVersusCreateAndUnlinkAreNeverBelievedTooLong) {
  MountRemote();
  // Each thread has a name of its own in one directory: what it did last is what it sees.
  InThreads(kThreads, [&](Task& t, int i) {
    const std::string path = absl::StrFormat("/r/f%d", i);
    for (int n = 0; n < kRounds / 4; ++n) {
      EXPECT_THAT(t.Stat(path), FailsWith(Errno::kNoEnt));
      EXPECT_OK(t.WriteFile(path, "x"));
      EXPECT_OK(t.Stat(path));
      EXPECT_OK(t.Unlink(path));
    }
  });
}

TEST_F(Race, RevalidationVersusChangesBehindOurBackEndsInTheTruth) {
  remote_.Make({Text("/d/f", "x")});
  MountRemote("revalidate");
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int round = 0; round < kRounds / 4; ++round) {
        remote_.Remove("/d");
        remote_.Make({Text("/d/f", "x")});
      }
      done = true;
      return;
    }
    while (!done) {
      const auto stat = t.Stat("/r/d/f");
      if (!stat) {
        EXPECT_THAT(stat, testing::AnyOf(FailsWith(Errno::kNoEnt), FailsWith(Errno::kStale)));
      }
    }
  });
  EXPECT_OK(task().Stat("/r/d/f"));
}

TEST_F(Race, InvalidationVersusRenameOutOfTheTreeEnds) {
  remote_.Make({Text("/a/x/y/f", "1"), Dir("/c")});
  MountRemote();
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int round = 0; round < kRounds / 4; ++round) {
        (void)t.Stat("/r/a/x/y/f");
        const auto a = t.Resolve("/r/a");
        if (a) t.vfs().dcache().Invalidate(*a->dentry);
      }
      done = true;
      return;
    }
    while (!done) {
      if (i == 1) {
        (void)t.Rename("/r/a/x", "/r/c/x");
        (void)t.Rename("/r/c/x", "/r/a/x");
      } else if (!t.Stat("/r/a/x/y/f")) {
        (void)t.Stat("/r/c/x/y/f");
      }
    }
  });
  vfs().CheckInvariants();
  EXPECT_TRUE(fs().Has("/r/a/x/y/f") || fs().Has("/r/c/x/y/f"));
}

TEST_F(Race, AppendersLoseNothing) {
  fs().Make({Text("/log", "")});
  InThreads(kThreads, [&](Task& t, int i) {
    const auto fd = t.Open("/log", O_WRONLY | O_APPEND);
    ASSERT_OK(fd);
    for (int n = 0; n < kRounds / 4; ++n) EXPECT_OK(t.Write(*fd, absl::StrFormat("%d\n", i)));
  });
  EXPECT_EQ(task().Stat("/log")->size, 2u * kThreads * (kRounds / 4));
}

TEST_F(Race, ListingWhileNamesComeAndGoShowsEachStayingNameOnce) {
  for (int i = 0; i < 20; ++i) fs().Make({Text(absl::StrFormat("/d/stay%02d", i), "")});
  std::atomic<bool> done{false};
  InThreads(kThreads, [&](Task& t, int i) {
    if (i == 0) {
      for (int n = 0; n < kRounds; ++n) {
        const std::string path = absl::StrFormat("/d/come%d", n % 50);
        (void)t.WriteFile(path, "");
        if (n % 3 != 0) (void)t.Unlink(absl::StrFormat("/d/come%d", (n * 7) % 50));
      }
      done = true;
      return;
    }
    while (!done) {
      const auto list = t.ListDir("/d");
      ASSERT_OK(list);
      // Those that come and go may be met again under their second position.
      int staying = 0;
      for (const DirEntry& entry : *list) staying += entry.name.starts_with("stay");
      EXPECT_EQ(staying, 20);
    }
  });
}

}  // namespace
}  // namespace dentree::vfs
