#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/futex_internal.h"

namespace dentree::base::internal {

void FutexWait(const void* word, uint32_t expected, uint32_t classes) {
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, nullptr, nullptr, classes);
}

int FutexWake(const void* word, int count, uint32_t classes) {
  return static_cast<int>(
      syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, count, nullptr, nullptr, classes));
}

}  // namespace dentree::base::internal
