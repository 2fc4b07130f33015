#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/errno.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/rcu.h"
#include "base/refptr.h"
#include "base/sync_point.h"
#include "trace/enable_matrix.h"
#include "trace/event.h"
#include "trace/id_order.h"
#include "trace/index_pool.h"
#include "trace/instance.h"
#include "trace/name_table.h"
#include "trace/record.h"
#include "trace/stats.h"
#include "trace/tracepoint.h"
#include "trace/type_map.h"

namespace dentree::trace {

// Who shows the registry's contents to the world (eventfs) and must hear of changes. Called with no
// lock held, by the thread that makes the change.
class RegistryObserver {
 public:
  virtual ~RegistryObserver() = default;
  // Additions are told after they can be found; another thread may have removed them by then.
  virtual void SystemAdded(System&) {}
  virtual void EventAdded(Event&) {}
  // The event is dead and can no longer be found. On return no operation on it may be running and
  // none may start: this is where open files are drained. Its slot and type go to others
  // afterwards.
  virtual void EventRemoved(Event&) {}
  // After EventRemoved of its last event.
  virtual void SystemRemoved(System&) {}
};

// The systems and events of one Os, shared by all its tracing instances, and those instances.
//
//   Registry registry({.rcu = rcu, .faults = faults, .sync_points = points, .key = key});
//   Registration r = TRY(registry.Register(trace.req_done));
//   TRY(registry.top().WriteSetEvent("net:req_done"));
//
// Thread safety: every method from any thread.
//   - Finding and walking take no lock: they run inside an RCU read section of rcu() and return
//     pointers good until its end (TryGet for longer). Only live things are found.
//   - mu_ (rank kRegistry) makes changes one after the other: names, orders, slots, types and the
//     matrix are written under it. It is never held while the observer is called.
// Lifetime: outlives its registrations, pins and references to what is in it, the observer's calls
// and the calls of its tracepoints; its destructor, which takes the remaining events and instances
// along, checks that none is left. The RCU domain outlives it and is drained after it.
class Registry {
 public:
  // No more than this many events and instances with something enabled at a time.
  static constexpr uint32_t kMaxEvents = 0x10000;
  static constexpr uint32_t kMaxEnablingInstances = 0x10000;

  struct Options {
    base::RcuDomain& rcu;
    base::FaultInjector& faults;
    base::SyncPoints& sync_points;
    base::HashKey key;
    // Names that a system, or an event of any system, must not have: those of the files standing
    // beside them. The strings outlive the registry.
    std::span<const std::string_view> reserved_system_names = {};
    std::span<const std::string_view> reserved_event_names = {};
  };

