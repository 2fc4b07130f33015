#include "mm/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "mm/background_internal.h"
#include "mm/poison_internal.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

namespace {

constexpr std::string_view kVariableBytesName = "bytes";
// The reserve is at most this part of the limit.
constexpr size_t kReserveShare = 8;

size_t ReserveOf(const Memory::Options& options) {
  if (options.limit_bytes == Memory::kNoLimit) return 0;
  return std::min(options.reserve_bytes, options.limit_bytes / kReserveShare);
}

// What lies before a block with profiling; what follows stays aligned for any scalar.
struct alignas(std::max_align_t) BlockHead {
  size_t bytes;
  SiteTable::Id site;
};

// A block, with what is around it.
struct Framing {
  bool profiled;

  size_t Head() const { return profiled ? sizeof(BlockHead) : 0; }
  size_t Size(size_t bytes) const { return Head() + bytes + kRedZoneBytes; }
};

void CheckBlock(const char* end, Site site) {
  if (kRedZoneBytes == 0 || RedZoneIntact(end, kRedZoneBytes)) [[likely]]
    return;
  std::fprintf(stderr, "mm: block allocated at %.*s:%u\n", static_cast<int>(site.file().size()),
               site.file().data(), site.line());
  CHECK(false, "written beyond the end of a block");
}

std::string Describe(const std::vector<SiteUse>& uses) {
  std::string text;
  for (const SiteUse& use : uses) {
    if (!text.empty()) text += ", ";
    absl::StrAppendFormat(&text, "%s:%u func:%s (%d)", use.site.file(), use.site.line(),
                          use.site.function(), use.calls);
  }
  return text;
}

}  // namespace

Memory::Memory(Options options, base::RcuDomain& rcu, base::FaultInjector& faults,
               base::SyncPoints& sync)
    : on_leak_(options.on_leak),
      ordinary_limit_(options.limit_bytes - ReserveOf(options)),
      report_interval_ns_(options.report_interval_ns),
      rcu_(rcu),
      faults_(faults),
      sync_(sync),
      sites_(options.profile ? std::make_unique<SiteTable>() : nullptr),
      arena_(std::make_unique<SlabArena>(*this)) {
  stats_.limit = options.limit_bytes;
  stats_.reserve = ReserveOf(options);
  if (options.low_watermark_bytes != 0 && options.limit_bytes != kNoLimit) {
    background_ = std::make_unique<BackgroundReclaim>(
        *this, ordinary_limit_ - std::min(ordinary_limit_, options.low_watermark_bytes),
        ordinary_limit_ - std::min(ordinary_limit_, options.high_watermark_bytes));
  }
}

Memory::~Memory() {
  StopBackground();
  // Nothing else in the domain concerns this Memory: its users drained it before they were
  // destroyed.
  if (arena_->slabs_waiting() != 0) rcu_.Drain();
  if (const size_t bytes = stats_.variable_bytes.load(std::memory_order_relaxed)) {
    RecordLeak(kVariableBytesName, bytes, BytesBySite());
  }
  base::MutexLock lock(registry_mu_);
  CHECK(caches_.empty() && shrinkers_.empty(), "caches and registrations go before their Memory");
}

void Memory::StopBackground() { background_.reset(); }

bool Memory::TryCharge(size_t bytes) {
  if (!TryChargeUpTo(bytes, ordinary_limit_)) return false;
  if (used() > wake_above_.load(std::memory_order_relaxed)) [[unlikely]]
    background_->Wake();
  return true;
}

bool Memory::TryChargeUpTo(size_t bytes, size_t limit) {
  size_t used = stats_.used.load(std::memory_order_relaxed);
  do {
    if (bytes > limit || used > limit - bytes) return false;
  } while (!stats_.used.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  stats_.high_water.Note(static_cast<int64_t>(used + bytes));
  return true;
}

bool Memory::TryChargeReserve(size_t bytes) {
  if (!MayUseReserve()) return false;
  stats_.reserve_charges.Add();
  return TryChargeUpTo(bytes, limit());
}

void Memory::ChargeAlways(size_t bytes) {
  const size_t used = stats_.used.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  stats_.high_water.Note(static_cast<int64_t>(used));
}

void Memory::Uncharge(size_t bytes) {
  [[maybe_unused]] const size_t before = stats_.used.fetch_sub(bytes, std::memory_order_relaxed);
  DCHECK(before >= bytes, "more given back than was charged");
}

void* Memory::AllocBytes(size_t bytes, const char* point, Site site) {
  base::AssertMayAllocate();
  if (faults_.ShouldFail(point)) {
    if (!TryChargeReserve(bytes)) return nullptr;
  } else if (!ChargeFor(bytes, point)) {
    return nullptr;
  }
  const Framing framing{.profiled = sites_ != nullptr};
  char* const block = static_cast<char*>(std::malloc(framing.Size(bytes)));
  if (block == nullptr) {
    Uncharge(bytes);
    return nullptr;
  }
  stats_.variable_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (sites_ != nullptr) {
    const SiteTable::Id id = sites_->IdOf(site);
    ::new (block) BlockHead{.bytes = bytes, .site = id};
    sites_->Add(id, bytes);
  }
  char* const memory = block + framing.Head();
  FillRedZone(memory + bytes, kRedZoneBytes);
  return memory;
}

void Memory::FreeBytes(void* memory, size_t bytes) {
  if (memory == nullptr) return;
  const Framing framing{.profiled = sites_ != nullptr};
  char* const block = static_cast<char*>(memory) - framing.Head();
  if (sites_ != nullptr) {
    const BlockHead head = *reinterpret_cast<BlockHead*>(block);
    DCHECK(head.bytes == bytes, "block freed with another size than it has");
    CheckBlock(static_cast<char*>(memory) + bytes, sites_->SiteOf(head.site));
    sites_->Sub(head.site, bytes);
  } else {
    CheckBlock(static_cast<char*>(memory) + bytes, Site());
  }
  std::free(block);
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

void Memory::RecordLeak(std::string_view name, size_t count, const std::vector<SiteUse>& sites) {
  const std::string where = Describe(sites);
  std::fprintf(stderr, "mm: %.*s: %zu leaked%s%s\n", static_cast<int>(name.size()), name.data(),
               count, where.empty() ? "" : " from ", where.c_str());
  CHECK(on_leak_ == OnLeak::kReport, "memory leaked");
  base::MutexLock lock(registry_mu_);
  leaks_.push_back({std::string(name), count, where});
}

std::vector<Leak> Memory::LeakReport() const {
  base::MutexLock lock(registry_mu_);
  std::vector<Leak> leaks = leaks_;
  if (const size_t bytes = stats_.variable_bytes.load(std::memory_order_relaxed)) {
    leaks.push_back({std::string(kVariableBytesName), bytes, Describe(BytesBySite())});
  }
  return leaks;
}

}  // namespace dentree::mm
