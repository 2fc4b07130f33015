#include "lab/belady.h"

#include <iterator>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lab/generators.h"

namespace dentree::lab {

namespace {

constexpr size_t kNever = SIZE_MAX;

bool IsCreation(Op op) { return op == Op::kCreate || op == Op::kMkdir; }
bool IsRemoval(Op op) { return op == Op::kUnlink || op == Op::kRmdir; }

// One thing that happens to a name as far as negatives are concerned.
struct Step {
  uint32_t name;
  Op op;
  size_t next_use = kNever;  // the next step at which knowing that it is missing saves a lookup
};

std::vector<Step> StepsOf(const Trace& trace, const Prepared& prepared, HitsOf of) {
  // What was known of the names in a directory goes with it: in one that is made again they are
  // others, so a name is a path and how often its directory has gone.
  absl::flat_hash_map<std::pair<std::string_view, uint32_t>, uint32_t> names;
  absl::flat_hash_map<std::string_view, uint32_t> gone;
  std::vector<Step> steps;
  for (const Event& event : prepared.events) {
    if (event.op == Op::kLookup && event.outcome == Outcome::kOk) continue;
    const std::string_view path = prepared.PathOf(trace, event);
    if (of == HitsOf::kUseful && path.starts_with(kJunk)) continue;
    if (event.op == Op::kRmdir) ++gone[path];
    const auto dir = gone.find(path.substr(0, path.rfind('/')));
    const uint32_t times = dir == gone.end() ? 0 : dir->second;
    const auto number = static_cast<uint32_t>(names.size());
    const auto it = names.try_emplace({path, times}, number).first;
    steps.push_back({it->second, event.op});
  }
  std::vector<size_t> next(names.size(), kNever);
  for (size_t i = steps.size(); i-- > 0;) {
    Step& step = steps[i];
    step.next_use = IsCreation(step.op) ? kNever : next[step.name];
    next[step.name] = IsRemoval(step.op) ? kNever : i;
  }
  return steps;
}

}  // namespace

uint64_t BestHits(const Trace& trace, const Prepared& prepared, size_t cap, HitsOf of) {
  std::set<std::pair<size_t, uint32_t>> kept;  // by next use
  uint64_t hits = 0;
  size_t now = 0;
  for (const Step& step : StepsOf(trace, prepared, of)) {
    // What is kept under this step's number is this name: it said that it would come now.
    if (!IsRemoval(step.op)) hits += kept.erase({now, step.name});
    ++now;
    if (step.next_use == kNever) continue;
    kept.emplace(step.next_use, step.name);
    if (kept.size() > cap) kept.erase(std::prev(kept.end()));
  }
  return hits;
}

}  // namespace dentree::lab
