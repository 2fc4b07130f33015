// options/, a file for each flag of trace_options, and per_cpu/, a directory for each processor.

#include <charconv>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "tracefs/controls_internal.h"

namespace dentree::tracefs {

using kernfs::Dir;
using kernfs::File;
using kernfs::ObjectId;
using kernfs::Provided;

namespace {

// --- options/ ---

// The number of an option is that of its table entry.
class OptionFile final : public eventfs::ValueControl {
 public:
  constexpr OptionFile() = default;
  Result<std::string> Show(OpenFile& file) const override {
    return DirOf(file).settings.Option(file.index()) ? "1\n" : "0\n";
  }
  Status Store(OpenFile& file, std::string_view command) const override {
    return DirOf(file).settings.SetOption(file.index(), TRY(eventfs::ParseSwitch(command)));
  }
};
constexpr OptionFile kOptionFile;

kernfs::Presence AtTop(const Dir& dir) { return {.here = eventfs::HostOf(dir.domain).is_top()}; }

consteval kernfs::TableEntry OptionEntry(const TraceOption& option) {
  return File(option.name, 0640, kOptionFile,
              option.file == TraceOption::File::kTopOnly ? &AtTop : nullptr);
}

constexpr auto kOptionsTable = []<size_t... I>(std::index_sequence<I...>) consteval {
  return kernfs::MakeTable(OptionEntry(kTraceOptions[I])...);
}
(std::make_index_sequence<kTraceOptions.size()>());

// --- per_cpu/ ---

// Processor n is object n + 1, since no object has the number 0.
ObjectId ObjectOf(uint32_t cpu) { return kernfs::ObjectIn(kCpuSpace, cpu + 1); }
uint32_t CpuOf(ObjectId object) { return static_cast<uint32_t>(kernfs::IdOf(object) - 1); }
uint32_t CpuOf(const OpenFile& file) { return CpuOf(file.object()); }

class CpuBufferKb final : public eventfs::ValueControl {
 public:
  constexpr CpuBufferKb() = default;
  Result<std::string> Show(OpenFile& file) const override {
    return absl::StrFormat("%d\n", *DirOf(file).settings.BufferKb(CpuOf(file)));
  }
  Status Store(OpenFile& file, std::string_view command) const override {
    return DirOf(file).settings.SetBufferKb(CpuOf(file), TRY(base::ParseControlU64(command)));
  }
};
constexpr CpuBufferKb kCpuBufferKb;

class CpuStats final : public eventfs::ValueControl {
 public:
  constexpr CpuStats() = default;
  Result<std::string> Show(OpenFile& file) const override {
    const int64_t now_us = file.root().vfs().clock().MonotonicNs() / 1000;
    return absl::StrFormat(
        "entries: 0\n"
        "overrun: 0\n"
        "commit overrun: 0\n"
        "bytes: 0\n"
        "oldest event ts: %5d.%06d\n"
        "now ts: %5d.%06d\n"
        "dropped events: 0\n"
        "read events: 0\n",
        0, 0, now_us / 1'000'000, now_us % 1'000'000);
  }
};
constexpr CpuStats kCpuStats;
constexpr TextFile<&ShowTrace, &Ignore> kCpuTrace;
constexpr Pipe kCpuPipe;

constexpr auto kCpuTable =
    kernfs::MakeTable(File("buffer_size_kb", 0640, kCpuBufferKb),  //
                      File("stats", 0440, kCpuStats), File("trace", 0640, kCpuTrace),
                      File("trace_pipe", 0440, kCpuPipe), File("trace_pipe_raw", 0440, kCpuPipe));
constexpr kernfs::DirType kCpuDir{.table = kCpuTable};

// The processors of the host: trace-cmd wants a directory for each that it counts.
class CpuProvider final : public kernfs::Provider {
 public:
  constexpr CpuProvider() = default;

  std::optional<ObjectId> Find(const Dir& dir, std::string_view name) const override {
    if (!name.starts_with("cpu")) return std::nullopt;
    const auto cpu = base::ParseU64(name.substr(3));
    if (!cpu || *cpu >= CpusOf(dir.domain)) return std::nullopt;
    // "cpu01" is a number too, but nobody's name.
    const ObjectId object = ObjectOf(static_cast<uint32_t>(*cpu));
    if (NameOf(object, Buffer()) != name) return std::nullopt;
    return object;
  }

  void List(const Dir& dir, ObjectId after, kernfs::ChildSink& sink) const override {
    for (uint32_t cpu = after == 0 ? 0 : CpuOf(after) + 1; cpu < CpusOf(dir.domain); ++cpu) {
      const ObjectId object = ObjectOf(cpu);
      if (!sink.Take(object, NameOf(object, Buffer()), vfs::FileType::kDir)) return;
    }
  }

  std::optional<Provided> Describe(kernfs::Node& domain, ObjectId object) const override {
    if (CpuOf(object) >= CpusOf(domain)) return std::nullopt;
    return Provided{.mode = S_IFDIR | 0750, .dir = &kCpuDir};
  }

 private:
  using Buffer = std::array<char, 16>;

  static uint32_t CpusOf(const kernfs::Node& domain) {
    return static_cast<InstanceDir&>(eventfs::HostOf(domain)).settings.cpus();
  }
  static std::string_view NameOf(ObjectId object, Buffer&& buffer) {
    char* const digits = std::ranges::copy(std::string_view("cpu"), buffer.begin()).out;
    const auto [end, error] = std::to_chars(digits, buffer.end(), CpuOf(object));
    return {buffer.data(), static_cast<size_t>(end - buffer.data())};
  }
};
constexpr CpuProvider kCpuProvider;

}  // namespace

constexpr kernfs::DirType kOptionsDir{.table = kOptionsTable};
constexpr kernfs::DirType kPerCpuDir{.provider = &kCpuProvider};

}  // namespace dentree::tracefs
