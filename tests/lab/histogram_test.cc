#include "lab/histogram.h"

#include "gtest/gtest.h"

namespace dentree::lab {
namespace {

TEST(HistogramTest, IsEmptyWithoutValues) {
  EXPECT_EQ(Histogram().Quantile(0.5), 0);
  EXPECT_EQ(Histogram().max(), 0);
}

TEST(HistogramTest, QuantilesAreWithinASixteenthAndTheMostIsExact) {
  Histogram histogram;
  for (uint64_t i = 1; i <= 10'000; ++i) histogram.Add(i * 100);
  for (const double q : {0.01, 0.5, 0.99, 0.9999}) {
    const double exact = q * 1e6;
    EXPECT_GE(static_cast<double>(histogram.Quantile(q)), exact * 0.999) << q;
    EXPECT_LE(static_cast<double>(histogram.Quantile(q)), exact * 17 / 16) << q;
  }
  EXPECT_EQ(histogram.max(), 1'000'000);
  EXPECT_EQ(histogram.Quantile(1), 1'000'000);
}

TEST(HistogramTest, HoldsEveryNumber) {
  Histogram histogram;
  for (const uint64_t value : {uint64_t{0}, uint64_t{15}, uint64_t{16}, UINT64_MAX}) {
    histogram.Add(value);
  }
  EXPECT_EQ(histogram.Quantile(0.25), 0);
  EXPECT_EQ(histogram.Quantile(0.5), 15);
  EXPECT_EQ(histogram.Quantile(0.75), 16);
  EXPECT_EQ(histogram.Quantile(1), UINT64_MAX);
}

TEST(HistogramTest, MergedItIsAsIfAllHadBeenAddedToOne) {
  Histogram a, b;
  a.Add(1);
  b.Add(1000);
  a.Merge(b);
  EXPECT_EQ(a.count(), 2);
  EXPECT_EQ(a.max(), 1000);
  EXPECT_EQ(a.Quantile(0.5), 1);
}

}  // namespace
}  // namespace dentree::lab
