// Texts in the formats of /proc/slabinfo and /proc/meminfo.

#include <unistd.h>

#include "absl/strings/str_format.h"
#include "mm/memory.h"
#include "mm/slab_internal.h"

namespace dentree::mm {

namespace {

size_t HostBytes() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void AppendSlabInfoRow(std::string& text, const CacheInfo& cache) {
  absl::StrAppendFormat(&text, "%-17s %6u %6u %6u %4u %4u", cache.name, cache.active_objects,
                        cache.total_objects, cache.slot_bytes, cache.objects_per_slab,
                        kSlabBytes / kPageBytes);
  // There are no tunables: limit, batchcount and sharedfactor of caches without per-CPU queues.
  absl::StrAppendFormat(&text, " : tunables %4u %4u %4u", 0, 0, 0);
  absl::StrAppendFormat(&text, " : slabdata %6u %6u %6u\n", cache.active_slabs, cache.slabs, 0);
}

void AppendMemInfoRow(std::string& text, std::string_view name, size_t bytes) {
  absl::StrAppendFormat(&text, "%-15s %8u kB\n", std::string(name) + ":", bytes / 1024);
}

}  // namespace

std::string Memory::SlabInfoText() const {
  std::string text =
      "slabinfo - version: 2.1\n"
      "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
      " : tunables <limit> <batchcount> <sharedfactor>"
      " : slabdata <active_slabs> <num_slabs> <sharedavail>\n";
  ForEachCache([&text](const CacheInfo& cache) { AppendSlabInfoRow(text, cache); });
  return text;
}

std::string Memory::MemInfoText() const {
  size_t reclaimable = 0;
  size_t slab = 0;
  ForEachCache([&](const CacheInfo& cache) {
    slab += cache.bytes;
    if (Has(cache.flags, CacheFlags::kReclaimable)) reclaimable += cache.bytes;
  });
  const size_t total = limit() == kNoLimit ? HostBytes() : limit();
  const size_t free = total - std::min(total, used());
  std::string text;
  AppendMemInfoRow(text, "MemTotal", total);
  AppendMemInfoRow(text, "MemFree", free);
  AppendMemInfoRow(text, "MemAvailable", std::min(total, free + reclaimable));
  AppendMemInfoRow(text, "Slab", slab);
  AppendMemInfoRow(text, "SReclaimable", reclaimable);
  AppendMemInfoRow(text, "SUnreclaim", slab - reclaimable);
  return text;
}

}  // namespace dentree::mm
