// Op: one operation of a sequence, as data: made at random, run on a System, written as a line and
// read again, and, where the shell has a command for it, written as that command.
//
// Everything about a kind of operation is one entry of the table in op_table.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/model/kernel_system.h"
#include "tests/model/random.h"
#include "tests/model/system.h"

namespace dentree::model {

struct OpKind;

// In flags of openat2, its resolve is from this bit on.
inline constexpr int kResolveShift = 40;

struct Op {
  const OpKind* kind = nullptr;
  int slot = -1;  // the descriptor that it is about, or that it makes
  int dir = -1;   // the descriptor that its path starts from; -1: the working directory
  int64_t a = 0, b = 0;
  std::string path = {}, path2 = {};
};

// What an operation answered in one world. Only what its kind fills is not empty.
struct Outcome {
  int64_t result = 0;  // at least 0, or minus an errno; descriptors count as 0
  std::string data = {};
  std::optional<Attr> attr = {};
  std::vector<Entry> entries = {};

  void Clear() {
    result = 0;
    data.clear();
    attr.reset();
    entries.clear();
  }
};

// What operations are made from.
class Generator {
 public:
  Generator(uint64_t seed, const KernelOptions& options);

  Op Next();

  // Parts of operations, for the table.
  Random& random() { return random_; }
  const KernelOptions& options() const { return options_; }
  std::string Path();        // also hostile ones
  std::string TargetPath();  // for a symlink: never empty
  int Slot() { return static_cast<int>(random_.Below(kSlots)); }
  int Dir();  // mostly the working directory
  int64_t FileMode();
  int64_t DirMode();
  int64_t Position();  // in a file; sometimes absurd
  int64_t Id();        // a user's or a group's, or -1

 private:
  std::string Name();
  std::string HostilePath();

  Random random_;
  const KernelOptions options_;
  uint64_t total_weight_ = 0;
};

// How a number is written: with its base, so that a flag is read as a flag.
enum class Radix : uint8_t { kDecimal = 10, kOctal = 8, kHex = 16 };

struct OpKind {
  const char* name;
  unsigned weight;  // how often, compared with the others
  void (*make)(Generator&, Op&);
  void (*run)(System&, const Op&, Outcome&);
  // The shell's command that does the same to the tree; empty: it has none.
  std::string (*shell)(const Op&) = nullptr;
  Radix a = Radix::kDecimal;
  Radix b = Radix::kDecimal;
};

std::span<const OpKind> OpKinds();

// One line: NAME SLOT DIR A B "PATH" "PATH2".
std::string ToLine(const Op& op);
// Nothing: the line is none.
std::optional<Op> FromLine(std::string_view line);
// A command of the shell, or a comment.
std::string ToShell(const Op& op);
// In double quotes, bytes that do not print as \xNN.
std::string Quoted(std::string_view text);
// In single quotes, as the shell reads it.
std::string ShellQuoted(std::string_view text);

}  // namespace dentree::model
