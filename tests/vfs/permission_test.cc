// Who may do what: owners, groups, capabilities, sticky and set-group-id directories, umask.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Text;

constexpr Uid kOwner = 1000;
constexpr Uid kOther = 2000;
constexpr Gid kGroup = 100;
constexpr Gid kOtherGroup = 200;

class Permission : public fixture::VfsTest {
 protected:
  Permission()
      : owner_(TaskOf(Creds::User(kOwner, kOtherGroup))),
        member_(TaskOf(Creds::User(kOther, kOtherGroup, {5, kGroup, 7}))),
        other_(TaskOf(Creds::User(kOther, kOtherGroup))) {}

  void TearDown() override {
    owner_.reset();
    member_.reset();
    other_.reset();
    VfsTest::TearDown();
  }

  void MakeFile(const char* path, Mode mode) {
    fs().Make({Text(path, "x", mode)});
    ASSERT_OK(task().Chown(path, kOwner, kGroup));
    ASSERT_OK(task().Chmod(path, mode));
  }
  Mode ModeOf(std::string_view path) { return task().Lstat(path)->mode & 07777; }

  Task& owner() { return *owner_; }
  Task& member() { return *member_; }
  Task& other() { return *other_; }

 private:
  std::unique_ptr<Task> owner_, member_, other_;
};

TEST_F(Permission, TheFirstClassThatAppliesDecides) {
  struct Case {
    Mode mode;
    bool owner, member, other;  // may read
  };
  const Case cases[] = {{0400, true, false, false}, {0040, false, true, false},
                        {0004, false, false, true}, {0444, true, true, true},
                        {0044, false, true, true},  {0404, true, false, true},
                        {0000, false, false, false}};
  for (const Case& c : cases) {
    MakeFile("/f", c.mode);
    EXPECT_EQ(owner().Open("/f", O_RDONLY).has_value(), c.owner) << c.mode;
    EXPECT_EQ(member().Open("/f", O_RDONLY).has_value(), c.member) << c.mode;
    EXPECT_EQ(other().Open("/f", O_RDONLY).has_value(), c.other) << c.mode;
    EXPECT_OK(task().Open("/f", O_RDWR)) << "root may, whatever the mode";
    ASSERT_OK(task().Unlink("/f"));
  }
}

TEST_F(Permission, RootExecutesOnlyWhatSomebodyMayExecute) {
  MakeFile("/plain", 0666);
  MakeFile("/program", 0010);
  fs().Make({Dir("/d", 0000)});
  EXPECT_THAT(task().Access("/plain", kMayExec), FailsWith(Errno::kAccess));
  EXPECT_OK(task().Access("/program", kMayExec));
  EXPECT_OK(task().Access("/d", kMayExec | kMayRead | kMayWrite));
}

TEST_F(Permission, ReadSearchCapabilityReadsButDoesNotWrite) {
  Creds creds = Creds::User(kOther, kOtherGroup);
  creds.caps = uint64_t{1} << static_cast<unsigned>(Cap::kDacReadSearch);
  const auto reader = TaskOf(creds);
  fs().Make({Dir("/d", 0700), Text("/d/f", "x", 0600)});
  EXPECT_OK(reader->ReadFile("/d/f"));
  EXPECT_OK(reader->ListDir("/d"));
  EXPECT_THAT(reader->Open("/d/f", O_WRONLY), FailsWith(Errno::kAccess));
}

TEST_F(Permission, ChangingADirectoryNeedsWriteAndSearch) {
  for (const Mode mode : {Mode{0755}, Mode{0772}, Mode{0771}}) {
    fs().Make({Dir("/d", mode), Text("/d/f", ""), Dir("/d/sub")});
    EXPECT_THAT(other().Mkdir("/d/new", 0755), FailsWith(Errno::kAccess)) << mode;
    EXPECT_THAT(other().Unlink("/d/f"), FailsWith(Errno::kAccess)) << mode;
    EXPECT_THAT(other().Rmdir("/d/sub"), FailsWith(Errno::kAccess)) << mode;
    EXPECT_THAT(other().Rename("/d/f", "/d/g"), FailsWith(Errno::kAccess)) << mode;
    EXPECT_THAT(other().Open("/d/new", O_CREAT | O_WRONLY, 0644), FailsWith(Errno::kAccess));
    ASSERT_OK(fs().Remove("/d"));
  }
}

