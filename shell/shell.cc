#include "shell/shell.h"

#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;

Streams Streams::OfHost() {
  return Streams{.in = std::make_shared<HostSource>(0),
                 .out = std::make_shared<HostSink>(1),
                 .err = std::make_shared<HostSink>(2)};
}

std::string_view Version() { return DENTREE_VERSION; }

Shell::Shell(std::unique_ptr<vfs::Task> task, Streams streams, uring::Loop* via)
    : task_(std::make_unique<uring::RingTask>(std::move(task), via)),
      streams_(std::move(streams)),
      interrupt_(std::make_shared<Interrupt>(false)),
      variables_{{"HOME", "/"}},
      history_(std::make_shared<std::vector<std::string>>()) {
  streams_.in->WatchInterrupt(interrupt_);
}

Shell::Shell(const Shell& parent, Streams streams)
    : task_(parent.task_->Fork()),
      streams_(std::move(streams)),
      interrupt_(parent.interrupt_),
      variables_(parent.variables_),
      parameters_(parent.parameters_),
      history_(parent.history_),
      on_failure_(parent.on_failure_),
      last_status_(parent.last_status_),
      depth_(parent.depth_),
      place_(parent.place_) {}

Shell::~Shell() = default;

// --- variables --------------------------------------------------------------------------------

std::optional<std::string> Shell::Variable(std::string_view name) const {
  const auto found = variables_.find(name);
  if (found == variables_.end()) return std::nullopt;
  return found->second;
}

void Shell::SetVariable(std::string_view name, std::string value) {
  variables_.insert_or_assign(std::string(name), std::move(value));
}

void Shell::UnsetVariable(std::string_view name) {
  const auto found = variables_.find(name);
  if (found != variables_.end()) variables_.erase(found);
}

std::optional<std::string> Shell::Lookup(std::string_view name) const {
  if (name == "?") return std::to_string(last_status_);
  if (name == "#") return std::to_string(parameters_.size() - 1);
  if (name == "$") return std::to_string(::getpid());
  if (name.size() == 1 && name[0] >= '0' && name[0] <= '9') {
    const auto index = static_cast<size_t>(name[0] - '0');
    if (index < parameters_.size()) return parameters_[index];
    return std::nullopt;
  }
  return Variable(name);
}

void Shell::RequestExit(int status) {
  last_status_ = status;
  exiting_ = true;
}

void Shell::AddHistory(std::string line) {
  if (history_->size() == kMaxHistory) history_->erase(history_->begin());
  history_->push_back(std::move(line));
}

std::string Shell::PromptText(LineReader::Prompt prompt) {
  if (prompt == LineReader::Prompt::kContinuation) return "> ";
  return absl::StrFormat("dentree:%s%c ", task_->Getcwd().value_or("(removed)"),
                         task_->creds().uid == 0 ? '#' : '$');
}

int Shell::Complain(std::string_view message, int status) {
  (void)streams_.err->Write(
      absl::StrFormat("%s%s\n", place_.empty() ? std::string("dentree: ") : place_, message));
  last_status_ = status;
  return status;
}

// --- scripts ----------------------------------------------------------------------------------

int Shell::RunText(std::string_view text) {
  TextReader reader(text);
  return Run(reader);
}

int Shell::RunFile(const std::string& path) {
  if (depth_ == kMaxScriptDepth) {
    return Complain(
        absl::StrFormat("%s: scripts are nested more than %d deep", path, kMaxScriptDepth),
        kFailure);
  }
  auto text = task_->ReadFile(path);
  if (!text) return Complain(absl::StrFormat("%s: %s", path, ErrnoText(text.error())), kFailure);
  TextReader reader(*text, path);
  ++depth_;
  const int status = Run(reader);
  --depth_;
  return status;
}

// Runs one complete text; false: the session ends.
bool Shell::RunComplete(const LineReader& reader, const std::string& text,
                        const std::expected<Script, SyntaxError>& script) {
  if (reader.interactive() && text.find_first_not_of(" \t\n") != std::string::npos) {
    AddHistory(text.substr(0, text.size() - 1));
  }
  if (!script) {
    (void)Complain(script.error().message, kUsageError);
    return reader.interactive();
  }
  (void)RunScript(*script);
  if (reader.interactive() && interrupt_->exchange(false)) (void)streams_.out->Write("\n");
  return !exiting_;
}

