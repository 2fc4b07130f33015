// top
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

namespace {

constexpr std::string_view kDefaultDirectory = "/sys/kernel/stats";
constexpr std::string_view kSchemaName = ".schema";
constexpr std::string_view kClearScreen = "\x1b[H\x1b[2J";

// --- reading ----------------------------------------------------------------------------------

struct Field {
  std::string name;
  bool grows = false;  // what matters is how fast
};

struct Row {
  std::string name;                // empty: the values of a source itself
  size_t number = 0;               // among rows of this name
  std::vector<std::string> texts;  // one for each field; empty: not there
};

// A directory with a .schema: the values of a source, or a table.
struct Group {
  std::string path;  // from the directory that is shown
  std::vector<Field> fields;
  std::vector<Row> rows;
  bool table = false;
};

// What grew until now, by group, row and field.
using Totals = std::map<std::string, uint64_t>;

struct Sample {
  int64_t at_ns = 0;
  std::vector<Group> groups;
  Totals totals;
};

std::string KeyOf(const Group& group, const Row& row, const Field& field) {
  return absl::StrFormat("%s\n%s\n%d\n%s", group.path, row.name, row.number, field.name);
}

// Lines "name<tab>kind<tab>unit<tab>help".
std::vector<Field> ParseSchema(std::string_view text) {
  std::vector<Field> fields;
  while (!text.empty()) {
    std::string_view line = base::NextToken(text, '\n');
    const std::string_view name = base::NextToken(line, '\t');
    const std::string_view kind = base::NextToken(line, '\t');
    if (!name.empty()) fields.push_back({std::string(name), kind == "cumulative"});
  }
  return fields;
}

// Puts what the file of a field says into the rows: one number, or lines "row number". The files of
// a table have its rows in one order, but some may have come or gone between two of them.
void TakeColumn(Group& group, size_t field, std::string_view text) {
  size_t at = 0;
  std::map<std::string, size_t, std::less<>> seen;
  while (!text.empty()) {
    const std::string_view line = base::NextToken(text, '\n');
    const size_t space = line.rfind(' ');
    group.table |= space != std::string_view::npos;
    const std::string_view name =
        space == std::string_view::npos ? std::string_view() : line.substr(0, space);
    const std::string_view value = space == std::string_view::npos ? line : line.substr(space + 1);
    if (field == 0) {
      group.rows.push_back({std::string(name), seen[std::string(name)]++, {}});
      group.rows.back().texts.resize(group.fields.size());
      group.rows.back().texts[0] = value;
      continue;
    }
    size_t row = at;
    while (row < group.rows.size() && group.rows[row].name != name) ++row;
    if (row == group.rows.size()) continue;
    group.rows[row].texts[field] = value;
    at = row + 1;
  }
}

class Reader {
 public:
  explicit Reader(uring::RingTask& task, std::string top) : task_(task), top_(std::move(top)) {}

  base::Result<Sample> Read() {
    Sample sample;
    sample.at_ns = task_.vfs().clock().MonotonicNs();
    TRY(ReadBelow(top_, "", 0, sample));
    return sample;
  }

 private:
  // What comes and goes meanwhile is left out.
  base::Status ReadBelow(const std::string& dir, const std::string& path, size_t depth,
                         Sample& sample) {
    std::vector<vfs::DirEntry> entries = TRY(task_.ListDir(dir));
    if (const auto schema = task_.ReadFile(JoinPath(dir, kSchemaName))) {
      ReadGroup(dir, path, *schema, sample);
    }
    if (depth == kMaxTreeDepth) return {};
    std::ranges::sort(entries, {}, &vfs::DirEntry::name);
    for (const vfs::DirEntry& entry : entries) {
      if (entry.type != vfs::FileType::kDir) continue;
      const std::string below = path.empty() ? entry.name : JoinPath(path, entry.name);
      (void)ReadBelow(JoinPath(dir, entry.name), below, depth + 1, sample);
    }
    return {};
  }

  void ReadGroup(const std::string& dir, const std::string& path, std::string_view schema,
                 Sample& sample) {
    Group group{.path = path.empty() ? "." : path, .fields = ParseSchema(schema), .rows = {}};
    for (size_t i = 0; i < group.fields.size(); ++i) {
      const auto text = task_.ReadFile(JoinPath(dir, group.fields[i].name));
      if (!text) return;
      TakeColumn(group, i, *text);
    }
    for (const Row& row : group.rows) {
      for (size_t i = 0; i < group.fields.size(); ++i) {
        const auto total = base::ParseU64(row.texts[i]);
        if (group.fields[i].grows && total) {
          sample.totals[KeyOf(group, row, group.fields[i])] = *total;
        }
      }
    }
    sample.groups.push_back(std::move(group));
  }

