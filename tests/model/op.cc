#include "tests/model/op.h"

#include <sys/stat.h>

#include <charconv>

#include "absl/strings/str_format.h"
#include "vfs/types.h"

namespace dentree::model {

// --- making ------------------------------------------------------------------------------------

Generator::Generator(uint64_t seed, const KernelOptions& options)
    : random_(seed), options_(options) {
  for (const OpKind& kind : OpKinds()) total_weight_ += kind.weight;
}

Op Generator::Next() {
  uint64_t at = random_.Below(total_weight_);
  const OpKind* kind = OpKinds().data();
  while (at >= kind->weight) at -= kind++->weight;
  Op op{.kind = kind};
  kind->make(*this, op);
  return op;
}

// So few that operations meet.
std::string Generator::Name() {
  static constexpr const char* kNames[] = {"a", "b", "c", "d"};
  if (random_.OneIn(40)) return random_.OneIn(2) ? "e\x01\xff\n'\"\\ e" : "...";
  return random_.Of(kNames);
}

std::string Generator::HostilePath() {
  static const std::string kFixed[] = {
      "",    "/",   "//",       "///",  ".",     "..",        "./",         "../",      "/.",
      "/..", "a/.", "a/..",     "a/./", "a/../", "a/..//b/.", "../../../a", "/../a//b", " ",
      "-",   "a//", "//a//b//", ".a",   "a.",    "...",       "/.../"};
  switch (random_.Below(8)) {
    case 0:
      return std::string(vfs::kNameMax + random_.Below(2), 'n');
    case 1:
      return Name() + "/" + std::string(vfs::kNameMax + random_.Below(2), 'n');
    case 2: {  // as long as a path can be, or one byte longer; what it means is short
      std::string path = Name();
      while (path.size() + 2 < vfs::kPathMax) path.insert(0, "./");
      const size_t size = vfs::kPathMax - 1 + random_.Below(2);
      path.insert(0, size - path.size(), '/');
      return random_.OneIn(2) ? path : path.substr(1) + "/";
    }
    default:
      return kFixed[random_.Below(std::size(kFixed))];
  }
}

std::string Generator::Path() {
  if (random_.OneIn(30)) return HostilePath();
  std::string path = random_.OneIn(3) ? "/" : "";
  static constexpr int kDepths[] = {1, 1, 1, 2, 2, 3, 4};
  for (int left = random_.Of(kDepths); left > 0; --left) {
    if (random_.OneIn(12)) {
      path += random_.OneIn(3) ? "." : "..";
    } else {
      path += Name();
    }
    if (left > 1) path += random_.OneIn(25) ? "//" : "/";
  }
  if (random_.OneIn(12)) path += "/";
  return path;
}

std::string Generator::TargetPath() {
  if (random_.OneIn(30)) return std::string(1 + random_.Below(300), 't');
  return Path();
}

int Generator::Dir() { return random_.OneIn(8) ? Slot() : -1; }

int64_t Generator::FileMode() {
  static constexpr int64_t kModes[] = {0644, 0644, 0666,  0600,  0,     0400,  0200,  0755,
                                       0777, 0070, 04755, 02755, 06777, 02644, 01664, 0611};
  return random_.OneIn(10) ? static_cast<int64_t>(random_.Below(010000)) & ~S_ISVTX
                           : random_.Of(kModes);
}

int64_t Generator::DirMode() {
  static constexpr int64_t kModes[] = {0755, 0777,  0777,  0777,  0775,  0700, 0,
                                       0555, 02775, 02777, 01775, 03775, 0711, 01777};
  const int64_t mode =
      random_.OneIn(10) ? static_cast<int64_t>(random_.Below(010000)) : random_.Of(kModes);
  // dentree always protects links in such directories: they are compared where the machine does.
  const bool shared = (mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
  return shared && !options_.protected_links ? mode & ~S_IWOTH : mode;
}

int64_t Generator::Position() {
  static constexpr int64_t kUsual[] = {0, 1, 2, 5, 100, 4095, 4096, 4097, 8192, 12288, 20000};
  static constexpr int64_t kAbsurd[] = {-1,
                                        INT64_MIN,
                                        INT64_MAX,
                                        INT64_MAX - 1,
                                        INT64_MAX - 4096,
                                        int64_t{1} << 31,
                                        int64_t{1} << 40};
  return random_.OneIn(40) ? random_.Of(kAbsurd) : random_.Of(kUsual);
}

int64_t Generator::Id() {
  if (random_.OneIn(4)) return -1;
  if (!options_.several_users) return options_.uid;
  static constexpr int64_t kIds[] = {0, 1001, 1002, 1001, 1002, 2001, 2002};
  return random_.Of(kIds);
}

// --- writing and reading -----------------------------------------------------------------------

namespace {

std::string NumberText(int64_t value, Radix radix) {
  if (value < 0 || radix == Radix::kDecimal) return absl::StrFormat("%d", value);
  return radix == Radix::kHex ? absl::StrFormat("0x%x", value) : absl::StrFormat("0%o", value);
}

std::optional<int64_t> NumberOf(std::string_view text) {
  char* end = nullptr;
  const std::string copy(text);
  const int64_t value = std::strtoll(copy.c_str(), &end, 0);
  if (copy.empty() || *end != '\0') return std::nullopt;
  return value;
}

// The words of a line; what is in double quotes is one.
std::optional<std::vector<std::string>> WordsOf(std::string_view line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    if (line[at] == ' ') {
      ++at;
      continue;
    }
    std::string& word = words.emplace_back();
    if (line[at] != '"') {
      while (at < line.size() && line[at] != ' ') word += line[at++];
      continue;
    }
    for (++at; at < line.size() && line[at] != '"'; ++at) {
      unsigned byte = static_cast<unsigned char>(line[at]);
      if (line[at] == '\\') {
        const std::string_view code = line.substr(at).substr(0, 4);
        if (code.size() < 4 || code[1] != 'x') return std::nullopt;
        const auto parsed = std::from_chars(code.data() + 2, code.data() + 4, byte, 16);
        if (parsed.ptr != code.data() + 4) return std::nullopt;
        at += 3;
      }
      word += static_cast<char>(byte);
    }
    if (at++ == line.size()) return std::nullopt;
  }
  return words;
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte > '~' || c == '"' || c == '\\') {
      absl::StrAppendFormat(&quoted, "\\x%02x", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string ShellQuoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string ToLine(const Op& op) {
  std::string line = absl::StrFormat("%s %d %d %s %s", op.kind->name, op.slot, op.dir,
                                     NumberText(op.a, op.kind->a), NumberText(op.b, op.kind->b));
  if (!op.path.empty() || !op.path2.empty()) line += " " + Quoted(op.path);
  if (!op.path2.empty()) line += " " + Quoted(op.path2);
  return line;
}

std::optional<Op> FromLine(std::string_view line) {
  const auto words = WordsOf(line);
  if (!words || words->size() < 5 || words->size() > 7) return std::nullopt;
  Op op;
  for (const OpKind& kind : OpKinds()) {
    if ((*words)[0] == kind.name) op.kind = &kind;
  }
  const auto slot = NumberOf((*words)[1]);
  const auto dir = NumberOf((*words)[2]);
  const auto a = NumberOf((*words)[3]);
  const auto b = NumberOf((*words)[4]);
  if (op.kind == nullptr || !slot || !dir || !a || !b) return std::nullopt;
  if (*slot < -1 || *slot >= kSlots || *dir < -1 || *dir >= kSlots) return std::nullopt;
  op.slot = static_cast<int>(*slot);
  op.dir = static_cast<int>(*dir);
  op.a = *a;
  op.b = *b;
  if (words->size() > 5) op.path = (*words)[5];
  if (words->size() > 6) op.path2 = (*words)[6];
  return op;
}

std::string ToShell(const Op& op) {
  const std::string command = op.kind->shell == nullptr ? "" : op.kind->shell(op);
  return command.empty() ? "# no command: " + ToLine(op) : command;
}

}  // namespace dentree::model
