// What every operation of the library pays again and again: read sections, deferred frees,
// counters.
#include "base/base.h"

#include <urcu/urcu-memb.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "bench/harness.h"

namespace dentree {
namespace {

using base::RcuDomain;
using base::RcuHead;
using base::RcuReadGuard;

void MeasureReadSections(const bench::Report& report) {
  RcuDomain domain;
  std::shared_mutex mutex;
  urcu_memb_register_thread();
  bench::Experiment experiment(report.rounds());
  const auto& ours = experiment.Add("RcuReadGuard", [&](uint64_t n) {
    while (n--) RcuReadGuard guard(domain);
  });
  experiment.Add("liburcu-memb, called", [](uint64_t n) {
    while (n--) {
      urcu_memb_read_lock();
      urcu_memb_read_unlock();
    }
  });
  experiment.Add("std::shared_mutex, shared", [&](uint64_t n) {
    while (n--) std::shared_lock lock(mutex);
  });
  experiment.Run();
  urcu_memb_unregister_thread();
  report.Table("enter and leave a read section", experiment);
  report.Goal("G23", "read section", ours.median(), "ns", bench::AtMost(0.5));
}

// An object that a type-stable cache would hand out: freeing it is a push, so that what is measured
// is the deferral and not an allocator.
struct Stable {
  RcuHead rcu;
  Stable* next_free;
  Stable** free_list;
  char payload[104];
};

void MakeFree(RcuHead* head) {
  Stable* object = base::ObjectOf<Stable, RcuHead, &Stable::rcu>(head);
  object->next_free = *object->free_list;
  *object->free_list = object;
}

void MeasureDeferredFree(const bench::Report& report) {
  constexpr size_t kObjects = 4 * RcuDomain::kBatchCallbacks;
  RcuDomain domain;
  Stable* free_list = nullptr;
  std::vector<Stable> objects(kObjects);
  for (Stable& object : objects) {
    object.free_list = &free_list;
    MakeFree(&object.rcu);
  }
  bench::Experiment experiment(report.rounds());
  const auto& ours = experiment.Add("Retire to a free list", [&](uint64_t n) {
    while (n--) {
      if (free_list == nullptr) domain.Drain();
      Stable* object = free_list;
      CHECK(object != nullptr, "a drained domain has freed everything");
      free_list = object->next_free;
      domain.Retire(&object->rcu, &MakeFree, sizeof(Stable));
    }
  });
  experiment.Add("new, then RetireDelete", [&](uint64_t n) {
    while (n--) domain.RetireDelete<Stable, &Stable::rcu>(new Stable);
  });
  experiment.Add("new, then delete at once", [](uint64_t n) {
    while (n--) {
      auto* object = new Stable;
      bench::Keep(object);
      delete object;
    }
  });
  experiment.Run();
  domain.Drain();
  report.Table("free 128 bytes after a grace period", experiment);
  report.Goal("G23", "deferred free", ours.median(), "ns", bench::AtMost(15));
}

struct Counters {
  base::Counter hits;
};

void MeasureCounters(const bench::Report& report) {
  base::Sharded<Counters> sharded;
  base::Counter shared;
  std::mutex mutex;
  uint64_t guarded = 0;
  bench::Experiment experiment(report.rounds());
  const auto& ours = experiment.Add("Sharded::Add", [&](uint64_t n) {
    while (n--) sharded.Add<&Counters::hits>();
  });
  experiment.Add("Counter::Add", [&](uint64_t n) {
    while (n--) shared.Add();
  });
  experiment.Add("under a std::mutex", [&](uint64_t n) {
    while (n--) {
      const std::lock_guard lock(mutex);
      bench::Keep(++guarded);
    }
  });
  experiment.Run();
  report.Table("count an event", experiment);
  report.Goal("G22", "increment", ours.median(), "ns", bench::AtMost(0.6));
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  const dentree::bench::Report report(argc, argv);
  dentree::MeasureReadSections(report);
  dentree::MeasureDeferredFree(report);
  dentree::MeasureCounters(report);
}
