#include "lab/trace.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "lab/xz.h"
#include "vfs/types.h"

namespace dentree::lab {

namespace {

constexpr std::pair<std::string_view, Op> kOps[] = {
    {"lookup", Op::kLookup}, {"create", Op::kCreate}, {"mkdir", Op::kMkdir},
    {"unlink", Op::kUnlink}, {"rmdir", Op::kRmdir},
};

std::optional<Op> ParseOp(std::string_view text) {
  for (const auto& [name, op] : kOps) {
    if (text == name) return op;
  }
  return std::nullopt;
}

// Why this is not a path that can be walked from the root; null if it is one.
const char* PathFault(std::string_view path) {
  if (!path.starts_with('/')) return "the path does not begin with a slash";
  if (path.size() >= vfs::kPathMax) return "the path is too long";
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view name = base::NextToken(rest, '/');
    if (name.size() > vfs::kNameMax) return "a name in the path is too long";
    if (name == "." || name == "..") return "the path has . or .. in it";
  }
  return nullptr;
}

// The message about a line, or null.
const char* AddLine(Trace& trace, std::string_view line) {
  const std::vector<std::string_view> fields = base::Split(line, '\t');
  if (fields.size() != 5) return "expected 5 fields, separated by tabs";
  const auto outcome = fields[1] == "OK"       ? std::optional(Outcome::kOk)
                       : fields[1] == "ENOENT" ? std::optional(Outcome::kNoEnt)
                                               : std::nullopt;
  if (!outcome) return "the second field is neither OK nor ENOENT";
  const auto op = ParseOp(fields[2]);
  if (!op) return "the third field is not lookup, create, mkdir, unlink or rmdir";
  if (*outcome == Outcome::kNoEnt && *op != Op::kLookup) return "only a lookup may find nothing";
  const auto process = base::ParseU64(fields[4]);
  if (!process || *process >= kMaxProcesses) return "the fifth field is not a process's number";
  const std::string_view path = fields[3] == "=" ? fields[0] : fields[3];
  if (const char* const fault = PathFault(fields[0])) return fault;
  if (const char* const fault = PathFault(path)) return fault;
  trace.Add(path, *op, *outcome, static_cast<uint32_t>(*process));
  return nullptr;
}

bool IsTraceName(std::string_view name) {
  return name.ends_with(".tsv") || name.ends_with(".tsv.xz");
}

}  // namespace

uint32_t Trace::Intern(std::string_view path) {
  const auto found = index_.find(path);
  if (found != index_.end()) return found->second;
  const auto number = static_cast<uint32_t>(paths_.size());
  paths_.emplace_back(path);
  index_.emplace(paths_.back(), number);
  return number;
}

void Trace::Append(const Trace& other, uint32_t first_process) {
  std::vector<uint32_t> numbers;
  numbers.reserve(other.paths_.size());
  for (const std::string& path : other.paths_) numbers.push_back(Intern(path));
  for (const Event& event : other.events_) {
    events_.push_back({numbers[event.path], (first_process + event.process) % kMaxProcesses,
                       event.op, event.outcome});
  }
}

uint32_t Trace::processes() const {
  uint32_t most = 0;
  for (const Event& event : events_) most = std::max(most, event.process + 1);
  return most;
}

std::expected<Trace, std::string> ParseTrace(std::string_view text, std::string_view file) {
  std::string name = std::filesystem::path(file).filename().string();
  Trace trace(name.substr(0, name.find(".tsv")));
  size_t number = 0;
  while (!text.empty()) {
    std::string_view line = base::NextToken(text, '\n');
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    if (trace.events().size() == kMaxTraceEvents) {
      return std::unexpected(
          absl::StrFormat("%s:%d: more than %d events", file, number, kMaxTraceEvents));
    }
    if (const char* const fault = AddLine(trace, line)) {
      return std::unexpected(absl::StrFormat("%s:%d: %s", file, number, fault));
    }
  }
  return trace;
}

std::expected<Trace, std::string> ReadTrace(const std::string& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return std::unexpected(file + ": " + std::strerror(EISDIR));
  }
  std::ifstream in(file, std::ios::binary);
  std::string text;
  if (!in || !(text.assign(std::istreambuf_iterator<char>(in), {}), in)) {
    return std::unexpected(file + ": " + std::strerror(errno));
  }
  if (file.ends_with(".xz")) {
    auto plain = DecompressXz(text, kMaxTraceBytes);
    if (!plain) return std::unexpected(file + ": " + plain.error());
    text = *std::move(plain);
  }
  return ParseTrace(text, file);
}

std::expected<std::vector<Trace>, std::string> ReadTraces(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> files;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    if (IsTraceName(at->path().filename().string())) files.push_back(at->path().string());
  }
  if (error) return std::unexpected(directory + ": " + error.message());
  if (files.empty()) return std::unexpected(directory + ": no *.tsv or *.tsv.xz in it");
  std::ranges::sort(files);
  std::vector<Trace> traces;
  for (const std::string& file : files) {
    auto trace = ReadTrace(file);
    if (!trace) return std::unexpected(trace.error());
    traces.push_back(*std::move(trace));
  }
  return traces;
}

}  // namespace dentree::lab
