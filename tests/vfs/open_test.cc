// Opening, and what descriptors do.

#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::FailsWith;
using fixture::Holds;
using fixture::Link;
using fixture::Text;

class Open : public fixture::VfsTest {
 protected:
  Open() {
    fs().Make({Dir("/d"), Text("/f", "12345"), Link("/lf", "f"), Link("/ld", "d"),
               Link("/dangling", "made"), Link("/loop", "loop")});
  }

  std::string ReadAll(int fd) {
    std::string text(64, '\0');
    const auto size = task().Read(fd, std::as_writable_bytes(std::span(text)));
    EXPECT_OK(size);
    text.resize(size.value_or(0));
    return text;
  }
};

TEST_F(Open, RefusesAsLinuxDoes) {
  struct Case {
    const char* path;
    OpenFlags flags;
    Errno error;
  };
  const Case cases[] = {
      {"/nope", O_RDONLY, Errno::kNoEnt},
      {"/nope", O_PATH | O_CREAT, Errno::kNoEnt},
      {"/d", O_WRONLY, Errno::kIsDir},
      {"/d", O_RDWR, Errno::kIsDir},
      {"/d", O_RDONLY | O_TRUNC, Errno::kIsDir},
      {"/d", O_RDONLY | O_CREAT, Errno::kIsDir},
      {"/d/", O_WRONLY | O_CREAT, Errno::kIsDir},
      {"/new/", O_WRONLY | O_CREAT, Errno::kIsDir},
      {"/f/", O_WRONLY | O_CREAT, Errno::kIsDir},
      {"/f/", O_RDONLY, Errno::kNotDir},
      {"/.", O_WRONLY | O_CREAT, Errno::kIsDir},
      {"/d/..", O_WRONLY | O_CREAT, Errno::kIsDir},
      {"/f", O_RDONLY | O_DIRECTORY, Errno::kNotDir},
      {"/new", O_CREAT | O_DIRECTORY, Errno::kInval},
      {"/f", O_WRONLY | O_CREAT | O_EXCL, Errno::kExist},
      {"/d", O_RDONLY | O_CREAT | O_EXCL, Errno::kExist},
      {"/lf", O_WRONLY | O_CREAT | O_EXCL, Errno::kExist},
      {"/dangling", O_WRONLY | O_CREAT | O_EXCL, Errno::kExist},
      {"/lf", O_RDONLY | O_NOFOLLOW, Errno::kLoop},
      {"/ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, Errno::kNotDir},
      {"/loop", O_RDONLY, Errno::kLoop},
      {"/loop", O_WRONLY | O_CREAT, Errno::kLoop},
      {"/dangling", O_RDONLY, Errno::kNoEnt},
      {"/nope/x", O_WRONLY | O_CREAT, Errno::kNoEnt},
      {"/f/x", O_WRONLY | O_CREAT, Errno::kNotDir},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(task().Open(c.path, c.flags, 0644), FailsWith(c.error)) << c.path << " " << c.flags;
  }
}

TEST_F(Open, SucceedsAsLinuxDoes) {
  struct Case {
    const char* path;
    OpenFlags flags;
  };
  const Case cases[] = {
      {"/d", O_RDONLY},
      {"/d", O_RDONLY | O_DIRECTORY},
      {"/ld/", O_RDONLY | O_NOFOLLOW},
      {"/lf", O_PATH | O_NOFOLLOW},
      {"/f", O_RDONLY | O_EXCL},
      {"/f", O_ACCMODE},
      {"/f", O_RDWR | O_CREAT},
      {"/f", O_WRONLY | O_TRUNC},
      {"/d", O_PATH | O_DIRECTORY},
  };
  for (const Case& c : cases) {
    EXPECT_OK(task().Open(c.path, c.flags, 0644)) << c.path << " " << c.flags;
  }
}

TEST_F(Open, CreatesThroughADanglingLinkWhatTheLinkNames) {
  ASSERT_OK(task().WriteFile("/dangling", "x", O_CREAT, 0644));
  EXPECT_THAT(task().ReadFile("/made"), Holds("x"));
  EXPECT_TRUE(IsSymlink(task().Lstat("/dangling")->mode));
}

TEST_F(Open, TruncatesOnlyWhenItSucceeds) {
  const auto user = TaskOf(Creds::User(1000, 1000));
  EXPECT_THAT(user->Open("/f", O_WRONLY | O_TRUNC), FailsWith(Errno::kAccess));
  EXPECT_THAT(task().ReadFile("/f"), Holds("12345"));
  ASSERT_OK(task().Open("/f", O_WRONLY | O_TRUNC));
  EXPECT_EQ(task().Stat("/f")->size, 0u);
}

TEST_F(Open, MayWriteWhatItCreatedWithoutPermissionBits) {
  ASSERT_OK(task().Chmod("/d", 0777));
  const auto user = TaskOf(Creds::User(1000, 1000));
  ASSERT_OK_AND_ASSIGN(const int fd, user->Open("/d/new", O_CREAT | O_RDWR, 0));
  EXPECT_OK(user->Write(fd, "x"));
  EXPECT_THAT(user->Open("/d/new", O_RDONLY), FailsWith(Errno::kAccess));
}

TEST_F(Open, TheModeOfADescriptorIsWhatItMayDo) {
  std::byte buffer[4];
  ASSERT_OK_AND_ASSIGN(const int reader, task().Open("/f", O_RDONLY));
  EXPECT_THAT(task().Write(reader, "x"), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Ftruncate(reader, 0), FailsWith(Errno::kInval));
  ASSERT_OK_AND_ASSIGN(const int writer, task().Open("/f", O_WRONLY));
  EXPECT_THAT(task().Read(writer, buffer), FailsWith(Errno::kBadF));
  ASSERT_OK_AND_ASSIGN(const int dir, task().Open("/d", O_RDONLY));
  EXPECT_THAT(task().Read(dir, buffer), FailsWith(Errno::kIsDir));
}

TEST_F(Open, APathDescriptorOnlyNamesAPlace) {
  std::byte buffer[4];
  ASSERT_OK_AND_ASSIGN(const int file, task().Open("/f", O_PATH));
  EXPECT_THAT(task().Read(file, buffer), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Lseek(file, 0, Whence::kSet), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Ftruncate(file, 0), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Fchmod(file, 0600), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Fchown(file, 1, 1), FailsWith(Errno::kBadF));
  EXPECT_EQ(task().Fstat(file)->size, 5u);
  ASSERT_OK_AND_ASSIGN(const int dir, task().Open("/d", O_PATH));
  EXPECT_OK(task().Fchdir(dir));
  EXPECT_OK(task().OpenAt(dir, "new", O_CREAT | O_WRONLY, 0644));
}

TEST_F(Open, AppendWritesAtTheEndWhereverThePositionIs) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/f", O_RDWR | O_APPEND));
  ASSERT_OK(task().Write(fd, "ab"));
  ASSERT_OK(task().Lseek(fd, 0, Whence::kSet));
  ASSERT_OK(task().Write(fd, "cd"));
  EXPECT_THAT(task().Lseek(fd, 0, Whence::kCur), Holds(9u));
  EXPECT_THAT(task().ReadFile("/f"), Holds("12345abcd"));
}

