// Control files that every tracing directory has.

#include "tracefs/controls_internal.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/string_util.h"

namespace dentree::tracefs {

using eventfs::ParseSwitch;
using kernfs::File;
using trace::Event;
using trace::Switch;

namespace {

constexpr std::string_view kNoTracer = "nop";
// The most that one write to trace_marker takes: what fits into a page of the ring buffer.
constexpr size_t kMaxMarkerBytes = 4054;
constexpr size_t kMinRawMarkerBytes = 4;  // its tag

std::string Line(uint64_t number) { return absl::StrFormat("%d\n", number); }

// --- Tracers, clocks, options ---

Result<std::string> ShowTracers(InstanceDir&) { return "nop\n"; }
Status StoreTracer(InstanceDir&, std::string_view command) {
  if (!command.empty() && base::Trim(command) != kNoTracer) return Err(Errno::kInval);
  return {};
}

Result<std::string> ShowClock(InstanceDir& dir) { return dir.settings.ClockText(); }
Status StoreClock(InstanceDir& dir, std::string_view command) {
  return dir.settings.SetClock(base::Trim(command));
}
Result<std::string> ShowTimestampMode(InstanceDir&) { return "[delta] absolute\n"; }

constexpr size_t kMaxOptionBytes = 64;
Result<std::string> ShowOptions(InstanceDir& dir) { return dir.settings.OptionsText(); }
Status StoreOption(InstanceDir& dir, std::string_view command) {
  if (command.empty()) return {};
  if (command.size() >= kMaxOptionBytes) return Err(Errno::kInval);
  return dir.settings.SetOption(base::Trim(command));
}

Result<std::string> ShowTracingOn(InstanceDir& dir) { return Line(dir.instance.tracing_on()); }
Status StoreTracingOn(InstanceDir& dir, std::string_view command) {
  const uint64_t value = TRY(base::ParseControlU64(command));
  dir.instance.SetTracing(value != 0 ? Switch::kOn : Switch::kOff);
  return {};
}

Result<std::string> ShowCpumask(InstanceDir& dir) {
  return dir.settings.cpumask().ToString() + "\n";
}
Status StoreCpumask(InstanceDir& dir, std::string_view command) {
  if (command.empty()) return {};
  dir.settings.SetCpumask(TRY(CpuMask::Parse(command, dir.settings.cpus())));
  return {};
}

// --- Sizes of the ring buffer ---

Result<std::string> ShowBufferKb(InstanceDir& dir) {
  const auto kb = dir.settings.BufferKb(std::nullopt);
  return kb ? Line(*kb) : "X\n";
}
Status StoreBufferKb(InstanceDir& dir, std::string_view command) {
  return dir.settings.SetBufferKb(std::nullopt, TRY(base::ParseControlU64(command)));
}
Result<std::string> ShowTotalKb(InstanceDir& dir) { return Line(dir.settings.TotalBufferKb()); }

Result<std::string> ShowPercent(InstanceDir& dir) {
  return Line(dir.settings.numbers().buffer_percent.load(std::memory_order_relaxed));
}
Status StorePercent(InstanceDir& dir, std::string_view command) {
  const uint64_t percent = TRY(base::ParseControlU64(command));
  if (percent > 100) return Err(Errno::kInval);
  dir.settings.numbers().buffer_percent.store(static_cast<uint32_t>(percent),
                                              std::memory_order_relaxed);
  return {};
}

Result<std::string> ShowSubbufKb(InstanceDir& dir) {
  return Line(dir.subbuf_bytes.load(std::memory_order_relaxed) / 1024);
}
Status StoreSubbufKb(InstanceDir& dir, std::string_view command) {
  const uint32_t bytes = TRY(Settings::SubbufBytes(TRY(base::ParseControlU64(command))));
  dir.subbuf_bytes.store(bytes, std::memory_order_relaxed);
  return {};
}

// --- What was recorded: nothing ---

Result<std::string> ShowNothing(InstanceDir&) { return std::string(); }

// Text and raw records that a program writes itself.
template <size_t kMinBytes>
class Marker final : public eventfs::StreamControl {
 public:
  constexpr Marker() = default;
  Result<size_t> Write(OpenFile& file, std::string_view in, uint64_t) const override {
    if (!DirOf(file).instance.tracing_on()) return Err(Errno::kBadF);
    if (in.size() < kMinBytes) return Err(Errno::kInval);
    return std::min(in.size(), kMaxMarkerBytes);
  }
  Result<uint64_t> Seek(OpenFile&, int64_t, vfs::Whence) const override {
    return Err(Errno::kSPipe);
  }
};
constexpr Marker<0> kMarker;
constexpr Marker<kMinRawMarkerBytes> kRawMarker;

// --- Which events are enabled ---

class SetEvent final : public eventfs::TextControl {
 public:
  constexpr SetEvent() = default;
  // "SYSTEM:EVENT" on each line, for those enabled here.
  Result<std::string> Show(OpenFile& file) const override;
  // Words before one in error count: the write is a short one then.
  Result<size_t> Write(OpenFile& file, std::string_view in, uint64_t pos) const override;

