#pragma once

#include <cstddef>
#include <cstring>
#include <iterator>

#include "base/check.h"

// Doubly linked lists whose links are members of what is listed: no allocation, removal in O(1)
// without the list at hand.
//
//   struct Inode { ListNode lru; };
//   List<Inode, &Inode::lru> lru;
//   lru.PushBack(inode);
//   for (Inode& i : lru) ...          // the current one may be removed in the loop body
//
// Invariants: a node that is on no list has null links; a listed one is on exactly one; the list is
// a ring through its head, so insertion and removal have no special cases. Thread safety: none; a
// lock of the owner's. Lifetime: a node is off the list when it is destroyed.

namespace dentree::base {

struct ListNode {
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { DCHECK(!linked(), "destroyed while on a list"); }

  [[nodiscard]] bool linked() const { return next != nullptr; }

  // Takes the node off the list it is on.
  void Unlink() {
    DCHECK(linked());
    prev->next = next;
    next->prev = prev;
    next = prev = nullptr;
  }
  void InsertBefore(ListNode& where) {
    DCHECK(!linked());
    next = &where;
    prev = where.prev;
    prev->next = this;
    where.prev = this;
  }

  ListNode* next = nullptr;
  ListNode* prev = nullptr;
};
static_assert(sizeof(ListNode) == 16);

// The object whose member `M` is `node`.
template <class T, class Node, Node T::* M>
T* ObjectOf(Node* node) {
  // A pointer to member is its offset (Itanium C++ ABI), known at compile time.
  constexpr Node T::* kMember = M;
  ptrdiff_t offset;
  static_assert(sizeof(kMember) == sizeof(offset));
  std::memcpy(&offset, &kMember, sizeof(offset));
  return reinterpret_cast<T*>(reinterpret_cast<char*>(node) - offset);
}

template <class T, ListNode T::* M>
class List {
 public:
  class Iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    Iterator() = default;
    explicit Iterator(ListNode* node) : node_(node), next_(node->next), prev_(node->prev) {}
    T& operator*() const { return *Object(node_); }
    T* operator->() const { return Object(node_); }
    Iterator& operator++() { return *this = Iterator(next_); }
    Iterator operator++(int) {
      Iterator old = *this;
      ++*this;
      return old;
    }
    Iterator& operator--() { return *this = Iterator(prev_); }
    Iterator operator--(int) {
      Iterator old = *this;
      --*this;
      return old;
    }
    bool operator==(const Iterator& other) const { return node_ == other.node_; }

   private:
    ListNode* node_ = nullptr;
    ListNode* next_ = nullptr;
    ListNode* prev_ = nullptr;
  };

  List() { head_.next = head_.prev = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    DCHECK(empty(), "destroyed with objects on it");
    head_.next = head_.prev = nullptr;
  }

  [[nodiscard]] bool empty() const { return head_.next == &head_; }
  // O(n): owners who ask often keep a count.
  [[nodiscard]] size_t Count() const {
    size_t n = 0;
    for (const ListNode* node = head_.next; node != &head_; node = node->next) ++n;
    return n;
  }

  [[nodiscard]] T& front() { return *Object(head_.next); }
  [[nodiscard]] T& back() { return *Object(head_.prev); }
  // Null at the end.
  [[nodiscard]] T* Next(T& object) { return OrNull((object.*M).next); }
  [[nodiscard]] T* Prev(T& object) { return OrNull((object.*M).prev); }

  void PushFront(T& object) { (object.*M).InsertBefore(*head_.next); }
  void PushBack(T& object) { (object.*M).InsertBefore(head_); }
  static void InsertBefore(T& object, T& where) { (object.*M).InsertBefore(where.*M); }
  static void InsertAfter(T& object, T& where) { (object.*M).InsertBefore(*(where.*M).next); }
  static void Remove(T& object) { (object.*M).Unlink(); }
  void MoveToFront(T& object) {
    Remove(object);
    PushFront(object);
  }
  void MoveToBack(T& object) {
    Remove(object);
    PushBack(object);
  }
  // Null when empty.
  T* PopFront() {
    if (empty()) return nullptr;
    T& object = front();
    Remove(object);
    return &object;
  }
  T* PopBack() {
    if (empty()) return nullptr;
    T& object = back();
    Remove(object);
    return &object;
  }
  // All of `other` goes to the end, in its order, in O(1).
  void TakeAll(List& other) {
    if (other.empty()) return;
    ListNode* first = other.head_.next;
    ListNode* last = other.head_.prev;
    first->prev = head_.prev;
    head_.prev->next = first;
    last->next = &head_;
    head_.prev = last;
    other.head_.next = other.head_.prev = &other.head_;
  }

  [[nodiscard]] Iterator begin() { return Iterator(head_.next); }
  [[nodiscard]] Iterator end() { return Iterator(&head_); }

  // Aborts unless the links of every node agree with those of its neighbours.
  void CheckInvariants() const {
    for (const ListNode* node = &head_;; node = node->next) {
      CHECK(node->next != nullptr && node->next->prev == node);
      if (node->next == &head_) return;
    }
  }

 private:
  static T* Object(ListNode* node) { return ObjectOf<T, ListNode, M>(node); }
  T* OrNull(ListNode* node) { return node == &head_ ? nullptr : Object(node); }

  ListNode head_;
};

}  // namespace dentree::base
