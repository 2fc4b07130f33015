// What the commands do that the machine's programs do not show (gnu_test.cc compares those): times
// by the Vfs's clock, terminals, mounts, memory, help.
#include <stdlib.h>

#include <fstream>
#include <iterator>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shell/memory_counts.h"
#include "shell/remove_tree.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

class CommandTest : public ShellTest {
 protected:
  CommandTest() : ShellTest({.time = fixture::Time::kFake}) { ::setenv("TZ", "UTC", 1); }
};

TEST_F(CommandTest, LsShowsTheTimeOfDayOnlyForTheLastHalfYear) {
  ASSERT_EQ(
      Run("touch /now; touch -d '2001-05-01 10:20' /months; touch -d '2000-01-02 03:04' /years;"
          "touch -d '2002-01-01 00:00' /ahead")
          .status,
      0);
  EXPECT_EQ(Run("ls -l /now /months /years /ahead"),
            Ok("-rw-r--r-- 1 root root 0 Jan  1  2002 /ahead\n"
               "-rw-r--r-- 1 root root 0 May  1 10:20 /months\n"
               "-rw-r--r-- 1 root root 0 Sep  9 01:46 /now\n"
               "-rw-r--r-- 1 root root 0 Jan  2  2000 /years\n"));
}

TEST_F(CommandTest, LsNamesRootAndNumbersOthersInAlignedColumns) {
  ASSERT_EQ(Run("mkdir /d; echo 0123456789 > /d/a; touch /d/b; chown 1000:50 /d/b; ln -s a /d/l; "
                "ln /d/a /d/c")
                .status,
            0);
  const Outcome outcome = Run("ls -l /d");
  EXPECT_THAT(outcome.out, HasSubstr("-rw-r--r-- 2 root root 11 Sep  9 01:46 a\n"
                                     "-rw-r--r-- 1 1000 50    0 Sep  9 01:46 b\n"
                                     "-rw-r--r-- 2 root root 11 Sep  9 01:46 c\n"
                                     "lrwxrwxrwx 1 root root  1 Sep  9 01:46 l -> a\n"));
  EXPECT_THAT(outcome.out, StartsWith("total "));
}

TEST_F(CommandTest, LsShowsInodeNumbersFromTheDirectoryAlone) {
  ASSERT_EQ(Run("touch /f").status, 0);
  const auto ino = task().Stat("/f")->ino;
  EXPECT_EQ(Run("ls -i /f"), Ok(absl::StrFormat("%d /f\n", ino)));
  EXPECT_EQ(Run("ls -i /"), Ok(absl::StrFormat("%d f\n", ino)));
}

TEST_F(CommandTest, LsShortensSizes) {
  ASSERT_EQ(Run("touch /a /b; chmod 0 /a").status, 0);
  ASSERT_OK(task().Truncate("/a", 1536));
  ASSERT_OK(task().Truncate("/b", 123 * 1024 + 1));
  EXPECT_THAT(Run("ls -lh /a /b").out, HasSubstr(" 1.5K "));
  EXPECT_THAT(Run("ls -lh /a /b").out, HasSubstr(" 124K "));
}

// A terminal of 40 columns.
class TerminalSink final : public Sink {
 public:
  bool is_terminal() const override { return true; }
  size_t columns() const override { return 40; }
  base::Status Write(std::string_view bytes) override { return text += bytes, base::Status(); }
  std::string text;
};

TEST_F(CommandTest, LsFillsColumnsOnATerminal) {
  ASSERT_EQ(Run("touch /alpha /beta /gamma /delta /epsilon /zeta /eta '/th\teta'").status, 0);
  auto out = std::make_shared<TerminalSink>();
  Shell shell(TaskOf(vfs::Creds::Root()),
              Streams{.in = std::make_shared<StringSource>(""), .out = out, .err = out});
  EXPECT_EQ(shell.RunText("ls /"), 0);
  EXPECT_EQ(out->text,
            "alpha  delta\teta    th?eta\n"
            "beta   epsilon\tgamma  zeta\n");
}

