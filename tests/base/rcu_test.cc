#include "base/rcu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/rcu_list.h"
#include "base/sync_point.h"

#if defined(__SANITIZE_THREAD__)
#define DENTREE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DENTREE_TSAN 1
#endif
#endif

namespace dentree::base {
namespace {

using namespace std::chrono_literals;
using Barrier = RcuOptions::Barrier;

struct Object {
  int value = 0;
  std::atomic<int>* freed = nullptr;
  RcuHead rcu{};

  ~Object() {
    value = -1;
    if (freed != nullptr) freed->fetch_add(1, std::memory_order_relaxed);
  }
};

// Both ways to order readers.
class RcuTest : public ::testing::TestWithParam<Barrier> {
 protected:
  RcuDomain domain_{{.barrier = GetParam()}};
  SyncPoints points_;
  std::atomic<int> freed_ = 0;

  void RetireNew(int n) {
    for (int i = 0; i < n; ++i) {
      domain_.RetireDelete<Object, &Object::rcu>(new Object{.value = i, .freed = &freed_});
    }
  }
  // A thread inside a read section until the test releases it.
  std::jthread HoldReader() {
    points_.Stop("inside");
    std::jthread reader([this] {
      RcuReadGuard guard(domain_);
      points_.Hit("inside");
    });
    EXPECT_TRUE(points_.WaitFor("inside"));
    return reader;
  }
};
INSTANTIATE_TEST_SUITE_P(Barriers, RcuTest,
                         ::testing::Values(Barrier::kAuto, Barrier::kStoreBarrier),
                         [](const auto& p) {
                           return p.param == Barrier::kAuto ? "Membarrier" : "StoreBarrier";
                         });

TEST_P(RcuTest, ReadSectionsNest) {
  EXPECT_FALSE(domain_.InReadSection());
  {
    RcuReadGuard outer(domain_);
    {
      RcuReadGuard inner(domain_);
      EXPECT_TRUE(domain_.InReadSection());
    }
    EXPECT_TRUE(domain_.InReadSection());
  }
  EXPECT_FALSE(domain_.InReadSection());
}

TEST_P(RcuTest, SynchronizeReturnsWhenNobodyReads) {
  domain_.Synchronize();
  domain_.SynchronizeExpedited();
  EXPECT_GE(domain_.Stats().grace_periods, 2u);
}

TEST_P(RcuTest, SynchronizeWaitsForTheReaderThatWasInside) {
  std::jthread reader = HoldReader();
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    domain_.Synchronize();
    done = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(done);
  points_.Release("inside");
  writer.join();
  EXPECT_TRUE(done);
}

TEST_P(RcuTest, SynchronizeDoesNotWaitForReadersThatCameLater) {
  std::jthread reader = HoldReader();
  const uint64_t cookie = domain_.StartPoll();
  EXPECT_FALSE(domain_.Poll(cookie));
  points_.Release("inside");
  reader.join();
  // This one enters after the grace period began; it is inside all the while.
  points_.Stop("later");
  std::jthread later([this] {
    RcuReadGuard guard(domain_);
    points_.Hit("later");
  });
  ASSERT_TRUE(points_.WaitFor("later"));
  EXPECT_TRUE(domain_.Poll(cookie));
  points_.Release("later");
}

TEST_P(RcuTest, LeavingAnInnerSectionDoesNotEndTheOuter) {
  RcuReadGuard outer(domain_);
  {
    RcuReadGuard inner(domain_);
  }
  const uint64_t cookie = domain_.StartPoll();
  std::jthread([&] { EXPECT_FALSE(domain_.Poll(cookie)); }).join();
}

TEST_P(RcuTest, ACookieIsOverAfterAFullGracePeriodOnly) {
  // A cookie taken while a grace period runs needs the next one.
  std::jthread reader = HoldReader();
  const uint64_t first = domain_.StartPoll();
  EXPECT_FALSE(domain_.Poll(first));
  const uint64_t second = domain_.StartPoll();
  EXPECT_GT(second, first);
  points_.Release("inside");
  reader.join();
  EXPECT_TRUE(domain_.Poll(first));
  EXPECT_TRUE(domain_.Poll(second));
}

TEST_P(RcuTest, PollNeverWaits) {
  std::jthread reader = HoldReader();
  const uint64_t cookie = domain_.StartPoll();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(domain_.Poll(cookie));
  points_.Release("inside");
}

TEST_P(RcuTest, RetiredObjectsWaitForTheReaderThenGo) {
  std::jthread reader = HoldReader();
  RetireNew(3);
  EXPECT_EQ(domain_.Reclaim(), 0u);
  EXPECT_EQ(freed_, 0);
  EXPECT_EQ(domain_.PendingBytes(), 3 * sizeof(Object));
  points_.Release("inside");
  reader.join();
  EXPECT_EQ(domain_.Reclaim(), 3u);
  EXPECT_EQ(freed_, 3);
  EXPECT_EQ(domain_.PendingBytes(), 0u);
}

TEST_P(RcuTest, WhoRetiresAlsoFrees) {
  RetireNew(10 * RcuDomain::kBatchCallbacks);
  EXPECT_GE(freed_, 9 * static_cast<int>(RcuDomain::kBatchCallbacks));
  domain_.Drain();
  EXPECT_EQ(freed_, 10 * static_cast<int>(RcuDomain::kBatchCallbacks));
}

TEST_P(RcuTest, NothingIsFreedInsideTheRetirersOwnReadSection) {
  {
    RcuReadGuard guard(domain_);
    RetireNew(3 * RcuDomain::kBatchCallbacks);
    EXPECT_EQ(freed_, 0);
  }
  domain_.Drain();
  EXPECT_EQ(freed_, 3 * static_cast<int>(RcuDomain::kBatchCallbacks));
}

TEST_P(RcuTest, TooMuchPendingMakesTheRetirerWaitButNotForever) {
  std::jthread reader = HoldReader();
  RetireNew(RcuDomain::kMaxPendingCallbacks + 2 * RcuDomain::kBatchCallbacks);
  EXPECT_GE(domain_.Stats().throttled, 1u);
  EXPECT_EQ(freed_, 0);
  points_.Release("inside");
  reader.join();
  domain_.Drain();
  EXPECT_EQ(domain_.Stats().retired, domain_.Stats().finished);
}

TEST_P(RcuTest, ACallbackMayRetireMore) {
  struct Chain {
    RcuDomain* domain;
    int left;
    std::atomic<int>* runs;
    RcuHead rcu;
    static void Next(RcuHead* head) {
      auto* chain = ObjectOf<Chain, RcuHead, &Chain::rcu>(head);
      chain->runs->fetch_add(1, std::memory_order_relaxed);
      if (--chain->left > 0) chain->domain->Retire(head, &Next, 1);
    }
  };
  std::atomic<int> runs = 0;
  Chain chain{&domain_, 5, &runs, {}};
  domain_.Retire(&chain.rcu, &Chain::Next, 1);
  domain_.Drain();
  EXPECT_EQ(runs, 5);
}

TEST_P(RcuTest, CallbacksRunInTheOrderOfRetiring) {
  std::vector<int> order;
  struct Numbered {
    std::vector<int>* order;
    int number;
    RcuHead rcu;
  };
  std::vector<Numbered> objects;
  for (int i = 0; i < 100; ++i) objects.push_back({&order, i, {}});
  for (Numbered& object : objects) {
    domain_.Retire(
        &object.rcu,
        [](RcuHead* head) {
          auto* n = ObjectOf<Numbered, RcuHead, &Numbered::rcu>(head);
          n->order->push_back(n->number);
        },
        1);
  }
  domain_.Drain();
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(order.size(), 100u);
}

TEST_P(RcuTest, WhatAThreadThatIsGoneHasRetiredIsInherited) {
  std::jthread([&] { RetireNew(10); }).join();
  EXPECT_EQ(freed_, 0);
  // A thread with another number retires enough to look after things.
  std::barrier both(2);
  std::jthread sitter([&] {
    ThreadIndex();
    both.arrive_and_wait();
    both.arrive_and_wait();
  });
  both.arrive_and_wait();
  RetireNew(2 * RcuDomain::kBatchCallbacks);
  both.arrive_and_wait();
  domain_.Drain();
  EXPECT_EQ(freed_, 10 + 2 * static_cast<int>(RcuDomain::kBatchCallbacks));
}

TEST_P(RcuTest, AnotherThreadsBacklogCanBeReclaimedWhileItKeepsRetiring) {
  std::atomic<bool> stop = false;
  std::atomic<int> retired = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          RetireNew(7);
          retired += 7;
        }
      });
    }
    for (int i = 0; i < 300; ++i) {
      domain_.Reclaim();
      domain_.CheckInvariants();
    }
    while (retired < 100) std::this_thread::yield();
    stop = true;
  }
  domain_.Drain();
  EXPECT_EQ(freed_, retired);
  EXPECT_EQ(domain_.PendingBytes(), 0u);
}

