// DirIndex: what readdir walks, the names of one directory in the order they were made.
//
// An array of {cookie, dentry}. Invariants:
//     cookies ascend, are never used twice, and start at kFirstCookie: a listing that remembers
//     "from
//       cookie c on" is right whatever came and went meanwhile
//     a removed name leaves a hole (null dentry); the last entry is never one; more holes than
//     names
//       are squeezed out
//     Dentry::fsdata() of each name is its cookie
// A name that is there during a whole listing is listed once: renaming over a name keeps that
// name's cookie, exchanging keeps both.
//
// Thread safety: the directory's semaphore, shared to read, exclusive to change.
// Lifetime: owned by the directory's inode. Holds no references: a dentry here is pinned.
#pragma once

#include <cstdint>
#include <span>

#include "mm/mm.h"
#include "ramfs/xattrs_internal.h"
#include "vfs/vfs.h"

namespace dentree::ramfs {

class DirIndex : public XattrHolder {
 public:
  // 0 is ".", 1 is "..".
  static constexpr uint64_t kFirstCookie = 2;

  struct Entry {
    uint64_t cookie;
    vfs::Dentry* dentry;  // null: a hole
  };
  static_assert(sizeof(Entry) == 16);

  DirIndex() = default;
  DirIndex(const DirIndex&) = delete;
  DirIndex& operator=(const DirIndex&) = delete;
  ~DirIndex() { DCHECK(entries_ == nullptr, "a directory's index outlives it"); }

  // A new name at the end. kNoMem leaves all as it was.
  vfs::Status Append(mm::Memory& memory, vfs::Dentry& dentry);
  void Remove(mm::Memory& memory, const vfs::Dentry& dentry);
  // The name leaves for the end of `to`. kNoMem leaves all as it was.
  vfs::Status MoveTo(DirIndex& to, mm::Memory& memory, vfs::Dentry& dentry);
  // `dentry`, removed or of no directory, takes the place of `old` and its cookie.
  void Replace(const vfs::Dentry& old, vfs::Dentry& dentry);
  // Two names, of the same directory or not, swap places and cookies.
  static void Exchange(DirIndex& a_index, vfs::Dentry& a, DirIndex& b_index, vfs::Dentry& b);
  void Free(mm::Memory& memory);

  bool empty() const { return live_ == 0; }
  // Entries from `cookie` on, holes included.
  std::span<const Entry> From(uint64_t cookie) const;

 private:
  Entry& At(uint64_t cookie);
  void RemoveAt(mm::Memory& memory, uint64_t cookie);
  vfs::Status Reallocate(mm::Memory& memory, uint32_t capacity);
  void SqueezeOutHoles();

  Entry* entries_ = nullptr;
  uint32_t size_ = 0;  // holes included
  uint32_t capacity_ = 0;
  uint32_t live_ = 0;
  uint64_t next_cookie_ = kFirstCookie;
};

}  // namespace dentree::ramfs