TEST_F(CommandTest, LsReportsWhatItMayNotRead) {
  ASSERT_EQ(Run("mkdir -p /d/closed; touch /d/f; chmod 700 /d/closed").status, 0);
  const auto user = vfs::Creds::User(1000, 1000);
  EXPECT_EQ(
      RunAs(user, "ls -R /d"),
      Fails(1, "ls: cannot open directory '/d/closed': Permission denied\n", "/d:\nclosed\nf\n"));
  EXPECT_EQ(RunAs(user, "ls /d/closed"),
            Fails(2, "ls: cannot open directory '/d/closed': Permission denied\n"));
}

TEST_F(CommandTest, StatShowsAllAttributes) {
  ASSERT_EQ(Run("echo hello > /f; chmod 640 /f; chown 7:8 /f").status, 0);
  const auto st = *task().Stat("/f");
  EXPECT_EQ(
      Run("stat /f").out,
      absl::StrFormat("  File: /f\n"
                      "  Size: 6         \tBlocks: %-10d IO Block: %-6d regular file\n"
                      "Device: 0,%d\tInode: %-10d  Links: 1\n"
                      "Access: (0640/-rw-r-----)  Uid: (    7/       7)   Gid: (    8/       8)\n"
                      "Access: 2001-09-09 01:46:40.000000000 +0000\n"
                      "Modify: 2001-09-09 01:46:40.000000000 +0000\n"
                      "Change: 2001-09-09 01:46:40.000000000 +0000\n"
                      " Birth: 2001-09-09 01:46:40.000000000 +0000\n",
                      st.blocks, st.blksize, st.dev & 0xfffff, st.ino));
}

TEST_F(CommandTest, FindAsksForNoAttributesThatTheDirectoryTells) {
  ASSERT_EQ(Run("mkdir -p /d/e; touch /d/f /d/e/g").status, 0);
  // A user who may list the directory but not search it gets its names and types all the same.
  ASSERT_EQ(Run("chmod 744 /d").status, 0);
  const Outcome outcome = RunAs(vfs::Creds::User(5, 5), "find /d -maxdepth 1 -type f");
  EXPECT_EQ(outcome, Ok("/d/f\n"));
}

TEST_F(CommandTest, TreeDrawsLines) {
  ASSERT_EQ(Run("mkdir -p /a/b /a/d; touch /a/b/c /a/.h; ln -s b /a/l").status, 0);
  EXPECT_EQ(Run("tree /a"), Ok("/a\n"
                               "├── b\n"
                               "│   └── c\n"
                               "├── d\n"
                               "└── l -> b\n"
                               "\n"
                               "3 directories, 2 files\n"));
  EXPECT_EQ(Run("tree -d -L 1 /a").out, "/a\n├── b\n└── d\n\n3 directories\n");
  EXPECT_THAT(Run("tree -a -f /a").out, HasSubstr("├── /a/.h\n"));
  EXPECT_EQ(Run("tree /nope").status, 2);
}

TEST_F(CommandTest, TreeShowsWhatIsCachedAndHowOftenItIsUsed) {
  ASSERT_EQ(Run("mkdir /a; touch /a/f; mkdir /m; mount -t ramfs none /m; touch /m/x").status, 0);
  const auto fd = task().Open("/a/f", O_RDONLY);
  ASSERT_OK(fd);
  const Outcome outcome = Run("tree --cached /");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("root of ramfs\n"));
  EXPECT_THAT(outcome.out, HasSubstr("f  dentry 2, inode 1 #"));  // pinned by ramfs and open
  EXPECT_THAT(outcome.out, HasSubstr("mountpoint"));
  EXPECT_THAT(outcome.out, HasSubstr("x  dentry 1, inode 1 #"));
  EXPECT_THAT(outcome.out,
              MatchesRegex(".*\nin memory: [0-9]+ dentries, [0-9]+ negatives, [0-9]+ inodes\n"));
  ASSERT_OK(task().Close(*fd));
  ASSERT_EQ(Run("umount /m").status, 0);
}

