// Requests that wait for a file system: they delay nobody, whoever has them.
#include "tests/uring/away_test.h"

#include <pthread.h>
#include <sys/inotify.h>

#include <array>
#include <atomic>
#include <iterator>
#include <thread>
#include <vector>

namespace dentree::uring {
namespace {

size_t ThreadCount() {
  return static_cast<size_t>(
      std::ranges::distance(std::filesystem::directory_iterator("/proc/self/task")));
}

// --- names ---

TEST_F(UringAway, ALookupOnTheHostDelaysNobodyElse) {
  HostFile("slow", "");
  ASSERT_OK(task().WriteFile("/fast", "12345"));
  sync().Stop("hostfs:ask");
  const auto slow = NewQueue(1);
  vfs::Stat slow_stat;
  ASSERT_OK(slow->Push(Entry::Statx(vfs::kAtFdCwd, "/host/slow", 0, slow_stat), 1));
  slow->Submit();
  ASSERT_OK(sync().WaitFor("hostfs:ask"));

  const auto fast = NewQueue(100);
  std::vector<vfs::Stat> stats_of(100);
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < 100; ++i) {
      ASSERT_OK(fast->Push(Entry::Statx(vfs::kAtFdCwd, "/fast", 0, stats_of[i]), i));
    }
    std::vector<Completion> done(100);
    ASSERT_EQ(fast->Wait(done, 100), 100u);
    for (const Completion& each : done) EXPECT_EQ(each.res, 0);
  }
  Completion none;
  EXPECT_EQ(slow->Reap({&none, 1}), 0u) << "1,000 came before the one that was first";
  EXPECT_EQ(stats().punts.Value(), 1);
  sync().Release("hostfs:ask");
  EXPECT_EQ(Await(*slow, 1), 0);
  EXPECT_EQ(stats().punts.Value(), 0);
  EXPECT_EQ(stats().punted.Value(), 1u);
}

TEST_F(UringAway, OfOneQueueToo) {
  HostFile("slow", "");
  sync().Stop("hostfs:ask");
  const auto queue = NewQueue(2);
  vfs::Stat stat;
  ASSERT_OK(queue->Push(Entry::Statx(vfs::kAtFdCwd, "/host/slow", 0, stat), 1));
  ASSERT_OK(queue->Push(Entry::Mkdirat(vfs::kAtFdCwd, "/d", 0755), 2));
  EXPECT_EQ(Await(*queue, 2), 0);
  sync().Release("hostfs:ask");
  EXPECT_EQ(Await(*queue, 1), 0);
}

TEST_F(UringAway, WhatTheCacheKnowsIsAnsweredByTheLoopItself) {
  HostFile("f", "123");
  vfs::Stat stat;
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/host/f", 0, stat)), 0);
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/host/no", 0, stat)), Res(Errno::kNoEnt));
  EXPECT_EQ(stats().punted.Value(), 2u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/host/f", 0, stat)), 0);
    EXPECT_EQ(stat.size, 3u);
    EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/host/no", 0, stat)), Res(Errno::kNoEnt));
    EXPECT_EQ(Call(Entry::Openat(vfs::kAtFdCwd, "/host/no", O_RDONLY)), Res(Errno::kNoEnt));
  }
  EXPECT_EQ(stats().punted.Value(), 2u);
}

TEST_F(UringAway, EveryCallOnTheHostIsMadeByAWorkerAndAnswersAsATaskDoes) {
  EXPECT_EQ(Call(Entry::Mkdirat(vfs::kAtFdCwd, "/host/d", 0755)), 0);
  EXPECT_TRUE(filesystem::is_directory(At("d")));
  EXPECT_EQ(Call(Entry::Mkdirat(vfs::kAtFdCwd, "/host/d", 0755)), Res(Errno::kExist));
  const int32_t fd = Call(Entry::Openat(vfs::kAtFdCwd, "/host/d/f", O_CREAT | O_RDWR, 0644));
  ASSERT_GE(fd, 0);
  EXPECT_EQ(Call(Entry::Write(fd, Text("hello"))), 5);
  vfs::Stat stat;
  EXPECT_EQ(Call(Entry::Statx(fd, "", AT_EMPTY_PATH, stat)), 0);
  EXPECT_EQ(stat.size, 5u) << "what was written is seen";
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/host/d/f", 0, stat)), 0);
  EXPECT_EQ(stat.size, 5u);
  EXPECT_EQ(Call(Entry::Unlinkat(vfs::kAtFdCwd, "/host/d", 0)), Res(Errno::kIsDir));
  EXPECT_EQ(Call(Entry::Unlinkat(vfs::kAtFdCwd, "/host/d", AT_REMOVEDIR)), Res(Errno::kNotEmpty));
  EXPECT_EQ(Call(Entry::Unlinkat(vfs::kAtFdCwd, "/host/d/f", 0)), 0);
  EXPECT_FALSE(filesystem::exists(At("d/f")));
  EXPECT_EQ(Call(Entry::Close(fd)), 0);
  EXPECT_EQ(Call(Entry::Close(fd)), Res(Errno::kBadF));
}

