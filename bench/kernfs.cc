// What control files cost: lookups in a cached tree, open and read, listing, and instances that
// share a registry of 2,346 events among 102 systems.
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/harness.h"
#include "kernfs/kernfs.h"
#include "ramfs/ramfs.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {
namespace {

constexpr uint64_t kSystems = 102;
constexpr uint64_t kEventsEach = 23;

class ConstantOps final : public TextOps {
  Result<std::string> Show(OpenFile&) const override { return "0\n"; }
};
constexpr ConstantOps kConstant;

constexpr ObjectId kEventsDir = ObjectIn(1, 1);
constexpr uint8_t kEventSpace = 2;

// Systems are 1 to 102; event e of system s is 1000 s + e.
class Events final : public Provider {
 public:
  std::optional<ObjectId> Find(const Dir& dir, std::string_view name) const override {
    const uint64_t first = First(dir);
    for (uint64_t i = 0; i < Count(dir); ++i) {
      if (NameOf(first + i) == name) return ObjectIn(kEventSpace, first + i);
    }
    return std::nullopt;
  }
  void List(const Dir& dir, ObjectId after, ChildSink& sink) const override {
    const uint64_t first = First(dir);
    uint64_t id = std::max(first, after < ObjectIn(kEventSpace, 0) ? 0 : IdOf(after) + 1);
    for (; id < first + Count(dir); ++id) {
      if (!sink.Take(ObjectIn(kEventSpace, id), NameOf(id), vfs::FileType::kDir)) return;
    }
  }
  std::optional<Provided> Describe(Node&, ObjectId object) const override;

 private:
  static uint64_t First(const Dir& dir) {
    return dir.object == kEventsDir ? 1 : IdOf(dir.object) * 1000;
  }
  static uint64_t Count(const Dir& dir) {
    return dir.object == kEventsDir ? kSystems : kEventsEach;
  }
  static std::string NameOf(uint64_t id) { return absl::StrCat("event_", id); }
};
constexpr Events kEvents;

constexpr auto kEventTable = MakeTable(
    File("enable", 0640, kConstant), File("filter", 0640, kConstant),
    File("trigger", 0640, kConstant), File("format", 0440, kConstant), File("id", 0440, kConstant));
constexpr DirType kEventType{.table = kEventTable};
constexpr auto kSystemTable =
    MakeTable(File("enable", 0640, kConstant), File("filter", 0640, kConstant));
constexpr DirType kSystemType{.table = kSystemTable, .provider = &kEvents};
constexpr auto kTopTable =
    MakeTable(File("tracing_on", 0640, kConstant), Subdir("events", 0755, kSystemType, kEventsDir));
constexpr DirType kTopType{.table = kTopTable};
constexpr DirType kPlainType{};

std::optional<Provided> Events::Describe(Node&, ObjectId object) const {
  return Provided{.mode = S_IFDIR | 0755, .dir = IdOf(object) < 1000 ? &kSystemType : &kEventType};
}

// A tree with `instances`, mounted on /k.
class World final : public SyscallOps {
 public:
  World() {
    vfs->RegisterType(ramfs::Type());
    root = Root::Create(kernfs, {.type = &kTopType, .syscalls = this}).value();
    instances = root->CreateDir(root->top(), {.name = "instances", .permissions = 0755}, kPlainType)
                    .value();
    vfs->RegisterType(
        std::make_unique<FileSystem>(FileSystem::Init{.name = "benchfs", .root = root}));
    CHECK(vfs->MountRoot("ramfs", "").has_value());
    task = std::make_unique<vfs::Task>(*vfs, vfs::Creds::Root());
    CHECK(task->Mkdir("/k", 0755).has_value());
    CHECK(task->Mount("none", "/k", "benchfs", "").has_value());
  }
  ~World() {
    task.reset();
    instances = nullptr;
    root->Remove(root->top());
    vfs->Shutdown();
  }
  Result<NodeRef> Mkdir(Node& parent, std::string_view name, Mode) override {
    return root->CreateDir(
        parent, {.name = name, .permissions = 0750, .ownership = Ownership::kDomain}, kTopType);
  }
  Status Rmdir(Victim& victim) override {
    victim.Remove();
    return {};
  }

