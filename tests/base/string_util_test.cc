#include "base/string_util.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unordered_map>

namespace dentree::base {
namespace {

using ::testing::ElementsAre;

constexpr auto kInval = std::unexpected(Errno::kInval);
constexpr auto kRange = std::unexpected(Errno::kRange);

TEST(ParseU64, TakesAWholeNumberAndNothingElse) {
  EXPECT_EQ(ParseU64("0"), 0u);
  EXPECT_EQ(ParseU64("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseU64("ff", 16), 255u);
  EXPECT_EQ(ParseU64("18446744073709551616"), kRange);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1\n", "one"}) {
    EXPECT_EQ(ParseU64(bad), kInval) << bad;
  }
}

TEST(ParseI64, KnowsTheLimits) {
  EXPECT_EQ(ParseI64("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(ParseI64("9223372036854775808"), kRange);
}

TEST(ParseControlU64, TakesWhatAControlFileTakes) {
  EXPECT_EQ(ParseControlU64("10"), 10u);
  EXPECT_EQ(ParseControlU64("10\n"), 10u);
  EXPECT_EQ(ParseControlU64("+10"), 10u);
  EXPECT_EQ(ParseControlU64("0x1F\n"), 31u);
  EXPECT_EQ(ParseControlU64("010"), 8u);
  EXPECT_EQ(ParseControlU64("0"), 0u);
  EXPECT_EQ(ParseControlU64("0xffffffffffffffff"), UINT64_MAX);
  EXPECT_EQ(ParseControlU64("0x10000000000000000"), kRange);
  for (const char* bad :
       {"", "\n", "10\n\n", " 10", "10 ", "-1", "0x", "08", "+", "++1", "+-1", "0x-1"}) {
    EXPECT_EQ(ParseControlU64(bad), kInval) << bad;
  }
}

TEST(ParseControlI64, TakesOneSign) {
  EXPECT_EQ(ParseControlI64("-0x10\n"), -16);
  EXPECT_EQ(ParseControlI64("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(ParseControlI64("-9223372036854775809"), kRange);
  EXPECT_EQ(ParseControlI64("9223372036854775808"), kRange);
  EXPECT_EQ(ParseControlI64("--1"), kInval);
  EXPECT_EQ(ParseControlI64("-+1"), kInval);
}

TEST(ParseControlBool, LooksAtTheFirstLetters) {
  for (const char* yes : {"1", "y", "Yes", "t", "T", "on", "ON", "1\n", "1x"}) {
    EXPECT_EQ(ParseControlBool(yes), true) << yes;
  }
  for (const char* no : {"0", "n", "No", "f", "off", "OF"})
    EXPECT_EQ(ParseControlBool(no), false) << no;
  for (const char* bad : {"", "2", "o", "ok", "x"}) EXPECT_EQ(ParseControlBool(bad), kInval) << bad;
}

TEST(Trim, TakesWhiteSpaceOffBothEnds) {
  EXPECT_EQ(Trim(" \t a b\n"), "a b");
  EXPECT_EQ(Trim(" \n"), "");
  EXPECT_EQ(Trim(""), "");
}

TEST(Split, KeepsEmptyPieces) {
  EXPECT_THAT(Split("a,,b", ','), ElementsAre("a", "", "b"));
  EXPECT_THAT(Split("", ','), ElementsAre(""));
  EXPECT_THAT(Split(",", ','), ElementsAre("", ""));
}

TEST(NextToken, TakesOnePieceAfterAnother) {
  std::string_view rest = "a:b";
  EXPECT_EQ(NextToken(rest, ':'), "a");
  EXPECT_EQ(NextToken(rest, ':'), "b");
  EXPECT_EQ(rest, "");
}

TEST(GlobMatch, KnowsStarsQuestionMarksAndSets) {
  EXPECT_TRUE(GlobMatch("mm:*:dentry", "mm:alloc:dentry"));
  EXPECT_TRUE(GlobMatch("*", ".hidden/x"));
  EXPECT_TRUE(GlobMatch("a?[0-9]", "ab1"));
  EXPECT_FALSE(GlobMatch("a?", "a"));
}

TEST(StringHash, MapsAreSearchedWithoutMakingAString) {
  std::unordered_map<std::string, int, StringHash, StringEq> map = {{"key", 1}};
  EXPECT_EQ(map.find(std::string_view("key"))->second, 1);
}

}  // namespace
}  // namespace dentree::base
