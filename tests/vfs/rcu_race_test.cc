// Walks in RCU mode against everything that takes their ground away. Each thread of walkers checks
// every answer; directories and files are made so that a wrong one shows: sizes say what a file is.

#include <atomic>
#include <thread>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "tests/vfs/race.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::RemoteFs;
using fixture::Text;

constexpr int kChanges = 3000;

class RcuRace : public fixture::VfsTest {
 protected:
  RcuRace() { vfs().RegisterType(remote_.Type()); }

  template <class Change, class Look>
  void While(Change change, Look look) {
    WhileTwoLook(vfs(), kChanges, change, look);
    EXPECT_GT(vfs().walk_stats().Sum<&WalkStats::rcu>(), 0u);
  }

  // A size, or kNone for a name that is not there; anything else is not expected.
  static constexpr uint64_t kNone = ~uint64_t{0};
  static uint64_t SizeOf(const Result<Stat>& stat) {
    if (stat) return stat->size;
    EXPECT_EQ(stat.error(), Errno::kNoEnt);
    return kNone;
  }

  RemoteFs remote_;
};

TEST_F(RcuRace, StatVersusRenameSeesOneOfTheTwoNames) {
  fs().Make({Text("/d/one/f", "1"), Text("/d/two/f", "22")});
  While([&](int) { ASSERT_OK(task().Rename("/d/one", "/d/two", kRenameExchange)); },
        [](Task& own) {
          const uint64_t size = SizeOf(own.Stat("/d/one/f"));
          EXPECT_TRUE(size == 1 || size == 2) << size;
        });
}

TEST_F(RcuRace, StatVersusRenameOfAnAncestorNeverEndsElsewhere) {
  fs().Make({Text("/p/x/y/f", "1"), Dir("/q"), Text("/q2/x/y/f", "22")});
  While(
      [&](int i) {
        ASSERT_OK(i % 2 == 0 ? task().Rename("/p/x", "/q/x") : task().Rename("/q/x", "/p/x"));
      },
      [](Task& own) {
        const uint64_t there = SizeOf(own.Stat("/p/x/y/f"));
        EXPECT_TRUE(there == 1 || there == kNone) << there;
        const uint64_t here = SizeOf(own.Stat("/q/x/y/f"));
        EXPECT_TRUE(here == 1 || here == kNone) << here;
      });
}

TEST_F(RcuRace, StatVersusRecycledDentriesSeesOnlyItsOwnName) {
  // Names of all lengths, so that one dentry is many names in turn, inline and external.
  const auto name = [](int i) { return "/t/" + std::string(static_cast<size_t>(1 + i % 60), 'n'); };
  fs().Make({Dir("/t")});
  While(
      [&](int i) {
        ASSERT_OK(fs().Write(name(i), std::string(static_cast<size_t>(1 + i % 60), 'x')));
        ASSERT_OK(task().Unlink(name(i)));
      },
      [&](Task& own) {
        for (int i = 0; i < 60; ++i) {
          const uint64_t size = SizeOf(own.Stat(name(i)));
          EXPECT_TRUE(size == kNone || size == 0 || size == static_cast<uint64_t>(1 + i)) << size;
        }
      });
}

TEST_F(RcuRace, AMissVersusRenameOverTheNameIsNeverBelieved) {
  fs().Make({Text("/d/f", "1"), Dir("/e")});
  While(
      [&](int i) {
        const std::string fresh = i % 2 == 0 ? "/d/fresh" : "/e/fresh";
        ASSERT_OK(fs().Write(fresh, "22"));
        ASSERT_OK(task().Rename(fresh, "/d/f"));
      },
      [](Task& own) {
        const uint64_t size = SizeOf(own.Stat("/d/f"));
        EXPECT_TRUE(size == 1 || size == 2) << size;
      });
}

TEST_F(RcuRace, ReadlinkVersusUnlinkReadsTheWholeTargetOrNothing) {
  const std::string shorter = "/d/aa";
  const std::string longer = "/d/" + std::string(300, 'b');
  fs().Make({Dir("/d")});
  While(
      [&](int i) {
        ASSERT_OK(task().Symlink(i % 2 == 0 ? shorter : longer, "/d/l"));
        ASSERT_OK(task().Unlink("/d/l"));
      },
      [&](Task& own) {
        const auto target = own.Readlink("/d/l");
        EXPECT_TRUE(target ? *target == shorter || *target == longer
                           : target.error() == Errno::kNoEnt);
      });
}

TEST_F(RcuRace, AWalkThroughALinkVersusItsReplacementEndsAtOneOfBoth) {
  fs().Make({Text("/d/a/f", "1"), Text("/d/b/f", "22")});
  ASSERT_OK(task().Symlink("a", "/d/l"));
  While(
      [&](int i) {
        ASSERT_OK(task().Symlink(i % 2 == 0 ? "/d/b" : "a", "/d/next"));
        ASSERT_OK(task().Rename("/d/next", "/d/l"));
      },
      [](Task& own) {
        const uint64_t size = SizeOf(own.Stat("/d/l/f"));
        EXPECT_TRUE(size == 1 || size == 2) << size;
      });
}

