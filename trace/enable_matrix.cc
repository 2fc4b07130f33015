#include "trace/enable_matrix.h"

#include <algorithm>
#include <new>

namespace dentree::trace {

EnableMatrix::Table* EnableMatrix::Table::Create(uint32_t slots, uint32_t words) {
  void* memory = ::operator new(Bytes(slots, words), std::nothrow);
  if (memory == nullptr) return nullptr;
  Table* table = new (memory) Table{{}, slots, words};
  for (uint32_t column = 0; column < words * 64; ++column) {
    new (&table->instance(column)) std::atomic<Instance*>(nullptr);
  }
  std::atomic<uint64_t>* bits = table->row(0);
  for (size_t i = 0; i < size_t{slots} * words; ++i) new (bits + i) std::atomic<uint64_t>(0);
  return table;
}

void EnableMatrix::Table::Free(base::RcuHead* head) {
  static_assert(offsetof(Table, rcu) == 0);
  ::operator delete(head);
}

EnableMatrix::~EnableMatrix() { ::operator delete(table_.load(std::memory_order_relaxed)); }

base::Status EnableMatrix::Reserve(base::RcuDomain& rcu, uint32_t slots, uint32_t columns) {
  Table* old = table_.load(std::memory_order_relaxed);
  const uint32_t old_slots = old == nullptr ? 0 : old->slots;
  const uint32_t old_words = old == nullptr ? 0 : old->words;
  const uint32_t words = (columns + 63) / 64;
  if (slots <= old_slots && words <= old_words) return {};
  // Rows grow by a quarter at least, so that events coming one by one do not copy it every time.
  const uint32_t new_slots =
      slots <= old_slots ? old_slots : std::max(slots, old_slots + old_slots / 4);
  Table* table = Table::Create(new_slots, std::max(words, old_words));
  if (table == nullptr) return base::Err(base::Errno::kNoMem);
  if (old != nullptr) CopyFrom(*old, *table);
  table_.store(table, std::memory_order_release);
  if (old != nullptr) rcu.Retire(&old->rcu, &Table::Free, Table::Bytes(old_slots, old_words));
  return {};
}

void EnableMatrix::CopyFrom(const Table& old, Table& table) const {
  for (uint32_t column = 0; column < old.words * 64; ++column) {
    table.instance(column).store(old.instance(column).load(std::memory_order_relaxed),
                                 std::memory_order_relaxed);
  }
  for (uint32_t slot = 0; slot < old.slots; ++slot) {
    for (uint32_t word = 0; word < old.words; ++word) {
      table.row(slot)[word].store(old.row(slot)[word].load(std::memory_order_relaxed),
                                  std::memory_order_relaxed);
    }
  }
}

void EnableMatrix::SetInstance(uint32_t column, Instance* instance) {
  table_.load(std::memory_order_relaxed)
      ->instance(column)
      .store(instance, std::memory_order_release);
}

bool EnableMatrix::Set(uint32_t slot, uint32_t column) {
  std::atomic<uint64_t>& word = table_.load(std::memory_order_relaxed)->row(slot)[column / 64];
  const uint64_t bits = word.load(std::memory_order_relaxed);
  const uint64_t bit = uint64_t{1} << column % 64;
  word.store(bits | bit, std::memory_order_relaxed);
  return (bits & bit) == 0;
}

bool EnableMatrix::Clear(uint32_t slot, uint32_t column) {
  if (!Test(slot, column)) return false;
  std::atomic<uint64_t>& word = table_.load(std::memory_order_relaxed)->row(slot)[column / 64];
  word.store(word.load(std::memory_order_relaxed) & ~(uint64_t{1} << column % 64),
             std::memory_order_relaxed);
  return true;
}

bool EnableMatrix::RowEmpty(uint32_t slot) const {
  const Table* table = table_.load(std::memory_order_relaxed);
  if (table == nullptr || slot >= table->slots) return true;
  return std::all_of(table->row(slot), table->row(slot) + table->words,
                     [](const auto& word) { return word.load(std::memory_order_relaxed) == 0; });
}

size_t EnableMatrix::bytes() const {
  const Table* table = table_.load(std::memory_order_relaxed);
  return table == nullptr ? 0 : Table::Bytes(table->slots, table->words);
}

}  // namespace dentree::trace
