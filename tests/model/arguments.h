// The command lines of oracle and linearize: switches, and options that each have a value.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dentree::model {

struct Switch {
  std::string_view name;
  bool& on;
};

// What is wrong with an option and its value, or nothing.
using SetOption =
    std::function<std::optional<std::string>(std::string_view name, std::string_view value)>;

// What is wrong, or nothing.
std::optional<std::string> ParseArguments(std::span<const std::string_view> arguments,
                                          std::span<const Switch> switches, const SetOption& set);
std::optional<std::string> ParseNumber(std::string_view name, std::string_view text, uint64_t max,
                                       uint64_t& number);

// A line of the list of bugs that --inject knows.
std::string BugLine(std::string_view name, std::string_view what);
template <class Bugs>
std::string BugLines(const Bugs& bugs) {
  std::string lines;
  for (const auto& bug : bugs) lines += BugLine(bug.name, bug.what);
  return lines;
}

}  // namespace dentree::model
