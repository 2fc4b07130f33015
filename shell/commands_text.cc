// cat, head, tail, wc
#include <algorithm>
#include <array>
#include <deque>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;

std::string Quote(std::string_view path) { return absl::StrFormat("'%s'", path); }

namespace {

constexpr size_t kChunk = 16 * 1024;
// Bytes that tail holds at most while it looks for the end of what cannot be sought.
constexpr size_t kMaxTailBytes = 64 * 1024 * 1024;

std::vector<std::string> FilesOrInput(const Call& call) {
  if (call.operands().empty()) return {"-"};
  return call.operands();
}

// Calls `use` with each piece of the input until it returns false; a failure is reported as
// "NAME: FILE: reason".
template <class Use>
void ForEachChunk(Call& call, const std::string& path, Source& source, Use use) {
  std::array<char, kChunk> chunk;
  while (!call.Stopped()) {
    const auto n = source.Read(chunk);
    if (!n) return (void)call.Fail(path, n.error());
    if (*n == 0 || !use(std::string_view(chunk.data(), *n))) return;
  }
}

// --- cat --------------------------------------------------------------------------------------

constexpr Option kCatOptions[] = {
    {'n', "number", "number all output lines"},
    {'u', "", "(ignored)"},
};

class LineNumberer {
 public:
  std::string Number(std::string_view text) {
    std::string numbered;
    for (char c : text) {
      if (at_start_) absl::StrAppendFormat(&numbered, "%6d\t", ++line_);
      numbered += c;
      at_start_ = c == '\n';
    }
    return numbered;
  }

 private:
  bool at_start_ = true;
  uint64_t line_ = 0;
};

int RunCat(Call& call) {
  LineNumberer numberer;
  for (const std::string& path : FilesOrInput(call)) {
    const auto input = OpenInput(call, path);
    if (!input) continue;
    ForEachChunk(call, path, *input->source, [&](std::string_view text) {
      call.out.Put(call.Has('n') ? numberer.Number(text) : std::string(text));
      call.out.Flush();  // what a waiting reader gave is shown before the next wait
      return true;
    });
  }
  return call.status();
}

// --- head and tail ----------------------------------------------------------------------------

constexpr Option kHeadOptions[] = {
    {'c', "bytes", "print the first NUM bytes; with -NUM, all but the last NUM", "[-]NUM"},
    {'n', "lines", "print the first NUM lines instead of 10; with -NUM, all but the last NUM",
     "[-]NUM"},
    {'q', "quiet", "never print headers giving file names"},
    {'v', "verbose", "always print headers giving file names"},
};
constexpr Option kTailOptions[] = {
    {'c', "bytes", "print the last NUM bytes; with +NUM, from byte NUM on", "[+]NUM"},
    {'n', "lines", "print the last NUM lines instead of 10; with +NUM, from line NUM on", "[+]NUM"},
    {'q', "quiet", "never print headers giving file names"},
    {'v', "verbose", "always print headers giving file names"},
};

// How much of a file head and tail print.
struct Extent {
  enum class Unit : uint8_t { kLines, kBytes } unit = Unit::kLines;
  char sign = '\0';
  uint64_t count = 10;
};

std::optional<Extent> ParseExtent(Call& call) {
  Extent extent;
  const char which = call.args.LastOf("cn");
  if (which == 0) return extent;
  extent.unit = which == 'c' ? Extent::Unit::kBytes : Extent::Unit::kLines;
  std::string text = *call.args.Value(which);
  const std::string given = text;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    extent.sign = text[0];
    text.erase(0, 1);
  }
  const auto count = base::ParseU64(text);
  if (!count) {
    (void)call.Fail(
        absl::StrFormat("invalid number of %s: '%s'", which == 'c' ? "bytes" : "lines", given));
    return std::nullopt;
  }
  extent.count = *count;
  return extent;
}

// "==> name <==" between files, where wanted.
class Headers {
 public:
  Headers(Call& call, size_t files)
      : call_(call), wanted_(call.args.LastOf("qv") != 'q' && (files > 1 || call.Has('v'))) {}

  void Print(const std::string& path) {
    if (!wanted_) return;
    call_.out.Put(absl::StrFormat("%s==> %s <==\n", first_ ? "" : "\n",
                                  path == "-" ? std::string("standard input") : path));
    first_ = false;
  }

