// Runs posix_cases.tsv, recorded on Linux, against a ramfs: one test per row.
//
// A row is setup, operation, expected answer. Setup and operation are commands separated by "; ",
// each one system call; the answer is that of the last. In paths N*255 is the letter 255 times;
// `as UID:GID[:GROUPS]` changes credentials for what follows.

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "fixture/fixture.h"

namespace dentree::vfs {
namespace {

using base::Err;

struct Row {
  std::string id, setup, operation, expected;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.setup << " | " << row.operation; }

std::vector<Row> LoadRows() {
  const char* const source = std::getenv("DENTREE_SOURCE");
  std::ifstream file(std::string(source == nullptr ? "." : source) + "/tests/vfs/posix_cases.tsv");
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    const auto fields = base::Split(line, '\t');
    rows.push_back({std::string(fields[0]), std::string(fields[1]), std::string(fields[2]),
                    std::string(fields[3])});
  }
  return rows;
}

// "N*255" is the letter 255 times.
std::string Expanded(std::string_view part) {
  if (part.size() < 3 || part[1] != '*') return std::string(part);
  return std::string(base::ParseU64(part.substr(2)).value(), part[0]);
}

// Words of a command, '' being the empty one.
std::vector<std::string> Words(std::string_view command) {
  std::vector<std::string> words;
  for (const std::string_view word : base::Split(command, ' ')) {
    std::vector<std::string> parts;
    for (const std::string_view part : base::Split(word, '/')) parts.push_back(Expanded(part));
    words.push_back(word == "''" ? "" : absl::StrJoin(parts, "/"));
  }
  return words;
}

std::vector<std::string> Commands(std::string_view text) {
  std::vector<std::string> commands;
  for (const std::string_view part : base::Split(text, ';')) {
    commands.emplace_back(base::Trim(part));
  }
  return commands;
}

uint64_t Number(const std::string& text, int radix = 10) {
  return static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, radix));
}

int Flags(std::string_view text) {
  static const std::map<std::string_view, int> kNames = {
      {"RDONLY", O_RDONLY}, {"WRONLY", O_WRONLY},       {"RDWR", O_RDWR},
      {"CREAT", O_CREAT},   {"EXCL", O_EXCL},           {"TRUNC", O_TRUNC},
      {"APPEND", O_APPEND}, {"DIRECTORY", O_DIRECTORY}, {"NOFOLLOW", O_NOFOLLOW},
      {"PATH", O_PATH},     {"NOATIME", O_NOATIME},     {"TMPFILE", O_TMPFILE}};
  int flags = 0;
  for (const std::string_view word : base::Split(text, '|')) {
    const auto name = kNames.find(word);
    flags |= name != kNames.end() ? name->second : static_cast<int>(Number(std::string(word)));
  }
  return flags;
}

uint64_t ResolveFlagsOf(std::string_view text) {
  static const std::map<std::string_view, uint64_t> kNames = {
      {"NO_XDEV", kResolveNoXdev},         {"NO_MAGICLINKS", kResolveNoMagicLinks},
      {"NO_SYMLINKS", kResolveNoSymlinks}, {"BENEATH", kResolveBeneath},
      {"IN_ROOT", kResolveInRoot},         {"CACHED", kResolveCached}};
  uint64_t flags = 0;
  for (const std::string_view word : base::Split(text, '|')) {
    const auto name = kNames.find(word);
    flags |= name != kNames.end() ? name->second : Number(std::string(word), 0);
  }
  return flags;
}

unsigned RenameFlagsOf(std::string_view text) {
  static const std::map<std::string_view, unsigned> kNames = {{"NOREPLACE", kRenameNoReplace},
                                                              {"EXCHANGE", kRenameExchange},
                                                              {"WHITEOUT", kRenameWhiteout}};
  unsigned flags = 0;
  for (const std::string_view word : base::Split(text, '|')) {
    const auto name = kNames.find(word);
    flags |= name != kNames.end() ? name->second : static_cast<unsigned>(Number(std::string(word)));
  }
  return flags;
}

