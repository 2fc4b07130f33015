#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "base/rcu.h"
#include "base/refptr.h"
#include "trace/id_order.h"
#include "trace/rcu_counted.h"

// Systems and events as the registry keeps them, shared by all instances. What an instance knows of
// an event is in trace/instance.h; what a program fires is in trace/tracepoint.h.
//
// An event has three numbers, which are not the same:
//   id     who it is: 48 bits, unique among systems, events and instances of the registry, rising,
//          never given twice. Positions in listings and file-system identities are made of it.
//   slot   where its per-instance state lies: small and dense, given again after removal, but only
//          when no instance has a trace of the former owner.
//   type   what stands in its records: a u16 on the wire (common_type, the ID of its format).

namespace dentree::trace {

class Registry;
class TracepointBase;

// What can be done with an event; fixed for its life. The format is always there.
enum class EventFlags : uint8_t {
  kNone = 0,
  kEnable = 1,   // instances can enable it and filter it
  kId = 2,       // its type may be used by name outside (perf, libtraceevent)
  kTrigger = 4,  // an occurrence can trigger something
  kFull = kEnable | kId | kTrigger,
};
constexpr EventFlags operator|(EventFlags a, EventFlags b) {
  return static_cast<EventFlags>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr bool Has(EventFlags set, EventFlags flag) {
  return (static_cast<uint8_t>(set) & static_cast<uint8_t>(flag)) == static_cast<uint8_t>(flag);
}

// Text that several events point into: one allocation, gone with the last reference.
//
// Thread safety: the text is immutable once shared; Get and Put from any thread.
// Lifetime: counted; freed at once, so readers of an event's text hold the event (its memory, and
// with it this reference, outlives a grace period).
class TextBlock {
 public:
  // Null when there is no memory.
  static TextBlock* Create(std::string_view text);
  static void Get(TextBlock* block) { block->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(TextBlock* block);

  std::string_view view() const { return {reinterpret_cast<const char*>(this + 1), size_}; }

 private:
  explicit TextBlock(size_t size) : size_(size) {}

  std::atomic<uint32_t> refs_{1};
  size_t size_;
};

// What an event is made from. Names are at most kMaxNameBytes long, see CheckEventName.
struct EventSpec {
  std::string_view system;
  std::string_view name;
  // The trace type; 0 for one of the registry's choosing.
  uint16_t type = 0;
  EventFlags flags = EventFlags::kFull;
  // The fields behind the common ones: `declaration:offset:size:signed` joined by ';'
  // (docs/event-catalogues.md). Must be well formed: ParseField says what that is.
  std::string_view fields = {};
  // The format string for a record as text, one conversion per field; empty to have one made from
  // the fields.
  std::string_view print_format = {};
  // Who owns `name`, `fields` and `print_format`. Null: the event gets a copy of its own, unless it
  // has a tracepoint, whose strings are literals.
  base::Ref<TextBlock> text = nullptr;
  // Fired by the program, or null: nothing in this process fires the event (a loaded catalogue).
  TracepointBase* tracepoint = nullptr;
};

class System;

// One kind of thing that can be traced: a name in a system, its fields and its three numbers.
//
// Thread safety: all members may be read by any thread; what changes is atomic, and written under
// the registry's lock only.
// Lifetime: counted; the registry holds one reference until the event is removed and drained. Freed
// a grace period after the last reference, so a pointer found in an RCU read section stays valid
// until its end, and TryGet keeps it for longer. Holds a reference on its system.
class Event : public RcuCounted<Event> {
 public:
  uint64_t id() const { return id_; }
  uint32_t slot() const { return slot_; }
  uint16_t type() const { return type_; }
  EventFlags flags() const { return flags_; }
  System& system() const { return *system_; }
  std::string_view name() const { return name_; }
  std::string_view fields() const { return fields_; }
  std::string_view print_format() const { return print_format_; }

  // False from the moment it is being removed, and never true again. Lookups find only live ones;
  // who holds a reference asks again before each operation (ENODEV).
  bool alive() const { return state_.load(std::memory_order_acquire) == State::kLive; }

  uint64_t hash() const { return hash_; }

 private:
  friend class RcuCounted<Event>;
  friend class Registry;
  friend class Instance;
  friend class Registration;
  enum class State : uint8_t { kBuilding, kLive, kDead };

  Event(Registry& registry, const EventSpec& spec);
  ~Event() = default;
  base::RcuDomain& Unreferenced();

  // Read-mostly, in the order the write path and bulk operations want it.
  std::atomic<State> state_{State::kBuilding};
  EventFlags flags_;
  uint16_t type_ = 0;
  uint32_t slot_ = 0;
  TracepointBase* tracepoint_;  // guarded by the registry's lock; null once dead
  System* system_ = nullptr;
  uint64_t id_ = 0;
  uint64_t hash_ = 0;
  std::string_view name_;
  std::string_view fields_;
  std::string_view print_format_;
  base::Ref<TextBlock> text_;
  Registry& registry_;
};

// A named group of events; exists while it has any.
//
// Thread safety and lifetime: as Event.
class System : public RcuCounted<System> {
 public:
  uint64_t id() const { return id_; }
  std::string_view name() const { return name_; }
  bool alive() const { return state_.load(std::memory_order_acquire) == State::kLive; }

  // Whether the system as a whole can be enabled and filtered. The tracer's own records ("ftrace")
  // cannot: fixed by the name and for life, as in Linux, so that what a directory shows never
  // changes under a cached name.
  bool can_enable() const { return name_ != kInternalName; }

  // Moves with every event that appears in the system or vanishes from it.
  uint64_t revision() const { return revision_.load(std::memory_order_acquire); }

  uint64_t hash() const { return hash_; }

  static constexpr std::string_view kInternalName = "ftrace";

 private:
  friend class RcuCounted<System>;
  friend class Registry;
  friend class Instance;
  enum class State : uint8_t { kBuilding, kLive, kDead };

  System(Registry& registry, std::string name, uint64_t hash);
  ~System() = default;
  base::RcuDomain& Unreferenced();

  std::atomic<State> state_{State::kBuilding};
  uint64_t id_ = 0;
  uint64_t hash_;
  std::string name_;
  std::atomic<uint64_t> revision_{1};
  IdOrder<Event> events_;  // written under the registry's lock
  Registry& registry_;
};

}  // namespace dentree::trace