 private:
  Call& call_;
  const bool wanted_;
  bool first_ = true;
};

// Where the part of `text` begins that holds its last `count` lines.
size_t LastLines(std::string_view text, uint64_t count) {
  if (count == 0) return text.size();
  size_t begin = text.size();
  if (!text.empty() && text.back() == '\n') --begin;
  while (begin > 0) {
    const size_t newline = text.rfind('\n', begin - 1);
    if (newline == std::string_view::npos) return 0;
    if (--count == 0) return newline + 1;
    begin = newline;
  }
  return 0;
}

void HeadFirst(Call& call, const std::string& path, Source& source, const Extent& extent) {
  uint64_t left = extent.count;
  if (left == 0) return;
  ForEachChunk(call, path, source, [&](std::string_view text) {
    size_t end = 0;
    if (extent.unit == Extent::Unit::kBytes) {
      end = std::min<uint64_t>(left, text.size());
      left -= end;
    }
    for (; extent.unit == Extent::Unit::kLines && end < text.size() && left > 0; ++end) {
      left -= text[end] == '\n' ? 1 : 0;
    }
    call.out.Put(text.substr(0, end));
    return left > 0;
  });
}

// Reads all of a source that is not too long for memory.
std::optional<std::string> Collect(Call& call, const std::string& path, Source& source) {
  std::string all;
  bool fits = true;
  ForEachChunk(call, path, source, [&](std::string_view text) {
    fits = all.size() + text.size() <= kMaxTailBytes;
    if (fits) all += text;
    return fits;
  });
  if (fits) return all;
  (void)call.Fail(path, Errno::kFBig);
  return std::nullopt;
}

int RunHead(Call& call) {
  const auto extent = ParseExtent(call);
  if (!extent) return call.status();
  const auto files = FilesOrInput(call);
  Headers headers(call, files.size());
  for (const std::string& path : files) {
    const auto input = OpenInput(call, path);
    if (!input) continue;
    headers.Print(path);
    if (extent->sign != '-') {
      HeadFirst(call, path, *input->source, *extent);
    } else if (const auto all = Collect(call, path, *input->source)) {
      const uint64_t drop = std::min<uint64_t>(extent->count, all->size());
      const bool lines = extent->unit == Extent::Unit::kLines;
      call.out.Put(all->substr(0, lines ? LastLines(*all, extent->count) : all->size() - drop));
    }
  }
  return call.status();
}

// tail +NUM: everything from line or byte NUM on.
void TailFrom(Call& call, const std::string& path, Source& source, const Extent& extent) {
  uint64_t skip = extent.count == 0 ? 0 : extent.count - 1;
  ForEachChunk(call, path, source, [&](std::string_view text) {
    size_t begin = 0;
    if (extent.unit == Extent::Unit::kBytes) {
      begin = std::min<uint64_t>(skip, text.size());
      skip -= begin;
    }
    for (; extent.unit == Extent::Unit::kLines && begin < text.size() && skip > 0; ++begin) {
      skip -= text[begin] == '\n' ? 1 : 0;
    }
    call.out.Put(text.substr(begin));
    return true;
  });
}

int RunTail(Call& call) {
  const auto extent = ParseExtent(call);
  if (!extent) return call.status();
  const auto files = FilesOrInput(call);
  Headers headers(call, files.size());
  for (const std::string& path : files) {
    const auto input = OpenInput(call, path);
    if (!input) continue;
    headers.Print(path);
    if (extent->sign == '+') {
      TailFrom(call, path, *input->source, *extent);
    } else if (const auto all = Collect(call, path, *input->source)) {
      const uint64_t keep = std::min<uint64_t>(extent->count, all->size());
      const bool lines = extent->unit == Extent::Unit::kLines;
      call.out.Put(all->substr(lines ? LastLines(*all, extent->count) : all->size() - keep));
    }
  }
  return call.status();
}

// --- wc ---------------------------------------------------------------------------------------

constexpr Option kWcOptions[] = {
    {'c', "bytes", "print the byte counts"},
    {'l', "lines", "print the newline counts"},
    {'w', "words", "print the word counts"},
};

struct Counts {
  uint64_t lines = 0, words = 0, bytes = 0;
  bool in_word = false;
  bool of_unknown_size = false;  // how many digits it takes could not be known before
  std::string name;

