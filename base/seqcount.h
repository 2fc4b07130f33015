#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "base/check.h"

namespace dentree::base {

// A sequence count: readers copy what it covers without writing anything and try again if a writer
// was there. Odd while a write is under way.
//
//   uint32_t seq;
//   do {
//     seq = inode.seq.ReadBegin();
//     size = inode.size.Load();           // a SeqField
//   } while (inode.seq.ReadRetry(seq));
//
// What it covers must be SeqFields (or other atomics read with acquire and written with release): a
// reader that sees any value of a write under way then also sees the count of that write, so no
// fence is needed and the protocol is exact for race detectors too.
//
// Thread safety: any number of readers; writers exclude each other by a lock of their own.
class SeqCount {
 public:
  SeqCount() = default;
  SeqCount(const SeqCount&) = delete;
  SeqCount& operator=(const SeqCount&) = delete;

  // Waits until no write is under way. Writes are short, but their thread may lose its processor.
  [[nodiscard]] uint32_t ReadBegin() const {
    const uint32_t seq = Sample();
    return (seq & 1) == 0 ? seq : ReadBeginSlow();
  }
  // Whether what was read since `seq` may be torn or outdated.
  [[nodiscard]] bool ReadRetry(uint32_t seq) const {
    return seq_.load(std::memory_order_relaxed) != seq;
  }
  // The count as it is, odd included, without waiting.
  [[nodiscard]] uint32_t Sample() const { return seq_.load(std::memory_order_acquire); }

  // A locked operation although writers exclude each other: should they not, the second is found
  // out, and the count does not stay odd.
  void WriteBegin() {
    const uint32_t was = seq_.fetch_add(1, std::memory_order_acquire);
    DCHECK((was & 1) == 0, "two writers in one sequence count");
  }
  void WriteEnd() {
    seq_.store(seq_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  uint32_t ReadBeginSlow() const;

  std::atomic<uint32_t> seq_{0};
};
static_assert(sizeof(SeqCount) == 4);

// A write to what a SeqCount covers, for a scope.
class [[nodiscard]] SeqWrite {
 public:
  explicit SeqWrite(SeqCount& count) : count_(count) { count_.WriteBegin(); }
  ~SeqWrite() { count_.WriteEnd(); }
  SeqWrite(const SeqWrite&) = delete;
  SeqWrite& operator=(const SeqWrite&) = delete;

 private:
  SeqCount& count_;
};

// A field covered by a SeqCount: at most a machine word, never torn by itself.
//
// Thread safety: Load by anyone; Store by the writer.
template <class T>
class SeqField {
 public:
  static_assert(std::is_trivially_copyable_v<T> && std::atomic<T>::is_always_lock_free);

  constexpr SeqField() : value_(T{}) {}
  constexpr explicit SeqField(T value) : value_(value) {}

  [[nodiscard]] T Load() const { return value_.load(std::memory_order_acquire); }
  void Store(T value) { value_.store(value, std::memory_order_release); }

 private:
  std::atomic<T> value_;
};

}  // namespace dentree::base
