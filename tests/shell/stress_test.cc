#include "shell/stress.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "os/os.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;

constexpr auto kShort = std::chrono::milliseconds(700);

class StressTest : public ShellTest {};

TEST_F(StressTest, RamfsAnswersAsDocumentedAndLeavesNothingBehind) {
  const auto report = RunStress(ring_task(), {.threads = 4, .duration = kShort, .seed = 1});
  ASSERT_OK(report);
  EXPECT_TRUE(report->passed()) << Describe(*report);
  EXPECT_EQ(report->before, report->after);
  for (const char* operation :
       {"rename", "mount", "umount", "flock", "range lock", "inotify: watch", "inotify: read"}) {
    EXPECT_THAT(report->answers, Contains(Key(operation)));
  }
  EXPECT_FALSE(task().Stat("/stress").has_value());
}

TEST_F(StressTest, WithoutMountsNothingIsBusyAndNothingElsewhere) {
  const auto report =
      RunStress(ring_task(), {.threads = 4, .duration = kShort, .seed = 3, .mounts = false});
  ASSERT_OK(report);
  EXPECT_TRUE(report->passed()) << Describe(*report);
  EXPECT_THAT(report->answers, Not(Contains(Key("mount"))));
  for (const auto& [operation, answers] : report->answers) {
    EXPECT_THAT(answers, Not(Contains(Key(EBUSY)))) << operation;
    EXPECT_THAT(answers, Not(Contains(Key(EXDEV)))) << operation;
  }
}

TEST_F(StressTest, AnErrorThatIsNotDocumentedIsAViolation) {
  // A file system that is full: nothing in the table lets a write or a mkdir say so.
  ASSERT_EQ(Run("mkdir /small; mount -t ramfs -o size=4k,nr_inodes=8 none /small").status, 0);
  const auto report = RunStress(
      ring_task(), {.threads = 2, .duration = kShort, .seed = 1, .tree = "/small/stress"});
  ASSERT_OK(report);
  EXPECT_FALSE(report->passed());
  EXPECT_THAT(Describe(*report), HasSubstr("ENOSPC"));
  EXPECT_LE(report->violations.size(), kMaxToldViolations);
  ASSERT_EQ(Run("umount /small").status, 0);
}

TEST_F(StressTest, WhatCannotBeginIsAnError) {
  ASSERT_OK(task().Mkdir("/stress", 0755));
  EXPECT_THAT(RunStress(ring_task(), {}), fixture::FailsWith(base::Errno::kExist));
  EXPECT_THAT(Run("stress --seconds 1").err, HasSubstr("stress: cannot prepare: File exists\n"));
}

TEST_F(StressTest, TheCommandChecksItsOptions) {
  EXPECT_EQ(Run("stress --threads 0").status, 1);
  EXPECT_THAT(Run("stress --threads 0").err,
              HasSubstr("stress: invalid number '0': expected 1 to 1024\nTry 'stress --help'"));
  EXPECT_THAT(Run("stress x").err, HasSubstr("extra operand 'x'"));
}

TEST_F(StressTest, AnInterruptEndsTheRun) {
  const Interrupt interrupt{true};
  StressOptions options{.duration = std::chrono::seconds(60)};
  options.interrupt = &interrupt;
  const auto report = RunStress(ring_task(), options);
  ASSERT_OK(report);
  EXPECT_LT(report->seconds, 30);
}

// Instances made and removed under those who hold their files open.
TEST(StressOs, InstancesAnswerAsDocumentedAndLeaveNothingBehind) {
  const auto os = os::Os::Boot();
  ASSERT_OK(os);
  std::unique_ptr<uring::Loop> loop;
  if (ViaRing()) {
    auto started = uring::Loop::Start((*os)->vfs());
    if (!started) GTEST_SKIP() << "no request loop here: " << started.error().reason;
    loop = *std::move(started);
  }
  uring::RingTask task((*os)->NewTask(), loop.get());
  const auto report = RunStress(task, {.threads = 4, .duration = kShort, .seed = 2});
  ASSERT_OK(report);
  EXPECT_TRUE(report->passed()) << Describe(*report);
  EXPECT_THAT(report->answers, Contains(Key("instances: read")));
  EXPECT_THAT(report->answers, Contains(Key("instances: rmdir")));
}

}  // namespace
}  // namespace dentree::shell
