#include "base/hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace dentree::base {
namespace {

constexpr HashKey kKey{{0x0123456789abcdef, 0xfedcba9876543210}};

std::string Numbered(const char* prefix, int number) {
  std::string name = prefix;
  name += std::to_string(number);
  return name;
}

// Chi-squared of the names over 1,024 buckets, in standard deviations from what chance gives.
double Skew(const std::vector<uint64_t>& hashes, int shift) {
  std::vector<double> buckets(1024);
  for (const uint64_t hash : hashes) ++buckets[hash >> shift & 1023];
  const double expected = static_cast<double>(hashes.size()) / 1024;
  double chi = 0;
  for (const double n : buckets) chi += (n - expected) * (n - expected) / expected;
  return (chi - 1023) / std::sqrt(2 * 1023.0);
}

TEST(HashName, SpreadsSimilarNamesEvenlyInHighAndLowBits) {
  for (const char* prefix :
       {"", "f", "file_", "a_rather_long_prefix_", "0123456789012345678901234567890123"}) {
    std::vector<uint64_t> hashes;
    for (int i = 0; i < 50'000; ++i) hashes.push_back(HashName(kKey, 7, Numbered(prefix, i)));
    for (const int shift : {0, 10, 27, 54}) {
      EXPECT_LT(std::abs(Skew(hashes, shift)), 5) << prefix << " >> " << shift;
    }
  }
}

// Every event directory has an "enable". With a weak last step one key in a hundred is skewed by
// hundreds.
TEST(HashName, SpreadsOneNameOverManyDirectoriesUnderEveryKey) {
  for (const uint64_t distance : {1, 128, 4096}) {
    for (int i = 0; i < 300; ++i) {
      const HashKey key{{Mix64(i), Mix64(i + 1'000'000)}};
      const std::string name = Numbered("enable", i);
      std::vector<uint64_t> hashes;
      for (uint64_t parent = 0; parent < 5000; ++parent) {
        hashes.push_back(HashName(key, 0x7f0000000000 + parent * distance, name));
      }
      ASSERT_LT(Skew(hashes, 0), 6) << distance << " key " << i;
      ASSERT_LT(Skew(hashes, 54), 6) << distance << " key " << i;
    }
  }
}

TEST(HashName, EveryBitOfTheNameChangesAboutHalfOfTheHash) {
  for (const size_t length :
       {1u, 2u, 3u, 4u, 7u, 8u, 9u, 16u, 17u, 31u, 32u, 33u, 48u, 100u, 255u}) {
    const std::string name(length, 'x');
    const uint64_t hash = HashName(kKey, 1, name);
    double flipped = 0;
    for (size_t bit = 0; bit < 8 * length; ++bit) {
      std::string other = name;
      other[bit / 8] = static_cast<char>(other[bit / 8] ^ 1 << bit % 8);
      const int changed = std::popcount(hash ^ HashName(kKey, 1, other));
      EXPECT_GT(changed, 8) << length << " bit " << bit;
      flipped += changed;
    }
    EXPECT_NEAR(flipped / static_cast<double>(8 * length), 32, 4) << length;
  }
}

TEST(HashName, LengthIsPartOfTheName) {
  std::set<uint64_t> hashes;
  for (size_t length = 0; length <= 255; ++length) {
    hashes.insert(HashName(kKey, 1, std::string(length, '\0')));
  }
  EXPECT_EQ(hashes.size(), 256u);
}

TEST(HashName, CollisionsUnderOneKeyAreNotCollisionsUnderAnother) {
  // Names in one bucket of 256 under one key are what an attacker who knows the key would make.
  std::vector<std::string> bucket;
  for (int i = 0; bucket.size() < 300; ++i) {
    std::string name = Numbered("n", i);
    if ((HashName(kKey, 1, name) & 255) == 0) bucket.push_back(name);
  }
  const HashKey other = HashKey::Random();
  std::set<uint64_t> buckets;
  for (const std::string& name : bucket) buckets.insert(HashName(other, 1, name) & 255);
  EXPECT_GT(buckets.size(), 150u);
}

TEST(HashName, ReadsNothingOutsideTheName) {
  // Each name alone on the heap, so that address sanitizer sees a byte too far on either side.
  for (size_t length = 0; length <= 80; ++length) {
    const auto exact = std::make_unique<char[]>(length);
    std::fill_n(exact.get(), length, 'q');
    const std::string inside = "pad" + std::string(length, 'q') + "pad";
    EXPECT_EQ(HashName(kKey, 3, {exact.get(), length}),
              HashName(kKey, 3, std::string_view(inside).substr(3, length)));
  }
}

TEST(HashKey, IsDifferentEachTime) {
  EXPECT_NE(HashKey::Random().seed[0], HashKey::Random().seed[0]);
}

TEST(Mix64, SpreadsCountersAndPointers) {
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < 50'000; ++i) hashes.push_back(Mix64(0x7f0000000000 + 128 * i));
  EXPECT_LT(std::abs(Skew(hashes, 0)), 5);
  EXPECT_LT(std::abs(Skew(hashes, 54)), 5);
}

}  // namespace
}  // namespace dentree::base
