#include "vfs/negative_queue.h"

#include <cstring>

namespace dentree::vfs {

namespace {

// Rings through `link`, known by their first; null is the empty one.
template <class T>
void LinkLast(T*& first, T& item) {
  if (first == nullptr) {
    item.link.next = item.link.prev = &item;
    first = &item;
    return;
  }
  item.link.next = first;
  item.link.prev = first->link.prev;
  item.link.prev->link.next = &item;
  first->link.prev = &item;
}

template <class T>
void Unlink(T*& first, T& item) {
  if (item.link.next == &item) {
    first = nullptr;
    return;
  }
  item.link.prev->link.next = item.link.next;
  item.link.next->link.prev = item.link.prev;
  if (first == &item) first = item.link.next;
}

}  // namespace

bool Negative::Matches(const Dentry& dentry, uint32_t dir_seq, const Name& wanted) const {
  return key() == wanted.key() && dir->dentry == &dentry &&
         dir->seq.load(std::memory_order_relaxed) == dir_seq &&
         std::memcmp(reinterpret_cast<const char*>(this) + offsetof(Negative, name),
                     wanted.text().data(), wanted.size()) == 0;
}

Negative* NegativeQueue::newest() const {
  return oldest_ == nullptr ? nullptr : oldest_->link.prev;
}

Negative* NegativeQueue::After(const Negative& negative) const {
  return negative.link.next == oldest_ ? nullptr : negative.link.next;
}

void NegativeQueue::PushNewest(Negative& negative) { LinkLast(oldest_, negative); }

void NegativeQueue::Remove(Negative& negative) { Unlink(oldest_, negative); }

void NegativeQueue::Rotate() { oldest_ = oldest_->link.next; }

void NegativeQueue::Append(NegativeQueue& other) {
  Negative* const first = other.oldest_;
  other.oldest_ = nullptr;
  if (first == nullptr) return;
  if (oldest_ == nullptr) {
    oldest_ = first;
    return;
  }
  Negative* const last = first->link.prev;
  Negative* const newest = oldest_->link.prev;
  newest->link.next = first;
  first->link.prev = newest;
  last->link.next = oldest_;
  oldest_->link.prev = last;
}

void NegativeQueue::Replace(Negative& from, Negative& to) {
  const bool alone = from.link.next == &from;
  to.link.next = alone ? &to : from.link.next;
  to.link.prev = alone ? &to : from.link.prev;
  to.link.next->link.prev = &to;
  to.link.prev->link.next = &to;
  if (oldest_ == &from) oldest_ = &to;
}

void NegativeRing::Add(NegativeDir& dir) { LinkLast(hand_, dir); }

void NegativeRing::Remove(NegativeDir& dir) { Unlink(hand_, dir); }

}  // namespace dentree::vfs
