// The three levels of events/: which files stand in each, and who says which directories do.

#include <array>

#include "eventfs/eventfs.h"
#include "eventfs/files_internal.h"

namespace dentree::eventfs {

using base::RcuReadGuard;
using kernfs::Dir;
using kernfs::File;
using kernfs::IdOf;
using kernfs::ObjectId;
using kernfs::Presence;
using kernfs::Provided;
using trace::Event;
using trace::EventFlags;
using trace::System;

namespace {

constexpr kernfs::Mode kDirMode = S_IFDIR | 0755;

// --- Who has which file ---
//
// All of it is fixed for the life of the event, the system and the tree, so nobody ever needs to
// call Root::PresenceChanged.

Presence If(bool here) { return {.here = here}; }

template <EventFlags kFlag>
Presence EventCan(const Dir& dir) {
  return If(Has(static_cast<const Event*>(dir.priv)->flags(), kFlag));
}

template <Extras kExtra>
Presence HostWants(const Dir& dir) {
  return If(Has(HostOf(dir.domain).extras, kExtra));
}

Presence CanInject(const Dir& dir) {
  const Presence wanted = HostWants<Extras::kInject>(dir);
  return wanted.here ? EventCan<EventFlags::kId>(dir) : wanted;
}

Presence SystemCanEnable(const Dir& dir) {
  return If(static_cast<const System*>(dir.priv)->can_enable());
}

// --- Events ---

constexpr EventEnable kEventEnable;
constexpr EventFilter kEventFilter;
constexpr EventTrigger kEventTrigger;
constexpr EventFormat kEventFormat;
constexpr EventId kEventId;
constexpr EventHist kEventHist;
constexpr EventInject kEventInject;

constexpr auto kEventTable = kernfs::MakeTable(
    File("enable", 0640, kEventEnable, &EventCan<EventFlags::kEnable>),
    File("filter", 0640, kEventFilter, &EventCan<EventFlags::kEnable>),
    File("trigger", 0640, kEventTrigger, &EventCan<EventFlags::kTrigger>),
    File("format", 0440, kEventFormat), File("id", 0440, kEventId, &EventCan<EventFlags::kId>),
    File("hist", 0440, kEventHist, &HostWants<Extras::kHist>),
    File("hist_debug", 0440, kEventHist, &HostWants<Extras::kHist>),
    File("inject", 0200, kEventInject, &CanInject));

constexpr kernfs::DirType kEventDir{.table = kEventTable};

ObjectId ObjectOf(uint64_t id) { return kernfs::ObjectIn(kObjectSpace, id); }

trace::Registry& RegistryOf(const kernfs::Node& domain) { return HostOf(domain).registry; }

// The events of a system, which is the priv of the directory.
class EventProvider final : public kernfs::Provider {
 public:
  constexpr EventProvider() = default;

  std::optional<ObjectId> Find(const Dir& dir, std::string_view name) const override {
    const trace::Registry& registry = RegistryOf(dir.domain);
    RcuReadGuard guard(registry.rcu());
    const Event* event = registry.FindEvent(SystemOf(dir), name);
    if (event == nullptr) return std::nullopt;
    return ObjectOf(event->id());
  }

  void List(const Dir& dir, ObjectId after, kernfs::ChildSink& sink) const override {
    const trace::Registry& registry = RegistryOf(dir.domain);
    const System& system = SystemOf(dir);
    RcuReadGuard guard(registry.rcu());
    for (uint64_t id = IdOf(after); const Event* event = registry.NextEvent(system, id);) {
      id = event->id();
      if (!sink.Take(ObjectOf(id), event->name(), vfs::FileType::kDir)) return;
    }
  }

  std::optional<Provided> Describe(kernfs::Node& domain, ObjectId object) const override {
    const trace::Registry& registry = RegistryOf(domain);
    RcuReadGuard guard(registry.rcu());
    Event* event = registry.FindEvent(IdOf(object));
    if (event == nullptr) return std::nullopt;
    return Provided{.mode = kDirMode, .dir = &kEventDir, .priv = event};
  }

 private:
  static const System& SystemOf(const Dir& dir) { return *static_cast<const System*>(dir.priv); }
};

// --- Systems ---

constexpr SystemEnable kSystemEnable;
constexpr SystemFilter kSystemFilter;
constexpr EventProvider kEventProvider;

constexpr auto kSystemTable =
    kernfs::MakeTable(File("enable", 0640, kSystemEnable, &SystemCanEnable),
                      File("filter", 0640, kSystemFilter, &SystemCanEnable));

constexpr kernfs::DirType kSystemDir{.table = kSystemTable, .provider = &kEventProvider};

class SystemProvider final : public kernfs::Provider {
 public:
  constexpr SystemProvider() = default;

  std::optional<ObjectId> Find(const Dir& dir, std::string_view name) const override {
    const trace::Registry& registry = RegistryOf(dir.domain);
    RcuReadGuard guard(registry.rcu());
    const System* system = registry.FindSystem(name);
    if (system == nullptr) return std::nullopt;
    return ObjectOf(system->id());
  }

  void List(const Dir& dir, ObjectId after, kernfs::ChildSink& sink) const override {
    const trace::Registry& registry = RegistryOf(dir.domain);
    RcuReadGuard guard(registry.rcu());
    for (uint64_t id = IdOf(after); const System* system = registry.NextSystem(id);) {
      id = system->id();
      if (!sink.Take(ObjectOf(id), system->name(), vfs::FileType::kDir)) return;
    }
  }

  std::optional<Provided> Describe(kernfs::Node& domain, ObjectId object) const override {
    const trace::Registry& registry = RegistryOf(domain);
    RcuReadGuard guard(registry.rcu());
    System* system = registry.FindSystem(IdOf(object));
    if (system == nullptr) return std::nullopt;
    return Provided{.mode = kDirMode, .dir = &kSystemDir, .priv = system};
  }
};

// --- events/ ---

constexpr TopEnable kTopEnable;
constexpr HeaderPage kHeaderPage;
constexpr HeaderEvent kHeaderEvent;
constexpr SystemProvider kSystemProvider;

constexpr auto kEventsTable =
    kernfs::MakeTable(File("enable", 0640, kTopEnable), File("header_page", 0440, kHeaderPage),
                      File("header_event", 0440, kHeaderEvent));

template <size_t N>
constexpr std::array<std::string_view, N> NamesOf(const kernfs::TableStorage<N>& table) {
  std::array<std::string_view, N> names;
  for (size_t i = 0; i < N; ++i) names[i] = table.entries[i].name;
  return names;
}

constexpr auto kReservedSystemNames = NamesOf(kEventsTable);
constexpr auto kReservedEventNames = NamesOf(kSystemTable);

}  // namespace

constexpr kernfs::DirType kEventsDir{.table = kEventsTable, .provider = &kSystemProvider};

std::span<const std::string_view> ReservedSystemNames() { return kReservedSystemNames; }
std::span<const std::string_view> ReservedEventNames() { return kReservedEventNames; }

// --- Removal ---

RegistryWatch::RegistryWatch(trace::Registry& registry, kernfs::Root& root)
    : registry_(registry), root_(root) {
  registry_.SetObserver(this);
}

RegistryWatch::~RegistryWatch() { registry_.SetObserver(nullptr); }

void RegistryWatch::EventRemoved(Event& event) { root_.RemoveObject(ObjectOf(event.id())); }

void RegistryWatch::SystemRemoved(System& system) { root_.RemoveObject(ObjectOf(system.id())); }

}  // namespace dentree::eventfs
