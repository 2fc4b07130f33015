// The report of a shortage: who holds the memory, and why it did not go.
//
// Formatted into a buffer that is there, from copies on the stack: it is made when there is no
// memory. Whether to make one is decided before anything is formatted.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "mm/memory.h"

namespace dentree::mm {

namespace {

constexpr size_t kTop = 10;
constexpr size_t kNameBytes = 40;
// From this share of the budget on a shortage is one.
constexpr size_t kFullPercent = 75;
// From this share of what is used on, what waits for RCU is the reason.
constexpr size_t kWaitingPercent = 25;
// Below this share of a cache's objects in use, its slabs are held by few.
constexpr size_t kSparsePercent = 50;

int64_t SteadyNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

size_t Percent(size_t part, size_t whole) {
  if (whole == 0) return 0;
  return whole < SIZE_MAX / 100 ? part * 100 / whole : part / (whole / 100);
}

class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {}

  [[gnu::format(printf, 2, 3)]] void Put(const char* format, ...) {
    va_list args;
    va_start(args, format);
    const std::span<char> left = out_.subspan(size_);
    const int wanted = std::vsnprintf(left.data(), left.size(), format, args);
    va_end(args);
    if (wanted <= 0 || left.empty()) return;
    // The last byte is vsnprintf's zero.
    size_ += std::min(static_cast<size_t>(wanted), left.size() - 1);
  }
  size_t size() const { return size_; }

 private:
  const std::span<char> out_;
  size_t size_ = 0;
};

struct Name {
  char text[kNameBytes] = {};

  void Set(std::string_view name) {
    const size_t size = std::min(name.size(), kNameBytes - 1);
    std::memcpy(text, name.data(), size);
    text[size] = 0;
  }
};

struct CacheRow {
  Name name = {};
  bool reclaimable = false;
  size_t bytes = 0, active = 0, total = 0;
  uint64_t refusals = 0;

  size_t UsePercent() const { return Percent(active, total); }
  bool Before(const CacheRow& other) const { return bytes > other.bytes; }
};

struct ShrinkerRow {
  Name name = {};
  uint32_t id = 0;
  size_t objects = 0, freeable = 0, deferred = 0;
  uint64_t requested = 0, scanned = 0, freed = 0, ns = 0, stops = 0;
  uint64_t referenced = 0, busy = 0, locked = 0, pinned = 0;

  bool Before(const ShrinkerRow& other) const {
    return objects != other.objects ? objects > other.objects : requested > other.requested;
  }
};

// The first kTop rows in order; equal ones as they come.
template <class Row>
class TopRows {
 public:
  void Add(const Row& row) {
    size_t at = size_;
    while (at > 0 && row.Before(rows_[at - 1])) --at;
    if (at == kTop) return;
    const size_t end = std::min(size_ + 1, kTop);
    std::move_backward(rows_.begin() + at, rows_.begin() + end - 1, rows_.begin() + end);
    rows_[at] = row;
    size_ = end;
  }
  const Row* begin() const { return rows_.data(); }
  const Row* end() const { return rows_.data() + size_; }
  bool empty() const { return size_ == 0; }

