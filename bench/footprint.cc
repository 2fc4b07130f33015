// What names cost in memory: an entry of a tracing instance that was looked at, a file of ramfs,
// and what stays held when one of two directories goes whose files were made in turn.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/harness.h"
#include "os/os.h"

namespace dentree {
namespace {

constexpr int kSystems = 134;
constexpr int kEvents = 2323;
// Files of the directory that goes for one of that which stays.
constexpr int kOthers = 16;

std::string Catalogue() {
  std::string text;
  for (int i = 0; i < kEvents; ++i) {
    absl::StrAppendFormat(&text,
                          "system%d\tevent_with_a_name_%d\t%d\tenable,filter,format,id,trigger\t"
                          "u64 value:8:8:0\n",
                          i % kSystems, i, 1000 + i);
  }
  return text;
}

// As ls -lR does: each entry is found and its attributes are asked for. Returns their number.
uint64_t LookAtAll(vfs::Task& task, const std::string& dir) {
  uint64_t count = 0;
  const std::vector<vfs::DirEntry> entries = task.ListDir(dir).value();
  for (const vfs::DirEntry& entry : entries) {
    const std::string path = dir + "/" + entry.name;
    count += task.Lstat(path).has_value() ? 1 : 0;
    if (entry.type == vfs::FileType::kDir) count += LookAtAll(task, path);
  }
  return count;
}

size_t SlotOf(const mm::Memory& memory, std::string_view name) {
  size_t slot = 0;
  memory.ForEachCache([&](const mm::CacheInfo& info) {
    if (info.name == name) slot = info.slot_bytes;
  });
  return slot;
}

void MeasureEntries(const bench::Report& report) {
  const std::string catalogue = Catalogue();
  const auto os = os::Os::Boot({.catalogues = {catalogue}}).value();
  const auto task = os->NewTask();
  const mm::Memory& memory = os->vfs().memory();
  const std::string instance = "/sys/kernel/tracing/instances/one";
  os->vfs().DropCaches();
  const size_t before = memory.used();
  CHECK(task->Mkdir(instance, 0755).has_value());
  const size_t made = memory.used();
  const uint64_t entries = LookAtAll(*task, instance);
  const size_t cached = memory.used();
  os->vfs().DropCaches();
  const size_t dropped = memory.used();
  report.Value("entries of an instance", static_cast<double>(entries), "");
  report.Value("instance nobody looked at", static_cast<double>(made - before), "B");
  report.Value("dentry, inode and node's part of one entry that is cached",
               static_cast<double>(cached - made) / static_cast<double>(entries), "B");
  for (const char* name : {"dentry", "inode", "kernfs_transient"}) {
    report.Value(absl::StrFormat("of it %s", name), static_cast<double>(SlotOf(memory, name)), "B");
  }
  report.Value("held after dropping the caches",
               static_cast<double>(dropped) - static_cast<double>(before), "B");
}

// Bytes held by a ramfs with `stay` files in one directory, made in turn with kOthers times as many
// in another one, which is then removed.
struct Held {
  size_t both, after;
};
Held HoldInTurn(uint64_t stay, int others) {
  const auto os = os::Os::Boot().value();
  const auto task = os->NewTask();
  const mm::Memory& memory = os->vfs().memory();
  CHECK(task->Mkdir("/stays", 0755).has_value() && task->Mkdir("/goes", 0755).has_value());
  os->vfs().DropCaches();
  const size_t before = memory.used();
  const auto other = [](uint64_t i, int k) { return absl::StrFormat("/goes/%07d-%02d", i, k); };
  for (uint64_t i = 0; i < stay; ++i) {
    CHECK(task->Mknod(absl::StrFormat("/stays/%07d", i), S_IFREG | 0644, 0).has_value());
    for (int k = 0; k < others; ++k) {
      CHECK(task->Mknod(other(i, k), S_IFREG | 0644, 0).has_value());
    }
  }
  Held held{.both = memory.used() - before, .after = 0};
  for (uint64_t i = 0; i < stay; ++i) {
    for (int k = 0; k < others; ++k) CHECK(task->Unlink(other(i, k)).has_value());
  }
  os->vfs().DropCaches();
  held.after = memory.used() - before;
  return held;
}

void MeasureFragmentation(const bench::Report& report, uint64_t stay) {
  const Held alone = HoldInTurn(stay, 0);
  const Held in_turn = HoldInTurn(stay, kOthers);
  const auto files = static_cast<double>(stay);
  report.Value("a file of ramfs, empty", static_cast<double>(alone.after) / files, "B");
  report.Value("held by two directories made in turn", static_cast<double>(in_turn.both), "B");
  report.Value("held when the one with 16 of 17 files is gone", static_cast<double>(in_turn.after),
               "B");
  report.Value("over what is live",
               static_cast<double>(in_turn.after) / static_cast<double>(alone.after), "x");
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  uint64_t files = 20'000;
  const dentree::bench::Report report(argc, argv, {{"--files", &files}});
  dentree::MeasureEntries(report);
  dentree::MeasureFragmentation(report, files);
}