  explicit Registry(const Options& options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  base::RcuDomain& rcu() const { return options_.rcu; }
  base::FaultInjector& faults() const { return options_.faults; }

  // At most one; set while nothing else happens here (when the tree is built or taken down).
  void SetObserver(RegistryObserver* observer) { observer_ = observer; }

  // --- Events
  // -------------------------------------------------------------------------------------

  // Adds the event of a tracepoint. kBusy if the tracepoint is registered already; else as Add.
  base::Result<Registration> Register(TracepointBase& tracepoint);

  // Why Add refused, and what of which event it was.
  struct AddError {
    enum class Part : uint8_t { kSystem, kName, kType, kFields, kWhole };
    base::Errno error;
    size_t index;
    Part part;
    const char* reason;
  };

  // Adds all events or none, and returns them in the order given. kExist for a name or type that is
  // taken or a reserved name; kInval and kNameTooLong for a bad one, kInval for bad fields; kBusy
  // for a tracepoint already registered; kNoSpc past kMaxEvents; kNoMem.
  std::expected<std::vector<base::Ref<Event>>, AddError> Add(std::span<const EventSpec> specs);

  // Removes an event; with the last one goes its system. kBusy while any instance has it enabled,
  // kNoEnt if it was removed before. Waits for operations on its files, so it must not come from
  // one of those.
  base::Status Remove(Event& event);

  System* FindSystem(std::string_view name) const;
  System* FindSystem(uint64_t id) const { return LiveOrNull(systems_.Find(id)); }
  Event* FindEvent(const System& system, std::string_view name) const;
  Event* FindEvent(uint64_t id) const { return LiveOrNull(events_.Find(id)); }

  // The live system or event with the smallest id above `after` (0: the first): of all, or of one
  // system. The order is that of creation.
  System* NextSystem(uint64_t after) const { return NextLive(systems_, after); }
  Event* NextEvent(uint64_t after) const { return NextLive(events_, after); }
  Event* NextEvent(const System& system, uint64_t after) const {
    return NextLive(system.events_, after);
  }

  // Moves with every system that appears or vanishes.
  uint64_t revision() const { return revision_.load(std::memory_order_acquire); }

  // --- Instances
  // ----------------------------------------------------------------------------------

  Instance& top() { return top_; }

  // kExist, or what CheckName says, or kNoMem.
  base::Result<base::Ref<Instance>> CreateInstance(std::string_view name);

  // Turns off what is enabled in it and forgets it. kBusy while it is pinned, kNoEnt if it was
  // removed before, kPerm for the top one.
  base::Status RemoveInstance(Instance& instance);

  Instance* FindInstance(std::string_view name) const;
  Instance* NextInstance(uint64_t after) const { return instances_.Next(after); }

  // --- For the room
  // -------------------------------------------------------------------------------

  // Hands a record to every instance that has the event enabled. In an RCU read section.
  void Dispatch(const RecordView& record) const {
    matrix_.ForEachInstance(record.event.slot(), [&](Instance& i) { i.Commit(record); });
  }

  const TraceStats& stats() const { return stats_; }
  // Memory of what the instances share: tables, events, systems; without the catalogues' text.
  size_t bytes() const;

 private:
  friend class Instance;
  friend class Event;
  friend class System;
  friend class Registration;
  friend class TracepointBase;

  template <class T>
  static T* LiveOrNull(T* object) {
    return object != nullptr && object->alive() ? object : nullptr;
  }
  template <class T>
  static T* NextLive(const IdOrder<T>& order, uint64_t after) {
    T* object = order.Next(after);
    while (object != nullptr && !object->alive()) object = order.Next(object->id());
    return object;
  }

  uint64_t SystemHash(std::string_view name) const;
  uint64_t EventHash(const System& system, std::string_view name) const;
  // Those being built included.
  System* LookUpSystem(std::string_view name) const;
  Event* LookUpEvent(const System& system, std::string_view name) const;

  // Steps of Add. A batch is inserted event by event in state kBuilding, which no lookup finds, and
  // made live at the end, when nothing can fail any more.
  using Batch = std::vector<base::Ref<Event>>;
  std::expected<void, AddError> CheckSpecs(std::span<const EventSpec> specs) const;
  base::Result<Batch> Allocate(std::span<const EventSpec> specs);
  std::expected<void, AddError> InsertAllLocked(const Batch& batch,
                                                std::span<const EventSpec> specs) DT_REQUIRES(mu_);
  std::expected<void, AddError> InsertLocked(Event& event, std::string_view system_name,
                                             size_t index) DT_REQUIRES(mu_);
  base::Result<System*> SystemForLocked(std::string_view name) DT_REQUIRES(mu_);
  base::Status ReserveNamesLocked(System& system, size_t count) DT_REQUIRES(mu_);
  base::Status TakeNumbersLocked(Event& event) DT_REQUIRES(mu_);
  void PublishLocked(const Batch& batch) DT_REQUIRES(mu_);
  void Announce(const Batch& batch);

  // Takes the event, and its system with the last one, out of all tables. Returns the system if it
  // goes.
  base::Ref<System> UnlinkLocked(Event& event) DT_REQUIRES(mu_);
  base::Ref<System> UnlinkIfEmptyLocked(System& system) DT_REQUIRES(mu_);
  void GiveNumbersLocked(Event& event) DT_REQUIRES(mu_);
  void FinishRemoval(Event& event, const base::Ref<System>& gone);
  // Remove for the owner of the tracepoint, who cannot be refused.
  void Withdraw(Event& event);

  base::Status EnableLocked(Instance& instance, Event& event) DT_REQUIRES(mu_);
  void DisableLocked(Instance& instance, Event& event) DT_REQUIRES(mu_);
  base::Status SwitchLocked(Instance& instance, Event& event, Switch to) DT_REQUIRES(mu_);
  base::Status ReserveColumnLocked(Instance& instance) DT_REQUIRES(mu_);
  void GiveColumnLocked(Instance& instance) DT_REQUIRES(mu_);

  bool Fails(std::string_view point) const { return options_.faults.ShouldFail(point); }
  void NoteObject(int change) { objects_.fetch_add(change, std::memory_order_acq_rel); }

  const Options options_;
  RegistryObserver* observer_ = nullptr;

  mutable base::Mutex<base::LockRank::kRegistry> mu_;
  // Read without the lock, written under it.
  IdOrder<System> systems_;
  IdOrder<Event> events_;
  IdOrder<Instance> instances_;  // without the top one
  NameTable<System> system_names_;
  NameTable<Event> event_names_;
  NameTable<Instance> instance_names_;
  EnableMatrix matrix_;
  std::atomic<uint64_t> revision_{1};

  IndexPool slots_ DT_GUARDED_BY(mu_);
  IndexPool columns_ DT_GUARDED_BY(mu_);
  TypeMap types_ DT_GUARDED_BY(mu_);
  uint64_t last_id_ DT_GUARDED_BY(mu_) = 0;
  uint32_t enableable_ DT_GUARDED_BY(mu_) = 0;  // live events that can be enabled

  TraceStats stats_;
  // Events, systems and instances somebody still refers to.
  std::atomic<int> objects_{0};

  Instance top_;
};

}  // namespace dentree::trace