TEST_F(Permission, WhatIsNotThereOrAlreadyThereIsToldBeforePermission) {
  fs().Make({Dir("/ro", 0755), Dir("/ro/d"), Text("/ro/f", "")});
  EXPECT_THAT(other().Unlink("/ro/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(other().Rmdir("/ro/nope"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(other().Mkdir("/ro/d", 0755), FailsWith(Errno::kExist));
  EXPECT_THAT(other().Symlink("x", "/ro/f"), FailsWith(Errno::kExist));
  EXPECT_THAT(other().Rename("/ro/nope", "/ro/x"), FailsWith(Errno::kNoEnt));
}

TEST_F(Permission, AStickyDirectoryKeepsOthersNames) {
  fs().Make({Dir("/tmp", 01777)});
  ASSERT_OK(owner().WriteFile("/tmp/f", "x"));
  ASSERT_OK(owner().Mkdir("/tmp/d", 0777));
  ASSERT_OK(other().WriteFile("/tmp/mine", "y"));
  EXPECT_THAT(other().Unlink("/tmp/f"), FailsWith(Errno::kPerm));
  EXPECT_THAT(other().Rmdir("/tmp/d"), FailsWith(Errno::kPerm));
  EXPECT_THAT(other().Rename("/tmp/f", "/tmp/g"), FailsWith(Errno::kPerm));
  EXPECT_THAT(other().Rename("/tmp/mine", "/tmp/f"), FailsWith(Errno::kPerm));
  EXPECT_OK(owner().Unlink("/tmp/f"));
  EXPECT_OK(other().Rename("/tmp/mine", "/tmp/still-mine"));
  ASSERT_OK(task().Chown("/tmp", kOther, kOtherGroup));
  EXPECT_OK(other().Rmdir("/tmp/d")) << "the directory's owner may";
}

TEST_F(Permission, ASetGroupIdDirectoryGivesItsGroup) {
  fs().Make({Dir("/sg")});
  ASSERT_OK(task().Chown("/sg", 0, kGroup));
  ASSERT_OK(task().Chmod("/sg", 02777));
  ASSERT_OK(owner().Mkdir("/sg/d", 0755));
  EXPECT_EQ(task().Stat("/sg/d")->gid, kGroup);
  EXPECT_EQ(ModeOf("/sg/d"), 02755) << "directories pass it on";
  ASSERT_OK_AND_ASSIGN(const int fd, owner().Open("/sg/f", O_CREAT | O_WRONLY, 02775));
  ASSERT_OK(owner().Close(fd));
  EXPECT_EQ(task().Stat("/sg/f")->gid, kGroup);
  EXPECT_EQ(ModeOf("/sg/f"), 0755) << "no member of the group may make a set-group-id program";
}

TEST_F(Permission, NewObjectsBelongToTheirMaker) {
  fs().Make({Dir("/d", 0777)});
  ASSERT_OK(owner().Mkdir("/d/sub", 0755));
  ASSERT_OK(owner().Symlink("x", "/d/link"));
  for (const char* path : {"/d/sub", "/d/link"}) {
    EXPECT_EQ(task().Lstat(path)->uid, kOwner) << path;
    EXPECT_EQ(task().Lstat(path)->gid, kOtherGroup) << path;
  }
  EXPECT_EQ(ModeOf("/d/link"), 0777);
}

TEST_F(Permission, TheUmaskTakesBitsFromWhatIsMade) {
  EXPECT_EQ(task().Umask(027), 022);
  ASSERT_OK(task().Mkdir("/d", 0777));
  ASSERT_OK(task().WriteFile("/f", "", O_CREAT, 0666));
  ASSERT_OK(task().Mknod("/p", S_IFIFO | 0666, 0));
  EXPECT_EQ(ModeOf("/d"), 0750);
  EXPECT_EQ(ModeOf("/f"), 0640);
  EXPECT_EQ(ModeOf("/p"), 0640);
  ASSERT_OK(task().Symlink("x", "/l"));
  EXPECT_EQ(ModeOf("/l"), 0777) << "links have no mode of their own";
  ASSERT_OK(task().Chmod("/f", 0666));
  EXPECT_EQ(ModeOf("/f"), 0666) << "chmod says what it means";
}

TEST_F(Permission, AForkedTaskHasItsOwnUmaskAndDescriptorsAndTheSamePlaces) {
  fs().Make({Dir("/d"), Text("/d/f", "")});
  ASSERT_OK(task().Chdir("/d"));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("f", O_RDONLY));
  const auto child = task().Fork();
  EXPECT_OK(child->Stat("f"));
  child->Umask(077);
  ASSERT_OK(child->Chdir("/"));
  EXPECT_OK(task().Stat("f"));
  EXPECT_EQ(task().Umask(022), 022);
  EXPECT_THAT(child->Fstat(fd), FailsWith(Errno::kBadF));
}

TEST_F(Permission, OnlyTheOwnerChangesModeAndTimes) {
  MakeFile("/f", 0666);
  EXPECT_THAT(other().Chmod("/f", 0600), FailsWith(Errno::kPerm));
  EXPECT_OK(owner().Chmod("/f", 0622));
  SetAttr fixed;
  fixed.mtime = fixed.atime = 5;
  SetAttr now;
  now.times_are_now = true;
  EXPECT_THAT(other().SetTimes("/f", fixed), FailsWith(Errno::kPerm));
  EXPECT_OK(other().SetTimes("/f", now)) << "a writer may touch";
  ASSERT_OK(task().Chmod("/f", 0600));
  EXPECT_THAT(other().SetTimes("/f", now), FailsWith(Errno::kAccess));
  EXPECT_OK(owner().SetTimes("/f", fixed));
  EXPECT_EQ(task().Stat("/f")->times.mtime, 5);
}

TEST_F(Permission, OwnersGiveFilesOnlyToTheirGroups) {
  const auto holder = TaskOf(Creds::User(kOwner, kOtherGroup, {kGroup}));
  MakeFile("/f", 0644);
  EXPECT_THAT(holder->Chown("/f", kOther, std::nullopt), FailsWith(Errno::kPerm));
  EXPECT_OK(holder->Chown("/f", std::nullopt, kOtherGroup));
  EXPECT_OK(holder->Chown("/f", kOwner, kGroup));
  EXPECT_THAT(holder->Chown("/f", std::nullopt, 12345), FailsWith(Errno::kPerm));
  EXPECT_THAT(other().Chown("/f", std::nullopt, kOtherGroup), FailsWith(Errno::kPerm));
}

TEST_F(Permission, ChangingTheOwnerTakesTheSetIdBits) {
  MakeFile("/f", 0755);
  ASSERT_OK(task().Chmod("/f", 06755));
  ASSERT_OK(task().Chown("/f", kOther, kOtherGroup));
  EXPECT_EQ(ModeOf("/f"), 0755);
}

TEST_F(Permission, AWriterWithoutRightsTakesTheSetIdBits) {
  MakeFile("/f", 0777);
  ASSERT_OK(task().Chmod("/f", 06777));
  ASSERT_OK(other().WriteFile("/f", "new", 0));
  EXPECT_EQ(ModeOf("/f"), 0777);
}

TEST_F(Permission, AnOpenFileKeepsTheRightsItWasOpenedWith) {
  MakeFile("/f", 0644);
  ASSERT_OK_AND_ASSIGN(const int fd, owner().Open("/f", O_RDWR));
  ASSERT_OK(task().Chmod("/f", 0000));
  EXPECT_OK(owner().Write(fd, "still"));
  EXPECT_THAT(owner().Open("/f", O_RDONLY), FailsWith(Errno::kAccess));
}

TEST_F(Permission, TruncateNeedsWrite) {
  MakeFile("/f", 0444);
  EXPECT_THAT(other().Truncate("/f", 0), FailsWith(Errno::kAccess));
  EXPECT_OK(task().Truncate("/f", 0));
}

TEST_F(Permission, MovingADirectoryElsewhereNeedsWriteOnIt) {
  fs().Make({Dir("/a", 0777), Dir("/b", 0777), Dir("/a/d", 0555)});
  ASSERT_OK(task().Chown("/a/d", 0, 0));
  EXPECT_THAT(other().Rename("/a/d", "/b/d"), FailsWith(Errno::kAccess)) << "its \"..\" changes";
  EXPECT_OK(other().Rename("/a/d", "/a/e"));
}

TEST_F(Permission, MountingNeedsTheCapability) {
  fs().Make({Dir("/mnt", 0777)});
  EXPECT_THAT(other().Mount("none", "/mnt", "ramfs", ""), FailsWith(Errno::kPerm));
  ASSERT_OK(task().Mount("none", "/mnt", "ramfs", ""));
  EXPECT_THAT(other().Umount("/mnt"), FailsWith(Errno::kPerm));
  EXPECT_THAT(other().Remount("/mnt", "ro"), FailsWith(Errno::kPerm));
  ASSERT_OK(task().Umount("/mnt"));
}

}  // namespace
}  // namespace dentree::vfs