TEST_F(CommandTest, MountAndUmountSayWhy) {
  ASSERT_EQ(Run("mkdir /m; touch /f").status, 0);
  EXPECT_EQ(Run("mount -t nope none /m"),
            Fails(32, "mount: /m: unknown filesystem type 'nope'.\n"));
  EXPECT_EQ(Run("mount -t ramfs none /nope"),
            Fails(32, "mount: /nope: mount point does not exist.\n"));
  EXPECT_EQ(Run("mount -t ramfs none /f"),
            Fails(32, "mount: /f: mount point is not a directory.\n"));
  EXPECT_EQ(Run("mount -t ramfs -o what=1 none /m"),
            Fails(32, "mount: /m: wrong fs type or bad option.\n"));
  EXPECT_EQ(Run("umount /m"), Fails(32, "umount: /m: not mounted.\n"));
  EXPECT_EQ(Run("umount /nope"), Fails(32, "umount: /nope: no mount point specified.\n"));
  EXPECT_EQ(RunAs(vfs::Creds::User(1, 1), "mount -t ramfs none /m"),
            Fails(32, "mount: /m: must be superuser to use mount.\n"));
}

TEST_F(CommandTest, AMountIsUsedRemountedAndTakenAway) {
  ASSERT_EQ(Run("mkdir /m").status, 0);
  EXPECT_EQ(Run("mount -t ramfs -o mode=700 none /m; stat -c %a /m; echo x > /m/f; cat /m/f"),
            Ok("700\nx\n"));
  EXPECT_EQ(Run("cd /m; umount /m"), Fails(32, "umount: /m: target is busy.\n"));
  EXPECT_EQ(Run("mount -o remount,ro /m; echo y > /m/f"),
            Fails(1, "dentree: /m/f: Read-only file system\n"));
  EXPECT_EQ(Run("umount /m; ls /m"), Ok());
}

TEST_F(CommandTest, MountsAreBoundMovedAndUnsharedAsWithTheToolsOfLinux) {
  ASSERT_EQ(Run("mkdir /a /b /c; echo x > /a/f; mount -B /a /b").status, 0);
  EXPECT_EQ(Run("mount -o remount,bind,ro /b; cat /b/f; echo y > /b/f"),
            Fails(1, "dentree: /b/f: Read-only file system\n", "x\n"));
  EXPECT_EQ(Run("unshare -m umount /b; ls /b; mount -M /b /c; ls /b /c"), Ok("f\n/b:\n\n/c:\nf\n"));
  EXPECT_EQ(Run("mount -B /a").status, 1);
  EXPECT_EQ(Run("cd /c; umount /c"), Fails(32, "umount: /c: target is busy.\n"));
  EXPECT_EQ(Run("umount -l /c; ls /c"), Ok());
}

TEST_F(CommandTest, MvBetweenFileSystemsCopiesAndRemoves) {
  ASSERT_EQ(
      Run("mkdir -p /m /d/e; mount -t ramfs none /m; echo x > /d/e/f; chmod 750 /d; ln -s e/f /d/l")
          .status,
      0);
  EXPECT_EQ(Run("mv /d /m; ls -R /m; stat -c %a /m/d; stat -c %N /m/d/l; ls /d"),
            Fails(2, "ls: cannot access '/d': No such file or directory\n",
                  "/m:\nd\n\n/m/d:\ne\nl\n\n/m/d/e:\nf\n750\n'/m/d/l' -> 'e/f'\n"));
  EXPECT_EQ(Run("umount /m"), Ok());
}

