// What a name of a host directory costs: believed, missing, and asked; beside the host's own stat.
// /fast believes for a day or until the host tells of a change, /unheard for a day, /slow not at
// all.
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/harness.h"
#include "hostfs/hostfs.h"
#include "ramfs/ramfs.h"
#include "vfs/vfs.h"

namespace dentree::hostfs {
namespace {

class World {
 public:
  World() {
    dir = (std::filesystem::temp_directory_path() / "hostfs_bench_XXXXXX").string();
    CHECK(::mkdtemp(dir.data()) != nullptr, "no temporary directory");
    std::filesystem::create_directories(dir + "/a/b");
    std::ofstream(dir + "/a/b/f") << "text";
    vfs->RegisterType(ramfs::Type());
    auto type = FileSystem::Open({.directory = dir}).value();
    stats = &type->stats();
    vfs->RegisterType(std::move(type));
    CHECK(vfs->MountRoot("ramfs", "").has_value(), "no root");
    task = std::make_unique<vfs::Task>(*vfs, vfs::Creds::Root());
    Mount("/fast", "ttl=86400");
    Mount("/unheard", "ttl=86400,notify=off");
    Mount("/slow", "ttl=0");
  }
  ~World() {
    task.reset();
    vfs->Shutdown();
    std::filesystem::remove_all(dir);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::string dir;
  std::unique_ptr<vfs::Vfs> vfs = vfs::Vfs::Create();
  std::unique_ptr<vfs::Task> task;
  const Stats* stats = nullptr;

 private:
  void Mount(const char* at, const char* options) {
    CHECK(task->Mkdir(at, 0755).has_value(), "no mountpoint");
    CHECK(task->Mount("bench", at, "hostfs", options).has_value(), "no mount");
  }
};

void Main(int argc, char** argv) {
  bench::Report report(argc, argv);
  World world;
  vfs::Task& task = *world.task;
  bench::Experiment experiment(report.rounds());
  const std::string host_path = world.dir + "/a/b/f";
  experiment.Add("the host's stat of DIR/a/b/f", [&](uint64_t n) {
    struct stat stat{};
    while (n-- > 0) bench::Keep(::stat(host_path.c_str(), &stat));
  });
  experiment.Add("stat a/b/f, believed", [&](uint64_t n) {
    while (n-- > 0) bench::Keep(task.Stat("/fast/a/b/f"));
  });
  experiment.Add("stat a/b/f, believed, notify=off", [&](uint64_t n) {
    while (n-- > 0) bench::Keep(task.Stat("/unheard/a/b/f"));
  });
  experiment.Add("stat a/b/missing, believed", [&](uint64_t n) {
    while (n-- > 0) bench::Keep(task.Stat("/fast/a/b/missing"));
  });
  uint64_t names = 0;
  experiment.Add("stat a/b/another missing, asked once", [&](uint64_t n) {
    while (n-- > 0) bench::Keep(task.Stat(absl::StrCat("/fast/a/b/missing", ++names)));
  });
  experiment.Add("stat a/b/f, ttl=0", [&](uint64_t n) {
    while (n-- > 0) bench::Keep(task.Stat("/slow/a/b/f"));
  });
  experiment.Run();
  report.Table("a name of a host directory", experiment);

  const auto calls = [&](const std::string& path) {
    const uint64_t before = world.stats->calls.Value();
    bench::Keep(task.Stat(path));
    return static_cast<double>(world.stats->calls.Value() - before);
  };
  const uint64_t reads = world.stats->event_reads.Value();
  const int64_t began = world.vfs->clock().MonotonicNs();
  for (int i = 0; i < 1'000'000; ++i) bench::Keep(task.Stat("/fast/a/b/f"));
  const auto ms = static_cast<double>(world.vfs->clock().MonotonicNs() - began) / 1e6;
  report.Value("looks for events in a millisecond of believed stats",
               static_cast<double>(world.stats->event_reads.Value() - reads) / ms, "");
  report.Value("system calls for another missing name", calls("/fast/a/b/one more"), "");
  report.Value("system calls for a/b/f, ttl=0", calls("/slow/a/b/f"), "");
}

}  // namespace
}  // namespace dentree::hostfs

int main(int argc, char** argv) { dentree::hostfs::Main(argc, argv); }
