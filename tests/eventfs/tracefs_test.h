// A tracefs mounted on /t, with a registry the test fills, and the words its tests are written in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fixture/fixture.h"
#include "tracefs/tracefs.h"

namespace dentree::tracefs {

using fixture::FailsWith;
using fixture::Holds;
using fixture::IsOk;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

// Takes up to `limit` entries of a listing.
class NameSink final : public vfs::DirSink {
 public:
  explicit NameSink(size_t limit = SIZE_MAX) : limit_(limit) {}
  bool Emit(std::string_view name, vfs::Ino, vfs::FileType, int64_t) override {
    if (names.size() == limit_) return false;
    names.emplace_back(name);
    return true;
  }
  std::vector<std::string> names;

 private:
  const size_t limit_;
};

class TracefsTest : public fixture::VfsTest {
 protected:
  explicit TracefsTest(const Tracefs::Options& options = {.cpus = 2});
  ~TracefsTest() override;
  void SetUp() override;
  void TearDown() override;

  trace::Registry& registry() { return *registry_; }
  Tracefs& tracefs() { return *tracefs_; }

  // Events that nobody fires.
  base::Ref<trace::Event> Add(std::string_view system, std::string_view name,
                              trace::EventFlags flags = trace::EventFlags::kFull);
  // sched: switch, wakeup; net: rx; ftrace: print, function and raw as Linux has them.
  void AddSome();
  // As many as a Linux has: 102 systems, 2,323 events with fields.
  void AddMany();
  void RemoveEvent(std::string_view system, std::string_view name);
  trace::Event* Find(std::string_view system, std::string_view name);

  // Paths are below /t.
  static std::string At(std::string_view path) { return "/t/" + std::string(path); }
  Result<std::string> Read(std::string_view path) { return task().ReadFile(At(path)); }
  Status Write(std::string_view path, std::string_view text, vfs::OpenFlags flags = 0) {
    return task().WriteFile(At(path), text, flags);
  }
  Status Mkdir(std::string_view path) { return task().Mkdir(At(path), 0777); }
  Status Rmdir(std::string_view path) { return task().Rmdir(At(path)); }
  Result<int> Open(std::string_view path, vfs::OpenFlags flags = O_RDONLY) {
    return task().Open(At(path), flags);
  }
  Result<vfs::Stat> Stat(std::string_view path) { return task().Stat(At(path)); }
  vfs::Mode PermissionsOf(std::string_view path) {
    const auto stat = Stat(path);
    return stat ? stat->mode & 07777 : vfs::Mode(-1);
  }
  // In the directory's order.
  std::vector<std::string> Names(std::string_view path);
  Result<std::string> ReadFd(int fd);

  // Everything below a path, as find does; with a stat of each if `stat`.
  enum class AlsoStat : uint8_t { kNo, kYes };
  size_t Walk(const std::string& path, AlsoStat stat);

  // Live objects of a cache, from its row of slabinfo, and the memory of all of them.
  size_t Objects(std::string_view cache);

 private:
  const Tracefs::Options options_;
  std::unique_ptr<trace::Registry> registry_;
  std::unique_ptr<Tracefs> tracefs_;
};

}  // namespace dentree::tracefs
