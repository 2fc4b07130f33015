// The control files of a tracing directory: which there are, what they say and what they take.

#include "tests/eventfs/tracefs_test.h"

namespace dentree::tracefs {
namespace {

using testing::HasSubstr;
using testing::Not;
using vfs::Whence;

class Controls : public TracefsTest {};

constexpr const char* kSharedNames[] = {"available_tracers",
                                        "buffer_percent",
                                        "buffer_size_kb",
                                        "buffer_subbuf_size_kb",
                                        "buffer_total_size_kb",
                                        "current_tracer",
                                        "error_log",
                                        "events",
                                        "free_buffer",
                                        "options",
                                        "per_cpu",
                                        "set_event",
                                        "set_event_notrace_pid",
                                        "set_event_pid",
                                        "set_ftrace_filter",
                                        "set_ftrace_notrace",
                                        "set_ftrace_notrace_pid",
                                        "set_ftrace_pid",
                                        "timestamp_mode",
                                        "trace",
                                        "trace_clock",
                                        "trace_marker",
                                        "trace_marker_raw",
                                        "trace_options",
                                        "trace_pipe",
                                        "tracing_cpumask",
                                        "tracing_on"};
constexpr const char* kTopNames[] = {"README",
                                     "available_events",
                                     "available_filter_functions",
                                     "available_filter_functions_addrs",
                                     "dyn_ftrace_total_info",
                                     "dynamic_events",
                                     "enabled_functions",
                                     "instances",
                                     "printk_formats",
                                     "saved_cmdlines",
                                     "saved_cmdlines_size",
                                     "saved_tgids",
                                     "touched_functions",
                                     "tracing_thresh",
                                     "uprobe_events",
                                     "uprobe_profile"};

TEST_F(Controls, OfAnInstanceAre27AndTheTopHas16More) {
  ASSERT_OK(Mkdir("instances/a"));
  std::vector<std::string> expected(std::begin(kSharedNames), std::end(kSharedNames));
  EXPECT_EQ(expected.size(), 27u);
  EXPECT_THAT(Names("instances/a"), testing::UnorderedElementsAreArray(expected));
  expected.insert(expected.end(), std::begin(kTopNames), std::end(kTopNames));
  EXPECT_EQ(expected.size(), 43u);
  EXPECT_THAT(Names(""), testing::UnorderedElementsAreArray(expected));
}

TEST_F(Controls, HaveLinuxsModes) {
  EXPECT_EQ(PermissionsOf(""), 0700u);
  for (const char* name : {"events"}) EXPECT_EQ(PermissionsOf(name), 0755u) << name;
  for (const char* name : {"instances", "options", "per_cpu", "per_cpu/cpu0"}) {
    EXPECT_EQ(PermissionsOf(name), 0750u) << name;
  }
  for (const char* name : {"available_tracers", "buffer_total_size_kb", "trace_pipe", "README",
                           "per_cpu/cpu0/stats", "per_cpu/cpu1/trace_pipe_raw"}) {
    EXPECT_EQ(PermissionsOf(name), 0440u) << name;
  }
  for (const char* name : {"trace", "set_event", "tracing_on", "options/overwrite"}) {
    EXPECT_EQ(PermissionsOf(name), 0640u) << name;
  }
  EXPECT_EQ(PermissionsOf("trace_marker"), 0220u);
  EXPECT_EQ(PermissionsOf("free_buffer"), 0200u);
}

TEST_F(Controls, AllCanBeReadThatMayBeRead) {
  ASSERT_OK(Mkdir("instances/a"));
  for (const std::string dir : {"", "instances/a/", "options/", "per_cpu/cpu1/"}) {
    for (const std::string& name : Names(dir)) {
      const vfs::Stat stat = *Stat(dir + name);
      if (vfs::IsDir(stat.mode)) continue;
      EXPECT_EQ(stat.size, 0u) << name;
      EXPECT_EQ(stat.nlink, 1u) << name;
      const auto text = Read(dir + name);
      EXPECT_EQ(text.has_value(), (stat.mode & 0444) != 0) << name;
      if ((stat.mode & 0222) != 0) continue;
      EXPECT_THAT(Write(dir + name, "1"), FailsWith(Errno::kInval)) << name;
    }
  }
}

TEST_F(Controls, TracingOnTakesAnyNumberAndNothingElse) {
  EXPECT_THAT(Read("tracing_on"), Holds("1\n"));
  for (const char* off : {"0", "0\n", "00"}) {
    ASSERT_OK(Write("tracing_on", "1"));
    EXPECT_OK(Write("tracing_on", off)) << off;
    EXPECT_THAT(Read("tracing_on"), Holds("0\n"));
    EXPECT_FALSE(registry().top().tracing_on());
  }
  for (const char* on : {"1", "2", "01", "1\n"}) {
    ASSERT_OK(Write("tracing_on", "0"));
    EXPECT_OK(Write("tracing_on", on)) << on;
    EXPECT_THAT(Read("tracing_on"), Holds("1\n"));
  }
  for (const char* bad : {"x", "1 ", "-1", "1\n\n"}) {
    EXPECT_THAT(Write("tracing_on", bad), FailsWith(Errno::kInval)) << bad;
  }
  EXPECT_THAT(Write("tracing_on", "99999999999999999999"), FailsWith(Errno::kRange));
}

TEST_F(Controls, OfInstancesAreTheirOwn) {
  ASSERT_OK(Mkdir("instances/a"));
  ASSERT_OK(Write("instances/a/tracing_on", "0"));
  ASSERT_OK(Write("instances/a/trace_clock", "mono"));
  ASSERT_OK(Write("instances/a/options/overwrite", "0"));
  EXPECT_THAT(Read("tracing_on"), Holds("1\n"));
  EXPECT_THAT(Read("trace_clock"), Holds(testing::StartsWith("[local] global ")));
  EXPECT_THAT(Read("instances/a/trace_clock"), Holds(HasSubstr("perf [mono] mono_raw")));
  EXPECT_THAT(Read("options/overwrite"), Holds("1\n"));
  EXPECT_THAT(Read("instances/a/options/overwrite"), Holds("0\n"));
}

TEST_F(Controls, TracersAndClocksAreTakenByName) {
  EXPECT_THAT(Read("available_tracers"), Holds("nop\n"));
  EXPECT_THAT(Read("current_tracer"), Holds("nop\n"));
  for (const char* good : {"nop", " nop \n"}) EXPECT_OK(Write("current_tracer", good)) << good;
  for (const char* bad : {"\n", "function", "no"}) {
    EXPECT_THAT(Write("current_tracer", bad), FailsWith(Errno::kInval)) << bad;
  }
  for (const char* good : {"boot", " tai\n"}) EXPECT_OK(Write("trace_clock", good)) << good;
  for (const char* bad : {" ", "[local]", "sundial"}) {
    EXPECT_THAT(Write("trace_clock", bad), FailsWith(Errno::kInval)) << bad;
  }
}

TEST_F(Controls, OptionsAreListedAndSetByNameAndByFile) {
  EXPECT_THAT(Read("trace_options"), Holds(HasSubstr("\noverwrite\nnodisable_on_free\n")));
  ASSERT_OK(Write("trace_options", "nooverwrite"));
  EXPECT_THAT(Read("options/overwrite"), Holds("0\n"));
  ASSERT_OK(Write("options/overwrite", "1\n"));
  EXPECT_THAT(Read("trace_options"), Holds(HasSubstr("\noverwrite\n")));
  EXPECT_OK(Write("trace_options", " nofields "));
  for (const char* bad : {"bad", "nobad", "no", "overwrite markers", "test_nop_refuse"}) {
    EXPECT_THAT(Write("trace_options", bad), FailsWith(Errno::kInval)) << bad;
  }
  for (const char* bad : {"2", "x", "0 1"}) {
    EXPECT_THAT(Write("options/raw", bad), FailsWith(Errno::kInval)) << bad;
  }
}

TEST_F(Controls, SomeOptionsHaveAFileOnlyAtTheTop) {
  ASSERT_OK(Mkdir("instances/a"));
  for (const char* name : {"record-cmd", "trace_printk", "printk-msg-only"}) {
    EXPECT_OK(Stat(std::string("options/") + name)) << name;
    EXPECT_THAT(Stat(std::string("instances/a/options/") + name), FailsWith(Errno::kNoEnt)) << name;
  }
  EXPECT_EQ(Names("instances/a/options").size() + 3, Names("options").size());
  EXPECT_THAT(Read("instances/a/trace_options"), Holds(HasSubstr("record-cmd\n")));
}

TEST_F(Controls, SizesOfTheBufferAreKeptForEachProcessor) {
  ASSERT_OK(Write("buffer_size_kb", "100"));
  EXPECT_THAT(Read("buffer_total_size_kb"), Holds("200\n"));
  ASSERT_OK(Write("per_cpu/cpu1/buffer_size_kb", "300"));
  EXPECT_THAT(Read("buffer_size_kb"), Holds("X\n"));
  EXPECT_THAT(Read("per_cpu/cpu0/buffer_size_kb"), Holds("100\n"));
  EXPECT_THAT(Read("per_cpu/cpu1/buffer_size_kb"), Holds("300\n"));
  EXPECT_THAT(Read("buffer_total_size_kb"), Holds("400\n"));
  ASSERT_OK(Write("buffer_size_kb", "1"));
  EXPECT_THAT(Read("per_cpu/cpu1/buffer_size_kb"), Holds("8\n"));
  EXPECT_THAT(Write("buffer_size_kb", "0"), FailsWith(Errno::kInval));
  EXPECT_THAT(Write("buffer_size_kb", "99999999999"), FailsWith(Errno::kNoMem));
  EXPECT_THAT(Write("buffer_size_kb", "1k"), FailsWith(Errno::kInval));
}

TEST_F(Controls, PageSizeOfTheBufferShowsInHeaderPage) {
  EXPECT_THAT(Read("buffer_subbuf_size_kb"), Holds("4\n"));
  EXPECT_THAT(Read("events/header_page"), Holds(HasSubstr("offset:16;\tsize:4080;")));
  ASSERT_OK(Write("buffer_subbuf_size_kb", "33"));
  EXPECT_THAT(Read("buffer_subbuf_size_kb"), Holds("64\n"));
  EXPECT_THAT(Read("events/header_page"), Holds(HasSubstr("offset:16;\tsize:65520;")));
  for (const char* bad : {"0", "513", "x"}) {
    EXPECT_THAT(Write("buffer_subbuf_size_kb", bad), FailsWith(Errno::kInval)) << bad;
  }
}

TEST_F(Controls, NumbersHaveTheirLimits) {
  EXPECT_OK(Write("buffer_percent", "100"));
  EXPECT_THAT(Write("buffer_percent", "101"), FailsWith(Errno::kInval));
  EXPECT_THAT(Read("buffer_percent"), Holds("100\n"));
  EXPECT_THAT(Write("saved_cmdlines_size", "0"), FailsWith(Errno::kInval));
  EXPECT_OK(Write("saved_cmdlines_size", "1000"));
  EXPECT_THAT(Read("saved_cmdlines_size"), Holds("1000\n"));
  EXPECT_OK(Write("tracing_thresh", "5"));
  EXPECT_THAT(Read("tracing_thresh"), Holds("5\n"));
}

TEST_F(Controls, CpumaskIsHexadecimalAndKnowsHowManyThereAre) {
  EXPECT_THAT(Read("tracing_cpumask"), Holds("3\n"));
  ASSERT_OK(Write("tracing_cpumask", "1\n"));
  EXPECT_THAT(Read("tracing_cpumask"), Holds("1\n"));
  EXPECT_OK(Write("tracing_cpumask", "0"));
  for (const char* bad : {"4", "f", "100000000", "0,3"}) {
    EXPECT_THAT(Write("tracing_cpumask", bad), FailsWith(Errno::kOverflow)) << bad;
  }
  EXPECT_THAT(Write("tracing_cpumask", "zz"), FailsWith(Errno::kInval));
}

// Bug T11: Linux answers EPERM to some of these.
TEST_F(Controls, PidsAreTakenAllOrNoneAndClearedByTruncation) {
  ASSERT_OK(Write("set_event_pid", "12 7\n"));
  ASSERT_OK(Write("set_event_pid", "9 12 \n"));
  EXPECT_THAT(Read("set_event_pid"), Holds("7\n9\n12\n"));
  for (const char* bad : {"5 x", "junk", "3x", "-4", "99999999999999999999"}) {
    EXPECT_THAT(Write("set_event_pid", bad), FailsWith(Errno::kInval)) << bad;
  }
  EXPECT_THAT(Read("set_event_pid"), Holds("7\n9\n12\n"));
  EXPECT_THAT(Read("set_event_notrace_pid"), Holds(""));
  ASSERT_OK(Write("set_event_pid", "", O_TRUNC));
  EXPECT_THAT(Read("set_event_pid"), Holds(""));
}

TEST_F(Controls, MarkersAreRefusedWhileTracingIsOff) {
  const std::string page(5000, 'x');
  ASSERT_OK_AND_ASSIGN(const int fd, Open("trace_marker", O_WRONLY));
  EXPECT_THAT(task().Write(fd, "hello"), Holds(5u));
  EXPECT_THAT(task().Write(fd, ""), Holds(0u));
  EXPECT_THAT(task().Write(fd, page), Holds(4054u));
  EXPECT_THAT(task().Lseek(fd, 0, Whence::kSet), FailsWith(Errno::kSPipe));
  ASSERT_OK_AND_ASSIGN(const int raw, Open("trace_marker_raw", O_WRONLY));
  EXPECT_THAT(task().Write(raw, "abc"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Write(raw, "abcd"), Holds(4u));
  ASSERT_OK(Write("tracing_on", "0"));
  EXPECT_THAT(task().Write(fd, "hello"), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Write(raw, "hello"), FailsWith(Errno::kBadF));
}

TEST_F(Controls, TraceIsItsHeaderWhileNothingWasRecorded) {
  EXPECT_THAT(Read("trace"), Holds(HasSubstr("entries-in-buffer/entries-written: 0/0   #P:2\n")));
  EXPECT_EQ(Read("trace"), Read("per_cpu/cpu1/trace"));
  EXPECT_OK(Write("trace", "anything", O_TRUNC));
  EXPECT_THAT(Read("per_cpu/cpu0/stats"), Holds(testing::StartsWith("entries: 0\noverrun: 0\n")));
}

TEST_F(Controls, PipesHaveNothingToGive) {
  for (const char* name :
       {"trace_pipe", "per_cpu/cpu0/trace_pipe", "per_cpu/cpu0/trace_pipe_raw"}) {
    ASSERT_OK_AND_ASSIGN(const int fd, Open(name, O_RDONLY | O_NONBLOCK));
    char byte;
    EXPECT_THAT(task().Read(fd, std::as_writable_bytes(std::span(&byte, 1))),
                FailsWith(Errno::kAgain));
    EXPECT_THAT(task().Lseek(fd, 0, Whence::kSet), FailsWith(Errno::kSPipe));
    EXPECT_THAT(task().Poll(fd), Holds(0));
    EXPECT_THAT(Read(name), Holds(""));
  }
}

TEST_F(Controls, FunctionsAreNotTracedSoNoneIsKnown) {
  EXPECT_OK(Write("set_ftrace_filter", "\n", O_TRUNC));
  EXPECT_THAT(Write("set_ftrace_filter", "schedule"), FailsWith(Errno::kInval));
  EXPECT_THAT(Read("available_filter_functions"), Holds(""));
  EXPECT_THAT(Write("uprobe_events", "p:a/b /bin/true:1"), FailsWith(Errno::kInval));
  EXPECT_OK(Write("dynamic_events", "", O_TRUNC));
}

TEST_F(Controls, SeekAsLinuxsClassesDo) {
  ASSERT_OK_AND_ASSIGN(const int value, Open("tracing_on", O_RDWR));
  EXPECT_THAT(task().Lseek(value, 0, Whence::kEnd), Holds(0u));
  EXPECT_THAT(task().Lseek(value, 0, Whence::kData), FailsWith(Errno::kNxIo));
  EXPECT_THAT(task().Lseek(value, -1, Whence::kSet), FailsWith(Errno::kInval));
  ASSERT_OK_AND_ASSIGN(const int text, Open("trace", O_RDONLY));
  EXPECT_THAT(task().Lseek(text, 5, Whence::kSet), Holds(5u));
  EXPECT_THAT(task().Lseek(text, 1, Whence::kCur), Holds(6u));
  EXPECT_THAT(task().Lseek(text, 0, Whence::kEnd), FailsWith(Errno::kInval));
  ASSERT_OK_AND_ASSIGN(const int written, Open("trace", O_WRONLY));
  EXPECT_THAT(task().Lseek(written, 7, Whence::kSet), Holds(0u));
  char two[2];
  ASSERT_OK(Write("buffer_size_kb", "1234"));
  ASSERT_OK_AND_ASSIGN(const int size, Open("buffer_size_kb"));
  EXPECT_THAT(task().Pread(size, std::as_writable_bytes(std::span(two)), 2), Holds(2u));
  EXPECT_EQ(std::string_view(two, 2), "34");
}

TEST_F(Controls, TracingOnIsReadAndWrittenThroughOneDescriptor) {
  ASSERT_OK_AND_ASSIGN(const int fd, Open("tracing_on", O_RDWR));
  char text[10];
  EXPECT_THAT(task().Read(fd, std::as_writable_bytes(std::span(text))), Holds(2u));
  EXPECT_THAT(task().Write(fd, "0"), Holds(1u));
  EXPECT_THAT(Read("tracing_on"), Holds("0\n"));
}

TEST_F(Controls, EachProcessorHasADirectoryByItsExactName) {
  EXPECT_THAT(Names("per_cpu"), ElementsAre("cpu0", "cpu1"));
  EXPECT_THAT(Names("per_cpu/cpu1"), UnorderedElementsAre("buffer_size_kb", "stats", "trace",
                                                          "trace_pipe", "trace_pipe_raw"));
  for (const char* name :
       {"cpu2", "cpu", "cpu01", "cpu-1", "cpu1x", "0", "cpu99999999999999999999"}) {
    EXPECT_THAT(Stat(std::string("per_cpu/") + name), FailsWith(Errno::kNoEnt)) << name;
  }
}

// Bug T12.
TEST_F(Controls, CannotBeGivenASize) {
  ASSERT_OK(task().Truncate(At("tracing_on"), 77));
  EXPECT_EQ(Stat("tracing_on")->size, 0u);
}

class OnManyCpus : public TracefsTest {
 protected:
  OnManyCpus() : TracefsTest({.cpus = 70}) {}
};

TEST_F(OnManyCpus, CpumaskHasWords) {
  EXPECT_THAT(Read("tracing_cpumask"), Holds("3f,ffffffff,ffffffff\n"));
  ASSERT_OK(Write("tracing_cpumask", "1,00000001"));
  EXPECT_THAT(Read("tracing_cpumask"), Holds("00,00000001,00000001\n"));
  EXPECT_THAT(Write("tracing_cpumask", "40,0,0"), FailsWith(Errno::kOverflow));
  EXPECT_THAT(Write("tracing_cpumask", "1,0,0,0"), FailsWith(Errno::kOverflow));
  EXPECT_THAT(Names("per_cpu"), testing::SizeIs(70));
}

}  // namespace
}  // namespace dentree::tracefs
