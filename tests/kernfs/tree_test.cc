// The tree as its client builds it, mkdir and rmdir, and mounting.

#include "absl/strings/str_cat.h"
#include "tests/kernfs/kernfs_test.h"

namespace dentree::kernfs {
namespace {

using base::Errno;

class ValueInPlace final : public TextOps {
  Result<std::string> Show(OpenFile& file) const override {
    return *static_cast<const std::string*>(file.priv());
  }
};
constexpr ValueInPlace kValueInPlace;

class ParentName final : public LinkOps {
  Result<std::string> Target(const Dir& link) const override {
    return absl::StrCat("/k", link.domain.root().PathOf(*link.domain.parent()));
  }
};
constexpr ParentName kParentName;

class Tree : public KernfsTest {
 protected:
  Result<NodeRef> MakeDir(Node& parent, std::string_view name) {
    return root().CreateDir(parent, {.name = name, .permissions = 0755}, kPlainType);
  }
};

TEST_F(Tree, AListedNodeIs64Bytes) {
  EXPECT_EQ(sizeof(Node), 64u);
  const size_t before = kernfs().live_nodes();
  ASSERT_THAT(MakeDir(root().top(), "x"), IsOk());
  EXPECT_EQ(kernfs().live_nodes(), before + 1);
  EXPECT_THAT(vfs().memory().SlabInfoText(), testing::HasSubstr("kernfs_node"));
}

TEST_F(Tree, HoldsFilesDirectoriesAndLinks) {
  std::string text = "hello\n";
  ASSERT_OK_AND_ASSIGN(const NodeRef dir, MakeDir(root().top(), "a_directory_with_a_long_name"));
  ASSERT_THAT(
      root().CreateFile(*dir, {.name = "f", .permissions = 0444, .priv = &text}, kValueInPlace),
      IsOk());
  ASSERT_THAT(root().CreateSymlink(*dir, {.name = "to"}, "f"), IsOk());
  ASSERT_THAT(root().CreateSymlink(*dir, {.name = "up"}, kParentName), IsOk());
  EXPECT_EQ(task().ReadFile("/k/a_directory_with_a_long_name/f").value(), "hello\n");
  EXPECT_EQ(task().ReadFile("/k/a_directory_with_a_long_name/to").value(), "hello\n");
  EXPECT_EQ(task().Readlink("/k/a_directory_with_a_long_name/to").value(), "f");
  EXPECT_EQ(task().Readlink("/k/a_directory_with_a_long_name/up").value(),
            "/k/a_directory_with_a_long_name");
  EXPECT_EQ(root().PathOf(*dir), "/a_directory_with_a_long_name");
  EXPECT_EQ(root().Find(root().top(), "a_directory_with_a_long_name"), dir);
  EXPECT_EQ(root().Find(*dir, "nothing"), nullptr);
}

// T10: names of the fixed files could be given to events, which then stood twice in the listing.
TEST_F(Tree, RefusesANameOfAnyOfTheThreeKinds) {
  Node& top = root().top();
  EXPECT_THAT(MakeDir(top, "instances"), FailsWith(Errno::kExist)) << "listed";
  EXPECT_THAT(MakeDir(top, "README"), FailsWith(Errno::kExist)) << "table";
  EXPECT_THAT(MakeDir(top, "events"), FailsWith(Errno::kExist)) << "table";
  this->top().sometimes = false;
  EXPECT_THAT(MakeDir(top, "sometimes"), FailsWith(Errno::kExist)) << "absent just now";
  registry().Add("sched");
  const NodeRef dir =
      root()
          .CreateDir(top, {.name = "d", .permissions = 0755, .priv = top.priv()}, kProvidingType)
          .value();
  EXPECT_THAT(MakeDir(*dir, "sched"), FailsWith(Errno::kExist)) << "provided";
  EXPECT_THAT(task().Stat("/k/d/sched"), IsOk());
  EXPECT_THAT(MakeDir(*dir, "irq"), IsOk());
  EXPECT_THAT(Names("/k/d"), testing::UnorderedElementsAre("sched", "irq"));
}

// K15: kernfs took names of any length. E18: such a name hung whoever looked it up.
TEST_F(Tree, RefusesNamesThatCannotBe) {
  EXPECT_THAT(MakeDir(instances(), std::string(255, 'x')), IsOk());
  EXPECT_THAT(MakeDir(instances(), std::string(256, 'x')), FailsWith(Errno::kNameTooLong));
  for (const std::string_view bad : {"", ".", "..", "a/b"}) {
    EXPECT_THAT(MakeDir(instances(), bad), FailsWith(Errno::kInval)) << bad;
  }
  EXPECT_THAT(Names("/k/instances"), testing::ElementsAre(std::string(255, 'x')));
  EXPECT_THAT(task().Stat("/k/instances/" + std::string(256, 'x')), FailsWith(Errno::kNameTooLong));
}

TEST_F(Tree, FindsEachOfAThousandChildrenAndListsThemInOrder) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    names.push_back(absl::StrCat("child", i * 7919 % 1000));
    ASSERT_THAT(MakeDir(instances(), names.back()), IsOk());
  }
  EXPECT_EQ(Names("/k/instances"), names);
  for (const std::string& name : names) ASSERT_NE(root().Find(instances(), name), nullptr);
  // Every other goes, and a third more come: the index is rebuilt meanwhile.
  for (size_t i = 0; i < names.size(); i += 2) root().Remove(*root().Find(instances(), names[i]));
  std::vector<std::string> left;
  for (size_t i = 1; i < names.size(); i += 2) left.push_back(names[i]);
  for (int i = 0; i < 2000; ++i) {
    left.push_back(absl::StrCat("more", i));
    ASSERT_THAT(MakeDir(instances(), left.back()), IsOk());
  }
  EXPECT_EQ(Names("/k/instances"), left);
  EXPECT_EQ(root().Find(instances(), names[0]), nullptr);
  root().CheckInvariants();
}

