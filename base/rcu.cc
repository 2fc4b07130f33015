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
  ForEachSlot([](Slot& slot) { slot.next_turn = kBatchCallbacks; });
}

RcuDomain::~RcuDomain() {
  ForEachSlot([](Slot& slot) {
    CHECK(slot.epoch.load(std::memory_order_acquire) == 0, "a reader outlives its domain");
  });
  Drain();
  for (auto& chunk : more_) delete chunk.load(std::memory_order_relaxed);
}

template <class F>
void RcuDomain::ForEachSlot(F f) const {
  for (const Slot& slot : first_.slots) f(const_cast<Slot&>(slot));
  for (const auto& chunk : more_) {
    Chunk* slots = chunk.load(std::memory_order_acquire);
    if (slots == nullptr) continue;
    for (Slot& slot : slots->slots) f(slot);
  }
}

RcuDomain::Slot& RcuDomain::SlotBeyondFirst(uint32_t index) {
  std::atomic<Chunk*>& place = more_[index / kChunkSlots];
  Chunk* chunk = place.load(std::memory_order_acquire);
  if (chunk == nullptr) {
    auto* made = new (std::nothrow) Chunk;
    // The one allocation of the library that cannot fail: a reader has no way to refuse.
    CHECK(made != nullptr, "no memory for a reader's slot");
    for (Slot& slot : made->slots) slot.next_turn = kBatchCallbacks;
    if (place.compare_exchange_strong(chunk, made, std::memory_order_seq_cst)) {
      chunk = made;
    } else {
      delete made;
    }
  }
  return chunk->slots[index % kChunkSlots];
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
  ForEachSlot([&](const Slot& slot) {
    const uint64_t epoch = slot.epoch.load(std::memory_order_seq_cst);
    if (epoch != 0 && epoch < number) passed = false;
  });
  return passed;
}

void RcuDomain::NoteStall(uint64_t number) {
  const int64_t now = MonotonicNs();
  if (now < next_stall_ns_) return;
  next_stall_ns_ = now + options_.stall_limit_ns;
  uint32_t index = 0;
  const auto report = [&](const Slot& slot) {
    const uint64_t epoch = slot.epoch.load(std::memory_order_acquire);
    const pid_t thread = ThreadIdOf(index++);
    if (epoch == 0 || epoch >= number) return;
    stalls_.fetch_add(1, std::memory_order_relaxed);
    if (!options_.on_stall) return;
    const RcuSite site{slot.file.load(std::memory_order_relaxed),
                       slot.line.load(std::memory_order_relaxed)};
    options_.on_stall({thread, NameOfThread(thread), now - started_ns_, site});
  };
  for (const Slot& slot : first_.slots) report(slot);
  for (size_t c = 1; c < more_.size(); ++c) {
    index = static_cast<uint32_t>(c * kChunkSlots);
    const Chunk* chunk = more_[c].load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    for (const Slot& slot : chunk->slots) report(slot);
  }
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

// If the waiting list is due it is the caller's to run. The open one then becomes the waiting one,
// at once due perhaps: with no reader inside, a grace period is one membarrier.
RcuDomain::Queue RcuDomain::TakeDue(Slot& slot) {
  Queue due;
  for (int turn = 0; turn < 2; ++turn) {
    slot.lock.Lock();
    if (slot.waiting.head == nullptr && slot.open.head != nullptr) {
      slot.waiting.Append(slot.open);
      slot.cookie = StartPoll();
      slot.next_turn = kBatchCallbacks;
    }
    const uint64_t cookie = slot.cookie;
    const bool empty = slot.waiting.head == nullptr;
    slot.lock.Unlock();
    if (empty || !Poll(cookie)) break;
    slot.lock.Lock();
    // Somebody else may have taken it, and there may be a younger one.
    if (slot.cookie == cookie) due.Append(slot.waiting);
    slot.lock.Unlock();
  }
  return due;
}

size_t RcuDomain::Run(Queue queue) {
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

// A thread that has retired a batch looks after it, and after those of threads that are gone.
void RcuDomain::TakeTurn(Slot& slot) {
  const bool may_run = !slot.running_callbacks && slot.epoch.load(std::memory_order_relaxed) == 0;
  if (may_run) {
    slot.running_callbacks = true;
    AdoptOrphans(slot);
    Run(TakeDue(slot));
    Throttle(slot);
    slot.running_callbacks = false;
  }
  slot.lock.Lock();
  slot.next_turn = slot.open.count + kBatchCallbacks;
  slot.lock.Unlock();
}

void RcuDomain::Throttle(Slot& slot) {
  slot.lock.Lock();
  const uint64_t cookie = slot.cookie;
  const bool too_much = slot.open.count + slot.waiting.count > kMaxPendingCallbacks ||
                        slot.open.bytes + slot.waiting.bytes > kMaxPendingBytes;
  slot.lock.Unlock();
  if (!too_much) return;
  throttled_.fetch_add(1, std::memory_order_relaxed);
  WaitOver(cookie, kNeverSleep, MonotonicNs() + kMaxThrottleNs);
  Run(TakeDue(slot));
}

void RcuDomain::AdoptOrphans(Slot& slot) {
  uint32_t index = 0;
  ForEachSlot([&](Slot& other) {
    const uint32_t mine = index++;
    if (&other == &slot || ThreadIndexInUse(mine)) return;
    other.lock.Lock();
    Queue left;
    left.Append(other.waiting);
    left.Append(other.open);
    other.lock.Unlock();
    slot.lock.Lock();
    slot.open.Append(left);
    slot.lock.Unlock();
  });
}

size_t RcuDomain::Reclaim() {
  DCHECK(!InReadSection());
  size_t run = 0;
  ForEachSlot([&](Slot& slot) { run += Run(TakeDue(slot)); });
  return run;
}

void RcuDomain::Drain() {
  DCHECK(!InReadSection());
  CHECK(!SlotOfThread().running_callbacks, "a callback cannot wait for callbacks");
  while (true) {
    Reclaim();
    const uint64_t finished = finished_.load(std::memory_order_acquire);
    uint64_t retired = 0;
    ForEachSlot([&](Slot& s) { retired += s.retired.load(std::memory_order_relaxed); });
    if (retired == finished) return;
    Synchronize();
  }
}

uint64_t RcuDomain::PendingBytes() const {
  const uint64_t finished = finished_bytes_.load(std::memory_order_relaxed);
  uint64_t retired = 0;
  ForEachSlot([&](Slot& s) { retired += s.retired_bytes.load(std::memory_order_relaxed); });
  return retired - std::min(retired, finished);
}

RcuStats RcuDomain::Stats() const {
  RcuStats stats{};
  stats.grace_periods = completed_.load(std::memory_order_relaxed) - 1;
  stats.finished = finished_.load(std::memory_order_relaxed);
  ForEachSlot([&](Slot& s) { stats.retired += s.retired.load(std::memory_order_relaxed); });
  stats.pending_bytes = PendingBytes();
  stats.stalls = stalls_.load(std::memory_order_relaxed);
  stats.throttled = throttled_.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace dentree::base
