// Caches under memory pressure: LRU order, what drop_caches returns, what a budget allows.

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::RemoteFs;
using fixture::Text;

class Caches : public fixture::VfsTest {
 protected:
  explicit Caches(const Options& options = {}) : VfsTest(options) {
    vfs().RegisterType(remote_.Type());
    CHECK(task().Mkdir("/r", 0755).has_value());
    CHECK(task().Mount("server", "/r", "remote", "").has_value());
  }

  static std::string File(int i) { return absl::StrFormat("/d/f%03d", i); }
  void MakeFiles(int count) {
    for (int i = 0; i < count; ++i) remote_.Make({Text(File(i), "x")});
  }
  void StatFiles(int count) {
    for (int i = 0; i < count; ++i) EXPECT_OK(task().Stat("/r" + File(i)));
  }
  uint64_t LookupsOf(int i) { return remote_.Asked(RemoteFs::Op::kLookup, File(i)); }

  struct Counts {
    size_t dentries, inodes, negatives, files;
    bool operator==(const Counts&) const = default;
  };
  Counts Now() {
    return {vfs().dcache().live(), vfs().icache().live(), vfs().negatives().size(),
            vfs().files().active_objects()};
  }
  friend void PrintTo(const Counts& c, std::ostream* out) {
    *out << c.dentries << " dentries, " << c.inodes << " inodes, " << c.negatives << " negatives, "
         << c.files << " files";
  }

  RemoteFs remote_;
};

TEST_F(Caches, DroppingThemReturnsEveryCountToWhatItWas) {
  DropCaches();
  const Counts before = Now();
  MakeFiles(200);
  StatFiles(200);
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(task().Stat(absl::StrFormat("/r/d/nope%d", i)), FailsWith(Errno::kNoEnt));
  }
  EXPECT_OK(fs().Read("/r/d/f000"));
  const Counts cached = Now();
  EXPECT_EQ(cached.dentries, before.dentries + 201);
  EXPECT_EQ(cached.inodes, before.inodes + 201);
  EXPECT_EQ(cached.negatives, before.negatives + 100);
  DropCaches();
  EXPECT_EQ(Now(), before);
}

TEST_F(Caches, DroppingThemLeavesWhatIsInUse) {
  MakeFiles(3);
  StatFiles(3);
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/r" + File(1), O_RDONLY));
  DropCaches();
  remote_.ForgetAsked();
  EXPECT_OK(task().Stat("/r" + File(1)));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), 0u) << "it and the directories above stay";
  ASSERT_OK(task().Close(fd));
}

TEST_F(Caches, DroppingThemTakesNothingOfRamfs) {
  fs().Make({Dir("/keep/a/b"), Text("/keep/a/b/f", "x")});
  DropCaches();
  EXPECT_THAT(fs().Read("/keep/a/b/f"), Holds("x"));
}

TEST_F(Caches, AWholeTreeGoesLeavesFirst) {
  std::string path;
  for (int depth = 0; depth < 50; ++depth) path += "/sub";
  remote_.Make({Text(path + "/f", "")});
  DropCaches();
  const Counts before = Now();
  EXPECT_OK(task().Stat("/r" + path + "/f"));
  DropCaches();
  EXPECT_EQ(Now(), before);
}

TEST_F(Caches, ShrinkTakesTheOldestUnusedFirstAndGivesTheUsedASecondChance) {
  MakeFiles(40);
  StatFiles(40);
  for (int i = 0; i < 10; ++i) EXPECT_OK(task().Stat("/r" + File(i)));  // used again
  SuperBlock& sb = task().Resolve("/r")->mount->sb();
  const mm::ScanResult result = vfs().dcache().Shrink(sb, 20);
  EXPECT_EQ(result.scanned, 20u);
  EXPECT_GE(result.kept.referenced, 10u);
  EXPECT_LE(result.freed, 10u);
  remote_.ForgetAsked();
  for (int i = 0; i < 10; ++i) EXPECT_OK(task().Stat("/r" + File(i)));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), 0u);
  for (int i = 10; i < 20; ++i) EXPECT_OK(task().Stat("/r" + File(i)));
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), result.freed);
}

