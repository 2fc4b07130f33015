// The headers too small for a test program of their own: check, clock, refptr.

#include <gtest/gtest.h>

#include "base/base.h"

namespace dentree::base {
namespace {

TEST(CheckDeathTest, SaysWhereAndWhy) {
  EXPECT_DEATH(CHECK(1 + 1 == 3, "arithmetic"),
               "small_test.cc:[0-9]+: check failed: 1 \\+ 1 == 3: arithmetic");
}

TEST(RealClock, MonotonicTimeDoesNotGoBackAndBothTick) {
  const RealClock clock;
  const int64_t now = clock.NowNs();
  int64_t last = clock.MonotonicNs();
  for (int i = 0; i < 1000; ++i) {
    const int64_t next = clock.MonotonicNs();
    ASSERT_GE(next, last);
    last = next;
  }
  EXPECT_GT(now, int64_t{1'600'000'000} * 1'000'000'000);
}

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock(100);
  EXPECT_EQ(clock.NowNs(), 100);
  EXPECT_EQ(clock.MonotonicNs(), 0);
  clock.Advance(5);
  EXPECT_EQ(clock.NowNs(), 105);
  EXPECT_EQ(clock.MonotonicNs(), 5);
}

TEST(FakeClock, SettingTheTimeOfDayBackDoesNotTouchDurations) {
  FakeClock clock(100);
  clock.Advance(5);
  clock.SetNow(1);
  EXPECT_EQ(clock.NowNs(), 1);
  EXPECT_EQ(clock.MonotonicNs(), 5);
}

struct Counted {
  int references = 1;
  static void Get(Counted* c) { ++c->references; }
  static void Put(Counted* c) { --c->references; }
};
struct Special : Counted {};

struct Outside {
  int references = 1;
};
void Get(Outside* o) { ++o->references; }
void Put(Outside* o) { --o->references; }

TEST(Ref, AdoptsSharesCopiesMovesAndPuts) {
  Counted object;
  {
    Ref<Counted> a = Ref<Counted>::Adopt(&object);
    EXPECT_EQ(object.references, 1);
    Ref<Counted> b = a;
    EXPECT_EQ(object.references, 2);
    Ref<Counted> c = std::move(b);
    EXPECT_EQ(object.references, 2);
    EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move)
    const Ref<Counted> d = Ref<Counted>::Share(c.get());
    EXPECT_EQ(object.references, 3);
    EXPECT_EQ(c, d);
    a = nullptr;
    EXPECT_EQ(object.references, 2);
  }
  EXPECT_EQ(object.references, 0);
}

TEST(Ref, SelfAssignmentAndLeakKeepTheBooks) {
  Counted object;
  Ref<Counted> a = Ref<Counted>::Adopt(&object);
  Ref<Counted>& same = a;
  a = same;
  EXPECT_EQ(object.references, 1);
  Counted* leaked = a.Leak();
  EXPECT_EQ(leaked->references, 1);
  EXPECT_FALSE(a);
}

TEST(Ref, ConvertsToTheBaseAndFindsFunctionsBesideTheType) {
  Special special;
  {
    const Ref<Counted> base = Ref<Special>::Adopt(&special);
  }
  EXPECT_EQ(special.references, 0);
  Outside outside;
  {
    const Ref<Outside> ref = Ref<Outside>::Share(&outside);
  }
  EXPECT_EQ(outside.references, 1);
}

}  // namespace
}  // namespace dentree::base
