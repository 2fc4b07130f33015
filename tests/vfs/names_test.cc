// Making, removing and moving names: the truth table of Linux, on ramfs.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::HoldsTree;
using fixture::IsOk;
using fixture::Link;
using fixture::Text;
using testing::UnorderedElementsAre;

// One path and what the operation answers; kOk when it succeeds.
constexpr auto kOk = static_cast<Errno>(0);

void ExpectAnswer(const Status& status, Errno expected, std::string_view what) {
  if (expected == kOk) {
    EXPECT_OK(status) << what;
  } else {
    EXPECT_THAT(status, FailsWith(expected)) << what;
  }
}

struct OnePath {
  const char* path;
  Errno answer;
};
struct TwoPaths {
  const char* from;
  const char* to;
  Errno answer;
  unsigned flags = 0;
};

// Each answer is that of a fresh tree.
class Names : public fixture::VfsTest {
 protected:
  void Renew() {
    ASSERT_OK(task().Chdir("/"));
    if (fs().Has("/t")) {
      ASSERT_OK(fs().Remove("/t"));
    }
    fs().Make({Dir("/t/d/e"), Dir("/t/empty"), Text("/t/f", "f"), Text("/t/g", "g"),
               Link("/t/sf", "f"), Link("/t/sd", "d"), Link("/t/dang", "nope"),
               Link("/t/loop", "loop")});
    ASSERT_OK(task().Link("/t/f", "/t/hard"));
    ASSERT_OK(task().Chdir("/t"));
  }

  template <class Operation>
  void Check(std::span<const OnePath> cases, Operation operation) {
    for (const OnePath& c : cases) {
      Renew();
      ExpectAnswer(operation(c.path), c.answer, c.path);
    }
  }
  template <class Operation>
  void Check(std::span<const TwoPaths> cases, Operation operation) {
    for (const TwoPaths& c : cases) {
      Renew();
      ExpectAnswer(operation(c), c.answer, std::string(c.from) + " -> " + c.to);
    }
  }
};

TEST_F(Names, MkdirAnswersAsLinux) {
  const OnePath cases[] = {
      {"new", kOk},
      {"new/", kOk},
      {"new//", kOk},
      {"d/new", kOk},
      {"sd/new", kOk},
      {"d/e/../new", kOk},
      {"new/.", Errno::kNoEnt},
      {".", Errno::kExist},
      {"..", Errno::kExist},
      {"/", Errno::kExist},
      {"d", Errno::kExist},
      {"f", Errno::kExist},
      {"sf", Errno::kExist},
      {"dang", Errno::kExist},
      {"dang/", Errno::kExist},
      {"nope/x", Errno::kNoEnt},
      {"f/x", Errno::kNotDir},
      {"loop/x", Errno::kLoop},
      {"", Errno::kNoEnt},
  };
  Check(cases, [&](const char* path) { return task().Mkdir(path, 0755); });
}

TEST_F(Names, RmdirAnswersAsLinux) {
  const OnePath cases[] = {
      {"empty", kOk},
      {"empty/", kOk},
      {"d/e", kOk},
      {"d", Errno::kNotEmpty},
      {".", Errno::kInval},
      {"d/e/.", Errno::kInval},
      {"..", Errno::kNotEmpty},
      {"d/e/..", Errno::kNotEmpty},
      {"/", Errno::kBusy},
      {"f", Errno::kNotDir},
      {"f/", Errno::kNotDir},
      {"sd", Errno::kNotDir},
      {"sd/", Errno::kNotDir},
      {"nope", Errno::kNoEnt},
      {"nope/", Errno::kNoEnt},
      {"f/x", Errno::kNotDir},
  };
  Check(cases, [&](const char* path) { return task().Rmdir(path); });
}

TEST_F(Names, UnlinkAnswersAsLinux) {
  const OnePath cases[] = {
      {"f", kOk},
      {"sf", kOk},
      {"dang", kOk},
      {"d", Errno::kIsDir},
      {"d/", Errno::kIsDir},
      {".", Errno::kIsDir},
      {"..", Errno::kIsDir},
      {"/", Errno::kIsDir},
      {"f/", Errno::kNotDir},
      {"sf/", Errno::kNotDir},
      {"sd/", Errno::kNotDir},
      {"dang/", Errno::kNotDir},
      {"nope", Errno::kNoEnt},
      {"nope/", Errno::kNoEnt},
      {"f/x", Errno::kNotDir},
  };
  Check(cases, [&](const char* path) { return task().Unlink(path); });
}