TEST_F(Caches, OfOneFileSystemAreNotShrunkForAnother) {
  MakeFiles(20);
  StatFiles(20);
  ASSERT_OK(task().Mkdir("/other", 0755));
  ASSERT_OK(task().Mount("server", "/other", "remote", ""));
  EXPECT_OK(task().Stat("/other/d/f000"));
  SuperBlock& other = task().Resolve("/other")->mount->sb();
  while (vfs().dcache().Shrink(other, 100).freed > 0) {
  }
  remote_.ForgetAsked();
  StatFiles(20);
  EXPECT_EQ(remote_.Asked(RemoteFs::Op::kLookup), 0u);
  ASSERT_OK(task().Umount("/other"));
}

TEST_F(Caches, AnEvictedInodeComesBackWithTheSameNumber) {
  MakeFiles(1);
  const Ino ino = task().Stat("/r" + File(0))->ino;
  DropCaches();
  EXPECT_EQ(task().Stat("/r" + File(0))->ino, ino);
}

TEST_F(Caches, UnmountingEmptiesThoseOfItsFileSystem) {
  const Counts before = Now();
  ASSERT_OK(task().Mkdir("/other", 0755));
  ASSERT_OK(task().Mount("server", "/other", "remote", ""));
  MakeFiles(50);
  for (int i = 0; i < 50; ++i) EXPECT_OK(task().Stat("/other" + File(i)));
  ASSERT_OK(task().Umount("/other"));
  ASSERT_OK(task().Rmdir("/other"));
  vfs().rcu().Drain();
  EXPECT_EQ(Now().dentries, before.dentries);
  EXPECT_EQ(Now().inodes, before.inodes);
}

// A budget that a few hundred cached objects fill.
class SmallBudget : public Caches {
 protected:
  static constexpr size_t kLimit = 512 * 1024;
  SmallBudget() : Caches({.memory_limit = kLimit}) {}
};

TEST_F(SmallBudget, IsKeptByReclaimWhileMuchMoreIsLookedUp) {
  constexpr int kFiles = 8000;
  MakeFiles(kFiles);
  StatFiles(kFiles);
  EXPECT_LE(vfs().memory().high_water(), kLimit);
  EXPECT_LT(vfs().dcache().live(), static_cast<size_t>(kFiles));
  vfs().CheckInvariants();
}

TEST_F(SmallBudget, RefusesWhatCannotBeReclaimedAndLeavesAllConsistent) {
  // ramfs gives nothing back. With one file open there is room for another, to list them with.
  ASSERT_OK_AND_ASSIGN(const int root, task().Open("/", O_RDONLY));
  int made = 0;
  Status status;
  while (made < 100'000) {
    status = task().Mkdir(absl::StrFormat("/d%d", made), 0755);
    if (!status) break;
    ++made;
  }
  EXPECT_THAT(status, FailsWith(Errno::kNoMem));
  EXPECT_LE(vfs().memory().high_water(), kLimit);
  vfs().CheckInvariants();
  EXPECT_EQ(fs().Names("/")->size(), static_cast<size_t>(made) + 1);
  EXPECT_EQ(task().Stat("/")->nlink, static_cast<uint32_t>(made) + 3);
  for (int i = 0; i < made; ++i) ASSERT_OK(task().Rmdir(absl::StrFormat("/d%d", i)));
  EXPECT_OK(task().Mkdir("/again", 0755));
  EXPECT_OK(task().Close(root));
}

TEST_F(SmallBudget, RefusesTheWriteThatDoesNotFitAndKeepsTheFile) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/f", O_CREAT | O_RDWR, 0644));
  const std::string chunk(10'000, 'x');
  uint64_t written = 0;
  for (;;) {
    const auto result = task().Write(fd, chunk);
    if (!result) {
      EXPECT_THAT(result, FailsWith(Errno::kNoMem));
      break;
    }
    written += *result;
    ASSERT_LE(written, kLimit);
  }
  EXPECT_EQ(task().Fstat(fd)->size, written);
  ASSERT_OK(task().Ftruncate(fd, 0));
  EXPECT_OK(task().Write(fd, chunk));
}

