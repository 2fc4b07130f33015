#include "vfs/negative_policy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include "absl/strings/str_format.h"
#include "vfs/negative_policies_internal.h"

namespace dentree::vfs {

namespace {

using Kind = NegativeSpec::Kind;

// The parameter of a policy. At most 0: it has none.
struct Parameter {
  uint32_t least = 0, most = 0;
  bool optional = true;
  uint32_t standard = 0;
};
struct Row {
  Kind kind;
  std::string_view name;
  Parameter parameter;
  NegativePolicyInfo info;
};

constexpr uint32_t kMuch = 1'000'000'000;
constexpr Row kRows[] = {
    {Kind::kNone, "none", {}, {"none", "keep none: the file system is asked each time"}},
    {Kind::kUnbounded,
     "unbounded",
     {},
     {"unbounded", "keep all until memory is short, as Linux does"}},
    {Kind::kLru, "lru", {}, {"lru", "the least recently used goes; each hit takes a lock"}},
    {Kind::kClock,
     "clock",
     {1, 3, true, 1},
     {"clock:N",
      "second chance for what was hit N times (1 to 3, default 1) since it was looked at"}},
    {Kind::kSieve, "sieve", {}, {"sieve", "SIEVE: a hand takes the first that was not hit"}},
    {Kind::kS3Fifo, "s3fifo", {}, {"s3fifo", "S3-FIFO: small and main queue, and a ghost"}},
    {Kind::kDirMax,
     "dirmax",
     {1, kMuch, false, 0},
     {"dirmax:N", "at most N in a directory; no other limit"}},
    {Kind::kRatio,
     "ratio",
     {1, kMuch, false, 0},
     {"ratio:N", "at most N for each name of the directory in memory; no other limit"}},
    {Kind::kPosBound,
     "posbound",
     {1, kMuch, false, 0},
     {"posbound:FLOOR", "at most as many as names of the directory in memory; no other limit"}},
    {Kind::kHiWater,
     "hiwater",
     {1, kMuch, false, 0},
     {"hiwater:N", "none more in a directory that has N names, missing or not; no other limit"}},
    {Kind::kAge,
     "age",
     {1, kMuch, false, 0},
     {"age:MS", "what was not hit for MS milliseconds goes; no other limit"}},
    {Kind::kThrottle,
     "throttle",
     {1, 65535, false, 0},
     {"throttle:N", "a thread may make N a second, and one for each hit; no other limit"}},
    {Kind::kKhleb,
     "khleb",
     {1, 64, false, 0},
     {"khleb:N", "at most N never hit in a row of a hash bucket; no other limit"}},
    {Kind::kFreeBsd,
     "freebsd",
     {},
     {"freebsd", "hot after two hits; the least hit of the four oldest that are cold goes"}},
    {Kind::kTinyLfu,
     "tinylfu",
     {},
     {"tinylfu", "W-TinyLFU: frequency decides who may stay; each hit takes a lock"}},
    {Kind::kDirS3,
     "dirs3",
     {1, NegativeDir::kMaxQuota / NegativeDir::kQuotaUnit, true, 64},
     {"dirs3:FLOOR",
      "S3-FIFO in each directory, with quotas (at least FLOOR, default 64) that grow by refaults"}},
};

constexpr auto kInfos = [] {
  std::array<NegativePolicyInfo, std::size(kRows)> infos;
  for (size_t i = 0; i < infos.size(); ++i) infos[i] = kRows[i].info;
  return infos;
}();

constexpr std::string_view kPolicyKey = "neg=";
constexpr std::string_view kUnlinkKey = "neg_unlink=";
constexpr std::string_view kVerdicts[] = {"keep", "drop", "defer"};

Result<NegativeVerdict> ParseVerdict(std::string_view text) {
  const auto* const found = std::ranges::find(kVerdicts, text);
  if (found == std::end(kVerdicts)) return base::Err(Errno::kInval);
  return static_cast<NegativeVerdict>(found - std::begin(kVerdicts));
}

}  // namespace

std::span<const NegativePolicyInfo> NegativePolicies() { return kInfos; }

Result<NegativeSpec> NegativeSpec::Parse(std::string_view text) {
  const size_t colon = text.find(':');
  const auto* const row = std::ranges::find(kRows, text.substr(0, colon), &Row::name);
  if (row == std::end(kRows)) return base::Err(Errno::kInval);
  const Parameter& parameter = row->parameter;
  NegativeSpec spec{row->kind, parameter.standard};
  if (colon == text.npos) {
    if (!parameter.optional) return base::Err(Errno::kInval);
    return spec;
  }
  const std::string_view digits = text.substr(colon + 1);
  const char* const end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, spec.parameter);
  if (at != end || error != std::errc() || spec.parameter < parameter.least ||
      spec.parameter > parameter.most) {
    return base::Err(Errno::kInval);
  }
  return spec;
}

std::string NegativeSpec::Text() const {
  const auto* const row = std::ranges::find(kRows, kind, &Row::kind);
  if (row->parameter.most == 0 ||
      (row->parameter.optional && parameter == row->parameter.standard)) {
    return std::string(row->name);
  }
  return absl::StrFormat("%s:%d", row->name, parameter);
}

Result<NegativeOptions> NegativeOptions::TakeFrom(std::string& options) {
  NegativeOptions result;
  std::string rest;
  std::string_view left = options;
  while (!left.empty()) {
    const std::string_view option = left.substr(0, left.find(','));
    left.remove_prefix(std::min(option.size() + 1, left.size()));
    if (option.starts_with(kPolicyKey)) {
      result.policy = TRY(NegativeSpec::Parse(option.substr(kPolicyKey.size())));
    } else if (option.starts_with(kUnlinkKey)) {
      result.unlink = TRY(ParseVerdict(option.substr(kUnlinkKey.size())));
    } else {
      if (!rest.empty()) rest += ',';
      rest += option;
    }
  }
  if (!result.empty()) options = std::move(rest);
  return result;
}

std::string NegativeOptions::Text() const {
  std::string text;
  if (policy) absl::StrAppendFormat(&text, ",%s%s", kPolicyKey, policy->Text());
  if (unlink) {
    const std::string_view verdict = kVerdicts[static_cast<size_t>(*unlink)];
    absl::StrAppendFormat(&text, ",%s%s", kUnlinkKey, verdict);
  }
  return text;
}

NegativePolicy* NegativePolicy::Create(NegativeCache& cache, mm::Memory& memory,
                                       const NegativeSpec& spec) {
  size_t bytes = 0;
  const NegativeMake make{cache, memory, spec, bytes};
  using Maker = NegativePolicy* (*)(const NegativeMake&);
  for (const Maker maker : {&MakeS3Policy, &MakeFifoPolicy, &MakeDirPolicy, &MakeSketchPolicy}) {
    NegativePolicy* const policy = maker(make);
    if (policy != nullptr) return policy->bytes_ = bytes, policy;
    if (bytes != 0) break;
  }
  return nullptr;
}

void NegativePolicy::Destroy(NegativePolicy* policy, mm::Memory& memory) {
  const size_t bytes = policy->bytes_;
  memory.FreeBytes(policy->given_, policy->given_bytes_);
  policy->~NegativePolicy();
  memory.FreeBytes(policy, bytes);
}

void NegativePolicy::Evict(const Victim& victim) {
  cache_.Left(*this, 1);
  cache_.Evicted(*victim.negative, victim.reason);
}

void NegativePolicy::Abandon(NegativeQueue& queue) { cache_.leaving_.Append(queue); }

}  // namespace dentree::vfs
