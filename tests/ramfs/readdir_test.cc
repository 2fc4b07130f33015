// Positions of a listing: stable whatever comes and goes.

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

namespace dentree::ramfs {
namespace {

using fixture::Dir;
using fixture::Text;
using testing::ElementsAre;
using vfs::FileType;
using vfs::Whence;

// Takes `room` entries and refuses the next.
class Batch final : public vfs::DirSink {
 public:
  explicit Batch(size_t room) : room_(room) {}
  bool Emit(std::string_view name, vfs::Ino ino, FileType type, int64_t next) override {
    if (entries.size() == room_) return false;
    entries.push_back({std::string(name), ino, type, next});
    return true;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const vfs::DirEntry& entry : entries) names.push_back(entry.name);
    return names;
  }

  std::vector<vfs::DirEntry> entries;

 private:
  const size_t room_;
};

class Readdir : public fixture::VfsTest {
 protected:
  Readdir() { fs().Make({Dir("/d")}); }

  int OpenDir() { return task().Open("/d", O_RDONLY | O_DIRECTORY).value(); }
  std::vector<std::string> Next(int fd, size_t room) {
    Batch batch(room);
    EXPECT_OK(task().Getdents(fd, batch));
    return batch.Names();
  }
  std::vector<std::string> Rest(int fd) { return Next(fd, SIZE_MAX); }
  void MakeFiles(int from, int to) {
    for (int i = from; i < to; ++i) ASSERT_OK(fs().Write(absl::StrFormat("/d/%d", i), ""));
  }
  void Remove(int i) { ASSERT_OK(task().Unlink(absl::StrFormat("/d/%d", i))); }
};

TEST_F(Readdir, ListsNamesInTheOrderTheyWereMadeAfterTheTwoDots) {
  fs().Make({Text("/d/b", ""), Dir("/d/a"), fixture::Link("/d/c", "x")});
  Batch batch(SIZE_MAX);
  ASSERT_OK(task().Getdents(OpenDir(), batch));
  EXPECT_THAT(batch.Names(), ElementsAre(".", "..", "b", "a", "c"));
  EXPECT_EQ(batch.entries[0].ino, task().Stat("/d")->ino);
  EXPECT_EQ(batch.entries[1].ino, task().Stat("/")->ino);
  EXPECT_EQ(batch.entries[2].ino, task().Stat("/d/b")->ino);
  EXPECT_EQ(batch.entries[2].type, FileType::kRegular);
  EXPECT_EQ(batch.entries[3].type, FileType::kDir);
  EXPECT_EQ(batch.entries[4].type, FileType::kSymlink);
}

TEST_F(Readdir, GoesOnWhereTheLastCallHadNoRoom) {
  MakeFiles(0, 5);
  const int fd = OpenDir();
  EXPECT_THAT(Next(fd, 1), ElementsAre("."));
  EXPECT_THAT(Next(fd, 3), ElementsAre("..", "0", "1"));
  EXPECT_THAT(Next(fd, 2), ElementsAre("2", "3"));
  EXPECT_THAT(Next(fd, 9), ElementsAre("4"));
  EXPECT_THAT(Next(fd, 9), ElementsAre());
}

TEST_F(Readdir, APositionIsTheOneAfterItsEntry) {
  MakeFiles(0, 10);
  const int fd = OpenDir();
  Batch all(SIZE_MAX);
  ASSERT_OK(task().Getdents(fd, all));
  for (size_t i = 0; i < all.entries.size(); ++i) {
    ASSERT_OK(task().Lseek(fd, all.entries[i].next, Whence::kSet));
    const auto rest = Rest(fd);
    ASSERT_EQ(rest.size(), all.entries.size() - i - 1);
    if (!rest.empty()) {
      EXPECT_EQ(rest[0], all.entries[i + 1].name);
    }
  }
  ASSERT_OK(task().Lseek(fd, 0, Whence::kSet));
  EXPECT_EQ(Rest(fd).size(), 12u);
}

TEST_F(Readdir, HoldsItsPlaceWhenWhatItListedLastIsRemoved) {
  MakeFiles(0, 6);
  const int fd = OpenDir();
  EXPECT_THAT(Next(fd, 4), ElementsAre(".", "..", "0", "1"));
  Remove(1);
  Remove(0);
  Remove(2);
  EXPECT_THAT(Rest(fd), ElementsAre("3", "4", "5"));
}

TEST_F(Readdir, HoldsItsPlaceWhenHolesAreSqueezedOut) {
  MakeFiles(0, 100);
  const int fd = OpenDir();
  EXPECT_EQ(Next(fd, 52).back(), "49");
  for (int i = 0; i < 99; ++i) {
    if (i % 10 != 0) Remove(i);
  }
  EXPECT_THAT(Rest(fd), ElementsAre("50", "60", "70", "80", "90", "99"));
}

TEST_F(Readdir, ShowsWhatIsMadeBehindItsPlace) {
  MakeFiles(0, 2);
  const int fd = OpenDir();
  EXPECT_EQ(Next(fd, 4).size(), 4u);
  MakeFiles(2, 4);
  EXPECT_THAT(Rest(fd), ElementsAre("2", "3"));
  MakeFiles(4, 5);
  EXPECT_THAT(Rest(fd), ElementsAre("4")) << "the end is a place like any other";
}

TEST_F(Readdir, ANameThatIsMadeAgainIsAnotherEntryAtTheEnd) {
  MakeFiles(0, 3);
  Remove(0);
  MakeFiles(0, 1);
  EXPECT_THAT(Rest(OpenDir()), ElementsAre(".", "..", "1", "2", "0"));
}

TEST_F(Readdir, ARenamedEntryKeepsItsPlaceInItsDirectory) {
  MakeFiles(0, 3);
  ASSERT_OK(task().Rename("/d/1", "/d/one"));
  EXPECT_THAT(Rest(OpenDir()), ElementsAre(".", "..", "0", "one", "2"));
}

TEST_F(Readdir, ANameThatIsRenamedOverIsListedOnceWhereverTheListingStands) {
  for (const size_t listed : {2u, 3u, 4u, 5u, 6u}) {
    ASSERT_OK(fs().Remove("/d"));
    fs().Make({Dir("/d")});
    MakeFiles(0, 4);
    const int fd = OpenDir();
    auto names = Next(fd, listed);
    ASSERT_OK(task().Rename("/d/1", "/d/2"));
    for (std::string& name : Rest(fd)) names.push_back(std::move(name));
    EXPECT_EQ(std::ranges::count(names, "2"), 1) << listed;
    EXPECT_EQ(std::ranges::count(names, "0"), 1) << listed;
    EXPECT_EQ(std::ranges::count(names, "3"), 1) << listed;
    ASSERT_OK(task().Close(fd));
  }
}

TEST_F(Readdir, ExchangedNamesKeepTheirPlaces) {
  MakeFiles(0, 3);
  fs().Make({Text("/other/x", "")});
  ASSERT_OK(task().Rename("/d/0", "/d/2", vfs::kRenameExchange));
  ASSERT_OK(task().Rename("/d/1", "/other/x", vfs::kRenameExchange));
  EXPECT_THAT(Rest(OpenDir()), ElementsAre(".", "..", "0", "1", "2"));
  ASSERT_OK(task().Unlink("/d/0"));
  ASSERT_OK(task().Unlink("/d/1"));
  ASSERT_OK(task().Unlink("/d/2"));
  EXPECT_THAT(Rest(OpenDir()), ElementsAre(".", ".."));
}

TEST_F(Readdir, DotDotFollowsTheDirectory) {
  fs().Make({Dir("/e")});
  const int fd = OpenDir();
  ASSERT_OK(task().Rename("/d", "/e/d"));
  Batch batch(2);
  ASSERT_OK(task().Getdents(fd, batch));
  EXPECT_EQ(batch.entries[1].ino, task().Stat("/e")->ino);
}

TEST_F(Readdir, AnIndexThatEmptiesGivesItsMemoryBack) {
  const size_t before = vfs().memory().used();
  MakeFiles(0, 5000);
  for (int i = 0; i < 5000; ++i) Remove(i);
  DropCaches();
  EXPECT_LT(vfs().memory().used(), before + 300 * 1024);
}

TEST_F(Readdir, IsWhatAMapOfCookiesSays) {
  // A listing in small pieces under random changes, against a model: names that stay throughout are
  // listed once, no name is listed that never was.
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const std::vector<std::string> names = fs().Names("/d").value();
    std::set<std::string> there(names.begin(), names.end());
    std::set<std::string> stayed = there;
    std::set<std::string> ever = there;
    std::map<std::string, int> seen;
    const int fd = OpenDir();
    for (auto batch = Next(fd, 5); !batch.empty(); batch = Next(fd, 5)) {
      for (const std::string& name : batch) ++seen[name];
      for (int change = 0; change < 4; ++change) {
        const std::string name = absl::StrFormat("n%d", random() % 60);
        if (there.erase(name) == 0) {
          there.insert(name);
          ever.insert(name);
          ASSERT_OK(fs().Write("/d/" + name, ""));
        } else {
          stayed.erase(name);
          ASSERT_OK(task().Unlink("/d/" + name));
        }
      }
      if (seen.size() > 500) break;  // names are made as fast as they are listed
    }
    for (const std::string& name : stayed) EXPECT_EQ(seen[name], 1) << name;
    seen.erase(".");
    seen.erase("..");
    for (const auto& [name, count] : seen) EXPECT_TRUE(ever.contains(name)) << name;
    ASSERT_OK(task().Close(fd));
  }
}

}  // namespace
}  // namespace dentree::ramfs
