// Any bytes as a script of the shell, run on a small file system.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "ramfs/ramfs.h"
#include "shell/shell.h"
#include "vfs/vfs.h"

using namespace dentree;

namespace {

// Commands that are meant to take long, and scripts that run each other.
constexpr std::string_view kLong[] = {"stress",      "sleep", "top",  "flock", "lab",
                                      "inotifywait", ".",     "find", "tree"};

bool TakesLong(std::string_view text) {
  for (const std::string_view command : kLong) {
    if (text.find(command) != text.npos) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto script = shell::Parse(text);
  if (!script) {
    CHECK(!script.error().message.empty() && script.error().line >= 1);
  }
  if (TakesLong(text)) return 0;

  auto vfs = vfs::Vfs::Create({.hash_seed = 1});
  vfs->RegisterType(ramfs::Type());
  CHECK(vfs->MountRoot("ramfs", "size=64k,nr_inodes=64").has_value());
  {
    auto task = std::make_unique<vfs::Task>(*vfs, vfs::Creds::Root());
    shell::Shell shell(std::move(task), {.in = std::make_shared<shell::StringSource>("one\ntwo\n"),
                                         .out = std::make_shared<shell::StringSink>(),
                                         .err = std::make_shared<shell::StringSink>()});
    const int status = shell.RunText(text);
    CHECK(status >= 0 && status <= 255);
  }
  vfs->CheckInvariants();
  vfs->Shutdown();
  CHECK(vfs->LeakReport().empty());
  return 0;
}
