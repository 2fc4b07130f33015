// fallocate, truncate; mkfifo, mknod
#include <algorithm>

#include "absl/strings/str_format.h"
#include "shell/commands_internal.h"
#include "shell/shell.h"

namespace dentree::shell {

using base::Errno;

namespace {

// "10", "4K", "2MB", "1GiB": bytes; nothing if it is no size or too large for one.
std::optional<uint64_t> ParseSize(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::ParseU64(text.substr(0, digits));
  if (!number) return std::nullopt;
  std::string_view unit = text.substr(digits);
  if (unit.empty()) return *number;
  const size_t power = std::string_view("KMGTPE").find(unit[0]);
  unit.remove_prefix(1);
  if (power == std::string_view::npos || (!unit.empty() && unit != "B" && unit != "iB")) {
    return std::nullopt;
  }
  uint64_t bytes = *number;
  for (size_t i = 0; i <= power; ++i) {
    if (__builtin_mul_overflow(bytes, unit == "B" ? 1000 : 1024, &bytes)) return std::nullopt;
  }
  if (bytes > vfs::kMaxFileBytes) return std::nullopt;
  return bytes;
}

// --- fallocate ---------------------------------------------------------------------------------

constexpr Option kFallocateOptions[] = {
    {'l', "length", "so many bytes, with a unit such as K, MiB or GB", "NUM"},
    {'n', "keep-size", "leave the size as it is"},
    {'o', "offset", "from there on", "NUM"},
    {'p', "punch-hole", "make it a hole (implies -n)"},
};

int RunFallocate(Call& call) {
  if (call.operands().empty()) return call.Fail("no filename specified");
  if (call.operands().size() > 1) return call.Fail("unexpected number of arguments");
  const auto length = call.args.Value('l');
  if (!length) return call.Fail("no length argument specified");
  const auto size = ParseSize(*length);
  if (!size || *size == 0) return call.Fail("invalid length value specified");
  const auto offset = ParseSize(call.args.Value('o').value_or("0"));
  if (!offset) return call.Fail("invalid offset value specified");
  int mode = call.Has('n') ? vfs::kFallocKeepSize : 0;
  if (call.Has('p')) mode = vfs::kFallocPunchHole | vfs::kFallocKeepSize;
  const std::string& path = call.operands()[0];
  const int create = call.Has('n') || call.Has('p') ? 0 : O_CREAT;
  const auto fd = call.task().Open(path, O_RDWR | create, 0666);
  if (!fd) return call.Fail(absl::StrFormat("cannot open %s", path), fd.error());
  const auto done = call.task().task().Fallocate(*fd, mode, static_cast<int64_t>(*offset),
                                                 static_cast<int64_t>(*size));
  (void)call.task().Close(*fd);
  if (!done) return call.Fail("fallocate failed", done.error());
  return call.status();
}

// --- truncate ----------------------------------------------------------------------------------

constexpr Option kTruncateOptions[] = {
    {'c', "no-create", "do not create any files"},
    {'r', "reference", "the size of RFILE, which -s may adjust", "RFILE"},
    {'s', "size", "set or adjust the file size by SIZE bytes", "SIZE"},
};

struct NewSize {
  char how = '=';  // or one of +-<>/%
  uint64_t bytes = 0;

