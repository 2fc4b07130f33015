// Pair: the two worlds of a sequence of operations, and the judgement whether they are the same.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/model/compare.h"
#include "tests/model/dentree_system.h"
#include "tests/model/inject.h"
#include "tests/model/op.h"

namespace dentree::model {

struct Divergence {
  size_t at = 0;      // operations before the one that showed it
  std::string where;  // "answer", "tree", "times", "descriptor", "leak"
  std::string what;
  Op op;
  // Two divergences with the same are most likely one.
  std::string Signature() const;
};

// Thread safety: the thread that makes it. Lifetime: within its Vfs's.
class Pair {
 public:
  // Null: the kernel's world cannot be had.
  static std::unique_ptr<Pair> New(vfs::Vfs& vfs, const std::string& name,
                                   const KernelOptions& options, const Injection* injection,
                                   std::string& why_not);

  // Runs one operation in both worlds; with a checkpoint, compares all that is in them before and
  // after.
  std::optional<Divergence> Run(const Op& op, bool checkpoint);

 private:
  struct Trees {
    std::vector<Node> kernel, dentree;
  };

  Pair(std::unique_ptr<System> kernel, std::unique_ptr<System> dentree);
  bool KernelTellsTimesApart();
  Trees Take();
  // Where, and what: the first difference; empty: none.
  std::pair<const char*, std::string> Difference(const Op& op, bool checkpoint);
  std::string DescriptorDifference();

  const std::unique_ptr<System> kernel_, dentree_;
  const bool compares_times_;
  InodePairs pairs_;
  Outcome kernel_out_, dentree_out_;
  size_t done_ = 0;
};

}  // namespace dentree::model
