#include "lab/prepare.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/string_util.h"

namespace dentree::lab {

namespace {

class Preparer {
 public:
  explicit Preparer(const Trace& trace) : trace_(trace), checked_(trace.paths().size()) {}

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
    bool dir = false;
  };

  // A name that an event finds.
  Name& MustBeThere(std::string_view path, const Event& event, bool dir) {
    Name& name = names_[path];
    name.dir |= dir;
    if (!name.known) name.at_start = name.there = true;
    if (!name.there) Repair(path, event, name.dir ? Op::kMkdir : Op::kCreate);
    name.known = name.there = true;
    return name;
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
      MustBeThere(path.substr(0, slash), event, true);
    }
  }

  void Take(Event event) {
    const std::string_view path = trace_.PathOf(event);
    if (path == "/") return;
    CheckParents(event);
    if (event.outcome == Outcome::kNoEnt) {
      Name& name = names_[path];
      if (name.there) {
        Repair(path, event, name.dir ? Op::kRmdir : Op::kUnlink);
        removals_ += name.dir;
      }
      name.known = true;
      name.there = false;
    } else if (event.op == Op::kCreate || event.op == Op::kMkdir) {
      Name& name = names_[path];
      name.dir |= !name.there && event.op == Op::kMkdir;
      if (name.there) event.op = Op::kLookup;
      name.known = name.there = true;
    } else {
      Name& name = MustBeThere(path, event, event.op == Op::kRmdir);
      if (event.op != Op::kLookup) {
        event.op = name.dir ? Op::kRmdir : Op::kUnlink;
        name.there = false;
        removals_ += name.dir;
      }
    }
    Push(event);
  }

  const Trace& trace_;
  std::vector<uint32_t> checked_;  // by path: removals_ when its parents were last looked at
  uint32_t removals_ = 1;          // of directories, and 1
  absl::flat_hash_map<std::string_view, Name> names_;  // views of the trace's paths
  Prepared prepared_;
};

}  // namespace

Prepared Prepare(const Trace& trace) { return Preparer(trace).Run(); }

}  // namespace dentree::lab
