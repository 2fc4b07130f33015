// Shell: what a person types becomes calls on a Task. Umbrella of the shell room.
//
//     Shell shell(std::make_unique<vfs::Task>(vfs, vfs::Creds::Root()), Streams::OfHost());
//     int status = shell.RunText("mkdir -p /a/b && echo hello > /a/b/c; cat /a/b/*");
//
// The commands of a pipeline run at the same time, each in a thread of its own (the last in the
// caller's) with a subshell: a copy of the variables and a forked Task. Between them are pipes of
// kPipeCapacity bytes, so `cat trace_pipe | head -n 3` ends and memory is bounded.
//
// Thread safety: a Shell belongs to one thread; Interrupted() may be called from any. Lifetime: the
// Vfs outlives it; pipeline threads end before Run returns.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/base.h"
#include "shell/command.h"
#include "shell/expand.h"
#include "shell/line_reader.h"
#include "shell/options.h"
#include "shell/stream.h"
#include "shell/stress.h"
#include "shell/syntax.h"
#include "uring/ring_task.h"
#include "vfs/vfs.h"

namespace dentree::shell {

// Scripts that read scripts (`. FILE`) at most; beyond is an error, not a crash.
inline constexpr int kMaxScriptDepth = 16;
// Lines that `history` remembers.
inline constexpr size_t kMaxHistory = 1000;

struct Streams {
  std::shared_ptr<Source> in;
  std::shared_ptr<Sink> out;
  std::shared_ptr<Sink> err;

  // Descriptors 0, 1 and 2 of the process.
  static Streams OfHost();
};

// "0.1.0"
std::string_view Version();

class Shell {
 public:
  // `via`: the loop that makes its system calls, which outlives it; null: its threads make them.
  Shell(std::unique_ptr<vfs::Task> task, Streams streams, uring::Loop* via = nullptr);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  uring::RingTask& task() { return *task_; }
  const Streams& streams() const { return streams_; }

  // Runs text, command by command as it is completed by its lines, and returns the exit status of
  // the last one. An error of syntax ends it with kUsageError.
  int RunText(std::string_view text);
  // The same for what a reader gives, until its end or `exit`.
  int Run(LineReader& reader);
  // The same for a file of the Task, in this shell.
  int RunFile(const std::string& path);
  // One command that is already split into arguments.
  int RunArguments(std::vector<std::string> argv, Streams streams);
  // The same in a subshell that unshares first (Task::Unshare).
  int RunUnshared(std::vector<std::string> argv, Streams streams, int flags);

  // --- what the commands of the shell itself change ---
  std::optional<std::string> Variable(std::string_view name) const;
  void SetVariable(std::string_view name, std::string value);
  void UnsetVariable(std::string_view name);
  const std::map<std::string, std::string, std::less<>>& variables() const { return variables_; }
  // $0, $1, ...
  void SetParameters(std::vector<std::string> parameters) { parameters_ = std::move(parameters); }

  int last_status() const { return last_status_; }
  void RequestExit(int status);
  bool exiting() const { return exiting_; }
  enum class OnFailure : uint8_t { kContinue, kExit };
  void set_on_failure(OnFailure on_failure) { on_failure_ = on_failure; }

  // "dentree:/proc# " ($ for others than root), "> " in the middle of a command.
  std::string PromptText(LineReader::Prompt prompt);

  const std::vector<std::string>& history() const { return *history_; }
  void AddHistory(std::string line);

  // The user pressed control-C, or nothing of it is left.
  Interrupt& interrupt() { return *interrupt_; }
  bool Interrupted() const { return interrupt_->load(std::memory_order_relaxed); }

 private:
  // A subshell for one command of a pipeline.
  Shell(const Shell& parent, Streams streams);

  bool RunComplete(const LineReader& reader, const std::string& text,
                   const std::expected<Script, SyntaxError>& script);
  int RunScript(const Script& script);
  int RunPipeline(const Pipeline& pipeline);
  int RunStages(const std::vector<SimpleCommand>& commands);
  int RunCommand(const SimpleCommand& command);
  int Dispatch(std::vector<std::string> argv, Streams streams);
  int RunPath(std::vector<std::string> argv, Streams streams);
  std::optional<Streams> Redirect(const std::vector<Redirection>& redirections);
  bool RedirectOne(const Redirection& redirection, Streams& streams);
  std::optional<std::string> Lookup(std::string_view name) const;
  // "dentree: <message>", with the line in a script; returns `status`.
  int Complain(std::string_view message, int status);

  std::unique_ptr<uring::RingTask> task_;
  Streams streams_;
  std::shared_ptr<Interrupt> interrupt_;
  std::map<std::string, std::string, std::less<>> variables_;
  std::vector<std::string> parameters_{"dentree"};
  std::shared_ptr<std::vector<std::string>> history_;  // subshells look at their parent's
  OnFailure on_failure_ = OnFailure::kContinue;
  int last_status_ = 0;
  int depth_ = 0;
  bool exiting_ = false;
  std::string place_;  // "script.sh: line 3: " while a file is run
};

}  // namespace dentree::shell
