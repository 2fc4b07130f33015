// What a test author writes: code that reads a configuration from a file system is tested on one
// that lives in memory, fails on demand, and proves at the end that nothing was left open.

#include "fixture/fixture.h"

namespace {

using namespace dentree;           // NOLINT(google-build-using-namespace)
using namespace dentree::fixture;  // NOLINT(google-build-using-namespace)
using vfs::Errno;

// The code under test: saves a configuration so that readers see the old one or the new one.
vfs::Status SaveConfig(vfs::Task& task, std::string_view path, std::string_view text) {
  const std::string draft = std::string(path) + ".new";
  const vfs::Status written = task.WriteFile(draft, text);
  if (!written) {
    (void)task.Unlink(draft);
    return written;
  }
  return task.Rename(draft, path);
}

class ConfigTest : public VfsTest {
 protected:
  ConfigTest() : VfsTest({.root_options = "size=64k"}) {}
};

TEST_F(ConfigTest, ReadersFollowTheLinkAndSeeAtomicReplace) {
  fs().Make({Text("/etc/app.conf", "a=1\n"), Link("/etc/current", "app.conf")});
  ASSERT_OK_AND_ASSIGN(const int reader, task().Open("/etc/current", O_RDONLY));
  ASSERT_OK(SaveConfig(task(), "/etc/app.conf", "a=2\n"));
  EXPECT_THAT(fs().Read("/etc/current"), Holds("a=2\n"));
  EXPECT_EQ(task().Fstat(reader)->nlink, 0u) << "who had the old one open still has it";
  EXPECT_THAT(fs(), HoldsTree({Dir("/etc"), Text("/etc/app.conf", "a=2\n"),
                               Link("/etc/current", "app.conf")}));
}

TEST_F(ConfigTest, TheOldFileStaysWhenTheDiskFills) {
  fs().Make({Text("/etc/app.conf", "a=1\n")});
  EXPECT_THAT(SaveConfig(task(), "/etc/app.conf", std::string(100'000, '#')),
              FailsWith(Errno::kNoSpc));
  EXPECT_THAT(fs(), HoldsTree({Dir("/etc"), Text("/etc/app.conf", "a=1\n")}));
}

TEST_F(ConfigTest, TheOldFileStaysWhenMemoryRunsOut) {
  fs().Make({Text("/etc/app.conf", "a=1\n")});
  const base::ScopedFault fault(faults(), base::FaultPlan::Nth("mm:ramfs_page", 1));
  EXPECT_THAT(SaveConfig(task(), "/etc/app.conf", "a=2\n"), FailsWith(Errno::kNoMem));
  EXPECT_THAT(fs(), HoldsTree({Dir("/etc"), Text("/etc/app.conf", "a=1\n")}));
}

TEST_F(ConfigTest, NobodyElseMayWriteIt) {
  fs().Make({Dir("/etc", 0755), Text("/etc/app.conf", "a=1\n", 0644)});
  const auto user = TaskOf(vfs::Creds::User(1000, 1000));
  EXPECT_OK(user->ReadFile("/etc/app.conf"));
  EXPECT_THAT(SaveConfig(*user, "/etc/app.conf", "a=2\n"), FailsWith(Errno::kAccess));
}

}  // namespace
