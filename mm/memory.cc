#include "mm/memory.h"

#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

namespace {

constexpr std::string_view kVariableBytesName = "bytes";

}  // namespace

Memory::Memory(Options options, base::RcuDomain& rcu, base::FaultInjector& faults,
               base::SyncPoints& sync)
    : on_leak_(options.on_leak),
      rcu_(rcu),
      faults_(faults),
      sync_(sync),
      arena_(std::make_unique<SlabArena>(*this)) {
  stats_.limit = options.limit_bytes;
}

Memory::~Memory() {
  // Nothing else in the domain concerns this Memory: its users drained it before they were
  // destroyed.
  if (arena_->slabs_waiting() != 0) rcu_.Drain();
  if (const size_t bytes = stats_.variable_bytes.load(std::memory_order_relaxed)) {
    RecordLeak(kVariableBytesName, bytes);
  }
  base::MutexLock lock(registry_mu_);
  CHECK(caches_.empty() && shrinkers_.empty(), "caches and registrations go before their Memory");
}

bool Memory::TryCharge(size_t bytes) {
  size_t used = stats_.used.load(std::memory_order_relaxed);
  do {
    if (bytes > limit() || used > limit() - bytes) return false;
  } while (!stats_.used.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  stats_.high_water.Note(static_cast<int64_t>(used + bytes));
  return true;
}

void Memory::ChargeAlways(size_t bytes) {
  const size_t used = stats_.used.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  stats_.high_water.Note(static_cast<int64_t>(used));
}

void Memory::Uncharge(size_t bytes) {
  [[maybe_unused]] const size_t before = stats_.used.fetch_sub(bytes, std::memory_order_relaxed);
  DCHECK(before >= bytes, "more given back than was charged");
}

void* Memory::AllocBytes(size_t bytes, const char* site) {
  base::AssertMayAllocate();
  if (faults_.ShouldFail(site)) return nullptr;
  if (!Charge(bytes)) return nullptr;
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) {
    Uncharge(bytes);
    return nullptr;
  }
  stats_.variable_bytes.fetch_add(bytes, std::memory_order_relaxed);
  return memory;
}

void Memory::FreeBytes(void* memory, size_t bytes) {
  if (memory == nullptr) return;
  std::free(memory);
  stats_.variable_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  Uncharge(bytes);
}

void Memory::Register(Cache& cache) {
  base::MutexLock lock(registry_mu_);
  caches_.PushBack(cache);
}

void Memory::Unregister(Cache& cache) {
  base::MutexLock lock(registry_mu_);
  caches_.Remove(cache);
}

void Memory::Register(ShrinkerRegistration& registration) {
  base::MutexLock lock(registry_mu_);
  registration.id_ = next_shrinker_id_++;
  shrinkers_.PushBack(registration);
}

void Memory::Unregister(ShrinkerRegistration& registration) {
  base::MutexLock lock(registry_mu_);
  registration.dying_ = true;
  while (registration.running_ != 0) scan_ended_.Wait(registry_mu_);
  shrinkers_.Remove(registration);
}

ShrinkerRegistration* Memory::NextShrinker(ShrinkerRegistration* after) const {
  base::MutexLock lock(registry_mu_);
  ShrinkerRegistration* next = after != nullptr
                                   ? shrinkers_.Next(*after)
                                   : (shrinkers_.empty() ? nullptr : &shrinkers_.front());
  while (next != nullptr && next->dying_) next = shrinkers_.Next(*next);
  if (next != nullptr) ++next->running_;
  if (after != nullptr) PutShrinkerLocked(*after);
  return next;
}

void Memory::PutShrinker(ShrinkerRegistration& registration) const {
  base::MutexLock lock(registry_mu_);
  PutShrinkerLocked(registration);
}

void Memory::PutShrinkerLocked(ShrinkerRegistration& registration) const {
  if (--registration.running_ == 0 && registration.dying_) scan_ended_.NotifyAll();
}

void Memory::RecordLeak(std::string_view name, size_t count) {
  std::fprintf(stderr, "mm: %.*s: %zu leaked\n", static_cast<int>(name.size()), name.data(), count);
  CHECK(on_leak_ == OnLeak::kReport, "memory leaked");
  base::MutexLock lock(registry_mu_);
  leaks_.push_back({std::string(name), count});
}

std::vector<Leak> Memory::LeakReport() const {
  base::MutexLock lock(registry_mu_);
  std::vector<Leak> leaks = leaks_;
  if (const size_t bytes = stats_.variable_bytes.load(std::memory_order_relaxed)) {
    leaks.push_back({std::string(kVariableBytesName), bytes});
  }
  return leaks;
}

}  // namespace dentree::mm
