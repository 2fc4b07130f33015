// The queue beside the machine's own io_uring: the same requests, the same answers.
#include <liburing.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "tests/uring/uring_test.h"

namespace dentree::uring {
namespace {

// A request in terms of both: descriptors are named by the step that opened them.
struct Step {
  Opcode opcode;
  int dir = -1;  // the step that opened the directory or file; -1: none
  std::string path = {};
  uint32_t flags = 0;
  vfs::Mode mode = 0;
  std::string data = {};  // what is written; what is to be read has its size
  uint64_t off = kCurrentPosition;
};

const Step kSteps[] = {
    {Opcode::kNop},
    {.opcode = Opcode::kMkdirat, .path = "d", .mode = 0755},
    {.opcode = Opcode::kMkdirat, .path = "d", .mode = 0755},
    {.opcode = Opcode::kMkdirat, .path = "no/d", .mode = 0755},
    {.opcode = Opcode::kMkdirat, .path = "", .mode = 0755},
    {.opcode = Opcode::kOpenat, .path = "d", .flags = O_RDONLY | O_DIRECTORY},  // 5
    {.opcode = Opcode::kOpenat, .dir = 5, .path = "f", .flags = O_CREAT | O_RDWR, .mode = 0600},
    {.opcode = Opcode::kOpenat, .dir = 5, .path = "f", .flags = O_CREAT | O_EXCL, .mode = 0600},
    {.opcode = Opcode::kWrite, .dir = 6, .data = "hello world"},
    {.opcode = Opcode::kWrite, .dir = 6, .data = "J", .off = 0},
    {.opcode = Opcode::kRead, .dir = 6, .data = "xxxx"},
    {.opcode = Opcode::kRead, .dir = 6, .data = "xxxxx", .off = 0},
    {.opcode = Opcode::kRead, .dir = 6, .data = "xxxxx", .off = 8},
    {.opcode = Opcode::kRead, .dir = 6, .data = "xxxxx", .off = 100},
    {.opcode = Opcode::kRead, .dir = 5, .data = "xxxxx"},
    {.opcode = Opcode::kWrite, .dir = 5, .data = "x"},
    {.opcode = Opcode::kRead, .data = "x"},
    {.opcode = Opcode::kStatx, .path = "d/f"},
    {.opcode = Opcode::kStatx, .path = "d/g"},
    {.opcode = Opcode::kStatx, .dir = 6, .flags = AT_EMPTY_PATH},
    {.opcode = Opcode::kStatx, .dir = 6, .path = ""},
    {.opcode = Opcode::kStatx, .dir = 6, .path = "x"},
    {.opcode = Opcode::kUnlinkat, .path = "d"},
    {.opcode = Opcode::kUnlinkat, .path = "d", .flags = AT_REMOVEDIR},
    {.opcode = Opcode::kUnlinkat, .dir = 5, .path = "f", .flags = AT_REMOVEDIR},
    {.opcode = Opcode::kUnlinkat, .dir = 5, .path = "f", .flags = 0x40000000},
    {.opcode = Opcode::kUnlinkat, .dir = 5, .path = "f"},
    {.opcode = Opcode::kUnlinkat, .dir = 5, .path = "f"},
    {.opcode = Opcode::kUnlinkat, .path = "d/.", .flags = AT_REMOVEDIR},
    {.opcode = Opcode::kUnlinkat, .path = "d", .flags = AT_REMOVEDIR},
    {.opcode = Opcode::kMkdirat, .dir = 5, .path = "late", .mode = 0755},
    {.opcode = Opcode::kOpenat, .path = "d", .flags = O_RDONLY},
    {.opcode = Opcode::kClose, .dir = 6},
    {.opcode = Opcode::kClose, .dir = 6},
    {.opcode = Opcode::kClose, .dir = 5},
    {.opcode = Opcode::kAsyncCancel, .off = 12345},
};

struct Answer {
  int32_t res = 0;
  std::string data = {};  // of a read
  uint64_t size = 0;      // of a statx
  uint32_t mode = 0, nlink = 0;

  friend bool operator==(const Answer&, const Answer&) = default;
};

void PrintTo(const Answer& answer, std::ostream* os) {
  *os << answer.res << " '" << answer.data << "' size " << answer.size << " mode " << answer.mode
      << " nlink " << answer.nlink;
}

// Descriptors by the step that opened them.
class Descriptors {
 public:
  // A path is relative to the working directory where no step is named.
  int Of(const Step& step) const {
    const bool names = step.opcode == Opcode::kOpenat || step.opcode == Opcode::kStatx ||
                       step.opcode == Opcode::kMkdirat || step.opcode == Opcode::kUnlinkat;
    if (step.dir < 0) return names ? AT_FDCWD : -1;
    return fds_[step.dir];
  }
  void Opened(size_t step, int32_t fd) { fds_[step] = fd; }

 private:
  int fds_[std::size(kSteps)] = {};
};

class Ours {
 public:
  explicit Ours(std::unique_ptr<Queue> queue) : queue_(std::move(queue)) {}