 protected:
  Status Opened(OpenFile& file) const override;
};
constexpr SetEvent kSetEvent;

Result<std::string> SetEvent::Show(OpenFile& file) const {
  const InstanceDir& dir = DirOf(file);
  std::string text;
  base::Ref<Event> event;
  do {
    {
      base::RcuReadGuard guard(dir.registry.rcu());
      Event* next = dir.instance.NextEnabled(event ? event->id() : 0);
      while (next != nullptr && !(event = Event::TryGet(next))) {
        next = dir.instance.NextEnabled(next->id());
      }
      if (next == nullptr) return text;
    }
    text.append(event->system().name()).append(":").append(event->name()).append("\n");
  } while (true);
}

Result<size_t> SetEvent::Write(OpenFile& file, std::string_view in, uint64_t) const {
  return DirOf(file).instance.WriteSetEvent(in);
}

Status SetEvent::Opened(OpenFile& file) const {
  if (!file.writable() || (file.flags() & O_TRUNC) == 0) return {};
  return DirOf(file).instance.SetAll(Switch::kOff);
}

template <Settings::PidList kList>
class SetEventPid final : public eventfs::TextControl {
 public:
  constexpr SetEventPid() = default;
  Result<std::string> Show(OpenFile& file) const override {
    return DirOf(file).settings.PidsText(kList);
  }
  Status Store(OpenFile& file, std::string_view command) const override {
    return DirOf(file).settings.AddPids(kList, command);
  }

