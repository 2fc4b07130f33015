// Negatives: what is remembered of names that do not exist, and for how long.

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::RemoteFs;
using fixture::Text;

class NegativeDentry : public fixture::VfsTest {
 protected:
  explicit NegativeDentry(const Options& options = {}) : VfsTest(options) {
    remote_.Make({Dir("/d"), Dir("/e"), Text("/d/f", "x")});
    vfs().RegisterType(remote_.Type());
    CHECK(task().Mkdir("/r", 0755).has_value());
    CHECK(task().Mount("server", "/r", "remote", "").has_value());
  }

  void Miss(std::string_view path) {
    EXPECT_THAT(task().Stat(path), FailsWith(Errno::kNoEnt)) << path;
  }
  // Lookups of a name that the file system was asked since the last time.
  uint64_t LookupsOf(std::string_view path) {
    const uint64_t count = remote_.Asked(RemoteFs::Op::kLookup, path);
    remote_.ForgetAsked();
    return count;
  }

  RemoteFs remote_;
};

TEST_F(NegativeDentry, AnswersTheSecondMissWithoutTheFileSystem) {
  Miss("/r/d/nope");
  EXPECT_EQ(LookupsOf("/d/nope"), 1u);
  for (int i = 0; i < 10; ++i) Miss("/r/d/nope");
  EXPECT_EQ(LookupsOf("/d/nope"), 0u);
  EXPECT_EQ(vfs().negatives().size(), 1u);
}

TEST_F(NegativeDentry, InTheMiddleOfAPathAnswersToo) {
  Miss("/r/d/nope/x/y");
  remote_.ForgetAsked();
  Miss("/r/d/nope/other");
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), 0u);
}

TEST_F(NegativeDentry, IsNotMadeByAnErrorThatIsNotAnAnswer) {
  remote_.FailNext(RemoteFs::Op::kLookup, Errno::kIo);
  EXPECT_THAT(task().Stat("/r/d/nope"), FailsWith(Errno::kIo));
  EXPECT_EQ(vfs().negatives().size(), 0u);
  remote_.ForgetAsked();
  Miss("/r/d/nope");
  EXPECT_EQ(LookupsOf("/d/nope"), 1u) << "it is asked again";
}

TEST_F(NegativeDentry, IsNotMadeWhereTheDcacheIsTheDirectory) {
  for (int i = 0; i < 100; ++i) Miss(absl::StrFormat("/nope%d", i));
  EXPECT_EQ(vfs().negatives().size(), 0u);
}

TEST_F(NegativeDentry, GivesWayToEverythingThatCreatesItsName) {
  const std::pair<const char*, std::function<Status()>> makers[] = {
      {"/r/d/file", [&] { return task().WriteFile("/r/d/file", "x"); }},
      {"/r/d/dir", [&] { return task().Mkdir("/r/d/dir", 0755); }},
      {"/r/d/symlink", [&] { return task().Symlink("f", "/r/d/symlink"); }},
      {"/r/d/link", [&] { return task().Link("/r/d/f", "/r/d/link"); }},
      {"/r/d/moved", [&] { return task().Rename("/r/d/file", "/r/d/moved"); }},
  };
  for (const auto& [path, make] : makers) {
    Miss(path);
    ASSERT_OK(make()) << path;
    EXPECT_OK(task().Stat(path)) << path;
  }
  Miss("/r/d/file");
}

TEST_F(NegativeDentry, IsForTheNameAndDirectoryItWasMadeFor) {
  Miss("/r/d/nope");
  remote_.Make({Text("/e/nope", ""), Text("/d/nope2", "")});
  EXPECT_OK(task().Stat("/r/e/nope"));
  EXPECT_OK(task().Stat("/r/d/nope2"));
}

TEST_F(NegativeDentry, UnlinkedAndRemovedNamesAreMissing) {
  ASSERT_OK(task().WriteFile("/r/d/g", "x"));
  ASSERT_OK(task().Mkdir("/r/d/dir", 0755));
  ASSERT_OK(task().Unlink("/r/d/g"));
  ASSERT_OK(task().Rmdir("/r/d/dir"));
  for (int i = 0; i < 2; ++i) {
    Miss("/r/d/g");
    Miss("/r/d/dir");
  }
  EXPECT_LE(remote_.Asked(RemoteFs::Op::kLookup, "/d/g"), 2u);
  ASSERT_OK(task().WriteFile("/r/d/g", "again"));
  EXPECT_THAT(task().ReadFile("/r/d/g"), fixture::Holds("again"));
}

