// What a stress run and its threads share.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "shell/stress.h"

namespace dentree::shell::stress {

enum class Op : uint8_t {
  kOpen,
  kCreate,
  kRead,
  kWrite,
  kReaddir,
  kMkdir,
  kRmdir,
  kUnlink,
  kRemoveTree,
  kRename,
  kExchange,
  kLink,
  kSymlink,
  kReadlink,
  kStat,
  kTruncate,
  kChmod,
  kChdir,
  kGetcwd,
  kFlock,
  kRangeLock,
  kMount,
  kMove,
  kUmount,
  kWatch,
  kUnwatch,
  kEvents,
  kInstanceMkdir,
  kInstanceRmdir,
  kInstanceOpen,
  kInstanceRead,
  kInstanceWrite,
  kInstanceReaddir,
  kInstanceStat,
  kCount
};

inline constexpr size_t kOps = static_cast<size_t>(Op::kCount);
inline constexpr size_t kErrnos = 134;     // the largest errno of Linux, and 0
inline constexpr unsigned kInstances = 4;  // names in the directory of instances

// What all threads see.
struct Shared {
  const StressOptions& options;
  std::vector<std::string> instance_paths;  // files below an instance; empty: leave instances out
  std::atomic<bool> stop{false};
};

// A thread's part. Thread safety: operations() and violation_count() from any thread, the rest of
// its own until it has been joined.
class Worker {
 public:
  Worker(std::unique_ptr<uring::RingTask> task, const Shared& shared, uint64_t seed)
      : task_(std::move(task)), shared_(shared), random_(seed) {}

  void Run();
  void AddTo(StressReport& report) const;
  uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }
  uint64_t violation_count() const { return violation_count_.load(std::memory_order_relaxed); }

 private:
  unsigned Pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
  std::string RandomPath();
  std::string RandomInstance() {
    return JoinPath(shared_.options.instances, "i" + std::to_string(Pick(kInstances)));
  }

  template <class T>
  bool Judge(Op op, const base::Result<T>& result, std::string_view about) {
    return JudgeErrno(op, result ? 0 : static_cast<int>(result.error()), about);
  }
  bool JudgeErrno(Op op, int error, std::string_view about);
  void Violation(std::string text);

  void Step();
  void StepNames();
  void StepFiles();
  void StepPlaces();
  void StepLocks();
  void StepMounts();
  void StepWatches();
  void RemoveSome(const std::string& path);
  void StepInstances();
  void InstanceFile();
  void List(Op op, const std::string& path);
  void UseHeld();
  void Hold(int fd, Op read_op, Op write_op);
  void ReadEvents();

  const std::unique_ptr<uring::RingTask> task_;
  const Shared& shared_;
  std::mt19937_64 random_;
  std::array<std::array<uint64_t, kErrnos>, kOps> answers_{};
  std::atomic<uint64_t> operations_{0};
  std::atomic<uint64_t> violation_count_{0};
  std::vector<std::string> violations_;

  // One descriptor is kept open while others remove what it is of.
  int held_ = -1;
  Op held_read_ = Op::kRead;
  Op held_write_ = Op::kWrite;
  int watcher_ = -1;  // an inotify descriptor
};

}  // namespace dentree::shell::stress
