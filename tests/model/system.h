// System: the calls of one world, dentree's or the kernel's, so that an operation is written once
// and run on both. Also the plain values that such calls exchange.
//
// A call answers what the system call does: a value of at least 0, or minus an errno. `dir` is a
// descriptor of this world or AT_FDCWD.
//
// Thread safety: one thread at a time, always the same (the kernel's credentials, root and working
// directory are a thread's). Lifetime: outlives nothing.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dentree::model {

// What stat says, times in nanoseconds.
struct Attr {
  uint64_t ino = 0;
  uint32_t mode = 0;
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;
  int64_t atime = 0;
  int64_t mtime = 0;
  int64_t ctime = 0;
};

// A name of a directory, dots included.
struct Entry {
  std::string name;
  uint64_t ino = 0;
  unsigned type = 0;  // DT_*
};

// One half of utimensat's argument.
struct TimeChange {
  enum class Kind : uint8_t { kOmit, kNow, kSet } kind = Kind::kOmit;
  int64_t ns = 0;
};

// As utimensat takes it.
inline timespec SpecOf(TimeChange change) {
  switch (change.kind) {
    case TimeChange::Kind::kOmit:
      return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
    case TimeChange::Kind::kNow:
      return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    case TimeChange::Kind::kSet:
      break;
  }
  return {.tv_sec = change.ns / 1'000'000'000, .tv_nsec = change.ns % 1'000'000'000};
}

// Who acts: an index into kWho (dentree_system.h says what dentree makes of it).
struct Credentials {
  const char* name;
  uint32_t uid, gid;
  std::array<uint32_t, 2> groups;
  size_t group_count;
};
// Root, and two users who share a group and have one each that the other has not.
inline constexpr Credentials kWho[] = {
    {"root", 0, 0, {}, 0}, {"alice", 1001, 1001, {2001}, 1}, {"bob", 1002, 1002, {2001, 2002}, 2}};

inline constexpr int kSlots = 12;  // descriptors that a sequence of operations has names for

class System {
 public:
  virtual ~System() = default;

  // --- descriptors ---
  virtual int64_t Open(int dir, const std::string& path, int flags, unsigned mode) = 0;
  virtual int64_t Close(int fd) = 0;
  virtual int64_t Dup(int fd) = 0;
  virtual int64_t Read(int fd, std::span<char> out) = 0;
  virtual int64_t Write(int fd, std::string_view in) = 0;
  virtual int64_t Pread(int fd, std::span<char> out, int64_t pos) = 0;
  virtual int64_t Pwrite(int fd, std::string_view in, int64_t pos) = 0;
  virtual int64_t Lseek(int fd, int64_t offset, int whence) = 0;
  virtual int64_t Ftruncate(int fd, int64_t size) = 0;
  // Adds what is listed from the position to the end.
  virtual int64_t List(int fd, std::vector<Entry>& entries) = 0;
  virtual int64_t Fstat(int fd, Attr& attr) = 0;
  virtual int64_t Fchmod(int fd, unsigned mode) = 0;
  virtual int64_t Fchown(int fd, uint32_t uid, uint32_t gid) = 0;  // UINT32_MAX: as it is
  virtual int64_t Fchdir(int fd) = 0;
  virtual int64_t Fsync(int fd) = 0;
  virtual int64_t Openat2(int dir, const std::string& path, uint64_t flags, uint64_t mode,
                          uint64_t resolve) = 0;
  virtual int64_t Fallocate(int fd, int mode, int64_t offset, int64_t size) = 0;
  // A position of -1 is the file's own, which moves.
  virtual int64_t CopyRange(int in, int64_t in_pos, int out, int64_t out_pos, size_t size) = 0;
  virtual int64_t Futimens(int fd, TimeChange atime, TimeChange mtime) = 0;
  virtual int64_t GetStatusFlags(int fd) = 0;
  virtual int64_t SetStatusFlags(int fd, int flags) = 0;
  virtual int64_t GetFileFlags(int fd) = 0;                  // as lsattr
  virtual int64_t SetFileFlags(int fd, uint32_t flags) = 0;  // as chattr

  // --- names ---
  virtual int64_t Stat(int dir, const std::string& path, bool follow, Attr& attr) = 0;
  virtual int64_t Access(int dir, const std::string& path, unsigned want) = 0;
  virtual int64_t Mkdir(int dir, const std::string& path, unsigned mode) = 0;
  virtual int64_t Mknod(int dir, const std::string& path, unsigned mode, uint32_t rdev) = 0;
  virtual int64_t Rmdir(int dir, const std::string& path) = 0;
  virtual int64_t Unlink(int dir, const std::string& path) = 0;
  virtual int64_t Symlink(const std::string& target, int dir, const std::string& path) = 0;
  virtual int64_t Link(const std::string& from, const std::string& to, bool follow) = 0;
  virtual int64_t Rename(const std::string& from, const std::string& to, unsigned flags) = 0;
  virtual int64_t Readlink(int dir, const std::string& path, std::string& target) = 0;
  virtual int64_t Chmod(const std::string& path, unsigned mode) = 0;
  virtual int64_t Chown(const std::string& path, uint32_t uid, uint32_t gid, bool follow) = 0;
  virtual int64_t Utimens(const std::string& path, TimeChange atime, TimeChange mtime,
                          bool follow) = 0;
  virtual int64_t Truncate(const std::string& path, int64_t size) = 0;
  virtual int64_t Linkat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                         int flags) = 0;
  virtual int64_t Renameat(int from_dir, const std::string& from, int to_dir, const std::string& to,
                           unsigned flags) = 0;
  virtual int64_t NameMax(const std::string& path) = 0;  // of statfs

  // --- extended attributes, of a descriptor (path null) or of a path ---
  struct Target {
    int fd = -1;
    const std::string* path = nullptr;
    bool follow = true;
  };
  // `room` bytes for the answer; 0 asks for its size.
  virtual int64_t Getxattr(const Target& of, const std::string& name, size_t room,
                           std::string& value) = 0;
  virtual int64_t Setxattr(const Target& of, const std::string& name, const std::string& value,
                           int flags) = 0;
  virtual int64_t Removexattr(const Target& of, const std::string& name) = 0;
  // Names, each with its NUL.
  virtual int64_t Listxattr(const Target& of, size_t room, std::string& names) = 0;

  // --- the caller ---
  virtual int64_t Chdir(const std::string& path) = 0;
  virtual int64_t Getcwd(std::string& path) = 0;
  virtual int64_t Umask(unsigned mask) = 0;
  virtual void Become(size_t who) = 0;
  // From here on checks are off, for a look at everything, or on again.
  virtual void Inspect(bool on) = 0;
  // What changes from here on gets another time than anything before it.
  virtual void Tick() {}

  // What an operation calls a descriptor; -1: none.
  std::array<int, kSlots> slots = [] {
    std::array<int, kSlots> none{};
    none.fill(-1);
    return none;
  }();
  int Dir(int slot) const { return slot < 0 ? AT_FDCWD : slots[static_cast<size_t>(slot)]; }
  int& Slot(int slot) { return slots[static_cast<size_t>(slot)]; }
};

}  // namespace dentree::model
