// Opening, making, removing, renaming and listing, next to the kernel's tmpfs and LLVM's file
// system in memory. One path, everything cached, unless a title says otherwise.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/harness.h"
#include "bench/paths.h"
#include "bench/peer_llvm.h"
#include "bench/tmpfs.h"
#include "bench/tree.h"

namespace dentree {
namespace {

using bench::AtLeast;
using bench::AtMost;
using bench::Chain;
using bench::Companion;
using bench::Experiment;
using bench::FileAt;
using bench::NewAt;
using bench::Ours;
using bench::SiblingAt;
using Contender = Experiment::Contender;

constexpr int kDepth = 6;

// The kernel's name for a path of ours: relative to the directory on tmpfs.
std::string Relative(const std::string& path) { return path.substr(1); }

// --- Listing ---

// What getdents64 fills: records of linux_dirent64 in 64 KiB.
class Records final : public vfs::DirSink {
 public:
  struct Head {
    uint64_t ino;
    int64_t next;
    uint16_t size;
    uint8_t type;
  };
  static constexpr size_t kHead = 19;  // sizeof without the padding behind it

  bool Emit(std::string_view name, vfs::Ino ino, vfs::FileType type, int64_t next) override {
    const size_t size = (kHead + name.size() + 1 + 7) / 8 * 8;
    if (size > bytes_.size() - used_) return false;
    char* const at = bytes_.data() + used_;
    // Field by field: a Head made first would be read back while its parts are still on their way.
    std::memcpy(at, &ino, sizeof(ino));
    std::memcpy(at + 8, &next, sizeof(next));
    const auto short_size = static_cast<uint16_t>(size);
    std::memcpy(at + 16, &short_size, sizeof(short_size));
    at[18] = static_cast<char>(type);
    CopyName(at + kHead, name);
    at[kHead + name.size()] = 0;
    used_ += size;
    return true;
  }

  // Of 8 to 16 bytes, as most names here are, in two words.
  static void CopyName(char* to, std::string_view name) {
    if (name.size() < 8 || name.size() > 16) {
      std::memcpy(to, name.data(), name.size());
      return;
    }
    std::memcpy(to, name.data(), 8);
    std::memcpy(to + name.size() - 8, name.data() + name.size() - 8, 8);
  }

  char* data() { return bytes_.data(); }
  size_t capacity() const { return bytes_.size(); }
  void SetUsed(size_t used) { used_ = used; }
  size_t used() const { return used_; }
  void Clear() { used_ = 0; }

  // Calls fn(name) for each; the name ends with a NUL.
  template <class Fn>
  uint64_t ForEach(Fn fn) const {
    uint64_t count = 0;
    for (size_t at = 0; at < used_; ++count) {
      Head head;
      std::memcpy(&head, bytes_.data() + at, kHead);
      fn(std::string_view(bytes_.data() + at + kHead));
      at += head.size;
    }
    return count;
  }
  uint64_t Count() const {
    uint64_t count = 0;
    for (size_t at = 0; at < used_; ++count) {
      uint16_t size;
      std::memcpy(&size, bytes_.data() + at + 16, sizeof(size));
      at += size;
    }
    return count;
  }

 private:
  alignas(64) std::array<char, 64 * 1024> bytes_;
  size_t used_ = 0;
};

enum class AlsoStat : bool { kNo, kYes };

// A directory that is listed from its beginning to its end, again and again.
class OurDirectory {
 public:
  OurDirectory(vfs::Task& task, const std::string& path)
      : task_(task), fd_(task.Open(path, O_RDONLY | O_DIRECTORY).value()) {}
  ~OurDirectory() { CHECK(task_.Close(fd_).has_value()); }
  OurDirectory(const OurDirectory&) = delete;
  OurDirectory& operator=(const OurDirectory&) = delete;

  uint64_t List(AlsoStat stat) {
    CHECK(task_.Lseek(fd_, 0, vfs::Whence::kSet).has_value());
    for (uint64_t entries = 0;;) {
      records_.Clear();
      CHECK(task_.Getdents(fd_, records_).has_value());
      if (records_.used() == 0) return entries;
      if (stat == AlsoStat::kNo) {
        entries += records_.Count();
      } else {
        entries += records_.ForEach([this](std::string_view name) {
          bench::Keep(task_.StatAt(fd_, name, vfs::Follow::kNo)->ino);
        });
      }
    }
  }

