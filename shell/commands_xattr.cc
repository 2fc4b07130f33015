// getfattr, setfattr; lsattr, chattr
#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;

namespace {

// "NAME: PATH: reason", after which the others are done nevertheless.
int FailAt(Call& call, std::string_view path, Errno error) { return call.Fail(path, error); }

vfs::Follow FollowOf(const Call& call) {
  return call.Has('h') ? vfs::Follow::kNo : vfs::Follow::kYes;
}

// --- values ------------------------------------------------------------------------------------

constexpr std::string_view kEscaped("\"\\\n\r\0", 5);

bool IsText(std::string_view value) {
  const auto odd = std::ranges::count_if(
      value, [](char c) { return c < ' ' || static_cast<unsigned char>(c) > '~'; });
  return static_cast<size_t>(odd) * 8 <= value.size();
}

std::string Quoted(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else if (kEscaped.find(c) != kEscaped.npos) {
      absl::StrAppendFormat(&text, "\\%03o", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text + '"';
}

// `encoding`: text, hex, base64, or nothing for what fits best.
std::string Encoded(std::string_view value, std::string_view encoding) {
  if (encoding == "hex") return "0x" + absl::BytesToHexString({value.data(), value.size()});
  const bool text = encoding.empty() ? IsText(value) : encoding == "text";
  return text ? Quoted(value) : "0s" + absl::Base64Escape({value.data(), value.size()});
}

// The reverse; nothing if it makes no sense.
std::optional<std::string> Decoded(std::string_view text) {
  std::string value;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    const std::string_view digits = text.substr(2);
    if (digits.size() % 2 != 0 || !std::ranges::all_of(digits, absl::ascii_isxdigit)) {
      return std::nullopt;
    }
    return absl::HexStringToBytes({digits.data(), digits.size()});
  }
  if (text.starts_with("0s") || text.starts_with("0S")) {
    const std::string_view code = text.substr(2);
    if (!absl::Base64Unescape({code.data(), code.size()}, &value)) return std::nullopt;
    return value;
  }
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"')) {
    text = text.substr(1, text.size() - 2);
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      value += text[i];
      continue;
    }
    const size_t digits = std::min(text.find_first_not_of("01234567", i + 1), i + 4) - i - 1;
    if (digits < 3 || i + 3 >= text.size()) {
      value += text[++i];
    } else {
      value += static_cast<char>(base::ParseU64(text.substr(i + 1, 3), 8).value_or(0));
      i += 3;
    }
  }
  return value;
}

// --- getfattr ------------------------------------------------------------------------------------

constexpr char kAbsoluteNames = 2;
constexpr char kOnlyValues = 3;
constexpr Option kGetfattrOptions[] = {
    {'d', "dump", "get all values"},
    {'e', "encoding", "encode values as text, hex or base64", "ENCODING"},
    {'h', "no-dereference", "do not follow symbolic links"},
    {'m', "match", "names that begin with PREFIX instead of user.; - for all", "PREFIX"},
    {'n', "name", "get the value of this one", "NAME"},
    {kAbsoluteNames, "absolute-names", "do not strip leading '/' from paths"},
    {kOnlyValues, "only-values", "print the bare values only"},
};

// The names to show, sorted; nothing after a message.
std::optional<std::vector<std::string>> NamesToShow(Call& call, const std::string& path) {
  if (const auto name = call.args.Value('n')) return std::vector{*name};
  auto names = call.task().task().ListXattrs(path, FollowOf(call));
  if (!names) return (void)FailAt(call, path, names.error()), std::nullopt;
  const std::string prefix = call.args.Value('m').value_or("user.");
  std::erase_if(
      *names, [&](const std::string& name) { return prefix != "-" && !name.starts_with(prefix); });
  std::ranges::sort(*names);
  return *std::move(names);
}

void ShowXattrs(Call& call, const std::string& path) {
  const auto names = NamesToShow(call, path);
  if (!names) return;
  const bool values = call.Has('d') || call.Has('n') || call.Has(kOnlyValues);
  std::string text;
  for (const std::string& name : *names) {
    if (!values) {
      text += name + "\n";
      continue;
    }
    const auto value = call.task().task().ReadXattr(path, name, FollowOf(call));
    if (!value && value.error() == Errno::kNoData) {
      (void)call.Fail(absl::StrFormat("%s: %s: No such attribute", path, name));
    } else if (!value) {
      (void)FailAt(call, path, value.error());
    } else if (call.Has(kOnlyValues)) {
      text += *value;
    } else {
      const std::string encoding = call.args.Value('e').value_or("");
      text += absl::StrFormat("%s=%s\n", name, Encoded(*value, encoding));
    }
  }
  if (text.empty()) return;
  if (call.Has(kOnlyValues)) return call.out.Put(text);
  const size_t skip = call.Has(kAbsoluteNames) ? 0 : path.find_first_not_of('/');
  call.out.Put(absl::StrFormat("# file: %s\n%s\n", path.substr(std::min(skip, path.size())), text));
}

