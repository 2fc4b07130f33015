#include "shell/memory_counts.h"

#include "absl/strings/str_format.h"
#include "base/string_util.h"

namespace dentree::shell {

namespace {

// The active objects of a cache: the second column of its row in /proc/slabinfo.
std::optional<uint64_t> ActiveObjects(uring::RingTask& task, std::string_view cache) {
  const auto text = task.ReadFile("/proc/slabinfo");
  if (!text) return std::nullopt;
  for (std::string_view rest = *text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.starts_with(cache) || line.substr(cache.size(), 1) != " ") continue;
    const size_t begin = line.find_first_not_of(' ', cache.size());
    if (begin == std::string_view::npos) return std::nullopt;
    const auto count = base::ParseU64(line.substr(begin, line.find(' ', begin) - begin));
    if (count) return *count;
  }
  return std::nullopt;
}

}  // namespace

MemoryCounts CountMemory(uring::RingTask& task) {
  vfs::Vfs& vfs = task.vfs();
  MemoryCounts counts{.dentries = vfs.dcache().live(),
                      .negatives = vfs.negatives().size(),
                      .inodes = vfs.icache().live(),
                      .nodes = {}};
  counts.nodes = ActiveObjects(task, "kernfs_node");
  return counts;
}

MemoryCounts CountMemoryInUse(uring::RingTask& task) {
  vfs::Vfs& vfs = task.vfs();
  vfs.DropCaches();
  vfs.rcu().Drain();
  return CountMemory(task);
}

std::string Describe(const MemoryCounts& counts) {
  std::string text = absl::StrFormat("%d dentries, %d negatives, %d inodes", counts.dentries,
                                     counts.negatives, counts.inodes);
  if (counts.nodes) absl::StrAppendFormat(&text, ", %d nodes", *counts.nodes);
  return text;
}

}  // namespace dentree::shell