std::string_view TypeName(Mode mode) {
  static const std::map<FileType, std::string_view> kNames = {
      {FileType::kFifo, "fifo"},  {FileType::kChar, "chr"},     {FileType::kDir, "dir"},
      {FileType::kBlock, "blk"},  {FileType::kRegular, "file"}, {FileType::kSymlink, "link"},
      {FileType::kSocket, "sock"}};
  return kNames.at(TypeOf(mode));
}

// Collects names, sorted, without "." and "..".
struct Names final : DirSink {
  bool Emit(std::string_view name, Ino, FileType, int64_t) override {
    if (name != "." && name != "..") names.emplace(name);
    return true;
  }
  std::set<std::string> names;
};

using Answer = Result<std::string>;

// What a command that says nothing answers.
Answer Quiet(const Status& status) {
  if (!status) return Err(status.error());
  return "";
}

class PosixCase : public fixture::VfsTest, public testing::WithParamInterface<Row> {
 protected:
  PosixCase() {
    fs().Make({fixture::Dir("/cases"), fixture::Dir(kTop)});
    CHECK(task().Chdir(kTop).has_value());
  }

  std::string Run(std::string_view commands) {
    std::string last = "OK";
    for (const std::string& command : Commands(commands)) {
      const std::vector<std::string> words = Words(command);
      const auto handler = kHandlers.find(words[0]);
      CHECK(handler != kHandlers.end(), "a command that the test does not know");
      const Answer answer = handler->second(*this, {words.begin() + 1, words.end()});
      if (!answer) return std::string(base::ErrnoName(answer.error()));
      last = handler->second.says_more ? "OK " + *answer : "OK";
    }
    return last;
  }

 private:
  static constexpr const char kTop[] = "/cases/one";
  using Args = std::vector<std::string>;

  struct Handler {
    std::function<Answer(PosixCase&, const Args&)> run;
    bool says_more = false;
    Answer operator()(PosixCase& test, const Args& args) const { return run(test, args); }
  };

  Mode ModeArg(const Args& a, size_t i, Mode otherwise) const {
    return a.size() > i ? static_cast<Mode>(Number(a[i], 8)) : otherwise;
  }
  int Held(const std::string& name) const { return held_.at(name); }

