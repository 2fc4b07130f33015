#include <ctime>

#include "absl/strings/str_format.h"
#include "shell/format_internal.h"

namespace dentree::shell {

namespace {

char TypeLetter(vfs::Mode mode) {
  switch (vfs::TypeOf(mode)) {
    case vfs::FileType::kDir:
      return 'd';
    case vfs::FileType::kSymlink:
      return 'l';
    case vfs::FileType::kChar:
      return 'c';
    case vfs::FileType::kBlock:
      return 'b';
    case vfs::FileType::kFifo:
      return 'p';
    case vfs::FileType::kSocket:
      return 's';
    case vfs::FileType::kRegular:
      return '-';
    case vfs::FileType::kUnknown:
      break;
  }
  return '?';
}

}  // namespace

std::string ModeText(vfs::Mode mode) {
  std::string text(1, TypeLetter(mode));
  for (int shift : {6, 3, 0}) {
    const int bits = mode >> shift;
    text += bits & 4 ? 'r' : '-';
    text += bits & 2 ? 'w' : '-';
    text += bits & 1 ? 'x' : '-';
  }
  if (mode & S_ISUID) text[3] = mode & S_IXUSR ? 's' : 'S';
  if (mode & S_ISGID) text[6] = mode & S_IXGRP ? 's' : 'S';
  if (mode & S_ISVTX) text[9] = mode & S_IXOTH ? 't' : 'T';
  return text;
}

std::string OwnerText(uint32_t id) { return id == 0 ? "root" : std::to_string(id); }

std::string HumanSize(uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes);
  constexpr std::string_view kUnits = "KMGTPE";
  size_t unit = 0;
  uint64_t scale = 1024;
  while (unit + 1 < kUnits.size() && bytes / scale >= 1024) {
    scale *= 1024;
    ++unit;
  }
  const uint64_t whole = bytes / scale;
  const uint64_t tenths = (bytes % scale * 10 + scale - 1) / scale;  // rounded up
  if (whole < 10 && !(whole == 9 && tenths == 10)) {
    return absl::StrFormat("%d.%d%c", whole + tenths / 10, tenths % 10, kUnits[unit]);
  }
  const uint64_t rounded = whole + (bytes % scale != 0 ? 1 : 0);
  if (rounded == 1024 && unit + 1 < kUnits.size())
    return absl::StrFormat("1.0%c", kUnits[unit + 1]);
  return absl::StrFormat("%d%c", rounded, kUnits[unit]);
}

std::string_view TypeText(const vfs::Stat& st) {
  switch (vfs::TypeOf(st.mode)) {
    case vfs::FileType::kDir:
      return "directory";
    case vfs::FileType::kSymlink:
      return "symbolic link";
    case vfs::FileType::kChar:
      return "character special file";
    case vfs::FileType::kBlock:
      return "block special file";
    case vfs::FileType::kFifo:
      return "fifo";
    case vfs::FileType::kSocket:
      return "socket";
    case vfs::FileType::kRegular:
      return st.size == 0 ? "regular empty file" : "regular file";
    case vfs::FileType::kUnknown:
      break;
  }
  return "weird file";
}

std::string TimeText(int64_t ns, const char* format) {
  std::time_t seconds = ns / 1'000'000'000;
  if (ns % 1'000'000'000 < 0) --seconds;
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[64];
  const size_t size = std::strftime(text, sizeof(text), format, &local);
  return std::string(text, size);
}

std::string JoinPath(std::string_view dir, std::string_view name) {
  std::string path(dir);
  if (path.empty() || path.back() != '/') path += '/';
  return path += name;
}

std::string BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  if (path.size() > 1) path.remove_prefix(path.rfind('/') + 1);
  return std::string(path);
}

}  // namespace dentree::shell
