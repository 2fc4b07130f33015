// What /sys/kernel/stats says of an Os agrees with what everybody else says, and with what was
// done.

#include <functional>
#include <map>
#include <memory>
#include <sstream>

#include "fixture/fixture.h"
#include "os/os.h"

namespace dentree::os {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::ElementsAre;
using testing::HasSubstr;

class StatsTest : public testing::Test {
 protected:
  void SetUp() override {
    os_->vfs().RegisterType(remote_.Type());
    ASSERT_OK(task().Mkdir("/mnt/remote", 0755));
    ASSERT_OK(task().Mount("server", "/mnt/remote", "remote", ""));
  }
  void TearDown() override {
    task_.reset();
    os_->vfs().Shutdown();
    EXPECT_EQ(os_->vfs().LeakReport(), "");
    os_.reset();
  }

  vfs::Task& task() { return *task_; }
  vfs::Vfs& vfs() { return os_->vfs(); }
  static std::string At(std::string_view path) {
    return std::string(kStatsDir) + "/" + std::string(path);
  }
  std::string Text(std::string_view path) {
    const auto text = task().ReadFile(At(path));
    EXPECT_OK(text) << path;
    return text.value_or("");
  }
  int64_t Number(std::string_view path) { return std::stoll(Text(path)); }
  // How much a value grows over `work`, read through one file that was opened before.
  template <class Work>
  int64_t Growth(std::string_view path, Work work) {
    const int fd = task().Open(At(path), O_RDONLY).value();
    const int64_t before = NumberIn(fd);
    work();
    const int64_t after = NumberIn(fd);
    EXPECT_OK(task().Close(fd));
    return after - before;
  }
  int64_t NumberIn(int fd) {
    char buffer[32];
    const auto size = task().Pread(fd, std::as_writable_bytes(std::span(buffer)), 0);
    EXPECT_OK(size);
    return std::stoll(std::string(buffer, size.value_or(0)));
  }
  // Lines "name number".
  std::map<std::string, int64_t> Rows(std::string_view path) {
    std::istringstream lines(Text(path));
    std::map<std::string, int64_t> rows;
    std::string name;
    int64_t number;
    while (lines >> name >> number) EXPECT_TRUE(rows.emplace(name, number).second) << name;
    return rows;
  }
  // Columns of /proc/slabinfo by row: objects in use, objects, bytes of one.
  struct Slab {
    int64_t active, total, size;
  };
  std::map<std::string, Slab> SlabInfo() {
    std::istringstream lines(task().ReadFile("/proc/slabinfo").value());
    std::map<std::string, Slab> rows;
    std::string line;
    for (int i = 0; i < 2; ++i) std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string name;
      Slab slab{};
      words >> name >> slab.active >> slab.total >> slab.size;
      rows.emplace(name, slab);
    }
    return rows;
  }

  fixture::RemoteFs remote_;
  std::unique_ptr<Os> os_ = Os::Boot({.negative_limit = 64}).value();
  std::unique_ptr<vfs::Task> task_ = os_->NewTask();
};

TEST_F(StatsTest, EveryRoomHasItsDirectory) {
  fixture::Tree tree(task());
  EXPECT_THAT(tree.Names(kStatsDir), Holds(ElementsAre("kernfs", "mm", "rcu", "trace", "vfs")));
  for (const char* file :
       {"vfs/dentries", "vfs/negatives", "vfs/inodes", "vfs/files", "vfs/mounts",
        "vfs/mount_namespaces", "vfs/mount/attached",
        "vfs/dcache/lookups", "vfs/icache/created", "vfs/negative/limit", "vfs/walk/rcu", "mm/used",
        "mm/caches/active_objects", "mm/shrinkers/freed", "kernfs/nodes", "kernfs/calls/lookups",
        "trace/events", "rcu/grace_periods"}) {
    EXPECT_OK(task().ReadFile(At(file))) << file;
  }
}

