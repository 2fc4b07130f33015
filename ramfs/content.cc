#include "ramfs/content_internal.h"

#include <cstring>

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::Result;
using vfs::Status;

std::byte* Content::Find(uint64_t index) const {
  if (!Covers(index)) return nullptr;
  void* slot = root_;
  for (unsigned height = height_; height > 0 && slot != nullptr; --height) {
    slot = static_cast<Node*>(slot)->slots[(index / Span(height)) % kSlots];
  }
  return static_cast<std::byte*>(slot);
}

Result<std::byte*> Content::Make(PagePool& pool, uint64_t index) {
  TRY(Heighten(pool.memory(), index));
  void** slot = &root_;
  for (unsigned height = height_; height > 0; --height) {
    if (*slot == nullptr) *slot = NewNode(pool.memory());
    if (*slot == nullptr) return Err(Errno::kNoMem);
    slot = &static_cast<Node*>(*slot)->slots[(index / Span(height)) % kSlots];
  }
  if (*slot == nullptr) *slot = TRY(pool.New());
  return static_cast<std::byte*>(*slot);
}

void Content::Cut(PagePool& pool, uint64_t size) {
  const uint64_t used = size % kPageBytes;
  const uint64_t kept = size / kPageBytes + (used != 0 ? 1 : 0);
  if (Covers(kept)) CutSlot(pool, &root_, height_, kept);
  if (root_ == nullptr) height_ = 0;
  std::byte* const last = used == 0 ? nullptr : Find(kept - 1);
  if (last != nullptr) std::memset(last + used, 0, kPageBytes - used);
}

std::optional<uint64_t> Content::NextPage(uint64_t index) const {
  if (!Covers(index)) return std::nullopt;
  return NextPageBelow(root_, height_, index);
}

uint64_t Content::NextHole(uint64_t index) const {
  while (Find(index) != nullptr) ++index;
  return index;
}

Content::Node* Content::NewNode(mm::Memory& memory) {
  void* const node = memory.AllocBytes(sizeof(Node), "mm:ramfs_node");
  return node == nullptr ? nullptr : ::new (node) Node{};
}

// Puts the root below new roots until `index` is covered.
Status Content::Heighten(mm::Memory& memory, uint64_t index) {
  while (!Covers(index)) {
    if (root_ != nullptr) {
      Node* const node = NewNode(memory);
      if (node == nullptr) return Err(Errno::kNoMem);
      node->slots[0] = root_;
      root_ = node;
    }
    ++height_;
  }
  return {};
}

// Frees the pages from `first` on below `*slot`, counted from the slot's own first page. The depth
// of the recursion is the height: 9 at most.
void Content::CutSlot(PagePool& pool, void** slot, unsigned height, uint64_t first) {
  if (*slot == nullptr) return;
  if (height == 0) {
    if (first == 0) pool.Free(static_cast<std::byte*>(std::exchange(*slot, nullptr)));
    return;
  }
  const uint64_t begin = first / Span(height);
  auto* const node = static_cast<Node*>(*slot);
  for (uint64_t i = begin; i < kSlots; ++i) {
    CutSlot(pool, &node->slots[i], height - 1, i == begin ? first % Span(height) : 0);
  }
  if (first > 0) return;
  pool.memory().FreeBytes(node, sizeof(Node));
  *slot = nullptr;
}

std::optional<uint64_t> Content::NextPageBelow(void* slot, unsigned height, uint64_t index) {
  if (slot == nullptr) return std::nullopt;
  if (height == 0) return 0;
  const uint64_t begin = index / Span(height);
  for (uint64_t i = begin; i < kSlots; ++i) {
    const uint64_t from = i == begin ? index % Span(height) : 0;
    const auto found = NextPageBelow(static_cast<Node*>(slot)->slots[i], height - 1, from);
    if (found) return i * Span(height) + *found;
  }
  return std::nullopt;
}

}  // namespace dentree::ramfs
