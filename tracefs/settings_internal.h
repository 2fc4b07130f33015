// Settings: what the control files of one tracing instance have been told and answer again, besides
// what the tracing core keeps. The ring buffer will obey them; a Settings only checks and
// remembers.
//
// Thread safety: any thread; one lock (kLeaf) around the little there is. Lifetime: its instance's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "trace/trace.h"
#include "tracefs/cpu_mask_internal.h"

namespace dentree::tracefs {

using base::Err;
using base::Errno;
using base::Result;
using base::Status;

enum class Level : uint8_t { kTop, kInstance };

// One flag of trace_options. Those of tracers that are not here (function, blk) are not here
// either; function-trace is, because trace-cmd takes its absence for a broken kernel.
struct TraceOption {
  enum class File : uint8_t { kEverywhere, kTopOnly };
  enum class Default : uint8_t { kOff, kOn, kOnAtTop };
  std::string_view name;
  Default initially = Default::kOff;
  File file = File::kEverywhere;  // in options/; trace_options lists it everywhere
};

// In the order of trace_options.
inline constexpr std::array kTraceOptions = std::to_array<TraceOption>({
    {"print-parent", TraceOption::Default::kOn},
    {"sym-offset"},
    {"sym-addr"},
    {"verbose"},
    {"raw"},
    {"hex"},
    {"bin"},
    {"block"},
    {"fields"},
    {"trace_printk", TraceOption::Default::kOn, TraceOption::File::kTopOnly},
    {"annotate", TraceOption::Default::kOn},
    {"userstacktrace"},
    {"sym-userobj"},
    {"printk-msg-only", TraceOption::Default::kOff, TraceOption::File::kTopOnly},
    {"context-info", TraceOption::Default::kOn},
    {"latency-format"},
    {"record-cmd", TraceOption::Default::kOn, TraceOption::File::kTopOnly},
    {"record-tgid"},
    {"overwrite", TraceOption::Default::kOn},
    {"disable_on_free"},
    {"irq-info", TraceOption::Default::kOn},
    {"markers", TraceOption::Default::kOn},
    {"event-fork"},
    {"trace_printk_dest", TraceOption::Default::kOnAtTop},
    {"copy_trace_marker"},
    {"pause-on-trace"},
    {"hash-ptr", TraceOption::Default::kOn},
    {"function-trace", TraceOption::Default::kOn},
    {"stacktrace"},
    {"test_nop_accept"},
    {"test_nop_refuse"},
});
static_assert(kTraceOptions.size() <= 64, "an option is a bit");

inline constexpr std::array<std::string_view, 9> kTraceClocks = {
    "local", "global", "counter", "uptime", "perf", "mono", "mono_raw", "boot", "tai"};

// Limits and defaults.
inline constexpr uint32_t kDefaultBufferKb = 1408;  // per processor
inline constexpr uint32_t kMinBufferKb = 8;         // two pages
inline constexpr uint64_t kMaxBufferKb = UINT32_MAX;
inline constexpr uint32_t kDefaultBufferPercent = 50;
inline constexpr uint32_t kPageKb = 4;
inline constexpr uint32_t kMaxSubbufKb = 256;
inline constexpr uint32_t kDefaultSavedCmdlines = 128;
inline constexpr size_t kMaxPids = 32768;

class Settings {
 public:
  // `cpus`: how many processors there are.
  Settings(Level level, uint32_t cpus);
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  uint32_t cpus() const { return cpus_; }

  // --- trace_options ---
  bool Option(size_t number) const;
  Status SetOption(size_t number, trace::Switch to);  // kInval: it refuses
  Status SetOption(std::string_view word);            // "name" or "noname"
  std::string OptionsText() const;                    // one on each line

  // --- trace_clock ---
  Status SetClock(std::string_view name);
  std::string ClockText() const;  // "[local] global ..."

  // --- sizes ---
  // Of one processor's buffer, or of all, where `cpu` is not given; nothing when they differ.
  std::optional<uint32_t> BufferKb(std::optional<uint32_t> cpu) const;
  uint64_t TotalBufferKb() const;
  // kInval: 0. kNoMem: more than there can be.
  Status SetBufferKb(std::optional<uint32_t> cpu, uint64_t kb);
  // Rounds up to a power of two of pages; returns the bytes. kInval: 0 or too large.
  static Result<uint32_t> SubbufBytes(uint64_t kb);

  // --- pids to trace, and not to ---
  enum class PidList : uint8_t { kTraced, kNotTraced };
  // Adds all pids of a list, or none. kInval: not a pid; kNoSpc: too many.
  Status AddPids(PidList list, std::string_view text);
  void ClearPids(PidList list);
  std::string PidsText(PidList list) const;  // one on each line, ascending

  // --- the rest ---
  CpuMask cpumask() const;
  void SetCpumask(CpuMask mask);

  struct Numbers {
    std::atomic<uint32_t> buffer_percent{kDefaultBufferPercent};
    std::atomic<uint32_t> saved_cmdlines{kDefaultSavedCmdlines};  // top only
    std::atomic<uint64_t> threshold_us{0};                        // top only
  };
  Numbers& numbers() { return numbers_; }

 private:
  using Pids = std::vector<int32_t>;  // ascending

  const uint32_t cpus_;
  Numbers numbers_;
  std::atomic<uint64_t> options_;
  std::atomic<uint32_t> clock_{0};
  mutable base::Mutex<base::LockRank::kLeaf> mutex_;
  // Each instance has one of these, most never change: empty is the default.
  uint32_t buffer_kb_ DT_GUARDED_BY(mutex_) = kDefaultBufferKb;
  std::vector<uint32_t> cpu_buffer_kb_ DT_GUARDED_BY(mutex_);  // where processors differ
  std::optional<CpuMask> cpumask_ DT_GUARDED_BY(mutex_);       // none: all
  std::array<Pids, 2> pids_ DT_GUARDED_BY(mutex_);
};

}  // namespace dentree::tracefs
