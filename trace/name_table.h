#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "base/errno.h"
#include "base/rcu.h"

namespace dentree::trace {

// A hash table of objects by name, looked up without a lock.
//
// Open addressing: an entry is an object, empty, or the mark of one removed, over which searches go
// on. Grown or cleaned by building another array and publishing it. At least a quarter of an array
// is empty, so every search ends.
//
// T needs `hash()`; what makes two names equal is the caller's `equal(const T&)`.
//
// Thread safety: Find inside an RCU read section or under the owner's lock; everything else under
// the owner's lock. Lifetime: owns the array, not the objects; dies when no reader is left.
template <class T>
class NameTable {
 public:
  NameTable() = default;
  ~NameTable() { ::operator delete(array_.load(std::memory_order_relaxed)); }
  NameTable(const NameTable&) = delete;
  NameTable& operator=(const NameTable&) = delete;

  template <class Equal>
  T* Find(uint64_t hash, Equal equal) const {
    const Array* array = array_.load(std::memory_order_acquire);
    if (array == nullptr) return nullptr;
    for (uint64_t i = hash;; ++i) {
      T* entry = array->at(i).load(std::memory_order_acquire);
      if (entry == nullptr) return nullptr;
      if (entry != Removed() && entry->hash() == hash && equal(*entry)) return entry;
    }
  }

  // Makes sure that the next `count` calls of Insert have room.
  base::Status Reserve(base::RcuDomain& rcu, size_t count) {
    Array* old = array_.load(std::memory_order_relaxed);
    if (old != nullptr && used_ + count <= old->limit()) return {};
    Array* array = Array::Create(std::bit_ceil((live_ + count) * 4 / 3 + 4));
    if (array == nullptr) return base::Err(base::Errno::kNoMem);
    for (size_t i = 0; old != nullptr && i <= old->mask; ++i) {
      T* entry = old->at(i).load(std::memory_order_relaxed);
      if (entry != nullptr && entry != Removed()) array->Insert(entry);
    }
    used_ = live_;
    array_.store(array, std::memory_order_release);
    if (old != nullptr) rcu.Retire(&old->rcu, &Array::Free, old->bytes());
    return {};
  }

  // Adds an object not equal to any in the table. Room must have been reserved.
  void Insert(T* object) {
    array_.load(std::memory_order_relaxed)->Insert(object);
    ++live_;
    ++used_;
  }

  void Remove(const T* object) {
    Array* array = array_.load(std::memory_order_relaxed);
    uint64_t i = object->hash();
    while (array->at(i).load(std::memory_order_relaxed) != object) ++i;
    array->at(i).store(Removed(), std::memory_order_release);
    --live_;
  }

  size_t size() const { return live_; }
  size_t bytes() const {
    const Array* array = array_.load(std::memory_order_relaxed);
    return array == nullptr ? 0 : array->bytes();
  }

 private:
  static T* Removed() { return reinterpret_cast<T*>(alignof(T)); }

  // mask + 1 entries follow.
  struct Array {
    base::RcuHead rcu;
    uint64_t mask;

    static Array* Create(size_t entries) {
      void* memory =
          ::operator new(sizeof(Array) + entries * sizeof(std::atomic<T*>), std::nothrow);
      if (memory == nullptr) return nullptr;
      Array* array = new (memory) Array{{}, entries - 1};
      for (size_t i = 0; i < entries; ++i) new (&array->at(i)) std::atomic<T*>(nullptr);
      return array;
    }
    static void Free(base::RcuHead* head) {
      static_assert(offsetof(Array, rcu) == 0);
      ::operator delete(head);
    }

    std::atomic<T*>& at(uint64_t i) {
      return reinterpret_cast<std::atomic<T*>*>(this + 1)[i & mask];
    }
    const std::atomic<T*>& at(uint64_t i) const {
      return reinterpret_cast<const std::atomic<T*>*>(this + 1)[i & mask];
    }
    size_t limit() const { return (mask + 1) / 4 * 3; }
    size_t bytes() const { return sizeof(Array) + (mask + 1) * sizeof(std::atomic<T*>); }

    void Insert(T* object) {
      uint64_t i = object->hash();
      while (at(i).load(std::memory_order_relaxed) != nullptr) ++i;
      at(i).store(object, std::memory_order_release);
    }
  };

  std::atomic<Array*> array_{nullptr};
  size_t live_ = 0;  // objects
  size_t used_ = 0;  // objects and marks: what is not empty
};

}  // namespace dentree::trace
