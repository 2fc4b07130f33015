// A cached stat stores nothing that another thread's stat looks at, and has no atomic
// read-modify-write: proven instruction by instruction.
//
// While a call runs, the heap, what is mapped for no file and the program's variables are closed,
// but for the thread's stack and its thread-local storage. Each access faults; its address and its
// instruction are noted, the page is opened for this one instruction (the trap flag), and closed
// again. What two threads did is then compared by cache lines.

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>
#include <set>
#include <thread>

#include "absl/strings/str_format.h"
#include "fixture/fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
#define DENTREE_CAN_LOG 0
#else
#define DENTREE_CAN_LOG 1
#endif

namespace dentree::vfs {
namespace {

using fixture::Dir;
using fixture::Link;
using fixture::Text;

constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kLine = 64;

struct Access {
  uintptr_t address = 0;
  uintptr_t instruction = 0;
  bool store = false;
  bool locked = false;

  uintptr_t line() const { return address / kLine; }
};

struct Range {
  uintptr_t begin = 0, end = 0;
};

// What the signal handlers know. In memory of its own, which is never closed.
struct Log {
  static constexpr size_t kMaxRanges = 512;
  static constexpr size_t kMaxAccesses = 16 * 1024;
  // Pages that one instruction may need at once: two operands, each over the end of a page.
  static constexpr size_t kMaxOpen = 4;
  static constexpr size_t kMaxMaps = 128 * 1024;

  size_t ranges = 0, accesses = 0, open = 0;
  Range range[kMaxRanges];
  Access access[kMaxAccesses];
  uintptr_t open_page[kMaxOpen];
  char maps[kMaxMaps];  // text of /proc/self/maps
};
// Signal handlers have no other way to it. It has a page for itself, the only one of the program's
// variables that stays open.
struct alignas(kPage) {
  Log* log = nullptr;
} g_page;

// Not by way of the C library, whose address stands in closed memory.
void Protect(uintptr_t begin, size_t size, long rights) {
  long result = SYS_mprotect;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(begin), "S"(size), "d"(rights)
               : "rcx", "r11", "memory");
  if (result != 0) __builtin_trap();
}

// Whether the instruction locks the bus: a lock prefix, or xchg with memory.
bool IsLocked(uintptr_t instruction) {
  const auto* p = reinterpret_cast<const uint8_t*>(instruction);
  for (;; ++p) {
    switch (*p) {
      case 0xf0:
        return true;
      case 0x66:
      case 0x67:
      case 0xf2:
      case 0xf3:
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
      case 0x64:
      case 0x65:
        continue;
      default:
        if ((*p & 0xf0) == 0x40) ++p;  // REX
        return *p == 0x86 || *p == 0x87;
    }
  }
}

[[noreturn]] void Die(const char* why) {
  std::fprintf(stderr, "log of accesses: %s\n", why);
  std::_Exit(1);
}

void OnFault(int, siginfo_t* info, void* context) {
  Log& log = *g_page.log;
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const bool known = std::any_of(log.range, log.range + log.ranges, [address](const Range& range) {
    return range.begin <= address && address < range.end;
  });
  if (!known) Die("a fault that is not of the log's making");
  if (log.accesses == Log::kMaxAccesses || log.open == Log::kMaxOpen) Die("too much");
  constexpr greg_t kWrite = 2;  // of the page fault's error code
  constexpr greg_t kTrap = 0x100;
  const auto instruction = static_cast<uintptr_t>(registers[REG_RIP]);
  log.access[log.accesses++] = {address, instruction, (registers[REG_ERR] & kWrite) != 0,
                                IsLocked(instruction)};
  const uintptr_t page = address & ~(kPage - 1);
  log.open_page[log.open++] = page;
  Protect(page, kPage, PROT_READ | PROT_WRITE);
  registers[REG_EFL] |= kTrap;
}

void OnTrap(int, siginfo_t*, void* context) {
  Log& log = *g_page.log;
  for (; log.open != 0; --log.open) {
    Protect(log.open_page[log.open - 1], kPage, PROT_NONE);
  }
  constexpr greg_t kTrap = 0x100;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrap;
}

// This thread's stack and thread-local storage. The kernel writes to the latter when it moves a
// thread (rseq), so it stays open also for a thread that waits.
std::vector<Range> OwnMemory() {
  pthread_attr_t attributes;
  void* stack = nullptr;
  size_t size = 0;
  CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
  pthread_attr_getstack(&attributes, &stack, &size);
  pthread_attr_destroy(&attributes);
  const auto begin = reinterpret_cast<uintptr_t>(stack);
  const auto local = reinterpret_cast<uintptr_t>(__builtin_thread_pointer()) & ~(kPage - 1);
  return {{begin, begin + size}, {local - 8 * kPage, local + 4 * kPage}};
}

// Notes what is left of `range` without the holes.
void AddWithout(Log& log, Range range, std::span<const Range> holes) {
  if (range.begin >= range.end) return;
  if (holes.empty()) {
    CHECK(log.ranges < Log::kMaxRanges);
    log.range[log.ranges++] = range;
    return;
  }
  const Range hole = holes.front();
  AddWithout(log, {range.begin, std::min(range.end, hole.begin)}, holes.subspan(1));
  AddWithout(log, {std::max(range.begin, hole.end), range.end}, holes.subspan(1));
}

void ReadMaps(Log& log) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t used = 0;
  for (ssize_t n; (n = read(fd, log.maps + used, Log::kMaxMaps - 1 - used)) > 0;) {
    used += static_cast<size_t>(n);
  }
  close(fd);
  CHECK(used > 0 && used < Log::kMaxMaps - 1);
}

