// Reads and writes of data that a host's descriptor has, made by a request loop's io_uring.
#include <sys/inotify.h>

#include "vfs/file.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

Result<uint64_t> File::BeginHostMove(unsigned want, std::optional<uint64_t> pos, size_t size) {
  const bool writes = want & kMayWrite;
  if (writes && writable()) {
    // Where an append ends only the host knows, and taking set-id bits away is a change of its own.
    if (!pos && (flags() & O_APPEND)) return base::Err(Errno::kAgain);
    const bool strips = (inode().mode() & (S_ISUID | S_ISGID)) && !creds().Has(Cap::kFsetid);
    if (strips) return base::Err(Errno::kAgain);
  }
  uint64_t at;
  if (pos) {
    at = *pos;
  } else {
    base::MutexLock lock(pos_mutex_);
    at = pos_;
  }
  TRY(writes ? MayWrite(at, size) : MayRead(at, size));
  return at;
}

void File::EndHostMove(unsigned want, std::optional<uint64_t> pos, uint64_t began, size_t n) {
  if (!pos) {
    base::MutexLock lock(pos_mutex_);
    pos_ = began + n;
  }
  const bool writes = want & kMayWrite;
  if (writes) ops_->HostWrote(*this);
  if (n > 0) path_.vfs().notify().OnFile(*this, writes ? IN_MODIFY : IN_ACCESS);
}

}  // namespace dentree::vfs
