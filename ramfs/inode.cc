// Operations on names, links and attributes. The VFS has checked permissions, existence and types,
// and holds the semaphores of the directories and of the inodes that an operation changes.

#include "ramfs/super_internal.h"

namespace dentree::ramfs {

using base::Err;
using vfs::Dentry;
using vfs::Errno;
using vfs::Inode;
using vfs::InodeRef;
using vfs::Name;
using vfs::Result;
using vfs::Status;

namespace {

DirIndex& IndexOf(Inode& dir) { return dir.priv<DirIndex>(); }

int64_t Now(const Inode& inode) { return inode.vfs().clock().NowNs(); }

// The names in `dir` changed, and with them perhaps the number of directories among them.
void NamesChanged(Inode& dir, int64_t now, int nlink_delta = 0) {
  Inode::Update(dir).Mtime(now).Ctime(now).AddNlink(nlink_delta);
}

// `inode` lost the name it had in `dir`. A directory is empty then, and has neither its name nor
// its ".".
// Names beyond the first count as inodes.
void NameGone(Inode& inode, int64_t now) {
  if (!inode.is_dir() && inode.nlink() > 1) SuperOf(inode).inode_space().Give(kInodeSpace);
  Inode::Update(inode).AddNlink(inode.is_dir() ? -2 : -1).Ctime(now);
}

class DirOps final : public CommonOps {
 public:
  constexpr DirOps() = default;

  // Every name has its dentry: one that the cache does not know does not exist.
  Result<InodeRef> Lookup(Inode& /*dir*/, const Name& /*name*/) const override {
    return Err(Errno::kNoEnt);
  }

  Result<InodeRef> Create(Inode& dir, Dentry& dentry, const vfs::CreateArgs& args) const override {
    InodeRef inode = TRY(SuperOf(dir).NewInode(args, &dir));
    TRY(IndexOf(dir).Append(SuperOf(dir).memory(), dentry));
    NamesChanged(dir, inode->ctime(), inode->is_dir() ? 1 : 0);
    return inode;
  }

  // The first name of what O_TMPFILE made comes with its inode.
  Status Link(Inode& dir, Dentry& dentry, Inode& target) const override {
    Quota& space = SuperOf(dir).inode_space();
    const uint64_t cost = target.nlink() == 0 ? 0 : kInodeSpace;
    if (!space.Take(cost)) return Err(Errno::kNoSpc);
    if (Status appended = IndexOf(dir).Append(SuperOf(dir).memory(), dentry); !appended) {
      space.Give(cost);
      return appended;
    }
    const int64_t now = Now(dir);
    NamesChanged(dir, now);
    Inode::Update(target).AddNlink(1).Ctime(now);
    return {};
  }

  Result<InodeRef> Tmpfile(Inode& dir, Dentry& /*dentry*/,
                           const vfs::CreateArgs& args) const override {
    InodeRef inode = TRY(SuperOf(dir).NewInode(args, &dir));
    Inode::Update(*inode).Nlink(0);
    return inode;
  }

  Status Unlink(Inode& dir, Dentry& victim) const override {
    Remove(dir, victim);
    return {};
  }

  Status Rmdir(Inode& dir, Dentry& victim) const override {
    if (!IndexOf(victim.inode()).empty()) return Err(Errno::kNotEmpty);
    Remove(dir, victim);
    return {};
  }

  Status Rename(Inode& old_dir, Dentry& dentry, Inode& new_dir, const Name& /*new_name*/,
                Dentry* target, unsigned flags) const override {
    if (flags & vfs::kRenameExchange) return Exchange(old_dir, dentry, new_dir, *target);
    if (target != nullptr) return RenameOver(old_dir, dentry, new_dir, *target);
    return RenameIntoGap(old_dir, dentry, new_dir);
  }

  Result<InodeRef> RenameWhiteout(Inode& old_dir, Dentry& dentry, Inode& new_dir,
                                  const Name& new_name, Dentry* target, Dentry& whiteout,
                                  const vfs::CreateArgs& args) const override {
    InodeRef inode = TRY(SuperOf(old_dir).NewInode(args, &old_dir));
    mm::Memory& memory = SuperOf(old_dir).memory();
    TRY(IndexOf(old_dir).Append(memory, whiteout));
    if (Status moved = Rename(old_dir, dentry, new_dir, new_name, target, 0); !moved) {
      IndexOf(old_dir).Remove(memory, whiteout);
      return Err(moved.error());
    }
    return inode;
  }