TEST_F(UringAway, AListingOfAHostDirectoryDelaysNobodyAndKeepsItsPosition) {
  for (int i = 0; i < 200; ++i) HostFile("name" + std::to_string(i), "");
  const int fd = Open("/host", O_RDONLY | O_DIRECTORY);
  const auto queue = NewQueue(4);
  std::array<std::byte, 512> buffers[4];
  size_t total = 0;
  for (int rounds = 0; rounds < 100; ++rounds) {
    for (auto& buffer : buffers) ASSERT_OK(queue->Push(Entry::Getdents(fd, buffer), 0));
    Completion done[4];
    ASSERT_EQ(queue->Wait(done, 4), 4u);
    for (const Completion& each : done) ASSERT_GE(each.res, 0);
    if (done[0].res == 0) break;
    for (const Completion& each : done) total += static_cast<size_t>(each.res);
  }
  std::array<std::byte, 65536> all;
  const int again = Open("/host", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(static_cast<size_t>(Call(Entry::Getdents(again, all))), total);
}

TEST_F(UringAway, ACallThatSaysSoIsMadeByAWorker) {
  const auto name = [](vfs::Task&, void* of) -> int32_t {
    return ::pthread_getname_np(::pthread_self(), static_cast<char*>(of), 16);
  };
  char by_loop[16], by_worker[16];
  EXPECT_EQ(Call(Entry::Call(name, by_loop)), 0);
  EXPECT_EQ(Call(Entry::CallAsync(name, by_worker)), 0);
  EXPECT_STREQ(by_loop, "dentree-uring");
  EXPECT_STREQ(by_worker, "dentree-worker");
}

TEST_F(UringAway, WorkersAreStartedWhenNeededAndEndWithTheLoop) {
  const size_t threads = ThreadCount();
  vfs::Stat stat;
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/", 0, stat)), 0);
  EXPECT_EQ(ThreadCount(), threads);
  EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/host/no", 0, stat)), Res(Errno::kNoEnt));
  EXPECT_EQ(ThreadCount(), threads + 1);
  EXPECT_EQ(stats().workers.Value(), 1);
  EndLoop();
  EXPECT_EQ(ThreadCount(), threads - 1);
}

// --- one worker ---

class UringOneWorker : public UringAway {
 protected:
  UringOneWorker() : UringAway({.max_parked = 3, .max_workers = 1}) {}
  // A lookup that a worker is in the middle of, and one that waits for that worker.
  void Start(Queue& queue) {
    sync().Stop("hostfs:ask");
    ASSERT_OK(queue.Push(Entry::Statx(vfs::kAtFdCwd, "/host/first", 0, first_), 1));
    queue.Submit();
    ASSERT_OK(sync().WaitFor("hostfs:ask"));
    ASSERT_OK(queue.Push(Entry::Statx(vfs::kAtFdCwd, "/host/second", 0, second_), 2));
    Settle(queue);
    EXPECT_EQ(stats().punts.Value(), 2);
    EXPECT_EQ(stats().workers.Value(), 1);
  }
  vfs::Stat first_, second_;
};

TEST_F(UringOneWorker, WhatWaitsForItCanBeCancelledAndWhatItDoesCannot) {
  const auto queue = NewQueue(4);
  Start(*queue);
  Completion done[2];
  ASSERT_OK(queue->Push(Entry::AsyncCancel(2), 10));
  ASSERT_EQ(queue->Wait(done, 2), 2u);
  EXPECT_EQ(done[0].user_data, 2u);
  EXPECT_EQ(done[0].res, Res(Errno::kCanceled));
  EXPECT_EQ(done[1].res, 0);
  ASSERT_OK(queue->Push(Entry::AsyncCancel(1), 11));
  EXPECT_EQ(Await(*queue, 11), Res(Errno::kAlready));
  sync().Release("hostfs:ask");
  EXPECT_EQ(Await(*queue, 1), Res(Errno::kNoEnt));
}

TEST_F(UringOneWorker, WhatHasNoRoomToWaitIsRefused) {
  const auto queue = NewQueue(8);
  Start(*queue);
  vfs::Stat stat;
  ASSERT_OK(queue->Push(Entry::Statx(vfs::kAtFdCwd, "/host/third", 0, stat), 3));
  ASSERT_OK(queue->Push(Entry::Statx(vfs::kAtFdCwd, "/host/fourth", 0, stat), 4));
  EXPECT_EQ(Await(*queue, 4), Res(Errno::kNoBufs));
  EXPECT_EQ(stats().park_refused.Value(), 1u);
  sync().Release("hostfs:ask");
  Completion done[3];
  ASSERT_EQ(queue->Wait(done, 3), 3u);
  for (const Completion& each : done) EXPECT_EQ(each.res, Res(Errno::kNoEnt));
}

TEST_F(UringOneWorker, AQueueThatGoesWaitsForWhatTheWorkerDoes) {
  auto queue = NewQueue(4);
  Start(*queue);
  std::atomic<bool> returned{false};
  sync().OnHit("uring:worker:done", [&] { EXPECT_FALSE(returned.load()); });
  sync().Stop("uring:leaving");
  std::jthread leaver([&] {
    queue.reset();
    returned.store(true);
  });
  ASSERT_OK(sync().WaitFor("uring:leaving"));
  sync().Release("uring:leaving");
  sync().Release("hostfs:ask");
  leaver.join();
  EXPECT_EQ(sync().Hits("uring:worker:done"), 1u) << "the second was taken back";
}

TEST_F(UringOneWorker, TheEndOfTheLoopWaitsForTheWorkerAndCancelsTheRest) {
  const auto queue = NewQueue(4);
  Start(*queue);
  std::jthread ender([&] { EndLoop(); });
  // Cancelled before the worker is waited for.
  EXPECT_EQ(Await(*queue, 2), Res(Errno::kCanceled));
  sync().Release("hostfs:ask");
  ender.join();
  EXPECT_EQ(Await(*queue, 1), Res(Errno::kNoEnt));
}

// --- data ---

TEST_F(UringAway, AReadThatTheKernelLetsWaitDelaysNobodyAndTakesNoThread) {
  const size_t threads = ThreadCount();
  const auto slow = NewQueue(2);
  char bytes[4] = {};
  ASSERT_OK(slow->Push(Entry::Read(Open("/p/r", O_RDONLY), Bytes(bytes)), 1));
  Settle(*slow);
  EXPECT_EQ(stats().moving.Value(), 1);
  EXPECT_EQ(ThreadCount(), threads);
  vfs::Stat stat;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Call(Entry::Statx(vfs::kAtFdCwd, "/", 0, stat)), 0);
  EXPECT_EQ(stats().moving.Value(), 1);
  host_pipe().Put("data");
  EXPECT_EQ(Await(*slow, 1), 4);
  EXPECT_EQ(std::string_view(bytes, 4), "data");
  EXPECT_EQ(stats().moving.Value(), 0);
}

