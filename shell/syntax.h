// The language of the shell: from text to a Script, without running anything.
//
//     script    = [ and-or { ( ";" | newline ) and-or } ]
//     and-or    = pipeline { ( "&&" | "||" ) pipeline }
//     pipeline  = [ "!" ] command { "|" command }
//     command   = { NAME=word } { word } with redirections anywhere
//
// Words are as in POSIX sh: 'literal', "text with $VARIABLE", \x, $NAME ${NAME} $?, and # starts a
// comment at the start of a word. What sh has and this language has not (background jobs,
// subshells, command substitution, here-documents) is a syntax error that says so.
//
// Thread safety: pure functions over values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace dentree::shell {

// Commands in one pipeline at most: each is a thread.
inline constexpr size_t kMaxPipeline = 64;
// Bytes in one command with its continuation lines at most.
inline constexpr size_t kMaxCommandBytes = 1 << 20;

enum class Quoting : uint8_t { kNone, kQuoted };

// A stretch of a word: text, or the name of a variable to put there. What is quoted is neither
// split into words nor matched as a pattern.
struct WordPart {
  enum class Kind : uint8_t { kText, kVariable } kind = Kind::kText;
  Quoting quoting = Quoting::kNone;
  std::string text;

  friend bool operator==(const WordPart&, const WordPart&) = default;
};

struct Word {
  std::vector<WordPart> parts;
  friend bool operator==(const Word&, const Word&) = default;
};

// N< file, N> file, N>> file, N>&M.
struct Redirection {
  enum class Kind : uint8_t { kRead, kWrite, kAppend, kDuplicate } kind;
  int fd;       // what is redirected: 0, 1 or 2
  Word target;  // file name; for kDuplicate the number of another
};

struct Assignment {
  std::string name;
  Word value;
};

struct SimpleCommand {
  std::vector<Assignment> assignments;
  std::vector<Word> words;
  std::vector<Redirection> redirections;
};

struct Pipeline {
  enum class Result : uint8_t { kPlain, kInverted } result = Result::kPlain;  // inverted by "!"
  std::vector<SimpleCommand> commands;
};

// One pipeline and the operator before it: `a && b || c ; d` is four steps.
struct Step {
  enum class When : uint8_t { kAlways, kAfterSuccess, kAfterFailure } when = When::kAlways;
  Pipeline pipeline;
};

struct Script {
  std::vector<Step> steps;
};

struct SyntaxError {
  // kIncomplete: more lines could complete the text (an open quote, a trailing && or |).
  enum class Kind : uint8_t { kWrong, kIncomplete } kind = Kind::kWrong;
  std::string message;  // "syntax error near unexpected token `|'"
  size_t line = 1;      // counted from 1 within the text
};

// Any bytes are accepted as input; the answer is a Script or an error, never anything else.
std::expected<Script, SyntaxError> Parse(std::string_view text);

// Whether `name` can be a variable's: a letter or _, then letters, digits and _.
bool IsName(std::string_view name);

}  // namespace dentree::shell
