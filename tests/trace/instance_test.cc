#include "trace/instance.h"

#include <gmock/gmock.h>

#include "tests/trace/trace_test.h"

namespace dentree::trace {
namespace {

using base::Errno;

class InstanceTest : public TraceTest {
 protected:
  InstanceTest() {
    Add("sched", "sched_switch");
    Add("sched", "sched_wakeup");
    Add("irq", "irq_entry");
    Add("odd", "sched");  // an event named as a system
    Add("ftrace", "print", EventFlags::kId | EventFlags::kTrigger);
  }

  System& Named(std::string_view name) {
    base::RcuReadGuard guard(rcu);
    return *registry->FindSystem(name);
  }
  base::Ref<Event> Named(std::string_view system, std::string_view name) {
    base::RcuReadGuard guard(rcu);
    return Event::TryGet(registry->FindEvent(*registry->FindSystem(system), name));
  }

  // What is enabled after `text` was written to an empty set_event, or the error's name.
  std::string After(std::string_view text) {
    EXPECT_TRUE(instance->SetAll(Switch::kOff).has_value());
    auto written = instance->WriteSetEvent(text);
    if (!written) return std::string(base::ErrnoName(written.error()));
    return EnabledIn(*instance);
  }

  base::Ref<Instance> instance = MakeInstance("i");
  static constexpr const char* kAll =
      "sched:sched_switch sched:sched_wakeup irq:irq_entry odd:sched";
};

TEST_F(InstanceTest, StatesAreZeroOneMixedAndNothing) {
  EXPECT_EQ(EnableStateChar(instance->State()), '0');
  EXPECT_EQ(EnableStateChar(instance->StateOf(Named("sched"))), '0');
  ASSERT_TRUE(instance->Set(*Named("sched", "sched_switch"), Switch::kOn).has_value());
  EXPECT_EQ(EnableStateChar(instance->StateOf(*Named("sched", "sched_switch"))), '1');
  EXPECT_EQ(EnableStateChar(instance->StateOf(*Named("sched", "sched_wakeup"))), '0');
  EXPECT_EQ(EnableStateChar(instance->StateOf(Named("sched"))), 'X');
  EXPECT_EQ(EnableStateChar(instance->State()), 'X');
  ASSERT_TRUE(instance->Set(Named("sched"), Switch::kOn).has_value());
  EXPECT_EQ(EnableStateChar(instance->StateOf(Named("sched"))), '1');
  EXPECT_EQ(EnableStateChar(instance->StateOf(Named("irq"))), '0');
  ASSERT_TRUE(instance->SetAll(Switch::kOn).has_value());
  EXPECT_EQ(EnableStateChar(instance->State()), '1') << "what cannot be enabled does not count";
  EXPECT_EQ(EnableStateChar(instance->StateOf(Named("ftrace"))), '?');
  EXPECT_EQ(instance->enabled_count(), 4u);
}

TEST_F(InstanceTest, InstancesDoNotSeeEachOther) {
  auto other = MakeInstance("other");
  ASSERT_TRUE(instance->Set(*Named("irq", "irq_entry"), Switch::kOn).has_value());
  ASSERT_TRUE(other->SetAll(Switch::kOn).has_value());
  EXPECT_EQ(EnabledIn(*instance), "irq:irq_entry");
  EXPECT_EQ(EnabledIn(*other), kAll);
  EXPECT_EQ(EnabledIn(registry->top()), "");
  ASSERT_TRUE(other->SetAll(Switch::kOff).has_value());
  EXPECT_EQ(EnabledIn(*instance), "irq:irq_entry");
}

TEST_F(InstanceTest, SwitchingTwiceIsAsGoodAsOnce) {
  auto event = Named("irq", "irq_entry");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(instance->Set(*event, Switch::kOn).has_value());
  EXPECT_EQ(instance->enabled_count(), 1u);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(instance->Set(*event, Switch::kOff).has_value());
  EXPECT_EQ(instance->enabled_count(), 0u);
}

TEST_F(InstanceTest, WhatCannotBeEnabledIsRefused) {
  EXPECT_EQ(instance->Set(*Named("ftrace", "print"), Switch::kOn).error(), Errno::kInval);
  EXPECT_EQ(instance->Set(Named("ftrace"), Switch::kOn).error(), Errno::kInval);
  EXPECT_EQ(EnableStateChar(instance->StateOf(*Named("ftrace", "print"))), '?');
}

// The table was recorded on Linux 6.18.
TEST_F(InstanceTest, SetEventUnderstandsTheWordsLinuxDoes) {
  EXPECT_EQ(After("sched_switch"), "sched:sched_switch");
  EXPECT_EQ(After("sched:"), "sched:sched_switch sched:sched_wakeup");
  EXPECT_EQ(After("sched:*"), "sched:sched_switch sched:sched_wakeup");
  EXPECT_EQ(After("sched"), "sched:sched_switch sched:sched_wakeup odd:sched");
  EXPECT_EQ(After(":sched_switch"), "sched:sched_switch");
  EXPECT_EQ(After("*:sched_switch"), "sched:sched_switch");
  EXPECT_EQ(After("sched:sched_wakeup"), "sched:sched_wakeup");
  EXPECT_EQ(After("*:*"), kAll);
  EXPECT_EQ(After(":"), kAll);
  EXPECT_EQ(After("!sched:"), "");
  EXPECT_EQ(After(""), "");
  EXPECT_EQ(After(" \t\n"), "");
  for (const char* bad : {"*", "nosuch", "sched:nosuch", "nosuch:", "!nosuch", "!", "sched*",
                          "ftrace:print", "ftrace:", "sched:sched_switch:x", "a:b:c"}) {
    EXPECT_EQ(After(bad), "EINVAL") << bad;
  }
}

TEST_F(InstanceTest, SetEventAppliesItsWordsInTurn) {
  EXPECT_EQ(After("*:* !sched: sched_switch\n"), "sched:sched_switch irq:irq_entry odd:sched");
}

TEST_F(InstanceTest, SetEventTakesTheWordsBeforeABadOne) {
  EXPECT_EQ(instance->WriteSetEvent("irq:irq_entry nosuch sched:").value(), 14u);
  EXPECT_EQ(EnabledIn(*instance), "irq:irq_entry");
  EXPECT_EQ(instance->WriteSetEvent("nosuch sched:").error(), Errno::kInval);
  EXPECT_EQ(instance->WriteSetEvent(" sched: \n").value(), 9u);
}

TEST_F(InstanceTest, HugeAndBinaryTextIsJustWrong) {
  EXPECT_EQ(After(std::string(100000, 'x')), "EINVAL");
  EXPECT_EQ(After(std::string(100000, ':')), "EINVAL");
  EXPECT_EQ(After(std::string_view("irq:\0irq:", 9)), "irq:irq_entry");
  EXPECT_EQ(After("\xff\xfe"), "EINVAL");
}

TEST_F(InstanceTest, NamesAreUniqueAndMayBeNearlyAnything) {
  EXPECT_EQ(registry->CreateInstance("i").error(), Errno::kExist);
  EXPECT_EQ(registry->CreateInstance(std::string(256, 'n')).error(), Errno::kNameTooLong);
  for (const char* bad : {"", ".", "..", "a/b"}) {
    EXPECT_EQ(registry->CreateInstance(bad).error(), Errno::kInval) << bad;
  }
  EXPECT_TRUE(registry->CreateInstance("white space\n and :*!").has_value());
  EXPECT_TRUE(registry->CreateInstance(std::string(255, 'n')).has_value());
  base::RcuReadGuard guard(rcu);
  EXPECT_EQ(registry->FindInstance("i"), instance.get());
  EXPECT_EQ(registry->FindInstance("j"), nullptr);
  EXPECT_EQ(registry->NextInstance(0), instance.get());
  Instance* second = registry->NextInstance(instance->id());
  EXPECT_EQ(second->name(), "white space\n and :*!");
  for (Instance* i = registry->NextInstance(0); i != nullptr; i = registry->NextInstance(0)) {
    ASSERT_TRUE(registry->RemoveInstance(*i).has_value());
  }
}

TEST_F(InstanceTest, APinKeepsItFromBeingRemoved) {
  auto pin = instance->Pin();
  ASSERT_TRUE(pin.has_value());
  InstancePin second = instance->Pin().value();
  EXPECT_EQ(registry->RemoveInstance(*instance).error(), Errno::kBusy);
  pin->Reset();
  EXPECT_EQ(registry->RemoveInstance(*instance).error(), Errno::kBusy);
  second.Reset();
  EXPECT_TRUE(registry->RemoveInstance(*instance).has_value());
  EXPECT_EQ(registry->RemoveInstance(*instance).error(), Errno::kNoEnt);
  EXPECT_EQ(instance->Pin().error(), Errno::kNoDev);
}

TEST_F(InstanceTest, RemovalTurnsOffWhatWasEnabled) {
  auto event = Named("irq", "irq_entry");
  ASSERT_TRUE(instance->SetAll(Switch::kOn).has_value());
  EXPECT_EQ(registry->Remove(*event).error(), Errno::kBusy);
  ASSERT_TRUE(registry->RemoveInstance(*instance).has_value());
  EXPECT_FALSE(instance->alive());
  EXPECT_EQ(instance->enabled_count(), 0u);
  EXPECT_EQ(instance->SetAll(Switch::kOn).error(), Errno::kNoDev);
  EXPECT_EQ(instance->Set(*event, Switch::kOn).error(), Errno::kNoDev);
  EXPECT_EQ(instance->WriteSetEvent("irq:").error(), Errno::kNoDev);
  EXPECT_TRUE(registry->Remove(*event).has_value());
  EXPECT_TRUE(registry->CreateInstance("i").has_value()) << "the name is free again";
}

TEST_F(InstanceTest, TheNextOwnerOfAColumnStartsWithNothing) {
  ASSERT_TRUE(instance->SetAll(Switch::kOn).has_value());
  ASSERT_TRUE(registry->RemoveInstance(*instance).has_value());
  rcu.Synchronize();
  auto next = MakeInstance("next");
  ASSERT_TRUE(next->Set(*Named("irq", "irq_entry"), Switch::kOn).has_value());
  EXPECT_EQ(EnabledIn(*next), "irq:irq_entry");
  EXPECT_EQ(EnabledIn(*instance), "");
}

TEST_F(InstanceTest, TheTopInstanceStays) {
  EXPECT_EQ(registry->RemoveInstance(registry->top()).error(), Errno::kPerm);
  EXPECT_EQ(registry->top().name(), "");
  EXPECT_TRUE(registry->top().Pin().has_value());
}

TEST_F(InstanceTest, HundredsOfInstancesKeepTheirStatesApart) {
  std::vector<base::Ref<Instance>> many;
  for (int i = 0; i < 200; ++i) many.push_back(MakeInstance("n" + std::to_string(i)));
  auto event = Named("irq", "irq_entry");
  for (size_t i = 0; i < many.size(); i += 3) {
    ASSERT_TRUE(many[i]->Set(*event, Switch::kOn).has_value());
  }
  for (size_t i = 0; i < many.size(); ++i) EXPECT_EQ(many[i]->IsEnabled(*event), i % 3 == 0);
}

TEST_F(InstanceTest, AFailedAllocationEnablesNothingAndDisablingNeverAllocates) {
  auto event = Named("irq", "irq_entry");
  {
    base::ScopedFault fault(faults, base::FaultPlan::Always("trace:alloc:*"));
    EXPECT_EQ(registry->CreateInstance("j").error(), Errno::kNoMem);
    EXPECT_EQ(instance->Set(*event, Switch::kOn).error(), Errno::kNoMem);
    EXPECT_EQ(instance->SetAll(Switch::kOn).error(), Errno::kNoMem);
    EXPECT_TRUE(instance->SetAll(Switch::kOff).has_value());
    EXPECT_EQ(instance->enabled_count(), 0u);
  }
  ASSERT_TRUE(instance->SetAll(Switch::kOn).has_value());
  base::ScopedFault fault(faults, base::FaultPlan::Always("trace:alloc:*"));
  EXPECT_TRUE(instance->Set(*event, Switch::kOff).has_value());
  EXPECT_TRUE(instance->Set(*event, Switch::kOn).has_value()) << "its column is there";
  EXPECT_TRUE(registry->RemoveInstance(*instance).has_value());
}

TEST_F(InstanceTest, AnInstanceThatEnablesNothingIsSmallerThanAPage) {
  EXPECT_LE(instance->bytes(), 256u);
}

TEST_F(InstanceTest, TracingOnIsOnAtFirstAndJustAFlag) {
  EXPECT_TRUE(instance->tracing_on());
  instance->SetTracing(Switch::kOff);
  EXPECT_FALSE(instance->tracing_on());
  EXPECT_TRUE(registry->top().tracing_on());
}

}  // namespace
}  // namespace dentree::trace
