// How long an answer of the host is believed, and what is asked when.

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "tests/hostfs/hostfs_test.h"

namespace dentree::hostfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using vfs::Errno;

// What the ttl does alone, where the host does not tell.
class Ttl : public HostfsTest {
 protected:
  void Mount(std::string_view options = "ttl=1") {
    HostfsTest::Mount("notify=off," + std::string(options));
  }
  size_t Negatives() { return vfs().negatives().size(); }
};

TEST_F(Ttl, AThousandMissesAreAThousandNegativesAndRepeatedAskTheHostNothing) {
  host().Dir("d");
  Mount();
  const auto miss_all = [&] {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_THAT(task().Stat(absl::StrCat("/host/d/missing", i)), FailsWith(Errno::kNoEnt));
    }
  };
  miss_all();
  EXPECT_EQ(Negatives(), 1000u);
  EXPECT_EQ(stats().misses.Value(), 1000u);
  const uint64_t before = Calls();
  miss_all();
  EXPECT_EQ(Calls(), before);
  EXPECT_EQ(Negatives(), 1000u);
}

TEST_F(Ttl, WhatIsCachedAsksTheHostNothing) {
  host().Text("a/b/c/f", "");
  Mount();
  ASSERT_OK(task().Stat("/host/a/b/c/f"));
  const uint64_t before = Calls();
  clock().Advance(999'000'000);
  for (int i = 0; i < 10; ++i) ASSERT_OK(task().Stat("/host/a/b/c/f"));
  EXPECT_EQ(Calls(), before);
  clock().Advance(1'000'000);
  ASSERT_OK(task().Stat("/host/a/b/c/f"));
  EXPECT_GT(Calls(), before);
  EXPECT_EQ(stats().asked_again.Value(), 4u);
  EXPECT_EQ(stats().stale.Value(), 0u);
}

TEST_F(Ttl, AFileCreatedOnTheHostAppearsWithinTheTtl) {
  Mount();
  EXPECT_THAT(task().Stat("/host/new"), FailsWith(Errno::kNoEnt));
  host().Text("new", "here");
  EXPECT_THAT(task().Stat("/host/new"), FailsWith(Errno::kNoEnt)) << "believed";
  Expire();
  EXPECT_THAT(task().ReadFile("/host/new"), Holds("here"));
  EXPECT_EQ(stats().misses.Value(), 1u);
}

TEST_F(Ttl, AMissThatIsStillOneKeepsItsNegative) {
  Mount();
  for (uint64_t asked = 1; asked <= 3; ++asked) {
    EXPECT_THAT(task().Stat("/host/gone"), FailsWith(Errno::kNoEnt));
    EXPECT_EQ(stats().misses.Value(), asked);
    EXPECT_THAT(task().Stat("/host/gone"), FailsWith(Errno::kNoEnt));
    EXPECT_EQ(stats().misses.Value(), asked) << "believed";
    Expire();
  }
  EXPECT_EQ(vfs().negatives().stats().inserts.Value(), 1u);
}

TEST_F(Ttl, EachMissHasItsOwnTime) {
  Mount();
  EXPECT_THAT(task().Stat("/host/early"), FailsWith(Errno::kNoEnt));
  clock().Advance(600'000'000);
  EXPECT_THAT(task().Stat("/host/late"), FailsWith(Errno::kNoEnt));
  clock().Advance(500'000'000);
  host().Text("early", "");
  host().Text("late", "");
  EXPECT_OK(task().Stat("/host/early"));
  EXPECT_THAT(task().Stat("/host/late"), FailsWith(Errno::kNoEnt));
  clock().Advance(500'000'000);
  EXPECT_OK(task().Stat("/host/late"));
}

TEST_F(Ttl, ANameRemovedOnTheHostIsGoneAfterTheTtl) {
  host().Text("d/f", "");
  Mount();
  ASSERT_OK(task().Stat("/host/d/f"));
  filesystem::remove(host().At("d/f"));
  EXPECT_OK(task().Stat("/host/d/f")) << "believed";
  Expire();
  EXPECT_THAT(task().Stat("/host/d/f"), FailsWith(Errno::kNoEnt));
  EXPECT_GT(stats().stale.Value(), 0u);
}

TEST_F(Ttl, ChangedModesAndSizesAreSeenAfterTheTtl) {
  host().Text("f", "12345");
  Mount();
  EXPECT_EQ(task().Stat("/host/f")->size, 5u);
  host().Text("f", "1234567");
  ASSERT_EQ(::chmod(host().At("f").c_str(), 0600), 0);
  EXPECT_EQ(task().Stat("/host/f")->size, 5u) << "believed";
  Expire();
  EXPECT_EQ(task().Stat("/host/f")->size, 7u);
  EXPECT_EQ(task().Stat("/host/f")->mode, S_IFREG | 0600);
}

TEST_F(Ttl, AnotherObjectUnderTheSameNameIsAnotherInode) {
  host().Text("f", "first");
  Mount();
  ASSERT_OK_AND_ASSIGN(const vfs::Path first, task().Resolve("/host/f"));
  host().Text("g", "second");
  filesystem::rename(host().At("g"), host().At("f"));
  Expire();
  ASSERT_OK_AND_ASSIGN(const vfs::Path second, task().Resolve("/host/f"));
  EXPECT_NE(&first.inode(), &second.inode());
  EXPECT_EQ(second.inode().ino(), host().Stat("f").st_ino);
}

