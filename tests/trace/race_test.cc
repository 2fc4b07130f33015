// The races of this room, by name. Each test promises that what it names cannot happen.

#include <atomic>
#include <thread>

#include "tests/trace/trace_test.h"

namespace dentree::trace {
namespace {

using base::Errno;

class RaceTest : public TraceTest {
 protected:
  // Runs `work(round)` in a thread of its own until the object goes.
  template <class Work>
  [[nodiscard]] std::jthread Loop(Work work) {
    return std::jthread([work](std::stop_token stop) {
      for (int round = 0; !stop.stop_requested(); ++round) work(round);
    });
  }
  // The object another thread may be removing, if it is still there.
  template <class T>
  base::Ref<T> Hold(const std::atomic<T*>& current) {
    base::RcuReadGuard guard(rcu);
    T* object = current.load();
    return object == nullptr ? nullptr : T::TryGet(object);
  }
  static constexpr int kRounds = 2000;
};

TEST_F(RaceTest, EnableVersusEventRemovalNeverLeavesADeadEventEnabled) {
  auto instance = MakeInstance("i");
  Add("s", "stays");
  std::atomic<Event*> current{nullptr};
  auto enabler = Loop([&](int) {
    auto event = Hold(current);
    if (!event) return;
    auto on = instance->Set(*event, Switch::kOn);
    ASSERT_TRUE(on || on.error() == Errno::kNoDev);
    auto off = instance->Set(*event, Switch::kOff);
    ASSERT_TRUE(off || off.error() == Errno::kNoDev);
  });
  for (int round = 0; round < kRounds; ++round) {
    auto event = Add("s", "comes_and_goes");
    ASSERT_FALSE(instance->IsEnabled(*event));
    current.store(event.get());
    while (true) {
      auto removed = registry->Remove(*event);
      if (removed) break;
      ASSERT_EQ(removed.error(), Errno::kBusy);
    }
    ASSERT_FALSE(instance->IsEnabled(*event));
    current.store(nullptr);
  }
  enabler.request_stop();
  enabler.join();
  EXPECT_EQ(instance->enabled_count(), 0u);
}

TEST_F(RaceTest, AnEnableStoppedBeforeTheLockFindsTheEventRemoved) {
  auto event = Add("s", "e");
  points.Stop("trace:set:unlocked");
  base::Status result;
  std::jthread enabler([&] { result = registry->top().Set(*event, Switch::kOn); });
  ASSERT_TRUE(points.WaitFor("trace:set:unlocked").has_value());
  ASSERT_TRUE(registry->Remove(*event).has_value());
  points.Release("trace:set:unlocked");
  enabler.join();
  EXPECT_EQ(result.error(), Errno::kNoDev);
}

TEST_F(RaceTest, AnEnableStoppedBeforeTheLockFindsTheInstanceRemoved) {
  auto event = Add("s", "e");
  auto instance = MakeInstance("i");
  points.Stop("trace:set:unlocked");
  base::Status result;
  std::jthread enabler([&] { result = instance->Set(*event, Switch::kOn); });
  ASSERT_TRUE(points.WaitFor("trace:set:unlocked").has_value());
  ASSERT_TRUE(registry->RemoveInstance(*instance).has_value());
  points.Release("trace:set:unlocked");
  enabler.join();
  EXPECT_EQ(result.error(), Errno::kNoDev);
  EXPECT_TRUE(registry->Remove(*event).has_value()) << "nothing is enabled in what is gone";
}

TEST_F(RaceTest, InstanceRemovalVersusEnableLeavesNothingEnabled) {
  auto event = Add("s", "e");
  std::atomic<Instance*> current{nullptr};
  auto enabler = Loop([&](int) {
    auto instance = Hold(current);
    if (!instance) return;
    auto on = instance->SetAll(Switch::kOn);
    ASSERT_TRUE(on || on.error() == Errno::kNoDev);
  });
  for (int round = 0; round < kRounds; ++round) {
    auto instance = MakeInstance("i");
    current.store(instance.get());
    if (round % 2 == 0) std::this_thread::yield();
    ASSERT_TRUE(registry->RemoveInstance(*instance).has_value());
    ASSERT_EQ(instance->enabled_count(), 0u);
    current.store(nullptr);
  }
  enabler.request_stop();
  enabler.join();
  EXPECT_EQ(registry->stats().enabled.Value(), 0);
  EXPECT_TRUE(registry->Remove(*event).has_value());
}

TEST_F(RaceTest, PinVersusInstanceRemovalHasOneWinner) {
  std::atomic<Instance*> current{nullptr};
  std::atomic<int> pinned{0};
  auto opener = Loop([&](int) {
    auto instance = Hold(current);
    if (!instance) return;
    auto pin = instance->Pin();
    if (!pin) {
      ASSERT_EQ(pin.error(), Errno::kNoDev);
      return;
    }
    pinned.fetch_add(1);
    ASSERT_TRUE(instance->alive());
  });
  for (int round = 0; round < kRounds; ++round) {
    auto instance = MakeInstance("i");
    current.store(instance.get());
    while (true) {
      auto removed = registry->RemoveInstance(*instance);
      if (removed) break;
      ASSERT_EQ(removed.error(), Errno::kBusy);
    }
    current.store(nullptr);
  }
}

// A slot goes from event to event while records are written for whoever has it.
TEST_F(RaceTest, SlotReuseVersusInstanceBitGivesNoRecordToWhoDidNotAsk) {
  Tracepoint<"s", "wanted"> wanted;
  Tracepoint<"s", "unwanted"> unwanted;
  auto asks = MakeInstance("asks"), asks_not = MakeInstance("asks_not");
  auto firing = Loop([&](int) {
    wanted();
    unwanted();
  });
  for (int round = 0; round < kRounds; ++round) {
    Registration a = registry->Register(wanted).value();
    ASSERT_TRUE(asks->Set(*a.event(), Switch::kOn).has_value());
    Registration b = registry->Register(unwanted).value();
    ASSERT_FALSE(asks->IsEnabled(*b.event()));
    if (round % 2 == 0) a.Reset();
  }
  EXPECT_EQ(asks_not->hits(), 0u);
  firing.request_stop();
  firing.join();
}

TEST_F(RaceTest, ColumnReuseVersusRecordGivesNoRecordToTheNextInstance) {
  Tracepoint<"s", "fires"> fires;
  Tracepoint<"s", "never_fires"> never_fires;
  Registration a = registry->Register(fires).value();
  Registration b = registry->Register(never_fires).value();
  auto firing = Loop([&](int) { fires(); });
  for (int round = 0; round < kRounds; ++round) {
    auto first = MakeInstance("first");
    ASSERT_TRUE(first->Set(*a.event(), Switch::kOn).has_value());
    ASSERT_TRUE(registry->RemoveInstance(*first).has_value());
    auto second = MakeInstance("second");
    ASSERT_TRUE(second->Set(*b.event(), Switch::kOn).has_value());
    if (round % 8 == 0) std::this_thread::yield();
    ASSERT_EQ(second->hits(), 0u);
    ASSERT_TRUE(registry->RemoveInstance(*second).has_value());
  }
}

TEST_F(RaceTest, LookupVersusRemovalFindsALiveEventOrNone) {
  auto finder = Loop([&](int) {
    base::RcuReadGuard guard(rcu);
    System* system = registry->FindSystem("s");
    if (system == nullptr) return;
    Event* event = registry->FindEvent(*system, "e");
    if (event == nullptr) return;
    ASSERT_EQ(event->name(), "e");
    ASSERT_EQ(event->system().name(), "s");
    const auto held = Event::TryGet(event);
    ASSERT_TRUE(!held || held->fields().empty());
  });
  for (int round = 0; round < kRounds; ++round) {
    auto event = Add("s", "e");
    ASSERT_TRUE(registry->Remove(*event).has_value());
  }
}

TEST_F(RaceTest, ListingVersusInsertionAndRemovalSeesWhatStaysExactlyOnce) {
  for (int i = 0; i < 100; ++i) Add("s", "stays" + std::to_string(i));
  auto churn = Loop([&](int round) {
    auto event = Add(round % 2 == 0 ? "s" : "t", "passes");
    ASSERT_TRUE(registry->Remove(*event).has_value());
  });
  for (int round = 0; round < kRounds / 10; ++round) {
    int stayed = 0;
    uint64_t position = 0;
    while (true) {
      base::RcuReadGuard guard(rcu);  // one for each step, as a reader of a file has
      Event* event = registry->NextEvent(position);
      if (event == nullptr) break;
      ASSERT_GT(event->id(), position);
      position = event->id();
      stayed += event->name().starts_with("stays");
    }
    ASSERT_EQ(stayed, 100);
  }
}

TEST_F(RaceTest, BulkEnableVersusStateReaderShowsAllOrNothing) {
  for (int i = 0; i < 200; ++i) Add("s" + std::to_string(i % 5), "e" + std::to_string(i));
  auto instance = MakeInstance("i");
  auto switcher = Loop([&](int round) {
    ASSERT_TRUE(instance->SetAll(round % 2 == 0 ? Switch::kOn : Switch::kOff).has_value());
  });
  auto held = [&] {
    base::RcuReadGuard guard(rcu);
    return System::TryGet(registry->FindSystem("s3"));
  }();
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_NE(instance->State(), EnableState::kMixed);
    ASSERT_NE(instance->StateOf(*held), EnableState::kMixed);
  }
}

TEST_F(RaceTest, TwoCreatorsOfOneInstanceHaveOneWinner) {
  for (int round = 0; round < kRounds / 10; ++round) {
    std::atomic<int> made{0};
    auto create = [&] {
      auto created = registry->CreateInstance("i");
      if (created) {
        made.fetch_add(1);
      } else {
        ASSERT_EQ(created.error(), Errno::kExist);
      }
    };
    {
      std::jthread a(create), b(create);
    }
    ASSERT_EQ(made.load(), 1);
    base::Ref<Instance> instance;
    {
      base::RcuReadGuard guard(rcu);
      instance = Instance::TryGet(registry->FindInstance("i"));
    }
    ASSERT_TRUE(registry->RemoveInstance(*instance).has_value());
  }
}

TEST_F(RaceTest, TwoRemoversOfOneEventHaveOneWinnerAndOneDrain) {
  struct Observer : RegistryObserver {
    void EventRemoved(Event&) override { removed.fetch_add(1); }
    std::atomic<int> removed{0};
  } observer;
  registry->SetObserver(&observer);
  for (int round = 0; round < kRounds / 10; ++round) {
    auto event = Add("s", "e");
    std::atomic<int> won{0};
    auto remove = [&] { won.fetch_add(registry->Remove(*event).has_value()); };
    {
      std::jthread a(remove), b(remove);
    }
    ASSERT_EQ(won.load(), 1);
    ASSERT_EQ(observer.removed.load(), round + 1);
  }
  registry->SetObserver(nullptr);
}

TEST_F(RaceTest, ANameFreedByARemovalStillDrainingCanBeTakenAtOnce) {
  auto old_event = Add("s", "e");
  points.Stop("trace:remove:dead");
  std::jthread remover([&] { ASSERT_TRUE(registry->Remove(*old_event).has_value()); });
  ASSERT_TRUE(points.WaitFor("trace:remove:dead").has_value());
  auto new_event = Add("s", "e");
  EXPECT_NE(new_event->id(), old_event->id());
  EXPECT_NE(new_event->slot(), old_event->slot()) << "the old one's is not free yet";
  EXPECT_NE(&new_event->system(), &old_event->system());
  points.Release("trace:remove:dead");
  remover.join();
  EXPECT_TRUE(new_event->alive());
}

}  // namespace
}  // namespace dentree::trace
