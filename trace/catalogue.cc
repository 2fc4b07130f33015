#include "trace/catalogue.h"

#include <algorithm>
#include <array>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/string_util.h"
#include "trace/format.h"
#include "trace/name.h"

namespace dentree::trace {

namespace {

using base::Errno;

constexpr std::array<const char*, 5> kColumns = {"system", "event", "id", "files", "fields"};
enum Column : size_t { kSystem, kEvent, kId, kFiles, kFields };

// A line cut into its columns, which point into the catalogue's text.
struct Row {
  size_t line;
  std::string_view text;
  std::array<std::string_view, kColumns.size()> columns;

  size_t ByteOf(std::string_view part) const {
    return static_cast<size_t>(part.data() - text.data()) + 1;
  }
};

// A row understood; its strings still point into the catalogue's text.
struct Parsed {
  Row row;
  uint16_t type;
  EventFlags flags;
  std::string_view fields;  // without the common ones
};

std::unexpected<CatalogueError> Refuse(const Row& row, Column column, std::string reason,
                                       size_t byte_in_column = 0, Errno error = Errno::kInval) {
  return std::unexpected(CatalogueError{error, row.line, kColumns[column],
                                        row.ByteOf(row.columns[column]) + byte_in_column,
                                        std::move(reason)});
}

std::unexpected<CatalogueError> RefuseLine(size_t line, std::string reason) {
  return std::unexpected(CatalogueError{Errno::kInval, line, "", 0, std::move(reason)});
}

// --- Columns -------------------------------------------------------------------------------------

std::expected<Row, CatalogueError> CutRow(size_t line, std::string_view text) {
  if (text.size() > kMaxCatalogueLine) return RefuseLine(line, "longer than 64 KiB");
  const auto tabs = static_cast<size_t>(std::ranges::count(text, '\t'));
  if (tabs + 1 != kColumns.size()) {
    return RefuseLine(line, "has " + std::to_string(tabs + 1) + " columns instead of 5");
  }
  Row row{line, text, {}};
  for (std::string_view& column : row.columns) {
    column = text.substr(0, text.find('\t'));
    text.remove_prefix(std::min(text.size(), column.size() + 1));
  }
  return row;
}

std::expected<void, CatalogueError> CheckNameColumn(const Row& row, Column column) {
  const base::Status ok = CheckEventName(row.columns[column]);
  if (ok) return {};
  const bool long_name = ok.error() == Errno::kNameTooLong;
  return Refuse(row, column, long_name ? "longer than 255 bytes" : "not a name", 0, ok.error());
}

std::expected<uint16_t, CatalogueError> ParseType(const Row& row) {
  const base::Result<uint64_t> id = base::ParseU64(row.columns[kId]);
  if (!id || *id == 0 || *id > 0xffff) return Refuse(row, kId, "not a number from 1 to 65535");
  return static_cast<uint16_t>(*id);
}

// One file name of the column as a bit, in the order of kFileNames; the last three stand for files
// that depend on how a kernel was configured, not on the event.
constexpr std::array<std::string_view, 8> kFileNames = {
    "enable", "filter", "format", "id", "trigger", "hist", "hist_debug", "inject"};
constexpr unsigned kFileMask = 0x1f;

struct FileClass {
  unsigned files;
  EventFlags flags;
};
constexpr std::array<FileClass, 4> kClasses = {{
    {0b11111, EventFlags::kFull},
    {0b00100, EventFlags::kNone},
    {0b01100, EventFlags::kId},
    {0b11100, EventFlags::kId | EventFlags::kTrigger},
}};

std::expected<EventFlags, CatalogueError> ParseClass(const Row& row) {
  unsigned seen = 0;
  std::string_view rest = row.columns[kFiles];
  const char* begin = rest.data();
  while (true) {
    const std::string_view name = rest.substr(0, rest.find(','));
    const auto at = static_cast<size_t>(name.data() - begin);
    const auto known = std::ranges::find(kFileNames, name);
    if (known == kFileNames.end())
      return Refuse(row, kFiles, "not the name of an event's file", at);
    const unsigned bit = 1u << (known - kFileNames.begin());
    if ((seen & bit) != 0) return Refuse(row, kFiles, "the same file twice", at);
    seen |= bit;
    if (name.size() == rest.size()) break;
    rest.remove_prefix(name.size() + 1);
  }
  const auto found = std::ranges::find(kClasses, seen & kFileMask, &FileClass::files);
  if (found == kClasses.end()) return Refuse(row, kFiles, "no class of event has just these files");
  return found->flags;
}

// The column without the common fields, which may be left out but not be others than ours.
std::expected<std::string_view, CatalogueError> ParseFields(const Row& row) {
  std::string_view fields = row.columns[kFields];
  size_t skipped = 0;
  if (fields.starts_with(kCommonFields)) {
    skipped = std::min(fields.size(), kCommonFields.size() + 1);
    if (skipped > kCommonFields.size() && fields[kCommonFields.size()] != ';') skipped = 0;
    if (skipped == kCommonFields.size() + 1 && skipped == fields.size()) {
      return Refuse(row, kFields, "a field is missing", skipped);
    }
  }
  fields.remove_prefix(skipped);
  const auto ok = CheckFields(fields);
  if (!ok) return Refuse(row, kFields, ok.error().reason, skipped + ok.error().at);
  return fields;
}

// --- Rows ----------------------------------------------------------------------------------------

std::expected<Parsed, CatalogueError> ParseRow(size_t line, std::string_view text) {
  Parsed parsed{.row = TRY(CutRow(line, text)), .type = 0, .flags = {}, .fields = {}};
  TRY(CheckNameColumn(parsed.row, kSystem));
  TRY(CheckNameColumn(parsed.row, kEvent));
  parsed.type = TRY(ParseType(parsed.row));
  parsed.flags = TRY(ParseClass(parsed.row));
  parsed.fields = TRY(ParseFields(parsed.row));
  return parsed;
}

std::expected<std::vector<Parsed>, CatalogueError> ParseAll(std::string_view text) {
  std::vector<Parsed> rows;
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (one.ends_with('\r')) one.remove_suffix(1);
    if (one.empty() || one.starts_with('#')) continue;
    rows.push_back(TRY(ParseRow(line, one)));
  }
  return rows;
}

std::expected<void, CatalogueError> CheckDuplicates(const std::vector<Parsed>& rows) {
  absl::flat_hash_map<uint16_t, size_t> lines_by_type;
  absl::flat_hash_map<std::string, size_t> lines_by_name;
  for (const Parsed& parsed : rows) {
    const Row& row = parsed.row;
    const auto [by_type, new_type] = lines_by_type.try_emplace(parsed.type, row.line);
    if (!new_type) {
      const std::string where = std::to_string(by_type->second);
      return Refuse(row, kId, "the id of line " + where + " again", 0, Errno::kExist);
    }
    std::string name(row.columns[kSystem]);
    name.append(":").append(row.columns[kEvent]);
    const auto [by_name, new_name] = lines_by_name.try_emplace(std::move(name), row.line);
    if (!new_name) {
      const std::string where = std::to_string(by_name->second);
      return Refuse(row, kEvent, "the event of line " + where + " again", 0, Errno::kExist);
    }
  }
  return {};
}

// --- Text ----------------------------------------------------------------------------------------

// Collects strings into one block, equal ones once.
class TextPool {
 public:
  // The position of the string in the block to be.
  size_t Add(std::string_view text) {
    const auto [found, is_new] = positions_.try_emplace(text, text_.size());
    if (is_new) text_ += text;
    return found->second;
  }
  std::string_view view() const { return text_; }

