// Entry: one request, and Completion: its outcome. The names are those of struct io_uring_sqe and
// io_uring_cqe, the meaning that of the system calls.
//
// Thread safety: values. Lifetime: what an entry points to is its caller's until the request has
// completed, and is read and written by the loop, its workers or the kernel until then.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vfs/task.h"
#include "vfs/types.h"

namespace dentree::uring {

// An offset: the file's own position is used, and moves.
inline constexpr uint64_t kCurrentPosition = UINT64_MAX;
// Bytes in one read or write; beyond is a short count (Linux's MAX_RW_COUNT).
inline constexpr uint32_t kMaxTransfer = 0x7ffff000;

// What has an opcode of its own; everything else is a kCall.
enum class Opcode : uint8_t {
  kNop,          // 0
  kOpenat,       // a descriptor
  kRead,         // bytes; parks while the file lets its reader wait
  kWrite,        // bytes; parks likewise
  kClose,        // 0
  kStatx,        // 0
  kGetdents,     // bytes of records, 0 at the end
  kMkdirat,      // 0
  kUnlinkat,     // 0
  kAsyncCancel,  // 0; kNoEnt: nothing waits under that user_data; kAlready: it cannot be stopped
  kCall,         // what the function answers
};

// Entry::flags of a kCall, as IOSQE_ASYNC: not the loop but a worker runs it.
inline constexpr uint32_t kCallAsync = 1;

struct Entry {
  // Runs on the loop's thread, or with kCallAsync on a worker. Must not wait for another request or
  // for the client of the queue.
  using Function = int32_t (*)(vfs::Task& task, void* argument);

  Opcode opcode = Opcode::kNop;
  vfs::Mode mode = 0;    // of what is created
  int32_t fd = -1;       // the file, or the directory from which a relative path starts
  uint32_t len = 0;      // bytes at addr
  uint32_t flags = 0;    // O_*, AT_*
  void* addr = nullptr;  // a buffer, or a path (without a NUL)
  union {
    uint64_t off = 0;   // kRead, kWrite: position; kAsyncCancel: user_data
    vfs::Stat* stat;    // kStatx: where the answer goes
    Function function;  // kCall, with addr as its argument
  };

  static Entry Nop() { return {}; }
  static Entry Openat(int dir, std::string_view path, vfs::OpenFlags flags, vfs::Mode mode = 0) {
    Entry entry = At(Opcode::kOpenat, dir, path, static_cast<uint32_t>(flags));
    entry.mode = mode;
    return entry;
  }
  static Entry Read(int fd, std::span<std::byte> out, uint64_t pos = kCurrentPosition) {
    return Transfer(Opcode::kRead, fd, out.data(), out.size(), pos);
  }
  static Entry Write(int fd, std::span<const std::byte> in, uint64_t pos = kCurrentPosition) {
    return Transfer(Opcode::kWrite, fd, const_cast<std::byte*>(in.data()), in.size(), pos);
  }
  static Entry Close(int fd) { return {.opcode = Opcode::kClose, .fd = fd, .off = 0}; }
  // AT_SYMLINK_NOFOLLOW; AT_EMPTY_PATH: an empty path is `dir` itself.
  static Entry Statx(int dir, std::string_view path, uint32_t flags, vfs::Stat& stat) {
    Entry entry = At(Opcode::kStatx, dir, path, flags);
    entry.stat = &stat;
    return entry;
  }
  // Fills `out` with struct dirent64 of <dirent.h>, each d_reclen bytes, as getdents64(2) does.
  // kInval: not even one fits.
  static Entry Getdents(int fd, std::span<std::byte> out) {
    return Transfer(Opcode::kGetdents, fd, out.data(), out.size(), 0);
  }
  static Entry Mkdirat(int dir, std::string_view path, vfs::Mode mode) {
    Entry entry = At(Opcode::kMkdirat, dir, path, 0);
    entry.mode = mode;
    return entry;
  }
  // AT_REMOVEDIR: rmdir.
  static Entry Unlinkat(int dir, std::string_view path, uint32_t flags) {
    return At(Opcode::kUnlinkat, dir, path, flags);
  }
  // Ends the request of this queue that waits under `user_data`: it answers kCanceled.
  static Entry AsyncCancel(uint64_t user_data) {
    return {.opcode = Opcode::kAsyncCancel, .off = user_data};
  }
  static Entry Call(Function function, void* argument) {
    return {.opcode = Opcode::kCall, .addr = argument, .function = function};
  }
  // For what may wait for a file system.
  static Entry CallAsync(Function function, void* argument) {
    return {.opcode = Opcode::kCall, .flags = kCallAsync, .addr = argument, .function = function};
  }

  std::string_view path() const { return {static_cast<const char*>(addr), len}; }
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(addr), len}; }

 private:
  static Entry At(Opcode opcode, int dir, std::string_view path, uint32_t flags) {
    return {.opcode = opcode,
            .fd = dir,
            .len = static_cast<uint32_t>(std::min<size_t>(path.size(), UINT32_MAX)),
            .flags = flags,
            .addr = const_cast<char*>(path.data()),
            .off = 0};
  }
  static Entry Transfer(Opcode opcode, int fd, std::byte* data, size_t size, uint64_t pos) {
    return {.opcode = opcode,
            .fd = fd,
            .len = static_cast<uint32_t>(std::min<size_t>(size, kMaxTransfer)),
            .addr = data,
            .off = pos};
  }
};
static_assert(sizeof(Entry) == 32);

struct Completion {
  uint64_t user_data = 0;
  int32_t res = 0;  // as the opcode says, or -errno
};

}  // namespace dentree::uring
