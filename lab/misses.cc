#include "lab/misses.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "absl/strings/str_format.h"
#include "lab/labfs.h"

namespace dentree::lab {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kLookupsPerReport = 1 << 18;
constexpr double kMostGrowth = 1.1;
constexpr double kLeastSpeed = 0.95;
// Goal G13, at the default cap.
constexpr double kMostMiB = 5;
constexpr double kMostNs = 100, kMostP999Ns = 2000;

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// "/dir/n0000000042", written in place: making the name must not be what is measured.
class NumberedPath {
 public:
  std::string_view Next() {
    for (size_t at = sizeof(text_) - 1; at-- > kPrefix;) {
      if (++text_[at] <= '9') break;
      text_[at] = '0';
    }
    return {text_, sizeof(text_) - 1};
  }

 private:
  static constexpr size_t kPrefix = 6;  // "/dir/n"
  char text_[17] = "/dir/n0000000000";
};

double PerSecond(uint64_t count, Clock::duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

class Misser {
 public:
  Misser(vfs::Vfs& vfs, const MissesOptions& options)
      : vfs_(vfs), options_(options), task_(vfs, vfs::Creds::Root()) {
    AddName(vfs.Root(), "/dir", vfs::FileType::kDir);
    result_.bytes_start = vfs.memory().used();
    result_.window = std::clamp<uint64_t>(options.count / 10, 1, kMissWindow);
  }

  std::expected<MissesResult, std::string> Run() {
    const auto start = Clock::now();
    const uint64_t last = options_.count - result_.window;
    if (!RunWindow(result_.window, result_.per_second_first)) return Done(start);
    result_.bytes_first = vfs_.memory().used();
    result_.resident_first = ResidentBytes();
    double ignored = 0;
    if (last > result_.window && !RunWindow(last - result_.window, ignored)) return Done(start);
    if (!RunWindow(result_.window, result_.per_second_last)) return Done(start);
    result_.complete = true;
    return Done(start);
  }

 private:
  bool RunWindow(uint64_t count, double& per_second) {
    const auto start = Clock::now();
    auto before = start;
    for (uint64_t i = 0; i < count; ++i) {
      const auto found = task_.Stat(path_.Next());
      const auto now = Clock::now();
      const auto ns = static_cast<uint64_t>((now - before) / std::chrono::nanoseconds(1));
      result_.ns.Add(ns > options_.lab.cost_ns ? ns - options_.lab.cost_ns : 0);
      before = now;
      CHECK(!found, "nobody made the name");
      if (++result_.count % kLookupsPerReport == 0) {
        if (options_.interrupt != nullptr && options_.interrupt->load()) return false;
        if (options_.on_progress) options_.on_progress(result_.count);
        before = Clock::now();
      }
    }
    per_second = PerSecond(count, Clock::now() - start);
    return true;
  }

  MissesResult Done(Clock::time_point start) {
    result_.bytes_last = vfs_.memory().used();
    result_.resident_last = ResidentBytes();
    result_.negatives = CountsOf(vfs_);
    result_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return result_;
  }

  vfs::Vfs& vfs_;
  const MissesOptions& options_;
  vfs::Task task_;
  NumberedPath path_;
  MissesResult result_;
};

std::string Goal(std::string_view what, double value, std::string_view must, bool met) {
  return absl::StrFormat("goal: %s %.3f, must be %s: %s\n", what, value, must,
                         met ? "ok" : "MISSED");
}

}  // namespace

double MissesResult::growth() const {
  return bytes_first == 0 ? 0 : static_cast<double>(bytes_last) / static_cast<double>(bytes_first);
}
double MissesResult::slowdown() const {
  return per_second_first == 0 ? 0 : per_second_last / per_second_first;
}

std::expected<MissesResult, std::string> RunMisses(const MissesOptions& options) {
  if (options.count == 0) return std::unexpected("no lookups to do");
  auto vfs = MakeVfs(options.lab);
  if (!vfs) return std::unexpected(vfs.error());
  return Misser(**vfs, options).Run();
}

std::string MissesText(const std::vector<NamedMisses>& results) {
  std::string text =
      "policy             lookups   KiB first    KiB last  RSS MiB first  last  M/s first   last"
      "   entries   ns: p50    p999    longest\n";
  for (const auto& [policy, result] : results) {
    text += absl::StrFormat(
        "%-14s %11d %11d %11d %14d %5d %10.3f %6.3f %9d %9d %7d %10d%s\n", policy, result.count,
        result.bytes_first / 1024, result.bytes_last / 1024, result.resident_first >> 20,
        result.resident_last >> 20, result.per_second_first / 1e6, result.per_second_last / 1e6,
        result.negatives.high_water, result.ns.Quantile(0.5), result.ns.Quantile(0.999),
        result.ns.max(), result.complete ? "" : "  (interrupted)");
  }
  if (results.empty() || !results.front().result.complete) return text;
  const MissesResult& first = results.front().result;
  text += Goal(results.front().policy + " memory at the end, by that after the first window",
               first.growth(), "at most 1.1", first.growth() <= kMostGrowth);
  text += Goal(results.front().policy + " throughput of the last window, by that of the first",
               first.slowdown(), "at least 0.95", first.slowdown() >= kLeastSpeed);
  const double mib = static_cast<double>(first.bytes_last - first.bytes_start) / (1 << 20);
  const auto p50 = static_cast<double>(first.ns.Quantile(0.5));
  const auto p999 = static_cast<double>(first.ns.Quantile(0.999));
  text += Goal("G13 memory, MiB", mib, "at most 5", mib <= kMostMiB);
  text += Goal("G13 ns beyond the file system's cost, median", p50, "at most 100", p50 <= kMostNs);
  text += Goal("G13 the same, 99.9 %", p999, "at most 2000", p999 <= kMostP999Ns);
  return text;
}

}  // namespace dentree::lab
