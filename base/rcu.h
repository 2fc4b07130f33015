#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/list.h"
#include "base/lock_rank.h"
#include "base/mutex.h"
#include "base/thread_index.h"

// Read-copy-update: readers of a data structure neither wait nor write anything shared, and memory
// taken out of the structure is freed only after every reader who may still see it has left.
//
//   RcuPtr<Table> table_;                                  // reader:
//   RcuReadGuard guard(domain);
//   const Table* table = table_.Load();                    // valid until the guard goes
//
//   Table* old = table_.Exchange(bigger);                  // writer, under its own lock:
//   domain.Retire(&old->rcu, &FreeTable, sizeof(*old));    // frees it later; or Synchronize() and
//   delete
//
// How it works. A reader writes the number of the current grace period into a slot of its own with
// a plain store, and zero when it leaves. A grace period raises the number, makes every running
// thread of the process execute a memory barrier (membarrier(2)), and then waits until each slot is
// zero or has the new number. A reader whose store the barrier made visible is waited for; any
// other one starts after the barrier, and cannot find what was taken out before it. So the readers
// need no barrier of their own; where membarrier is not permitted they get one (kStoreBarrier, 5
// ns).
//
// Invariants:
//   - completed_ <= current_ <= completed_ + 1; a slot never holds more than current_;
//   - a cookie is the number of a grace period that started after StartPoll; it is over when
//   completed_
//     reaches it;
//   - a retired object is in exactly one place: the open queue of a thread (no cookie yet), its
//   waiting queue
//     (all retired before its cookie was taken), or with the thread that runs its callback;
//   - retired = finished + pending, callbacks and bytes;
//   - a thread works on its own queues with plain stores, `busy` set. Anybody else (Reclaim, Drain,
//   the heir of
//     a thread that is gone) is a visitor: sets visitors_, makes every thread execute a barrier,
//     and waits until no owner is busy; owners that come meanwhile queue up behind visit_.

namespace dentree::base {

// Embedded in what is freed through a domain; one per object.
struct RcuHead {
  RcuHead* next;
  void (*fn)(RcuHead*);
};

// Where a read section was entered; known in debug builds only.
struct RcuSite {
  const char* file = nullptr;
  int line = 0;
};

// A reader that has held up a grace period for longer than the domain's limit.
struct RcuStall {
  pid_t thread_id;
  std::string thread_name;
  int64_t blocked_ns;  // since the grace period began; the reader is older still
  RcuSite site;
};

struct RcuOptions {
  enum class Barrier : uint8_t {
    kAuto,          // membarrier if the kernel permits, else kStoreBarrier
    kMembarrier,    // aborts where it is not permitted
    kStoreBarrier,  // each reader pays for a barrier
  };
  Barrier barrier = Barrier::kAuto;
  // A grace period older than this is a stall: counted, and told to on_stall once per limit.
  int64_t stall_limit_ns = 1'000'000'000;
  // Called by whoever drives the grace period, at most one at a time; must not use the domain.
  std::function<void(const RcuStall&)> on_stall = {};
};

struct RcuStats {
  uint64_t grace_periods;
  uint64_t retired;   // callbacks ever given to Retire
  uint64_t finished;  // callbacks run
  uint64_t pending_bytes;
  uint64_t stalls;
  uint64_t throttled;  // retiring threads that waited because too much was pending
};

// A domain: the readers and the retired objects of one Os.
//
// Thread safety: any thread, without registration; see the single operations for what must not be
// held. Lifetime: no reader is inside when it is destroyed; what is still pending is run then.
// Threads may outlive the domain and the domain its threads.
class RcuDomain {
 public:
  using Callback = void (*)(RcuHead*);

  // Retired objects of one thread make a batch, which costs one grace period, when this many or
  // this big.
  static constexpr uint32_t kBatchCallbacks = 1024;
  static constexpr uint64_t kBatchBytes = 1 << 20;
  // When a thread has more than this pending it waits (outside read sections) for a grace period,
  // up to kMaxThrottleNs: bounded, because it may hold a lock that the reader it waits for wants.
  static constexpr uint32_t kMaxPendingCallbacks = 16 * kBatchCallbacks;
  static constexpr uint64_t kMaxPendingBytes = 16 * kBatchBytes;
  static constexpr int64_t kMaxThrottleNs = 20'000'000;

