// Mounts that change while others walk over them, change the names around them, or change them too.

#include <sched.h>
#include <sys/mount.h>

#include <atomic>
#include <future>
#include <thread>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "tests/vfs/race.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::Text;

constexpr int kRounds = 300;

class MountRace : public fixture::VfsTest {
 protected:
  void TearDown() override {
    vfs().mounts().CheckInvariants();
    VfsTest::TearDown();
  }

  template <class Operation>
  auto AsyncUntil(const char* point, Operation operation) {
    sync().Stop(point);
    auto future = std::async(std::launch::async, [this, operation] {
      Task own(vfs(), Creds::Root());
      return operation(own);
    });
    EXPECT_OK(sync().WaitFor(point));
    return future;
  }

  template <class Change, class Look>
  void While(Change change, Look look) {
    WhileTwoLook(vfs(), kRounds, change, look);
  }

  static Status Ramfs(Task& as, std::string_view at) {
    return as.Mount("none", at, "ramfs", 0, "");
  }
};

// --- one order, forced -----------------------------------------------------------------------

TEST_F(MountRace, LazyUmountVersusOpenLeavesTheOpenerItsFile) {
  fs().Make({Dir("/m")});
  ASSERT_OK(Ramfs(task(), "/m"));
  fs().Make({Text("/m/f", "x")});
  auto open = AsyncUntil("ops:open:checked", [](Task& own) { return own.ReadFile("/m/f"); });
  EXPECT_THAT(task().Umount("/m"), FailsWith(Errno::kBusy));
  ASSERT_OK(task().Umount("/m", MNT_DETACH));
  EXPECT_THAT(task().Stat("/m/f"), FailsWith(Errno::kNoEnt));
  sync().Release("ops:open:checked");
  EXPECT_THAT(open.get(), Holds("x"));
  EXPECT_EQ(vfs().mounts().live(), 1u);
}