 private:
  vfs::Task& task_;
  const int fd_;
  Records records_;
};

class TmpfsDirectory {
 public:
  TmpfsDirectory(const bench::Tmpfs& tmpfs, const std::string& path)
      : fd_(::openat(tmpfs.fd(), Relative(path).c_str(), O_RDONLY | O_DIRECTORY)) {}
  ~TmpfsDirectory() { ::close(fd_); }
  TmpfsDirectory(const TmpfsDirectory&) = delete;
  TmpfsDirectory& operator=(const TmpfsDirectory&) = delete;

  uint64_t List(AlsoStat stat) {
    ::lseek(fd_, 0, SEEK_SET);
    for (uint64_t entries = 0;;) {
      const long size = ::syscall(SYS_getdents64, fd_, records_.data(), records_.capacity());
      CHECK(size >= 0);
      if (size == 0) return entries;
      records_.SetUsed(static_cast<size_t>(size));
      if (stat == AlsoStat::kNo) {
        entries += records_.Count();
      } else {
        entries += records_.ForEach([this](std::string_view name) {
          struct ::stat attributes;
          bench::SyscallStat(fd_, name.data(), &attributes);
        });
      }
    }
  }

 private:
  const int fd_;
  Records records_;
};

std::string NameOf(uint64_t i) { return absl::StrFormat("f%07d", i); }

// --- Memory ---

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class FilesBench {
 public:
  FilesBench(bench::Report& report, uint64_t entries) : report_(report), entries_(entries) {}

  void Bulk();
  void MakeTrees();
  void Opens();
  void OpensTogether();
  void Pairs();
  void Lists();

 private:
  void BulkOnce(const std::vector<std::string>& names, bool reports);
  // What is done and undone again.
  struct Pair {
    std::string name;
    std::function<void()> ours, tmpfs;
    std::string goal;
    double bound, over_tmpfs;  // 0: no goal
    double each = 1;           // operations of the pair
  };
  std::vector<Pair> AllPairs();
  void MakeDirectory(const std::string& path, uint64_t entries, bool shuffled);
  void MeasureList(const std::string& title, const std::string& path, uint64_t entries,
                   double bound, AlsoStat stat, double stat_bound);

  bench::Report& report_;
  const uint64_t entries_;  // of the largest directory
  std::unique_ptr<Ours> ours_;
  bench::Tmpfs tmpfs_;
  std::unique_ptr<bench::LlvmFiles> llvm_ = bench::LlvmFiles::Create();
  std::vector<double> bulk_ns_;
};

// --- G9 ---

void FilesBench::BulkOnce(const std::vector<std::string>& names, bool reports) {
  const double files = static_cast<double>(names.size());
  const Ours ours;
  ours.Mkdir("/bulk");
  const int dir = ours.task->Open("/bulk", O_RDONLY | O_DIRECTORY).value();
  const double resident = ResidentBytes();
  const size_t used = ours.vfs->memory().used();
  const int64_t start = NowNs();
  for (const std::string& name : names) {
    CHECK(ours.task->Mknod(name, S_IFREG | 0644, 0, dir).has_value());
  }
  bulk_ns_.push_back(static_cast<double>(NowNs() - start) / files);
  const double charged = static_cast<double>(ours.vfs->memory().used() - used) / files;
  const double grown = (ResidentBytes() - resident) / files;
  CHECK(ours.task->Close(dir).has_value());
  if (!reports) return;
  report_.Value("ours: bytes per file, charged", charged, "B");
  report_.Value("ours: bytes per file, resident", grown, "B");
  report_.Goal("G9", absl::StrFormat("bulk create of %d, resident bytes per file", names.size()),
               grown, "B", AtMost(288));
}

void FilesBench::Bulk() {
  constexpr int kTimes = 5;
  std::vector<std::string> names;
  for (uint64_t i = 0; i < entries_; ++i) names.push_back(NameOf(i));
  report_.Grid(absl::StrFormat("%d files made in one directory", entries_), {}, {});
  for (int i = 0; i < kTimes; ++i) BulkOnce(names, i == 0);
  report_.Value("ours: per file, median of 5", bench::Median(bulk_ns_), "ns");
  report_.Goal("G9", absl::StrFormat("bulk create of %d, per file", entries_),
               bench::Median(bulk_ns_), "ns", AtMost(200));
  const auto each = [&](auto make) {
    const int64_t start = NowNs();
    for (const std::string& name : names) make(name);
    return static_cast<double>(NowNs() - start) / static_cast<double>(names.size());
  };
  if (tmpfs_) {
    tmpfs_.Mkdir("/big00001");
    const int dir = ::openat(tmpfs_.fd(), "big00001", O_RDONLY | O_DIRECTORY);
    const double ns = each([dir](const std::string& name) {
      CHECK(::mknodat(dir, name.c_str(), S_IFREG | 0644, 0) == 0);
    });
    ::close(dir);
    report_.Value("tmpfs: per file, once", ns, "ns");
  }
  if (llvm_ != nullptr) {
    const double resident = ResidentBytes();
    const double ns = each([this](const std::string& name) { llvm_->Add("/big00001/" + name); });
    report_.Value("LLVM: per file, once", ns, "ns");
    report_.Value("LLVM: bytes per file, resident",
                  (ResidentBytes() - resident) / static_cast<double>(entries_), "B");
  }
}

void FilesBench::MakeTrees() {
  const std::vector<std::string> files = {FileAt(kDepth), SiblingAt(kDepth), "/other001/file0001",
                                          "/other002/file0001"};
  ours_ = std::make_unique<Ours>(files);
  if (tmpfs_) {
    bench::ForEachDirectory(files, [this](const std::string& path) { tmpfs_.Mkdir(path); });
    for (const std::string& file : files) tmpfs_.Create(file);
  }
  if (llvm_ != nullptr) llvm_->Add(FileAt(kDepth));
}

// --- G6 ---

void OpenAndClose(vfs::Task& task, std::string_view path) {
  const auto fd = task.Open(path, O_RDONLY);
  CHECK(fd.has_value() && task.Close(*fd).has_value());
}

void FilesBench::Opens() {
  const std::string path = FileAt(kDepth);
  Experiment experiment(report_.rounds());
  vfs::Task& task = *ours_->task;
  const Contender& ours = experiment.Add("ours", [&](uint64_t n) {
    while (n--) OpenAndClose(task, path);
  });
  experiment.Add("ours, O_PATH", [&](uint64_t n) {
    while (n--) CHECK(task.Close(task.Open(path, O_PATH).value()).has_value());
  });
  const bench::Paths paths({path});
  if (llvm_ != nullptr) {
    experiment.Add(absl::StrFormat("LLVM %d", bench::LlvmFiles::Version()),
                   [&, at = size_t{0}](uint64_t n) mutable { llvm_->Open(paths, at, n); });
  }
  const Contender* raw = nullptr;
  const Contender* net = nullptr;
  if (tmpfs_) {
    raw = &experiment.Add("tmpfs openat + close, raw", [&, inside = Relative(path)](uint64_t n) {
      while (n--) {
        const long fd = ::syscall(SYS_openat, tmpfs_.fd(), inside.c_str(), O_RDONLY);
        ::syscall(SYS_close, fd);
      }
    });
    const Contender& floor = experiment.Add("two system calls (getppid)", [](uint64_t n) {
      while (n--) bench::SyscallNothing(), bench::SyscallNothing();
    });
    net = &experiment.AddDifference("tmpfs, net of the floor", *raw, floor);
  }
  experiment.Run();
  report_.Table("open + close d6, throughput", experiment);
  if (raw != nullptr) {
    report_.Value("tmpfs over ours, raw", raw->RatioTo(ours), "x");
    report_.Value("tmpfs over ours, net", net->RatioTo(ours), "x");
  }
  report_.Goal("G6", "open + close d6", ours.median(), "ns", AtMost(80));
}

void FilesBench::OpensTogether() {
  if (report_.other_processor() < 0) return;
  vfs::Task& task = *ours_->task;
  const std::unique_ptr<vfs::Task> other = task.Fork();
  Companion companion(report_.other_processor());
  Experiment experiment(report_.rounds());
  const auto body = [&](uint64_t n) {
    const std::string path = FileAt(kDepth);
    while (n--) OpenAndClose(task, path);
  };
  const auto job = [&](const std::string& path) {
    return [&other, path] {
      for (int i = 0; i < 16; ++i) OpenAndClose(*other, path);
    };
  };
  const Contender& alone = experiment.Add("alone", body);
  const Contender& same = experiment.AddBeside("same file", companion, job(FileAt(kDepth)), body);
  experiment.AddBeside("sibling", companion, job(SiblingAt(kDepth)), body);
  experiment.AddBeside("another tree", companion, job("/other001/file0001"), body);
  experiment.Run();
  report_.Table("open + close d6 beside a second thread that does it too", experiment);
  report_.Value("same file over alone", same.RatioTo(alone), "x");
  report_.Goal("G6", "open + close d6, same file on 2 CPUs, over alone", same.RatioTo(alone), "x",
               AtMost(1.5));
}

// --- G7, G8 ---

std::vector<FilesBench::Pair> FilesBench::AllPairs() {
  vfs::Task& task = *ours_->task;
  const int dir = tmpfs_.fd();
  const auto create = [&](int depth) {
    return [&task, path = NewAt(depth)] {
      CHECK(task.Mknod(path, S_IFREG | 0644, 0).has_value() && task.Unlink(path).has_value());
    };
  };
  const auto tmpfs_create = [dir](int depth) {
    return [dir, path = Relative(NewAt(depth))] {
      ::mknodat(dir, path.c_str(), S_IFREG | 0644, 0);
      ::unlinkat(dir, path.c_str(), 0);
    };
  };
  const auto rename = [&](const std::string& from, const std::string& to) {
    return [&task, from, to] {
      CHECK(task.Rename(from, to).has_value() && task.Rename(to, from).has_value());
    };
  };
  const auto tmpfs_rename = [dir](const std::string& from, const std::string& to) {
    return [dir, from = Relative(from), to = Relative(to)] {
      ::renameat(dir, from.c_str(), dir, to.c_str());
      ::renameat(dir, to.c_str(), dir, from.c_str());
    };
  };
  ours_->Mkdir("/other001/sub00001");
  if (tmpfs_) tmpfs_.Mkdir("/other001/sub00001");
  const std::string file = "/other001/file0001", fresh = "/other001/file0002";
  return {
      {"mknod + unlink d1", create(1), tmpfs_create(1), "G7", 145, 36},
      {"mknod + unlink d6", create(6), tmpfs_create(6), "", 0, 0},
      {"open(O_CREAT) + close + unlink d1",
       [&task, path = NewAt(1)] {
         const auto fd = task.Open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
         CHECK(fd.has_value() && task.Close(*fd).has_value() && task.Unlink(path).has_value());
       },
       [dir, path = Relative(NewAt(1))] {
         ::close(::openat(dir, path.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644));
         ::unlinkat(dir, path.c_str(), 0);
       },
       "", 0, 0},
      {"mkdir + rmdir d1",
       [&task, path = NewAt(1)] {
         CHECK(task.Mkdir(path, 0755).has_value() && task.Rmdir(path).has_value());
       },
       [dir, path = Relative(NewAt(1))] {
         ::mkdirat(dir, path.c_str(), 0755);
         ::unlinkat(dir, path.c_str(), AT_REMOVEDIR);
       },
       "G8", 180, 0},
      {"rename in one directory, each", rename(file, fresh), tmpfs_rename(file, fresh), "G8", 130,
       0, 2},
      {"rename across directories, each", rename(file, "/other002/file0002"),
       tmpfs_rename(file, "/other002/file0002"), "G8", 130, 0, 2},
      {"rename of a directory across directories, each",
       rename("/other001/sub00001", "/other002/sub00001"),
       tmpfs_rename("/other001/sub00001", "/other002/sub00001"), "", 0, 0, 2},
  };
}

void FilesBench::Pairs() {
  const std::vector<Pair> pairs = AllPairs();
  Experiment experiment(report_.rounds());
  std::vector<std::array<const Contender*, 2>> measured;
  for (const Pair& pair : pairs) {
    const auto add = [&](const std::string& name, const std::function<void()>& job) {
      return &experiment.Add(name, [&job](uint64_t n) {
        while (n--) job();
      });
    };
    measured.push_back({add(pair.name, pair.ours), tmpfs_ ? add("  tmpfs", pair.tmpfs) : nullptr});
  }
  experiment.Run();
  std::vector<bench::Report::Row> rows;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [ours, tmpfs] = measured[i];
    const Pair& pair = pairs[i];
    const double ratio = tmpfs != nullptr ? tmpfs->RatioTo(*ours) : 0;
    rows.push_back({pair.name,
                    {ours->min() / pair.each, ours->median() / pair.each,
                     tmpfs != nullptr ? tmpfs->median() / pair.each : 0, ratio}});
    if (pair.bound != 0) {
      report_.Goal(pair.goal, pair.name, ours->median() / pair.each, "ns", AtMost(pair.bound));
    }
    if (pair.over_tmpfs != 0 && tmpfs != nullptr) {
      report_.Goal(pair.goal, pair.name + ", tmpfs raw over ours", ratio, "x",
                   AtLeast(pair.over_tmpfs));
    }
  }
  report_.Grid("names made, removed and moved; ns", {"min", "median", "tmpfs", "over ours"}, rows);
}

// --- G10, G11 ---

// Made in the order of its numbers. Shuffled: all removed again in a random order, and made in
// another one, so that neighbours in the directory are no neighbours in memory.
void FilesBench::MakeDirectory(const std::string& path, uint64_t entries, bool shuffled) {
  vfs::Task& task = *ours_->task;
  ours_->Mkdir(path);
  const int dir = task.Open(path, O_RDONLY | O_DIRECTORY).value();
  std::vector<uint64_t> order(entries);
  for (uint64_t i = 0; i < entries; ++i) order[i] = i;
  std::mt19937_64 random(1);
  const auto make = [&] {
    for (const uint64_t i : order) {
      CHECK(task.Mknod(NameOf(i), S_IFREG | 0644, 0, dir).has_value());
    }
  };
  make();
  if (shuffled) {
    std::shuffle(order.begin(), order.end(), random);
    for (const uint64_t i : order) CHECK(task.Unlink(NameOf(i), dir).has_value());
    std::shuffle(order.begin(), order.end(), random);
    make();
  }
  CHECK(task.Close(dir).has_value());
}

void FilesBench::MeasureList(const std::string& title, const std::string& path, uint64_t entries,
                             double bound, AlsoStat stat, double stat_bound) {
  // A large directory takes milliseconds, and the kernel's a second: the rounds are fewer.
  const int most = entries < 100'000 ? 1001 : entries < 1'000'000 ? 15 : 5;
  Experiment experiment(std::min(report_.rounds(), most));
  const double count = static_cast<double>(entries);
  OurDirectory ours(*ours_->task, path);
  CHECK(ours.List(AlsoStat::kNo) == entries + 2, "and . and ..");
  const auto add = [&](std::string_view name, auto& directory, AlsoStat also) -> const Contender& {
    return experiment.Add(name, [&directory, also](uint64_t n) {
      while (n--) bench::Keep(directory.List(also));
    });
  };
  std::vector<std::pair<std::string, const Contender*>> rows;
  const Contender& list = add("", ours, AlsoStat::kNo);
  rows.emplace_back(title, &list);
  const Contender* with_stat = nullptr;
  if (stat == AlsoStat::kYes) {
    with_stat = &add("", ours, AlsoStat::kYes);
    rows.emplace_back(title + ", with a stat of each", with_stat);
  }
  std::unique_ptr<TmpfsDirectory> tmpfs;
  const std::string twin = path.ends_with("/shuffled") ? "" : path;
  struct ::stat there;
  if (tmpfs_ && !twin.empty() && bench::SyscallStat(tmpfs_.fd(), twin.c_str(), &there) == 0) {
    tmpfs = std::make_unique<TmpfsDirectory>(tmpfs_, twin);
    rows.emplace_back("  tmpfs", &add("", *tmpfs, AlsoStat::kNo));
    if (stat == AlsoStat::kYes) {
      rows.emplace_back("  tmpfs, with a stat of each", &add("", *tmpfs, AlsoStat::kYes));
    }
  }
  experiment.Run();
  for (const auto& [name, contender] : rows) {
    report_.Value(name, contender->median() / count, "ns per entry");
  }
  if (bound != 0) report_.Goal("G10", title, list.median() / count, "ns", AtMost(bound));
  if (stat_bound != 0) {
    report_.Goal("G11", title + ", with a stat of each", with_stat->median() / count, "ns",
                 AtMost(stat_bound));
  }
}

void FilesBench::Lists() {
  report_.Grid("listing a directory into records of getdents64", {}, {});
  struct Size {
    uint64_t entries;
    double bound;
    double stat_bound;
  };
  int number = 1;
  for (const Size& size :
       {Size{10, 0, 0}, Size{1000, 2.5, 25}, Size{100'000, 0, 0}, Size{entries_, 6, 0}}) {
    const std::string path =
        size.entries == entries_ ? "/big00001" : absl::StrFormat("/lst%05d", number++);
    MakeDirectory(path, size.entries, false);
    if (tmpfs_ && size.entries != entries_) {
      tmpfs_.Mkdir(path);
      for (uint64_t i = 0; i < size.entries; ++i) tmpfs_.Create(path + "/" + NameOf(i));
    }
    MeasureList(absl::StrFormat("ours, %d entries", size.entries), path, size.entries, size.bound,
                AlsoStat::kYes, size.stat_bound);
  }
  MakeDirectory("/shuffled", entries_, true);
  MeasureList(absl::StrFormat("ours, %d entries, shuffled", entries_), "/shuffled", entries_, 6,
              AlsoStat::kYes, 0);
}

}  // namespace
}  // namespace dentree

int main(int argc, char** argv) {
  uint64_t entries = 1'000'000;
  dentree::bench::Report report(argc, argv, {{"--entries", &entries}});
  dentree::FilesBench files(report, entries);
  files.Bulk();
  files.MakeTrees();
  files.Opens();
  files.OpensTogether();
  files.Pairs();
  files.Lists();
}
