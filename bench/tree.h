// The tree that benchmarks use on every side: a chain of directories and a few files on each level.
// All names have 8 characters.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "ramfs/ramfs.h"
#include "vfs/vfs.h"

namespace dentree::bench {

// "/dir00001/dir00002/..."
inline std::string Chain(int directories) {
  std::string path;
  for (int i = 1; i <= directories; ++i) path += "/dir0000" + std::to_string(i);
  return path;
}
// Paths of `depth` components.
inline std::string FileAt(int depth) { return Chain(depth - 1) + "/file0001"; }
inline std::string SiblingAt(int depth) { return Chain(depth - 1) + "/file0002"; }
inline std::string MissingAt(int depth) { return Chain(depth - 1) + "/none0001"; }
inline std::string NewAt(int depth) { return Chain(depth - 1) + "/new00001"; }

// Calls mkdir(path) for each directory on the way to the files, once, parents first.
template <class Mkdir>
void ForEachDirectory(const std::vector<std::string>& files, Mkdir mkdir) {
  std::set<std::string> directories;
  for (const std::string& file : files) {
    for (size_t end = file.find('/', 1); end != file.npos; end = file.find('/', end + 1)) {
      directories.insert(file.substr(0, end));
    }
  }
  for (const std::string& path : directories) mkdir(path);
}

// A Vfs with a ramfs that has these files, and a task of root's.
class Ours {
 public:
  explicit Ours(const std::vector<std::string>& files = {}) {
    vfs->RegisterType(ramfs::Type());
    CHECK(vfs->MountRoot("ramfs", "").has_value());
    task = std::make_unique<vfs::Task>(*vfs, vfs::Creds::Root());
    ForEachDirectory(files, [&](const std::string& path) { Mkdir(path); });
    for (const std::string& file : files) Create(file);
  }
  ~Ours() {
    task.reset();
    vfs->Shutdown();
  }
  Ours(const Ours&) = delete;
  Ours& operator=(const Ours&) = delete;

  void Mkdir(std::string_view path) const { CHECK(task->Mkdir(path, 0755).has_value()); }
  void Create(std::string_view path) const {
    CHECK(task->Mknod(path, S_IFREG | 0644, 0).has_value());
  }

  std::unique_ptr<vfs::Vfs> vfs = vfs::Vfs::Create();
  std::unique_ptr<vfs::Task> task;
};

// The number of what a path leads to, or 0.
inline uint64_t StatOf(vfs::Task& task, std::string_view path) {
  const auto stat = task.Stat(path);
  return stat ? stat->ino : 0;
}

}  // namespace dentree::bench