int RunGetfattr(Call& call) {
  const std::string encoding = call.args.Value('e').value_or("text");
  if (encoding != "text" && encoding != "hex" && encoding != "base64") {
    return call.FailUsage(absl::StrFormat("invalid encoding: '%s'", encoding));
  }
  if (call.operands().empty()) return call.FailUsage("missing operand");
  for (const std::string& path : call.operands()) ShowXattrs(call, path);
  return call.status();
}

// --- setfattr ------------------------------------------------------------------------------------

constexpr Option kSetfattrOptions[] = {
    {'h', "no-dereference", "do not follow symbolic links"},
    {'n', "name", "set the value of this one", "NAME"},
    {'v', "value", "the value: text, 0x and hexadecimal digits, or 0s and base64", "VALUE"},
    {'x', "remove", "remove this one", "NAME"},
};

int RunSetfattr(Call& call) {
  const auto name = call.args.Value('n');
  const auto removed = call.args.Value('x');
  if (name.has_value() == removed.has_value()) return call.FailUsage("one of -n and -x is needed");
  if (call.operands().empty()) return call.FailUsage("missing operand");
  const auto value = Decoded(call.args.Value('v').value_or(""));
  if (!value) return call.Fail("bad input encoding");
  vfs::Task& task = call.task().task();
  const int at = call.Has('h') ? AT_SYMLINK_NOFOLLOW : 0;
  for (const std::string& path : call.operands()) {
    const auto done = removed ? task.RemovexattrAt(vfs::kAtFdCwd, path, *removed, at)
                              : task.SetxattrAt(vfs::kAtFdCwd, path, *name,
                                                std::as_bytes(std::span(*value)), 0, at);
    if (!done && done.error() == Errno::kNoData) {
      (void)call.Fail(absl::StrFormat("%s: No such attribute", path));
    } else if (!done) {
      (void)FailAt(call, path, done.error());
    }
  }
  return call.status();
}

// --- lsattr, chattr ------------------------------------------------------------------------------

// As e2fsprogs writes them, one column each.
struct FlagLetter {
  char letter;
  uint32_t flag;
};
constexpr FlagLetter kFlagLetters[] = {{'s', 0x1},
                                       {'u', 0x2},
                                       {'S', 0x8},
                                       {'D', 0x10000},
                                       {'i', vfs::kFlImmutable},
                                       {'a', vfs::kFlAppend},
                                       {'d', vfs::kFlNoDump},
                                       {'A', vfs::kFlNoAtime},
                                       {'c', 0x4},
                                       {'j', 0x4000},
                                       {'t', 0x8000},
                                       {'T', 0x20000},
                                       {'e', 0x80000},
                                       {'C', 0x800000},
                                       {'x', 0x2000000},
                                       {'F', 0x40000000},
                                       {'P', 0x20000000}};
constexpr size_t kFlagColumns = 22;

std::string FlagText(uint64_t flags) {
  std::string text(kFlagColumns, '-');
  for (size_t i = 0; i < std::size(kFlagLetters); ++i) {
    if (flags & kFlagLetters[i].flag) text[i] = kFlagLetters[i].letter;
  }
  return text;
}