// Every file that is listed can be read, every .schema names the files beside it, and the mode says
// what can be written.
TEST_F(StatsTest, EveryFileSaysANumberOrATableOfThem) {
  size_t files = 0;
  const std::function<void(const std::string&)> look = [&](const std::string& dir) {
    const auto entries = task().ListDir(dir).value();
    for (const auto& entry : entries) {
      const std::string path = dir + "/" + entry.name;
      if (entry.type == vfs::FileType::kDir) {
        look(path);
        continue;
      }
      const std::string text = task().ReadFile(path).value();
      if (entry.name == ".schema") {
        EXPECT_EQ(std::ranges::count(text, '\n'),
                  static_cast<long>(entries.size()) - std::ranges::count_if(entries, [](auto& e) {
                    return e.type == vfs::FileType::kDir;
                  }) - 1);
        continue;
      }
      ++files;
      std::istringstream lines(text);
      std::string line;
      while (std::getline(lines, line)) {
        const std::string number = line.substr(line.rfind(' ') + 1);
        EXPECT_EQ(number.find_first_not_of("-0123456789"), number.npos) << path << ": " << line;
      }
      const bool clears = task().WriteFile(path, "0", 0).has_value();
      const bool has_rows =
          path.find("/mm/caches") != path.npos || path.find("/mm/shrinkers") != path.npos;
      if (!has_rows) {
        EXPECT_EQ(clears, (task().Stat(path)->mode & 0222) != 0) << path;
      }
    }
  };
  look(std::string(kStatsDir));
  EXPECT_GT(files, 150u);
}

TEST_F(StatsTest, NumbersInMemoryAgreeWithSlabinfo) {
  remote_.Make({fixture::Text("/a", "1"), fixture::Text("/b", "2")});
  for (const char* name : {"a", "b", "c", "d"}) {
    static_cast<void>(task().Stat("/mnt/remote/" + std::string(name)));
  }
  // What is read last must not change what was read before: all paths are cached then.
  for (int round = 0; round < 2; ++round) {
    const auto slabs = SlabInfo();
    EXPECT_EQ(Number("vfs/dentries"), slabs.at("dentry").active + (round == 0 ? 2 : 0));
    EXPECT_EQ(Number("vfs/negatives"), slabs.at("dentry_negative").active);
    EXPECT_EQ(Number("kernfs/nodes"), slabs.at("kernfs_node").active);
    EXPECT_EQ(Number("vfs/negative/entries"), 2);
    static_cast<void>(Number("vfs/inodes"));
    static_cast<void>(Rows("mm/caches/active_objects"));
    static_cast<void>(Rows("mm/caches/slot_bytes"));
    static_cast<void>(Number("mm/caches/sum/active_objects"));
  }
  const auto slabs = SlabInfo();
  EXPECT_EQ(Number("vfs/inodes"), slabs.at("inode").active);
  const auto active = Rows("mm/caches/active_objects");
  const auto sizes = Rows("mm/caches/slot_bytes");
  ASSERT_EQ(active.size(), slabs.size());
  for (const auto& [name, slab] : slabs) {
    EXPECT_EQ(active.at(name), slab.active) << name;
    EXPECT_EQ(sizes.at(name), slab.size) << name;
  }
}

TEST_F(StatsTest, AggregatesAgreeWithAHandSum) {
  static_cast<void>(Rows("mm/caches/sum/total_objects"));
  const auto totals = Rows("mm/caches/slot_bytes");
  int64_t sum = 0, least = INT64_MAX, most = 0;
  for (const auto& [name, n] : totals) {
    sum += n;
    least = std::min(least, n);
    most = std::max(most, n);
  }
  EXPECT_EQ(Number("mm/caches/sum/slot_bytes"), sum);
  EXPECT_EQ(Number("mm/caches/min/slot_bytes"), least);
  EXPECT_EQ(Number("mm/caches/max/slot_bytes"), most);
  EXPECT_EQ(Number("mm/caches/avg/slot_bytes"), sum / static_cast<int64_t>(totals.size()));
  EXPECT_EQ(Number("mm/caches/count_zero/slot_bytes"), 0);
  const auto refusals = Rows("mm/caches/refusals");
  EXPECT_EQ(Number("mm/caches/count_zero/refusals"), static_cast<int64_t>(refusals.size()));
}

TEST_F(StatsTest, LookupsOfCachedNamesAreCountedOneByOne) {
  ASSERT_OK(task().WriteFile("/tmp/f", "1"));
  ASSERT_OK(task().Stat("/tmp/f"));
  constexpr int kTimes = 1000;
  const auto work = [&] {
    for (int i = 0; i < kTimes; ++i) ASSERT_OK(task().Stat("/tmp/f"));
  };
  EXPECT_EQ(Growth("vfs/dcache/lookups", work), 2 * kTimes) << "two names in each path";
  EXPECT_EQ(Growth("vfs/dcache/hits", work), 2 * kTimes);
  EXPECT_EQ(Growth("vfs/dcache/misses", work), 0);
  EXPECT_EQ(Growth("vfs/dcache/negative_hits", work), 0);
  EXPECT_EQ(Growth("vfs/icache/created", work), 0);
}

