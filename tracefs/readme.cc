#include "tracefs/controls_internal.h"

namespace dentree::tracefs {

constexpr std::string_view kReadme =
    R"(Tracing, as files.

# echo 1 > events/enable                     enable all events
# echo 1 > events/SYSTEM/EVENT/enable        enable one
# echo SYSTEM:EVENT >> set_event             the same
# echo '!SYSTEM:' >> set_event               disable all of a system
# echo > set_event                           disable everything
# echo 0 > tracing_on                        keep no records for a while
# mkdir instances/NAME                       a tracing directory of its own
# rmdir instances/NAME                       and away again

Here and in each instance:
  events/                  the events, by system: enable, filter, trigger, format, id
  set_event                those that are enabled
  tracing_on               whether records are kept
  trace, trace_pipe        the records as text: to look at, to consume
  per_cpu/                 the same for each processor, with trace_pipe_raw and stats
  trace_marker             what is written here becomes a record
  trace_options, options/  how records are made and printed
  trace_clock              where their time comes from
  buffer_size_kb           memory for them, of each processor
  instances/               (here only) further tracing directories
  available_events         (here only) events that can be enabled
)";

}  // namespace dentree::tracefs
