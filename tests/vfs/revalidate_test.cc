// A file system that changes behind the VFS's back: what is believed, asked again, or forgotten.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::RemoteFs;
using fixture::Text;

class Remote : public fixture::VfsTest {
 protected:
  explicit Remote(std::string_view options = "") {
    remote_.Make({Dir("/d"), Text("/d/f", "1")});
    vfs().RegisterType(remote_.Type());
    CHECK(task().Mkdir("/r", 0755).has_value());
    CHECK(task().Mount("server", "/r", "remote", options).has_value());
  }

  RemoteFs remote_;
};

TEST_F(Remote, IsAskedForANameOnce) {
  for (int i = 0; i < 5; ++i) EXPECT_OK(task().Stat("/r/d/f"));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup, "/d"), 1u);
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup, "/d/f"), 1u);
}

TEST_F(Remote, IsBelievedUntilCachesAreDropped) {
  EXPECT_OK(task().Stat("/r/d/f"));
  remote_.Remove("/d/f");
  EXPECT_OK(task().Stat("/r/d/f")) << "nobody told us";
  DropCaches();
  EXPECT_THAT(task().Stat("/r/d/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(Remote, OneObjectIsOneInodeByWhateverName) {
  ASSERT_OK(task().Link("/r/d/f", "/r/d/g"));
  DropCaches();
  ASSERT_OK_AND_ASSIGN(const Path f, task().Resolve("/r/d/f"));
  ASSERT_OK_AND_ASSIGN(const Path g, task().Resolve("/r/d/g"));
  EXPECT_EQ(&f.inode(), &g.inode());
  EXPECT_NE(f.dentry.get(), g.dentry.get());
}

TEST_F(Remote, AnInodeThatIsCachedIsUsedAgain) {
  const uint64_t created = vfs().icache().stats().Sum<&InodeStats::created>();
  EXPECT_OK(task().Stat("/r/d/f"));
  SuperBlock& sb = task().Resolve("/r")->mount->sb();
  while (vfs().dcache().Shrink(sb, 100).scanned > 0) {
  }
  EXPECT_OK(task().Stat("/r/d/f"));
  EXPECT_EQ(vfs().icache().stats().Sum<&InodeStats::created>(), created + 2) << "d and f, once each";
}

TEST_F(Remote, CreatesAndChangesReachTheTruth) {
  ASSERT_OK(task().Mkdir("/r/new", 0750));
  ASSERT_OK(task().WriteFile("/r/new/f", "text"));
  ASSERT_OK(task().Symlink("f", "/r/new/l"));
  EXPECT_EQ(remote_.TextOf("/new/f"), "text");
  EXPECT_EQ(remote_.TextOf("/new/l"), "f");
  ASSERT_OK(task().Rename("/r/new", "/r/d/moved"));
  EXPECT_FALSE(remote_.Has("/new"));
  EXPECT_THAT(task().ReadFile("/r/d/moved/l"), Holds("text"));
  ASSERT_OK(fs().Remove("/r/d/moved"));
  EXPECT_FALSE(remote_.Has("/d/moved"));
}

TEST_F(Remote, AFailedOperationChangesNothing) {
  using Op = RemoteFs::Op;
  const std::tuple<Op, const char*, std::function<Status()>> operations[] = {
      {Op::kCreate, "mkdir", [&] { return task().Mkdir("/r/d/new", 0755); }},
      {Op::kCreate, "create", [&] { return task().WriteFile("/r/d/new", "x"); }},
      {Op::kCreate, "symlink", [&] { return task().Symlink("x", "/r/d/new"); }},
      {Op::kLink, "link", [&] { return task().Link("/r/d/f", "/r/d/new"); }},
      {Op::kUnlink, "unlink", [&] { return task().Unlink("/r/d/f"); }},
      {Op::kRename, "rename", [&] { return task().Rename("/r/d/f", "/r/d/new"); }},
      {Op::kRename, "rename away", [&] { return task().Rename("/r/d/f", "/r/new"); }},
  };
  for (const auto& [op, what, operation] : operations) {
    remote_.FailNext(op, Errno::kIo);
    EXPECT_THAT(operation(), FailsWith(Errno::kIo)) << what;
    EXPECT_THAT(task().Stat("/r/d/new"), FailsWith(Errno::kNoEnt)) << what;
    EXPECT_THAT(task().ReadFile("/r/d/f"), Holds("1")) << what;
    vfs().CheckInvariants();
  }
}

TEST_F(Remote, AWalkThatMeetsAStaleHandleIsDoneOnceMore) {
  remote_.FailNext(RemoteFs::Op::kLookup, Errno::kStale);
  EXPECT_OK(task().Stat("/r/d/f"));
  DropCaches();
  remote_.FailNext(RemoteFs::Op::kLookup, Errno::kStale);
  EXPECT_OK(task().Mkdir("/r/d/new", 0755)) << "the way to the parent too";
  DropCaches();
  remote_.FailNext(RemoteFs::Op::kLookup, Errno::kIo);
  EXPECT_THAT(task().Stat("/r/d/f"), FailsWith(Errno::kIo)) << "nothing else is";
}

class RevalidatedRemote : public Remote {
 protected:
  RevalidatedRemote() : Remote("revalidate") {}
};

TEST_F(RevalidatedRemote, NoticesThatANameIsGone) {
  EXPECT_OK(task().Stat("/r/d/f"));
  remote_.Remove("/d/f");
  EXPECT_THAT(task().Stat("/r/d/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(RevalidatedRemote, NoticesThatAMissingNameHasAppeared) {
  EXPECT_THAT(task().Stat("/r/d/new"), FailsWith(Errno::kNoEnt));
  remote_.Make({Text("/d/new", "")});
  EXPECT_OK(task().Stat("/r/d/new"));
}

TEST_F(RevalidatedRemote, NoticesThatANameMeansSomethingElse) {
  ASSERT_OK_AND_ASSIGN(const int old, task().Open("/r/d/f", O_RDONLY));
  remote_.Make({Text("/d/f", "second")});
  EXPECT_THAT(task().ReadFile("/r/d/f"), Holds("second"));
  EXPECT_NE(task().Fstat(old)->ino, task().Stat("/r/d/f")->ino);
  std::byte byte;
  EXPECT_THAT(task().Read(old, {&byte, 1}), FailsWith(Errno::kStale));
}

TEST_F(RevalidatedRemote, ForgetsWhatWasCachedBelowADirectoryThatIsGone) {
  remote_.Make({Text("/d/sub/deep/x", "")});
  EXPECT_OK(task().Stat("/r/d/sub/deep/x"));
  remote_.Remove("/d/sub");
  EXPECT_THAT(task().Stat("/r/d/sub/deep/x"), FailsWith(Errno::kNoEnt));
  remote_.Make({Text("/d/sub/deep/y", "")});
  EXPECT_OK(task().Stat("/r/d/sub/deep/y"));
  EXPECT_THAT(task().Stat("/r/d/sub/deep/x"), FailsWith(Errno::kNoEnt));
}

TEST_F(RevalidatedRemote, AWorkingDirectoryThatIsGoneIsLikeADeletedOne) {
  remote_.Make({Text("/d/sub/x", "")});
  ASSERT_OK(task().Chdir("/r/d/sub"));
  remote_.Remove("/d/sub");
  EXPECT_THAT(task().Stat("/r/d/sub"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Stat(".."));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(RevalidatedRemote, ADirectoryThatMovedBehindOurBackHasOneNameInTheCache) {
  EXPECT_OK(task().Stat("/r/d/f"));
  ASSERT_OK_AND_ASSIGN(const Path before, task().Resolve("/r/d"));
  remote_.Make({Dir("/e")});
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/r/d", O_RDONLY));
  remote_.Rename("/d", "/e/d");
  ASSERT_OK_AND_ASSIGN(const Path after, task().Resolve("/r/e/d"));
  EXPECT_EQ(&before.inode(), &after.inode());
  EXPECT_THAT(task().Stat("/r/d"), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Stat("/r/e/d/f"));
  ASSERT_OK(task().Close(fd));
}

}  // namespace
}  // namespace dentree::vfs