TEST_F(RcuRace, DotDotVersusRenameGoesToOneOfTheTwoParents) {
  fs().Make({Dir("/p/x"), Text("/p/f", "1"), Dir("/q"), Text("/q/f", "22")});
  Task inside(vfs(), Creds::Root());
  ASSERT_OK(inside.Chdir("/p/x"));
  While(
      [&](int i) {
        ASSERT_OK(i % 2 == 0 ? task().Rename("/p/x", "/q/x") : task().Rename("/q/x", "/p/x"));
      },
      [&](Task&) {
        const uint64_t size = SizeOf(inside.Stat("../f"));
        EXPECT_TRUE(size == 1 || size == 2) << size;
      });
}

TEST_F(RcuRace, StatVersusEvictionAsksAgain) {
  remote_.Make({Text("/d/f", "four"), Text("/d/g", "12345")});
  ASSERT_OK(task().Mkdir("/r", 0755));
  ASSERT_OK(task().Mount("server", "/r", "remote", ""));
  While(
      [&](int i) {
        if (i % 8 == 0) DropCaches();
      },
      [](Task& own) {
        EXPECT_EQ(SizeOf(own.Stat("/r/d/f")), 4u);
        EXPECT_EQ(SizeOf(own.Stat("/r/d/g")), 5u);
        EXPECT_EQ(SizeOf(own.Stat("/r/d/none")), kNone);
      });
}

TEST_F(RcuRace, StatVersusUnmountSeesInsideOrOutside) {
  // Another mount comes and goes too: what memory its mounts leave must not be taken for ours.
  fs().Make({Text("/m/f", "1"), Dir("/other")});
  While(
      [&](int i) {
        if (i % 2 == 0) {
          ASSERT_OK(task().Mount("none", "/m", "ramfs", ""));
          ASSERT_OK(task().WriteFile("/m/f", "22"));
          ASSERT_OK(task().Mount("none", "/other", "ramfs", ""));
          ASSERT_OK(task().WriteFile("/other/f", "another mount's"));
          ASSERT_OK(task().Umount("/other"));
        } else {
          while (!task().Umount("/m")) std::this_thread::yield();  // somebody may be inside
        }
      },
      [](Task& own) {
        const uint64_t size = SizeOf(own.Stat("/m/f"));
        EXPECT_TRUE(size == 1 || size == 2 || size == 0 || size == kNone) << size;
        const auto fd = own.Open("/m/f", O_RDONLY);
        if (fd) {
          EXPECT_OK(own.Close(*fd));
        }
      });
}

TEST_F(RcuRace, StatVersusCloseOfItsDirectoryStartsFromNoOther) {
  // The descriptor is that of /a or of /b, or closed; /c is opened and closed by the way.
  fs().Make({Text("/a/f", "1"), Text("/b/f", "22"), Text("/c/f", "333")});
  Task shared(vfs(), Creds::Root());
  std::atomic<int> fd{*shared.Open("/a", O_RDONLY | O_DIRECTORY)};
  While(
      [&](int i) {
        ASSERT_OK(shared.Close(fd.load()));
        Task other(vfs(), Creds::Root());
        for (int k = 0; k < i % 20; ++k) ASSERT_OK(other.Open("/c", O_RDONLY | O_DIRECTORY));
        ASSERT_EQ(*shared.Open(i % 2 == 0 ? "/b" : "/a", O_RDONLY | O_DIRECTORY), fd.load());
      },
      [&](Task&) {
        const auto stat = shared.StatAt(fd.load(), "f", Follow::kYes);
        EXPECT_TRUE(stat ? stat->size <= 2 : stat.error() == Errno::kBadF);
      });
}

TEST_F(RcuRace, StatVersusRemovalOfItsDirectoryStartsFromNoOther) {
  fs().Make({Dir("/c")});
  Task shared(vfs(), Creds::Root());
  ASSERT_OK(shared.Chdir("/c"));
  While(
      [&](int) {
        // The working directory's dentry is free for others as soon as it is left.
        ASSERT_OK(task().Mkdir("/gone", 0755));
        ASSERT_OK(task().WriteFile("/gone/mine", "1"));
        ASSERT_OK(shared.Chdir("/gone"));
        ASSERT_OK(task().Unlink("/gone/mine"));
        ASSERT_OK(task().Rmdir("/gone"));
        ASSERT_OK(shared.Chdir("/c"));
        ASSERT_OK(task().Mkdir("/other", 0755));
        ASSERT_OK(task().WriteFile("/other/mine", "22"));
        ASSERT_OK(task().Unlink("/other/mine"));
        ASSERT_OK(task().Rmdir("/other"));
      },
      [&](Task&) {
        const uint64_t size = SizeOf(shared.Stat("mine"));
        EXPECT_TRUE(size == kNone || size <= 1) << size;
      });
}

TEST_F(RcuRace, OpenVersusUnlinkHoldsWhatItOpened) {
  fs().Make({Dir("/d")});
  While(
      [&](int i) {
        ASSERT_OK(task().WriteFile("/d/f", std::string(static_cast<size_t>(1 + i % 3), 'x')));
        ASSERT_OK(task().Unlink("/d/f"));
        // The next to have its dentry, and not what was asked for.
        ASSERT_OK(task().WriteFile("/d/g", "another"));
        ASSERT_OK(task().Unlink("/d/g"));
      },
      [](Task& own) {
        const auto fd = own.Open("/d/f", O_RDONLY);
        if (fd) {
          EXPECT_LE(own.Fstat(*fd)->size, 3u);
          EXPECT_OK(own.Close(*fd));
        } else {
          EXPECT_EQ(fd.error(), Errno::kNoEnt);
        }
      });
}

}  // namespace
}  // namespace dentree::vfs
