// memory
#include <algorithm>
#include <array>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"
#include "vfs/vfs.h"

namespace dentree::shell {

namespace {

constexpr size_t kMostSites = 20;
constexpr Option kMemoryOptions[] = {
    {'l', "last", "the report of the last time memory was refused, instead of one made now"},
    {'s', "sites", "the places in the program that hold most, instead of a report"},
};

// The lines of allocinfo with the largest numbers of bytes.
std::string LargestSites(const std::string& allocinfo) {
  std::vector<std::string_view> lines;
  for (std::string_view rest = allocinfo; !rest.empty();) {
    const size_t size = std::min(rest.find('\n') + 1, rest.size());
    lines.push_back(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  constexpr size_t kHeaderLines = 2;
  const auto first = lines.begin() + std::min(kHeaderLines, lines.size());
  // Numbers of one width, aligned to the right, sort as text.
  std::sort(first, lines.end(), std::greater<>());
  lines.resize(std::min(lines.size(), kHeaderLines + kMostSites));
  std::string text;
  for (std::string_view line : lines) text += line;
  return text;
}

int RunMemory(Call& call) {
  if (!call.operands().empty()) {
    return call.FailUsage(absl::StrFormat("extra operand '%s'", call.operands()[0]));
  }
  const mm::Memory& memory = call.task().vfs().memory();
  if (call.Has('s')) {
    if (!memory.profiles()) return call.Fail("this system was started without profiling");
    call.out.Put(LargestSites(memory.AllocInfoText()));
    return kSuccess;
  }
  if (call.Has('l')) {
    const std::string last = memory.LastReport();
    call.out.Put(last.empty() ? "memory was never refused\n" : last);
    return kSuccess;
  }
  std::array<char, mm::Memory::kReportBytes> text;
  call.out.Put({text.data(), memory.WriteReport(text)});
  return kSuccess;
}

}  // namespace

constinit const Command kMemoryCommand{
    .name = "memory",
    .summary = "say who holds the memory, and why it is not given back",
    .synopsis = "[OPTION]...",
    .details =
        "Prints what /proc/memory_report says: a verdict, the ten largest object caches and\n"
        "the ten shrinkers with the most objects, with what they were asked and why they\n"
        "left what they left.",
    .options = kMemoryOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunMemory,
};

}  // namespace dentree::shell
