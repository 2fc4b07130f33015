#include "uring/ring_task.h"

#include <dirent.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

namespace dentree::uring {

using base::Err;
using vfs::Follow;

namespace {

constexpr size_t kListBytes = 32 * 1024;
constexpr size_t kReadBytes = 16 * 1024;

// Closes a descriptor at the end of a scope.
class ScopedFd {
 public:
  ScopedFd(RingTask& calls, int fd) : calls_(calls), fd_(fd) {}
  ~ScopedFd() { static_cast<void>(calls_.Close(fd_)); }
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;
  int get() const { return fd_; }

 private:
  RingTask& calls_;
  const int fd_;
};

// The entries of getdents64's records but the dots.
void AppendEntries(std::span<const std::byte> records, std::vector<vfs::DirEntry>& entries) {
  while (!records.empty()) {
    ::dirent64 head;
    std::memcpy(&head, records.data(), offsetof(::dirent64, d_name));
    const std::string_view name(reinterpret_cast<const char*>(records.data()) +
                                offsetof(::dirent64, d_name));
    if (name != "." && name != "..") {
      entries.push_back(
          {std::string(name), head.d_ino, static_cast<vfs::FileType>(head.d_type), head.d_off});
    }
    records = records.subspan(head.d_reclen);
  }
}

// What a call answers when it could not be sent.
template <class R>
R Failure(Errno error) {
  return R(Err(error));
}

}  // namespace

RingTask::RingTask(std::unique_ptr<vfs::Task> task, Loop* loop)
    : task_(std::move(task)), loop_(loop) {}

RingTask::~RingTask() = default;

std::unique_ptr<RingTask> RingTask::Fork() const {
  return std::make_unique<RingTask>(task_->Fork(), loop_);
}

// --- sending ---

Result<std::unique_ptr<Queue>> RingTask::TakeQueue() {
  {
    base::MutexLock lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Queue> queue = std::move(idle_.back());
      idle_.pop_back();
      return queue;
    }
  }
  return loop_->Attach(*task_, 1);
}

Result<int32_t> RingTask::Send(const Entry& entry) {
  std::unique_ptr<Queue> queue = TRY(TakeQueue());
  const int32_t res = queue->Call(entry);
  {
    base::MutexLock lock(mutex_);
    idle_.push_back(std::move(queue));
  }
  if (res < 0) return Err(static_cast<Errno>(-res));
  return res;
}

Status RingTask::SendFor0(const Entry& entry) {
  TRY(Send(entry));
  return {};
}

// What has no opcode: `call(task)`, here or on the loop.
template <class F>
auto RingTask::Run(F call) {
  using R = std::invoke_result_t<F, vfs::Task&>;
  if (loop_ == nullptr) return call(*task_);
  struct Closure {
    F& call;
    std::optional<R> result;
  } closure{call, {}};
  const auto run = [](vfs::Task& task, void* argument) -> int32_t {
    auto& of = *static_cast<Closure*>(argument);
    of.result.emplace(of.call(task));
    return 0;
  };
  const Result<int32_t> sent = Send(Entry::CallAsync(run, &closure));
  return sent ? *std::move(closure.result) : Failure<R>(sent.error());
}

// --- descriptors ---

Result<int> RingTask::OpenAt(int dir, std::string_view path, vfs::OpenFlags flags, vfs::Mode mode) {
  if (loop_ == nullptr) return task_->OpenAt(dir, path, flags, mode);
  return Send(Entry::Openat(dir, path, flags, mode));
}

Status RingTask::Close(int fd) {
  return loop_ == nullptr ? task_->Close(fd) : SendFor0(Entry::Close(fd));
}

Result<size_t> RingTask::Read(int fd, std::span<std::byte> out) {
  if (loop_ == nullptr) return task_->Read(fd, out);
  return Send(Entry::Read(fd, out));
}

Result<size_t> RingTask::Write(int fd, std::span<const std::byte> in) {
  if (loop_ == nullptr) return task_->Write(fd, in);
  return Send(Entry::Write(fd, in));
}

