// What a file system implements: operations on inodes (InodeOps) and on open files (FileOps).
//
// Every operation has a default that answers what Linux answers for a file system without it, so
// an implementation names only what it can do. Operation objects are stateless and shared: one
// constexpr or static object per type, never one per inode.
//
// Locks: create, link, remove, rename and lookup are called with the directory's semaphore held for
// writing, and with that of the inode that is linked, removed, moved or replaced (parent before
// child); Setattr and what changes extended attributes or flags with the inode's, what reads
// extended attributes with that held for reading; everything else with none. The VFS has checked
// permission, existence and types before it calls: an implementation checks only what is its own
// (its names, its space, its policy).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/base.h"
#include "vfs/creds.h"
#include "vfs/dentry.h"
#include "vfs/inode.h"
#include "vfs/types.h"

namespace dentree::vfs {

class File;
class FileOps;
class Waiter;

// Answer of Revalidate. kAsk: it takes AskAgain, which may block, to tell.
enum class Validity : uint8_t { kValid, kStale, kAsk };

// What is to be created. `mode` has type and permission bits (umask and set-group-id rules
// applied).
struct CreateArgs {
  Mode mode = 0;
  Uid uid = 0;
  Gid gid = 0;
  DevId rdev = 0;                // devices
  std::string_view target = {};  // symlinks
};

class InodeOps {
 public:
  // --- directories ---

  // Finds `name`; kNoEnt when there is none. The VFS builds the dentry. `name` has no '/' and is
  // at most kNameMax bytes.
  virtual Result<InodeRef> Lookup(Inode& dir, const Name& name) const;

  // Makes the object named by `dentry` (not yet in the cache: the VFS publishes it with the
  // returned inode, so a failure leaves nothing).
  virtual Result<InodeRef> Create(Inode& dir, Dentry& dentry, const CreateArgs& args) const;
  virtual Status Link(Inode& dir, Dentry& dentry, Inode& target) const;
  // A regular file without a name: nlink 0. Link may give it one. `dentry` is its place in `dir`
  // as long as it is open, and never in the cache. Default: kOpNotSupp.
  virtual Result<InodeRef> Tmpfile(Inode& dir, Dentry& dentry, const CreateArgs& args) const;

  virtual Status Unlink(Inode& dir, Dentry& victim) const;
  virtual Status Rmdir(Inode& dir, Dentry& victim) const;  // kNotEmpty is the file system's to say

  // `target` is what the new name means now, or nullptr. Exchange only with kRenameExchange.
  virtual Status Rename(Inode& old_dir, Dentry& dentry, Inode& new_dir, const Name& new_name,
                        Dentry* target, unsigned flags) const;
  // Rename, and in the same step `whiteout` (not yet in the cache, as for Create) in the place that
  // `dentry` leaves. Default: kInval.
  virtual Result<InodeRef> RenameWhiteout(Inode& old_dir, Dentry& dentry, Inode& new_dir,
                                          const Name& new_name, Dentry* target, Dentry& whiteout,
                                          const CreateArgs& args) const;

  // --- links ---
  virtual Result<std::string> Readlink(Inode& inode) const;

  // --- attributes ---

  // Only with kHasGetattr: the attributes in force, which permission is then judged by. Default:
  // those stored.
  virtual Result<Stat> Getattr(Inode& inode) const;
  // Default: stores what is set (ApplyAttr) and ignores size.
  virtual Status Setattr(Inode& inode, const SetAttr& attr) const;
  // Only with kHasPermission. `want` is of enum Access. Default: GenericPermission.
  virtual Status Permission(Inode& inode, unsigned want, const Creds& creds) const;

  // FileFlags, as chattr knows them. Default: kNotTy.
  virtual Result<uint32_t> GetFlags(Inode& inode) const;
  // All of them, new and kept. kOpNotSupp for those that it has not.
  virtual Status SetFlags(Inode& inode, uint32_t flags) const;

  // --- extended attributes: `name` with its prefix, at most kXattrNameMax bytes ---
  // Defaults: kOpNotSupp, and a list without names.

  // The size of the value, copied to `out` unless that is empty. kNoData; kRange: `out` is too
  // small.
  virtual Result<size_t> Getxattr(Inode& inode, std::string_view name,
                                  std::span<std::byte> out) const;
  // `flags` of XattrFlags. kExist, kNoData, kNoSpc, kNoMem, kOpNotSupp for an unknown prefix,
  // kInval for a prefix alone.
  virtual Status Setxattr(Inode& inode, std::string_view name, std::span<const std::byte> value,
                          int flags) const;
  // Bytes of all names, each with a NUL after it, copied to `out` unless that is empty. kRange.
  // Those of trusted. only for who may see them.
  enum class Trusted : uint8_t { kHide, kShow };
  virtual Result<size_t> Listxattr(Inode& inode, std::span<char> out, Trusted trusted) const;
  virtual Status Removexattr(Inode& inode, std::string_view name) const;  // kNoData

  // --- cache ---

