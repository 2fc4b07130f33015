// find
#include <memory>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/pattern.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;
using base::ErrnoText;

namespace {

// What an expression looks at.
struct Place {
  std::string path;
  std::string name;
  vfs::FileType type;
  vfs::Ino ino;
};

// A node of the expression. Which members count depends on the kind.
struct Test {
  enum class Kind : uint8_t {
    kTrue,
    kName,
    kPath,
    kType,
    kInode,
    kEmpty,
    kLinks,
    kPrint,
    kPrint0,
    kDelete,
    kNot,
    kAnd,
    kOr,
    kPrune
  } kind = Kind::kTrue;
  std::string text;                   // kName, kPath, kType (letters)
  Case letters = Case::kExact;        // kName, kPath
  uint64_t number = 0;                // kInode, kLinks
  std::unique_ptr<Test> left, right;  // kNot (left), kAnd, kOr
};
using TestPtr = std::unique_ptr<Test>;
using Kind = Test::Kind;

struct Query {
  std::vector<std::string> starts;
  TestPtr test;
  uint64_t min_depth = 0;
  uint64_t max_depth = kMaxTreeDepth;
  enum class Order : uint8_t { kParentFirst, kChildrenFirst } order = Order::kParentFirst;
};

TestPtr Make(Kind kind, std::string text = {}) {
  auto test = std::make_unique<Test>();
  test->kind = kind;
  test->text = std::move(text);
  return test;
}

TestPtr Join(Kind kind, TestPtr left, TestPtr right) {
  TestPtr test = Make(kind);
  test->left = std::move(left);
  test->right = std::move(right);
  return test;
}

// Reads the command line. After an error the message is in error().
class QueryParser {
 public:
  explicit QueryParser(const std::vector<std::string>& argv) : argv_(argv) {}

  std::optional<Query> Run();
  const std::string& error() const { return error_; }

 private:
  static constexpr int kMaxNesting = 64;

  bool AtEnd() const { return next_ >= argv_.size(); }
  bool Is(std::string_view word) const { return !AtEnd() && argv_[next_] == word; }
  bool Accept(std::string_view word, std::string_view other) {
    const bool is = Is(word) || Is(other);
    if (is) ++next_;
    return is;
  }
  TestPtr Refuse(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    return nullptr;
  }

  TestPtr TakeOr(int nesting);
  TestPtr TakeAnd(int nesting);
  TestPtr TakeNot(int nesting);
  TestPtr TakePrimary();
  TestPtr TakeWithArgument(const std::string& word);
  TestPtr TakeNumber(const std::string& word, const std::string& argument);
  TestPtr Action(Kind kind) {
    acts_ = true;
    return Make(kind);
  }

