// Checks shared by the operations of ops.cc and open.cc; directory semaphores are held.
#pragma once

#include <span>
#include <string_view>

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

bool OwnerOrCapable(const Stat& attr, const Creds& creds);

// The set-id bits that a file loses when `creds` changes its owner, or (unless they have
// Cap::kFsetid) its content.
Mode SetIdLost(const Stat& attr, const Creds& creds);

// The capabilities of a program go when its file changes. REQUIRES: inode.sem() held for writing.
void DropFileCaps(Inode& inode);

// What is asked of the arguments of extended attribute calls before the path is looked at.
Status CheckXattrName(std::string_view name);
Status CheckXattr(std::string_view name, std::span<const std::byte> value, int flags);

// Link: nobody gives a second name to what he neither owns nor may read and write (the rule of
// fs.protected_hardlinks). kPerm.
Status MayHardlink(Inode& inode, const Creds& creds);

// The mode of what is no directory and is to be made in `dir`: in a set-group-id directory the bit
// stays for who is of that group. Judged by what was asked for, before the umask.
Mode StripSetGroupId(const Path& dir, Mode mode, const Creds& creds);

}  // namespace dentree::vfs
