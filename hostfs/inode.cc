// Operations on names, links and attributes.

#include <fcntl.h>

#include "hostfs/super_internal.h"

namespace dentree::hostfs {

using base::Err;
using vfs::Dentry;
using vfs::FileType;
using vfs::Inode;
using vfs::InodeRef;
using vfs::Name;
using vfs::Validity;

namespace {

// The process could not ask; nothing is known to have changed.
bool CouldNotAsk(Errno error) {
  return error == Errno::kMFile || error == Errno::kNFile || error == Errno::kNoMem ||
         error == Errno::kIntr || error == Errno::kAgain || error == Errno::kIo;
}

// A name in `dir` was made, removed or moved: what was read of its attributes is out of date.
void NamesChanged(const Inode& dir) { HostSuper::Expire(dir); }

// The name is known to mean its inode since `asked_ns`.
void Trust(Dentry& name, int64_t asked_ns) { name.set_fsdata(static_cast<uint64_t>(asked_ns)); }

// `inode` lost a name. Its semaphore is held for writing.
void NameGone(Inode& inode) {
  const uint32_t left = inode.is_dir() || inode.nlink() == 0 ? 0 : inode.nlink() - 1;
  Inode::Update(inode).Nlink(left);
  HostSuper::Expire(inode);
}

// Attributes, of all types.
class HostOps : public vfs::InodeOps {
 public:
  Result<vfs::Stat> Getattr(Inode& inode) const override {
    return SuperOf(inode).Attributes(inode);
  }

  std::optional<vfs::Stat> AttrsNowait(Inode& inode) const override {
    return SuperOf(inode).AttributesAtHand(inode);
  }

  // What cannot be found again (a working directory that is gone) keeps the rights it had.
  Status Permission(Inode& inode, unsigned want, const vfs::Creds& creds) const override {
    const Result<vfs::Stat> attr = SuperOf(inode).Attributes(inode);
    return GenericPermission(attr ? *attr : inode.Attrs(), want, creds);
  }

  Status Setattr(Inode& inode, const vfs::SetAttr& attr) const override {
    HostSuper& sb = SuperOf(inode);
    const Handle object = TRY(ToChange(sb, inode, attr));
    const Status changed = Change(sb.calls(), object.get(), attr);
    // Also when a part of it failed: what has changed is to be seen.
    const int64_t now = sb.AskingNow();
    const Result<HostStat> stat = sb.calls().Stat(object.get());
    if (stat) {
      HostSuper::Store(inode, *stat, now);
    } else {
      HostSuper::Expire(inode);
    }
    return changed;
  }

 protected:
  constexpr HostOps() = default;
  constexpr ~HostOps() = default;

 private:
  // A size takes a descriptor that may write; everything else does with any. An open file will do
  // for an object whose names are gone; while a name is believed, it has to prove itself first: the
  // caller may have come by it and mean what it means now.
  static Result<Handle> ToChange(HostSuper& sb, Inode& inode, const vfs::SetAttr& attr) {
    if (attr.size) return sb.Find(inode, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    auto open = HostOf(inode).AnyOpen();
    if (open != nullptr && !sb.HasBelievedName(inode)) return Handle(std::move(open));
    return sb.Find(inode, O_PATH);
  }

  static Status Change(const HostCalls& calls, int fd, const vfs::SetAttr& attr) {
    if (attr.uid || attr.gid) TRY(calls.Chown(fd, attr));
    if (attr.mode) TRY(calls.Chmod(fd, *attr.mode));
    if (attr.size) return calls.Truncate(fd, *attr.size);
    if (attr.atime || attr.mtime) TRY(calls.SetTimes(fd, attr));
    return {};
  }
};

class DirOps final : public HostOps {
 public:
  constexpr DirOps() = default;

  // --- what a name means ---

  Result<InodeRef> Lookup(Inode& dir, const Name& name) const override {
    HostSuper& sb = SuperOf(dir);
    sb.stats().lookups.Add();
    const int64_t now = sb.Now();
    const Result<HostStat> stat = sb.Ask(dir, std::string(name.text()));
    if (!stat && stat.error() == Errno::kNoEnt) sb.stats().misses.Add();
    if (!stat) return Err(stat.error());
    InodeRef inode = TRY(sb.InodeOf(*stat, now));
    HostSuper::FoundIn(dir, *inode);
    return inode;
  }

