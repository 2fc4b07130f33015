// flock and inotifywait.
#include <future>
#include <thread>

#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

class FlockCommand : public ShellTest {
 protected:
  // Runs `text` in a thread and returns when it waits for a lock.
  std::future<Outcome> Waits(const std::string& text) {
    auto future = std::async(std::launch::async, [this, text] { return Run(text); });
    while (vfs().locks().stats().waits.Value() == 0) std::this_thread::yield();
    return future;
  }
};

TEST_F(FlockCommand, RunsTheCommandWithTheLockAndMakesTheFile) {
  EXPECT_EQ(Run("flock /lock echo a b; ls /"), Ok("a b\nlock\n"));
  EXPECT_EQ(Run("flock / false").status, 1);
  EXPECT_EQ(Run("flock -u /lock echo -n x"), Ok("x"));
  EXPECT_EQ(vfs().locks().stats().held.load(), 0u);
}

TEST_F(FlockCommand, WithNFailsWhereAnotherHoldsTheLock) {
  EXPECT_EQ(Run("flock /lock flock -n /lock echo no"), Fails(1, ""));
  EXPECT_EQ(Run("flock /lock flock -n -E 9 /lock echo no"), Fails(9, ""));
  EXPECT_EQ(Run("flock /lock flock -s -w 0.01 /lock echo no"), Fails(1, ""));
  EXPECT_EQ(Run("flock -s /lock flock -n -s /lock echo both"), Ok("both\n"));
  EXPECT_EQ(Run("flock -s /lock flock -n -x /lock echo no").status, 1);
}

TEST_F(FlockCommand, WaitsUntilTheLockIsLetGo) {
  const int fd = task().Open("/lock", O_CREAT | O_RDWR, 0644).value();
  ASSERT_OK(task().Flock(fd, 2));
  auto outcome = Waits("flock /lock echo mine");
  ASSERT_OK(task().Close(fd));
  EXPECT_EQ(outcome.get(), Ok("mine\n"));
}

TEST_F(FlockCommand, SaysWhatIsWrong) {
  EXPECT_EQ(Run("flock /no/lock true"),
            Fails(66, "flock: cannot open lock file /no/lock: No such file or directory\n"));
  EXPECT_EQ(Run("flock").status, 64);
  EXPECT_EQ(Run("flock /lock").status, 64);
  EXPECT_EQ(Run("flock -w x /lock true").status, 64);
}

class InotifywaitCommand : public ShellTest {
 protected:
  // Runs `text` in a thread and returns when it watches `watches` inodes.
  std::future<Outcome> Watches(const std::string& text, size_t watches = 1) {
    auto future = std::async(std::launch::async, [this, text] { return Run(text); });
    while (vfs().notify().stats().watches.load() < watches) std::this_thread::yield();
    return future;
  }
};

TEST_F(InotifywaitCommand, PrintsTheFirstEventAndEnds) {
  fs().Make({fixture::Dir("/d")});
  auto outcome = Watches("inotifywait -e create /d");
  ASSERT_OK(task().Mkdir("/d/x", 0755));
  EXPECT_EQ(outcome.get(),
            (Outcome{0, "/d/ CREATE,ISDIR x\n", "Setting up watches.\nWatches established.\n"}));
}

TEST_F(InotifywaitCommand, GoesOnAsAMonitorUntilNobodyReads) {
  fs().Make({fixture::Dir("/d"), fixture::Text("/f", "")});
  auto outcome = Watches("inotifywait -mq -e close_write,Move -e open /d/ /f | head -n 5", 2);
  ASSERT_OK(task().WriteFile("/f", "1"));
  ASSERT_OK(task().WriteFile("/d/g", ""));
  ASSERT_OK(task().Rename("/d/g", "/e"));
  // Who writes to nobody hears of it when it writes.
  while (outcome.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    ASSERT_OK(task().WriteFile("/f", "2"));
  }
  EXPECT_EQ(outcome.get().out,
            "/f OPEN \n/f CLOSE_WRITE,CLOSE \n/d/ OPEN g\n/d/ CLOSE_WRITE,CLOSE g\n"
            "/d/ MOVED_FROM g\n");
}

TEST_F(InotifywaitCommand, PrintsCommaSeparatedValues) {
  fs().Make({fixture::Dir("/d")});
  auto outcome = Watches("inotifywait -qc -e create /d");
  ASSERT_OK(task().Mkdir("/d/a \"b\"", 0755));
  EXPECT_EQ(outcome.get(), Ok("/d/,\"CREATE,ISDIR\",\"a \"\"b\"\"\"\n"));
}

TEST_F(InotifywaitCommand, FailsWhereSomethingElseHappened) {
  fs().Make({fixture::Text("/f", "")});
  auto outcome = Watches("inotifywait -q -e open /f");
  ASSERT_OK(task().Unlink("/f"));
  EXPECT_EQ(outcome.get(), Fails(1, ""));
}

TEST_F(InotifywaitCommand, SaysWhatIsWrong) {
  EXPECT_EQ(Run("inotifywait -q /no"), Fails(1, "Couldn't watch /no: No such file or directory\n"));
  EXPECT_EQ(Run("inotifywait"), Fails(1, "No files specified to watch!\n"));
  EXPECT_EQ(Run("inotifywait -e nap /").status, 1);
  EXPECT_EQ(Run("inotifywait -q -t 0.01 /").status, 2);
}

}  // namespace
}  // namespace dentree::shell
