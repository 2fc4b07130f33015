// Entry tables: the fixed children of a directory type, as constants that cost no directory a byte.
//
//     inline constexpr auto kEventFiles = kernfs::MakeTable(
//         kernfs::File("enable", 0640, kEnableOps),
//         kernfs::File("id", 0440, kIdOps, &HasId),
//         kernfs::File("format", 0440, kFormatOps));
//     inline constexpr kernfs::DirType kEventDir{.table = kEventFiles};
//
// The table is checked while compiling: a name that is empty, too long, "." or "..", contains '/',
// or stands twice, and an entry whose kind does not fit its mode, do not compile.
//
// Thread safety: immutable. Lifetime: static storage; directories and open files keep pointers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "vfs/types.h"

namespace dentree::kernfs {

using vfs::Mode;

class LinkOps;
class Node;
class NodeOps;
class Provider;
struct DirType;

// An object that a directory is about: unique within its root, never reused, at most 48 bits. Zero
// is the listed node itself.
using ObjectId = uint64_t;
inline constexpr ObjectId kSelf = 0;
inline constexpr unsigned kObjectBits = 48;
inline constexpr ObjectId kMaxObject = (ObjectId{1} << kObjectBits) - 1;

// Ids of several sources in one root are kept apart by a space of their own (1 to 255), 40 bits
// each.
constexpr ObjectId ObjectIn(uint8_t space, uint64_t id) { return ObjectId{space} << 40 | id; }
constexpr uint64_t IdOf(ObjectId object) { return object & ((uint64_t{1} << 40) - 1); }

// A directory as client code sees it: `object` in `domain`, the nearest listed directory at or
// above it.
struct Dir {
  Node& domain;
  ObjectId object = kSelf;
  void* priv = nullptr;  // the directory's own
};

// Whether a table entry is there in one directory, and what differs there from the table.
struct Presence {
  bool here = true;
  Mode permissions = 0;  // 0: the table's
  void* priv = nullptr;  // null: the directory's

  static constexpr Presence Absent() { return {.here = false}; }
};

// Pure and quick: it runs under an active reference of the directory, for every lookup and listing,
// takes no lock of rank kNode or above, and never blocks. Whoever flips an answer calls
// Root::PresenceChanged afterwards.
using PresentFn = Presence (*)(const Dir& dir);

// One fixed child. Made by File, Subdir and Link.
struct TableEntry {
  std::string_view name;
  Mode mode = 0;                  // type and permissions
  const NodeOps* ops = nullptr;   // files
  const DirType* dir = nullptr;   // directories
  const LinkOps* link = nullptr;  // symlinks
  ObjectId object = kSelf;        // directories: what the directory is about, never kSelf
  PresentFn present = nullptr;    // null: always there
};

constexpr TableEntry File(std::string_view name, Mode permissions, const NodeOps& ops,
                          PresentFn present = nullptr) {
  return {.name = name, .mode = Mode(S_IFREG | permissions), .ops = &ops, .present = present};
}
// A directory that every directory of the type has. Its priv is that of the directory it is in,
// unless `present` says otherwise; its object id is the same in every domain.
constexpr TableEntry Subdir(std::string_view name, Mode permissions, const DirType& type,
                            ObjectId object, PresentFn present = nullptr) {
  return {.name = name,
          .mode = Mode(S_IFDIR | permissions),
          .dir = &type,
          .object = object,
          .present = present};
}
constexpr TableEntry Link(std::string_view name, const LinkOps& ops, PresentFn present = nullptr) {
  return {.name = name, .mode = Mode(S_IFLNK | 0777), .link = &ops, .present = present};
}

// Names are constants of the program, so their hash needs no key.
constexpr uint32_t TableHash(std::string_view name) {
  uint32_t hash = 2166136261u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash ^ hash >> 15;
}

inline constexpr size_t kMaxTableEntries = 1024;  // an index must fit 16 bits of an identity

// A table with its index; made by MakeTable, used through EntryTable.
template <size_t N>
struct TableStorage {
  static constexpr size_t Slots() {
    size_t slots = 2;
    while (slots < 2 * N) slots *= 2;
    return slots;
  }
  std::array<TableEntry, N> entries{};
  std::array<uint16_t, Slots()> index{};  // open addressing; entry number + 1, 0 is free
};

// What a directory type keeps of its table.
class EntryTable {
 public:
  constexpr EntryTable() = default;
  template <size_t N>
  constexpr EntryTable(const TableStorage<N>& storage)  // NOLINT: a table is used as one
      : entries_(storage.entries.data()),
        index_(storage.index.data()),
        size_(N),
        mask_(TableStorage<N>::Slots() - 1) {}

