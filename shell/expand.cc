#include "shell/expand.h"

#include <algorithm>

#include "shell/pattern.h"

namespace dentree::shell {

using base::Err;
using base::Errno;
using base::Result;

// An argument on its way: its text, and the same as a pattern in which what was quoted is escaped.
struct Expander::Field {
  std::string text;
  std::string pattern;

  void Add(std::string_view more, Quoting quoting) {
    text += more;
    pattern += quoting == Quoting::kQuoted ? EscapePattern(more) : std::string(more);
  }
};

std::string Expander::Value(const WordPart& part) const {
  if (part.kind == WordPart::Kind::kText) return part.text;
  return variables_(part.text).value_or("");
}

// "~" and "~/..." at the start of a word are the home directory; empty when this is neither.
std::string Expander::TildeValue(const Word& word) const {
  if (word.parts.empty()) return {};
  const WordPart& first = word.parts[0];
  const bool plain = first.kind == WordPart::Kind::kText && first.quoting == Quoting::kNone;
  if (!plain || !(first.text.starts_with("~/") || (first.text == "~" && word.parts.size() == 1))) {
    return {};
  }
  return variables_("HOME").value_or("/");
}

std::string Expander::Text(const Word& word) const {
  std::string text = TildeValue(word);
  const size_t skip = text.empty() ? 0 : 1;
  if (text == "/" && word.parts[0].text.size() > 1) text.clear();
  for (size_t i = 0; i < word.parts.size(); ++i) {
    text += i == 0 ? Value(word.parts[i]).substr(skip) : Value(word.parts[i]);
  }
  return text;
}

std::vector<Expander::Field> Expander::Split(const Word& word) const {
  std::vector<Field> fields;
  bool open = false;  // the last field may still grow
  auto add = [&](std::string_view text, Quoting quoting) {
    if (!open) fields.emplace_back();
    open = true;
    fields.back().Add(text, quoting);
  };
  const std::string home = TildeValue(word);
  for (size_t i = 0; i < word.parts.size(); ++i) {
    const WordPart& part = word.parts[i];
    std::string value = Value(part);
    if (i == 0 && !home.empty()) {
      if (home != "/" || value.size() == 1) add(home, Quoting::kQuoted);
      value.erase(0, 1);
      if (value.empty()) continue;
    }
    if (part.quoting == Quoting::kQuoted || part.kind == WordPart::Kind::kText) {
      add(value, part.quoting);
      continue;
    }
    for (size_t at = 0; at < value.size();) {
      const size_t blank = std::min(value.find_first_of(" \t\n", at), value.size());
      if (blank > at) add(std::string_view(value).substr(at, blank - at), Quoting::kNone);
      if (blank < value.size()) open = false;
      at = blank + 1;
    }
  }
  return fields;
}

Result<std::vector<std::string>> Expander::Arguments(const std::vector<Word>& words) {
  std::vector<std::string> arguments;
  for (const Word& word : words) {
    for (Field& field : Split(word)) {
      std::vector<std::string> matches;
      if (HasWildcards(field.pattern)) matches = TRY(Glob(field.pattern));
      if (matches.empty()) matches.push_back(std::move(field.text));
      if (arguments.size() + matches.size() > kMaxArguments) return Err(Errno::kTooBig);
      std::move(matches.begin(), matches.end(), std::back_inserter(arguments));
    }
  }
  return arguments;
}

namespace {

// One step of a glob: every path so far, with every name in it that matches added. A directory
// that cannot be read has no matches.
Result<std::vector<std::string>> MatchComponent(uring::RingTask& task,
                                                const std::vector<std::string>& bases,
                                                std::string_view pattern,
                                                std::string_view slashes) {
  std::vector<std::string> found;
  for (const std::string& base : bases) {
    auto entries = task.ListDir(base.empty() ? "." : base);
    if (!entries) continue;
    for (const vfs::DirEntry& entry : *entries) {
      if (entry.name.starts_with('.') && !pattern.starts_with('.')) continue;
      if (!Matches(pattern, entry.name)) continue;
      if (found.size() == kMaxArguments) return Err(Errno::kTooBig);
      found.push_back(base + entry.name + std::string(slashes));
    }
  }
  return found;
}

}  // namespace

Result<std::vector<std::string>> Expander::Glob(std::string_view pattern) {
  const size_t root = std::min(pattern.find_first_not_of('/'), pattern.size());
  std::vector<std::string> paths{std::string(pattern.substr(0, root))};
  pattern.remove_prefix(root);
  bool wild = false;
  while (!pattern.empty()) {
    const size_t end = std::min(pattern.find('/'), pattern.size());
    const size_t next = std::min(pattern.find_first_not_of('/', end), pattern.size());
    const std::string_view component = pattern.substr(0, end);
    const std::string_view slashes = pattern.substr(end, next - end);
    if (HasWildcards(component)) {
      wild = true;
      paths = TRY(MatchComponent(task_, paths, component, slashes));
    } else {
      for (std::string& path : paths) path += UnescapePattern(component) + std::string(slashes);
    }
    pattern.remove_prefix(next);
    // After a pattern, names and slashes must lead somewhere.
    const bool check = wild && (!HasWildcards(component) || !slashes.empty());
    if (check) std::erase_if(paths, [&](const std::string& path) { return !task_.Lstat(path); });
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace dentree::shell
