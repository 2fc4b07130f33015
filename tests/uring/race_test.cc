// The loop, its clients and what they wait for: each test is named after the race it plays.
#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "gmock/gmock.h"
#include "tests/uring/uring_test.h"

namespace dentree::uring {
namespace {

// Something to do on the loop's thread, between two other requests.
class OnLoop {
 public:
  explicit OnLoop(std::function<void()> action) : action_(std::move(action)) {}
  Entry entry() {
    return Entry::Call(
        [](vfs::Task&, void* of) -> int32_t {
          static_cast<OnLoop*>(of)->action_();
          return 0;
        },
        this);
  }

 private:
  const std::function<void()> action_;
};

class UringRace : public UringTest {
 protected:
  // Runs `action` once, on whichever thread comes to the point first.
  void Once(std::string_view point, std::function<void()> action) {
    sync().OnHit(point, [action = std::move(action), done = std::make_shared<std::atomic<bool>>()] {
      if (!done->exchange(true)) action();
    });
  }
  // Has the loop of `queue` stop at `point` on its way to sleep, from where it has been seen awake.
  void StopAt(std::string_view point, Queue& queue) {
    OnLoop stop{[&] { sync().Stop(point); }};
    EXPECT_EQ(queue.Call(stop.entry()), 0);
    ASSERT_OK(sync().WaitFor(point));
  }
  // A read of /k/pipe that finds nothing; its completion when it comes.
  int32_t ReadOne(Queue& queue, char& byte) {
    EXPECT_OK(queue.Push(Entry::Read(OpenPipe(O_RDONLY), Bytes({&byte, 1})), 7));
    Completion done;
    EXPECT_EQ(queue.Wait({&done, 1}), 1u);
    return done.res;
  }
};

// --- no lost wake-up of the loop ---

TEST_F(UringRace, SubmitBeforeTheLoopSaysThatItSleepsNeedsNoWakeUp) {
  const auto queue = NewQueue(1);
  StopAt("uring:idle", *queue);  // it has looked, and found nothing
  const uint64_t wakeups = loop().stats().wakeups.Value();
  ASSERT_OK(queue->Push(Entry::Nop(), 1));
  queue->Submit();
  sync().Release("uring:idle");
  Completion done;
  EXPECT_EQ(queue->Wait({&done, 1}), 1u);
  EXPECT_EQ(loop().stats().wakeups.Value(), wakeups);
}

TEST_F(UringRace, SubmitAfterTheLoopsLastLookWakesIt) {
  const auto queue = NewQueue(1);
  StopAt("uring:asleep", *queue);  // it has looked again, and is about to enter the kernel
  const uint64_t wakeups = loop().stats().wakeups.Value();
  ASSERT_OK(queue->Push(Entry::Nop(), 1));
  queue->Submit();
  EXPECT_EQ(loop().stats().wakeups.Value(), wakeups + 1);
  sync().Release("uring:asleep");
  Completion done;
  EXPECT_EQ(queue->Wait({&done, 1}), 1u);
}

TEST_F(UringRace, ManySubmitsToASleepingLoopWakeItOnce) {
  std::vector<std::unique_ptr<Queue>> queues;
  for (int i = 0; i < 10; ++i) queues.push_back(NewQueue(1));
  StopAt("uring:asleep", *queues[0]);
  const uint64_t wakeups = loop().stats().wakeups.Value();
  for (const auto& queue : queues) {
    ASSERT_OK(queue->Push(Entry::Nop(), 1));
    queue->Submit();
  }
  EXPECT_EQ(loop().stats().wakeups.Value(), wakeups + 1);
  sync().Release("uring:asleep");
  Completion done;
  for (const auto& queue : queues) EXPECT_EQ(queue->Wait({&done, 1}), 1u);
}

TEST_F(UringRace, TheEndAsTheLoopGoesToSleepIsNotMissed) {
  for (const char* point : {"uring:idle", "uring:asleep"}) {
    auto other = Loop::Start(vfs()).value();
    const auto queue = other->Attach(task(), 1).value();
    StopAt(point, *queue);
    std::jthread ender([&] { other.reset(); });
    sync().Release(point);
  }
}

// --- no lost wake-up of what is parked ---

TEST_F(UringRace, DataBetweenTheLookAndTheWaitIsRead) {
  Once("test:pipe:wait", [this] { Feed("x"); });
  const auto queue = NewQueue(1);
  char byte = 0;
  EXPECT_EQ(ReadOne(*queue, byte), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(loop().stats().parks.Value(), 0u) << "it turned out that there was nothing to wait for";
}

TEST_F(UringRace, DataAfterTheWaiterIsArmedAndBeforeTheRequestIsParkedIsRead) {
  Once("uring:armed", [this] { Feed("x"); });
  const auto queue = NewQueue(1);
  char byte = 0;
  EXPECT_EQ(ReadOne(*queue, byte), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(loop().stats().retries.Value(), 1u);
}

TEST_F(UringRace, RemovalAfterTheWaiterIsArmedAndBeforeTheRequestIsParkedAnswersEnodev) {
  Once("uring:armed", [this] { RemovePipe(); });
  const auto queue = NewQueue(1);
  char byte = 0;
  EXPECT_EQ(ReadOne(*queue, byte), Res(Errno::kNoDev));
}

TEST_F(UringRace, RemovalBetweenTheLookAndTheWaitAnswersEnodev) {
  sync().Stop("test:pipe:wait");
  const auto queue = NewQueue(1);
  const int fd = OpenPipe(O_RDONLY);
  char byte = 0;
  ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&byte, 1})), 7));
  queue->Submit();
  ASSERT_OK(sync().WaitFor("test:pipe:wait"));
  sync().Stop("kernfs:drain:wait");
  std::jthread remover([this] { RemovePipe(); });
  ASSERT_OK(sync().WaitFor("kernfs:drain:wait"));  // it waits for the operation
  sync().Release("kernfs:drain:wait");
  sync().Release("test:pipe:wait");
  Completion done;
  ASSERT_EQ(queue->Wait({&done, 1}), 1u);
  EXPECT_EQ(done.res, Res(Errno::kNoDev));
}