 protected:
  Status Opened(OpenFile& file) const override {
    if (file.writable() && (file.flags() & O_TRUNC)) DirOf(file).settings.ClearPids(kList);
    return {};
  }
};
constexpr SetEventPid<Settings::PidList::kTraced> kSetEventPid;
constexpr SetEventPid<Settings::PidList::kNotTraced> kSetEventNotracePid;

// --- Functions: there is no function tracer, so none is known and any name is wrong ---

Status StoreFunction(InstanceDir&, std::string_view command) {
  if (!base::Trim(command).empty()) return Err(Errno::kInval);
  return {};
}
Result<std::string> ShowFilter(InstanceDir&) { return "#### all functions enabled ####\n"; }
Result<std::string> ShowNotrace(InstanceDir&) { return "#### no functions disabled ####\n"; }
Result<std::string> ShowNoPid(InstanceDir&) { return "no pid\n"; }

// --- What only the top has ---

Result<std::string> ShowReadme(InstanceDir&) { return std::string(kReadme); }

Result<std::string> ShowAvailableEvents(InstanceDir& dir) {
  std::string text;
  base::Ref<Event> event;
  do {
    {
      base::RcuReadGuard guard(dir.registry.rcu());
      Event* next = dir.registry.NextEvent(event ? event->id() : 0);
      while (next != nullptr &&
             (!Has(next->flags(), trace::EventFlags::kEnable) || !(event = Event::TryGet(next)))) {
        next = dir.registry.NextEvent(next->id());
      }
      if (next == nullptr) return text;
    }
    text.append(event->system().name()).append(":").append(event->name()).append("\n");
  } while (true);
}

Result<std::string> ShowFtraceInfo(InstanceDir&) { return "0 pages:0 groups: 0\n"; }

Result<std::string> ShowSavedCmdlines(InstanceDir& dir) {
  return Line(dir.settings.numbers().saved_cmdlines.load(std::memory_order_relaxed));
}
constexpr uint64_t kMaxSavedCmdlines = 1 << 22;  // as many as there can be pids
Status StoreSavedCmdlines(InstanceDir& dir, std::string_view command) {
  const uint64_t count = TRY(base::ParseControlU64(command));
  if (count == 0 || count > kMaxSavedCmdlines) return Err(Errno::kInval);
  dir.settings.numbers().saved_cmdlines.store(static_cast<uint32_t>(count),
                                              std::memory_order_relaxed);
  return {};
}

Result<std::string> ShowThreshold(InstanceDir& dir) {
  return Line(dir.settings.numbers().threshold_us.load(std::memory_order_relaxed));
}
Status StoreThreshold(InstanceDir& dir, std::string_view command) {
  dir.settings.numbers().threshold_us.store(TRY(base::ParseControlU64(command)),
                                            std::memory_order_relaxed);
  return {};
}

// Events that a command defines: there is no kind of them yet.
Status StoreDynamicEvent(InstanceDir&, std::string_view command) {
  if (!base::Trim(command).empty()) return Err(Errno::kInval);
  return {};
}

// --- The tables ---

constexpr TextFile<&ShowTracers> kAvailableTracers;
constexpr ValueFile<&ShowPercent, &StorePercent> kBufferPercent;
constexpr ValueFile<&ShowBufferKb, &StoreBufferKb> kBufferSizeKb;
constexpr ValueFile<&ShowSubbufKb, &StoreSubbufKb> kBufferSubbufSizeKb;
constexpr ValueFile<&ShowTotalKb> kBufferTotalSizeKb;
constexpr ValueFile<&ShowTracers, &StoreTracer> kCurrentTracer;
constexpr TextFile<&ShowNothing, &Ignore> kErrorLog;
constexpr ValueFile<nullptr, &Ignore> kFreeBuffer;
constexpr TextFile<&ShowFilter, &StoreFunction> kSetFtraceFilter;
constexpr TextFile<&ShowNotrace, &StoreFunction> kSetFtraceNotrace;
constexpr TextFile<&ShowNoPid, &StoreFunction> kSetFtraceNotracePid;
constexpr TextFile<&ShowNoPid, &StoreFunction> kSetFtracePid;
constexpr TextFile<&ShowTimestampMode> kTimestampMode;
constexpr TextFile<&ShowTrace, &Ignore> kTrace;
constexpr TextFile<&ShowClock, &StoreClock> kTraceClock;
constexpr TextFile<&ShowOptions, &StoreOption> kTraceOptionsFile;
constexpr ValueFile<&ShowCpumask, &StoreCpumask> kTracingCpumask;
constexpr ValueFile<&ShowTracingOn, &StoreTracingOn> kTracingOn;
constexpr ValueFile<&ShowReadme> kReadmeFile;
constexpr TextFile<&ShowAvailableEvents> kAvailableEvents;
constexpr TextFile<&ShowNothing> kAvailableFilterFunctions;
constexpr TextFile<&ShowNothing> kAvailableFilterFunctionsAddrs;
constexpr ValueFile<&ShowFtraceInfo> kDynFtraceTotalInfo;
constexpr TextFile<&ShowNothing, &StoreDynamicEvent> kDynamicEvents;
constexpr TextFile<&ShowNothing> kEnabledFunctions;
constexpr TextFile<&ShowNothing> kPrintkFormats;
constexpr TextFile<&ShowNothing> kSavedCmdlines;
constexpr ValueFile<&ShowSavedCmdlines, &StoreSavedCmdlines> kSavedCmdlinesSize;
constexpr TextFile<&ShowNothing> kSavedTgids;
constexpr TextFile<&ShowNothing> kTouchedFunctions;
constexpr ValueFile<&ShowThreshold, &StoreThreshold> kTracingThresh;
constexpr TextFile<&ShowNothing, &StoreDynamicEvent> kUprobeEvents;
constexpr TextFile<&ShowNothing> kUprobeProfile;
constexpr Pipe kTracePipe;

constexpr auto kShared = std::to_array<kernfs::TableEntry>({
    File("available_tracers", 0440, kAvailableTracers),
    File("buffer_percent", 0640, kBufferPercent),
    File("buffer_size_kb", 0640, kBufferSizeKb),
    File("buffer_subbuf_size_kb", 0640, kBufferSubbufSizeKb),
    File("buffer_total_size_kb", 0440, kBufferTotalSizeKb),
    File("current_tracer", 0640, kCurrentTracer),
    File("error_log", 0640, kErrorLog),
    kernfs::Subdir("events", 0755, eventfs::kEventsDir, eventfs::kEventsObject),
    File("free_buffer", 0200, kFreeBuffer),
    kernfs::Subdir("options", 0750, kOptionsDir, kOptionsObject),
    kernfs::Subdir("per_cpu", 0750, kPerCpuDir, kPerCpuObject),
    File("set_event", 0640, kSetEvent),
    File("set_event_notrace_pid", 0640, kSetEventNotracePid),
    File("set_event_pid", 0640, kSetEventPid),
    File("set_ftrace_filter", 0640, kSetFtraceFilter),
    File("set_ftrace_notrace", 0640, kSetFtraceNotrace),
    File("set_ftrace_notrace_pid", 0640, kSetFtraceNotracePid),
    File("set_ftrace_pid", 0640, kSetFtracePid),
    File("timestamp_mode", 0440, kTimestampMode),
    File("trace", 0640, kTrace),
    File("trace_clock", 0640, kTraceClock),
    File("trace_marker", 0220, kMarker),
    File("trace_marker_raw", 0220, kRawMarker),
    File("trace_options", 0640, kTraceOptionsFile),
    File("trace_pipe", 0440, kTracePipe),
    File("tracing_cpumask", 0640, kTracingCpumask),
    File("tracing_on", 0640, kTracingOn),
});

constexpr auto kTopOnly = std::to_array<kernfs::TableEntry>({
    File("README", 0440, kReadmeFile),
    File("available_events", 0440, kAvailableEvents),
    File("available_filter_functions", 0440, kAvailableFilterFunctions),
    File("available_filter_functions_addrs", 0440, kAvailableFilterFunctionsAddrs),
    File("dyn_ftrace_total_info", 0440, kDynFtraceTotalInfo),
    File("dynamic_events", 0640, kDynamicEvents),
    File("enabled_functions", 0440, kEnabledFunctions),
    File("printk_formats", 0440, kPrintkFormats),
    File("saved_cmdlines", 0440, kSavedCmdlines),
    File("saved_cmdlines_size", 0640, kSavedCmdlinesSize),
    File("saved_tgids", 0440, kSavedTgids),
    File("touched_functions", 0440, kTouchedFunctions),
    File("tracing_thresh", 0640, kTracingThresh),
    File("uprobe_events", 0640, kUprobeEvents),
    File("uprobe_profile", 0440, kUprobeProfile),
});

template <size_t kTopOnlyCount>
consteval auto MakeControls() {
  return
      []<size_t... I, size_t... J>(std::index_sequence<I...>, std::index_sequence<J...>) consteval {
    return kernfs::MakeTable(kShared[I]..., kTopOnly[J]...);
  }
  (std::make_index_sequence<kShared.size()>(), std::make_index_sequence<kTopOnlyCount>());
}

constexpr auto kTopTable = MakeControls<kTopOnly.size()>();
constexpr auto kInstanceTable = MakeControls<0>();

}  // namespace

constexpr kernfs::DirType kTopDir{.table = kTopTable};
constexpr kernfs::DirType kInstanceDir{.table = kInstanceTable};
constexpr kernfs::DirType kInstancesDir{};

Result<std::string> ShowTrace(InstanceDir& dir) {
  return absl::StrFormat(
      "# tracer: nop\n"
      "#\n"
      "# entries-in-buffer/entries-written: 0/0   #P:%d\n"
      "#\n"
      "#                                _-----=> irqs-off/BH-disabled\n"
      "#                               / _----=> need-resched\n"
      "#                              | / _---=> hardirq/softirq\n"
      "#                              || / _--=> preempt-depth\n"
      "#                              ||| / _-=> migrate-disable\n"
      "#                              |||| /     delay\n"
      "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
      "#              | |         |   |||||     |         |\n",
      dir.settings.cpus());
}

Status Ignore(InstanceDir&, std::string_view) { return {}; }

Result<size_t> Pipe::Read(OpenFile& file, std::span<std::byte>, uint64_t) const {
  if (file.nonblocking()) return Err(Errno::kAgain);
  return 0;
}

Result<uint64_t> Pipe::Seek(OpenFile&, int64_t, vfs::Whence) const { return Err(Errno::kSPipe); }

vfs::PollEvents Pipe::Poll(OpenFile&) const { return 0; }

}  // namespace dentree::tracefs
