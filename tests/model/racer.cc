#include "tests/model/racer.h"

#include <sched.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace dentree::model {

namespace {

using base::Result;
using base::Status;

int ErrorOf(const Status& status) { return status ? 0 : static_cast<int>(status.error()); }

// Takes one name at a time, so that a listing is made of many calls.
class OneName final : public vfs::DirSink {
 public:
  bool Emit(std::string_view name, vfs::Ino, vfs::FileType, int64_t) override {
    if (!last.empty()) return false;
    last = name;
    return true;
  }
  std::string last;
};

}  // namespace

void Chaos::Pause() {
  switch (random_.Below(4)) {
    case 0:
      sched_yield();
      break;
    case 1:
      for (uint64_t spins = random_.Below(300); spins > 0; --spins) __builtin_ia32_pause();
      break;
    default:
      break;
  }
}

void Racer::Run(Call& call) {
  chaos_.Pause();
  call.begin = clock_.fetch_add(1);
  call.error = Do(call);
  call.end = clock_.fetch_add(1);
}

int Racer::Do(Call& call) {
  const std::string path = ToString(call.path);
  switch (call.kind) {
    case CallKind::kCreate:
      return Open(call, Create(path), file_);
    case CallKind::kOpen:
      return Open(call, task().Open(path, O_RDWR), file_);
    case CallKind::kOpenDir:
      return Open(call, task().Open(path, O_RDONLY | O_DIRECTORY), dir_);
    case CallKind::kMkdir:
      return ErrorOf(Mkdir(path));
    case CallKind::kRmdir:
      return ErrorOf(Rmdir(path));
    case CallKind::kUnlink:
      return ErrorOf(Unlink(path));
    case CallKind::kLink:
      return ErrorOf(Link(path, ToString(call.path2)));
    case CallKind::kRename:
      return ErrorOf(Rename(path, ToString(call.path2)));
    case CallKind::kStat: {
      const Result<vfs::Stat> stat = Stat(path);
      if (!stat) return static_cast<int>(stat.error());
      call.is_dir = vfs::IsDir(stat->mode);
      call.ino = call.is_dir ? 0 : stat->ino;
      call.nlink = call.is_dir ? 0 : stat->nlink;
      return 0;
    }
    case CallKind::kList:
      return List(call);
    case CallKind::kFinal:
      call.tree = TreeText(task(), ".");
      return 0;
    default:
      return Transfer(call);
  }
}

Result<int> Racer::Create(const std::string& path) {
  return task().Open(path, O_RDWR | O_CREAT | O_EXCL, 0666);
}

int Racer::Open(Call& call, Result<int> fd, int& mine) {
  if (!fd) return static_cast<int>(fd.error());
  if (mine >= 0) static_cast<void>(task().Close(mine));
  mine = *fd;
  if (call.kind != CallKind::kOpenDir) call.ino = task().Fstat(mine).value().ino;
  return 0;
}

int Racer::List(Call& call) {
  const auto rewound = task().Lseek(dir_, 0, vfs::Whence::kSet);
  if (!rewound) return static_cast<int>(rewound.error());
  for (;;) {
    chaos_.Pause();
    OneName one;
    const Status status = task().Getdents(dir_, one);
    // What was removed has no names any more.
    if (!status) return status.error() == base::Errno::kNoEnt ? 0 : ErrorOf(status);
    if (one.last.empty()) return 0;
    if (one.last[0] != '.') ++call.listed[static_cast<size_t>(one.last[0] - 'a')];
  }
}

int Racer::Transfer(Call& call) {
  const auto byte = std::as_writable_bytes(std::span(&call.byte, 1));
  const auto n =
      call.kind == CallKind::kRead ? task().Pread(file_, byte, 0) : task().Pwrite(file_, byte, 0);
  return n ? 0 : static_cast<int>(n.error());
}

std::string TreeText(vfs::Task& task, const std::string& dir) {
  std::vector<vfs::DirEntry> entries = task.ListDir(dir).value();
  std::sort(entries.begin(), entries.end(),
            [](const vfs::DirEntry& a, const vfs::DirEntry& b) { return a.name < b.name; });
  std::string text = "{";
  for (const vfs::DirEntry& entry : entries) {
    const std::string path = dir + "/" + entry.name;
    const vfs::Stat stat = task.Lstat(path).value();
    text += entry.name;
    if (vfs::IsDir(stat.mode)) {
      text += TreeText(task, path);
    } else {
      absl::StrAppendFormat(&text, "(%d %d %s)", stat.ino, stat.nlink, task.ReadFile(path).value());
    }
  }
  return text + "}";
}

