// Tracing instances, the tree of events, and switching them: beside the machine's own tracefs,
// where root can mount it.

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/harness.h"
#include "os/os.h"

namespace {

using namespace dentree;  // NOLINT: a program
using bench::AtMost;

// As many as a Linux has, in systems as uneven as its own: 2,323 events in 102 systems, and so
// 2,426 directories with 11,821 files.
std::string Catalogue() {
  std::string text;
  int id = 100;
  auto add = [&](const std::string& system, int events) {
    for (int i = 0; i < events; ++i, ++id) {
      text += system + "\t" + system + "_event_" + std::to_string(i) + "\t" + std::to_string(id) +
              "\tenable,filter,format,id,trigger\tu64 a:8:8:0;pid_t pid:16:4:1\n";
    }
  };
  add("syscalls", 720);
  add("xfs", 631);
  add("ext4", 114);
  add("btrfs", 100);
  for (int system = 0; system < 98; ++system) {
    add("system" + std::to_string(system), system < 72 ? 8 : 7);
  }
  return text;
}

// A tracefs of the machine's on a directory of its own; not there without the right to mount.
class HostTracefs {
 public:
  HostTracefs() {
    if (mkdtemp(place_) != nullptr) {
      mounted_ = mount("nodev", place_, "tracefs", 0, nullptr) == 0;
    }
  }
  ~HostTracefs() {
    if (mounted_) umount2(place_, MNT_DETACH);
    rmdir(place_);
  }
  explicit operator bool() const { return mounted_; }
  std::string operator/(const char* name) const { return std::string(place_) + "/" + name; }

 private:
  char place_[32] = "/tmp/bench-tracefs-XXXXXX";
  bool mounted_ = false;
};

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// --- Walks: the same on both sides, one descriptor and one buffer of names for each level ---

enum class AlsoStat : bool { kNo, kYes };

class Names final : public vfs::DirSink {
 public:
  bool Emit(std::string_view name, vfs::Ino, vfs::FileType type, int64_t) override {
    entries_.push_back({text_.size(), name.size(), type});
    text_ += name;
    return true;
  }
  void Clear() { entries_.clear(), text_.clear(); }

  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Entry& e : entries_) {
      const std::string_view name(text_.data() + e.at, e.size);
      if (name != "." && name != "..") visit(name, e.type);
    }
  }

 private:
  struct Entry {
    size_t at, size;
    vfs::FileType type;
  };
  std::vector<Entry> entries_;
  std::string text_;
};

constexpr int kLevels = 4;

uint64_t Walk(vfs::Task& task, int fd, AlsoStat stat, Names* level) {
  Names& names = *level;
  names.Clear();
  CHECK(task.Getdents(fd, names).has_value());
  uint64_t entries = 0;
  names.ForEach([&](std::string_view name, vfs::FileType type) {
    ++entries;
    if (stat == AlsoStat::kYes) bench::Keep(task.StatAt(fd, name, vfs::Follow::kNo)->ino);
    if (type != vfs::FileType::kDir) return;
    const int child = task.OpenAt(fd, name, O_RDONLY | O_DIRECTORY).value();
    entries += Walk(task, child, stat, level + 1);
    CHECK(task.Close(child).has_value());
  });
  return entries;
}

uint64_t HostWalk(int fd, AlsoStat stat) {
  DIR* const dir = fdopendir(fd);
  uint64_t entries = 0;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    ++entries;
    struct ::stat attributes;
    if (stat == AlsoStat::kYes) fstatat(fd, entry->d_name, &attributes, AT_SYMLINK_NOFOLLOW);
    if (entry->d_type == DT_DIR) {
      entries += HostWalk(openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY), stat);
    }
  }
  closedir(dir);
  return entries;
}

class Bench {
 public:
  explicit Bench(bench::Report& report) : report_(report) {
    const std::string catalogue = Catalogue();
    os_ = os::Os::Boot({.catalogues = {catalogue}}).value();
    task_ = os_->NewTask();
    CHECK(task_->Chdir(os::kTracingDir).has_value());
  }

