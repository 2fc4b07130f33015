// Source: a named directory of statistics, for as long as the object lives. Contents: what is in
// it.
//
//     inline constexpr auto kVmFields = base::Fields(base::F<&VmStats::exits>("exits", ...), ...);
//
//     Source vms = TRY(statsfs.Add("vm", Aggregates<kVmFields>()));
//     Source vm = TRY(vms.Add("7", Values<kVmFields>(stats)));
//
//     vm/.schema  vm/sum/exits  vm/max/exits ...     of all below vm
//     vm/7/exits                                     of one
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>

#include "absl/functional/function_ref.h"
#include "base/base.h"
#include "statsfs/schema.h"

namespace dentree::statsfs {

// Rows that their owner keeps a list of: many small objects that come and go with nobody told.
//
// Thread safety: any thread. Lifetime: outlives the source that shows it, or its revocation.
class Rows {
 public:
  using Visit = absl::FunctionRef<void(std::string_view name, const base::StatSet& values)>;
  // Calls `visit` for each row there is, in an order that stays. Name and values hold during the
  // call. Names without white space; two rows may have one. Holds no lock of rank kNode or above
  // while it calls.
  virtual void ForEach(Visit visit) const = 0;

 protected:
  constexpr Rows() = default;
  constexpr ~Rows() = default;
};

// What a source is about: nothing, or one schema.
struct Contents {
  enum class Aggregates : uint8_t { kNo, kYes };

  const Schema* schema = nullptr;  // null: a folder
  std::optional<base::StatSet> values = {};
  const Rows* rows = nullptr;
  // Of the values and rows of this schema, its own and those of all sources below.
  Aggregates aggregates = Aggregates::kNo;

  Contents WithAggregates() const {
    Contents both = *this;
    both.aggregates = Aggregates::kYes;
    return both;
  }
};

constexpr Contents Folder() { return {}; }

// The values of `stats`: an S or a base::Sharded<S>. One with high waters is an S and not const,
// because to clear one is to write it.
template <const auto& kFields, class Stats>
Contents Values(Stats& stats) {
  constexpr bool kHighWaters = [] {
    for (const base::StatField& field : kFields.fields) {
      if (field.kind == base::StatKind::kHighWater) return true;
    }
    return false;
  }();
  using Described = std::remove_cvref_t<decltype(kFields)>;
  static_assert(
      !kHighWaters || std::is_same_v<Described, base::StatSchema<Stats, kFields.fields.size()>>,
      "high waters are cleared by writing: of one struct that is not const");
  return {.schema = &kSchemaOf<kFields>, .values = base::StatSet(kFields, stats)};
}

// A table of rows, with aggregates of them. Rows cannot be cleared.
template <const auto& kFields>
Contents Table(const Rows& rows) {
  return {.schema = &kSchemaOf<kFields>, .rows = &rows, .aggregates = Contents::Aggregates::kYes};
}

// Aggregates of what is below alone.
template <const auto& kFields>
Contents Aggregates() {
  return {.schema = &kSchemaOf<kFields>, .aggregates = Contents::Aggregates::kYes};
}

struct SourceNode;

// Thread safety: any thread may add to a source and revoke it; it is destroyed by one, once.
// Lifetime: outlives the sources added to it; its Statsfs outlives it. What it shows (stats, rows)
// outlives it or its revocation.
class Source {
 public:
  Source() = default;  // none
  Source(Source&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Source& operator=(Source other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  // Takes it away: nobody finds it any more, reads under way end, open files answer kNoDev. No lock
  // is held that a read of its values may want.
  ~Source();

  explicit operator bool() const { return node_ != nullptr; }

  // A source in this one. kInval: a name that cannot be; kNameTooLong; kExist: a value, an
  // aggregate or a source has the name; kNoMem. What fails leaves nothing.
  [[nodiscard]] Result<Source> Add(std::string_view name, const Contents& contents) const;

  // What its values and rows were read from goes, the source stays: its files vanish (kNoDev for
  // who has one open), no aggregate counts it, what is below is as it was. Waits for reads under
  // way. For ever; again is nothing.
  void Revoke() const;
  bool revoked() const;

 private:
  friend class Statsfs;
  explicit Source(SourceNode& node) : node_(&node) {}

  SourceNode* node_ = nullptr;
};

}  // namespace dentree::statsfs
