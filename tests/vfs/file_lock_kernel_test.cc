// The same random calls on a file of the machine's tmpfs and on one of ours: every answer is the
// same, and so are the locks that /proc/locks shows of it.
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "fixture/fixture.h"
#include "tests/vfs/host_tmpfs.h"

namespace dentree::vfs {
namespace {

constexpr int kSlots = 5;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// What both sides do; answers are 0 or errno.
class Side {
 public:
  virtual ~Side() = default;
  virtual int Open(int flags) = 0;  // the descriptor
  virtual int Close(int fd) = 0;
  virtual int Dup(int fd) = 0;
  virtual int Seek(int fd, int64_t to) = 0;
  virtual int Truncate(int64_t size) = 0;
  virtual int Flock(int fd, int operation) = 0;
  virtual int Fcntl(int fd, int command, struct flock& lock) = 0;
  // "OFDLCK W 0 4" for each lock of the file.
  virtual std::multiset<std::string> Locks() = 0;
};

int ErrnoOf(int result) { return result < 0 ? errno : 0; }
int ErrnoOf(const Status& status) { return status ? 0 : static_cast<int>(status.error()); }

class KernelSide final : public Side {
 public:
  explicit KernelSide(std::string path) : path_(std::move(path)) {}
  ~KernelSide() override { ::unlink(path_.c_str()); }
  int Open(int flags) override { return ::open(path_.c_str(), flags | O_CLOEXEC, 0644); }
  int Close(int fd) override { return ErrnoOf(::close(fd)); }
  int Dup(int fd) override { return ::dup(fd); }
  int Seek(int fd, int64_t to) override { return ::lseek(fd, to, SEEK_SET) < 0 ? errno : 0; }
  int Truncate(int64_t size) override { return ErrnoOf(::truncate(path_.c_str(), size)); }
  int Flock(int fd, int operation) override { return ErrnoOf(::flock(fd, operation)); }
  int Fcntl(int fd, int command, struct flock& lock) override {
    const int error = ErrnoOf(::fcntl(fd, command, &lock));
    if (lock.l_pid == ::getpid() && error == 0) lock.l_pid = 1;
    return error;
  }
  std::multiset<std::string> Locks() override {
    struct stat attr = {};
    EXPECT_EQ(::stat(path_.c_str(), &attr), 0);
    const std::string ino = absl::StrFormat(":%d", attr.st_ino);
    std::multiset<std::string> locks;
    std::ifstream in("/proc/locks");
    for (std::string line; std::getline(in, line);) {
      const std::vector<std::string> word = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (word.size() < 8 || !word[5].ends_with(ino)) continue;
      locks.insert(absl::StrFormat("%s %c %s %s", word[1], word[3][0], word[6], word[7]));
    }
    return locks;
  }

 private:
  const std::string path_;
};

class OurSide final : public Side {
 public:
  explicit OurSide(Task& task) : task_(task) {}
  int Open(int flags) override { return task_.Open("/f", flags, 0644).value(); }
  int Close(int fd) override { return ErrnoOf(task_.Close(fd)); }
  int Dup(int fd) override { return task_.Dup(fd).value(); }
  int Seek(int fd, int64_t to) override {
    const auto moved = task_.Lseek(fd, to, Whence::kSet);
    return moved ? 0 : static_cast<int>(moved.error());
  }
  int Truncate(int64_t size) override {
    return ErrnoOf(task_.Truncate("/f", static_cast<uint64_t>(size)));
  }
  int Flock(int fd, int operation) override { return ErrnoOf(task_.Flock(fd, operation)); }
  int Fcntl(int fd, int command, struct flock& lock) override {
    const int error = ErrnoOf(task_.FcntlLock(fd, command, lock));
    if (lock.l_pid == task_.pid() && error == 0) lock.l_pid = 1;
    return error;
  }
  std::multiset<std::string> Locks() override {
    static constexpr std::array kNames = {"FLOCK", "OFDLCK", "POSIX"};
    std::multiset<std::string> locks;
    for (const LockInfo& lock : task_.vfs().locks().List()) {
      const std::string end = lock.end == kMax ? "EOF" : std::to_string(lock.end);
      locks.insert(absl::StrFormat("%s %c %d %s", kNames[static_cast<size_t>(lock.kind)],
                                   lock.type == F_WRLCK ? 'W' : 'R', lock.start, end));
    }
    return locks;
  }

 private:
  Task& task_;
};

class LocksOfTheKernel : public fixture::VfsTest {
 protected:
  void SetUp() override {
    if (!ShmIsTmpfs()) GTEST_SKIP() << "/dev/shm is no tmpfs here";
    kernel_ =
        std::make_unique<KernelSide>(absl::StrFormat("/dev/shm/dentree-locks.%d", ::getpid()));
    ours_ = std::make_unique<OurSide>(task());
    for (int slot = 0; slot < kSlots; ++slot) Reopen(slot, O_RDWR | O_CREAT);
  }
  void TearDown() override {
    for (int slot = 0; slot < kSlots && kernel_ != nullptr; ++slot) Shut(slot);
    kernel_.reset();
    VfsTest::TearDown();
  }

