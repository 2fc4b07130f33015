// RequestRing: the two rings that a client and the loop share. Parked, Away: requests that wait.
//
// Each ring has one producer and one consumer: the client and the loop's thread. Since requests
// in flight are at most as many as slots, neither looks where the other is before it writes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/base.h"
#include "uring/entry.h"
#include "uring/kernel_ring_internal.h"
#include "vfs/vfs.h"

namespace dentree::uring {

class Core;
class RequestRing;

// What the loop has to do; in its inbox at most once.
struct Work {
  enum class Kind : uint8_t { kRing, kParked, kAway };

  explicit Work(Kind of) : kind(of) {}
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  Work* next = nullptr;  // the inbox's
  const Kind kind;
};

struct Request {
  Entry entry;
  uint64_t user_data = 0;
};

// A request that waits for its file. Armed, or woken and in the inbox, until it is tried again.
//
// Thread safety: the loop's thread, but for Wake. Lifetime: of Core's cache; one that is given up
// while in the inbox (ring == nullptr) is freed when it is taken out.
class Parked final : public Work, public vfs::Waiter {
 public:
  explicit Parked(Core& core) : Work(Kind::kParked), core_(core) {}

  RequestRing* ring = nullptr;
  Request request;
  vfs::FileRef file;
  base::ListNode loop_link;  // Core::parked_
  base::ListNode ring_link;  // RequestRing::parked

 private:
  void Wake() override;
  Core& core_;
};

// A request that the loop has given out of its hands, because to serve it means to wait for a file
// system: to a worker, or, for the data of a file that a host's descriptor has, to the kernel's
// ring.
//
// Thread safety: the loop's thread; while a worker has it, that worker's but for the links.
// Lifetime: of Core's cache, until the request has completed.
class Away final : public Work, public HostOp {
 public:
  // `file`: of a request on an open file; else none.
  Away(RequestRing& its_ring, const Request& its_request, vfs::FileRef its_file)
      : Work(Kind::kAway),
        ring(its_ring),
        request(its_request),
        file(std::move(its_file)),
        file_id(file.get()) {}

  // Does it use the file's position? Such requests on one file are served one after the other.
  bool at_position() const {
    switch (request.entry.opcode) {
      case Opcode::kRead:
      case Opcode::kWrite:
        return request.entry.off == kCurrentPosition;
      case Opcode::kGetdents:
        return true;
      default:
        return false;
    }
  }

  enum class Where : uint8_t {
    kWaiting,  // for the position, or for a place in the kernel's ring
    kWorker,   // queued for one, with one, or coming back
    kKernel,
  };

  RequestRing& ring;
  const Request request;
  vfs::FileRef file;               // a worker lets it go
  const vfs::File* const file_id;  // to be compared only
  Where where = Where::kWaiting;
  int32_t outcome = 0;  // a worker's
  // The request that wants it cancelled, while the kernel is asked to.
  std::optional<uint64_t> cancelled_by;
  base::ListNode ring_link;      // RequestRing::away
  base::ListNode place_link;     // Core::waiting_ or moving_
  base::ListNode position_link;  // Core::positions_
  base::ListNode worker_link;    // Workers::queue_
};

class RequestRing final : public Work {
 public:
  // `entries`: a power of two. Null: no memory.
  static std::unique_ptr<RequestRing> Create(vfs::Task& task, uint32_t entries);
  ~RequestRing();

  vfs::Task& task() const { return task_; }
  uint32_t entries() const { return mask_ + 1; }

  // --- the client ---
  uint32_t in_flight() const { return pushed_ - reaped_; }
  bool Push(const Request& request);
  bool Publish();  // false: nothing new
  size_t Reap(std::span<Completion> out);
  void SleepUntil(uint32_t completions);

  // --- the loop; after it has closed the ring, whoever holds Core's lock ---
  uint32_t Published() const { return sq_tail_.load(std::memory_order_seq_cst); }
  // The next request before `tail`.
  std::optional<Request> Next(uint32_t tail);
  void Complete(uint64_t user_data, int32_t res);
  void Flush();  // shows the client what was completed, and wakes it if that is what it waits for
  base::List<Parked, &Parked::ring_link> parked;  // the loop's thread
  base::List<Away, &Away::ring_link> away;        // likewise
  bool leaving = false;                           // likewise: gone when `away` is empty

  // Client and loop agree with these who does what (core.cc).
  std::atomic<bool> announced{false};  // in the inbox, or being taken out of it
  std::atomic<bool> detaching{false};  // the client wants to leave
  std::atomic<bool> closed{false};     // the loop has left
  bool detached = false;               // Core's lock: the loop will not come back to it
  base::ListNode link;                 // Core's lock: Core::rings_

 private:
  RequestRing(vfs::Task& task, uint32_t entries);

  vfs::Task& task_;
  const uint32_t mask_;
  Request* requests_ = nullptr;  // entries() of each
  Completion* completions_ = nullptr;

  // The client's line. Counts of requests since the beginning, as everywhere here.
  alignas(64) uint32_t pushed_ = 0;
  uint32_t reaped_ = 0;
  std::atomic<uint32_t> sq_tail_{0};   // published; written by the client
  std::atomic<uint32_t> wanted_{0};    // the client sleeps until cq_tail_ is there
  std::atomic<uint32_t> sleeping_{0};  // a futex: 1 while the client sleeps or is about to

  // The loop's line.
  alignas(64) uint32_t sq_head_ = 0;
  uint32_t completed_ = 0;
  std::atomic<uint32_t> cq_tail_{0};  // shown to the client
};

}  // namespace dentree::uring
