// Completion of what a person is typing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "uring/ring_task.h"

namespace dentree::shell {

struct Completion {
  size_t word_begin = 0;  // where the word under the cursor begins in the line
  // Whole words, as they would be typed, with what follows: "/" after a directory, "=" after an
  // option that takes an argument, otherwise a blank. Sorted.
  std::vector<std::string> candidates;
};

// What `line`, typed up to the cursor, could be completed to: a command where one is expected, an
// option after a command and -, otherwise a path.
Completion Complete(uring::RingTask& task, std::string_view line);

// The longest text that all candidates begin with.
std::string CommonPrefix(const std::vector<std::string>& candidates);

}  // namespace dentree::shell
