// Host: what a tracing directory tells the events/ directory in it.
#pragma once

#include <atomic>
#include <cstdint>

#include "kernfs/kernfs.h"
#include "trace/trace.h"

namespace dentree::eventfs {

// Files that events have only where somebody asked for them, as Linux's build options do.
enum class Extras : uint8_t { kNone = 0, kHist = 1, kInject = 2 };
constexpr Extras operator|(Extras a, Extras b) {
  return static_cast<Extras>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr bool Has(Extras set, Extras extra) {
  return (static_cast<uint8_t>(set) & static_cast<uint8_t>(extra)) != 0;
}

// The priv, as Host*, of each listed node that has an events/ in its table: the top of a tracefs,
// and each instance. Nothing else below has state of an instance, so that an operation finds it by
// its domain.
//
// Thread safety: constant but what is atomic. Lifetime: outlives its node.
struct Host {
  Host(trace::Registry& r, trace::Instance& i, Extras e) : registry(r), instance(i), extras(e) {}
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  bool is_top() const { return &instance == &registry.top(); }

  trace::Registry& registry;
  trace::Instance& instance;
  const Extras extras;
  std::atomic<uint32_t> subbuf_bytes{4096};  // of a page of the ring buffer
};

inline Host& HostOf(const kernfs::Node& domain) { return domain.priv_as<Host>(); }
inline Host& HostOf(const kernfs::OpenFile& file) { return HostOf(file.domain()); }

}  // namespace dentree::eventfs
