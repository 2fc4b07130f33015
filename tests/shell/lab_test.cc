// lab at the command line: what it refuses, what it prints, what it writes. The experiments
// themselves are tests/lab's.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "lab/policy.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class LabTest : public ShellTest {
 protected:
  LabTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "dentree_lab_XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~LabTest() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name, std::ios::binary) << text;
    return dir_ / name;
  }
  std::string Read(const std::string& name) {
    std::ifstream file(dir_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Of the source tree.
  static std::string Traces() {
    const char* source = ::getenv("DENTREE_SOURCE");
    return source == nullptr ? "" : std::string(source) + "/lab/traces";
  }

  std::filesystem::path dir_;
};

constexpr std::string_view kHint = "Try 'lab --help' for more information.\n";

TEST_F(LabTest, RefusesWhatMakesNoSense) {
  const std::pair<std::string, std::string> cases[] = {
      {"lab", "lab: missing operand\n"},
      {"lab nope", "lab: no experiment is called 'nope'\n"},
      {"lab misses extra", "lab: extra operand 'extra'\n"},
      {"lab misses --seed 1", "lab: option '--seed' means nothing to 'misses'\n"},
      {"lab policies --count 1", "lab: option '--count' means nothing to 'policies'\n"},
      {"lab misses --count 0", "lab: invalid number '0': expected 1 to 1000000000\n"},
      {"lab misses --caps 1,2", "lab: invalid number '1,2'\n"},
      {"lab negative --caps 8,x", "lab: invalid number 'x': expected 1 to 1000000000\n"},
      {"lab negative --costs -1", "lab: invalid number '-1': expected 0 to 1000000000\n"},
      {"lab negative --threads 1000", "lab: invalid number '1000': expected 1 to 256\n"},
      {"lab negative", "lab: nothing to replay: name traces, or give --adversaries\n"},
  };
  for (const auto& [command, message] : cases) {
    EXPECT_EQ(Run(command), Fails(1, message + std::string(kHint))) << command;
  }
  const Outcome outcome = Run("lab negative --policies magic x");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, StartsWith("lab: no policy is called 'magic'; there are: "));
}

TEST_F(LabTest, SaysWhichFileAndLineIsNoTrace) {
  EXPECT_EQ(Run("lab negative /no/such.tsv"),
            Fails(1, "lab: /no/such.tsv: No such file or directory\n"));
  const std::string bad = Write("bad.tsv", "/a\tOK\tlookup\t=\t0\n/b\tOK\n");
  EXPECT_EQ(Run("lab negative " + bad),
            Fails(1, "lab: " + bad + ":2: expected 5 fields, separated by tabs\n"));
  std::filesystem::create_directory(dir_ / "empty");
  const std::string empty = dir_ / "empty";
  EXPECT_EQ(Run("lab negative --traces " + empty),
            Fails(1, "lab: " + empty + ": no *.tsv or *.tsv.xz in it\n"));
}

TEST_F(LabTest, FindsOutBeforeTheWorkThatAFileCannotBeWritten) {
  const std::string trace = Write("t.tsv", "/a\tENOENT\tlookup\t=\t0\n");
  const Outcome outcome = Run("lab negative --csv /no/such/dir/f.csv " + trace);
  EXPECT_EQ(outcome, Fails(1, "lab: /no/such/dir/f.csv: No such file or directory\n"));
}

TEST_F(LabTest, ReplaysTracesIntoATableCsvAndPicture) {
  if (Traces().empty()) GTEST_SKIP() << "DENTREE_SOURCE is not set";
  const Outcome outcome =
      Run("lab negative --caps 4,64 --policies none,unbounded --traces " + Traces() + " --csv " +
          (dir_ / "a.csv").string() + " --svg " + (dir_ / "a.svg").string());
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("lock_file: "), HasSubstr("path_search: "),
                                 HasSubstr("day: "), HasSubstr("over all workloads")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("other answers")));
  EXPECT_THAT(outcome.err, HasSubstr(": path_search\n"));
  EXPECT_THAT(Read("a.csv"), AllOf(StartsWith("workload,policy,"), HasSubstr("\nlock_file,none,")));
  EXPECT_THAT(Read("a.svg"), AllOf(HasSubstr("<svg "), HasSubstr("path_search")));
}

TEST_F(LabTest, PoliciesAreThoseOfTheVfs) {
  const Outcome outcome = Run("lab policies");
  EXPECT_EQ(outcome.status, 0);
  for (const lab::PolicyInfo& policy : lab::Policies()) {
    EXPECT_THAT("\n" + outcome.out, HasSubstr("\n" + policy.name + " "));
  }
  EXPECT_THAT(outcome.out, HasSubstr(" (the default)\n"));
}

TEST_F(LabTest, MissesAndTeardownPrintWhatTheyMeasured) {
  const Outcome misses = Run("lab misses --count 20000 --caps 100");
  EXPECT_EQ(misses.status, 0) << misses.err;
  EXPECT_THAT(misses.out,
              AllOf(HasSubstr("unbounded "), HasSubstr("goal: "), HasSubstr("Linux's ext4: ")));
  const Outcome teardown = Run("lab teardown --count 2000");
  EXPECT_EQ(teardown.status, 0) << teardown.err;
  EXPECT_THAT(teardown.out, AllOf(StartsWith("unbounded: 2000 lookups"), HasSubstr("rmdir of it")));
}

}  // namespace
}  // namespace dentree::shell
