// Xattrs: the extended attributes of one inode. XattrHolder: what each type's private data begins
// with.
//
// An array of pointers to attributes, in descending order of names, as Linux lists them; each
// attribute is one block of memory. All of it is charged to the budget, and to the file system's
// limit of inodes with what SpaceOf says.
//
// Thread safety: the inode's semaphore, shared to read, exclusive to change.
// Lifetime: owned by the inode, made by its first attribute. Cleared before the destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "mm/mm.h"
#include "vfs/vfs.h"

namespace dentree::ramfs {

class Xattrs {
 public:
  Xattrs() = default;
  Xattrs(const Xattrs&) = delete;
  Xattrs& operator=(const Xattrs&) = delete;
  ~Xattrs() { DCHECK(entries_ == nullptr, "a file's attributes outlive it"); }

  // What an attribute takes of nr_inodes, in bytes: as tmpfs counts.
  static uint64_t SpaceOf(size_t name, size_t value) { return 40 + name + value; }

  // Size of the value; nothing: no such name.
  std::optional<std::span<const std::byte>> Find(std::string_view name) const;
  // Adds or replaces. Returns the space of what was replaced, 0 for none. kNoMem leaves all as it
  // was.
  vfs::Result<uint64_t> Set(mm::Memory& memory, std::string_view name,
                            std::span<const std::byte> value);
  // Returns the space that it took, 0 if there was none.
  uint64_t Remove(mm::Memory& memory, std::string_view name);
  uint64_t Clear(mm::Memory& memory);

  size_t size() const { return size_; }
  std::string_view NameAt(size_t i) const { return entries_[i]->name(); }

 private:
  struct Entry {
    uint32_t name_size;
    uint32_t value_size;

    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    std::string_view name() const { return {bytes(), name_size}; }
    std::span<const std::byte> value() const {
      return std::as_bytes(std::span(bytes() + name_size, value_size));
    }
    size_t total() const { return sizeof(Entry) + name_size + value_size; }
    uint64_t space() const { return SpaceOf(name_size, value_size); }
  };

  size_t Place(std::string_view name) const;  // where it is or would be
  bool IsAt(size_t i, std::string_view name) const { return i < size_ && NameAt(i) == name; }
  bool Grow(mm::Memory& memory);

  Entry** entries_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

struct XattrHolder {
  Xattrs* xattrs = nullptr;
};

}  // namespace dentree::ramfs
