// Paths that nobody would type: each input is a script of calls on a Vfs of its own.
//
// A line is one call: a letter (see Call) and a path; a tab separates it from a second path. Bytes
// are passed on as they are. What must hold whatever the input: no call crashes or answers what it
// cannot mean, a working directory's name leads back to it, and in the end nothing has leaked.
#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ramfs/ramfs.h"
#include "vfs/vfs.h"

using namespace dentree;

namespace {

constexpr int kMaxCalls = 128;

class Script {
 public:
  explicit Script(vfs::Vfs& vfs) : task_(vfs, vfs::Creds::Root()) {}

  void Run(std::string_view text) {
    for (int calls = 0; !text.empty() && calls < kMaxCalls; ++calls) {
      const size_t end = text.find('\n');
      Line(text.substr(0, end));
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
  }

 private:
  void Line(std::string_view line) {
    if (line.empty()) return;
    const size_t tab = line.find('\t');
    Call(line[0], line.substr(1, tab == line.npos ? tab : tab - 1),
         tab == line.npos ? std::string_view() : line.substr(tab + 1));
  }

  void Call(char letter, std::string_view path, std::string_view second) {
    switch (letter) {
      case 'd':
        return (void)task_.Mkdir(path, 0755);
      case 'f':
        return (void)task_.WriteFile(path, second);
      case 'u':
        return (void)task_.Unlink(path);
      case 'r':
        return (void)task_.Rmdir(path);
      case 'n':
        return (void)task_.Rename(path, second);
      case 'x':
        return (void)task_.Rename(path, second, vfs::kRenameExchange);
      case 'h':
        return (void)task_.Link(path, second);
      case 's':
        return (void)task_.Symlink(path, second);
      case 'k':
        return Readlink(path);
      case 't':
        return Stat(path);
      case 'c':
        return Chdir(path);
      case 'o':
        return List(path);
      case 'm':
        return Mount(path);
      case 'U':
        return (void)task_.Umount(path);
      default:
        return (void)task_.Lstat(path);
    }
  }

  void Readlink(std::string_view path) {
    const auto target = task_.Readlink(path);
    if (target) CHECK(vfs::IsSymlink(task_.Lstat(path).value().mode));
  }

  // The object that a path names is the one that its parts lead to.
  void Stat(std::string_view path) {
    const auto st = task_.Stat(path);
    const auto place = task_.Resolve(path);
    CHECK(st.has_value() == place.has_value());
    if (st) CHECK(st->ino == place->dentry->inode().ino());
  }

  void Chdir(std::string_view path) {
    if (!task_.Chdir(path)) return;
    const auto name = task_.Getcwd();
    if (!name || mounted_) return;  // a mount may lie upon what has the name
    if (name->size() >= vfs::kPathMax) return;
    CHECK(task_.Stat(*name).value().ino == task_.Stat(".").value().ino);
  }

  void List(std::string_view path) {
    const auto entries = task_.ListDir(path);
    if (!entries) return;
    for (const vfs::DirEntry& entry : *entries) {
      CHECK(!entry.name.empty() && entry.name.find('/') == entry.name.npos);
      CHECK(entry.name.size() <= vfs::kNameMax);
    }
  }

  void Mount(std::string_view path) {
    if (task_.Mount("none", path, "ramfs", "size=64k,nr_inodes=32")) mounted_ = true;
  }

  vfs::Task task_;
  bool mounted_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto vfs = vfs::Vfs::Create({.hash_seed = 1});
  vfs->RegisterType(ramfs::Type());
  CHECK(vfs->MountRoot("ramfs", "size=256k,nr_inodes=256").has_value());
  Script(*vfs).Run({reinterpret_cast<const char*>(data), size});
  vfs->CheckInvariants();
  vfs->Shutdown();
  CHECK(vfs->LeakReport().empty());
  return 0;
}