 private:
  std::array<Row, kTop> rows_;
  size_t size_ = 0;
};

// What the verdict is made of.
struct Findings {
  TopRows<CacheRow> caches;
  TopRows<ShrinkerRow> shrinkers;
  size_t freeable = 0;
  ShrinkerRow kept;  // the reasons, of all shrinkers together
};

void AddCache(Findings& found, const CacheInfo& info) {
  CacheRow row{.reclaimable = Has(info.flags, CacheFlags::kReclaimable),
               .bytes = info.bytes,
               .active = info.active_objects,
               .total = info.total_objects,
               .refusals = info.refusals};
  row.name.Set(info.name);
  if (row.bytes != 0 || row.refusals != 0) found.caches.Add(row);
}

void AddShrinker(Findings& found, const ShrinkerInfo& info) {
  const ShrinkerStats& stats = info.stats;
  ShrinkerRow row{.id = info.id,
                  .objects = info.objects,
                  .freeable = info.freeable,
                  .deferred = stats.deferred.load(std::memory_order_relaxed),
                  .requested = stats.requested.Value(),
                  .scanned = stats.scanned.Value(),
                  .freed = stats.freed.Value(),
                  .ns = stats.ns.Value(),
                  .stops = stats.stops.Value(),
                  .referenced = stats.kept_referenced.Value(),
                  .busy = stats.kept_busy.Value(),
                  .locked = stats.kept_locked.Value(),
                  .pinned = stats.kept_pinned.Value()};
  row.name.Set(info.name);
  found.freeable += row.freeable;
  found.kept.referenced += row.referenced;
  found.kept.busy += row.busy;
  found.kept.locked += row.locked;
  found.kept.pinned += row.pinned;
  found.shrinkers.Add(row);
}

// Why reclaim leaves most of what it looks at; null: it leaves nothing.
const char* MostKept(const ShrinkerRow& kept) {
  const std::pair<uint64_t, const char*> reasons[] = {
      {kept.busy, "somebody holds a reference"},
      {kept.pinned, "it has to stay"},
      {kept.locked, "its lock was taken"},
      {kept.referenced, "it was used since the last look"}};
  const auto* most = std::ranges::max_element(reasons, {}, [](const auto& r) { return r.first; });
  return most->first == 0 ? nullptr : most->second;
}

// Who holds most: a cache, or the blocks of variable size.
struct Holder {
  const char* name = "nothing";
  size_t bytes = 0;
  const CacheRow* cache = nullptr;
};

Holder LargestHolder(const Findings& found, size_t variable_bytes) {
  Holder holder{.name = "blocks of variable size", .bytes = variable_bytes};
  if (!found.caches.empty() && found.caches.begin()->bytes >= variable_bytes) {
    const CacheRow& first = *found.caches.begin();
    holder = {.name = first.name.text, .bytes = first.bytes, .cache = &first};
  }
  return holder;
}

void PutVerdict(Writer& out, const Findings& found, const MemoryStats& stats, size_t pending) {
  const size_t used = stats.used.load(std::memory_order_relaxed);
  const Holder most = LargestHolder(found, stats.variable_bytes.load(std::memory_order_relaxed));
  const size_t share = Percent(most.bytes, used);
  if (stats.limit == Memory::kNoLimit) {
    return out.Put("verdict: nothing is refused, there is no budget; %s has most, %zu %%\n",
                   most.name, share);
  }
  if (Percent(used, stats.limit) < kFullPercent) {
    return out.Put("verdict: there is room, %zu %% of the budget is used; %s has most, %zu %%\n",
                   Percent(used, stats.limit), most.name, share);
  }
  if (Percent(pending, used) >= kWaitingPercent) {
    return out.Put("verdict: full, and %zu %% waits for a grace period that a reader holds up\n",
                   Percent(pending, used));
  }
  if (most.cache == nullptr || !most.cache->reclaimable) {
    return out.Put("verdict: full, and %s has %zu %%, which no shrinker can free\n", most.name,
                   share);
  }
  if (most.cache->UsePercent() < kSparsePercent) {
    return out.Put(
        "verdict: full, and %s has %zu %%, of which only %zu %% is in use: few objects "
        "hold many slabs\n",
        most.name, share, most.cache->UsePercent());
  }
  if (found.freeable == 0) {
    return out.Put("verdict: full, and %s has %zu %%, all of it in use\n", most.name, share);
  }
  if (const char* const reason = MostKept(found.kept)) {
    return out.Put(
        "verdict: full, and %s has %zu %%; most of what reclaim left it left because "
        "%s\n",
        most.name, share, reason);
  }
  out.Put("verdict: full, and %s has %zu %%, which reclaim can free\n", most.name, share);
}

void PutCaches(Writer& out, const Findings& found) {
  out.Put("%-24s %10s %8s %8s %5s %8s\n", "cache", "bytes", "active", "objects", "use%", "refused");
  for (const CacheRow& row : found.caches) {
    out.Put("%-24s %10zu %8zu %8zu %5zu %8llu\n", row.name.text, row.bytes, row.active, row.total,
            row.UsePercent(), static_cast<unsigned long long>(row.refusals));
  }
}

void PutShrinkers(Writer& out, const Findings& found) {
  using Number = unsigned long long;
  out.Put("%-24s %8s %9s %9s %9s %8s %6s %10s %6s %6s %6s %5s\n", "shrinker", "objects",
          "requested", "scanned", "freed", "deferred", "ns/obj", "referenced", "busy", "locked",
          "pinned", "stops");
  for (const ShrinkerRow& row : found.shrinkers) {
    out.Put("%-24s %8zu %9llu %9llu %9llu %8zu %6llu %10llu %6llu %6llu %6llu %5llu\n",
            row.name.text, row.objects, Number{row.requested}, Number{row.scanned},
            Number{row.freed}, row.deferred, Number{row.freed == 0 ? 0 : row.ns / row.freed},
            Number{row.referenced}, Number{row.busy}, Number{row.locked}, Number{row.pinned},
            Number{row.stops});
  }
}

}  // namespace

size_t Memory::WriteReport(std::span<char> out, const Refusal& refusal) const {
  Findings found;
  ForEachCache([&found](const CacheInfo& info) { AddCache(found, info); });
  ForEachShrinker([&found](const ShrinkerInfo& info) { AddShrinker(found, info); });
  const size_t pending = rcu_.PendingBytes();
  Writer writer(out);
  PutVerdict(writer, found, stats_, pending);
  if (refusal.bytes != 0) {
    const std::string_view name = refusal.name.empty() ? "nobody named" : refusal.name;
    writer.Put("refused: %zu bytes to %.*s\n", refusal.bytes, static_cast<int>(name.size()),
               name.data());
  }
  if (limit() == kNoLimit) {
    writer.Put("bytes: no budget, ");
  } else {
    writer.Put("bytes: budget %zu, of it reserve %zu, ", limit(), stats_.reserve);
  }
  writer.Put("used %zu, variable %zu, most ever %zu, waiting for RCU %zu\n", used(),
             stats_.variable_bytes.load(std::memory_order_relaxed), high_water(), pending);
  writer.Put(
      "events: refused %llu, reclaims %llu, grace periods waited %llu, from the reserve "
      "%llu\n",
      static_cast<unsigned long long>(stats_.refused.Value()),
      static_cast<unsigned long long>(stats_.reclaims.Value()),
      static_cast<unsigned long long>(stats_.grace_period_waits.Value()),
      static_cast<unsigned long long>(stats_.reserve_charges.Value()));
  PutCaches(writer, found);
  PutShrinkers(writer, found);
  return writer.size();
}

// A report for the first refusal, and for the first after each interval.
void Memory::NoteRefusal(const Refusal& refusal) {
  stats_.refused.Add();
  const int64_t now = SteadyNs();
  int64_t next = next_report_ns_.load(std::memory_order_relaxed);
  if (now < next || !next_report_ns_.compare_exchange_strong(next, now + report_interval_ns_) ||
      !report_mu_.TryLock()) {
    stats_.reports_suppressed.Add();
    return;
  }
  last_report_bytes_ = WriteReport(last_report_, refusal);
  report_mu_.Unlock();
  stats_.reports.Add();
}

std::string Memory::LastReport() const {
  base::MutexLock lock(report_mu_);
  return {last_report_.data(), last_report_bytes_};
}

}  // namespace dentree::mm
