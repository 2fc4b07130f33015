#include "base/string_util.h"

#include <fnmatch.h>

#include <charconv>
#include <limits>

namespace dentree::base {
namespace {

constexpr std::string_view kSpace = " \t\n\v\f\r";

template <class T>
Result<T> ParseWhole(std::string_view text, int radix) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, radix);
  if (error == std::errc::invalid_argument || stop != end) return Err(Errno::kInval);
  if (error == std::errc::result_out_of_range) return Err(Errno::kRange);
  return value;
}

// Takes the prefix that says the radix off the text.
int TakeRadix(std::string_view& text) {
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    return 16;
  }
  return text.size() > 1 && text.front() == '0' ? 8 : 10;
}

std::string_view WithoutNewline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

Result<uint64_t> ParseDigits(std::string_view digits) {
  const int radix = TakeRadix(digits);
  return ParseU64(digits, radix);
}

}  // namespace

Result<uint64_t> ParseU64(std::string_view text, int radix) {
  return ParseWhole<uint64_t>(text, radix);
}

Result<int64_t> ParseI64(std::string_view text, int radix) {
  return ParseWhole<int64_t>(text, radix);
}

Result<uint64_t> ParseControlU64(std::string_view text) {
  text = WithoutNewline(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  return ParseDigits(text);
}

Result<int64_t> ParseControlI64(std::string_view text) {
  text = WithoutNewline(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const uint64_t magnitude = TRY(ParseDigits(text));
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (magnitude > kMax + (negative ? 1 : 0)) return Err(Errno::kRange);
  return static_cast<int64_t>(negative ? -magnitude : magnitude);
}

Result<bool> ParseControlBool(std::string_view text) {
  const char first = text.empty() ? '\0' : text[0];
  if (std::string_view("yYtT1").find(first) != std::string_view::npos && first != '\0') return true;
  if (std::string_view("nNfF0").find(first) != std::string_view::npos && first != '\0')
    return false;
  if (first == 'o' || first == 'O') {
    const char second = text.size() > 1 ? text[1] : '\0';
    if (second == 'n' || second == 'N') return true;
    if (second == 'f' || second == 'F') return false;
  }
  return Err(Errno::kInval);
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string_view::npos; begin = end + 1) {
    pieces.push_back(text.substr(begin, end - begin));
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

std::string_view NextToken(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view token = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return token;
}

bool GlobMatch(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

}  // namespace dentree::base
