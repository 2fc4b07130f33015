// A booted Os: what is in its tree, and that nothing is left of it.

#include "os/os.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::os {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class OsTest : public testing::Test {
 protected:
  void TearDown() override {
    task_.reset();
    os_->vfs().Shutdown();
    EXPECT_EQ(os_->vfs().LeakReport(), "");
  }

  vfs::Task& task() { return *task_; }
  vfs::Vfs& vfs() { return os_->vfs(); }
  Result<std::string> Read(std::string_view path) { return task().ReadFile(path); }

  // The second column of a row of slabinfo: objects in use.
  size_t Active(const std::string& row) {
    const std::string text = *Read("/proc/slabinfo");
    const size_t at = text.find("\n" + row + " ");
    EXPECT_NE(at, text.npos) << row;
    return at == text.npos ? 0 : std::stoul(text.substr(at + 1 + row.size()));
  }

  base::FakeClock clock_{1'000'000'000};
  std::unique_ptr<Os> os_ = Os::Boot({.clock = &clock_}).value();
  std::unique_ptr<vfs::Task> task_ = os_->NewTask();
};

TEST_F(OsTest, HasTheUsualDirectories) {
  fixture::Tree tree(task());
  EXPECT_THAT(tree.Names("/"),
              Holds(testing::ElementsAre("home", "mnt", "proc", "root", "run", "sys", "tmp")));
  EXPECT_EQ(task().Stat("/tmp")->mode & 07777, 01777u);
  EXPECT_EQ(task().Stat("/root")->mode & 07777, 0700u);
  EXPECT_EQ(task().Stat("/")->mode & 07777, 0755u);
  EXPECT_OK(task().Stat("/sys/kernel/tracing/events/header_page"));
}

TEST_F(OsTest, ShowsADirectoryOfTheHostWhenAskedReadOnly) {
  EXPECT_EQ(os_->host_stats(), nullptr);
  std::string dir = std::filesystem::temp_directory_path() / "dentree-os-XXXXXX";
  ASSERT_NE(::mkdtemp(dir.data()), nullptr);
  std::ofstream(dir + "/f") << "text";
  {
    const auto with =
        Os::Boot({.clock = &clock_, .host_directory = dir, .host_options = "ttl=2"}).value();
    const auto caller = with->NewTask();
    EXPECT_THAT(caller->ReadFile("/host/f"), Holds("text"));
    EXPECT_THAT(caller->WriteFile("/host/f", "no"), FailsWith(Errno::kRoFs));
    EXPECT_THAT(caller->ReadFile("/proc/mounts"),
                Holds(HasSubstr(dir + " /host hostfs ro,relatime,ttl=2 0 0\n")));
    EXPECT_GT(with->host_stats()->calls.Value(), 0u);
  }
  std::filesystem::remove_all(dir);
  EXPECT_THAT(Os::Boot({.host_directory = dir}), FailsWith(Errno::kNoEnt));
}

TEST_F(OsTest, TellsWhatIsMounted) {
  EXPECT_THAT(Read("/proc/mounts"),
              Holds(AllOf(HasSubstr("proc /proc proc rw"), HasSubstr("sysfs /sys sysfs rw"),
                          HasSubstr("tracefs /sys/kernel/tracing tracefs rw,relatime 0 0\n"))));
  EXPECT_EQ(Read("/proc/mounts"), Read("/proc/self/mounts"));
  ASSERT_OK(task().Mkdir("/mnt/a b", 0755));
  ASSERT_OK(task().Mount("none", "/mnt/a b", "ramfs", ""));
  EXPECT_THAT(Read("/proc/mounts"), Holds(HasSubstr("none /mnt/a\\040b ramfs rw")));
  EXPECT_THAT(Read("/proc/filesystems"),
              Holds("nodev\tramfs\nnodev\tproc\nnodev\tsysfs\nnodev\ttracefs\nnodev\tstatsfs\n"));
}

