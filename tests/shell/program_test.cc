// The program itself, as a process: -c, script, standard input, options, exit statuses.
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Program : public testing::Test {
 protected:
  void SetUp() override {
    const char* build = ::getenv("DENTREE_BUILD");
    if (build == nullptr) GTEST_SKIP() << "DENTREE_BUILD is not set";
    program_ = std::string(build) + "/dentree";
    std::string dir = std::filesystem::temp_directory_path() / "dentree-program-XXXXXX";
    ASSERT_NE(::mkdtemp(dir.data()), nullptr);
    dir_ = dir;
    if (const Outcome outcome = Run("-c true"); ViaRing() && outcome.status != 0) {
      GTEST_SKIP() << outcome.err;
    }
  }
  void TearDown() override {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }

  void Write(const std::string& name, std::string_view text) { std::ofstream(dir_ / name) << text; }
  std::string Read(const std::string& name) {
    std::ifstream file(dir_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // `arguments` as the host's shell reads them, in a directory of the test's own.
  Outcome Run(const std::string& arguments, std::string_view input = {}) {
    Write("in", input);
    const std::string command = "cd '" + dir_.string() + "' && '" + program_ +
                                (ViaRing() ? "' --via-ring " : "' ") + arguments +
                                " < in > out 2> err";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Read("out"), Read("err")};
  }

  std::string program_;
  std::filesystem::path dir_;
};

TEST_F(Program, ShowsWhatItsRingCounts) {
  const Outcome outcome =
      Run("--via-ring -c 'cd /sys/kernel/stats/ring; cat queues queues_high; "
          "echo 0 > requests && echo cleared'");
  if (outcome.err.find("--via-ring: ") != std::string::npos) GTEST_SKIP() << outcome.err;
  EXPECT_THAT(outcome.out, testing::MatchesRegex("[1-9][0-9]*\n[1-9][0-9]*\ncleared\n"));
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(Program, RunsCommandsFromItsArguments) {
  EXPECT_EQ(Run("-c 'echo hello; false'"), Fails(1, "", "hello\n"));
  EXPECT_EQ(Run("-c 'echo $0 $1 $#' name one"), Ok("name one 1\n"));
  EXPECT_EQ(Run("-c 'exit 7'"), Fails(7, ""));
}

TEST_F(Program, RunsAScriptOfTheHost) {
  Write("script", "mkdir /d\necho $1 > /d/f\ncat /d/f\nnope\n");
  EXPECT_EQ(Run("script arg"), Fails(127, "script: line 4: nope: command not found\n", "arg\n"));
  EXPECT_EQ(Run("missing"), Fails(127, "dentree: missing: No such file or directory\n"));
}

TEST_F(Program, ShowsItsWorkingDirectoryInHostReadOnly) {
  Write("a", "text");
  std::filesystem::create_directories(dir_ / "d/e");
  Write("d/e/f", "");
  EXPECT_EQ(Run("-c 'cat /host/a; find /host/d; touch /host/a'"),
            Fails(1, "touch: cannot touch '/host/a': Read-only file system\n",
                  "text/host/d\n/host/d/e\n/host/d/e/f\n"));
  EXPECT_EQ(Run("--no-host -c 'ls /host'"),
            Fails(2, "ls: cannot access '/host': No such file or directory\n"));
  EXPECT_THAT(Run("--delay-ns=7 -c 'grep hostfs /proc/mounts'").out,
              HasSubstr(" /host hostfs ro,relatime,delay_ns=7 0 0\n"));
  EXPECT_EQ(Run("--delay-ns=soon").status, 2);
}

TEST_F(Program, FindInHostEqualsTheHostsFind) {
  for (const char* name : {"d1/d2/d3", "d1/d4", "new\nline", "\xff\xfe", ".hidden/x"}) {
    std::filesystem::create_directories(dir_ / "tree" / name);
    std::ofstream(dir_ / "tree" / name / "f") << "text";
    std::filesystem::create_symlink("../d1", dir_ / "tree" / name / "l");
  }
  ASSERT_EQ(::mkfifo((dir_ / "tree/p").c_str(), 0600), 0);
  const std::string command = "cd '" + dir_.string() + "/tree' && find . > ../found";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto lines = [](const std::string& text) {
    std::vector<std::string> sorted;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) sorted.push_back(line);
    std::ranges::sort(sorted);
    return sorted;
  };
  EXPECT_EQ(lines(Run("-c 'cd /host/tree; find .'").out), lines(Read("found")));
}

TEST_F(Program, AThousandMissesInHostAreAThousandNegatives) {
  std::string commands;
  for (int i = 0; i < 1000; ++i) commands += "test -e /host/missing" + std::to_string(i) + "\n";
  EXPECT_THAT(Run("", commands + commands + "grep '^dentry_negative ' /proc/slabinfo").out,
              testing::ContainsRegex("^dentry_negative +1000 "));
}

TEST_F(Program, ReadsStandardInputLineByLineAndSharesIt) {
  EXPECT_EQ(Run("", "echo a\n  echo b"), Ok("a\nb\n"));
  EXPECT_EQ(Run("", "head -n 1\nthis is data\necho after\n").status, 0);
  EXPECT_EQ(Run("", "cat\nrest 1\nrest 2\n"), Ok("rest 1\nrest 2\n"));
  EXPECT_EQ(Run("", "echo 'two\nlines' &&\necho c \\\nd\n"), Ok("two\nlines\nc d\n"));
}

TEST_F(Program, HasTheTreeOfASystem) {
  EXPECT_EQ(Run("-c 'ls -d /proc /sys/kernel/tracing /tmp'"),
            Ok("/proc\n/sys/kernel/tracing\n/tmp\n"));
  EXPECT_THAT(Run("-c mount").out, HasSubstr("tracefs /sys/kernel/tracing tracefs rw"));
  EXPECT_EQ(Run("-c 'df' | head -n 1 >/dev/null").status, 0);
  EXPECT_EQ(Run("-c 'df; df -h; df -i; df -T'").status, 0);
  EXPECT_THAT(Run("-c 'tree --cached / | tail -n 1'").out, HasSubstr(" nodes\n"));
}

TEST_F(Program, LoadsEventsAndSaysWhatIsWrongWithThem) {
  Write("bad", "not a catalogue\n");
  EXPECT_THAT(Run("--events bad -c true").err, StartsWith("dentree: bad: line 1"));
  EXPECT_EQ(Run("--events missing -c true"),
            Fails(1, "dentree: missing: No such file or directory\n"));
  const std::string source = ::getenv("DENTREE_SOURCE");
  const std::string load = "--events - -c 'ls /sys/kernel/tracing/events'";
  const Outcome without = Run("-c 'ls /sys/kernel/tracing/events'");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source + "/examples")) {
    if (entry.path().extension() != ".tsv") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const Outcome with = Run(load, text);
    EXPECT_EQ(with.status, 0) << with.err;
    EXPECT_NE(with.out, without.out);
  }
}

