// What a loop counts.
#pragma once

#include "base/base.h"

namespace dentree::uring {

// Thread safety: any thread reads. Lifetime: its Loop's.
struct LoopStats {
  base::Counter requests, batches, enters, wakeups;
  base::Counter parks, retries, park_refused, canceled, queue_full;
  base::Counter punted, moves, move_waits;
  base::Gauge parked, queues, punts, workers, moving;
  base::HighWater parked_high, queues_high, punts_high, moving_high;
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
        "queues_high", "The most queues attached at once", base::StatKind::kHighWater),
    base::F<&LoopStats::punted>("punted", "Requests given to workers, who may wait",
                                base::StatKind::kCumulative),
    base::F<&LoopStats::punts>("punts", "Requests that workers have now, or that wait for one",
                               base::StatKind::kInstant),
    base::F<&LoopStats::punts_high, &LoopStats::punts>("punts_high", "The most there were at once",
                                                       base::StatKind::kHighWater),
    base::F<&LoopStats::workers>("workers", "Worker threads", base::StatKind::kInstant),
    base::F<&LoopStats::moves>("moves", "Reads and writes given to the kernel's ring",
                               base::StatKind::kCumulative),
    base::F<&LoopStats::move_waits>(
        "move_waits", "Requests that waited for a place there, or for their file's position",
        base::StatKind::kCumulative),
    base::F<&LoopStats::moving>("moving", "Reads and writes that the kernel has now",
                                base::StatKind::kInstant),
    base::F<&LoopStats::moving_high, &LoopStats::moving>(
        "moving_high", "The most that it had at once", base::StatKind::kHighWater));

}  // namespace dentree::uring