// Notes the heap, the program's variables and everything mapped for no file, but what is `open`.
// Allocates nothing: what it has found must stay so.
void FindMemory(Log& log, std::span<const Range> open_ranges) {
  char program[PATH_MAX] = "";
  CHECK(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
  ReadMaps(log);
  const char* line = log.maps;
  for (const char* end; (end = std::strchr(line, '\n')) != nullptr; line = end + 1) {
    Range range;
    char rights[5], path[PATH_MAX] = "";
    // The rest of the line only: a mapping without a name must not take the next line for it.
    char text[PATH_MAX + 128] = "";
    std::memcpy(text, line, std::min<size_t>(static_cast<size_t>(end - line), sizeof(text) - 1));
    if (std::sscanf(text, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %4095s", &range.begin,
                    &range.end, rights, path) < 3) {
      continue;
    }
    const std::string_view where = path;
    if (std::string_view(rights) == "rw-p" &&
        (where.empty() || where == "[heap]" || where == program)) {
      AddWithout(log, range, open_ranges);
    }
  }
}

// What `call` does to memory that is neither its thread's own nor that of another one who waits.
std::vector<Access> LogOf(const std::function<void()>& call, const std::vector<Range>& of_other) {
  void* const place =
      mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED);
  g_page.log = ::new (place) Log;
  std::vector<Range> open_ranges = OwnMemory();
  open_ranges.insert(open_ranges.end(), of_other.begin(), of_other.end());
  const auto page = reinterpret_cast<uintptr_t>(&g_page);
  open_ranges.push_back({page, page + kPage});
  struct sigaction fault = {}, trap = {}, old_fault, old_trap;
  fault.sa_sigaction = OnFault;
  trap.sa_sigaction = OnTrap;
  fault.sa_flags = trap.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &fault, &old_fault);
  sigaction(SIGTRAP, &trap, &old_trap);
  FindMemory(*g_page.log, open_ranges);
  const auto protect = [](long rights) {
    for (size_t i = 0; i < g_page.log->ranges; ++i) {
      const Range& range = g_page.log->range[i];
      Protect(range.begin, range.end - range.begin, rights);
    }
  };
  protect(PROT_NONE);
  call();
  protect(PROT_READ | PROT_WRITE);
  sigaction(SIGSEGV, &old_fault, nullptr);
  sigaction(SIGTRAP, &old_trap, nullptr);
  std::vector<Access> log(g_page.log->access, g_page.log->access + g_page.log->accesses);
  munmap(g_page.log, sizeof(Log));
  g_page.log = nullptr;
  return log;
}

std::set<uintptr_t> Lines(const std::vector<Access>& log, bool stores_only) {
  std::set<uintptr_t> lines;
  for (const Access& access : log) {
    if (access.store || !stores_only) lines.insert(access.line());
  }
  return lines;
}

extern "C" const char __executable_start;

// For addr2line.
std::string TextOf(const Access& access) {
  return absl::StrFormat("%s%s at %#x of the program", access.locked ? "locked " : "",
                         access.store ? "store" : "load",
                         access.instruction - reinterpret_cast<uintptr_t>(&__executable_start));
}

// The accesses that a second thread could feel: locked ones, and stores to lines that it uses.
std::vector<std::string> Felt(const std::vector<Access>& log, const std::vector<Access>& other) {
  const std::set<uintptr_t> used = Lines(other, false);
  std::vector<std::string> felt;
  for (const Access& access : log) {
    if (access.locked || (access.store && used.contains(access.line()))) {
      felt.push_back(TextOf(access));
    }
  }
  return felt;
}

class NoSharedStore : public fixture::VfsTest {
 protected:
  NoSharedStore() {
    fs().Make({Dir("/a/b/c/d"), Text("/a/b/c/d/f", "four"), Link("/a/b/c/d/l", "f")});
  }
  void SetUp() override {
    if (!DENTREE_CAN_LOG) GTEST_SKIP() << "a sanitizer wants these signals for itself";
    if (!base::BuiltOptimized()) GTEST_SKIP() << "without optimization every store is locked";
  }

