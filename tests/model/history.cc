#include "tests/model/history.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/errno.h"

namespace dentree::model {

std::string ToString(ShortPath path) {
  std::string text(1, static_cast<char>('a' + path.first));
  if (path.second >= 0) text += {'/', static_cast<char>('a' + path.second)};
  return text;
}

const char* NameOf(CallKind kind) {
  static constexpr const char* kCallNames[] = {"create", "open", "opendir", "mkdir", "rmdir",
                                               "unlink", "link", "rename",  "stat",  "read",
                                               "write",  "list", "final"};
  return kCallNames[static_cast<size_t>(kind)];
}

std::string ToString(const Call& call) {
  std::string text = NameOf(call.kind);
  if (call.kind < CallKind::kRead) text += " " + ToString(call.path);
  if (call.kind == CallKind::kLink || call.kind == CallKind::kRename) {
    text += " " + ToString(call.path2);
  }
  if (call.kind == CallKind::kWrite) text += std::string(" ") + call.byte;
  text += ": ";
  if (call.error != 0) return text + std::string(base::ErrnoName(base::Errno(call.error)));
  text += "ok";
  if (call.is_dir) text += " directory";
  if (call.ino != 0) absl::StrAppendFormat(&text, " inode %d", call.ino);
  if (call.nlink != 0) absl::StrAppendFormat(&text, " nlink %d", call.nlink);
  if (call.kind == CallKind::kRead && call.byte != 0) text += std::string(" ") + call.byte;
  for (int name = 0; name < kNames; ++name) {
    for (int i = 0; i < call.listed[name]; ++i) text += std::string(" ") + char('a' + name);
  }
  return text + (call.tree.empty() ? "" : " " + call.tree);
}

std::string ToString(const History& history) {
  std::vector<std::pair<uint64_t, std::string>> lines;
  for (size_t thread = 0; thread < history.size(); ++thread) {
    for (const Call& call : history[thread]) {
      lines.emplace_back(call.begin, absl::StrFormat("[%3d %3d] thread %d: %s\n", call.begin,
                                                     call.end, thread, ToString(call)));
    }
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& [begin, line] : lines) text += line;
  return text;
}

}  // namespace dentree::model
