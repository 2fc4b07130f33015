#include "base/errno.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace dentree::base {
namespace {

TEST(Errno, HasTheValuesNamesAndTextsOfLinux) {
  EXPECT_EQ(std::to_underlying(Errno::kNoEnt), ENOENT);
  EXPECT_EQ(std::to_underlying(Errno::kStale), ESTALE);
  EXPECT_EQ(ErrnoName(Errno::kNoEnt), "ENOENT");
  EXPECT_EQ(ErrnoName(Errno::kOpNotSupp), "EOPNOTSUPP");
  EXPECT_EQ(ErrnoText(Errno::kNoEnt), "No such file or directory");
  EXPECT_EQ(ErrnoText(Errno::kNotEmpty), "Directory not empty");
}

TEST(Errno, UnknownValuesHaveANameToo) {
  EXPECT_EQ(ErrnoName(static_cast<Errno>(4000)), "E?");
  EXPECT_EQ(ErrnoText(static_cast<Errno>(4000)), "Unknown error");
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Err(Errno::kInval);
  return n / 2;
}
Result<int> Quarter(int n) { return TRY(Half(TRY(Half(n)))); }
Status MustBeEven(int n) {
  TRY(Half(n));
  return {};
}
Status Twice(int n) {
  TRY(MustBeEven(n));
  TRY(MustBeEven(n / 2));
  return {};
}
Result<std::unique_ptr<std::string>> Make() { return std::make_unique<std::string>("moved"); }
Result<std::string> Text() {
  std::unique_ptr<std::string> made = TRY(Make());
  return *made;
}

TEST(Try, GivesTheValueOrReturnsTheError) {
  EXPECT_EQ(Quarter(12), 3);
  EXPECT_EQ(Quarter(6), std::unexpected(Errno::kInval));
  EXPECT_EQ(Quarter(7), std::unexpected(Errno::kInval));
}

TEST(Try, WorksOnStatuses) {
  EXPECT_TRUE(Twice(4));
  EXPECT_EQ(Twice(6), std::unexpected(Errno::kInval));
}

TEST(Try, MovesTheValueOut) { EXPECT_EQ(Text(), "moved"); }

}  // namespace
}  // namespace dentree::base
