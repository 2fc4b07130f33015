// The files of memory in /proc and /sys/kernel/debug: their formats, and what writing them does.

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"
#include "os/os.h"

namespace dentree::os {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class MemoryFiles : public testing::Test {
 protected:
  explicit MemoryFiles(const Options& options = {.memory_profile = true})
      : os_(Os::Boot(options).value()), task_(os_->NewTask()) {}
  ~MemoryFiles() override {
    task_.reset();
    os_->vfs().Shutdown();
    EXPECT_EQ(os_->vfs().LeakReport(), "");
  }

  vfs::Task& task() { return *task_; }
  Result<std::string> Read(std::string_view path) { return task().ReadFile(path); }
  Status Write(std::string_view path, std::string_view text) {
    return task().WriteFile(path, text, 0);
  }
  // "/sys/kernel/debug/shrinker/NAME-ID"; empty: there is none.
  std::string ShrinkerDir(std::string_view name) {
    const std::string top = "/sys/kernel/debug/shrinker";
    const std::vector<vfs::DirEntry> entries = *task().ListDir(top);
    for (const vfs::DirEntry& entry : entries) {
      const std::string_view its = entry.name;
      if (its.starts_with(name) && its.substr(name.size()).starts_with('-')) {
        return top + "/" + entry.name;
      }
    }
    return {};
  }
  // A mounted file system with so many files that nobody uses any more.
  void MountRemote(int files) {
    os_->vfs().RegisterType(remote_.Type());
    for (int i = 0; i < files; ++i) remote_.Make({fixture::Text(absl::StrFormat("/f%d", i), "x")});
    ASSERT_OK(task().Mount("server", "/mnt", "remote", ""));
    for (int i = 0; i < files; ++i) ASSERT_OK(task().Stat(absl::StrFormat("/mnt/f%d", i)));
  }

