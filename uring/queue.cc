#include "uring/queue.h"

#include <algorithm>
#include <utility>

#include "uring/core_internal.h"
#include "uring/request_ring_internal.h"

namespace dentree::uring {

Queue::Queue(std::shared_ptr<Core> core, std::unique_ptr<RequestRing> ring)
    : core_(std::move(core)), ring_(std::move(ring)) {}

Queue::~Queue() { core_->Detach(*ring_); }

uint32_t Queue::entries() const { return ring_->entries(); }
uint32_t Queue::in_flight() const { return ring_->in_flight(); }

base::Status Queue::Push(const Entry& entry, uint64_t user_data) {
  if (ring_->Push({entry, user_data})) return {};
  core_->stats().queue_full.Add();
  return base::Err(base::Errno::kAgain);
}

void Queue::Submit() {
  if (ring_->Publish()) core_->Announce(*ring_);
}

size_t Queue::Reap(std::span<Completion> out) { return ring_->Reap(out); }

size_t Queue::Wait(std::span<Completion> out, size_t at_least) {
  Submit();
  const size_t most = std::min<size_t>(out.size(), in_flight());
  ring_->SleepUntil(static_cast<uint32_t>(std::min(at_least, most)));
  return Reap(out);
}

int32_t Queue::Call(const Entry& entry) {
  DCHECK(in_flight() == 0, "Call is for a queue with nothing in flight");
  Completion done;
  static_cast<void>(ring_->Push({entry, 0}));
  static_cast<void>(Wait({&done, 1}));
  return done.res;
}

}  // namespace dentree::uring
