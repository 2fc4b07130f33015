// Makes a recording into something that can be replayed: what the file system holds when it begins,
// and events that agree with that and with each other.
//
// A name whose first event finds it was there before, and so was every directory above a name. A
// recorder does not see everything (a directory renamed with all that is below it): where a trace
// contradicts itself, a mkdir, create, unlink or rmdir is put in, and counted as a repair. A create
// or mkdir of what is there becomes the lookup that it was.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/trace.h"

namespace dentree::lab {

struct Prepared {
  struct Name {
    std::string path;
    bool dir;
  };
  std::vector<Name> names;         // there at the beginning; without the root
  std::vector<std::string> paths;  // of the repairs: Event::path counts on from the trace's own
  std::vector<Event> events;
  uint64_t misses = 0;   // lookups that find nothing, and creations
  uint64_t repairs = 0;  // of the events

  const std::string& PathOf(const Trace& trace, const Event& event) const {
    const size_t own = trace.paths().size();
    return event.path < own ? trace.paths()[event.path] : paths[event.path - own];
  }
};

Prepared Prepare(const Trace& trace);

}  // namespace dentree::lab