TEST_F(UringAway, AReadInTheKernelCanBeCancelled) {
  const auto queue = NewQueue(2);
  char byte = 0;
  ASSERT_OK(queue->Push(Entry::Read(Open("/p/r", O_RDONLY), Bytes({&byte, 1})), 1));
  ASSERT_OK(queue->Push(Entry::AsyncCancel(1), 2));
  Completion done[2];
  ASSERT_EQ(queue->Wait(done, 2), 2u);
  for (const Completion& each : done) {
    EXPECT_EQ(each.res, each.user_data == 1 ? Res(Errno::kCanceled) : 0);
  }
  EXPECT_EQ(stats().canceled.Value(), 1u);
}

TEST_F(UringAway, AQueueThatGoesTakesItsBuffersFromTheKernel) {
  auto buffer = std::make_unique<std::array<char, 64>>();
  auto queue = NewQueue(2);
  ASSERT_OK(queue->Push(Entry::Read(Open("/p/r", O_RDONLY), Bytes(*buffer)), 1));
  Settle(*queue);
  queue.reset();
  EXPECT_EQ(stats().moving.Value(), 0);
  buffer->fill('-');
  host_pipe().Put("late");
  EXPECT_EQ((*buffer)[0], '-');
  char bytes[4];
  EXPECT_EQ(Call(Entry::Read(Open("/p/r", O_RDONLY), Bytes(bytes))), 4) << "nobody took it";
}