TEST_F(UringRace, CancelOfARequestThatHasBeenWokenCancelsItAndLeavesTheData) {
  const auto queue = NewQueue(4);
  OnLoop feeding{[this] { Feed("x"); }};
  char byte = 0;
  ASSERT_OK(queue->Push(Entry::Read(OpenPipe(O_RDONLY), Bytes({&byte, 1})), 1));
  ASSERT_OK(queue->Push(feeding.entry(), 2));
  ASSERT_OK(queue->Push(Entry::AsyncCancel(1), 3));
  Completion done[3];
  ASSERT_EQ(queue->Wait(done, 3), 3u);
  EXPECT_EQ(done[1].res, Res(Errno::kCanceled));
  EXPECT_EQ(done[2].res, 0);
  EXPECT_EQ(pipe().size(), 1u);
}

// --- queues that leave ---

TEST_F(UringRace, AQueueThatLeavesWaitsForItsRequestUnderWay) {
  auto queue = NewQueue(4);
  std::atomic<bool> ended{false};
  OnLoop slow{[&] {
    SYNC_POINT(sync(), "test:call");
    ended = true;
  }};
  sync().Stop("test:call");
  ASSERT_OK(queue->Push(slow.entry(), 1));
  queue->Submit();
  ASSERT_OK(sync().WaitFor("test:call"));
  std::jthread leaver([&] {
    queue.reset();
    EXPECT_TRUE(ended);
  });
  sync().Release("test:call");
}

TEST_F(UringRace, AQueueLeavesWhileItsParkedRequestIsBeingWoken) {
  auto queue = NewQueue(2);
  char byte = 0;
  ASSERT_OK(queue->Push(Entry::Read(OpenPipe(O_RDONLY), Bytes({&byte, 1})), 1));
  Settle(*queue);
  // While the loop is busy elsewhere, its inbox gets the woken request, then the queue that leaves.
  const auto busy = NewQueue(1);
  std::jthread leaver;
  OnLoop feeding{[&] {
    Feed("x");
    leaver = std::jthread([&] { queue.reset(); });
  }};
  EXPECT_EQ(busy->Call(feeding.entry()), 0);
  leaver.join();
  EXPECT_LE(pipe().size(), 1u);
  EXPECT_EQ(loop().stats().parked.Value(), 0);
}

TEST_F(UringRace, TheLoopEndsWhileItsClientsSubmit) {
  constexpr int kClients = 4;
  std::atomic<int> running{0};
  std::vector<std::jthread> clients;
  for (int c = 0; c < kClients; ++c) {
    auto own = TaskOf(vfs::Creds::Root());
    auto queue = NewQueue(*own, 8);
    clients.emplace_back([&running, own = std::move(own), queue = std::move(queue)]() mutable {
      ++running;
      bool canceled = false;
      while (!canceled) {
        for (uint64_t i = 0; i < 8; ++i) ASSERT_OK(queue->Push(Entry::Nop(), i));
        Completion done[8];
        ASSERT_EQ(queue->Wait(done, 8), 8u);
        for (const Completion& each : done) {
          ASSERT_TRUE(each.res == 0 || each.res == Res(Errno::kCanceled)) << each.res;
          canceled |= each.res != 0;
        }
      }
      queue.reset();
    });
  }
  while (running < kClients) std::this_thread::yield();
  EndLoop();
}

}  // namespace
}  // namespace dentree::uring
