// Options of a command, parsed as getopt_long does and with its messages.
//
// Thread safety: values. Lifetime: option tables are constants.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dentree::shell {

struct Option {
  char id;                // the letter, or any value below ' ' for an option with a name only
  std::string_view name;  // "all" for --all; empty: a letter only
  std::string_view help;  // "do not ignore entries starting with ."
  std::string_view argument = {};  // what --help calls the argument; empty: it takes none

  bool has_letter() const { return id > ' '; }
  bool takes_argument() const { return !argument.empty(); }
};

// Every command and the program itself have it.
inline constexpr char kHelpOption = '\x01';

// What was on a command line.
struct Arguments {
  struct Given {
    char id;
    std::string value;
  };
  std::vector<Given> options;  // in order
  std::vector<std::string> operands;

  bool Has(char id) const;
  // The value given last.
  std::optional<std::string> Value(char id) const;
  // Which of several that exclude each other was given last; 0: none of them.
  char LastOf(std::string_view ids) const;
};

enum class Permute : uint8_t {
  kAnywhere,      // options and operands mix, as GNU programs allow
  kOperandsLast,  // the first operand ends the options
};

// argv[0] is the command and is left out. The error is what getopt prints after "ls: ".
std::expected<Arguments, std::string> ParseArguments(std::span<const Option> table,
                                                     std::span<const std::string> argv,
                                                     Permute permute = Permute::kAnywhere);

// One line per option, aligned as in GNU's --help, --help last.
std::string DescribeOptions(std::span<const Option> table);

}  // namespace dentree::shell