TEST_F(Ttl, ANumberUsedAgainForAnotherTypeIsAnotherInode) {
  host().Text("x", "");
  Mount();
  ASSERT_OK(task().Stat("/host/x"));
  filesystem::remove(host().At("x"));
  host().Dir("x");  // often with the number just given back
  Expire();
  EXPECT_EQ(vfs::TypeOf(task().Stat("/host/x")->mode), vfs::FileType::kDir);
  EXPECT_OK(task().ListDir("/host/x"));
}

TEST_F(Ttl, OpeningAFileThatWasReplacedOpensTheNewOneAtOnce) {
  host().Text("d/f", "first");
  Mount();
  EXPECT_THAT(task().ReadFile("/host/d/f"), Holds("first"));
  host().Text("d/g", "second");
  filesystem::rename(host().At("d/g"), host().At("d/f"));
  EXPECT_THAT(task().ReadFile("/host/d/f"), Holds("second"));
}

TEST_F(Ttl, AWalkThroughADirectoryThatWasReplacedGoesThroughTheNewOne) {
  host().Text("d/old", "");
  Mount();
  ASSERT_OK(task().Stat("/host/d/old"));
  filesystem::rename(host().At("d"), host().At("e"));
  host().Text("d/new", "new");
  EXPECT_THAT(task().ReadFile("/host/d/new"), Holds("new"));
  EXPECT_THAT(task().Stat("/host/d/old"), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Stat("/host/e/old"));
}

TEST_F(Ttl, AnOpenFileThatVanishedOnTheHostReadsOn) {
  host().Text("f", "still here");
  Mount();
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/host/f", O_RDONLY));
  filesystem::remove(host().At("f"));
  Expire();
  EXPECT_THAT(task().Stat("/host/f"), FailsWith(Errno::kNoEnt));
  std::array<std::byte, 64> buffer;
  EXPECT_THAT(task().Read(fd, buffer), Holds(10u));
  EXPECT_EQ(task().Fstat(fd)->nlink, 0u);
  EXPECT_EQ(task().Fstat(fd)->size, 10u);
  ASSERT_OK(task().Close(fd));
}

TEST_F(Ttl, AWorkingDirectoryAndAMountBelowStayWhereTheyAreWhenTimeIsOver) {
  host().Text("a/b/f", "");
  host().Dir("a/b/m");
  Mount();
  ASSERT_OK(task().Chdir("/host/a/b"));
  ASSERT_OK(task().Mount("none", "/host/a/b/m", "ramfs", ""));
  ASSERT_OK(task().WriteFile("/host/a/b/m/x", ""));
  for (int i = 0; i < 3; ++i) {
    Expire();
    EXPECT_OK(task().Stat("f"));
    EXPECT_THAT(task().Getcwd(), Holds("/host/a/b"));
    EXPECT_OK(task().Stat("/host/a/b/m/x"));
  }
  ASSERT_OK(task().Umount("/host/a/b/m"));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Ttl, AWorkingDirectoryThatIsGoneIsLikeADeletedOne) {
  host().Dir("a/b");
  Mount();
  ASSERT_OK(task().Chdir("/host/a/b"));
  filesystem::remove(host().At("a/b"));
  Expire();
  EXPECT_THAT(task().Stat("/host/a/b"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Getcwd(), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("f"), FailsWith(Errno::kNoEnt));
  EXPECT_OK(task().Stat(".."));
  ASSERT_OK(task().Chdir("/"));
}

TEST_F(Ttl, ZeroAsksEachTime) {
  host().Text("f", "1");
  Mount("ttl=0");
  EXPECT_EQ(task().Stat("/host/f")->size, 1u);
  host().Text("f", "12");
  EXPECT_EQ(task().Stat("/host/f")->size, 2u);
  EXPECT_THAT(task().Stat("/host/g"), FailsWith(Errno::kNoEnt));
  host().Text("g", "");
  EXPECT_OK(task().Stat("/host/g"));
  filesystem::remove(host().At("f"));
  EXPECT_THAT(task().Stat("/host/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(Ttl, IsInSecondsOrMillisecondsAndCanBeRemounted) {
  host().Text("f", "1");
  Mount("ttl=250ms");
  ASSERT_OK(task().Stat("/host/f"));
  clock().Advance(250'000'000);
  host().Text("f", "12");
  EXPECT_EQ(task().Stat("/host/f")->size, 2u);
  ASSERT_OK(task().Remount("/host", "ttl=60"));
  host().Text("f", "123");
  clock().Advance(59'000'000'000);
  EXPECT_EQ(task().Stat("/host/f")->size, 2u);
  clock().Advance(1'000'000'000);
  EXPECT_EQ(task().Stat("/host/f")->size, 3u);
}

TEST_F(Ttl, NegativesStayBelowTheirLimit) {
  Mount();
  for (size_t i = 0; i < vfs::kDefaultNegativeLimit + 500; ++i) {
    EXPECT_THAT(task().Stat(absl::StrCat("/host/missing", i)), FailsWith(Errno::kNoEnt));
  }
  EXPECT_LE(Negatives(), vfs::kDefaultNegativeLimit);
}

}  // namespace
}  // namespace dentree::hostfs
