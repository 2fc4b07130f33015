// The races of statsfs, by name. Each test promises that what it names cannot happen.

#include <atomic>
#include <thread>

#include "tests/statsfs/statsfs_test.h"

namespace dentree::statsfs {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

class StatsfsRace : public StatsfsTest {
 protected:
  // Runs `work` in a thread of its own until the object goes.
  template <class Work>
  [[nodiscard]] static std::jthread Loop(Work work) {
    return std::jthread([work](std::stop_token stop) {
      while (!stop.stop_requested()) work();
    });
  }
  void WaitUntilHit(const char* point) {
    while (sync().Hits(point) == 0) std::this_thread::yield();
  }
  int64_t Number(std::string_view path) {
    const auto text = Read(path);
    EXPECT_OK(text);
    return text ? std::stoll(*text) : -1;
  }
};

// What is read cannot go: the end of the source waits for the read, and the read says what it
// found.
TEST_F(StatsfsRace, ReadStoppedInAValueMakesTheEndOfItsSourceWait) {
  auto counts = std::make_unique<Counts>();
  counts->hits.Add(5);
  Source source = Add("counts", Values<kCountFields>(*counts));
  sync().Stop("statsfs:show:pinned");
  sync().OnHit("statsfs:revoke:marked", [] {});
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/s/counts/hits", O_RDONLY));
  char text[8];
  const auto out = std::as_writable_bytes(std::span(text));
  Result<size_t> read = Err(Errno::kIo);
  std::jthread reader([&] { read = task().Pread(fd, out, 0); });
  ASSERT_OK(sync().WaitFor("statsfs:show:pinned"));
  std::atomic<bool> gone{false};
  std::jthread remover([&] {
    source = Source();
    counts.reset();
    gone = true;
  });
  WaitUntilHit("statsfs:revoke:marked");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(gone.load()) << "its value is being read";
  sync().Release("statsfs:show:pinned");
  reader.join();
  remover.join();
  ASSERT_THAT(read, Holds(2u));
  EXPECT_EQ(std::string_view(text, 2), "5\n");
  EXPECT_THAT(task().Pread(fd, out, 0), FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Stat("/s/counts"), FailsWith(Errno::kNoEnt));
}

// The aggregate stands at `a` while one of the others goes, one comes, and `a` itself wants to go.
TEST_F(StatsfsRace, AggregateStoppedAtASourceFindsItsWayOn) {
  const auto counts = std::make_unique<std::array<Counts, 5>>();
  for (size_t i = 0; i < counts->size(); ++i) (*counts)[i].hits.Add(1u << i);
  const Source top = Add("top", Aggregates<kCountFields>());
  Source a = top.Add("a", Values<kCountFields>((*counts)[0])).value();
  Source b = top.Add("b", Values<kCountFields>((*counts)[1])).value();
  const Source c = top.Add("c", Values<kCountFields>((*counts)[2])).value();
  const Source d = c.Add("d", Values<kCountFields>((*counts)[3])).value();
  sync().Stop("statsfs:walk:pinned");
  Result<std::string> sum = Err(Errno::kIo);
  std::jthread reader([&] { sum = task().ReadFile("/s/top/sum/hits"); });
  ASSERT_OK(sync().WaitFor("statsfs:walk:pinned"));
  b = Source();
  const Source e = top.Add("e", Values<kCountFields>((*counts)[4])).value();
  sync().OnHit("statsfs:revoke:marked", [] {});
  std::atomic<bool> gone{false};
  std::jthread remover([&] {
    a = Source();
    gone = true;
  });
  WaitUntilHit("statsfs:revoke:marked");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(gone.load()) << "the aggregate stands at it";
  sync().Release("statsfs:walk:pinned");
  reader.join();
  remover.join();
  EXPECT_THAT(sum, Holds("29\n")) << "a, c, d and e";
  EXPECT_EQ(Text("top/sum/hits"), "28");
}

// Of two clears the later counts, whichever is written last.
TEST_F(StatsfsRace, AnOlderClearDoesNotBringBackWhatALaterOneCleared) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts));
  counts.hits.Add(5);
  sync().Stop("statsfs:clear:read");
  std::jthread older([&] { EXPECT_OK(task().WriteFile("/s/counts/hits", "0", 0)); });
  ASSERT_OK(sync().WaitFor("statsfs:clear:read"));
  counts.hits.Add(3);
  const auto other = TaskOf(vfs::Creds::Root());
  EXPECT_OK(other->WriteFile("/s/counts/hits", "0", 0));
  EXPECT_EQ(Text("counts/hits"), "0");
  sync().Release("statsfs:clear:read");
  older.join();
  EXPECT_EQ(Text("counts/hits"), "0");
  counts.hits.Add(1);
  EXPECT_EQ(Text("counts/hits"), "1");
}

