// grep
#include <regex.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;

namespace {

constexpr Option kOptions[] = {
    {'c', "count", "print only a count of selected lines per FILE"},
    {'E', "extended-regexp", "PATTERNS are extended regular expressions"},
    {'e', "regexp", "use PATTERNS for matching", "PATTERNS"},
    {'F', "fixed-strings", "PATTERNS are strings"},
    {'G', "basic-regexp", "PATTERNS are basic regular expressions (the default)"},
    {'H', "with-filename", "print file name with output lines"},
    {'h', "no-filename", "suppress the file name prefix on output"},
    {'i', "ignore-case", "ignore case distinctions"},
    {'L', "files-without-match", "print only names of FILEs with no selected lines"},
    {'l', "files-with-matches", "print only names of FILEs with selected lines"},
    {'m', "max-count", "stop after NUM selected lines", "NUM"},
    {'n', "line-number", "print line number with output lines"},
    {'o', "only-matching", "show only nonempty parts of lines that match"},
    {'q', "quiet", "suppress all normal output"},
    {'r', "recursive", "search directories recursively"},
    {'s', "no-messages", "suppress error messages"},
    {'v', "invert-match", "select non-matching lines"},
    {'w', "word-regexp", "match only whole words"},
    {'x', "line-regexp", "match only whole lines"},
};

constexpr int kSelected = 0, kNothingSelected = 1, kTrouble = 2;

struct Span {
  size_t begin, end;
};

// One pattern. Thread safety: a compiled expression is used by one thread.
class Pattern {
 public:
  enum class Syntax : uint8_t { kFixed, kBasic, kExtended };

  static std::expected<Pattern, std::string> Compile(const std::string& text, Syntax syntax,
                                                     bool fold);

  // The first match that begins at `from` or later.
  std::optional<Span> Find(std::string_view line, size_t from) const;

 private:
  struct Freer {
    void operator()(regex_t* regex) const {
      ::regfree(regex);
      delete regex;
    }
  };
  std::string fixed_;
  bool fold_ = false;
  std::unique_ptr<regex_t, Freer> regex_;  // null: fixed_
};

std::expected<Pattern, std::string> Pattern::Compile(const std::string& text, Syntax syntax,
                                                     bool fold) {
  Pattern pattern;
  pattern.fold_ = fold;
  const bool plain = text.find_first_of(".[]*^$\\+?(){}|") == std::string::npos;
  if (syntax == Syntax::kFixed || plain) {
    pattern.fixed_ = text;
    return pattern;
  }
  auto regex = std::make_unique<regex_t>();
  const int flags = (syntax == Syntax::kExtended ? REG_EXTENDED : 0) | (fold ? REG_ICASE : 0);
  if (const int error = ::regcomp(regex.get(), text.c_str(), flags); error != 0) {
    char message[128];
    (void)::regerror(error, regex.get(), message, sizeof(message));
    return std::unexpected(std::string(message));
  }
  pattern.regex_.reset(regex.release());
  return pattern;
}

bool SameLetter(char a, char b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; };
  return lower(a) == lower(b);
}

std::optional<Span> Pattern::Find(std::string_view line, size_t from) const {
  if (regex_ != nullptr) {
    regmatch_t match{static_cast<regoff_t>(from), static_cast<regoff_t>(line.size())};
    if (::regexec(regex_.get(), line.data(), 1, &match, REG_STARTEND) != 0) return std::nullopt;
    return Span{static_cast<size_t>(match.rm_so), static_cast<size_t>(match.rm_eo)};
  }
  size_t at = line.find(fixed_, from);
  if (fold_) {
    const auto found = std::search(line.begin() + static_cast<ptrdiff_t>(from), line.end(),
                                   fixed_.begin(), fixed_.end(), SameLetter);
    const bool none = found == line.end() && !fixed_.empty();
    at = none ? std::string_view::npos : static_cast<size_t>(found - line.begin());
  }
  if (at == std::string_view::npos) return std::nullopt;
  return Span{at, at + fixed_.size()};
}

// All patterns of a command line, with -w and -x.
class Matcher {
 public:
  // Nothing after a message.
  static std::optional<Matcher> Make(Call& call, const std::string& texts);

  std::optional<Span> Find(std::string_view line, size_t from) const;

 private:
  enum class Whole : uint8_t { kNo, kWord, kLine } whole_ = Whole::kNo;

  bool Accepts(std::string_view line, const Span& span) const;

  std::vector<Pattern> patterns_;
};

