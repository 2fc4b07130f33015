// Patterns of names, as in the shell's globs and `find -name`.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dentree::shell {

enum class Case : uint8_t { kExact, kIgnore };

// Whether all of `text` matches `pattern`: * any bytes, ? one byte, [abc] [a-z] [!abc] [^abc] one
// of a set, \x the byte x. A [ without its ] stands for itself. Time is at most the product of
// the two lengths.
bool Matches(std::string_view pattern, std::string_view text, Case letters = Case::kExact);

// Whether a pattern could match anything but one text: has an unescaped * ? or [.
bool HasWildcards(std::string_view pattern);

// `text` as a pattern that matches it alone, and back.
std::string EscapePattern(std::string_view text);
std::string UnescapePattern(std::string_view pattern);

}  // namespace dentree::shell
