// The command lines of oracle and linearize: switches, and options that each have a value.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "base/string_util.h"

namespace dentree::model {

struct Switch {
  std::string_view name;
  bool& on;
};

// What is wrong, or nothing. `set(name, value)` says the same of an option with its value.
inline std::optional<std::string> ParseArguments(
    std::span<const std::string_view> arguments, std::span<const Switch> switches,
    absl::FunctionRef<std::optional<std::string>(std::string_view, std::string_view)> set) {
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

inline std::optional<std::string> ParseNumber(std::string_view name, std::string_view text,
                                              uint64_t max, uint64_t& number) {
  const auto parsed = base::ParseU64(text);
  if (!parsed || *parsed > max) return absl::StrFormat("bad number for %s: '%s'", name, text);
  number = *parsed;
  return std::nullopt;
}

// The bugs that --inject knows, a line each.
template <class Bugs>
std::string BugLines(const Bugs& bugs) {
  std::string lines;
  for (const auto& bug : bugs) absl::StrAppendFormat(&lines, "  %-18s %s\n", bug.name, bug.what);
  return lines;
}

}  // namespace dentree::model
