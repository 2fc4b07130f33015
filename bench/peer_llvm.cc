#include "bench/peer_llvm.h"

#include <llvm/ADT/StringRef.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/VirtualFileSystem.h>

#include <system_error>

namespace dentree::bench {
namespace {

llvm::StringRef Ref(std::string_view text) { return {text.data(), text.size()}; }

class Files final : public LlvmFiles {
 public:
  void Add(std::string_view path) override {
    files_.addFile(Ref(path), 0, llvm::MemoryBuffer::getMemBuffer(""));
  }

  void Status(Pace pace, const Paths& paths, size_t& at, uint64_t n) override {
    const auto status = [this](std::string_view path) -> uint64_t {
      const auto answer = files_.status(Ref(path));
      return answer ? answer->getUniqueID().getFile() : 0;
    };
    if (pace == Pace::kThroughput) {
      LookUp<Pace::kThroughput>(paths, at, n, status);
    } else {
      LookUp<Pace::kLatency>(paths, at, n, status);
    }
  }

  void Open(const Paths& paths, size_t& at, uint64_t n) override {
    LookUp<Pace::kThroughput>(paths, at, n, [this](std::string_view path) -> uint64_t {
      auto file = files_.openFileForRead(Ref(path));
      return file && !(*file)->close();
    });
  }

  uint64_t List(std::string_view directory) override {
    std::error_code error;
    uint64_t entries = 0;
    for (auto i = files_.dir_begin(Ref(directory), error); i != llvm::vfs::directory_iterator();
         i.increment(error)) {
      Keep(i->type());
      ++entries;
    }
    return entries;
  }

 private:
  llvm::vfs::InMemoryFileSystem files_;
};

}  // namespace

std::unique_ptr<LlvmFiles> LlvmFiles::Create() { return std::make_unique<Files>(); }
int LlvmFiles::Version() { return LLVM_VERSION_MAJOR; }

}  // namespace dentree::bench
