#include "base/stats.h"

#include <gtest/gtest.h>

#include <barrier>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace dentree::base {
namespace {

struct CacheStats {
  Counter hits;
  Gauge entries;
  HighWater longest;
  std::atomic<uint32_t> generation{0};
  uint16_t plain = 0;
};

constexpr auto kCacheFields =
    Fields(F<&CacheStats::hits>("hits", "Lookups answered by the cache", StatKind::kCumulative),
           F<&CacheStats::entries>("entries", "Entries now", StatKind::kInstant),
           F<&CacheStats::longest>("longest", "Longest chain", StatKind::kHighWater),
           F<&CacheStats::generation>("generation", "Generation", StatKind::kInstant),
           F<&CacheStats::plain>("plain", "A number", StatKind::kInstant, StatUnit::kBytes));

static_assert(kCacheFields.fields.size() == 5);
static_assert(kCacheFields.fields[1].name == "entries");
static_assert(sizeof(Counter) == 8);

std::map<std::string, int64_t> Read(const StatSet& set) {
  std::map<std::string, int64_t> values;
  for (const StatField& field : set.fields()) values[std::string(field.name)] = set.Value(field);
  return values;
}

TEST(StatSchema, ReadsEveryKindOfMember) {
  CacheStats stats;
  stats.hits.Add(3);
  stats.entries.Add(5);
  stats.entries.Sub(7);
  stats.longest.Note(4);
  stats.longest.Note(2);
  stats.generation = 9;
  stats.plain = 11;
  const std::map<std::string, int64_t> expected = {
      {"hits", 3}, {"entries", -2}, {"longest", 4}, {"generation", 9}, {"plain", 11}};
  EXPECT_EQ(Read(StatSet(kCacheFields, stats)), expected);
}

TEST(StatSchema, SaysNameHelpUnitAndKind) {
  const StatField& field = kCacheFields.fields[4];
  EXPECT_EQ(field.help, "A number");
  EXPECT_EQ(StatUnitName(field.unit), "bytes");
  EXPECT_EQ(StatKindName(field.kind), "instant");
}

TEST(StatSchema, KnowsWhatHasASign) {
  std::map<std::string_view, bool> is_signed;
  for (const StatField& field : kCacheFields.fields) is_signed[field.name] = field.is_signed;
  const std::map<std::string_view, bool> expected = {{"hits", false},
                                                     {"entries", true},
                                                     {"longest", true},
                                                     {"generation", false},
                                                     {"plain", false}};
  EXPECT_EQ(is_signed, expected);
}

struct Shelf {
  Gauge books;
  HighWater most, most_ever;
  Counter taken, returned;

  uint64_t Moved() const { return taken.Value() + returned.Value(); }
};
constexpr auto kShelfFields =
    Fields(F<&Shelf::Moved>("moved", "", StatKind::kCumulative),
           F<&Shelf::most, &Shelf::books>("most", "", StatKind::kHighWater),
           F<&Shelf::most_ever>("most_ever", "", StatKind::kHighWater));

TEST(StatSchema, ReadsWhatIsComputed) {
  Shelf shelf;
  shelf.taken.Add(3);
  shelf.returned.Add(4);
  const StatSet set(kShelfFields, shelf);
  EXPECT_EQ(set.Value(kShelfFields.fields[0]), 7);
  EXPECT_FALSE(kShelfFields.fields[0].is_signed);
}

TEST(StatSchema, RestartsHighWatersAtTheirLevelAndNothingElse) {
  Shelf shelf;
  for (HighWater* mark : {&shelf.most, &shelf.most_ever}) mark->Note(10);
  shelf.books.Set(4);
  const StatSet set(kShelfFields, shelf);
  const auto& [moved, most, most_ever] = kShelfFields.fields;
  EXPECT_FALSE(set.MayRestart(moved));
  ASSERT_TRUE(set.MayRestart(most) && set.MayRestart(most_ever));
  set.Restart(most);
  EXPECT_EQ(set.Value(most), 4);
  EXPECT_EQ(set.Value(most_ever), 10);
  set.Restart(most_ever);
  EXPECT_EQ(set.Value(most_ever), 0) << "its level is not known";
  EXPECT_FALSE(StatSet(kShelfFields, std::as_const(shelf)).MayRestart(most));
}

struct HotStats {
  Counter hits;
  Gauge held;
  HighWater deepest;
};
constexpr auto kHotFields = Fields(F<&HotStats::hits>("hits", "", StatKind::kCumulative),
                                   F<&HotStats::held>("held", "", StatKind::kInstant),
                                   F<&HotStats::deepest>("deepest", "", StatKind::kHighWater));

TEST(Sharded, LosesNothingWithMoreThreadsThanShards) {
  constexpr int kThreads = 24;
  constexpr int kTurns = 2000;
  const auto stats = std::make_unique<Sharded<HotStats>>();
  std::barrier together(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        together.arrive_and_wait();
        for (int i = 0; i < kTurns; ++i) stats->Add<&HotStats::hits>();
        stats->Local().held.Add(2);
        stats->Local().deepest.Note(t);
        together.arrive_and_wait();
      });
    }
  }
  EXPECT_EQ(stats->Sum<&HotStats::hits>(), uint64_t{kThreads} * kTurns);
  const auto values = Read(StatSet(kHotFields, *stats));
  EXPECT_EQ(values.at("hits"), kThreads * kTurns);
  EXPECT_EQ(values.at("held"), 2 * kThreads);
  EXPECT_EQ(values.at("deepest"), kThreads - 1);
}

TEST(Sharded, CountsOfThreadsThatAreGoneStay) {
  Sharded<HotStats> stats;
  for (int i = 0; i < 50; ++i) {
    std::jthread([&] { stats.Add<&HotStats::hits>(2); }).join();
  }
  EXPECT_EQ(stats.Sum<&HotStats::hits>(), 100u);
}

TEST(Sharded, AGaugeMayGoUpInOneThreadAndDownInAnother) {
  Sharded<HotStats> stats;
  stats.Local().held.Add(5);
  std::jthread([&] { stats.Local().held.Sub(4); }).join();
  EXPECT_EQ(StatSet(kHotFields, stats).Value(kHotFields.fields[1]), 1);
}

}  // namespace
}  // namespace dentree::base
