// What the policies share.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <new>

#include "vfs/negative_policy.h"

namespace dentree::vfs {

// A policy in charged memory; null without it.
template <class T, class... Args>
NegativePolicy* MakeNegativePolicy(mm::Memory& memory, size_t& bytes, Args&&... args) {
  void* const place = memory.AllocBytes(sizeof(T), "mm:negative_policy");
  bytes = sizeof(T);
  return place == nullptr ? nullptr : ::new (place) T(std::forward<Args>(args)...);
}

// Each makes those of its file; null without memory, or when `spec` is not one of its own.
struct NegativeMake {
  NegativeCache& cache;
  mm::Memory& memory;
  const NegativeSpec& spec;
  size_t& bytes;
};
NegativePolicy* MakeFifoPolicy(const NegativeMake& make);    // negative_fifo.cc
NegativePolicy* MakeDirPolicy(const NegativeMake& make);     // negative_dirs.cc
NegativePolicy* MakeS3Policy(const NegativeMake& make);      // negative_s3.cc
NegativePolicy* MakeSketchPolicy(const NegativeMake& make);  // negative_sketch.cc

// One with queues for the whole super block.
class GlobalNegativePolicy : public NegativePolicy {
 public:
  void Leave(Negative& negative) override {
    QueueOf(negative).Remove(negative);
    --counts_[IndexOf(negative)];
  }
  void Replace(Negative& from, Negative& to) override { QueueOf(from).Replace(from, to); }
  void Dissolve() override {
    for (NegativeQueue& queue : queues_) Abandon(queue);
  }

 protected:
  using NegativePolicy::NegativePolicy;

  NegativeQueue& QueueOf(const Negative& negative) { return queues_[IndexOf(negative)]; }
  NegativeQueue& queue(Negative::Queue which) { return queues_[which - Negative::kFirst]; }
  uint32_t& count(Negative::Queue which) { return counts_[which - Negative::kFirst]; }
  // As the newest of a queue.
  void Put(Negative& negative, Negative::Queue which) {
    negative.queue = which;
    queue(which).PushNewest(negative);
    ++count(which);
  }
  void Move(Negative& negative, Negative::Queue which) {
    GlobalNegativePolicy::Leave(negative);
    Put(negative, which);
  }
  Victim Out(Negative& negative, NegativeEviction reason) {
    GlobalNegativePolicy::Leave(negative);
    return {&negative, reason};
  }

 private:
  static size_t IndexOf(const Negative& negative) {
    return size_t{negative.queue} - Negative::kFirst;
  }

  std::array<NegativeQueue, 3> queues_;
  std::array<uint32_t, 3> counts_ = {};
};

// One with queues for each directory. Directories that have something queued are in a ring.
class DirNegativePolicy : public NegativePolicy {
 public:
  bool per_dir() const override { return true; }
  void Leave(Negative& negative) override {
    Unqueue(negative);
    Settle(*negative.dir);
  }
  void Replace(Negative& from, Negative& to) override { QueueOf(from).Replace(from, to); }
  void DirGone(NegativeDir& dir) override {
    if (dir.ring != 0) rings_[dir.ring - 1].Remove(dir);
    dir.ring = 0;
    Abandon(dir.small);
    Abandon(dir.main);
    dir.small_count = dir.main_count = 0;
  }
  void Dissolve() override {
    for (NegativeRing& ring : rings_) {
      while (!ring.empty()) {
        NegativeDir& dir = *ring.hand();
        DirGone(dir);
        stats().quota_units.Sub(dir.quota);
        dir.quota = dir.score = 0;
      }
    }
  }

 protected:
  using NegativePolicy::NegativePolicy;
  static constexpr uint32_t kFair = 1, kOver = 2;

  // The ring a directory with something queued belongs to.
  virtual uint32_t RingOf(const NegativeDir& dir) const { return (void)dir, kFair; }
  NegativeRing& ring(uint32_t which) { return rings_[which - 1]; }
  NegativeQueue& QueueOf(const Negative& negative) {
    return negative.queue == Negative::kFirst ? negative.dir->small : negative.dir->main;
  }
  // As the newest of its directory's queue.
  void Queue(Negative& negative, Negative::Queue which) {
    NegativeDir& dir = *negative.dir;
    negative.queue = which;
    QueueOf(negative).PushNewest(negative);
    ++(which == Negative::kFirst ? dir.small_count : dir.main_count);
  }
  void Unqueue(Negative& negative) {
    NegativeDir& dir = *negative.dir;
    QueueOf(negative).Remove(negative);
    --(negative.queue == Negative::kFirst ? dir.small_count : dir.main_count);
  }
  // Puts a directory into the ring it belongs to now.
  void Settle(NegativeDir& dir) {
    const uint32_t wanted = dir.queued_count() > 0 ? RingOf(dir) : 0;
    if (dir.ring == wanted) return;
    if (dir.ring != 0) rings_[dir.ring - 1].Remove(dir);
    dir.ring = wanted & 3;
    if (wanted != 0) rings_[wanted - 1].Add(dir);
  }
  Victim Out(Negative& negative, NegativeEviction reason) {
    DirNegativePolicy::Leave(negative);
    return {&negative, reason};
  }

 private:
  std::array<NegativeRing, 2> rings_;
};

}  // namespace dentree::vfs