  const std::vector<std::string>& argv_;
  size_t next_ = 1;
  bool acts_ = false;
  Query query_;
  std::string error_;
};

TestPtr QueryParser::TakeNumber(const std::string& word, const std::string& argument) {
  const auto value = base::ParseU64(argument);
  if (word == "-maxdepth" || word == "-mindepth") {
    if (!value) {
      return Refuse(absl::StrFormat(
          "Expected a positive decimal integer argument to %s, but got '%s'", word, argument));
    }
    (word == "-maxdepth" ? query_.max_depth : query_.min_depth) = *value;
    return Make(Kind::kTrue);
  }
  if (!value) return Refuse(absl::StrFormat("invalid argument `%s' to `%s'", argument, word));
  TestPtr test = Make(word == "-inum" ? Kind::kInode : Kind::kLinks);
  test->number = *value;
  return test;
}

TestPtr QueryParser::TakeWithArgument(const std::string& word) {
  const bool name = word == "-name" || word == "-iname";
  const bool path = word == "-path" || word == "-ipath" || word == "-wholename";
  const bool number =
      word == "-maxdepth" || word == "-mindepth" || word == "-inum" || word == "-links";
  if (!name && !path && !number && word != "-type") {
    return Refuse(absl::StrFormat("unknown predicate `%s'", word));
  }
  if (AtEnd()) return Refuse(absl::StrFormat("missing argument to `%s'", word));
  const std::string& argument = argv_[next_++];
  if (number) return TakeNumber(word, argument);
  if (word == "-type") {
    for (char c : argument) {
      if (std::string_view("bcdpfls,").find(c) == std::string_view::npos) {
        return Refuse(absl::StrFormat("Unknown argument to -type: %c", c));
      }
    }
    if (argument.empty()) return Refuse("Arguments to -type should contain at least one letter");
    return Make(Kind::kType, argument);
  }
  TestPtr test = Make(name ? Kind::kName : Kind::kPath, argument);
  if (word[1] == 'i') test->letters = Case::kIgnore;
  return test;
}

TestPtr QueryParser::TakePrimary() {
  const std::string& word = argv_[next_++];
  if (word == "-print") return Action(Kind::kPrint);
  if (word == "-print0") return Action(Kind::kPrint0);
  if (word == "-delete") {
    query_.order = Query::Order::kChildrenFirst;
    return Action(Kind::kDelete);
  }
  if (word == "-depth") {
    query_.order = Query::Order::kChildrenFirst;
    return Make(Kind::kTrue);
  }
  if (word == "-true") return Make(Kind::kTrue);
  if (word == "-empty") return Make(Kind::kEmpty);
  if (word == "-prune") return Make(Kind::kPrune);
  if (word.size() < 2 || word[0] != '-') {
    return Refuse(absl::StrFormat("paths must precede expression: `%s'", word));
  }
  return TakeWithArgument(word);
}

TestPtr QueryParser::TakeNot(int nesting) {
  if (nesting == kMaxNesting) return Refuse("the expression is nested too deep");
  if (Accept("!", "-not")) {
    TestPtr operand = AtEnd() ? Refuse("expected an expression after `!'") : TakeNot(nesting + 1);
    return operand == nullptr ? nullptr : Join(Kind::kNot, std::move(operand), nullptr);
  }
  if (!Is("(")) return TakePrimary();
  ++next_;
  TestPtr inner = AtEnd() || Is(")")
                      ? Refuse("invalid expression; empty parentheses are not allowed.")
                      : TakeOr(nesting + 1);
  if (inner == nullptr) return nullptr;
  if (!Accept(")", ")")) {
    return Refuse(
        "invalid expression; I was expecting to find a ')' somewhere but did not see one.");
  }
  return inner;
}

TestPtr QueryParser::TakeAnd(int nesting) {
  TestPtr left = TakeNot(nesting);
  while (left != nullptr && !AtEnd() && !Is(")") && !Is("-o") && !Is("-or")) {
    const bool spelled = Accept("-a", "-and");
    TestPtr right =
        AtEnd() && spelled ? Refuse("expected an expression after `-a'") : TakeNot(nesting);
    if (right == nullptr) return nullptr;
    left = Join(Kind::kAnd, std::move(left), std::move(right));
  }
  return left;
}

TestPtr QueryParser::TakeOr(int nesting) {
  TestPtr left = TakeAnd(nesting);
  while (left != nullptr && Accept("-o", "-or")) {
    TestPtr right = AtEnd() ? Refuse("expected an expression after `-o'") : TakeAnd(nesting);
    if (right == nullptr) return nullptr;
    left = Join(Kind::kOr, std::move(left), std::move(right));
  }
  return left;
}

std::optional<Query> QueryParser::Run() {
  while (!AtEnd()) {
    const std::string& word = argv_[next_];
    if ((word.size() > 1 && word[0] == '-') || word == "!" || word == "(") break;
    query_.starts.push_back(word);
    ++next_;
  }
  if (query_.starts.empty()) query_.starts.emplace_back(".");
  query_.test = AtEnd() ? Make(Kind::kTrue) : TakeOr(0);
  if (query_.test != nullptr && !AtEnd()) {
    (void)Refuse(absl::StrFormat("invalid expression; unexpected `%s'", argv_[next_]));
  }
  if (!error_.empty()) return std::nullopt;
  if (!acts_) query_.test = Join(Kind::kAnd, std::move(query_.test), Make(Kind::kPrint));
  return std::move(query_);
}

// Walks and tests. What a directory says about an entry is enough; no entry is asked for its
// attributes unless a test needs them.
class Finder {
 public:
  Finder(Call& call, const Query& query) : call_(call), query_(query) {}

  void Start(const std::string& path) {
    const auto st = call_.task().Lstat(path);
    if (!st) return Refuse(path, st.error());
    Visit({path, BaseName(path), vfs::TypeOf(st->mode), st->ino}, 0);
  }

 private:
  void Refuse(const std::string& path, Errno error) {
    (void)call_.Fail(absl::StrFormat("'%s': %s", path, ErrnoText(error)));
  }
  void Visit(Place place, uint64_t depth);
  void Descend(const Place& place, uint64_t depth);
  bool Holds(const Test& test, const Place& place);
  bool HasType(const Place& place, std::string_view letters);
  bool IsEmpty(const Place& place);
  bool Delete(const Place& place);

