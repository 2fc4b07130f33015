#include "shell/options.h"

#include "absl/strings/str_format.h"

namespace dentree::shell {

namespace {

using Fault = std::unexpected<std::string>;

constexpr Option kHelp{kHelpOption, "help", "display this help and exit"};
constexpr size_t kHelpColumn = 30;

class ArgumentParser {
 public:
  ArgumentParser(std::span<const Option> table, std::span<const std::string> argv)
      : table_(table), argv_(argv) {}

  std::expected<Arguments, std::string> Run(Permute permute);

 private:
  using Done = std::expected<void, std::string>;

  Done TakeLong(std::string_view text);
  Done TakeLetters(std::string_view letters);
  std::expected<const Option*, std::string> FindLong(std::string_view name) const;
  const Option* FindLetter(char letter) const;
  // The next element of argv, as an option's argument.
  const std::string* NextArgument() { return next_ < argv_.size() ? &argv_[next_++] : nullptr; }

  std::span<const Option> table_;
  std::span<const std::string> argv_;
  size_t next_ = 1;
  Arguments result_;
};

const Option* ArgumentParser::FindLetter(char letter) const {
  for (const Option& option : table_) {
    if (option.has_letter() && option.id == letter) return &option;
  }
  return nullptr;
}

// An exact name, or the only one that begins so.
std::expected<const Option*, std::string> ArgumentParser::FindLong(std::string_view name) const {
  std::vector<const Option*> candidates;
  for (const Option& option : table_) {
    if (option.name == name) return &option;
    if (!option.name.empty() && option.name.starts_with(name)) candidates.push_back(&option);
  }
  if (kHelp.name == name) return &kHelp;
  if (kHelp.name.starts_with(name)) candidates.push_back(&kHelp);
  if (candidates.empty()) return Fault(absl::StrFormat("unrecognized option '--%s'", name));
  if (candidates.size() == 1) return candidates[0];
  std::string message = absl::StrFormat("option '--%s' is ambiguous; possibilities:", name);
  for (const Option* option : candidates) absl::StrAppendFormat(&message, " '--%s'", option->name);
  return Fault(message);
}

ArgumentParser::Done ArgumentParser::TakeLong(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  auto option = FindLong(name);
  if (!option) return Fault(option.error());
  Arguments::Given given{.id = (*option)->id, .value = {}};
  if ((*option)->takes_argument()) {
    const std::string* next = equals == std::string_view::npos ? NextArgument() : nullptr;
    if (next == nullptr && equals == std::string_view::npos) {
      return Fault(absl::StrFormat("option '--%s' requires an argument", (*option)->name));
    }
    given.value = next != nullptr ? *next : std::string(text.substr(equals + 1));
  } else if (equals != std::string_view::npos) {
    return Fault(absl::StrFormat("option '--%s' doesn't allow an argument", (*option)->name));
  }
  result_.options.push_back(std::move(given));
  return {};
}

ArgumentParser::Done ArgumentParser::TakeLetters(std::string_view letters) {
  for (size_t i = 0; i < letters.size(); ++i) {
    const Option* option = FindLetter(letters[i]);
    if (option == nullptr) return Fault(absl::StrFormat("invalid option -- '%c'", letters[i]));
    if (!option->takes_argument()) {
      result_.options.push_back({option->id, {}});
      continue;
    }
    if (i + 1 < letters.size()) {
      result_.options.push_back({option->id, std::string(letters.substr(i + 1))});
      return {};
    }
    const std::string* next = NextArgument();
    if (next == nullptr) {
      return Fault(absl::StrFormat("option requires an argument -- '%c'", letters[i]));
    }
    result_.options.push_back({option->id, *next});
  }
  return {};
}

std::expected<Arguments, std::string> ArgumentParser::Run(Permute permute) {
  while (next_ < argv_.size()) {
    const std::string_view arg = argv_[next_++];
    Done done;
    if (arg == "--") break;
    if (arg.starts_with("--")) {
      done = TakeLong(arg.substr(2));
    } else if (arg.size() > 1 && arg[0] == '-') {
      done = TakeLetters(arg.substr(1));
    } else {
      result_.operands.emplace_back(arg);
      if (permute == Permute::kOperandsLast) break;
    }
    if (!done) return Fault(done.error());
  }
  for (; next_ < argv_.size(); ++next_) result_.operands.push_back(argv_[next_]);
  return std::move(result_);
}

void DescribeOne(std::string& text, const Option& option) {
  std::string left = option.has_letter() ? absl::StrFormat("  -%c", option.id) : "    ";
  if (!option.name.empty()) {
    absl::StrAppendFormat(&left, "%s --%s", option.has_letter() ? "," : " ", option.name);
  }
  if (option.takes_argument()) {
    absl::StrAppendFormat(&left, "%c%s", option.name.empty() ? ' ' : '=', option.argument);
  }
  const char* gap = left.size() + 2 > kHelpColumn ? "\n" : "";
  const size_t width = *gap != '\0' ? 0 : left.size();
  absl::StrAppendFormat(&text, "%s%s%s%s\n", left, gap, std::string(kHelpColumn - width, ' '),
                        option.help);
}

}  // namespace

bool Arguments::Has(char id) const { return Value(id).has_value(); }

std::optional<std::string> Arguments::Value(char id) const {
  for (auto given = options.rbegin(); given != options.rend(); ++given) {
    if (given->id == id) return given->value;
  }
  return std::nullopt;
}

char Arguments::LastOf(std::string_view ids) const {
  for (auto given = options.rbegin(); given != options.rend(); ++given) {
    if (ids.find(given->id) != std::string_view::npos) return given->id;
  }
  return 0;
}

std::expected<Arguments, std::string> ParseArguments(std::span<const Option> table,
                                                     std::span<const std::string> argv,
                                                     Permute permute) {
  return ArgumentParser(table, argv).Run(permute);
}

std::string DescribeOptions(std::span<const Option> table) {
  std::string text;
  for (const Option& option : table) DescribeOne(text, option);
  DescribeOne(text, kHelp);
  return text;
}

}  // namespace dentree::shell