  Answer OpenAndTell(int dir, const Args& a) {
    const int fd = TRY(task().OpenAt(dir, a[0], Flags(a[1]), ModeArg(a, 2, 0644)));
    const Mode mode = TRY(task().Fstat(fd)).mode;
    TRY(task().Close(fd));
    return std::string(TypeName(mode));
  }
  Answer Openat2AndTell(const Args& a) {
    const OpenHow how{.flags = static_cast<unsigned>(Flags(a[1])),
                      .mode = ModeArg(a, 3, 0),
                      .resolve = ResolveFlagsOf(a[2])};
    const int fd = TRY(task().Openat2(kAtFdCwd, a[0], how));
    const Mode mode = TRY(task().Fstat(fd)).mode;
    TRY(task().Close(fd));
    return std::string(TypeName(mode));
  }
  Answer Setxattr(const Args& a) {
    static const std::map<std::string_view, int> kFlags = {{"CREATE", kXattrCreate},
                                                           {"REPLACE", kXattrReplace}};
    const int flags = a.size() > 3 ? kFlags.at(a[3]) : 0;
    return Quiet(task().Setxattr(a[0], a[1], std::as_bytes(std::span(a[2])), flags));
  }
  Answer Hold(const Args& a) {
    held_[a[0]] = TRY(task().Open(a[1], Flags(a[2]), 0644));
    return "";
  }
  Answer TellStat(const Result<Stat>& result) {
    const Stat stat = TRY(result);
    return absl::StrFormat("%s %o nlink %d", TypeName(stat.mode), stat.mode & 07777, stat.nlink);
  }
  Answer Owner(const Args& a) {
    const Stat stat = TRY(task().Lstat(a[0]));
    return absl::StrFormat("%d:%d %o", stat.uid, stat.gid, stat.mode & 07777);
  }
  Answer Fstat(const Args& a) {
    const Stat stat = TRY(task().Fstat(Held(a[0])));
    return absl::StrFormat("%s nlink %d size %d", TypeName(stat.mode), stat.nlink,
                           IsRegular(stat.mode) ? stat.size : 0);
  }
  Answer Fread(int fd, size_t size) {
    std::string text(size, '\0');
    text.resize(TRY(task().Read(fd, std::as_writable_bytes(std::span(text)))));
    return "'" + text + "'";
  }
  Answer Read(const Args& a) { return "'" + TRY(task().ReadFile(a[0])) + "'"; }
  Answer Fseek(const Args& a) {
    static const std::map<std::string_view, Whence> kWhence = {{"SET", Whence::kSet},
                                                               {"CUR", Whence::kCur},
                                                               {"END", Whence::kEnd},
                                                               {"DATA", Whence::kData},
                                                               {"HOLE", Whence::kHole}};
    return absl::StrFormat(
        "%d", TRY(task().Lseek(Held(a[0]), static_cast<int64_t>(Number(a[1])), kWhence.at(a[2]))));
  }
  Answer List(const Args& a) {
    const auto names = TRY(fs().Names(a[0]));
    return absl::StrJoin(names, " ");
  }
  // As the C library does it: a directory that was removed has ended.
  Answer Flist(const Args& a) {
    Names sink;
    const Status listed = task().Getdents(Held(a[0]), sink);
    if (!listed && listed.error() != Errno::kNoEnt) return Err(listed.error());
    return absl::StrJoin(sink.names, " ");
  }
  Answer Getcwd() { return TRY(task().Getcwd()).substr(std::string_view(kTop).size()); }
  Answer Mknod(const Args& a) {
    static const std::map<std::string_view, Mode> kTypes = {
        {"fifo", S_IFIFO}, {"file", S_IFREG}, {"chr", S_IFCHR}, {"sock", S_IFSOCK}};
    return Quiet(task().Mknod(a[0], kTypes.at(a[1]) | 0644, a[1] == "chr" ? 0x103 : 0));
  }
  Answer Chown(const Args& a) {
    const size_t colon = a[1].find(':');
    return Quiet(task().Chown(a[0], static_cast<Uid>(Number(a[1].substr(0, colon))),
                              static_cast<Gid>(Number(a[1].substr(colon + 1))), Follow::kNo));
  }
  Answer Utime(const Args& a) {
    SetAttr times;
    if (a[1] == "now") {
      times.times_are_now = true;
    } else {
      times.atime = times.mtime = static_cast<int64_t>(Number(a[1])) * 1'000'000'000;
    }
    return Quiet(task().SetTimes(a[0], times));
  }
  Answer Access(const Args& a) {
    static const std::map<std::string_view, unsigned> kWants = {
        {"F", 0}, {"X", kMayExec}, {"W", kMayWrite}, {"R", kMayRead}};
    return Quiet(task().Access(a[0], kWants.at(a[1])));
  }
  Answer As(const Args& a) {
    std::vector<Gid> ids;
    for (const std::string_view id : base::Split(a[0], ':')) {
      ids.push_back(static_cast<Gid>(Number(std::string(id))));
    }
    task().SetCreds(Creds::User(ids[0], ids[1], {ids.begin() + 2, ids.end()}));
    return "";
  }

  static const std::map<std::string, Handler> kHandlers;
  std::map<std::string, int> held_;
};