// --- bugs --------------------------------------------------------------------------------------

namespace {

class RenameByLink final : public Racer {
 public:
  using Racer::Racer;

 private:
  Status Rename(const std::string& from, const std::string& to) override {
    if (!task().Link(from, to)) return Racer::Rename(from, to);
    Pause();
    return task().Unlink(from);
  }
};

class CreateByLook final : public Racer {
 public:
  using Racer::Racer;

 private:
  Result<int> Create(const std::string& path) override {
    if (task().Lstat(path)) return Racer::Create(path);
    Pause();
    return task().Open(path, O_RDWR | O_CREAT, 0666);
  }
};

class UnlinkTwice final : public Racer {
 public:
  using Racer::Racer;

 private:
  Status Unlink(const std::string& path) override {
    const bool there = task().Lstat(path).has_value();
    Pause();
    Status status = task().Unlink(path);
    if (!status && there && status.error() == base::Errno::kNoEnt) return {};
    return status;
  }
};

class StaleLookup final : public Racer {
 public:
  using Racer::Racer;

 private:
  Result<vfs::Stat> Stat(const std::string& path) override {
    const Result<vfs::Stat> stat = Racer::Stat(path);
    if (stat) last_.insert_or_assign(path, *stat);
    const auto last = last_.find(path);
    return last == last_.end() ? stat : last->second;
  }
  std::map<std::string, vfs::Stat> last_;
};

class MkdirTooEarly final : public Racer {
 public:
  using Racer::Racer;

 private:
  Status Mkdir(const std::string& path) override {
    // The name is there before it is a directory.
    if (!task().Mknod(path, S_IFREG | 0600, 0)) return Racer::Mkdir(path);
    Pause();
    static_cast<void>(task().Unlink(path));
    return Racer::Mkdir(path);
  }
};

class RmdirByLook final : public Racer {
 public:
  using Racer::Racer;

 private:
  Status Rmdir(const std::string& path) override {
    const auto names = task().ListDir(path);
    if (!names || !names->empty()) return Racer::Rmdir(path);
    Pause();
    // Whatever came to be in it meanwhile goes too.
    const Status gone = task().Rename(path, "../trash" + std::to_string(removed_++));
    return gone ? Status() : Racer::Rmdir(path);
  }
  int removed_ = 0;
};

class LinkCountRaces final : public Racer {
 public:
  using Racer::Racer;

 private:
  Status Link(const std::string& from, const std::string& to) override {
    const Result<vfs::Stat> before = task().Lstat(from);
    Status status = Racer::Link(from, to);
    if (status && before) uncounted_ = before->ino;
    return status;
  }
  Result<vfs::Stat> Stat(const std::string& path) override {
    Result<vfs::Stat> stat = Racer::Stat(path);
    if (stat && stat->ino == uncounted_) --stat->nlink;
    return stat;
  }
  vfs::Ino uncounted_ = 0;
};

template <class T>
std::unique_ptr<Racer> New(std::unique_ptr<vfs::Task> task, std::atomic<uint64_t>& clock,
                           uint64_t seed) {
  return std::make_unique<T>(std::move(task), clock, seed);
}

constexpr RacerBug kBugs[] = {
    {"rename-by-link", "rename is link and unlink: both names are seen", New<RenameByLink>},
    {"create-by-look", "O_EXCL looks first and creates then: two may win", New<CreateByLook>},
    {"unlink-twice", "two who remove one name are both told of success", New<UnlinkTwice>},
    {"stale-lookup", "stat answers from before a removal", New<StaleLookup>},
    {"mkdir-too-early", "a new directory is seen before it is one", New<MkdirTooEarly>},
    {"rmdir-by-look", "rmdir looks for names first and removes then", New<RmdirByLook>},
    {"link-uncounted", "link does not count", New<LinkCountRaces>},
};

}  // namespace

std::span<const RacerBug> RacerBugs() { return kBugs; }

const RacerBug* FindRacerBug(std::string_view name) {
  for (const RacerBug& bug : kBugs) {
    if (name == bug.name) return &bug;
  }
  return nullptr;
}

}  // namespace dentree::model