Result<size_t> RingTask::Write(int fd, std::string_view text) {
  return Write(fd, std::as_bytes(std::span(text)));
}

// The largest position means something else to an entry; as a position it is kInval anyway.
Result<size_t> RingTask::Pread(int fd, std::span<std::byte> out, uint64_t pos) {
  if (loop_ == nullptr || pos == kCurrentPosition) return task_->Pread(fd, out, pos);
  return Send(Entry::Read(fd, out, pos));
}

Result<size_t> RingTask::Pwrite(int fd, std::span<const std::byte> in, uint64_t pos) {
  if (loop_ == nullptr || pos == kCurrentPosition) return task_->Pwrite(fd, in, pos);
  return Send(Entry::Write(fd, in, pos));
}

Status RingTask::Fsync(int fd) {
  return Run([fd](vfs::Task& task) { return task.Fsync(fd); });
}

Result<size_t> RingTask::ReadNowait(int fd, std::span<std::byte> out, vfs::Waiter* waiter) {
  return Run([=](vfs::Task& task) -> Result<size_t> {
    const vfs::FileRef file = TRY(task.fds().Get(fd));
    return file->ReadNowait(out, {}, waiter);
  });
}

Status RingTask::FlockNowait(int fd, int operation, vfs::Waiter* waiter) {
  return Run([=](vfs::Task& task) { return task.FlockNowait(fd, operation, waiter); });
}

Result<int> RingTask::InotifyInit(vfs::OpenFlags flags) {
  return Run([=](vfs::Task& task) { return task.InotifyInit(flags); });
}

Result<int> RingTask::InotifyAddWatch(int fd, std::string_view path, uint32_t mask) {
  return Run([=](vfs::Task& task) { return task.InotifyAddWatch(fd, path, mask); });
}

Result<vfs::Stat> RingTask::Fstat(int fd) {
  if (loop_ == nullptr || fd == vfs::kAtFdCwd) return task_->Fstat(fd);
  return Statx(fd, "", AT_EMPTY_PATH);
}

// --- names ---

Result<vfs::Stat> RingTask::Statx(int dir, std::string_view path, uint32_t flags) {
  vfs::Stat stat;
  TRY(Send(Entry::Statx(dir, path, flags, stat)));
  return stat;
}

Result<vfs::Stat> RingTask::StatAt(int dir, std::string_view path, Follow follow) {
  if (loop_ == nullptr) return task_->StatAt(dir, path, follow);
  return Statx(dir, path, follow == Follow::kYes ? 0 : AT_SYMLINK_NOFOLLOW);
}

Status RingTask::Access(std::string_view path, unsigned want, int dir) {
  return Run([=](vfs::Task& task) { return task.Access(path, want, dir); });
}

Status RingTask::Mkdir(std::string_view path, vfs::Mode mode, int dir) {
  if (loop_ == nullptr) return task_->Mkdir(path, mode, dir);
  return SendFor0(Entry::Mkdirat(dir, path, mode));
}

Status RingTask::Mknod(std::string_view path, vfs::Mode mode, vfs::DevId rdev, int dir) {
  return Run([=](vfs::Task& task) { return task.Mknod(path, mode, rdev, dir); });
}

Status RingTask::Rmdir(std::string_view path, int dir) {
  if (loop_ == nullptr) return task_->Rmdir(path, dir);
  return SendFor0(Entry::Unlinkat(dir, path, AT_REMOVEDIR));
}

Status RingTask::Unlink(std::string_view path, int dir) {
  if (loop_ == nullptr) return task_->Unlink(path, dir);
  return SendFor0(Entry::Unlinkat(dir, path, 0));
}

Status RingTask::Symlink(std::string_view target, std::string_view path, int dir) {
  return Run([=](vfs::Task& task) { return task.Symlink(target, path, dir); });
}

Status RingTask::Link(std::string_view target, std::string_view path, Follow follow) {
  return Run([=](vfs::Task& task) { return task.Link(target, path, follow); });
}

Status RingTask::Rename(std::string_view from, std::string_view to, unsigned flags) {
  return Run([=](vfs::Task& task) { return task.Rename(from, to, flags); });
}

