// Where command lines come from: a text, a stream, or a person at a terminal.
//
// Thread safety: belongs to its shell's thread. Lifetime: a reader is outlived by what it stands
// on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shell/stream.h"

namespace dentree::shell {

class Shell;

class LineReader {
 public:
  enum class Prompt : uint8_t { kFirst, kContinuation };

  virtual ~LineReader() = default;
  // The next line without its '\n'; nothing at the end.
  virtual std::optional<std::string> ReadLine(Prompt prompt) = 0;
  // The name of a script file, for messages with line numbers; empty otherwise.
  virtual std::string_view file_name() const { return {}; }
  // A person: errors of syntax do not end the session, lines go to the history.
  virtual bool interactive() const { return false; }
};

class TextReader final : public LineReader {
 public:
  // `file_name` empty: the text is no file.
  explicit TextReader(std::string_view text, std::string file_name = {})
      : rest_(text), file_name_(std::move(file_name)) {}
  std::optional<std::string> ReadLine(Prompt prompt) override;
  std::string_view file_name() const override { return file_name_; }

 private:
  std::string_view rest_;
  const std::string file_name_;
};

// Reads the shell's own input, which its commands read as well, and not a byte further than the
// line. On a terminal it prompts.
class StreamReader final : public LineReader {
 public:
  explicit StreamReader(Shell& shell) : shell_(shell) {}
  std::optional<std::string> ReadLine(Prompt prompt) override;
  bool interactive() const override;

 private:
  Shell& shell_;
};

// A terminal with line editing, history (kept in the file $DENTREE_HISTORY, by default
// ~/.dentree_history) and completion.
// Null when standard input is no terminal or TERM is "dumb": use a StreamReader.
std::unique_ptr<LineReader> NewTerminalReader(Shell& shell);

}  // namespace dentree::shell
