#include <algorithm>

#include "ramfs/dir_index_internal.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Dentry;
using vfs::Errno;
using vfs::Status;

namespace {

constexpr const char kIndexSite[] = "mm:ramfs_index";
constexpr uint32_t kFirstCapacity = 4;
// An index no larger than this is not worth shrinking.
constexpr uint32_t kKeptCapacity = 64;

}  // namespace

Status DirIndex::Append(mm::Memory& memory, Dentry& dentry) {
  if (size_ == capacity_)
    TRY(Reallocate(memory, std::max(kFirstCapacity, capacity_ + capacity_ / 2)));
  entries_[size_++] = {next_cookie_, &dentry};
  dentry.set_fsdata(next_cookie_++);
  ++live_;
  return {};
}

void DirIndex::Remove(mm::Memory& memory, const Dentry& dentry) {
  RemoveAt(memory, dentry.fsdata());
}

Status DirIndex::MoveTo(DirIndex& to, mm::Memory& memory, Dentry& dentry) {
  const uint64_t cookie = dentry.fsdata();
  TRY(to.Append(memory, dentry));
  RemoveAt(memory, cookie);
  return {};
}

void DirIndex::Replace(const Dentry& old, Dentry& dentry) {
  At(old.fsdata()).dentry = &dentry;
  dentry.set_fsdata(old.fsdata());
}

void DirIndex::Exchange(DirIndex& a_index, Dentry& a, DirIndex& b_index, Dentry& b) {
  std::swap(a_index.At(a.fsdata()).dentry, b_index.At(b.fsdata()).dentry);
  const uint64_t cookie = a.fsdata();
  a.set_fsdata(b.fsdata());
  b.set_fsdata(cookie);
}

void DirIndex::Free(mm::Memory& memory) {
  memory.FreeBytes(entries_, capacity_ * sizeof(Entry));
  entries_ = nullptr;
  size_ = capacity_ = live_ = 0;
}

std::span<const DirIndex::Entry> DirIndex::From(uint64_t cookie) const {
  const Entry* const end = entries_ + size_;
  return {
      std::lower_bound(static_cast<const Entry*>(entries_), end, cookie,
                       [](const Entry& entry, uint64_t wanted) { return entry.cookie < wanted; }),
      end};
}

void DirIndex::RemoveAt(mm::Memory& memory, uint64_t cookie) {
  At(cookie).dentry = nullptr;
  --live_;
  while (size_ > 0 && entries_[size_ - 1].dentry == nullptr) --size_;
  if (size_ > 2 * live_) SqueezeOutHoles();
  // What is far too large gives back what it can; without memory to move to it stays as it is.
  if (capacity_ > kKeptCapacity && size_ < capacity_ / 4) {
    (void)Reallocate(memory, std::max(kKeptCapacity, 2 * size_));
  }
}

DirIndex::Entry& DirIndex::At(uint64_t cookie) {
  const std::span<const Entry> found = From(cookie);
  CHECK(!found.empty() && found[0].cookie == cookie && found[0].dentry != nullptr,
        "a name that its directory does not list");
  return entries_[found.data() - entries_];
}

Status DirIndex::Reallocate(mm::Memory& memory, uint32_t capacity) {
  auto* entries = static_cast<Entry*>(memory.AllocBytes(capacity * sizeof(Entry), kIndexSite));
  if (entries == nullptr) return Err(Errno::kNoMem);
  std::copy_n(entries_, size_, entries);
  memory.FreeBytes(entries_, capacity_ * sizeof(Entry));
  entries_ = entries;
  capacity_ = capacity;
  return {};
}

void DirIndex::SqueezeOutHoles() {
  Entry* const end = std::remove_if(entries_, entries_ + size_,
                                    [](const Entry& entry) { return entry.dentry == nullptr; });
  size_ = static_cast<uint32_t>(end - entries_);
}

}  // namespace dentree::ramfs
