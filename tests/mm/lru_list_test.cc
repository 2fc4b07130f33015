#include "mm/lru_list.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace dentree::mm {
namespace {

struct Page {
  int id = 0;
  LruLink lru;
  bool referenced = false;
};
using Lru = LruList<Page, &Page::lru>;

template <size_t kCount>
struct Pages {
  Pages() {
    for (size_t i = 0; i < kCount; ++i) {
      pages[i].id = static_cast<int>(i);
      lru.Add(pages[i]);
    }
  }
  ~Pages() {
    for (Page& page : pages) lru.Remove(page);
  }
  std::array<Page, kCount> pages;
  Lru lru;
};

LruVerdict RemoveAll(Page&) { return LruVerdict::kRemove; }

LruVerdict SecondChance(Page& page) {
  if (!page.referenced) return LruVerdict::kRemove;
  page.referenced = false;
  return LruVerdict::kRotate;
}

std::vector<int> Ids(const Isolated<Page>& isolated) {
  std::vector<int> ids;
  for (const Page* page : isolated) ids.push_back(page->id);
  return ids;
}

using Numbers = std::vector<int>;

TEST(LruList, IsolateTakesTheOldestFirst) {
  Pages<5> p;
  const auto taken = p.lru.Isolate(3, 100, RemoveAll);
  EXPECT_EQ(Ids(taken), (Numbers{0, 1, 2}));
  EXPECT_EQ(taken.scanned, 3u);
  EXPECT_EQ(p.lru.size(), 2u);
  p.lru.CheckInvariants();
}

TEST(LruList, MembershipIsKnownFromTheLink) {
  Pages<2> p;
  EXPECT_TRUE(p.pages[0].lru.OnList());
  EXPECT_TRUE(p.lru.Remove(p.pages[0]));
  EXPECT_FALSE(p.pages[0].lru.OnList());
  EXPECT_FALSE(p.lru.Remove(p.pages[0]));
  EXPECT_TRUE(p.lru.Add(p.pages[0]));
  EXPECT_FALSE(p.lru.Add(p.pages[0]));
  EXPECT_EQ(p.lru.size(), 2u);
}

TEST(LruList, WhatWasIsolatedIsOnNoList) {
  Pages<3> p;
  for (Page* page : p.lru.Isolate(64, 64, RemoveAll)) EXPECT_FALSE(page->lru.OnList());
  EXPECT_EQ(p.lru.size(), 0u);
}

TEST(LruList, AReferencedObjectGetsASecondChanceAndOnlyOne) {
  Pages<4> p;
  p.pages[0].referenced = true;
  p.pages[2].referenced = true;
  const auto first = p.lru.Isolate(64, 4, SecondChance);
  EXPECT_EQ(Ids(first), (Numbers{1, 3}));
  EXPECT_EQ(first.rotated, 2u);
  const auto second = p.lru.Isolate(64, 4, SecondChance);
  EXPECT_EQ(Ids(second), (Numbers{0, 2}));
}

TEST(LruList, ARotatedObjectIsTheNewest) {
  Pages<3> p;
  p.pages[0].referenced = true;
  EXPECT_EQ(Ids(p.lru.Isolate(1, 3, SecondChance)), (Numbers{1}));
  p.lru.CheckInvariants();
  EXPECT_EQ(Ids(p.lru.Isolate(64, 3, SecondChance)), (Numbers{2, 0}));
}

TEST(LruList, OneIsolateLooksAtNoObjectTwice) {
  Pages<10> p;
  size_t looks = 0;
  const auto taken = p.lru.Isolate(64, 1000, [&](Page&) {
    ++looks;
    return LruVerdict::kRotate;
  });
  EXPECT_EQ(looks, 10u);
  EXPECT_EQ(taken.scanned, 10u);
  EXPECT_EQ(taken.count, 0u);
  EXPECT_EQ(p.lru.size(), 10u);
  p.lru.CheckInvariants();
}

TEST(LruList, ASkippedObjectKeepsItsPlace) {
  Pages<3> p;
  const auto taken = p.lru.Isolate(
      64, 3, [](Page& page) { return page.id == 1 ? LruVerdict::kSkip : LruVerdict::kRotate; });
  EXPECT_EQ(taken.skipped, 1u);
  EXPECT_EQ(Ids(p.lru.Isolate(64, 3, RemoveAll)), (Numbers{1, 0, 2}));
}

TEST(LruList, IsolateTakesNoMoreThan64) {
  Pages<200> p;
  const auto taken = p.lru.Isolate(1000, 1000, RemoveAll);
  EXPECT_EQ(taken.count, 64u);
  EXPECT_EQ(p.lru.size(), 136u);
}

TEST(LruList, IsolateLooksAtNoMoreThanAsked) {
  Pages<100> p;
  const auto taken = p.lru.Isolate(64, 7, [](Page&) { return LruVerdict::kSkip; });
  EXPECT_EQ(taken.scanned, 7u);
}

TEST(LruList, NothingIsTakenFromAnEmptyOne) {
  Lru lru;
  EXPECT_EQ(lru.Isolate(64, 64, RemoveAll).count, 0u);
  lru.CheckInvariants();
}

TEST(LruList, WhatNobodyUsedForAllItsEpochsIsOld) {
  Pages<3> p;
  const auto old = [&p] { return Ids(p.lru.Isolate(64, 64, RemoveAll, LruAge::kOld)); };
  for (size_t epoch = 0; epoch + 1 < Lru::kEpochs; ++epoch) p.lru.NextEpoch();
  EXPECT_EQ(old(), (Numbers{}));
  p.lru.CheckInvariants();
  p.lru.NextEpoch();
  EXPECT_EQ(old(), (Numbers{0, 1, 2}));
  EXPECT_EQ(p.lru.size(), 0u);
  p.lru.CheckInvariants();
}

TEST(LruList, WhatIsOldAndWasUsedIsYoungAgain) {
  Pages<3> p;
  p.pages[1].referenced = true;
  for (size_t epoch = 0; epoch < Lru::kEpochs; ++epoch) p.lru.NextEpoch();
  EXPECT_EQ(Ids(p.lru.Isolate(64, 64, SecondChance, LruAge::kOld)), (Numbers{0, 2}));
  EXPECT_EQ(Ids(p.lru.Isolate(64, 64, SecondChance, LruAge::kOld)), (Numbers{}));
  EXPECT_EQ(p.lru.size(), 1u);
  EXPECT_EQ(Ids(p.lru.Isolate(64, 64, SecondChance)), (Numbers{1})) << "markers are not objects";
}

}  // namespace
}  // namespace dentree::mm
