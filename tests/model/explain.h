// Explaining a history: is there an order of its calls, each somewhere between its beginning and
// its end, in which a sequential tree answers the same?
//
// Calls on paths are not atomic, in POSIX as in Linux: what is atomic is each step, and a call is
// several, in order:
//     the lookup of a path's first component, when there are two (twice for rename and link)
//     the last step: what the call does in the directory it was led to
//     for stat, after the lookup of the last component, the look at the attributes
//     for unlink, link and a rename over a name, before the last step, the change of the link
//     count: stat may see the count that a call under way leaves, in Linux too
// A listing is a beginning and an end: a name that was there all the while must be listed once, one
// that was not there at any time must not be listed, others may be, as POSIX says of readdir.
//
// The search is that of Wing and Gong, with a memory of the states that led nowhere.
#pragma once

#include <cstdint>
#include <string>

#include "tests/model/history.h"

namespace dentree::model {

struct Explanation {
  bool explained = false;
  uint64_t states = 0;  // that were looked at
  // Not explained: the calls that come next where most have an explanation, and the tree there.
  std::string stuck = {};
};
Explanation Explain(const History& history);

}  // namespace dentree::model
