#include "base/rcu.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>
#include <new>

#include "base/futex_internal.h"

namespace dentree::base {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr int64_t kNeverSleep = 0;
// The longest nap of a Synchronize that waits for a reader.
constexpr int64_t kMaxNapNs = 1'000'000;

int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Nap(int64_t ns) {
  const timespec nap{.tv_sec = 0, .tv_nsec = ns};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);
}

bool MembarrierPermitted() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

std::string NameOfThread(pid_t id) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/comm", id);
  char name[32] = "?";
  if (FILE* file = std::fopen(path, "re")) {
    if (std::fscanf(file, "%31[^\n]", name) != 1) name[0] = '?';
    std::fclose(file);
  }
  return name;
}

}  // namespace

RcuDomain::RcuDomain(RcuOptions options) : options_(std::move(options)) {
  if (options_.barrier == RcuOptions::Barrier::kStoreBarrier) {
    readers_pay_ = true;
  } else {
    readers_pay_ = !MembarrierPermitted();
    CHECK(!readers_pay_ || options_.barrier == RcuOptions::Barrier::kAuto,
          "membarrier is not permitted");
  }
  fast_threads_ = readers_pay_ ? 0 : kChunkSlots;
  for (uint32_t i = fast_threads_; i <= kChunkSlots; ++i) {
    first_.readers[i].epoch.store(kEnterSlow, std::memory_order_relaxed);
  }
}

RcuDomain::~RcuDomain() {
  ForEachChunk([](const Chunk& chunk, uint32_t) {
    for (const Reader& reader : chunk.readers) {
      const uint64_t epoch = reader.epoch.load(std::memory_order_acquire);
      CHECK(epoch == 0 || epoch == kEnterSlow, "a reader outlives its domain");
    }
  });
  Drain();
  for (auto& chunk : more_) delete chunk.load(std::memory_order_relaxed);
}

template <class F>
void RcuDomain::ForEachChunk(F f) const {
  f(const_cast<Chunk&>(first_), 0);
  // If readers pay then number 0 is here too, and first_ has no readers.
  for (uint32_t number = 0; number < more_.size(); ++number) {
    Chunk* chunk = more_[number].load(std::memory_order_acquire);
    if (chunk != nullptr) f(*chunk, number * kChunkSlots);
  }
}

template <class F>
void RcuDomain::ForEachRetirer(F f) const {
  ForEachChunk([&](Chunk& chunk, uint32_t) {
    for (Retirer& retirer : chunk.retirers) f(retirer);
  });
}

RcuDomain::Chunk& RcuDomain::ChunkBeyondFirst(uint32_t number) {
  std::atomic<Chunk*>& place = more_[number];
  Chunk* chunk = place.load(std::memory_order_acquire);
  if (chunk != nullptr) return *chunk;
  auto* made = new (std::nothrow) Chunk;
  // The one allocation that cannot fail: a reader has no way to refuse.
  CHECK(made != nullptr, "no memory for a reader's slot");
  if (place.compare_exchange_strong(chunk, made, std::memory_order_seq_cst)) return *made;
  delete made;
  return *chunk;
}

