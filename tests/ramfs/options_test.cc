// Options of a ramfs mount.

#include "fixture/fixture.h"
#include "ramfs/ramfs.h"

namespace dentree::ramfs {
namespace {

using fixture::FailsWith;
using vfs::Errno;

class MountOptions : public fixture::VfsTest {
 protected:
  MountOptions() { fs().Make({fixture::Dir("/m")}); }

  vfs::Status Mount(std::string_view options) {
    return task().Mount("none", "/m", "ramfs", options);
  }
};

TEST_F(MountOptions, DescribeTheRootDirectory) {
  ASSERT_OK(Mount("mode=1700,uid=12,gid=34"));
  const vfs::Stat root = *task().Stat("/m");
  EXPECT_EQ(root.mode, S_IFDIR | 01700);
  EXPECT_EQ(root.uid, 12u);
  EXPECT_EQ(root.gid, 34u);
  EXPECT_EQ(root.nlink, 2u);
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(MountOptions, DefaultToAnOrdinaryDirectoryOfRoots) {
  ASSERT_OK(Mount(""));
  EXPECT_EQ(task().Stat("/m")->mode, S_IFDIR | 0755);
  EXPECT_EQ(task().Stat("/m")->uid, 0u);
  EXPECT_EQ(task().Statfs("/m")->magic, kMagic);
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(MountOptions, AreShownAsTheyWereGiven) {
  ASSERT_OK(Mount("size=1m,nr_inodes=2k,mode=700,uid=1,gid=2"));
  EXPECT_EQ(vfs().mounts().List(vfs().Root()).back().options,
            "rw,relatime,size=1024k,nr_inodes=2048,mode=700,uid=1,gid=2");
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(MountOptions, SizesHaveSuffixesAndAreRoundedUpToPages) {
  const std::pair<const char*, uint64_t> cases[] = {
      {"size=1", 1}, {"size=4096", 1}, {"size=4097", 2}, {"size=8K", 2}, {"size=1g", 262144}};
  for (const auto& [option, blocks] : cases) {
    ASSERT_OK(Mount(option));
    EXPECT_EQ(task().Statfs("/m")->blocks, blocks) << option;
    ASSERT_OK(task().Umount("/m"));
  }
}

TEST_F(MountOptions, AmountsAreWrittenAsInC) {
  const std::pair<const char*, uint64_t> cases[] = {{"size=0x3000", 3},
                                                    {"size=010k", 2},
                                                    {"size=1t", 1u << 28},
                                                    {"nr_blocks=7", 7},
                                                    {"nr_blocks=5,size=4k", 1}};
  for (const auto& [option, blocks] : cases) {
    ASSERT_OK(Mount(option));
    EXPECT_EQ(task().Statfs("/m")->blocks, blocks) << option;
    ASSERT_OK(task().Umount("/m"));
  }
}

TEST_F(MountOptions, APercentageIsOfTheMachinesMemoryWithoutALimit) {
  ASSERT_OK(Mount("size=100%"));
  const uint64_t all = task().Statfs("/m")->blocks;
  ASSERT_OK(task().Umount("/m"));
  ASSERT_OK(Mount("size=50%"));
  EXPECT_EQ(task().Statfs("/m")->blocks, (all + 1) / 2);
  ASSERT_OK(task().Umount("/m"));
  EXPECT_THAT(Mount("nr_inodes=10%"), FailsWith(Errno::kInval));
}

class MountOptionsWithLimit : public fixture::VfsTest {
 protected:
  MountOptionsWithLimit() : VfsTest({.memory_limit = size_t{64} << 20}) {
    fs().Make({fixture::Dir("/m")});
  }
};

TEST_F(MountOptionsWithLimit, APercentageIsOfTheLimit) {
  ASSERT_OK(task().Mount("none", "/m", "ramfs", "size=25%"));
  EXPECT_EQ(task().Statfs("/m")->blocks, 4096u);
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(MountOptions, AModeIsItsPermissionBits) {
  ASSERT_OK(Mount("mode=12345"));
  EXPECT_EQ(task().Stat("/m")->mode, S_IFDIR | 02345);
  ASSERT_OK(task().Umount("/m"));
}

TEST_F(MountOptions, ThatMakeNoSenseAreRefusedByName) {
  for (const char* option :
       {"mode=8", "mode=", "mode=-1", "uid=x", "uid=4294967295", "gid=4294967296", "size=k",
        "size=1x", "size=99999999999g", "nr_inodes=-1", "nonsense", "nonsense=1"}) {
    EXPECT_THAT(Mount(option), FailsWith(Errno::kInval)) << option;
    const auto context = vfs().FindType("ramfs")->NewContext();
    EXPECT_THAT(context->ParseAll(option), FailsWith(Errno::kInval));
    const std::string name(std::string_view(option).substr(0, std::string_view(option).find('=')));
    EXPECT_THAT(context->LastError(), testing::HasSubstr(name)) << option;
  }
}

TEST_F(MountOptions, EveryMountIsAFileSystemOfItsOwn) {
  fs().Make({fixture::Dir("/n")});
  ASSERT_OK(Mount(""));
  ASSERT_OK(task().Mount("none", "/n", "ramfs", ""));
  ASSERT_OK(fs().Write("/m/f", "x"));
  EXPECT_FALSE(fs().Has("/n/f"));
  EXPECT_NE(task().Stat("/m")->dev, task().Stat("/n")->dev);
  ASSERT_OK(task().Umount("/m"));
  ASSERT_OK(task().Umount("/n"));
}

}  // namespace
}  // namespace dentree::ramfs
