#include "bench/limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace dentree::bench {
namespace {

// Names of 1 to 16 bytes, and paths that end before, at and behind the end of a line.
std::vector<std::string> Some() {
  std::vector<std::string> paths = {"/a", "/ab", "/abc", "/abcd", "/abcdefgh", "/a23456789abcdefg"};
  for (size_t size = 60; size < 70; ++size) {
    std::string path;
    while (path.size() + 9 <= size) path += "/" + std::to_string(1'000'000 + size) + "x";
    if (path.size() < size) path += "/" + std::string(size - path.size() - 1, 'y');
    if (path.ends_with('/')) path += 'z';
    paths.push_back(path);
  }
  return paths;
}

class LimitFinds : public testing::TestWithParam<Limit::Layout> {};

TEST_P(LimitFinds, EachPathAndItsDirectoriesAndNothingElse) {
  const std::vector<std::string> paths = Some();
  const Limit limit(GetParam(), paths);
  std::set<uint64_t> ids;
  for (const std::string& path : paths) {
    ids.insert(limit.Find(path));
    EXPECT_EQ(limit.Find(path + "/none"), 0u) << path;
    EXPECT_EQ(limit.Find("/none" + path), 0u) << path;
    const std::string above = path.substr(0, path.rfind('/'));
    if (!above.empty()) {
      EXPECT_NE(limit.Find(above), 0u) << above;
    }
  }
  EXPECT_EQ(ids.size(), paths.size());
  EXPECT_FALSE(ids.contains(0));
}

TEST_P(LimitFinds, NothingIsLostAmongManyNames) {
  std::vector<std::string> paths;
  for (int i = 0; i < 5000; ++i) {
    paths.push_back("/" + std::to_string(i % 7) + "/" + std::to_string(i));
  }
  const Limit limit(GetParam(), paths);
  std::set<uint64_t> ids;
  for (const std::string& path : paths) ids.insert(limit.Find(path));
  EXPECT_EQ(ids.size(), paths.size());
  EXPECT_FALSE(ids.contains(0));
}

INSTANTIATE_TEST_SUITE_P(Layouts, LimitFinds,
                         testing::Values(Limit::Layout::kEntries, Limit::Layout::kSlots));

TEST(Limit, GoesOnInACircle) {
  const std::vector<std::string> texts = {"/a1", "/b2", "/c3"};
  const Limit limit(Limit::Layout::kEntries, texts);
  const Paths paths(texts);
  size_t at = 1;
  limit.LookUp<Pace::kThroughput>(paths, at, 4);
  EXPECT_EQ(at, 2u);
  limit.LookUp<Pace::kLatency>(paths, at, 1);
  EXPECT_EQ(at, 0u);
}

TEST(Paths, BeginALineEachAndKeepTheirText) {
  const std::vector<std::string> texts = {std::string(64, 'a'), std::string(64, 'b')};
  const Paths paths(texts);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(paths[i], texts[i]);
    EXPECT_EQ(paths.at(i)[64], 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(paths.at(i)) % Paths::kLine, 0u);
  }
}

}  // namespace
}  // namespace dentree::bench
