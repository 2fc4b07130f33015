#include "trace/enable_matrix.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rcu.h"
#include "trace/instance.h"

namespace dentree::trace {
namespace {

class EnableMatrixTest : public ::testing::Test {
 protected:
  ~EnableMatrixTest() override { rcu.Drain(); }

  // Stands for an instance; the matrix never looks inside.
  static Instance* Fake(uintptr_t number) {
    return reinterpret_cast<Instance*>(number * alignof(Instance));
  }

  std::vector<uintptr_t> InstancesOf(uint32_t slot) {
    std::vector<uintptr_t> found;
    matrix.ForEachInstance(slot, [&](Instance& i) {
      found.push_back(reinterpret_cast<uintptr_t>(&i) / alignof(Instance));
    });
    return found;
  }

  base::RcuDomain rcu;
  EnableMatrix matrix;
};

TEST_F(EnableMatrixTest, TakesNoMemoryUntilSomethingIsReserved) {
  EXPECT_EQ(matrix.bytes(), 0u);
  EXPECT_FALSE(matrix.Test(0, 0));
  EXPECT_FALSE(matrix.Clear(5, UINT32_MAX));
  EXPECT_TRUE(matrix.RowEmpty(7));
  EXPECT_TRUE(InstancesOf(0).empty());
}

TEST_F(EnableMatrixTest, ABitIsAPairOfEventAndInstance) {
  ASSERT_TRUE(matrix.Reserve(rcu, 10, 3).has_value());
  matrix.SetInstance(0, Fake(100));
  matrix.SetInstance(2, Fake(300));
  EXPECT_TRUE(matrix.Set(4, 0));
  EXPECT_FALSE(matrix.Set(4, 0));
  EXPECT_TRUE(matrix.Set(4, 2));
  EXPECT_TRUE(matrix.Set(9, 2));
  EXPECT_EQ(InstancesOf(4), (std::vector<uintptr_t>{100, 300}));
  EXPECT_EQ(InstancesOf(9), (std::vector<uintptr_t>{300}));
  EXPECT_TRUE(InstancesOf(5).empty());
  EXPECT_TRUE(matrix.Clear(4, 0));
  EXPECT_FALSE(matrix.Clear(4, 0));
  EXPECT_FALSE(matrix.RowEmpty(4));
  EXPECT_TRUE(matrix.Clear(4, 2));
  EXPECT_TRUE(matrix.RowEmpty(4));
  EXPECT_TRUE(matrix.Test(9, 2));
}

TEST_F(EnableMatrixTest, GrowingEitherWayKeepsEveryBit) {
  uint32_t slots = 1, columns = 1;
  std::vector<std::pair<uint32_t, uint32_t>> set;
  while (slots < 3000) {
    ASSERT_TRUE(matrix.Reserve(rcu, slots, columns).has_value());
    matrix.SetInstance(columns - 1, Fake(columns));
    ASSERT_TRUE(matrix.Set(slots - 1, columns - 1));
    set.emplace_back(slots - 1, columns - 1);
    slots += 37;
    columns += 3;
  }
  for (const auto& [slot, column] : set) {
    EXPECT_TRUE(matrix.Test(slot, column));
    EXPECT_EQ(InstancesOf(slot), (std::vector<uintptr_t>{column + 1}));
  }
}

TEST_F(EnableMatrixTest, AnInstanceThatWentAwayGetsNothing) {
  ASSERT_TRUE(matrix.Reserve(rcu, 1, 1).has_value());
  matrix.SetInstance(0, Fake(100));
  matrix.Set(0, 0);
  matrix.SetInstance(0, nullptr);
  EXPECT_TRUE(InstancesOf(0).empty());
}

TEST_F(EnableMatrixTest, SixtyFourInstancesCostEightBytesPerEvent) {
  ASSERT_TRUE(matrix.Reserve(rcu, 2323, 64).has_value());
  EXPECT_LE(matrix.bytes(), 2323u * 8 + 64 * 8 + 64);
}

}  // namespace
}  // namespace dentree::trace
