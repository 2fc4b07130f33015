#include "tests/model/inject.h"

#include <sys/stat.h>

#include <cerrno>
#include <iterator>
#include <set>

#include "tests/model/pass_through.h"

namespace dentree::model {

namespace {

// Runs something as root, as code does that forgot to ask who calls.
template <class Do>
int64_t Unchecked(System& system, const Do& action) {
  system.Inspect(true);
  const int64_t answer = action();
  system.Inspect(false);
  return answer;
}

class RenameAncestorErrno final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Rename(const std::string& from, const std::string& to, unsigned flags) override {
    const int64_t answer = below().Rename(from, to, flags);
    return answer == -EINVAL && flags == 0 ? -ENOTEMPTY : answer;
  }
};

class NlinkStays final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Unlink(int dir, const std::string& path) override {
    Attr attr;
    const bool linked = below().Stat(dir, path, false, attr) == 0 && attr.nlink > 1;
    const int64_t answer = below().Unlink(dir, path);
    if (answer == 0 && linked) kept_.insert(attr.ino);
    return answer;
  }
  int64_t Stat(int dir, const std::string& path, bool follow, Attr& attr) override {
    return Keep(below().Stat(dir, path, follow, attr), attr);
  }
  int64_t Fstat(int fd, Attr& attr) override { return Keep(below().Fstat(fd, attr), attr); }

 private:
  int64_t Keep(int64_t answer, Attr& attr) const {
    if (answer == 0 && kept_.contains(attr.ino)) ++attr.nlink;
    return answer;
  }
  std::set<uint64_t> kept_;
};

class AppendOverwrites final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Open(int dir, const std::string& path, int flags, unsigned mode) override {
    return below().Open(dir, path, flags & ~O_APPEND, mode);
  }
};

class NoStickyCheck final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Unlink(int dir, const std::string& path) override {
    const int64_t answer = below().Unlink(dir, path);
    if (answer != -EPERM) return answer;
    return Unchecked(below(), [&] { return below().Unlink(dir, path); });
  }
};

class ExchangeLosesName final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Rename(const std::string& from, const std::string& to, unsigned flags) override {
    const int64_t answer = below().Rename(from, to, flags);
    if (answer == 0 && flags == 2) {
      Unchecked(below(), [&] { return below().Unlink(AT_FDCWD, from); });
    }
    return answer;
  }
};

class ExclusiveIgnored final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Open(int dir, const std::string& path, int flags, unsigned mode) override {
    return below().Open(dir, path, flags & ~O_EXCL, mode);
  }
};

class TailComesBack final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Ftruncate(int fd, int64_t size) override {
    Attr attr;
    char old[4096];
    int64_t kept = -1;
    if (size >= 0 && below().Fstat(fd, attr) == 0 && static_cast<uint64_t>(size) > attr.size) {
      kept = below().Pread(fd, std::span(old).first(1), 0);
    }
    const int64_t answer = below().Ftruncate(fd, size);
    if (answer == 0 && kept == 1) below().Pwrite(fd, {old, 1}, size - 1);
    return answer;
  }
};

class ChownKeepsSetId final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Chown(const std::string& path, uint32_t uid, uint32_t gid, bool follow) override {
    Attr before;
    const bool known = below().Stat(AT_FDCWD, path, follow, before) == 0;
    const int64_t answer = below().Chown(path, uid, gid, follow);
    if (answer == 0 && known && !S_ISLNK(before.mode)) {
      Unchecked(below(), [&] { return below().Chmod(path, before.mode & 07777); });
    }
    return answer;
  }
};

class ListSkipsLast final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t List(int fd, std::vector<Entry>& entries) override {
    const int64_t answer = below().List(fd, entries);
    if (entries.size() > 6) entries.pop_back();
    return answer;
  }
};

class RemovedKeepsMtime final : public PassThrough {
 public:
  using PassThrough::PassThrough;
  int64_t Unlink(int dir, const std::string& path) override {
    const size_t slash = path.rfind('/');
    const std::string above = slash == path.npos ? "." : path.substr(0, slash + 1);
    Attr attr;
    const bool known = below().Stat(dir, above, true, attr) == 0;
    const int64_t answer = below().Unlink(dir, path);
    if (answer == 0 && known && dir == AT_FDCWD) {
      Unchecked(below(), [&] {
        return below().Utimens(above, {}, {TimeChange::Kind::kSet, attr.mtime}, true);
      });
    }
    return answer;
  }
};

template <class T>
std::unique_ptr<System> New(std::unique_ptr<System> system) {
  return std::make_unique<T>(std::move(system));
}

struct Maker {
  Injection injection;
  std::unique_ptr<System> (*make)(std::unique_ptr<System>);
};

constexpr Maker kMakers[] = {
    {{"rename-errno", "a rename into itself answers ENOTEMPTY"}, New<RenameAncestorErrno>},
    {{"nlink-stays", "unlink of one of several names leaves the link count"}, New<NlinkStays>},
    {{"append-overwrites", "O_APPEND writes at the position"}, New<AppendOverwrites>},
    {{"no-sticky", "a sticky directory protects nothing from unlink"}, New<NoStickyCheck>},
    {{"exchange-loses", "an exchange of two names loses one"}, New<ExchangeLosesName>},
    {{"excl-ignored", "O_EXCL opens what is there"}, New<ExclusiveIgnored>},
    {{"tail-comes-back", "a file that grows shows an old byte at its end"}, New<TailComesBack>},
    {{"chown-keeps-setid", "chown leaves set-user-id and set-group-id"}, New<ChownKeepsSetId>},
    {{"list-skips", "a long listing lacks its last name"}, New<ListSkipsLast>},
    {{"mtime-stays", "unlink does not touch its directory's mtime"}, New<RemovedKeepsMtime>},
};

constexpr auto kInjections = [] {
  std::array<Injection, std::size(kMakers)> injections{};
  for (size_t i = 0; i < injections.size(); ++i) injections[i] = kMakers[i].injection;
  return injections;
}();

}  // namespace

std::span<const Injection> Injections() { return kInjections; }

const Injection* FindInjection(std::string_view name) {
  for (const Injection& injection : kInjections) {
    if (name == injection.name) return &injection;
  }
  return nullptr;
}

std::unique_ptr<System> Inject(std::unique_ptr<System> system, const Injection* injection) {
  if (injection == nullptr) return system;
  return kMakers[injection - kInjections.data()].make(std::move(system));
}

}  // namespace dentree::model
