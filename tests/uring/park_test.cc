// Requests that wait: they hold no thread, delay nobody, and end with data, removal or
// cancellation.
#include <filesystem>
#include <iterator>
#include <thread>

#include "gmock/gmock.h"
#include "tests/uring/uring_test.h"

namespace dentree::uring {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Field;

size_t ThreadCount() {
  return static_cast<size_t>(
      std::ranges::distance(std::filesystem::directory_iterator("/proc/self/task")));
}

class UringPark : public UringTest {
 protected:
  using UringTest::UringTest;

  // A caller with a descriptor and a queue of its own, whose read is parked when it has been made.
  struct Reader {
    std::unique_ptr<vfs::Task> task;
    std::unique_ptr<Queue> queue;
    char byte = 0;
  };
  std::unique_ptr<Reader> NewReader() {
    auto reader = std::make_unique<Reader>();
    reader->task = TaskOf(vfs::Creds::Root());
    reader->queue = NewQueue(*reader->task, 2);
    const int fd = reader->task->Open("/k/pipe", O_RDONLY).value();
    EXPECT_OK(reader->queue->Push(Entry::Read(fd, Bytes({&reader->byte, 1})), 7));
    Settle(*reader->queue);
    return reader;
  }
  static int32_t Await(Reader& reader) {
    Completion done;
    EXPECT_EQ(reader.queue->Wait({&done, 1}), 1u);
    EXPECT_EQ(done.user_data, 7u);
    return done.res;
  }
};

TEST_F(UringPark, AHundredReadersHoldNoThreadAndAllCompleteWithData) {
  constexpr int kReaders = 100;
  std::vector<std::unique_ptr<Reader>> readers;
  const size_t threads = ThreadCount();
  for (int i = 0; i < kReaders; ++i) readers.push_back(NewReader());
  EXPECT_EQ(ThreadCount(), threads);
  EXPECT_EQ(loop().stats().parked.Value(), kReaders);
  Feed(std::string(kReaders, 'x'));
  for (const auto& reader : readers) {
    EXPECT_EQ(Await(*reader), 1);
    EXPECT_EQ(reader->byte, 'x');
  }
  EXPECT_EQ(pipe().size(), 0u);
  EXPECT_EQ(loop().stats().parked.Value(), 0);
  EXPECT_EQ(loop().stats().parked_high.Value(), kReaders);
}

TEST_F(UringPark, AHundredReadersAllGetEnodevWhenTheFileIsRemoved) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(NewReader());
  RemovePipe();  // waits for operations under way: a parked one is none
  for (const auto& reader : readers) EXPECT_EQ(Await(*reader), Res(Errno::kNoDev));
  EXPECT_EQ(loop().stats().parked.Value(), 0);
}

TEST_F(UringPark, WhoIsWokenForNothingWaitsOn) {
  const auto first = NewReader();
  const auto second = NewReader();
  Feed("x");
  EXPECT_EQ(Await(*first), 1) << "the first to wait is the first to try";
  EXPECT_EQ(loop().stats().parked.Value(), 1);
  Feed("y");
  EXPECT_EQ(Await(*second), 1);
  EXPECT_EQ(second->byte, 'y');
}

TEST_F(UringPark, ParkedReadsDelayNoOtherRequestOfTheirQueue) {
  const auto queue = NewQueue(4);
  const int fd = OpenPipe(O_RDWR);
  char text[4];
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes(text)), 1));
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("abc")), 2));
  Completion done[2];
  ASSERT_EQ(queue->Wait(done, 2), 2u);
  EXPECT_THAT(done, ElementsAre(Field(&Completion::user_data, 2), Field(&Completion::user_data, 1)))
      << "a request that had to wait completes when it can";
  EXPECT_THAT(done, Each(Field(&Completion::res, 3)));
}

TEST_F(UringPark, AWriteWaitsForRoom) {
  const int fd = OpenPipe(O_RDWR);
  pipe().Put(std::string(Pipe::kCapacity, 'x'));
  const auto queue = NewQueue(2);
  ASSERT_OK(queue->Push(Entry::Write(fd, Text("more")), 1));
  Settle(*queue);
  EXPECT_EQ(loop().stats().parked.Value(), 1);
  char text[16];
  EXPECT_THAT(task().Read(fd, Bytes(text)), Holds(16u));
  Completion done;
  ASSERT_EQ(queue->Wait({&done, 1}), 1u);
  EXPECT_EQ(done.res, 4);
}

TEST_F(UringPark, ANonblockingDescriptorAnswersEagain) {
  char text[4];
  EXPECT_EQ(Call(Entry::Read(OpenPipe(O_RDONLY | O_NONBLOCK), Bytes(text))), Res(Errno::kAgain));
  EXPECT_EQ(loop().stats().parks.Value(), 0u);
  EXPECT_EQ(loop().stats().park_refused.Value(), 0u);
}

TEST_F(UringPark, ANonblockingGroupWithoutEventsAnswersAtOnce) {
  ASSERT_OK_AND_ASSIGN(const int group, task().InotifyInit(O_NONBLOCK));
  std::array<char, 64> text;
  EXPECT_EQ(Call(Entry::Read(group, Bytes(text))), Res(Errno::kAgain));
}