  Validity Revalidate(const Inode& dir, const Dentry& child) const override {
    const uint64_t asked = child.fsdata();
    const bool fresh =
        asked != kNameDistrusted && SuperOf(dir).NameFresh(dir, static_cast<int64_t>(asked));
    return fresh ? Validity::kValid : Validity::kAsk;
  }

  Validity AskAgain(Inode& dir, Dentry& child) const override {
    HostSuper& sb = SuperOf(dir);
    sb.stats().asked_again.Add();
    const int64_t now = sb.Now();
    const Result<HostStat> stat = sb.Ask(dir, child.NameCopy());
    if (!stat && CouldNotAsk(stat.error())) return Validity::kValid;
    if (!stat || stat->id != HostOf(child.inode()).id) {
      sb.stats().stale.Add();
      return Validity::kStale;
    }
    Trust(child, now);
    HostSuper::FoundIn(dir, child.inode());
    HostSuper::Offer(child.inode(), *stat, now);
    return Validity::kValid;
  }

  Validity RevalidateMissing(const Inode& dir, const Name& /*name*/,
                             uint32_t asked_ms) const override {
    return SuperOf(dir).MissingFresh(dir, asked_ms) ? Validity::kValid : Validity::kStale;
  }

  // --- making ---

  Result<InodeRef> Create(Inode& dir, Dentry& dentry, const vfs::CreateArgs& args) const override {
    HostSuper& sb = SuperOf(dir);
    const Handle at = TRY(sb.FindDir(dir));
    const std::string name = dentry.NameCopy();
    const int64_t now = sb.AskingNow();
    const Result<HostStat> made = Make(sb.calls(), at.get(), name, args);
    if (!made) return Err(NotMade(dir, dentry, name, args, made.error()));
    NamesChanged(dir);
    Trust(dentry, now);
    InodeRef inode = TRY(sb.InodeOf(*made, now));
    HostSuper::FoundIn(dir, *inode);
    return inode;
  }

  Status Link(Inode& dir, Dentry& dentry, Inode& target) const override {
    HostSuper& sb = SuperOf(dir);
    const Handle at = TRY(sb.FindDir(dir));
    const HostSuper::Place source = TRY(sb.FindPlace(target));
    const std::string name = dentry.NameCopy();
    const int64_t now = sb.AskingNow();
    TRY(sb.calls().Link(source.dir.get(), source.name, at.get(), name));
    NamesChanged(dir);
    // The source may have been renamed over at the last moment.
    if (const Status same = sb.CheckName(at.get(), name, target); !same) {
      static_cast<void>(sb.calls().Unlink(at.get(), name));
      return same;
    }
    Trust(dentry, now);
    Inode::Update(target).AddNlink(1);
    HostSuper::Expire(target);
    return {};
  }

  // --- removing and moving ---

  Status Unlink(Inode& dir, Dentry& victim) const override {
    return Remove(dir, victim, &HostCalls::Unlink);
  }

  Status Rmdir(Inode& dir, Dentry& victim) const override {
    return Remove(dir, victim, &HostCalls::Rmdir);
  }

  Status Rename(Inode& old_dir, Dentry& dentry, Inode& new_dir, const Name& new_name,
                Dentry* target, unsigned flags) const override {
    if (flags & vfs::kRenameWhiteout) return Err(Errno::kInval);
    HostSuper& sb = SuperOf(old_dir);
    const Handle from = TRY(sb.FindDir(old_dir));
    const Handle to = TRY(sb.FindDir(new_dir));
    const std::string name = dentry.NameCopy();
    const int64_t now = sb.AskingNow();
    TRY(Confirm(sb, from.get(), name, dentry));
    TRY(sb.calls().Rename(from.get(), name, to.get(), std::string(new_name.text()), flags));
    NamesChanged(old_dir);
    NamesChanged(new_dir);
    Trust(dentry, now);
    HostSuper::FoundIn(new_dir, dentry.inode());
    HostSuper::Expire(dentry.inode());
    if (target == nullptr) return {};
    if (flags & vfs::kRenameExchange) {
      Trust(*target, now);
      HostSuper::FoundIn(old_dir, target->inode());
      HostSuper::Expire(target->inode());
    } else {
      NameGone(target->inode());
    }
    return {};
  }