TEST_F(Names, LinkAnswersAsLinux) {
  const TwoPaths cases[] = {
      {"f", "new", kOk},
      {"sf", "new", kOk},
      {"dang", "new", kOk},
      {"d", "new", Errno::kPerm},
      {"f", "f", Errno::kExist},
      {"f", "d", Errno::kExist},
      {"f", "dang", Errno::kExist},
      {"f", "new/", Errno::kNoEnt},
      {"f/", "new", Errno::kNotDir},
      {"f", "nope/x", Errno::kNoEnt},
      {"nope", "new", Errno::kNoEnt},
  };
  Check(cases, [&](const TwoPaths& c) { return task().Link(c.from, c.to); });
}

TEST_F(Names, LinkTakesTheSymlinkItselfUnlessToldToFollow) {
  Renew();
  ASSERT_OK(task().Link("sf", "itself"));
  EXPECT_THAT(task().Readlink("itself"), Holds("f"));
  EXPECT_EQ(task().Lstat("sf")->nlink, 2u);
  ASSERT_OK(task().Link("sf", "followed", Follow::kYes));
  EXPECT_EQ(task().Lstat("followed")->ino, task().Lstat("f")->ino);
  EXPECT_EQ(task().Lstat("f")->nlink, 3u);
}

TEST_F(Names, SymlinkAnswersAsLinux) {
  const std::string longest(kPathMax - 1, 'a');
  const std::string too_long(kPathMax, 'a');
  const TwoPaths cases[] = {
      {"anything", "new", kOk},
      {"", "new", Errno::kNoEnt},
      {"x", "f", Errno::kExist},
      {"x", "d", Errno::kExist},
      {"x", "dang", Errno::kExist},
      {"x", "new/", Errno::kNoEnt},
      {"x", "nope/y", Errno::kNoEnt},
      {longest.c_str(), "new", kOk},
      {too_long.c_str(), "new", Errno::kNameTooLong},
  };
  Check(cases, [&](const TwoPaths& c) { return task().Symlink(c.from, c.to); });
}

