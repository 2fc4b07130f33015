#include "tests/model/arguments.h"

#include "absl/strings/str_format.h"
#include "base/string_util.h"

namespace dentree::model {

std::optional<std::string> ParseArguments(std::span<const std::string_view> arguments,
                                          std::span<const Switch> switches, const SetOption& set) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    bool known = false;
    for (const Switch& each : switches) {
      if (each.name == name) known = each.on = true;
    }
    if (known) continue;
    if (i + 1 == arguments.size()) {
      return absl::StrFormat("'%s' is unknown or lacks its value", name);
    }
    if (auto error = set(name, arguments[++i])) return error;
  }
  return std::nullopt;
}

std::optional<std::string> ParseNumber(std::string_view name, std::string_view text, uint64_t max,
                                       uint64_t& number) {
  const auto parsed = base::ParseU64(text);
  if (!parsed || *parsed > max) return absl::StrFormat("bad number for %s: '%s'", name, text);
  number = *parsed;
  return std::nullopt;
}

std::string BugLine(std::string_view name, std::string_view what) {
  return absl::StrFormat("  %-18s %s\n", name, what);
}

}  // namespace dentree::model