  void Shut(int slot) {
    kernel_->Close(fds_[slot].kernel);
    ours_->Close(fds_[slot].ours);
  }
  void Reopen(int slot, int flags) { fds_[slot] = {kernel_->Open(flags), ours_->Open(flags)}; }

  int64_t Number() {
    static constexpr std::array kEdges = {int64_t{-1}, kMax, kMax - 1, -kMax - 1, kMax / 2};
    if (Below(20) == 0) return kEdges[Below(kEdges.size())];
    return static_cast<int64_t>(Below(24)) - (Below(6) == 0 ? 12 : 0);
  }
  size_t Below(size_t n) { return random_() % n; }

  template <class Call>
  std::string Both(Call call) {
    const int theirs = call(*kernel_, [](const Pair& pair) { return pair.kernel; });
    const int ours = call(*ours_, [](const Pair& pair) { return pair.ours; });
    return theirs == ours ? "" : absl::StrFormat("kernel %d, here %d", theirs, ours);
  }

  // One random call on both sides; what differs.
  std::string Step(std::string& what) {
    const size_t slot = Below(kSlots);
    const Pair& pair = fds_[slot];
    switch (Below(14)) {
      case 0: {
        static constexpr std::array kFlags = {O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_PATH, 3};
        const int flags = kFlags[Below(kFlags.size())];
        what = absl::StrFormat("reopen %d as %d", slot, flags);
        Shut(static_cast<int>(slot));
        Reopen(static_cast<int>(slot), flags);
        return "";
      }
      case 1: {
        const size_t from = Below(kSlots);
        what = absl::StrFormat("dup %d to %d", from, slot);
        if (from == slot) return "";
        Shut(static_cast<int>(slot));
        fds_[slot] = {kernel_->Dup(fds_[from].kernel), ours_->Dup(fds_[from].ours)};
        return "";
      }
      case 2: {
        const int64_t to = static_cast<int64_t>(Below(20));
        what = absl::StrFormat("seek %d to %d", slot, to);
        return Both([&](Side& side, auto of) { return side.Seek(of(pair), to); });
      }
      case 3: {
        const int64_t size = static_cast<int64_t>(Below(20));
        what = absl::StrFormat("truncate to %d", size);
        return Both([&](Side& side, auto) { return side.Truncate(size); });
      }
      case 4:
      case 5:
      case 6: {
        static constexpr std::array kOperations = {LOCK_SH, LOCK_EX, LOCK_UN, LOCK_SH, LOCK_EX,
                                                   0,       3,       16,      32};
        const int operation = kOperations[Below(kOperations.size())] | LOCK_NB;
        what = absl::StrFormat("flock %d %d", slot, operation);
        return Both([&](Side& side, auto of) { return side.Flock(of(pair), operation); });
      }
      default:
        return StepRange(pair, slot, what);
    }
  }

  struct Pair {
    int kernel = -1, ours = -1;
  };

  std::string StepRange(const Pair& pair, size_t slot, std::string& what) {
    static constexpr std::array kCommands = {F_OFD_SETLK, F_OFD_SETLK, F_SETLK, F_OFD_GETLK,
                                             F_GETLK};
    const int command = kCommands[Below(kCommands.size())];
    struct flock lock = {};
    lock.l_type = static_cast<short>(Below(30) == 0 ? 5 : Below(3));
    lock.l_whence = static_cast<short>(Below(30) == 0 ? 7 : Below(3));
    lock.l_start = Number();
    lock.l_len = Number();
    lock.l_pid = Below(30) == 0 ? 77 : 0;
    what =
        absl::StrFormat("fcntl %d command %d type %d whence %d start %d len %d pid %d", slot,
                        command, lock.l_type, lock.l_whence, lock.l_start, lock.l_len, lock.l_pid);
    struct flock theirs = lock;
    struct flock ours = lock;
    const int kernel = kernel_->Fcntl(pair.kernel, command, theirs);
    const int here = ours_->Fcntl(pair.ours, command, ours);
    const auto text = [](int error, const struct flock& at) {
      return absl::StrFormat("%d: %d %d %d %d %d", error, at.l_type, at.l_whence, at.l_start,
                             at.l_len, at.l_pid);
    };
    if (text(kernel, theirs) == text(here, ours)) return "";
    return "kernel " + text(kernel, theirs) + ", here " + text(here, ours);
  }

  std::mt19937_64 random_;
  std::array<Pair, kSlots> fds_;
  std::unique_ptr<KernelSide> kernel_;
  std::unique_ptr<OurSide> ours_;
};

TEST_F(LocksOfTheKernel, RandomCallsHaveItsAnswersAndLeaveItsLocks) {
  constexpr int kSeeds = 20;
  constexpr int kSteps = 1500;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    random_.seed(static_cast<uint64_t>(seed));
    std::string history;
    for (int step = 0; step < kSteps; ++step) {
      std::string what;
      const std::string differs = Step(what);
      history += what + "\n";
      ASSERT_EQ(differs, "") << "seed " << seed << ":\n" << history;
      if (step % 25 == 0) {
        ASSERT_EQ(kernel_->Locks(), ours_->Locks()) << "seed " << seed << ":\n" << history;
      }
    }
    vfs().locks().CheckInvariants();
  }
}

}  // namespace
}  // namespace dentree::vfs
