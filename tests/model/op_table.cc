// The table of operations. A new call of the system is one entry here, and one member of System.

#include <sys/stat.h>

#include <array>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "tests/model/op.h"
#include "tests/model/tree.h"

namespace dentree::model {

namespace {

// --- parts -------------------------------------------------------------------------------------

void MakeFd(Generator& gen, Op& op) { op.slot = gen.Slot(); }

void MakePath(Generator& gen, Op& op) { op.path = gen.Path(); }

void MakeAt(Generator& gen, Op& op) {
  op.dir = gen.Dir();
  op.path = gen.Path();
}

void MakeTwoPaths(Generator& gen, Op& op) {
  op.path = gen.Path();
  op.path2 = gen.Path();
}

constexpr size_t kMaxTransfer = 9000;
constexpr int64_t kSizes[] = {0, 1, 1, 3, 10, 100, 4095, 4096, 4097, kMaxTransfer};

// A new descriptor for a slot, in place of the one that was there.
void Put(System& system, int slot, Outcome& out) {
  if (out.result < 0) return;
  int& fd = system.Slot(slot);
  if (fd >= 0) system.Close(fd);
  fd = static_cast<int>(out.result);
  out.result = 0;
}

// Bytes that tell one write from another.
std::string_view Payload(int64_t size, int64_t salt) {
  static constexpr size_t kSalts = 97;
  static constexpr auto kBytes = [] {
    std::array<char, kMaxTransfer + kSalts> bytes{};
    uint64_t x = 1;
    for (char& c : bytes) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      c = static_cast<char>('a' + (x >> 60));
    }
    return bytes;
  }();
  return std::string_view(kBytes.data(), kBytes.size())
      .substr(static_cast<uint64_t>(salt) % kSalts, static_cast<size_t>(size));
}

void KeepRead(Outcome& out, std::string& buffer) {
  if (out.result < 0) return;
  buffer.resize(static_cast<size_t>(out.result));
  out.data = std::move(buffer);
}

std::string CommandOn(const char* command, const Op& op) {
  if (op.dir >= 0) return {};
  return absl::StrFormat("%s %s", command, ShellQuoted(op.path));
}

// --- descriptors -------------------------------------------------------------------------------

void MakeOpen(Generator& gen, Op& op) {
  MakeAt(gen, op);
  op.slot = gen.Slot();
  Random& random = gen.random();
  static constexpr int kAccess[] = {O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
  op.a = random.OneIn(40) ? O_ACCMODE : random.Of(kAccess);
  if (random.OneIn(3)) op.a |= O_CREAT;
  const auto maybe = [&](uint64_t n, int flag) {
    if (random.OneIn(n)) op.a |= flag;
  };
  maybe(8, O_EXCL);
  maybe(8, O_TRUNC);
  maybe(6, O_APPEND);
  maybe(8, O_DIRECTORY);
  maybe(8, O_NOFOLLOW);
  maybe(12, O_PATH);
  maybe(30, O_NOATIME);
  maybe(40, O_TMPFILE);
  op.b = gen.FileMode();
}

// As most files come to be: created, or there.
void MakeCreate(Generator& gen, Op& op) {
  MakeOpen(gen, op);
  op.a = O_RDWR | O_CREAT | (gen.random().OneIn(4) ? O_EXCL : 0);
}

// As a directory is opened to be a starting point or to be listed.
void MakeOpenDir(Generator& gen, Op& op) {
  MakeOpen(gen, op);
  op.a = O_RDONLY | O_DIRECTORY | (gen.random().OneIn(4) ? O_PATH : 0);
}

void RunOpen(System& system, const Op& op, Outcome& out) {
  out.result =
      system.Open(system.Dir(op.dir), op.path, static_cast<int>(op.a), static_cast<unsigned>(op.b));
  Put(system, op.slot, out);
}

std::string ShellOpen(const Op& op) {
  if (op.dir >= 0 || (op.a & (O_PATH | O_EXCL | O_NOFOLLOW | O_DIRECTORY))) return {};
  if (op.a & O_CREAT) {
    const char* const arrow = op.a & O_TRUNC ? ">" : ">>";
    return absl::StrFormat("printf '' %s %s", arrow, ShellQuoted(op.path));
  }
  return (op.a & O_ACCMODE) == O_RDONLY ? CommandOn("cat", op) : "";
}

void RunClose(System& system, const Op& op, Outcome& out) {
  int& fd = system.Slot(op.slot);
  out.result = system.Close(fd);
  fd = -1;
}

void MakeDup(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.Slot();
}

void RunDup(System& system, const Op& op, Outcome& out) {
  out.result = system.Dup(system.Slot(op.slot));
  Put(system, static_cast<int>(op.a), out);
}

void MakeTransfer(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.random().Of(kSizes);
  op.b = gen.Position();
}

void MakeWrite(Generator& gen, Op& op) {
  MakeTransfer(gen, op);
  op.b = static_cast<int64_t>(gen.random().Below(1000));
}

void RunRead(System& system, const Op& op, Outcome& out) {
  std::string buffer(static_cast<size_t>(op.a), '\0');
  out.result = system.Read(system.Slot(op.slot), buffer);
  KeepRead(out, buffer);
}

void RunPread(System& system, const Op& op, Outcome& out) {
  std::string buffer(static_cast<size_t>(op.a), '\0');
  out.result = system.Pread(system.Slot(op.slot), buffer, op.b);
  KeepRead(out, buffer);
}

void RunWrite(System& system, const Op& op, Outcome& out) {
  out.result = system.Write(system.Slot(op.slot), Payload(op.a, op.b));
}

void RunPwrite(System& system, const Op& op, Outcome& out) {
  out.result = system.Pwrite(system.Slot(op.slot), Payload(op.a, op.a + op.slot), op.b);
}

void MakeLseek(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.Position();
  if (gen.random().OneIn(4)) op.a = -op.a;
  op.b = static_cast<int64_t>(gen.random().Below(gen.random().OneIn(20) ? 7 : 5));
}

// A position in a directory means something to its file system only: they are rewound.
void RunLseek(System& system, const Op& op, Outcome& out) {
  const int fd = system.Slot(op.slot);
  Attr attr;
  const bool dir = system.Fstat(fd, attr) == 0 && S_ISDIR(attr.mode);
  out.result = system.Lseek(fd, dir ? 0 : op.a, dir ? SEEK_SET : static_cast<int>(op.b));
}

void RunList(System& system, const Op& op, Outcome& out) {
  const int fd = system.Slot(op.slot);
  out.result = system.Lseek(fd, 0, SEEK_SET);
  if (out.result == 0) out.result = system.List(fd, out.entries);
}

void RunFstat(System& system, const Op& op, Outcome& out) {
  out.result = system.Fstat(system.Slot(op.slot), out.attr.emplace());
}

void MakeResize(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.Position();
}

void RunFtruncate(System& system, const Op& op, Outcome& out) {
  out.result = system.Ftruncate(system.Slot(op.slot), op.a);
}

void MakeFchmod(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.FileMode();
}

void RunFchmod(System& system, const Op& op, Outcome& out) {
  out.result = system.Fchmod(system.Slot(op.slot), static_cast<unsigned>(op.a));
}

void MakeFchown(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.Id();
  op.b = gen.Id();
}

void RunFchown(System& system, const Op& op, Outcome& out) {
  out.result =
      system.Fchown(system.Slot(op.slot), static_cast<uint32_t>(op.a), static_cast<uint32_t>(op.b));
}

void RunFchdir(System& system, const Op& op, Outcome& out) {
  out.result = system.Fchdir(system.Slot(op.slot));
}

void RunFsync(System& system, const Op& op, Outcome& out) {
  out.result = system.Fsync(system.Slot(op.slot));
}

void MakeOpenat2(Generator& gen, Op& op) {
  MakeOpen(gen, op);
  Random& random = gen.random();
  const bool creates = (op.a & O_CREAT) || (op.a & O_TMPFILE) == O_TMPFILE;
  if (!creates && !random.OneIn(20)) op.b = 0;
  // Not NO_XDEV, 1: with it, Linux calls an absolute symlink another mount if nothing before it
  // asked for the root.
  static constexpr int64_t kResolve[] = {0, 2, 4, 8, 8, 16, 16, 12, 20, 24, 64};
  op.a |= random.Of(kResolve) << kResolveShift;
}

void RunOpenat2(System& system, const Op& op, Outcome& out) {
  const uint64_t flags = static_cast<uint64_t>(op.a) & ((uint64_t{1} << kResolveShift) - 1);
  out.result = system.Openat2(system.Dir(op.dir), op.path, flags, static_cast<uint64_t>(op.b),
                              static_cast<uint64_t>(op.a) >> kResolveShift);
  Put(system, op.slot, out);
}

void MakeFallocate(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = gen.Position() % (int64_t{1} << 31);  // what is allocated is there
  static constexpr int64_t kLengths[] = {1, 10, 4095, 4096, 4097, 10000, 0, -1};
  op.b = gen.random().Of(kLengths);
}

void RunFallocate(System& system, const Op& op, Outcome& out) {
  out.result = system.Fallocate(system.Slot(op.slot), 0, op.a, op.b);
}

void RunFallocateKeep(System& system, const Op& op, Outcome& out) {
  out.result = system.Fallocate(system.Slot(op.slot), 1, op.a, op.b);
}

void RunPunch(System& system, const Op& op, Outcome& out) {
  out.result = system.Fallocate(system.Slot(op.slot), 3, op.a, op.b);
}

void MakeOddFallocate(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.a = static_cast<int64_t>(gen.random().Below(128));
  op.b = 4096;
}

void RunOddFallocate(System& system, const Op& op, Outcome& out) {
  out.result = system.Fallocate(system.Slot(op.slot), static_cast<int>(op.a), 4096, op.b);
}

// From `slot` to `dir`, both open files.
void MakeCopyRange(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.dir = gen.Slot();
  op.a = gen.random().OneIn(3) ? -1 : gen.Position();
  op.b = gen.random().OneIn(3) ? -1 : gen.Position();
}

void RunCopyRange(System& system, const Op& op, Outcome& out) {
  const auto size = kSizes[static_cast<size_t>(op.slot * 7 + op.dir) % std::size(kSizes)];
  out.result = system.CopyRange(system.Slot(op.slot), op.a, system.Slot(op.dir), op.b,
                                static_cast<size_t>(size));
}

void RunGetFlags(System& system, const Op& op, Outcome& out) {
  out.result = system.GetStatusFlags(system.Slot(op.slot));
}

void MakeSetFlags(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  static constexpr int64_t kFlags[] = {0, O_APPEND, O_NOATIME, O_APPEND | O_RDWR, O_CREAT};
  op.a = gen.random().Of(kFlags);
}

void RunSetFlags(System& system, const Op& op, Outcome& out) {
  out.result = system.SetStatusFlags(system.Slot(op.slot), static_cast<int>(op.a));
}

void RunLsattr(System& system, const Op& op, Outcome& out) {
  out.result = system.GetFileFlags(system.Slot(op.slot));
}

void MakeChattr(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  static constexpr int64_t kFlags[] = {0, 0, 0, 0x10, 0x20, 0x40, 0x30, 0x80, 0x8};
  op.a = gen.random().Of(kFlags);
}

void RunChattr(System& system, const Op& op, Outcome& out) {
  out.result = system.SetFileFlags(system.Slot(op.slot), static_cast<uint32_t>(op.a));
}

// --- names -------------------------------------------------------------------------------------

void RunStat(System& system, const Op& op, Outcome& out) {
  out.result = system.Stat(system.Dir(op.dir), op.path, true, out.attr.emplace());
}

void RunLstat(System& system, const Op& op, Outcome& out) {
  out.result = system.Stat(system.Dir(op.dir), op.path, false, out.attr.emplace());
}

void MakeAccess(Generator& gen, Op& op) {
  MakeAt(gen, op);
  op.a = static_cast<int64_t>(gen.random().Below(gen.random().OneIn(30) ? 32 : 8));
}

void RunAccess(System& system, const Op& op, Outcome& out) {
  out.result = system.Access(system.Dir(op.dir), op.path, static_cast<unsigned>(op.a));
}

void MakeMkdir(Generator& gen, Op& op) {
  MakeAt(gen, op);
  op.a = gen.DirMode();
}

void RunMkdir(System& system, const Op& op, Outcome& out) {
  out.result = system.Mkdir(system.Dir(op.dir), op.path, static_cast<unsigned>(op.a));
}

void MakeMknod(Generator& gen, Op& op) {
  MakeAt(gen, op);
  static constexpr int64_t kTypes[] = {S_IFIFO, S_IFSOCK, S_IFCHR, S_IFCHR,
                                       S_IFBLK, S_IFREG,  0,       S_IFIFO};
  static constexpr int64_t kOddTypes[] = {S_IFDIR, S_IFLNK, 0150000, 0010000 | S_IFREG};
  Random& random = gen.random();
  op.a = gen.FileMode() | (random.OneIn(30) ? random.Of(kOddTypes) : random.Of(kTypes));
  op.b = random.OneIn(2) ? 0 : 0x0705;
}

void RunMknod(System& system, const Op& op, Outcome& out) {
  out.result = system.Mknod(system.Dir(op.dir), op.path, static_cast<unsigned>(op.a),
                            static_cast<uint32_t>(op.b));
}

void RunRmdir(System& system, const Op& op, Outcome& out) {
  out.result = system.Rmdir(system.Dir(op.dir), op.path);
}

void RunUnlink(System& system, const Op& op, Outcome& out) {
  out.result = system.Unlink(system.Dir(op.dir), op.path);
}

void MakeSymlink(Generator& gen, Op& op) {
  MakeAt(gen, op);
  op.path2 = gen.TargetPath();
}

void RunSymlink(System& system, const Op& op, Outcome& out) {
  out.result = system.Symlink(op.path2, system.Dir(op.dir), op.path);
}

void MakeLink(Generator& gen, Op& op) {
  MakeTwoPaths(gen, op);
  op.a = gen.random().OneIn(3) ? 1 : 0;
}

void RunLink(System& system, const Op& op, Outcome& out) {
  out.result = system.Link(op.path, op.path2, op.a != 0);
}

void MakeRename(Generator& gen, Op& op) {
  MakeTwoPaths(gen, op);
  static constexpr int64_t kFlags[] = {0, 0, 0, 0, 1, 2, 2, 4};
  op.a = gen.random().OneIn(20) ? static_cast<int64_t>(gen.random().Below(16))
                                : gen.random().Of(kFlags);
}

void RunRename(System& system, const Op& op, Outcome& out) {
  out.result = system.Rename(op.path, op.path2, static_cast<unsigned>(op.a));
}

void RunReadlink(System& system, const Op& op, Outcome& out) {
  out.result = system.Readlink(system.Dir(op.dir), op.path, out.data);
}

void MakeChmod(Generator& gen, Op& op) {
  op.path = gen.Path();
  op.a = gen.random().OneIn(2) ? gen.DirMode() : gen.FileMode();
}

void RunChmod(System& system, const Op& op, Outcome& out) {
  out.result = system.Chmod(op.path, static_cast<unsigned>(op.a));
}

void MakeChown(Generator& gen, Op& op) {
  op.path = gen.Path();
  op.a = gen.Id();
  op.b = gen.Id();
}

void RunChown(System& system, const Op& op, Outcome& out) {
  out.result =
      system.Chown(op.path, static_cast<uint32_t>(op.a), static_cast<uint32_t>(op.b), true);
}

void RunLchown(System& system, const Op& op, Outcome& out) {
  out.result =
      system.Chown(op.path, static_cast<uint32_t>(op.a), static_cast<uint32_t>(op.b), false);
}

// A time as a number of seconds; -1: now, -2: leave it.
TimeChange TimeOf(int64_t code) {
  if (code == -1) return {TimeChange::Kind::kNow};
  if (code == -2) return {TimeChange::Kind::kOmit};
  return {TimeChange::Kind::kSet, code * 1'000'000'001};
}

void MakeUtimens(Generator& gen, Op& op) {
  op.path = gen.Path();
  const auto time = [&] { return static_cast<int64_t>(gen.random().Below(1000)); };
  const auto change = [&] {
    const auto kind = static_cast<int64_t>(gen.random().Below(5));
    return kind < 2 ? -1 - kind : time();
  };
  op.a = change();
  op.b = change();
  if (gen.random().OneIn(4)) op.a = op.b = -1;
}

void RunUtimens(System& system, const Op& op, Outcome& out) {
  out.result = system.Utimens(op.path, TimeOf(op.a), TimeOf(op.b), true);
}

void RunLutimens(System& system, const Op& op, Outcome& out) {
  out.result = system.Utimens(op.path, TimeOf(op.a), TimeOf(op.b), false);
}

void MakeFutimens(Generator& gen, Op& op) {
  MakeUtimens(gen, op);
  op.path.clear();
  op.slot = gen.Slot();
}

void RunFutimens(System& system, const Op& op, Outcome& out) {
  out.result = system.Futimens(system.Slot(op.slot), TimeOf(op.a), TimeOf(op.b));
}

// path from `dir`, path2 from `slot`.
void MakeTwoAt(Generator& gen, Op& op) {
  MakeTwoPaths(gen, op);
  op.dir = gen.Dir();
  op.slot = gen.Dir();
}

void MakeLinkat(Generator& gen, Op& op) {
  MakeTwoAt(gen, op);
  static constexpr int64_t kFlags[] = {0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW};
  op.a = gen.random().Of(kFlags);
}

void RunLinkat(System& system, const Op& op, Outcome& out) {
  out.result = system.Linkat(system.Dir(op.dir), op.path, system.Dir(op.slot), op.path2,
                             static_cast<int>(op.a));
}

// A name for what is open.
void MakeLinkFd(Generator& gen, Op& op) {
  op.slot = gen.Slot();
  op.path = gen.Path();
}

void RunLinkFd(System& system, const Op& op, Outcome& out) {
  out.result = system.Linkat(system.Slot(op.slot), "", AT_FDCWD, op.path, AT_EMPTY_PATH);
}

void MakeRenameat(Generator& gen, Op& op) {
  MakeTwoAt(gen, op);
  static constexpr int64_t kFlags[] = {0, 0, 1, 2};
  op.a = gen.random().Of(kFlags);
}

void RunRenameat(System& system, const Op& op, Outcome& out) {
  out.result = system.Renameat(system.Dir(op.dir), op.path, system.Dir(op.slot), op.path2,
                               static_cast<unsigned>(op.a));
}

// --- extended attributes: a is the name, the flags from bit 8 on, and from bit 12 on whether it is
// of a path, of a symlink, or of a descriptor; b the size of value or buffer -------------------

std::string XattrName(int64_t a) {
  static const std::string kXattrs[] = {"user.a",
                                        "user.b",
                                        "user.c",
                                        "trusted.a",
                                        "security.a",
                                        "user.",
                                        "nonsense",
                                        "",
                                        "user." + std::string(250, 'x'),
                                        "user." + std::string(251, 'x'),
                                        "system.no",
                                        "user.\xff"};
  return kXattrs[static_cast<size_t>(a & 0xff) % std::size(kXattrs)];
}

System::Target XattrTarget(System& system, const Op& op) {
  const int64_t kind = op.a >> 12 & 3;
  if (kind == 2) return {.fd = system.Slot(op.slot), .path = nullptr};
  return {.path = &op.path, .follow = kind == 0};
}

void MakeXattr(Generator& gen, Op& op) {
  Random& random = gen.random();
  op.a = static_cast<int64_t>(random.OneIn(3) ? random.Below(12) : random.Below(3));
  static constexpr int64_t kFlags[] = {0, 0, 0, 1, 2, 3, 4};
  op.a |= random.Of(kFlags) << 8;
  op.a |= static_cast<int64_t>(random.Below(3)) << 12;
  if (op.a >> 12 == 2) {
    op.slot = gen.Slot();
  } else {
    op.path = gen.Path();
  }
  static constexpr int64_t kXattrSizes[] = {0, 1, 5, 10, 10, 300, 300};
  op.b = random.OneIn(20) ? 65536 + static_cast<int64_t>(random.Below(2)) : random.Of(kXattrSizes);
}

void RunSetxattr(System& system, const Op& op, Outcome& out) {
  out.result =
      system.Setxattr(XattrTarget(system, op), XattrName(op.a),
                      std::string(static_cast<size_t>(op.b), 'v'), static_cast<int>(op.a >> 8 & 7));
}

void RunGetxattr(System& system, const Op& op, Outcome& out) {
  out.result = system.Getxattr(XattrTarget(system, op), XattrName(op.a), static_cast<size_t>(op.b),
                               out.data);
}

void RunRemovexattr(System& system, const Op& op, Outcome& out) {
  out.result = system.Removexattr(XattrTarget(system, op), XattrName(op.a));
}

// In any order.
void RunListxattr(System& system, const Op& op, Outcome& out) {
  std::string names;
  out.result = system.Listxattr(XattrTarget(system, op), static_cast<size_t>(op.b), names);
  out.data = SortedNames(names);
}

void MakeTruncate(Generator& gen, Op& op) {
  op.path = gen.Path();
  op.a = gen.Position();
}

void RunTruncate(System& system, const Op& op, Outcome& out) {
  out.result = system.Truncate(op.path, op.a);
}

void RunStatfs(System& system, const Op& op, Outcome& out) { out.result = system.NameMax(op.path); }

// --- the caller --------------------------------------------------------------------------------

void RunChdir(System& system, const Op& op, Outcome& out) { out.result = system.Chdir(op.path); }

void MakeNothing(Generator&, Op&) {}

// Back to the top, so that sequences do not lose themselves in the depths.
void MakeHome(Generator&, Op& op) { op.path = "/"; }

void RunGetcwd(System& system, const Op&, Outcome& out) { out.result = system.Getcwd(out.data); }

void MakeUmask(Generator& gen, Op& op) {
  static constexpr int64_t kMasks[] = {022, 022, 0, 010, 066, 0767, 0777, 01767, 027};
  op.a = gen.random().Of(kMasks);
}

void RunUmask(System& system, const Op& op, Outcome& out) {
  out.result = system.Umask(static_cast<unsigned>(op.a));
}

void MakeBecome(Generator& gen, Op& op) {
  const bool root = gen.random().OneIn(3) || !gen.options().several_users;
  op.a = root ? 0 : 1 + static_cast<int64_t>(gen.random().Below(std::size(kWho) - 1));
}

void RunBecome(System& system, const Op& op, Outcome&) { system.Become(static_cast<size_t>(op.a)); }

// --- as commands of the shell ------------------------------------------------------------------

std::string ShellMkdir(const Op& op) {
  return CommandOn(absl::StrFormat("mkdir -m %04o", op.a).c_str(), op);
}
std::string ShellRmdir(const Op& op) { return CommandOn("rmdir", op); }
std::string ShellUnlink(const Op& op) { return CommandOn("rm", op); }
std::string ShellStat(const Op& op) { return CommandOn("stat -L", op); }
std::string ShellLstat(const Op& op) { return CommandOn("stat", op); }
std::string ShellReadlink(const Op& op) { return CommandOn("ls -ld", op); }
std::string ShellChdir(const Op& op) { return CommandOn("cd", op); }
std::string ShellGetcwd(const Op&) { return "pwd"; }
std::string ShellUmask(const Op& op) { return absl::StrFormat("umask %04o", op.a & 0777); }

std::string ShellSymlink(const Op& op) {
  return op.dir >= 0 ? ""
                     : absl::StrFormat("ln -sT %s %s", ShellQuoted(op.path2), ShellQuoted(op.path));
}

std::string ShellLink(const Op& op) {
  if (op.a != 0) return {};
  return absl::StrFormat("ln -T %s %s", ShellQuoted(op.path), ShellQuoted(op.path2));
}

std::string ShellRename(const Op& op) {
  if (op.a > 1) return {};
  const char* const command = op.a == 1 ? "mv -nT" : "mv -T";
  return absl::StrFormat("%s %s %s", command, ShellQuoted(op.path), ShellQuoted(op.path2));
}

std::string ShellChmod(const Op& op) {
  return absl::StrFormat("chmod %04o %s", op.a, ShellQuoted(op.path));
}

std::string OwnerText(const Op& op) {
  std::string text;
  if (op.a >= 0) absl::StrAppendFormat(&text, "%d", op.a);
  if (op.b >= 0) absl::StrAppendFormat(&text, ":%d", op.b);
  return text;
}

std::string ShellChown(const Op& op) {
  if (op.a < 0 && op.b < 0) return {};
  return absl::StrFormat("chown %s %s", OwnerText(op), ShellQuoted(op.path));
}

std::string ShellLchown(const Op& op) {
  if (op.a < 0 && op.b < 0) return {};
  return absl::StrFormat("chown -h %s %s", OwnerText(op), ShellQuoted(op.path));
}

std::string ShellUtimens(const Op& op) {
  return op.a == -1 ? absl::StrFormat("touch -c %s", ShellQuoted(op.path)) : "";
}

// --- the table ---------------------------------------------------------------------------------

constexpr OpKind kKinds[] = {
    {"open", 40, MakeOpen, RunOpen, ShellOpen, Radix::kHex, Radix::kOctal},
    {"create", 25, MakeCreate, RunOpen, ShellOpen, Radix::kHex, Radix::kOctal},
    {"opendir", 10, MakeOpenDir, RunOpen, nullptr, Radix::kHex, Radix::kOctal},
    {"close", 15, MakeFd, RunClose},
    {"dup", 4, MakeDup, RunDup},
    {"read", 15, MakeTransfer, RunRead},
    {"write", 30, MakeWrite, RunWrite},
    {"pread", 10, MakeTransfer, RunPread},
    {"pwrite", 15, MakeTransfer, RunPwrite},
    {"lseek", 15, MakeLseek, RunLseek},
    {"list", 12, MakeFd, RunList},
    {"fstat", 12, MakeFd, RunFstat},
    {"ftruncate", 10, MakeResize, RunFtruncate},
    {"fchmod", 8, MakeFchmod, RunFchmod, nullptr, Radix::kOctal},
    {"fchown", 6, MakeFchown, RunFchown},
    {"fchdir", 4, MakeFd, RunFchdir},
    {"openat2", 12, MakeOpenat2, RunOpenat2, nullptr, Radix::kHex, Radix::kOctal},
    {"fallocate", 6, MakeFallocate, RunFallocate},
    {"fallocate-keep", 4, MakeFallocate, RunFallocateKeep},
    {"punch", 6, MakeFallocate, RunPunch},
    {"fallocate-mode", 2, MakeOddFallocate, RunOddFallocate, nullptr, Radix::kHex},
    {"copy", 8, MakeCopyRange, RunCopyRange},
    {"futimens", 4, MakeFutimens, RunFutimens},
    {"getfl", 3, MakeFd, RunGetFlags},
    {"setfl", 4, MakeSetFlags, RunSetFlags, nullptr, Radix::kHex},
    {"lsattr", 2, MakeFd, RunLsattr},
    {"chattr", 3, MakeChattr, RunChattr, nullptr, Radix::kHex},
    {"linkat", 6, MakeLinkat, RunLinkat, nullptr, Radix::kHex},
    {"linkfd", 6, MakeLinkFd, RunLinkFd},
    {"renameat", 8, MakeRenameat, RunRenameat},
    {"setxattr", 12, MakeXattr, RunSetxattr, nullptr, Radix::kHex},
    {"getxattr", 8, MakeXattr, RunGetxattr, nullptr, Radix::kHex},
    {"removexattr", 6, MakeXattr, RunRemovexattr, nullptr, Radix::kHex},
    {"listxattr", 4, MakeXattr, RunListxattr, nullptr, Radix::kHex},
    {"fsync", 1, MakeFd, RunFsync},
    {"stat", 20, MakeAt, RunStat, ShellStat},
    {"lstat", 20, MakeAt, RunLstat, ShellLstat},
    {"access", 15, MakeAccess, RunAccess},
    {"mkdir", 50, MakeMkdir, RunMkdir, ShellMkdir, Radix::kOctal},
    {"mknod", 12, MakeMknod, RunMknod, nullptr, Radix::kOctal, Radix::kHex},
    {"rmdir", 18, MakeAt, RunRmdir, ShellRmdir},
    {"unlink", 25, MakeAt, RunUnlink, ShellUnlink},
    {"symlink", 20, MakeSymlink, RunSymlink, ShellSymlink},
    {"link", 25, MakeLink, RunLink, ShellLink},
    {"rename", 50, MakeRename, RunRename, ShellRename},
    {"readlink", 8, MakeAt, RunReadlink, ShellReadlink},
    {"chmod", 25, MakeChmod, RunChmod, ShellChmod, Radix::kOctal},
    {"chown", 12, MakeChown, RunChown, ShellChown},
    {"lchown", 6, MakeChown, RunLchown, ShellLchown},
    {"utimens", 8, MakeUtimens, RunUtimens, ShellUtimens},
    {"lutimens", 4, MakeUtimens, RunLutimens},
    {"truncate", 10, MakeTruncate, RunTruncate},
    {"statfs", 2, MakePath, RunStatfs},
    {"chdir", 10, MakePath, RunChdir, ShellChdir},
    {"home", 10, MakeHome, RunChdir, ShellChdir},
    {"getcwd", 4, MakeNothing, RunGetcwd, ShellGetcwd},
    {"umask", 3, MakeUmask, RunUmask, ShellUmask, Radix::kOctal},
    {"become", 25, MakeBecome, RunBecome},
};

}  // namespace

std::span<const OpKind> OpKinds() { return kKinds; }

}  // namespace dentree::model
