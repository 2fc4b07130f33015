// Operations on open directories and files.

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "hostfs/super_internal.h"

namespace dentree::hostfs {

using base::Err;
using vfs::File;
using vfs::FileType;
using vfs::Inode;

namespace {

// What an open file of any type does.
class HostFileOps : public vfs::FileOps {
 public:
  void Release(File& file) const override {
    auto* const open = static_cast<HostFile*>(file.private_data());
    HostOf(file.inode()).RemoveOpen(open);
    SuperOf(file.inode()).state().GiveOpen();
  }

  Status Fsync(File& file) const override {
    return SuperOf(file.inode()).calls().Fsync(FdOf(file));
  }

 protected:
  constexpr HostFileOps() = default;
  constexpr ~HostFileOps() = default;

  static int FdOf(const File& file) { return file.priv<HostFile>().fd.get(); }

  // Never waits for another end and never becomes the process's terminal, should the host put
  // something else under the name: that is found out, and closed again.
  static Status OpenHost(File& file, int flags, std::unique_ptr<DirBuffer> dir) {
    Inode& inode = file.inode();
    HostSuper& sb = SuperOf(inode);
    TRY(sb.state().TakeOpen());
    SYNC_POINT(sb.vfs().sync_points(), "hostfs:open");
    Result<std::shared_ptr<HostFile>> opened = OpenCounted(sb, file, flags, std::move(dir));
    if (!opened) {
      sb.state().GiveOpen();
      return Err(opened.error());
    }
    std::shared_ptr<HostFile> open = *std::move(opened);
    file.set_private_data(open.get());
    HostOf(inode).AddOpen(std::move(open));
    return {};
  }

 private:
  static Result<std::shared_ptr<HostFile>> OpenCounted(HostSuper& sb, const File& file, int flags,
                                                       std::unique_ptr<DirBuffer> dir) {
    Fd fd = TRY(sb.FindBy(file.dentry(), HostOf(file.inode()).id, flags | O_NONBLOCK | O_NOCTTY));
    auto open = HostSuper::NewFile(std::move(fd), std::move(dir));
    if (open == nullptr) return Err(Errno::kNoMem);
    return open;
  }
};

class DirFileOps final : public HostFileOps {
 public:
  constexpr DirFileOps() = default;

  Status Open(File& file) const override {
    std::unique_ptr<DirBuffer> buffer(new (std::nothrow) DirBuffer);
    if (buffer == nullptr) return Err(Errno::kNoMem);
    return OpenHost(file, O_RDONLY | O_DIRECTORY, std::move(buffer));
  }

  // Positions are the host's. What was read ahead is used while the caller reads on, and read anew
  // when it seeks: to the start, for one.
  Result<int64_t> Iterate(File& file, int64_t pos, vfs::DirSink& sink) const override {
    DirBuffer& buffer = *file.priv<HostFile>().dir;
    const HostCalls& calls = SuperOf(file.inode()).calls();
    if (pos == 0 || pos != buffer.next || buffer.at == buffer.end) {
      TRY(calls.Seek(FdOf(file), pos, SEEK_SET));
      buffer.at = buffer.end = 0;
    }
    buffer.next = pos;
    for (;;) {
      if (buffer.at == buffer.end) {
        buffer.at = buffer.end = 0;
        buffer.end = TRY(calls.Getdents(FdOf(file), buffer.bytes));
        if (buffer.end == 0) return buffer.next;
      }
      if (!EmitAll(file, buffer, sink)) return buffer.next;
    }
  }

 private:
  // False: the sink is full.
  static bool EmitAll(const File& file, DirBuffer& buffer, vfs::DirSink& sink) {
    while (buffer.at < buffer.end) {
      const auto* const entry = reinterpret_cast<const dirent64*>(&buffer.bytes[buffer.at]);
      const std::string_view name(entry->d_name);
      const auto ino = NumberOf(file, *entry, name);
      if (!sink.Emit(name, ino, TypeOf(file, *entry, name), entry->d_off)) return false;
      buffer.at += entry->d_reclen;
      buffer.next = entry->d_off;
    }
    return true;
  }

  // The directory above is the tree's: of the top, itself.
  static vfs::Ino NumberOf(const File& file, const dirent64& entry, std::string_view name) {
    const Inode& dir = file.inode();
    if (name == ".") return dir.ino();
    if (name == "..") return dir.vfs().dcache().ParentOf(file.dentry())->inode().ino();
    return SuperOf(dir).ShownIno(HostOf(dir).id.dev, entry.d_ino);
  }

