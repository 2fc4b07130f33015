#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/errno.h"

// Parsing and cutting of text. Nothing here allocates but Split and what returns a std::string.

namespace dentree::base {

// A whole decimal (or, with `radix`, other) number and nothing else. kInval when it is not one,
// kRange when it does not fit.
[[nodiscard]] Result<uint64_t> ParseU64(std::string_view text, int radix = 10);
[[nodiscard]] Result<int64_t> ParseI64(std::string_view text, int radix = 10);

// What a number written to a control file may look like: optional '+', 0x for hexadecimal, a
// leading 0 for octal, at most one newline at the end.
[[nodiscard]] Result<uint64_t> ParseControlU64(std::string_view text);
// The same with an optional sign.
[[nodiscard]] Result<int64_t> ParseControlI64(std::string_view text);
// What a switch accepts: y Y t T 1 on On oN..., n N f F 0 of Of...; only the first one or two
// characters count.
[[nodiscard]] Result<bool> ParseControlBool(std::string_view text);

// Without white space (space, \t \n \v \f \r) at both ends.
[[nodiscard]] std::string_view Trim(std::string_view text);
// The pieces between separators, empty ones included; the empty text is one empty piece.
[[nodiscard]] std::vector<std::string_view> Split(std::string_view text, char separator);
// The next piece up to `separator`, which is taken off `rest`. Empty when `rest` is.
std::string_view NextToken(std::string_view& rest, char separator);
// fnmatch with *, ? and [...]; '/' and leading dots are ordinary characters.
[[nodiscard]] bool GlobMatch(const std::string& pattern, const std::string& text);

// Hash and equality of strings of any type by their characters, for maps that are searched with a
// std::string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
struct StringEq {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

}  // namespace dentree::base
