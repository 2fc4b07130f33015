// Workloads that nobody recorded: what a cache of negatives finds hard, and who wants to break it.
//
// Every one is made from a seed alone: the same seed, the same events, on every machine. A `Mix`
// puts junk between the events of another trace, in names below /junk: a policy is judged by what
// that does to all other names, the useful ones.
//
// Thread safety: functions of their arguments.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string_view>

#include "lab/trace.h"

namespace dentree::lab {

inline constexpr std::string_view kJunk = "/junk/";

// --- alone ---

// `count` names, each looked up once, in one directory.
Trace UniqueNames(uint64_t count);
// `count` lookups in one directory: 90 % of names that come once, the others of `hot` names by
// Zipf's law (exponent 1).
Trace ZipfInOneDirectory(uint64_t count, uint64_t hot, uint64_t seed);
// `names` names of one directory, in turn, `rounds` times.
Trace Loop(uint64_t names, uint64_t rounds);
// A name that is looked up, made and removed, again and again, as a lock file is.
Trace FlipFlop(uint64_t rounds);
// `hot` names are looked up twice, then `scan` others once, then the hot ones again: half of the
// hits that are possible are for who still knows them.
Trace Survive(uint64_t hot, uint64_t scan);
// What a compiler does with `files` files, each of which includes `headers` headers (some of 4,000,
// a few of them in most files), searched for in `directories` directories.
Trace Compiler(uint64_t files, uint64_t headers, uint64_t directories, uint64_t seed);

// --- mixes ---

struct Mix {
  enum class Kind : uint8_t {
    kScan,        // names in one directory, each `times` times in a row
    kSpread,      // the same, over 5,000 directories
    kGhosts,      // each name comes again once it has been evicted: refaults that earn nothing
    kNss,         // bursts of 1,000 names, as a library that times its file system makes them
    kTemporary,   // three lookups of a name, which is then made and removed
    kShortTasks,  // as kScan, but a new process for every 50 names
    kTrickle,     // a name now and then: one for every 20 misses of the trace
  };
  Kind kind;
  uint64_t ratio = 1;  // pieces of junk for each miss of the trace; kTrickle has its own
  uint64_t times = 1;
};
// `trace` with junk among it, called "TRACE+WHAT".
Trace Mixed(const Trace& trace, const Mix& mix);

// A developer's day: all traces of short programs, four times over. Nothing if there is none.
Trace DeveloperDay(std::span<const Trace> traces);

}  // namespace dentree::lab
