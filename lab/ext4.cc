#include "lab/ext4.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_format.h"

namespace dentree::lab {

namespace {

using Clock = std::chrono::steady_clock;

constexpr off_t kImageBytes = off_t{64} << 20;
constexpr uint64_t kLookupsPerLook = 4096;  // between looks at the interrupt

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Runs a program of the host, silently. Empty when it succeeded.
std::string Execute(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const int fd : {0, 1, 2}) {
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return words[0] + ": " + std::strerror(error);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return absl::StrFormat("%s failed (status %d)", words[0],
                         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

// An empty ext4, mounted as long as this lives.
class Ext4 {
 public:
  Ext4() = default;
  Ext4(const Ext4&) = delete;
  Ext4& operator=(const Ext4&) = delete;
  ~Ext4() {
    if (mounted_) (void)Execute({"umount", path()});
    std::error_code ignored;
    // Not recursively: if the umount failed, what is mounted stays as it is.
    std::filesystem::remove(path(), ignored);
    std::filesystem::remove(image(), ignored);
    std::filesystem::remove(top_, ignored);
  }

  // Empty, or why there is none.
  std::string Mount() {
    std::error_code error;
    std::string pattern = std::filesystem::temp_directory_path(error) / "dentree_ext4_XXXXXX";
    if (error || ::mkdtemp(pattern.data()) == nullptr) return "no temporary directory";
    top_ = pattern;
    if (!std::filesystem::create_directory(path(), error)) return error.message();
    std::ofstream(image()).close();
    std::filesystem::resize_file(image(), static_cast<uintmax_t>(kImageBytes), error);
    if (error) return image() + ": " + error.message();
    if (auto why = Execute({"mkfs.ext4", "-q", "-F", image()}); !why.empty()) return why;
    if (auto why = Execute({"mount", "-t", "ext4", "-o", "loop", image(), path()}); !why.empty()) {
      return why;
    }
    mounted_ = true;
    return "";
  }

  std::string path() const { return top_ + "/mount"; }

 private:
  std::string image() const { return top_ + "/image"; }

  std::string top_;
  bool mounted_ = false;
};

// Bytes of all dentries of the kernel, from /proc/slabinfo; 0 when it may not be read.
double DentryBytes() {
  std::ifstream file("/proc/slabinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double active = 0, total = 0, size = 0;
    if (words >> name >> active >> total >> size && name == "dentry") return total * size;
  }
  return 0;
}

// Mean ns of a lookup of each of the names; negative after an interrupt.
double LookUpAll(const std::string& dir, uint64_t names, const std::atomic<bool>* interrupt) {
  const int fd = ::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  const auto start = Clock::now();
  bool stopped = false;
  char name[16];
  for (uint64_t i = 0; i < names && !stopped; ++i) {
    (void)absl::SNPrintF(name, sizeof(name), "n%010d", i);
    struct stat st;
    (void)::fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW);
    stopped = i % kLookupsPerLook == 0 && interrupt != nullptr && interrupt->load();
  }
  ::close(fd);
  return stopped ? -1 : SecondsSince(start) * 1e9 / static_cast<double>(names);
}

}  // namespace

std::expected<Ext4Result, std::string> RunExt4(uint64_t names, const std::atomic<bool>* interrupt) {
  if (::geteuid() != 0) return std::unexpected("only root may mount");
  Ext4 ext4;
  if (auto why = ext4.Mount(); !why.empty()) return std::unexpected(why);
  const std::string dir = ext4.path() + "/dir";
  if (::mkdir(dir.c_str(), 0755) != 0) return std::unexpected(dir + ": " + std::strerror(errno));
  Ext4Result result{.names = names};
  const double before = DentryBytes();
  result.miss_ns = LookUpAll(dir, names, interrupt);
  const double after = DentryBytes();
  if (result.miss_ns >= 0) result.hit_ns = LookUpAll(dir, names, interrupt);
  if (result.miss_ns < 0 || result.hit_ns < 0) return std::unexpected("interrupted");
  if (before > 0) result.bytes_per_name = (after - before) / static_cast<double>(names);
  const auto start = Clock::now();
  if (::rmdir(dir.c_str()) != 0) return std::unexpected(dir + ": " + std::strerror(errno));
  result.rmdir_seconds = SecondsSince(start);
  return result;
}

std::string Ext4Text(const std::expected<Ext4Result, std::string>& result) {
  if (!result) return "Linux's ext4: skipped: " + result.error() + "\n";
  return absl::StrFormat(
      "Linux's ext4: %d names: %.0f bytes for each, %.0f ns for the first lookup, %.0f for the "
      "second, rmdir %.1f ms\n",
      result->names, result->bytes_per_name, result->miss_ns, result->hit_ns,
      result->rmdir_seconds * 1e3);
}

}  // namespace dentree::lab