TEST_F(Open, DupSharesThePositionAndASecondOpenDoesNot) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/f", O_RDONLY));
  ASSERT_OK_AND_ASSIGN(const int same, task().Dup(fd));
  ASSERT_OK_AND_ASSIGN(const int other, task().Open("/f", O_RDONLY));
  ASSERT_OK(task().Lseek(fd, 3, Whence::kSet));
  EXPECT_EQ(ReadAll(same), "45");
  EXPECT_EQ(ReadAll(fd), "");
  EXPECT_EQ(ReadAll(other), "12345");
  ASSERT_OK(task().Close(fd));
  EXPECT_THAT(task().Lseek(same, 0, Whence::kCur), Holds(5u)) << "lives on by the other number";
}

TEST_F(Open, PositionalReadsAndWritesLeaveThePosition) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/f", O_RDWR));
  std::byte two[2];
  EXPECT_THAT(task().Pread(fd, two, 3), Holds(2u));
  EXPECT_THAT(task().Pread(fd, two, 4), Holds(1u));
  EXPECT_THAT(task().Pread(fd, two, 5), Holds(0u));
  EXPECT_THAT(task().Pwrite(fd, std::as_bytes(std::span("xy", 2)), 1), Holds(2u));
  EXPECT_EQ(ReadAll(fd), "1xy45");
}

