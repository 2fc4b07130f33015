#include "trace/instance.h"

#include <utility>

#include "base/check.h"
#include "trace/registry.h"
#include "trace/writer.h"

namespace dentree::trace {

using base::Err;
using base::Errno;
using base::MutexLock;

Instance::Instance(Registry& registry, std::string name, uint64_t hash)
    : hash_(hash), registry_(registry), name_(std::move(name)) {
  registry.NoteObject(1);
}

base::RcuDomain& Instance::Unreferenced() {
  base::RcuDomain& rcu = registry_.rcu();
  registry_.NoteObject(-1);
  return rcu;
}

// --- Pins ----------------------------------------------------------------------------------------

base::Result<InstancePin> Instance::Pin() {
  uint32_t pins = pins_.load(std::memory_order_relaxed);
  do {
    if ((pins & kRemoved) != 0) return Err(Errno::kNoDev);
  } while (!pins_.compare_exchange_weak(pins, pins + 1, std::memory_order_acquire,
                                        std::memory_order_relaxed));
  return InstancePin(base::Ref<Instance>::Share(this));
}

void InstancePin::Reset() {
  if (!instance_) return;
  instance_->pins_.fetch_sub(1, std::memory_order_release);
  instance_ = nullptr;
}

InstancePin& InstancePin::operator=(InstancePin&& other) noexcept {
  Reset();
  instance_ = std::move(other.instance_);
  return *this;
}

// --- Enabling ------------------------------------------------------------------------------------

base::Status Instance::Set(Event& event, Switch to) {
  SYNC_POINT(registry_.options_.sync_points, "trace:set:unlocked");
  MutexLock lock(registry_.mu_);
  if (!alive() || !event.alive()) return Err(Errno::kNoDev);
  if (!Has(event.flags(), EventFlags::kEnable)) return Err(Errno::kInval);
  return registry_.SwitchLocked(*this, event, to);
}

base::Status Instance::Set(System& system, Switch to) {
  MutexLock lock(registry_.mu_);
  if (!alive() || !system.alive()) return Err(Errno::kNoDev);
  return SwitchAllOfLocked(system.events_, to, [](const Event&) { return true; });
}

base::Status Instance::SetAll(Switch to) {
  MutexLock lock(registry_.mu_);
  if (!alive()) return Err(Errno::kNoDev);
  if (registry_.enableable_ == 0) return {};
  return SwitchAllOfLocked(registry_.events_, to, [](const Event&) { return true; });
}

// Only the first event can fail (for want of a column), so it is all or nothing.
template <class Matches>
base::Status Instance::SwitchAllOfLocked(const IdOrder<Event>& events, Switch to, Matches matches) {
  base::Status result = Err(Errno::kInval);
  bool failed = false;
  events.ForEach([&](Event& event) DT_NO_THREAD_SAFETY_ANALYSIS {
    if (failed || !Has(event.flags(), EventFlags::kEnable) || !matches(event)) return;
    result = registry_.SwitchLocked(*this, event, to);
    failed = !result.has_value();
  });
  return result;
}

// --- set_event -----------------------------------------------------------------------------------

namespace {

bool IsSeparator(char c) { return c == '\0' || c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view Wildcard(std::string_view side) { return side == "*" ? "" : side; }

}  // namespace

Instance::Selector Instance::ParseSelector(std::string_view word) {
  Selector selector{};
  selector.to = word.starts_with('!') ? Switch::kOff : Switch::kOn;
  if (selector.to == Switch::kOff) word.remove_prefix(1);
  const size_t colon = word.find(':');
  if (colon == word.npos) {
    selector.kind = Selector::Kind::kEither;
    selector.system = selector.event = word;
  } else {
    selector.kind = Selector::Kind::kBoth;
    selector.system = Wildcard(word.substr(0, colon));
    selector.event = Wildcard(word.substr(colon + 1));
  }
  return selector;
}

bool Instance::Selector::Matches(const Event& candidate) const {
  if (kind == Kind::kEither) {
    return candidate.name() == event || candidate.system().name() == system;
  }
  return (event.empty() || candidate.name() == event) &&
         (system.empty() || candidate.system().name() == system);
}

base::Status Instance::Apply(const Selector& selector) {
  MutexLock lock(registry_.mu_);
  if (!alive()) return Err(Errno::kNoDev);
  auto matches = [&](const Event& event) { return selector.Matches(event); };
  if (selector.kind == Selector::Kind::kBoth && !selector.system.empty()) {
    System* system = registry_.FindSystem(selector.system);
    if (system == nullptr) return Err(Errno::kInval);
    return SwitchAllOfLocked(system->events_, selector.to, matches);
  }
  return SwitchAllOfLocked(registry_.events_, selector.to, matches);
}

base::Result<size_t> Instance::WriteSetEvent(std::string_view text) {
  size_t taken = 0, at = 0;
  while (true) {
    while (at < text.size() && IsSeparator(text[at])) ++at;
    if (at == text.size()) return at;
    size_t end = at;
    while (end < text.size() && !IsSeparator(text[end])) ++end;
    if (auto applied = Apply(ParseSelector(text.substr(at, end - at))); !applied) {
      if (taken == 0) return Err(applied.error());
      return taken;
    }
    at = taken = end < text.size() ? end + 1 : end;
  }
}

// --- State ---------------------------------------------------------------------------------------

bool Instance::IsEnabled(const Event& event) const {
  // Neither slot nor column goes to somebody else while we are in here.
  base::RcuReadGuard guard(registry_.rcu());
  const uint32_t column = column_.load(std::memory_order_acquire);
  return event.alive() && column != kNoColumn && registry_.matrix_.Test(event.slot(), column);
}

EnableState Instance::StateOf(const Event& event) const {
  if (!event.alive() || !Has(event.flags(), EventFlags::kEnable)) return EnableState::kNone;
  return IsEnabled(event) ? EnableState::kOn : EnableState::kOff;
}

namespace {

EnableState Summary(size_t enabled, size_t total) {
  if (total == 0) return EnableState::kNone;
  if (enabled == 0) return EnableState::kOff;
  return enabled == total ? EnableState::kOn : EnableState::kMixed;
}

}  // namespace

EnableState Instance::StateOf(const System& system) const {
  MutexLock lock(registry_.mu_);
  if (!system.alive()) return EnableState::kNone;
  const uint32_t column = column_.load(std::memory_order_relaxed);
  size_t total = 0, enabled = 0;
  system.events_.ForEach([&](Event& event) {
    if (!Has(event.flags(), EventFlags::kEnable)) return;
    ++total;
    enabled += registry_.matrix_.Test(event.slot(), column);
  });
  return Summary(enabled, total);
}

EnableState Instance::State() const {
  MutexLock lock(registry_.mu_);
  return Summary(enabled_count(), registry_.enableable_);
}

Event* Instance::NextEnabled(uint64_t after) const {
  Event* event = registry_.NextEvent(after);
  while (event != nullptr && !IsEnabled(*event)) event = registry_.NextEvent(event->id());
  return event;
}

// --- Writing -------------------------------------------------------------------------------------

void Instance::Commit(const RecordView&) {
  WriterScope writer;
  if (!writer.outermost()) [[unlikely]] {
    registry_.stats_.nested.Add();
    return;
  }
  if (!tracing_on()) return;
  SYNC_POINT(registry_.options_.sync_points, "trace:commit");
  hits_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace dentree::trace