  void Boot();
  void Instances();
  void Trees();
  void Toggles();

 private:
  struct Steps {  // nanoseconds
    int64_t make = 0, look = 0, remove = 0;
  };
  static double Us(int64_t ns) { return static_cast<double>(ns) / 1000; }
  Steps MakeLookRemove(uint64_t n);
  Steps MeasureInstance(std::string_view title);
  void HostInstance();
  void Write(int fd, std::string_view text) {
    CHECK(task_->Pwrite(fd, Bytes(text), 0).has_value());
  }
  static std::span<const std::byte> Bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
  }
  int Open(const char* path, int flags) { return task_->Open(path, flags).value(); }

  bench::Report& report_;
  std::unique_ptr<os::Os> os_;
  std::unique_ptr<vfs::Task> task_;
  HostTracefs host_;
};

void Bench::Boot() {
  bench::Experiment boot(std::min(report_.rounds(), 51));
  const auto& ours = boot.Add("boot and teardown of an Os without events", [](uint64_t n) {
    while (n--) os::Os::Boot().value();
  });
  boot.Run();
  report_.Table("an Os", boot);
  report_.Value("boot and teardown", ours.median() / 1000, "us");
}

// --- G16 ---

// One instance made, looked into and removed again, `n` times; what each step took.
Bench::Steps Bench::MakeLookRemove(uint64_t n) {
  Steps steps;
  for (uint64_t i = 0; i < n; ++i) {
    const int64_t start = NowNs();
    CHECK(task_->Mkdir("instances/x", 0).has_value());
    const int64_t made = NowNs();
    bench::Keep(task_->Stat("instances/x/events/xfs/xfs_event_99/enable")->ino);
    const int64_t looked = NowNs();
    CHECK(task_->Rmdir("instances/x").has_value());
    steps.make += made - start;
    steps.look += looked - made;
    steps.remove += NowNs() - looked;
  }
  return steps;
}

Bench::Steps Bench::MeasureInstance(std::string_view title) {
  bench::Experiment experiment(report_.rounds());
  const auto& make =
      experiment.AddTimed("mkdir", [this](uint64_t n) { return MakeLookRemove(n).make; });
  const auto& look =
      experiment.AddTimed("first stat", [this](uint64_t n) { return MakeLookRemove(n).look; });
  const auto& remove =
      experiment.AddTimed("rmdir", [this](uint64_t n) { return MakeLookRemove(n).remove; });
  experiment.Run();
  report_.Table(title, experiment);
  return {static_cast<int64_t>(make.median()), static_cast<int64_t>(look.median()),
          static_cast<int64_t>(remove.median())};
}

// The machine's own: milliseconds each, so a few are enough.
void Bench::HostInstance() {
  if (!host_) return;
  constexpr int kTimes = 5;
  const std::string path = host_ / "instances/bench-x";
  std::vector<double> make, remove;
  for (int i = 0; i < kTimes; ++i) {
    const int64_t start = NowNs();
    if (::mkdir(path.c_str(), 0750) != 0) return;
    const int64_t made = NowNs();
    ::rmdir(path.c_str());
    make.push_back(static_cast<double>(made - start) / 1000);
    remove.push_back(static_cast<double>(NowNs() - made) / 1000);
  }
  report_.Value("this machine's tracefs: mkdir", bench::Median(make), "us");
  report_.Value("this machine's tracefs: rmdir", bench::Median(remove), "us");
}

