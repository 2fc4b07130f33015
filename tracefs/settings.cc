#include <algorithm>
#include <bit>
#include <charconv>
#include <numeric>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "tracefs/settings_internal.h"

namespace dentree::tracefs {

using base::MutexLock;
using trace::Switch;

namespace {

uint64_t InitialOptions(Level level) {
  uint64_t set = 0;
  for (size_t i = 0; i < kTraceOptions.size(); ++i) {
    const auto initially = kTraceOptions[i].initially;
    if (initially == TraceOption::Default::kOn ||
        (initially == TraceOption::Default::kOnAtTop && level == Level::kTop)) {
      set |= uint64_t{1} << i;
    }
  }
  return set;
}

std::optional<size_t> FindOption(std::string_view name) {
  const auto* found = std::ranges::find(kTraceOptions, name, &TraceOption::name);
  if (found == kTraceOptions.end()) return std::nullopt;
  return found - kTraceOptions.begin();
}

constexpr std::string_view kRefuses = "test_nop_refuse";

}  // namespace

Settings::Settings(Level level, uint32_t cpus) : cpus_(cpus), options_(InitialOptions(level)) {}

// --- trace_options -----------------------------------------------------------------------------

bool Settings::Option(size_t number) const {
  return (options_.load(std::memory_order_relaxed) >> number & 1) != 0;
}

Status Settings::SetOption(size_t number, Switch to) {
  const uint64_t bit = uint64_t{1} << number;
  if (to == Switch::kOff) {
    options_.fetch_and(~bit, std::memory_order_relaxed);
    return {};
  }
  if (kTraceOptions[number].name == kRefuses) return Err(Errno::kInval);
  options_.fetch_or(bit, std::memory_order_relaxed);
  return {};
}

Status Settings::SetOption(std::string_view word) {
  if (const auto number = FindOption(word)) return SetOption(*number, Switch::kOn);
  if (word.starts_with("no")) {
    if (const auto number = FindOption(word.substr(2))) return SetOption(*number, Switch::kOff);
  }
  return Err(Errno::kInval);
}

std::string Settings::OptionsText() const {
  std::string text;
  for (size_t i = 0; i < kTraceOptions.size(); ++i) {
    text.append(Option(i) ? "" : "no").append(kTraceOptions[i].name).append("\n");
  }
  return text;
}

// --- trace_clock -------------------------------------------------------------------------------

Status Settings::SetClock(std::string_view name) {
  const auto* found = std::ranges::find(kTraceClocks, name);
  if (found == kTraceClocks.end()) return Err(Errno::kInval);
  clock_.store(static_cast<uint32_t>(found - kTraceClocks.begin()), std::memory_order_relaxed);
  return {};
}

std::string Settings::ClockText() const {
  const uint32_t chosen = clock_.load(std::memory_order_relaxed);
  std::string text;
  for (uint32_t i = 0; i < kTraceClocks.size(); ++i) {
    if (i != 0) text += ' ';
    text.append(i == chosen ? "[" : "").append(kTraceClocks[i]).append(i == chosen ? "]" : "");
  }
  return text += '\n';
}

// --- sizes -------------------------------------------------------------------------------------

std::optional<uint32_t> Settings::BufferKb(std::optional<uint32_t> cpu) const {
  MutexLock lock(mutex_);
  if (cpu_buffer_kb_.empty()) return buffer_kb_;
  if (cpu) return cpu_buffer_kb_[*cpu];
  const uint32_t first = cpu_buffer_kb_[0];
  if (std::ranges::any_of(cpu_buffer_kb_, [&](uint32_t kb) { return kb != first; })) {
    return std::nullopt;
  }
  return first;
}

uint64_t Settings::TotalBufferKb() const {
  MutexLock lock(mutex_);
  if (cpu_buffer_kb_.empty()) return uint64_t{buffer_kb_} * cpus_;
  return std::accumulate(cpu_buffer_kb_.begin(), cpu_buffer_kb_.end(), uint64_t{0});
}

Status Settings::SetBufferKb(std::optional<uint32_t> cpu, uint64_t kb) {
  if (kb == 0) return Err(Errno::kInval);
  if (kb > kMaxBufferKb) return Err(Errno::kNoMem);
  const auto size = std::max(static_cast<uint32_t>(kb), kMinBufferKb);
  MutexLock lock(mutex_);
  if (!cpu) {
    buffer_kb_ = size;
    cpu_buffer_kb_.clear();
    return {};
  }
  if (cpu_buffer_kb_.empty()) cpu_buffer_kb_.resize(cpus_, buffer_kb_);
  cpu_buffer_kb_[*cpu] = size;
  return {};
}

Result<uint32_t> Settings::SubbufBytes(uint64_t kb) {
  if (kb == 0 || kb > kMaxSubbufKb) return Err(Errno::kInval);
  return std::bit_ceil(std::max(static_cast<uint32_t>(kb), kPageKb)) * 1024;
}

// --- pids --------------------------------------------------------------------------------------

Status Settings::AddPids(PidList list, std::string_view text) {
  Pids added;
  while (!(text = base::Trim(text)).empty()) {
    int32_t pid = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), pid);
    const bool whole = end == text.end() || base::Trim({end, 1}).empty();
    if (error != std::errc() || pid < 0 || !whole) return Err(Errno::kInval);
    if (added.size() == kMaxPids) return Err(Errno::kNoSpc);
    added.push_back(pid);
    text.remove_prefix(static_cast<size_t>(end - text.begin()));
  }
  MutexLock lock(mutex_);
  Pids& pids = pids_[static_cast<size_t>(list)];
  if (pids.size() + added.size() > kMaxPids) return Err(Errno::kNoSpc);
  pids.insert(pids.end(), added.begin(), added.end());
  std::ranges::sort(pids);
  pids.erase(std::ranges::unique(pids).begin(), pids.end());
  return {};
}

void Settings::ClearPids(PidList list) {
  MutexLock lock(mutex_);
  Pids().swap(pids_[static_cast<size_t>(list)]);
}

std::string Settings::PidsText(PidList list) const {
  MutexLock lock(mutex_);
  std::string text;
  for (int32_t pid : pids_[static_cast<size_t>(list)]) absl::StrAppendFormat(&text, "%d\n", pid);
  return text;
}

// --- the rest ----------------------------------------------------------------------------------

CpuMask Settings::cpumask() const {
  MutexLock lock(mutex_);
  return cpumask_.value_or(CpuMask(cpus_));
}

void Settings::SetCpumask(CpuMask mask) {
  MutexLock lock(mutex_);
  cpumask_ = std::move(mask);
}

}  // namespace dentree::tracefs
