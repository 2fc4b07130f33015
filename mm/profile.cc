// Profiling: which site holds what.
//
// The number of the site that allocated an object lies beside it in its slab's array (SitesOf),
// written by who allocates and read by who frees. A slab without an array (the system had no memory
// for it) has objects that nobody accounts.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <tuple>

#include "absl/strings/str_format.h"
#include "mm/memory.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

void Cache::AttachSites(Slab& slab) const {
  const size_t capacity = std::min<size_t>(slab.usable / slot_bytes_, kMaxObjectsPerSlab);
  auto* const sites = static_cast<SiteTable::Id*>(std::calloc(capacity, sizeof(SiteTable::Id)));
  SitesOf(slab).store(sites, std::memory_order_release);
}

void Cache::NoteAlloc(void* object, Site site) const {
  const Slab& slab = SlabOf(object);
  SiteTable::Id* const sites = SitesOf(slab).load(std::memory_order_acquire);
  if (sites == nullptr) return;
  const SiteTable::Id id = memory_.sites_->IdOf(site);
  sites[IndexOf(slab, object)] = id;
  memory_.sites_->Add(id, slot_bytes_);
}

void Cache::NoteFree(void* object) const {
  const Slab& slab = SlabOf(object);
  const SiteTable::Id* const sites = SitesOf(slab).load(std::memory_order_acquire);
  if (sites != nullptr) memory_.sites_->Sub(sites[IndexOf(slab, object)], slot_bytes_);
}

Site Cache::SiteOf(const void* object) const {
  const Slab& slab = SlabOf(object);
  const SiteTable::Id* const sites = SitesOf(slab).load(std::memory_order_acquire);
  return sites == nullptr ? Site() : memory_.sites_->SiteOf(sites[IndexOf(slab, object)]);
}

namespace {

// Equal places of several translation units are one.
using PlaceKey = std::tuple<std::string_view, uint32_t, std::string_view>;
PlaceKey KeyOf(Site site) { return {site.file(), site.line(), site.function()}; }

std::vector<SiteUse> Merged(const std::map<PlaceKey, SiteUse>& uses) {
  std::vector<SiteUse> merged;
  for (const auto& [key, use] : uses) {
    if (use.calls != 0 || use.bytes != 0) merged.push_back(use);
  }
  return merged;
}

void AddTo(std::map<PlaceKey, SiteUse>& uses, const SiteUse& use) {
  SiteUse& sum = uses[KeyOf(use.site)];
  sum.site = use.site;
  sum.bytes += use.bytes;
  sum.calls += use.calls;
}

}  // namespace

// Who allocated the objects that are owned. At rest, with empty magazines.
std::vector<SiteUse> Cache::Owners() const {
  if (memory_.sites_ == nullptr) return {};
  std::map<PlaceKey, SiteUse> uses;
  base::MutexLock lock(lock_);
  memory_.arena_->ForEachSlab(*this, [&](const Slab& slab) {
    const SiteTable::Id* const sites = SitesOf(slab).load(std::memory_order_acquire);
    for (size_t i = 0; sites != nullptr && i < slab.ready; ++i) {
      if (slab.free_bits[i / 64] >> (i % 64) & 1) continue;
      AddTo(uses, {.site = memory_.sites_->SiteOf(sites[i]),
                   .bytes = static_cast<int64_t>(slot_bytes_),
                   .calls = 1});
    }
  });
  return Merged(uses);
}

// The blocks that are held, when no cache has objects any more.
std::vector<SiteUse> Memory::BytesBySite() const {
  if (sites_ == nullptr) return {};
  std::map<PlaceKey, SiteUse> uses;
  sites_->ForEach([&uses](const SiteUse& use) { AddTo(uses, use); });
  return Merged(uses);
}

std::string Memory::AllocInfoText() const {
  if (sites_ == nullptr) return {};
  std::string text = "allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n";
  for (const SiteUse& use : BytesBySite()) {
    absl::StrAppendFormat(&text, "%12d %8u %s:%u func:%s \n", use.bytes,
                          static_cast<uint64_t>(std::max<int64_t>(use.calls, 0)), use.site.file(),
                          use.site.line(), use.site.function());
  }
  return text;
}

}  // namespace dentree::mm
