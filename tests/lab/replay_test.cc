// Replays on the real VFS, with answers that are known.
#include "lab/replay.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "lab/belady.h"
#include "lab/generators.h"

namespace dentree::lab {
namespace {

using testing::HasSubstr;

ReplayResult Replayed(const Trace& trace, const std::string& policy, size_t cap,
                      unsigned threads = 1) {
  const Prepared prepared = Prepare(trace);
  const auto result =
      Replay(trace, prepared, {.lab = {.policy = policy, .cap = cap}, .threads = threads});
  EXPECT_TRUE(result) << result.error();
  return result.value_or(ReplayResult());
}

TEST(ReplayTest, UnboundedHitsAllButTheFirstLookupOfEachName) {
  const ReplayResult result = Replayed(Loop(100, 5), "unbounded", 10);
  EXPECT_EQ(result.misses, 500);
  EXPECT_EQ(result.asked, 100);
  EXPECT_EQ(result.hits(), 400);
  EXPECT_EQ(result.insert_ns.count(), 100);
  EXPECT_EQ(result.hit_ns.count(), 400);
  EXPECT_EQ(result.negatives.high_water, 100);
  EXPECT_EQ(result.surprises, 0);
}

TEST(ReplayTest, NoneHitsNothing) { EXPECT_EQ(Replayed(Loop(100, 5), "none", 10).hits(), 0); }

TEST(ReplayTest, ClockHitsNothingOfALoopThatDoesNotFit) {
  const ReplayResult result = Replayed(Loop(100, 5), "clock", 90);
  EXPECT_EQ(result.hits(), 0);
  EXPECT_LE(result.negatives.high_water, 91);
}

TEST(ReplayTest, LruHitsNothingOfALoopThatDoesNotFitAndAllOfOneThatDoes) {
  EXPECT_EQ(Replayed(Loop(100, 5), "lru", 99).hits(), 0);
  EXPECT_EQ(Replayed(Loop(100, 5), "lru", 100).hits(), 400);
}

TEST(ReplayTest, LruKeepsWhatWasUsedLast) {
  Trace trace;
  for (const char name : std::string_view("abcabacab")) trace.Miss(std::string("/") + name);
  // Of two: a b c' a' b' a+ c' a+ b'  (a+ is there)
  EXPECT_EQ(Replayed(trace, "lru", 2).hits(), 2);
}

TEST(ReplayTest, NobodyIsBetterThanTheBest) {
  const Trace trace = Mixed(Compiler(20, 30, 8, 1), {Mix::Kind::kScan, 1});
  const Prepared prepared = Prepare(trace);
  const uint64_t best = BestHits(trace, prepared, 500);
  for (const std::string& policy : PoliciesToTry()) {
    const uint64_t hits = Replayed(trace, policy, 500).hits();
    EXPECT_LE(hits, ObeysCap(policy) ? best : BestHits(trace, prepared, SIZE_MAX)) << policy;
  }
  EXPECT_EQ(Replayed(trace, "unbounded", 0).hits(), BestHits(trace, prepared, SIZE_MAX));
}

TEST(ReplayTest, ACreationOfWhatIsKnownToBeMissingAsksNobody) {
  const ReplayResult result = Replayed(FlipFlop(10), "unbounded", 0);
  EXPECT_EQ(result.misses, 20);
  EXPECT_EQ(result.surprises, 0);
  EXPECT_EQ(result.asked + result.hits(), result.misses);
  EXPECT_LE(result.asked, 10) << "a creation right after a miss is a hit";
}

TEST(ReplayTest, TheTreeIsTheTraces) {
  Trace trace;
  trace.Add("/d/e/f", Op::kLookup, Outcome::kOk);
  trace.Add("/d/e/f", Op::kUnlink, Outcome::kOk);
  trace.Add("/d/e", Op::kRmdir, Outcome::kOk);
  trace.Add("/d/e", Op::kMkdir, Outcome::kOk);
  trace.Miss("/d/e/f");
  const ReplayResult result = Replayed(trace, "unbounded", 0);
  EXPECT_EQ(result.events, 5);
  EXPECT_EQ(result.surprises, 0);
}

// Otherwise "% of unbounded" were a part of something else.
TEST(ReplayTest, UnboundedHitsAreTheMostThatIsPossible) {
  Trace trace;
  for (int round = 0; round < 3; ++round) {
    trace.Append(Compiler(3, 20, 8, 1), 0);
    trace.Append(FlipFlop(3), 0);
    trace.Miss("/made/f");
    trace.Add("/made", Op::kRmdir, Outcome::kOk);
    trace.Miss("/made");
    trace.Add("/made", Op::kMkdir, Outcome::kOk);
  }
  const ReplayResult result = Replayed(trace, "unbounded", 0);
  EXPECT_EQ(result.hits(), BestHits(trace, Prepare(trace), SIZE_MAX));
  EXPECT_EQ(result.surprises, 0);
}

TEST(ReplayTest, JunkIsNotUseful) {
  const Trace trace = Mixed(Loop(50, 2), {Mix::Kind::kScan, 1, 2});
  const ReplayResult result = Replayed(trace, "unbounded", 0);
  EXPECT_EQ(result.hits(), 50 + 100);
  EXPECT_EQ(result.useful_hits, 50);
  EXPECT_EQ(BestHits(trace, Prepare(trace), SIZE_MAX, HitsOf::kUseful), 50);
  EXPECT_EQ(BestHits(trace, Prepare(trace), 50, HitsOf::kUseful), 50) << "junk takes no room";
}

TEST(ReplayTest, ThreadsShareTheWorkByProcess) {
  Trace trace;
  for (uint32_t process = 0; process < 8; ++process) {
    trace.Append(Compiler(4, 20, 8, process), process);
  }
  const ReplayResult one = Replayed(trace, "unbounded", 0),
                     four = Replayed(trace, "unbounded", 0, 4);
  EXPECT_EQ(four.events, one.events);
  EXPECT_EQ(four.events, Prepare(trace).events.size());
}

TEST(ReplayTest, TheInjectedCostIsNotTheVfss) {
  const Trace trace = Loop(20, 1);
  const auto result = Replay(trace, Prepare(trace), {.lab = {.cost_ns = 1'000'000}});
  ASSERT_TRUE(result) << result.error();
  EXPECT_GE(result->seconds, 0.020);
  EXPECT_EQ(result->insert_ns.count(), 20);
}

TEST(ReplayTest, AnUnknownPolicyIsNamedWithThoseThereAre) {
  const Trace trace = Loop(1, 1);
  const auto result = Replay(trace, Prepare(trace), {.lab = {.policy = "magic"}});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error(), HasSubstr("no policy is called 'magic'"));
  EXPECT_THAT(result.error(), HasSubstr("unbounded"));
}

TEST(PolicyTest, EveryPolicyIsTriedAndKnown) {
  for (const PolicyInfo& policy : Policies()) {
    const std::string name = policy.name.substr(0, policy.name.find(':'));
    EXPECT_TRUE(std::ranges::any_of(PoliciesToTry(), [&](const std::string& tried) {
      return tried.substr(0, tried.find(':')) == name;
    })) << name;
  }
  for (const std::string& policy : PoliciesToTry()) EXPECT_TRUE(CheckPolicy(policy)) << policy;
  EXPECT_TRUE(CheckPolicy(DefaultPolicy()));
  EXPECT_FALSE(CheckPolicy("dirmax")) << "which needs a parameter";
}

// What a mount without neg= does: were it another, goals would be judged by the wrong policy.
TEST(PolicyTest, TheDefaultIsTheVfss) { EXPECT_EQ(vfs::NegativeSpec().Text(), DefaultPolicy()); }

TEST(ReplayTest, AnInterruptEndsIt) {
  const std::atomic<bool> interrupt = true;
  const Trace trace = Loop(10'000, 1);
  const auto result = Replay(trace, Prepare(trace), {.lab = {}, .interrupt = &interrupt});
  ASSERT_TRUE(result);
  EXPECT_LT(result->events, 10'000);
}

}  // namespace
}  // namespace dentree::lab