TEST_P(RcuTest, DrainWaitsForCallbacksThatAnotherThreadRuns) {
  struct Slow {
    SyncPoints* points;
    std::atomic<bool>* finished;
    RcuHead rcu;
  };
  std::atomic<bool> finished = false;
  Slow slow{&points_, &finished, {}};
  points_.Stop("callback");
  domain_.Retire(
      &slow.rcu,
      [](RcuHead* head) {
        auto* s = ObjectOf<Slow, RcuHead, &Slow::rcu>(head);
        s->points->Hit("callback");
        *s->finished = true;
      },
      1);
  std::jthread runner([&] { domain_.Reclaim(); });
  ASSERT_TRUE(points_.WaitFor("callback"));
  std::atomic<bool> drained = false;
  std::jthread drainer([&] {
    domain_.Drain();
    EXPECT_TRUE(finished);
    drained = true;
  });
  std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(drained);
  points_.Release("callback");
}

TEST_P(RcuTest, ManySynchronizersShareGracePeriods) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) domain_.Synchronize();
      });
    }
  }
  EXPECT_LE(domain_.Stats().grace_periods, 2 * 800u);
}

TEST_P(RcuTest, MoreThreadsThanTheFirstChunkHasRoomFor) {
  constexpr int kThreads = 80;
  std::barrier together(kThreads + 1);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        ThreadIndex();
        {
          RcuReadGuard guard(domain_);
          RcuReadGuard nested(domain_);
          together.arrive_and_wait();  // all are inside
          together.arrive_and_wait();
        }
        RetireNew(1);
      });
    }
    together.arrive_and_wait();
    const uint64_t cookie = domain_.StartPoll();
    EXPECT_FALSE(domain_.Poll(cookie));
    together.arrive_and_wait();
  }
  domain_.Drain();
  EXPECT_EQ(freed_, kThreads);
}