// The flags of a file or directory, changed by `change` if they are to be.
template <class Change>
base::Result<uint64_t> FlagsOf(Call& call, const std::string& path, Change change) {
  const int fd = TRY(call.task().Open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
  vfs::Task& task = call.task().task();
  const auto flags = task.Ioctl(fd, vfs::kIocGetFlags, 0);
  auto result = flags ? change(task, fd, *flags) : flags;
  (void)call.task().Close(fd);
  if (!result && result.error() == Errno::kNotTy) return base::Err(Errno::kOpNotSupp);
  return result;
}

bool HasFlags(vfs::Mode mode) { return vfs::IsDir(mode) || vfs::IsRegular(mode); }

constexpr Option kLsattrOptions[] = {
    {'a', "", "list entries that begin with a dot too"},
    {'d', "", "list directories themselves, not their contents"},
};

void ListFlags(Call& call, const std::string& path, vfs::Mode mode) {
  const auto keep = [](vfs::Task&, int, uint64_t flags) { return base::Result<uint64_t>(flags); };
  const base::Result<uint64_t> flags =
      HasFlags(mode) ? FlagsOf(call, path, keep) : base::Err(Errno::kOpNotSupp);
  if (flags) return call.out.Put(absl::StrFormat("%s %s\n", FlagText(*flags), path));
  (void)call.Fail(absl::StrFormat("%s While reading flags on %s", ErrnoText(flags.error()), path));
}

void ListFlagsBelow(Call& call, const std::string& path) {
  const auto entries = call.task().ListDir(path);
  if (!entries) return (void)call.Fail(path, entries.error());
  for (const vfs::DirEntry& entry : *entries) {
    if (entry.name.starts_with('.') && !call.Has('a')) continue;
    if (call.Stopped()) return;
    ListFlags(call, JoinPath(path, entry.name), vfs::TypeBits(entry.type));
  }
}

int RunLsattr(Call& call) {
  std::vector<std::string> paths = call.operands();
  if (paths.empty()) paths.emplace_back(".");
  for (const std::string& path : paths) {
    const auto st = call.task().Lstat(path);
    if (!st) {
      (void)call.Fail(absl::StrFormat("%s while trying to stat %s", ErrnoText(st.error()), path));
    } else if (vfs::IsDir(st->mode) && !call.Has('d')) {
      ListFlagsBelow(call, path);
    } else {
      ListFlags(call, path, st->mode);
    }
  }
  return call.status();
}

// "+ai", "-d" or "=A" as bits to set and to clear; nothing if it is no such thing.
struct FlagChange {
  uint64_t set = 0, clear = 0;
};
std::optional<FlagChange> ParseFlagChange(std::string_view text) {
  if (text.empty() || std::string_view("+-=").find(text[0]) == std::string_view::npos) {
    return std::nullopt;
  }
  FlagChange change;
  uint64_t& bits = text[0] == '-' ? change.clear : change.set;
  for (const char letter : text.substr(1)) {
    const auto* const found = std::ranges::find(kFlagLetters, letter, &FlagLetter::letter);
    if (found == std::end(kFlagLetters)) return std::nullopt;
    bits |= found->flag;
  }
  if (text[0] == '=') change.clear = ~uint64_t{0};
  return change;
}

int RunChattr(Call& call) {
  std::vector<std::string> paths(call.argv.begin() + 1, call.argv.end());
  FlagChange change;
  size_t changes = 0;
  for (; changes < paths.size(); ++changes) {
    const auto next = ParseFlagChange(paths[changes]);
    if (!next) break;
    change.set |= next->set;
    change.clear |= next->clear;
  }
  if (changes == 0 && !paths.empty() && paths[0].starts_with('-')) {
    return call.FailUsage(absl::StrFormat("invalid option '%s'", paths[0]));
  }
  if (changes == 0) return call.FailUsage("must use =, - or +");
  if (changes == paths.size()) return call.FailUsage("missing operand");
  const auto apply = [&](vfs::Task& task, int fd, uint64_t flags) {
    return task.Ioctl(fd, vfs::kIocSetFlags, (flags & ~change.clear) | change.set);
  };
  for (const std::string& path : std::span(paths).subspan(changes)) {
    const auto st = call.task().Lstat(path);
    if (!st) {
      (void)call.Fail(absl::StrFormat("%s while trying to stat %s", ErrnoText(st.error()), path));
      continue;
    }
    const base::Result<uint64_t> set =
        HasFlags(st->mode) ? FlagsOf(call, path, apply) : base::Err(Errno::kOpNotSupp);
    if (set) continue;
    (void)call.Fail(absl::StrFormat("%s while setting flags on %s", ErrnoText(set.error()), path));
  }
  return call.status();
}

}  // namespace

constinit const Command kGetfattrCommand{
    .name = "getfattr",
    .summary = "get extended attributes",
    .synopsis = "[OPTION]... FILE...",
    .details = "Lists the names of each FILE's attributes, or with -d or -n their values.",
    .options = kGetfattrOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunGetfattr,
};

constinit const Command kSetfattrCommand{
    .name = "setfattr",
    .summary = "set extended attributes",
    .synopsis = "{-n NAME [-v VALUE] | -x NAME} [-h] FILE...",
    .details = "Sets or removes an attribute of each FILE.",
    .options = kSetfattrOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunSetfattr,
};

constinit const Command kLsattrCommand{
    .name = "lsattr",
    .summary = "list file flags",
    .synopsis = "[OPTION]... [FILE]...",
    .details =
        "Lists the flags of each FILE or of what is in a directory: a (append only), i\n"
        "(immutable), d (no dump), A (no access times).",
    .options = kLsattrOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunLsattr,
};

constinit const Command kChattrCommand{
    .name = "chattr",
    .summary = "change file flags",
    .synopsis = "{+|-|=}FLAGS... FILE...",
    .details = "Adds, removes or sets the flags of each FILE. See lsattr for what they are.",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 1,
    .run = RunChattr,
};

}  // namespace dentree::shell