  uring::RingTask& task_;
  const std::string top_;
};

// --- showing ----------------------------------------------------------------------------------

class Screen {
 public:
  enum class Zeros : uint8_t { kHidden, kShown };

  Screen(const Sample& now, const Sample* before, Zeros zeros, size_t columns)
      : now_(now), before_(before), zeros_(zeros), columns_(columns) {}

  std::string Text() {
    for (const Group& group : now_.groups) group.table ? ShowTable(group) : ShowValues(group);
    return std::move(text_);
  }

 private:
  struct Cell {
    std::string_view text;
    std::optional<uint64_t> total;  // of what grows
    std::optional<double> rate;
    bool grows = false;

    bool zero() const { return text.empty() || text == "0"; }
    // By which what is busiest comes first.
    double weight() const { return rate ? *rate : static_cast<double>(total.value_or(0)); }
    std::string RateText() const {
      if (!grows) return "";
      return rate ? absl::StrFormat("%.1f", *rate) : "-";
    }
  };

  Cell CellOf(const Group& group, const Row& row, size_t i) const {
    const Field& field = group.fields[i];
    Cell cell{.text = row.texts[i], .total = {}, .rate = {}, .grows = field.grows};
    if (!field.grows) return cell;
    const auto now = now_.totals.find(KeyOf(group, row, field));
    if (now == now_.totals.end()) return cell;
    cell.total = now->second;
    if (before_ == nullptr) return cell;
    const auto then = before_->totals.find(KeyOf(group, row, field));
    const double seconds = static_cast<double>(now_.at_ns - before_->at_ns) / 1e9;
    if (then == before_->totals.end() || seconds <= 0) return cell;
    // Less than before: it was cleared, and has counted from 0.
    const uint64_t grown = now->second - (now->second < then->second ? 0 : then->second);
    cell.rate = static_cast<double>(grown) / seconds;
    return cell;
  }

  void AddLine(std::string line) {
    while (line.ends_with(' ')) line.pop_back();
    if (line.size() > columns_) line.resize(columns_);
    text_ += line + "\n";
  }

  // Quantities as they stand in the schema, then what grows, the busiest first.
  void ShowValues(const Group& group) {
    if (group.rows.empty()) return;
    std::vector<std::pair<const Field*, Cell>> lines;
    for (size_t i = 0; i < group.fields.size(); ++i) {
      const Cell cell = CellOf(group, group.rows[0], i);
      if (zeros_ == Zeros::kShown || !cell.zero()) lines.emplace_back(&group.fields[i], cell);
    }
    if (lines.empty()) return;
    std::ranges::sort(lines, [](const auto& a, const auto& b) {
      if (a.second.grows != b.second.grows) return b.second.grows;
      if (a.second.grows && a.second.weight() != b.second.weight()) {
        return a.second.weight() > b.second.weight();
      }
      return a.first < b.first;
    });
    AddLine("");
    AddLine(absl::StrFormat("%-24s %20s %14s", group.path, "value", "per second"));
    for (const auto& [field, cell] : lines) {
      AddLine(absl::StrFormat("  %-22s %20s %14s", field->name, cell.text, cell.RateText()));
    }
  }

  bool ColumnShown(const Group& group, size_t field) const {
    return zeros_ == Zeros::kShown || std::ranges::any_of(group.rows, [&](const Row& row) {
             return !CellOf(group, row, field).zero();
           });
  }

  // The first value says how much there is of something: without it only what moves is shown.
  bool RowShown(const Group& group, const Row& row) const {
    if (zeros_ == Zeros::kShown || !CellOf(group, row, 0).zero()) return true;
    for (size_t i = 1; i < group.fields.size(); ++i) {
      if (CellOf(group, row, i).rate.value_or(0) > 0) return true;
    }
    return false;
  }