TEST_F(CommandTest, DropCachesTellsBeforeAndAfter) {
  EXPECT_THAT(Run("drop_caches -v").out,
              MatchesRegex("before: .* dentries, .*\nafter:  .* dentries, .*\n"));
  EXPECT_EQ(Run("drop_caches"), Ok());
  EXPECT_EQ(RunAs(vfs::Creds::User(1, 1), "drop_caches").status, 1);
}

TEST_F(CommandTest, IdsAreThoseOfTheTask) {
  EXPECT_EQ(Run("id; id -u; whoami"), Ok("uid=0(root) gid=0(root) groups=0(root)\n0\nroot\n"));
  EXPECT_EQ(RunAs(vfs::Creds::User(5, 6, {7}), "id; id -G; id -un"),
            Ok("uid=5 gid=6 groups=6,7\n6 7\n5\n"));
  EXPECT_EQ(RunAs(vfs::Creds::User(5, 5), "whoami"),
            Fails(1, "whoami: cannot find name for user ID 5\n"));
}

TEST_F(CommandTest, TimeRunsACommandAndTellsItsTime) {
  const Outcome outcome = Run("time echo a b");
  EXPECT_EQ(outcome.out, "a b\n");
  EXPECT_THAT(outcome.err, MatchesRegex("\nreal\t0m[0-9.]+s\nuser\t0m[0-9.]+s\nsys\t0m[0-9.]+s\n"));
  EXPECT_EQ(Run("time false").status, 1);
  EXPECT_EQ(Run("time echo x > /f; cat /f").out, "x\n");
}

TEST_F(CommandTest, CdKnowsTheWayBack) {
  ASSERT_EQ(Run("mkdir -p /a/b").status, 0);
  EXPECT_EQ(Run("cd /a/b; pwd; cd ..; pwd; cd -; cd; pwd; echo $PWD $OLDPWD"),
            Ok("/a/b\n/a\n/a/b\n/\n/ /a/b\n"));
  EXPECT_EQ(Run("cd /nope"), Fails(1, "cd: /nope: No such file or directory\n"));
  EXPECT_EQ(Run("cd -"), Fails(1, "cd: OLDPWD not set\n"));
  EXPECT_EQ(Run("cd /a b"), Fails(1, "cd: too many arguments\n"));
  EXPECT_EQ(Run("cd /a/b; rmdir /a/b; pwd"),
            Fails(1, "pwd: error retrieving current directory: No such file or directory\n"));
}

TEST_F(CommandTest, EveryCommandHelps) {
  for (const Command* command : Commands()) {
    const std::string name(command->name);
    const Outcome help = Run("help '" + name + "'");
    EXPECT_EQ(help.status, 0) << name;
    EXPECT_THAT(help.out, StartsWith("Usage: " + name)) << name;
    if (command->parsing != Command::Parsing::kLiteral) {
      EXPECT_EQ(Run(name + " --help"), help) << name;
    }
    EXPECT_THAT(Run("help").out, HasSubstr("\n  " + name + " ")) << name;
  }
  EXPECT_EQ(Run("help nope"), Fails(1, "help: no help topics match `nope'\n"));
}

TEST_F(CommandTest, MemoryBeginsWithAVerdict) {
  EXPECT_THAT(Run("memory").out,
              MatchesRegex("verdict: nothing is refused, there is no budget; [a-z_ ]+ has most, "
                           "[0-9]+ %\nbytes: (.|\n)*\ncache (.|\n)*\nshrinker (.|\n)*"));
  EXPECT_EQ(Run("memory --last"), Ok("memory was never refused\n"));
  EXPECT_EQ(Run("memory now"), Fails(1,
                                     "memory: extra operand 'now'\n"
                                     "Try 'memory --help' for more information.\n"));
}

