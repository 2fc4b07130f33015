// TreeModel: what a tree of few names is and does when calls come one after the other. Written from
// the manual pages, without a look at the VFS, as the judge of linearize.
//
// A plain value of bytes: two models are the same tree if and only if their bytes are.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/model/history.h"

namespace dentree::model {

// An object: 0 is the root, others are numbered by the call that makes them. -1: none.
using NodeId = int8_t;
inline constexpr NodeId kNoNode = -1;
inline constexpr int kMaxNodes = 1 + kMaxThreads * kMaxCalls;

struct TreeModel {
  struct Node {
    uint8_t exists = 0;
    uint8_t is_dir = 0;
    uint8_t removed = 0;  // a directory without a name: nothing can come to be in it
    uint8_t nlink = 0;    // not of directories
    char byte = 0;        // the content; 0: empty
    NodeId parent = kNoNode;
    std::array<NodeId, kNames> names = {kNoNode, kNoNode, kNoNode};
  };
  std::array<Node, kMaxNodes> nodes{};

  TreeModel();

  Node& At(NodeId id) { return nodes[static_cast<size_t>(id)]; }
  const Node& At(NodeId id) const { return nodes[static_cast<size_t>(id)]; }

  // Each is one step of a call, given the directory that its path led to. They answer an errno or
  // 0.
  int Lookup(NodeId dir, int name, NodeId& found) const;  // ENOTDIR, ENOENT
  int Make(NodeId dir, int name, NodeId made, bool is_dir);
  int Unlink(NodeId dir, int name);
  int Rmdir(NodeId dir, int name);
  int Link(NodeId target, NodeId dir, int name);
  int Rename(NodeId old_dir, int old_name, NodeId new_dir, int new_name);

  // The bits of the names in a directory.
  uint8_t NamesIn(NodeId dir) const;

 private:
  bool IsBelow(NodeId id, NodeId above) const;  // or the same
  void LoseName(NodeId id);
};

}  // namespace dentree::model