  std::unique_ptr<vfs::Vfs> vfs = vfs::Vfs::Create();
  std::shared_ptr<Kernfs> kernfs = Kernfs::Create(*vfs);
  RootRef root;
  NodeRef instances;
  std::unique_ptr<vfs::Task> task;
};

class NullSink final : public vfs::DirSink {
 public:
  bool Emit(std::string_view, vfs::Ino ino, vfs::FileType, int64_t) override {
    sum += ino;
    ++count;
    return true;
  }
  uint64_t sum = 0, count = 0;
};

void MeasureStat(const bench::Report& report, World& world) {
  bench::Experiment experiment(report.rounds());
  for (const char* path : {"/k", "/k/tracing_on", "/k/events/event_50/enable",
                           "/k/events/event_50/event_50007/enable"}) {
    experiment.Add(path, [&world, path](uint64_t n) {
      while (n--) bench::Keep(world.task->Stat(path));
    });
  }
  experiment.Add("a name that is not there", [&world](uint64_t n) {
    while (n--) bench::Keep(world.task->Stat("/k/events/nothing"));
  });
  experiment.Run();
  report.Table("stat, everything cached", experiment);
}

void MeasureRead(const bench::Report& report, World& world) {
  vfs::Task& task = *world.task;
  const int fd = task.Open("/k/tracing_on", O_RDONLY).value();
  char text[16];
  bench::Experiment experiment(report.rounds());
  const auto& whole = experiment.Add("open, read, close", [&](uint64_t n) {
    while (n--) {
      const int opened = task.Open("/k/tracing_on", O_RDONLY).value();
      bench::Keep(task.Read(opened, std::as_writable_bytes(std::span(text))));
      bench::Keep(task.Close(opened));
    }
  });
  const auto& held = experiment.Add("pread of a held descriptor", [&](uint64_t n) {
    while (n--) bench::Keep(task.Pread(fd, std::as_writable_bytes(std::span(text)), 0));
  });
  experiment.Run();
  CHECK(task.Close(fd).has_value());
  report.Table("one value", experiment);
  report.Goal("G21", "one-value file, open+read+close", whole.median(), "ns", bench::AtMost(100));
  report.Goal("G21", "one-value file, held open", held.median(), "ns", bench::AtMost(25));
}

void MeasureListing(const bench::Report& report, World& world) {
  vfs::Task& task = *world.task;
  const int fd = task.Open("/k/events/event_50", O_RDONLY | O_DIRECTORY).value();
  bench::Experiment experiment(report.rounds());
  experiment.Add("per entry of a system with 27", [&](uint64_t n) {
    NullSink sink;
    while (sink.count < n) {
      bench::Keep(task.Lseek(fd, 0, vfs::Whence::kSet));
      bench::Keep(task.Getdents(fd, sink));
    }
  });
  experiment.Run();
  CHECK(task.Close(fd).has_value());
  report.Table("listing", experiment);
}

template <class F>
double MicrosecondsOf(int times, F f) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) f(i);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
             .count() /
         times;
}

void MeasureInstances(const bench::Report& report, World& world) {
  constexpr int kMany = 1000;
  const auto path = [](int i) { return absl::StrCat("/k/instances/i", i); };
  const size_t before = world.vfs->memory().used();
  const double mkdir =
      MicrosecondsOf(kMany, [&](int i) { CHECK(world.task->Mkdir(path(i), 0755).has_value()); });
  world.vfs->DropCaches();
  world.vfs->rcu().Drain();
  const double bytes = static_cast<double>(world.vfs->memory().used() - before) / kMany;
  const double stat = MicrosecondsOf(kMany, [&](int i) {
    bench::Keep(world.task->Stat(path(i) + "/events/event_50/event_50007/enable"));
  });
  const double rmdir =
      MicrosecondsOf(kMany, [&](int i) { CHECK(world.task->Rmdir(path(i)).has_value()); });
  report.Value("bytes of an instance's tree, one of 1,000", bytes, "B");
  report.Value("mkdir of an instance", mkdir, "us");
  report.Value("first stat of one of its events", stat, "us");
  report.Value("rmdir of an instance", rmdir, "us");
}

}  // namespace
}  // namespace dentree::kernfs

int main(int argc, char** argv) {
  using namespace dentree;  // NOLINT(google-build-using-namespace)
  const bench::Report report(argc, argv);
  kernfs::World world;
  kernfs::MeasureStat(report, world);
  kernfs::MeasureRead(report, world);
  kernfs::MeasureListing(report, world);
  kernfs::MeasureInstances(report, world);
  return 0;
}
