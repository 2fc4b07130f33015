#include "lab/progress.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace dentree::lab {

namespace {

constexpr uint64_t kBarColumns = 30;
constexpr size_t kWhatColumns = 40;
constexpr std::string_view kToStartAndClear = "\r\x1b[K";

}  // namespace

void Progress::Show(uint64_t done, uint64_t total, std::string_view what) {
  total = std::max<uint64_t>(total, 1);
  done = std::min(done, total);
  if (style_ == ProgressStyle::kLines) {
    if (what == what_) return;
    what_ = what;
    if (!what.empty()) print_(absl::StrFormat("lab: %d of %d: %s\n", done, total, what));
    return;
  }
  const uint64_t full = kBarColumns * done / total;
  print_(absl::StrFormat("%s[%s%s] %3d %% %s", kToStartAndClear, std::string(full, '#'),
                         std::string(kBarColumns - full, '.'), 100 * done / total,
                         what.substr(0, kWhatColumns)));
  drawn_ = true;
}

void Progress::Clear() {
  if (drawn_) print_(kToStartAndClear);
  drawn_ = false;
}

}  // namespace dentree::lab
