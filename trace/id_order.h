#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "base/errno.h"
#include "base/rcu.h"

namespace dentree::trace {

// Objects in the order of their ids: appended at the end, removed anywhere, and walked from any id
// without a lock. Because ids only rise, a walk by "the first one after id X" sees every object
// that exists throughout exactly once, whatever comes and goes meanwhile.
//
// One array of {id, object}. Ids rise along it; a removed object leaves its id behind with no
// object (so that the search still works) until the array is next rebuilt.
//
// T needs `id()`.
//
// Thread safety: Find and Next inside an RCU read section or under the owner's lock; everything
// else under the owner's lock. Lifetime: owns the array, not the objects; the array in force dies
// with the IdOrder, whose owner therefore dies a grace period after its last reader.
template <class T>
class IdOrder {
 public:
  IdOrder() = default;
  ~IdOrder() { ::operator delete(array_.load(std::memory_order_relaxed)); }
  IdOrder(const IdOrder&) = delete;
  IdOrder& operator=(const IdOrder&) = delete;

  // The object of that id, or null.
  T* Find(uint64_t id) const {
    const Array* array = array_.load(std::memory_order_acquire);
    if (array == nullptr) return nullptr;
    const uint32_t at = array->FirstAfter(id - 1);
    if (at == array->size.load(std::memory_order_acquire) || array->entries()[at].id != id) {
      return nullptr;
    }
    return array->entries()[at].object.load(std::memory_order_acquire);
  }

  // The object with the smallest id above `after`, or null. Start with 0.
  T* Next(uint64_t after) const {
    const Array* array = array_.load(std::memory_order_acquire);
    if (array == nullptr) return nullptr;
    const uint32_t size = array->size.load(std::memory_order_acquire);
    for (uint32_t at = array->FirstAfter(after); at < size; ++at) {
      if (T* object = array->entries()[at].object.load(std::memory_order_acquire)) return object;
    }
    return nullptr;
  }

  // Makes sure that the next `count` calls of Append have room.
  base::Status Reserve(base::RcuDomain& rcu, size_t count) {
    Array* old = array_.load(std::memory_order_relaxed);
    const size_t used = old == nullptr ? 0 : old->size.load(std::memory_order_relaxed);
    if (old != nullptr && used + count <= old->capacity) return {};
    return Rebuild(rcu, live_ + std::max<size_t>(count, live_ / 2));
  }

  // Adds an object whose id is above all others'. Room must have been reserved.
  void Append(T* object) {
    array_.load(std::memory_order_relaxed)->Append(object);
    ++live_;
  }

  // Cannot fail. Leaves no more than three empty entries for each object, if memory permits.
  void Remove(base::RcuDomain& rcu, const T* object) {
    Array* array = array_.load(std::memory_order_relaxed);
    array->entries()[array->FirstAfter(object->id() - 1)].object.store(nullptr,
                                                                       std::memory_order_release);
    --live_;
    if (array->size.load(std::memory_order_relaxed) > 4 * (live_ + 4)) {
      static_cast<void>(Rebuild(rcu, live_ + live_ / 2));
    }
  }

  // Calls `visit(T&)` for all, in order. Under the owner's lock.
  template <class Visit>
  void ForEach(Visit visit) const {
    const Array* array = array_.load(std::memory_order_relaxed);
    const uint32_t size = array == nullptr ? 0 : array->size.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < size; ++i) {
      if (T* object = array->entries()[i].object.load(std::memory_order_relaxed)) visit(*object);
    }
  }

  size_t size() const { return live_; }
  size_t bytes() const {
    const Array* array = array_.load(std::memory_order_relaxed);
    return array == nullptr ? 0 : array->bytes();
  }

 private:
  struct Entry {
    uint64_t id;
    std::atomic<T*> object;
  };

  // `capacity` entries follow; the first `size` are in use and only their `object` still changes.
  struct Array {
    base::RcuHead rcu;
    uint32_t capacity;
    std::atomic<uint32_t> size{0};

    static Array* Create(size_t capacity) {
      void* memory = ::operator new(sizeof(Array) + capacity * sizeof(Entry), std::nothrow);
      return memory == nullptr ? nullptr : new (memory) Array{{}, static_cast<uint32_t>(capacity)};
    }
    static void Free(base::RcuHead* head) {
      static_assert(offsetof(Array, rcu) == 0);
      ::operator delete(head);
    }

    Entry* entries() { return reinterpret_cast<Entry*>(this + 1); }
    const Entry* entries() const { return reinterpret_cast<const Entry*>(this + 1); }
    size_t bytes() const { return sizeof(Array) + capacity * sizeof(Entry); }

    void Append(T* object) {
      const uint32_t at = size.load(std::memory_order_relaxed);
      Entry* entry = new (entries() + at) Entry{object->id(), {}};
      entry->object.store(object, std::memory_order_relaxed);
      size.store(at + 1, std::memory_order_release);
    }

    uint32_t FirstAfter(uint64_t after) const {
      const Entry* begin = entries();
      const Entry* end = begin + size.load(std::memory_order_acquire);
      auto above = [](uint64_t id, const Entry& entry) { return id < entry.id; };
      return static_cast<uint32_t>(std::upper_bound(begin, end, after, above) - begin);
    }
  };

  // Publishes an array without the removed ones.
  base::Status Rebuild(base::RcuDomain& rcu, size_t capacity) {
    Array* old = array_.load(std::memory_order_relaxed);
    Array* array = Array::Create(std::max<size_t>(4, capacity));
    if (array == nullptr) return base::Err(base::Errno::kNoMem);
    ForEach([array](T& object) { array->Append(&object); });
    array_.store(array, std::memory_order_release);
    if (old != nullptr) rcu.Retire(&old->rcu, &Array::Free, old->bytes());
    return {};
  }

  std::atomic<Array*> array_{nullptr};
  size_t live_ = 0;
};

}  // namespace dentree::trace
