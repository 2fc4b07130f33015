#include <algorithm>
#include <limits>
#include <new>

#include "absl/strings/str_format.h"
#include "base/string_util.h"
#include "hostfs/super_internal.h"

namespace dentree::hostfs {

using base::Err;

namespace {

Result<int64_t> ParseUpTo(std::string_view text, int64_t max) {
  const uint64_t number = TRY(base::ParseU64(text));
  if (number > static_cast<uint64_t>(max)) return Err(Errno::kRange);
  return static_cast<int64_t>(number);
}

// "2": seconds; "250ms".
Result<int64_t> ParseTtlMs(std::string_view text) {
  if (text.ends_with("ms")) return ParseUpTo(text.substr(0, text.size() - 2), kMaxTtlMs);
  return TRY(ParseUpTo(text, kMaxTtlMs / 1000)) * 1000;
}

Result<bool> ParseOnOff(std::string_view text) {
  if (text != "on" && text != "off") return Err(Errno::kInval);
  return text == "on";
}

class HostContext final : public vfs::MountContext {
 public:
  HostContext(const vfs::FileSystemType& type, FileSystemState& state)
      : type_(type), state_(state) {}

  Status ParseOption(std::string_view key, std::string_view value) override {
    if (key == "ttl") return Set(ttl_ms_, key, value, ParseTtlMs(value));
    if (key == "notify") return Set(notify_, key, value, ParseOnOff(value));
    if (key == "delay_ns") return Set(delay_ns_, key, value, ParseUpTo(value, kMaxDelayNs));
    return MountContext::ParseOption(key, value);
  }

  Result<vfs::SuperRef> GetTree(vfs::Vfs& vfs) override {
    auto* const made = new (std::nothrow) HostSuper(vfs, type_, state_, Changed(Settings{}));
    if (made == nullptr) return Err(Errno::kNoMem);
    auto sb = base::Ref<HostSuper>::Adopt(made);
    TRY(sb->MakeRoot(TRY(sb->MakeTop())));
    return sb;
  }

  Status Reconfigure(vfs::SuperBlock& sb) override {
    auto& host = static_cast<HostSuper&>(sb);
    host.Configure(Changed(host.settings()));
    return {};
  }

 private:
  template <class T>
  Status Set(std::optional<T>& setting, std::string_view key, std::string_view value,
             const Result<T>& parsed) {
    if (!parsed) {
      return Fail(Errno::kInval,
                  absl::StrFormat("hostfs: bad value '%s' for option '%s'", value, key));
    }
    setting = *parsed;
    return {};
  }

  Settings Changed(Settings settings) const {
    settings.ttl_ms = ttl_ms_.value_or(settings.ttl_ms);
    settings.delay_ns = delay_ns_.value_or(settings.delay_ns);
    settings.notify = notify_.value_or(settings.notify);
    return settings;
  }

  const vfs::FileSystemType& type_;
  FileSystemState& state_;
  std::optional<int64_t> ttl_ms_;
  std::optional<int64_t> delay_ns_;
  std::optional<bool> notify_;
};

class HostType final : public FileSystem {
 public:
  HostType(Fd top, const Options& options) : state_(std::move(top), options) {}

  std::unique_ptr<vfs::MountContext> NewContext() override {
    return std::make_unique<HostContext>(*this, state_);
  }
  const Stats& stats() const override { return state_.stats(); }
  Stats& stats() override { return state_.stats(); }

 private:
  FileSystemState state_;
};

}  // namespace

Result<std::unique_ptr<FileSystem>> FileSystem::Open(const Options& options) {
  Fd top = TRY(HostCalls::OpenTop(options.directory));
  return std::make_unique<HostType>(std::move(top), options);
}

}  // namespace dentree::hostfs
