// Requests and completions: each opcode, its errors, order, limits, and loops that cannot start.
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstring>
#include <thread>

#include "gmock/gmock.h"
#include "tests/uring/uring_test.h"

namespace dentree::uring {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class UringQueue : public UringTest {};

// --- opcodes ---

TEST_F(UringQueue, AFileIsMadeWrittenReadStattedAndRemoved) {
  const int fd = Call(Entry::Openat(vfs::kAtFdCwd, "/f", O_CREAT | O_RDWR, 0640));
  ASSERT_GE(fd, 0);
  EXPECT_EQ(Call(Entry::Write(fd, Text("hello"))), 5);
  EXPECT_EQ(Call(Entry::Write(fd, Text(" you"))), 4) << "at the position, which has moved";
  EXPECT_EQ(Call(Entry::Write(fd, Text("J"), 0)), 1) << "at an offset, which moves nothing";
  char text[16];
  EXPECT_EQ(Call(Entry::Read(fd, Bytes(text))), 0) << "the position is at the end";
  EXPECT_EQ(Call(Entry::Read(fd, Bytes(text), 0)), 9);
  EXPECT_EQ(std::string_view(text, 9), "Jello you");
  vfs::Stat stat;
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/f", 0, stat)), 0);
  EXPECT_EQ(stat.size, 9u);
  EXPECT_EQ(stat.mode, S_IFREG | 0640);
  EXPECT_EQ(Call(Entry::Close(fd)), 0);
  EXPECT_EQ(Call(Entry::Unlinkat(vfs::kAtFdCwd, "/f", 0)), 0);
  EXPECT_THAT(task().Stat("/f"), FailsWith(Errno::kNoEnt));
}

TEST_F(UringQueue, ADirectoryIsMadeEnteredListedAndRemoved) {
  EXPECT_EQ(Call(Entry::Mkdirat(vfs::kAtFdCwd, "/d", 0755)), 0);
  const int dir = Call(Entry::Openat(vfs::kAtFdCwd, "/d", O_RDONLY | O_DIRECTORY));
  ASSERT_GE(dir, 0);
  EXPECT_EQ(Call(Entry::Mkdirat(dir, "sub", 0755)), 0) << "relative to a descriptor";
  const int file = Call(Entry::Openat(dir, "a file", O_CREAT | O_WRONLY, 0600));
  ASSERT_GE(file, 0);
  std::vector<std::string> names;
  alignas(8) char records[64];  // room for one or two
  for (;;) {
    const int32_t n = Call(Entry::Getdents(dir, Bytes(records)));
    ASSERT_GE(n, 0);
    if (n == 0) break;
    for (int32_t at = 0; at < n;) {
      const auto* const record = reinterpret_cast<const ::dirent64*>(records + at);
      EXPECT_NE(record->d_ino, 0u);
      EXPECT_EQ(record->d_type, std::string_view(record->d_name) == "a file" ? DT_REG : DT_DIR);
      names.emplace_back(record->d_name);
      at += record->d_reclen;
    }
  }
  EXPECT_THAT(names, UnorderedElementsAre(".", "..", "sub", "a file"));
  EXPECT_EQ(Call(Entry::Unlinkat(dir, "sub", AT_REMOVEDIR)), 0);
  vfs::Stat stat;
  EXPECT_EQ(Call(Entry::Statx(dir, "", AT_EMPTY_PATH, stat)), 0) << "the descriptor itself";
  EXPECT_EQ(stat.nlink, 2u);
}

TEST_F(UringQueue, StatxFollowsALinkUnlessToldNotTo) {
  ASSERT_OK(task().WriteFile("/f", "x"));
  ASSERT_OK(task().Symlink("/f", "/l"));
  vfs::Stat stat;
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/l", 0, stat)), 0);
  EXPECT_TRUE(vfs::IsRegular(stat.mode));
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/l", AT_SYMLINK_NOFOLLOW, stat)), 0);
  EXPECT_TRUE(vfs::IsSymlink(stat.mode));
}

TEST_F(UringQueue, ErrorsAreNegativeErrnos) {
  vfs::Stat stat;
  char text[4];
  EXPECT_EQ(Call(Entry::Openat(vfs::kAtFdCwd, "/nope", O_RDONLY)), Res(Errno::kNoEnt));
  EXPECT_EQ(Call(Entry::Read(99, Bytes(text))), Res(Errno::kBadF));
  EXPECT_EQ(Call(Entry::Write(-1, Text("x"))), Res(Errno::kBadF));
  EXPECT_EQ(Call(Entry::Close(99)), Res(Errno::kBadF));
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "", 0, stat)), Res(Errno::kNoEnt));
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/", AT_EACCESS, stat)), Res(Errno::kInval));
  EXPECT_EQ(Call(Entry::Mkdirat(vfs::kAtFdCwd, "/k", 0755)), Res(Errno::kExist));
  EXPECT_EQ(Call(Entry::Unlinkat(vfs::kAtFdCwd, "/k", 0)), Res(Errno::kIsDir));
  EXPECT_EQ(Call(Entry::Unlinkat(vfs::kAtFdCwd, "/k", AT_EMPTY_PATH)), Res(Errno::kInval));
  const int dir = task().Open("/", O_RDONLY).value();
  EXPECT_EQ(Call(Entry::Read(dir, Bytes(text))), Res(Errno::kIsDir));
  EXPECT_EQ(Call(Entry::Getdents(dir, Bytes(text))), Res(Errno::kInval)) << "no room for a record";
  const int reader = task().Open("/k/pipe", O_RDONLY).value();
  EXPECT_EQ(Call(Entry::Write(reader, Text("x"))), Res(Errno::kBadF));
  EXPECT_EQ(Call(Entry::Read(dir, Bytes(text), UINT64_MAX - 1)), Res(Errno::kInval));
}

