// /sys/kernel/debug: what Linux has in debugfs, of the parts that are here.
//
//     shrinker/NAME-ID/count    "0 N" if it has N objects that can be freed, nothing if none
//     shrinker/NAME-ID/scan     "0 0 N": look at N objects and free what may go
//
// The first number is the inode of a memory cgroup, the second a NUMA node: there is one of each.

#include <cstdio>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "os/system_internal.h"

namespace dentree::os {

using base::Err;
using kernfs::File;
using kernfs::ObjectId;
using kernfs::OpenFile;

namespace {

constexpr uint8_t kShrinkerSpace = 1;
ObjectId ObjectOf(uint32_t shrinker) { return kernfs::ObjectIn(kShrinkerSpace, shrinker + 1); }
uint32_t ShrinkerOf(ObjectId object) { return static_cast<uint32_t>(kernfs::IdOf(object) - 1); }

std::string NameOf(const mm::ShrinkerInfo& shrinker) {
  return absl::StrFormat("%s-%d", shrinker.name, shrinker.id);
}

// Calls f(ShrinkerInfo) of the one with this id; false: there is none.
template <class F>
bool WithShrinker(const mm::Memory& memory, uint32_t id, F f) {
  bool found = false;
  memory.ForEachShrinker([&](const mm::ShrinkerInfo& shrinker) {
    if (shrinker.id != id) return;
    f(shrinker);
    found = true;
  });
  return found;
}

Result<std::string> ShowCount(const OpenFile& file) {
  std::string text;
  const bool found = WithShrinker(file.root().vfs().memory(), ShrinkerOf(file.object()),
                                  [&](const mm::ShrinkerInfo& shrinker) {
                                    if (shrinker.freeable != 0)
                                      text = absl::StrFormat("0 %d\n", shrinker.freeable);
                                  });
  if (!found) return Err(Errno::kNoDev);
  return text;
}

Status StoreScan(const OpenFile& file, std::string_view command) {
  constexpr size_t kMaxCommand = 47;
  unsigned long cgroup = 0;
  unsigned long nr = 0;
  int node = 0;
  const std::string text(command.substr(0, kMaxCommand));
  if (std::sscanf(text.c_str(), "%lu %d %lu", &cgroup, &node, &nr) != 3) return Err(Errno::kInval);
  if (node != 0 || cgroup != 0) return Err(Errno::kInval);
  if (nr == 0) return {};
  mm::Memory& memory = file.root().vfs().memory();
  if (!memory.ScanShrinker(ShrinkerOf(file.object()), nr)) return Err(Errno::kNoDev);
  return {};
}

constexpr SystemFile<&ShowCount> kCount;
constexpr SystemFile<nullptr, &StoreScan> kScan;
constexpr auto kShrinkerTable =
    kernfs::MakeTable(File("count", 0440, kCount), File("scan", 0220, kScan));
constexpr kernfs::DirType kShrinkerDir{.table = kShrinkerTable};

// The shrinkers of the Vfs, by name and id.
class ShrinkerDirs final : public kernfs::Provider {
 public:
  constexpr ShrinkerDirs() = default;

  std::optional<ObjectId> Find(const kernfs::Dir& dir, std::string_view name) const override {
    const size_t dash = name.rfind('-');
    if (dash == name.npos) return std::nullopt;
    const auto id = base::ParseU64(name.substr(dash + 1));
    if (!id || *id > UINT32_MAX) return std::nullopt;
    bool same = false;
    WithShrinker(MemoryOf(dir.domain), static_cast<uint32_t>(*id),
                 [&](const mm::ShrinkerInfo& shrinker) { same = NameOf(shrinker) == name; });
    if (!same) return std::nullopt;
    return ObjectOf(static_cast<uint32_t>(*id));
  }

  void List(const kernfs::Dir& dir, ObjectId after, kernfs::ChildSink& sink) const override {
    bool wanted = true;
    MemoryOf(dir.domain).ForEachShrinker([&](const mm::ShrinkerInfo& shrinker) {
      const ObjectId object = ObjectOf(shrinker.id);
      if (wanted && object > after) {
        wanted = sink.Take(object, NameOf(shrinker), vfs::FileType::kDir);
      }
    });
  }

  std::optional<kernfs::Provided> Describe(kernfs::Node& domain, ObjectId object) const override {
    if (!WithShrinker(MemoryOf(domain), ShrinkerOf(object), [](const mm::ShrinkerInfo&) {})) {
      return std::nullopt;
    }
    return kernfs::Provided{.mode = S_IFDIR | 0755, .dir = &kShrinkerDir, .priv = domain.priv()};
  }

 private:
  static const mm::Memory& MemoryOf(const kernfs::Node& domain) {
    return static_cast<const System*>(domain.priv())->vfs.memory();
  }
};
constexpr ShrinkerDirs kShrinkers;
constexpr kernfs::DirType kShrinkersDir{.provider = &kShrinkers};

enum Object : ObjectId { kShrinkersPlace = 0x100 };
constexpr auto kDebugTable =
    kernfs::MakeTable(kernfs::Subdir("shrinker", 0755, kShrinkersDir, kShrinkersPlace));

}  // namespace

constexpr kernfs::DirType kDebugDir{.table = kDebugTable};

void System::ShrinkerGone(uint32_t id) { sys->RemoveObject(ObjectOf(id)); }

}  // namespace dentree::os
