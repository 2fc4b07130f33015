#include "uring/loop.h"

#include <pthread.h>

#include <bit>
#include <utility>

#include "uring/core_internal.h"
#include "uring/kernel_ring_internal.h"

namespace dentree::uring {

using base::Err;

namespace {

// The thread. Its ring is set up here, since the kernel lets nobody else use it.
void RunLoop(const std::shared_ptr<Core>& core) {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "dentree-uring"));
  KernelRing kernel(core->event_fd(), core->options().max_moves, core->stats());
  const Status status = kernel.Open();
  core->Opened(status);
  if (status) core->Run(kernel);
}

}  // namespace

Loop::Loop(std::shared_ptr<Core> core) : core_(std::move(core)) {}

std::expected<std::unique_ptr<Loop>, Loop::Refusal> Loop::Start(vfs::Vfs& vfs,
                                                                const Options& options) {
  std::unique_ptr<Loop> loop(new Loop(std::make_shared<Core>(vfs, options)));
  Status status = loop->core_->Open();
  if (status) {
    loop->thread_ = std::thread(RunLoop, loop->core_);
    status = loop->core_->AwaitOpened();
  }
  if (!status) return std::unexpected(Refusal{status.error(), WhyNoRing(status.error())});
  return loop;
}

Loop::~Loop() {
  core_->Stop();
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<Queue>> Loop::Attach(vfs::Task& task, uint32_t entries) {
  if (entries == 0 || entries > kMaxEntries) return Err(Errno::kInval);
  std::unique_ptr<RequestRing> ring = RequestRing::Create(task, std::bit_ceil(entries));
  if (ring == nullptr) return Err(Errno::kNoMem);
  TRY(core_->Attach(*ring));
  return std::unique_ptr<Queue>(new Queue(core_, std::move(ring)));
}

const LoopStats& Loop::stats() const { return core_->stats(); }
LoopStats& Loop::stats() { return core_->stats(); }

}  // namespace dentree::uring