TEST_F(Tree, NothingCanBeCreatedInARemovedDirectory) {
  const NodeRef dir = MakeDir(root().top(), "d").value();
  root().Remove(*dir);
  EXPECT_THAT(MakeDir(*dir, "x"), FailsWith(Errno::kNoEnt));
}

TEST_F(Tree, ANameIsFreeAgainAfterRemoval) {
  for (int i = 0; i < 100; ++i) {
    const NodeRef dir = MakeDir(instances(), "same").value();
    EXPECT_THAT(MakeDir(instances(), "same"), FailsWith(Errno::kExist));
    EXPECT_THAT(task().Stat("/k/instances/same"), IsOk());
    root().Remove(*dir);
    EXPECT_THAT(task().Stat("/k/instances/same"), FailsWith(Errno::kNoEnt));
  }
}

// --- mkdir and rmdir ---

TEST_F(Tree, MkdirIsAllowedInTheStashedDirectoryOnly) {
  EXPECT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  EXPECT_THAT(task().Mkdir("/k/instances/a", 0755), FailsWith(Errno::kExist));
  EXPECT_THAT(task().Mkdir("/k/a", 0755), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Mkdir("/k/events/a", 0755), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Mkdir("/k/instances/a/b", 0755), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rmdir("/k/instances"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rmdir("/k/events"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rmdir("/k/instances/a/events"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rmdir("/k/instances/b"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Rmdir("/k/instances/a"), IsOk());
  EXPECT_THAT(task().Rmdir("/k/instances/a"), FailsWith(Errno::kNoEnt));
}

TEST_F(Tree, EverythingElseIsForbiddenWithTracefssErrors) {
  ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  EXPECT_THAT(task().Unlink("/k/README"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Unlink("/k/events"), FailsWith(Errno::kIsDir));
  EXPECT_THAT(task().Rmdir("/k/README"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(task().Rename("/k/instances/a", "/k/instances/b"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Link("/k/README", "/k/link"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Symlink("x", "/k/link"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Mknod("/k/fifo", S_IFIFO | 0644, 0), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Open("/k/new", O_CREAT | O_WRONLY, 0644), FailsWith(Errno::kAccess));
  EXPECT_THAT(task().Open("/k/README", O_CREAT | O_EXCL | O_RDONLY, 0644),
              FailsWith(Errno::kExist));
  EXPECT_THAT(task().Open("/k/README", O_CREAT | O_RDONLY, 0644), IsOk());
  EXPECT_THAT(task().Open("/k/events", O_WRONLY), FailsWith(Errno::kIsDir));
}

// K7: a stale negative or positive dentry after mkdir and rmdir of one name.
TEST_F(Tree, MkdirRmdirAndStatAgreeEveryTime) {
  for (int i = 0; i < 2000; ++i) {
    ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
    ASSERT_THAT(task().Stat("/k/instances/a/README"), IsOk());
    ASSERT_THAT(task().Rmdir("/k/instances/a"), IsOk());
    ASSERT_THAT(task().Stat("/k/instances/a"), FailsWith(Errno::kNoEnt));
  }
}

TEST_F(Tree, RmdirThatIsRefusedChangesNothing) {
  ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  busy_ = true;
  EXPECT_THAT(task().Rmdir("/k/instances/a"), FailsWith(Errno::kBusy));
  EXPECT_EQ(task().ReadFile("/k/instances/a/README").value(), "read me\n");
  busy_ = false;
  EXPECT_THAT(task().Rmdir("/k/instances/a"), IsOk());
}

// E24: a mount deep inside a removed instance is detached; one on the instance itself makes it
// busy.
TEST_F(Tree, RmdirDetachesMountsBelow) {
  ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  ASSERT_THAT(task().Mount("none", "/k/instances/a/events", "ramfs", ""), IsOk());
  ASSERT_THAT(task().WriteFile("/k/instances/a/events/f", "x"), IsOk());
  EXPECT_THAT(task().Rmdir("/k/instances/a"), IsOk());
  EXPECT_THAT(task().Stat("/k/instances/a"), FailsWith(Errno::kNoEnt));
  ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  ASSERT_THAT(task().Mount("none", "/k/instances/a", "ramfs", ""), IsOk());
  EXPECT_THAT(task().Rmdir("/k/instances/a"), FailsWith(Errno::kBusy));
  ASSERT_THAT(task().Umount("/k/instances/a"), IsOk());
  EXPECT_THAT(task().Rmdir("/k/instances/a"), IsOk());
}

// E19: half-built trees after a failed mkdir.
TEST_F(Tree, MkdirThatRunsOutOfMemoryLeavesNothing) {
  ASSERT_THAT(task().Mkdir("/k/instances/warm", 0755), IsOk());
  int failures = 0;
  for (uint64_t n = 1; n < 100; ++n) {
    const auto plan = faults().Arm(base::FaultPlan::Nth("mm:*", n));
    const auto made = task().Mkdir("/k/instances/an_instance_with_a_long_name", 0755);
    faults().Disarm(plan);
    if (made) break;
    ++failures;
    EXPECT_THAT(made, FailsWith(Errno::kNoMem)) << n;
    EXPECT_THAT(Names("/k/instances"), testing::ElementsAre("warm")) << n;
    ASSERT_THAT(task().Mkdir("/k/instances/an_instance_with_a_long_name", 0755), IsOk()) << n;
    ASSERT_THAT(task().Rmdir("/k/instances/an_instance_with_a_long_name"), IsOk()) << n;
    DropCaches();
    ASSERT_THAT(task().Stat("/k/instances/warm"), IsOk());
  }
  EXPECT_GE(failures, 3);
}

TEST_F(Tree, LookupAndOpenThatRunOutOfMemoryLeaveNothing) {
  const std::string path = "/k/events/sched/sched_switch/format";
  registry().Add("sched_switch", registry().Add("sched"));
  for (uint64_t n = 1; n < 100; ++n) {
    DropCaches();
    const auto plan = faults().Arm(base::FaultPlan::Nth("mm:*", n));
    const auto text = task().ReadFile(path);
    faults().Disarm(plan);
    EXPECT_EQ(kernfs().live_open_files(), 0u) << n;
    if (text) break;
    EXPECT_THAT(text, FailsWith(Errno::kNoMem)) << n;
    ASSERT_LT(n, 99u);
  }
  root().CheckInvariants();
}

// --- mounting ---

TEST_F(Tree, MountedTwiceIsOneTree) {
  ASSERT_THAT(task().Mkdir("/again", 0755), IsOk());
  ASSERT_THAT(task().Mount("none", "/again", "testfs", ""), IsOk());
  ASSERT_THAT(task().Mkdir("/again/instances/a", 0755), IsOk());
  EXPECT_EQ(task().Stat("/again/instances/a").value().ino,
            task().Stat("/k/instances/a").value().ino);
  ASSERT_THAT(task().Umount("/again"), IsOk());
  EXPECT_THAT(task().Stat("/k/instances/a"), IsOk());
}

TEST_F(Tree, OutlivesItsMounts) {
  ASSERT_THAT(task().Mkdir("/k/instances/a", 0755), IsOk());
  const vfs::Ino ino = task().Stat("/k/instances/a").value().ino;
  ASSERT_THAT(task().Umount("/k"), IsOk());
  EXPECT_NE(root().Find(instances(), "a"), nullptr);
  MakeInstance("b");
  ASSERT_THAT(task().Mount("none", "/k", "testfs", ""), IsOk());
  EXPECT_EQ(task().Stat("/k/instances/a").value().ino, ino);
  EXPECT_THAT(task().Stat("/k/instances/b"), IsOk());
}

TEST_F(Tree, StatfsIsAllZeroWithNamesOf255) {
  const auto stat = task().Statfs("/k").value();
  EXPECT_EQ(stat.magic, 0x74657374u);
  EXPECT_EQ(stat.blocks + stat.bfree + stat.files, 0u);
  EXPECT_EQ(stat.namelen, 255u);
}

TEST_F(Tree, StatOfAnythingHasSizeZeroAndNlinkOne) {
  MakeInstance("a");
  for (const char* path : {"/k", "/k/instances", "/k/instances/a", "/k/events", "/k/README"}) {
    const auto stat = task().Stat(path).value();
    EXPECT_EQ(stat.nlink, 1u) << path;
    EXPECT_EQ(stat.size, 0u) << path;
    EXPECT_EQ(stat.blocks, 0u) << path;
  }
}

}  // namespace
}  // namespace dentree::kernfs
