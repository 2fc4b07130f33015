#include "shell/line_reader.h"

#include "shell/shell.h"

namespace dentree::shell {

std::optional<std::string> TextReader::ReadLine(Prompt) {
  if (rest_.empty()) return std::nullopt;
  const size_t end = rest_.find('\n');
  std::string line(rest_.substr(0, end));
  rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  return line;
}

bool StreamReader::interactive() const { return shell_.streams().in->is_terminal(); }

std::optional<std::string> StreamReader::ReadLine(Prompt prompt) {
  const Streams& streams = shell_.streams();
  if (interactive()) (void)streams.out->Write(shell_.PromptText(prompt));
  auto line = streams.in->ReadLine();
  if (!line && line.error() == base::Errno::kIntr) {
    (void)streams.out->Write("\n");
    return "";
  }
  if (!line || line->empty()) return std::nullopt;
  if (line->back() == '\n') line->pop_back();
  return *std::move(line);
}

}  // namespace dentree::shell
