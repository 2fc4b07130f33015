// The one step that walks and operations share.
#pragma once

#include "vfs/dentry.h"
#include "vfs/types.h"

namespace dentree::vfs {

class Vfs;

// The child `name` of `dir`: cached and still true, or the file system's answer made into a dentry.
// The directory's semaphore, held for writing by the caller, makes callers with the same question
// wait for the first one's answer. kNoEnt.
Result<DentryRef> LookupLocked(Vfs& vfs, Dentry& dir, const Name& name);

}  // namespace dentree::vfs
