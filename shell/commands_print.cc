// echo, printf
#include <cctype>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

namespace {

constexpr Option kEchoOptions[] = {
    {'e', "", "enable interpretation of backslash escapes"},
    {'E', "", "disable interpretation of backslash escapes (default)"},
    {'n', "", "do not output the trailing newline"},
};

// Value of a number of at most `digits` digits at text[pos], moving past them; -1: there is none.
int TakeNumber(std::string_view text, size_t& pos, size_t digits, int radix) {
  int value = -1;
  for (; digits > 0 && pos < text.size(); --digits, ++pos) {
    const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(text[pos])));
    const int digit = c >= 'a' && c <= 'f' ? c - 'a' + 10 : (c >= '0' && c <= '9' ? c - '0' : 99);
    if (digit >= radix) break;
    value = (value < 0 ? 0 : value) * radix + digit;
  }
  return value;
}

enum class Octal : uint8_t { kAfterZero, kAnyDigit };  // \0NNN of echo, \NNN of printf

// What a text with escapes means; `stopped`: it contained \c, which ends all output.
struct Unescaped {
  std::string text;
  bool stopped = false;
};

void AppendEscape(std::string_view text, size_t& pos, Octal octal, Unescaped& result) {
  constexpr std::string_view kLetters = "abefnrtv\\";
  constexpr std::string_view kMeanings = "\a\b\033\f\n\r\t\v\\";
  const char c = text[pos++];
  if (const size_t at = kLetters.find(c); at != std::string_view::npos) {
    result.text += kMeanings[at];
  } else if (c == 'c') {
    result.stopped = true;
  } else if (c == 'x') {
    const int value = TakeNumber(text, pos, 2, 16);
    result.text += value < 0 ? std::string("\\x") : std::string(1, static_cast<char>(value));
  } else if (c == '0' || (octal == Octal::kAnyDigit && c > '0' && c < '8')) {
    if (octal == Octal::kAnyDigit) --pos;
    const int value = TakeNumber(text, pos, 3, 8);
    result.text += static_cast<char>(value < 0 ? 0 : value);
  } else {
    result.text += {'\\', c};
  }
}

Unescaped Unescape(std::string_view text, Octal octal) {
  Unescaped result;
  for (size_t pos = 0; pos < text.size() && !result.stopped;) {
    const char c = text[pos++];
    if (c == '\\' && pos < text.size()) {
      AppendEscape(text, pos, octal, result);
    } else {
      result.text += c;
    }
  }
  return result;
}

int RunEcho(Call& call) {
  bool newline = true;
  bool escapes = false;
  size_t next = 1;
  for (; next < call.argv.size(); ++next) {
    const std::string& arg = call.argv[next];
    if (arg.size() < 2 || arg[0] != '-' || arg.find_first_not_of("neE", 1) != std::string::npos)
      break;
    for (char c : arg.substr(1)) {
      if (c == 'n') newline = false;
      if (c != 'n') escapes = c == 'e';
    }
  }
  std::string text;
  for (size_t i = next; i < call.argv.size(); ++i) text += (i > next ? " " : "") + call.argv[i];
  if (escapes) {
    const Unescaped result = Unescape(text, Octal::kAfterZero);
    text = result.text;
    newline = newline && !result.stopped;
  }
  call.out.Put(text + (newline ? "\n" : ""));
  return kSuccess;
}

// --- printf -----------------------------------------------------------------------------------

// One pass over the format uses arguments one by one; the format is repeated while some are left.
class Printer {
 public:
  explicit Printer(Call& call) : call_(call) {}

  int Run() {
    do {
      const size_t before = next_;
      if (!Pass(call_.argv[1]) || next_ == before) break;
    } while (next_ < call_.argv.size());
    return call_.status();
  }

 private:
  std::string NextArgument() { return next_ < call_.argv.size() ? call_.argv[next_++] : ""; }

  int64_t NextNumber() {
    const std::string text = NextArgument();
    if (text.empty()) return 0;
    if (text.size() > 1 && (text[0] == '\'' || text[0] == '"'))
      return static_cast<unsigned char>(text[1]);
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    const auto value = hex ? base::ParseI64(text.substr(2), 16) : base::ParseI64(text);
    if (!value) (void)call_.Fail(absl::StrFormat("'%s': expected a numeric value", text));
    return value.value_or(0);
  }

