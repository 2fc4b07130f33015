#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "trace/trace.h"

namespace dentree::trace {

// A registry with all it needs around it, and the words the tests of this room are written in.
class TraceTest : public ::testing::Test {
 protected:
  static constexpr std::string_view kSystemFiles[] = {"enable", "header_page", "header_event"};
  static constexpr std::string_view kEventFiles[] = {"enable", "filter"};

  ~TraceTest() override {
    registry.reset();
    rcu.Drain();
  }

  // Adds an event that no program fires.
  base::Ref<Event> Add(std::string_view system, std::string_view name,
                       EventFlags flags = EventFlags::kFull, uint16_t type = 0) {
    auto added = TryAdd(system, name, flags, type);
    EXPECT_TRUE(added.has_value()) << added.error().reason;
    return added ? std::move(added->front()) : nullptr;
  }

  std::expected<std::vector<base::Ref<Event>>, Registry::AddError> TryAdd(
      std::string_view system, std::string_view name, EventFlags flags = EventFlags::kFull,
      uint16_t type = 0) {
    const EventSpec spec{.system = system, .name = name, .type = type, .flags = flags};
    return registry->Add({&spec, 1});
  }

  base::Errno AddErrno(std::string_view system, std::string_view name, uint16_t type = 0) {
    auto added = TryAdd(system, name, EventFlags::kFull, type);
    EXPECT_FALSE(added.has_value());
    return added ? base::Errno{} : added.error().error;
  }

  base::Ref<Instance> MakeInstance(std::string_view name) {
    auto made = registry->CreateInstance(name);
    EXPECT_TRUE(made.has_value());
    return made ? *made : nullptr;
  }

  // "sys:ev sys:ev ...", in the order of a listing.
  std::string AllEvents() {
    base::RcuReadGuard guard(rcu);
    std::string text;
    for (Event* e = registry->NextEvent(0); e != nullptr; e = registry->NextEvent(e->id())) {
      Append(text, *e);
    }
    return text;
  }
  std::string EnabledIn(const Instance& instance) {
    base::RcuReadGuard guard(rcu);
    std::string text;
    for (Event* e = instance.NextEnabled(0); e != nullptr; e = instance.NextEnabled(e->id())) {
      Append(text, *e);
    }
    return text;
  }

  base::RcuDomain rcu;
  base::FaultInjector faults;
  base::SyncPoints points;
  std::unique_ptr<Registry> registry =
      std::make_unique<Registry>(Registry::Options{.rcu = rcu,
                                                   .faults = faults,
                                                   .sync_points = points,
                                                   .key = {{1, 2}},
                                                   .reserved_system_names = kSystemFiles,
                                                   .reserved_event_names = kEventFiles});

 private:
  static void Append(std::string& text, const Event& event) {
    if (!text.empty()) text += ' ';
    text.append(event.system().name()).append(":").append(event.name());
  }
};

}  // namespace dentree::trace