std::optional<Matcher> Matcher::Make(Call& call, const std::string& texts) {
  Matcher matcher;
  if (call.Has('w')) matcher.whole_ = Whole::kWord;
  if (call.Has('x')) matcher.whole_ = Whole::kLine;
  Pattern::Syntax syntax = Pattern::Syntax::kBasic;
  if (call.args.LastOf("EFG") == 'E') syntax = Pattern::Syntax::kExtended;
  if (call.args.LastOf("EFG") == 'F') syntax = Pattern::Syntax::kFixed;
  for (size_t begin = 0; begin <= texts.size();) {
    const size_t end = std::min(texts.find('\n', begin), texts.size());
    auto pattern = Pattern::Compile(texts.substr(begin, end - begin), syntax, call.Has('i'));
    if (!pattern) return (void)call.Fail(pattern.error()), std::nullopt;
    matcher.patterns_.push_back(*std::move(pattern));
    begin = end + 1;
  }
  return matcher;
}

bool Matcher::Accepts(std::string_view line, const Span& span) const {
  const auto is_word = [&](size_t at) {
    const char c = at < line.size() ? line[at] : ' ';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (whole_ == Whole::kLine) return span.begin == 0 && span.end == line.size();
  if (whole_ == Whole::kNo) return true;
  return span.end > span.begin && (span.begin == 0 || !is_word(span.begin - 1)) &&
         !is_word(span.end);
}

std::optional<Span> Matcher::Find(std::string_view line, size_t from) const {
  std::optional<Span> best;
  for (const Pattern& pattern : patterns_) {
    for (size_t at = from; at <= line.size();) {
      const auto span = pattern.Find(line, at);
      if (!span) break;
      if (!Accepts(line, *span)) {
        at = span->begin + 1;
        continue;
      }
      const bool better = !best || span->begin < best->begin ||
                          (span->begin == best->begin && span->end > best->end);
      if (better) best = span;
      break;
    }
  }
  return best;
}

class Grep {
 public:
  Grep(Call& call, Matcher matcher) : call_(call), matcher_(std::move(matcher)) {}

  int Run(std::vector<std::string> paths);

 private:
  void Complain(const std::string& path, Errno error) {
    status_ = kTrouble;
    if (!call_.Has('s')) (void)call_.Fail(path, error);
  }
  void Search(const std::string& path);
  void SearchBelow(const std::string& path, size_t depth);
  uint64_t SearchLines(const std::string& path, Source& source);
  void ShowLine(const std::string& path, uint64_t number, std::string_view line);
  void ShowSummary(const std::string& path, uint64_t selected);
  std::string Prefix(const std::string& path, uint64_t number) const;
  bool Summarises() const {
    return call_.Has('c') || call_.Has('l') || call_.Has('L') || call_.Has('q');
  }

  Call& call_;
  const Matcher matcher_;
  bool names_ = false;
  uint64_t max_ = UINT64_MAX;
  uint64_t selected_ = 0;
  int status_ = kNothingSelected;
};

std::string Grep::Prefix(const std::string& path, uint64_t number) const {
  std::string prefix;
  if (names_) prefix = (path == "-" ? std::string("(standard input)") : path) + ":";
  if (call_.Has('n') && number > 0) absl::StrAppendFormat(&prefix, "%d:", number);
  return prefix;
}

void Grep::ShowLine(const std::string& path, uint64_t number, std::string_view line) {
  if (!call_.Has('o')) return call_.out.Put(absl::StrFormat("%s%s\n", Prefix(path, number), line));
  if (call_.Has('v')) return;
  for (size_t from = 0; from <= line.size();) {
    const auto span = matcher_.Find(line, from);
    if (!span) return;
    if (span->end > span->begin) {
      call_.out.Put(absl::StrFormat("%s%s\n", Prefix(path, number),
                                    line.substr(span->begin, span->end - span->begin)));
    }
    from = std::max(span->end, span->begin + 1);
  }
}

// The number of selected lines.
uint64_t Grep::SearchLines(const std::string& path, Source& source) {
  uint64_t number = 0, selected = 0;
  while (!call_.Stopped() && selected < max_) {
    auto line = source.ReadLine();
    if (!line) {
      Complain(path, line.error());
      break;
    }
    if (line->empty()) break;
    if (line->back() == '\n') line->pop_back();
    ++number;
    if (matcher_.Find(*line, 0).has_value() == call_.Has('v')) continue;
    ++selected;
    if (call_.Has('q') || call_.Has('l') || call_.Has('L')) break;
    if (Summarises()) continue;
    if (line->find('\0') != std::string::npos) {
      call_.out.Flush();
      call_.err.Put(absl::StrFormat("grep: %s: binary file matches\n",
                                    path == "-" ? std::string("(standard input)") : path));
      break;
    }
    ShowLine(path, number, *line);
  }
  return selected;
}

void Grep::ShowSummary(const std::string& path, uint64_t selected) {
  const std::string name = path == "-" ? "(standard input)" : path;
  if (call_.Has('q')) return;
  if (call_.Has('l') || call_.Has('L')) {
    if ((selected > 0) == call_.Has('l')) call_.out.Put(name + "\n");
  } else if (call_.Has('c')) {
    call_.out.Put(absl::StrFormat("%s%d\n", Prefix(path, 0), selected));
  }
}

void Grep::Search(const std::string& path) {
  if (path == "-") {
    const uint64_t selected = SearchLines(path, call_.in);
    selected_ += selected;
    return ShowSummary(path, selected);
  }
  const auto fd = call_.task().Open(path, O_RDONLY);
  if (!fd) return Complain(path, fd.error());
  TaskSource source(call_.task(), *fd);
  const auto st = call_.task().Fstat(*fd);
  if (st && vfs::IsDir(st->mode)) {
    if (!call_.Has('s')) call_.out.Flush();
    return Complain(path, Errno::kIsDir);
  }
  const uint64_t selected = SearchLines(path, source);
  selected_ += selected;
  ShowSummary(path, selected);
}

void Grep::SearchBelow(const std::string& path, size_t depth) {
  const auto entries = call_.task().ListDir(path.empty() ? "." : path);
  if (!entries) return Complain(path, entries.error());
  for (const vfs::DirEntry& entry : *entries) {
    if (call_.Stopped() || (call_.Has('q') && selected_ > 0)) return;
    const std::string child = path.empty() ? entry.name : JoinPath(path, entry.name);
    if (entry.type == vfs::FileType::kRegular) Search(child);
    if (entry.type == vfs::FileType::kDir && depth < kMaxTreeDepth) SearchBelow(child, depth + 1);
  }
}

int Grep::Run(std::vector<std::string> paths) {
  const bool recursive = call_.Has('r');
  if (const auto text = call_.args.Value('m')) {
    const auto max = base::ParseU64(*text);
    if (!max) return (void)call_.Fail("invalid max count"), kTrouble;
    max_ = *max;
  }
  if (paths.empty()) paths.emplace_back(recursive ? "" : "-");
  names_ = call_.args.LastOf("hH") == 'H' || (!call_.Has('h') && (paths.size() > 1 || recursive));
  for (const std::string& path : paths) {
    const auto st = path.empty() ? call_.task().Stat(".") : call_.task().Stat(path);
    if (recursive && path != "-" && st && vfs::IsDir(st->mode)) {
      SearchBelow(path, 0);
    } else {
      Search(path);
    }
    if (call_.Has('q') && selected_ > 0) return kSelected;
  }
  if (status_ == kTrouble) return kTrouble;
  return selected_ > 0 ? kSelected : kNothingSelected;
}

int RunGrep(Call& call) {
  std::vector<std::string> paths = call.operands();
  std::string patterns;
  bool given = false;
  for (const Arguments::Given& option : call.args.options) {
    if (option.id != 'e') continue;
    patterns += (given ? "\n" : "") + option.value;
    given = true;
  }
  if (!given) {
    if (paths.empty()) {
      call.err.Put(
          "Usage: grep [OPTION]... PATTERNS [FILE]...\n"
          "Try 'grep --help' for more information.\n");
      return kTrouble;
    }
    patterns = paths[0];
    paths.erase(paths.begin());
  }
  auto matcher = Matcher::Make(call, patterns);
  if (!matcher) return kTrouble;
  return Grep(call, *std::move(matcher)).Run(std::move(paths));
}

}  // namespace

constinit const Command kGrepCommand{
    .name = "grep",
    .summary = "print lines that match patterns",
    .synopsis = "[OPTION]... PATTERNS [FILE]...",
    .details =
        "PATTERNS are one or more regular expressions, separated by newlines. With no FILE, or "
        "when\n"
        "FILE is -, reads standard input; with -r the current directory. Exit status: 0 if a line "
        "was\n"
        "selected, 1 if none was, 2 if there was trouble.",
    .options = kOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunGrep,
};

}  // namespace dentree::shell