TEST_F(NegativeDentry, OfARemovedDirectorySaysNothingAboutItsSuccessor) {
  ASSERT_OK(task().Mkdir("/r/new", 0755));
  Miss("/r/new/x");
  ASSERT_OK(task().Rmdir("/r/new"));
  ASSERT_OK(task().Mkdir("/r/new", 0755));
  remote_.Make({Text("/new/x", "there")});
  EXPECT_OK(task().Stat("/r/new/x"));
}

TEST_F(NegativeDentry, OfARenamedDirectoryIsAskedForAgainOrStillTrue) {
  Miss("/r/d/x");
  ASSERT_OK(task().Rename("/r/d", "/r/moved"));
  Miss("/r/moved/x");
  ASSERT_OK(task().WriteFile("/r/moved/x", ""));
  EXPECT_OK(task().Stat("/r/moved/x"));
  Miss("/r/d/x");
}

TEST_F(NegativeDentry, IsForgottenWhenCachesAreDropped) {
  for (int i = 0; i < 50; ++i) Miss(absl::StrFormat("/r/d/nope%d", i));
  EXPECT_EQ(vfs().negatives().size(), 50u);
  DropCaches();
  EXPECT_EQ(vfs().negatives().size(), 0u);
  Miss("/r/d/nope1");
  EXPECT_EQ(LookupsOf("/d/nope1"), 2u);
}

TEST_F(NegativeDentry, OfNamesOfAnyLengthAnswers) {
  for (size_t size = 1; size <= kNameMax; size += size < 70 ? 1 : 37) {
    const std::string path = "/r/d/" + std::string(size, 'n');
    Miss(path);
    Miss(path);
    remote_.Make({Text("/d/" + std::string(size, 'n'), "")});
    ASSERT_OK(task().Chdir("/"));
    DropCaches();
    EXPECT_OK(task().Stat(path)) << size;
  }
}

TEST_F(NegativeDentry, IsCountedAndItsHitsAre) {
  Miss("/r/d/nope");
  const uint64_t inserts = vfs().negatives().stats().inserts.Value();
  EXPECT_EQ(inserts, 1u);
}

class FewNegatives : public NegativeDentry {
 protected:
  static constexpr size_t kLimit = 16;
  FewNegatives() : NegativeDentry({.negative_limit = kLimit}) {}
};

TEST_F(FewNegatives, NeverExceedTheirLimit) {
  for (int i = 0; i < 1000; ++i) {
    Miss(absl::StrFormat("/r/d/nope%d", i));
    ASSERT_LE(vfs().negatives().size(), kLimit + 1);
  }
  EXPECT_GE(vfs().negatives().size(), kLimit - 1);
}

TEST_F(FewNegatives, KeepTheOneThatIsUsedAndForgetTheOnesThatAreNot) {
  Miss("/r/d/used");
  remote_.ForgetAsked();
  for (int i = 0; i < 200; ++i) {
    Miss(absl::StrFormat("/r/d/once%d", i));
    Miss("/r/d/used");
  }
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup, "/d/used"), 0u) << "each use is a second chance";
  Miss("/r/d/once1");
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup, "/d/once1"), 2u);
}

TEST_F(FewNegatives, OfRemovedDirectoriesTakeNoPlaceForLong) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_OK(task().Mkdir("/r/tmp", 0755));
    for (int j = 0; j < 10; ++j) Miss(absl::StrFormat("/r/tmp/%d", j));
    ASSERT_OK(task().Rmdir("/r/tmp"));
    ASSERT_LE(vfs().negatives().size(), kLimit + 1);
  }
}

class NoNegatives : public NegativeDentry {
 protected:
  NoNegatives() : NegativeDentry({.negative_limit = 0}) {}
};

TEST_F(NoNegatives, AsksTheFileSystemEachTime) {
  for (int i = 0; i < 3; ++i) Miss("/r/d/nope");
  EXPECT_EQ(LookupsOf("/d/nope"), 3u);
  EXPECT_EQ(vfs().negatives().size(), 0u);
}

}  // namespace
}  // namespace dentree::vfs
