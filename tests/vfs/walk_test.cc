// Path walk: which place a path names, and which of several errors is the answer.

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Link;
using fixture::Text;

class Walk : public fixture::VfsTest {
 protected:
  Ino InoOf(std::string_view path) {
    const auto stat = task().Stat(path);
    EXPECT_OK(stat) << path;
    return stat ? stat->ino : 0;
  }
};

TEST_F(Walk, ExtraSlashesDotsAndDotDotsNameTheSamePlace) {
  fs().Make({Dir("/a/b"), Text("/a/b/f", "x")});
  const Ino f = InoOf("/a/b/f");
  const Ino a = InoOf("/a");
  const Ino root = InoOf("/");
  for (const char* path : {"//a///b//f", "/./a/./b/./f", "/a/../a/b/../b/f", "/../../a/b/f"}) {
    EXPECT_EQ(InoOf(path), f) << path;
  }
  for (const char* path : {"/a/", "/a//", "/a/.", "/a/./", "/a/b/..", "/a/b/../"}) {
    EXPECT_EQ(InoOf(path), a) << path;
  }
  for (const char* path : {"/..", "/.", "//", "/a/b/../..", "/a/../../.."}) {
    EXPECT_EQ(InoOf(path), root) << path;
  }
}

TEST_F(Walk, RelativePathsStartAtTheWorkingDirectoryOrTheDescriptor) {
  fs().Make({Text("/a/f", "1"), Text("/b/f", "22")});
  ASSERT_OK(task().Chdir("/a"));
  EXPECT_EQ(task().Stat("f")->size, 1u);
  ASSERT_OK_AND_ASSIGN(const int dir, task().Open("/b", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(task().StatAt(dir, "f", Follow::kYes)->size, 2u);
  EXPECT_EQ(task().StatAt(dir, "/a/f", Follow::kYes)->size, 1u);
  ASSERT_OK_AND_ASSIGN(const int file, task().Open("/a/f", O_RDONLY));
  EXPECT_THAT(task().StatAt(file, "f", Follow::kYes), FailsWith(Errno::kNotDir));
  EXPECT_THAT(task().StatAt(99, "f", Follow::kYes), FailsWith(Errno::kBadF));
  EXPECT_OK(task().StatAt(99, "/a/f", Follow::kYes)) << "an absolute path asks for no descriptor";
}

TEST_F(Walk, TheFirstComponentThatFailsDecidesTheError) {
  fs().Make({Dir("/d"), Text("/f", ""), Link("/dangling", "nope"), Link("/loop", "loop")});
  const std::string too_long(kNameMax + 1, 'n');
  const std::pair<std::string, Errno> cases[] = {
      {"", Errno::kNoEnt},
      {"/nope", Errno::kNoEnt},
      {"/nope/x", Errno::kNoEnt},
      {"/f/x", Errno::kNotDir},
      {"/f/", Errno::kNotDir},
      {"/f/.", Errno::kNotDir},
      {"/f/..", Errno::kNotDir},
      {"/dangling", Errno::kNoEnt},
      {"/dangling/x", Errno::kNoEnt},
      {"/loop", Errno::kLoop},
      {"/loop/x", Errno::kLoop},
      {"/" + too_long, Errno::kNameTooLong},
      {"/d/" + too_long, Errno::kNameTooLong},
      {"/f/" + too_long, Errno::kNotDir},
      {"/nope/" + too_long, Errno::kNoEnt},
      {"/" + too_long + "/x", Errno::kNameTooLong},
  };
  for (const auto& [path, error] : cases) {
    EXPECT_THAT(task().Stat(path), FailsWith(error)) << path.substr(0, 20);
  }
}

TEST_F(Walk, ANameMayHave255BytesAndNotOneMore) {
  const std::string longest(kNameMax, 'n');
  ASSERT_OK(task().Mkdir("/" + longest, 0755));
  EXPECT_OK(task().Stat("/" + longest));
  EXPECT_THAT(task().Mkdir("/" + longest + "n", 0755), FailsWith(Errno::kNameTooLong));
}

TEST_F(Walk, APathMayHave4095BytesAndNotOneMore) {
  std::string path;
  while (path.size() < kPathMax - 1) path += "/";
  EXPECT_OK(task().Stat(path));
  EXPECT_THAT(task().Stat(path + "/"), FailsWith(Errno::kNameTooLong));
}

TEST_F(Walk, SymlinksAreFollowedWhereverTheyPoint) {
  fs().Make({Text("/d/e/f", "x"), Link("/abs", "/d/e"), Link("/d/rel", "e"), Link("/d/e/up", ".."),
             Link("/chain", "abs"), Link("/through", "d/rel/up/e/f"),
             Link("/slashes", "//d///e/")});
  const Ino f = InoOf("/d/e/f");
  for (const char* path : {"/abs/f", "/d/rel/f", "/d/e/up/e/f", "/chain/f", "/through",
                           "/slashes/f", "/d/rel/up/rel/f"}) {
    EXPECT_EQ(InoOf(path), f) << path;
  }
}

TEST_F(Walk, OnlyTheLastSymlinkIsLeftAloneByLstat) {
  fs().Make({Text("/d/f", "x"), Link("/l", "d"), Link("/d/m", "f")});
  EXPECT_TRUE(IsSymlink(task().Lstat("/l/m")->mode));
  EXPECT_TRUE(IsDir(task().Lstat("/l/")->mode)) << "a trailing slash asks for what it points at";
  EXPECT_EQ(task().Lstat("/l/f")->size, 1u);
}

class SymlinkChain : public Walk {
 protected:
  // /0 is a file, and /n points to /n-1.
  void MakeChain(int links) {
    fs().Make({Text("/0", "end")});
    for (int i = 1; i <= links; ++i) {
      ASSERT_OK(task().Symlink(absl::StrFormat("%d", i - 1), absl::StrFormat("/%d", i)));
    }
  }
};

TEST_F(SymlinkChain, Of40IsFollowedAndOf41IsALoop) {
  MakeChain(41);
  EXPECT_OK(task().Stat("/40"));
  EXPECT_THAT(task().Stat("/41"), FailsWith(Errno::kLoop));
  EXPECT_OK(task().Lstat("/41")) << "40 of them need not be followed";
}

TEST_F(SymlinkChain, CountsTheLinksOfAWholeWalkAndNotOfOneName) {
  fs().Make({Dir("/d"), Link("/d/self", ".")});
  std::string path = "/d";
  for (int i = 0; i < kMaxSymlinks; ++i) path += "/self";
  EXPECT_OK(task().Stat(path));
  EXPECT_THAT(task().Stat(path + "/self"), FailsWith(Errno::kLoop));
}

TEST_F(SymlinkChain, NestedInTargetsNeedsNoStackOfTheThread) {
  // Each target has a rest after its own link: 40 rests are remembered at once.
  fs().Make({Dir("/0")});
  for (int i = 1; i <= kMaxSymlinks; ++i) {
    ASSERT_OK(task().Symlink(absl::StrFormat("/%d/.", i - 1), absl::StrFormat("/%d", i)));
  }
  EXPECT_OK(task().Stat(absl::StrFormat("/%d/.", kMaxSymlinks)));
}

TEST_F(Walk, SearchPermissionIsAskedBeforeTheNameIsLookedUp) {
  fs().Make({Dir("/closed", 0600), Text("/closed/f", "")});
  const auto user = TaskOf(Creds::User(1000, 1000));
  EXPECT_THAT(user->Stat("/closed/f"), FailsWith(Errno::kAccess));
  EXPECT_THAT(user->Stat("/closed/nope"), FailsWith(Errno::kAccess));
  EXPECT_THAT(user->Stat("/closed/f/x"), FailsWith(Errno::kAccess));
  EXPECT_THAT(user->Stat("/closed/.."), FailsWith(Errno::kAccess));
  EXPECT_THAT(user->Stat("/closed/" + std::string(kNameMax + 1, 'n')), FailsWith(Errno::kAccess));
  EXPECT_OK(user->Stat("/closed"));
}

TEST_F(Walk, ChrootBoundsDotDotAndAbsolutePathsAndLinks) {
  fs().Make({Text("/jail/f", "in"), Text("/f", "outside"), Link("/jail/abs", "/f"),
             Link("/jail/up", "../../f")});
  ASSERT_OK(task().Chdir("/jail"));
  ASSERT_OK(task().Chroot("/jail"));
  for (const char* path : {"/f", "/../f", "../f", "/abs", "/up", "../../../f"}) {
    EXPECT_EQ(task().Stat(path)->size, 2u) << path;
  }
  EXPECT_EQ(*task().Getcwd(), "/");
}

TEST_F(Walk, GetcwdFollowsRenamesOfTheDirectoriesAbove) {
  fs().Make({Dir("/a/b/c"), Dir("/x")});
  ASSERT_OK(task().Chdir("/a/b/c"));
  ASSERT_OK(task().Rename("/a/b", "/x/y"));
  EXPECT_EQ(*task().Getcwd(), "/x/y/c");
  ASSERT_OK(task().Chdir(".."));
  EXPECT_EQ(*task().Getcwd(), "/x/y");
}

TEST_F(Walk, ADeletedWorkingDirectoryStillHasItselfAndItsParent) {
  fs().Make({Dir("/d/e"), Text("/f", "")});
  ASSERT_OK(task().Chdir("/d/e"));
  ASSERT_OK(task().Rmdir("/d/e"));
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(task().Stat(".")->nlink, 0u);
  EXPECT_EQ(InoOf(".."), InoOf("/d"));
  EXPECT_THAT(task().ListDir("."), fixture::Holds(testing::IsEmpty()));
  EXPECT_THAT(task().Mkdir("x", 0755), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Symlink("t", "x"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Link("/f", "x"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Rename("/f", "x"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Open("x", O_CREAT | O_WRONLY, 0644), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Walk, ADeletedRootOfAWalkDoesNotComeBackWhenItsNameDoes) {
  fs().Make({Dir("/d")});
  ASSERT_OK_AND_ASSIGN(const int old, task().Open("/d", O_RDONLY | O_DIRECTORY));
  ASSERT_OK(task().Rmdir("/d"));
  fs().Make({Text("/d/f", "")});
  EXPECT_THAT(task().StatAt(old, "f", Follow::kYes), FailsWith(Errno::kNoEnt));
}

}  // namespace
}  // namespace dentree::vfs