int Shell::Run(LineReader& reader) {
  using Prompt = LineReader::Prompt;
  const std::string outer_place = std::exchange(place_, {});
  std::string text;  // the command so far
  size_t lines = 0;  // read before it
  for (bool more = true; more && !exiting_;) {
    const auto line = reader.ReadLine(text.empty() ? Prompt::kFirst : Prompt::kContinuation);
    more = line.has_value();
    if (!more && text.empty()) break;
    if (reader.interactive() && interrupt_->exchange(false)) {  // control-C at the prompt
      text.clear();
      last_status_ = kInterrupted;
      continue;
    }
    if (line) text += *line + "\n";
    if (!more && text.ends_with("\\\n")) text.resize(text.size() - 2);  // joined with nothing
    if (!reader.file_name().empty()) {
      place_ = absl::StrFormat("%s: line %d: ", reader.file_name(), lines + 1);
    }
    const auto script = Parse(text);
    const bool incomplete = !script && script.error().kind == SyntaxError::Kind::kIncomplete;
    if (more && incomplete) continue;
    lines += static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    more = RunComplete(reader, text, script) && more;
    text.clear();
  }
  place_ = outer_place;
  return last_status_;
}

int Shell::RunScript(const Script& script) {
  using When = Step::When;
  for (size_t i = 0; i < script.steps.size() && !exiting_; ++i) {
    const Step& step = script.steps[i];
    if (step.when == When::kAfterSuccess && last_status_ != 0) continue;
    if (step.when == When::kAfterFailure && last_status_ == 0) continue;
    if (Interrupted()) return last_status_ = kInterrupted;
    last_status_ = RunPipeline(step.pipeline);
    const bool decides = i + 1 < script.steps.size() && script.steps[i + 1].when != When::kAlways;
    const bool tested = decides || step.pipeline.result == Pipeline::Result::kInverted;
    if (last_status_ != 0 && !tested && on_failure_ == OnFailure::kExit) RequestExit(last_status_);
  }
  return last_status_;
}

int Shell::RunPipeline(const Pipeline& pipeline) {
  const int status = pipeline.commands.size() == 1 ? RunCommand(pipeline.commands[0])
                                                   : RunStages(pipeline.commands);
  if (pipeline.result == Pipeline::Result::kPlain || exiting_) return status;
  return status == 0 ? 1 : 0;
}

int Shell::RunStages(const std::vector<SimpleCommand>& commands) {
  std::vector<std::jthread> threads;
  std::shared_ptr<Source> in = streams_.in;
  for (size_t i = 0; i + 1 < commands.size(); ++i) {
    auto pipe = std::make_shared<Pipe>(*interrupt_);
    auto stage =
        std::unique_ptr<Shell>(new Shell(*this, Streams{.in = std::move(in),
                                                        .out = std::make_shared<PipeSink>(pipe),
                                                        .err = streams_.err}));
    in = std::make_shared<PipeSource>(pipe);
    threads.emplace_back(
        [command = &commands[i], stage = std::move(stage)] { (void)stage->RunCommand(*command); });
  }
  int status;
  {
    Shell last(*this, Streams{.in = std::move(in), .out = streams_.out, .err = streams_.err});
    status = last.RunCommand(commands.back());
  }  // its end of the last pipe closes here, before the others are waited for
  threads.clear();
  return status;
}

// --- one command ------------------------------------------------------------------------------

// Opens the file of one redirection; false after a message.
bool Shell::RedirectOne(const Redirection& redirection, Streams& streams) {
  const auto lookup = [this](std::string_view name) { return Lookup(name); };
  Expander expander(*task_, lookup);
  auto targets = expander.Arguments({redirection.target});
  if (!targets || targets->size() != 1) {
    (void)Complain(expander.Text(redirection.target) + ": ambiguous redirect", kFailure);
    return false;
  }
  const std::string& target = (*targets)[0];
  const bool wrong_end =
      redirection.kind == Redirection::Kind::kRead ? redirection.fd != 0 : redirection.fd == 0;
  if (redirection.fd > 2 || wrong_end) {
    (void)Complain(absl::StrFormat("%d: Bad file descriptor", redirection.fd), kFailure);
    return false;
  }
  std::shared_ptr<Sink>& sink = redirection.fd == 2 ? streams.err : streams.out;
  if (redirection.kind == Redirection::Kind::kDuplicate) {
    if (target == "1" || target == "2")
      return sink = target == "1" ? streams.out : streams.err, true;
    (void)Complain(target + ": Bad file descriptor", kFailure);
    return false;
  }
  int flags = O_RDONLY;
  if (redirection.kind == Redirection::Kind::kWrite) flags = O_WRONLY | O_CREAT | O_TRUNC;
  if (redirection.kind == Redirection::Kind::kAppend) flags = O_WRONLY | O_CREAT | O_APPEND;
  auto fd = task_->Open(target, flags, 0666);
  if (!fd) {
    (void)Complain(absl::StrFormat("%s: %s", target, ErrnoText(fd.error())), kFailure);
    return false;
  }
  if (flags == O_RDONLY) {
    streams.in = std::make_shared<TaskSource>(*task_, *fd);
  } else {
    sink = std::make_shared<TaskSink>(*task_, *fd);
  }
  return true;
}

