#include "ramfs/xattrs_internal.h"

#include <algorithm>
#include <cstring>

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::Result;

namespace {

constexpr const char kSite[] = "mm:ramfs_xattr";
constexpr uint32_t kFirstCapacity = 4;

}  // namespace

size_t Xattrs::Place(std::string_view name) const {
  Entry* const* const end = entries_ + size_;
  return static_cast<size_t>(std::lower_bound(static_cast<Entry* const*>(entries_), end, name,
                                              [](const Entry* entry, std::string_view wanted) {
                                                return entry->name() > wanted;
                                              }) -
                             entries_);
}

std::optional<std::span<const std::byte>> Xattrs::Find(std::string_view name) const {
  const size_t i = Place(name);
  if (!IsAt(i, name)) return std::nullopt;
  return entries_[i]->value();
}

bool Xattrs::Grow(mm::Memory& memory) {
  if (size_ < capacity_) return true;
  const uint32_t capacity = std::max(kFirstCapacity, capacity_ * 2);
  auto** const bigger = static_cast<Entry**>(memory.AllocBytes(capacity * sizeof(Entry*), kSite));
  if (bigger == nullptr) return false;
  std::copy_n(entries_, size_, bigger);
  memory.FreeBytes(entries_, capacity_ * sizeof(Entry*));
  entries_ = bigger;
  capacity_ = capacity;
  return true;
}

Result<uint64_t> Xattrs::Set(mm::Memory& memory, std::string_view name,
                             std::span<const std::byte> value) {
  const size_t i = Place(name);
  const bool there = IsAt(i, name);
  if (!there && !Grow(memory)) return Err(Errno::kNoMem);
  const Entry head{static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())};
  void* const block = memory.AllocBytes(head.total(), kSite);
  if (block == nullptr) return Err(Errno::kNoMem);
  auto* const fresh = ::new (block) Entry(head);
  std::memcpy(fresh->bytes(), name.data(), name.size());
  if (!value.empty()) std::memcpy(fresh->bytes() + name.size(), value.data(), value.size());
  if (there) {
    Entry* const old = std::exchange(entries_[i], fresh);
    const uint64_t space = old->space();
    memory.FreeBytes(old, old->total());
    return space;
  }
  std::copy_backward(entries_ + i, entries_ + size_, entries_ + size_ + 1);
  entries_[i] = fresh;
  ++size_;
  return 0;
}

uint64_t Xattrs::Remove(mm::Memory& memory, std::string_view name) {
  const size_t i = Place(name);
  if (!IsAt(i, name)) return 0;
  Entry* const old = entries_[i];
  std::copy(entries_ + i + 1, entries_ + size_, entries_ + i);
  --size_;
  const uint64_t space = old->space();
  memory.FreeBytes(old, old->total());
  return space;
}

uint64_t Xattrs::Clear(mm::Memory& memory) {
  uint64_t space = 0;
  for (Entry* entry : std::span(entries_, size_)) {
    space += entry->space();
    memory.FreeBytes(entry, entry->total());
  }
  memory.FreeBytes(entries_, capacity_ * sizeof(Entry*));
  entries_ = nullptr;
  size_ = capacity_ = 0;
  return space;
}

}  // namespace dentree::ramfs
