#include "base/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/rcu_list.h"

namespace dentree::base {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Item {
  explicit Item(int v) : value(v) {}

  int value;
  ListNode first;
  ListNode second;
  RcuHNode hash;
};
using Items = List<Item, &Item::first>;
using OtherItems = List<Item, &Item::second>;
using Bucket = RcuHList<Item, &Item::hash>;

// A tree names its own member in its own class.
struct Tree {
  ListNode sibling;
  List<Tree, &Tree::sibling> children;
};

template <class L>
std::vector<int> Values(L& list) {
  std::vector<int> values;
  for (Item& item : list) values.push_back(item.value);
  return values;
}

class ListTest : public ::testing::Test {
 protected:
  ListTest() {
    for (Item& item : items_) list_.PushBack(item);
  }
  ~ListTest() override {
    list_.CheckInvariants();
    while (list_.PopFront() != nullptr) {
    }
  }

  std::array<Item, 4> items_{Item(1), Item(2), Item(3), Item(4)};
  Items list_;
};

TEST_F(ListTest, KeepsOrder) {
  EXPECT_THAT(Values(list_), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(list_.Count(), 4u);
  EXPECT_EQ(list_.front().value, 1);
  EXPECT_EQ(list_.back().value, 4);
}

TEST_F(ListTest, RemovesWithoutKnowingTheList) {
  Items::Remove(items_[1]);
  EXPECT_THAT(Values(list_), ElementsAre(1, 3, 4));
  EXPECT_FALSE(items_[1].first.linked());
}

TEST_F(ListTest, TheCurrentOneMayBeRemovedWhileIterating) {
  for (Item& item : list_) {
    if (item.value % 2 == 0) Items::Remove(item);
  }
  EXPECT_THAT(Values(list_), ElementsAre(1, 3));
}

TEST_F(ListTest, MovesToEitherEnd) {
  list_.MoveToFront(items_[2]);
  list_.MoveToBack(items_[0]);
  EXPECT_THAT(Values(list_), ElementsAre(3, 2, 4, 1));
}

TEST_F(ListTest, InsertsBesideAnother) {
  Items::Remove(items_[3]);
  Items::InsertAfter(items_[3], items_[0]);
  EXPECT_THAT(Values(list_), ElementsAre(1, 4, 2, 3));
  Items::Remove(items_[3]);
  Items::InsertBefore(items_[3], items_[0]);
  EXPECT_THAT(Values(list_), ElementsAre(4, 1, 2, 3));
}

TEST_F(ListTest, TakesAllOfAnother) {
  Items other;
  Item five(5);
  other.PushBack(five);
  other.TakeAll(list_);
  EXPECT_THAT(Values(other), ElementsAre(5, 1, 2, 3, 4));
  EXPECT_TRUE(list_.empty());
  list_.TakeAll(other);
  other.TakeAll(other);
  other.CheckInvariants();
  EXPECT_TRUE(other.empty());
  Items::Remove(five);
}

TEST_F(ListTest, OneObjectMayBeOnTwoLists) {
  OtherItems other;
  other.PushFront(items_[0]);
  other.PushFront(items_[1]);
  EXPECT_THAT(Values(other), ElementsAre(2, 1));
  EXPECT_THAT(Values(list_), ElementsAre(1, 2, 3, 4));
  other.PopFront();
  other.PopBack();
}

TEST_F(ListTest, NextAndPrevEndInNull) {
  EXPECT_EQ(list_.Next(items_[0]), &items_[1]);
  EXPECT_EQ(list_.Next(items_[3]), nullptr);
  EXPECT_EQ(list_.Prev(items_[0]), nullptr);
}

TEST(List, PopsInOrderUntilEmpty) {
  Items list;
  Item one(1);
  Item two(2);
  list.PushBack(one);
  list.PushBack(two);
  EXPECT_EQ(list.PopBack(), &two);
  EXPECT_EQ(list.PopFront(), &one);
  EXPECT_EQ(list.PopFront(), nullptr);
  EXPECT_EQ(list.PopBack(), nullptr);
}

TEST(List, MembersMayBeNamedInsideTheirOwnClass) {
  Tree root;
  Tree child;
  root.children.PushBack(child);
  EXPECT_EQ(&root.children.front(), &child);
  child.sibling.Unlink();
}

TEST(RcuHList, InsertsInFrontAndRemovesAnywhere) {
  Bucket bucket;
  std::array<Item, 3> items{Item(1), Item(2), Item(3)};
  for (Item& item : items) bucket.PushFront(item);
  EXPECT_THAT(Values(bucket), ElementsAre(3, 2, 1));
  Bucket::Remove(items[1]);
  EXPECT_THAT(Values(bucket), ElementsAre(3, 1));
  Bucket::Remove(items[2]);
  Bucket::Remove(items[0]);
  EXPECT_THAT(Values(bucket), IsEmpty());
}

TEST(RcuHList, AReaderOnARemovedNodeWalksOn) {
  Bucket bucket;
  std::array<Item, 3> items{Item(1), Item(2), Item(3)};
  for (Item& item : items) bucket.PushFront(item);
  auto reader = bucket.begin();
  ++reader;
  Bucket::Remove(items[1]);
  EXPECT_EQ(reader->value, 2);
  ++reader;
  EXPECT_EQ(reader->value, 1);
  Bucket::Remove(items[0]);
  Bucket::Remove(items[2]);
}

#ifndef NDEBUG
TEST(ListDeathTest, DestroyingAListedNodeAborts) {
  EXPECT_DEATH(
      {
        Items list;
        Item item(1);
        list.PushBack(item);
      },
      "destroyed with objects on it|destroyed while on a list");
}
#endif

}  // namespace
}  // namespace dentree::base
