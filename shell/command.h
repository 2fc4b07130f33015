// What a command of the shell is: a row of the one table that drives dispatch, completion, help and
// the reference (docs/shell.md).
//
// Thread safety: rows are constants; a Call belongs to the thread that runs it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "shell/options.h"
#include "shell/stream.h"
#include "uring/ring_task.h"

namespace dentree::shell {

class Shell;

// Exit statuses with a meaning of their own.
inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsageError = 2;
inline constexpr int kCannotExecute = 126;
inline constexpr int kNotFound = 127;
inline constexpr int kInterrupted = 130;  // as a process that died of SIGINT
inline constexpr int kBrokenPipe = 141;   // as a process that died of SIGPIPE

// One command being run: its arguments, its streams and what it says about errors.
class Call {
 public:
  Call(Shell& of, std::vector<std::string> words, Source& input, Output& output, Output& errors)
      : shell(of), argv(std::move(words)), in(input), out(output), err(errors) {}

  Shell& shell;
  const std::vector<std::string> argv;  // [0] is the name
  Arguments args;                       // parsed, unless the command is Parsing::kRaw
  Source& in;
  Output& out;
  Output& err;

  uring::RingTask& task() const;
  const std::string& name() const { return argv[0]; }
  const std::vector<std::string>& operands() const { return args.operands; }
  bool Has(char option) const { return args.Has(option); }

  // True once there is no use in going on: the user interrupted, or nobody reads.
  bool Stopped() const;

  // Each prints "NAME: <message>" to err; the command's status is then at least kFailure.
  int Fail(std::string_view message);
  // "NAME: <what>: No such file or directory"
  int Fail(std::string_view what, base::Errno error);
  // The same, then "Try 'NAME --help' for more information."; returns the command's usage status.
  int FailUsage(std::string_view message);

  // kFailure if anything failed so far.
  int status() const { return status_; }
  void set_status(int status) { status_ = status; }

 private:
  int status_ = kSuccess;
};

struct Command {
  enum class Parsing : uint8_t {
    kOptions,       // args holds options and operands
    kOptionsFirst,  // likewise, and the first operand ends the options
    kNumberOption,  // as kOptions, and a first argument -NUM is -n NUM
    kRaw,           // the command reads argv itself; --help alone still asks for help
    kLiteral,       // the command reads argv itself, --help included
  };

  std::string_view name;
  std::string_view summary;   // "list directory contents"
  std::string_view synopsis;  // "[OPTION]... [FILE]..."
  std::string_view details;   // what --help says before the options; may be empty
  std::span<const Option> options;
  Parsing parsing;
  int usage_status;  // exit status of a command line that makes no sense
  int (*run)(Call& call);
};

// All commands, sorted by name.
std::span<const Command* const> Commands();
// Null when there is none.
const Command* FindCommand(std::string_view name);

// "ls - list directory contents" with usage, details and options: the text of `ls --help`.
std::string HelpText(const Command& command);

// Runs a command with its arguments parsed: help and usage errors are answered here, and what is in
// the Output at the end is flushed. Returns the exit status.
int Execute(const Command& command, Call& call);

}  // namespace dentree::shell
