// Operations on open directories and files.

#include <algorithm>
#include <cstring>

#include "ramfs/super_internal.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::File;
using vfs::Inode;
using vfs::Result;

namespace {

// The part of [pos, pos + want) that lies in the page of `pos`.
struct Piece {
  uint64_t page;
  size_t offset;
  size_t size;

  Piece(uint64_t pos, size_t want)
      : page(pos / kPageBytes),
        offset(pos % kPageBytes),
        size(std::min<size_t>(want, kPageBytes - offset)) {}
};

class DirFileOps final : public vfs::FileOps {
 public:
  constexpr DirFileOps() = default;

  // Emits with the directory's semaphore held shared: the names cannot change under the sink.
  Result<int64_t> Iterate(File& file, int64_t pos, vfs::DirSink& sink) const override {
    Inode& dir = file.inode();
    base::ReadLock lock(dir.sem());
    if (pos == 0 && sink.Emit(".", dir.ino(), vfs::FileType::kDir, 1)) pos = 1;
    if (pos == 1 && sink.Emit("..", ParentIno(file), vfs::FileType::kDir, 2)) pos = 2;
    if (pos < static_cast<int64_t>(DirIndex::kFirstCookie)) return pos;
    const auto entries = dir.priv<DirIndex>().From(static_cast<uint64_t>(pos));
    for (size_t i = 0; i < entries.size(); ++i) {
      Prefetch(entries, i);
      const auto& [cookie, dentry] = entries[i];
      const auto next = static_cast<int64_t>(cookie + 1);
      if (dentry == nullptr) continue;
      if (!sink.Emit(dentry->NameInPlace(), dentry->inode().ino(), dentry->type(), next)) break;
      pos = next;
    }
    return pos;
  }

 private:
  // Names are in the order they were made, dentries and inodes where there was room: they are
  // fetched before their turn, an inode once its dentry has come.
  static void Prefetch(std::span<const DirIndex::Entry> entries, size_t i) {
    constexpr size_t kDentries = 16;
    constexpr size_t kInodes = 8;
    if (i + kDentries >= entries.size()) return;
    __builtin_prefetch(entries[i + kDentries].dentry);
    const vfs::Dentry* const dentry = entries[i + kInodes].dentry;
    if (dentry != nullptr) __builtin_prefetch(dentry->InodeRcu());
  }

  // The directory's own semaphore keeps it where it is.
  static vfs::Ino ParentIno(const File& file) { return file.dentry().parent()->inode().ino(); }
};

class RegularFileOps final : public vfs::FileOps {
 public:
  constexpr RegularFileOps() = default;

  Result<size_t> Read(File& file, std::span<std::byte> out, uint64_t pos) const override {
    base::ReadLock lock(file.inode().sem());
    return CopyOut(file.inode(), out, pos);
  }

  Result<size_t> Write(File& file, std::span<const std::byte> in, uint64_t pos) const override {
    return WriteVec(file, {&in, 1}, pos, vfs::kNoSizeLimit);
  }

  Result<size_t> ReadVec(File& file, std::span<const std::span<std::byte>> out,
                         uint64_t pos) const override {
    base::ReadLock lock(file.inode().sem());
    size_t done = 0;
    for (const std::span<std::byte> part : out) {
      const size_t n = CopyOut(file.inode(), part, pos + done);
      done += n;
      if (n < part.size()) break;
    }
    return done;
  }

  Result<size_t> WriteVec(File& file, std::span<const std::span<const std::byte>> in, uint64_t pos,
                          uint64_t limit) const override {
    if (std::ranges::all_of(in, [](const auto& part) { return part.empty(); })) return 0;
    Inode& inode = file.inode();
    base::WriteLock lock(inode.sem());
    if (file.flags() & O_APPEND) pos = inode.size();
    limit = std::min(limit, vfs::kMaxFileBytes);
    if (pos >= limit) return Err(Errno::kFBig);
    const size_t done = TRY(CopyIn(inode, in, pos, limit));
    const int64_t now = inode.vfs().clock().NowNs();
    Inode::Update(inode)
        .Size(std::max(inode.size(), pos + done))
        .Pages(PagesOf(inode))
        .Mtime(now)
        .Ctime(now);
    return done;
  }

