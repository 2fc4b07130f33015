#include "shell/complete.h"

#include <algorithm>

#include "shell/command.h"
#include "shell/syntax.h"

namespace dentree::shell {

namespace {

// The word under the cursor, and what it stands for.
struct Cursor {
  size_t begin = 0;
  std::string word;     // without quotes and backslashes
  std::string command;  // of which it is an argument; empty: it is to be a command itself
  bool after_redirection = false;
};

// Reads the line up to the cursor as the shell's lexer does, but never fails: open quotes are
// where a person is still typing.
Cursor FindCursor(std::string_view line) {
  Cursor cursor;
  bool open = false;  // a word has begun
  char quote = '\0';
  const auto end_word = [&] {
    const bool assignment = cursor.word.find('=') != std::string::npos &&
                            IsName(cursor.word.substr(0, cursor.word.find('=')));
    if (open && cursor.command.empty() && !cursor.after_redirection && !assignment)
      cursor.command = cursor.word;
    if (open) cursor.after_redirection = false;
    cursor.word.clear();
    open = false;
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool separates =
        quote == '\0' && std::string_view(" \t\n;|&<>").find(c) != std::string_view::npos;
    if (separates) {
      end_word();
      if (c == '<' || c == '>') cursor.after_redirection = true;
      if (c == ';' || c == '|' || c == '&' || c == '\n') {
        cursor.command.clear();
        cursor.after_redirection = false;
      }
      cursor.begin = i + 1;
      continue;
    }
    open = true;
    if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      cursor.word += line[++i];
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    } else {
      cursor.word += c;
    }
  }
  return cursor;
}

// A word as it must be typed to stand for `text`.
std::string Typed(std::string_view text) {
  std::string typed;
  for (char c : text) {
    if (std::string_view(" \t\n\\'\"$`;|&<>()*?[]#").find(c) != std::string_view::npos)
      typed += '\\';
    typed += c;
  }
  return typed;
}

std::vector<std::string> CommandCandidates(std::string_view prefix) {
  std::vector<std::string> candidates;
  for (const Command* command : Commands()) {
    if (command->name.starts_with(prefix)) candidates.push_back(std::string(command->name) + " ");
  }
  return candidates;
}

std::vector<std::string> OptionCandidates(const std::string& name, std::string_view prefix) {
  std::vector<std::string> candidates;
  const Command* command = FindCommand(name);
  if (command == nullptr) return candidates;
  const auto add = [&](const std::string& text) {
    if (text.starts_with(prefix)) candidates.push_back(text);
  };
  for (const Option& option : command->options) {
    const char* end = option.takes_argument() ? "=" : " ";
    if (!option.name.empty()) add("--" + std::string(option.name) + end);
    if (option.has_letter() && prefix.size() <= 2) add(std::string("-") + option.id + " ");
  }
  if (command->parsing != Command::Parsing::kLiteral) add("--help ");
  return candidates;
}

bool IsDirectory(uring::RingTask& task, const std::string& path, vfs::FileType type) {
  if (type == vfs::FileType::kDir) return true;
  if (type != vfs::FileType::kSymlink && type != vfs::FileType::kUnknown) return false;
  const auto st = task.Stat(path);
  return st && vfs::IsDir(st->mode);
}

std::vector<std::string> PathCandidates(uring::RingTask& task, const std::string& word) {
  const size_t slash = word.rfind('/');
  const std::string dir = slash == std::string::npos ? "" : word.substr(0, slash + 1);
  const std::string prefix = word.substr(dir.size());
  std::vector<std::string> candidates;
  const auto entries = task.ListDir(dir.empty() ? "." : dir);
  if (!entries) return candidates;
  for (const vfs::DirEntry& entry : *entries) {
    if (!entry.name.starts_with(prefix) || (entry.name[0] == '.' && prefix.empty())) continue;
    const std::string path = dir + entry.name;
    candidates.push_back(Typed(path) + (IsDirectory(task, path, entry.type) ? "/" : " "));
  }
  return candidates;
}

}  // namespace

Completion Complete(uring::RingTask& task, std::string_view line) {
  const Cursor cursor = FindCursor(line);
  Completion completion{.word_begin = cursor.begin, .candidates = {}};
  const bool command = cursor.command.empty() && !cursor.after_redirection;
  if (command && cursor.word.find('/') == std::string::npos) {
    completion.candidates = CommandCandidates(cursor.word);
  } else if (!command && cursor.word.starts_with('-')) {
    completion.candidates = OptionCandidates(cursor.command, cursor.word);
  } else {
    completion.candidates = PathCandidates(task, cursor.word);
  }
  std::ranges::sort(completion.candidates);
  return completion;
}

std::string CommonPrefix(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  std::string prefix = candidates[0];
  for (const std::string& candidate : candidates) {
    const auto [mine, theirs] = std::ranges::mismatch(prefix, candidate);
    prefix.erase(mine, prefix.end());
  }
  return prefix;
}

}  // namespace dentree::shell
