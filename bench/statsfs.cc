// What statistics cost: reading one value, an aggregate of a thousand sources, clearing, and
// sources that come and go.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/harness.h"
#include "os/os.h"

namespace dentree::statsfs {
namespace {

constexpr size_t kSources = 1000;

struct Counts {
  base::Counter hits, misses;
};
constexpr auto kFields =
    base::Fields(base::F<&Counts::hits>("hits", "", base::StatKind::kCumulative),
                 base::F<&Counts::misses>("misses", "", base::StatKind::kCumulative));

// An Os with a group of a thousand sources, and one more whose counters are sharded.
class World {
 public:
  World() {
    for (size_t i = 0; i < kSources; ++i) {
      members.push_back(group.Add(std::to_string(i), Values<kFields>(counts)).value());
    }
  }
  ~World() {
    members.clear();
    task->fds().CloseAll();
  }
  int Open(std::string_view file) {
    return task->Open("/sys/kernel/stats/" + std::string(file), O_RDWR).value();
  }
  void Pread(int fd) {
    char buffer[32];
    bench::Keep(task->Pread(fd, std::as_writable_bytes(std::span(buffer)), 0).value());
  }

  Counts counts;
  base::Sharded<Counts> sharded;
  std::unique_ptr<os::Os> os = os::Os::Boot().value();
  std::unique_ptr<vfs::Task> task = os->NewTask();
  Source group = os->statsfs().Add("group", Aggregates<kFields>()).value();
  Source one = os->statsfs().Add("one", Values<kFields>(counts)).value();
  Source hot = os->statsfs().Add("hot", Values<kFields>(sharded)).value();
  std::vector<Source> members;
};

void Reading(const bench::Report& report, World& world) {
  bench::Experiment experiment(report.rounds());
  const int fd = world.Open("one/hits"), hot = world.Open("hot/hits");
  const int version = world.task->Open("/proc/version", O_RDONLY).value();
  experiment.Add("pread of /proc/version", [&](uint64_t n) {
    while (n--) world.Pread(version);
  });
  experiment.Add("pread of a value", [&](uint64_t n) {
    while (n--) world.Pread(fd);
  });
  experiment.Add("pread of a value of 16 shards", [&](uint64_t n) {
    while (n--) world.Pread(hot);
  });
  experiment.Add("open, read and close", [&](uint64_t n) {
    while (n--) bench::Keep(world.task->ReadFile("/sys/kernel/stats/one/hits"));
  });
  experiment.Add("clear", [&](uint64_t n) {
    while (n--) bench::Keep(world.task->Write(fd, "0").value());
  });
  experiment.Run();
  report.Table("one value", experiment);
}

void Aggregating(const bench::Report& report, World& world) {
  bench::Experiment experiment(report.rounds());
  const int sum = world.Open("group/sum/hits");
  const auto& each = experiment.Add("sum of 1,000 sources", [&](uint64_t n) {
    while (n--) world.Pread(sum);
  });
  experiment.Add("add and remove a source", [&](uint64_t n) {
    while (n--) bench::Keep(world.group.Add("comes", Values<kFields>(world.counts)).value());
  });
  experiment.Run();
  report.Table("many sources", experiment);
  report.Value("of a sum, per source", each.median() / kSources, "ns");
}

// What sources cost in memory, and in nodes and cached entries of kernfs.
void Memory(const bench::Report& report) {
  const auto os = os::Os::Boot().value();
  Counts counts;
  const auto before = os->vfs().memory().used();
  std::vector<Source> sources;
  for (size_t i = 0; i < 10 * kSources; ++i) {
    sources.push_back(os->statsfs().Add(std::to_string(i), Values<kFields>(counts)).value());
  }
  const size_t bytes = os->vfs().memory().used() - before;
  report.Value("bytes of a source nobody looks at",
               static_cast<double>(bytes) / static_cast<double>(sources.size()), "B");
}

}  // namespace
}  // namespace dentree::statsfs

int main(int argc, char** argv) {
  const dentree::bench::Report report(argc, argv);
  {
    dentree::statsfs::World world;
    dentree::statsfs::Reading(report, world);
    dentree::statsfs::Aggregating(report, world);
  }
  dentree::statsfs::Memory(report);
}
