// What a request through a queue costs, one by one and in batches, beside the call itself.
//
//   uring --requests N    N requests each way and nothing else, to be counted from outside:
//                         strace -f -c -e trace=io_uring_enter build/bench/uring --requests 1000000
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/harness.h"
#include "ramfs/ramfs.h"
#include "uring/uring.h"
#include "vfs/vfs.h"

namespace dentree::uring {
namespace {

constexpr uint32_t kBatch = 256;

struct World {
  World() {
    vfs->RegisterType(ramfs::Type());
    CHECK(vfs->MountRoot("ramfs", "").has_value());
    auto started = Loop::Start(*vfs);
    if (!started) {
      (void)std::fprintf(stderr, "no request loop here: %s\n", started.error().reason.c_str());
      std::exit(0);
    }
    loop = *std::move(started);
    task = std::make_unique<vfs::Task>(*vfs, vfs::Creds::Root());
    CHECK(task->WriteFile("/file", "x").has_value());
    queue = loop->Attach(*task, kBatch).value();
  }
  Entry StatFile() { return Entry::Statx(vfs::kAtFdCwd, "/file", 0, stat); }

  void Directly(uint64_t n) {
    while (n-- > 0) bench::Keep(task->Stat("/file"));
  }
  void OneByOne(uint64_t n) {
    while (n-- > 0) bench::Keep(queue->Call(StatFile()));
  }
  void InBatches(uint64_t n, uint64_t batch) {
    std::vector<Completion> done(batch);
    while (n > 0) {
      const uint64_t size = std::min(n, batch);
      for (uint64_t i = 0; i < size; ++i) (void)queue->Push(StatFile(), i);
      for (uint64_t left = size; left > 0;) left -= queue->Wait(done, left);
      n -= size;
    }
  }

  std::unique_ptr<vfs::Vfs> vfs = vfs::Vfs::Create();
  std::unique_ptr<vfs::Task> task;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<Queue> queue;
  vfs::Stat stat;
};

void Count(const char* how, uint64_t requests, void (*run)(World&, uint64_t)) {
  World world;
  run(world, requests);
  const LoopStats& stats = world.loop->stats();
  std::printf("%-16s %9lu requests %9lu batches %9lu enters %9lu wakeups\n", how,
              stats.requests.Value(), stats.batches.Value(), stats.enters.Value(),
              stats.wakeups.Value());
}

void CountRequests(uint64_t requests) {
  Count("one by one", requests, [](World& world, uint64_t n) { world.OneByOne(n); });
  Count("in batches", requests, [](World& world, uint64_t n) { world.InBatches(n, kBatch); });
}

void Measure(const bench::Report& report) {
  World world;
  bench::Experiment experiment(report.rounds());
  experiment.Add("Task::Stat", [&](uint64_t n) { world.Directly(n); });
  experiment.Add("one by one", [&](uint64_t n) { world.OneByOne(n); });
  experiment.Add("in batches of 32", [&](uint64_t n) { world.InBatches(n, 32); });
  experiment.Add("in batches of 256", [&](uint64_t n) { world.InBatches(n, kBatch); });
  experiment.Run();
  report.Table("stat of a cached path, through a queue", experiment);
}

}  // namespace
}  // namespace dentree::uring

int main(int argc, char** argv) {
  using namespace dentree;
  if (argc == 3 && std::string_view(argv[1]) == "--requests") {
    uring::CountRequests(std::strtoull(argv[2], nullptr, 10));
    return 0;
  }
  uring::Measure(bench::Report(argc, argv));
  return 0;
}