TEST_F(UringQueue, ACallRunsOnTheLoopsThreadWithTheTask) {
  struct Seen {
    std::thread::id thread;
    vfs::Task* task = nullptr;
  } seen;
  const auto look = [](vfs::Task& of, void* argument) -> int32_t {
    *static_cast<Seen*>(argument) = {std::this_thread::get_id(), &of};
    return 42;
  };
  EXPECT_EQ(Call(Entry::Call(look, &seen)), 42);
  EXPECT_NE(seen.thread, std::this_thread::get_id());
  EXPECT_EQ(seen.task, &task());
}

TEST_F(UringQueue, RequestsHaveTheRightsAndThePlaceOfTheirTask) {
  ASSERT_OK(task().Mkdir("/root", 0700));
  ASSERT_OK(task().Chdir("/root"));
  const auto user = TaskOf(vfs::Creds::User(1000, 1000));
  const auto root_queue = NewQueue(1);
  const auto user_queue = NewQueue(*user, 1);
  EXPECT_GE(root_queue->Call(Entry::Openat(vfs::kAtFdCwd, "f", O_CREAT | O_WRONLY, 0600)), 0);
  EXPECT_OK(task().Stat("/root/f"));
  EXPECT_EQ(user_queue->Call(Entry::Openat(vfs::kAtFdCwd, "/root/f", O_RDONLY)),
            Res(Errno::kAccess));
}

// --- order and limits ---

TEST_F(UringQueue, CompletionsComeInOrderWithTheirUserData) {
  const auto queue = NewQueue(8);
  for (uint64_t i = 0; i < 5; ++i) ASSERT_OK(queue->Push(Entry::Nop(), 100 + i));
  EXPECT_EQ(queue->in_flight(), 5u);
  Completion done[8];
  ASSERT_EQ(queue->Wait(done, 5), 5u);
  for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(done[i].user_data, 100 + i);
  EXPECT_EQ(queue->in_flight(), 0u);
}

TEST_F(UringQueue, WhatIsPushedIsNotSeenBeforeSubmit) {
  const auto queue = NewQueue(2);
  ASSERT_OK(queue->Push(Entry::Mkdirat(vfs::kAtFdCwd, "/d", 0755), 1));
  const auto other = NewQueue(1);
  EXPECT_EQ(other->Call(Entry::Nop()), 0) << "the loop has run since";
  EXPECT_THAT(task().Stat("/d"), FailsWith(Errno::kNoEnt));
  Completion done;
  EXPECT_EQ(queue->Reap({&done, 1}), 0u);
  EXPECT_EQ(queue->Wait({&done, 1}), 1u);
  EXPECT_OK(task().Stat("/d"));
}

