// Which operation moves which time, as Linux has it.

#include <functional>

#include "fixture/fixture.h"

namespace dentree::ramfs {
namespace {

using fixture::Dir;
using fixture::Text;

vfs::Status Quiet(const auto& result) {
  if (!result) return base::Err(result.error());
  return {};
}

class FileTimes : public fixture::VfsTest {
 protected:
  FileTimes() : VfsTest({.time = fixture::Time::kFake}) {
    fs().Make({Dir("/a/d"), Dir("/b"), Text("/a/f", "x"), Text("/b/g", "y")});
    task().Link("/a/f", "/a/hard").value();
  }

  // Which of "mc" of the object at `path` `operation` moves to the present; it may have another
  // path then.
  std::string Moved(const char* path, const char* path_after,
                    std::function<vfs::Status()> operation) {
    clock().Advance(1'000'000'000);
    const vfs::Times before = task().Lstat(path)->times;
    EXPECT_OK(operation());
    const vfs::Times after = task().Lstat(path_after)->times;
    std::string moved;
    if (after.mtime != before.mtime) moved += 'm';
    if (after.ctime != before.ctime) moved += 'c';
    for (const int64_t time : {after.mtime, after.ctime}) {
      EXPECT_LE(time, clock().NowNs());
    }
    if (after.ctime != before.ctime) {
      EXPECT_EQ(after.ctime, clock().NowNs());
    }
    return moved;
  }
  std::string Moved(const char* path, std::function<vfs::Status()> operation) {
    return Moved(path, path, std::move(operation));
  }
};

TEST_F(FileTimes, StartAtTheMakingOfTheObject) {
  clock().Advance(5);
  fs().Make({Text("/new", "")});
  const vfs::Times times = task().Stat("/new")->times;
  for (const int64_t time : {times.atime, times.mtime, times.ctime, times.btime}) {
    EXPECT_EQ(time, clock().NowNs());
  }
}

TEST_F(FileTimes, OfADirectoryMoveWithItsNames) {
  EXPECT_EQ(Moved("/a", [&] { return task().WriteFile("/a/new", ""); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().WriteFile("/a/new", "again"); }), "");
  EXPECT_EQ(Moved("/a", [&] { return task().Mkdir("/a/sub", 0755); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Mkdir("/a/sub/sub", 0755); }), "");
  EXPECT_EQ(Moved("/a", [&] { return task().Symlink("x", "/a/link"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Link("/a/new", "/a/new2"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Unlink("/a/new2"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Rename("/a/new", "/a/newer"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Rename("/a/newer", "/b/newer"); }), "mc");
  EXPECT_EQ(Moved("/b", [&] { return task().Rename("/b/newer", "/a/newer"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Rename("/b/g", "/a/newer"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Rmdir("/a/d"); }), "mc");
  EXPECT_EQ(Moved("/a", [&] { return task().Chmod("/a", 0700); }), "c");
  EXPECT_EQ(Moved("/a", [&] { return Quiet(task().ListDir("/a")); }), "");
}

TEST_F(FileTimes, OfAFileMoveWithItsContentsAndItsNames) {
  EXPECT_EQ(Moved("/a/f", [&] { return task().WriteFile("/a/f", "more", O_APPEND); }), "mc");
  EXPECT_EQ(Moved("/a/f", [&] { return task().Truncate("/a/f", 1); }), "mc");
  EXPECT_EQ(Moved("/a/f", [&] { return task().Truncate("/a/f", 1); }), "mc");
  EXPECT_EQ(Moved("/a/f", [&] { return task().Chmod("/a/f", 0600); }), "c");
  EXPECT_EQ(Moved("/a/f", [&] { return task().Chown("/a/f", 1, 1); }), "c");
  EXPECT_EQ(Moved("/a/f", [&] { return task().Link("/a/f", "/a/f2"); }), "c");
  EXPECT_EQ(Moved("/a/f", [&] { return task().Unlink("/a/f2"); }), "c");
  EXPECT_EQ(Moved("/a/f", "/a/g", [&] { return task().Rename("/a/f", "/a/g"); }), "c");
  EXPECT_EQ(Moved("/a/hard", [&] { return task().Rename("/b/g", "/a/g"); }), "c")
      << "one of its names was replaced";
  EXPECT_EQ(Moved("/a/hard", [&] { return Quiet(task().ReadFile("/a/hard")); }), "");
}

TEST_F(FileTimes, AreWhatOneSetsThemTo) {
  vfs::SetAttr times;
  times.atime = 111;
  times.mtime = -222;  // before the epoch
  EXPECT_EQ(Moved("/a/f", [&] { return task().SetTimes("/a/f", times); }), "mc");
  EXPECT_EQ(task().Stat("/a/f")->times.atime, 111);
  EXPECT_EQ(task().Stat("/a/f")->times.mtime, -222);
}

}  // namespace
}  // namespace dentree::ramfs
