// llvm::vfs::InMemoryFileSystem as a peer: the in-memory file system of a compiler. Not there where
// LLVM's development files are not (bench/peer_none.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "bench/paths.h"

namespace dentree::bench {

// Thread safety: none, as the file system's own. Lifetime: owns its files.
class LlvmFiles {
 public:
  // Null when it was not compiled in.
  static std::unique_ptr<LlvmFiles> Create();
  // Its major version, 0 when it was not compiled in.
  static int Version();

  virtual ~LlvmFiles() = default;
  // An empty file, with the directories on its way.
  virtual void Add(std::string_view path) = 0;
  // status() of `n` paths from `at` on, which moves on with them.
  virtual void Status(Pace pace, const Paths& paths, size_t& at, uint64_t n) = 0;
  // openFileForRead() and close.
  virtual void Open(const Paths& paths, size_t& at, uint64_t n) = 0;
  // Lists a directory; returns how many entries it has.
  virtual uint64_t List(std::string_view directory) = 0;
};

}  // namespace dentree::bench
