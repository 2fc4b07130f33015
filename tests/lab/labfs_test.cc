// labfs: what it answers, what it is asked, and how long that takes.
#include "lab/labfs.h"

#include <chrono>
#include <thread>

#include "fixture/fixture.h"

namespace dentree::lab {
namespace {

using fixture::FailsWith;
using testing::ElementsAre;
using vfs::Errno;
using vfs::FileType;

class LabfsTest : public fixture::VfsTest {
 protected:
  LabfsTest() { vfs().RegisterType(Labfs()); }

  void Mount(std::string_view options) {
    ASSERT_OK(task().Mkdir("/lab", 0755));
    ASSERT_OK(task().Mount("lab", "/lab", "labfs", options));
  }
  void Add(std::string_view path, FileType type) {
    ASSERT_OK_AND_ASSIGN(const vfs::Path place, task().Resolve("/lab"));
    AddName(place, path, type);
  }
  LabStats& Stats() { return LabStatsOf(*task().Resolve("/lab")).Local(); }
  std::vector<std::string> Names(std::string_view path) {
    std::vector<std::string> names;
    const auto entries = task().ListDir(path);
    EXPECT_OK(entries);
    for (const vfs::DirEntry& entry : entries.value_or(std::vector<vfs::DirEntry>())) {
      names.push_back(entry.name);
    }
    return names;
  }
};

TEST_F(LabfsTest, AddedNamesAreThere) {
  Mount("");
  Add("/usr/lib/libc.so", FileType::kRegular);
  Add("/usr/empty", FileType::kDir);
  EXPECT_TRUE(vfs::IsRegular(task().Stat("/lab/usr/lib/libc.so")->mode));
  EXPECT_TRUE(vfs::IsDir(task().Stat("/lab/usr/empty")->mode));
  EXPECT_THAT(Names("/lab/usr"), ElementsAre("lib", "empty"));
  EXPECT_THAT(task().ReadFile("/lab/usr/lib/libc.so"), fixture::Holds(std::string()));
}

TEST_F(LabfsTest, FilesStayEmpty) {
  Mount("");
  EXPECT_THAT(task().WriteFile("/lab/f", "text"), FailsWith(Errno::kNoSpc));
  EXPECT_THAT(task().ReadFile("/lab/f"), fixture::Holds(std::string()));
}

TEST_F(LabfsTest, AMissIsAskedForOnce) {
  Mount("");
  const uint64_t before = Stats().misses.Value();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(task().Stat("/lab/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(Stats().misses.Value() - before, 1);
}

TEST_F(LabfsTest, AnUnlinkedNameIsNotAskedForBeforeItIsMadeAgain) {
  Mount("");
  ASSERT_OK(task().WriteFile("/lab/f", ""));
  ASSERT_OK(task().Unlink("/lab/f"));
  EXPECT_THAT(task().Stat("/lab/f"), FailsWith(Errno::kNoEnt));
  ASSERT_OK(task().WriteFile("/lab/f", ""));
  EXPECT_OK(task().Stat("/lab/f"));
}

TEST_F(LabfsTest, NamesAreMadeMovedAndRemoved) {
  Mount("");
  ASSERT_OK(task().Mkdir("/lab/a", 0755));
  ASSERT_OK(task().Mkdir("/lab/b", 0755));
  ASSERT_OK(task().WriteFile("/lab/a/f", ""));
  ASSERT_OK(task().WriteFile("/lab/b/g", ""));
  EXPECT_THAT(task().Rmdir("/lab/a"), FailsWith(Errno::kNotEmpty));
  ASSERT_OK(task().Rename("/lab/a/f", "/lab/b/g"));
  EXPECT_THAT(Names("/lab/a"), ElementsAre());
  EXPECT_THAT(Names("/lab/b"), ElementsAre("g"));
  ASSERT_OK(task().Rename("/lab/a", "/lab/b", vfs::kRenameExchange));
  EXPECT_THAT(Names("/lab/a"), ElementsAre("g"));
  ASSERT_OK(task().Unlink("/lab/a/g"));
  ASSERT_OK(task().Rmdir("/lab/a"));
  EXPECT_THAT(Names("/lab"), ElementsAre("b"));
}

TEST_F(LabfsTest, WhatIsForgottenByTheCacheIsStillThere) {
  Mount("");
  ASSERT_OK(task().Mkdir("/lab/d", 0700));
  ASSERT_OK(task().WriteFile("/lab/d/f", ""));
  DropCaches();
  EXPECT_EQ(task().Stat("/lab/d")->mode & 0777, 0700);
  EXPECT_OK(task().Stat("/lab/d/f"));
}

TEST_F(LabfsTest, AnOpenFileOutlivesItsName) {
  Mount("");
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/lab/f", O_RDWR | O_CREAT, 0644));
  ASSERT_OK(task().Unlink("/lab/f"));
  EXPECT_EQ(task().Fstat(fd)->nlink, 0);
  ASSERT_OK(task().WriteFile("/lab/f", ""));
  EXPECT_NE(task().Fstat(fd)->ino, task().Stat("/lab/f")->ino);
}

TEST_F(LabfsTest, ALookupTakesAtLeastItsCostAndAHitTakesNone) {
  Mount("cost_ns=2000000");
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  EXPECT_THAT(task().Stat("/lab/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(2));
  const uint64_t before = Stats().lookups.Value();
  EXPECT_THAT(task().Stat("/lab/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(Stats().lookups.Value(), before);
}

TEST_F(LabfsTest, TheCostIsShownAndChangedByARemount) {
  Mount("cost_ns=50");
  EXPECT_OK(task().Remount("/lab", "cost_ns=70"));
  EXPECT_THAT(task().Remount("/lab", "cost_ns=-1"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Remount("/lab", "cost_ns=1000000001"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Mount("lab", "/lab", "labfs", "cost=1"), FailsWith(Errno::kInval));
  ASSERT_OK_AND_ASSIGN(const vfs::Path place, task().Resolve("/lab"));
  EXPECT_EQ(place.dentry->inode().sb().ShowOptions(), ",cost_ns=70");
}

TEST_F(LabfsTest, NamesThatThreadsMakeAndRemoveLeaveNothing) {
  Mount("");
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      const auto mine = TaskOf(vfs::Creds::Root());
      for (int round = 0; round < 300; ++round) {
        const std::string path = "/lab/f" + std::to_string(round % 3);
        const auto fd = mine->Open(path, O_RDWR | O_CREAT, 0644);
        EXPECT_OK(fd);
        if (fd) (void)mine->Close(*fd);
        (void)mine->Stat(path);
        (void)mine->Unlink(path);
        if (round % 50 == 0) vfs().DropCaches();
      }
    });
  }
}

}  // namespace
}  // namespace dentree::lab