TEST_P(RcuTest, ReadersOfABucketWalkPastWhatIsRemoved) {
  struct Entry {
    int value;
    RcuHNode hash;
    RcuHead rcu;
  };
  RcuHList<Entry, &Entry::hash> bucket;
  for (int i = 0; i < 4; ++i) bucket.PushFront(*new Entry{i, {}, {}});
  std::atomic<bool> stop = false;
  {
    std::vector<std::jthread> readers;
    for (int t = 0; t < 2; ++t) {
      readers.emplace_back([&] {
        while (!stop) {
          RcuReadGuard guard(domain_);
          for (Entry& entry : bucket) ASSERT_GE(entry.value, 0);
        }
      });
    }
    for (int i = 0; i < 5000; ++i) {
      Entry& victim = *bucket.begin();
      bucket.Remove(victim);
      domain_.RetireDelete<Entry, &Entry::rcu>(&victim);
      bucket.PushFront(*new Entry{i, {}, {}});
    }
    stop = true;
  }
  while (!bucket.empty()) {
    Entry& entry = *bucket.begin();
    bucket.Remove(entry);
    delete &entry;
  }
}

TEST(Rcu, AThreadMayOutliveADomainAndADomainItsThreads) {
  std::barrier step(2);
  std::atomic<int> freed = 0;
  std::optional<RcuDomain> domain;
  domain.emplace();
  std::jthread thread([&] {
    {
      RcuReadGuard guard(*domain);
    }
    domain->RetireDelete<Object, &Object::rcu>(new Object{.freed = &freed});
    step.arrive_and_wait();  // the domain goes
    step.arrive_and_wait();  // another one, perhaps at the same address
    RcuReadGuard guard(*domain);
    EXPECT_TRUE(domain->InReadSection());
  });
  step.arrive_and_wait();
  domain.reset();
  EXPECT_EQ(freed, 1);
  domain.emplace();
  step.arrive_and_wait();
  thread.join();
  domain->Synchronize();
}

TEST(Rcu, DomainsDoNotWaitForEachOthersReaders) {
  RcuDomain a;
  RcuDomain b;
  RcuReadGuard guard(a);
  EXPECT_FALSE(b.InReadSection());
  b.Synchronize();
}

TEST(Rcu, DestructionFreesWhatIsPending) {
  std::atomic<int> freed = 0;
  {
    RcuDomain domain;
    domain.RetireDelete<Object, &Object::rcu>(new Object{.freed = &freed});
  }
  EXPECT_EQ(freed, 1);
}

struct UsesRcuWhenDestroyed {
  RcuDomain* domain;
  ~UsesRcuWhenDestroyed() { RcuReadGuard guard(*domain); }
};

TEST(Rcu, DestructorsOfThreadLocalsMayStillRead) {
  RcuDomain domain;
  std::jthread([&] {
    thread_local UsesRcuWhenDestroyed late{&domain};
    EXPECT_EQ(late.domain, &domain);
  }).join();
  domain.Synchronize();
}

