// UringAway: a loop, a directory of the host on /host, and on /p the two ends of a pipe of the
// process's, /p/r and /p/w, whose data the loop's io_uring moves.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "hostfs/hostfs.h"
#include "tests/uring/uring_test.h"

namespace dentree::uring {

namespace filesystem = std::filesystem;

// Files whose data are those of the two ends of a pipe of the process's: r and w.
class PipeEndOps final : public vfs::InodeOps {
 public:
  constexpr PipeEndOps() = default;
  Result<const vfs::FileOps*> OpenOps(vfs::Inode& inode) const override;
};
class PipeFileOps final : public vfs::FileOps {
 public:
  constexpr PipeFileOps() = default;
  std::optional<int> HostFd(vfs::File& file) const override {
    return static_cast<int>(file.inode().ino());
  }
};
class PipeTopOps final : public vfs::InodeOps {
 public:
  constexpr PipeTopOps() = default;
  Result<vfs::InodeRef> Lookup(vfs::Inode& dir, const vfs::Name& name) const override;
};
inline constexpr PipeFileOps kPipeFileOps;
inline constexpr PipeEndOps kPipeEndOps;
inline constexpr PipeTopOps kPipeTopOps;

inline Result<const vfs::FileOps*> PipeEndOps::OpenOps(vfs::Inode& /*inode*/) const {
  return &kPipeFileOps;
}

class PipeSuper final : public vfs::SuperBlock {
 public:
  PipeSuper(vfs::Vfs& vfs, const vfs::FileSystemType& type, const int* ends)
      : SuperBlock(vfs, {.type = &type, .magic = 0x70697065}), ends_(ends) {}
  int end(std::string_view name) const { return ends_[name == "w"]; }

 private:
  const int* const ends_;
};

inline Result<vfs::InodeRef> PipeTopOps::Lookup(vfs::Inode& dir, const vfs::Name& name) const {
  auto& sb = static_cast<PipeSuper&>(dir.sb());
  if (name.text() != "r" && name.text() != "w") return base::Err(Errno::kNoEnt);
  return dir.vfs().icache().New(sb, kPipeEndOps, static_cast<vfs::Ino>(sb.end(name.text())),
                                S_IFIFO | 0666);
}

class PipeFs final : public vfs::FileSystemType {
 public:
  PipeFs() { CHECK(::pipe2(ends_, O_CLOEXEC) == 0, "pipe"); }
  ~PipeFs() override {
    for (const int end : ends_) ::close(end);
  }
  std::string_view name() const override { return "pipefs"; }
  std::unique_ptr<vfs::MountContext> NewContext() override {
    return std::make_unique<Context>(*this);
  }
  void Put(std::string_view bytes) const {
    CHECK(::write(ends_[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }

 private:
  class Context final : public vfs::MountContext {
   public:
    explicit Context(const PipeFs& type) : type_(type) {}
    Result<vfs::SuperRef> GetTree(vfs::Vfs& vfs) override {
      auto sb = vfs::SuperRef::Adopt(new PipeSuper(vfs, type_, type_.ends_));
      vfs::InodeRef top = TRY(vfs.icache().New(*sb, kPipeTopOps, 1'000'000, S_IFDIR | 0755));
      TRY(sb->MakeRoot(std::move(top)));
      return sb;
    }

   private:
    const PipeFs& type_;
  };
  int ends_[2] = {-1, -1};
};

// A directory of the host on /host.
class UringAway : public UringTest {
 protected:
  explicit UringAway(const Loop::Options& options = {}) : UringTest(options) {
    std::string name = (filesystem::temp_directory_path() / "uring_test_XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr, "no temporary directory");
    dir_ = name;
  }
  ~UringAway() override {
    std::error_code ignored;
    filesystem::remove_all(dir_, ignored);
  }
  void SetUp() override {
    UringTest::SetUp();
    if (IsSkipped()) return;
    auto type = hostfs::FileSystem::Open({.directory = dir_.string()});
    ASSERT_OK(type);
    vfs().RegisterType(*std::move(type));
    ASSERT_OK(task().Mkdir("/host", 0755));
    ASSERT_OK(task().Mount("dir", "/host", "hostfs", "rw,ttl=86400"));
    auto pipefs = std::make_unique<PipeFs>();
    pipefs_ = pipefs.get();
    vfs().RegisterType(std::move(pipefs));
    ASSERT_OK(task().Mkdir("/p", 0755));
    ASSERT_OK(task().Mount("none", "/p", "pipefs", ""));
  }
  void TearDown() override {
    if (!IsSkipped()) {
      EndLoop();
      task().fds().CloseAll();
      EXPECT_OK(task().Umount("/host"));
      EXPECT_OK(task().Umount("/p"));
    }
    UringTest::TearDown();
  }

  filesystem::path At(std::string_view name) const { return dir_ / name; }
  void HostFile(std::string_view name, std::string_view text) const {
    std::ofstream(At(name), std::ios::binary) << text;
  }
  std::string HostText(std::string_view name) const {
    std::ostringstream text;
    text << std::ifstream(At(name), std::ios::binary).rdbuf();
    return text.str();
  }
  const LoopStats& stats() { return loop().stats(); }
  const PipeFs& host_pipe() const { return *pipefs_; }
  int Open(std::string_view path, vfs::OpenFlags flags) {
    return task().Open(path, flags, 0644).value();
  }
  static int32_t Await(Queue& queue, uint64_t user_data) {
    Completion done;
    EXPECT_EQ(queue.Wait({&done, 1}), 1u);
    EXPECT_EQ(done.user_data, user_data);
    return done.res;
  }

 private:
  filesystem::path dir_;
  const PipeFs* pipefs_ = nullptr;
};

}  // namespace dentree::uring