RcuDomain::Reader* RcuDomain::EnterSlow() {
  Reader& reader = ReaderOfThread();
  if (reader.epoch.load(std::memory_order_relaxed) != 0) return nullptr;
  const uint64_t number = current_.load(std::memory_order_relaxed);
  if (readers_pay_) {
    reader.epoch.exchange(number, std::memory_order_seq_cst);
  } else {
    reader.epoch.store(number, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  return &reader;
}

// ---- Grace periods ----

uint64_t RcuDomain::StartPoll() {
  // A read-modify-write, so that what the caller removed is visible to whoever raises the number
  // next.
  return current_.fetch_add(0, std::memory_order_acq_rel) + 1;
}

bool RcuDomain::Poll(uint64_t cookie) {
  if (!Over(cookie)) Advance(cookie);
  return Over(cookie);
}

void RcuDomain::Advance(uint64_t cookie) {
  if (!driver_.TryLock()) return;
  // At most two turns: the grace period under way, and the one after it.
  while (!Over(cookie)) {
    const uint64_t completed = completed_.load(std::memory_order_relaxed);
    if (current_.load(std::memory_order_relaxed) == completed) StartGracePeriod();
    const uint64_t number = completed + 1;
    if (!ReadersPassed(number)) {
      NoteStall(number);
      break;
    }
    completed_.store(number, std::memory_order_release);
  }
  driver_.Unlock();
}

void RcuDomain::StartGracePeriod() {
  started_ns_ = MonotonicNs();
  next_stall_ns_ = started_ns_ + options_.stall_limit_ns;
  current_.fetch_add(1, std::memory_order_seq_cst);
  Barrier();
}

void RcuDomain::Barrier() const {
  if (readers_pay_) return;
  const long result = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  CHECK(result == 0, "membarrier failed");
}

bool RcuDomain::ReadersPassed(uint64_t number) const {
  bool passed = true;
  ForEachChunk([&](const Chunk& chunk, uint32_t) {
    for (const Reader& reader : chunk.readers) {
      const uint64_t epoch = reader.epoch.load(std::memory_order_seq_cst);
      if (epoch != 0 && epoch < number) passed = false;
    }
  });
  return passed;
}

void RcuDomain::NoteStall(uint64_t number) {
  const int64_t now = MonotonicNs();
  if (now < next_stall_ns_) return;
  next_stall_ns_ = now + options_.stall_limit_ns;
  ForEachChunk([&](const Chunk& chunk, uint32_t first) {
    for (uint32_t i = 0; i < kChunkSlots; ++i) {
      const Reader& reader = chunk.readers[i];
      const uint64_t epoch = reader.epoch.load(std::memory_order_acquire);
      if (epoch == 0 || epoch >= number) continue;
      stalls_.fetch_add(1, std::memory_order_relaxed);
      if (!options_.on_stall) continue;
      const pid_t thread = ThreadIdOf(first + i);
      options_.on_stall({.thread_id = thread,
                         .thread_name = NameOfThread(thread),
                         .blocked_ns = now - started_ns_,
                         .site = {.file = reader.file.load(std::memory_order_relaxed),
                                  .line = reader.line.load(std::memory_order_relaxed)}});
    }
  });
}

void RcuDomain::WaitOver(uint64_t cookie, int64_t sleep_ns, int64_t deadline_ns) {
  for (int turn = 0; !Poll(cookie); ++turn) {
    if (turn < internal::kSpinTurns) {
      internal::CpuRelax();
    } else if (sleep_ns == kNeverSleep || turn < 2 * internal::kSpinTurns) {
      sched_yield();
    } else {
      Nap(sleep_ns);
      sleep_ns = std::min(2 * sleep_ns, kMaxNapNs);
    }
    if (deadline_ns != kForever && MonotonicNs() > deadline_ns) return;
  }
}

void RcuDomain::Synchronize() {
  DCHECK(!InReadSection(), "would wait for itself");
  WaitOver(StartPoll(), 20'000, kForever);
}

void RcuDomain::SynchronizeExpedited() {
  DCHECK(!InReadSection(), "would wait for itself");
  WaitOver(StartPoll(), kNeverSleep, kForever);
}

// ---- Retired objects ----

void RcuDomain::Queue::Append(Queue& other) {
  if (other.head == nullptr) return;
  (head == nullptr ? head : tail->next) = other.head;
  tail = other.tail;
  count += other.count;
  bytes += other.bytes;
  other = {};
}

// The owner has announced itself, which visitors wait for: it steps back and queues up with them.
void RcuDomain::OwnQueues::WaitForVisitors() {
  mine_.busy.store(false, std::memory_order_release);
  domain_.visit_.Lock();
  waited_ = true;
}

class RcuDomain::Visit {
 public:
  explicit Visit(RcuDomain& domain) : domain_(domain) {
    domain.visit_.Lock();
    domain.visitors_.store(true, std::memory_order_seq_cst);
    domain.Barrier();
    domain.ForEachRetirer([](const Retirer& retirer) {
      while (retirer.busy.load(std::memory_order_seq_cst)) sched_yield();
    });
  }
  ~Visit() {
    domain_.visitors_.store(false, std::memory_order_release);
    domain_.visit_.Unlock();
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  RcuDomain& domain_;
};

void RcuDomain::HandOut(Retirer& from, Queue& to) {
  from.handed_out.store(from.handed_out.load(std::memory_order_relaxed) + from.waiting.count,
                        std::memory_order_relaxed);
  to.Append(from.waiting);
}

void RcuDomain::Seal(Retirer& retirer) {
  if (retirer.waiting.head != nullptr || retirer.open.head == nullptr) return;
  retirer.waiting.Append(retirer.open);
  retirer.cookie = StartPoll();
}

// The open queue becomes the waiting one, at once due perhaps: with no reader inside, a grace
// period is one membarrier. Two turns, for what was waiting already and for what was open.
RcuDomain::Queue RcuDomain::TakeDue(Retirer& retirer) {
  Queue due;
  for (int turn = 0; turn < 2; ++turn) {
    Seal(retirer);
    if (retirer.waiting.head == nullptr || !Poll(retirer.cookie)) break;
    HandOut(retirer, due);
  }
  return due;
}

size_t RcuDomain::Run(Queue queue) {
  if (queue.head == nullptr) return 0;
  const OnlyLeafLocks rule;
  for (RcuHead* head = queue.head; head != nullptr;) {
    RcuHead* next = head->next;
    head->fn(head);
    head = next;
  }
  finished_bytes_.fetch_add(queue.bytes, std::memory_order_relaxed);
  finished_.fetch_add(queue.count, std::memory_order_release);
  return queue.count;
}

// A thread that has retired a batch looks after it, and after what threads that are gone have left.
void RcuDomain::TakeTurn(Retirer& mine) {
  const bool may_run = !mine.running_callbacks && !InReadSection();
  if (may_run) AdoptOrphans(mine);
  Queue due;
  {
    const OwnQueues own(*this, mine);
    if (may_run) {
      due = TakeDue(mine);
    } else {
      Seal(mine);
    }
    mine.next_turn = mine.open.count + kBatchCallbacks;
  }
  if (!may_run) return;
  mine.running_callbacks = true;
  Run(due);
  Throttle(mine);
  mine.running_callbacks = false;
}

void RcuDomain::Throttle(Retirer& mine) {
  uint64_t cookie;
  {
    const OwnQueues own(*this, mine);
    if (mine.open.count + mine.waiting.count <= kMaxPendingCallbacks &&
        mine.open.bytes + mine.waiting.bytes <= kMaxPendingBytes) {
      return;
    }
    cookie = mine.cookie;
  }
  throttled_.fetch_add(1, std::memory_order_relaxed);
  WaitOver(cookie, kNeverSleep, MonotonicNs() + kMaxThrottleNs);
  Queue due;
  {
    const OwnQueues own(*this, mine);
    due = TakeDue(mine);
  }
  Run(due);
}

void RcuDomain::AdoptOrphans(Retirer& mine) {
  const auto is_orphan = [&](const Retirer& other, uint32_t index) {
    return &other != &mine && other.HasObjects() && !ThreadIndexInUse(index);
  };
  bool any = false;
  ForEachChunk([&](const Chunk& chunk, uint32_t first) {
    for (uint32_t i = 0; i < kChunkSlots; ++i) any |= is_orphan(chunk.retirers[i], first + i);
  });
  if (!any) return;
  const Visit visit(*this);
  ForEachChunk([&](Chunk& chunk, uint32_t first) {
    for (uint32_t i = 0; i < kChunkSlots; ++i) {
      Retirer& other = chunk.retirers[i];
      if (is_orphan(other, first + i)) Inherit(mine, other);
    }
  });
}

// What was waiting gets a later cookie than it needs, which is safe. The books stay with the one
// who retired, as if the object had been handed out and retired again by the heir.
void RcuDomain::Inherit(Retirer& heir, Retirer& from) {
  const auto add = [](std::atomic<uint64_t>& to, uint64_t n) {
    to.store(to.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  };
  const uint64_t count = from.waiting.count + from.open.count;
  const uint64_t bytes = from.waiting.bytes + from.open.bytes;
  heir.open.Append(from.waiting);
  heir.open.Append(from.open);
  add(heir.retired, count);
  add(heir.retired_bytes, bytes);
  add(from.retired, -count);
  add(from.retired_bytes, -bytes);
}

size_t RcuDomain::Reclaim() {
  DCHECK(!InReadSection());
  Queue due;
  {
    const Visit visit(*this);
    // First all cookies, then the grace period they share.
    ForEachRetirer([&](Retirer& retirer) { Seal(retirer); });
    ForEachRetirer([&](Retirer& retirer) {
      Queue part = TakeDue(retirer);
      due.Append(part);
    });
  }
  return Run(due);
}

void RcuDomain::Drain() {
  DCHECK(!InReadSection());
  CHECK(!RetirerOfThread().running_callbacks, "a callback cannot wait for callbacks");
  while (true) {
    Reclaim();
    const uint64_t finished = finished_.load(std::memory_order_acquire);
    if (TotalRetired() == finished) return;
    Synchronize();
  }
}

// As a visitor, because heirs move the books of the dead.
uint64_t RcuDomain::TotalRetired() {
  const Visit visit(*this);
  uint64_t total = 0;
  ForEachRetirer([&](const Retirer& r) { total += r.retired.load(std::memory_order_relaxed); });
  return total;
}

void RcuDomain::CheckInvariants() {
  const Visit visit(*this);
  const uint64_t completed = completed_.load(std::memory_order_acquire);
  const uint64_t current = current_.load(std::memory_order_acquire);
  CHECK(completed <= current, "a grace period ended before it began");
  ForEachChunk([&](const Chunk& chunk, uint32_t) {
    for (const Retirer& retirer : chunk.retirers) {
      retirer.open.CheckInvariants();
      retirer.waiting.CheckInvariants();
      CHECK(retirer.retired.load(std::memory_order_relaxed) ==
                retirer.handed_out.load(std::memory_order_relaxed) + retirer.open.count +
                    retirer.waiting.count,
            "a retired object is lost or found twice");
    }
  });
}

void RcuDomain::Queue::CheckInvariants() const {
  uint32_t seen = 0;
  const RcuHead* last = nullptr;
  for (const RcuHead* object = head; object != nullptr; object = object->next) {
    ++seen;
    last = object;
  }
  CHECK(seen == count, "a queue's count is that of its objects");
  CHECK(last == tail, "a queue ends in its tail");
}

uint64_t RcuDomain::PendingBytes() const {
  const uint64_t finished = finished_bytes_.load(std::memory_order_relaxed);
  uint64_t total = 0;
  ForEachRetirer(
      [&](const Retirer& r) { total += r.retired_bytes.load(std::memory_order_relaxed); });
  return total - std::min(total, finished);
}

RcuStats RcuDomain::Stats() const {
  RcuStats stats{};
  stats.grace_periods = completed_.load(std::memory_order_relaxed) - 1;
  stats.finished = finished_.load(std::memory_order_relaxed);
  ForEachRetirer(
      [&](const Retirer& r) { stats.retired += r.retired.load(std::memory_order_relaxed); });
  stats.pending_bytes = PendingBytes();
  stats.stalls = stalls_.load(std::memory_order_relaxed);
  stats.throttled = throttled_.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace dentree::base
