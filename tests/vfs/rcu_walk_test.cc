// What a walk does in RCU mode: which answers need no reference, and when it leaves them to
// references.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Link;
using fixture::RemoteFs;
using fixture::Text;

class RcuWalk : public fixture::VfsTest {
 protected:
  RcuWalk() {
    remote_.Make({Dir("/d"), Text("/d/f", "x")});
    vfs().RegisterType(remote_.Type());
    fs().Make({Dir("/a/b/c"), Text("/a/b/c/f", "four"), Link("/l", "/a/b"), Dir("/r"), Dir("/m")});
  }

  struct Walks {
    uint64_t rcu = 0, declined = 0;
    friend bool operator==(const Walks&, const Walks&) = default;
    friend void PrintTo(const Walks& walks, std::ostream* os) {
      *os << walks.rcu << " in RCU mode, " << walks.declined << " declined";
    }
  };
  // The walks of a call that was made before, so that what it needs is cached.
  template <class Call>
  Walks Again(Call call) {
    (void)call();
    const auto& stats = vfs().walk_stats();
    const uint64_t rcu = stats.Sum<&WalkStats::rcu>();
    const uint64_t declined = stats.Sum<&WalkStats::declined>();
    (void)call();
    return {stats.Sum<&WalkStats::rcu>() - rcu, stats.Sum<&WalkStats::declined>() - declined};
  }
  Walks StatAgain(std::string_view path) {
    return Again([&] { return task().Stat(path); });
  }

  static constexpr Walks kRcu{1, 0};
  static constexpr Walks kDeclined{0, 1};

  RemoteFs remote_;
};

TEST_F(RcuWalk, StatOfWhatIsCachedNeedsNoReference) {
  for (const char* path : {"/", "/a", "/a/b/c/f", "//a//b/./c/", "/a/b/c/."}) {
    EXPECT_EQ(StatAgain(path), kRcu) << path;
  }
  EXPECT_EQ(task().Stat("/a/b/c/f")->size, 4u);
}

TEST_F(RcuWalk, TakesNoReferenceForAStat) {
  ASSERT_OK(task().Stat("/a/b/c/f"));
  const auto place = task().Resolve("/a/b/c/f");
  const int32_t refs = place->dentry->refs();
  bool same = true;
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(task().Stat("/a/b/c/f"));
    same &= place->dentry->refs() == refs;
  }
  EXPECT_TRUE(same);
}

