#pragma once

#include "base/stats.h"

namespace dentree::trace {

// What a Registry counts about itself.
struct TraceStats {
  base::Gauge systems;
  base::Gauge events;
  base::Gauge instances;
  base::Gauge enabled;
  base::Counter removed;
  base::Counter nested;
};

inline constexpr auto kTraceFields = base::Fields(
    base::F<&TraceStats::systems>("systems", "Systems that have events", base::StatKind::kInstant),
    base::F<&TraceStats::events>("events", "Events that can be found", base::StatKind::kInstant),
    base::F<&TraceStats::instances>("instances", "Tracing instances, the top one included",
                                    base::StatKind::kInstant),
    base::F<&TraceStats::enabled>("enabled",
                                  "Pairs of an event and an instance that has it enabled",
                                  base::StatKind::kInstant),
    base::F<&TraceStats::removed>("removed", "Events removed", base::StatKind::kCumulative),
    base::F<&TraceStats::nested>("nested", "Records dropped because their thread was writing one",
                                 base::StatKind::kCumulative));

}  // namespace dentree::trace
