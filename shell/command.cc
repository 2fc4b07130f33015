#include "shell/command.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;

uring::RingTask& Call::task() const { return shell.task(); }

bool Call::Stopped() const { return out.failed() || shell.Interrupted(); }

int Call::Fail(std::string_view message) {
  err.Put(absl::StrFormat("%s: %s\n", name(), message));
  status_ = std::max(status_, kFailure);
  return status_;
}

int Call::Fail(std::string_view what, Errno error) {
  return Fail(absl::StrFormat("%s: %s", what, base::ErrnoText(error)));
}

int Call::FailUsage(std::string_view message) {
  (void)Fail(message);
  err.Put(absl::StrFormat("Try '%s --help' for more information.\n", name()));
  const Command* command = FindCommand(name());
  return status_ = command != nullptr ? command->usage_status : kUsageError;
}

std::string HelpText(const Command& command) {
  std::string text =
      absl::StrFormat("Usage: %s%s%s\n%s.\n", command.name, command.synopsis.empty() ? "" : " ",
                      command.synopsis, command.summary);
  const size_t summary = text.find('\n') + 1;
  if (text[summary] >= 'a' && text[summary] <= 'z') text[summary] += 'A' - 'a';
  if (!command.details.empty()) absl::StrAppendFormat(&text, "\n%s\n", command.details);
  const bool has_options =
      !command.options.empty() || command.parsing != Command::Parsing::kLiteral;
  if (has_options) text += "\n" + DescribeOptions(command.options);
  return text;
}

namespace {

using Parsing = Command::Parsing;

int RunParsed(const Command& command, Call& call) {
  if (command.parsing == Parsing::kLiteral) return command.run(call);
  if (command.parsing == Parsing::kRaw) {
    if (call.argv.size() == 2 && call.argv[1] == "--help")
      return call.out.Put(HelpText(command)), kSuccess;
    return command.run(call);
  }
  const Permute permute =
      command.parsing == Parsing::kOptionsFirst ? Permute::kOperandsLast : Permute::kAnywhere;
  std::vector<std::string> argv = call.argv;
  if (command.parsing == Parsing::kNumberOption && argv.size() > 1) {
    std::string& first = argv[1];
    const bool number = first.size() > 1 && first[0] == '-' &&
                        first.find_first_not_of("0123456789", 1) == std::string::npos;
    if (number) first = "-n" + first.substr(1);
  }
  auto arguments = ParseArguments(command.options, argv, permute);
  if (!arguments) return call.FailUsage(arguments.error());
  if (arguments->Has(kHelpOption)) return call.out.Put(HelpText(command)), kSuccess;
  call.args = *std::move(arguments);
  return command.run(call);
}

}  // namespace

int Execute(const Command& command, Call& call) {
  int status = RunParsed(command, call);
  call.out.Flush();
  if (call.shell.Interrupted()) return kInterrupted;
  if (!call.out.failed()) return status;
  const Errno error = call.out.status().error();
  if (error == Errno::kPipe) return kBrokenPipe;
  (void)call.Fail("write error", error);
  return std::max(status, kFailure);
}

}  // namespace dentree::shell