  explicit RcuDomain(RcuOptions options = {});
  ~RcuDomain();
  RcuDomain(const RcuDomain&) = delete;
  RcuDomain& operator=(const RcuDomain&) = delete;

  // Whether this thread is inside a read section of this domain.
  [[nodiscard]] bool InReadSection();

  // Polled grace periods: everything removed before StartPoll may be freed once Poll(cookie) is
  // true. Neither waits. Poll also drives the grace period on.
  [[nodiscard]] uint64_t StartPoll();
  [[nodiscard]] bool Poll(uint64_t cookie);

  // Waits until every read section that was entered before has been left. Not inside a read
  // section, not holding a lock a reader of this domain may wait for.
  void Synchronize();
  // The same without ever sleeping: for whoever holds others up meanwhile.
  void SynchronizeExpedited();

  // Runs fn(head) after a grace period, on any thread that uses the domain: within a later Retire
  // outside read sections, Reclaim or Drain. `bytes` is what the callback will free. May be called
  // inside read sections and under locks outside kLeaf; the callback therefore takes leaf locks
  // only, and does not wait.
  void Retire(RcuHead* head, Callback fn, size_t bytes);

  // Retires an object with a member `head`, to be deleted.
  template <class T, RcuHead T::* Head>
  void RetireDelete(T* object);

  // Bytes retired and not yet freed. They count as used memory.
  [[nodiscard]] uint64_t PendingBytes() const;

  // Runs what is due, of all threads, and starts the grace period for the rest. Does not wait.
  // Returns the callbacks run. Not inside a read section.
  size_t Reclaim();

  // Waits until everything retired has been freed. Other threads should have stopped retiring.
  void Drain();

  [[nodiscard]] RcuStats Stats() const;
  // Aborts unless what is said above of queues and numbers holds.
  void CheckInvariants();
  // Whether readers pay for their barrier (membarrier was not permitted or not wanted).
  [[nodiscard]] bool readers_pay() const { return readers_pay_; }

 private:
  friend class RcuReadGuard;

  // First in, first out.
  struct Queue {
    RcuHead* head = nullptr;
    RcuHead* tail = nullptr;
    uint32_t count = 0;
    uint64_t bytes = 0;

    void Push(RcuHead* object, size_t size);
    void Append(Queue& other);
    void CheckInvariants() const;
  };

  // A thread's part of the domain as a reader.
  struct alignas(64) Reader {
    // Zero outside read sections, else the grace period current when the outermost one was entered.
    std::atomic<uint64_t> epoch{0};
    // Debug builds: where the outermost section was entered.
    std::atomic<const char*> file{nullptr};
    std::atomic<int> line{0};
  };

  // A thread's part of the domain as one that retires.
  struct alignas(64) Retirer {
    std::atomic<bool> busy{false};
    bool running_callbacks = false;        // touched by the thread only
    uint32_t next_turn = kBatchCallbacks;  // open.count at which the thread looks after its queues
    Queue open;
    Queue waiting;
    uint64_t cookie = 0;  // of `waiting`
    // Totals, stored by whoever may touch the queues; retired - handed_out are in them.
    std::atomic<uint64_t> retired{0};
    std::atomic<uint64_t> retired_bytes{0};
    std::atomic<uint64_t> handed_out{0};

    [[nodiscard]] bool HasObjects() const {
      return retired.load(std::memory_order_relaxed) != handed_out.load(std::memory_order_relaxed);
    }
  };

  // The parts of kChunkSlots threads with consecutive numbers.
  static constexpr uint32_t kChunkSlots = internal::kFastThreads;
  struct Chunk {
    static_assert(sizeof(Reader) == internal::kThreadLine);

    Reader& ReaderAt(uint64_t line) {
      return *reinterpret_cast<Reader*>(reinterpret_cast<char*>(readers.data()) + line);
    }

    // One more than threads: where those look first that must enter the slow way.
    std::array<Reader, kChunkSlots + 1> readers;
    std::array<Retirer, kChunkSlots> retirers;
  };

