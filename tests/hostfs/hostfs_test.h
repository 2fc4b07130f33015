// What the tests of the room share: a directory of the host made for one test, and a Vfs with it on
// /host.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fixture/fixture.h"
#include "hostfs/hostfs.h"

namespace dentree::hostfs {

namespace filesystem = std::filesystem;

// <tmp>/top is what is shown, <tmp>/outside what must not be. All of it goes with the object.
class HostTree {
 public:
  HostTree() {
    std::string name = (filesystem::temp_directory_path() / "hostfs_test_XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr, "no temporary directory");
    dir_ = name;
    filesystem::create_directories(top());
    filesystem::create_directories(outside());
    Write(outside() / "secret", kSecret);
  }
  ~HostTree() {
    std::error_code ignored;
    filesystem::remove_all(dir_, ignored);
  }
  HostTree(const HostTree&) = delete;
  HostTree& operator=(const HostTree&) = delete;

  static constexpr std::string_view kSecret = "not to be read";

  filesystem::path top() const { return dir_ / "top"; }
  filesystem::path outside() const { return dir_ / "outside"; }
  filesystem::path At(std::string_view path) const { return top() / path; }

  static void Write(const filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }
  static std::string Read(const filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  void Text(std::string_view path, std::string_view text) const {
    filesystem::create_directories(At(path).parent_path());
    Write(At(path), text);
  }
  void Dir(std::string_view path) const { filesystem::create_directories(At(path)); }
  void Link(std::string_view target, std::string_view path) const {
    filesystem::create_symlink(target, At(path));
  }
  struct stat Stat(std::string_view path) const {
    struct stat stat{};
    CHECK(::lstat(At(path).c_str(), &stat) == 0, "the host has no such file");
    return stat;
  }

 private:
  filesystem::path dir_;
};

// Starts with an empty host directory; Mount shows it.
class HostfsTest : public fixture::VfsTest {
 protected:
  explicit HostfsTest(const Options& options = {.time = fixture::Time::kFake}) : VfsTest(options) {
    CHECK(task().Mkdir("/host", 0755).has_value(), "mkdir");
  }

  void Register(FileSystem::Options options = {}) {
    options.directory = host().top().string();
    auto type = FileSystem::Open(options);
    ASSERT_OK(type);
    stats_ = &(*type)->stats();
    vfs().RegisterType(*std::move(type));
  }
  void Mount(std::string_view options = "") {
    if (stats_ == nullptr) Register();
    ASSERT_OK(task().Mount("top", "/host", "hostfs", options));
  }

  const HostTree& host() const { return host_; }
  const Stats& stats() const { return *stats_; }
  uint64_t Calls() const { return stats_->calls.Value(); }
  // The time for which an answer is believed by default is over.
  void Expire() { clock().Advance(kDefaultTtlMs * 1'000'000); }

 private:
  HostTree host_;
  const Stats* stats_ = nullptr;
};

}  // namespace dentree::hostfs
