// What makes two answers the same, and the one list of differences on purpose.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/model/op.h"
#include "tests/model/tree.h"

namespace dentree::model {

// Both worlds after an operation.
struct Compared {
  const Op& op;
  System& kernel;
  System& dentree;
  Outcome& kernel_out;
  Outcome& dentree_out;
};

// A difference on purpose; docs/testing.md lists them, docs/semantics.md says what dentree does.
// Each half makes both sides equal where the difference is at work; null: it has none.
struct Filter {
  const char* name;
  const char* why;
  void (*answers)(Compared&);
  void (*attrs)(Attr& kernel, Attr& dentree);
};
std::span<const Filter> Filters();

// The first difference that no filter explains, as text; empty: none. The arguments are levelled.
std::string AnswerDifference(Compared compared, InodePairs& pairs);
std::string LevelledTreeDifference(std::vector<Node>& kernel, std::vector<Node>& dentree,
                                   InodePairs& pairs);

// "ENOENT", or a number.
std::string ResultText(int64_t result);

}  // namespace dentree::model