// docs/shell.md holds what `help NAME` prints, word for word.
TEST_F(CommandTest, TheReferenceIsWhatHelpSays) {
  const char* source = ::getenv("DENTREE_SOURCE");
  if (source == nullptr) GTEST_SKIP() << "DENTREE_SOURCE is not set";
  std::ifstream file(std::string(source) + "/docs/shell.md");
  const std::string reference{std::istreambuf_iterator<char>(file), {}};
  for (const Command* command : Commands()) {
    EXPECT_NE(reference.find("```\n" + HelpText(*command) + "```\n"), std::string::npos)
        << command->name;
  }
}

TEST_F(CommandTest, HistoryListsTheLinesTyped) {
  auto out = std::make_shared<StringSink>();
  Shell shell(TaskOf(vfs::Creds::Root()),
              Streams{.in = std::make_shared<StringSource>(""), .out = out, .err = out});
  for (const char* line : {"ls", "pwd", "cd"}) shell.AddHistory(line);
  EXPECT_EQ(shell.RunText("history; history 1 | cat"), 0);
  EXPECT_EQ(out->text(), "    1  ls\n    2  pwd\n    3  cd\n    3  cd\n");
}

TEST_F(CommandTest, RmRefusesTheRoot) {
  ASSERT_EQ(Run("touch /f").status, 0);
  EXPECT_EQ(Run("rm -rf /; ls /"),
            Fails(0, "rm: it is dangerous to operate recursively on '/'\n", "f\n"));
}

TEST_F(CommandTest, RmRemovesWhatIsDeeperThanAPathCanSay) {
  const std::string name(200, 'd');
  ASSERT_OK(task().Mkdir("/deep", 0755));
  ASSERT_OK(task().Chdir("/deep"));
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(task().Mkdir(name, 0755));
    ASSERT_OK(task().Chdir(name));
  }
  ASSERT_OK(task().WriteFile("f", "x"));
  ASSERT_OK(task().Chdir("/"));
  EXPECT_EQ(Run("rm -r /deep; ls /"), Ok());
}

TEST_F(CommandTest, RmLeavesWhatItMayNotRemoveAndWhatIsAboveIt) {
  fs().Make({fixture::Text("/d/kept/f", ""), fixture::Text("/d/gone/f", "")});
  ASSERT_EQ(Run("chmod 777 / /d /d/gone; chmod 755 /d/kept").status, 0);
  EXPECT_EQ(
      RunAs(vfs::Creds::User(1000, 1000), "rm -r /d; find /d"),
      Fails(0, "rm: cannot remove '/d/kept/f': Permission denied\n", "/d\n/d/kept\n/d/kept/f\n"));
}

TEST_F(CommandTest, RemovingATreeEndsWhereItsDirectoryWasMovedAway) {
  fs().Make({fixture::Text("/a/b/f", ""), fixture::Text("/z/f", "")});
  std::vector<std::string> told;
  uring::RingTask own(task().Fork());
  EXPECT_FALSE(
      RemoveTree(own, "/a", [&](const std::string& path, vfs::FileType, vfs::Status removed) {
        told.push_back(path + (removed ? "" : "!"));
        if (path == "/a/b/f") {
          EXPECT_OK(task().Rename("/a/b", "/z/b"));
        }
        return true;
      }));
  EXPECT_THAT(told, testing::ElementsAre("/a/b/f", "/a/b!"));
  EXPECT_EQ(Run("find /a /z"), Ok("/a\n/z\n/z/f\n/z/b\n"));
}

TEST_F(CommandTest, TheMemoryOfACacheIsCounted) {
  const MemoryCounts counts = CountMemory(ring_task());
  EXPECT_EQ(counts.dentries, vfs().dcache().live());
  EXPECT_EQ(counts.nodes, std::nullopt);
  EXPECT_EQ(Describe({.dentries = 1, .negatives = 2, .inodes = 3, .nodes = 4}),
            "1 dentries, 2 negatives, 3 inodes, 4 nodes");
}

}  // namespace
}  // namespace dentree::shell
