// What the files say, and what writing them does.
//
// Values are read by whoever reads the file, with no lock of this room held.

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "statsfs/accumulator_internal.h"
#include "statsfs/tree_internal.h"

namespace dentree::statsfs {

using base::StatField;
using base::StatKind;
using kernfs::OpenFile;

namespace {

SourceNode& SourceOf(const OpenFile& file) { return file.priv_as<SourceNode>(); }
const StatField& FieldOf(const OpenFile& file) { return SourceOf(file).fields()[file.index()]; }
Aggregate AggregateOf(const OpenFile& file) {
  return static_cast<Aggregate>((file.object() & 7) - 1);
}

// Of an unsigned field, `value` has the bits.
void AppendNumber(std::string& text, int64_t value, const StatField& field) {
  if (field.is_signed) {
    absl::StrAppendFormat(&text, "%d\n", value);
  } else {
    absl::StrAppendFormat(&text, "%u\n", static_cast<uint64_t>(value));
  }
}

std::string NumberText(int64_t value, const StatField& field) {
  std::string text;
  AppendNumber(text, value, field);
  return text;
}

// To clear is to write the number 0; nothing else can be written.
Status CheckClears(const StatField& field, std::string_view command) {
  if (!MayBeCleared(field)) return Err(Errno::kPerm);
  if (base::ParseControlU64(command) != 0u) return Err(Errno::kInval);
  return {};
}

}  // namespace

// --- one value ---

// The mark is read first: what was counted before it was made is then seen in the value too, so
// that the difference is never below 0.
int64_t SourceNode::Value(size_t index) const {
  const StatField& field = fields()[index];
  uint64_t mark = 0;
  if (const auto* const marks = cleared_at.load(std::memory_order_acquire)) {
    mark = marks[index].load(std::memory_order_acquire);
  }
  const auto value = static_cast<uint64_t>(contents.values->Value(field));
  if (field.kind != StatKind::kCumulative) return static_cast<int64_t>(value);
  return static_cast<int64_t>(value < mark ? 0 : value - mark);
}

// Nothing of the counter is written, so whoever counts with a plain store loses nothing.
Status SourceNode::Clear(size_t index) {
  const StatField& field = fields()[index];
  if (field.kind == StatKind::kHighWater) {
    if (!contents.values->MayRestart(field)) return Err(Errno::kPerm);
    contents.values->Restart(field);
    return {};
  }
  auto* marks = cleared_at.load(std::memory_order_acquire);
  if (marks == nullptr) {
    using Mark = std::atomic<uint64_t>;
    const size_t bytes = fields().size() * sizeof(Mark);
    auto* const fresh = static_cast<Mark*>(tree.memory().AllocBytes(bytes, "mm:statsfs_marks"));
    if (fresh == nullptr) return Err(Errno::kNoMem);
    std::uninitialized_value_construct_n(fresh, fields().size());
    if (cleared_at.compare_exchange_strong(marks, fresh, std::memory_order_acq_rel)) {
      marks = fresh;
    } else {
      tree.memory().FreeBytes(fresh, bytes);
    }
  }
  const auto now = static_cast<uint64_t>(contents.values->Value(field));
  SYNC_POINT(tree.sync_points(), "statsfs:clear:read");
  // Of clears at the same time the latest counts, whichever comes here last.
  uint64_t was = marks[index].load(std::memory_order_relaxed);
  while (was < now && !marks[index].compare_exchange_weak(was, now, std::memory_order_release)) {
  }
  return {};
}

Result<std::string> ValueFile::Show(OpenFile& file) const {
  SourceNode& source = SourceOf(file);
  const Tree::Pin pin(source);
  if (!pin.ok()) return Err(Errno::kNoDev);
  SYNC_POINT(source.tree.sync_points(), "statsfs:show:pinned");
  base::AssertMayCallOut();
  return NumberText(source.Value(file.index()), FieldOf(file));
}

Status ValueFile::Store(OpenFile& file, std::string_view command) const {
  TRY(CheckClears(FieldOf(file), command));
  SourceNode& source = SourceOf(file);
  const Tree::Pin pin(source);
  if (!pin.ok()) return Err(Errno::kNoDev);
  base::AssertMayCallOut();
  return source.Clear(file.index());
}

// --- tables ---

Result<std::string> TableFile::Show(OpenFile& file) const {
  SourceNode& source = SourceOf(file);
  const Tree::Pin pin(source);
  if (!pin.ok()) return Err(Errno::kNoDev);
  base::AssertMayCallOut();
  const StatField& field = FieldOf(file);
  std::string text;
  source.contents.rows->ForEach([&](std::string_view name, const base::StatSet& values) {
    text.append(name) += ' ';
    AppendNumber(text, values.Value(field), field);
  });
  return text;
}

// --- aggregates ---

Result<std::string> AggregateFile::Show(OpenFile& file) const {
  SourceNode& top = SourceOf(file);
  const StatField& field = FieldOf(file);
  const size_t index = file.index();
  Accumulator all(field);
  base::AssertMayCallOut();
  TRY(top.tree.ForEach(top, *top.contents.schema, [&](SourceNode& source) -> Status {
    if (source.contents.rows == nullptr) {
      all.Add(source.Value(index));
    } else {
      source.contents.rows->ForEach(
          [&](std::string_view, const base::StatSet& values) { all.Add(values.Value(field)); });
    }
    return {};
  }));
  return NumberText(all.Result(AggregateOf(file)), field);
}

// Clears what the aggregate is made of, or nothing if there are rows in it.
Status AggregateFile::Store(OpenFile& file, std::string_view command) const {
  TRY(CheckClears(FieldOf(file), command));
  SourceNode& top = SourceOf(file);
  const Schema& schema = *top.contents.schema;
  base::AssertMayCallOut();
  TRY(top.tree.ForEach(top, schema, [](SourceNode& source) -> Status {
    if (source.contents.rows != nullptr) return Err(Errno::kPerm);
    return {};
  }));
  return top.tree.ForEach(top, schema,
                          [&](SourceNode& source) { return source.Clear(file.index()); });
}

// --- .schema ---

Result<std::string> SchemaFile::Show(OpenFile& file) const {
  std::string text;
  for (const StatField& field : SourceOf(file).fields()) {
    const std::string_view unit = base::StatUnitName(field.unit);
    absl::StrAppendFormat(&text, "%s\t%s\t%s\t%s\n", field.name, base::StatKindName(field.kind),
                          unit.empty() ? "none" : unit, field.help);
  }
  return text;
}

}  // namespace dentree::statsfs
