// Trees: everything that is in a world, and how two worlds are compared.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/model/system.h"

namespace dentree::model {

struct Node {
  std::string path;  // from the root; the root is "/"
  Attr attr;
  std::string text;          // a file's contents, with where its data is; a symlink's target
  std::string xattrs = {};   // of files and directories
  bool listed_right = true;  // the listing said the same inode and type
};

// What listxattr answered, in one order.
std::string SortedNames(const std::string& names);

// All nodes of a world, parents first, names sorted. Takes away nobody's access and leaves no
// trace.
std::vector<Node> TakeTree(System& system);

// Which inode of one world is which of the other: numbers differ, identity does not.
class InodePairs {
 public:
  // False: one of them was paired with another before.
  bool Same(uint64_t kernel, uint64_t dentree);

 private:
  std::unordered_map<uint64_t, uint64_t> of_kernel_, of_dentree_;
};

// The first difference, as text; empty: none. Times are compared where they were set to a value.
std::string AttrDifference(const Attr& kernel, const Attr& dentree, InodePairs& pairs);
std::string TreeDifference(const std::vector<Node>& kernel, const std::vector<Node>& dentree,
                           InodePairs& pairs);
// The same for which times of which inodes changed from one tree to the next.
std::string MovedDifference(const std::vector<Node>& kernel_before,
                            const std::vector<Node>& kernel_after,
                            const std::vector<Node>& dentree_before,
                            const std::vector<Node>& dentree_after);

}  // namespace dentree::model
