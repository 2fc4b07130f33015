// Schema: the statistics of a struct as directories of text files, made while compiling.
//
// From a schema of base/stats.h come three constant directory types, so that a file of a value
// costs nothing, in no source:
//     of a source with values      NAME (one number), .schema
//     of a table                   NAME (a line for each row: its name and a number), .schema
//     of an aggregate              NAME (one number)
// A name that cannot be a file's, or stands twice, does not compile.
//
// .schema has a line for each value: name, kind, unit and what it is, separated by tabs. Kinds:
// "cumulative", "instant", "high water"; units: "none", "bytes", "ns".
//
// What can be cleared has mode 0644, everything else 0444 (docs/statsfs.md).
//
// Thread safety: constants. Lifetime: static storage.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/base.h"
#include "kernfs/kernfs.h"

namespace dentree::statsfs {

using base::Err;
using base::Errno;
using base::Result;
using base::Status;

// What is said of many sources at once; each is a directory of this name. Over no source each is 0.
enum class Aggregate : uint8_t { kSum, kMin, kMax, kAvg, kCountZero };
inline constexpr std::array<std::string_view, 5> kAggregateNames = {"sum", "min", "max", "avg",
                                                                    "count_zero"};

// The children of a source that are no files: its sources and, if it has them, its aggregates.
class SourceProvider final : public kernfs::Provider {
 public:
  constexpr SourceProvider() = default;
  std::optional<kernfs::ObjectId> Find(const kernfs::Dir& dir,
                                       std::string_view name) const override;
  void List(const kernfs::Dir& dir, kernfs::ObjectId after, kernfs::ChildSink& sink) const override;
  std::optional<kernfs::Provided> Describe(kernfs::Node& domain,
                                           kernfs::ObjectId object) const override;
};

// The files. Which value one is about is its index in the table.
class ValueFile final : public kernfs::TextOps {
 public:
  constexpr ValueFile() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
};

class TableFile final : public kernfs::TextOps {
 public:
  constexpr TableFile() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

class AggregateFile final : public kernfs::TextOps {
 public:
  constexpr AggregateFile() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
  Status Store(kernfs::OpenFile& file, std::string_view command) const override;
};

class SchemaFile final : public kernfs::TextOps {
 public:
  constexpr SchemaFile() = default;
  Result<std::string> Show(kernfs::OpenFile& file) const override;
};

inline constexpr SourceProvider kSourceProvider{};
inline constexpr ValueFile kValueFile{};
inline constexpr TableFile kTableFile{};
inline constexpr AggregateFile kAggregateFile{};
inline constexpr SchemaFile kSchemaFile{};

// The files of a source's values go when it is revoked.
kernfs::Presence UnlessRevoked(const kernfs::Dir& dir);

// Its address is what makes the schemas of two sources the same.
struct Schema {
  std::span<const base::StatField> fields;
  kernfs::DirType values, table, aggregate;
};

// A quantity of now is what it is; the others count from when they were last cleared.
constexpr bool MayBeCleared(const base::StatField& field) {
  return field.kind != base::StatKind::kInstant;
}

namespace internal {

consteval kernfs::TableEntry FileOf(const base::StatField& field, const kernfs::NodeOps& ops,
                                    kernfs::Mode clearable, kernfs::PresentFn present) {
  return kernfs::File(field.name, MayBeCleared(field) ? clearable : kernfs::Mode{0444}, ops,
                      present);
}

inline constexpr kernfs::TableEntry kSchemaEntry =
    kernfs::File(".schema", 0444, kSchemaFile, &UnlessRevoked);

template <const auto& kFields>
using Indexes = std::make_index_sequence<kFields.fields.size()>;

template <const auto& kFields, size_t... I>
consteval auto MakeValueFiles(std::index_sequence<I...>) {
  return kernfs::MakeTable(FileOf(kFields.fields[I], kValueFile, 0644, &UnlessRevoked)...,
                           kSchemaEntry);
}
template <const auto& kFields, size_t... I>
consteval auto MakeTableFiles(std::index_sequence<I...>) {
  return kernfs::MakeTable(FileOf(kFields.fields[I], kTableFile, 0444, &UnlessRevoked)...,
                           kSchemaEntry);
}
template <const auto& kFields, size_t... I>
consteval auto MakeAggregateFiles(std::index_sequence<I...>) {
  return kernfs::MakeTable(FileOf(kFields.fields[I], kAggregateFile, 0644, nullptr)...);
}

template <const auto& kFields>
inline constexpr auto kValueFiles = MakeValueFiles<kFields>(Indexes<kFields>{});
template <const auto& kFields>
inline constexpr auto kTableFiles = MakeTableFiles<kFields>(Indexes<kFields>{});
template <const auto& kFields>
inline constexpr auto kAggregateFiles = MakeAggregateFiles<kFields>(Indexes<kFields>{});

}  // namespace internal

// The schema made of a base::StatSchema that is a constant of the program.
template <const auto& kFields>
inline constexpr Schema kSchemaOf{
    .fields = kFields.fields,
    .values = {.table = internal::kValueFiles<kFields>, .provider = &kSourceProvider},
    .table = {.table = internal::kTableFiles<kFields>, .provider = &kSourceProvider},
    .aggregate = {.table = internal::kAggregateFiles<kFields>},
};

}  // namespace dentree::statsfs
