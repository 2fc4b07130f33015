#include <limits>

#include "absl/strings/str_format.h"
#include "ramfs/ramfs.h"
#include "ramfs/super_internal.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Errno;
using vfs::Result;
using vfs::Status;

namespace {

constexpr vfs::Mode kDefaultMode = 0755;
// Of the memory: more than this is a mistake.
constexpr uint64_t kMaxPercent = 1'000'000;

// A number as C writes it (0x10, 020, 16) and perhaps one of k, m, g, t, p, e.
Result<uint64_t> ParseAmount(std::string_view text) {
  unsigned shift = 0;
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const size_t suffix = text.empty() || (hex && text.size() < 3)
                            ? std::string_view::npos
                            : std::string_view("kmgtpe").find(text.back() | 0x20);
  // In a hexadecimal number an e is a digit.
  const bool digit = hex && (text.back() | 0x20) == 'e';
  if (suffix != std::string_view::npos && !digit) {
    shift = 10 * (static_cast<unsigned>(suffix) + 1);
    text.remove_suffix(1);
  }
  if (hex) text.remove_prefix(2);
  const int octal_or_decimal = text.size() > 1 && text.starts_with('0') ? 8 : 10;
  const uint64_t number = TRY(base::ParseU64(text, hex ? 16 : octal_or_decimal));
  if (number > std::numeric_limits<uint64_t>::max() >> shift) return Err(Errno::kRange);
  return number << shift;
}

Result<SizeLimit> ParseSize(std::string_view text) {
  if (text.ends_with('%')) {
    text.remove_suffix(1);
    const uint64_t percent = TRY(ParseAmount(text));
    if (percent > kMaxPercent) return Err(Errno::kRange);
    return SizeLimit{.percent = percent};
  }
  const uint64_t bytes = TRY(ParseAmount(text));
  return SizeLimit{.pages = bytes / kPageBytes + (bytes % kPageBytes != 0 ? 1 : 0)};
}

Result<SizeLimit> ParseBlocks(std::string_view text) {
  const uint64_t pages = TRY(ParseAmount(text));
  if (pages > std::numeric_limits<uint64_t>::max() / kPageBytes) return Err(Errno::kRange);
  return SizeLimit{.pages = pages};
}

Result<uint64_t> ParseInodes(std::string_view text) {
  const uint64_t inodes = TRY(ParseAmount(text));
  if (inodes > std::numeric_limits<uint64_t>::max() / kInodeSpace) return Err(Errno::kRange);
  return inodes;
}

template <class T>
Result<T> ParseUpTo(std::string_view text, uint64_t max, int radix) {
  const uint64_t number = TRY(base::ParseU64(text, radix));
  if (number > max) return Err(Errno::kRange);
  return static_cast<T>(number);
}

Result<uint32_t> ParseId(std::string_view text) {
  // The last one means "no change" to chown.
  return ParseUpTo<uint32_t>(text, std::numeric_limits<uint32_t>::max() - 1, 10);
}

// What is beyond permission bits does not count.
Result<vfs::Mode> ParseMode(std::string_view text) {
  const auto bits = TRY(ParseUpTo<uint32_t>(text, std::numeric_limits<uint32_t>::max(), 8));
  return static_cast<vfs::Mode>(bits & 07777);
}

class RamfsContext final : public vfs::MountContext {
 public:
  explicit RamfsContext(const vfs::FileSystemType& type) : type_(type) {}

  Status ParseOption(std::string_view key, std::string_view value) override {
    if (key == "mode") return Set(settings_.mode, key, value, ParseMode);
    if (key == "uid") return Set(settings_.uid, key, value, ParseId);
    if (key == "gid") return Set(settings_.gid, key, value, ParseId);
    if (key == "size") return Set(settings_.size, key, value, ParseSize);
    if (key == "nr_blocks") return Set(settings_.size, key, value, ParseBlocks);
    if (key == "nr_inodes") return Set(settings_.max_inodes, key, value, ParseInodes);
    return MountContext::ParseOption(key, value);
  }

  Result<vfs::SuperRef> GetTree(vfs::Vfs& vfs) override {
    auto* const made = new (std::nothrow) RamfsSuper(vfs, type_, settings_);
    if (made == nullptr) return Err(Errno::kNoMem);
    auto sb = base::Ref<RamfsSuper>::Adopt(made);
    const auto mode = static_cast<vfs::Mode>(S_IFDIR | settings_.mode.value_or(kDefaultMode));
    TRY(sb->MakeRoot(TRY(sb->NewInode(
        {.mode = mode, .uid = settings_.uid.value_or(0), .gid = settings_.gid.value_or(0)}))));
    return sb;
  }

  Status Reconfigure(vfs::SuperBlock& sb) override {
    if (static_cast<RamfsSuper&>(sb).Resize(settings_)) return {};
    return Fail(Errno::kInval, "ramfs: more than the new size or nr_inodes is in use");
  }

 private:
  template <class T>
  Status Set(std::optional<T>& setting, std::string_view key, std::string_view value,
             Result<T> (*parse)(std::string_view)) {
    const Result<T> parsed = parse(value);
    if (!parsed) {
      return Fail(Errno::kInval,
                  absl::StrFormat("ramfs: bad value '%s' for option '%s'", value, key));
    }
    setting = *parsed;
    return {};
  }

  const vfs::FileSystemType& type_;
  Settings settings_;
};

class RamfsType final : public vfs::FileSystemType {
 public:
  std::string_view name() const override { return "ramfs"; }
  std::unique_ptr<vfs::MountContext> NewContext() override {
    return std::make_unique<RamfsContext>(*this);
  }
};

}  // namespace

std::unique_ptr<vfs::FileSystemType> Type() { return std::make_unique<RamfsType>(); }

}  // namespace dentree::ramfs