  // In the epoch of a line of first_ that is not, or not any more, a reader's. Above all numbers,
  // so that no grace period waits for it.
  static constexpr uint64_t kEnterSlow = UINT64_MAX;

  // Where the thread has entered, or null if it was inside already.
  Reader* EnterSlow();
  Chunk& ChunkOf(uint32_t index) {
    return index < fast_threads_ ? first_ : ChunkBeyondFirst(index / kChunkSlots);
  }
  Chunk& ChunkBeyondFirst(uint32_t number);
  Reader& ReaderOfThread() {
    const uint32_t index = ThreadIndex();
    return ChunkOf(index).readers[index % kChunkSlots];
  }
  Retirer& RetirerOfThread() {
    const uint32_t index = ThreadIndex();
    return ChunkOf(index).retirers[index % kChunkSlots];
  }
  // Calls f(chunk, number of its first thread) for each chunk there is.
  template <class F>
  void ForEachChunk(F f) const;
  template <class F>
  void ForEachRetirer(F f) const;

  [[nodiscard]] bool Over(uint64_t cookie) const {
    return completed_.load(std::memory_order_acquire) >= cookie;
  }
  void Advance(uint64_t cookie);
  void StartGracePeriod();
  [[nodiscard]] bool ReadersPassed(uint64_t number) const;
  void NoteStall(uint64_t number);
  void Barrier() const;
  void WaitOver(uint64_t cookie, int64_t sleep_ns, int64_t deadline_ns);

  // The queues of a thread, for a scope of its own.
  class OwnQueues;
  // The queues of all threads, for a scope of anybody's.
  class Visit;

  void TakeTurn(Retirer& mine);
  void Throttle(Retirer& mine);
  void AdoptOrphans(Retirer& mine);
  size_t Run(Queue queue);
  // Inside OwnQueues or Visit: what is due of one thread.
  [[nodiscard]] Queue TakeDue(Retirer& retirer);
  // Gives the open queue a cookie if nothing waits.
  void Seal(Retirer& retirer);
  static void HandOut(Retirer& from, Queue& to);
  static void Inherit(Retirer& heir, Retirer& from);
  [[nodiscard]] uint64_t TotalRetired();

  // Read by every reader; current_ is written once per grace period, visitors_ more rarely.
  alignas(64) std::atomic<uint64_t> current_{1};
  // Threads with a number below have their parts in first_: none if readers pay.
  uint32_t fast_threads_ = 0;
  bool readers_pay_ = false;
  std::atomic<bool> visitors_{false};

  // Of those who drive grace periods.
  alignas(64) std::atomic<uint64_t> completed_{1};
  SpinWord driver_;
  SpinWord visit_;
  int64_t started_ns_ = 0;
  int64_t next_stall_ns_ = 0;
  std::atomic<uint64_t> finished_{0};
  std::atomic<uint64_t> finished_bytes_{0};
  std::atomic<uint64_t> stalls_{0};
  std::atomic<uint64_t> throttled_{0};
  RcuOptions options_;

  Chunk first_;
  std::array<std::atomic<Chunk*>, kMaxThreads / kChunkSlots> more_{};
};

// A read section, for a scope. Nests; only the outermost one costs anything. A thread may block
// inside, but holds up every grace period of the domain meanwhile.
//
// Thread safety: stays on its thread.
class [[nodiscard]] RcuReadGuard {
 public:
#ifdef NDEBUG
  explicit RcuReadGuard(RcuDomain& domain) { Enter(domain); }
#else
  explicit RcuReadGuard(RcuDomain& domain, const char* file = __builtin_FILE(),
                        int line = __builtin_LINE()) {
    Enter(domain);
    if (reader_ == nullptr) return;
    reader_->file.store(file, std::memory_order_relaxed);
    reader_->line.store(line, std::memory_order_relaxed);
  }
#endif
  ~RcuReadGuard() { Leave(); }
  RcuReadGuard(const RcuReadGuard&) = delete;
  RcuReadGuard& operator=(const RcuReadGuard&) = delete;

