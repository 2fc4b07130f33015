#include "mm/site.h"

#include <algorithm>

#include "base/hash.h"

namespace dentree::mm {

std::string_view Site::file() const {
  std::string_view file = at_.file_name();
  // As the compiler was given it: relative to the build directory.
  const size_t up = file.rfind("../");
  if (up != file.npos) file.remove_prefix(up + 3);
  return file.empty() ? "?" : file;
}

std::string_view Site::function() const {
  constexpr std::string_view kAnonymous[] = {"{anonymous}::", "(anonymous namespace)::"};
  constexpr std::string_view kHead = "dentree::";
  std::string_view text = at_.function_name();
  for (std::string_view anonymous : kAnonymous) {
    const size_t at = text.find(anonymous);
    if (at <= text.find('(') && at != text.npos) text.remove_prefix(at + anonymous.size());
  }
  text = text.substr(0, text.find('('));
  text.remove_prefix(std::min(text.size(), text.rfind(' ') + 1));
  while (text.starts_with('*') || text.starts_with('&')) text.remove_prefix(1);
  if (text.starts_with(kHead)) text.remove_prefix(kHead.size());
  return text.empty() ? "?" : text;
}

SiteTable::SiteTable() : shards_(static_cast<Shard*>(std::calloc(kShards, sizeof(Shard)))) {
  static_assert(std::atomic<int64_t>::is_always_lock_free);
}

SiteTable::Id SiteTable::IdOf(Site site) {
  const void* const key = site.key();
  if (key == nullptr) return kUnknown;
  const uint64_t hash = base::Mix64(reinterpret_cast<uintptr_t>(key));
  for (size_t probe = 0; probe < kMaxProbes; ++probe) {
    const auto id = static_cast<Id>((hash + probe) & kMaxSites);
    if (id == kUnknown) continue;
    const void* there = keys_[id].load(std::memory_order_acquire);
    if (there == key) return id;
    if (there != nullptr) continue;
    if (keys_[id].compare_exchange_strong(there, key, std::memory_order_acq_rel)) return id;
    if (there == key) return id;
  }
  return kUnknown;
}

SiteUse SiteTable::UseOf(Id id) const {
  SiteUse use{.site = SiteOf(id)};
  if (shards_ == nullptr) return use;
  for (uint32_t i = 0; i < kShards; ++i) {
    const Cell& cell = shards_[i].cells[id];
    use.bytes += cell.bytes.load(std::memory_order_relaxed);
    use.calls += cell.calls.load(std::memory_order_relaxed);
  }
  return use;
}

}  // namespace dentree::mm