TEST(Rcu, AReaderThatHoldsUpAGracePeriodIsReported) {
  std::vector<RcuStall> stalls;
  RcuDomain domain({.stall_limit_ns = 1'000'000,
                    .on_stall = [&](const RcuStall& stall) { stalls.push_back(stall); }});
  SyncPoints points;
  points.Stop("inside");
  pid_t reader_id = 0;
  std::jthread reader([&] {
    reader_id = gettid();
    pthread_setname_np(pthread_self(), "slow reader");
    RcuReadGuard guard(domain);
    points.Hit("inside");
  });
  ASSERT_TRUE(points.WaitFor("inside"));
  const uint64_t cookie = domain.StartPoll();
  EXPECT_FALSE(domain.Poll(cookie));
  EXPECT_TRUE(stalls.empty());
  std::this_thread::sleep_for(2ms);
  EXPECT_FALSE(domain.Poll(cookie));
  ASSERT_EQ(stalls.size(), 1u);
  EXPECT_EQ(stalls[0].thread_id, reader_id);
  EXPECT_EQ(stalls[0].thread_name, "slow reader");
  EXPECT_GE(stalls[0].blocked_ns, 1'000'000);
#ifndef NDEBUG
  EXPECT_THAT(stalls[0].site.file, ::testing::EndsWith("rcu_test.cc"));
  EXPECT_GT(stalls[0].site.line, 0);
#endif
  EXPECT_FALSE(domain.Poll(cookie));  // at once: not again
  EXPECT_EQ(domain.Stats().stalls, 1u);
  points.Release("inside");
}

TEST(Rcu, SaysWhetherReadersPay) {
  EXPECT_TRUE(RcuDomain({.barrier = Barrier::kStoreBarrier}).readers_pay());
  EXPECT_FALSE(RcuDomain({.barrier = Barrier::kMembarrier}).readers_pay());
}

TEST(RcuPtr, PublishesCompleteObjects) {
  RcuDomain domain;
  RcuPtr<Object> pointer;
  std::atomic<bool> stop = false;
  std::jthread reader([&] {
    while (!stop) {
      RcuReadGuard guard(domain);
      const Object* object = pointer.Load();
      if (object == nullptr) continue;
      ASSERT_EQ(object->value, 42);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    Object* old = pointer.Exchange(new Object{.value = 42});
    if (old != nullptr) domain.RetireDelete<Object, &Object::rcu>(old);
  }
  stop = true;
  reader.join();
  delete pointer.LoadOwned();
}

class RcuDeathTest : public ::testing::Test {
 protected:
  RcuDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(RcuDeathTest, ADomainWithAReaderInsideMayNotGo) {
  EXPECT_DEATH(
      {
        std::optional<RcuDomain> domain;
        domain.emplace();
        RcuReadGuard guard(*domain);
        domain.reset();
      },
      "a reader outlives its domain");
}

#ifndef NDEBUG
TEST_F(RcuDeathTest, ReadingOutsideASectionAborts) {
  EXPECT_DEATH(
      {
        RcuPtr<int> pointer;
        static_cast<void>(pointer.Load());
      },
      "outside a read section");
}

TEST_F(RcuDeathTest, SynchronizingInsideASectionAborts) {
  EXPECT_DEATH(
      {
        RcuDomain domain;
        RcuReadGuard guard(domain);
        domain.Synchronize();
      },
      "wait for itself");
}

TEST_F(RcuDeathTest, ACallbackThatTakesMoreThanALeafLockAborts) {
  EXPECT_DEATH(
      {
        static Mutex<LockRank::kNode> node;
        RcuDomain domain;
        RcuHead head;
        domain.Retire(&head, [](RcuHead*) { MutexLock lock(node); }, 1);
        domain.Drain();
      },
      "leaf locks only");
}
#endif

// A reader stands on an object that a writer takes out and overwrites, with or without a grace
// period between.
enum class Wait { kGracePeriod, kNone };
void OverwriteUnderReader(Wait wait) {
  RcuDomain domain;
  RcuPtr<Object> pointer(new Object{.value = 1});
  std::atomic<int> step = 0;  // relaxed: orders time, not memory
  const auto wait_for = [&](int n) {
    while (step.load(std::memory_order_relaxed) < n) std::this_thread::yield();
  };
  std::thread reader([&] {
    RcuReadGuard guard(domain);
    const Object* object = pointer.Load();
    step.store(1, std::memory_order_relaxed);
    if (wait == Wait::kNone) wait_for(2);
    EXPECT_NE(object->value, 7);
  });
  wait_for(1);
  Object* old = pointer.Exchange(nullptr);
  if (wait == Wait::kGracePeriod) domain.Synchronize();
  old->value = wait == Wait::kGracePeriod ? 7 : 8;
  step.store(2, std::memory_order_relaxed);
  reader.join();
  delete old;
}

TEST(Rcu, AGracePeriodOrdersReadersBeforeTheWriter) { OverwriteUnderReader(Wait::kGracePeriod); }

#ifdef DENTREE_TSAN
TEST_F(RcuDeathTest, TheRaceDetectorSeesAMissingGracePeriod) {
  EXPECT_DEATH(
      {
        OverwriteUnderReader(Wait::kNone);
        _exit(0);
      },
      "data race");
}
#endif

}  // namespace
}  // namespace dentree::base
