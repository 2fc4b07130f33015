#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "tracefs/cpu_mask_internal.h"

namespace dentree::tracefs {

using base::Err;
using base::Errno;

namespace {

constexpr uint32_t kWordBits = 32;

uint32_t WordsFor(uint32_t cpus) { return (cpus + kWordBits - 1) / kWordBits; }

// The processors of the first word: all that there are beyond whole words.
uint32_t FirstWord(uint32_t cpus) {
  const uint32_t rest = cpus % kWordBits;
  return rest == 0 ? UINT32_MAX : (1u << rest) - 1;
}

}  // namespace

CpuMask::CpuMask(uint32_t cpus) : cpus_(cpus), words_(WordsFor(cpus), UINT32_MAX) {
  words_.front() = FirstWord(cpus);
}

base::Result<CpuMask> CpuMask::Parse(std::string_view text, uint32_t cpus) {
  CpuMask mask(cpus);
  std::ranges::fill(mask.words_, 0);
  text = base::Trim(text);
  if (text.empty()) return mask;
  const auto words = base::Split(text, ',');
  if (words.size() > mask.words_.size()) return Err(Errno::kOverflow);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto word = base::ParseU64(words[i], 16);
    if (!word) return Err(word.error() == Errno::kRange ? Errno::kOverflow : Errno::kInval);
    if (*word > UINT32_MAX) return Err(Errno::kOverflow);
    mask.words_[mask.words_.size() - words.size() + i] = static_cast<uint32_t>(*word);
  }
  if ((mask.words_.front() & ~FirstWord(cpus)) != 0) return Err(Errno::kOverflow);
  return mask;
}

std::string CpuMask::ToString() const {
  // As wide as the number of processors needs.
  const int digits = static_cast<int>((cpus_ - 1) % kWordBits / 4 + 1);
  std::string text = absl::StrFormat("%0*x", digits, words_.front());
  for (size_t i = 1; i < words_.size(); ++i) absl::StrAppendFormat(&text, ",%08x", words_[i]);
  return text;
}

}  // namespace dentree::tracefs