  // A column for each value, a line for each row; the rows with most of the first value first.
  void ShowTable(const Group& group) {
    std::vector<size_t> shown;
    std::string head = absl::StrFormat("%-24s", group.path);
    for (size_t i = 0; i < group.fields.size(); ++i) {
      if (!ColumnShown(group, i)) continue;
      shown.push_back(i);
      head += absl::StrFormat(" %*s", WidthOf(group, i), HeadOf(group.fields[i]));
    }
    if (shown.empty()) return;
    std::vector<const Row*> rows;
    for (const Row& row : group.rows) {
      if (RowShown(group, row)) rows.push_back(&row);
    }
    if (rows.empty()) return;
    std::ranges::sort(rows, [](const Row* a, const Row* b) {
      const uint64_t much = base::ParseU64(a->texts[0]).value_or(0);
      const uint64_t other = base::ParseU64(b->texts[0]).value_or(0);
      return much != other ? much > other : a < b;
    });
    AddLine("");
    AddLine(head);
    for (const Row* row : rows) {
      std::string line = absl::StrFormat("  %-22s", row->name);
      for (const size_t i : shown) {
        const Cell cell = CellOf(group, *row, i);
        line += absl::StrFormat(" %*s", WidthOf(group, i),
                                cell.rate ? cell.RateText() : std::string(cell.text));
      }
      AddLine(line);
    }
  }

  // What grows is shown as a rate as soon as there is one.
  std::string HeadOf(const Field& field) const {
    return field.grows && before_ != nullptr ? field.name + "/s" : field.name;
  }
  int WidthOf(const Group& group, size_t field) const {
    return static_cast<int>(std::max<size_t>(10, HeadOf(group.fields[field]).size()));
  }

  const Sample& now_;
  const Sample* const before_;
  const Zeros zeros_;
  const size_t columns_;
  std::string text_;
};

// --- the command ------------------------------------------------------------------------------

constexpr Option kTopOptions[] = {
    {'a', "all", "show what is 0, too"},
    {'b', "batch", "plain text, as when the output is no terminal"},
    {'d', "delay", "time between two readings, as sleep takes it (1)", "SECONDS"},
    {'n', "iterations", "readings to show (no end)", "COUNT"},
};

struct TopOptions {
  std::string directory{kDefaultDirectory};
  double seconds = 1;
  std::optional<uint64_t> count;
};

// Nothing after a message.
std::optional<TopOptions> ParseTopOptions(Call& call) {
  TopOptions options;
  if (call.operands().size() > 1) {
    (void)call.FailUsage(absl::StrFormat("extra operand '%s'", call.operands()[1]));
    return std::nullopt;
  }
  if (!call.operands().empty()) options.directory = call.operands()[0];
  if (const auto text = call.args.Value('d')) {
    const auto seconds = ParseInterval(*text);
    if (!seconds) {
      (void)call.FailUsage(absl::StrFormat("invalid time interval '%s'", *text));
      return std::nullopt;
    }
    options.seconds = *seconds;
  }
  if (const auto text = call.args.Value('n')) {
    const auto count = base::ParseU64(*text);
    if (!count || *count == 0) {
      (void)call.FailUsage(absl::StrFormat("invalid number of readings: '%s'", *text));
      return std::nullopt;
    }
    options.count = *count;
  }
  return options;
}

int RunTop(Call& call) {
  const auto options = ParseTopOptions(call);
  if (!options) return call.status();
  const bool plain = call.Has('b') || !call.out.is_terminal();
  const size_t columns = plain ? SIZE_MAX : call.out.sink().columns();
  const auto zeros = call.Has('a') ? Screen::Zeros::kShown : Screen::Zeros::kHidden;
  Reader reader(call.task(), options->directory);
  std::optional<Sample> before;
  for (uint64_t reading = 1; !call.Stopped(); ++reading) {
    auto now = reader.Read();
    if (!now) return call.Fail(options->directory, now.error());
    if (!plain) call.out.Put(kClearScreen);
    if (plain && before) call.out.Put("\n");
    call.out.Put(absl::StrFormat("top - %s, %s, reading %d\n",
                                 TimeText(call.task().vfs().clock().NowNs(), "%H:%M:%S"),
                                 options->directory, reading));
    call.out.Put(Screen(*now, before ? &*before : nullptr, zeros, columns).Text());
    call.out.Flush();
    if (reading == options->count) break;
    before = *std::move(now);
    SleepUnlessStopped(call, options->seconds);
  }
  return call.status();
}

}  // namespace

constinit const Command kTopCommand{
    .name = "top",
    .summary = "show statistics again and again",
    .synopsis = "[OPTION]... [DIRECTORY]",
    .details =
        "Shows the statistics in DIRECTORY (/sys/kernel/stats by default) and below: quantities, "
        "and\n"
        "how fast what is counted grows per second of the system's clock; \"-\" in the first "
        "reading.\n"
        "What grows fastest comes first. On a terminal each reading replaces the one before, "
        "until\n"
        "control-C. Reading is counted too: by itself top makes lookups, opens and reads.",
    .options = kTopOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunTop,
};

}  // namespace dentree::shell
