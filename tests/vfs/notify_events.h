// What notify tests share: events as they read them.
#pragma once

#include <sys/inotify.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fixture/fixture.h"

namespace dentree::vfs {

struct ReadEvent {
  int wd = 0;
  uint32_t mask = 0;
  uint32_t cookie = 0;
  std::string name;
};

// All that can be read of a non-blocking group.
inline std::vector<ReadEvent> ReadAll(Task& task, int group) {
  std::vector<ReadEvent> events;
  for (;;) {
    std::array<std::byte, 4096> buffer;
    const auto n = task.Read(group, buffer);
    if (!n) {
      EXPECT_THAT(n, fixture::FailsWith(Errno::kAgain));
      return events;
    }
    for (size_t at = 0; at < *n;) {
      inotify_event head;
      std::memcpy(&head, buffer.data() + at, sizeof(head));
      const auto* const name = reinterpret_cast<const char*>(buffer.data() + at + sizeof(head));
      events.push_back(
          {head.wd, head.mask, head.cookie, std::string(name, ::strnlen(name, head.len))});
      at += sizeof(head) + head.len;
    }
  }
}

// "CREATE|ISDIR d" for each, in lines; descriptors of watches are left out.
inline std::string Told(Task& task, int group) {
  static constexpr std::pair<uint32_t, const char*> kNames[] = {
      {IN_ACCESS, "ACCESS"},         {IN_MODIFY, "MODIFY"},
      {IN_ATTRIB, "ATTRIB"},         {IN_CLOSE_WRITE, "CLOSE_WRITE"},
      {IN_CLOSE_NOWRITE, "CLOSE"},   {IN_OPEN, "OPEN"},
      {IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"},
      {IN_CREATE, "CREATE"},         {IN_DELETE, "DELETE"},
      {IN_DELETE_SELF, "GONE"},      {IN_MOVE_SELF, "MOVED"},
      {IN_UNMOUNT, "UNMOUNT"},       {IN_Q_OVERFLOW, "OVERFLOW"},
      {IN_IGNORED, "IGNORED"},       {IN_ISDIR, "ISDIR"}};
  std::string text;
  for (const ReadEvent& event : ReadAll(task, group)) {
    std::string what;
    for (const auto& [bit, name] : kNames) {
      if (event.mask & bit) what += (what.empty() ? "" : "|") + std::string(name);
    }
    text += what + (event.name.empty() ? "" : " " + event.name) + "\n";
  }
  return text;
}

}  // namespace dentree::vfs