const std::map<std::string, PosixCase::Handler> PosixCase::kHandlers = {
    {"mkdir", {[](PosixCase& t, const Args& a) {
       return Quiet(t.task().Mkdir(a[0], t.ModeArg(a, 1, 0755)));
     }}},
    {"file", {[](PosixCase& t, const Args& a) {
       return Quiet(t.task().WriteFile(a[0], a.size() > 1 ? a[1] : "", O_CREAT | O_TRUNC, 0644));
     }}},
    {"symlink", {[](PosixCase& t, const Args& a) { return Quiet(t.task().Symlink(a[0], a[1])); }}},
    // "follow" was recorded by way of link(2), which does not follow.
    {"link", {[](PosixCase& t, const Args& a) { return Quiet(t.task().Link(a[0], a[1])); }}},
    {"unlink", {[](PosixCase& t, const Args& a) { return Quiet(t.task().Unlink(a[0])); }}},
    {"setxattr", {&PosixCase::Setxattr}},
    {"removexattr",
     {[](PosixCase& t, const Args& a) { return Quiet(t.task().Removexattr(a[0], a[1])); }}},
    {"rmdir", {[](PosixCase& t, const Args& a) { return Quiet(t.task().Rmdir(a[0])); }}},
    {"rename", {[](PosixCase& t, const Args& a) {
       return Quiet(t.task().Rename(a[0], a[1], a.size() > 2 ? RenameFlagsOf(a[2]) : 0));
     }}},
    {"truncate",
     {[](PosixCase& t, const Args& a) { return Quiet(t.task().Truncate(a[0], Number(a[1]))); }}},
    {"ftruncate", {[](PosixCase& t, const Args& a) {
       return Quiet(t.task().Ftruncate(t.Held(a[0]), Number(a[1])));
     }}},
    {"chmod",
     {[](PosixCase& t, const Args& a) { return Quiet(t.task().Chmod(a[0], t.ModeArg(a, 1, 0))); }}},
    {"fchmod", {[](PosixCase& t, const Args& a) {
       return Quiet(t.task().Fchmod(t.Held(a[0]), t.ModeArg(a, 1, 0)));
     }}},
    {"chdir", {[](PosixCase& t, const Args& a) { return Quiet(t.task().Chdir(a[0])); }}},
    {"fchdir", {[](PosixCase& t, const Args& a) { return Quiet(t.task().Fchdir(t.Held(a[0]))); }}},
    {"umask", {[](PosixCase& t, const Args& a) -> Answer {
       t.task().Umask(t.ModeArg(a, 0, 0));
       return "";
     }}},
    {"mknod", {&PosixCase::Mknod}},
    {"chown", {&PosixCase::Chown}},
    {"utime", {&PosixCase::Utime}},
    {"access", {&PosixCase::Access}},
    {"as", {&PosixCase::As}},
    {"hold", {&PosixCase::Hold}},
    {"open", {[](PosixCase& t, const Args& a) { return t.OpenAndTell(kAtFdCwd, a); }, true}},
    {"openat2", {&PosixCase::Openat2AndTell, true}},
    {"getxattr",
     {[](PosixCase& t, const Args& a) { return t.task().ReadXattr(a[0], a[1]); }, true}},
    {"fopenat",
     {[](PosixCase& t, const Args& a) {
        return t.OpenAndTell(t.Held(a[0]), {a.begin() + 1, a.end()});
      },
      true}},
    {"stat", {[](PosixCase& t, const Args& a) { return t.TellStat(t.task().Stat(a[0])); }, true}},
    {"lstat", {[](PosixCase& t, const Args& a) { return t.TellStat(t.task().Lstat(a[0])); }, true}},
    {"owner", {&PosixCase::Owner, true}},
    {"fstat", {&PosixCase::Fstat, true}},
    {"size",
     {[](PosixCase& t, const Args& a) -> Answer {
        return absl::StrFormat("%d", TRY(t.task().Stat(a[0])).size);
      },
      true}},
    {"read", {&PosixCase::Read, true}},
    {"fread",
     {[](PosixCase& t, const Args& a) { return t.Fread(t.Held(a[0]), Number(a[1])); }, true}},
    {"fwrite",
     {[](PosixCase& t, const Args& a) -> Answer {
        return absl::StrFormat("%d", TRY(t.task().Write(t.Held(a[0]), a[1])));
      },
      true}},
    {"fseek", {&PosixCase::Fseek, true}},
    {"readlink", {[](PosixCase& t, const Args& a) { return t.task().Readlink(a[0]); }, true}},
    {"list", {&PosixCase::List, true}},
    {"flist", {&PosixCase::Flist, true}},
    {"getcwd", {[](PosixCase& t, const Args&) { return t.Getcwd(); }, true}},
};

TEST_P(PosixCase, AnswersAsLinux) {
  ASSERT_EQ(Run(GetParam().setup).substr(0, 2), "OK") << "in the setup";
  EXPECT_EQ(Run(GetParam().operation), GetParam().expected);
}

std::string NameOf(const testing::TestParamInfo<Row>& row) {
  std::string name = row.param.id;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Recorded, PosixCase, testing::ValuesIn(LoadRows()), NameOf);

}  // namespace
}  // namespace dentree::vfs