  // Some file systems do not say it in a listing.
  static FileType TypeOf(const File& file, const dirent64& entry, std::string_view name) {
    if (entry.d_type != DT_UNKNOWN) return static_cast<FileType>(entry.d_type);
    if (name == "." || name == "..") return FileType::kDir;
    const auto stat = SuperOf(file.inode()).calls().Stat(FdOf(file), std::string(name));
    return stat ? stat->id.type : FileType::kUnknown;
  }
};

class RegularFileOps final : public HostFileOps {
 public:
  constexpr RegularFileOps() = default;

  Status Open(File& file) const override {
    const int access = file.flags() & O_ACCMODE;
    return OpenHost(file, access == O_ACCMODE ? O_RDWR : access, nullptr);
  }

  Result<size_t> Read(File& file, std::span<std::byte> out, uint64_t pos) const override {
    return SuperOf(file.inode()).calls().Read(FdOf(file), out, pos);
  }

  Result<size_t> Write(File& file, std::span<const std::byte> in, uint64_t pos) const override {
    if (in.empty()) return 0;
    Inode& inode = file.inode();
    const HostCalls& calls = SuperOf(inode).calls();
    base::WriteLock lock(inode.sem());
    const size_t done = TRY(calls.Write(FdOf(file), in, pos, file.flags() & O_APPEND));
    Reread(file);
    return done;
  }

  // The caller's limit; that of the process is the host's to know.
  Result<size_t> WriteVec(File& file, std::span<const std::span<const std::byte>> in, uint64_t pos,
                          uint64_t limit) const override {
    if (limit == vfs::kNoSizeLimit) return FileOps::WriteVec(file, in, pos, limit);
    uint64_t end = pos;
    if (file.flags() & O_APPEND) {
      const HostStat stat = TRY(SuperOf(file.inode()).calls().Stat(FdOf(file)));
      end = stat.size;
    }
    size_t done = 0;
    for (std::span<const std::byte> part : in) {
      if (part.empty()) continue;
      if (end >= limit) return done == 0 ? Result<size_t>(Err(Errno::kFBig)) : done;
      part = part.first(static_cast<size_t>(std::min<uint64_t>(part.size(), limit - end)));
      const Result<size_t> n = Write(file, part, pos + done);
      if (!n) return done == 0 ? n : done;
      done += *n;
      end += *n;
      if (*n < part.size()) break;
    }
    return done;
  }

  Result<uint64_t> Seek(File& file, int64_t offset, vfs::Whence whence) const override {
    const HostCalls& calls = SuperOf(file.inode()).calls();
    if (whence == vfs::Whence::kData) return calls.Seek(FdOf(file), offset, SEEK_DATA);
    if (whence == vfs::Whence::kHole) return calls.Seek(FdOf(file), offset, SEEK_HOLE);
    if (whence != vfs::Whence::kEnd) return FileOps::Seek(file, offset, whence);
    // The end as it is now, not as it was remembered.
    const HostStat stat = TRY(calls.Stat(FdOf(file)));
    if (__builtin_add_overflow(offset, static_cast<int64_t>(stat.size), &offset)) {
      return Err(Errno::kOverflow);
    }
    return FileOps::Seek(file, offset, vfs::Whence::kSet);
  }

  std::optional<int> HostFd(File& file) const override { return FdOf(file); }
  // Whoever asks for the attributes next has them read.
  void HostWrote(File& file) const override { HostSuper::Expire(file.inode()); }

  Status Truncate(File& file, uint64_t size) const override {
    Inode& inode = file.inode();
    base::WriteLock lock(inode.sem());
    TRY(SuperOf(inode).calls().Truncate(FdOf(file), size));
    Reread(file);
    return {};
  }

 private:
  // After a change of ours: whoever changed it sees it. The inode's semaphore is held for writing.
  static void Reread(File& file) {
    HostSuper& sb = SuperOf(file.inode());
    const int64_t now = sb.AskingNow();
    const Result<HostStat> stat = sb.calls().Stat(FdOf(file));
    if (stat) {
      HostSuper::Store(file.inode(), *stat, now);
    } else {
      HostSuper::Expire(file.inode());
    }
  }
};

constexpr DirFileOps kDirFileOps;
constexpr RegularFileOps kRegularFileOps;

}  // namespace

const vfs::FileOps& OpenDirOps() { return kDirFileOps; }
const vfs::FileOps& OpenFileOps() { return kRegularFileOps; }

}  // namespace dentree::hostfs