  struct Logs {
    std::vector<Access> first, second;  // of two threads with one task
  };
  static Logs LogsOf(const std::function<void()>& call) { return LogsOf(call, call); }
  static Logs LogsOf(const std::function<void()>& first_call,
                     const std::function<void()>& second_call) {
    Logs logs;
    const std::vector<Range> of_first = OwnMemory();
    const auto log_here = [&](const std::function<void()>& call, std::vector<Access>& log) {
      for (int i = 0; i < 3; ++i) call();  // what it needs is cached, the thread is known
      log = LogOf(call, of_first);
    };
    log_here(first_call, logs.first);
    // While the second one works, the first one uses nothing but its stack.
    std::atomic<bool> stands_still = false, done = false;
    std::thread second([&] {
      while (!stands_still) std::this_thread::yield();
      log_here(second_call, logs.second);
      done = true;
    });
    stands_still = true;
    while (!done) __builtin_ia32_pause();
    second.join();
    return logs;
  }
  // The dentry of the file, which a walk to it has to read.
  bool HasReadDentry(const std::vector<Access>& log) {
    const auto place = task().Resolve("/a/b/c/d/f");
    return Lines(log, false).contains(reinterpret_cast<uintptr_t>(place->dentry.get()) / kLine);
  }
  void ExpectNothingFelt(const std::function<void()>& call) {
    const Logs logs = LogsOf(call);
    EXPECT_TRUE(HasReadDentry(logs.first));
    EXPECT_TRUE(HasReadDentry(logs.second));
    EXPECT_THAT(Felt(logs.first, logs.second), testing::IsEmpty());
    EXPECT_THAT(Felt(logs.second, logs.first), testing::IsEmpty());
  }
};

TEST_F(NoSharedStore, StatOfACachedPathStoresNothingSharedAndLocksNothing) {
  ExpectNothingFelt([this] { CHECK(task().Stat("/a/b/c/d/f")->size == 4); });
}

TEST_F(NoSharedStore, StatFromADescriptorStoresNothingSharedAndLocksNothing) {
  const int dir = task().Open("/a/b", O_RDONLY | O_DIRECTORY).value();
  ExpectNothingFelt([this, dir] { CHECK(task().StatAt(dir, "c/d/f", Follow::kYes)->size == 4); });
}

TEST_F(NoSharedStore, LstatOfALinkAndStatThroughItStoreNothingSharedAndLockNothing) {
  ExpectNothingFelt([this] {
    CHECK(IsSymlink(task().Lstat("/a/b/c/d/l")->mode));
    CHECK(task().Stat("/a/b/c/d/l")->size == 4);
  });
}

TEST_F(NoSharedStore, StatOfAMissingNameStoresNothingSharedAndLocksNothing) {
  ExpectNothingFelt([this] {
    CHECK(!task().Stat("/a/b/c/d/none").has_value());
    CHECK(task().Stat("/a/b/c/d/f").has_value());
  });
}

TEST_F(NoSharedStore, AccessStoresNothingSharedAndLocksNothing) {
  ExpectNothingFelt([this] { CHECK(task().Access("/a/b/c/d/f", kMayRead).has_value()); });
}

TEST_F(NoSharedStore, ReadlinkStoresNothingSharedAndLocksNothing) {
  ExpectNothingFelt([this] {
    CHECK(task().Readlink("/a/b/c/d/l").value() == "f");
    CHECK(task().Stat("/a/b/c/d/f").has_value());
  });
}

// The slots of the hash table are another matter: two of them stand in one line by chance.
TEST_F(NoSharedStore, NamesMadeAndMovedChangeNoLineOfTheVfsThatAStatReads) {
  fs().Make({Dir("/other")});
  const Logs logs = LogsOf([this] { CHECK(task().Stat("/a/b/c/d/f")->size == 4); },
                           [this] {
                             CHECK(task().Mknod("/other/x", S_IFREG | 0644, 0).has_value());
                             CHECK(task().Rename("/other/x", "/other/y").has_value());
                             CHECK(task().Unlink("/other/y").has_value());
                           });
  const auto begin = reinterpret_cast<uintptr_t>(&vfs());
  const std::set<uintptr_t> read = Lines(logs.first, false);
  std::vector<std::string> felt;
  for (const Access& access : logs.second) {
    const bool ours = begin <= access.address && access.address < begin + sizeof(Vfs);
    if (access.store && ours && read.contains(access.line())) felt.push_back(TextOf(access));
  }
  EXPECT_THAT(felt, testing::IsEmpty());
}

TEST_F(NoSharedStore, TheLogShowsWhatAnOpenStoresAndLocks) {
  const Logs logs = LogsOf(
      [this] { CHECK(task().Close(task().Open("/a/b/c/d/f", O_RDONLY).value()).has_value()); });
  EXPECT_THAT(Felt(logs.first, logs.second), testing::Not(testing::IsEmpty()));
  const auto locked = [](const Access& access) { return access.locked && access.store; };
  EXPECT_TRUE(std::any_of(logs.first.begin(), logs.first.end(), locked));
}

}  // namespace
}  // namespace dentree::vfs