  fixture::RemoteFs remote_;
  std::unique_ptr<Os> os_;
  std::unique_ptr<vfs::Task> task_;
};

// --- who holds what ---

TEST_F(MemoryFiles, AllocinfoHasARowForThePlaceThatMakesDentries) {
  EXPECT_THAT(Read("/proc/sys/vm/mem_profiling"), Holds("1\n"));
  const std::string text = *Read("/proc/allocinfo");
  EXPECT_THAT(text, StartsWith("allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n"));
  EXPECT_THAT(text,
              testing::ContainsRegex(
                  "\n +[0-9]+ +[0-9]+ vfs/dcache\\.cc:[0-9]+ func:vfs::Dcache::[A-Za-z]+ \n"));
  EXPECT_EQ(task().Stat("/proc/allocinfo")->mode & 07777, 0400u);
}

TEST(MemoryFilesUnprofiled, AllocinfoIsEmpty) {
  const auto os = Os::Boot({.memory_profile = false}).value();
  const auto task = os->NewTask();
  EXPECT_THAT(task->ReadFile("/proc/sys/vm/mem_profiling"), Holds("0\n"));
  EXPECT_THAT(task->ReadFile("/proc/allocinfo"), Holds(""));
}

TEST_F(MemoryFiles, TheReportBeginsWithAVerdictAndHasCachesAndShrinkers) {
  const std::string text = *Read("/proc/memory_report");
  EXPECT_THAT(text, StartsWith("verdict: nothing is refused, there is no budget; "));
  EXPECT_THAT(text, HasSubstr("\ncache "));
  EXPECT_THAT(text, HasSubstr("\nshrinker "));
  EXPECT_THAT(text, Not(HasSubstr("at the last refusal")));
}

TEST(MemoryFilesLimited, TheReportKeepsTheLastRefusal) {
  const auto os = Os::Boot({.memory_limit = 4 << 20}).value();
  const auto task = os->NewTask();
  int made = 0;
  while (task->Mkdir(absl::StrFormat("/tmp/%d", made), 0755)) ++made;
  EXPECT_GT(made, 100);
  EXPECT_THAT(task->ReadFile("/proc/memory_report"),
              Holds(AllOf(StartsWith("verdict: full, and "),
                          HasSubstr("\nat the last refusal:\nverdict: full, and "),
                          HasSubstr("\nrefused: "))));
}

// --- sysctls ---

TEST_F(MemoryFiles, DentryStateCountsUnusedDentriesWhateverThePressure) {
  const auto unused = [this] {
    const std::string text = *Read("/proc/sys/fs/dentry-state");
    EXPECT_THAT(text, MatchesRegex("[0-9]+\t[0-9]+\t45\t0\t[0-9]+\t0\n"));
    return std::stoul(text.substr(text.find('\t')));
  };
  const size_t before = unused();
  MountRemote(50);
  EXPECT_GE(unused(), before + 50);
  ASSERT_OK(Write("/proc/sys/vm/vfs_cache_pressure", "0"));
  EXPECT_GE(unused(), before + 50);
}

TEST_F(MemoryFiles, InodeNrAndInodeStateHaveLinuxsNumbers) {
  MountRemote(50);
  const size_t inodes = os_->vfs().icache().live();
  EXPECT_THAT(Read("/proc/sys/fs/inode-nr"), Holds(MatchesRegex("[0-9]+\t[0-9]+\n")));
  EXPECT_THAT(Read("/proc/sys/fs/inode-state"),
              Holds(MatchesRegex("[0-9]+\t[0-9]+\t0\t0\t0\t0\t0\n")));
  EXPECT_GE(std::stoul(*Read("/proc/sys/fs/inode-nr")), inodes);
}

TEST_F(MemoryFiles, CachePressureTakesLinuxsValues) {
  const std::string file = "/proc/sys/vm/vfs_cache_pressure";
  EXPECT_THAT(Read(file), Holds("100\n"));
  for (const char* value : {"0", "1", "1000", "2147483647"}) {
    ASSERT_OK(Write(file, std::string(value) + "\n"));
    EXPECT_THAT(Read(file), Holds(std::string(value) + "\n"));
  }
  for (const char* bad : {"2147483648", "-1", "x", ""}) {
    EXPECT_FALSE(Write(file, bad).has_value()) << bad;
  }
  EXPECT_THAT(Read(file + "_denom"), Holds("100\n"));
  EXPECT_THAT(Write(file + "_denom", "99"), FailsWith(Errno::kInval));
  EXPECT_OK(Write(file + "_denom", "1000"));
  EXPECT_THAT(Read(file + "_denom"), Holds("1000\n"));
}

TEST_F(MemoryFiles, WithoutCachePressureDroppingCachesDropsNoDentry) {
  MountRemote(50);
  ASSERT_OK(Write("/proc/sys/vm/vfs_cache_pressure", "0"));
  const size_t before = os_->vfs().dcache().live();
  ASSERT_OK(Write("/proc/sys/vm/drop_caches", "2"));
  EXPECT_GE(os_->vfs().dcache().live(), before);
  ASSERT_OK(Write("/proc/sys/vm/vfs_cache_pressure", "100"));
  ASSERT_OK(Write("/proc/sys/vm/drop_caches", "1"));
  EXPECT_GE(os_->vfs().dcache().live(), before);
  ASSERT_OK(Write("/proc/sys/vm/drop_caches", "3"));
  EXPECT_LE(os_->vfs().dcache().live(), before - 50);
}

// --- shrinkers ---

TEST_F(MemoryFiles, AShrinkerHasADirectoryWithItsCount) {
  MountRemote(50);
  const std::string dir = ShrinkerDir("dentry-remote:" + std::to_string(task().Stat("/mnt")->dev));
  ASSERT_NE(dir, "");
  EXPECT_THAT(Read(dir + "/count"), Holds("0 50\n"));
  ASSERT_OK(Write("/proc/sys/vm/vfs_cache_pressure", "200"));
  EXPECT_THAT(Read(dir + "/count"), Holds("0 100\n"));
  EXPECT_EQ(task().Stat(dir + "/count")->mode & 07777, 0440u);
  EXPECT_EQ(task().Stat(dir + "/scan")->mode & 07777, 0220u);
  EXPECT_EQ(task().Stat("/sys/kernel/debug")->mode & 07777, 0700u);
}

TEST_F(MemoryFiles, AShrinkerThatHasNothingHasNoRow) {
  const std::string dir = ShrinkerDir("inode-proc:" + std::to_string(task().Stat("/proc")->dev));
  ASSERT_NE(dir, "");
  EXPECT_THAT(Read(dir + "/count"), Holds(""));
}

TEST_F(MemoryFiles, ScanLooksAtAsManyAsItIsTold) {
  MountRemote(50);
  const std::string dir = ShrinkerDir("dentry-remote:" + std::to_string(task().Stat("/mnt")->dev));
  ASSERT_OK(Write(dir + "/scan", "0 0 20\n"));
  EXPECT_THAT(Read(dir + "/count"), Holds("0 30\n"));
  ASSERT_OK(Write(dir + "/scan", "0 0 0"));
  EXPECT_THAT(Read(dir + "/count"), Holds("0 30\n"));
  ASSERT_OK(Write(dir + "/scan", "0 0 1000"));
  EXPECT_THAT(Read(dir + "/count"), Holds(""));
  for (const char* bad : {"", "x", "0 0", "1 0 5", "0 1 5", "0 -1 5"}) {
    EXPECT_THAT(Write(dir + "/scan", bad), FailsWith(Errno::kInval)) << bad;
  }
}

TEST_F(MemoryFiles, TheDirectoryOfAShrinkerGoesWithItsFileSystem) {
  MountRemote(5);
  const std::string dir = ShrinkerDir("dentry-remote:" + std::to_string(task().Stat("/mnt")->dev));
  ASSERT_NE(dir, "");
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open(dir + "/count", O_RDONLY));
  ASSERT_OK(task().Umount("/mnt"));
  std::array<std::byte, 16> bytes;
  EXPECT_THAT(task().Read(fd, bytes), FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Stat(dir), FailsWith(Errno::kNoEnt));
  EXPECT_EQ(ShrinkerDir("dentry-remote"), "");
  ASSERT_OK(task().Close(fd));
}

TEST_F(MemoryFiles, NamesThatAreNoShrinkersAreMissing) {
  for (const char* name : {"x", "rcu-kfree", "rcu-kfree-", "rcu-kfree-99", "-0", "rcu-kfree-00"}) {
    EXPECT_THAT(task().Stat("/sys/kernel/debug/shrinker/" + std::string(name)),
                FailsWith(Errno::kNoEnt))
        << name;
  }
  EXPECT_NE(ShrinkerDir("rcu-kfree"), "");
}

}  // namespace
}  // namespace dentree::os
