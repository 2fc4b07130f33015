// stat
#include <sys/sysmacros.h>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/format_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::ErrnoText;

namespace {

constexpr char kPrintf = '\x02';
constexpr Option kOptions[] = {
    {'L', "dereference", "follow links"},
    {'f', "file-system", "display file system status instead of file status"},
    {'c', "format", "use the specified FORMAT instead of the default", "FORMAT"},
    {kPrintf, "printf", "like --format, but interpret backslash escapes and no newline", "FORMAT"},
    {'t', "terse", "print the information in terse form"},
};

constexpr std::string_view kDefault =
    "  Size: %-10s\tBlocks: %-10b IO Block: %-6o %F\n"
    "Device: %Hd,%Ld\tInode: %-10i  Links: %h\n"
    "Access: (%04a/%10.10A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)\n"
    "Access: %x\nModify: %y\nChange: %z\n Birth: %w\n";
constexpr std::string_view kTerse = "%n %s %b %f %u %g %D %i %h %t %T %X %Y %Z %W %o\n";
constexpr std::string_view kFsDefault =
    "  File: \"%n\"\n"
    "    ID: %-8i Namelen: %-7l Type: %T\n"
    "Block size: %-10s Fundamental block size: %S\n"
    "Blocks: Total: %-10b Free: %-10f Available: %a\n"
    "Inodes: Total: %-10c Free: %d\n";

std::string FullTime(int64_t ns) {
  const int64_t fraction = ((ns % 1'000'000'000) + 1'000'000'000) % 1'000'000'000;
  return TimeText(ns, "%Y-%m-%d %H:%M:%S") + absl::StrFormat(".%09d", fraction) +
         TimeText(ns, " %z");
}

enum class Quotes : uint8_t { kNone, kSingle };

// The name, and of a symlink its target.
std::string NameAndTarget(Call& call, const std::string& path, const vfs::Stat& st, Quotes quotes) {
  const auto show = [quotes](const std::string& name) {
    return quotes == Quotes::kSingle ? Quote(name) : name;
  };
  if (!vfs::IsSymlink(st.mode)) return show(path);
  const auto target = call.task().Readlink(path);
  return target ? show(path) + " -> " + show(*target) : show(path);
}

// The value of one directive of a file's format; nothing if there is no such directive.
std::optional<std::string> FileValue(Call& call, const std::string& path, const vfs::Stat& st,
                                     std::string_view directive) {
  const auto seconds = [](int64_t ns) { return std::to_string(ns / 1'000'000'000); };
  if (directive == "Hd") return std::to_string(st.dev >> 20);
  if (directive == "Ld") return std::to_string(st.dev & 0xfffff);
  if (directive == "Hr") return std::to_string(st.rdev >> 20);
  if (directive == "Lr") return std::to_string(st.rdev & 0xfffff);
  switch (directive[0]) {
    case 'a':
      return absl::StrFormat("%o", st.mode & 07777);
    case 'A':
      return ModeText(st.mode);
    case 'b':
      return std::to_string(st.blocks);
    case 'B':
      return "512";
    case 'd':
      return std::to_string(st.dev);
    case 'D':
      return absl::StrFormat("%x", st.dev);
    case 'f':
      return absl::StrFormat("%x", st.mode);
    case 'F':
      return std::string(TypeText(st));
    case 'g':
      return std::to_string(st.gid);
    case 'G':
      return OwnerText(st.gid);
    case 'h':
      return std::to_string(st.nlink);
    case 'i':
      return std::to_string(st.ino);
    case 'n':
      return path;
    case 'N':
      return NameAndTarget(call, path, st, Quotes::kSingle);
    case 'o':
      return std::to_string(st.blksize);
    case 'r':
      return std::to_string(st.rdev);
    case 's':
      return std::to_string(st.size);
    case 't':
      return absl::StrFormat("%x", st.rdev >> 20);
    case 'T':
      return absl::StrFormat("%x", st.rdev & 0xfffff);
    case 'u':
      return std::to_string(st.uid);
    case 'U':
      return OwnerText(st.uid);
    case 'w':
      return st.times.btime == 0 ? "-" : FullTime(st.times.btime);
    case 'W':
      return seconds(st.times.btime);
    case 'x':
      return FullTime(st.times.atime);
    case 'X':
      return seconds(st.times.atime);
    case 'y':
      return FullTime(st.times.mtime);
    case 'Y':
      return seconds(st.times.mtime);
    case 'z':
      return FullTime(st.times.ctime);
    case 'Z':
      return seconds(st.times.ctime);
    default:
      return std::nullopt;
  }
}

std::optional<std::string> FsValue(const std::string& path, const vfs::StatFs& st,
                                   std::string_view directive) {
  switch (directive[0]) {
    case 'a':
      return std::to_string(st.bavail);
    case 'b':
      return std::to_string(st.blocks);
    case 'c':
      return std::to_string(st.files);
    case 'd':
      return std::to_string(st.ffree);
    case 'f':
      return std::to_string(st.bfree);
    case 'i':
      return "0";
    case 'l':
      return std::to_string(st.namelen);
    case 'n':
      return path;
    case 's':
    case 'S':
      return std::to_string(st.bsize);
    case 't':
      return absl::StrFormat("%x", st.magic);
    case 'T':
      return absl::StrFormat("UNKNOWN (0x%x)", st.magic);
    default:
      return std::nullopt;
  }
}

// Pads a value as the flags, width and precision between % and the directive ask.
std::string Pad(std::string value, std::string_view spec) {
  const bool left = spec.starts_with('-');
  const bool zeros = spec.starts_with('0');
  size_t width = 0;
  for (char c : spec.substr(left || zeros ? 1 : 0)) {
    if (c == '.') break;
    width = std::min<size_t>(width * 10 + static_cast<size_t>(c - '0'), 4096);
  }
  if (value.size() >= width) return value;
  if (left) return value + std::string(width - value.size(), ' ');
  return std::string(width - value.size(), zeros ? '0' : ' ') + value;
}

template <class Value>
std::string Format(std::string_view format, Value value) {
  std::string text;
  for (size_t pos = 0; pos < format.size(); ++pos) {
    if (format[pos] != '%') {
      text += format[pos];
      continue;
    }
    const size_t spec = pos + 1;
    size_t letter = format.find_first_not_of("-0123456789.", spec);
    if (letter == std::string_view::npos) return text + std::string(format.substr(pos));
    const bool pair =
        (format[letter] == 'H' || format[letter] == 'L') && letter + 1 < format.size();
    const std::string_view directive = format.substr(letter, pair ? 2 : 1);
    if (directive == "%") {
      text += '%';
    } else {
      text += Pad(value(directive).value_or("?"), format.substr(spec, letter - spec));
    }
    pos = letter + directive.size() - 1;
  }
  return text;
}

std::string Escapes(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result += text[i];
      continue;
    }
    const char c = text[++i];
    result += c == 'n' ? '\n' : (c == 't' ? '\t' : c);
  }
  return result;
}

void StatFile(Call& call, const std::string& path, std::string_view format) {
  const auto st = call.Has('L') ? call.task().Stat(path) : call.task().Lstat(path);
  if (!st) return (void)call.Fail(absl::StrFormat("cannot statx '%s'", path), st.error());
  if (format == kDefault) {
    call.out.Put("  File: " + NameAndTarget(call, path, *st, Quotes::kNone) + "\n");
  }
  call.out.Put(Format(
      format, [&](std::string_view directive) { return FileValue(call, path, *st, directive); }));
}

void StatFileSystem(Call& call, const std::string& path, std::string_view format) {
  const auto st = call.task().Statfs(path);
  if (!st) {
    return (void)call.Fail(absl::StrFormat("cannot read file system information for '%s'", path),
                           st.error());
  }
  call.out.Put(
      Format(format, [&](std::string_view directive) { return FsValue(path, *st, directive); }));
}

int RunStat(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing operand");
  const bool file_system = call.Has('f');
  std::string format(file_system ? kFsDefault : (call.Has('t') ? kTerse : kDefault));
  if (const char how = call.args.LastOf({"c\x02", 2}); how != 0) {
    const std::string given = *call.args.Value(how);
    format = how == 'c' ? given + "\n" : Escapes(given);
  }
  for (const std::string& path : call.operands()) {
    if (file_system) {
      StatFileSystem(call, path, format);
    } else {
      StatFile(call, path, format);
    }
  }
  return call.status();
}

}  // namespace

constinit const Command kStatCommand{
    .name = "stat",
    .summary = "display file or file system status",
    .synopsis = "[OPTION]... FILE...",
    .details =
        "FORMAT for files: %a mode (octal) %A mode (letters) %b blocks %d device %f raw mode "
        "(hex)\n"
        "%F type %g %G group %h links %i inode %n name %N name with link target %o block size\n"
        "%s size %u %U owner %w %W birth %x %X access %y %Y modification %z %Z change.\n"
        "FORMAT for file systems: %a %b %f blocks %c %d inodes %l name length %n name %s block "
        "size\n"
        "%t type (hex).",
    .options = kOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunStat,
};

}  // namespace dentree::shell
