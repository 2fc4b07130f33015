// statsfs: statistics as text files. Umbrella of the room.
//
//     auto statsfs = statsfs::Statsfs::Create(kernfs).value();
//     Source cache = statsfs->Add("cache", Values<kCacheFields>(stats)).value();
//     task.Mount("none", "/sys/kernel/stats", "statsfs", "mode=755");
//     cat /sys/kernel/stats/cache/hits; echo 0 > /sys/kernel/stats/cache/hits
//
// A tree of sources (source.h), each about one schema (schema.h) or a folder. It is one kernfs
// provider over the tree of sources: what is not looked at costs no byte outside of it. A value is
// read when its file is; nothing is copied, cached or sampled.
//
// Mount options: uid, gid and mode, as kernfs/mount.h tells; mode is 0700 otherwise.
#pragma once

#include <memory>
#include <string_view>

#include "base/base.h"
#include "kernfs/kernfs.h"
#include "statsfs/schema.h"
#include "statsfs/source.h"

namespace dentree::statsfs {

inline constexpr uint32_t kMagic = 0x73746174;

class Tree;

// One tree of sources, registered in its Vfs as the file system type "statsfs".
//
// Thread safety: any thread. Lifetime: outlives its sources; goes before its Vfs. Its end takes the
// tree away: files still open answer kNoDev from then on.
class Statsfs {
 public:
  // kNoMem.
  static Result<std::unique_ptr<Statsfs>> Create(std::shared_ptr<kernfs::Kernfs> kernfs);
  ~Statsfs();

  // A source at the top. Errors as Source::Add.
  [[nodiscard]] Result<Source> Add(std::string_view name, const Contents& contents);

  kernfs::Root& root() const;

 private:
  explicit Statsfs(std::unique_ptr<Tree> tree);

  const std::unique_ptr<Tree> tree_;
};

}  // namespace dentree::statsfs