TEST_F(StatsTest, MissesBecomeNegativesUpToTheLimit) {
  const auto miss = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      EXPECT_THAT(task().Stat("/mnt/remote/no" + std::to_string(i)), FailsWith(Errno::kNoEnt));
    }
  };
  EXPECT_EQ(Growth("vfs/negatives", [&] { miss(0, 50); }), 50);
  EXPECT_EQ(Growth("vfs/dcache/negative_hits", [&] { miss(0, 50); }), 50);
  EXPECT_EQ(Growth("vfs/negative/inserts", [&] { miss(50, 150); }), 100);
  EXPECT_EQ(Number("vfs/negatives"), 64);
  EXPECT_EQ(Number("vfs/negative/limit"), 64);
  EXPECT_EQ(Number("vfs/negative/high_water"), 64);
  EXPECT_EQ(Number("vfs/negative/evictions"), 150 - 64);
  ASSERT_OK(task().WriteFile("/proc/sys/vm/drop_caches", "2", 0));
  EXPECT_EQ(Number("vfs/negatives"), 0);
  EXPECT_EQ(Number("vfs/negative/high_water"), 64);
  ASSERT_OK(task().WriteFile(At("vfs/negative/high_water"), "0", 0));
  EXPECT_EQ(Number("vfs/negative/high_water"), 0);
  miss(0, 3);
  EXPECT_EQ(Number("vfs/negative/high_water"), 3);
}

TEST_F(StatsTest, KernfsCountsItsFiles) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/proc/version", O_RDONLY));
  char byte;
  const auto out = std::as_writable_bytes(std::span(&byte, 1));
  // One more is the read that asks.
  EXPECT_EQ(Growth("kernfs/calls/reads",
                   [&] {
                     for (int i = 0; i < 100; ++i) ASSERT_OK(task().Pread(fd, out, 0));
                   }),
            101);
  EXPECT_EQ(Growth("kernfs/nodes",
                   [&] { ASSERT_OK(task().Mkdir("/sys/kernel/tracing/instances/a", 0)); }),
            1);
  EXPECT_EQ(Number("trace/instances"), 2);
}

TEST_F(StatsTest, MountsBringTheirShrinkersAndTakeThemAway) {
  const auto before = Rows("mm/shrinkers/freed");
  EXPECT_EQ(Growth("vfs/mounts",
                   [&] {
                     ASSERT_OK(task().Mkdir("/mnt/x", 0755));
                     ASSERT_OK(task().Mount("none", "/mnt/x", "ramfs", ""));
                   }),
            1);
  EXPECT_EQ(Rows("mm/shrinkers/freed").size(), before.size() + 2);
  ASSERT_OK(task().Umount("/mnt/x"));
  EXPECT_EQ(Rows("mm/shrinkers/freed").size(), before.size());
}

TEST_F(StatsTest, WalksAreCountedOneByOne) {
  ASSERT_OK(task().Stat("/tmp"));
  EXPECT_EQ(Growth("vfs/walk/rcu",
                   [&] {
                     for (int i = 0; i < 100; ++i) ASSERT_OK(task().Stat("/tmp"));
                   }),
            100);
}

TEST_F(StatsTest, TheHostsDirectoryHasItsOwn) {
  EXPECT_THAT(task().Stat(At("hostfs")), FailsWith(Errno::kNoEnt));
  const auto with = Os::Boot({.host_directory = "."}).value();
  const auto caller = with->NewTask();
  const auto read = [&](const char* file) {
    return std::stoll(caller->ReadFile(At("hostfs/" + std::string(file))).value());
  };
  const int64_t calls = read("calls");
  EXPECT_THAT(caller->Stat("/host/there is no such file"), FailsWith(Errno::kNoEnt));
  EXPECT_GT(read("calls"), calls);
  EXPECT_EQ(read("misses"), 1);
  ASSERT_OK_AND_ASSIGN(const int fd, caller->Open("/host", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(read("open"), 1);
  EXPECT_OK(caller->Close(fd));
  EXPECT_EQ(read("open_max"), 1);
  EXPECT_OK(caller->WriteFile(At("hostfs/open_max"), "0", 0));
  EXPECT_EQ(read("open_max"), 0);
}

TEST_F(StatsTest, AProgramHasItsOwnStatisticsBeside) {
  struct Shop {
    base::Counter sold;
  };
  static constexpr auto kShopFields =
      base::Fields(base::F<&Shop::sold>("sold", "Things sold", base::StatKind::kCumulative));
  Shop shop;
  const auto source = os_->statsfs().Add("shop", statsfs::Values<kShopFields>(shop)).value();
  shop.sold.Add(3);
  EXPECT_EQ(Text("shop/sold"), "3\n");
}

}  // namespace
}  // namespace dentree::os
