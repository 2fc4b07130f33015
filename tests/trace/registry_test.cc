#include "trace/registry.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/trace/trace_test.h"

namespace dentree::trace {
namespace {

using base::Errno;
using RegistryTest = TraceTest;

TEST_F(RegistryTest, FindsWhatWasAddedAndNothingElse) {
  auto event = Add("sched", "sched_switch");
  base::RcuReadGuard guard(rcu);
  System* system = registry->FindSystem("sched");
  ASSERT_NE(system, nullptr);
  EXPECT_EQ(registry->FindSystem(system->id()), system);
  EXPECT_EQ(registry->FindEvent(*system, "sched_switch"), event.get());
  EXPECT_EQ(registry->FindEvent(event->id()), event.get());
  EXPECT_EQ(&event->system(), system);
  EXPECT_EQ(registry->FindSystem("sche"), nullptr);
  EXPECT_EQ(registry->FindEvent(*system, "sched"), nullptr);
  EXPECT_EQ(registry->FindEvent(system->id()), nullptr);
  EXPECT_EQ(registry->FindSystem(event->id()), nullptr);
  EXPECT_EQ(registry->FindEvent(999), nullptr);
}

TEST_F(RegistryTest, TheSameNameInAnotherSystemIsAnotherEvent) {
  auto a = Add("one", "go");
  auto b = Add("two", "go");
  EXPECT_NE(a->id(), b->id());
  EXPECT_NE(a->type(), b->type());
  EXPECT_EQ(AddErrno("one", "go"), Errno::kExist);
  EXPECT_EQ(AllEvents(), "one:go two:go");
}

TEST_F(RegistryTest, RefusesNamesThatCannotBeDirectoriesOrCannotBeSpelled) {
  const std::string longest(255, 'n'), too_long(256, 'n');
  EXPECT_TRUE(TryAdd(longest, longest).has_value());
  EXPECT_EQ(AddErrno("s", too_long), Errno::kNameTooLong);
  EXPECT_EQ(AddErrno(too_long, "e"), Errno::kNameTooLong);
  using std::string_view_literals::operator""sv;
  for (std::string_view bad :
       {""sv, "."sv, ".."sv, "a/b"sv, "a\0b"sv, "a b"sv, "a\nb"sv, "a:b"sv, "!a"sv, "*"sv}) {
    EXPECT_EQ(AddErrno("s", bad), Errno::kInval) << bad;
    EXPECT_EQ(AddErrno(bad, "e"), Errno::kInval) << bad;
  }
  base::RcuReadGuard guard(rcu);
  EXPECT_EQ(registry->FindSystem("s"), nullptr);
}

// T10 of the bug catalogue: Linux lists `enable` twice after `p:hA/enable`.
TEST_F(RegistryTest, RefusesTheNamesOfFilesThatStandBesideThem) {
  EXPECT_EQ(AddErrno("header_page", "e"), Errno::kExist);
  EXPECT_EQ(AddErrno("enable", "e"), Errno::kExist);
  EXPECT_EQ(AddErrno("s", "filter"), Errno::kExist);
  EXPECT_TRUE(TryAdd("filter", "header_page").has_value()) << "no such files on these levels";
}

TEST_F(RegistryTest, GivesTypesFromTheUpperHalfAndTakesThoseAskedFor) {
  EXPECT_GE(Add("s", "chosen")->type(), TypeMap::kFirstChosen);
  EXPECT_EQ(Add("s", "asked", EventFlags::kFull, 372)->type(), 372);
  auto again = TryAdd("s", "again", EventFlags::kFull, 372);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().error, Errno::kExist);
  EXPECT_EQ(again.error().part, Registry::AddError::Part::kType);
}

TEST_F(RegistryTest, ATypeGivenBackIsTheLastToBeChosenAgain) {
  auto event = Add("s", "first");
  const uint16_t type = event->type();
  ASSERT_TRUE(registry->Remove(*event).has_value());
  EXPECT_NE(Add("s", "second")->type(), type);
  EXPECT_EQ(Add("s", "third", EventFlags::kFull, type)->type(), type);
}

TEST_F(RegistryTest, ABatchIsAddedWholeOrNotAtAll) {
  Add("old", "taken");
  auto spec = [](std::string_view system, std::string_view name) {
    return EventSpec{.system = system, .name = name};
  };
  const std::vector<EventSpec> batch = {spec("new", "a"), spec("new", "b"), spec("old", "c"),
                                        spec("old", "taken")};
  auto added = registry->Add(batch);
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().index, 3u);
  EXPECT_EQ(added.error().error, Errno::kExist);
  EXPECT_EQ(AllEvents(), "old:taken");
  {
    base::RcuReadGuard guard(rcu);
    EXPECT_EQ(registry->FindSystem("new"), nullptr);
  }
  ASSERT_TRUE(registry->Add(std::span(batch).first(3)).has_value());
  EXPECT_EQ(AllEvents(), "old:taken new:a new:b old:c");
}

