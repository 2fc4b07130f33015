#include "shell/remove_tree.h"

#include <fcntl.h>

#include "shell/format_internal.h"

namespace dentree::shell {

using base::Err;
using base::Errno;

namespace {

// The walk through one tree: into a directory by its name, out of it by "..".
class TreeRemoval {
 public:
  TreeRemoval(uring::RingTask& task, const RemovalTold& tell) : task_(task), tell_(tell) {}
  ~TreeRemoval() {
    if (fd_ >= 0) (void)task_.Close(fd_);
  }
  TreeRemoval(const TreeRemoval&) = delete;
  TreeRemoval& operator=(const TreeRemoval&) = delete;

  bool Run(const std::string& path);

 private:
  struct Level {
    std::string path;
    std::string name;
    vfs::Ino ino = 0;
    std::vector<vfs::DirEntry> entries;
    size_t next = 0;
    bool stays = false;  // something in it could not be removed
  };

  vfs::Status Enter(const std::string& path, const std::string& name);
  vfs::Status Leave();
  bool RemoveLeft();
  void RemoveEntry(Level& level, const vfs::DirEntry& entry);
  void Tell(const std::string& path, vfs::FileType type, vfs::Status status) {
    if (!tell_(path, type, status)) stopped_ = true;
  }

  uring::RingTask& task_;
  const RemovalTold& tell_;
  std::vector<Level> levels_;  // from the tree's top to the directory that fd_ is open on
  int fd_ = -1;
  bool stopped_ = false;
};

vfs::Status TreeRemoval::Enter(const std::string& path, const std::string& name) {
  const int above = fd_ >= 0 ? fd_ : vfs::kAtFdCwd;
  const int fd = TRY(task_.OpenAt(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const auto st = task_.Fstat(fd);
  auto entries = task_.ListDir(".", fd);
  if (!st || !entries) {
    (void)task_.Close(fd);
    return Err(st ? entries.error() : st.error());
  }
  if (fd_ >= 0) (void)task_.Close(fd_);
  fd_ = fd;
  levels_.push_back({.path = path, .name = name, .ino = st->ino, .entries = std::move(*entries)});
  return {};
}

// kNoEnt: the directory was moved meanwhile, and what is above it now is not what was.
vfs::Status TreeRemoval::Leave() {
  const int above = TRY(task_.OpenAt(fd_, "..", O_RDONLY | O_DIRECTORY));
  (void)task_.Close(fd_);
  fd_ = above;
  const vfs::Stat st = TRY(task_.Fstat(above));
  return st.ino == levels_[levels_.size() - 2].ino ? vfs::Status() : Err(Errno::kNoEnt);
}

void TreeRemoval::RemoveEntry(Level& level, const vfs::DirEntry& entry) {
  const std::string path = JoinPath(level.path, entry.name);
  const bool dir = entry.type == vfs::FileType::kDir;
  const vfs::Status done = dir ? Enter(path, entry.name) : task_.Unlink(entry.name, fd_);
  if (dir && done) return;  // `level` may have moved
  if (!done) level.stays = true;
  Tell(path, entry.type, done);
}

// The directory that was left, whose entries have all been tried.
bool TreeRemoval::RemoveLeft() {
  const Level left = std::move(levels_.back());
  levels_.pop_back();
  const int above = levels_.empty() ? vfs::kAtFdCwd : fd_;
  vfs::Status removed;
  if (!left.stays) {
    removed = task_.Rmdir(left.name, above);
    Tell(left.path, vfs::FileType::kDir, removed);
  }
  const bool gone = removed && !left.stays;
  if (!gone && !levels_.empty()) levels_.back().stays = true;
  return gone;
}

bool TreeRemoval::Run(const std::string& path) {
  if (const vfs::Status entered = Enter(path, path); !entered) {
    Tell(path, vfs::FileType::kDir, entered);
    return false;
  }
  bool gone = false;
  while (!stopped_ && !levels_.empty()) {
    Level& level = levels_.back();
    if (level.next < level.entries.size()) {
      const vfs::DirEntry entry = level.entries[level.next++];
      RemoveEntry(level, entry);
      continue;
    }
    const vfs::Status left = levels_.size() > 1 ? Leave() : vfs::Status();
    if (!left) {
      Tell(level.path, vfs::FileType::kDir, left);
      return false;
    }
    gone = RemoveLeft();
  }
  return gone && levels_.empty();
}

}  // namespace

bool RemoveTree(uring::RingTask& task, const std::string& path, const RemovalTold& tell) {
  return TreeRemoval(task, tell).Run(path);
}

}  // namespace dentree::shell
