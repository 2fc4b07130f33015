#include "tests/model/replay.h"

#include <algorithm>
#include <cstdio>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"

namespace dentree::model {

namespace {

// Below this many operations all of them are checkpoints.
constexpr size_t kShort = 48;

std::optional<Divergence> ReplayHere(const std::vector<Op>& ops, Checkpoints checkpoints,
                                     const ReplayOptions& options) {
  const std::unique_ptr<vfs::Vfs> vfs = NewVfs();
  std::string why_not;
  const auto pair = Pair::New(*vfs, "replay", options.kernel, options.injection, why_not);
  if (pair == nullptr) {
    absl::FPrintF(stderr, "oracle: cannot replay: %s\n", why_not);
    return std::nullopt;
  }
  for (size_t i = 0; i < ops.size(); ++i) {
    if (options.trace) absl::FPrintF(stderr, "%s\n", ToLine(ops[i]));
    const bool checkpoint = checkpoints == Checkpoints::kAlways ||
                            (checkpoints == Checkpoints::kAtEnd && i + 1 == ops.size());
    if (auto divergence = pair->Run(ops[i], checkpoint)) return divergence;
  }
  return std::nullopt;
}

class Shrinker {
 public:
  Shrinker(const Divergence& wanted, const ReplayOptions& options)
      : wanted_(wanted), options_(options) {}

  // Whether `ops` diverge as wanted; then they are what is left of them, cut where they did.
  bool Try(std::vector<Op> ops) {
    if (replays_++ >= kMaxReplays) return false;
    auto checkpoints = ops.size() <= kShort ? Checkpoints::kAlways : Checkpoints::kAtEnd;
    if (wanted_.where == "answer") checkpoints = Checkpoints::kNever;
    auto divergence = Replay(ops, checkpoints, options_);
    if (!divergence || divergence->where != wanted_.where) return false;
    // A tree that differs is seen at the next checkpoint, whatever that operation is.
    if (wanted_.where == "answer" && divergence->Signature() != wanted_.Signature()) return false;
    ops.resize(divergence->at + 1);
    best = {std::move(ops), *std::move(divergence)};
    return true;
  }

  void Run() {
    for (size_t chunk = best.ops.size() / 2; chunk > 0; chunk /= 2) {
      bool again = true;
      while (again) again = LeaveOut(chunk) && chunk == 1;
    }
  }

  Shrunk best;

 private:
  // From the end, because what is late depends on what is early. True: something could go.
  bool LeaveOut(size_t chunk) {
    bool any = false;
    size_t end = best.ops.size();
    while (end > 0) {
      const size_t begin = end > chunk ? end - chunk : 0;
      std::vector<Op> rest(best.ops.begin(), best.ops.begin() + static_cast<ptrdiff_t>(begin));
      rest.insert(rest.end(), best.ops.begin() + static_cast<ptrdiff_t>(end), best.ops.end());
      if (!rest.empty()) any |= Try(std::move(rest));
      end = std::min(begin, best.ops.size());
    }
    return any;
  }

  const Divergence& wanted_;
  const ReplayOptions& options_;
  int replays_ = 0;
};

}  // namespace

// On a thread that ends with its worlds: it leaves its process's directories for good.
std::optional<Divergence> Replay(const std::vector<Op>& ops, Checkpoints checkpoints,
                                 const ReplayOptions& options) {
  std::optional<Divergence> divergence;
  std::thread([&] { divergence = ReplayHere(ops, checkpoints, options); }).join();
  return divergence;
}

std::optional<Shrunk> Shrink(std::vector<Op> ops, const Divergence& divergence,
                             const ReplayOptions& options) {
  ops.resize(std::min(ops.size(), divergence.at + 1));
  Shrinker shrinker(divergence, options);
  if (!shrinker.Try(std::move(ops))) return std::nullopt;
  shrinker.Run();
  return std::move(shrinker.best);
}

std::string Describe(const std::vector<Op>& ops, const Divergence& divergence) {
  std::string text = absl::StrFormat("# %s\n# for oracle --replay:\n", divergence.Signature());
  for (const Op& op : ops) text += ToLine(op) + "\n";
  text += "# for the shell:\n";
  for (const Op& op : ops) text += ToShell(op) + "\n";
  return text;
}

}  // namespace dentree::model
