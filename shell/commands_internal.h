// The rows of the command table, each defined beside its function, and what several of them share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shell/command.h"

namespace dentree::shell {

extern const Command kBracketCommand;     // commands_test.cc
extern const Command kCatCommand;         // commands_text.cc
extern const Command kCdCommand;          // commands_shell.cc
extern const Command kChattrCommand;      // commands_xattr.cc
extern const Command kChmodCommand;       // commands_attr.cc
extern const Command kChownCommand;       // commands_attr.cc
extern const Command kCpCommand;          // commands_copy.cc
extern const Command kDfCommand;          // commands_mount.cc
extern const Command kDotCommand;         // commands_shell.cc
extern const Command kDropCachesCommand;  // commands_mount.cc
extern const Command kEchoCommand;        // commands_print.cc
extern const Command kExitCommand;        // commands_shell.cc
extern const Command kFallocateCommand;   // commands_space.cc
extern const Command kFalseCommand;       // commands_misc.cc
extern const Command kFindCommand;        // commands_find.cc
extern const Command kFlockCommand;       // commands_lock.cc
extern const Command kGetfattrCommand;    // commands_xattr.cc
extern const Command kGrepCommand;        // commands_grep.cc
extern const Command kHeadCommand;        // commands_text.cc
extern const Command kHelpCommand;        // commands_shell.cc
extern const Command kHistoryCommand;     // commands_shell.cc
extern const Command kIdCommand;          // commands_misc.cc
extern const Command kInotifyCommand;     // commands_notify.cc
extern const Command kLabCommand;         // commands_lab.cc
extern const Command kLnCommand;          // commands_files.cc
extern const Command kLsattrCommand;      // commands_xattr.cc
extern const Command kLsCommand;          // commands_list.cc
extern const Command kMemoryCommand;      // commands_memory.cc
extern const Command kMkdirCommand;       // commands_files.cc
extern const Command kMkfifoCommand;      // commands_space.cc
extern const Command kMknodCommand;       // commands_space.cc
extern const Command kMountCommand;       // commands_mount.cc
extern const Command kMvCommand;          // commands_copy.cc
extern const Command kPrintfCommand;      // commands_print.cc
extern const Command kPwdCommand;         // commands_shell.cc
extern const Command kRmCommand;          // commands_files.cc
extern const Command kRmdirCommand;       // commands_files.cc
extern const Command kSetCommand;         // commands_shell.cc
extern const Command kSetfattrCommand;    // commands_xattr.cc
extern const Command kSleepCommand;       // commands_misc.cc
extern const Command kStatCommand;        // commands_stat.cc
extern const Command kStressCommand;      // commands_misc.cc
extern const Command kSyncCommand;        // commands_mount.cc
extern const Command kTailCommand;        // commands_text.cc
extern const Command kTestCommand;        // commands_test.cc
extern const Command kTimeCommand;        // commands_misc.cc
extern const Command kTopCommand;         // commands_top.cc
extern const Command kTouchCommand;       // commands_attr.cc
extern const Command kTreeCommand;        // commands_tree.cc
extern const Command kTrueCommand;        // commands_misc.cc
extern const Command kTruncateCommand;    // commands_space.cc
extern const Command kUmaskCommand;       // commands_shell.cc
extern const Command kUmountCommand;      // commands_mount.cc
extern const Command kUnsetCommand;       // commands_shell.cc
extern const Command kUnshareCommand;     // commands_mount.cc
extern const Command kWcCommand;          // commands_text.cc
extern const Command kWhoamiCommand;      // commands_misc.cc

// Directories that recursive commands descend at most.
inline constexpr size_t kMaxTreeDepth = 256;

// A file opened for reading, or the command's own input for "-"; null after "NAME: FILE: reason".
struct Input {
  std::unique_ptr<Source> owned;
  Source* source = nullptr;
};
std::optional<Input> OpenInput(Call& call, const std::string& path);

// A new mode from "755", "u+x,go-w" or "=r" as chmod and mkdir -m take it; `umask` holds back what
// a clause without u, g, o or a would set. kInval: no mode.
base::Result<vfs::Mode> ParseMode(std::string_view text, vfs::Mode old, vfs::Mode umask);

// "0.5", "2m": seconds; nothing if it is no interval.
std::optional<double> ParseInterval(std::string_view text);
// Waits, by the host's clock, that long or until the command is to stop.
void SleepUnlessStopped(const Call& call, double seconds);

// 'path', as messages show it.
std::string Quote(std::string_view path);

// Copies src, whatever it is, to the name dst, keeping mode and times: mv between file systems.
// False after messages.
bool CopyTree(Call& call, const std::string& src, const std::string& dst);
// Removes a path and everything below it; false after messages "cannot remove 'x': reason".
bool RemoveTree(Call& call, const std::string& path);

}  // namespace dentree::shell
