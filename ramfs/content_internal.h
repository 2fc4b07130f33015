// Content: the bytes of a regular file, in pages; what was never written is a hole and takes
// nothing.
//
// A tree of 64-way nodes over page numbers, as high as the highest page asks: a file of one page
// is that page. Invariants:
//     height h covers pages [0, 64^h); height 0: root_ is page 0 itself
//     bytes of a page past the file's size are zero (Cut cares), so growing a file needs no work
//     a page that was reserved (fallocate) and not written is zeros, and marked in its slot: who
//     seeks data passes over it
//
// Thread safety: the inode's semaphore, shared to read, exclusive to change.
// Lifetime: owned by the inode, made by its first write. Cut to 0 before the destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "ramfs/page_pool_internal.h"
#include "ramfs/xattrs_internal.h"
#include "vfs/vfs.h"

namespace dentree::ramfs {

class Content : public XattrHolder {
 public:
  Content() = default;
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  ~Content() { DCHECK(root_ == nullptr, "a file's content outlives it"); }

  // Page `index`, or null for a hole.
  std::byte* Find(uint64_t index) const;
  // Page `index`, made of zeros if it was a hole, and from now on written. kNoSpc, kNoMem.
  vfs::Result<std::byte*> Make(PagePool& pool, uint64_t index);
  // The file ends at `size` now: later pages are freed, the rest of the last one is zeroed.
  void Cut(PagePool& pool, uint64_t size);
  // Pages [first, last) are there afterwards. kNoSpc, kNoMem: all is as it was.
  vfs::Status Reserve(PagePool& pool, uint64_t first, uint64_t last);
  // Bytes [begin, end) are a hole: whole pages are freed, parts of pages zeroed.
  void Punch(PagePool& pool, uint64_t begin, uint64_t end);
  // Pages there are.
  uint64_t pages() const { return pages_; }

  // First written page, and first that is not, from `index` on.
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
  bool Covers(uint64_t index) const {
    return kBits * height_ >= 64 || (index >> (kBits * height_)) == 0;
  }

  // Marks of a page in its slot: reserved and never written; and by the Reserve under way.
  static constexpr uintptr_t kReserved = 1;
  static constexpr uintptr_t kFresh = 2;
  static uintptr_t MarksOf(const void* page) {
    return reinterpret_cast<uintptr_t>(page) & (kReserved | kFresh);
  }
  static std::byte* PageOf(void* slot) { return static_cast<std::byte*>(slot) - MarksOf(slot); }
  static void* Marked(std::byte* page, uintptr_t marks) { return page + marks; }

  static Node* NewNode(mm::Memory& memory);
  vfs::Status Heighten(mm::Memory& memory, uint64_t index);
  vfs::Result<void**> MakeSlot(PagePool& pool, uint64_t index);
  void* FindSlot(uint64_t index) const;
  void FreePage(PagePool& pool, void** slot);
  void CutSlot(PagePool& pool, void** slot, unsigned height, uint64_t first, uint64_t last);
  void SettleFresh(PagePool& pool, void** slot, unsigned height, uint64_t first, uint64_t last,
                   bool keep);
  void Zero(uint64_t index, size_t begin, size_t end);
  static std::optional<uint64_t> NextPageBelow(void* slot, unsigned height, uint64_t index);

  void* root_ = nullptr;
  unsigned height_ = 0;
  uint64_t pages_ = 0;
};

}  // namespace dentree::ramfs
