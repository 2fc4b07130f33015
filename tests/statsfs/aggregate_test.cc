// Aggregates: over which values, and what they say of them.

#include <limits>
#include <numeric>
#include <random>

#include "statsfs/accumulator_internal.h"
#include "tests/statsfs/statsfs_test.h"

namespace dentree::statsfs {
namespace {

using std::numeric_limits;
using testing::ElementsAre;

constexpr const base::StatField& kUnsigned = kNumberFields.fields[7];
constexpr const base::StatField& kSigned = kNumberFields.fields[8];

// --- the arithmetic ---

TEST(Accumulator, OfNothingEverythingIsZero) {
  for (const base::StatField* field : {&kUnsigned, &kSigned}) {
    const Accumulator none(*field);
    for (const Aggregate a : {Aggregate::kSum, Aggregate::kMin, Aggregate::kMax, Aggregate::kAvg,
                              Aggregate::kCountZero}) {
      EXPECT_EQ(none.Result(a), 0);
    }
  }
}

TEST(Accumulator, ASumThatFitsNoNumberIsTheNearestThatDoes) {
  Accumulator big(kUnsigned);
  big.Add(-1);  // the greatest number without a sign
  big.Add(-1);
  EXPECT_EQ(static_cast<uint64_t>(big.Result(Aggregate::kSum)), numeric_limits<uint64_t>::max());
  EXPECT_EQ(static_cast<uint64_t>(big.Result(Aggregate::kAvg)), numeric_limits<uint64_t>::max());
  Accumulator low(kSigned);
  low.Add(numeric_limits<int64_t>::min());
  low.Add(numeric_limits<int64_t>::min());
  EXPECT_EQ(low.Result(Aggregate::kSum), numeric_limits<int64_t>::min());
  low.Add(numeric_limits<int64_t>::max());
  low.Add(numeric_limits<int64_t>::max());
  EXPECT_EQ(low.Result(Aggregate::kSum), -2) << "exact on the way";
}

TEST(Accumulator, AgreesWithAHandSumOfRandomNumbers) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    std::vector<int64_t> values(1 + random() % 50);
    for (int64_t& v : values) v = static_cast<int64_t>(random() % 2001) - 1000;
    Accumulator all(kSigned);
    for (const int64_t v : values) all.Add(v);
    const int64_t sum = std::accumulate(values.begin(), values.end(), int64_t{0});
    EXPECT_EQ(all.Result(Aggregate::kSum), sum);
    EXPECT_EQ(all.Result(Aggregate::kAvg), sum / static_cast<int64_t>(values.size()));
    EXPECT_EQ(all.Result(Aggregate::kMin), std::ranges::min(values));
    EXPECT_EQ(all.Result(Aggregate::kMax), std::ranges::max(values));
    EXPECT_EQ(all.Result(Aggregate::kCountZero), std::ranges::count(values, 0));
  }
}

// --- over sources ---

// Two sources below one, with the numbers that the first statsfs was tested with.
class AggregateTest : public StatsfsTest {
 protected:
  void SetUp() override {
    StatsfsTest::SetUp();
    a_ = {.b = true, .u8 = 127, .s16 = 10000, .s32 = numeric_limits<int32_t>::min(), .u64 = 64};
    b_ = {.b = false, .u8 = 255, .s16 = -20000, .s32 = numeric_limits<int16_t>::max(), .u64 = 64};
    top_ = Add("top", Aggregates<kNumberFields>());
  }
  void TearDown() override {
    top_ = Source();
    StatsfsTest::TearDown();
  }
  // What the numbers of a_ and b_ give together.
  void ExpectBoth(const std::string& in = "top") {
    EXPECT_EQ(Text(in + "/sum/u64"), "128");
    EXPECT_EQ(Text(in + "/min/s32"), "-2147483648");
    EXPECT_EQ(Text(in + "/count_zero/b"), "1");
    EXPECT_EQ(Text(in + "/avg/u8"), "191");
    EXPECT_EQ(Text(in + "/max/s16"), "10000");
  }

  Numbers a_, b_;
  Source top_;
};

TEST_F(AggregateTest, EachIsADirectoryWithAFileForEachValue) {
  EXPECT_THAT(Names("top"), Holds(ElementsAre("avg", "count_zero", "max", "min", "sum")));
  EXPECT_THAT(Names("top/sum"),
              Holds(ElementsAre("b", "s16", "s32", "s64", "s8", "u16", "u32", "u64", "u8")));
  EXPECT_EQ(ModeOf("top/sum"), 0755u);
  EXPECT_EQ(ModeOf("top/sum/u64"), 0444u) << "of what cannot be cleared";
}

TEST_F(AggregateTest, OfNoSourceEachIsZero) {
  for (const char* file :
       {"sum/u64", "min/s32", "max/b", "max/s64", "min/u64", "avg/u8", "count_zero/b"}) {
    EXPECT_EQ(Text("top/" + std::string(file)), "0") << file;
  }
}

TEST_F(AggregateTest, OverTwoSourcesBelow) {
  const Source a = top_.Add("a", Values<kNumberFields>(a_)).value();
  const Source b = top_.Add("b", Values<kNumberFields>(b_)).value();
  ExpectBoth();
}

TEST_F(AggregateTest, OverItsOwnValuesAndThoseBelow) {
  const Source own = Add("own", Values<kNumberFields>(a_).WithAggregates());
  EXPECT_EQ(Text("own/sum/u64"), "64");
  EXPECT_EQ(Text("own/max/s16"), "10000");
  const Source b = own.Add("below", Values<kNumberFields>(b_)).value();
  ExpectBoth("own");
  EXPECT_EQ(Text("own/u64"), "64") << "a value is its own";
}

