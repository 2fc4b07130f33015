#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/errno.h"
#include "base/rcu.h"

namespace dentree::trace {

class Instance;

// Which event is enabled in which instance: one bit for each pair, and the only place that says so.
//
//              instance columns
//   slot 0     0100000000 ...     a row of `words` 64-bit words, 64 columns each
//   slot 1     1100000000 ...
//    ...
//
// A row is what the write path needs (where does this record go?) and, when it is all zero, the
// news that the event is off. A column is the state of an instance. An instance gets a column when
// it first enables something, so one that never does costs no bit here; 64 instances that do cost
// 8 bytes per event together. Nothing is allocated before the first.
//
// Growing builds a new table and publishes it; who still reads the old one sees the bits of before.
// A row or a column is given to another event or instance only after a grace period (IndexPool),
// and is all zero then.
//
// Thread safety: Test and ForEachInstance inside an RCU read section or under the registry's lock;
// everything else under that lock. Lifetime: owns its table, not the instances.
class EnableMatrix {
 public:
  EnableMatrix() = default;
  ~EnableMatrix();
  EnableMatrix(const EnableMatrix&) = delete;
  EnableMatrix& operator=(const EnableMatrix&) = delete;

  // Makes room for `slots` rows and `columns` columns. kNoMem leaves all as it was.
  base::Status Reserve(base::RcuDomain& rcu, uint32_t slots, uint32_t columns);

  // Whose column it is; null when the instance goes away.
  void SetInstance(uint32_t column, Instance* instance);

  // True if the bit was not set before. Row and column must have been reserved.
  bool Set(uint32_t slot, uint32_t column);
  // True if the bit was set before.
  bool Clear(uint32_t slot, uint32_t column);

  bool Test(uint32_t slot, uint32_t column) const {
    const Table* table = table_.load(std::memory_order_acquire);
    if (table == nullptr || slot >= table->slots || column >= table->words * 64) return false;
    return (table->row(slot)[column / 64].load(std::memory_order_relaxed) >> column % 64 & 1) != 0;
  }

  // Whether no instance has it enabled.
  bool RowEmpty(uint32_t slot) const;

  // Calls `visit(Instance&)` for each instance where the event of that slot is enabled.
  template <class Visit>
  void ForEachInstance(uint32_t slot, Visit visit) const {
    const Table* table = table_.load(std::memory_order_acquire);
    if (table == nullptr || slot >= table->slots) return;
    for (uint32_t word = 0; word < table->words; ++word) {
      uint64_t bits = table->row(slot)[word].load(std::memory_order_relaxed);
      for (; bits != 0; bits &= bits - 1) {
        const auto column = static_cast<uint32_t>(word * 64 + std::countr_zero(bits));
        if (Instance* instance = table->instance(column).load(std::memory_order_acquire)) {
          visit(*instance);
        }
      }
    }
  }

  size_t bytes() const;

 private:
  // Behind it: words * 64 instance pointers, then slots * words words of bits.
  struct Table {
    base::RcuHead rcu;
    uint32_t slots;
    uint32_t words;

    static Table* Create(uint32_t slots, uint32_t words);
    static void Free(base::RcuHead* head);
    static size_t Bytes(size_t slots, size_t words) {
      return sizeof(Table) + words * 64 * sizeof(void*) + slots * words * sizeof(uint64_t);
    }
    std::atomic<Instance*>& instance(uint32_t column) const {
      return reinterpret_cast<std::atomic<Instance*>*>(const_cast<Table*>(this) + 1)[column];
    }
    std::atomic<uint64_t>* row(uint32_t slot) const {
      auto* bits = reinterpret_cast<std::atomic<uint64_t>*>(&instance(words * 64));
      return bits + size_t{slot} * words;
    }
  };

  void CopyFrom(const Table& old, Table& table) const;

  std::atomic<Table*> table_{nullptr};
};

}  // namespace dentree::trace
