#pragma once

#include <atomic>
#include <cstdint>

#include "base/rcu.h"
#include "base/refptr.h"

namespace dentree::trace {

// The base of objects that are counted, found without a lock, and freed a grace period after their
// last reference: what Event, System and Instance have in common.
//
// A pointer found in an RCU read section is good until the section ends; TryGet makes a reference
// of it. T's private `base::RcuDomain& Unreferenced()` is called once, when the last reference
// goes.
//
// Thread safety: all of it from any thread. Lifetime: starts with one reference, the creator's.
template <class T>
class RcuCounted : private base::RcuHead {
 public:
  // A reference, or null if the last one is gone already.
  [[nodiscard]] static base::Ref<T> TryGet(T* object) {
    uint32_t refs = object->refs_.load(std::memory_order_relaxed);
    while (refs != 0) {
      if (object->refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
        return base::Ref<T>::Adopt(object);
      }
    }
    return nullptr;
  }

  static void Get(T* object) { object->refs_.fetch_add(1, std::memory_order_relaxed); }

  static void Put(T* object) {
    if (object->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    base::RcuDomain& rcu = object->Unreferenced();
    rcu.Retire(static_cast<RcuCounted*>(object), &Free, sizeof(T));
  }

 protected:
  RcuCounted() = default;
  ~RcuCounted() = default;
  RcuCounted(const RcuCounted&) = delete;
  RcuCounted& operator=(const RcuCounted&) = delete;

 private:
  static void Free(base::RcuHead* head) { delete static_cast<T*>(static_cast<RcuCounted*>(head)); }

  std::atomic<uint32_t> refs_{1};
};

}  // namespace dentree::trace