std::optional<Streams> Shell::Redirect(const std::vector<Redirection>& redirections) {
  Streams streams = streams_;
  for (const Redirection& redirection : redirections) {
    if (!RedirectOne(redirection, streams)) return std::nullopt;
  }
  return streams;
}

int Shell::RunCommand(const SimpleCommand& command) {
  const auto lookup = [this](std::string_view name) { return Lookup(name); };
  Expander expander(*task_, lookup);
  auto argv = expander.Arguments(command.words);
  if (!argv) return Complain(ErrnoText(argv.error()), kCannotExecute);
  const auto streams = Redirect(command.redirections);
  if (!streams) return kFailure;
  std::vector<std::pair<std::string, std::optional<std::string>>> before;
  for (const Assignment& assignment : command.assignments) {
    before.emplace_back(assignment.name, Variable(assignment.name));
    SetVariable(assignment.name, expander.Text(assignment.value));
  }
  if (argv->empty()) return kSuccess;
  const int status = Dispatch(*std::move(argv), *streams);
  // `NAME=value command` is for that command only.
  for (auto old = before.rbegin(); old != before.rend(); ++old) {
    if (old->second) {
      SetVariable(old->first, *std::move(old->second));
    } else {
      UnsetVariable(old->first);
    }
  }
  return status;
}

int Shell::RunUnshared(std::vector<std::string> argv, Streams streams, int flags) {
  Shell sub(*this, streams);
  const base::Status unshared = sub.task().Unshare(flags);
  if (!unshared) {
    return Complain(absl::StrFormat("unshare failed: %s", base::ErrnoText(unshared.error())),
                    kFailure);
  }
  return sub.RunArguments(std::move(argv), std::move(streams));
}

int Shell::RunArguments(std::vector<std::string> argv, Streams streams) {
  return Dispatch(std::move(argv), std::move(streams));
}

int Shell::Dispatch(std::vector<std::string> argv, Streams streams) {
  const std::string name = argv[0];
  if (name.find('/') != std::string::npos) return RunPath(std::move(argv), std::move(streams));
  const Command* command = FindCommand(name);
  if (command == nullptr) {
    (void)streams.err->Write(absl::StrFormat(
        "%s%s: command not found\n", place_.empty() ? std::string("dentree: ") : place_, name));
    return kNotFound;
  }
  Output out(*streams.out, Buffering::kFull);
  Output err(*streams.err, Buffering::kNone);
  // What a command runs in turn (time, .) finds its streams here.
  const Streams outer = std::exchange(streams_, streams);
  Call call(*this, std::move(argv), *streams.in, out, err);
  const int status = Execute(*command, call);
  streams_ = outer;
  return status;
}

// A name with a slash is a script: run in a subshell, with its arguments as $1, $2, ...
int Shell::RunPath(std::vector<std::string> argv, Streams streams) {
  const std::string& path = argv[0];
  auto stat = task_->Stat(path);
  std::string why;
  if (!stat) why = ErrnoText(stat.error());
  if (stat && vfs::IsDir(stat->mode)) why = "Is a directory";
  if (stat && why.empty()) {
    auto may = task_->Access(path, vfs::kMayExec);
    if (!may) why = ErrnoText(may.error());
  }
  if (!why.empty()) {
    const bool missing = !stat && stat.error() == Errno::kNoEnt;
    return Complain(absl::StrFormat("%s: %s", path, why), missing ? kNotFound : kCannotExecute);
  }
  Shell script(*this, std::move(streams));
  script.SetParameters(argv);
  return script.RunFile(path);
}

}  // namespace dentree::shell
