#include "ramfs/content_internal.h"

#include <algorithm>
#include <cstring>

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::Result;
using vfs::Status;

void* Content::FindSlot(uint64_t index) const {
  if (!Covers(index)) return nullptr;
  void* slot = root_;
  for (unsigned height = height_; height > 0 && slot != nullptr; --height) {
    slot = static_cast<Node*>(slot)->slots[(index / Span(height)) % kSlots];
  }
  return slot;
}

std::byte* Content::Find(uint64_t index) const { return PageOf(FindSlot(index)); }

// The slot of a page, with the nodes above it.
Result<void**> Content::MakeSlot(PagePool& pool, uint64_t index) {
  TRY(Heighten(pool.memory(), index));
  void** slot = &root_;
  for (unsigned height = height_; height > 0; --height) {
    if (*slot == nullptr) *slot = NewNode(pool.memory());
    if (*slot == nullptr) return Err(Errno::kNoMem);
    slot = &static_cast<Node*>(*slot)->slots[(index / Span(height)) % kSlots];
  }
  return slot;
}

Result<std::byte*> Content::Make(PagePool& pool, uint64_t index) {
  void** const slot = TRY(MakeSlot(pool, index));
  if (*slot == nullptr) {
    *slot = TRY(pool.New());
    ++pages_;
  }
  *slot = PageOf(*slot);
  return static_cast<std::byte*>(*slot);
}

Status Content::Reserve(PagePool& pool, uint64_t first, uint64_t last) {
  Status status;
  uint64_t index = first;
  for (; index < last && status; ++index) {
    const Result<void**> slot = MakeSlot(pool, index);
    if (!slot) status = Err(slot.error());
    if (!slot) continue;
    if (**slot != nullptr) {
      // What is reserved once more counts as data, as in tmpfs.
      **slot = PageOf(**slot);
      continue;
    }
    const auto page = pool.New();
    if (!page) {
      status = Err(page.error());
      continue;
    }
    **slot = Marked(*page, kReserved | kFresh);
    ++pages_;
  }
  SettleFresh(pool, &root_, height_, first, index, status.has_value());
  return status;
}

// The pages that a Reserve made: kept, or freed again.
void Content::SettleFresh(PagePool& pool, void** slot, unsigned height, uint64_t first,
                          uint64_t last, bool keep) {
  if (*slot == nullptr || first >= last) return;
  if (height == 0) {
    if (!(MarksOf(*slot) & kFresh)) return;
    if (!keep) return FreePage(pool, slot);
    *slot = Marked(PageOf(*slot), kReserved);
    return;
  }
  const uint64_t span = Span(height);
  for (uint64_t i = first / span; i < kSlots && i * span < last; ++i) {
    const uint64_t begin = i * span;
    SettleFresh(pool, &static_cast<Node*>(*slot)->slots[i], height - 1,
                first > begin ? first - begin : 0, std::min(last - begin, span), keep);
  }
}

void Content::FreePage(PagePool& pool, void** slot) {
  pool.Free(PageOf(std::exchange(*slot, nullptr)));
  --pages_;
}

void Content::Zero(uint64_t index, size_t begin, size_t end) {
  std::byte* const page = begin < end ? Find(index) : nullptr;
  if (page != nullptr) std::memset(page + begin, 0, end - begin);
}

void Content::Cut(PagePool& pool, uint64_t size) {
  constexpr uint64_t kEnd = UINT64_MAX;
  const uint64_t used = size % kPageBytes;
  const uint64_t kept = size / kPageBytes + (used != 0 ? 1 : 0);
  if (Covers(kept)) CutSlot(pool, &root_, height_, kept, kEnd);
  if (root_ == nullptr) height_ = 0;
  if (used != 0) Zero(kept - 1, used, kPageBytes);
}

void Content::Punch(PagePool& pool, uint64_t begin, uint64_t end) {
  const uint64_t first = begin / kPageBytes + (begin % kPageBytes != 0 ? 1 : 0);
  const uint64_t last = end / kPageBytes;
  if (begin / kPageBytes == end / kPageBytes) {
    return Zero(last, begin % kPageBytes, end % kPageBytes);
  }
  if (begin % kPageBytes != 0) Zero(first - 1, begin % kPageBytes, kPageBytes);
  Zero(last, 0, end % kPageBytes);
  if (first < last && Covers(first)) CutSlot(pool, &root_, height_, first, last);
  if (root_ == nullptr) height_ = 0;
}

std::optional<uint64_t> Content::NextPage(uint64_t index) const {
  if (!Covers(index)) return std::nullopt;
  return NextPageBelow(root_, height_, index);
}

uint64_t Content::NextHole(uint64_t index) const {
  for (;; ++index) {
    const void* const slot = FindSlot(index);
    if (slot == nullptr || (MarksOf(slot) & kReserved)) return index;
  }
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

// Frees the pages [first, last) below `*slot`, counted from the slot's own first page, and the
// nodes that were wholly meant. The depth of the recursion is the height: 9 at most.
void Content::CutSlot(PagePool& pool, void** slot, unsigned height, uint64_t first, uint64_t last) {
  if (*slot == nullptr || first >= last) return;
  if (height == 0) return FreePage(pool, slot);
  const uint64_t span = Span(height);
  auto* const node = static_cast<Node*>(*slot);
  for (uint64_t i = first / span; i < kSlots && i * span < last; ++i) {
    const uint64_t begin = i * span;
    CutSlot(pool, &node->slots[i], height - 1, first > begin ? first - begin : 0,
            std::min(last - begin, span));
  }
  if (first > 0 || last < span * kSlots) return;
  pool.memory().FreeBytes(node, sizeof(Node));
  *slot = nullptr;
}

std::optional<uint64_t> Content::NextPageBelow(void* slot, unsigned height, uint64_t index) {
  if (slot == nullptr) return std::nullopt;
  if (height == 0) return MarksOf(slot) & kReserved ? std::nullopt : std::optional<uint64_t>(0);
  const uint64_t begin = index / Span(height);
  for (uint64_t i = begin; i < kSlots; ++i) {
    const uint64_t from = i == begin ? index % Span(height) : 0;
    const auto found = NextPageBelow(static_cast<Node*>(slot)->slots[i], height - 1, from);
    if (found) return i * Span(height) + *found;
  }
  return std::nullopt;
}

}  // namespace dentree::ramfs
