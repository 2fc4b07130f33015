// Negatives while their policy changes, their names come and go, and reclaim runs.

#include <atomic>
#include <functional>
#include <thread>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::RemoteFs;

constexpr int kThreads = 4;
constexpr int kRounds = 1500;

class NegativeRace : public fixture::VfsTest {
 protected:
  NegativeRace() : VfsTest({.negative_limit = 64}) {
    remote_.Make({Dir("/d0"), Dir("/d1"), Dir("/d2")});
    vfs().RegisterType(remote_.Type());
    CHECK(task().Mkdir("/r", 0755).has_value());
    CHECK(task().Mount("server", "/r", "remote", "").has_value());
  }

  // fn(task, 0..kThreads-1), each in a thread and with a task of its own.
  void InThreads(const std::function<void(Task&, int)>& fn) {
    std::vector<std::unique_ptr<Task>> tasks;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) tasks.push_back(TaskOf(Creds::Root()));
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([&, i] { fn(*tasks[i], i); });
    for (std::thread& thread : threads) thread.join();
    vfs().CheckInvariants();
  }
  // A name of its own comes and goes, and others are missed: what a thread did last is what it
  // sees.
  static void Work(Task& task, int thread, int round) {
    const std::string own = absl::StrFormat("/r/d%d/own%d", round % 3, thread);
    EXPECT_THAT(task.Stat(own), FailsWith(Errno::kNoEnt));
    EXPECT_OK(task.WriteFile(own, "x"));
    EXPECT_OK(task.Stat(own));
    EXPECT_OK(task.Unlink(own));
    EXPECT_THAT(task.Stat(own), FailsWith(Errno::kNoEnt));
    for (int i = 0; i < 4; ++i) {
      const int name = i == 0 ? round : i;
      EXPECT_THAT(task.Stat(absl::StrFormat("/r/d%d/%d", i % 3, name)), FailsWith(Errno::kNoEnt));
    }
  }

  RemoteFs remote_;
};

TEST_F(NegativeRace, PolicyChangesWhileNamesComeAndGo) {
  constexpr const char* kPolicies[] = {"lru",     "dirs3",   "sieve",      "unbounded", "khleb:2",
                                       "tinylfu", "none",    "throttle:9", "s3fifo",    "dirmax:5",
                                       "clock:2", "freebsd", "age:1000"};
  std::atomic<bool> done{false};
  InThreads([&](Task& task, int thread) {
    if (thread > 0) {
      for (int round = 0; round < kRounds / 2; ++round) Work(task, thread, round);
      done = true;
      return;
    }
    for (size_t i = 0; !done; ++i) {
      const std::string option = std::string("remount,neg=") + kPolicies[i % std::size(kPolicies)];
      EXPECT_OK(task.Mount("", "/r", "", option));
      task.vfs().negatives().CheckInvariants();
    }
  });
}

TEST_F(NegativeRace, ReclaimAndMovesWhileNamesComeAndGo) {
  std::atomic<bool> done{false};
  const auto moved = [this] { return vfs().negatives().stats().moved.Value() > 0; };
  InThreads([&](Task& task, int thread) {
    if (thread > 0) {
      // Until the other has come to move some.
      for (int round = 0; round < kRounds / 2 || (!moved() && round < 100 * kRounds); ++round) {
        Work(task, thread, round);
      }
      done = true;
      return;
    }
    while (!done) {
      task.vfs().negatives().Scan(16);
      task.vfs().negatives().MoveAll();
    }
  });
  EXPECT_TRUE(moved());
}

TEST_F(NegativeRace, DirectoriesGoAndMoveWhileTheirNamesAreMissed) {
  std::atomic<bool> done{false};
  InThreads([&](Task& task, int thread) {
    if (thread > 0) {
      for (int round = 0; round < kRounds; ++round) {
        const auto missing =
            task.Stat(absl::StrFormat("/r/%s/%d", round % 2 == 0 ? "dir" : "moved", round % 50));
        EXPECT_THAT(missing, FailsWith(Errno::kNoEnt));
      }
      done = true;
      return;
    }
    while (!done) {
      EXPECT_OK(task.Mkdir("/r/dir", 0755));
      EXPECT_OK(task.Rename("/r/dir", "/r/moved"));
      EXPECT_OK(task.Rmdir("/r/moved"));
    }
  });
}

TEST_F(NegativeRace, ToldPoliciesHearOfHitsWhileEntriesGo) {
  for (const char* policy : {"lru", "tinylfu", "throttle:50"}) {
    ASSERT_OK(task().Mount("", "/r", "", std::string("remount,neg=") + policy));
    InThreads([&](Task& task, int thread) {
      for (int round = 0; round < kRounds / 2; ++round) Work(task, thread, round);
    });
  }
}

}  // namespace
}  // namespace dentree::vfs