  Result<const vfs::FileOps*> OpenOps(Inode& /*inode*/) const override { return &OpenDirOps(); }

 private:
  static void Remove(Inode& dir, Dentry& victim) {
    const int64_t now = Now(dir);
    IndexOf(dir).Remove(SuperOf(dir).memory(), victim);
    NamesChanged(dir, now, victim.is_dir() ? -1 : 0);
    NameGone(victim.inode(), now);
  }

  static Status Exchange(Inode& a_dir, Dentry& a, Inode& b_dir, Dentry& b) {
    DirIndex::Exchange(IndexOf(a_dir), a, IndexOf(b_dir), b);
    const int64_t now = Now(a_dir);
    const int moved_to_b = (a.is_dir() ? 1 : 0) - (b.is_dir() ? 1 : 0);
    NamesChanged(a_dir, now, &a_dir == &b_dir ? 0 : -moved_to_b);
    NamesChanged(b_dir, now, &a_dir == &b_dir ? 0 : moved_to_b);
    Inode::Update(a.inode()).Ctime(now);
    if (&a.inode() != &b.inode()) Inode::Update(b.inode()).Ctime(now);
    return {};
  }

  // `target` is of the same kind as `dentry`: a directory or not.
  static Status RenameOver(Inode& old_dir, Dentry& dentry, Inode& new_dir, Dentry& target) {
    if (target.is_dir() && !IndexOf(target.inode()).empty()) return Err(Errno::kNotEmpty);
    IndexOf(old_dir).Remove(SuperOf(old_dir).memory(), dentry);
    IndexOf(new_dir).Replace(target, dentry);
    const int64_t now = Now(old_dir);
    NamesChanged(old_dir, now, dentry.is_dir() ? -1 : 0);
    NamesChanged(new_dir, now);
    NameGone(target.inode(), now);
    Inode::Update(dentry.inode()).Ctime(now);
    return {};
  }

  static Status RenameIntoGap(Inode& old_dir, Dentry& dentry, Inode& new_dir) {
    const int64_t now = Now(old_dir);
    if (&old_dir != &new_dir) {
      TRY(IndexOf(old_dir).MoveTo(IndexOf(new_dir), SuperOf(new_dir).memory(), dentry));
      NamesChanged(new_dir, now, dentry.is_dir() ? 1 : 0);
    }
    NamesChanged(old_dir, now, &old_dir != &new_dir && dentry.is_dir() ? -1 : 0);
    Inode::Update(dentry.inode()).Ctime(now);
    return {};
  }
};

class RegularOps final : public CommonOps {
 public:
  constexpr RegularOps() = default;

  Status Setattr(Inode& inode, const vfs::SetAttr& attr) const override {
    if (attr.size) Resize(inode, *attr.size);
    ApplyAttr(inode, attr);
    return {};
  }

  Result<const vfs::FileOps*> OpenOps(Inode& /*inode*/) const override { return &OpenFileOps(); }

 private:
  static void Resize(Inode& inode, uint64_t size) {
    if (size <= inode.size() && PagesOf(inode) > 0) {
      inode.priv<Content>().Cut(SuperOf(inode).pages(), size);
      // Cutting is a change even where it leaves all as it was: tmpfs has it so.
      const int64_t now = Now(inode);
      Inode::Update(inode).Mtime(now).Ctime(now);
    }
    Inode::Update(inode).Size(size).Pages(PagesOf(inode));
  }
};

class LinkOps final : public CommonOps {
 public:
  constexpr LinkOps() = default;

  Result<std::string> Readlink(Inode& inode) const override { return std::string(Target(inode)); }
  std::optional<std::string_view> LinkRcu(const Inode& inode) const override {
    return Target(inode);
  }

 private:
  static std::string_view Target(const Inode& inode) { return inode.priv<SymlinkTarget>().text(); }
};

// Fifos, sockets and devices: names without a function behind them.
class NodeOps final : public CommonOps {
 public:
  constexpr NodeOps() = default;
};

constexpr DirOps kDirOps;
constexpr RegularOps kRegularOps;
constexpr LinkOps kLinkOps;
constexpr NodeOps kNodeOps;

}  // namespace

const vfs::InodeOps& OpsFor(vfs::FileType type) {
  switch (type) {
    case vfs::FileType::kDir:
      return kDirOps;
    case vfs::FileType::kRegular:
      return kRegularOps;
    case vfs::FileType::kSymlink:
      return kLinkOps;
    default:
      return kNodeOps;
  }
}

}  // namespace dentree::ramfs
