#include "tests/model/explain.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_set>

#include "absl/strings/str_format.h"
#include "tests/model/tree_model.h"

namespace dentree::model {

namespace {

// Where a thread is: its next call, the step of it, and what earlier steps and calls found.
struct Place {
  uint8_t call = 0;
  uint8_t step = 0;          // of a listing: 1 when it has begun
  NodeId dir = kNoNode;      // of path
  NodeId dir2 = kNoNode;     // of path2
  NodeId found = kNoNode;    // what link and stat have looked up
  NodeId file = kNoNode;     // the thread's
  NodeId listed = kNoNode;   // its directory
  NodeId counted = kNoNode;  // whose link count the last step has changed beforehand
  int8_t change = 0;         // by how much
  uint8_t always = 0;        // names that its listing must have, those that it may have
  uint8_t ever = 0;

  void NextCall() {
    ++call;
    step = 0;
    dir = dir2 = found = counted = kNoNode;
    change = 0;
    always = ever = 0;
  }
};

struct State {
  TreeModel tree;
  std::array<Place, kMaxThreads> places;
};
static_assert(std::has_unique_object_representations_v<State>, "compared by its bytes");

// What a step led to.
enum class Step : uint8_t { kWrong, kMore, kDone };

class Search {
 public:
  explicit Search(const History& history) : history_(history) {}

  bool Run() { return From(State{}); }
  uint64_t states() const { return seen_.size(); }
  std::string Stuck() const;

 private:
  static NodeId IdOf(size_t thread, size_t call) {
    return static_cast<NodeId>(1 + thread * kMaxCalls + call);
  }

  bool From(const State& state);
  bool MayStep(const State& state, size_t thread) const;
  Step Take(State& state, size_t thread) const;
  Step Last(State& state, size_t thread, const Call& call) const;
  static int Change(TreeModel& tree, const Place& place, NodeId made, const Call& call);
  Step LastOnName(State& state, size_t thread, const Call& call) const;
  Step LookUpFirst(State& state, Place& place, const Call& call) const;
  Step Stat(State& state, Place& place, const Call& call) const;
  Step List(State& state, Place& place, const Call& call) const;
  Step OnFile(State& state, const Place& place, const Call& call) const;
  std::string TreeText(const TreeModel& tree, NodeId dir) const;
  uint64_t InoOf(NodeId id) const;

  static Step If(bool right) { return right ? Step::kDone : Step::kWrong; }
  // A step that failed ends its call.
  static Step Failed(const Call& call, int error) { return If(call.error == error); }