TEST_F(RegistryTest, ABatchCannotBringTheSameNameTwice) {
  const EventSpec spec{.system = "s", .name = "e"};
  const std::vector<EventSpec> batch = {spec, spec};
  EXPECT_EQ(registry->Add(batch).error().index, 1u);
  EXPECT_EQ(AllEvents(), "");
}

TEST_F(RegistryTest, AnyAllocationThatFailsLeavesNothingAndTheRetryWorks) {
  const EventSpec specs[] = {{.system = "a", .name = "x"}, {.system = "b", .name = "y"}};
  int failures = 0;
  for (uint64_t nth = 1;; ++nth) {
    base::ScopedFault fault(faults, base::FaultPlan::Nth("trace:alloc:*", nth));
    auto added = registry->Add(specs);
    if (added) break;
    ++failures;
    EXPECT_EQ(added.error().error, Errno::kNoMem);
    EXPECT_EQ(AllEvents(), "");
    EXPECT_EQ(registry->stats().systems.Value(), 0);
  }
  EXPECT_EQ(failures, 6) << "two events, two systems, two entries";
  EXPECT_EQ(AllEvents(), "a:x b:y");
}

TEST_F(RegistryTest, ARemovedEventIsDeadForWhoeverHoldsIt) {
  auto event = Add("s", "e");
  ASSERT_TRUE(registry->Remove(*event).has_value());
  EXPECT_FALSE(event->alive());
  EXPECT_EQ(registry->Remove(*event).error(), Errno::kNoEnt);
  EXPECT_EQ(registry->top().Set(*event, Switch::kOn).error(), Errno::kNoDev);
  EXPECT_EQ(event->name(), "e");
  EXPECT_EQ(AllEvents(), "");
}

TEST_F(RegistryTest, TheLastEventTakesItsSystemAlong) {
  auto a = Add("s", "a");
  auto b = Add("s", "b");
  auto system = base::Ref<System>::Share(&a->system());
  ASSERT_TRUE(registry->Remove(*a).has_value());
  EXPECT_TRUE(system->alive());
  ASSERT_TRUE(registry->Remove(*b).has_value());
  EXPECT_FALSE(system->alive());
  EXPECT_EQ(registry->top().StateOf(*system), EnableState::kNone);
  EXPECT_EQ(registry->top().Set(*system, Switch::kOn).error(), Errno::kNoDev);
  auto again = Add("s", "a");
  EXPECT_NE(again->id(), a->id());
  EXPECT_NE(again->system().id(), system->id());
  EXPECT_FALSE(system->alive());
}

TEST_F(RegistryTest, RemovalIsRefusedWhileAnyInstanceHasTheEventEnabled) {
  auto event = Add("s", "e");
  auto instance = MakeInstance("i");
  ASSERT_TRUE(instance->Set(*event, Switch::kOn).has_value());
  EXPECT_EQ(registry->Remove(*event).error(), Errno::kBusy);
  EXPECT_TRUE(event->alive());
  ASSERT_TRUE(instance->Set(*event, Switch::kOff).has_value());
  EXPECT_TRUE(registry->Remove(*event).has_value());
}

TEST_F(RegistryTest, ASlotGivenAgainIsClearInEveryInstance) {
  auto keep = Add("s", "keep");
  auto first = Add("s", "first");
  const uint32_t slot = first->slot();
  auto instance = MakeInstance("i");
  ASSERT_TRUE(registry->top().SetAll(Switch::kOn).has_value());
  ASSERT_TRUE(instance->SetAll(Switch::kOn).has_value());
  ASSERT_TRUE(registry->top().Set(*first, Switch::kOff).has_value());
  ASSERT_TRUE(instance->Set(*first, Switch::kOff).has_value());
  ASSERT_TRUE(registry->Remove(*first).has_value());
  rcu.Synchronize();
  auto second = Add("s", "second");
  ASSERT_EQ(second->slot(), slot);
  EXPECT_FALSE(registry->top().IsEnabled(*second));
  EXPECT_FALSE(instance->IsEnabled(*second));
  ASSERT_TRUE(instance->Set(*second, Switch::kOn).has_value());
  EXPECT_FALSE(instance->IsEnabled(*first)) << "the dead event shares the slot, not the state";
  EXPECT_EQ(EnabledIn(registry->top()), "s:keep");
}

TEST_F(RegistryTest, ASlotIsNotGivenAgainWhileAReaderMayHaveFoundItsFormerOwner) {
  auto first = Add("s", "first");
  Add("s", "keep");
  uint32_t second_slot = 0;
  {
    base::RcuReadGuard guard(rcu);
    Event* found = registry->FindEvent(first->id());
    std::jthread remover([&] { ASSERT_TRUE(registry->Remove(*first).has_value()); });
    remover.join();
    std::jthread adder([&] { second_slot = Add("s", "second")->slot(); });
    adder.join();
    EXPECT_NE(second_slot, found->slot());
  }
}

