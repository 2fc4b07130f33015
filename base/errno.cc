#include "base/errno.h"

#include <cstring>

namespace dentree::base {

std::string_view ErrnoName(Errno error) {
  const char* name = strerrorname_np(std::to_underlying(error));
  return name != nullptr ? name : "E?";
}

std::string_view ErrnoText(Errno error) {
  const char* text = strerrordesc_np(std::to_underlying(error));
  return text != nullptr ? text : "Unknown error";
}

}  // namespace dentree::base