  void Add(std::string_view text) {
    bytes += text.size();
    for (char c : text) {
      lines += c == '\n' ? 1 : 0;
      const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
      words += !blank && !in_word ? 1 : 0;
      in_word = !blank;
    }
  }
};

// One column is as wide as its number; several are aligned to the widest, with seven
// digits at least for what is no regular file.
void PrintCounts(Call& call, const std::vector<Counts>& rows) {
  const bool all = call.args.LastOf("clw") == 0;
  const bool columns[] = {all || call.Has('l'), all || call.Has('w'), all || call.Has('c')};
  const bool alone = columns[0] + columns[1] + columns[2] == 1 && rows.size() == 1;
  int width = 1;
  for (const Counts& row : rows) {
    if (alone) break;
    if (row.of_unknown_size) width = std::max(width, 7);
    width = std::max(width, static_cast<int>(std::to_string(row.bytes).size()));
  }
  for (const Counts& row : rows) {
    const uint64_t values[] = {row.lines, row.words, row.bytes};
    std::string line;
    for (size_t i = 0; i < std::size(values); ++i) {
      if (columns[i])
        absl::StrAppendFormat(&line, "%s%*d", line.empty() ? "" : " ", width, values[i]);
    }
    call.out.Put(line + (row.name.empty() ? "" : " " + row.name) + "\n");
  }
}

int RunWc(Call& call) {
  std::vector<Counts> rows;
  for (const std::string& path : FilesOrInput(call)) {
    const auto input = OpenInput(call, path);
    if (!input) continue;
    Counts counts;
    if (!call.operands().empty()) counts.name = path;
    counts.of_unknown_size = !input->source->FileSize();
    ForEachChunk(call, path, *input->source,
                 [&](std::string_view text) { return counts.Add(text), true; });
    rows.push_back(std::move(counts));
  }
  if (call.operands().size() > 1) {
    Counts total{.name = "total"};
    for (const Counts& row : rows) {
      total.lines += row.lines;
      total.words += row.words;
      total.bytes += row.bytes;
    }
    rows.push_back(std::move(total));
  }
  PrintCounts(call, rows);
  return call.status();
}

}  // namespace

std::optional<Input> OpenInput(Call& call, const std::string& path) {
  if (path == "-") return Input{.owned = nullptr, .source = &call.in};
  const auto fd = call.task().Open(path, O_RDONLY);
  if (!fd) {
    const bool names_opening = call.name() == "head" || call.name() == "tail";
    (void)call.Fail(names_opening ? absl::StrFormat("cannot open '%s' for reading", path) : path,
                    fd.error());
    return std::nullopt;
  }
  Input input{.owned = std::make_unique<TaskSource>(call.task(), *fd)};
  input.source = input.owned.get();
  return input;
}

constinit const Command kCatCommand{
    .name = "cat",
    .summary = "concatenate files and print on the standard output",
    .synopsis = "[OPTION]... [FILE]...",
    .details = "With no FILE, or when FILE is -, reads standard input.",
    .options = kCatOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunCat,
};

constinit const Command kHeadCommand{
    .name = "head",
    .summary = "output the first part of files",
    .synopsis = "[OPTION]... [FILE]...",
    .details =
        "Prints the first 10 lines of each FILE. With no FILE, or when FILE is -, reads standard\n"
        "input. -NUM is short for -n NUM.",
    .options = kHeadOptions,
    .parsing = Command::Parsing::kNumberOption,
    .usage_status = 1,
    .run = RunHead,
};

constinit const Command kTailCommand{
    .name = "tail",
    .summary = "output the last part of files",
    .synopsis = "[OPTION]... [FILE]...",
    .details =
        "Prints the last 10 lines of each FILE. With no FILE, or when FILE is -, reads standard\n"
        "input. -NUM is short for -n NUM.",
    .options = kTailOptions,
    .parsing = Command::Parsing::kNumberOption,
    .usage_status = 1,
    .run = RunTail,
};

constinit const Command kWcCommand{
    .name = "wc",
    .summary = "print newline, word, and byte counts for each file",
    .synopsis = "[OPTION]... [FILE]...",
    .details = "With no FILE, or when FILE is -, reads standard input.",
    .options = kWcOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunWc,
};

}  // namespace dentree::shell
