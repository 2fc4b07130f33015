// One torture for every implementation of RCU: ours with either barrier, and liburcu as the twin
// that shows the test is right. Elements go through a pipe: published (age 0), taken out (age 1),
// and one more for each grace period since. A reader inside a section may meet ages 0 and 1; an age
// of 2 or more means that a grace period did not wait for it.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <thread>
#include <vector>

#include "base/rcu.h"

#ifdef DENTREE_HAVE_URCU
#include <urcu/urcu-memb.h>
#endif

#if defined(__SANITIZE_THREAD__)
#define DENTREE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DENTREE_TSAN 1
#endif
#endif

#ifdef DENTREE_TSAN
extern "C" {
void __tsan_acquire(void*);
void __tsan_release(void*);
// liburcu is not instrumented; what our code does in its callbacks is still checked.
const char* __tsan_default_suppressions() { return "called_from_lib:liburcu-memb.so\n"; }
}
#else
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
#endif

namespace dentree::base {
namespace {

template <class R>
concept Rcu = requires(R rcu, typename R::Head* head) {
  typename R::Thread;
  typename R::Guard;
  rcu.Synchronize();
  rcu.Retire(head, [](typename R::Head*) {});
  rcu.Drain();
};

template <RcuOptions::Barrier kBarrier>
class OurRcu {
 public:
  using Head = RcuHead;
  struct Thread {};
  struct Guard {
    explicit Guard(OurRcu& rcu) : guard(rcu.domain_) {}
    RcuReadGuard guard;
  };

  // Every way to wait for a grace period has its turn.
  void Synchronize() {
    switch (turn_++ % 4) {
      case 0:
        return domain_.Synchronize();
      case 1:
        return domain_.SynchronizeExpedited();
      case 2:
        return Polled();
      default:
        return Called();
    }
  }
  void Retire(Head* head, void (*fn)(Head*)) { domain_.Retire(head, fn, sizeof(*head)); }
  void Drain() { domain_.Drain(); }

 private:
  void Polled() {
    const uint64_t cookie = domain_.StartPoll();
    while (!domain_.Poll(cookie)) std::this_thread::yield();
  }
  void Called() {
    struct Done {
      RcuHead head;
      std::atomic<bool> done = false;
    } done;
    Retire(&done.head, [](Head* head) { ObjectOf<Done, RcuHead, &Done::head>(head)->done = true; });
    while (!done.done) domain_.Reclaim();
  }

  RcuDomain domain_{{.barrier = kBarrier}};
  int turn_ = 0;
};
using MembarrierRcu = OurRcu<RcuOptions::Barrier::kAuto>;
using StoreBarrierRcu = OurRcu<RcuOptions::Barrier::kStoreBarrier>;
static_assert(Rcu<MembarrierRcu>);

#ifdef DENTREE_HAVE_URCU
class LibUrcu {
 public:
  struct Head {
    rcu_head urcu;
    void (*fn)(Head*);
  };
  struct Thread {
    Thread() { urcu_memb_register_thread(); }
    ~Thread() { urcu_memb_unregister_thread(); }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
  };
  struct Guard {
    explicit Guard(LibUrcu&) { urcu_memb_read_lock(); }
    ~Guard() {
      __tsan_release(&order);
      urcu_memb_read_unlock();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
  };

  void Synchronize() {
    urcu_memb_synchronize_rcu();
    __tsan_acquire(&order);
  }
  void Retire(Head* head, void (*fn)(Head*)) {
    head->fn = fn;
    __tsan_release(head);
    urcu_memb_call_rcu(&head->urcu, [](rcu_head* urcu) {
      Head* h = caa_container_of(urcu, Head, urcu);
      __tsan_acquire(h);
      __tsan_acquire(&order);
      h->fn(h);
      __tsan_release(&order);
    });
  }
  void Drain() {
    urcu_memb_barrier();
    __tsan_acquire(&order);
  }

 private:
  static inline char order = 0;
};
static_assert(Rcu<LibUrcu>);
#endif

constexpr int kPipeLength = 10;

struct Element {
  std::atomic<int> age = kPipeLength;
  uint64_t plain[4] = {};  // rewritten when the element is published again
};

template <Rcu R>
class Torture {
 public:
  void Run(int readers, std::chrono::milliseconds time) {
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < readers; ++t) threads.emplace_back([this] { Read(); });
      [[maybe_unused]] const typename R::Thread registered;
      const auto end = std::chrono::steady_clock::now() + time;
      while (std::chrono::steady_clock::now() < end) Write();
      stop_.store(true, std::memory_order_relaxed);
    }
    EXPECT_GT(writes_, 10u);
    EXPECT_GT(seen_[0].load() + seen_[1].load(), 10u);
    for (int age = 2; age <= kPipeLength; ++age) EXPECT_EQ(seen_[age].load(), 0u) << "age " << age;
    EXPECT_EQ(torn_.load(), 0u);
  }

