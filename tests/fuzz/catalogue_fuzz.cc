// Any bytes as an event catalogue: it is loaded whole or refused with its reason.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "trace/trace.h"

using namespace dentree;

namespace {

size_t CountEvents(const trace::Registry& registry) {
  base::RcuReadGuard guard(registry.rcu());
  size_t events = 0;
  for (uint64_t id = 0; const trace::Event* event = registry.NextEvent(id); ++events) {
    id = event->id();
    const std::string text = trace::FormatText(*event);
    CHECK(text.starts_with("name: ") && text.find("\nprint fmt: ") != text.npos);
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  base::RcuDomain rcu;
  base::FaultInjector faults;
  base::SyncPoints points;
  {
    trace::Registry registry(
        {.rcu = rcu, .faults = faults, .sync_points = points, .key = {{1, 2}}});
    const size_t before = CountEvents(registry);
    const auto loaded = trace::LoadCatalogue(registry, {reinterpret_cast<const char*>(data), size});
    const size_t after = CountEvents(registry);
    if (loaded) {
      CHECK(after == before + loaded->events);
    } else {
      CHECK(after == before, "all or nothing");
      CHECK(!loaded.error().reason.empty() && !loaded.error().ToString().empty());
    }
  }
  rcu.Drain();
  return 0;
}
