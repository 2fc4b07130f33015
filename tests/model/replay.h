// Running sequences of operations, from nothing, in new worlds; and making a failing one short.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/model/pair.h"

namespace dentree::model {

struct ReplayOptions {
  KernelOptions kernel;
  const Injection* injection = nullptr;
  bool trace = false;  // every operation to stderr before it runs
};

enum class Checkpoints : uint8_t { kNever, kAtEnd, kAlways };

// Runs `ops` in worlds of their own, alone. Stops at the first divergence.
std::optional<Divergence> Replay(const std::vector<Op>& ops, Checkpoints checkpoints,
                                 const ReplayOptions& options);

// A subsequence of `ops`, which diverges, that diverges the same way and none of whose operations
// can be left out; or what is left when kMaxReplays are spent. Empty: `ops` alone does not diverge,
// so it takes the other threads.
inline constexpr int kMaxReplays = 3000;
struct Shrunk {
  std::vector<Op> ops;
  Divergence divergence;
};
std::optional<Shrunk> Shrink(std::vector<Op> ops, const Divergence& divergence,
                             const ReplayOptions& options);

// The sequence as lines for --replay and as commands for the shell.
std::string Describe(const std::vector<Op>& ops, const Divergence& divergence);

}  // namespace dentree::model
