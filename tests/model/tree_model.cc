#include "tests/model/tree_model.h"

#include <cerrno>

namespace dentree::model {

TreeModel::TreeModel() {
  At(0).exists = 1;
  At(0).is_dir = 1;
}

int TreeModel::Lookup(NodeId dir, int name, NodeId& found) const {
  const Node& node = At(dir);
  if (node.is_dir == 0) return ENOTDIR;
  found = node.names[static_cast<size_t>(name)];
  return found == kNoNode ? ENOENT : 0;
}

int TreeModel::Make(NodeId dir, int name, NodeId made, bool is_dir) {
  NodeId there = kNoNode;
  const int error = Lookup(dir, name, there);
  if (error == 0) return EEXIST;
  if (error != ENOENT || At(dir).removed != 0) return error;
  Node& node = At(made);
  node.exists = 1;
  node.is_dir = is_dir ? 1 : 0;
  node.nlink = is_dir ? 0 : 1;
  node.parent = is_dir ? dir : kNoNode;
  At(dir).names[static_cast<size_t>(name)] = made;
  return 0;
}

// What has no name any more is only there for those who hold it.
void TreeModel::LoseName(NodeId id) {
  Node& node = At(id);
  if (node.is_dir == 0) {
    --node.nlink;
  } else {
    node.removed = 1;
    node.parent = kNoNode;
  }
}

int TreeModel::Unlink(NodeId dir, int name) {
  NodeId victim = kNoNode;
  if (const int error = Lookup(dir, name, victim)) return error;
  if (At(victim).is_dir != 0) return EISDIR;
  At(dir).names[static_cast<size_t>(name)] = kNoNode;
  LoseName(victim);
  return 0;
}

int TreeModel::Rmdir(NodeId dir, int name) {
  NodeId victim = kNoNode;
  if (const int error = Lookup(dir, name, victim)) return error;
  if (At(victim).is_dir == 0) return ENOTDIR;
  if (NamesIn(victim) != 0) return ENOTEMPTY;
  At(dir).names[static_cast<size_t>(name)] = kNoNode;
  LoseName(victim);
  return 0;
}

int TreeModel::Link(NodeId target, NodeId dir, int name) {
  NodeId there = kNoNode;
  const int error = Lookup(dir, name, there);
  if (error == 0) return EEXIST;
  if (error != ENOENT || At(dir).removed != 0) return error;
  if (At(target).is_dir != 0) return EPERM;
  if (At(target).nlink == 0) return ENOENT;
  ++At(target).nlink;
  At(dir).names[static_cast<size_t>(name)] = target;
  return 0;
}

int TreeModel::Rename(NodeId old_dir, int old_name, NodeId new_dir, int new_name) {
  NodeId source = kNoNode;
  NodeId target = kNoNode;
  if (const int error = Lookup(old_dir, old_name, source)) return error;
  const int error = Lookup(new_dir, new_name, target);
  if (error != 0 && (error != ENOENT || At(new_dir).removed != 0)) return error;
  if (IsBelow(new_dir, source)) return EINVAL;
  if (target != kNoNode && IsBelow(old_dir, target)) return ENOTEMPTY;
  if (source == target) return 0;
  if (target != kNoNode) {
    if (At(source).is_dir != 0 && At(target).is_dir == 0) return ENOTDIR;
    if (At(source).is_dir == 0 && At(target).is_dir != 0) return EISDIR;
    if (At(target).is_dir != 0 && NamesIn(target) != 0) return ENOTEMPTY;
    LoseName(target);
  }
  At(old_dir).names[static_cast<size_t>(old_name)] = kNoNode;
  At(new_dir).names[static_cast<size_t>(new_name)] = source;
  if (At(source).is_dir != 0) At(source).parent = new_dir;
  return 0;
}

uint8_t TreeModel::NamesIn(NodeId dir) const {
  uint8_t bits = 0;
  for (size_t name = 0; name < kNames; ++name) {
    if (At(dir).names[name] != kNoNode) bits |= static_cast<uint8_t>(1 << name);
  }
  return bits;
}

bool TreeModel::IsBelow(NodeId id, NodeId above) const {
  for (; id != kNoNode; id = At(id).parent) {
    if (id == above) return true;
  }
  return false;
}

}  // namespace dentree::model
