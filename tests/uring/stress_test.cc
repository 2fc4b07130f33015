// Clients that come, submit, cancel and leave, on a pipe that others feed.
#include <atomic>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "tests/uring/uring_test.h"

namespace dentree::uring {
namespace {

constexpr int kClients = 4;
constexpr int kRounds = 60;

class UringStress : public UringTest {
 protected:
  // One queue's life: random requests, then perhaps all reaped, perhaps left in flight. Bytes read
  // and written by completed requests are counted.
  void Live(std::minstd_rand& random);

  std::atomic<int64_t> written_{0}, read_{0};
};

void UringStress::Live(std::minstd_rand& random) {
  const auto own = TaskOf(vfs::Creds::Root());
  const int fd = own->Open("/k/pipe", O_RDWR).value();
  std::vector<char> bytes(64);
  const auto queue = NewQueue(*own, 64);
  for (uint64_t i = 0; i < 64; ++i) {
    switch (random() % 5) {
      case 0:
        ASSERT_OK(queue->Push(Entry::Read(fd, Bytes({&bytes[i], 1})), i << 8 | 'r'));
        break;
      case 1:
        ASSERT_OK(queue->Push(Entry::Write(fd, Text("w")), i << 8 | 'w'));
        break;
      case 2:
        ASSERT_OK(queue->Push(Entry::AsyncCancel((random() % 64) << 8 | 'r'), i << 8 | 'c'));
        break;
      default:
        ASSERT_OK(queue->Push(Entry::Nop(), i << 8 | 'n'));
    }
    if (random() % 8 == 0) queue->Submit();
  }
  queue->Submit();
  // Reads still parked are cancelled by the queue's end; their bytes stay where they are.
  Completion done[64];
  for (size_t n = queue->Reap(done); n != 0 || random() % 3 != 0; n = queue->Reap(done)) {
    for (size_t i = 0; i < n; ++i) {
      if ((done[i].user_data & 0xff) == 'w') written_ += done[i].res;
      if ((done[i].user_data & 0xff) == 'r' && done[i].res > 0) read_ += done[i].res;
    }
  }
}

TEST_F(UringStress, ClientsComeAndGo) {
  std::vector<std::jthread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([this, c] {
      std::minstd_rand random(static_cast<unsigned>(c) + 1);
      for (int round = 0; round < kRounds; ++round) Live(random);
    });
  }
  clients.clear();
  EXPECT_EQ(loop().stats().parked.Value(), 0);
  EXPECT_EQ(loop().stats().queues.Value(), 0);
  EXPECT_GT(loop().stats().parks.Value(), 0u);
  EXPECT_GT(written_, 0);
  EXPECT_GT(read_, 0);
}

}  // namespace
}  // namespace dentree::uring