  Result<const vfs::FileOps*> OpenOps(Inode& /*inode*/) const override { return &OpenDirOps(); }

 private:
  static Result<HostStat> Make(const HostCalls& calls, int at, const std::string& name,
                               const vfs::CreateArgs& args) {
    const auto permissions = static_cast<vfs::Mode>(args.mode & 07777);
    switch (vfs::TypeOf(args.mode)) {
      case FileType::kRegular: {
        const Fd made = TRY(calls.Open(at, name, O_CREAT | O_EXCL | O_WRONLY, permissions));
        return calls.Stat(made.get());
      }
      case FileType::kDir:
        TRY(calls.Mkdir(at, name, permissions));
        break;
      case FileType::kSymlink:
        TRY(calls.Symlink(std::string(args.target), at, name));
        break;
      case FileType::kFifo:
        TRY(calls.Mkfifo(at, name, permissions));
        break;
      default:
        return Err(Errno::kPerm);
    }
    return calls.Stat(at, name);
  }

  // The error of a name that could not be made. One that we took for missing and that is there
  // after all is missing no longer; who opens it without insisting on making it gets it the second
  // time.
  static Errno NotMade(Inode& dir, const Dentry& dentry, const std::string& name,
                       const vfs::CreateArgs& args, Errno error) {
    if (error != Errno::kExist) return error;
    vfs::Vfs& vfs = dir.vfs();
    vfs.dcache().ForgetNegative(*dentry.parent(), Name(vfs.hash_key(), name));
    return vfs::IsRegular(args.mode) ? Errno::kStale : error;
  }

  // Does the name still mean what it is taken for? If not, it is asked for the next time.
  static Status Confirm(HostSuper& sb, int dir, const std::string& name, Dentry& dentry) {
    const Status same = sb.CheckName(dir, name, dentry.inode());
    if (!same) dentry.set_fsdata(kNameDistrusted);
    return same;
  }

  static Status Remove(Inode& dir, Dentry& victim,
                       Status (HostCalls::*remove)(int, const std::string&) const) {
    HostSuper& sb = SuperOf(dir);
    const Handle at = TRY(sb.FindDir(dir));
    const std::string name = victim.NameCopy();
    TRY(Confirm(sb, at.get(), name, victim));
    TRY((sb.calls().*remove)(at.get(), name));
    NamesChanged(dir);
    NameGone(victim.inode());
    return {};
  }
};

class RegularOps final : public HostOps {
 public:
  constexpr RegularOps() = default;
  Result<const vfs::FileOps*> OpenOps(Inode& /*inode*/) const override { return &OpenFileOps(); }
};

class LinkOps final : public HostOps {
 public:
  constexpr LinkOps() = default;
  Result<std::string> Readlink(Inode& inode) const override {
    HostSuper& sb = SuperOf(inode);
    const Handle link = TRY(sb.Find(inode, O_PATH));
    return sb.calls().Readlink(link.get());
  }
};

// Fifos and sockets, whose other end is not here.
class PipeOps final : public HostOps {
 public:
  constexpr PipeOps() = default;
  Result<const vfs::FileOps*> OpenOps(Inode& /*inode*/) const override { return Err(Errno::kNxIo); }
};

// Devices, as on a file system mounted nodev.
class DeviceOps final : public HostOps {
 public:
  constexpr DeviceOps() = default;
  Result<const vfs::FileOps*> OpenOps(Inode& /*inode*/) const override {
    return Err(Errno::kAccess);
  }
};

constexpr DirOps kDirOps;
constexpr RegularOps kRegularOps;
constexpr LinkOps kLinkOps;
constexpr PipeOps kPipeOps;
constexpr DeviceOps kDeviceOps;

}  // namespace

const vfs::InodeOps& OpsFor(FileType type) {
  switch (type) {
    case FileType::kDir:
      return kDirOps;
    case FileType::kRegular:
      return kRegularOps;
    case FileType::kSymlink:
      return kLinkOps;
    case FileType::kChar:
    case FileType::kBlock:
      return kDeviceOps;
    default:
      return kPipeOps;
  }
}

}  // namespace dentree::hostfs
