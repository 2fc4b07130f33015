// ChainTable: an intrusive hash table of objects with a key, in chains, that never allocates under
// its owner's lock.
//
// T has `T* chain_next` and a static `uint64_t ChainKey(const T&)`. Several objects may have one
// key.
//
// Thread safety: the owner's lock around everything but the allocation in Grow's first step.
// Lifetime: objects are removed before they die; the table is empty when destroyed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/base.h"
#include "mm/mm.h"

namespace dentree::kernfs {

template <class T>
class ChainTable {
 public:
  static constexpr size_t kFirstBuckets = 16;

  explicit ChainTable(mm::Memory& memory) : memory_(memory) {}
  ChainTable(const ChainTable&) = delete;
  ChainTable& operator=(const ChainTable&) = delete;
  ~ChainTable() {
    DCHECK(size_ == 0, "destroyed with objects in it");
    Free(memory_, Buckets{buckets_, count_});
  }

  size_t size() const { return size_; }

  // --- growing: Wanted under the lock, Allocate without, Adopt under it again, Free without ---

  struct Buckets {
    T** heads = nullptr;
    size_t count = 0;
  };
  // How many buckets there should be; 0 when there are enough.
  size_t Wanted() const {
    if (size_ < count_) return 0;
    return count_ == 0 ? kFirstBuckets : count_ * 2;
  }
  // Empty buckets, or none when memory is short: the old ones do, if there are any.
  static Buckets Allocate(mm::Memory& memory, size_t count, const char* site) {
    if (count == 0) return {};
    auto** const heads = static_cast<T**>(memory.AllocBytes(count * sizeof(T*), site));
    if (heads == nullptr) return {};
    std::fill_n(heads, count, nullptr);
    return {heads, count};
  }
  static void Free(mm::Memory& memory, Buckets old) {
    memory.FreeBytes(old.heads, old.count * sizeof(T*));
  }
  // Moves everything into `fresh` if it is larger; returns what is not needed any more.
  Buckets Adopt(Buckets fresh) {
    if (fresh.count <= count_) return fresh;
    const Buckets old{buckets_, count_};
    buckets_ = fresh.heads;
    count_ = fresh.count;
    for (size_t i = 0; i < old.count; ++i) {
      while (T* object = old.heads[i]) {
        old.heads[i] = object->chain_next;
        PushFront(*object);
      }
    }
    return old;
  }

  // --- contents ---

  bool usable() const { return count_ != 0; }
  // REQUIRES: usable().
  void Insert(T& object) {
    PushFront(object);
    ++size_;
  }
  void Remove(T& object) {
    T** link = &HeadOf(T::ChainKey(object));
    while (*link != &object) link = &(*link)->chain_next;
    *link = object.chain_next;
    --size_;
  }
  // The first object after `after` (null: from the start) with `key` for which `fits` is true.
  template <class Fits>
  T* Find(uint64_t key, Fits fits, T* after = nullptr) const {
    if (count_ == 0) return nullptr;
    T* object = after == nullptr ? HeadOf(key) : after->chain_next;
    while (object != nullptr && !(T::ChainKey(*object) == key && fits(*object))) {
      object = object->chain_next;
    }
    return object;
  }
  // Any object for which `fits` is true; looks at all.
  template <class Fits>
  T* FindAnywhere(Fits fits) const {
    for (size_t i = 0; i < count_; ++i) {
      for (T* object = buckets_[i]; object != nullptr; object = object->chain_next) {
        if (fits(*object)) return object;
      }
    }
    return nullptr;
  }

 private:
  T*& HeadOf(uint64_t key) const { return buckets_[base::Mix64(key) & (count_ - 1)]; }
  void PushFront(T& object) {
    T*& head = HeadOf(T::ChainKey(object));
    object.chain_next = head;
    head = &object;
  }

  mm::Memory& memory_;
  T** buckets_ = nullptr;
  size_t count_ = 0;  // a power of two, or 0
  size_t size_ = 0;
};

}  // namespace dentree::kernfs