TEST_F(RcuWalk, StartsFromDirectoriesAndDescriptors) {
  ASSERT_OK(task().Chdir("/a"));
  EXPECT_EQ(StatAgain("b/c/f"), kRcu);
  const auto fd = task().Open("/a/b", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(Again([&] { return task().StatAt(*fd, "c/f", Follow::kYes); }), kRcu);
  EXPECT_EQ(task().StatAt(*fd, "c/f", Follow::kYes)->size, 4u);
  ASSERT_OK(task().Close(*fd));
  EXPECT_THAT(task().StatAt(*fd, "c/f", Follow::kYes), FailsWith(Errno::kBadF));
  const auto file = task().Open("/a/b/c/f", O_RDONLY);
  EXPECT_THAT(task().StatAt(*file, "x", Follow::kYes), FailsWith(Errno::kNotDir));
}

TEST_F(RcuWalk, SurvivesAGrowingTableOfDescriptors) {
  const auto dir = task().Open("/a/b", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 100; ++i) ASSERT_OK(task().Open("/a", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(Again([&] { return task().StatAt(*dir, "c/f", Follow::kYes); }), kRcu);
  EXPECT_EQ(task().StatAt(*dir, "c/f", Follow::kYes)->size, 4u);
}

TEST_F(RcuWalk, OpenAndMkdirFindTheirPlaceInRcuMode) {
  EXPECT_EQ(Again([&] { return task().Close(*task().Open("/a/b/c/f", O_RDONLY)); }), kRcu);
  EXPECT_EQ(Again([&] { return task().Mkdir("/a/b/new", 0755); }), kRcu);
}

TEST_F(RcuWalk, CrossesMounts) {
  ASSERT_OK(task().Mount("none", "/m", "ramfs", ""));
  ASSERT_OK(task().Mkdir("/m/in", 0755));
  ASSERT_OK(task().Mount("none", "/m/in", "ramfs", ""));
  ASSERT_OK(fs().Write("/m/in/f", "inner"));
  EXPECT_EQ(StatAgain("/m/in/f"), kRcu);
  EXPECT_EQ(task().Stat("/m/in/f")->size, 5u);
  ASSERT_OK(task().Umount("/m/in"));
  EXPECT_THAT(task().Stat("/m/in/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(RcuWalk, ANegativeAnswersInRcuMode) {
  ASSERT_OK(task().Mount("server", "/r", "remote", ""));
  EXPECT_EQ(StatAgain("/r/d/nope"), kRcu);
  EXPECT_THAT(task().Stat("/r/d/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(StatAgain("/r/d/nope/below"), kRcu);
}

TEST_F(RcuWalk, DeclinesWhereTheFileSystemMustBeAsked) {
  ASSERT_OK(task().Mount("server", "/r", "remote", "revalidate"));
  EXPECT_EQ(StatAgain("/r/d/f"), kDeclined);
  EXPECT_EQ(StatAgain("/r/d/nope"), kDeclined);
}

TEST_F(RcuWalk, FollowsSymlinks) {
  fs().Make({Link("/a/rel", "b/c"), Link("/a/slash", "b/c/"), Link("/top", "/"),
             Link("/a/b/nested", "../rel/f"), Link("/a/b/twice", "/l/nested")});
  for (const char* path : {"/l/c/f", "/a/rel/f", "/a/rel", "/a/rel/", "/a/slash/f", "/top/a/b",
                           "/a/b/nested", "/a/b/twice", "/top", "/top/", "/l/../b/c"}) {
    EXPECT_EQ(StatAgain(path), kRcu) << path;
  }
  EXPECT_EQ(task().Stat("/a/b/twice")->size, 4u);
  EXPECT_EQ(task().Stat("/top")->ino, task().Stat("/")->ino);
  EXPECT_EQ(task().Stat("/a/rel/")->ino, task().Stat("/a/b/c")->ino);
  EXPECT_EQ(Again([&] { return task().Lstat("/l"); }), kRcu);
  EXPECT_EQ(task().Lstat("/l")->size, 4u) << "the link itself";
  EXPECT_EQ(Again([&] { return task().Lstat("/l/"); }), kRcu);
  EXPECT_TRUE(IsDir(task().Lstat("/l/")->mode)) << "a slash asks for where it leads";
}

TEST_F(RcuWalk, ASlashAfterALinkToAFileIsLeftToReferences) {
  fs().Make({Link("/a/file", "b/c/f")});
  EXPECT_EQ(StatAgain("/a/file"), kRcu);
  EXPECT_EQ(StatAgain("/a/file/"), kDeclined);
  EXPECT_THAT(task().Stat("/a/file/"), FailsWith(Errno::kNotDir));
}

TEST_F(RcuWalk, LinksInLinksBeyondTheLimitAreLeftToReferences) {
  fs().Make({Dir("/n/x")});
  std::string target = "x";
  for (int i = 0; i <= kMaxRcuNesting; ++i) {
    const std::string name = "l" + std::to_string(i);
    ASSERT_OK(task().Symlink(target + "/.", "/n/" + name));
    target = name;
  }
  const std::string inside = "/n/l" + std::to_string(kMaxRcuNesting - 1) + "/.";
  const std::string beyond = "/n/l" + std::to_string(kMaxRcuNesting) + "/.";
  EXPECT_EQ(StatAgain(inside), kRcu);
  EXPECT_EQ(StatAgain(beyond), kDeclined);
  EXPECT_EQ(task().Stat(beyond)->ino, task().Stat("/n/x")->ino);
}

TEST_F(RcuWalk, LoopsOfLinksAreLeftToReferences) {
  fs().Make({Link("/loop", "loop")});
  EXPECT_EQ(StatAgain("/loop"), kDeclined);
  EXPECT_THAT(task().Stat("/loop"), FailsWith(Errno::kLoop));
}

TEST_F(RcuWalk, ALinkInADirectoryThatIsEverybodysIsLeftToReferences) {
  fs().Make({Dir("/pub"), Link("/pub/mine", "/a/b"), Link("/pub/his", "/a/b")});
  ASSERT_OK(task().Chmod("/pub", 01777));
  ASSERT_OK(task().Chown("/pub/his", 7, 7, Follow::kNo));
  EXPECT_EQ(StatAgain("/pub/mine/c"), kDeclined);
  EXPECT_OK(task().Stat("/pub/mine/c"));
  EXPECT_THAT(task().Stat("/pub/his/c"), FailsWith(Errno::kAccess));
}

TEST_F(RcuWalk, GoesUp) {
  ASSERT_OK(task().Mount("none", "/m", "ramfs", ""));
  ASSERT_OK(task().Mkdir("/m/in", 0755));
  for (const char* path : {"/..", "/../../a", "/a/..", "/a/b/../b/c/../../..", "/m/in/.."}) {
    EXPECT_EQ(StatAgain(path), kRcu) << path;
  }
  EXPECT_EQ(task().Stat("/a/b/../..")->ino, task().Stat("/")->ino);
  EXPECT_EQ(StatAgain("/m/.."), kDeclined) << "out of a mount";
  EXPECT_EQ(task().Stat("/m/..")->ino, task().Stat("/")->ino);
  ASSERT_OK(task().Chroot("/a"));
  EXPECT_EQ(StatAgain("/../b"), kRcu);
  EXPECT_THAT(task().Stat("/../a"), FailsWith(Errno::kNoEnt)) << "not above the root";
}

TEST_F(RcuWalk, AccessAndReadlinkNeedNoReference) {
  ASSERT_OK(task().Chmod("/a/b/c/f", 0640));
  const auto user = TaskOf(Creds::User(1000, 1000));
  EXPECT_EQ(Again([&] { return task().Access("/a/b/c/f", kMayRead | kMayWrite); }), kRcu);
  EXPECT_EQ(Again([&] { return user->Access("/a/b/c/f", 0); }), kRcu);
  EXPECT_EQ(Again([&] { return user->Access("/a/b/c/f", kMayRead); }), kDeclined);
  EXPECT_THAT(user->Access("/a/b/c/f", kMayRead), FailsWith(Errno::kAccess));
  EXPECT_EQ(Again([&] { return task().Readlink("/l"); }), kRcu);
  EXPECT_EQ(task().Readlink("/l").value(), "/a/b");
  EXPECT_THAT(task().Readlink("/a"), FailsWith(Errno::kInval));
}

TEST_F(RcuWalk, WhatAPinnedFileSystemDoesNotKnowIsMissing) {
  EXPECT_EQ(StatAgain("/a/b/nope"), kRcu);
  EXPECT_THAT(task().Stat("/a/b/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(StatAgain("/a/nope/below"), kRcu);
  EXPECT_EQ(Again([&] { return task().Access("/a/nope", 0); }), kRcu);
  EXPECT_EQ(StatAgain("/a/b/c/f/nope"), kDeclined);
  EXPECT_THAT(task().Stat("/a/b/c/f/nope"), FailsWith(Errno::kNotDir));
}

TEST_F(RcuWalk, WhatIsNoPathIsNotMissing) {
  using namespace std::literals;  // NOLINT(google-build-using-namespace)
  for (const std::string_view path : {"/a/nope\0"sv, "/nope/a\0b"sv, "/a\0"sv}) {
    EXPECT_THAT(task().Stat(path), FailsWith(Errno::kInval));
  }
}

TEST_F(RcuWalk, FindsNamesOfEveryLengthWhereverTheyStand) {
  ASSERT_OK(task().Mkdir("/s", 0755));
  for (size_t size = 1; size <= kNameMax; size = size < 40 ? size + 1 : size + 43) {
    const std::string name(size, 'n');
    ASSERT_OK(task().Mkdir("/s/" + name, 0755));
    ASSERT_OK(task().Mkdir("/s/" + name + "/" + name, 0755));
    const Ino ino = task().Stat("/s/" + name)->ino;
    for (const std::string& path :
         {"/s/" + name, "/s//" + name + "/", "/s/" + name + "/" + name + "/..",
          "/s/./" + name + "/.", "/s/" + name + "/" + name + "/../../" + name}) {
      ASSERT_EQ(StatAgain(path), kRcu) << path;
      ASSERT_EQ(task().Stat(path)->ino, ino) << path;
    }
    const Errno longer = size < kNameMax ? Errno::kNoEnt : Errno::kNameTooLong;
    ASSERT_THAT(task().Stat("/s/" + name + "x"), FailsWith(longer)) << size;
    ASSERT_THAT(task().Stat("/s/" + std::string(size, 'm')), FailsWith(Errno::kNoEnt)) << size;
    ASSERT_OK(task().Rmdir("/s/" + name + "/" + name));
    ASSERT_OK(task().Rmdir("/s/" + name));
  }
}

TEST_F(RcuWalk, RefusalsAreLeftToReferences) {
  ASSERT_OK(task().Chmod("/a/b", 0700));
  const auto user = TaskOf(Creds::User(1000, 1000));
  const auto stat = [&](std::string_view path) {
    return Again([&, path] { return user->Stat(path); });
  };
  EXPECT_EQ(stat("/a/b"), kRcu);
  EXPECT_EQ(stat("/a/b/c"), kDeclined);
  EXPECT_THAT(user->Stat("/a/b/c"), FailsWith(Errno::kAccess));
  ASSERT_OK(task().Chown("/a/b", 1000, 1000));
  EXPECT_EQ(stat("/a/b/c"), kRcu);
  EXPECT_EQ(StatAgain("/a/b/c/f/"), kDeclined);
  EXPECT_THAT(task().Stat("/a/b/c/f/"), FailsWith(Errno::kNotDir));
  EXPECT_EQ(StatAgain(""), kDeclined);
}

}  // namespace
}  // namespace dentree::vfs
