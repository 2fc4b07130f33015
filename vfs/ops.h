// Ops: what can be done to a tree, in terms of (place, name, credentials): the one inner surface.
// Task (paths and descriptors) and the FUSE door (node ids) are thin callers of it.
//
// Every operation checks names, permission, types and read-only mounts in Linux's order, takes the
// directory locks, calls the file system, and keeps the dcache true. Thread safety: any thread, no
// lock held.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/base.h"
#include "vfs/creds.h"
#include "vfs/dcache.h"
#include "vfs/file.h"
#include "vfs/mount.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Vfs;

// Who asks for a change of mounts.
struct MountCaller {
  MountNamespace& ns;
  const Mount* root;  // the mount that its root directory is in
  const Creds& creds;
};

class Ops {
 public:
  explicit Ops(Vfs& vfs) : vfs_(vfs) {}

  // --- names ---
  Result<Path> Lookup(const Path& dir, std::string_view name, const Creds& creds);
  // These answer with what they made, in the mount of `dir`.
  // Regular files and special files: `mode` says which. kExist when the name is taken.
  Result<DentryRef> Mknod(const Path& dir, std::string_view name, Mode mode, DevId rdev,
                          const Creds& creds);
  Result<DentryRef> Mkdir(const Path& dir, std::string_view name, Mode mode, const Creds& creds);
  Result<DentryRef> Symlink(const Path& dir, std::string_view name, std::string_view target,
                            const Creds& creds);
  Result<DentryRef> Link(const Path& target, const Path& dir, std::string_view name,
                         const Creds& creds);
  // A regular file without a name in `dir`, open. O_EXCL: for good.
  Result<FileRef> Tmpfile(const Path& dir, OpenFlags flags, Mode mode, CredsRef creds);
  // A mountpoint of the caller's namespace (null: that of the directory) is kBusy for these; what
  // is mounted on a removed name in others is detached.
  Status Unlink(const Path& dir, std::string_view name, const Creds& creds,
                const MountNamespace* ns = nullptr);
  Status Rmdir(const Path& dir, std::string_view name, const Creds& creds,
               const MountNamespace* ns = nullptr);
  Status Rename(const Path& old_dir, std::string_view old_name, const Path& new_dir,
                std::string_view new_name, unsigned flags, const Creds& creds,
                const MountNamespace* ns = nullptr);

  // --- objects ---
  Result<Stat> Getattr(const Path& path);
  Status Setattr(const Path& path, const SetAttr& attr, const Creds& creds);
  Result<std::string> Readlink(const Path& path);
  Result<StatFs> Statfs(const Path& path);
  // FileFlags: what chattr and lsattr ask for.
  Result<uint32_t> GetFlags(const Path& path);
  Status SetFlags(const Path& path, uint32_t flags, const Creds& creds);

  // --- extended attributes (xattr.cc) ---
  // Names as InodeOps has them; kRange for one that is empty or longer than kXattrNameMax.
  // An empty `out` asks for the size alone.
  Result<size_t> Getxattr(const Path& path, std::string_view name, std::span<std::byte> out,
                          const Creds& creds);
  Status Setxattr(const Path& path, std::string_view name, std::span<const std::byte> value,
                  int flags, const Creds& creds);
  Result<size_t> Listxattr(const Path& path, std::span<char> out, const Creds& creds);
  Status Removexattr(const Path& path, std::string_view name, const Creds& creds);

  // --- opening ---

  // Opens what `path` is. O_TRUNC truncates last, O_PATH asks nothing of the file system.
  Result<FileRef> Open(Path path, OpenFlags flags, CredsRef creds);
  // Creates `name` in `dir` if it is missing and opens it; O_EXCL: kExist if it is there. A symlink
  // is not followed: the answer then has no file and its place is for the caller to walk. `walk`:
  // kWalkNoXdev does not step onto what is mounted there.
  struct OpenAt {
    FileRef file;  // null: `link` is a symlink to follow
    Path link;
  };
  Result<OpenAt> OpenCreate(const Path& dir, std::string_view name, OpenFlags flags, Mode mode,
                            CredsRef creds, unsigned walk = 0);

  // --- mounts (Cap::kSysAdmin) ---
  //
  // `ms`: MS_* of mount(2); those that say which of these is meant are the caller's to look at.
  // What is to be changed must be in the caller's namespace (kInval), and so must what is mounted
  // on (kNoEnt).

  // `data`: the file system's options, and words of the super block's ("ro"). `source` is what
  // /proc/mounts shows first. kInval: a `type` without data(), or an option; kNoDev: no such type.
  Status Mount(const MountCaller& caller, const Path& at, std::string_view type,
               std::string_view source, uint64_t ms, std::string_view data);
  // MS_REC: with all that is mounted there.
  Status Bind(const MountCaller& caller, const Path& from, const Path& at, uint64_t ms);
  Status MoveMount(const MountCaller& caller, const Path& from, const Path& at);
  // MS_BIND: the mount's flags alone; else the super block's too, and its options that are given.
  Status Remount(const MountCaller& caller, const Path& at, uint64_t ms, std::string_view data);
  // MS_PRIVATE and MS_SLAVE, which is the same where nothing is shared; else kInval.
  Status SetPropagation(const MountCaller& caller, const Path& at, uint64_t ms);
  // `flags`: MNT_DETACH; others do nothing. Takes over the caller's reference, which must be its
  // only one: kBusy otherwise. The caller's own root becomes a read-only super block instead.
  Status Umount(const MountCaller& caller, Path root, int flags);

 private:
  Status CheckName(const Path& dir, std::string_view name, const Creds& creds);
  void RememberRemoved(const Path& dir, const Name& name, NegativeReason reason);
  Status CheckVictim(const Path& dir, std::string_view name, const Creds& creds);
  Status MayTakeName(const Path& dir, const Name& name, const Creds& creds);
  static CreateArgs OwnedBy(const Path& dir, Mode mode, const Creds& creds);
  Result<DentryRef> CreateLocked(const Path& dir, const Name& name, const CreateArgs& args);
  Result<DentryRef> Create(const Path& dir, std::string_view name, const CreateArgs& args,
                           const Creds& creds);
  Result<FileRef> OpenChecked(Path path, OpenFlags flags, CredsRef creds);
  Status MayRename(const Path& old_dir, Dentry& source, const Path& new_dir, Dentry* target,
                   unsigned flags, const Creds& creds);
  Status RenameLocked(const Path& old_dir, Dentry& source, const Name& old_name,
                      const Path& new_dir, const Name& name, Dentry* target, unsigned flags,
                      const Creds& creds);
  Status RenameWhiteout(const Path& old_dir, Dentry& source, const Name& old_name,
                        const Path& new_dir, const Name& name, Dcache::NewName plan, Dentry* target,
                        const Creds& creds);
  bool IsMountpoint(const Dentry& dentry, const Path& dir, const MountNamespace* ns) const;
  static Status MayMount(const MountCaller& caller);
  static Status Reconfigure(SuperBlock& sb, uint32_t wanted, MountContext& context);

  Vfs& vfs_;
};

}  // namespace dentree::vfs