TEST_F(Open, GivesTheLowestFreeNumber) {
  ASSERT_OK_AND_ASSIGN(const int a, task().Open("/f", O_RDONLY));
  ASSERT_OK_AND_ASSIGN(const int b, task().Open("/f", O_RDONLY));
  ASSERT_OK_AND_ASSIGN(const int c, task().Open("/f", O_RDONLY));
  EXPECT_EQ(b, a + 1);
  EXPECT_EQ(c, a + 2);
  ASSERT_OK(task().Close(b));
  EXPECT_THAT(task().Close(b), FailsWith(Errno::kBadF));
  EXPECT_THAT(task().Dup(c), Holds(b));
}

TEST_F(Open, RefusesMoreDescriptorsThanTheTaskMayHave) {
  const auto child = task().Fork();
  for (size_t i = 0; i < kDefaultFdLimit; ++i) ASSERT_OK(child->Open("/f", O_RDONLY));
  EXPECT_THAT(child->Open("/f", O_RDONLY), FailsWith(Errno::kMFile));
  EXPECT_THAT(child->Dup(0), FailsWith(Errno::kMFile));
  EXPECT_THAT(child->Open("/not-made", O_CREAT | O_WRONLY, 0644), FailsWith(Errno::kMFile));
  EXPECT_FALSE(fs().Has("/not-made"));
  ASSERT_OK(child->Close(7));
  EXPECT_THAT(child->Open("/f", O_RDONLY), Holds(7));
}

TEST_F(Open, SeeksWithinWhatAFileCanHave) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/f", O_RDWR));
  EXPECT_THAT(task().Lseek(fd, -1, Whence::kSet), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Lseek(fd, -6, Whence::kEnd), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Lseek(fd, -5, Whence::kEnd), Holds(0u));
  EXPECT_THAT(task().Lseek(fd, 2, Whence::kCur), Holds(2u));
  EXPECT_THAT(task().Lseek(fd, 100, Whence::kEnd), Holds(105u));
  EXPECT_EQ(ReadAll(fd), "") << "past the end there is nothing";
  EXPECT_THAT(task().Lseek(fd, 0, static_cast<Whence>(9)), FailsWith(Errno::kInval));
}

TEST_F(Open, AnUnlinkedFileLivesUntilItIsClosed) {
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/f", O_RDWR));
  ASSERT_OK(task().Unlink("/f"));
  EXPECT_EQ(task().Fstat(fd)->nlink, 0u);
  ASSERT_OK(task().Pwrite(fd, std::as_bytes(std::span("ZZ", 2)), 5));
  EXPECT_EQ(ReadAll(fd), "12345ZZ");
  ASSERT_OK(task().Link("/lf", "/f"));  // the name is free
}

TEST_F(Open, AFifoOrDeviceOrSocketWithoutFunctionIsNotOpened) {
  ASSERT_OK(task().Mknod("/sock", S_IFSOCK | 0666, 0));
  ASSERT_OK(task().Mknod("/char", S_IFCHR | 0666, 0x103));
  EXPECT_THAT(task().Open("/sock", O_RDONLY), FailsWith(Errno::kNxIo));
  EXPECT_THAT(task().Open("/char", O_RDONLY), FailsWith(Errno::kNxIo));
  EXPECT_OK(task().Open("/char", O_PATH));
}

}  // namespace
}  // namespace dentree::vfs
