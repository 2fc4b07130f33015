// Listing: positions, order, and what it costs.

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/kernfs/kernfs_test.h"

namespace dentree::kernfs {
namespace {

using base::Errno;

struct Listed {
  std::string name;
  vfs::Ino ino;
  vfs::FileType type;
  int64_t next;
};

// Takes up to `room` entries.
class Sink final : public vfs::DirSink {
 public:
  explicit Sink(size_t room) : room_(room) {}
  bool Emit(std::string_view name, vfs::Ino ino, vfs::FileType type, int64_t next) override {
    if (entries.size() == room_) return false;
    entries.push_back({std::string(name), ino, type, next});
    return true;
  }
  std::vector<Listed> entries;

 private:
  const size_t room_;
};

class Readdir : public KernfsTest {
 protected:
  void SetUp() override {
    KernfsTest::SetUp();
    sched_ = registry().Add("sched");
    for (int i = 0; i < 30; ++i) events_.push_back(registry().Add(absl::StrCat("ev", i), sched_));
    for (int i = 0; i < 10; ++i) MakeInstance(absl::StrCat("i", i));
  }

  // A chunk of the listing from the descriptor's position.
  std::vector<Listed> Read(int fd, size_t room) {
    Sink sink(room);
    EXPECT_THAT(task().Getdents(fd, sink), IsOk());
    return std::move(sink.entries);
  }
  std::vector<Listed> All(const std::string& path, size_t room = SIZE_MAX) {
    const int fd = task().Open(path, O_RDONLY | O_DIRECTORY).value();
    std::vector<Listed> all;
    for (auto part = Read(fd, room); !part.empty(); part = Read(fd, room)) {
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_THAT(task().Close(fd), IsOk());
    return all;
  }
  static std::vector<std::string> NamesOf(const std::vector<Listed>& entries) {
    std::vector<std::string> names;
    for (const Listed& entry : entries) names.push_back(entry.name);
    return names;
  }

  uint64_t sched_ = 0;
  std::vector<uint64_t> events_;
  const std::vector<std::string> dirs_ = {
      "/k",           "/k/events",      "/k/events/sched", "/k/events/sched/ev7",
      "/k/instances", "/k/instances/i3"};
};

TEST_F(Readdir, ListsDotsThenTableThenListedThenProvided) {
  EXPECT_THAT(NamesOf(All("/k")), testing::ElementsAre(".", "..", "README", "sometimes", "value",
                                                       "pipe", "delete", "events", "instances"));
  const auto sched = NamesOf(All("/k/events/sched"));
  ASSERT_EQ(sched.size(), 33u);
  EXPECT_EQ(sched[2], "enable");
  EXPECT_EQ(sched[3], "ev0");
  EXPECT_EQ(sched[32], "ev29");
}

// E5: entries counted once when listing and otherwise when skipping.
TEST_F(Readdir, GivesTheSameWithEveryBufferSize) {
  top().sometimes = false;
  for (const std::string& dir : dirs_) {
    const auto whole = NamesOf(All(dir));
    for (size_t room = 1; room <= 12; ++room) EXPECT_EQ(NamesOf(All(dir, room)), whole) << dir;
  }
}

// E6: the offset of an entry was that of the next one.
TEST_F(Readdir, SeekToAnEntrysOffsetGivesTheEntryAfterIt) {
  for (const std::string& dir : dirs_) {
    const auto all = All(dir);
    const int fd = task().Open(dir, O_RDONLY | O_DIRECTORY).value();
    std::set<int64_t> offsets;
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(offsets.insert(all[i].next).second) << "offsets are unique";
      ASSERT_THAT(task().Lseek(fd, all[i].next, vfs::Whence::kSet), IsOk());
      const auto rest = Read(fd, SIZE_MAX);
      ASSERT_EQ(rest.size(), all.size() - i - 1) << dir << " " << all[i].name;
      if (!rest.empty()) {
        EXPECT_EQ(rest[0].name, all[i + 1].name);
      }
    }
  }
}

TEST_F(Readdir, PositionsStayGoodWhenAnEntryBecomesAbsent) {
  const auto all = All("/k");
  top().sometimes = false;
  const int fd = task().Open("/k", O_RDONLY | O_DIRECTORY).value();
  ASSERT_THAT(task().Lseek(fd, all[2].next, vfs::Whence::kSet), IsOk());  // after README
  EXPECT_EQ(Read(fd, 1)[0].name, "value");
  ASSERT_THAT(task().Lseek(fd, all[3].next, vfs::Whence::kSet), IsOk());  // after sometimes
  EXPECT_EQ(Read(fd, 1)[0].name, "value");
}

// E7: removing an earlier sibling shifted the rest. Every removal, at every point of a listing.
TEST_F(Readdir, RemovalOfWhatWasListedSkipsNothing) {
  const int fd = task().Open("/k/events/sched", O_RDONLY | O_DIRECTORY).value();
  std::vector<std::string> seen;
  size_t removed = 0;
  for (auto part = Read(fd, 1); !part.empty(); part = Read(fd, 1)) {
    seen.push_back(part[0].name);
    if (seen.size() % 3 == 0 && removed < 5) RemoveEvent(events_[removed++]);
  }
  for (int i = 5; i < 30; ++i) EXPECT_THAT(seen, testing::Contains(absl::StrCat("ev", i)).Times(1));
}

TEST_F(Readdir, OfListedChildrenSurvivesRemovalAndCreation) {
  const int fd = task().Open("/k/instances", O_RDONLY | O_DIRECTORY).value();
  std::vector<std::string> seen = NamesOf(Read(fd, 4));  // . .. i0 i1
  RemoveInstance("i0");
  RemoveInstance("i1");
  RemoveInstance("i5");
  MakeInstance("new");
  for (const Listed& entry : Read(fd, SIZE_MAX)) seen.push_back(entry.name);
  EXPECT_THAT(seen, testing::ElementsAre(".", "..", "i0", "i1", "i2", "i3", "i4", "i6", "i7", "i8",
                                         "i9", "new"));
}

// E7 under fire: what exists during a whole scan is seen exactly once.
TEST_F(Readdir, VersusChurnSeesEveryStableNameOnce) {
  std::jthread churn([this](std::stop_token stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      const uint64_t id = registry().Add(absl::StrCat("churn", i), sched_);
      MakeInstance("churn");
      RemoveEvent(id);
      RemoveInstance("churn");
    }
  });
  for (int round = 0; round < 200; ++round) {
    std::map<std::string, int> seen;
    for (const Listed& entry : All("/k/events/sched", 5)) ++seen[entry.name];
    for (const Listed& entry : All("/k/instances", 3)) ++seen[entry.name];
    for (int i = 0; i < 30; ++i) ASSERT_EQ(seen[absl::StrCat("ev", i)], 1);
    for (int i = 0; i < 10; ++i) ASSERT_EQ(seen[absl::StrCat("i", i)], 1);
  }
}

// E4: listing made dentries and inodes, and took locks the wrong way round.
TEST_F(Readdir, MakesNoDentryInodeOrNode) {
  for (const std::string& dir : dirs_) ASSERT_THAT(task().Stat(dir), IsOk());
  std::vector<int> fds;
  for (const std::string& dir : dirs_) {
    fds.push_back(task().Open(dir, O_RDONLY | O_DIRECTORY).value());
  }
  std::map<std::string, uint64_t> before;
  vfs().memory().ForEachCache(
      [&](const mm::CacheInfo& info) { before[std::string(info.name)] = info.allocs; });
  const size_t used = vfs().memory().used();
  size_t entries = 0;
  for (const int fd : fds) entries += Read(fd, SIZE_MAX).size();
  EXPECT_GT(entries, 60u);
  vfs().memory().ForEachCache([&](const mm::CacheInfo& info) {
    EXPECT_EQ(info.allocs, before[std::string(info.name)]) << info.name;
  });
  EXPECT_LE(vfs().memory().used(), used);
}

TEST_F(Readdir, InodeNumbersAndTypesAreThoseOfStat) {
  for (const std::string& dir : dirs_) {
    const auto all = All(dir);
    DropCaches();
    for (const Listed& entry : all) {
      const auto stat = task().Lstat(dir + "/" + entry.name);
      ASSERT_THAT(stat, IsOk()) << entry.name;
      if (dir != "/k" || entry.name != "..") {
        EXPECT_EQ(stat->ino, entry.ino) << dir << "/" << entry.name;
      }
      EXPECT_EQ(vfs::TypeOf(stat->mode), entry.type);
    }
  }
}

TEST_F(Readdir, OfNegativePositionsIsInvalid) {
  const int fd = task().Open("/k", O_RDONLY | O_DIRECTORY).value();
  EXPECT_THAT(task().Lseek(fd, -1, vfs::Whence::kSet), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Lseek(fd, 0, vfs::Whence::kEnd), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Lseek(fd, 0, vfs::Whence::kCur), IsOk());
  ASSERT_THAT(task().Lseek(fd, INT64_MAX, vfs::Whence::kSet), IsOk());
  EXPECT_TRUE(Read(fd, SIZE_MAX).empty());
  // A position inside nowhere: the end, not a crash.
  ASSERT_THAT(task().Lseek(fd, int64_t{5} << 60, vfs::Whence::kSet), IsOk());
  EXPECT_TRUE(Read(fd, SIZE_MAX).empty());
}

// E8: a removed directory gave its dots once and then EINVAL.
TEST_F(Readdir, OfARemovedDirectoryIsGoneAlways) {
  const int instance = task().Open("/k/instances/i3", O_RDONLY | O_DIRECTORY).value();
  const int below = task().Open("/k/instances/i3/events/sched", O_RDONLY | O_DIRECTORY).value();
  const int event = task().Open("/k/events/sched/ev7", O_RDONLY | O_DIRECTORY).value();
  Read(below, 2);
  RemoveInstance("i3");
  RemoveEvent(events_[7]);
  for (const int fd : {instance, below, event}) {
    for (int again = 0; again < 3; ++again) {
      Sink sink(SIZE_MAX);
      EXPECT_THAT(task().Getdents(fd, sink), FailsWith(Errno::kNoEnt));
      EXPECT_TRUE(sink.entries.empty());
    }
    EXPECT_THAT(task().StatAt(fd, "enable", vfs::Follow::kYes), FailsWith(Errno::kNoEnt));
    EXPECT_THAT(task().OpenAt(fd, "enable", O_RDONLY), FailsWith(Errno::kNoEnt));
    EXPECT_THAT(task().Mkdir("x", 0755, fd), FailsWith(Errno::kNoEnt));
    EXPECT_EQ(task().Fstat(fd).value().nlink, 0u) << "T8";
  }
}

// E1: closing a directory let go of children that had not been there when it was opened.
TEST_F(Readdir, HeldOpenWhileChildrenComeAndGoKeepsCountsRight) {
  DropCaches();
  const size_t nodes = kernfs().live_nodes();
  const int fd = task().Open("/k/events/sched", O_RDONLY | O_DIRECTORY).value();
  std::vector<uint64_t> made;
  for (int i = 0; i < 100; ++i) {
    made.push_back(registry().Add(absl::StrCat("late", i), sched_));
    ASSERT_THAT(task().Stat(absl::StrCat("/k/events/sched/late", i, "/enable")), IsOk());
  }
  Read(fd, 20);
  ASSERT_THAT(task().Close(fd), IsOk());
  for (const uint64_t id : made) RemoveEvent(id);
  DropCaches();
  EXPECT_EQ(kernfs().live_nodes(), nodes);
  root().CheckInvariants();
}

}  // namespace
}  // namespace dentree::kernfs
