#include "lab/prepare.h"

#include <algorithm>
#include <ranges>
#include <set>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/string_util.h"

namespace dentree::lab {

namespace {

class Preparer {
 public:
  explicit Preparer(const Trace& trace) : trace_(trace), checked_(trace.paths().size()) {
    for (const std::string& path : trace.paths()) {
      for (size_t slash = path.rfind('/'); slash != 0 && slash != path.npos;
           slash = path.rfind('/', slash - 1)) {
        // What is below was seen to already.
        if (std::exchange(names_[std::string_view(path).substr(0, slash)].dir, true)) break;
      }
    }
  }

  Prepared Run() {
    for (const Event& event : trace_.events()) Take(event);
    for (const auto& [path, name] : names_) {
      if (name.at_start) prepared_.names.push_back({std::string(path), name.dir});
    }
    std::ranges::sort(prepared_.names, {}, &Prepared::Name::path);
    return std::move(prepared_);
  }

 private:
  struct Name {
    bool known = false;
    bool there = false;
    bool at_start = false;
    bool original = false;  // at_start, and never gone
    bool dir = false;
  };

  // A name that an event finds.
  Name& MustBeThere(std::string_view path, const Event& event) {
    const bool in_original = IsOriginal(path.substr(0, path.rfind('/')));
    Name& name = names_[path];
    if (!name.known && in_original) {
      name.at_start = name.original = true;
    } else if (!name.there) {
      Repair(path, event, name.dir ? Op::kMkdir : Op::kCreate);
    }
    Appears(path, name);
    return name;
  }

  // A directory that was there at the beginning and did not go meanwhile: it may hold more than
  // what was seen until now.
  bool IsOriginal(std::string_view dir) const {
    return dir.empty() || names_.find(dir)->second.original;
  }

  void Appears(std::string_view path, Name& name) {
    name.known = name.there = true;
    there_.insert(path);
  }
  void Vanishes(std::string_view path, Name& name) {
    name.known = true;
    name.there = name.original = false;
    there_.erase(path);
    removals_ += name.dir;
  }

  // What is still in a directory that goes: it went with it, to a place that nobody recorded.
  void Empty(std::string_view dir, const Event& event) {
    std::vector<std::string_view> below;
    for (auto at = there_.upper_bound(dir); at != there_.end() && at->starts_with(dir); ++at) {
      if ((*at)[dir.size()] == '/') below.push_back(*at);
    }
    for (const std::string_view path : std::views::reverse(below)) {
      Name& name = names_[path];
      Repair(path, event, name.dir ? Op::kRmdir : Op::kUnlink);
      Vanishes(path, name);
    }
  }

  void Repair(std::string_view path, const Event& event, Op op) {
    const auto number = static_cast<uint32_t>(trace_.paths().size() + prepared_.paths.size());
    prepared_.paths.emplace_back(path);
    Push({number, event.process, op, Outcome::kOk});
    ++prepared_.repairs;
  }

  void Push(const Event& event) {
    prepared_.misses +=
        event.outcome == Outcome::kNoEnt || event.op == Op::kCreate || event.op == Op::kMkdir;
    prepared_.events.push_back(event);
  }

  // The directories above a path. Once for each path, as long as no directory goes.
  void CheckParents(const Event& event) {
    if (checked_[event.path] == removals_) return;
    checked_[event.path] = removals_;
    const std::string_view path = trace_.PathOf(event);
    for (size_t slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1)) {
      MustBeThere(path.substr(0, slash), event);
    }
  }

  void Take(Event event) {
    const std::string_view path = trace_.PathOf(event);
    if (path == "/") return;
    CheckParents(event);
    if (event.outcome == Outcome::kNoEnt) {
      Name& name = names_[path];
      if (name.there) {
        if (name.dir) Empty(path, event);
        Repair(path, event, name.dir ? Op::kRmdir : Op::kUnlink);
      }
      Vanishes(path, name);
    } else if (event.op == Op::kCreate || event.op == Op::kMkdir) {
      Name& name = names_[path];
      name.dir |= event.op == Op::kMkdir;
      event.op = name.there ? Op::kLookup : name.dir ? Op::kMkdir : Op::kCreate;
      Appears(path, name);
    } else {
      Name& name = MustBeThere(path, event);
      name.dir |= event.op == Op::kRmdir;
      if (event.op != Op::kLookup) {
        if (name.dir) Empty(path, event);
        event.op = name.dir ? Op::kRmdir : Op::kUnlink;
        Vanishes(path, name);
      }
    }
    Push(event);
  }

  const Trace& trace_;
  std::vector<uint32_t> checked_;  // by path: removals_ when its parents were last looked at
  uint32_t removals_ = 1;          // of directories, and 1
  absl::flat_hash_map<std::string_view, Name> names_;  // views of the trace's paths
  std::set<std::string_view> there_;
  Prepared prepared_;
};

}  // namespace

Prepared Prepare(const Trace& trace) { return Preparer(trace).Run(); }

}  // namespace dentree::lab