// Every allocation on the way of an operation fails in its turn: the operation answers kNoMem (or
// does without) and leaves the tree as it was.
TEST_F(Caches, AnAllocationThatFailsLeavesNoTrace) {
  const std::string name(60, 'n');  // too long for a dentry
  fs().Make({Dir("/a"), Dir("/b"), Text("/a/old", "x")});
  const std::pair<const char*, std::function<Status()>> operations[] = {
      {"mkdir", [&] { return task().Mkdir("/a/" + name, 0755); }},
      {"create", [&] { return task().WriteFile("/a/" + name, "text"); }},
      {"symlink", [&] { return task().Symlink("target", "/a/" + name); }},
      {"link", [&] { return task().Link("/a/old", "/a/" + name); }},
      {"rename", [&] { return task().Rename("/a/old", "/b/" + name); }},
  };
  for (const auto& [what, operation] : operations) {
    DropCaches();
    const auto before = fs().Nodes();
    for (uint64_t nth = 1;; ++nth) {
      ASSERT_LT(nth, 100u) << what << " does not end to allocate";
      Status status;
      {
        const base::ScopedFault fault(faults(), base::FaultPlan::Nth("mm:*", nth));
        status = operation();
      }
      vfs().CheckInvariants();
      if (status) break;
      EXPECT_THAT(status, FailsWith(Errno::kNoMem)) << what << " " << nth;
      // A file may have been made before its first page failed.
      if (fs().Has("/a/" + name)) {
        EXPECT_OK(fs().Remove("/a/" + name));
      }
      EXPECT_EQ(fixture::TreeDiff(before, fs().Nodes()), "") << what << " " << nth;
    }
    if (fs().Has("/a/" + name)) {
      ASSERT_OK(fs().Remove("/a/" + name));
    }
    if (fs().Has("/b/" + name)) {
      ASSERT_OK(task().Rename("/b/" + name, "/a/old"));
    }
  }
}

TEST_F(Caches, ALookupWithoutMemoryFailsAndTheNextOneDoesNot) {
  MakeFiles(1);
  for (uint64_t nth = 1; nth < 100; ++nth) {
    DropCaches();
    Result<Stat> result;
    {
      const base::ScopedFault fault(faults(), base::FaultPlan::Nth("mm:*", nth));
      result = task().Stat("/r" + File(0));
    }
    vfs().CheckInvariants();
    if (result) return;
    EXPECT_THAT(result, FailsWith(Errno::kNoMem)) << nth;
    EXPECT_OK(task().Stat("/r" + File(0)));
  }
  FAIL() << "the lookup never worked";
}

// --- age --------------------------------------------------------------------------------------

class AgeingCaches : public Caches {
 protected:
  AgeingCaches() : Caches({.time = fixture::Time::kFake}) {}
};

TEST_F(AgeingCaches, ATrickleOfNewNamesWithoutPressureEndsBounded) {
  constexpr int kFiles = 12'000;
  constexpr int64_t kSecond = 1'000'000'000;
  MakeFiles(kFiles);
  // Three a second: a name comes again after 4,000 seconds, which is old.
  constexpr int64_t kEpochs = 9;  // eight, and the one under way
  constexpr size_t kYoung = 3 * kEpochs * SuperBlock::kEpochNs / kSecond;
  size_t most = 0;
  for (int i = 0; i < 3 * kFiles; ++i) {
    ASSERT_OK(task().Stat("/r" + File(i % kFiles)));
    clock().Advance(kSecond / 3);
    most = std::max(most, vfs().dcache().live());
  }
  // Chance decides which names let go: what they leave shrinks by half with every few dozen of
  // them.
  constexpr size_t kLag = 64 * SuperBlock::kNamesPerAgeing;
  EXPECT_LE(most, kYoung + kLag);
  EXPECT_GE(vfs().dcache().stats().Sum<&DcacheStats::aged>(), 2u * kFiles);
  // One every quarter of an hour for a year.
  for (int i = 0; i < 365 * 24 * 4; ++i) {
    ASSERT_OK(task().Stat("/r" + File(i % kFiles)));
    clock().Advance(900 * kSecond);
  }
  EXPECT_LE(vfs().dcache().live(), kLag);
  EXPECT_LE(vfs().icache().live(), kLag);
}

TEST_F(AgeingCaches, WhatIsUsedNowAndThenDoesNotAge) {
  constexpr int kFiles = 4000;
  MakeFiles(kFiles);
  remote_.ForgetAsked();
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_OK(task().Stat("/r" + File(i)));
    ASSERT_OK(task().Stat("/r" + File(0)));
    clock().Advance(SuperBlock::kEpochNs / 16);
  }
  EXPECT_EQ(LookupsOf(0), 1u);
  EXPECT_GT(vfs().dcache().stats().Sum<&DcacheStats::aged>(), 0u);
}

}  // namespace
}  // namespace dentree::vfs