TEST_F(Names, ReadlinkReadsOnlyLinks) {
  Renew();
  EXPECT_THAT(task().Readlink("sf"), Holds("f"));
  EXPECT_THAT(task().Readlink("f"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Readlink("d"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Readlink("sf/"), FailsWith(Errno::kNotDir));
  EXPECT_THAT(task().Readlink("nope"), FailsWith(Errno::kNoEnt));
}

TEST_F(Names, MknodMakesWhatIsAskedAndNoDirectories) {
  Renew();
  EXPECT_OK(task().Mknod("fifo", S_IFIFO | 0600, 0));
  EXPECT_EQ(TypeOf(task().Stat("fifo")->mode), FileType::kFifo);
  EXPECT_OK(task().Mknod("file", S_IFREG | 0600, 0));
  EXPECT_THAT(task().ReadFile("file"), Holds(""));
  EXPECT_OK(task().Mknod("dev", S_IFCHR | 0600, 0x103));
  EXPECT_EQ(task().Stat("dev")->rdev, 0x103u);
  EXPECT_THAT(task().Mknod("dir", S_IFDIR | 0700, 0), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Mknod("f", S_IFREG | 0600, 0), FailsWith(Errno::kExist));
  const auto user = TaskOf(Creds::User(1, 1));
  ASSERT_OK(task().Chmod("/t", 0777));
  EXPECT_THAT(user->Mknod("/t/dev2", S_IFCHR | 0600, 0x103), FailsWith(Errno::kPerm));
  EXPECT_OK(user->Mknod("/t/fifo2", S_IFIFO | 0600, 0));
}

TEST_F(Names, RenameAnswersAsLinux) {
  const TwoPaths cases[] = {
      {"f", "new", kOk},
      {"f", "g", kOk},
      {"f", "f", kOk},
      {"f", "sf", kOk},
      {"f", "d/e/new", kOk},
      {"d", "new", kOk},
      {"d", "new/", kOk},
      {"d", "empty", kOk},
      {"d", "empty/", kOk},
      {"d", "d", kOk},
      {"sd", "new", kOk},
      {"f", "empty", Errno::kIsDir},
      {"sf", "empty", Errno::kIsDir},
      {"empty", "d", Errno::kNotEmpty},
      {"d", "f", Errno::kNotDir},
      {"d", "sd", Errno::kNotDir},
      {"d", "sd/", Errno::kNotDir},
      {"d", "d/e/new", Errno::kInval},
      {"d", "d/e", Errno::kInval},
      {"d", "d/new", Errno::kInval},
      {"d/e", "d", Errno::kNotEmpty},
      {"f", "new/", Errno::kNotDir},
      {"f", "g/", Errno::kNotDir},
      {"f/", "new", Errno::kNotDir},
      {"sd/", "new", Errno::kNotDir},
      {"f", "f/x", Errno::kNotDir},
      {"nope", "new", Errno::kNoEnt},
      {"nope", "g", Errno::kNoEnt},
      {"nope/", "new", Errno::kNoEnt},
      {"f", "nope/new", Errno::kNoEnt},
      {".", "new", Errno::kBusy},
      {"d/..", "new", Errno::kBusy},
      {"f", ".", Errno::kBusy},
      {"d", "..", Errno::kBusy},
      {"/", "new", Errno::kBusy},
      {"f", "/", Errno::kBusy},
      {"f", "g", Errno::kExist, kRenameNoReplace},
      {"f", "f", Errno::kExist, kRenameNoReplace},
      {"f", "hard", Errno::kExist, kRenameNoReplace},
      {"f", "dang", Errno::kExist, kRenameNoReplace},
      {"nope", "g", Errno::kNoEnt, kRenameNoReplace},
      {"f", "new", kOk, kRenameNoReplace},
      {"f", "g", kOk, kRenameExchange},
      {"f", "d", kOk, kRenameExchange},
      {"d", "sf", kOk, kRenameExchange},
      {"f", "d/e", kOk, kRenameExchange},
      {"f", "f", kOk, kRenameExchange},
      {"f", "new", Errno::kNoEnt, kRenameExchange},
      {"nope", "f", Errno::kNoEnt, kRenameExchange},
      {"d", "d/e", Errno::kInval, kRenameExchange},
      {"d/e", "d", Errno::kInval, kRenameExchange},
      {"f", "g/", Errno::kNotDir, kRenameExchange},
      {"f", "g", Errno::kInval, kRenameNoReplace | kRenameExchange},
      {"f", "g", Errno::kInval, kRenameWhiteout | kRenameExchange},
      {"f", "g", Errno::kInval, 8},
  };
  Check(cases, [&](const TwoPaths& c) { return task().Rename(c.from, c.to, c.flags); });
}

TEST_F(Names, RenameMovesTheObjectAndNotItsContents) {
  fs().Make({Text("/a/b/f", "x"), Dir("/c")});
  const Ino b = task().Stat("/a/b")->ino;
  ASSERT_OK(task().Rename("/a/b", "/c/d"));
  EXPECT_EQ(task().Stat("/c/d")->ino, b);
  EXPECT_THAT(fs(), HoldsTree({Dir("/a"), Dir("/c"), Dir("/c/d"), Text("/c/d/f", "x")}));
  EXPECT_EQ(task().Stat("/c/d/..")->ino, task().Stat("/c")->ino);
}

TEST_F(Names, RenameOverAFileReplacesItAtOnceAndItsHoldersKeepIt) {
  fs().Make({Text("/new", "2"), Text("/old", "1")});
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/old", O_RDONLY));
  ASSERT_OK(task().Rename("/new", "/old"));
  EXPECT_THAT(fs(), HoldsTree({Text("/old", "2")}));
  EXPECT_EQ(task().Fstat(fd)->nlink, 0u);
  std::byte byte;
  EXPECT_THAT(task().Pread(fd, {&byte, 1}, 0), Holds(1u));
  EXPECT_EQ(static_cast<char>(byte), '1');
}

TEST_F(Names, RenameOfAHardLinkOverTheSameFileDoesNothing) {
  Renew();
  ASSERT_OK(task().Rename("f", "hard"));
  EXPECT_TRUE(fs().Has("/t/f"));
  EXPECT_TRUE(fs().Has("/t/hard"));
  EXPECT_EQ(task().Stat("f")->nlink, 2u);
}

TEST_F(Names, ExchangeSwapsTwoNamesOfAnyTypes) {
  fs().Make({Text("/a/f", "file"), Text("/d/x", "in")});
  ASSERT_OK(task().Rename("/a/f", "/d", kRenameExchange));
  EXPECT_THAT(fs(), HoldsTree({Dir("/a"), Dir("/a/f"), Text("/a/f/x", "in"), Text("/d", "file")}));
  EXPECT_EQ(task().Stat("/a")->nlink, 3u);
  EXPECT_EQ(task().Stat("/")->nlink, 3u);
  EXPECT_EQ(task().Stat("/a/f/..")->ino, task().Stat("/a")->ino);
}

TEST_F(Names, LinkCountsAreTheNamesAndTheSubdirectories) {
  const auto nlink = [&](const char* path) { return task().Lstat(path)->nlink; };
  fs().Make({Dir("/d"), Dir("/d/a"), Dir("/d/b"), Dir("/x"), Text("/d/f", "")});
  EXPECT_EQ(nlink("/d"), 4u);
  ASSERT_OK(task().Rename("/d/a", "/x/a"));
  EXPECT_EQ(nlink("/d"), 3u);
  EXPECT_EQ(nlink("/x"), 3u);
  ASSERT_OK(task().Rename("/d/b", "/x/a"));  // over an empty one
  EXPECT_EQ(nlink("/d"), 2u);
  EXPECT_EQ(nlink("/x"), 3u);
  ASSERT_OK(task().Rmdir("/x/a"));
  EXPECT_EQ(nlink("/x"), 2u);
  ASSERT_OK(task().Link("/d/f", "/x/g"));
  EXPECT_EQ(nlink("/d/f"), 2u);
  EXPECT_EQ(nlink("/x"), 2u) << "files do not count";
  ASSERT_OK(task().Unlink("/d/f"));
  EXPECT_EQ(nlink("/x/g"), 1u);
}

TEST_F(Names, ANameCanBeReusedAsOftenAsOneLikes) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(task().Mkdir("/n", 0755));
    ASSERT_OK(task().Rmdir("/n"));
    ASSERT_OK(task().WriteFile("/n", "x"));
    ASSERT_OK(task().Unlink("/n"));
    ASSERT_OK(task().Symlink("/", "/n"));
    ASSERT_OK(task().Unlink("/n"));
  }
  EXPECT_THAT(fs(), HoldsTree({}));
}

