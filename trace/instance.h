#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/errno.h"
#include "base/rcu.h"
#include "base/refptr.h"
#include "trace/event.h"
#include "trace/rcu_counted.h"
#include "trace/record.h"

namespace dentree::trace {

class InstancePin;

enum class Switch : uint8_t { kOff, kOn };

// What the `enable` file of an event, a system or an instance says.
enum class EnableState : uint8_t {
  kOff,    // 0: none is enabled
  kOn,     // 1: all are
  kMixed,  // X: some are
  kNone,   // ?: there is nothing to enable
};
constexpr char EnableStateChar(EnableState state) { return "01X?"[static_cast<uint8_t>(state)]; }

// One tracing instance: which of the registry's events it has enabled, and (later) its own buffer,
// filters and triggers. The top one exists as long as the registry; the others are created and
// removed by name.
//
// Which events are enabled is not in here but in the registry's EnableMatrix, where the instance
// has a column from the first event it enables on: an instance that never enables anything is this
// object and its name.
//
// Thread safety: every method from any thread. Changes of what is enabled, and removal, are made
// under the registry's lock (rank kRegistry): once the instance is removed nothing is enabled in it
// any more. Reading the state of one event takes no lock; of many, that lock, so that a bulk change
// is seen whole or not at all.
// Lifetime: counted, a grace period after the last reference; and alive until Registry::Remove,
// which a Pin (an open file) prevents. After that changes answer kNoDev.
class Instance : public RcuCounted<Instance> {
 public:
  uint64_t id() const { return id_; }
  uint64_t hash() const { return hash_; }
  // Empty for the top instance.
  std::string_view name() const { return name_; }
  bool alive() const { return (pins_.load(std::memory_order_acquire) & kRemoved) == 0; }

  // Keeps the instance from being removed. kNoDev when it is.
  base::Result<InstancePin> Pin();

  // Turns one event on or off here. kInval if it cannot be enabled, kNoDev if the event or the
  // instance is removed; turning on may be kNoMem, turning off never is.
  base::Status Set(Event& event, Switch to);
  // All events of a system that can be enabled. kNoDev if it is removed, kInval if it has none.
  base::Status Set(System& system, Switch to);
  // All events of the registry that can be enabled, be there any or not.
  base::Status SetAll(Switch to);

  // What a write to set_event does: words separated by white space, each `[!]SYSTEM:EVENT`,
  // `[!]SYSTEM:` or `[!]NAME` (every event of that name and every event of a system of that name);
  // "*" or nothing on either side of a ':' means all. '!' turns off. A word nothing answers to is
  // kInval. Returns how many bytes were taken: all, or, as write(2) does, those before the first
  // word in error if there was a good one before it.
  base::Result<size_t> WriteSetEvent(std::string_view text);

  // Whether the event is alive and enabled here.
  bool IsEnabled(const Event& event) const;
  EnableState StateOf(const Event& event) const;
  EnableState StateOf(const System& system) const;
  EnableState State() const;
  // The number of events enabled here.
  uint32_t enabled_count() const { return enabled_count_.load(std::memory_order_relaxed); }

  // The next enabled event behind an id, as Registry::NextEvent: in an RCU read section.
  Event* NextEnabled(uint64_t after) const;

  // tracing_on: whether records are kept. On when created.
  bool tracing_on() const { return tracing_on_.load(std::memory_order_relaxed); }
  void SetTracing(Switch to) { tracing_on_.store(to == Switch::kOn, std::memory_order_relaxed); }

  // Takes one record; the write path of every tracepoint ends here. Takes no lock and never
  // allocates; drops the record when this thread is inside Commit already.
  void Commit(const RecordView& record);
  // Records taken so far.
  uint64_t hits() const { return hits_.load(std::memory_order_relaxed); }

  // Memory of this instance alone: the object and its name.
  size_t bytes() const { return sizeof(*this) + (name_.size() > 15 ? name_.capacity() + 1 : 0); }

 private:
  friend class RcuCounted<Instance>;
  friend class Registry;
  friend class InstancePin;

  static constexpr uint32_t kNoColumn = UINT32_MAX;
  static constexpr uint32_t kRemoved = 1u << 31;

  Instance(Registry& registry, std::string name, uint64_t hash);
  ~Instance() = default;
  base::RcuDomain& Unreferenced();

  // What a word of set_event means.
  struct Selector {
    enum class Kind : uint8_t {
      kBoth,    // the system and the event have these names; an empty one is any
      kEither,  // the system or the event has this name
    };
    Switch to;
    Kind kind;
    std::string_view system;
    std::string_view event;
    bool Matches(const Event& candidate) const;
  };
  static Selector ParseSelector(std::string_view word);
  base::Status Apply(const Selector& selector);
  template <class Matches>
  base::Status SwitchAllOfLocked(const IdOrder<Event>& events, Switch to, Matches matches);

  // Read by the write path.
  std::atomic<bool> tracing_on_{true};
  std::atomic<uint32_t> column_{kNoColumn};  // written under the registry's lock
  std::atomic<uint64_t> hits_{0};

  std::atomic<uint32_t> enabled_count_{0};  // written under the registry's lock
  std::atomic<uint32_t> pins_{0};           // open files, and kRemoved
  uint64_t id_ = 0;
  uint64_t hash_;
  Registry& registry_;
  std::string name_;
};

// Keeps an instance alive: the reference an open file of it holds.
//
// Thread safety: none. Lifetime: holds a reference on the instance.
class [[nodiscard]] InstancePin {
 public:
  InstancePin() = default;
  InstancePin(InstancePin&&) noexcept = default;
  InstancePin& operator=(InstancePin&& other) noexcept;
  ~InstancePin() { Reset(); }

  Instance* get() const { return instance_.get(); }
  Instance* operator->() const { return get(); }
  Instance& operator*() const { return *get(); }
  explicit operator bool() const { return get() != nullptr; }
  void Reset();

  // For who keeps a pin in a bare pointer: Leak gives it away, Adopt takes it back.
  [[nodiscard]] Instance* Leak() { return instance_.Leak(); }
  static InstancePin Adopt(Instance* instance) {
    return InstancePin(base::Ref<Instance>::Adopt(instance));
  }

 private:
  friend class Instance;
  explicit InstancePin(base::Ref<Instance> instance) : instance_(std::move(instance)) {}

  base::Ref<Instance> instance_;
};

}  // namespace dentree::trace
