// From an entry to the call of its task.
#include <dirent.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "uring/core_internal.h"

namespace dentree::uring {

using base::Err;

namespace {

int32_t ResOf(const Status& status) { return status ? 0 : -static_cast<int32_t>(status.error()); }

template <class T>
int32_t ResOf(const Result<T>& result) {
  return result ? static_cast<int32_t>(*result) : -static_cast<int32_t>(result.error());
}

// Writes the records of getdents64(2) until one does not fit.
class DirentSink final : public vfs::DirSink {
 public:
  explicit DirentSink(std::span<std::byte> out) : out_(out) {}

  bool Emit(std::string_view name, vfs::Ino ino, vfs::FileType type, int64_t next) override {
    constexpr size_t kHead = offsetof(::dirent64, d_name);
    const size_t size = (kHead + name.size() + 1 + 7) / 8 * 8;
    if (size > out_.size() - used_) {
      refused_ = true;
      return false;
    }
    std::byte* const record = out_.data() + used_;
    ::dirent64 head = {};
    head.d_ino = ino;
    head.d_off = next;
    head.d_reclen = static_cast<uint16_t>(size);
    head.d_type = static_cast<uint8_t>(type);
    std::memcpy(record, &head, kHead);
    std::memcpy(record + kHead, name.data(), name.size());
    std::memset(record + kHead + name.size(), 0, size - kHead - name.size());
    used_ += size;
    return true;
  }
  Result<size_t> used() const {
    if (used_ == 0 && refused_) return Err(Errno::kInval);
    return used_;
  }

 private:
  const std::span<std::byte> out_;
  size_t used_ = 0;
  bool refused_ = false;
};

Result<size_t> Getdents(vfs::File& file, const Entry& entry) {
  DirentSink sink(entry.bytes());
  TRY(file.Readdir(sink));
  return sink.used();
}

Result<size_t> Getdents(vfs::Task& task, const Entry& entry) {
  const vfs::FileRef file = TRY(task.fds().Get(entry.fd));
  return Getdents(*file, entry);
}

enum class Wait : uint8_t { kNo, kYes };

Status Statx(vfs::Task& task, const Entry& entry, Wait wait) {
  if (entry.flags & ~uint32_t{AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH}) return Err(Errno::kInval);
  if (entry.path().empty() && (entry.flags & AT_EMPTY_PATH) && entry.fd != vfs::kAtFdCwd) {
    *entry.stat = TRY(wait == Wait::kYes ? task.Fstat(entry.fd) : task.FstatNowait(entry.fd));
    return {};
  }
  const std::string_view path =
      entry.path().empty() && (entry.flags & AT_EMPTY_PATH) ? "." : entry.path();
  const auto follow = entry.flags & AT_SYMLINK_NOFOLLOW ? vfs::Follow::kNo : vfs::Follow::kYes;
  *entry.stat = TRY(wait == Wait::kYes ? task.StatAt(entry.fd, path, follow)
                                       : task.StatAtNowait(entry.fd, path, follow));
  return {};
}

Status Unlinkat(vfs::Task& task, const Entry& entry) {
  if (entry.flags & ~uint32_t{AT_REMOVEDIR}) return Err(Errno::kInval);
  return entry.flags & AT_REMOVEDIR ? task.Rmdir(entry.path(), entry.fd)
                                    : task.Unlink(entry.path(), entry.fd);
}

}  // namespace

int32_t Perform(vfs::Task& task, const Entry& entry) {
  switch (entry.opcode) {
    case Opcode::kNop:
      return 0;
    case Opcode::kOpenat:
      return ResOf(task.OpenAt(entry.fd, entry.path(), static_cast<vfs::OpenFlags>(entry.flags),
                               entry.mode));
    case Opcode::kClose:
      return ResOf(task.Close(entry.fd));
    case Opcode::kStatx:
      return ResOf(Statx(task, entry, Wait::kYes));
    case Opcode::kGetdents:
      return ResOf(Getdents(task, entry));
    case Opcode::kMkdirat:
      return ResOf(task.Mkdir(entry.path(), entry.mode, entry.fd));
    case Opcode::kUnlinkat:
      return ResOf(Unlinkat(task, entry));
    case Opcode::kCall:
      return entry.function(task, entry.addr);
    case Opcode::kRead:
    case Opcode::kWrite:
    case Opcode::kAsyncCancel:
      break;  // the loop's own
  }
  return -static_cast<int32_t>(Errno::kInval);
}

std::optional<int32_t> PerformNowait(vfs::Task& task, const Entry& entry) {
  bool waits = false;
  switch (entry.opcode) {
    case Opcode::kOpenat:
      waits = task.OpenWouldBlock(entry.fd, entry.path(), static_cast<vfs::OpenFlags>(entry.flags));
      break;
    case Opcode::kMkdirat:
    case Opcode::kUnlinkat:
      waits = task.ChangeWouldBlock(entry.fd, entry.path());
      break;
    case Opcode::kStatx: {
      const Status status = Statx(task, entry, Wait::kNo);
      if (!status && status.error() == Errno::kAgain) return std::nullopt;
      return ResOf(status);
    }
    case Opcode::kCall:
      waits = entry.flags & kCallAsync;
      break;
    default:
      break;
  }
  if (waits) return std::nullopt;
  return Perform(task, entry);
}

bool IsLimited(const vfs::Task& task, const vfs::File& file, const Entry& entry) {
  return entry.opcode == Opcode::kWrite && task.file_size_limit() != vfs::kNoSizeLimit &&
         vfs::IsRegular(file.inode().mode());
}

Result<size_t> WriteLimited(const vfs::Task& task, vfs::File& file, const Entry& entry) {
  std::optional<uint64_t> pos;
  if (entry.off != kCurrentPosition) pos = entry.off;
  const std::span<const std::byte> in = entry.bytes();
  return file.WriteVec({&in, 1}, pos, task.file_size_limit());
}

int32_t PerformAway(Away& away) {
  const Entry& entry = away.request.entry;
  const vfs::FileRef file = std::move(away.file);
  switch (entry.opcode) {
    case Opcode::kRead:
      return ResOf(away.at_position() ? file->Read(entry.bytes())
                                      : file->Pread(entry.bytes(), entry.off));
    case Opcode::kWrite:
      return ResOf(WriteLimited(away.ring.task(), *file, entry));
    case Opcode::kGetdents:
      return ResOf(Getdents(*file, entry));
    case Opcode::kClose:
      return 0;  // the reference goes with it
    default:
      return Perform(away.ring.task(), entry);
  }
}

}  // namespace dentree::uring