  // False: output ends here.
  bool Pass(std::string_view format);
  bool Directive(std::string_view format, size_t& pos);

  Call& call_;
  size_t next_ = 2;
};

bool Printer::Directive(std::string_view format, size_t& pos) {
  std::string flags;
  int width = 0, precision = -1;
  while (pos < format.size() &&
         std::string_view("-+ 0#").find(format[pos]) != std::string_view::npos) {
    flags += format[pos++];
  }
  width = std::max(TakeNumber(format, pos, 4, 10), 0);
  if (pos < format.size() && format[pos] == '.') {
    precision = std::max(TakeNumber(format, ++pos, 4, 10), 0);
  }
  const char conversion = pos < format.size() ? format[pos++] : '\0';
  const bool left = flags.find('-') != std::string::npos;
  const bool zero = !left && flags.find('0') != std::string::npos;
  std::string text;
  bool stopped = false;
  if (conversion == 's' || conversion == 'b' || conversion == 'c') {
    text = NextArgument();
    if (conversion == 'c') text = text.substr(0, 1);
    if (conversion == 'b') {
      const Unescaped result = Unescape(text, Octal::kAfterZero);
      text = result.text;
      stopped = result.stopped;
    }
    if (precision >= 0) text = text.substr(0, static_cast<size_t>(precision));
  } else if (conversion == 'd' || conversion == 'i') {
    text = std::to_string(NextNumber());
  } else if (conversion == 'u') {
    text = std::to_string(static_cast<uint64_t>(NextNumber()));
  } else if (conversion == 'x' || conversion == 'X' || conversion == 'o') {
    const auto value = static_cast<uint64_t>(NextNumber());
    text = conversion == 'o' ? absl::StrFormat("%o", value) : absl::StrFormat("%x", value);
    if (conversion == 'X') text = absl::StrFormat("%X", value);
  } else {
    (void)call_.Fail(absl::StrFormat("%%%c: invalid conversion specification", conversion));
    return false;
  }
  const size_t pad =
      static_cast<size_t>(width) > text.size() ? static_cast<size_t>(width) - text.size() : 0;
  const bool number = conversion != 's' && conversion != 'b' && conversion != 'c';
  if (left) {
    text.append(pad, ' ');
  } else {
    text.insert(number && zero && text.starts_with('-') ? 1 : 0, pad, number && zero ? '0' : ' ');
  }
  call_.out.Put(text);
  return !stopped;
}

bool Printer::Pass(std::string_view format) {
  for (size_t pos = 0; pos < format.size();) {
    const char c = format[pos++];
    if (c == '%' && pos < format.size() && format[pos] == '%') {
      call_.out.Put("%");
      ++pos;
    } else if (c == '%') {
      if (!Directive(format, pos)) return false;
    } else if (c == '\\' && pos < format.size()) {
      Unescaped result;
      AppendEscape(format, pos, Octal::kAnyDigit, result);
      call_.out.Put(result.text);
      if (result.stopped) return false;
    } else {
      call_.out.Put(std::string_view(&c, 1));
    }
  }
  return true;
}

int RunPrintf(Call& call) {
  if (call.argv.size() < 2) return call.FailUsage("missing operand");
  return Printer(call).Run();
}

}  // namespace

constinit const Command kEchoCommand{
    .name = "echo",
    .summary = "display a line of text",
    .synopsis = "[-neE] [STRING]...",
    .details =
        "Prints the STRINGs, separated by spaces. With -e these sequences are known: \\\\ \\a \\b "
        "\\c\n"
        "(no further output) \\e \\f \\n \\r \\t \\v \\0NNN (octal) \\xHH (hexadecimal).",
    .options = kEchoOptions,
    .parsing = Command::Parsing::kLiteral,
    .usage_status = 1,
    .run = RunEcho,
};

constinit const Command kPrintfCommand{
    .name = "printf",
    .summary = "format and print data",
    .synopsis = "FORMAT [ARGUMENT]...",
    .details =
        "FORMAT may contain %s %b (with escapes) %c %d %i %u %x %X %o %%, with width, precision "
        "and\n"
        "the flags - and 0, and the escapes of echo -e (octal as \\NNN). It is used again as long "
        "as\n"
        "there are ARGUMENTs.",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 1,
    .run = RunPrintf,
};

}  // namespace dentree::shell