  Answer Do(size_t index) {
    const Step& step = kSteps[index];
    Answer answer{.data = step.data};
    vfs::Stat stat;
    answer.res = queue_->Call(Translate(step, answer.data, stat));
    if (step.opcode == Opcode::kOpenat) fds_.Opened(index, answer.res);
    if (step.opcode == Opcode::kStatx && answer.res == 0) {
      answer.size = stat.size;
      answer.mode = stat.mode;
      answer.nlink = stat.nlink;
    }
    return answer;
  }

 private:
  Entry Translate(const Step& step, std::string& data, vfs::Stat& stat) {
    const int fd = fds_.Of(step);
    switch (step.opcode) {
      case Opcode::kOpenat:
        return Entry::Openat(fd, step.path, static_cast<int>(step.flags), step.mode);
      case Opcode::kRead:
        return Entry::Read(fd, Bytes(data), step.off);
      case Opcode::kWrite:
        return Entry::Write(fd, Text(step.data), step.off);
      case Opcode::kClose:
        return Entry::Close(fd);
      case Opcode::kStatx:
        return Entry::Statx(fd, step.path, step.flags, stat);
      case Opcode::kMkdirat:
        return Entry::Mkdirat(fd, step.path, step.mode);
      case Opcode::kUnlinkat:
        return Entry::Unlinkat(fd, step.path, step.flags);
      case Opcode::kAsyncCancel:
        return Entry::AsyncCancel(step.off);
      default:
        return Entry::Nop();
    }
  }

  std::unique_ptr<Queue> queue_;
  Descriptors fds_;
};

class Kernels {
 public:
  Kernels() { error_ = ::io_uring_queue_init(4, &ring_, 0); }
  ~Kernels() {
    if (error_ == 0) ::io_uring_queue_exit(&ring_);
  }
  int error() const { return error_; }

  Answer Do(size_t index) {
    const Step& step = kSteps[index];
    Answer answer{.data = step.data};
    struct ::statx stat = {};
    Prepare(::io_uring_get_sqe(&ring_), step, answer.data, stat);
    EXPECT_EQ(::io_uring_submit_and_wait(&ring_, 1), 1);
    ::io_uring_cqe* cqe = nullptr;
    EXPECT_EQ(::io_uring_wait_cqe(&ring_, &cqe), 0);
    answer.res = cqe->res;
    ::io_uring_cqe_seen(&ring_, cqe);
    if (step.opcode == Opcode::kOpenat) fds_.Opened(index, answer.res);
    if (step.opcode == Opcode::kStatx && answer.res == 0) {
      answer.size = stat.stx_size;
      answer.mode = stat.stx_mode;
      answer.nlink = stat.stx_nlink;
    }
    return answer;
  }

 private:
  void Prepare(::io_uring_sqe* sqe, const Step& step, std::string& data, struct ::statx& stat) {
    const int fd = fds_.Of(step);
    const auto size = static_cast<unsigned>(data.size());
    switch (step.opcode) {
      case Opcode::kOpenat:
        return ::io_uring_prep_openat(sqe, fd, step.path.c_str(), static_cast<int>(step.flags),
                                      step.mode);
      case Opcode::kRead:
        return ::io_uring_prep_read(sqe, fd, data.data(), size, step.off);
      case Opcode::kWrite:
        return ::io_uring_prep_write(sqe, fd, step.data.data(), size, step.off);
      case Opcode::kClose:
        return ::io_uring_prep_close(sqe, fd);
      case Opcode::kStatx:
        return ::io_uring_prep_statx(sqe, fd, step.path.c_str(), static_cast<int>(step.flags),
                                     STATX_BASIC_STATS, &stat);
      case Opcode::kMkdirat:
        return ::io_uring_prep_mkdirat(sqe, fd, step.path.c_str(), step.mode);
      case Opcode::kUnlinkat:
        return ::io_uring_prep_unlinkat(sqe, fd, step.path.c_str(), static_cast<int>(step.flags));
      case Opcode::kAsyncCancel:
        return ::io_uring_prep_cancel64(sqe, step.off, 0);
      default:
        return ::io_uring_prep_nop(sqe);
    }
  }

  ::io_uring ring_ = {};
  int error_;
  Descriptors fds_;
};

class UringKernel : public UringTest {};

TEST_F(UringKernel, AnswersAsTheMachinesRingDoes) {
  Kernels kernels;
  if (kernels.error() != 0) GTEST_SKIP() << "no io_uring: " << std::strerror(-kernels.error());
  std::string dir = std::filesystem::temp_directory_path() / "dentree-uring-XXXXXX";
  ASSERT_NE(::mkdtemp(dir.data()), nullptr);
  const std::filesystem::path home = std::filesystem::current_path();
  std::filesystem::current_path(dir);
  const ::mode_t mask = ::umask(022);
  ASSERT_OK(task().Mkdir("/work", 0700));
  ASSERT_OK(task().Chdir("/work"));
  Ours ours(NewQueue(1));
  for (size_t i = 0; i < std::size(kSteps); ++i) {
    const Answer wanted = kernels.Do(i);
    Answer got = ours.Do(i);
    // Numbers of descriptors are each side's own.
    if (kSteps[i].opcode == Opcode::kOpenat && wanted.res >= 0 && got.res >= 0) {
      got.res = wanted.res;
    }
    EXPECT_EQ(got, wanted) << "step " << i;
  }
  ::umask(mask);
  std::filesystem::current_path(home);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace dentree::uring
