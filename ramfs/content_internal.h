// Content: the bytes of a regular file, in pages; what was never written is a hole and takes
// nothing.
//
// A tree of 64-way nodes over page numbers, as high as the highest page asks: a file of one page
// is that page. Invariants:
//     height h covers pages [0, 64^h); height 0: root_ is page 0 itself
//     bytes of a page past the file's size are zero (Cut cares), so growing a file needs no work
//
// Thread safety: the inode's semaphore, shared to read, exclusive to change.
// Lifetime: owned by the inode, made by its first write. Cut to 0 before the destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "ramfs/page_pool_internal.h"
#include "vfs/vfs.h"

namespace dentree::ramfs {

class Content {
 public:
  Content() = default;
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  ~Content() { DCHECK(root_ == nullptr, "a file's content outlives it"); }

  // Page `index`, or null for a hole.
  std::byte* Find(uint64_t index) const;
  // Page `index`, made of zeros if it was a hole. kNoSpc, kNoMem.
  vfs::Result<std::byte*> Make(PagePool& pool, uint64_t index);
  // The file ends at `size` now: later pages are freed, the rest of the last one is zeroed.
  void Cut(PagePool& pool, uint64_t size);

  // First page, and first hole, from `index` on.
  std::optional<uint64_t> NextPage(uint64_t index) const;
  uint64_t NextHole(uint64_t index) const;

 private:
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlots = 1 << kBits;
  struct Node {
    void* slots[kSlots];
  };

  // Pages below one slot of a node of this height.
  static constexpr uint64_t Span(unsigned height) { return uint64_t{1} << (kBits * (height - 1)); }
  bool Covers(uint64_t index) const { return (index >> (kBits * height_)) == 0; }

  static Node* NewNode(mm::Memory& memory);
  vfs::Status Heighten(mm::Memory& memory, uint64_t index);
  static void CutSlot(PagePool& pool, void** slot, unsigned height, uint64_t first);
  static std::optional<uint64_t> NextPageBelow(void* slot, unsigned height, uint64_t index);

  void* root_ = nullptr;
  unsigned height_ = 0;
};

}  // namespace dentree::ramfs
