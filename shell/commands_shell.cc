// What belongs to the shell itself: cd, pwd, exit, help, history, set, unset, umask, .
#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;

namespace {

int RunCd(Call& call) {
  if (call.operands().size() > 1) return call.Fail("too many arguments");
  Shell& shell = call.shell;
  std::string path =
      call.operands().empty() ? shell.Variable("HOME").value_or("/") : call.operands()[0];
  const bool back = path == "-";
  if (back) {
    const auto old = shell.Variable("OLDPWD");
    if (!old) return call.Fail("OLDPWD not set");
    path = *old;
  }
  const auto before = call.task().Getcwd();
  const auto done = call.task().Chdir(path);
  if (!done) return call.Fail(path, done.error());
  if (before) shell.SetVariable("OLDPWD", *before);
  const auto now = call.task().Getcwd();
  if (now) shell.SetVariable("PWD", *now);
  if (back) call.out.Put(now.value_or(path) + "\n");
  return kSuccess;
}

int RunPwd(Call& call) {
  const auto path = call.task().Getcwd();
  if (!path) return call.Fail("error retrieving current directory", path.error());
  call.out.Put(*path + "\n");
  return kSuccess;
}

int RunExit(Call& call) {
  int status = call.shell.last_status();
  if (call.argv.size() > 1) {
    const auto value = base::ParseI64(call.argv[1]);
    if (!value) {
      (void)call.Fail(absl::StrFormat("%s: numeric argument required", call.argv[1]));
      status = kUsageError;
    } else {
      status = static_cast<int>(*value & 0xff);
    }
  }
  call.shell.RequestExit(status);
  return status;
}

int RunHelp(Call& call) {
  if (call.operands().empty()) {
    call.out.Put("Commands; `help NAME` or `NAME --help` tells more about one.\n\n");
    for (const Command* command : Commands()) {
      call.out.Put(absl::StrFormat("  %-12s %s\n", command->name, command->summary));
    }
    call.out.Put(
        "\nThe language: words, 'quotes', \"quotes with $VARIABLES\", \\x, NAME=value, $? $NAME "
        "${NAME},\n"
        "patterns * ? [a-z], pipes |, redirections < > >> 2> 2>&1, lists ; && || and ! before a\n"
        "pipeline.\n");
    return kSuccess;
  }
  for (const std::string& name : call.operands()) {
    const Command* command = FindCommand(name);
    if (command == nullptr) {
      (void)call.Fail(absl::StrFormat("no help topics match `%s'", name));
    } else {
      call.out.Put(HelpText(*command));
    }
  }
  return call.status();
}

int RunHistory(Call& call) {
  const std::vector<std::string>& lines = call.shell.history();
  size_t count = lines.size();
  if (!call.operands().empty()) {
    const auto value = base::ParseU64(call.operands()[0]);
    if (!value)
      return call.Fail(absl::StrFormat("%s: numeric argument required", call.operands()[0]));
    count = std::min<size_t>(count, *value);
  }
  for (size_t i = lines.size() - count; i < lines.size(); ++i) {
    call.out.Put(absl::StrFormat("%5d  %s\n", i + 1, lines[i]));
  }
  return kSuccess;
}

int RunSet(Call& call) {
  if (call.argv.size() == 1) {
    for (const auto& [name, value] : call.shell.variables())
      call.out.Put(name + "=" + value + "\n");
    return kSuccess;
  }
  for (size_t i = 1; i < call.argv.size(); ++i) {
    const std::string& option = call.argv[i];
    if (option != "-e" && option != "+e") return call.FailUsage(option + ": invalid option");
    call.shell.set_on_failure(option == "-e" ? Shell::OnFailure::kExit
                                             : Shell::OnFailure::kContinue);
  }
  return kSuccess;
}

int RunUnset(Call& call) {
  for (const std::string& name : call.operands()) {
    if (!IsName(name)) {
      (void)call.Fail(absl::StrFormat("`%s': not a valid identifier", name));
    } else {
      call.shell.UnsetVariable(name);
    }
  }
  return call.status();
}

constexpr Option kUmaskOptions[] = {
    {'S', "", "show it as the permissions that stay: u=rwx,g=rx,o=rx"},
};

std::string AllowedText(vfs::Mode mask) {
  std::string text;
  for (const auto& [who, shift] : {std::pair{"u=", 6}, {",g=", 3}, {",o=", 0}}) {
    const int allowed = ~mask >> shift & 7;
    text += who;
    if (allowed & 4) text += 'r';
    if (allowed & 2) text += 'w';
    if (allowed & 1) text += 'x';
  }
  return text;
}

int RunUmask(Call& call) {
  const vfs::Mode mask = call.task().fs().umask();
  if (call.operands().empty()) {
    call.out.Put(call.Has('S') ? AllowedText(mask) + "\n" : absl::StrFormat("%04o\n", mask));
    return kSuccess;
  }
  const std::string& text = call.operands()[0];
  const bool octal = text.find_first_not_of("01234567") == std::string::npos;
  const auto mode = ParseMode(text, octal ? 0 : ~mask & 0777, 0);
  if (!mode || *mode > 0777) {
    return call.Fail(octal ? text + ": octal number out of range"
                           : text + ": invalid symbolic mode");
  }
  (void)call.task().Umask(octal ? *mode : ~*mode & 0777);
  return kSuccess;
}

int RunDot(Call& call) {
  if (call.argv.size() < 2) return call.FailUsage("filename argument required");
  call.out.Flush();
  return call.shell.RunFile(call.argv[1]);
}

}  // namespace

