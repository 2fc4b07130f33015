#include <algorithm>
#include <bit>
#include <new>

#include "kernfs/children_internal.h"

namespace dentree::kernfs {

size_t ChildIndex::Bytes(uint32_t capacity) {
  return sizeof(ChildIndex) + capacity * (sizeof(Slot) + 2 * sizeof(Bucket));
}

ChildIndex* ChildIndex::Make(mm::Memory& memory, uint32_t capacity) {
  void* const block = memory.AllocBytes(Bytes(capacity), "mm:kernfs_children");
  if (block == nullptr) return nullptr;
  auto* const index = new (block) ChildIndex(capacity);
  std::fill_n(index->slots(), capacity, Slot{nullptr, 0});
  std::fill_n(index->buckets(), 2 * capacity, Bucket{0, 0});
  return index;
}

void ChildIndex::Free(mm::Memory& memory, ChildIndex* index) {
  if (index == nullptr) return;
  memory.FreeBytes(index, Bytes(index->capacity_));
}

// Twice what lives: half of the block is free after the move, however many have come and gone.
uint32_t ChildIndex::NextCapacity() const {
  return std::max(kFirstCapacity, std::bit_ceil(2 * live_));
}

Node* ChildIndex::Find(uint32_t hash, std::string_view name) const {
  for (uint32_t i = hash & mask(); buckets()[i].slot != 0; i = (i + 1) & mask()) {
    if (buckets()[i].hash != hash) continue;
    Node* const node = slots()[buckets()[i].slot - 1].node;
    if (node != nullptr && node->name() == name) return node;
  }
  return nullptr;
}

void ChildIndex::Hang(uint32_t hash, uint32_t slot) {
  uint32_t i = hash & mask();
  while (buckets()[i].slot != 0) i = (i + 1) & mask();
  buckets()[i] = {hash, slot + 1};
}

void ChildIndex::Insert(uint32_t hash, Node& child) {
  DCHECK(!full());
  DCHECK(used_ == 0 || slots()[used_ - 1].id < child.id());
  slots()[used_] = {&child, child.id()};
  Hang(hash, used_++);
  ++live_;
}

void ChildIndex::Remove(Node& child) {
  Slot& slot = slots()[LowerBound(child.id())];
  DCHECK(slot.node == &child);
  slot.node = nullptr;
  --live_;
}

void ChildIndex::MoveTo(ChildIndex& bigger) {
  DCHECK(bigger.used_ == 0 && bigger.capacity_ >= live_);
  for (uint32_t i = 0; i < used_; ++i) {
    if (slots()[i].node != nullptr) bigger.slots()[bigger.used_++] = slots()[i];
  }
  bigger.live_ = bigger.used_;
  for (uint32_t i = 0; i < 2 * capacity_; ++i) {
    const Bucket& bucket = buckets()[i];
    if (bucket.slot == 0 || slots()[bucket.slot - 1].node == nullptr) continue;
    bigger.Hang(bucket.hash, bigger.LowerBound(slots()[bucket.slot - 1].id));
  }
}

uint32_t ChildIndex::LowerBound(uint64_t id) const {
  const Slot* const first = slots();
  const Slot* const found = std::lower_bound(
      first, first + used_, id, [](const Slot& slot, uint64_t wanted) { return slot.id < wanted; });
  return static_cast<uint32_t>(found - first);
}

Node* ChildIndex::Next(uint64_t after) const {
  for (uint32_t i = LowerBound(after + 1); i < used_; ++i) {
    if (slots()[i].node != nullptr) return slots()[i].node;
  }
  return nullptr;
}

void ChildIndex::CheckInvariants(const Node& parent) const {
  uint32_t live = 0;
  for (uint32_t i = 0; i < used_; ++i) {
    CHECK(i == 0 || slots()[i - 1].id < slots()[i].id, "children out of order");
    const Node* const node = slots()[i].node;
    if (node == nullptr) continue;
    ++live;
    CHECK(node->id() == slots()[i].id, "a child under another's id");
    CHECK(node->parent() == &parent, "a child of somebody else");
  }
  CHECK(live == live_, "count of children is wrong");
}

}  // namespace dentree::kernfs
