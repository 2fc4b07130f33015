#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "uring/request_ring_internal.h"

namespace dentree::uring {

namespace {

constexpr char kAllocationSite[] = "mm:uring_queue";

void FutexWait(std::atomic<uint32_t>& word, uint32_t expected) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void FutexWake(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Whether count `a` is at `b` or beyond; they may have wrapped.
bool Reached(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) >= 0; }

}  // namespace

RequestRing::RequestRing(vfs::Task& task, uint32_t entries)
    : Work(Kind::kRing), task_(task), mask_(entries - 1) {}

std::unique_ptr<RequestRing> RequestRing::Create(vfs::Task& task, uint32_t entries) {
  std::unique_ptr<RequestRing> ring(new (std::nothrow) RequestRing(task, entries));
  if (ring == nullptr) return nullptr;
  mm::Memory& memory = task.vfs().memory();
  ring->requests_ =
      static_cast<Request*>(memory.AllocBytes(entries * sizeof(Request), kAllocationSite));
  ring->completions_ =
      static_cast<Completion*>(memory.AllocBytes(entries * sizeof(Completion), kAllocationSite));
  if (ring->requests_ == nullptr || ring->completions_ == nullptr) return nullptr;
  std::uninitialized_default_construct_n(ring->requests_, entries);
  std::uninitialized_default_construct_n(ring->completions_, entries);
  return ring;
}

RequestRing::~RequestRing() {
  mm::Memory& memory = task_.vfs().memory();
  memory.FreeBytes(requests_, entries() * sizeof(Request));
  memory.FreeBytes(completions_, entries() * sizeof(Completion));
}

// --- the client ---

bool RequestRing::Push(const Request& request) {
  if (in_flight() == entries()) return false;
  requests_[pushed_ & mask_] = request;
  ++pushed_;
  return true;
}

bool RequestRing::Publish() {
  if (sq_tail_.load(std::memory_order_relaxed) == pushed_) return false;
  sq_tail_.store(pushed_, std::memory_order_seq_cst);
  return true;
}

size_t RequestRing::Reap(std::span<Completion> out) {
  const uint32_t there = cq_tail_.load(std::memory_order_acquire) - reaped_;
  const size_t n = std::min<size_t>(there, out.size());
  for (size_t i = 0; i < n; ++i) out[i] = completions_[reaped_++ & mask_];
  return n;
}

void RequestRing::SleepUntil(uint32_t completions) {
  const uint32_t wanted = reaped_ + completions;
  while (!Reached(cq_tail_.load(std::memory_order_acquire), wanted)) {
    wanted_.store(wanted, std::memory_order_relaxed);
    // This store comes before the load, in Flush the store of the tail before the load of this: one
    // of the two sees the other.
    sleeping_.store(1, std::memory_order_seq_cst);
    if (!Reached(cq_tail_.load(std::memory_order_seq_cst), wanted)) FutexWait(sleeping_, 1);
    sleeping_.store(0, std::memory_order_relaxed);
  }
}

// --- the loop ---

std::optional<Request> RequestRing::Next(uint32_t tail) {
  if (sq_head_ == tail) return std::nullopt;
  return requests_[sq_head_++ & mask_];
}

void RequestRing::Complete(uint64_t user_data, int32_t res) {
  completions_[completed_++ & mask_] = {user_data, res};
}

void RequestRing::Flush() {
  if (cq_tail_.load(std::memory_order_relaxed) == completed_) return;
  cq_tail_.store(completed_, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) == 0) return;
  if (!Reached(completed_, wanted_.load(std::memory_order_relaxed))) return;
  if (sleeping_.exchange(0, std::memory_order_seq_cst) != 0) FutexWake(sleeping_);
}

}  // namespace dentree::uring
