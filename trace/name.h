#pragma once

#include <cstddef>
#include <string_view>

#include "base/errno.h"

namespace dentree::trace {

// The longest name a directory entry may have, and every name in this room becomes one.
inline constexpr size_t kMaxNameBytes = 255;

// Whether `name` can be a directory entry: kInval when empty, "." or "..", or when it holds '/' or
// NUL; kNameTooLong past kMaxNameBytes. The rule for instances, whose names may be anything else.
base::Status CheckName(std::string_view name);

// CheckName, and whether `name` can be spelled in set_event and stand on a line of
// available_events: no white space, control character or ':', no leading '!', not "*". The rule for
// systems and events; kInval when broken.
base::Status CheckEventName(std::string_view name);

}  // namespace dentree::trace