Result<std::string> RingTask::Readlink(std::string_view path, int dir) {
  return Run([=](vfs::Task& task) { return task.Readlink(path, dir); });
}

Status RingTask::Chmod(std::string_view path, vfs::Mode mode) {
  return Run([=](vfs::Task& task) { return task.Chmod(path, mode); });
}

Status RingTask::Chown(std::string_view path, std::optional<vfs::Uid> uid,
                       std::optional<vfs::Gid> gid, Follow follow) {
  return Run([=](vfs::Task& task) { return task.Chown(path, uid, gid, follow); });
}

Status RingTask::SetTimes(std::string_view path, const vfs::SetAttr& times, Follow follow) {
  return Run([&, path, follow](vfs::Task& task) { return task.SetTimes(path, times, follow); });
}

Status RingTask::Truncate(std::string_view path, uint64_t size) {
  return Run([=](vfs::Task& task) { return task.Truncate(path, size); });
}

Result<vfs::StatFs> RingTask::Statfs(std::string_view path) {
  return Run([=](vfs::Task& task) { return task.Statfs(path); });
}

// --- places and mounts ---

Status RingTask::Chdir(std::string_view path) {
  return Run([=](vfs::Task& task) { return task.Chdir(path); });
}

Status RingTask::Chroot(std::string_view path) {
  return Run([=](vfs::Task& task) { return task.Chroot(path); });
}

Result<std::string> RingTask::Getcwd() {
  return Run([](vfs::Task& task) { return task.Getcwd(); });
}

Status RingTask::Mount(std::string_view source, std::string_view target, std::string_view type,
                       uint64_t flags, std::string_view data) {
  return Run([=](vfs::Task& task) { return task.Mount(source, target, type, flags, data); });
}

Status RingTask::Mount(std::string_view source, std::string_view target, std::string_view type,
                       std::string_view options) {
  return Run([=](vfs::Task& task) { return task.Mount(source, target, type, options); });
}

Status RingTask::Remount(std::string_view target, std::string_view options) {
  return Run([=](vfs::Task& task) { return task.Remount(target, options); });
}

Status RingTask::Umount(std::string_view target, int flags) {
  return Run([=](vfs::Task& task) { return task.Umount(target, flags); });
}

Status RingTask::Unshare(int flags) {
  return Run([=](vfs::Task& task) { return task.Unshare(flags); });
}

Result<vfs::Path> RingTask::Resolve(std::string_view path, Follow follow) {
  return Run([=](vfs::Task& task) { return task.Resolve(path, follow); });
}

// --- conveniences ---

Result<std::string> RingTask::ReadFile(std::string_view path) {
  const ScopedFd fd(*this, TRY(Open(path, O_RDONLY)));
  std::string text;
  std::array<std::byte, kReadBytes> buffer;
  for (;;) {
    const size_t n = TRY(Read(fd.get(), buffer));
    if (n == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

Status RingTask::WriteFile(std::string_view path, std::string_view text, vfs::OpenFlags flags,
                           vfs::Mode mode) {
  const ScopedFd fd(*this, TRY(Open(path, O_WRONLY | flags, mode)));
  const size_t n = TRY(Write(fd.get(), text));
  return n == text.size() ? Status() : Status(Err(Errno::kNoSpc));
}

Result<std::vector<vfs::DirEntry>> RingTask::ListDir(std::string_view path, int dir) {
  if (loop_ == nullptr) return task_->ListDir(path, dir);
  const ScopedFd fd(*this, TRY(OpenAt(dir, path, O_RDONLY | O_DIRECTORY)));
  std::vector<vfs::DirEntry> entries;
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kListBytes);
  for (;;) {
    const Result<int32_t> n = Send(Entry::Getdents(fd.get(), {buffer.get(), kListBytes}));
    // A directory that was removed meanwhile has ended, as for readdir(3).
    if (!n && n.error() != Errno::kNoEnt) return Err(n.error());
    if (!n || *n == 0) return entries;
    AppendEntries({buffer.get(), static_cast<size_t>(*n)}, entries);
  }
}

}  // namespace dentree::uring