  // Nothing: beyond what a file can have.
  std::optional<uint64_t> From(uint64_t old) const {
    uint64_t size = bytes;
    switch (how) {
      case '+':
        size = old + bytes;
        break;
      case '-':
        size = old - std::min(old, bytes);
        break;
      case '<':
        size = std::min(old, bytes);
        break;
      case '>':
        size = std::max(old, bytes);
        break;
      case '/':
        size = old - old % bytes;
        break;
      case '%':
        size = old + (bytes - old % bytes) % bytes;
        break;
      default:
        break;
    }
    if (size > vfs::kMaxFileBytes) return std::nullopt;
    return size;
  }
};

std::optional<NewSize> ParseNewSize(std::string_view text) {
  NewSize size;
  const bool adjusts = !text.empty() && std::string_view("+-<>/%").find(text[0]) != text.npos;
  if (adjusts) size.how = text[0];
  const auto bytes = ParseSize(text.substr(adjusts ? 1 : 0));
  if (!bytes) return std::nullopt;
  size.bytes = *bytes;
  return size;
}

void TruncateOne(Call& call, const std::string& path, const NewSize& size,
                 std::optional<uint64_t> base) {
  uring::RingTask& task = call.task();
  const int create = call.Has('c') ? 0 : O_CREAT;
  const auto fd = task.Open(path, O_WRONLY | O_NONBLOCK | create, 0666);
  if (!fd) {
    if (call.Has('c') && fd.error() == Errno::kNoEnt) return;
    return (void)call.Fail(absl::StrFormat("cannot open '%s' for writing", path), fd.error());
  }
  const auto st = task.Fstat(*fd);
  const auto bytes = size.From(base.value_or(st ? st->size : 0));
  const vfs::Status done =
      bytes ? task.task().Ftruncate(*fd, *bytes) : vfs::Status(base::Err(Errno::kFBig));
  (void)task.Close(*fd);
  if (done) return;
  (void)call.Fail(absl::StrFormat("failed to truncate '%s' at %d bytes", path,
                                  bytes.value_or(vfs::kMaxFileBytes)),
                  done.error());
}

int RunTruncate(Call& call) {
  const auto text = call.args.Value('s');
  const auto reference = call.args.Value('r');
  if (!text && !reference) {
    return call.FailUsage("you must specify either '--size' or '--reference'");
  }
  const auto size = text ? ParseNewSize(*text) : NewSize{.how = '+', .bytes = 0};
  if (!size) return call.Fail(absl::StrFormat("Invalid number: '%s'", *text));
  if (text && reference && size->how == '=') {
    return call.FailUsage("you must specify a relative '--size' with '--reference'");
  }
  if ((size->how == '/' || size->how == '%') && size->bytes == 0) {
    return call.Fail("division by zero");
  }
  if (call.operands().empty()) return call.FailUsage("missing file operand");
  std::optional<uint64_t> base;
  if (reference) {
    const auto st = call.task().Stat(*reference);
    if (!st) return call.Fail(absl::StrFormat("cannot stat '%s'", *reference), st.error());
    base = st->size;
  }
  for (const std::string& path : call.operands()) TruncateOne(call, path, *size, base);
  return call.status();
}

// --- mknod, mkfifo -----------------------------------------------------------------------------

constexpr Option kNodeOptions[] = {
    {'m', "mode", "set file permission bits to MODE, not a=rw - umask", "MODE"},
};

// Makes a node, with the mode of -m whatever the umask.
void MakeNode(Call& call, const std::string& path, vfs::Mode type, vfs::DevId device,
              std::optional<vfs::Mode> mode, std::string_view failure) {
  auto made = call.task().Mknod(path, type | mode.value_or(0666), device);
  if (made && mode) made = call.task().Chmod(path, *mode);
  if (!made) (void)call.Fail(failure, made.error());
}

// The mode of -m: nothing if there is none, no value after a message.
base::Result<std::optional<vfs::Mode>> NodeMode(Call& call) {
  const auto text = call.args.Value('m');
  if (!text) return std::nullopt;
  const auto mode = ParseMode(*text, 0666, call.task().fs().umask());
  if (mode && (*mode & ~0777) == 0) return *mode;
  (void)call.Fail(mode ? "mode must specify only file permission bits" : "invalid mode");
  return base::Err(Errno::kInval);
}

// As C writes numbers.
std::optional<uint32_t> ParseDevice(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const int radix = hex ? 16 : (text.size() > 1 && text[0] == '0' ? 8 : 10);
  const auto number = base::ParseU64(text.substr(hex ? 2 : 0), radix);
  if (!number || *number > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

int RunMknod(Call& call) {
  const std::vector<std::string>& words = call.operands();
  if (words.empty()) return call.FailUsage("missing operand");
  const std::string type = words.size() > 1 ? words[1] : "";
  const size_t expected = type == "p" ? 2 : 4;
  if (words.size() < expected) {
    return call.FailUsage(absl::StrFormat("missing operand after '%s'", words.back()));
  }
  if (words.size() > expected) {
    return call.FailUsage(absl::StrFormat("extra operand '%s'", words[expected]));
  }
  const auto mode = NodeMode(call);
  if (!mode) return call.status();
  if (type == "p") {
    MakeNode(call, words[0], S_IFIFO, 0, *mode, words[0]);
    return call.status();
  }
  if (type != "b" && type != "c" && type != "u") {
    return call.FailUsage(absl::StrFormat("invalid device type '%s'", type));
  }
  const auto major_number = ParseDevice(words[2]);
  const auto minor_number = ParseDevice(words[3]);
  if (!major_number || !minor_number) {
    return call.Fail(absl::StrFormat("invalid %s device number '%s'",
                                     major_number ? "minor" : "major",
                                     words[major_number ? 3 : 2]));
  }
  // As Stat::rdev has them.
  constexpr uint32_t kMinorBits = 20;
  if (*major_number >> (32 - kMinorBits) != 0 || *minor_number >> kMinorBits != 0) {
    return call.Fail(words[0], Errno::kInval);
  }
  const vfs::DevId device = *major_number << kMinorBits | *minor_number;
  MakeNode(call, words[0], type == "b" ? S_IFBLK : S_IFCHR, device, *mode, words[0]);
  return call.status();
}

int RunMkfifo(Call& call) {
  if (call.operands().empty()) return call.FailUsage("missing operand");
  const auto mode = NodeMode(call);
  if (!mode) return call.status();
  for (const std::string& path : call.operands()) {
    MakeNode(call, path, S_IFIFO, 0, *mode, absl::StrFormat("cannot create fifo '%s'", path));
  }
  return call.status();
}

}  // namespace

constinit const Command kFallocateCommand{
    .name = "fallocate",
    .summary = "give space to a file, or take it away",
    .synopsis = "[OPTION]... -l NUM FILE",
    .details = "The space is zeros until it is written, and there when it is.",
    .options = kFallocateOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunFallocate,
};

constinit const Command kTruncateCommand{
    .name = "truncate",
    .summary = "shrink or extend the size of a file to the specified size",
    .synopsis = "OPTION... FILE...",
    .details =
        "A FILE that does not exist is created. SIZE has a unit such as K, MiB or GB, and may be\n"
        "prefixed by + (extend by), - (reduce by), < (at most), > (at least), / (round down to\n"
        "multiple of) or % (round up to multiple of).",
    .options = kTruncateOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunTruncate,
};

constinit const Command kMknodCommand{
    .name = "mknod",
    .summary = "make block or character special files, or FIFOs",
    .synopsis = "[OPTION]... NAME TYPE [MAJOR MINOR]",
    .details = "TYPE is b (block), c or u (character) or p (FIFO, without MAJOR and MINOR).",
    .options = kNodeOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunMknod,
};

constinit const Command kMkfifoCommand{
    .name = "mkfifo",
    .summary = "make FIFOs (named pipes)",
    .synopsis = "[OPTION]... NAME...",
    .details = "",
    .options = kNodeOptions,
    .parsing = Command::Parsing::kOptions,
    .usage_status = 1,
    .run = RunMkfifo,
};

}  // namespace dentree::shell
