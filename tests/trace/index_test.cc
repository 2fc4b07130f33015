// IdOrder, NameTable and IndexPool, compared with the plainest thing that does the same.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "base/rcu.h"
#include "trace/id_order.h"
#include "trace/index_pool.h"
#include "trace/name_table.h"

namespace dentree::trace {
namespace {

struct Thing {
  uint64_t id_, hash_;
  uint64_t id() const { return id_; }
  uint64_t hash() const { return hash_; }
};

class IndexTest : public ::testing::Test {
 protected:
  ~IndexTest() override { rcu.Drain(); }
  base::RcuDomain rcu;
  std::mt19937_64 random{7};
};

TEST_F(IndexTest, IdOrderAnswersAsASortedMapDoes) {
  IdOrder<Thing> order;
  std::map<uint64_t, std::unique_ptr<Thing>> model;
  uint64_t last_id = 0;
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 == 0 || model.empty()) {
      auto thing = std::make_unique<Thing>(Thing{last_id += 1 + random() % 3, 0});
      ASSERT_TRUE(order.Reserve(rcu, 1).has_value());
      order.Append(thing.get());
      model[last_id] = std::move(thing);
    } else {
      auto victim = model.lower_bound(random() % (last_id + 1));
      if (victim == model.end()) victim = model.begin();
      order.Remove(rcu, victim->second.get());
      model.erase(victim);
    }
    const uint64_t probe = random() % (last_id + 2);
    const auto next = model.upper_bound(probe);
    ASSERT_EQ(order.Next(probe), next == model.end() ? nullptr : next->second.get());
    const auto found = model.find(probe);
    ASSERT_EQ(order.Find(probe), found == model.end() ? nullptr : found->second.get());
    ASSERT_EQ(order.size(), model.size());
  }
}

TEST_F(IndexTest, IdOrderFindsNothingAtTheEdges) {
  IdOrder<Thing> order;
  EXPECT_EQ(order.Find(0), nullptr);
  EXPECT_EQ(order.Next(0), nullptr);
  Thing thing{5, 0};
  ASSERT_TRUE(order.Reserve(rcu, 1).has_value());
  order.Append(&thing);
  EXPECT_EQ(order.Find(0), nullptr);
  EXPECT_EQ(order.Find(UINT64_MAX), nullptr);
  EXPECT_EQ(order.Next(UINT64_MAX), nullptr);
  EXPECT_EQ(order.Next(5), nullptr);
  EXPECT_EQ(order.Next(4), &thing);
}

TEST_F(IndexTest, IdOrderStaysSmallWhenObjectsComeAndGo) {
  IdOrder<Thing> order;
  for (uint64_t id = 1; id < 100000; ++id) {
    Thing thing{id, 0};
    ASSERT_TRUE(order.Reserve(rcu, 1).has_value());
    order.Append(&thing);
    order.Remove(rcu, &thing);
  }
  EXPECT_LE(order.bytes(), 256u);
}

// Few different hashes, so that objects stand in each other's way.
TEST_F(IndexTest, NameTableAnswersAsAMapDoes) {
  NameTable<Thing> table;
  std::map<uint64_t, std::unique_ptr<Thing>> model;
  auto find = [&](uint64_t id) {
    return table.Find(id % 13, [&](const Thing& thing) { return thing.id_ == id; });
  };
  for (int step = 0; step < 20000; ++step) {
    const uint64_t id = random() % 300;
    const auto found = model.find(id);
    ASSERT_EQ(find(id), found == model.end() ? nullptr : found->second.get());
    if (found != model.end()) {
      table.Remove(found->second.get());
      model.erase(found);
    } else {
      auto thing = std::make_unique<Thing>(Thing{id, id % 13});
      ASSERT_TRUE(table.Reserve(rcu, 1).has_value());
      table.Insert(thing.get());
      model[id] = std::move(thing);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  EXPECT_LE(table.bytes(), 8u * 1024);
}

TEST_F(IndexTest, AnIndexGivenBackWaitsForAGracePeriod) {
  IndexPool pool(rcu, 100);
  EXPECT_EQ(pool.Take().value(), 0u);
  EXPECT_EQ(pool.Take().value(), 1u);
  pool.Give(0);
  {
    base::RcuReadGuard guard(rcu);
    std::set<uint32_t> taken;
    EXPECT_EQ(pool.Take().value(), 2u);
  }
  rcu.Synchronize();
  EXPECT_EQ(pool.Take().value(), 0u);
  EXPECT_EQ(pool.high_water(), 3u);
}

TEST_F(IndexTest, AnIndexIsNeverHeldTwice) {
  IndexPool pool(rcu, 50);
  std::set<uint32_t> held;
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 == 0) {
      const auto taken = pool.Take();
      if (!taken) continue;
      ASSERT_TRUE(held.insert(*taken).second);
      ASSERT_LT(*taken, 50u);
    } else if (!held.empty()) {
      pool.Give(*held.begin());
      held.erase(held.begin());
    }
    if (step % 64 == 0) rcu.Synchronize();
  }
}

TEST_F(IndexTest, AFullPoolSaysSo) {
  IndexPool pool(rcu, 1);
  ASSERT_TRUE(pool.Take().has_value());
  EXPECT_EQ(pool.Take().error(), base::Errno::kNoSpc);
}

}  // namespace
}  // namespace dentree::trace
