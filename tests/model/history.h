// A history: what each of some threads asked of one small tree, when, and what it was answered.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace dentree::model {

inline constexpr int kMaxThreads = 6;
inline constexpr int kMaxCalls = 10;  // of a thread
inline constexpr int kNames = 3;      // 'a', 'b', 'c': all that a directory can hold

// "a" or "a/b" below the tree's root, as numbers of names; -1: no second component.
struct ShortPath {
  int8_t first = 0;
  int8_t second = -1;
};
std::string ToString(ShortPath path);

enum class CallKind : uint8_t {
  kCreate,   // open with O_CREAT | O_EXCL; the thread's file is this one then
  kOpen,     // open, for reading and writing; the same
  kOpenDir,  // the thread's directory is this one then
  kMkdir,
  kRmdir,
  kUnlink,
  kLink,
  kRename,
  kStat,   // without following
  kRead,   // the first byte of the thread's file
  kWrite,  // the same
  kList,   // the thread's directory, in several steps
  kFinal,  // the whole tree, when all is done
};
const char* NameOf(CallKind kind);

// Times are points in one order of all threads: a call happened between `begin` and `end`.
struct Call {
  CallKind kind = CallKind::kStat;
  ShortPath path = {}, path2 = {};
  char byte = 0;  // to write; read
  uint64_t begin = 0, end = 0;

  int error = 0;     // errno, or 0
  uint64_t ino = 0;  // kCreate, kOpen, kStat of what is no directory
  bool is_dir = false;
  uint32_t nlink = 0;                    // kStat of what is no directory
  std::array<uint8_t, kNames> listed{};  // kList: how often
  std::string tree = {};                 // kFinal: as TreeText makes it
};

// Calls of each thread in its order; the last of thread 0 is kFinal.
using History = std::vector<std::vector<Call>>;

std::string ToString(const Call& call);
// All calls in the order of their beginnings.
std::string ToString(const History& history);

}  // namespace dentree::model
