#include "shell/syntax.h"

#include <optional>
#include <utility>

namespace dentree::shell {

namespace {

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameChar(char c) { return IsNameStart(c) || IsDigit(c); }
bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool EndsWord(char c) {
  return IsBlank(c) || std::string_view("\n;&|<>()").find(c) != std::string_view::npos;
}

struct Token {
  enum class Kind : uint8_t { kWord, kOperator, kRedirection, kEnd } kind = Kind::kEnd;
  std::string text;  // the operator; of a word its spelling
  Word word;         // kWord
  int fd = 0;        // kRedirection
  size_t line = 1;
};

SyntaxError Unexpected(const Token& token) {
  if (token.kind == Token::Kind::kEnd) {
    return {SyntaxError::Kind::kIncomplete, "syntax error: unexpected end of file", token.line};
  }
  const std::string shown = token.text == "\n" ? "newline" : token.text;
  return {SyntaxError::Kind::kWrong, "syntax error near unexpected token `" + shown + "'",
          token.line};
}

// Cuts the text into tokens. After an error Next() is not called again.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::expected<Token, SyntaxError> Next();

 private:
  bool AtEnd() const { return pos_ >= text_.size(); }
  char Peek(size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  bool Has(std::string_view prefix) const { return text_.substr(pos_).starts_with(prefix); }

  void SkipBlanksAndComment();
  std::optional<Token> TakeOperator();
  std::optional<Token> TakeRedirection();
  std::expected<Token, SyntaxError> TakeWord();
  std::expected<void, SyntaxError> TakeWordPart(Word& word);
  std::expected<void, SyntaxError> TakeSingleQuoted(Word& word);
  std::expected<void, SyntaxError> TakeDoubleQuoted(Word& word);
  std::expected<void, SyntaxError> TakeDollar(Word& word, Quoting quoting);

  std::unexpected<SyntaxError> Wrong(std::string message) const {
    return std::unexpected(SyntaxError{SyntaxError::Kind::kWrong, std::move(message), line_});
  }
  std::unexpected<SyntaxError> Incomplete(std::string message) const {
    return std::unexpected(SyntaxError{SyntaxError::Kind::kIncomplete, std::move(message), line_});
  }

  std::string_view text_;
  size_t pos_ = 0;
  size_t line_ = 1;
};

// Adds text to a word, to its last part where that is of the same kind.
void AddText(Word& word, std::string_view text, Quoting quoting) {
  if (word.parts.empty() || word.parts.back().kind != WordPart::Kind::kText ||
      word.parts.back().quoting != quoting) {
    word.parts.push_back({WordPart::Kind::kText, quoting, {}});
  }
  word.parts.back().text += text;
}

void Lexer::SkipBlanksAndComment() {
  while (!AtEnd()) {
    if (IsBlank(Peek())) {
      ++pos_;
    } else if (Has("\\\n")) {
      pos_ += 2;
      ++line_;
    } else if (Peek() == '#') {
      while (!AtEnd() && Peek() != '\n') ++pos_;
    } else {
      return;
    }
  }
}

std::optional<Token> Lexer::TakeOperator() {
  for (std::string_view op : {"&&", "||", ";;", "<<", "&>", "&", "|", ";", "(", ")", "\n"}) {
    if (!Has(op)) continue;
    Token token{.kind = Token::Kind::kOperator, .text = std::string(op), .word = {}, .line = line_};
    pos_ += op.size();
    if (op == "\n") ++line_;
    return token;
  }
  return std::nullopt;
}

// An optional digit, then <, >, >> or >&.
std::optional<Token> Lexer::TakeRedirection() {
  const size_t digits = IsDigit(Peek()) ? 1 : 0;
  const char first = Peek(digits);
  if (first != '<' && first != '>') return std::nullopt;
  std::string op(1, first);
  const char second = Peek(digits + 1);
  if ((first == '>' && second == '>') || second == '&') op += second;
  if (first == '<' && second == '<')
    return std::nullopt;  // a here-document: no redirection of ours
  Token token{.kind = Token::Kind::kRedirection, .text = op, .word = {}, .line = line_};
  token.fd = digits == 1 ? Peek() - '0' : (first == '<' ? 0 : 1);
  pos_ += digits + op.size();
  return token;
}

std::expected<void, SyntaxError> Lexer::TakeSingleQuoted(Word& word) {
  const size_t end = text_.find('\'', pos_ + 1);
  if (end == std::string_view::npos)
    return Incomplete("unexpected EOF while looking for matching `''");
  const std::string_view inside = text_.substr(pos_ + 1, end - pos_ - 1);
  for (char c : inside) line_ += c == '\n';
  AddText(word, inside, Quoting::kQuoted);
  pos_ = end + 1;
  return {};
}

std::expected<void, SyntaxError> Lexer::TakeDoubleQuoted(Word& word) {
  ++pos_;
  AddText(word, "", Quoting::kQuoted);  // "" is a word
  while (!AtEnd() && Peek() != '"') {
    const char c = Peek();
    if (c == '$') {
      if (auto done = TakeDollar(word, Quoting::kQuoted); !done) return done;
      continue;
    }
    if (c == '`') return Wrong("syntax error: command substitution is not supported");
    if (c == '\\' && std::string_view("$`\"\\\n").find(Peek(1)) != std::string_view::npos &&
        pos_ + 1 < text_.size()) {
      if (Peek(1) == '\n') {
        ++line_;
      } else {
        AddText(word, text_.substr(pos_ + 1, 1), Quoting::kQuoted);
      }
      pos_ += 2;
      continue;
    }
    line_ += c == '\n';
    AddText(word, text_.substr(pos_, 1), Quoting::kQuoted);
    ++pos_;
  }
  if (AtEnd()) return Incomplete("unexpected EOF while looking for matching `\"'");
  ++pos_;
  return {};
}

// $NAME, ${NAME}, $?, $#, $0 to $9; a $ before anything else is itself.
std::expected<void, SyntaxError> Lexer::TakeDollar(Word& word, Quoting quoting) {
  const char next = Peek(1);
  if (next == '(') return Wrong("syntax error: command substitution is not supported");
  size_t begin = pos_ + 1;
  size_t end = begin;
  if (next == '{') {
    end = text_.find('}', ++begin);
    if (end == std::string_view::npos)
      return Incomplete("unexpected EOF while looking for matching `}'");
    const std::string_view name = text_.substr(begin, end - begin);
    const bool special =
        name == "?" || name == "#" || name == "$" || (name.size() == 1 && IsDigit(name[0]));
    if (!IsName(name) && !special) return Wrong("${" + std::string(name) + "}: bad substitution");
    pos_ = end + 1;
  } else if (IsNameStart(next)) {
    while (end < text_.size() && IsNameChar(text_[end])) ++end;
    pos_ = end;
  } else if (next == '?' || next == '#' || next == '$' || IsDigit(next)) {
    pos_ = ++end;
  } else {
    AddText(word, "$", quoting);
    ++pos_;
    return {};
  }
  word.parts.push_back(
      {WordPart::Kind::kVariable, quoting, std::string(text_.substr(begin, end - begin))});
  return {};
}

std::expected<void, SyntaxError> Lexer::TakeWordPart(Word& word) {
  switch (Peek()) {
    case '\'':
      return TakeSingleQuoted(word);
    case '"':
      return TakeDoubleQuoted(word);
    case '$':
      return TakeDollar(word, Quoting::kNone);
    case '`':
      return Wrong("syntax error: command substitution is not supported");
    case '\\':
      if (pos_ + 1 >= text_.size()) {
        return Incomplete("syntax error: unexpected end of file after `\\'");
      }
      if (Peek(1) == '\n') {
        ++line_;
      } else {
        AddText(word, text_.substr(pos_ + 1, 1), Quoting::kQuoted);
      }
      pos_ += 2;
      return {};
    default:
      AddText(word, text_.substr(pos_, 1), Quoting::kNone);
      ++pos_;
      return {};
  }
}

std::expected<Token, SyntaxError> Lexer::TakeWord() {
  Token token{.kind = Token::Kind::kWord, .text = {}, .word = {}, .line = line_};
  const size_t begin = pos_;
  while (!AtEnd() && !EndsWord(Peek())) {
    if (auto done = TakeWordPart(token.word); !done)
      return std::unexpected(std::move(done.error()));
  }
  token.text = text_.substr(begin, pos_ - begin);
  return token;
}

std::expected<Token, SyntaxError> Lexer::Next() {
  SkipBlanksAndComment();
  if (AtEnd() && text_.ends_with("\\\n")) {
    return Incomplete("syntax error: unexpected end of file after `\\'");
  }
  if (AtEnd()) return Token{.kind = Token::Kind::kEnd, .text = {}, .word = {}, .line = line_};
  if (auto redirection = TakeRedirection()) return *std::move(redirection);
  if (auto op = TakeOperator()) return *std::move(op);
  return TakeWord();
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  std::expected<Script, SyntaxError> Run();

 private:
  using Done = std::expected<void, SyntaxError>;

  bool Is(std::string_view op) const {
    return token_.kind == Token::Kind::kOperator && token_.text == op;
  }
  bool IsBang() const { return token_.kind == Token::Kind::kWord && token_.text == "!"; }
  Done Advance();
  Done SkipNewlines();
  Done Refuse() const { return std::unexpected(Unexpected(token_)); }
  Done Unsupported(std::string_view what) const;

  Done TakeStep(Script& script, Step::When when);
  Done TakeCommand(Pipeline& pipeline);
  Done TakeRedirection(SimpleCommand& command);
  Done TakeSeparator();

  Lexer lexer_;
  Token token_;
};

Parser::Done Parser::Advance() {
  auto token = lexer_.Next();
  if (!token) return std::unexpected(std::move(token.error()));
  token_ = *std::move(token);
  return {};
}

Parser::Done Parser::SkipNewlines() {
  while (Is("\n")) {
    if (auto done = Advance(); !done) return done;
  }
  return {};
}

Parser::Done Parser::Unsupported(std::string_view what) const {
  return std::unexpected(SyntaxError{
      SyntaxError::Kind::kWrong,
      "syntax error near `" + token_.text + "': " + std::string(what) + " are not supported",
      token_.line});
}

// An assignment is a word that begins, unquoted, with NAME=.
std::optional<Assignment> AsAssignment(const Word& word) {
  if (word.parts.empty() || word.parts[0].kind != WordPart::Kind::kText ||
      word.parts[0].quoting != Quoting::kNone) {
    return std::nullopt;
  }
  const std::string& text = word.parts[0].text;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || !IsName(std::string_view(text).substr(0, equals))) {
    return std::nullopt;
  }
  Assignment assignment{.name = text.substr(0, equals), .value = word};
  assignment.value.parts[0].text.erase(0, equals + 1);
  return assignment;
}

Parser::Done Parser::TakeRedirection(SimpleCommand& command) {
  const Token op = std::move(token_);
  if (auto done = Advance(); !done) return done;
  if (token_.kind != Token::Kind::kWord) {
    // A line that ends after `>` is wrong at once; only operators wait for another line.
    if (token_.kind == Token::Kind::kEnd) token_ = {Token::Kind::kOperator, "\n", {}, 0, op.line};
    return Refuse();
  }
  using Kind = Redirection::Kind;
  Kind kind = Kind::kRead;
  if (op.text == ">") kind = Kind::kWrite;
  if (op.text == ">>") kind = Kind::kAppend;
  if (op.text == ">&" || op.text == "<&") kind = Kind::kDuplicate;
  command.redirections.push_back({kind, op.fd, std::move(token_.word)});
  return Advance();
}

Parser::Done Parser::TakeCommand(Pipeline& pipeline) {
  SimpleCommand command;
  while (true) {
    if (token_.kind == Token::Kind::kRedirection) {
      if (auto done = TakeRedirection(command); !done) return done;
      continue;
    }
    if (token_.kind != Token::Kind::kWord) break;
    auto assignment = command.words.empty() ? AsAssignment(token_.word) : std::nullopt;
    if (assignment) {
      command.assignments.push_back(*std::move(assignment));
    } else {
      command.words.push_back(std::move(token_.word));
    }
    if (auto done = Advance(); !done) return done;
  }
  if (command.words.empty() && command.assignments.empty() && command.redirections.empty()) {
    if (Is("(")) return Unsupported("subshells");
    return Refuse();
  }
  pipeline.commands.push_back(std::move(command));
  return {};
}

Parser::Done Parser::TakeStep(Script& script, Step::When when) {
  Step step{.when = when, .pipeline = {}};
  while (IsBang()) {
    using Result = Pipeline::Result;
    step.pipeline.result =
        step.pipeline.result == Result::kPlain ? Result::kInverted : Result::kPlain;
    if (auto done = Advance(); !done) return done;
  }
  if (auto done = TakeCommand(step.pipeline); !done) return done;
  while (Is("|")) {
    if (step.pipeline.commands.size() == kMaxPipeline) {
      return std::unexpected(SyntaxError{
          SyntaxError::Kind::kWrong,
          "a pipeline has at most " + std::to_string(kMaxPipeline) + " commands", token_.line});
    }
    if (auto done = Advance(); !done) return done;
    if (auto done = SkipNewlines(); !done) return done;
    if (auto done = TakeCommand(step.pipeline); !done) return done;
  }
  script.steps.push_back(std::move(step));
  return {};
}

// What may follow a complete and-or list.
Parser::Done Parser::TakeSeparator() {
  if (token_.kind == Token::Kind::kEnd) return {};
  if (Is(";") || Is("\n")) return Advance();
  if (Is("&") || Is("&>")) return Unsupported("background jobs");
  if (Is("<<")) return Unsupported("here-documents");
  return Refuse();
}

std::expected<Script, SyntaxError> Parser::Run() {
  Script script;
  auto done = Advance();
  Step::When when = Step::When::kAlways;
  while (done) {
    if (when != Step::When::kAlways || script.steps.empty() || Is("\n")) done = SkipNewlines();
    if (!done || (token_.kind == Token::Kind::kEnd && when == Step::When::kAlways)) break;
    done = TakeStep(script, when);
    if (!done) break;
    when = Step::When::kAlways;
    if (Is("&&")) when = Step::When::kAfterSuccess;
    if (Is("||")) when = Step::When::kAfterFailure;
    done = when == Step::When::kAlways ? TakeSeparator() : Advance();
  }
  if (!done) return std::unexpected(std::move(done.error()));
  return script;
}

}  // namespace

bool IsName(std::string_view name) {
  if (name.empty() || !IsNameStart(name[0])) return false;
  for (char c : name) {
    if (!IsNameChar(c)) return false;
  }
  return true;
}

std::expected<Script, SyntaxError> Parse(std::string_view text) {
  if (text.size() > kMaxCommandBytes) {
    return std::unexpected(
        SyntaxError{SyntaxError::Kind::kWrong,
                    "a command has at most " + std::to_string(kMaxCommandBytes) + " bytes", 1});
  }
  return Parser(text).Run();
}

}  // namespace dentree::shell
