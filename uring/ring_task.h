// RingTask: a Task whose calls are made by a loop, for callers that wait for each. What the loop
// has no opcode for goes as a kCall to a worker: no call is made by the caller's thread. Without a
// loop it is the Task and nothing else.
//
//     RingTask task(vfs_task->Fork(), loop);      // loop may be null
//     task.Mkdir("/a", 0755);
//
// Members are those of vfs::Task, with the same arguments and errors; with a loop also kNoMem and
// kNFile (Loop::Attach), kNoBufs (no room to wait), and kCanceled once the loop has ended.
//
// Thread safety: as a Task's; each thread that is in a call has a queue to itself. Lifetime: the
// loop outlives its calls.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "uring/loop.h"
#include "uring/queue.h"
#include "vfs/task.h"

namespace dentree::uring {

class RingTask {
 public:
  explicit RingTask(std::unique_ptr<vfs::Task> task, Loop* loop = nullptr);
  ~RingTask();
  RingTask(const RingTask&) = delete;
  RingTask& operator=(const RingTask&) = delete;

  // A child as after fork, which makes its calls in the same way.
  std::unique_ptr<RingTask> Fork() const;

  // For looking at; calls of it go past the loop.
  vfs::Task& task() { return *task_; }
  vfs::Vfs& vfs() const { return task_->vfs(); }
  const vfs::Creds& creds() const { return task_->creds(); }
  vfs::FsContext& fs() { return task_->fs(); }

  // --- descriptors ---
  Result<int> Open(std::string_view path, vfs::OpenFlags flags, vfs::Mode mode = 0) {
    return OpenAt(vfs::kAtFdCwd, path, flags, mode);
  }
  Result<int> OpenAt(int dir, std::string_view path, vfs::OpenFlags flags, vfs::Mode mode = 0);
  Status Close(int fd);
  Result<size_t> Read(int fd, std::span<std::byte> out);
  Result<size_t> Write(int fd, std::span<const std::byte> in);
  Result<size_t> Write(int fd, std::string_view text);
  Result<size_t> Pread(int fd, std::span<std::byte> out, uint64_t pos);
  Result<size_t> Pwrite(int fd, std::span<const std::byte> in, uint64_t pos);
  Status Fsync(int fd);
  Result<vfs::Stat> Fstat(int fd);
  // As vfs::File's and Task's: none of these sleeps. `waiter` is armed when the call returns.
  Result<size_t> ReadNowait(int fd, std::span<std::byte> out, vfs::Waiter* waiter);
  Status FlockNowait(int fd, int operation, vfs::Waiter* waiter);
  Result<int> InotifyInit(vfs::OpenFlags flags);
  Result<int> InotifyAddWatch(int fd, std::string_view path, uint32_t mask);

  // --- names ---
  Result<vfs::Stat> StatAt(int dir, std::string_view path, vfs::Follow follow);
  Result<vfs::Stat> Stat(std::string_view path) {
    return StatAt(vfs::kAtFdCwd, path, vfs::Follow::kYes);
  }
  Result<vfs::Stat> Lstat(std::string_view path) {
    return StatAt(vfs::kAtFdCwd, path, vfs::Follow::kNo);
  }
  Status Access(std::string_view path, unsigned want, int dir = vfs::kAtFdCwd);
  Status Mkdir(std::string_view path, vfs::Mode mode, int dir = vfs::kAtFdCwd);
  Status Mknod(std::string_view path, vfs::Mode mode, vfs::DevId rdev, int dir = vfs::kAtFdCwd);
  Status Rmdir(std::string_view path, int dir = vfs::kAtFdCwd);
  Status Unlink(std::string_view path, int dir = vfs::kAtFdCwd);
  Status Symlink(std::string_view target, std::string_view path, int dir = vfs::kAtFdCwd);
  Status Link(std::string_view target, std::string_view path,
              vfs::Follow follow = vfs::Follow::kNo);
  Status Rename(std::string_view from, std::string_view to, unsigned flags = 0);
  Result<std::string> Readlink(std::string_view path, int dir = vfs::kAtFdCwd);
  Status Chmod(std::string_view path, vfs::Mode mode);
  Status Chown(std::string_view path, std::optional<vfs::Uid> uid, std::optional<vfs::Gid> gid,
               vfs::Follow follow = vfs::Follow::kYes);
  Status SetTimes(std::string_view path, const vfs::SetAttr& times,
                  vfs::Follow follow = vfs::Follow::kYes);
  Status Truncate(std::string_view path, uint64_t size);
  Result<vfs::StatFs> Statfs(std::string_view path);

  // --- places and mounts ---
  Status Chdir(std::string_view path);
  Status Chroot(std::string_view path);
  Result<std::string> Getcwd();
  vfs::Mode Umask(vfs::Mode mask) { return task_->Umask(mask); }
  Status Mount(std::string_view source, std::string_view target, std::string_view type,
               uint64_t flags, std::string_view data);
  Status Mount(std::string_view source, std::string_view target, std::string_view type,
               std::string_view options);
  Status Remount(std::string_view target, std::string_view options);
  Status Umount(std::string_view target, int flags = 0);
  Status Unshare(int flags);

  // --- conveniences ---
  Result<std::string> ReadFile(std::string_view path);
  Status WriteFile(std::string_view path, std::string_view text,
                   vfs::OpenFlags flags = O_CREAT | O_TRUNC, vfs::Mode mode = 0666);
  Result<std::vector<vfs::DirEntry>> ListDir(std::string_view path, int dir = vfs::kAtFdCwd);
  Result<vfs::Path> Resolve(std::string_view path, vfs::Follow follow = vfs::Follow::kYes);

 private:
  Result<int32_t> Send(const Entry& entry);
  Status SendFor0(const Entry& entry);
  Result<vfs::Stat> Statx(int dir, std::string_view path, uint32_t flags);
  template <class F>
  auto Run(F call);
  Result<std::unique_ptr<Queue>> TakeQueue();

  const std::unique_ptr<vfs::Task> task_;
  Loop* const loop_;
  base::Mutex<base::LockRank::kLeaf> mutex_;
  // As many as there were ever threads in a call at once; Loop::Attach has the limit.
  std::vector<std::unique_ptr<Queue>> idle_ DT_GUARDED_BY(mutex_);
};

}  // namespace dentree::uring