  constexpr size_t size() const { return size_; }
  constexpr const TableEntry& operator[](size_t i) const { return entries_[i]; }
  constexpr const TableEntry* begin() const { return entries_; }
  constexpr const TableEntry* end() const { return entries_ + size_; }

  // The number of the entry with this name, present or not. Reads nothing but the table.
  constexpr std::optional<uint16_t> Find(std::string_view name) const {
    if (size_ == 0) return std::nullopt;
    for (uint32_t slot = TableHash(name) & mask_; index_[slot] != 0; slot = (slot + 1) & mask_) {
      if (entries_[index_[slot] - 1].name == name) return static_cast<uint16_t>(index_[slot] - 1);
    }
    return std::nullopt;
  }
  // For registries: a name that a directory of this type can never give to anything else.
  constexpr bool Contains(std::string_view name) const { return Find(name).has_value(); }

 private:
  const TableEntry* entries_ = nullptr;
  const uint16_t* index_ = nullptr;
  uint32_t size_ = 0;
  uint32_t mask_ = 0;
};

// What a directory has besides listed children. Static or as long-lived as its root.
struct DirType {
  EntryTable table = {};
  const Provider* provider = nullptr;
};

namespace table_check {

constexpr bool NameIsGood(std::string_view name) {
  return !name.empty() && name.size() <= vfs::kNameMax && name != "." && name != ".." &&
         name.find('/') == name.npos && name.find('\0') == name.npos;
}

// File, Subdir and Link take references, so what has to be there is. It is not compared with null:
// under UBSan gcc does not know that an object of another file has an address.
constexpr bool KindIsGood(const TableEntry& entry) {
  switch (vfs::TypeOf(entry.mode)) {
    case vfs::FileType::kRegular:
      return entry.dir == nullptr && entry.link == nullptr;
    case vfs::FileType::kDir:
      return entry.ops == nullptr && entry.link == nullptr && entry.object != kSelf &&
             entry.object <= kMaxObject;
    case vfs::FileType::kSymlink:
      return entry.ops == nullptr && entry.dir == nullptr;
    default:
      return false;
  }
}

// Not constexpr: reaching one of these while compiling is the error message.
void NameOfTableEntryIsBad();
void KindOfTableEntryDoesNotFitItsMode();
void NameStandsTwiceInTable();

}  // namespace table_check

template <class... Entries>
consteval TableStorage<sizeof...(Entries)> MakeTable(const Entries&... entries) {
  static_assert(sizeof...(Entries) > 0 && sizeof...(Entries) <= kMaxTableEntries);
  TableStorage<sizeof...(Entries)> table;
  table.entries = {entries...};
  constexpr uint32_t mask = TableStorage<sizeof...(Entries)>::Slots() - 1;
  for (size_t i = 0; i < table.entries.size(); ++i) {
    const TableEntry& entry = table.entries[i];
    if (!table_check::NameIsGood(entry.name)) table_check::NameOfTableEntryIsBad();
    if (!table_check::KindIsGood(entry)) table_check::KindOfTableEntryDoesNotFitItsMode();
    uint32_t slot = TableHash(entry.name) & mask;
    for (; table.index[slot] != 0; slot = (slot + 1) & mask) {
      if (table.entries[table.index[slot] - 1].name == entry.name) {
        table_check::NameStandsTwiceInTable();
      }
    }
    table.index[slot] = static_cast<uint16_t>(i + 1);
  }
  return table;
}

}  // namespace dentree::kernfs
