// Synthetic workloads are what they say, and the same every time.
#include "lab/generators.h"

#include <map>
#include <set>

#include "gmock/gmock.h"
#include "lab/prepare.h"

namespace dentree::lab {
namespace {

std::map<std::string, size_t> CountsOf(const Trace& trace) {
  std::map<std::string, size_t> counts;
  for (const Event& event : trace.events()) ++counts[trace.PathOf(event)];
  return counts;
}

size_t JunkOf(const Trace& trace) {
  size_t junk = 0;
  for (const Event& event : trace.events()) junk += trace.PathOf(event).starts_with("/junk/");
  return junk;
}

TEST(GeneratorsTest, UniqueNamesComeOnce) {
  const Trace trace = UniqueNames(1000);
  EXPECT_EQ(trace.events().size(), 1000);
  EXPECT_EQ(CountsOf(trace).size(), 1000);
}

TEST(GeneratorsTest, NineOfTenOfZipfComeOnce) {
  const Trace trace = ZipfInOneDirectory(20'000, 500, 1);
  size_t once = 0;
  for (const auto& [path, count] : CountsOf(trace)) once += path.starts_with("/zipf/once");
  EXPECT_NEAR(static_cast<double>(once), 18'000, 200);
  EXPECT_GT(CountsOf(trace)["/zipf/hot00000"], 10 * CountsOf(trace)["/zipf/hot00100"]);
}

TEST(GeneratorsTest, TheSeedMakesTheTrace) {
  const auto events = [](const Trace& trace) {
    std::vector<std::string> paths;
    for (const Event& event : trace.events()) paths.push_back(trace.PathOf(event));
    return paths;
  };
  EXPECT_EQ(events(Compiler(5, 20, 8, 7)), events(Compiler(5, 20, 8, 7)));
  EXPECT_NE(events(Compiler(5, 20, 8, 7)), events(Compiler(5, 20, 8, 8)));
}

TEST(GeneratorsTest, NoneContradictsItself) {
  const Trace base = Compiler(10, 20, 8, 1);
  for (const auto kind : {Mix::Kind::kScan, Mix::Kind::kSpread, Mix::Kind::kGhosts, Mix::Kind::kNss,
                          Mix::Kind::kTemporary, Mix::Kind::kShortTasks, Mix::Kind::kTrickle}) {
    EXPECT_EQ(Prepare(Mixed(base, {kind, 10, 2})).repairs, 0);
  }
  EXPECT_EQ(Prepare(FlipFlop(10)).repairs, 0);
  EXPECT_EQ(Prepare(base).repairs, 0);
}

TEST(GeneratorsTest, AMixHasItsRatioOfJunkAndAllOfTheTrace) {
  const Trace base = Compiler(10, 20, 8, 1);
  size_t misses = 0;
  for (const Event& event : base.events()) misses += event.outcome == Outcome::kNoEnt;
  const Trace mixed = Mixed(base, {Mix::Kind::kScan, 10, 3});
  EXPECT_EQ(mixed.name(), "compiler+scan10:1x3");
  EXPECT_EQ(JunkOf(mixed), misses * 10 * 3);
  EXPECT_EQ(mixed.events().size(), base.events().size() + JunkOf(mixed));
  EXPECT_EQ(JunkOf(Mixed(base, {Mix::Kind::kTrickle})), misses / 20);
}

TEST(GeneratorsTest, BurstsAddUpToTheirRatio) {
  const Trace base = Loop(5000, 1);
  EXPECT_EQ(JunkOf(Mixed(base, {Mix::Kind::kNss, 2})), 10'000);
}

TEST(GeneratorsTest, GhostsComeAgain) {
  const auto counts = CountsOf(Mixed(Loop(20'000, 1), {Mix::Kind::kGhosts}));
  EXPECT_EQ(counts.at("/junk/ghost/00000000"), 4);
  EXPECT_EQ(counts.at("/junk/ghost/00000001"), 1);
  EXPECT_EQ(counts.at("/junk/ghost/00019996"), 1);
}

TEST(GeneratorsTest, HotNamesComeBeforeAndAfterTheScan) {
  const Trace trace = Survive(3, 10);
  EXPECT_EQ(trace.events().size(), 19);
  EXPECT_EQ(CountsOf(trace)["/hot/0000"], 3);
  EXPECT_EQ(trace.PathOf(trace.events().back()), "/hot/0002");
}

TEST(GeneratorsTest, ShortTasksAreManyProcesses) {
  const Trace trace = Mixed(Loop(1000, 1), {Mix::Kind::kShortTasks, 1});
  std::set<uint32_t> processes;
  for (const Event& event : trace.events()) processes.insert(event.process);
  EXPECT_EQ(processes.size(), 1 + 1000 / 50);
}

TEST(GeneratorsTest, TheDayLeavesLongRunsOutAndComesFourTimes) {
  std::vector<Trace> traces;
  traces.push_back(Loop(10, 1));
  traces.push_back(UniqueNames(3));
  traces.back().Rename("tmpfile_python");
  EXPECT_EQ(DeveloperDay(traces).events().size(), 40);
  EXPECT_EQ(DeveloperDay(traces).processes(), 4);
}

}  // namespace
}  // namespace dentree::lab
