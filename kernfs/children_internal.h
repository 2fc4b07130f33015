// ChildIndex: the listed children of a directory, by name and in the order in which they came.
//
// Layout: one block of memory.
//
//     [ ChildIndex | slot 0 | slot 1 | ... | slot capacity-1 | bucket 0 ... bucket 2*capacity-1 ]
//     slot    { Node, null once removed; its id }; ascending by id, which is the cookie of listings
//     bucket  { hash of the name, number of the slot + 1 }, open addressing by hash; 0: free
//
// Invariants: used_ slots are filled from the left; a bucket whose slot has lost its node is a
// tombstone, which a lookup passes; at most half of the buckets are in use, so every probe ends. A
// full block is replaced by one that fits the living, made by the caller before it locks.
//
// Thread safety: Root::tree_. Lifetime: belongs to the directory's node, which holds a reference on
// each child.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/base.h"
#include "kernfs/node.h"
#include "mm/mm.h"

namespace dentree::kernfs {

class ChildIndex {
 public:
  static constexpr uint32_t kFirstCapacity = 4;

  // An empty index; null when memory is short.
  static ChildIndex* Make(mm::Memory& memory, uint32_t capacity);
  static void Free(mm::Memory& memory, ChildIndex* index);

  bool full() const { return used_ == capacity_; }
  uint32_t live() const { return live_; }
  uint32_t capacity() const { return capacity_; }
  // The capacity of the block that should follow this one.
  uint32_t NextCapacity() const;

  Node* Find(uint32_t hash, std::string_view name) const;
  // REQUIRES: not full(); the child's id is above all others.
  void Insert(uint32_t hash, Node& child);
  void Remove(Node& child);
  // Moves all living children into `bigger`, which is empty and has room.
  void MoveTo(ChildIndex& bigger);

  // The child with the lowest id above `after`; null when there is none.
  Node* Next(uint64_t after) const;

  void CheckInvariants(const Node& parent) const;

 private:
  struct Slot {
    Node* node;
    uint64_t id;  // of the node, so that a search touches no node; stays when the node goes
  };

  struct Bucket {
    uint32_t hash;
    uint32_t slot;  // + 1
  };

  explicit ChildIndex(uint32_t capacity) : capacity_(capacity) {}
  static size_t Bytes(uint32_t capacity);
  Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
  const Slot* slots() const { return reinterpret_cast<const Slot*>(this + 1); }
  Bucket* buckets() { return reinterpret_cast<Bucket*>(slots() + capacity_); }
  const Bucket* buckets() const { return reinterpret_cast<const Bucket*>(slots() + capacity_); }
  void Hang(uint32_t hash, uint32_t slot);
  uint32_t mask() const { return 2 * capacity_ - 1; }
  // The first slot with an id of at least `id`.
  uint32_t LowerBound(uint64_t id) const;

  const uint32_t capacity_;  // a power of two
  uint32_t used_ = 0;
  uint32_t live_ = 0;
  [[maybe_unused]] uint32_t pad_ = 0;  // slots are aligned to 8
};

}  // namespace dentree::kernfs
