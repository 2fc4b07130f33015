#pragma once

#include <atomic>
#include <cstddef>

#include "base/check.h"
#include "base/list.h"
#include "base/lock_rank.h"

// Singly headed lists for hash buckets, read under RCU: a head is one pointer, a node two.
//
// Writers insert at the front and remove under the bucket's lock. A removed node keeps its forward
// link, so a reader standing on it walks on; it must not be put on any list, and not be freed,
// before a grace period has passed (or, where a type is reused at once, readers must check the
// object's sequence count).
//
//   RcuHList<Dentry, &Dentry::hash> bucket;
//   RcuReadGuard guard(domain);
//   for (Dentry& d : bucket) ...
//
// Thread safety: as said. Lifetime: a node is off the list when it is destroyed.

namespace dentree::base {

struct RcuHNode {
  RcuHNode() = default;
  RcuHNode(const RcuHNode&) = delete;
  RcuHNode& operator=(const RcuHNode&) = delete;

  // By writers.
  [[nodiscard]] bool linked() const { return link != nullptr; }

  std::atomic<RcuHNode*> next{nullptr};
  // What points at this node: the head or the node before. Null when on no list.
  std::atomic<RcuHNode*>* link = nullptr;
};
static_assert(sizeof(RcuHNode) == 16);

template <class T, RcuHNode T::* M>
class RcuHList {
 public:
  class Iterator {
   public:
    explicit Iterator(RcuHNode* node) : node_(node) {}
    T& operator*() const { return *ObjectOf<T, RcuHNode, M>(node_); }
    T* operator->() const { return &**this; }
    Iterator& operator++() {
      node_ = node_->next.load(std::memory_order_acquire);
      return *this;
    }
    bool operator==(const Iterator& other) const { return node_ == other.node_; }

   private:
    RcuHNode* node_;
  };

  constexpr RcuHList() = default;
  RcuHList(const RcuHList&) = delete;
  RcuHList& operator=(const RcuHList&) = delete;

  [[nodiscard]] bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }
  // Inside a read section, or under the bucket's lock.
  [[nodiscard]] Iterator begin() const { return Iterator(head_.load(std::memory_order_acquire)); }
  [[nodiscard]] Iterator end() const { return Iterator(nullptr); }

  void PushFront(T& object) {
    RcuHNode& node = object.*M;
    DCHECK(!node.linked());
    RcuHNode* first = head_.load(std::memory_order_relaxed);
    node.next.store(first, std::memory_order_relaxed);
    node.link = &head_;
    if (first != nullptr) first->link = &node.next;
    head_.store(&node, std::memory_order_release);
  }
  static void Remove(T& object) {
    RcuHNode& node = object.*M;
    DCHECK(node.linked());
    RcuHNode* next = node.next.load(std::memory_order_relaxed);
    node.link->store(next, std::memory_order_release);
    if (next != nullptr) next->link = node.link;
    node.link = nullptr;
  }

 private:
  std::atomic<RcuHNode*> head_{nullptr};
};

}  // namespace dentree::base