TEST_F(UringQueue, IsFullWithAsManyInFlightAsItHasEntries) {
  const auto queue = NewQueue(3);
  EXPECT_EQ(queue->entries(), 4u) << "rounded up";
  for (uint64_t i = 0; i < 4; ++i) ASSERT_OK(queue->Push(Entry::Nop(), i));
  EXPECT_THAT(queue->Push(Entry::Nop(), 4), FailsWith(Errno::kAgain));
  EXPECT_EQ(loop().stats().queue_full.Value(), 1u);
  Completion done[4];
  ASSERT_EQ(queue->Wait({done, 1}), 1u);
  EXPECT_OK(queue->Push(Entry::Nop(), 4)) << "a slot is free when its completion is reaped";
  ASSERT_EQ(queue->Wait(done, 4), 4u);
  EXPECT_EQ(queue->Wait(done, 1), 0u) << "nothing in flight: nothing to wait for";
}

TEST_F(UringQueue, RingsGoRoundManyTimes) {
  const auto queue = NewQueue(4);
  uint64_t pushed = 0, reaped = 0;
  while (reaped < 10'000) {
    while (queue->Push(Entry::Nop(), pushed)) ++pushed;
    Completion done[3];
    const size_t n = queue->Wait(done);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(done[i].user_data, reaped++);
  }
}

TEST_F(UringQueue, AttachRefusesWhatIsBeyondItsLimits) {
  EXPECT_THAT(loop().Attach(task(), 0), FailsWith(Errno::kInval));
  EXPECT_THAT(loop().Attach(task(), kMaxEntries + 1), FailsWith(Errno::kInval));
  const base::ScopedFault fault(faults(), base::FaultPlan::Always("mm:uring_queue"));
  EXPECT_THAT(loop().Attach(task(), 8), FailsWith(Errno::kNoMem));
}

class UringFewQueues : public UringTest {
 protected:
  UringFewQueues() : UringTest({.max_queues = 2}) {}
};

TEST_F(UringFewQueues, TheNextIsEnfileUntilOneLeaves) {
  auto first = NewQueue(1);
  const auto second = NewQueue(1);
  EXPECT_THAT(loop().Attach(task(), 1), FailsWith(Errno::kNFile));
  first.reset();
  EXPECT_OK(loop().Attach(task(), 1));
  EXPECT_EQ(loop().stats().queues_high.Value(), 2);
}

TEST_F(UringQueue, ManyQueuesAreServedByOneLoop) {
  constexpr int kThreads = 8, kCalls = 500;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      const auto own = TaskOf(vfs::Creds::Root());
      const auto queue = NewQueue(*own, 4);
      const std::string dir = "/d" + std::to_string(t);
      for (int i = 0; i < kCalls; ++i) {
        ASSERT_EQ(queue->Call(Entry::Mkdirat(vfs::kAtFdCwd, dir, 0755)), 0);
        ASSERT_EQ(queue->Call(Entry::Unlinkat(vfs::kAtFdCwd, dir, AT_REMOVEDIR)), 0);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(loop().stats().requests.Value(), uint64_t{2} * kThreads * kCalls);
  EXPECT_EQ(loop().stats().queues.Value(), 0);
}

TEST_F(UringQueue, ABatchIsOneWakeUpAndOneLook) {
  const auto queue = NewQueue(256);
  for (uint64_t i = 0; i < 256; ++i) ASSERT_OK(queue->Push(Entry::Nop(), i));
  std::vector<Completion> done(256);
  EXPECT_EQ(queue->Wait(done, 256), 256u);
  EXPECT_EQ(loop().stats().batches.Value(), 1u);
  EXPECT_LE(loop().stats().wakeups.Value(), 1u);
  EXPECT_LE(loop().stats().enters.Value(), 2u);
}

// --- loops that cannot start ---

// From here on this thread, and those it starts, get `answer` from io_uring_setup.
void ForbidRings(Errno answer) {
  ::sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(::seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(answer)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const ::sock_fprog program{.len = std::size(code), .filter = code};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

class UringStart : public fixture::VfsTest {};

TEST_F(UringStart, SaysWhyThereIsNoRing) {
  for (const auto& [answer, text] :
       {std::pair{Errno::kNoSys, "the kernel has no io_uring"},
        std::pair{Errno::kPerm, "io_uring is"}, std::pair{Errno::kMFile, "Too many open files"}}) {
    std::jthread([&] {
      ForbidRings(answer);
      const auto loop = Loop::Start(vfs());
      ASSERT_FALSE(loop.has_value());
      EXPECT_EQ(loop.error().error, answer);
      EXPECT_THAT(loop.error().reason, HasSubstr(text));
    }).join();
  }
}

}  // namespace
}  // namespace dentree::uring
