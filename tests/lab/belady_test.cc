// The best possible: against answers that can be had by hand, and against all possible choices.
#include "lab/belady.h"

#include <map>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "lab/generators.h"

namespace dentree::lab {
namespace {

uint64_t Best(const Trace& trace, size_t cap) { return BestHits(trace, Prepare(trace), cap); }

Trace Misses(std::string_view names) {
  Trace trace;
  for (const char name : names) trace.Miss(std::string("/") + name);
  return trace;
}

TEST(BeladyTest, WithRoomForAllOnlyTheFirstLookupsMiss) {
  EXPECT_EQ(Best(Misses("abcabcabc"), 3), 6);
  EXPECT_EQ(Best(Misses("abcabcabc"), 100), 6);
  EXPECT_EQ(Best(Misses("abcabcabc"), 0), 0);
}

TEST(BeladyTest, KeepsAPartOfALoopThatDoesNotFit) {
  // a b kept, c passes through: a b hit in the second round, and two of three in every other.
  EXPECT_EQ(Best(Misses("abcabc"), 2), 2);
  EXPECT_EQ(Best(Loop(10, 11), 9), 90);
}

TEST(BeladyTest, WhatComesOnceTakesNoRoom) { EXPECT_EQ(Best(Misses("a12345a67890a"), 1), 2); }

TEST(BeladyTest, ACreationIsSavedALookupAndEndsTheEntry) {
  Trace trace;
  trace.Miss("/f");
  trace.Add("/f", Op::kCreate, Outcome::kOk);
  trace.Add("/f", Op::kUnlink, Outcome::kOk);
  trace.Miss("/f");
  EXPECT_EQ(Best(trace, 1), 2);
}

TEST(BeladyTest, WhatIsKnownOfADirectoryGoesWithIt) {
  Trace trace;
  trace.Miss("/d/f");
  trace.Add("/d", Op::kRmdir, Outcome::kOk);
  trace.Add("/d", Op::kMkdir, Outcome::kOk);
  trace.Miss("/d/f");
  EXPECT_EQ(Best(trace, 10), 1) << "the mkdir";
}

// Every way to keep at most `cap` of the names, tried out.
uint64_t ByTrying(std::string_view names, size_t cap, size_t at, const std::set<char>& kept) {
  if (at == names.size()) return 0;
  const bool hit = kept.contains(names[at]);
  std::set<char> with = kept;
  with.insert(names[at]);
  uint64_t best = ByTrying(names, cap, at + 1, kept);
  if (with.size() <= cap) best = std::max(best, ByTrying(names, cap, at + 1, with));
  for (const char victim : with) {
    std::set<char> less = with;
    less.erase(victim);
    if (less.size() <= cap) best = std::max(best, ByTrying(names, cap, at + 1, less));
  }
  return best + hit;
}

TEST(BeladyTest, NoChoiceIsBetter) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 25; ++round) {
    std::string names;
    for (int i = 0; i < 7; ++i) names += static_cast<char>('a' + random() % 4);
    for (const size_t cap : {1, 2, 3}) {
      EXPECT_EQ(Best(Misses(names), cap), ByTrying(names, cap, 0, {})) << names << " in " << cap;
    }
  }
}

}  // namespace
}  // namespace dentree::lab