  Call& call_;
  const Query& query_;
  bool pruned_ = false;
};

bool Finder::HasType(const Place& place, std::string_view letters) {
  constexpr std::pair<char, vfs::FileType> kLetters[] = {
      {'b', vfs::FileType::kBlock}, {'c', vfs::FileType::kChar},    {'d', vfs::FileType::kDir},
      {'p', vfs::FileType::kFifo},  {'f', vfs::FileType::kRegular}, {'l', vfs::FileType::kSymlink},
      {'s', vfs::FileType::kSocket}};
  for (const auto& [letter, type] : kLetters) {
    if (type == place.type) return letters.find(letter) != std::string_view::npos;
  }
  return false;
}

bool Finder::IsEmpty(const Place& place) {
  if (place.type == vfs::FileType::kDir) {
    const auto entries = call_.task().ListDir(place.path);
    return entries && entries->empty();
  }
  const auto st = call_.task().Lstat(place.path);
  return place.type == vfs::FileType::kRegular && st && st->size == 0;
}

bool Finder::Delete(const Place& place) {
  if (place.path == ".") return true;
  const bool dir = place.type == vfs::FileType::kDir;
  const auto removed = dir ? call_.task().Rmdir(place.path) : call_.task().Unlink(place.path);
  if (removed) return true;
  (void)call_.Fail(absl::StrFormat("cannot delete '%s'", place.path), removed.error());
  return false;
}

bool Finder::Holds(const Test& test, const Place& place) {
  switch (test.kind) {
    case Kind::kTrue:
      return true;
    case Kind::kName:
      return Matches(test.text, place.name, test.letters);
    case Kind::kPath:
      return Matches(test.text, place.path, test.letters);
    case Kind::kType:
      return HasType(place, test.text);
    case Kind::kInode:
      return place.ino == test.number;
    case Kind::kEmpty:
      return IsEmpty(place);
    case Kind::kLinks: {
      const auto st = call_.task().Lstat(place.path);
      return st && st->nlink == test.number;
    }
    case Kind::kPrint:
      return call_.out.Put(place.path + "\n"), true;
    case Kind::kPrint0:
      return call_.out.Put(place.path + '\0'), true;
    case Kind::kDelete:
      return Delete(place);
    case Kind::kPrune:
      return pruned_ = true;
    case Kind::kNot:
      return !Holds(*test.left, place);
    case Kind::kAnd:
      return Holds(*test.left, place) && Holds(*test.right, place);
    case Kind::kOr:
      return Holds(*test.left, place) || Holds(*test.right, place);
  }
  return false;
}

void Finder::Descend(const Place& place, uint64_t depth) {
  if (place.type != vfs::FileType::kDir || depth >= query_.max_depth) return;
  const auto entries = call_.task().ListDir(place.path);
  if (!entries) return Refuse(place.path, entries.error());
  for (const vfs::DirEntry& entry : *entries) {
    if (call_.Stopped()) return;
    Place child{JoinPath(place.path, entry.name), entry.name, entry.type, entry.ino};
    if (child.type == vfs::FileType::kUnknown) {
      const auto st = call_.task().Lstat(child.path);
      if (!st) {
        Refuse(child.path, st.error());
        continue;
      }
      child.type = vfs::TypeOf(st->mode);
    }
    Visit(std::move(child), depth + 1);
  }
}

void Finder::Visit(Place place, uint64_t depth) {
  const bool tested = depth >= query_.min_depth;
  pruned_ = false;
  if (query_.order == Query::Order::kParentFirst) {
    if (tested) (void)Holds(*query_.test, place);
    if (!pruned_) Descend(place, depth);
  } else {
    Descend(place, depth);
    if (tested) (void)Holds(*query_.test, place);
  }
}

int RunFind(Call& call) {
  QueryParser parser(call.argv);
  const auto query = parser.Run();
  if (!query) return call.Fail(parser.error());
  Finder finder(call, *query);
  for (const std::string& start : query->starts) finder.Start(start);
  return call.status();
}

}  // namespace

constinit const Command kFindCommand{
    .name = "find",
    .summary = "search for files in a directory hierarchy",
    .synopsis = "[PATH]... [EXPRESSION]",
    .details =
        "Walks the trees at the PATHs (the current directory by default), each directory in its "
        "own\n"
        "order, and prints what the EXPRESSION is true for.\n"
        "\n"
        "Tests:      -name PATTERN  -iname PATTERN  -path PATTERN  -ipath PATTERN  -empty  -true\n"
        "            -type [bcdpfls][,...]  -inum N  -links N\n"
        "Actions:    -print (the default)  -print0  -delete  -prune\n"
        "Options:    -maxdepth LEVELS  -mindepth LEVELS  -depth\n"
        "Operators:  ( EXPR )   ! EXPR   EXPR EXPR   EXPR -a EXPR   EXPR -o EXPR",
    .options = {},
    .parsing = Command::Parsing::kRaw,
    .usage_status = 1,
    .run = RunFind,
};

}  // namespace dentree::shell
