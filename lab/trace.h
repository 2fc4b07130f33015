// A trace: which names a program looked up, made and removed, and what it was answered.
//
// Format of a file, one event per line, TAB separated:
//     path   ENOENT|OK   op   key   process
// op: lookup, create, mkdir, unlink, rmdir. key: "=" when it equals the path, otherwise the path
// that the name has once symlinks are resolved; where a directory on the way is missing, as far as
// that. process: a small number. "#" begins a comment. Files named *.xz are decompressed.
//
// Thread safety: values. Lifetime: events name paths of their own trace.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dentree::lab {

// Limits of a file: lines, and bytes once decompressed.
inline constexpr size_t kMaxTraceEvents = 16u << 20;
inline constexpr size_t kMaxTraceBytes = size_t{1} << 30;
// Processes of a trace.
inline constexpr uint32_t kMaxProcesses = 1u << 20;

enum class Op : uint8_t { kLookup, kCreate, kMkdir, kUnlink, kRmdir };
enum class Outcome : uint8_t { kOk, kNoEnt };

struct Event {
  uint32_t path;     // index into Trace::paths
  uint32_t process;  // below kMaxProcesses
  Op op;
  Outcome outcome;
};

class Trace {
 public:
  Trace() = default;
  explicit Trace(std::string name) : name_(std::move(name)) {}
  Trace(Trace&&) = default;
  Trace& operator=(Trace&&) = default;

  const std::string& name() const { return name_; }
  const std::vector<Event>& events() const { return events_; }
  const std::deque<std::string>& paths() const { return paths_; }
  const std::string& PathOf(const Event& event) const { return paths_[event.path]; }
  void Rename(std::string name) { name_ = std::move(name); }

  // The number of a path; one path has one.
  uint32_t Intern(std::string_view path);
  void Add(std::string_view path, Op op, Outcome outcome, uint32_t process = 0) {
    events_.push_back({Intern(path), process, op, outcome});
  }
  // A lookup that finds nothing.
  void Miss(std::string_view path, uint32_t process = 0) {
    Add(path, Op::kLookup, Outcome::kNoEnt, process);
  }
  // All events of another trace, its processes numbered from `first_process` on, around again at
  // kMaxProcesses.
  void Append(const Trace& other, uint32_t first_process);
  uint32_t processes() const;  // the greatest process number and 1

 private:
  std::string name_;
  std::deque<std::string> paths_;  // they stay where they are: index_ refers to them
  std::unordered_map<std::string_view, uint32_t> index_;
  std::vector<Event> events_;
};

// The error is a message "FILE:LINE: what is wrong" (without LINE where it is not a line's).
std::expected<Trace, std::string> ParseTrace(std::string_view text, std::string_view file);
std::expected<Trace, std::string> ReadTrace(const std::string& file);
// All *.tsv and *.tsv.xz of a directory, sorted by name; one without any is an error.
std::expected<std::vector<Trace>, std::string> ReadTraces(const std::string& directory);

}  // namespace dentree::lab