constinit const Command kCdCommand{
    .name = "cd",
    .summary = "change the working directory",
    .synopsis = "[DIRECTORY]",
    .details =
        "Without DIRECTORY goes to $HOME, which is / unless set. `cd -` goes back to where the "
        "last cd\n"
        "came from, and prints it.",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunCd,
};

constinit const Command kPwdCommand{
    .name = "pwd",
    .summary = "print the name of the current working directory",
    .synopsis = "",
    .details = "The name has no symbolic links in it.",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunPwd,
};

constinit const Command kExitCommand{
    .name = "exit",
    .summary = "end the shell",
    .synopsis = "[STATUS]",
    .details = "STATUS is that of the last command by default.",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 2,
    .run = RunExit,
};

constinit const Command kHelpCommand{
    .name = "help",
    .summary = "display information about commands",
    .synopsis = "[COMMAND]...",
    .details = "",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunHelp,
};

constinit const Command kHistoryCommand{
    .name = "history",
    .summary = "display the lines typed so far",
    .synopsis = "[COUNT]",
    .details = "With COUNT only the last ones.",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunHistory,
};

constinit const Command kSetCommand{
    .name = "set",
    .summary = "show variables, or change how the shell behaves",
    .synopsis = "[-e | +e]",
    .details =
        "With -e the shell exits when a command fails whose status is not looked at by && || or "
        "!.\n"
        "Without arguments prints all variables.",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 2,
    .run = RunSet,
};

constinit const Command kUnsetCommand{
    .name = "unset",
    .summary = "remove variables",
    .synopsis = "[NAME]...",
    .details = "",
    .options = {},
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunUnset,
};

constinit const Command kUmaskCommand{
    .name = "umask",
    .summary = "display or set the file mode creation mask",
    .synopsis = "[-S] [MODE]",
    .details = "MODE is an octal mask, or the permissions that stay, as in chmod.",
    .options = kUmaskOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 2,
    .run = RunUmask,
};

constinit const Command kDotCommand{
    .name = ".",
    .summary = "run the commands of a file in this shell",
    .synopsis = "FILE",
    .details =
        "A file that may be executed can also be run by its path: then in a subshell, with its\n"
        "arguments as $1, $2, ...",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 2,
    .run = RunDot,
};

}  // namespace dentree::shell