TEST_F(MountRace, MountVersusRmdirOfItsPlaceIsRefusedAfterwards) {
  fs().Make({Dir("/d/m")});
  auto rmdir = AsyncUntil("ops:rmdir:locked", [](Task& own) { return own.Rmdir("/d/m"); });
  auto mount = std::async(std::launch::async, [this] {
    Task own(vfs(), Creds::Root());
    return Ramfs(own, "/d/m");
  });
  sync().Release("ops:rmdir:locked");
  EXPECT_OK(rmdir.get());
  EXPECT_THAT(mount.get(), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(vfs().mounts().count(), 1u);
}

TEST_F(MountRace, MountVersusRenameOverItsPlaceHasOneWinner) {
  fs().Make({Dir("/from"), Dir("/to")});
  auto rename =
      AsyncUntil("ops:rename:checked", [](Task& own) { return own.Rename("/from", "/to"); });
  ASSERT_OK(Ramfs(task(), "/to")) << "the target is not locked yet";
  sync().Release("ops:rename:checked");
  EXPECT_THAT(rename.get(), FailsWith(Errno::kBusy));
  EXPECT_EQ(vfs().mounts().count(), 2u);
  EXPECT_OK(task().Stat("/from"));
}

// --- any order ---------------------------------------------------------------------------------

TEST_F(MountRace, LazyUmountVersusWalkEndsInOneTreeOrTheOther) {
  fs().Make({Dir("/m/in"), Text("/m/in/f", "1")});
  While(
      [&](int) {
        ASSERT_OK(Ramfs(task(), "/m"));
        ASSERT_OK(task().Mkdir("/m/in", 0755));
        ASSERT_OK(Ramfs(task(), "/m/in"));
        ASSERT_OK(fs().Write("/m/in/f", "22"));
        ASSERT_OK(task().Umount("/m", MNT_DETACH));
      },
      [](Task& own) {
        const auto text = own.ReadFile("/m/in/f");
        if (text) {
          EXPECT_TRUE(*text == "1" || *text == "22" || text->empty()) << *text;
        } else {
          EXPECT_EQ(text.error(), Errno::kNoEnt);
        }
        const auto up = own.Stat("/m/in/../..");
        // Above the root of what was detached meanwhile there is nothing.
        if (up) {
          EXPECT_TRUE(IsDir(up->mode));
        } else {
          EXPECT_EQ(up.error(), Errno::kNoEnt);
        }
      });
}

TEST_F(MountRace, BindVersusRenameOfWhatItShowsGoesWithTheDirectory) {
  fs().Make({Text("/x/d/f", "1"), Dir("/y"), Dir("/b")});
  While(
      [&](int i) {
        ASSERT_OK(i % 2 == 0 ? task().Rename("/x/d", "/y/d") : task().Rename("/y/d", "/x/d"));
        const auto bound = task().Mount(i % 2 == 0 ? "/y/d" : "/x/d", "/b", "", MS_BIND, "");
        ASSERT_OK(bound);
        EXPECT_THAT(task().ReadFile("/b/f"), Holds("1"));
        ASSERT_OK(task().Umount("/b", MNT_DETACH));
      },
      [](Task& own) {
        const auto text = own.ReadFile("/b/f");
        if (text) {
          EXPECT_EQ(*text, "1");
        } else {
          EXPECT_EQ(text.error(), Errno::kNoEnt);
        }
      });
}

TEST_F(MountRace, UnshareVersusMountCopiesAWholeTree) {
  fs().Make({Dir("/m")});
  While(
      [&](int) {
        ASSERT_OK(Ramfs(task(), "/m"));
        ASSERT_OK(task().Mkdir("/m/in", 0755));
        ASSERT_OK(Ramfs(task(), "/m/in"));
        ASSERT_OK(task().Umount("/m", MNT_DETACH));
      },
      [](Task& own) {
        const auto other = own.Fork();
        ASSERT_OK(other->Unshare(CLONE_NEWNS));
        const auto list = other->vfs().mounts().List(other->fs().root());
        ASSERT_LE(list.size(), 3u);
        EXPECT_EQ(list[0].target, "/");
        if (list.size() > 1) {
          EXPECT_EQ(list[1].target, "/m");
        }
        if (list.size() > 2) {
          EXPECT_EQ(list[2].target, "/m/in");
        }
      });
  EXPECT_EQ(vfs().mounts().namespaces(), 1u);
}

TEST_F(MountRace, MoveVersusWalkIsThereOrHere) {
  fs().Make({Dir("/a"), Dir("/b")});
  ASSERT_OK(Ramfs(task(), "/a"));
  ASSERT_OK(fs().Write("/a/f", "x"));
  While(
      [&](int i) {
        ASSERT_OK(
            task().Mount(i % 2 == 0 ? "/a" : "/b", i % 2 == 0 ? "/b" : "/a", "", MS_MOVE, ""));
      },
      [](Task& own) {
        for (const char* path : {"/a/f", "/b/f"}) {
          const auto stat = own.Stat(path);
          if (stat) {
            EXPECT_EQ(stat->size, 1u);
          } else {
            EXPECT_EQ(stat.error(), Errno::kNoEnt);
          }
        }
        const auto listed = own.vfs().mounts().List(own.fs().root());
        EXPECT_LE(listed.size(), 2u);
      });
}

// Only what an operation may answer then, whatever the others do.
void ExpectOneOf(const Status& answer, std::initializer_list<Errno> allowed) {
  if (answer) return;
  EXPECT_NE(std::ranges::find(allowed, answer.error()), allowed.end())
      << testing::PrintToString(answer);
}

TEST_F(MountRace, AStormOfMountsLeavesEveryNamespaceConsistent) {
  fs().Make({Dir("/a/x"), Dir("/b/x"), Dir("/c/x"), Dir("/t")});
  const auto storm = [this](int seed) {
    Task own(vfs(), Creds::Root());
    uint64_t random = static_cast<uint64_t>(seed);
    const auto pick = [&random](uint64_t n) {
      random = base::Mix64(random + 1);
      return random % n;
    };
    const auto place = [&pick] {
      static constexpr const char* kPlaces[] = {"/a", "/b", "/c", "/a/x", "/b/x", "/c/x"};
      return std::string(kPlaces[pick(std::size(kPlaces))]);
    };
    for (int i = 0; i < kRounds; ++i) {
      constexpr Errno kNo = Errno::kNoEnt, kIn = Errno::kInval, kBu = Errno::kBusy;
      const uint64_t recursive = pick(8) == 0 ? MS_REC : 0;
      switch (pick(9)) {
        case 0:
          ExpectOneOf(Ramfs(own, place()), {kNo});
          break;
        case 1:
          ExpectOneOf(own.Mount(place(), place(), "", MS_BIND | recursive, ""), {kNo, kIn});
          break;
        case 2:
          ExpectOneOf(own.Mount(place(), place(), "", MS_MOVE, ""), {kNo, kIn, Errno::kLoop});
          break;
        case 3:
        case 4:
          ExpectOneOf(own.Umount(place(), MNT_DETACH), {kNo, kIn});
          break;
        case 5:
          ExpectOneOf(own.Umount(place()), {kNo, kIn, kBu});
          break;
        case 6:
          ExpectOneOf(own.Chdir(place()), {kNo});
          break;
        case 7:
          ExpectOneOf(own.Unshare(CLONE_NEWNS), {});
          break;
        default:
          ExpectOneOf(own.Mkdir(place() + "/x", 0755), {kNo, Errno::kExist});
          break;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(storm, i + 1);
  }
  vfs().CheckInvariants();
  EXPECT_EQ(vfs().mounts().namespaces(), 1u);
}

}  // namespace
}  // namespace dentree::vfs