TEST_F(OsTest, TellsOfTheMountsOfTheNamespaceItIsAskedIn) {
  ASSERT_OK(task().Mkdir("/mnt/a#b", 0755));
  ASSERT_OK(task().Mount("a#b", "/mnt", "ramfs", "nosuid,size=4k"));
  EXPECT_THAT(Read("/proc/self/mountinfo"),
              Holds(AllOf(HasSubstr(" / / rw,relatime - ramfs "),
                          HasSubstr(" / /mnt rw,nosuid,relatime - ramfs a\\043b rw,size=4k\n"))));
  const auto other = task().Fork();
  ASSERT_OK(other->Unshare(CLONE_NEWNS));
  ASSERT_OK(other->Umount("/mnt"));
  EXPECT_THAT(other->ReadFile("/proc/mounts"), Holds(Not(HasSubstr(" /mnt "))));
  EXPECT_THAT(Read("/proc/mounts"), Holds(HasSubstr(" /mnt ")));
}

TEST_F(OsTest, TellsAboutItself) {
  EXPECT_THAT(Read("/proc/version"), Holds(StartsWith("dentree version ")));
  EXPECT_THAT(Read("/proc/uptime"), Holds("0.00 0.00\n"));
  clock_.Advance(61'250'000'000);
  EXPECT_THAT(Read("/proc/uptime"), Holds("61.25 0.00\n"));
}

TEST_F(OsTest, TellsAboutMemory) {
  EXPECT_THAT(Read("/proc/meminfo"), Holds(AllOf(StartsWith("MemTotal:"), HasSubstr("\nSlab:"))));
  EXPECT_THAT(Read("/proc/slabinfo"), Holds(StartsWith("slabinfo - version: 2.1\n")));
  for (const char* row : {"dentry", "dentry_negative", "inode", "kernfs_node"}) {
    EXPECT_THAT(Read("/proc/slabinfo"), Holds(HasSubstr("\n" + std::string(row) + " "))) << row;
  }
  EXPECT_GT(Active("dentry"), 10u);
  EXPECT_THAT(Read("/proc/sys/fs/dentry-state"),
              Holds(testing::MatchesRegex("[0-9]+\t[0-9]+\t45\t0\t[0-9]+\t0\n")));
}

TEST_F(OsTest, TellsAboutLocks) {
  EXPECT_THAT(Read("/proc/locks"), Holds(""));
  const int fd = task().Open("/tmp/f", O_CREAT | O_RDWR, 0644).value();
  const int other = task().Open("/tmp/f", O_RDWR).value();
  const vfs::Stat attr = task().Fstat(fd).value();
  const std::string place = absl::StrFormat("00:%02x:%d", attr.dev, attr.ino);
  ASSERT_OK(task().Flock(fd, LOCK_EX));
  struct flock range = {};
  range.l_type = F_RDLCK;
  range.l_start = 5;
  range.l_len = 2;
  ASSERT_OK(task().FcntlLock(fd, F_OFD_SETLK, range));
  auto waits = std::async(std::launch::async, [&] { return task().Flock(other, LOCK_SH); });
  while (os_->vfs().locks().stats().waiting.load() == 0) std::this_thread::yield();
  EXPECT_THAT(Read("/proc/locks"),
              Holds(absl::StrFormat("1: OFDLCK ADVISORY  READ -1 %s 5 6\n"
                                    "2: FLOCK  ADVISORY  WRITE %d %s 0 EOF\n"
                                    "2: -> FLOCK  ADVISORY  READ %d %s 0 EOF\n",
                                    place, task().pid(), place, task().pid(), place)));
  ASSERT_OK(task().Flock(fd, LOCK_UN));
  EXPECT_OK(waits.get());
}

TEST_F(OsTest, TellsWhoWatchesOfTracingInstances) {
  const std::string dir = "/sys/kernel/tracing/instances";
  const int group = task().InotifyInit(O_NONBLOCK).value();
  ASSERT_OK(task().InotifyAddWatch(group, dir, IN_CREATE | IN_DELETE));
  ASSERT_OK(task().Mkdir(dir + "/web", 0755));
  const int below = task().InotifyAddWatch(group, dir + "/web", IN_DELETE_SELF).value();
  ASSERT_OK(task().Rmdir(dir + "/web"));
  std::array<std::byte, 256> buffer;
  const size_t n = task().Read(group, buffer).value();
  std::vector<std::pair<int, uint32_t>> events;
  for (size_t at = 0; at < n;) {
    inotify_event event;
    std::memcpy(&event, buffer.data() + at, sizeof(event));
    events.emplace_back(event.wd, event.mask);
    at += sizeof(event) + event.len;
  }
  using Event = std::pair<int, uint32_t>;
  EXPECT_THAT(events, testing::UnorderedElementsAre(
                          Event{1, IN_CREATE | IN_ISDIR}, Event{1, IN_DELETE | IN_ISDIR},
                          Event{below, IN_DELETE_SELF}, Event{below, IN_IGNORED}));
}

TEST_F(OsTest, DropsItsCachesWhenTold) {
  ASSERT_OK(task().WriteFile("/proc/sys/vm/drop_caches", "3\n", 0));
  const size_t before = Active("inode");
  ASSERT_OK(task().ListDir("/sys/kernel/tracing/options"));
  for (const char* file : {"raw", "hex", "bin"}) {
    ASSERT_OK(task().Stat("/sys/kernel/tracing/options/" + std::string(file)));
  }
  EXPECT_GT(Active("inode"), before);
  ASSERT_OK(task().WriteFile("/proc/sys/vm/drop_caches", "2", 0));
  EXPECT_EQ(Active("inode"), before);
  ASSERT_OK(task().WriteFile("/proc/sys/vm/drop_caches", "4", 0));
  for (const char* bad : {"0", "5", "x"}) {
    EXPECT_THAT(task().WriteFile("/proc/sys/vm/drop_caches", bad, 0), FailsWith(Errno::kInval));
  }
  EXPECT_THAT(Read("/proc/sys/vm/drop_caches"), FailsWith(Errno::kInval));
}

TEST_F(OsTest, ProcAndSysCannotBeChanged) {
  for (const char* path : {"/proc/x", "/sys/x", "/sys/kernel/x"}) {
    EXPECT_THAT(task().Mkdir(path, 0755), FailsWith(Errno::kPerm)) << path;
  }
  EXPECT_THAT(task().Rmdir("/sys/kernel"), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Unlink("/proc/version"), FailsWith(Errno::kPerm));
}

TEST_F(OsTest, TakesCatalogues) {
  constexpr std::string_view kGood = "a\tb\t77\tformat\tint x:8:4:1\n";
  const auto os = Os::Boot({.catalogues = {kGood}});
  ASSERT_OK(os);
  EXPECT_OK((*os)->NewTask()->Stat("/sys/kernel/tracing/events/a/b/format"));
  EXPECT_THAT(Os::Boot({.catalogues = {kGood, "nonsense"}}), FailsWith(Errno::kInval));
  EXPECT_THAT(Os::Boot({.catalogues = {kGood, kGood}}), FailsWith(Errno::kExist));
}

TEST_F(OsTest, OthersInOneProcessAreOthers) {
  const auto other = Os::Boot().value();
  const auto stranger = other->NewTask();
  ASSERT_OK(stranger->Mkdir("/sys/kernel/tracing/instances/a", 0));
  ASSERT_OK(stranger->WriteFile("/tmp/x", "1"));
  EXPECT_THAT(task().Stat("/sys/kernel/tracing/instances/a"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/tmp/x"), FailsWith(Errno::kNoEnt));
}

TEST_F(OsTest, GoesWithEverythingInItEnabledAndMounted) {
  const auto other = Os::Boot({.extras = eventfs::Extras::kHist}).value();
  trace::Tracepoint<"app", "step", trace::Field<"n", uint32_t>> step;
  {
    const auto registration = other->registry().Register(step);
    ASSERT_OK(registration);
    const auto user = other->NewTask();
    ASSERT_OK(user->Mkdir("/sys/kernel/tracing/instances/a", 0));
    ASSERT_OK(user->WriteFile("/sys/kernel/tracing/instances/a/events/enable", "1", 0));
    ASSERT_OK(user->Mount("none", "/sys/kernel/tracing/instances/a/events/app", "ramfs", ""));
    ASSERT_OK(user->Open("/tmp/f", O_CREAT | O_RDWR, 0600));
    step(1);
  }
  EXPECT_FALSE(step.enabled());
}

// A failure at any allocation is an error of Boot and leaves nothing behind.
TEST_F(OsTest, BootsOrNotWithLittleMemory) {
  size_t booted = 0;
  for (size_t kib = 0; kib < 1024; kib += 32) {
    const auto os = Os::Boot({.memory_limit = kib * 1024});
    if (!os) {
      EXPECT_THAT(os, FailsWith(Errno::kNoMem)) << kib;
      continue;
    }
    ++booted;
  }
  EXPECT_GT(booted, 0u);
}

}  // namespace
}  // namespace dentree::os
