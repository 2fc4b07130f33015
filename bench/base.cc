// What every operation of the library pays again and again: read sections, deferred frees,
// counters, locks, grace periods.
#include "base/base.h"

#include <urcu/urcu-memb.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>
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

void MeasureLocks(const bench::Report& report) {
  base::Mutex<base::LockRank::kLeaf> mutex;
  base::SpinLock<base::LockRank::kLeaf> spin;
  base::RwSem<base::LockRank::kLeaf> sem;
  base::Lockref lockref(1);
  base::SeqCount seq;
  std::mutex std_mutex;
  std::shared_mutex std_shared;
  bench::Experiment experiment(report.rounds());
  const auto add = [&](std::string_view name, auto once) {
    experiment.Add(name, [once](uint64_t n) {
      while (n--) once();
    });
  };
  add("Mutex", [&] { base::MutexLock lock(mutex); });
  add("SpinLock", [&] { base::MutexLock lock(spin); });
  add("RwSem, write", [&] { base::WriteLock lock(sem); });
  add("RwSem, read", [&] { base::ReadLock lock(sem); });
  add("Lockref, lock", [&] { base::MutexLock lock(lockref); });
  add("Lockref, get and put", [&] {
    lockref.Get();
    CHECK(lockref.PutUnlessLast());
  });
  add("SeqCount, read", [&] { bench::Keep(seq.ReadRetry(seq.ReadBegin())); });
  add("std::mutex", [&] { const std::lock_guard lock(std_mutex); });
  add("std::shared_mutex, shared", [&] { const std::shared_lock lock(std_shared); });
  experiment.Run();
  report.Table("take and give back a lock nobody else wants", experiment);
}

void MeasureGracePeriods(const bench::Report& report) {
  RcuDomain domain;
  std::atomic<bool> stop = false;
  std::jthread reader([&] {
    urcu_memb_register_thread();
    while (!stop.load(std::memory_order_relaxed)) {
      RcuReadGuard guard(domain);
      urcu_memb_read_lock();
      urcu_memb_read_unlock();
    }
    urcu_memb_unregister_thread();
  });
  bench::Experiment experiment(report.rounds());
  experiment.Add("Synchronize", [&](uint64_t n) {
    while (n--) domain.Synchronize();
  });
  experiment.Add("SynchronizeExpedited", [&](uint64_t n) {
    while (n--) domain.SynchronizeExpedited();
  });
  experiment.Add("liburcu-memb", [](uint64_t n) {
    while (n--) urcu_memb_synchronize_rcu();
  });
  experiment.Run();
  stop.store(true, std::memory_order_relaxed);
  report.Table("wait for a grace period beside one busy reader", experiment);
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  const dentree::bench::Report report(argc, argv);
  dentree::MeasureReadSections(report);
  dentree::MeasureDeferredFree(report);
  dentree::MeasureCounters(report);
  dentree::MeasureLocks(report);
  dentree::MeasureGracePeriods(report);
}
