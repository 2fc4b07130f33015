// Racer: one thread's caller of a history: makes the calls, with pauses that mix threads, and
// writes down when and what was answered.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tests/model/history.h"
#include "tests/model/random.h"
#include "vfs/vfs.h"

namespace dentree::model {

// Yields at random, so that threads meet in the middle of what they do.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed) {}
  void Pause();

 private:
  Random random_;
};

// Thread safety: one thread. Lifetime: within that of its Vfs; holds one file and one directory
// open.
class Racer {
 public:
  // Relative paths of `task` start from the root of the tree.
  Racer(std::unique_ptr<vfs::Task> task, std::atomic<uint64_t>& clock, uint64_t seed)
      : chaos_(seed), task_(std::move(task)), clock_(clock) {}
  virtual ~Racer() = default;

  // Fills what was answered, and when.
  void Run(Call& call);

 protected:
  using Status = base::Status;

  // What a subclass gets wrong on purpose.
  virtual base::Result<int> Create(const std::string& path);
  virtual Status Mkdir(const std::string& path) { return task().Mkdir(path, 0777); }
  virtual Status Rmdir(const std::string& path) { return task().Rmdir(path); }
  virtual Status Unlink(const std::string& path) { return task().Unlink(path); }
  virtual Status Link(const std::string& from, const std::string& to) {
    return task().Link(from, to);
  }
  virtual Status Rename(const std::string& from, const std::string& to) {
    return task().Rename(from, to);
  }
  virtual base::Result<vfs::Stat> Stat(const std::string& path) { return task().Lstat(path); }

  vfs::Task& task() { return *task_; }
  void Pause() { chaos_.Pause(); }

 private:
  int Do(Call& call);
  int Open(Call& call, base::Result<int> fd, int& mine);
  int List(Call& call);
  int Transfer(Call& call);

  Chaos chaos_;
  const std::unique_ptr<vfs::Task> task_;
  std::atomic<uint64_t>& clock_;
  int file_ = -1;
  int dir_ = -1;
};

// The whole tree below the task's directory, as the search writes it.
std::string TreeText(vfs::Task& task, const std::string& dir);

// --- bugs ---

struct RacerBug {
  const char* name;
  const char* what;
  std::unique_ptr<Racer> (*make)(std::unique_ptr<vfs::Task>, std::atomic<uint64_t>&, uint64_t);
};
std::span<const RacerBug> RacerBugs();
const RacerBug* FindRacerBug(std::string_view name);  // null: none of this name

}  // namespace dentree::model
