// The table of commands.
#include <algorithm>

#include "shell/commands_internal.h"

namespace dentree::shell {

namespace {

constexpr const Command* kTable[] = {
    &kDotCommand,       &kBracketCommand,    &kCatCommand,      &kCdCommand,
    &kChattrCommand,    &kChmodCommand,      &kChownCommand,    &kCpCommand,
    &kDfCommand,        &kDropCachesCommand, &kEchoCommand,     &kExitCommand,
    &kFallocateCommand, &kFalseCommand,      &kFindCommand,     &kFlockCommand,
    &kGetfattrCommand,  &kGrepCommand,       &kHeadCommand,     &kHelpCommand,
    &kHistoryCommand,   &kIdCommand,         &kInotifyCommand,  &kLabCommand,
    &kLnCommand,        &kLsCommand,         &kLsattrCommand,   &kMemoryCommand,
    &kMkdirCommand,     &kMkfifoCommand,     &kMknodCommand,    &kMountCommand,
    &kMvCommand,        &kPrintfCommand,     &kPwdCommand,      &kRmCommand,
    &kRmdirCommand,     &kSetCommand,        &kSetfattrCommand, &kSleepCommand,
    &kStatCommand,      &kStressCommand,     &kSyncCommand,     &kTailCommand,
    &kTestCommand,      &kTimeCommand,       &kTopCommand,      &kTouchCommand,
    &kTreeCommand,      &kTrueCommand,       &kTruncateCommand, &kUmaskCommand,
    &kUmountCommand,    &kUnsetCommand,      &kUnshareCommand,  &kWcCommand,
    &kWhoamiCommand};

}  // namespace

std::span<const Command* const> Commands() { return kTable; }

const Command* FindCommand(std::string_view name) {
  const auto found = std::ranges::lower_bound(kTable, name, {}, &Command::name);
  return found != std::end(kTable) && (*found)->name == name ? *found : nullptr;
}

}  // namespace dentree::shell