 private:
  void Enter(RcuDomain& domain) {
    NoteRcuEnter();
    RcuDomain::Reader& reader = domain.first_.ReaderAt(internal::thread_line);
    const uint64_t inside = reader.epoch.load(std::memory_order_relaxed);
    if (inside != 0) [[unlikely]] {
      // An inner section leaves no trace: remembering and restoring the value would tie each
      // section to the one before through memory.
      if (inside == RcuDomain::kEnterSlow) reader_ = domain.EnterSlow();
      return;
    }
    reader_ = &reader;
    // Release orders the section before this one for whoever sees the new number instead of zero.
    reader.epoch.store(domain.current_.load(std::memory_order_relaxed), std::memory_order_release);
    // The processor's barrier is the grace period's business; the compiler's is ours.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void Leave() {
    if (reader_ != nullptr) reader_->epoch.store(0, std::memory_order_release);
    NoteRcuExit();
  }

  RcuDomain::Reader* reader_ = nullptr;
};

inline bool RcuDomain::InReadSection() {
  return ReaderOfThread().epoch.load(std::memory_order_relaxed) != 0;
}

inline void RcuDomain::Queue::Push(RcuHead* object, size_t size) {
  object->next = nullptr;
  (head == nullptr ? head : tail->next) = object;
  tail = object;
  ++count;
  bytes += size;
}

class RcuDomain::OwnQueues {
 public:
  OwnQueues(RcuDomain& domain, Retirer& mine) : domain_(domain), mine_(mine) {
    if (domain.readers_pay_) [[unlikely]] {
      mine.busy.exchange(true, std::memory_order_seq_cst);
    } else {
      mine.busy.store(true, std::memory_order_release);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    if (domain.visitors_.load(std::memory_order_acquire)) [[unlikely]]
      WaitForVisitors();
  }
  ~OwnQueues() {
    mine_.busy.store(false, std::memory_order_release);
    if (waited_) [[unlikely]]
      domain_.visit_.Unlock();
  }
  OwnQueues(const OwnQueues&) = delete;
  OwnQueues& operator=(const OwnQueues&) = delete;

 private:
  void WaitForVisitors();

  RcuDomain& domain_;
  Retirer& mine_;
  bool waited_ = false;
};

inline void RcuDomain::Retire(RcuHead* head, Callback fn, size_t bytes) {
  DCHECK(!HoldsRankAtLeast(LockRank::kLeaf), "callbacks may take leaf locks");
  head->fn = fn;
  Retirer& mine = RetirerOfThread();
  bool turn;
  {
    const OwnQueues own(*this, mine);
    mine.open.Push(head, bytes);
    mine.retired.store(mine.retired.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    mine.retired_bytes.store(mine.retired_bytes.load(std::memory_order_relaxed) + bytes,
                             std::memory_order_relaxed);
    turn = mine.open.count >= mine.next_turn || mine.open.bytes >= kBatchBytes;
  }
  if (turn) [[unlikely]]
    TakeTurn(mine);
}

template <class T, RcuHead T::* Head>
void RcuDomain::RetireDelete(T* object) {
  Retire(
      &(object->*Head), [](RcuHead* head) { delete ObjectOf<T, RcuHead, Head>(head); }, sizeof(T));
}

// A pointer to something protected by RCU.
//
// Thread safety: Load by readers inside a section; the rest by whoever holds the lock of the
// structure.
template <class T>
class RcuPtr {
 public:
  constexpr RcuPtr() = default;
  constexpr explicit RcuPtr(T* object) : pointer_(object) {}
  RcuPtr(const RcuPtr&) = delete;
  RcuPtr& operator=(const RcuPtr&) = delete;

  // For readers. Debug builds verify that the thread is in a read section (of some domain).
  [[nodiscard]] T* Load() const {
    DCHECK(InAnyRcuReadSection(), "read outside a read section");
    return pointer_.load(std::memory_order_acquire);
  }
  // For whoever keeps the object alive by other means: the structure's lock, or a reference.
  [[nodiscard]] T* LoadOwned() const { return pointer_.load(std::memory_order_acquire); }
  // Publishes an object that is complete.
  void Store(T* object) { pointer_.store(object, std::memory_order_release); }
  [[nodiscard]] T* Exchange(T* object) {
    return pointer_.exchange(object, std::memory_order_acq_rel);
  }

 private:
  std::atomic<T*> pointer_{nullptr};
};

}  // namespace dentree::base
