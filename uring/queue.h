// Queue: a client's pair of rings with a loop: requests one way, completions back.
//
// At most entries() requests are in flight: pushed and not yet reaped. So neither ring can
// overflow. Requests of one queue start in the order in which they were pushed, and complete in
// that order but for those that wait: parked, given to a worker or to the kernel's ring. One that
// depends on such a one is pushed when that has completed, as with io_uring.
//
// Thread safety: one thread at a time. Lifetime: its Task and the buffers of its requests outlive
// it; the destructor waits until the loop has let go of them, and what was in flight ends unheard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/base.h"
#include "uring/entry.h"

namespace dentree::uring {

class Core;
class RequestRing;

class Queue {
 public:
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  uint32_t entries() const;
  uint32_t in_flight() const;

  // Adds a request that the loop sees with the next Submit. kAgain: entries() are in flight.
  base::Status Push(const Entry& entry, uint64_t user_data);
  // Shows the loop what was pushed; wakes it if it sleeps and another has not done so.
  void Submit();

  // Takes completions, without waiting; returns how many.
  size_t Reap(std::span<Completion> out);
  // Submits, sleeps until `at_least` completions are there (fewer if fewer are in flight or `out`
  // is smaller), and takes what is there.
  size_t Wait(std::span<Completion> out, size_t at_least = 1);

  // One request from push to completion: its res. REQUIRES: nothing in flight.
  int32_t Call(const Entry& entry);

 private:
  friend class Loop;
  Queue(std::shared_ptr<Core> core, std::unique_ptr<RequestRing> ring);

  const std::shared_ptr<Core> core_;
  const std::unique_ptr<RequestRing> ring_;
};

}  // namespace dentree::uring