TEST_F(UringAway, TheEndOfTheLoopCancelsWhatTheKernelHas) {
  const auto queue = NewQueue(2);
  char byte = 0;
  ASSERT_OK(queue->Push(Entry::Read(Open("/p/r", O_RDONLY), Bytes({&byte, 1})), 1));
  Settle(*queue);
  EndLoop();
  EXPECT_EQ(Await(*queue, 1), Res(Errno::kCanceled));
}

TEST_F(UringAway, AFileClosedWhileTheKernelReadsItIsReadOn) {
  const auto queue = NewQueue(2);
  char byte = 0;
  const int fd = Open("/p/r", O_RDONLY);
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&byte, 1})), 1));
  Settle(*queue);
  EXPECT_EQ(Call(Entry::Close(fd)), 0);
  host_pipe().Put("x");
  EXPECT_EQ(Await(*queue, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(UringAway, WhoMustNotWaitDoesNot) {
  char byte = 0;
  const int fd = Open("/p/r", O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(Call(Entry::Read(fd, Bytes({&byte, 1}))), Res(Errno::kAgain));
  host_pipe().Put("x");
  EXPECT_EQ(Call(Entry::Read(fd, Bytes({&byte, 1}))), 1);
}

TEST_F(UringAway, RightsAndTypesAreCheckedAsElsewhere) {
  HostFile("f", "123");
  char byte = 0;
  EXPECT_EQ(Call(Entry::Read(Open("/host/f", O_WRONLY), Bytes({&byte, 1}))), Res(Errno::kBadF));
  EXPECT_EQ(Call(Entry::Write(Open("/host/f", O_RDONLY), Text("x"))), Res(Errno::kBadF));
  EXPECT_EQ(Call(Entry::Read(Open("/host", O_RDONLY), Bytes({&byte, 1}))), Res(Errno::kIsDir));
  EXPECT_EQ(Call(Entry::Read(Open("/host/f", O_PATH), Bytes({&byte, 1}))), Res(Errno::kBadF));
}

TEST_F(UringAway, RequestsAtThePositionOfAFileTakeTurns) {
  HostFile("f", "abcdefghij");
  const int fd = Open("/host/f", O_RDWR);
  const auto queue = NewQueue(8);
  char bytes[5][2] = {};
  for (uint64_t i = 0; i < 5; ++i) ASSERT_OK(queue->Push(Entry::Read(fd, Bytes(bytes[i])), i));
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("KL")), 5));
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("M")), 6));
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("A"), 0), 7));
  Completion done[8];
  ASSERT_EQ(queue->Wait(done, 8), 8u);
  EXPECT_EQ(std::string_view(&bytes[0][0], 10).substr(1), "bcdefghij");
  EXPECT_EQ(HostText("f"), "AbcdefghijKLM");
  EXPECT_EQ(stats().punted.Value(), 0u);
}

TEST_F(UringAway, AppendsEndWhereTheHostSaysAndMoveThePosition) {
  HostFile("f", "start");
  const int fd = Open("/host/f", O_RDWR | O_APPEND);
  const auto queue = NewQueue(4);
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("1")), 1));
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("2")), 2));
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("3"), 0), 3));
  Completion done[3];
  ASSERT_EQ(queue->Wait(done, 3), 3u);
  for (const Completion& each : done) EXPECT_EQ(each.res, 1);
  EXPECT_EQ(HostText("f").size(), 8u);
  char byte = 0;
  EXPECT_LE(Call(Entry::Read(fd, Bytes({&byte, 1}))), 1) << "at the end, but for the third";
}

