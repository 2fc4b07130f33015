#include "base/hash.h"

#include <sys/random.h>

#include "base/check.h"

namespace dentree::base {

HashKey HashKey::Random() {
  HashKey key{};
  const ssize_t got = getrandom(&key, sizeof(key), 0);
  CHECK(got == sizeof(key), "the kernel has no random numbers");
  return key;
}

namespace internal {

// Folds all but the last 16 bytes, which the caller reads (they may overlap).
uint64_t HashLong(const HashKey& key, uint64_t state, const char* data, size_t size) {
  for (; size > 16; data += 16, size -= 16) {
    state = Mum(Load8(data) ^ kHashA ^ key.seed[1], Load8(data + 8) ^ state);
  }
  return state;
}

}  // namespace internal
}  // namespace dentree::base
