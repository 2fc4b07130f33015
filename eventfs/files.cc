#include "eventfs/files_internal.h"

#include "absl/strings/str_format.h"
#include "base/string_util.h"

namespace dentree::eventfs {

using base::Err;
using kernfs::OpenFile;
using trace::EnableState;
using trace::Event;
using trace::Switch;
using trace::System;

namespace {

// Expressions longer than this are refused, as by Linux.
constexpr size_t kMaxFilterBytes = 4096;

Event& EventOf(const OpenFile& file) { return file.priv_as<Event>(); }
System& SystemOf(const OpenFile& file) { return file.priv_as<System>(); }
trace::Instance& InstanceOf(const OpenFile& file) { return HostOf(file).instance; }

std::string StateText(EnableState state) { return {trace::EnableStateChar(state), '\n'}; }

// An event has no filter until somebody sets one, and "0" takes it away. There is no language to
// set one in yet, so any expression has an error in it.
Status StoreFilter(std::string_view command) {
  if (command.size() >= kMaxFilterBytes || base::Trim(command) != "0") return Err(Errno::kInval);
  return {};
}

// The names a trigger may begin with. Those of histograms are there where histograms are.
constexpr std::string_view kTriggers[] = {"traceon", "traceoff", "stacktrace", "enable_event",
                                          "disable_event"};
constexpr std::string_view kHistTriggers[] = {"enable_hist", "disable_hist", "hist"};

template <class Visit>
void ForEachTrigger(Extras extras, Visit visit) {
  for (std::string_view name : kTriggers) visit(name);
  if (!Has(extras, Extras::kHist)) return;
  for (std::string_view name : kHistTriggers) visit(name);
}

}  // namespace

Result<Switch> ParseSwitch(std::string_view command) {
  switch (TRY(base::ParseControlU64(command))) {
    case 0:
      return Switch::kOff;
    case 1:
      return Switch::kOn;
    default:
      return Err(Errno::kInval);
  }
}

// --- An event's --------------------------------------------------------------------------------

Result<std::string> EventEnable::Show(OpenFile& file) const {
  return StateText(InstanceOf(file).StateOf(EventOf(file)));
}

Status EventEnable::Store(OpenFile& file, std::string_view command) const {
  return InstanceOf(file).Set(EventOf(file), TRY(ParseSwitch(command)));
}

Result<std::string> EventFilter::Show(OpenFile&) const { return "none\n"; }

Status EventFilter::Store(OpenFile&, std::string_view command) const {
  return StoreFilter(command);
}

Result<std::string> EventTrigger::Show(OpenFile& file) const {
  std::string text = "# Available triggers:\n#";
  ForEachTrigger(HostOf(file).extras,
                 [&text](std::string_view name) { text.append(" ").append(name); });
  return text += '\n';
}

// "!name" takes a trigger away: fine, the event has none. Setting one needs what is triggered,
// which is not there yet.
Status EventTrigger::Store(OpenFile& file, std::string_view command) const {
  if (command.empty()) return {};
  command = base::Trim(command);
  if (!command.starts_with('!')) return Err(Errno::kInval);
  const std::string_view name = command.substr(1, command.find_first_of(": \t") - 1);
  bool known = false;
  ForEachTrigger(HostOf(file).extras, [&](std::string_view t) { known = known || t == name; });
  if (!known) return Err(Errno::kInval);
  return {};
}

Result<std::string> EventFormat::Show(OpenFile& file) const {
  return trace::FormatText(EventOf(file));
}

Result<std::string> EventId::Show(OpenFile& file) const {
  return absl::StrFormat("%d\n", EventOf(file).type());
}

Result<std::string> EventHist::Show(OpenFile&) const { return std::string(); }

// --- A system's --------------------------------------------------------------------------------

Result<std::string> SystemEnable::Show(OpenFile& file) const {
  return StateText(InstanceOf(file).StateOf(SystemOf(file)));
}

Status SystemEnable::Store(OpenFile& file, std::string_view command) const {
  return InstanceOf(file).Set(SystemOf(file), TRY(ParseSwitch(command)));
}

Result<std::string> SystemFilter::Show(OpenFile&) const {
  return "### global filter ###\n"
         "# Use this to set filters for multiple events.\n"
         "# Only events with the given fields will be affected.\n"
         "# If no events are modified, an error message will be displayed here\n";
}

Status SystemFilter::Store(OpenFile&, std::string_view command) const {
  return StoreFilter(command);
}

// --- All events' -------------------------------------------------------------------------------

Result<std::string> TopEnable::Show(OpenFile& file) const {
  return StateText(InstanceOf(file).State());
}

Status TopEnable::Store(OpenFile& file, std::string_view command) const {
  return InstanceOf(file).SetAll(TRY(ParseSwitch(command)));
}

Result<std::string> HeaderPage::Show(OpenFile& file) const {
  return trace::HeaderPageText(HostOf(file).subbuf_bytes.load(std::memory_order_relaxed));
}

Result<std::string> HeaderEvent::Show(OpenFile&) const {
  return std::string(trace::HeaderEventText());
}

}  // namespace dentree::eventfs