TEST_F(Names, LongNamesAreAsGoodAsShortOnes) {
  // Around the sizes at which a name moves out of its dentry.
  for (size_t size : {1u, 23u, 24u, 31u, 32u, 33u, 38u, 39u, 40u, 254u, 255u}) {
    const std::string a = "/" + std::string(size, 'a');
    const std::string b = "/" + std::string(256 - size, 'b');
    ASSERT_OK(task().WriteFile(a, "x"));
    EXPECT_OK(task().Stat(a));
    const std::string similar = a.substr(0, a.size() - 1) + "b";
    EXPECT_THAT(task().Stat(similar), FailsWith(Errno::kNoEnt));
    ASSERT_OK(task().Rename(a, b));
    EXPECT_THAT(task().Stat(a), FailsWith(Errno::kNoEnt));
    EXPECT_THAT(fs().Names("/"), Holds(UnorderedElementsAre(b.substr(1))));
    ASSERT_OK(task().Unlink(b));
  }
}

TEST_F(Names, OperationsAcrossMountsAreRefused) {
  fs().Make({Text("/f", ""), Dir("/mnt")});
  ASSERT_OK(task().Mount("none", "/mnt", "ramfs", ""));
  fs().Make({Text("/mnt/g", "")});
  EXPECT_THAT(task().Rename("/f", "/mnt/f"), FailsWith(Errno::kXDev));
  EXPECT_THAT(task().Rename("/mnt/g", "/g"), FailsWith(Errno::kXDev));
  EXPECT_THAT(task().Link("/f", "/mnt/f"), FailsWith(Errno::kXDev));
  ASSERT_OK(task().Umount("/mnt"));
}

}  // namespace
}  // namespace dentree::vfs
