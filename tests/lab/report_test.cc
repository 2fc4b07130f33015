// Tables, CSV, picture and goals, of numbers that are known.
#include "lab/report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "lab/generators.h"
#include "lab/picture.h"

namespace dentree::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

// One workload with 100 possible hits, of which a policy has `hits` at the default cap.
WorkloadReport Report(std::string name, uint64_t hits, uint64_t steps) {
  WorkloadReport report;
  report.name = std::move(name);
  report.events = 300;
  report.misses = 200;
  report.unbounded_hits = 100;
  report.useful_hits = 100;
  report.best = {{vfs::kDefaultNegativeLimit, 100}};
  ReplayResult result;
  result.events = 300;
  result.misses = 200;
  result.asked = 200 - hits;
  result.useful_hits = hits;
  result.negatives.high_water = 50;
  result.negatives.max_steps = steps;
  for (uint64_t i = 1; i <= 10; ++i) result.insert_ns.Add(i);
  report.cells.push_back({.policy = std::string(DefaultPolicy()),
                          .cap = vfs::kDefaultNegativeLimit,
                          .cost_ns = 4000,
                          .threads = 1,
                          .of_unbounded = static_cast<double>(hits) / 100,
                          .useful = static_cast<double>(hits) / 100,
                          .result = result});
  return report;
}

std::vector<WorkloadReport> Real() {
  std::vector<Trace> traces;
  traces.push_back(Loop(50, 3));
  auto reports = RunNegative(Workloads(std::move(traces), Adversaries::kNo, {}),
                             {.policies = {"none", "unbounded", "clock"}, .caps = {20, 60}});
  EXPECT_TRUE(reports);
  return reports.value_or(std::vector<WorkloadReport>());
}

TEST(NegativeTest, EveryPolicyHasACellForEachCapItObeys) {
  const auto reports = Real();
  ASSERT_THAT(reports, SizeIs(2)) << "the loop, and the day of it";
  std::vector<std::string> cells;
  for (const Cell& cell : reports[0].cells) {
    cells.push_back(cell.policy + " " + std::to_string(cell.result.hits()));
  }
  EXPECT_THAT(cells, ElementsAre("none 0", "unbounded 100", "clock 0", "clock 100"));
  EXPECT_EQ(reports[0].unbounded_hits, 100);
  EXPECT_EQ(reports[1].name, "day");
}

TEST(NegativeTest, AdversariesAreMixedIntoTheDay) {
  std::vector<Trace> traces;
  traces.push_back(Loop(5, 1));
  std::vector<std::string> names;
  for (const Workload& workload : Workloads(std::move(traces), Adversaries::kYes, {})) {
    names.push_back(workload.name);
    if (workload.name.starts_with("loop")) {
      EXPECT_GT(workload.make().events().size(), 0);
    }
  }
  EXPECT_THAT(names, testing::Contains("day+scan10:1"));
  EXPECT_THAT(names, testing::Contains("loop+scan10:1"));
  EXPECT_THAT(names, testing::Contains("zipf"));
}

TEST(NegativeTest, WithoutTracesThereIsAMadeUpCompiler) {
  EXPECT_THAT(Workloads({}, Adversaries::kNo, {}), SizeIs(0));
  EXPECT_EQ(Workloads({}, Adversaries::kYes, {}).front().name, "compiler");
}

TEST(NegativeTest, WorkloadsAreCalledAsTheirTraces) {
  std::vector<Trace> traces;
  traces.push_back(Loop(3, 1));
  for (const Workload& workload : Workloads(std::move(traces), Adversaries::kYes, {})) {
    if (workload.name.starts_with("day")) {
      EXPECT_EQ(workload.make().name(), workload.name);
    }
  }
}

TEST(ReportTest, ATableHasALineForEachCellAndASummary) {
  const std::vector<WorkloadReport> reports = {Report("a", 50, 0), Report("b", 100, 7)};
  const std::string text = TableText(reports);
  EXPECT_THAT(
      text,
      HasSubstr("a: 300 events, 200 misses; unbounded hits 100, useful 100; best of 8192 100\n"));
  EXPECT_THAT(text, HasSubstr(" 50.0% "));
  EXPECT_THAT(text, HasSubstr("over all workloads, best mean first\n"));
  EXPECT_THAT(text, HasSubstr("    75.0%    50.0% "));
  EXPECT_THAT(TableText(std::span(reports).first(1)), Not(HasSubstr("all workloads")));
}

TEST(ReportTest, AWorkloadWithoutPossibleHitsIsInNoMean) {
  std::vector<WorkloadReport> reports = {Report("a", 50, 0), Report("nothing", 0, 0)};
  reports[1].useful_hits = 0;
  reports[1].cells[0].useful = 1;
  EXPECT_THAT(TableText(reports), HasSubstr("    50.0%    50.0% "));
}

TEST(ReportTest, CsvHasAsManyFieldsAsNames) {
  const std::string text = CsvText(Real());
  std::istringstream lines(text);
  size_t commas = 0, count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto here = static_cast<size_t>(std::ranges::count(line, ','));
    if (count == 0) commas = here;
    EXPECT_EQ(here, commas) << line;
  }
  EXPECT_EQ(count, 1 + 2 * 4);
  EXPECT_THAT(text, StartsWith("workload,policy,cap,"));
  EXPECT_THAT(text, HasSubstr("\nloop,clock,60,0,1,150,150,100,50,1.0000,100,1.0000,100,"));
}

TEST(ReportTest, GoalsAreJudgedWhereTheyApply) {
  EXPECT_THAT(GoalsText(std::vector{Report("day+scan10:1", 95, 25)}, DefaultPolicy()),
              testing::AllOf(HasSubstr("0.9500, must be at least 0.95: ok\n"),
                             HasSubstr("25, must be at most 25: ok\n")));
  EXPECT_THAT(GoalsText(std::vector{Report("day+scan10:1", 94, 26)}, DefaultPolicy()),
              testing::AllOf(HasSubstr("0.9400, must be at least 0.95: MISSED\n"),
                             HasSubstr("26, must be at most 25: MISSED\n")));
  EXPECT_THAT(GoalsText(std::vector{Report("survive", 97, 0)}, DefaultPolicy()),
              HasSubstr("0.9400, must be at least 0.95: MISSED\n"));
  EXPECT_EQ(GoalsText(std::vector{Report("day", 1, 0)}, DefaultPolicy()), "");
  EXPECT_EQ(GoalsText(std::vector{Report("day+scan10:1", 1, 1)}, "another"), "");
}

TEST(PictureTest, IsWellFormedAndHasEveryPolicyAndWorkload) {
  std::vector<WorkloadReport> reports = Real();
  reports[0].name = "<&\">";
  const std::string text = SvgText(reports);
  for (const char* word : {"&lt;&amp;&quot;&gt;", ">day<", ">none<", ">unbounded<", ">clock<"}) {
    EXPECT_THAT(text, HasSubstr(word));
  }
  const std::string path = std::filesystem::temp_directory_path() /
                           ("dentree_picture_" + std::to_string(::getpid()) + ".svg");
  std::ofstream(path) << text;
  const std::string parse = "python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' ";
  EXPECT_EQ(std::system((parse + path).c_str()), 0);
  std::filesystem::remove(path);
}

TEST(PictureTest, OfNothingIsStillAPicture) {
  EXPECT_THAT(SvgText({}), testing::AllOf(HasSubstr("<svg "), testing::EndsWith("</svg>\n")));
}

}  // namespace
}  // namespace dentree::lab