// A clear that stores into the counter would lose what is counted at that moment.
TEST_F(StatsfsRace, ClearsLoseNoIncrementAndShowNoNumberThatNeverWas) {
  constexpr uint64_t kTurns = 200'000;
  constexpr int kThreads = 4;
  const auto counts = std::make_unique<base::Sharded<HotCounts>>();
  const Source source = Add("hot", Values<kHotFields>(*counts));
  {
    std::vector<std::jthread> counters;
    for (int i = 0; i < kThreads; ++i) {
      counters.emplace_back([&] {
        for (uint64_t n = 0; n < kTurns; ++n) counts->Add<&HotCounts::hits>();
      });
    }
    const auto clearer = Loop([&] { EXPECT_OK(task().WriteFile("/s/hot/hits", "0", 0)); });
    const auto reader = Loop([&] {
      EXPECT_THAT(Number("hot/hits"), AllOf(Ge(0), Le(static_cast<int64_t>(kThreads * kTurns))));
    });
    for (auto& counter : counters) counter.join();
  }
  EXPECT_EQ(counts->Sum<&HotCounts::hits>(), kThreads * kTurns);
  EXPECT_OK(Write("hot/hits", "0"));
  counts->Add<&HotCounts::hits>(7);
  EXPECT_EQ(Text("hot/hits"), "7");
}

TEST_F(StatsfsRace, AggregatesCountTheOnesThatStayWhileOthersComeAndGo) {
  constexpr int kStay = 10, kMakers = 2;
  Counts one;
  one.hits.Add(1);
  const Source top = Add("top", Aggregates<kCountFields>());
  std::vector<Source> stay;
  for (int i = 0; i < kStay; ++i) {
    stay.push_back(top.Add("stay" + std::to_string(i), Values<kCountFields>(one)).value());
  }
  {
    std::vector<std::jthread> makers;
    for (int m = 0; m < kMakers; ++m) {
      makers.push_back(Loop([&, m] {
        const Source comes =
            top.Add("comes" + std::to_string(m), Values<kCountFields>(one)).value();
        const Source below = comes.Add("below", Values<kCountFields>(one)).value();
      }));
    }
    for (int round = 0; round < 500; ++round) {
      EXPECT_THAT(Number("top/sum/hits"), AllOf(Ge(kStay), Le(kStay + 2 * kMakers)));
      EXPECT_EQ(Number("top/min/hits"), 1);
      EXPECT_EQ(Number("top/count_zero/hits"), 0);
    }
  }
  EXPECT_EQ(Number("top/sum/hits"), kStay);
}

TEST_F(StatsfsRace, FilesOfASourceThatComesAndGoesAreThereOrNot) {
  std::atomic<int> found{0};
  {
    const auto maker = Loop([&] {
      auto counts = std::make_unique<Counts>();
      counts->hits.Add(5);
      const Source source = Add("x", Values<kCountFields>(*counts).WithAggregates());
      source.Revoke();
      counts.reset();
    });
    std::vector<std::jthread> readers;
    for (const char* path : {"x/hits", "x/sum/hits"}) {
      readers.push_back(Loop([&, path] {
        const auto text = Read(path);
        if (text) {
          EXPECT_THAT(*text, testing::AnyOf("5\n", "0\n"));
          ++found;
        } else {
          EXPECT_THAT(text, testing::AnyOf(FailsWith(Errno::kNoEnt), FailsWith(Errno::kNoDev)));
        }
      }));
    }
    readers.push_back(Loop([&] {
      const auto names = task().ListDir("/s/x");
      if (!names) {
        EXPECT_THAT(names, FailsWith(Errno::kNoEnt));
      }
    }));
    while (found.load() < 200) std::this_thread::yield();
  }
  EXPECT_THAT(task().Stat("/s/x"), FailsWith(Errno::kNoEnt));
}

}  // namespace
}  // namespace dentree::statsfs