void Bench::Instances() {
  constexpr int kMany = 1000;
  vfs::Vfs& vfs = os_->vfs();
  const Steps first = MeasureInstance("an instance");
  HostInstance();
  auto each = [&](auto change) {
    for (int i = 0; i < kMany; ++i) CHECK(change("instances/i" + std::to_string(i)).has_value());
  };
  vfs.DropCaches();
  const size_t used = vfs.memory().used();
  each([this](const std::string& path) { return task_->Mkdir(path, 0); });
  vfs.DropCaches();
  const double bytes = static_cast<double>(vfs.memory().used() - used) / kMany;
  report_.Value("metadata of an instance", bytes, "bytes");
  const Steps later = MeasureInstance("an instance beside 1,000");
  each([this](const std::string& path) { return task_->Rmdir(path); });

  report_.Goal("G16", "instance metadata", bytes, "bytes", AtMost(4096));
  report_.Goal("G16", "mkdir", Us(first.make), "us", AtMost(10));
  report_.Goal("G16", "rmdir", Us(first.remove), "us", AtMost(50));
  report_.Goal("G16", "first event stat", Us(first.look), "us", AtMost(1));
  report_.Goal("G16", "mkdir beside 1,000", Us(later.make), "us", AtMost(10));
  report_.Goal("G16", "rmdir beside 1,000", Us(later.remove), "us", AtMost(50));
}

// --- G18 ---

void Bench::Trees() {
  std::vector<Names> levels(kLevels);
  const int events = Open("events", O_RDONLY | O_DIRECTORY);
  auto walk = [&](AlsoStat stat) {
    CHECK(task_->Lseek(events, 0, vfs::Whence::kSet).has_value());
    return Walk(*task_, events, stat, levels.data());
  };
  report_.Value("entries of events/", static_cast<double>(walk(AlsoStat::kNo)), "");
  // A walk is a matter of milliseconds, so the rounds are fewer.
  bench::Experiment experiment(std::min(report_.rounds(), 51));
  auto add = [&](std::string_view name, auto body) -> const bench::Experiment::Contender& {
    return experiment.Add(name, [body](uint64_t n) {
      while (n--) bench::Keep(body());
    });
  };
  const auto& find = add("find", [&] { return walk(AlsoStat::kNo); });
  const auto& find_stat = add("find + stat", [&] { return walk(AlsoStat::kYes); });
  if (host_) {
    auto host_walk = [path = host_ / "events"](AlsoStat stat) {
      return HostWalk(open(path.c_str(), O_RDONLY | O_DIRECTORY), stat);
    };
    add("this machine's: find", [=] { return host_walk(AlsoStat::kNo); });
    add("this machine's: find + stat", [=] { return host_walk(AlsoStat::kYes); });
  }
  experiment.Run();
  report_.Table("the tree of events, warm", experiment);
  report_.Goal("G18", "find", find.median() / 1e6, "ms", AtMost(0.6));
  report_.Goal("G18", "find + stat", find_stat.median() / 1e6, "ms", AtMost(1.6));
  CHECK(task_->Close(events).has_value());
}

// --- G19 ---

void Bench::Toggles() {
  const int one = Open("events/xfs/xfs_event_99/enable", O_WRONLY);
  const int all = Open("events/enable", O_WRONLY);
  bench::Experiment experiment(report_.rounds());
  const auto& event = experiment.Add("one event, on or off", [&](uint64_t n) {
    while (n--) Write(one, n % 2 ? "1" : "0");
  });
  const auto& everything = experiment.Add("all 2,323, on or off", [&](uint64_t n) {
    while (n--) Write(all, n % 2 ? "1" : "0");
  });
  experiment.Run();
  Write(all, "0");
  report_.Table("switching events", experiment);
  report_.Goal("G19", "toggle one event", event.median() / 1000, "us", AtMost(1));
  report_.Goal("G19", "toggle all events", everything.median() / 1000, "us", AtMost(50));
  CHECK(task_->Close(one).has_value() && task_->Close(all).has_value());
}

}  // namespace

int main(int argc, char** argv) {
  bench::Report report(argc, argv);
  Bench bench(report);
  bench.Boot();
  bench.Instances();
  bench.Trees();
  bench.Toggles();
}
