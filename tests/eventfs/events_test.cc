// events/: which files there are, what they say, what they take, and what happens when events go.

#include <set>

#include "tests/eventfs/tracefs_test.h"

namespace dentree::eventfs {
namespace {

using fixture::FailsWith;
using fixture::Holds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using trace::EventFlags;

class EventsTest : public tracefs::TracefsTest {
 protected:
  using TracefsTest::TracefsTest;
  void SetUp() override {
    TracefsTest::SetUp();
    AddSome();
  }
};

class WithExtras : public EventsTest {
 protected:
  WithExtras() : EventsTest({.extras = Extras::kHist | Extras::kInject, .cpus = 2}) {}
};

class TracefsWithoutEvents : public tracefs::TracefsTest {};

// --- Which files ---

TEST_F(EventsTest, ThereAreThreeLevels) {
  EXPECT_THAT(Names("events"), UnorderedElementsAre("enable", "header_page", "header_event",
                                                    "sched", "net", "ftrace"));
  EXPECT_THAT(Names("events/sched"), UnorderedElementsAre("enable", "filter", "switch", "wakeup"));
  EXPECT_THAT(Names("events/sched/switch"),
              UnorderedElementsAre("enable", "filter", "trigger", "format", "id"));
}

TEST_F(EventsTest, TheTracersOwnRecordsHaveOnlyWhatTheyCanDo) {
  EXPECT_THAT(Names("events/ftrace"), UnorderedElementsAre("print", "function", "raw"));
  EXPECT_THAT(Names("events/ftrace/print"), UnorderedElementsAre("format", "id", "trigger"));
  EXPECT_THAT(Names("events/ftrace/function"), UnorderedElementsAre("format", "id"));
  EXPECT_THAT(Names("events/ftrace/raw"), UnorderedElementsAre("format"));
  EXPECT_THAT(Stat("events/ftrace/enable"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Stat("events/ftrace/print/enable"), FailsWith(Errno::kNoEnt));
}

// Bug E5: files that are there only sometimes were listed twice.
TEST_F(WithExtras, HistogramsAndInjectionAreThereWhereTheyAreWanted) {
  EXPECT_THAT(Names("events/sched/switch"),
              UnorderedElementsAre("enable", "filter", "trigger", "format", "id", "hist",
                                   "hist_debug", "inject"));
  EXPECT_THAT(Names("events/ftrace/function"),
              UnorderedElementsAre("format", "id", "hist", "hist_debug", "inject"));
  EXPECT_THAT(Names("events/ftrace/raw"), UnorderedElementsAre("format", "hist", "hist_debug"));
  EXPECT_THAT(Read("events/sched/switch/hist"), Holds(""));
  EXPECT_THAT(Read("events/sched/switch/trigger"), Holds(HasSubstr(" disable_event enable_hist")));
}

TEST_F(EventsTest, ModesAreLinuxs) {
  ASSERT_OK(Mkdir("instances/a"));
  for (const std::string top : {"", "instances/a/"}) {
    for (const char* dir : {"events", "events/sched", "events/sched/switch", "events/ftrace"}) {
      EXPECT_EQ(PermissionsOf(top + dir), 0755u) << dir;
      EXPECT_TRUE(vfs::IsDir(Stat(top + dir)->mode));
    }
    for (const char* file : {"events/enable", "events/sched/enable", "events/sched/filter",
                             "events/sched/switch/enable", "events/sched/switch/filter",
                             "events/sched/switch/trigger"}) {
      EXPECT_EQ(PermissionsOf(top + file), 0640u) << file;
    }
    for (const char* file : {"events/header_page", "events/header_event",
                             "events/sched/switch/format", "events/sched/switch/id"}) {
      EXPECT_EQ(PermissionsOf(top + file), 0440u) << file;
    }
  }
}

// Bug E9: all files had one number, so that tools took them for links of one file.
TEST_F(EventsTest, InodeNumbersAreUniqueStableAndTheListings) {
  ASSERT_OK(Mkdir("instances/a"));
  std::set<vfs::Ino> inos;
  size_t count = 0;
  for (const char* dir :
       {"", "events", "events/sched", "events/sched/switch", "instances/a", "instances/a/events",
        "instances/a/events/sched", "instances/a/events/sched/switch"}) {
    const auto entries = task().ListDir(At(dir));
    ASSERT_OK(entries);
    for (const vfs::DirEntry& entry : *entries) {
      const std::string path = std::string(dir) + "/" + entry.name;
      EXPECT_EQ(Stat(path)->ino, entry.ino) << path;
      inos.insert(entry.ino);
      ++count;
    }
    DropCaches();
    for (const vfs::DirEntry& entry : *entries) {
      EXPECT_EQ(Stat(std::string(dir) + "/" + entry.name)->ino, entry.ino);
    }
  }
  EXPECT_EQ(inos.size(), count);
}

// --- enable ---

TEST_F(EventsTest, EnableSays01XOrNothing) {
  EXPECT_THAT(Read("events/enable"), Holds("0\n"));
  ASSERT_OK(Write("events/sched/switch/enable", "1"));
  EXPECT_THAT(Read("events/sched/switch/enable"), Holds("1\n"));
  EXPECT_THAT(Read("events/sched/wakeup/enable"), Holds("0\n"));
  EXPECT_THAT(Read("events/sched/enable"), Holds("X\n"));
  EXPECT_THAT(Read("events/enable"), Holds("X\n"));
  ASSERT_OK(Write("events/sched/enable", "1\n"));
  EXPECT_THAT(Read("events/sched/enable"), Holds("1\n"));
  ASSERT_OK(Write("events/enable", "1"));
  EXPECT_THAT(Read("events/enable"), Holds("1\n"));
  EXPECT_THAT(Read("events/net/rx/enable"), Holds("1\n"));
  ASSERT_OK(Write("events/enable", "0"));
  EXPECT_THAT(Read("set_event"), Holds(""));
}

TEST_F(EventsTest, EnableTakes0And1AndNothingElse) {
  for (const char* file : {"events/sched/switch/enable", "events/sched/enable", "events/enable"}) {
    for (const char* good : {"0", "1", "0\n", "01", "0x1"}) {
      EXPECT_OK(Write(file, good)) << file << good;
    }
    for (const char* bad : {"2", "", "x", "1 ", "-1", "1\n\n", "on"}) {
      const auto written = Write(file, bad);
      if (*bad == '\0') continue;  // a write of nothing may not even come
      EXPECT_THAT(written, FailsWith(Errno::kInval)) << file << bad;
    }
    EXPECT_THAT(Write(file, "99999999999999999999"), FailsWith(Errno::kRange)) << file;
  }
}

TEST_F(EventsTest, ASystemWithNothingToEnableSaysSo) {
  Add("quiet", "note", EventFlags::kId);
  EXPECT_THAT(Read("events/quiet/enable"), Holds("?\n"));
  EXPECT_THAT(Write("events/quiet/enable", "1"), FailsWith(Errno::kInval));
}

// Linux, which always has events, has no answer for this.
TEST_F(TracefsWithoutEvents, AllOfNoneCanBeEnabled) {
  EXPECT_THAT(Read("events/enable"), Holds("?\n"));
  EXPECT_OK(Write("events/enable", "1"));
  EXPECT_OK(Write("set_event", "", O_TRUNC));
  EXPECT_THAT(Names("events"), UnorderedElementsAre("enable", "header_page", "header_event"));
}

// --- set_event and available_events ---

TEST_F(EventsTest, AvailableEventsAreThoseThatCanBeEnabled) {
  EXPECT_THAT(Read("available_events"), Holds("sched:switch\nsched:wakeup\nnet:rx\n"));
}

TEST_F(EventsTest, SetEventTakesWordsAndTruncationClears) {
  ASSERT_OK(Write("set_event", "sched:switch rx\n"));
  EXPECT_THAT(Read("set_event"), Holds("sched:switch\nnet:rx\n"));
  ASSERT_OK(Write("set_event", "wakeup", O_APPEND));
  EXPECT_THAT(Read("set_event"), Holds("sched:switch\nsched:wakeup\nnet:rx\n"));
  ASSERT_OK(Write("set_event", "!sched:"));
  EXPECT_THAT(Read("set_event"), Holds("net:rx\n"));
  ASSERT_OK(Write("set_event", "sched:wakeup", O_TRUNC));
  EXPECT_THAT(Read("set_event"), Holds("sched:wakeup\n"));
  ASSERT_OK(Write("set_event", "*:*"));
  EXPECT_THAT(Read("events/enable"), Holds("1\n"));
  ASSERT_OK_AND_ASSIGN(const int reader, Open("set_event", O_RDONLY | O_TRUNC));
  ASSERT_OK(task().Close(reader));
  EXPECT_THAT(Read("events/enable"), Holds("1\n")) << "who only reads clears nothing";
  EXPECT_OK(Write("set_event", "", O_TRUNC));
  EXPECT_THAT(Read("set_event"), Holds(""));
}

TEST_F(EventsTest, SetEventTakesTheWordsBeforeABadOne) {
  ASSERT_OK_AND_ASSIGN(const int fd, Open("set_event", O_WRONLY));
  EXPECT_THAT(task().Write(fd, "switch bad rx"), Holds(7u));
  EXPECT_THAT(Read("set_event"), Holds("sched:switch\n"));
  EXPECT_THAT(task().Write(fd, "bad rx"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Write(fd, "ftrace:print"), FailsWith(Errno::kInval));
}

// --- format, id, filter, trigger, headers ---

TEST_F(EventsTest, IdAndFormatTellTheSameNumber) {
  const std::string id = *Read("events/sched/switch/id");
  EXPECT_THAT(Read("events/sched/switch/format"),
              Holds(StartsWith("name: switch\nID: " + id + "format:\n\tfield:unsigned short ")));
  EXPECT_EQ(id, std::to_string(Find("sched", "switch")->type()) + "\n");
}

TEST_F(EventsTest, FormatIsReadAgainFromTheStart) {
  ASSERT_OK_AND_ASSIGN(const int fd, Open("events/sched/switch/format"));
  const std::string first = *ReadFd(fd);
  char half[40];
  EXPECT_THAT(task().Read(fd, std::as_writable_bytes(std::span(half))), Holds(40u));
  ASSERT_OK(task().Lseek(fd, 0, vfs::Whence::kSet));
  EXPECT_EQ(*ReadFd(fd), first);
  EXPECT_THAT(task().Lseek(fd, 0, vfs::Whence::kEnd), FailsWith(Errno::kInval));
}

TEST_F(EventsTest, FiltersAreNoneAndCanBeClearedOnly) {
  for (const char* file : {"events/sched/switch/filter", "events/sched/filter"}) {
    for (const char* clear : {"0", "0\n", " 0 \n"}) EXPECT_OK(Write(file, clear)) << file;
    for (const char* bad : {"\n", "pid==1", "00"}) {
      EXPECT_THAT(Write(file, bad), FailsWith(Errno::kInval)) << file << bad;
    }
    EXPECT_THAT(Write(file, std::string(4096, '0')), FailsWith(Errno::kInval));
  }
  EXPECT_THAT(Read("events/sched/switch/filter"), Holds("none\n"));
  EXPECT_THAT(Read("events/sched/filter"), Holds(StartsWith("### global filter ###\n")));
}

TEST_F(EventsTest, TriggersAreNoneAndCanBeTakenAwayOnly) {
  EXPECT_THAT(Read("events/sched/switch/trigger"),
              Holds("# Available triggers:\n"
                    "# traceon traceoff stacktrace enable_event disable_event\n"));
  for (const char* gone : {"!traceon", "!enable_event:net:rx", "!stacktrace\n"}) {
    EXPECT_OK(Write("events/sched/switch/trigger", gone)) << gone;
  }
  for (const char* bad : {"\n", "   ", "foo", "!foo", "!", "traceon"}) {
    EXPECT_THAT(Write("events/sched/switch/trigger", bad), FailsWith(Errno::kInval)) << bad;
  }
}

TEST_F(EventsTest, HeadersAreLinuxs205Bytes) {
  EXPECT_EQ(Read("events/header_page")->size(), 205u);
  EXPECT_EQ(Read("events/header_event")->size(), 205u);
  EXPECT_THAT(Write("events/header_page", "x"), FailsWith(Errno::kInval));
}

// --- Coming and going ---

TEST_F(EventsTest, ComeAndGoInTheTopAndInEveryInstance) {
  ASSERT_OK(Mkdir("instances/a"));
  EXPECT_THAT(Stat("instances/a/events/disk/read"), FailsWith(Errno::kNoEnt));
  Add("disk", "read");
  EXPECT_OK(Stat("events/disk/read/enable"));
  EXPECT_OK(Stat("instances/a/events/disk/read/enable"));
  ASSERT_OK(Write("instances/a/events/disk/read/enable", "1"));
  EXPECT_THAT(registry().Remove(*Find("disk", "read")), FailsWith(Errno::kBusy));
  ASSERT_OK(Write("instances/a/events/disk/read/enable", "0"));
  RemoveEvent("disk", "read");
  EXPECT_THAT(Stat("events/disk"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Stat("instances/a/events/disk"), FailsWith(Errno::kNoEnt));
}

TEST_F(EventsTest, ATracepointsEventGoesWithItsRegistration) {
  const trace::Tracepoint<"app", "step", trace::Field<"n", uint32_t>> step;
  {
    auto registration = registry().Register(
        const_cast<trace::TracepointBase&>(static_cast<const trace::TracepointBase&>(step)));
    ASSERT_OK(registration);
    ASSERT_OK(Write("events/app/step/enable", "1"));
    EXPECT_TRUE(step.enabled());
    step(7);
    EXPECT_EQ(registry().top().hits(), 1u);
  }
  EXPECT_FALSE(step.enabled());
  EXPECT_THAT(Stat("events/app"), FailsWith(Errno::kNoEnt));
}

// Bug E20, and appendix 2: whatever is held of a removed event answers kNoDev.
TEST_F(EventsTest, HeldFilesOfARemovedEventAnswerEnodev) {
  ASSERT_OK(Mkdir("instances/a"));
  std::vector<int> fds;
  for (const std::string top : {"", "instances/a/"}) {
    for (const char* file : {"enable", "filter", "trigger", "format", "id"}) {
      ASSERT_OK_AND_ASSIGN(const int fd, Open(top + "events/net/rx/" + file, O_RDWR));
      EXPECT_OK(ReadFd(fd));
      fds.push_back(fd);
    }
    ASSERT_OK_AND_ASSIGN(const int fd, Open(top + "events/net/enable", O_RDWR));
    fds.push_back(fd);
  }
  ASSERT_OK_AND_ASSIGN(const int dir, Open("events/net/rx", O_RDONLY | O_DIRECTORY));
  RemoveEvent("net", "rx");
  for (const int fd : fds) {
    EXPECT_THAT(ReadFd(fd), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Write(fd, "1"), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Lseek(fd, 0, vfs::Whence::kSet), FailsWith(Errno::kNoDev));
    EXPECT_OK(task().Close(fd));
  }
  EXPECT_THAT(task().StatAt(dir, "enable", vfs::Follow::kYes), FailsWith(Errno::kNoEnt));
  Add("net", "rx");
  EXPECT_THAT(task().StatAt(dir, "enable", vfs::Follow::kYes), FailsWith(Errno::kNoEnt))
      << "another one of the same name";
  EXPECT_OK(Stat("events/net/rx/enable"));
  EXPECT_OK(Rmdir("instances/a"));
}

// Bug E1: events made while a directory was open lost a reference when it was closed.
TEST_F(EventsTest, AHeldDirectoryOutlivesAHundredEvents) {
  DropCaches();
  const size_t transients = Objects("kernfs_transient");
  ASSERT_OK_AND_ASSIGN(const int dir, Open("events/sched", O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < 100; ++i) {
    Add("sched", "e" + std::to_string(i));
    ASSERT_OK(Stat("events/sched/e" + std::to_string(i) + "/id"));
  }
  ASSERT_OK(task().Close(dir));
  for (int i = 0; i < 100; ++i) RemoveEvent("sched", "e" + std::to_string(i));
  DropCaches();
  EXPECT_EQ(Objects("kernfs_transient"), transients);
  EXPECT_THAT(Names("events/sched"), testing::SizeIs(4));
}

// Bug T10: such an event hid the file, or was listed beside it.
TEST_F(EventsTest, NamesOfFilesCannotBeEventsOrSystems) {
  for (const char* taken : {"enable", "filter"}) {
    const trace::EventSpec spec{.system = "sched", .name = taken};
    EXPECT_EQ(registry().Add({&spec, 1}).error().error, Errno::kExist) << taken;
  }
  for (const char* taken : {"enable", "header_page", "header_event"}) {
    const trace::EventSpec spec{.system = taken, .name = "e"};
    EXPECT_EQ(registry().Add({&spec, 1}).error().error, Errno::kExist) << taken;
  }
  // Absent in the system of the tracer's own records, and reserved all the same.
  const trace::EventSpec spec{.system = "ftrace", .name = "enable"};
  EXPECT_EQ(registry().Add({&spec, 1}).error().error, Errno::kExist);
}

// Bug E18: lookups of such an event never ended.
TEST_F(EventsTest, NamesLongerThanADirectoryEntryAreRefused) {
  const std::string long_name(300, 'x');
  const trace::EventSpec spec{.system = "sched", .name = long_name};
  EXPECT_EQ(registry().Add({&spec, 1}).error().error, Errno::kNameTooLong);
  EXPECT_THAT(Stat("events/sched/" + long_name), FailsWith(Errno::kNameTooLong));
  Add("sched", std::string(255, 'y'));
  EXPECT_OK(Stat("events/sched/" + std::string(255, 'y') + "/enable"));
}

// Bug E6: the position after an entry skipped the next one.
TEST_F(EventsTest, SeekingToAnEntrysOffsetGivesTheNextEntry) {
  AddMany();
  for (const char* path : {"events", "events/system7", "events/ftrace/function"}) {
    const auto all = task().ListDir(At(path));
    ASSERT_OK(all);
    ASSERT_OK_AND_ASSIGN(const int fd, Open(path, O_RDONLY | O_DIRECTORY));
    for (size_t i = 0; i + 1 < all->size(); ++i) {
      tracefs::NameSink sink(1);
      ASSERT_OK(task().Lseek(fd, (*all)[i].next, vfs::Whence::kSet));
      ASSERT_OK(task().Getdents(fd, sink));
      ASSERT_EQ(sink.names.at(0), (*all)[i + 1].name);
    }
  }
}

}  // namespace
}  // namespace dentree::eventfs