TEST_F(Program, IsAnotherUserOnRequest) {
  EXPECT_EQ(Run("--user 1000:5 -c 'id; echo x > /f'"),
            Fails(1, "dentree: /f: Permission denied\n", "uid=1000 gid=5 groups=5\n"));
  EXPECT_EQ(Run("--user bob -c id").status, 2);
}

TEST_F(Program, HasABudgetOnRequest) {
  EXPECT_EQ(Run("--memory 8 -c 'grep MemTotal /proc/meminfo'"),
            Ok("MemTotal:           8192 kB\n"));
  EXPECT_EQ(Run("--memory 0 -c true").status, 2);
  EXPECT_EQ(Run("--memory lots -c true").status, 2);
}

TEST_F(Program, AccountsMemoryToItsSitesOnRequest) {
  EXPECT_EQ(Run("--profile -c 'cat /proc/sys/vm/mem_profiling'"), Ok("1\n"));
  EXPECT_THAT(Run("--profile -c 'memory --sites'").out,
              StartsWith("allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n"));
}

TEST_F(Program, ExplainsItself) {
  EXPECT_THAT(Run("--help").out, StartsWith("Usage: dentree [OPTION]..."));
  EXPECT_THAT(Run("--version").out, StartsWith("dentree "));
  EXPECT_EQ(Run("--nope"), Fails(2,
                                 "dentree: unrecognized option '--nope'\n"
                                 "Try 'dentree --help' for more information.\n"));
  EXPECT_EQ(Run("-c"), Fails(2,
                             "dentree: option requires an argument -- 'c'\n"
                             "Try 'dentree --help' for more information.\n"));
}

TEST_F(Program, StressIsACommandOfItsOwn) {
  const Outcome outcome = Run("stress --threads 2 --seconds 1 --check --seed 5");
  EXPECT_EQ(outcome.status, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("seed 5, 0 violations\n"));
  EXPECT_THAT(outcome.err, HasSubstr("stress: 1 s, "));
}

TEST_F(Program, AClosedPipeEndsItQuietly) {
  Write("script", "find /\nfind /\nfind /\n");
  const Outcome outcome = Run("script | true");
  EXPECT_EQ(outcome.err, "");
}

}  // namespace
}  // namespace dentree::shell
