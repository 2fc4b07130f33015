// inotifywait
#include <strings.h>
#include <sys/inotify.h>

#include <array>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"
#include "shell/wait_internal.h"

namespace dentree::shell {

namespace {

constexpr int kTimedOutStatus = 2;

constexpr Option kInotifywaitOptions[] = {
    {'m', "monitor", "go on after the first event, until control-C"},
    {'e', "event", "listen for EVENT only; may be given more than once", "EVENT"},
    {'c', "csv", "print events as comma-separated values"},
    {'q', "quiet", "print events only"},
    {'t', "timeout", "give up when nothing has come for so long", "SECONDS"},
};

struct EventName {
  uint32_t mask;
  std::string_view name;  // as it is printed; case does not matter where it is given
};
// In the order in which inotify-tools prints them.
constexpr EventName kEventNames[] = {
    {IN_ACCESS, "ACCESS"},
    {IN_MODIFY, "MODIFY"},
    {IN_ATTRIB, "ATTRIB"},
    {IN_CLOSE_WRITE, "CLOSE_WRITE"},
    {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
    {IN_OPEN, "OPEN"},
    {IN_MOVED_FROM, "MOVED_FROM"},
    {IN_MOVED_TO, "MOVED_TO"},
    {IN_CREATE, "CREATE"},
    {IN_DELETE, "DELETE"},
    {IN_DELETE_SELF, "DELETE_SELF"},
    {IN_UNMOUNT, "UNMOUNT"},
    {IN_Q_OVERFLOW, "Q_OVERFLOW"},
    {IN_IGNORED, "IGNORED"},
    {IN_CLOSE, "CLOSE"},
    {IN_MOVE_SELF, "MOVE_SELF"},
    {IN_ISDIR, "ISDIR"},
};

std::string NamesOf(uint32_t mask) {
  std::string text;
  for (const EventName& event : kEventNames) {
    if (mask & event.mask) text += (text.empty() ? "" : ",") + std::string(event.name);
  }
  return text;
}

// 0: there is no such event.
uint32_t MaskOf(const std::string& name) {
  if (::strcasecmp(name.c_str(), "move") == 0) return IN_MOVE;
  for (const EventName& event : kEventNames) {
    const bool asked = event.mask & (IN_ALL_EVENTS | IN_UNMOUNT);
    if (asked && ::strcasecmp(name.c_str(), std::string(event.name).c_str()) == 0) {
      return event.mask;
    }
  }
  return 0;
}

// A field of comma-separated values.
std::string Csv(const std::string& text) {
  const bool plain =
      text.find_first_of(",\"\n") == text.npos && !text.starts_with(' ') && !text.ends_with(' ');
  if (plain) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

class Watcher {
 public:
  Watcher(Call& call, int fd, uint32_t mask) : call_(call), fd_(fd), mask_(mask) {}

  // False after a message.
  bool Add(const std::string& path) {
    const auto wd = call_.task().InotifyAddWatch(fd_, path, mask_ != 0 ? mask_ : IN_ALL_EVENTS);
    if (!wd) {
      (void)call_.err.Put(
          absl::StrFormat("Couldn't watch %s: %s\n", path, base::ErrnoText(wd.error())));
      return false;
    }
    const auto attr = call_.task().Stat(path);
    const bool dir = attr && vfs::IsDir(attr->mode);
    paths_[*wd] = dir && !path.ends_with('/') ? path + "/" : path;
    return true;
  }

  // Prints what comes: the first event, or all until the command is to stop. The exit status.
  int Run() {
    std::array<std::byte, 4096> buffer;
    for (;;) {
      const auto n = RetryWoken(call_, DeadlineNow(), [&](vfs::Waiter* waiter) {
        return call_.task().ReadNowait(fd_, buffer, waiter);
      });
      if (!n && n.error() == base::Errno::kTimedOut) return kTimedOutStatus;
      if (!n && n.error() == base::Errno::kIntr) return kInterrupted;
      if (!n) return call_.Fail("read", n.error());
      for (size_t at = 0; at < *n;) {
        inotify_event head;
        std::memcpy(&head, buffer.data() + at, sizeof(head));
        const auto* const name = reinterpret_cast<const char*>(buffer.data() + at + sizeof(head));
        at += sizeof(head) + head.len;
        const bool asked = mask_ == 0 || (head.mask & mask_);
        if (asked) Print(head, std::string(name, ::strnlen(name, head.len)));
        if (!call_.Has('m')) return asked ? kSuccess : kFailure;
      }
      call_.out.Flush();
    }
  }

  void set_seconds(double seconds) { seconds_ = seconds; }

 private:
  Deadline DeadlineNow() const {
    if (!seconds_) return {};
    using SteadyClock = std::chrono::steady_clock;
    const std::chrono::duration<double> wait(std::min(*seconds_, 1e9));
    return SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(wait);
  }

  void Print(const inotify_event& event, const std::string& name) {
    const std::string& path = paths_[event.wd];
    const std::string what = NamesOf(event.mask);
    call_.out.Put(call_.Has('c') ? absl::StrFormat("%s,%s,%s\n", Csv(path), Csv(what), Csv(name))
                                 : absl::StrFormat("%s %s %s\n", path, what, name));
  }

  Call& call_;
  const int fd_;
  const uint32_t mask_;               // 0: all
  std::optional<double> seconds_;     // nothing: no end
  std::map<int, std::string> paths_;  // by watch descriptor
};

// Nothing after a message; 0: all.
std::optional<uint32_t> AskedEvents(Call& call) {
  uint32_t mask = 0;
  for (const Arguments::Given& given : call.args.options) {
    if (given.id != 'e') continue;
    std::string_view rest = given.value;
    while (!rest.empty()) {
      const std::string name(base::NextToken(rest, ','));
      const uint32_t event = MaskOf(name);
      if (event == 0) {
        call.err.Put(
            absl::StrFormat("'%s' is not a valid event!  See the man page for the list "
                            "of events.\n",
                            name));
        return std::nullopt;
      }
      mask |= event;
    }
  }
  return mask;
}

int WatchAll(Call& call, Watcher& watcher) {
  if (const auto text = call.args.Value('t')) {
    const auto seconds = ParseInterval(*text);
    if (!seconds) return call.FailUsage(absl::StrFormat("invalid timeout value: '%s'", *text));
    if (*seconds > 0) watcher.set_seconds(*seconds);
  }
  if (!call.Has('q')) call.err.Put("Setting up watches.\n");
  for (const std::string& path : call.operands()) {
    if (!watcher.Add(path)) return kFailure;
  }
  if (!call.Has('q')) call.err.Put("Watches established.\n");
  return watcher.Run();
}

int RunInotifywait(Call& call) {
  const auto mask = AskedEvents(call);
  if (!mask) return kFailure;
  if (call.operands().empty()) {
    call.err.Put("No files specified to watch!\n");
    return kFailure;
  }
  const auto fd = call.task().InotifyInit(0);
  if (!fd) {
    call.err.Put(absl::StrFormat("Couldn't initialize inotify: %s\n", base::ErrnoText(fd.error())));
    return kFailure;
  }
  Watcher watcher(call, *fd, *mask);
  const int status = WatchAll(call, watcher);
  (void)call.task().Close(*fd);
  return status;
}

}  // namespace

constinit const Command kInotifyCommand{
    .name = "inotifywait",
    .summary = "wait for changes of files",
    .synopsis = "[OPTION]... FILE...",
    .details =
        "Waits for an event of one of the FILEs, prints it and exits: the FILE as it was given, "
        "what\n"
        "happened, and the name, for what is in a directory. EVENT is one or more, with commas, "
        "of\n"
        "access, modify, attrib, close_write, close_nowrite, close, open, moved_to, moved_from,\n"
        "move, move_self, create, delete, delete_self, unmount. Exits with 1 if something else\n"
        "happened, with 2 after SECONDS without an event.",
    .options = kInotifywaitOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunInotifywait,
};

}  // namespace dentree::shell
