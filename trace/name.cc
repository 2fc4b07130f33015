#include "trace/name.h"

#include <algorithm>

namespace dentree::trace {

base::Status CheckName(std::string_view name) {
  if (name.empty() || name == "." || name == "..") return base::Err(base::Errno::kInval);
  if (name.find('/') != name.npos || name.find('\0') != name.npos) {
    return base::Err(base::Errno::kInval);
  }
  if (name.size() > kMaxNameBytes) return base::Err(base::Errno::kNameTooLong);
  return {};
}

base::Status CheckEventName(std::string_view name) {
  TRY(CheckName(name));
  const bool unspeakable = std::ranges::any_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' || byte == 0x7f || c == ':';
  });
  if (unspeakable || name.front() == '!' || name == "*") return base::Err(base::Errno::kInval);
  return {};
}

}  // namespace dentree::trace
