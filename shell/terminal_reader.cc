// The line editor: libedit.
#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_format.h"
#include "shell/complete.h"
#include "shell/shell.h"

namespace dentree::shell {

namespace {

// Candidates shown after a second tab at most.
constexpr size_t kMaxShown = 200;

class TerminalReader final : public LineReader {
 public:
  explicit TerminalReader(Shell& shell);
  ~TerminalReader() override;

  std::optional<std::string> ReadLine(Prompt prompt) override;
  bool interactive() const override { return true; }

 private:
  static TerminalReader& Of(EditLine* el);
  static char* ShowPrompt(EditLine* el) { return Of(el).prompt_.data(); }
  static unsigned char OnTab(EditLine* el, int) { return Of(el).CompleteWord(); }
  static unsigned char OnInterrupt(EditLine* el, int);
  unsigned char CompleteWord();
  void ShowCandidates(const std::vector<std::string>& candidates);

  Shell& shell_;
  EditLine* const el_;
  History* const history_;
  std::string history_file_;  // empty: kept nowhere
  std::string prompt_;
};

std::string HistoryFile() {
  if (const char* file = std::getenv("DENTREE_HISTORY")) return file;
  const char* home = std::getenv("HOME");
  return home != nullptr ? std::string(home) + "/.dentree_history" : "";
}

TerminalReader::TerminalReader(Shell& shell)
    : shell_(shell),
      el_(::el_init("dentree", stdin, stdout, stderr)),
      history_(::history_init()),
      history_file_(HistoryFile()) {
  HistEvent event;
  (void)::history(history_, &event, H_SETSIZE, static_cast<int>(kMaxHistory));
  (void)::history(history_, &event, H_SETUNIQUE, 1);
  if (!history_file_.empty()) (void)::history(history_, &event, H_LOAD, history_file_.c_str());
  (void)::el_set(el_, EL_CLIENTDATA, this);
  (void)::el_set(el_, EL_PROMPT, &ShowPrompt);
  (void)::el_set(el_, EL_EDITOR, "emacs");
  (void)::el_set(el_, EL_HIST, &::history, history_);
  (void)::el_set(el_, EL_ADDFN, "dentree-complete", "complete the word", &OnTab);
  (void)::el_set(el_, EL_BIND, "^I", "dentree-complete", nullptr);
  (void)::el_set(el_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  // While a line is edited control-C is a key: it drops the line.
  (void)::el_set(el_, EL_ADDFN, "dentree-interrupt", "drop the line", &OnInterrupt);
  (void)::el_set(el_, EL_BIND, "^C", "dentree-interrupt", nullptr);
  (void)::el_set(el_, EL_SETTY, "-d", "-isig", nullptr);
}

TerminalReader::~TerminalReader() {
  HistEvent event;
  if (!history_file_.empty()) (void)::history(history_, &event, H_SAVE, history_file_.c_str());
  ::history_end(history_);
  ::el_end(el_);
}

TerminalReader& TerminalReader::Of(EditLine* el) {
  void* self = nullptr;
  (void)::el_get(el, EL_CLIENTDATA, &self);
  return *static_cast<TerminalReader*>(self);
}

unsigned char TerminalReader::OnInterrupt(EditLine* el, int) {
  Of(el).shell_.interrupt().store(true, std::memory_order_relaxed);
  (void)std::fputs("^C\n", stdout);
  return CC_NEWLINE;
}

void TerminalReader::ShowCandidates(const std::vector<std::string>& candidates) {
  // Of paths in one directory the last component tells them apart.
  std::vector<std::string> shown;
  size_t width = 0;
  for (const std::string& candidate : candidates) {
    if (shown.size() == kMaxShown) break;
    const size_t end = candidate.size() - (candidate.back() == ' ' ? 1 : 0);
    const size_t slash = end < 2 ? std::string::npos : candidate.rfind('/', end - 2);
    const size_t begin = slash == std::string::npos ? 0 : slash + 1;
    shown.push_back(candidate.substr(begin, end - begin));
    width = std::max(width, shown.back().size() + 2);
  }
  const size_t columns = std::max<size_t>(1, shell_.streams().out->columns() / width);
  const size_t rows = (shown.size() + columns - 1) / columns;
  std::string text = "\n";
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = row; i < shown.size(); i += rows) {
      absl::StrAppendFormat(&text, "%-*s", static_cast<int>(width), shown[i]);
    }
    text += "\n";
  }
  if (shown.size() < candidates.size()) {
    absl::StrAppendFormat(&text, "and %d more\n", candidates.size() - shown.size());
  }
  (void)std::fputs(text.c_str(), stdout);
}

unsigned char TerminalReader::CompleteWord() {
  const LineInfo* info = ::el_line(el_);
  const std::string line(info->buffer, static_cast<size_t>(info->cursor - info->buffer));
  const Completion completion = Complete(shell_.task(), line);
  if (completion.candidates.empty()) return CC_REFRESH_BEEP;
  const std::string common = CommonPrefix(completion.candidates);
  const size_t typed = line.size() - completion.word_begin;
  if (completion.candidates.size() > 1 && common.size() <= typed) {
    ShowCandidates(completion.candidates);
    return CC_REDISPLAY;
  }
  ::el_deletestr(el_, static_cast<int>(typed));
  return ::el_insertstr(el_, common.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

std::optional<std::string> TerminalReader::ReadLine(Prompt prompt) {
  prompt_ = shell_.PromptText(prompt);
  int size = 0;
  const char* text = ::el_gets(el_, &size);
  if (text == nullptr || size <= 0) {
    (void)std::fputs("\n", stdout);
    return std::nullopt;
  }
  std::string line(text, static_cast<size_t>(size));
  if (line.back() == '\n') line.pop_back();
  HistEvent event;
  if (line.find_first_not_of(" \t") != std::string::npos) {
    (void)::history(history_, &event, H_ENTER, line.c_str());
  }
  return line;
}

}  // namespace

std::unique_ptr<LineReader> NewTerminalReader(Shell& shell) {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0 || *term == '\0';
  if (dumb || ::isatty(0) != 1 || ::isatty(1) != 1) return nullptr;
  return std::make_unique<TerminalReader>(shell);
}

}  // namespace dentree::shell