  // Is a cached child still what its name means? Called when the super block has kRevalidate,
  // without locks, possibly in an RCU read section: must not block and must not allocate.
  virtual Validity Revalidate(const Inode& dir, const Dentry& child) const;
  // After kAsk: asks whoever knows, and may block. The child is referenced; the directory's
  // semaphore is held for writing or no lock is. kValid or kStale; default: stale.
  virtual Validity AskAgain(Inode& dir, Dentry& child) const;
  // As Revalidate, for a name that was missing when the file system was asked at `asked_ms`
  // (MonotonicMs). Never kAsk: what is stale is looked up again. Default: valid.
  virtual Validity RevalidateMissing(const Inode& dir, const Name& name, uint32_t asked_ms) const;

  // The attributes in force, if they are at hand: must not block. Asked only in a super block with
  // kSbMayBlock, by walks that must not wait, which judge the right to search by them. Default:
  // nothing, and a thread that may wait walks.
  virtual std::optional<Stat> AttrsNowait(Inode& inode) const;

  // --- RCU mode ---
  // Asked inside an RCU section about an inode that may be dying: no reference, no lock, nothing
  // that blocks, allocates, or reads what a grace period does not keep. The answer counts only if
  // the dentry did not change meanwhile; declining costs the walk its RCU mode, never its result.

  // The attributes in force; nothing declines. Asked only with kHasGetattr. Default: declines.
  virtual std::optional<Stat> AttrsRcu(const Inode& inode) const;
  // The target of a symlink, which stays where it is for the whole section. Default: declines.
  virtual std::optional<std::string_view> LinkRcu(const Inode& inode) const;
  // Is a cached child, whose inode this is, what its name means? kStale declines: Revalidate
  // decides. Default: declines.
  virtual Validity RevalidateRcu(const Inode& child) const;

  // --- opening ---

  // The operations of an open file of this inode; default kNxIo. Called by open before
  // FileOps::Open.
  virtual Result<const FileOps*> OpenOps(Inode& inode) const;

  // Whether the object is a way out of a shortage of memory: it is then opened on the reserve, and
  // its operations use that themselves (mm::ReserveScope).
  virtual bool MustNotFail(const Inode&) const { return false; }

 protected:
  constexpr InodeOps() = default;
  constexpr ~InodeOps() = default;
};

// Operations of an open file. `pos` arguments are byte positions; the VFS keeps File::pos and its
// lock. Reads and writes may be short; zero from Read is the end.
class FileOps {
 public:
  virtual Status Open(File& file) const;   // default: succeeds
  virtual void Release(File& file) const;  // exactly once per successful Open
  virtual Result<size_t> Read(File& file, std::span<std::byte> out, uint64_t pos) const;  // kInval
  virtual Result<size_t> Write(File& file, std::span<const std::byte> in,
                               uint64_t pos) const;  // kInval
  // The same for a caller that must not sleep (a request loop). Where they would sleep: kAgain,
  // with `waiter` (unless null) armed to be woken when it is worth trying again. Default: Read and
  // Write, for files that let nobody wait.
  virtual Result<size_t> ReadNowait(File& file, std::span<std::byte> out, uint64_t pos,
                                    Waiter* waiter) const;
  virtual Result<size_t> WriteNowait(File& file, std::span<const std::byte> in, uint64_t pos,
                                     Waiter* waiter) const;
  // Several parts in one step, as readv and writev; `pos` as above. A write ends at `limit` (a
  // position; kFBig from there on), the end that O_APPEND asks for included. Default: one Read or
  // Write after the other until one is short, and no limit: what is written is no file of ours.
  virtual Result<size_t> ReadVec(File& file, std::span<const std::span<std::byte>> out,
                                 uint64_t pos) const;
  virtual Result<size_t> WriteVec(File& file, std::span<const std::span<const std::byte>> in,
                                  uint64_t pos, uint64_t limit) const;
  // `mode` of FallocateModes; size and end are in range. kNoSpc leaves all as it was. Default:
  // kOpNotSupp.
  virtual Status Fallocate(File& file, int mode, uint64_t offset, uint64_t size) const;
  // Lists from `pos` (0 = start) into `sink` until it is full. Returns the position after the last
  // entry taken. Default: kNotDir.
  virtual Result<int64_t> Iterate(File& file, int64_t pos, DirSink& sink) const;
  // Default: bytes, with the inode's size as the end.
  virtual Result<uint64_t> Seek(File& file, int64_t offset, Whence whence) const;
  virtual PollEvents Poll(File& file) const;  // default: readable and writable
  virtual Status Fsync(File& file) const;     // default: succeeds
  virtual Result<uint64_t> Ioctl(File& file, unsigned cmd, uint64_t arg) const;  // kNotTy
  virtual Status Truncate(File& file, uint64_t size) const;  // default: Setattr of the inode

  // A descriptor of the process's, open as long as the file is, whose data are the file's at the
  // same positions. A request loop then lets its io_uring move them (IORING_OP_READ, WRITE) instead
  // of calling Read and Write, and calls HostWrote, which must not block, when it has written.
  virtual std::optional<int> HostFd(File& file) const;  // default: none
  virtual void HostWrote(File& file) const;             // default: nothing to do

 protected:
  constexpr FileOps() = default;
  constexpr ~FileOps() = default;
};

// --- helpers that implementations share ---

// POSIX permission by mode bits, groups and capabilities. kAccess when denied.
Status GenericPermission(const Owner& owner, unsigned want, const Creds& creds);

// Stores the attributes that are set into the inode, ctime included.
// REQUIRES: inode.sem() held for writing.
void ApplyAttr(Inode& inode, const SetAttr& attr);

}  // namespace dentree::vfs