TEST_F(AggregateTest, OverSourcesAtAnyDepthWhateverStandsBetween) {
  Counts counts;
  const Source folder = top_.Add("folder", Folder()).value();
  const Source other = folder.Add("other", Values<kCountFields>(counts)).value();
  const Source a = other.Add("a", Values<kNumberFields>(a_)).value();
  const Source below = a.Add("below", Aggregates<kNumberFields>()).value();
  const Source b = below.Add("b", Values<kNumberFields>(b_)).value();
  ExpectBoth();
  EXPECT_EQ(Text("top/folder/other/a/below/sum/u64"), "64") << "of b alone";
}

TEST_F(AggregateTest, OverNoSourceBesideAndNoOtherSchema) {
  Counts counts;
  counts.hits.Add(1000);
  const Source beside = Add("beside", Values<kNumberFields>(a_));
  const Source other = top_.Add("other", Values<kCountFields>(counts)).value();
  EXPECT_EQ(Text("top/sum/u64"), "0");
  EXPECT_EQ(Text("top/sum/hits"), "ENOENT");
}

TEST_F(AggregateTest, WhoGoesIsNotCountedAnyMore) {
  Source a = top_.Add("a", Values<kNumberFields>(a_)).value();
  Source b = top_.Add("b", Values<kNumberFields>(b_)).value();
  EXPECT_EQ(Text("top/sum/u64"), "128");
  a = Source();
  EXPECT_EQ(Text("top/sum/u64"), "64");
  b = Source();
  EXPECT_EQ(Text("top/sum/u64"), "0");
  a = top_.Add("a", Values<kNumberFields>(a_)).value();
  EXPECT_EQ(Text("top/sum/u64"), "64");
  b = top_.Add("b", Values<kNumberFields>(b_)).value();
  ExpectBoth();
}

TEST_F(AggregateTest, OneStructMayBeShownTwiceAndIsThenCountedTwice) {
  const Source a = top_.Add("a", Values<kNumberFields>(a_)).value();
  const Source again = top_.Add("again", Values<kNumberFields>(a_)).value();
  EXPECT_EQ(Text("top/sum/u64"), "128");
  EXPECT_EQ(Text("top/avg/u64"), "64");
}

TEST_F(AggregateTest, SumsOfSignedNumbersGoBelowZero) {
  a_.s64 = 5, b_.s64 = -12;
  const Source a = top_.Add("a", Values<kNumberFields>(a_)).value();
  const Source b = top_.Add("b", Values<kNumberFields>(b_)).value();
  EXPECT_EQ(Text("top/sum/s64"), "-7");
  EXPECT_EQ(Text("top/avg/s64"), "-3") << "towards zero";
}

// --- clearing ---

TEST_F(AggregateTest, ClearingOneClearsAllItIsMadeOf) {
  Counts x, y, beside;
  x.hits.Add(3), y.hits.Add(4), beside.hits.Add(5), x.Hold(6);
  const Source group = Add("group", Values<kCountFields>(x).WithAggregates());
  const Source below = group.Add("below", Values<kCountFields>(y)).value();
  const Source other = Add("other", Values<kCountFields>(beside));
  EXPECT_EQ(Text("group/sum/hits"), "7");
  EXPECT_EQ(ModeOf("group/sum/hits"), 0644u);
  EXPECT_THAT(Write("group/max/hits", "1"), FailsWith(Errno::kInval));
  EXPECT_OK(Write("group/max/hits", "0"));
  for (const char* file : {"group/hits", "group/below/hits", "group/sum/hits", "group/min/hits"}) {
    EXPECT_EQ(Text(file), "0") << file;
  }
  EXPECT_EQ(Text("group/count_zero/hits"), "2");
  EXPECT_EQ(Text("group/sum/most"), "6");
  EXPECT_EQ(Text("other/hits"), "5");
  EXPECT_THAT(Write("group/sum/held", "0"), FailsWith(Errno::kPerm));
}

// --- tables ---

TEST_F(AggregateTest, OverTheRowsOfATableAndOfTablesBelow) {
  TestRows rows;
  rows.Add("x").hits.Add(3);
  rows.Add("y");
  Counts counts;
  counts.hits.Add(10);
  const Source group = Add("group", Values<kCountFields>(counts).WithAggregates());
  const Source table = group.Add("table", Table<kCountFields>(rows)).value();
  EXPECT_EQ(Text("group/table/sum/hits"), "3");
  EXPECT_EQ(Text("group/table/count_zero/hits"), "1");
  EXPECT_EQ(Text("group/sum/hits"), "13");
  EXPECT_EQ(Text("group/min/hits"), "0");
  EXPECT_EQ(Text("group/avg/hits"), "4");
}

TEST_F(AggregateTest, WhatHasRowsInItIsNotCleared) {
  TestRows rows;
  rows.Add("x").hits.Add(3);
  Counts counts;
  counts.hits.Add(10);
  const Source group = Add("group", Values<kCountFields>(counts).WithAggregates());
  const Source table = group.Add("table", Table<kCountFields>(rows)).value();
  EXPECT_THAT(Write("group/sum/hits", "0"), FailsWith(Errno::kPerm));
  EXPECT_THAT(Write("group/table/sum/hits", "0"), FailsWith(Errno::kPerm));
  EXPECT_EQ(Text("group/sum/hits"), "13");
  EXPECT_EQ(Text("group/hits"), "10");
}

}  // namespace
}  // namespace dentree::statsfs
