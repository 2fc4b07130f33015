// From words as they are written to the arguments a command gets: variables, splitting, patterns.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/base.h"
#include "shell/syntax.h"
#include "uring/ring_task.h"

namespace dentree::shell {

// Arguments of one command at most; kTooBig beyond.
inline constexpr size_t kMaxArguments = 1 << 18;

// Thread safety: as the Task's. Lifetime: for one command; stands on what it was made with.
class Expander {
 public:
  using Lookup = absl::FunctionRef<std::optional<std::string>(std::string_view name)>;

  Expander(uring::RingTask& task, Lookup variables) : task_(task), variables_(variables) {}

  // All arguments of all words. Unquoted values are split at blanks and newlines; a pattern becomes
  // the paths it matches, sorted, or stays as it is when there are none.
  base::Result<std::vector<std::string>> Arguments(const std::vector<Word>& words);

  // One string, neither split nor matched: the value of an assignment, the file of a redirection.
  std::string Text(const Word& word) const;

  // The paths a pattern matches, sorted. `*` does not match a leading dot, nothing matches a slash.
  base::Result<std::vector<std::string>> Glob(std::string_view pattern);

 private:
  struct Field;

  std::vector<Field> Split(const Word& word) const;
  std::string Value(const WordPart& part) const;
  std::string TildeValue(const Word& word) const;

  uring::RingTask& task_;
  Lookup variables_;
};

}  // namespace dentree::shell