 private:
  void Read() {
    [[maybe_unused]] const typename R::Thread registered;
    for (uint64_t turn = 0; !stop_.load(std::memory_order_relaxed); ++turn) {
      const typename R::Guard guard(rcu_);
      const Element* element = current_.load(std::memory_order_acquire);
      if (element == nullptr) continue;
      const uint64_t value = element->plain[0];
      if (turn % 64 == 0) std::this_thread::yield();  // stand here while the writer works
      for (const uint64_t other : element->plain) {
        if (other != value) torn_.fetch_add(1, std::memory_order_relaxed);
      }
      seen_[element->age.load(std::memory_order_relaxed)].fetch_add(1, std::memory_order_relaxed);
    }
  }
  void Write() {
    Element& next = Free();
    for (uint64_t& word : next.plain) word = writes_;
    next.age.store(0, std::memory_order_relaxed);
    Element* old = current_.exchange(&next, std::memory_order_acq_rel);
    if (old != nullptr) old->age.store(1, std::memory_order_relaxed);
    rcu_.Synchronize();
    for (Element& element : pool_) {
      const int age = element.age.load(std::memory_order_relaxed);
      if (age > 0 && age < kPipeLength) element.age.store(age + 1, std::memory_order_relaxed);
    }
    ++writes_;
  }
  Element& Free() {
    for (Element& element : pool_) {
      // Even an element that was given up one grace period ago may be used again.
      const int age = element.age.load(std::memory_order_relaxed);
      if (age == kPipeLength || (writes_ % 2 == 1 && age >= 2)) return element;
    }
    ADD_FAILURE() << "the pipe leaks";
    return pool_[0];
  }

  R rcu_;
  std::array<Element, kPipeLength + 3> pool_;
  std::atomic<Element*> current_ = nullptr;
  std::atomic<bool> stop_ = false;
  std::array<std::atomic<uint64_t>, kPipeLength + 1> seen_{};
  std::atomic<uint64_t> torn_ = 0;
  uint64_t writes_ = 0;
};

template <class R>
class RcuTorture : public ::testing::Test {};
#ifdef DENTREE_HAVE_URCU
using Flavours = ::testing::Types<MembarrierRcu, StoreBarrierRcu, LibUrcu>;
#else
using Flavours = ::testing::Types<MembarrierRcu, StoreBarrierRcu>;
#endif
TYPED_TEST_SUITE(RcuTorture, Flavours);

TYPED_TEST(RcuTorture, NoReaderMeetsAnElementOlderThanOneGracePeriod) {
  Torture<TypeParam> torture;
  torture.Run(3, std::chrono::milliseconds(1500));
}

// Retired by several threads, freed by whoever; the memory checker sees a free that comes too
// early.
TYPED_TEST(RcuTorture, NoReaderMeetsWhatHasBeenFreed) {
  using R = TypeParam;
  struct Node {
    typename R::Head head{};
    uint64_t value = 42;
  };
  static_assert(std::is_standard_layout_v<Node>);
  R rcu;
  std::array<std::atomic<Node*>, 8> places{};
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        [[maybe_unused]] const typename R::Thread registered;
        while (!stop.load(std::memory_order_relaxed)) {
          const typename R::Guard guard(rcu);
          for (auto& place : places) {
            const Node* node = place.load(std::memory_order_acquire);
            if (node != nullptr && node->value != 42) wrong.fetch_add(1, std::memory_order_relaxed);
          }
        }
      });
      threads.emplace_back([&] {
        [[maybe_unused]] const typename R::Thread registered;
        for (uint64_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
          Node* old = places[i % places.size()].exchange(new Node, std::memory_order_acq_rel);
          if (old == nullptr) continue;
          rcu.Retire(&old->head, [](typename R::Head* head) {
            auto* node = reinterpret_cast<Node*>(head);  // its first member
            node->value = 0;
            delete node;
          });
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    stop.store(true, std::memory_order_relaxed);
  }
  rcu.Drain();
  for (auto& place : places) delete place.load();
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace dentree::base
