#include "trace/tracepoint.h"

#include <cstring>

#include "base/rcu.h"
#include "base/thread_index.h"
#include "trace/registry.h"

namespace dentree::trace {

void TracepointBase::Commit(std::span<std::byte> record) const {
  const Registry* registry = registry_.load(std::memory_order_acquire);
  base::RcuReadGuard guard(registry->rcu());
  const Event* event = event_.load(std::memory_order_acquire);
  if (event == nullptr) return;  // removed since the flag was read
  const RecordHeader header{.type = event->type(), .pid = base::ThreadIdOf(base::ThreadIndex())};
  std::memcpy(record.data(), &header, sizeof(header));
  registry->Dispatch({*event, record});
}

Registration& Registration::operator=(Registration&& other) noexcept {
  Reset();
  event_ = std::move(other.event_);
  return *this;
}

void Registration::Reset() {
  if (!event_) return;
  event_->registry_.Withdraw(*event_);
  event_ = nullptr;
}

}  // namespace dentree::trace
