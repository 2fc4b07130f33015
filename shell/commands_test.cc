// test, [
#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

namespace {

constexpr int kMaxNesting = 64;

// Evaluates the words of an expression. After an error, error() says what; values mean nothing
// then.
class Evaluator {
 public:
  Evaluator(uring::RingTask& task, std::span<const std::string> words)
      : task_(task), words_(words) {}

  bool Run() {
    if (words_.empty()) return false;
    const bool value = TakeOr(0);
    if (next_ < words_.size()) Fail("too many arguments");
    return value;
  }
  const std::string& error() const { return error_; }

 private:
  size_t left() const { return words_.size() - next_; }
  bool Is(std::string_view word) const { return left() > 0 && words_[next_] == word; }
  bool Fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    next_ = words_.size();
    return false;
  }

  bool TakeOr(int nesting);
  bool TakeAnd(int nesting);
  bool TakeNot(int nesting);
  bool TakePrimary(int nesting);
  bool IsBinary(const std::string& op) const;
  bool Unary(char op, const std::string& operand);
  bool Binary(const std::string& a, const std::string& op, const std::string& b);
  int64_t Number(const std::string& text);

  uring::RingTask& task_;
  std::span<const std::string> words_;
  size_t next_ = 0;
  std::string error_;
};

bool Evaluator::TakeOr(int nesting) {
  bool value = TakeAnd(nesting);
  while (Is("-o")) {
    ++next_;
    value = TakeAnd(nesting) || value;
  }
  return value;
}

bool Evaluator::TakeAnd(int nesting) {
  bool value = TakeNot(nesting);
  while (Is("-a")) {
    ++next_;
    value = TakeNot(nesting) && value;
  }
  return value;
}

bool Evaluator::TakeNot(int nesting) {
  if (nesting == kMaxNesting) return Fail("the expression is nested too deep");
  const bool operand = left() >= 3 && IsBinary(words_[next_ + 1]);  // `! = x` compares
  if (!Is("!") || left() == 1 || operand) return TakePrimary(nesting);
  ++next_;
  return !TakeNot(nesting + 1);
}

bool Evaluator::TakePrimary(int nesting) {
  if (left() == 0) return Fail("argument expected");
  if (left() >= 3 && IsBinary(words_[next_ + 1])) {
    next_ += 3;
    return Binary(words_[next_ - 3], words_[next_ - 2], words_[next_ - 1]);
  }
  if (Is("(") && left() > 1) {
    ++next_;
    const bool value = TakeOr(nesting + 1);
    if (!Is(")")) return Fail("`)' expected");
    ++next_;
    return value;
  }
  const std::string& word = words_[next_++];
  const bool unary = word.size() == 2 && word[0] == '-' && left() > 0 &&
                     std::string_view("bcdefhLnprSswxz").find(word[1]) != std::string_view::npos;
  if (unary) return Unary(word[1], words_[next_++]);
  return !word.empty();
}

bool Evaluator::IsBinary(const std::string& op) const {
  for (std::string_view known :
       {"=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"}) {
    if (op == known) return true;
  }
  return false;
}

bool Evaluator::Unary(char op, const std::string& operand) {
  if (op == 'n') return !operand.empty();
  if (op == 'z') return operand.empty();
  if (op == 'r') return task_.Access(operand, vfs::kMayRead).has_value();
  if (op == 'w') return task_.Access(operand, vfs::kMayWrite).has_value();
  if (op == 'x') return task_.Access(operand, vfs::kMayExec).has_value();
  const bool link = op == 'h' || op == 'L';
  const auto st = link ? task_.Lstat(operand) : task_.Stat(operand);
  if (!st || op == 'e') return st.has_value();
  const vfs::FileType type = vfs::TypeOf(st->mode);
  switch (op) {
    case 'b':
      return type == vfs::FileType::kBlock;
    case 'c':
      return type == vfs::FileType::kChar;
    case 'd':
      return type == vfs::FileType::kDir;
    case 'f':
      return type == vfs::FileType::kRegular;
    case 'p':
      return type == vfs::FileType::kFifo;
    case 'S':
      return type == vfs::FileType::kSocket;
    case 's':
      return st->size > 0;
    default:
      return type == vfs::FileType::kSymlink;
  }
}

int64_t Evaluator::Number(const std::string& text) {
  const auto value = base::ParseI64(text);
  if (!value) (void)Fail(absl::StrFormat("%s: integer expression expected", text));
  return value.value_or(0);
}

bool Evaluator::Binary(const std::string& a, const std::string& op, const std::string& b) {
  if (op == "=" || op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == ">") return a > b;
  if (op == "-nt" || op == "-ot" || op == "-ef") {
    const auto first = task_.Stat(a), second = task_.Stat(b);
    if (op == "-ef")
      return first && second && first->dev == second->dev && first->ino == second->ino;
    if (!first || !second) return op == "-nt" ? first.has_value() : second.has_value();
    return op == "-nt" ? first->times.mtime > second->times.mtime
                       : first->times.mtime < second->times.mtime;
  }
  const int64_t x = Number(a), y = Number(b);
  if (op == "-eq") return x == y;
  if (op == "-ne") return x != y;
  if (op == "-lt") return x < y;
  if (op == "-le") return x <= y;
  if (op == "-gt") return x > y;
  return x >= y;
}

int RunTest(Call& call) {
  std::span<const std::string> words = call.argv;
  words = words.subspan(1);
  if (call.name() == "[") {
    if (words.empty() || words.back() != "]") return (void)call.Fail("missing `]'"), kUsageError;
    words = words.first(words.size() - 1);
  }
  Evaluator evaluator(call.task(), words);
  const bool value = evaluator.Run();
  if (evaluator.error().empty()) return value ? kSuccess : kFailure;
  (void)call.Fail(evaluator.error());
  return kUsageError;
}

constexpr std::string_view kDetails =
    "Exit status: 0 if the EXPRESSION is true, 1 if it is false, 2 if it makes no sense.\n"
    "\n"
    "Strings:  -n S   -z S   S1 = S2   S1 != S2   S1 < S2   S1 > S2\n"
    "Numbers:  N1 -eq N2   -ne   -lt   -le   -gt   -ge\n"
    "Files:    -e F exists   -f regular   -d directory   -L -h symbolic link   -s not empty\n"
    "          -r -w -x may be read, written, executed   -b -c -p -S by type\n"
    "          F1 -nt F2 newer   F1 -ot F2 older   F1 -ef F2 the same file\n"
    "Together: ! EXPR   ( EXPR )   EXPR -a EXPR   EXPR -o EXPR";

}  // namespace

constinit const Command kTestCommand{
    .name = "test",
    .summary = "check file types and compare values",
    .synopsis = "[EXPRESSION]",
    .details = kDetails,
    .options = {},
    .parsing = Command::Parsing::kLiteral,
    .usage_status = 2,
    .run = RunTest,
};

constinit const Command kBracketCommand{
    .name = "[",
    .summary = "check file types and compare values",
    .synopsis = "[EXPRESSION] ]",
    .details = kDetails,
    .options = {},
    .parsing = Command::Parsing::kLiteral,
    .usage_status = 2,
    .run = RunTest,
};

}  // namespace dentree::shell
