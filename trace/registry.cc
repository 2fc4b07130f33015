#include "trace/registry.h"

#include <algorithm>
#include <new>
#include <string>

#include "base/check.h"
#include "trace/format.h"
#include "trace/name.h"

namespace dentree::trace {

using base::Err;
using base::Errno;
using base::MutexLock;

Registry::Registry(const Options& options)
    : options_(options),
      slots_(options.rcu, kMaxEvents),
      columns_(options.rcu, kMaxEnablingInstances),
      top_(*this, {}, 0) {
  stats_.instances.Add();
}

Registry::~Registry() {
  for (uint64_t id = 0; Instance* instance = instances_.Next(id);) {
    id = instance->id();
    CHECK(RemoveInstance(*instance).has_value(), "a file of an instance is still open");
  }
  MutexLock lock(mu_);
  GiveColumnLocked(top_);
  for (uint64_t id = 0; Event* event = events_.Next(id);) {
    id = event->id();
    CHECK(event->tracepoint_ == nullptr, "a tracepoint is still registered");
    UnlinkLocked(*event);
    Event::Put(event);
  }
  CHECK(objects_.load(std::memory_order_acquire) == 1, "somebody still refers to an event");
}

// --- Names ---------------------------------------------------------------------------------------

uint64_t Registry::SystemHash(std::string_view name) const {
  return base::HashName(options_.key, 0, name);
}

uint64_t Registry::EventHash(const System& system, std::string_view name) const {
  return base::HashName(options_.key, system.id(), name);
}

System* Registry::LookUpSystem(std::string_view name) const {
  return system_names_.Find(SystemHash(name), [&](const System& s) { return s.name() == name; });
}

Event* Registry::LookUpEvent(const System& system, std::string_view name) const {
  return event_names_.Find(EventHash(system, name), [&](const Event& event) {
    return event.system_ == &system && event.name() == name;
  });
}

System* Registry::FindSystem(std::string_view name) const { return LiveOrNull(LookUpSystem(name)); }

Event* Registry::FindEvent(const System& system, std::string_view name) const {
  return LiveOrNull(LookUpEvent(system, name));
}

// --- Adding --------------------------------------------------------------------------------------

namespace {

bool Contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// The same with text of its own.
base::Result<EventSpec> CopyText(const EventSpec& spec) {
  std::string text;
  try {
    text.append(spec.name).append(spec.fields).append(spec.print_format);
  } catch (const std::bad_alloc&) {
    return Err(Errno::kNoMem);
  }
  EventSpec copy = spec;
  copy.text = base::Ref<TextBlock>::Adopt(TextBlock::Create(text));
  if (!copy.text) return Err(Errno::kNoMem);
  const std::string_view all = copy.text->view();
  copy.name = all.substr(0, spec.name.size());
  copy.fields = all.substr(spec.name.size(), spec.fields.size());
  copy.print_format = all.substr(spec.name.size() + spec.fields.size());
  return copy;
}

}  // namespace

base::Result<Registration> Registry::Register(TracepointBase& tracepoint) {
  const EventSpec spec{.system = tracepoint.info_->system,
                       .name = tracepoint.info_->name,
                       .fields = tracepoint.info_->fields,
                       .print_format = tracepoint.print_format_,
                       .tracepoint = &tracepoint};
  auto added = Add({&spec, 1});
  if (!added) return Err(added.error().error);
  return Registration(std::move(added->front()));
}

std::expected<Registry::Batch, Registry::AddError> Registry::Add(std::span<const EventSpec> specs) {
  TRY(CheckSpecs(specs));
  base::Result<Batch> batch = Allocate(specs);
  if (!batch)
    return std::unexpected(AddError{batch.error(), 0, AddError::Part::kWhole, "out of memory"});
  {
    MutexLock lock(mu_);
    TRY(InsertAllLocked(*batch, specs));
    PublishLocked(*batch);
  }
  Announce(*batch);
  return std::move(*batch);
}

std::expected<void, Registry::AddError> Registry::CheckSpecs(
    std::span<const EventSpec> specs) const {
  using Part = AddError::Part;
  for (size_t i = 0; i < specs.size(); ++i) {
    const EventSpec& spec = specs[i];
    auto refuse = [i](Errno error, Part part, const char* reason) {
      return std::unexpected(AddError{error, i, part, reason});
    };
    if (auto ok = CheckEventName(spec.system); !ok) {
      return refuse(ok.error(), Part::kSystem, "not a name");
    }
    if (auto ok = CheckEventName(spec.name); !ok) {
      return refuse(ok.error(), Part::kName, "not a name");
    }
    if (Contains(options_.reserved_system_names, spec.system)) {
      return refuse(Errno::kExist, Part::kSystem, "the name of a file beside the systems");
    }
    if (Contains(options_.reserved_event_names, spec.name)) {
      return refuse(Errno::kExist, Part::kName, "the name of a file beside the events");
    }
    if (auto ok = CheckFields(spec.fields); !ok) {
      return refuse(Errno::kInval, Part::kFields, ok.error().reason);
    }
  }
  return {};
}

base::Result<Registry::Batch> Registry::Allocate(std::span<const EventSpec> specs) {
  Batch batch;
  try {
    batch.reserve(specs.size());
  } catch (const std::bad_alloc&) {
    return Err(Errno::kNoMem);
  }
  for (const EventSpec& spec : specs) {
    if (Fails("trace:alloc:event")) return Err(Errno::kNoMem);
    const bool borrowed = spec.text || spec.tracepoint != nullptr;
    Event* event = new (std::nothrow) Event(*this, borrowed ? spec : TRY(CopyText(spec)));
    if (event == nullptr) return Err(Errno::kNoMem);
    batch.push_back(base::Ref<Event>::Adopt(event));
  }
  return batch;
}

std::expected<void, Registry::AddError> Registry::InsertAllLocked(
    const Batch& batch, std::span<const EventSpec> specs) {
  for (size_t i = 0; i < batch.size(); ++i) {
    auto inserted = InsertLocked(*batch[i], specs[i].system, i);
    if (inserted) continue;
    for (const auto& event : std::span(batch).first(i)) {
      UnlinkLocked(*event);
      GiveNumbersLocked(*event);
    }
    return inserted;
  }
  return {};
}

std::expected<void, Registry::AddError> Registry::InsertLocked(Event& event,
                                                               std::string_view system_name,
                                                               size_t index) {
  using Part = AddError::Part;
  auto refuse = [index](Errno error, Part part, const char* reason) {
    return std::unexpected(AddError{error, index, part, reason});
  };
  TracepointBase* tracepoint = event.tracepoint_;
  if (tracepoint != nullptr && tracepoint->event_.load(std::memory_order_relaxed) != nullptr) {
    return refuse(Errno::kBusy, Part::kWhole, "the tracepoint is registered");
  }
  base::Result<System*> system = SystemForLocked(system_name);
  if (!system) return refuse(system.error(), Part::kWhole, "out of memory");
  if (LookUpEvent(**system, event.name()) != nullptr) {
    return refuse(Errno::kExist, Part::kName, "the system has an event of this name");
  }
  base::Status room = ReserveNamesLocked(**system, 1);
  if (room) room = TakeNumbersLocked(event);
  if (!room) {
    UnlinkIfEmptyLocked(**system);
    if (room.error() == Errno::kExist) return refuse(Errno::kExist, Part::kType, "the id is taken");
    return refuse(room.error(), Part::kWhole, "no room for the event");
  }
  System::Get(*system);
  event.system_ = *system;
  event.id_ = ++last_id_;
  event.hash_ = EventHash(**system, event.name());
  events_.Append(&event);
  (*system)->events_.Append(&event);
  event_names_.Insert(&event);
  return {};
}

base::Result<System*> Registry::SystemForLocked(std::string_view name) {
  if (System* system = LookUpSystem(name)) return system;
  if (Fails("trace:alloc:system")) return Err(Errno::kNoMem);
  TRY(systems_.Reserve(rcu(), 1));
  TRY(system_names_.Reserve(rcu(), 1));
  System* system = nullptr;
  try {
    system = new System(*this, std::string(name), SystemHash(name));
  } catch (const std::bad_alloc&) {
    return Err(Errno::kNoMem);
  }
  system->id_ = ++last_id_;
  systems_.Append(system);
  system_names_.Insert(system);
  return system;
}

base::Status Registry::ReserveNamesLocked(System& system, size_t count) {
  if (Fails("trace:alloc:index")) return Err(Errno::kNoMem);
  TRY(events_.Reserve(rcu(), count));
  TRY(system.events_.Reserve(rcu(), count));
  return event_names_.Reserve(rcu(), count);
}

base::Status Registry::TakeNumbersLocked(Event& event) {
  if (event.type_ != 0) {
    TRY(types_.Take(event.type_));
  } else {
    event.type_ = TRY(types_.TakeAny());
  }
  base::Result<uint32_t> slot = slots_.Take();
  if (!slot) {
    types_.Give(event.type_);
    return Err(slot.error());
  }
  event.slot_ = *slot;
  return {};
}

void Registry::PublishLocked(const Batch& batch) {
  for (const auto& event : batch) {
    System& system = *event->system_;
    if (system.state_.load(std::memory_order_relaxed) == System::State::kBuilding) {
      system.state_.store(System::State::kLive, std::memory_order_release);
      revision_.fetch_add(1, std::memory_order_release);
      stats_.systems.Add();
    }
    Event::Get(event.get());  // the registry's
    if (Has(event->flags_, EventFlags::kEnable)) ++enableable_;
    event->state_.store(Event::State::kLive, std::memory_order_release);
    system.revision_.fetch_add(1, std::memory_order_release);
    if (TracepointBase* tracepoint = event->tracepoint_) {
      tracepoint->registry_.store(this, std::memory_order_release);
      tracepoint->event_.store(event.get(), std::memory_order_release);
    }
  }
  stats_.events.Add(static_cast<int64_t>(batch.size()));
}

void Registry::Announce(const Batch& batch) {
  if (observer_ == nullptr) return;
  for (const auto& event : batch) {
    // The event that brought its system has the next id.
    if (event->id() == event->system().id() + 1) observer_->SystemAdded(event->system());
    observer_->EventAdded(*event);
  }
}

// --- Removing ------------------------------------------------------------------------------------

base::Status Registry::Remove(Event& event) {
  base::Ref<System> gone;
  {
    MutexLock lock(mu_);
    if (!event.alive()) return Err(Errno::kNoEnt);
    if (!matrix_.RowEmpty(event.slot_)) return Err(Errno::kBusy);
    gone = UnlinkLocked(event);
  }
  FinishRemoval(event, gone);
  return {};
}

void Registry::Withdraw(Event& event) {
  base::Ref<System> gone;
  {
    MutexLock lock(mu_);
    if (!event.alive()) return;
    DisableLocked(top_, event);
    instances_.ForEach([&](Instance& instance)
                           DT_NO_THREAD_SAFETY_ANALYSIS { DisableLocked(instance, event); });
    gone = UnlinkLocked(event);
  }
  FinishRemoval(event, gone);
}

base::Ref<System> Registry::UnlinkLocked(Event& event) {
  System& system = *event.system_;
  const bool was_live = event.alive();
  event.state_.store(Event::State::kDead, std::memory_order_release);
  event_names_.Remove(&event);
  events_.Remove(rcu(), &event);
  system.events_.Remove(rcu(), &event);
  if (was_live) {
    if (Has(event.flags_, EventFlags::kEnable)) --enableable_;
    system.revision_.fetch_add(1, std::memory_order_release);
    stats_.events.Sub();
    stats_.removed.Add();
    if (event.tracepoint_ != nullptr) {
      event.tracepoint_->event_.store(nullptr, std::memory_order_release);
    }
  }
  event.tracepoint_ = nullptr;
  return UnlinkIfEmptyLocked(system);
}

base::Ref<System> Registry::UnlinkIfEmptyLocked(System& system) {
  if (system.events_.size() != 0) return nullptr;
  const bool was_live = system.alive();
  system.state_.store(System::State::kDead, std::memory_order_release);
  system_names_.Remove(&system);
  systems_.Remove(rcu(), &system);
  if (was_live) {
    revision_.fetch_add(1, std::memory_order_release);
    stats_.systems.Sub();
  }
  return base::Ref<System>::Adopt(&system);  // the registry's
}

void Registry::GiveNumbersLocked(Event& event) {
  DCHECK(matrix_.RowEmpty(event.slot_), "a slot must be clear in every instance");
  slots_.Give(event.slot_);
  // The buffers keep no records yet, so none can hold one of this type.
  types_.Give(event.type_);
}

void Registry::FinishRemoval(Event& event, const base::Ref<System>& gone) {
  SYNC_POINT(options_.sync_points, "trace:remove:dead");
  if (observer_ != nullptr) {
    observer_->EventRemoved(event);
    if (gone) observer_->SystemRemoved(*gone);
  }
  {
    MutexLock lock(mu_);
    GiveNumbersLocked(event);
  }
  Event::Put(&event);
}

// --- Enabling ------------------------------------------------------------------------------------

namespace {

// A gauge written under the lock only needs no locked instruction, which would be half the cost of
// enabling everything.
void Adjust(base::Gauge& gauge, int64_t change) { gauge.Set(gauge.Value() + change); }

}  // namespace

base::Status Registry::EnableLocked(Instance& instance, Event& event) {
  TRY(ReserveColumnLocked(instance));
  if (!matrix_.Set(event.slot_, instance.column_.load(std::memory_order_relaxed))) return {};
  instance.enabled_count_.store(instance.enabled_count() + 1, std::memory_order_relaxed);
  Adjust(stats_.enabled, 1);
  if (event.tracepoint_ != nullptr) event.tracepoint_->flag_.store(1, std::memory_order_relaxed);
  return {};
}

void Registry::DisableLocked(Instance& instance, Event& event) {
  if (!matrix_.Clear(event.slot_, instance.column_.load(std::memory_order_relaxed))) return;
  instance.enabled_count_.store(instance.enabled_count() - 1, std::memory_order_relaxed);
  Adjust(stats_.enabled, -1);
  if (event.tracepoint_ != nullptr && matrix_.RowEmpty(event.slot_)) {
    event.tracepoint_->flag_.store(0, std::memory_order_relaxed);
  }
}

base::Status Registry::SwitchLocked(Instance& instance, Event& event, Switch to) {
  if (to == Switch::kOn) return EnableLocked(instance, event);
  DisableLocked(instance, event);
  return {};
}

base::Status Registry::ReserveColumnLocked(Instance& instance) {
  const uint32_t column = instance.column_.load(std::memory_order_relaxed);
  if (column != Instance::kNoColumn) {
    return matrix_.Reserve(rcu(), slots_.high_water(), columns_.high_water());
  }
  if (Fails("trace:alloc:matrix")) return Err(Errno::kNoMem);
  const uint32_t fresh = TRY(columns_.Take());
  if (auto room = matrix_.Reserve(rcu(), slots_.high_water(), columns_.high_water()); !room) {
    columns_.Give(fresh);
    return room;
  }
  matrix_.SetInstance(fresh, &instance);
  instance.column_.store(fresh, std::memory_order_release);
  return {};
}

void Registry::GiveColumnLocked(Instance& instance) {
  const uint32_t column = instance.column_.load(std::memory_order_relaxed);
  if (column == Instance::kNoColumn) return;
  if (instance.enabled_count() != 0) {
    events_.ForEach([&](Event& event)
                        DT_NO_THREAD_SAFETY_ANALYSIS { DisableLocked(instance, event); });
  }
  matrix_.SetInstance(column, nullptr);
  instance.column_.store(Instance::kNoColumn, std::memory_order_release);
  columns_.Give(column);
}

// --- Instances -----------------------------------------------------------------------------------

base::Result<base::Ref<Instance>> Registry::CreateInstance(std::string_view name) {
  TRY(CheckName(name));
  if (Fails("trace:alloc:instance")) return Err(Errno::kNoMem);
  base::Ref<Instance> instance;
  try {
    instance = base::Ref<Instance>::Adopt(
        new Instance(*this, std::string(name), base::HashName(options_.key, 0, name)));
  } catch (const std::bad_alloc&) {
    return Err(Errno::kNoMem);
  }
  MutexLock lock(mu_);
  if (FindInstance(name) != nullptr) return Err(Errno::kExist);
  if (Fails("trace:alloc:index")) return Err(Errno::kNoMem);
  TRY(instances_.Reserve(rcu(), 1));
  TRY(instance_names_.Reserve(rcu(), 1));
  instance->id_ = ++last_id_;
  Instance::Get(instance.get());  // the registry's
  instances_.Append(instance.get());
  instance_names_.Insert(instance.get());
  stats_.instances.Add();
  return instance;
}

base::Status Registry::RemoveInstance(Instance& instance) {
  if (&instance == &top_) return Err(Errno::kPerm);
  {
    MutexLock lock(mu_);
    uint32_t unpinned = 0;
    if (!instance.pins_.compare_exchange_strong(unpinned, Instance::kRemoved,
                                                std::memory_order_acq_rel)) {
      return Err((unpinned & Instance::kRemoved) != 0 ? Errno::kNoEnt : Errno::kBusy);
    }
    GiveColumnLocked(instance);
    instance_names_.Remove(&instance);
    instances_.Remove(rcu(), &instance);
    stats_.instances.Sub();
  }
  Instance::Put(&instance);
  return {};
}

Instance* Registry::FindInstance(std::string_view name) const {
  return instance_names_.Find(base::HashName(options_.key, 0, name),
                              [&](const Instance& i) { return i.name() == name; });
}

size_t Registry::bytes() const {
  MutexLock lock(mu_);
  size_t bytes = sizeof(*this) + matrix_.bytes() + systems_.bytes() + events_.bytes() +
                 instances_.bytes() + system_names_.bytes() + event_names_.bytes() +
                 instance_names_.bytes() + events_.size() * sizeof(Event);
  systems_.ForEach([&](System& s) { bytes += sizeof(System) + s.events_.bytes(); });
  return bytes;
}

}  // namespace dentree::trace