 private:
  std::string text_;
  absl::flat_hash_map<std::string_view, size_t> positions_;
};

struct Specs {
  std::vector<EventSpec> specs;
  size_t text_bytes = 0;
};

base::Result<Specs> MakeSpecs(const std::vector<Parsed>& rows) {
  TextPool pool;
  std::vector<std::pair<size_t, size_t>> positions;  // of name and fields
  for (const Parsed& p : rows) {
    positions.emplace_back(pool.Add(p.row.columns[kEvent]), pool.Add(p.fields));
  }
  auto block = base::Ref<TextBlock>::Adopt(TextBlock::Create(pool.view()));
  if (!block) return base::Err(Errno::kNoMem);
  Specs result{.specs = {}, .text_bytes = pool.view().size()};
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [name, fields] = positions[i];
    result.specs.push_back({
        .system = rows[i].row.columns[kSystem],
        .name = block->view().substr(name, rows[i].row.columns[kEvent].size()),
        .type = rows[i].type,
        .flags = rows[i].flags,
        .fields = block->view().substr(fields, rows[i].fields.size()),
        .print_format = {},
        .text = block,
    });
  }
  return result;
}

std::unexpected<CatalogueError> NoMemory() {
  return std::unexpected(CatalogueError{Errno::kNoMem, 0, "", 0, "out of memory"});
}

// What the registry had against one of the rows.
std::unexpected<CatalogueError> Refused(const std::vector<Parsed>& rows,
                                        const Registry::AddError& refused) {
  using Part = Registry::AddError::Part;
  const Row& row = rows[refused.index].row;
  switch (refused.part) {
    case Part::kSystem:
      return Refuse(row, kSystem, refused.reason, 0, refused.error);
    case Part::kName:
      return Refuse(row, kEvent, refused.reason, 0, refused.error);
    case Part::kType:
      return Refuse(row, kId, refused.reason, 0, refused.error);
    case Part::kFields:
      return Refuse(row, kFields, refused.reason, 0, refused.error);
    case Part::kWhole:
      break;
  }
  return std::unexpected(CatalogueError{refused.error, row.line, "", 0, refused.reason});
}

std::expected<CatalogueSummary, CatalogueError> Load(Registry& registry, std::string_view text) {
  const std::vector<Parsed> rows = TRY(ParseAll(text));
  TRY(CheckDuplicates(rows));
  if (registry.faults().ShouldFail("trace:alloc:catalogue")) return NoMemory();
  const base::Result<Specs> made = MakeSpecs(rows);
  if (!made) return NoMemory();
  const auto added = registry.Add(made->specs);
  if (added) return CatalogueSummary{.events = rows.size(), .text_bytes = made->text_bytes};
  if (added.error().error == Errno::kNoMem) return NoMemory();
  return Refused(rows, added.error());
}

}  // namespace

std::string CatalogueError::ToString() const {
  std::string text;
  if (line != 0) text.append("line ").append(std::to_string(line));
  if (column[0] != '\0') text.append(", column ").append(column);
  if (byte != 0) text.append(", byte ").append(std::to_string(byte));
  if (!text.empty()) text += ": ";
  return text + reason;
}

std::expected<CatalogueSummary, CatalogueError> LoadCatalogue(Registry& registry,
                                                              std::string_view text) {
  try {
    return Load(registry, text);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

}  // namespace dentree::trace
