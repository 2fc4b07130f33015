#include "vfs/negative_queue.h"

#include <cstring>

namespace dentree::vfs {

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

void NegativeQueue::PushNewest(Negative& negative) {
  if (oldest_ == nullptr) {
    negative.link.next = negative.link.prev = &negative;
    oldest_ = &negative;
    return;
  }
  negative.link.next = oldest_;
  negative.link.prev = oldest_->link.prev;
  negative.link.prev->link.next = &negative;
  oldest_->link.prev = &negative;
}

void NegativeQueue::Remove(Negative& negative) {
  if (negative.link.next == &negative) {
    oldest_ = nullptr;
    return;
  }
  negative.link.prev->link.next = negative.link.next;
  negative.link.next->link.prev = negative.link.prev;
  if (oldest_ == &negative) oldest_ = negative.link.next;
}

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

void NegativeRing::Add(NegativeDir& dir) {
  if (hand_ == nullptr) {
    dir.link.next = dir.link.prev = &dir;
    hand_ = &dir;
    return;
  }
  dir.link.next = hand_;
  dir.link.prev = hand_->link.prev;
  dir.link.prev->link.next = &dir;
  hand_->link.prev = &dir;
}

void NegativeRing::Remove(NegativeDir& dir) {
  if (dir.link.next == &dir) {
    hand_ = nullptr;
    return;
  }
  dir.link.prev->link.next = dir.link.next;
  dir.link.next->link.prev = dir.link.prev;
  if (hand_ == &dir) hand_ = dir.link.next;
}

}  // namespace dentree::vfs
