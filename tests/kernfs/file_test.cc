// Open files: texts, commands, positions, waiting, polling.

#include <poll.h>

#include "absl/strings/str_cat.h"
#include "tests/kernfs/kernfs_test.h"

namespace dentree::kernfs {
namespace {

using base::Errno;
using vfs::Whence;

constexpr vfs::PollEvents kReady = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
constexpr vfs::PollEvents kChanged = kReady | POLLERR | POLLPRI;

class LongOps final : public TextOps {
  Result<std::string> Show(OpenFile& file) const override {
    return std::string(file.priv_as<size_t>(), 'x');
  }
};
constexpr LongOps kLongOps;

// Keeps what the last write brought.
class CommandOps final : public NodeOps {
 public:
  constexpr explicit CommandOps(size_t atomic) : atomic_(atomic) {}
  Result<size_t> Write(OpenFile& file, std::string_view in, uint64_t) const override {
    file.priv_as<std::string>() = in;
    return in.size();
  }
  size_t AtomicWriteBytes() const override { return atomic_; }

 private:
  const size_t atomic_;
};
constexpr CommandOps kPlainCommand{0};
constexpr CommandOps kAtomicCommand{10'000};

class RefusingOps final : public NodeOps {
  Status Open(OpenFile&) const override { return base::Err(Errno::kBusy); }
  void Release(OpenFile&) const override { ADD_FAILURE() << "released without being open"; }
};
constexpr RefusingOps kRefusingOps;

class KernfsFile : public KernfsTest {
 protected:
  NodeRef MakeFile(std::string_view name, const NodeOps& ops, void* priv) {
    return root()
        .CreateFile(root().top(), {.name = name, .permissions = 0644, .priv = priv}, ops)
        .value();
  }
};

TEST_F(KernfsFile, ReadsAndTakesCommands) {
  EXPECT_EQ(task().ReadFile("/k/value").value(), "0\n");
  EXPECT_THAT(task().WriteFile("/k/value", "42\n"), IsOk());
  EXPECT_EQ(task().ReadFile("/k/value").value(), "42\n");
  EXPECT_THAT(task().WriteFile("/k/value", "x"), FailsWith(Errno::kInval));
  EXPECT_THAT(task().WriteFile("/k/README", "x", 0), FailsWith(Errno::kInval));
  EXPECT_EQ(top().opens, top().releases);
}

TEST_F(KernfsFile, AReaderSeesOneStateHoweverSmallItsBuffer) {
  top().value = 123456789;
  const int fd = task().Open("/k/value", O_RDONLY).value();
  char c[3];
  ASSERT_THAT(task().Read(fd, Bytes(c)), Holds(3u));
  top().value = 987654321;
  EXPECT_EQ(ReadAll(task(), fd), "456789\n");
  ASSERT_THAT(task().Lseek(fd, 0, Whence::kSet), IsOk());
  EXPECT_EQ(ReadAll(task(), fd), "987654321\n") << "made anew at position 0";
  top().value = 5;
  char text[16];
  ASSERT_THAT(task().Pread(fd, Bytes(text), 0), Holds(2u));
  EXPECT_EQ(text[0], '5') << "a held descriptor is fresh with every pread at 0";
}

TEST_F(KernfsFile, ATextIsReadFromTheMiddleWithoutItsStart) {
  top().value = 123456789;
  const int fd = task().Open("/k/value", O_RDONLY).value();
  char text[16];
  ASSERT_THAT(task().Pread(fd, Bytes(text), 7), Holds(3u));
  EXPECT_EQ(std::string_view(text, 3), "89\n");
}

TEST_F(KernfsFile, ATextMayBeLongButNotTooLong) {
  size_t size = 1 << 20;
  MakeFile("long", kLongOps, &size);
  const size_t used = vfs().memory().used();
  EXPECT_EQ(task().ReadFile("/k/long").value().size(), size);
  const int fd = task().Open("/k/long", O_RDONLY).value();
  char c[1];
  ASSERT_THAT(task().Read(fd, Bytes(c)), IsOk());
  EXPECT_GE(vfs().memory().used(), used + size) << "a text is charged";
  ASSERT_THAT(task().Close(fd), IsOk());
  EXPECT_LT(vfs().memory().used(), used + size) << "until it is closed";
  size = kMaxTextBytes + 1;
  EXPECT_THAT(task().ReadFile("/k/long"), FailsWith(Errno::kOverflow));
}

TEST_F(KernfsFile, AWriteIsCutAtItsLimitOrRefusedWhenItMustBeWhole) {
  std::string got;
  MakeFile("plain", kPlainCommand, &got);
  MakeFile("atomic", kAtomicCommand, &got);
  const std::string big(9'000, 'b');
  int fd = task().Open("/k/plain", O_WRONLY).value();
  EXPECT_THAT(task().Write(fd, big), Holds(kMaxWriteBytes));
  EXPECT_EQ(got.size(), kMaxWriteBytes);
  fd = task().Open("/k/atomic", O_WRONLY).value();
  EXPECT_THAT(task().Write(fd, big), Holds(9'000u));
  EXPECT_THAT(task().Write(fd, big + big), FailsWith(Errno::kTooBig));
  EXPECT_EQ(got, big);
}

TEST_F(KernfsFile, WithoutAnOperationAnswersEinval) {
  std::string got;
  MakeFile("command", kPlainCommand, &got);
  const int fd = task().Open("/k/command", O_RDWR).value();
  char c[1];
  EXPECT_THAT(task().Read(fd, Bytes(c)), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Ioctl(fd, 1, 0), FailsWith(Errno::kNotTy));
}

TEST_F(KernfsFile, SeeksAsLinuxsClassesDo) {
  std::string got;
  MakeFile("command", kPlainCommand, &got);
  const int text = task().Open("/k/value", O_RDONLY).value();
  EXPECT_THAT(task().Lseek(text, 1, Whence::kSet), Holds(1u));
  EXPECT_THAT(task().Lseek(text, 1, Whence::kCur), Holds(2u));
  EXPECT_THAT(task().Lseek(text, 0, Whence::kEnd), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Lseek(text, 0, Whence::kData), FailsWith(Errno::kInval));
  EXPECT_THAT(task().Lseek(text, -1, Whence::kSet), FailsWith(Errno::kInval));
  const int bytes = task().Open("/k/command", O_RDWR).value();
  EXPECT_THAT(task().Lseek(bytes, 0, Whence::kEnd), Holds(0u));
  EXPECT_THAT(task().Lseek(bytes, 0, Whence::kData), FailsWith(Errno::kNxIo));
  EXPECT_THAT(task().Lseek(bytes, -1, Whence::kSet), FailsWith(Errno::kInval));
}

// T12: truncate showed a size on control files.
TEST_F(KernfsFile, TruncateIsAcceptedAndMeansNothing) {
  EXPECT_THAT(task().Truncate("/k/value", 100), IsOk());
  EXPECT_EQ(task().Stat("/k/value").value().size, 0u);
  EXPECT_THAT(task().WriteFile("/k/value", "7", O_TRUNC), IsOk());
  EXPECT_EQ(task().Stat("/k/value").value().size, 0u);
}

TEST_F(KernfsFile, ThatRefusesToOpenIsNotReleased) {
  MakeFile("no", kRefusingOps, nullptr);
  EXPECT_THAT(task().Open("/k/no", O_RDONLY), FailsWith(Errno::kBusy));
  EXPECT_EQ(kernfs().live_open_files(), 0u);
}

TEST_F(KernfsFile, OpenFilesAreTheOnlyStateOfATableFile) {
  const size_t nodes = kernfs().live_nodes();
  std::vector<int> fds;
  for (int i = 0; i < 10; ++i) fds.push_back(task().Open("/k/value", O_RDONLY).value());
  EXPECT_EQ(kernfs().live_open_files(), 10u);
  EXPECT_EQ(kernfs().live_nodes(), nodes);
  for (const int fd : fds) EXPECT_THAT(task().Close(fd), IsOk());
  EXPECT_EQ(kernfs().live_open_files(), 0u);
  EXPECT_EQ(top().releases, 10);
}

// --- notify, poll, wait ---

TEST_F(KernfsFile, PollTellsOfANotificationUntilTheTextIsReadAgain) {
  const int fd = task().Open("/k/value", O_RDONLY).value();
  const int other = task().Open("/k/README", O_RDONLY).value();
  EXPECT_THAT(task().Poll(fd), Holds(kReady));
  root().Notify({.domain = root().top().id(), .index = kValue});
  EXPECT_THAT(task().Poll(fd), Holds(kChanged));
  EXPECT_THAT(task().Poll(fd), Holds(kChanged));
  EXPECT_THAT(task().Poll(other), Holds(kReady));
  ReadAll(task(), fd);
  EXPECT_THAT(task().Poll(fd), Holds(kReady));
}

TEST_F(KernfsFile, NotifyOfWhatNobodyHasOpenedDoesNothing) {
  root().Notify({.domain = root().top().id(), .index = kValue});
  root().Notify({.domain = 99999, .object = ObjectIn(9, 9)});
}

TEST_F(KernfsFile, ReadThatWaitsIsWokenByNotify) {
  const int fd = task().Open("/k/pipe", O_RDONLY).value();
  std::atomic<bool> done{false};
  std::jthread reader([&] {
    char c[1];
    EXPECT_THAT(task().Read(fd, Bytes(c)), Holds(1u));
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(done);
  top().data = 1;
  root().Notify({.domain = root().top().id(), .index = kPipe});
  reader.join();
  EXPECT_TRUE(done);
  const int nonblock = task().Open("/k/pipe", O_RDONLY | O_NONBLOCK).value();
  char c[1];
  EXPECT_THAT(task().Read(nonblock, Bytes(c)), FailsWith(Errno::kAgain));
}

}  // namespace
}  // namespace dentree::kernfs