TEST_F(RegistryTest, IdsRiseAndAreNeverGivenTwice) {
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    auto event = Add("s", "e");
    EXPECT_GT(event->id(), last);
    last = event->id();
    ASSERT_TRUE(registry->Remove(*event).has_value());
  }
}

TEST_F(RegistryTest, APositionSurvivesInsertionsAndRemovals) {
  for (const char* name : {"a", "b", "c", "d"}) Add("s", name);
  auto at = [&](std::string_view name) {
    base::RcuReadGuard guard(rcu);
    return Event::TryGet(registry->FindEvent(*registry->FindSystem("s"), name));
  };
  auto b = at("b");
  ASSERT_TRUE(registry->Remove(*at("a")).has_value());
  ASSERT_TRUE(registry->Remove(*b).has_value());
  for (int i = 0; i < 100; ++i) Add("t", "e" + std::to_string(i));
  ASSERT_TRUE(registry->Remove(*at("c")).has_value());
  base::RcuReadGuard guard(rcu);
  Event* next = registry->NextEvent(b->id());
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->name(), "d");
  EXPECT_EQ(registry->NextEvent(next->system(), next->id()), nullptr);
  EXPECT_EQ(registry->NextEvent(next->id())->name(), "e0");
}

TEST_F(RegistryTest, ARevisionMovesForItsOwnLevelOnly) {
  auto a = Add("s", "a");
  const uint64_t systems = registry->revision(), events = a->system().revision();
  auto b = Add("s", "b");
  EXPECT_EQ(registry->revision(), systems);
  EXPECT_NE(a->system().revision(), events);
  auto other = Add("t", "a");
  EXPECT_NE(registry->revision(), systems);
  const uint64_t before = a->system().revision();
  ASSERT_TRUE(registry->Remove(*other).has_value());
  EXPECT_EQ(a->system().revision(), before);
  ASSERT_TRUE(registry->Remove(*b).has_value());
  EXPECT_NE(a->system().revision(), before);
}

TEST_F(RegistryTest, OnlyTheTracersOwnSystemCannotBeEnabledAsAWhole) {
  EXPECT_FALSE(Add("ftrace", "print", EventFlags::kId)->system().can_enable());
  EXPECT_TRUE(Add("sched", "sched_switch")->system().can_enable());
}

class RecordingObserver : public RegistryObserver {
 public:
  MOCK_METHOD(void, SystemAdded, (System&), (override));
  MOCK_METHOD(void, EventAdded, (Event&), (override));
  MOCK_METHOD(void, EventRemoved, (Event&), (override));
  MOCK_METHOD(void, SystemRemoved, (System&), (override));
};

TEST_F(RegistryTest, TellsTheObserverInOrderAndWithoutALock) {
  testing::StrictMock<RecordingObserver> observer;
  registry->SetObserver(&observer);
  testing::InSequence in_order;
  auto may_use_registry = [&](auto&) { EXPECT_NE(registry->bytes(), 0u); };
  EXPECT_CALL(observer, SystemAdded).WillOnce(may_use_registry);
  EXPECT_CALL(observer, EventAdded).WillOnce(may_use_registry);
  auto a = Add("s", "a");
  EXPECT_CALL(observer, EventAdded);
  auto b = Add("s", "b");
  EXPECT_CALL(observer, EventRemoved).WillOnce([&](Event& event) {
    EXPECT_FALSE(event.alive());
    EXPECT_EQ(AllEvents(), "s:b");
  });
  ASSERT_TRUE(registry->Remove(*a).has_value());
  EXPECT_CALL(observer, EventRemoved);
  EXPECT_CALL(observer, SystemRemoved).WillOnce(may_use_registry);
  ASSERT_TRUE(registry->Remove(*b).has_value());
  registry->SetObserver(nullptr);
}

TEST_F(RegistryTest, SlotsRunOutWithAnErrorAndComeBack) {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < TypeMap::kTypes - TypeMap::kFirstChosen; ++i) {
    names.push_back("e" + std::to_string(i));
  }
  std::vector<EventSpec> specs;
  for (const auto& name : names) {
    specs.push_back({.system = "s", .name = name});
  }
  auto added = registry->Add(specs);
  ASSERT_TRUE(added.has_value());
  EXPECT_EQ(AddErrno("s", "one_too_many"), Errno::kNoSpc);
  ASSERT_TRUE(registry->Remove(*added->back()).has_value());
  EXPECT_TRUE(TryAdd("s", "fits").has_value());
}

TEST_F(RegistryTest, CountsWhatItHolds) {
  auto a = Add("s", "a");
  Add("s", "b");
  auto instance = MakeInstance("i");
  ASSERT_TRUE(instance->SetAll(Switch::kOn).has_value());
  ASSERT_TRUE(registry->top().Set(*a, Switch::kOn).has_value());
  const base::StatSet stats(kTraceFields, registry->stats());
  std::vector<int64_t> values;
  for (const auto& field : stats.fields()) values.push_back(stats.Value(field));
  EXPECT_THAT(values, testing::ElementsAre(1, 2, 2, 3, 0, 0));
}

}  // namespace
}  // namespace dentree::trace
