#include "shell/pattern.h"

#include <cstddef>

namespace dentree::shell {

namespace {

constexpr std::string_view kSpecial = "*?[]\\";

unsigned char Fold(char c, Case letters) {
  const auto u = static_cast<unsigned char>(c);
  return letters == Case::kIgnore && u >= 'A' && u <= 'Z' ? u + ('a' - 'A') : u;
}

// One byte of a set, an escaped one included; moves `pos` past it.
char SetByte(std::string_view pattern, size_t& pos) {
  if (pattern[pos] == '\\' && pos + 1 < pattern.size()) ++pos;
  return pattern[pos++];
}

struct SetMatch {
  size_t end = 0;  // after the ]; 0: there is no ], so this is no set
  bool matched = false;
};

// Matches `c` against the set that begins at pattern[0] == '['.
SetMatch MatchSet(std::string_view pattern, char c, Case letters) {
  size_t pos = 1;
  const bool negated = pos < pattern.size() && (pattern[pos] == '!' || pattern[pos] == '^');
  if (negated) ++pos;
  const unsigned char wanted = Fold(c, letters);
  bool found = false;
  for (bool first = true; pos < pattern.size(); first = false) {
    if (pattern[pos] == ']' && !first) return {pos + 1, found != negated};
    const unsigned char low = Fold(SetByte(pattern, pos), letters);
    unsigned char high = low;
    if (pos + 1 < pattern.size() && pattern[pos] == '-' && pattern[pos + 1] != ']') {
      high = Fold(SetByte(pattern, ++pos), letters);
    }
    found |= low <= wanted && wanted <= high;
  }
  return {};
}

// Length of the pattern's first element if that matches `c`, else 0. It is not a star.
size_t MatchOne(std::string_view pattern, char c, Case letters) {
  if (pattern[0] == '?') return 1;
  if (pattern[0] == '[') {
    const SetMatch set = MatchSet(pattern, c, letters);
    if (set.end != 0) return set.matched ? set.end : 0;
  }
  const size_t skip = pattern[0] == '\\' && pattern.size() > 1 ? 1 : 0;
  return Fold(pattern[skip], letters) == Fold(c, letters) ? skip + 1 : 0;
}

}  // namespace

bool Matches(std::string_view pattern, std::string_view text, Case letters) {
  size_t p = 0;
  size_t t = 0;
  size_t after_star = std::string_view::npos;  // where to resume when a guess was too short
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_star = ++p;
      star_text = t;
      continue;
    }
    const size_t step = p < pattern.size() ? MatchOne(pattern.substr(p), text[t], letters) : 0;
    if (step != 0) {
      p += step;
      ++t;
    } else if (after_star != std::string_view::npos) {
      p = after_star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool HasWildcards(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[') {
      return true;
    }
  }
  return false;
}

std::string EscapePattern(std::string_view text) {
  std::string pattern;
  for (char c : text) {
    if (kSpecial.find(c) != std::string_view::npos || c == '-' || c == '!' || c == '^')
      pattern += '\\';
    pattern += c;
  }
  return pattern;
}

std::string UnescapePattern(std::string_view pattern) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    text += pattern[i];
  }
  return text;
}

}  // namespace dentree::shell