  const History& history_;
  std::unordered_set<std::string> seen_;
  State furthest_;
  size_t most_done_ = 0;
};

// A call begins after those that ended before it began.
bool Search::MayStep(const State& state, size_t thread) const {
  const Call& call = history_[thread][state.places[thread].call];
  for (size_t other = 0; other < history_.size(); ++other) {
    const size_t at = state.places[other].call;
    if (at < history_[other].size() && history_[other][at].end < call.begin) return false;
  }
  return true;
}

bool Search::From(const State& state) {
  size_t done = 0;
  size_t all = 0;
  for (size_t thread = 0; thread < history_.size(); ++thread) {
    done += state.places[thread].call;
    all += history_[thread].size();
  }
  if (done == all) return true;
  if (done > most_done_) {
    most_done_ = done;
    furthest_ = state;
  }
  std::string key(sizeof(State), '\0');
  std::memcpy(key.data(), &state, sizeof(State));
  if (!seen_.insert(std::move(key)).second) return false;
  for (size_t thread = 0; thread < history_.size(); ++thread) {
    if (state.places[thread].call == history_[thread].size()) continue;
    if (!MayStep(state, thread)) continue;
    State next = state;
    const Step step = Take(next, thread);
    if (step == Step::kWrong) continue;
    if (step == Step::kDone) next.places[thread].NextCall();
    // Listings under way see what the step left.
    for (Place& place : next.places) {
      if (place.step == 0) continue;
      const uint8_t names = next.tree.NamesIn(place.listed);
      place.always &= names;
      place.ever |= names;
    }
    if (From(next)) return true;
  }
  return false;
}

std::string Search::Stuck() const {
  std::string text = "tree " + TreeText(furthest_.tree, 0) + "\n";
  for (size_t thread = 0; thread < history_.size(); ++thread) {
    const size_t at = furthest_.places[thread].call;
    if (at == history_[thread].size()) continue;
    absl::StrAppendFormat(&text, "thread %d: %s\n", thread, ToString(history_[thread][at]));
  }
  return text;
}

Step Search::LookUpFirst(State& state, Place& place, const Call& call) const {
  const bool second = place.dir != kNoNode;
  const ShortPath path = second ? call.path2 : call.path;
  NodeId& dir = second ? place.dir2 : place.dir;
  if (path.second < 0) {
    dir = 0;
    return Step::kMore;
  }
  if (const int error = state.tree.Lookup(0, path.first, dir)) return Failed(call, error);
  if (state.tree.At(dir).is_dir == 0) return Failed(call, ENOTDIR);
  return Step::kMore;
}

int LastName(ShortPath path) { return path.second < 0 ? path.first : path.second; }

Step Search::Take(State& state, size_t thread) const {
  Place& place = state.places[thread];
  const Call& call = history_[thread][place.call];
  const bool links = call.kind == CallKind::kLink;
  if (call.kind == CallKind::kFinal) return If(call.tree == TreeText(state.tree, 0));
  if (call.kind == CallKind::kList) return List(state, place, call);
  if (call.kind >= CallKind::kRead) return OnFile(state, place, call);
  if (place.dir == kNoNode) return LookUpFirst(state, place, call);
  if ((links || call.kind == CallKind::kStat) && place.found == kNoNode) {
    const int error = state.tree.Lookup(place.dir, LastName(call.path), place.found);
    return error != 0 ? Failed(call, error) : Step::kMore;
  }
  if (call.kind == CallKind::kStat) return Stat(state, place, call);
  const bool two = links || call.kind == CallKind::kRename;
  if (two && place.dir2 == kNoNode) return LookUpFirst(state, place, call);
  return Last(state, thread, call);
}

// The last step of a call that changes names and opens nothing. -1: it is another call.
int Search::Change(TreeModel& tree, const Place& place, NodeId made, const Call& call) {
  const int name = LastName(call.path);
  switch (call.kind) {
    case CallKind::kMkdir:
      return tree.Make(place.dir, name, made, true);
    case CallKind::kRmdir:
      return tree.Rmdir(place.dir, name);
    case CallKind::kUnlink:
      return tree.Unlink(place.dir, name);
    case CallKind::kLink:
      return tree.Link(place.found, place.dir2, LastName(call.path2));
    case CallKind::kRename:
      return tree.Rename(place.dir, name, place.dir2, LastName(call.path2));
    default:
      return -1;
  }
}

Step Search::Last(State& state, size_t thread, const Call& call) const {
  Place& place = state.places[thread];
  const NodeId made = IdOf(thread, place.call);
  if (place.counted != kNoNode) {
    // The count changes with the name after all, and it must be the same node's.
    uint8_t& nlink = state.tree.At(place.counted).nlink;
    const auto left = nlink;
    nlink = static_cast<uint8_t>(nlink - place.change);
    return If(Change(state.tree, place, made, call) == 0 && nlink == left);
  }
  TreeModel changed = state.tree;
  const int error = Change(changed, place, made, call);
  if (error < 0) return LastOnName(state, thread, call);
  if (error != call.error) return Step::kWrong;
  for (NodeId id = 0; id < kMaxNodes && error == 0 && call.kind >= CallKind::kUnlink; ++id) {
    const int change = changed.At(id).nlink - state.tree.At(id).nlink;
    if (change == 0) continue;
    place.counted = id;
    place.change = static_cast<int8_t>(change);
    state.tree.At(id).nlink = changed.At(id).nlink;
    return Step::kMore;
  }
  state.tree = changed;
  return Step::kDone;
}

// The calls that open: what they answer is the thread's from then on.
Step Search::LastOnName(State& state, size_t thread, const Call& call) const {
  Place& place = state.places[thread];
  TreeModel& tree = state.tree;
  if (call.kind == CallKind::kCreate) {
    const NodeId made = IdOf(thread, place.call);
    const int error = tree.Make(place.dir, LastName(call.path), made, false);
    if (error == 0) place.file = made;
    return Failed(call, error);
  }
  NodeId there = kNoNode;
  if (const int error = tree.Lookup(place.dir, LastName(call.path), there)) {
    return Failed(call, error);
  }
  const bool is_dir = tree.At(there).is_dir != 0;
  if (call.kind == CallKind::kOpenDir) {
    if (!is_dir) return Failed(call, ENOTDIR);
    place.listed = there;
    return Failed(call, 0);
  }
  if (is_dir) return Failed(call, EISDIR);
  place.file = there;
  return If(call.error == 0 && call.ino == InoOf(there));
}

Step Search::Stat(State& state, Place& place, const Call& call) const {
  const TreeModel::Node& node = state.tree.At(place.found);
  if (call.error != 0 || call.is_dir != (node.is_dir != 0)) return Step::kWrong;
  return If(call.is_dir || (call.nlink == node.nlink && call.ino == InoOf(place.found)));
}

Step Search::OnFile(State& state, const Place& place, const Call& call) const {
  if (place.file == kNoNode) return Failed(call, EBADF);
  char& byte = state.tree.At(place.file).byte;
  if (call.error != 0) return Step::kWrong;
  if (call.kind == CallKind::kRead) return If(call.byte == byte);
  byte = call.byte;
  return Step::kDone;
}

Step Search::List(State& state, Place& place, const Call& call) const {
  if (place.listed == kNoNode) return Failed(call, EBADF);
  if (call.error != 0) return Step::kWrong;
  if (place.step == 0) {
    place.step = 1;
    place.always = place.ever = state.tree.NamesIn(place.listed);
    return Step::kMore;
  }
  for (size_t name = 0; name < kNames; ++name) {
    const bool always = place.always >> name & 1;
    const bool ever = place.ever >> name & 1;
    if (always && call.listed[name] != 1) return Step::kWrong;
    if (!ever && call.listed[name] != 0) return Step::kWrong;
  }
  return Step::kDone;
}

uint64_t Search::InoOf(NodeId id) const {
  const auto call = static_cast<size_t>(id - 1);
  return history_[call / kMaxCalls][call % kMaxCalls].ino;
}

std::string Search::TreeText(const TreeModel& tree, NodeId dir) const {
  std::string text = "{";
  for (size_t name = 0; name < kNames; ++name) {
    const NodeId id = tree.At(dir).names[name];
    if (id == kNoNode) continue;
    text += static_cast<char>('a' + name);
    const TreeModel::Node& node = tree.At(id);
    if (node.is_dir != 0) {
      text += TreeText(tree, id);
    } else {
      absl::StrAppendFormat(&text, "(%d %d %s)", InoOf(id), node.nlink,
                            std::string(node.byte == 0 ? 0 : 1, node.byte));
    }
  }
  return text + "}";
}

}  // namespace

Explanation Explain(const History& history) {
  Search search(history);
  const bool explained = search.Run();
  return {explained, search.states(), explained ? "" : search.Stuck()};
}

}  // namespace dentree::model
