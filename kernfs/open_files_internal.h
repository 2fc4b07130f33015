// What the room does with open files behind the clients' backs.
#pragma once

#include "kernfs/ops.h"
#include "kernfs/root.h"
#include "kernfs/transient_internal.h"

namespace dentree::kernfs {

// Life of an open file: linked to its transient after a successful NodeOps::Open; released by
// whoever is first to ReleaseOnce, the closer or a removal; freed with the last reference (the
// opener's, and a removal's while it releases).
class OpenFiles {
 public:
  // Counted on the transient's list. REQUIRES: an active reference.
  static void Link(OpenFile& file);
  static void Unlink(OpenFile& file);
  // Takes one off the list, with a reference of its own; null when there is none.
  static OpenFile* Take(Root& root, Transient& t);

  static void ReleaseOnce(OpenFile& file);
  static void Put(OpenFile* file);

  static auto& MutexOf(OpenFile& file) { return file.mutex_; }

  // While one lives, OpenFile::Wait does not sleep. REQUIRES: the file's mutex.
  class Nowait {
   public:
    Nowait(OpenFile& file, vfs::Waiter* waiter) : file_(file) { file_.nowait_ = {waiter}; }
    ~Nowait() { file_.nowait_.reset(); }
    Nowait(const Nowait&) = delete;
    Nowait& operator=(const Nowait&) = delete;

   private:
    OpenFile& file_;
  };

 private:
  static void UnlinkLocked(OpenFile& file);  // entries lock
};

}  // namespace dentree::kernfs
