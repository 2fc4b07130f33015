// How far an experiment is, for whoever waits: a bar on a terminal, otherwise a line now and then.
//
//     Progress progress(ProgressStyle::kBar, [](std::string_view text) { ... });
//     progress.Show(3, 12, "lru on day");
//     progress.Clear();                      // before anything else is printed
//
// Thread safety: of one thread. Lifetime: keeps `print`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace dentree::lab {

enum class ProgressStyle : uint8_t { kBar, kLines };

class Progress {
 public:
  Progress(ProgressStyle style, std::function<void(std::string_view)> print)
      : style_(style), print_(std::move(print)) {}

  // A bar is drawn anew; a line is printed when `what` is another than before.
  void Show(uint64_t done, uint64_t total, std::string_view what);
  // Takes the bar away.
  void Clear();

 private:
  const ProgressStyle style_;
  const std::function<void(std::string_view)> print_;
  std::string what_;
  bool drawn_ = false;
};

}  // namespace dentree::lab
