// Workers, the kernel and the loop at once: everything comes back, once.
#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/uring/away_test.h"

namespace dentree::uring {
namespace {

class UringAwayRace : public UringAway {
 protected:
  UringAwayRace() : UringAway({.max_parked = 64, .max_moves = 4, .max_workers = 2}) {}

  // What one client asks for, again and again, in queues that come and go.
  struct Client {
    std::unique_ptr<vfs::Task> task;
    int file = -1, pipe = -1, dir = -1;
    std::array<std::array<char, 64>, 16> buffers;
    std::array<vfs::Stat, 16> stats;
  };
  std::unique_ptr<Client> NewClient() {
    auto client = std::make_unique<Client>();
    client->task = TaskOf(vfs::Creds::Root());
    client->file = client->task->Open("/host/f", O_RDWR).value();
    client->pipe = client->task->Open("/p/r", O_RDONLY).value();
    client->dir = client->task->Open("/host", O_RDONLY | O_DIRECTORY).value();
    return client;
  }
  static Entry Any(Client& client, size_t slot, std::mt19937& random) {
    static const std::string names[] = {"/host/a", "/host/b", "/host/f", "/host/no", "/"};
    const std::string& name = names[random() % std::size(names)];
    const auto buffer = Bytes(client.buffers[slot]);
    switch (random() % 12) {
      case 0:
        return Entry::Mkdirat(vfs::kAtFdCwd, name, 0755);
      case 1:
        return Entry::Unlinkat(vfs::kAtFdCwd, name == names[2] ? names[3] : name, AT_REMOVEDIR);
      case 2:
      case 3:
        return Entry::Read(client.file, buffer);
      case 4:
        return Entry::Read(client.file, buffer, random() % 100);
      case 5:
        return Entry::Write(client.file, buffer, random() % 100);
      case 6:
      case 7:
        return Entry::Read(client.pipe, buffer);
      case 8:
        return Entry::Getdents(client.dir, buffer);
      case 9:
        return Entry::AsyncCancel(random() % 16);
      default:
        return Entry::Statx(vfs::kAtFdCwd, name, 0, client.stats[slot]);
    }
  }
  void Run(Client& client, unsigned seed) {
    std::mt19937 random(seed);
    for (int life = 0; life < 40; ++life) {
      const auto queue = NewQueue(*client.task, 16);
      std::array<bool, 16> busy = {};
      for (int step = 0; step < 50; ++step) {
        for (size_t slot = 0; slot < busy.size(); ++slot) {
          if (busy[slot] || random() % 3 == 0) continue;
          busy[slot] = queue->Push(Any(client, slot, random), slot).has_value();
        }
        queue->Submit();
        host_pipe().Put("x");
        Completion done[16];
        const size_t n = queue->Reap(done);
        for (size_t i = 0; i < n; ++i) {
          EXPECT_TRUE(busy[done[i].user_data]) << "completed twice";
          busy[done[i].user_data] = false;
        }
      }
    }
  }
};

TEST_F(UringAwayRace, QueuesComeAndGoWhileWorkersAndTheKernelHaveTheirRequests) {
  HostFile("f", std::string(1000, 'f'));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(NewClient());
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < clients.size(); ++i) {
      threads.emplace_back([this, i, &clients] { Run(*clients[i], i); });
    }
  }
  EXPECT_EQ(stats().punts.Value(), 0);
  EXPECT_EQ(stats().moving.Value(), 0);
  EXPECT_GT(stats().punted.Value(), 0u);
  EXPECT_GT(stats().moves.Value(), 0u);
  EXPECT_LE(stats().moving_high.Value(), 4);
  EXPECT_LE(stats().workers.Value(), 2);
}

TEST_F(UringAwayRace, TheLoopEndsWhileWorkersAndTheKernelHaveRequests) {
  HostFile("f", std::string(1000, 'f'));
  for (unsigned round = 0; round < 30; ++round) {
    auto other = Loop::Start(vfs(), {.max_moves = 2, .max_workers = 2}).value();
    const auto client = NewClient();
    std::mt19937 random(round);
    const auto queue = other->Attach(*client->task, 16).value();
    for (size_t slot = 0; slot < 16; ++slot) {
      ASSERT_OK(queue->Push(Any(*client, slot, random), slot));
    }
    queue->Submit();
    other.reset();
    Completion done[16];
    EXPECT_EQ(queue->Wait(done, 16), 16u);
  }
}

}  // namespace
}  // namespace dentree::uring
