// Decompression of .xz files.
//
// Thread safety: any thread.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

namespace dentree::lab {

// Memory the decoder may use for itself: what `xz -9` needs, and some.
inline constexpr size_t kXzMemoryLimit = size_t{128} << 20;

// The bytes behind one or more concatenated streams. The error says what is wrong with them;
// more than `limit` bytes are an error too.
std::expected<std::string, std::string> DecompressXz(std::string_view compressed, size_t limit);

}  // namespace dentree::lab
