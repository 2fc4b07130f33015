// A tree of a million objects that costs nothing until somebody looks at one.
//
//     /n/A/B/square      for A and B from 0 to 999; reads as (1000 A + B)^2
//
// There is no registry at all: the provider computes its answers. What a program has in a table or
// a map it would look up there; kernfs asks it only for what somebody looks at.
#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "kernfs/kernfs.h"
#include "ramfs/ramfs.h"
#include "vfs/vfs.h"

namespace {

using namespace dentree;  // NOLINT(google-build-using-namespace)

constexpr uint64_t kPerLevel = 1000;
// Object ids: 1 to 1000 are the first level, 1001 and up the second.
constexpr uint64_t FirstOf(kernfs::ObjectId dir) {
  return dir == kernfs::kSelf ? 1 : 1 + dir * kPerLevel;
}

class SquareOps final : public kernfs::TextOps {
  kernfs::Result<std::string> Show(kernfs::OpenFile& file) const override {
    const uint64_t n = file.object() - FirstOf(1);
    return std::to_string(n * n) + "\n";
  }
};
constexpr SquareOps kSquareOps;

class Numbers final : public kernfs::Provider {
 public:
  std::optional<kernfs::ObjectId> Find(const kernfs::Dir& dir,
                                       std::string_view name) const override {
    uint64_t n = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
    if (error != std::errc{} || end != name.data() + name.size() || n >= kPerLevel) {
      return std::nullopt;
    }
    if (std::to_string(n) != name) return std::nullopt;  // "007" is nobody
    return FirstOf(dir.object) + n;
  }
  void List(const kernfs::Dir& dir, kernfs::ObjectId after,
            kernfs::ChildSink& sink) const override {
    const uint64_t first = FirstOf(dir.object);
    for (uint64_t id = std::max(first, after + 1); id < first + kPerLevel; ++id) {
      if (!sink.Take(id, std::to_string(id - first), vfs::FileType::kDir)) return;
    }
  }
  std::optional<kernfs::Provided> Describe(kernfs::Node&, kernfs::ObjectId object) const override;
};
constexpr Numbers kNumbers;

constexpr auto kSquareTable = kernfs::MakeTable(kernfs::File("square", 0444, kSquareOps));
constexpr kernfs::DirType kNumberType{.table = kSquareTable};
constexpr kernfs::DirType kLevelType{.provider = &kNumbers};

std::optional<kernfs::Provided> Numbers::Describe(kernfs::Node&, kernfs::ObjectId object) const {
  const bool level = object < FirstOf(1);
  return kernfs::Provided{.mode = S_IFDIR | 0555, .dir = level ? &kLevelType : &kNumberType};
}

void Report(vfs::Vfs& vfs, const kernfs::Kernfs& kernfs, const char* when) {
  vfs.rcu().Drain();
  std::printf("%-28s %5zu nodes %6zu entries in memory %9zu bytes\n", when, kernfs.live_nodes(),
              kernfs.live_transients(), vfs.memory().used());
}

}  // namespace

int main() {
  const auto vfs = vfs::Vfs::Create();
  vfs->RegisterType(ramfs::Type());
  const auto kernfs = kernfs::Kernfs::Create(*vfs);
  vfs->RegisterType(std::make_unique<kernfs::FileSystem>(kernfs::FileSystem::Init{
      .name = "numbers", .root = kernfs::Root::Create(kernfs, {.type = &kLevelType}).value()}));
  if (!vfs->MountRoot("ramfs", "")) return 1;
  vfs::Task task(*vfs, vfs::Creds::Root());
  if (!task.Mkdir("/n", 0755) || !task.Mount("none", "/n", "numbers", "")) return 1;

  Report(*vfs, *kernfs, "a million objects:");
  std::printf("/n/123/456/square is %s", task.ReadFile("/n/123/456/square").value().c_str());
  Report(*vfs, *kernfs, "one of them read:");
  std::printf("/n/123 lists %zu names\n", task.ListDir("/n/123").value().size());
  Report(*vfs, *kernfs, "a thousand of them listed:");
  const auto names = task.ListDir("/n/7").value();
  for (const vfs::DirEntry& entry : names) {
    static_cast<void>(task.Stat("/n/7/" + entry.name + "/square"));
  }
  Report(*vfs, *kernfs, "a thousand looked at:");
  vfs->DropCaches();
  Report(*vfs, *kernfs, "after dropping the caches:");
  return 0;
}
