// What guards freed memory and the ends of objects: ASan's shadow where there is ASan, patterns in
// debug builds.
#pragma once

#include <sanitizer/asan_interface.h>

#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "mm/cache.h"

namespace dentree::mm {

inline void PoisonRegion([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
  ASAN_POISON_MEMORY_REGION(memory, bytes);
}
inline void UnpoisonRegion([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
}

// Aborts if an object that is to be freed is free already.
inline void CheckNotPoisoned([[maybe_unused]] const void* memory) {
#ifdef DENTREE_MM_ASAN
  CHECK(!__asan_address_is_poisoned(memory), "object freed twice");
#endif
}

#ifdef NDEBUG
inline constexpr bool kPatterns = false;
#else
inline constexpr bool kPatterns = true;
#endif

// ASan finds a write behind an object when it happens; elsewhere a red zone shows it later.
inline constexpr size_t kRedZoneBytes = Cache::kRedZoneBytes;
inline constexpr bool kRedZones = kRedZoneBytes != 0;

// A byte that is no small number, no valid pointer and no text.
inline constexpr unsigned char kFreedByte = 0xdb;

inline constexpr unsigned char kRedZoneByte = 0xcc;

inline void FillRedZone(void* memory, size_t bytes) {
  if constexpr (kRedZones) std::memset(memory, kRedZoneByte, bytes);
}
inline bool RedZoneIntact([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
  if constexpr (!kRedZones) return true;
  const auto* const data = static_cast<const unsigned char*>(memory);
  return data[0] == kRedZoneByte && std::memcmp(data, data + 1, bytes - 1) == 0;
}

inline void FillFreed(void* memory, size_t bytes) {
  if constexpr (kPatterns) std::memset(memory, kFreedByte, bytes);
}

inline void CheckFreed([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
  if constexpr (kPatterns) {
    const auto* const data = static_cast<const unsigned char*>(memory);
    // All bytes equal the first, and that one is the pattern.
    CHECK(data[0] == kFreedByte && std::memcmp(data, data + 1, bytes - 1) == 0,
          "freed object was written to");
  }
}

}  // namespace dentree::mm
