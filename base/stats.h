#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/thread_index.h"

// A statistic is a field of a struct. The struct says nothing about how it is shown; a constexpr
// schema beside it does.
//
//   struct DcacheStats {
//     Counter hits;
//     Gauge entries;
//     HighWater longest_chain;
//   };
//   inline constexpr auto kDcacheFields = Fields(
//       F<&DcacheStats::hits>("hits", "Lookups answered by the cache", StatKind::kCumulative),
//       F<&DcacheStats::entries>("entries", "Names in the cache", StatKind::kInstant),
//       F<&DcacheStats::longest_chain>("longest_chain", "...", StatKind::kHighWater));
//
//   Sharded<DcacheStats> stats;                 // or a plain DcacheStats
//   stats.Add<&DcacheStats::hits>();
//   for (const StatField& f : StatSet(kDcacheFields, stats)) ...   // see StatSet
//
// Costs: Counter::Add by itself is one locked add (5 ns, and a shared line: for what happens
// rarely). Sharded<S>::Add is a plain load, add and store in a line of this thread's own (0.5 ns),
// for hot paths; ShardedGauge likewise, for one quantity that goes up and down.

namespace dentree::base {

// Counts events; only goes up. Thread safety: any thread.
class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  // By the only thread that writes this counter.
  void AddOwned(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// A quantity that goes up and down. Thread safety: any thread.
class Gauge {
 public:
  // Returns the new value.
  int64_t Add(int64_t n = 1) { return value_.fetch_add(n, std::memory_order_relaxed) + n; }
  int64_t Sub(int64_t n = 1) { return Add(-n); }
  void Set(int64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] int64_t Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// The largest value seen. Thread safety: any thread.
class HighWater {
 public:
  void Note(int64_t n) {
    int64_t was = value_.load(std::memory_order_relaxed);
    while (n > was && !value_.compare_exchange_weak(was, n, std::memory_order_relaxed)) {
    }
  }
  void Reset(int64_t n = 0) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] int64_t Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

enum class StatKind : uint8_t {
  kCumulative,  // since the start; only grows
  kInstant,     // now
  kHighWater,   // the most there ever was
};

enum class StatUnit : uint8_t { kNone, kBytes, kNanoseconds };

std::string_view StatKindName(StatKind kind);
std::string_view StatUnitName(StatUnit unit);

// One statistic of a struct, with the struct's type erased.
struct StatField {
  std::string_view name;
  std::string_view help;
  StatKind kind;
  StatUnit unit;
  bool is_signed;  // else what `read` returns are the bits of a uint64_t
  // Reads it from the instance at `instance`.
  int64_t (*read)(const void* instance);
  // Makes a high water start again, at its level now if the schema names that, else at 0. Null for
  // all others: what only grows is never written by readers (statsfs keeps where it stood).
  void (*restart)(void* instance);
};

// A field together with the struct it belongs to, so that a schema cannot mix structs.
template <class S>
struct TypedStatField {
  StatField field;
};

template <class S, size_t N>
struct StatSchema {
  std::array<StatField, N> fields;

  [[nodiscard]] constexpr std::span<const StatField> Span() const { return fields; }
};

namespace internal {

template <class S, class M>
S ClassOf(M S::*);

template <class M>
auto ReadStat(const M& member) {
  if constexpr (requires { member.Value(); }) {
    return member.Value();
  } else if constexpr (requires { member.load(std::memory_order_relaxed); }) {
    return member.load(std::memory_order_relaxed);
  } else {
    return member;
  }
}

template <auto M, class S>
auto ReadField(const S& instance) {
  if constexpr (std::is_member_function_pointer_v<decltype(M)>) {
    return ReadStat((instance.*M)());
  } else {
    return ReadStat(instance.*M);
  }
}

template <auto M, auto kLevel, class S>
void RestartHighWater(void* instance) {
  S& stats = *static_cast<S*>(instance);
  // In this order: a level that is reached meanwhile is not forgotten.
  (stats.*M).Reset();
  if constexpr (!std::is_null_pointer_v<decltype(kLevel)>) {
    (stats.*M).Note(static_cast<int64_t>(ReadField<kLevel>(stats)));
  }
}

template <auto M, auto kLevel, class S>
constexpr auto RestartOf() -> void (*)(void*) {
  if constexpr (std::is_same_v<decltype(M), HighWater S::*>) return &RestartHighWater<M, kLevel, S>;
  return nullptr;
}

}  // namespace internal

// Describes the field `M` of a struct: a Counter, Gauge, HighWater, std::atomic or number, or a
// const member function that returns one of these. `kLevel`: of a HighWater, the field of which it
// is the highest value.
template <auto M, auto kLevel = nullptr>
constexpr auto F(std::string_view name, std::string_view help, StatKind kind,
                 StatUnit unit = StatUnit::kNone) {
  using S = decltype(internal::ClassOf(M));
  using Value = decltype(internal::ReadField<M>(std::declval<const S&>()));
  return TypedStatField<S>{{.name = name,
                            .help = help,
                            .kind = kind,
                            .unit = unit,
                            .is_signed = std::is_signed_v<Value>,
                            .read =
                                [](const void* instance) {
                                  return static_cast<int64_t>(
                                      internal::ReadField<M>(*static_cast<const S*>(instance)));
                                },
                            .restart = internal::RestartOf<M, kLevel, S>()}};
}

template <class S, std::same_as<TypedStatField<S>>... Rest>
constexpr StatSchema<S, 1 + sizeof...(Rest)> Fields(TypedStatField<S> first, Rest... rest) {
  return {{first.field, rest.field...}};
}

// One S per thread: statistics of hot paths. A thread below kOwnShards writes its own shard without
// atomic read-modify-write; the others share the last one.
//
// Thread safety: any thread. Values are sums (counters, gauges) or maxima (high waters) over the
// shards; they are read while others write, so they are exact only at rest.
template <class S>
class Sharded {
 public:
  static constexpr uint32_t kOwnShards = 15;

  template <auto M>
  void Add(uint64_t n = 1) {
    const uint32_t index = ThreadIndex();
    if (index < kOwnShards) [[likely]] {
      (shards_[index].stats.*M).AddOwned(n);
    } else {
      (shards_[kOwnShards].stats.*M).Add(n);
    }
  }
  template <auto M>
  [[nodiscard]] uint64_t Sum() const {
    uint64_t sum = 0;
    for (const Shard& shard : shards_) sum += (shard.stats.*M).Value();
    return sum;
  }
  // The struct of this thread, for gauges, high waters and rare counters.
  [[nodiscard]] S& Local() { return shards_[std::min(ThreadIndex(), kOwnShards)].stats; }

  [[nodiscard]] const void* first() const { return &shards_[0].stats; }
  static constexpr size_t kStride = (sizeof(S) + 63) / 64 * 64;
  static constexpr size_t kShards = kOwnShards + 1;

 private:
  struct alignas(64) Shard {
    S stats;
  };
  static_assert(sizeof(Shard) == kStride);

  std::array<Shard, kShards> shards_;
};

// A quantity that many threads move all the time: each moves a cell of its own, without atomic
// read-modify-write (1 ns; threads beyond kOwnCells share one).
//
// Thread safety: any thread. Value() reads every cell one after the other: exact while nobody moves
// it, and never below what is left while it is only moved down. Who reads that something was moved
// sees what was done before.
class ShardedGauge {
 public:
  static constexpr uint32_t kOwnCells = 15;

  void Add(int64_t n = 1) {
    const uint32_t index = ThreadIndex();
    if (index < kOwnCells) [[likely]] {
      std::atomic<int64_t>& own = cells_[index].n;
      own.store(own.load(std::memory_order_relaxed) + n, std::memory_order_release);
    } else {
      cells_[kOwnCells].n.fetch_add(n, std::memory_order_release);
    }
  }
  void Sub(int64_t n = 1) { Add(-n); }
  [[nodiscard]] int64_t Value() const {
    int64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.n.load(std::memory_order_acquire);
    return sum;
  }
  // REQUIRES: nobody moves it.
  void Reset() {
    for (Cell& cell : cells_) cell.n.store(0, std::memory_order_relaxed);
  }

 private:
  struct alignas(64) Cell {
    std::atomic<int64_t> n{0};
  };
  std::array<Cell, kOwnCells + 1> cells_;
};

// A schema with the instance it describes: what statistics readers iterate over.
//
//   for (const StatField& field : set.fields()) Print(field.name, set.Value(field));
//
// Thread safety: any thread. Lifetime: refers to schema and instance.
class StatSet {
 public:
  template <class S, size_t N>
  StatSet(const StatSchema<S, N>& schema, const S& stats)
      : fields_(schema.Span()), first_(&stats), stride_(0), shards_(1) {}
  // One whose high waters may be made to start again.
  template <class S, size_t N>
  StatSet(const StatSchema<S, N>& schema, S& stats)
      : fields_(schema.Span()), first_(&stats), own_(&stats), stride_(0), shards_(1) {}
  template <class S, size_t N>
  StatSet(const StatSchema<S, N>& schema, const Sharded<S>& stats)
      : fields_(schema.Span()),
        first_(stats.first()),
        stride_(Sharded<S>::kStride),
        shards_(Sharded<S>::kShards) {}

  [[nodiscard]] std::span<const StatField> fields() const { return fields_; }
  [[nodiscard]] int64_t Value(const StatField& field) const {
    int64_t value = field.read(first_);
    for (size_t i = 1; i < shards_; ++i) {
      const int64_t other = field.read(static_cast<const char*>(first_) + i * stride_);
      value = field.kind == StatKind::kHighWater ? std::max(value, other) : value + other;
    }
    return value;
  }
  // Whether Restart may be called: a high water of a struct that was not given as const.
  [[nodiscard]] bool MayRestart(const StatField& field) const {
    return own_ != nullptr && field.restart != nullptr;
  }
  void Restart(const StatField& field) const { field.restart(own_); }

 private:
  std::span<const StatField> fields_;
  const void* first_;
  void* own_ = nullptr;
  size_t stride_;
  size_t shards_;
};

}  // namespace dentree::base
