// Checks shared by the operations of ops.cc and open.cc; directory semaphores are held.
#pragma once

#include "vfs/creds.h"
#include "vfs/mount.h"
#include "vfs/types.h"

namespace dentree::vfs {

// Attributes in force: stored, or the file system's when it computes them.
Result<Stat> AttrsOf(Inode& inode);
Result<Owner> OwnerOf(Inode& inode);

// May `victim` be taken out of `dir`? kAccess, kPerm (sticky, append-only, immutable).
Status MayDelete(const Path& dir, Dentry& victim, const Creds& creds);
// May something be put into `dir`? kNoEnt when it was removed, kAccess.
Status MayCreate(const Path& dir, const Creds& creds);

// Link: nobody gives a second name to what he neither owns nor may read and write (the rule of
// fs.protected_hardlinks). kPerm.
Status MayHardlink(Inode& inode, const Creds& creds);

}  // namespace dentree::vfs
