// FileLocks: advisory locks, as flock(2) and fcntl(2) know them. Three kinds:
//     kFlock   on the whole file, owned by the open file description
//     kOfd     on ranges of bytes, owned by the open file description (F_OFD_*)
//     kPosix   on ranges of bytes, owned by a task's descriptor table (F_SETLK and company)
// The last two exclude each other, the first knows of neither. What is owned by a description goes
// with its last close, what is owned by a task with its first close of the file.
//
// Who waits stands in a queue of its inode. Whoever lets go of something goes through it in order
// and gives each the lock it waits for if nothing held is in its way, so nobody who comes later can
// be faster. Waiters (wait_queue.h) are told to try again instead.
//
// An inode has a context (its locks, its queue) exactly as long as it has any lock or anybody
// waiting; kInodeLocked says so.
//
// Thread safety: any thread. Lifetime: files are open while somebody asks for locks of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/inode.h"
#include "vfs/types.h"
#include "vfs/wait_queue.h"

namespace dentree::vfs {

class File;
struct LockContext;
struct LockRequest;

// Locks held at once in a Vfs; kNoLck beyond.
inline constexpr size_t kDefaultLockLimit = 65536;
// Steps of "waits for one who waits for ..." that a deadlock is looked for, as in Linux.
inline constexpr int kMaxDeadlockSteps = 10;
// Tries to leave a Waiter behind while others let go of locks, before the caller is to try again.
inline constexpr int kMaxParkTries = 16;

enum class LockKind : uint8_t { kFlock, kOfd, kPosix };

struct FileLock {
  LockKind kind = LockKind::kFlock;
  int16_t type = 0;             // F_RDLCK or F_WRLCK; in a request also F_UNLCK
  int32_t pid = 0;              // of the task that asked; -1: kOfd
  const void* owner = nullptr;  // the File or the FdTable
  int64_t start = 0, end = 0;   // both inclusive; end INT64_MAX: to the end, wherever that is
  uint64_t serial = 0;          // later ones have greater
  base::ListNode link;          // its context's; the stripe
};

// A line of /proc/locks.
struct LockInfo {
  LockKind kind;
  int16_t type;
  int32_t pid;
  DevId dev;
  Ino ino;
  int64_t start, end;
  uint64_t serial;  // of the lock that is held
  unsigned depth;   // 0: held; else it waits for that one, behind `depth` - 1 others in its way
};

struct LockStats {
  std::atomic<size_t> held{0};
  std::atomic<size_t> waiting{0};
  base::HighWater held_most;
  base::Counter waits, granted_late, refused, deadlocks;
};
inline constexpr auto kLockFields = base::Fields(
    base::F<&LockStats::held>("held", "Locks held", base::StatKind::kInstant),
    base::F<&LockStats::held_most, &LockStats::held>("held_most", "The most ever held",
                                                     base::StatKind::kHighWater),
    base::F<&LockStats::waiting>("waiting", "Threads that wait for a lock",
                                 base::StatKind::kInstant),
    base::F<&LockStats::waits>("waits", "Times a thread or a request had to wait",
                               base::StatKind::kCumulative),
    base::F<&LockStats::granted_late>("granted_late", "Locks given to a thread that waited",
                                      base::StatKind::kCumulative),
    base::F<&LockStats::refused>("refused", "Locks refused at the limit or without memory",
                                 base::StatKind::kCumulative),
    base::F<&LockStats::deadlocks>("deadlocks", "Waits refused because they would not end",
                                   base::StatKind::kCumulative));

class FileLocks {
 public:
  FileLocks(mm::Memory& memory, base::RcuDomain& rcu, base::SyncPoints& sync, size_t limit);
  ~FileLocks();

  // What to do where the lock cannot be had at once.
  struct Wait {
    enum How : uint8_t { kNever, kSleep, kPark } how = kNever;
    // kPark: armed to be woken when it is worth trying again. Not armed after kAgain: it is now.
    Waiter* waiter = nullptr;
  };

  // Takes, changes or (F_UNLCK) drops what `want` says of an inode, in place of what its owner has
  // there. kAgain: it cannot be had at once; kNoLck: the limit, or no memory; kDeadlk: kPosix, and
  // the wait would not end. A kFlock that is changed is let go first: who fails has lost it.
  Status Set(Inode& inode, const FileLock& want, Wait wait);
  // What is in the way of `want` (kOfd and kPosix): the first such lock; with F_UNLCK the first of
  // its owner's there. False: nothing.
  bool Test(Inode& inode, const FileLock& want, FileLock& found);

  // The last reference to an open file goes: so go its locks. Costs one load if the inode has none.
  void Release(const File& file);
  // A descriptor of `file` was closed in a table: so go the table's locks on it. Costs as much.
  void ReleaseOwner(const File& file, const void* table);

  // All locks, the newest first, each followed by who waits for it.
  std::vector<LockInfo> List();

  // A number for the next task, as l_pid shows it.
  int32_t NextPid() { return next_pid_.fetch_add(1, std::memory_order_relaxed); }

  size_t limit() const { return limit_; }
  const LockStats& stats() const { return stats_; }
  LockStats& stats() { return stats_; }
  void CheckInvariants();

 private:
  friend struct LockContext;
  friend struct LockRequest;
  struct Tables;
  class Spare;

  // Locks made before the stripe is locked: one to be held, one for what is cut off on the right.
  struct Nodes {
    explicit Nodes(FileLocks& of) : locks(of) {}
    ~Nodes();
    Nodes(const Nodes&) = delete;
    Nodes& operator=(const Nodes&) = delete;

    FileLocks& locks;
    FileLock* fresh = nullptr;
    FileLock* spare = nullptr;
  };
  FileLock* NewLock();
  void FreeLock(FileLock* lock);
  void Prepare(const FileLock& want, Nodes& nodes);

  // With the stripe locked. `blocker`: what is in the way, after kAgain.
  Status TrySet(LockContext& context, const FileLock& want, Nodes& nodes, FileLock*& blocker);
  Status TryFlock(LockContext& context, const FileLock& want, Nodes& nodes, FileLock*& blocker);
  Status ApplyRange(LockContext& context, const FileLock& want, Nodes& nodes);
  void Carve(LockContext& context, FileLock& own, const FileLock& want, Nodes& nodes);
  void Place(LockContext& context, const FileLock& want, FileLock* lock);
  void Drop(LockContext& context, FileLock& lock);
  Status Enqueue(LockContext& context, LockRequest& request, const FileLock& blocker);
  Status NoteBlocked(LockRequest& request, const void* blocker);
  void Dequeue(LockRequest& request);
  bool Decide(LockContext& context, LockRequest& request);
  // Gives to who waits what can be given now, and ends an empty context. True: somebody is to wake.
  bool Settle(LockContext& context);

  void Wake(const Inode& inode);
  Status Sleep(const Inode& inode, LockRequest& request);
  Status SetOnce(Inode& inode, LockRequest& request, Wait wait, Spare& spare);
  template <class Goes>
  void ReleaseIf(const Inode& inode, Goes goes);

  base::SyncPoints& sync_;
  const size_t limit_;
  mm::ObjectCache<FileLock> cache_;
  std::atomic<size_t> allocated_{0};  // at most limit_
  const std::unique_ptr<Tables> tables_;
  std::atomic<uint64_t> next_serial_{1};
  std::atomic<int32_t> next_pid_{1};
  LockStats stats_;
};

}  // namespace dentree::vfs
