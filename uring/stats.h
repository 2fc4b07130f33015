// What a loop counts.
#pragma once

#include "base/base.h"

namespace dentree::uring {

// Thread safety: any thread reads. Lifetime: its Loop's.
struct LoopStats {
  base::Counter requests, batches, enters, wakeups;
  base::Counter parks, retries, park_refused, canceled, queue_full;
  base::Gauge parked, queues;
  base::HighWater parked_high, queues_high;
};

inline constexpr auto kLoopFields = base::Fields(
    base::F<&LoopStats::requests>("requests", "Requests completed", base::StatKind::kCumulative),
    base::F<&LoopStats::batches>("batches", "Times a queue was found with requests in it",
                                 base::StatKind::kCumulative),
    base::F<&LoopStats::enters>("enters", "Calls of io_uring_enter", base::StatKind::kCumulative),
    base::F<&LoopStats::wakeups>("wakeups", "Times the loop was asleep and was woken",
                                 base::StatKind::kCumulative),
    base::F<&LoopStats::parks>("parks", "Requests that had to wait", base::StatKind::kCumulative),
    base::F<&LoopStats::retries>("retries", "Parked requests tried again",
                                 base::StatKind::kCumulative),
    base::F<&LoopStats::park_refused>("park_refused", "Requests that had no room to wait (ENOBUFS)",
                                      base::StatKind::kCumulative),
    base::F<&LoopStats::canceled>("canceled", "Requests ended with ECANCELED",
                                  base::StatKind::kCumulative),
    base::F<&LoopStats::queue_full>("queue_full", "Pushes that found their queue full (EAGAIN)",
                                    base::StatKind::kCumulative),
    base::F<&LoopStats::parked>("parked", "Requests that wait now", base::StatKind::kInstant),
    base::F<&LoopStats::queues>("queues", "Queues attached now", base::StatKind::kInstant),
    base::F<&LoopStats::parked_high, &LoopStats::parked>(
        "parked_high", "The most that waited at once", base::StatKind::kHighWater),
    base::F<&LoopStats::queues_high, &LoopStats::queues>(
        "queues_high", "The most queues attached at once", base::StatKind::kHighWater));

}  // namespace dentree::uring
