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

TEST_F(RcuWalk, DeclinesSymlinksAndDotDot) {
  EXPECT_EQ(StatAgain("/l/c/f"), kDeclined);
  EXPECT_EQ(StatAgain("/a/../a"), kDeclined);
  EXPECT_EQ(Again([&] { return task().Lstat("/l"); }), kRcu) << "the link itself needs no walk";
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
