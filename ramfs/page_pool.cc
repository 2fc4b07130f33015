#include <cstring>

#include "ramfs/page_pool_internal.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;

bool Quota::Take(uint64_t n) {
  const uint64_t now = used_.fetch_add(n, std::memory_order_relaxed) + n;
  if (max() == 0 || now <= max()) return true;
  Give(n);
  return false;
}

bool Quota::SetMax(uint64_t max) {
  if (max != 0 && max < used()) return false;
  max_.store(max, std::memory_order_relaxed);
  return true;
}

uint64_t Quota::left() const {
  const uint64_t limit = max();
  const uint64_t now = used();
  return now < limit ? limit - now : 0;
}

vfs::Result<std::byte*> PagePool::New() {
  if (!quota_.Take()) return Err(Errno::kNoSpc);
  void* const page = memory_.AllocBytes(kPageBytes, "mm:ramfs_page");
  if (page == nullptr) {
    quota_.Give();
    return Err(Errno::kNoMem);
  }
  return static_cast<std::byte*>(std::memset(page, 0, kPageBytes));
}

void PagePool::Free(std::byte* page) {
  memory_.FreeBytes(page, kPageBytes);
  quota_.Give();
}

}  // namespace dentree::ramfs