TEST_F(UringPark, AThreadThatSleepsInAReadWaitsForTheSame) {
  const auto parked = NewReader();
  const int fd = OpenPipe(O_RDONLY);
  std::atomic<int32_t> answer{0};
  std::jthread sleeper([&] {
    char byte;
    const auto n = task().Read(fd, Bytes({&byte, 1}));
    answer = n ? static_cast<int32_t>(*n) : Res(n.error());
  });
  Feed("x");
  Feed("y");
  EXPECT_EQ(Await(*parked), 1);
  sleeper.join();
  EXPECT_EQ(answer, 1);
}

TEST_F(UringPark, ClosingTheDescriptorDoesNotEndTheRead) {
  const auto reader = NewReader();
  EXPECT_EQ(reader->task->fds().open_count(), 1u);
  reader->task->fds().CloseAll();
  Feed("x");
  EXPECT_EQ(Await(*reader), 1);
}

// --- cancellation ---

TEST_F(UringPark, CancelEndsOneAndLeavesTheOthers) {
  const auto queue = NewQueue(8);
  const int fd = OpenPipe(O_RDONLY);
  char text[2];
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&text[0], 1})), 1));
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&text[1], 1})), 2));
  ASSERT_OK(queue->Push(Entry::AsyncCancel(1), 3));
  ASSERT_OK(queue->Push(Entry::AsyncCancel(1), 4));
  Completion done[3];
  ASSERT_EQ(queue->Wait(done, 3), 3u);
  EXPECT_THAT(
      done, ElementsAre(Field(&Completion::res, Res(Errno::kCanceled)), Field(&Completion::res, 0),
                        Field(&Completion::res, Res(Errno::kNoEnt))));
  Feed("x");
  ASSERT_EQ(queue->Wait({done, 1}), 1u);
  EXPECT_EQ(done[0].user_data, 2u);
  EXPECT_EQ(done[0].res, 1);
}

TEST_F(UringPark, AQueueLeavesItsParkedRequestsBehind) {
  auto reader = NewReader();
  const auto other = NewReader();
  reader.reset();
  EXPECT_EQ(loop().stats().parked.Value(), 1);
  Feed("x");
  EXPECT_EQ(Await(*other), 1) << "nothing went to who is gone";
}

TEST_F(UringPark, TheEndOfTheLoopAnswersEcanceledToAll) {
  const auto reader = NewReader();
  const auto queue = NewQueue(4);
  EndLoop();
  EXPECT_EQ(Await(*reader), Res(Errno::kCanceled));
  EXPECT_EQ(queue->Call(Entry::Nop()), Res(Errno::kCanceled)) << "and to what comes later";
  for (uint64_t i = 0; i < 4; ++i) ASSERT_OK(queue->Push(Entry::Nop(), i));
  Completion done[4];
  ASSERT_EQ(queue->Wait(done, 4), 4u);
  EXPECT_THAT(done, Each(Field(&Completion::res, Res(Errno::kCanceled))));
}

// --- limits ---

class UringFewParked : public UringPark {
 protected:
  UringFewParked() : UringPark({.max_parked = 2}) {}
};

TEST_F(UringFewParked, TheNextIsEnobufs) {
  const auto first = NewReader();
  const auto second = NewReader();
  char text[4];
  EXPECT_EQ(Call(Entry::Read(OpenPipe(O_RDONLY), Bytes(text))), Res(Errno::kNoBufs));
  EXPECT_EQ(loop().stats().park_refused.Value(), 1u);
  EXPECT_EQ(Call(Entry::Read(OpenPipe(O_RDONLY | O_NONBLOCK), Bytes(text))), Res(Errno::kAgain));
  Feed("xyz");
  EXPECT_EQ(Await(*first), 1);
  EXPECT_EQ(Await(*second), 1);
  EXPECT_EQ(Call(Entry::Read(OpenPipe(O_RDONLY), Bytes(text))), 1)
      << "what need not wait is served";
}

TEST_F(UringPark, WithoutMemoryToWaitAnswersEnobufs) {
  const base::ScopedFault fault(faults(), base::FaultPlan::Always("mm:uring_parked"));
  char text[4];
  EXPECT_EQ(Call(Entry::Read(OpenPipe(O_RDONLY), Bytes(text))), Res(Errno::kNoBufs));
}

// --- RingTask ---

TEST_F(UringPark, CallsOfManyThreadsInOneRingTaskWaitEachForThemselves) {
  RingTask calls(TaskOf(vfs::Creds::Root()), &loop());
  const int fd = calls.Open("/k/pipe", O_RDWR).value();
  std::jthread reader([&] {
    char text[4];
    EXPECT_THAT(calls.Read(fd, Bytes(text)), Holds(2u));
  });
  while (loop().stats().parked.Value() == 0) std::this_thread::yield();
  EXPECT_THAT(calls.Write(fd, "ab"), Holds(2u));
}

}  // namespace
}  // namespace dentree::uring