TEST_F(UringAway, AWriteEndsAtTheTasksLimitWhereverTheDataAre) {
  task().SetFileSizeLimit(4);
  for (const char* path : {"/f", "/host/f"}) {
    const int fd = Open(path, O_CREAT | O_RDWR);
    EXPECT_EQ(Call(Entry::Write(fd, Text("hello"))), 4) << path;
    EXPECT_EQ(Call(Entry::Write(fd, Text("!"))), Res(Errno::kFBig)) << path;
    EXPECT_EQ(Call(Entry::Write(fd, Text("J"), 0)), 1) << path;
    vfs::Stat stat;
    EXPECT_EQ(Call(Entry::Statx(fd, "", AT_EMPTY_PATH, stat)), 0);
    EXPECT_EQ(stat.size, 4u) << path;
  }
  EXPECT_EQ(HostText("f"), "Jell");
}

TEST_F(UringAway, WhatTheKernelMovedIsToldToWhoWatches) {
  HostFile("f", "1");
  const int fd = Open("/host/f", O_RDWR);
  ASSERT_OK_AND_ASSIGN(const int group, task().InotifyInit(O_NONBLOCK));
  ASSERT_OK(task().InotifyAddWatch(group, "/host/f", IN_ACCESS | IN_MODIFY));
  char byte = 0;
  EXPECT_EQ(Call(Entry::Read(fd, Bytes({&byte, 1}))), 1);
  EXPECT_EQ(Call(Entry::Read(fd, Bytes({&byte, 1}))), 0) << "the end is no event";
  EXPECT_EQ(Call(Entry::Write(fd, Text("2"))), 1);
  // struct inotify_event without its name.
  struct Event {
    int32_t wd;
    uint32_t mask, cookie, len;
  };
  Event events[4];
  ASSERT_THAT(task().Read(group, std::as_writable_bytes(std::span(events))),
              Holds(2 * sizeof(Event)));
  EXPECT_EQ(events[0].mask, uint32_t{IN_ACCESS});
  EXPECT_EQ(events[1].mask, uint32_t{IN_MODIFY});
}

class UringOneMove : public UringAway {
 protected:
  UringOneMove() : UringAway({.max_moves = 1}) {}
};

TEST_F(UringOneMove, TheNextOneWaitsForItsPlace) {
  HostFile("f", "abc");
  const auto pipe_queue = NewQueue(2);
  const auto file_queue = NewQueue(2);
  char from_pipe = 0, from_file = 0;
  ASSERT_OK(pipe_queue->Push(Entry::Read(Open("/p/r", O_RDONLY), Bytes({&from_pipe, 1}), 0), 1));
  Settle(*pipe_queue);
  ASSERT_OK(file_queue->Push(Entry::Read(Open("/host/f", O_RDONLY), Bytes({&from_file, 1}), 1), 2));
  Settle(*file_queue);
  EXPECT_EQ(stats().move_waits.Value(), 1u);
  EXPECT_EQ(from_file, 0);
  host_pipe().Put("x");
  EXPECT_EQ(Await(*pipe_queue, 1), 1);
  EXPECT_EQ(Await(*file_queue, 2), 1);
  EXPECT_EQ(from_file, 'b');
  EXPECT_EQ(stats().moving_high.Value(), 1);
}

TEST_F(UringOneMove, WhatWaitsForItsPlaceCanBeCancelled) {
  const auto queue = NewQueue(4);
  char bytes[2];
  const int fd = Open("/p/r", O_RDONLY);
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&bytes[0], 1})), 1));
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&bytes[1], 1})), 2));
  ASSERT_OK(queue->Push(Entry::AsyncCancel(2), 3));
  Completion done[2];
  ASSERT_EQ(queue->Wait(done, 2), 2u);
  EXPECT_EQ(done[0].res, Res(Errno::kCanceled));
  EXPECT_EQ(done[1].res, 0);
  host_pipe().Put("x");
  EXPECT_EQ(Await(*queue, 1), 1);
}

}  // namespace
}  // namespace dentree::uring