  vfs::Status Fallocate(File& file, int mode, uint64_t offset, uint64_t size) const override {
    Inode& inode = file.inode();
    RamfsSuper& sb = SuperOf(inode);
    base::WriteLock lock(inode.sem());
    const uint64_t end = offset + size;
    uint64_t new_size = inode.size();
    if (mode & vfs::kFallocPunchHole) {
      if (inode.private_data() != nullptr) inode.priv<Content>().Punch(sb.pages(), offset, end);
    } else {
      const uint64_t first = offset / kPageBytes;
      const uint64_t last = end / kPageBytes + (end % kPageBytes != 0 ? 1 : 0);
      // What can never fit is not begun.
      const uint64_t max = sb.pages().quota().max();
      if (max != 0 && last - first > max) return Err(Errno::kNoSpc);
      Content* const content = TRY(sb.MakeContent(inode));
      TRY(content->Reserve(sb.pages(), first, last));
      if (!(mode & vfs::kFallocKeepSize)) new_size = std::max(new_size, end);
    }
    const int64_t now = inode.vfs().clock().NowNs();
    Inode::Update(inode).Size(new_size).Pages(PagesOf(inode)).Mtime(now).Ctime(now);
    return {};
  }

  Result<uint64_t> Seek(File& file, int64_t offset, vfs::Whence whence) const override {
    if (whence != vfs::Whence::kData && whence != vfs::Whence::kHole) {
      return FileOps::Seek(file, offset, whence);
    }
    Inode& inode = file.inode();
    base::ReadLock lock(inode.sem());
    if (offset < 0 || static_cast<uint64_t>(offset) >= inode.size()) return Err(Errno::kNxIo);
    const auto pos = static_cast<uint64_t>(offset);
    return whence == vfs::Whence::kData ? NextData(inode, pos) : NextHole(inode, pos);
  }

 private:
  static size_t CopyOut(Inode& inode, std::span<std::byte> out, uint64_t pos) {
    const uint64_t size = inode.size();
    if (pos >= size) return 0;
    out = out.first(std::min<uint64_t>(out.size(), size - pos));
    const auto* const content = static_cast<const Content*>(inode.private_data());
    for (size_t done = 0; done < out.size();) {
      const Piece piece(pos + done, out.size() - done);
      const std::byte* const page = content == nullptr ? nullptr : content->Find(piece.page);
      if (page == nullptr) {
        std::memset(&out[done], 0, piece.size);
      } else {
        std::memcpy(&out[done], page + piece.offset, piece.size);
      }
      done += piece.size;
    }
    return out.size();
  }

  // Bytes copied, up to the position `limit`: short when pages ran out on the way, an error when at
  // the first.
  static Result<size_t> CopyIn(Inode& inode, std::span<const std::span<const std::byte>> in,
                               uint64_t pos, uint64_t limit) {
    RamfsSuper& sb = SuperOf(inode);
    Content* const content = TRY(sb.MakeContent(inode));
    size_t total = 0;
    for (std::span<const std::byte> part : in) {
      const size_t wanted = part.size();
      part = part.first(std::min<uint64_t>(wanted, limit - pos - total));
      for (size_t done = 0; done < part.size();) {
        const Piece piece(pos + total, part.size() - done);
        const auto page = content->Make(sb.pages(), piece.page);
        if (!page && total == 0) return Err(page.error());
        if (!page) return total;
        std::memcpy(*page + piece.offset, &part[done], piece.size);
        done += piece.size;
        total += piece.size;
      }
      if (part.size() < wanted) break;
    }
    return total;
  }

  static Result<uint64_t> NextData(Inode& inode, uint64_t pos) {
    const auto* const content = static_cast<const Content*>(inode.private_data());
    const auto page = content == nullptr ? std::nullopt : content->NextPage(pos / kPageBytes);
    if (!page || *page * kPageBytes >= inode.size()) return Err(Errno::kNxIo);
    return std::max(pos, *page * kPageBytes);
  }

  // The end of the file is a hole.
  static uint64_t NextHole(Inode& inode, uint64_t pos) {
    const auto* const content = static_cast<const Content*>(inode.private_data());
    if (content == nullptr) return pos;
    return std::min(inode.size(), std::max(pos, content->NextHole(pos / kPageBytes) * kPageBytes));
  }
};

constexpr DirFileOps kDirFileOps;
constexpr RegularFileOps kRegularFileOps;

}  // namespace

const vfs::FileOps& OpenDirOps() { return kDirFileOps; }
const vfs::FileOps& OpenFileOps() { return kRegularFileOps; }

}  // namespace dentree::ramfs
