// Walks that may not ask: kWalkCached no file system, kWalkNoBlock none that may block.
#include "fixture/fixture.h"
#include "gmock/gmock.h"

namespace dentree::vfs {
namespace {

using fixture::FailsWith;
using fixture::IsOk;

class CachedWalk : public fixture::VfsTest {
 protected:
  Result<Path> WalkFor(std::string_view path, unsigned flags) {
    const WalkContext context{vfs().Root(), vfs().Root(), task().creds()};
    return Walk(vfs(), context, path, flags);
  }
};

TEST_F(CachedWalk, FindsWhatIsCachedAndAsksForNothingElse) {
  ASSERT_OK(task().Mkdir("/d", 0755));
  ASSERT_OK(task().WriteFile("/d/f", ""));
  ASSERT_OK(task().Symlink("d/f", "/link"));
  ASSERT_OK(task().Lstat("/link"));
  EXPECT_OK(WalkFor("/d/f", kWalkCached));
  EXPECT_OK(WalkFor("/link", kWalkCached | kWalkFollow));
  EXPECT_THAT(WalkFor("/d/no", kWalkCached), FailsWith(Errno::kAgain));
  EXPECT_THAT(WalkFor("/no/f", kWalkCached), FailsWith(Errno::kAgain));
}

TEST_F(CachedWalk, HasTheValueOfResolveCachedShifted) {
  EXPECT_EQ(unsigned{kWalkCached}, 0x20u << 8);
}

TEST_F(CachedWalk, ThatMayNotBlockAsksAFileSystemThatAnswersFromMemory) {
  ASSERT_OK(task().WriteFile("/f", ""));
  EXPECT_OK(WalkFor("/f", kWalkNoBlock));
  EXPECT_THAT(WalkFor("/no", kWalkNoBlock), FailsWith(Errno::kNoEnt));
  EXPECT_FALSE(vfs().may_block());
}

TEST_F(CachedWalk, RefusesWhatItFindsAsAnyWalkDoes) {
  ASSERT_OK(task().WriteFile("/f", ""));
  EXPECT_THAT(WalkFor("/f/x", kWalkCached), FailsWith(Errno::kNotDir));
  EXPECT_THAT(WalkFor("", kWalkCached), FailsWith(Errno::kNoEnt));
}

}  // namespace
}  // namespace dentree::vfs
