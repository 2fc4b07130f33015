#include "vfs/file_lock.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "vfs/file.h"
#include "vfs/inode_sides.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

// Somebody who waits for a lock, on his own stack. What is not atomic is the stripe's until `done`,
// and after it the waiting thread's.
struct LockRequest {
  LockRequest(FileLocks& locks, const FileLock& wanted) : nodes(locks) {
    want.kind = wanted.kind;
    want.type = wanted.type;
    want.pid = wanted.pid;
    want.owner = wanted.owner;
    want.start = wanted.start;
    want.end = wanted.end;
  }

  FileLock want;
  FileLocks::Nodes nodes;
  Status result;
  std::atomic<bool> done{false};
  base::ListNode link;               // LockContext::waiting
  const void* blocked_by = nullptr;  // an owner; the graph's mutex
  base::ListNode graph_link;         // likewise
};

// What an inode has of locks.
struct LockContext : InodeSide {
  using InodeSide::InodeSide;

  bool empty() { return flocks.empty() && ranges.empty() && waiting.empty(); }

  base::List<FileLock, &FileLock::link> flocks;
  // Those of one owner stand together, in the order of their ranges, which do not overlap; neither
  // do two of one type touch.
  base::List<FileLock, &FileLock::link> ranges;
  base::List<LockRequest, &LockRequest::link> waiting;  // in the order they came
  bool released = false;  // since the last Settle something became less
};

struct FileLocks::Tables {
  using Sides = InodeSides<LockContext, kInodeLocked>;
  // Who waits, of one stripe of inodes.
  struct Parking {
    WaitQueue queue;
    WaitCount waiters{0};
    std::atomic<uint64_t> releases{0};
  };
  Tables(mm::Memory& memory, base::RcuDomain& rcu) : sides(memory, rcu, "file_lock_ctx") {}
  Parking& ParkingOf(const Inode& inode) { return parking[Sides::StripeIndex(inode)]; }
  bool WouldDeadlock(const void* owner, const void* blocker) DT_REQUIRES(graph_mutex);

  Sides sides;
  std::array<Parking, Sides::kStripes> parking;
  // Requests of kPosix that wait.
  base::Mutex<base::LockRank::kLeaf> graph_mutex;
  base::List<LockRequest, &LockRequest::graph_link> blocked DT_GUARDED_BY(graph_mutex);
};

class FileLocks::Spare : public Tables::Sides::Spare {
 public:
  using Tables::Sides::Spare::Spare;
};

namespace {

bool SameOwner(const FileLock& a, const FileLock& b) {
  return a.owner == b.owner && a.kind == b.kind;
}
bool Overlap(const FileLock& a, const FileLock& b) { return a.start <= b.end && b.start <= a.end; }
bool Covers(const FileLock& a, const FileLock& b) { return a.start <= b.start && a.end >= b.end; }
// Overlap, or no byte is between them.
bool Touch(const FileLock& a, const FileLock& b) {
  if (Overlap(a, b)) return true;
  return a.end < b.start ? a.end + 1 == b.start : b.end + 1 == a.start;
}

bool Excludes(const FileLock& held, const FileLock& want) {
  if (SameOwner(held, want)) return false;
  if (held.type != F_WRLCK && want.type != F_WRLCK) return false;
  return want.kind == LockKind::kFlock || Overlap(held, want);
}

// What is held and in the way.
FileLock* Conflict(LockContext& context, const FileLock& want) {
  for (FileLock& held : want.kind == LockKind::kFlock ? context.flocks : context.ranges) {
    if (Excludes(held, want)) return &held;
  }
  return nullptr;
}

void CopyTerms(const FileLock& from, FileLock& to) {
  to.kind = from.kind;
  to.type = from.type;
  to.pid = from.pid;
  to.owner = from.owner;
  to.start = from.start;
  to.end = from.end;
}

}  // namespace

FileLocks::FileLocks(mm::Memory& memory, base::RcuDomain& rcu, base::SyncPoints& sync, size_t limit)
    : sync_(sync),
      limit_(limit),
      cache_(memory, "file_lock"),
      tables_(std::make_unique<Tables>(memory, rcu)) {}

FileLocks::~FileLocks() = default;

// --- locks as objects ------------------------------------------------------------------------

FileLock* FileLocks::NewLock() {
  FileLock* lock = nullptr;
  if (allocated_.fetch_add(1, std::memory_order_relaxed) < limit_) lock = cache_.New();
  if (lock == nullptr) allocated_.fetch_sub(1, std::memory_order_relaxed);
  return lock;
}

void FileLocks::FreeLock(FileLock* lock) {
  if (lock == nullptr) return;
  cache_.Delete(lock);
  allocated_.fetch_sub(1, std::memory_order_relaxed);
}

FileLocks::Nodes::~Nodes() {
  locks.FreeLock(fresh);
  locks.FreeLock(spare);
}

// What `want` may need. What is missing is missed only where it is needed.
void FileLocks::Prepare(const FileLock& want, Nodes& nodes) {
  if (want.type != F_UNLCK) nodes.fresh = NewLock();
  const bool whole = want.start == 0 && want.end == INT64_MAX;
  if (want.kind != LockKind::kFlock && !whole) nodes.spare = NewLock();
}

// --- changing a context ----------------------------------------------------------------------

void FileLocks::Drop(LockContext& context, FileLock& lock) {
  lock.link.Unlink();
  FreeLock(&lock);
  context.released = true;
  stats_.held.fetch_sub(1, std::memory_order_relaxed);
}

// Puts a lock with the terms of `want` where it belongs.
void FileLocks::Place(LockContext& context, const FileLock& want, FileLock* lock) {
  CopyTerms(want, *lock);
  lock->serial = next_serial_.fetch_add(1, std::memory_order_relaxed);
  const size_t held = stats_.held.fetch_add(1, std::memory_order_relaxed) + 1;
  stats_.held_most.Note(static_cast<int64_t>(held));
  auto& list = want.kind == LockKind::kFlock ? context.flocks : context.ranges;
  bool seen = false;
  for (FileLock& other : list) {
    const bool own = SameOwner(other, want);
    if ((own && other.start > want.start) || (seen && !own)) {
      base::List<FileLock, &FileLock::link>::InsertBefore(*lock, other);
      return;
    }
    seen |= own;
  }
  list.PushBack(*lock);
}

Status FileLocks::TrySet(LockContext& context, const FileLock& want, Nodes& nodes,
                         FileLock*& blocker) {
  if (want.kind == LockKind::kFlock) return TryFlock(context, want, nodes, blocker);
  blocker = want.type == F_UNLCK ? nullptr : Conflict(context, want);
  if (blocker != nullptr) return Err(Errno::kAgain);
  return ApplyRange(context, want, nodes);
}

Status FileLocks::TryFlock(LockContext& context, const FileLock& want, Nodes& nodes,
                           FileLock*& blocker) {
  blocker = nullptr;
  for (FileLock& own : context.flocks) {
    if (!SameOwner(own, want)) continue;
    if (own.type == want.type) return {};
    if (nodes.fresh == nullptr && want.type != F_UNLCK) {
      nodes.fresh = &own;
      own.link.Unlink();
      stats_.held.fetch_sub(1, std::memory_order_relaxed);
      context.released = true;
    } else {
      Drop(context, own);
    }
    break;
  }
  if (want.type == F_UNLCK) return {};
  blocker = Conflict(context, want);
  if (blocker != nullptr) return Err(Errno::kAgain);
  if (nodes.fresh == nullptr) return Err(Errno::kNoLck);
  Place(context, want, std::exchange(nodes.fresh, nullptr));
  return {};
}

// Takes the range of `want` out of a lock that overlaps it.
void FileLocks::Carve(LockContext& context, FileLock& own, const FileLock& want, Nodes& nodes) {
  context.released = true;
  const bool left = own.start < want.start;
  const bool right = own.end > want.end;
  if (!left && !right) return Drop(context, own);
  if (left && right) {
    FileLock& rest = *std::exchange(nodes.spare, nullptr);
    CopyTerms(own, rest);
    rest.start = want.end + 1;
    rest.serial = next_serial_.fetch_add(1, std::memory_order_relaxed);
    base::List<FileLock, &FileLock::link>::InsertAfter(rest, own);
    stats_.held.fetch_add(1, std::memory_order_relaxed);
  }
  if (left) {
    own.end = want.start - 1;
  } else {
    own.start = want.end + 1;
  }
}

// Nothing of others is in the way. All or nothing.
Status FileLocks::ApplyRange(LockContext& context, const FileLock& want, Nodes& nodes) {
  const bool locks = want.type != F_UNLCK;
  bool has_home = false;
  bool splits = false;
  for (const FileLock& own : context.ranges) {
    if (!SameOwner(own, want)) continue;
    if (own.type == want.type) {
      if (Covers(own, want)) return {};
      has_home |= Touch(own, want);
    } else {
      has_home |= Covers(want, own);
      splits |= own.start < want.start && own.end > want.end;
    }
  }
  if ((locks && !has_home && nodes.fresh == nullptr) || (splits && nodes.spare == nullptr)) {
    return Err(Errno::kNoLck);
  }
  // The first lock that can become the new one does: its place in the order is the right one.
  FileLock* home = nullptr;
  for (FileLock& own : context.ranges) {
    if (!SameOwner(own, want)) continue;
    const bool merges = own.type == want.type && Touch(home != nullptr ? *home : want, own);
    const bool becomes = locks && (merges || Covers(want, own));
    if (becomes && home == nullptr) {
      const int64_t start = std::min(own.start, want.start);
      const int64_t end = std::max(own.end, want.end);
      context.released |= own.type != want.type;
      CopyTerms(want, own);
      own.start = start;
      own.end = end;
      home = &own;
    } else if (merges) {
      home->end = std::max(home->end, own.end);
      Drop(context, own);
    } else if (Overlap(own, want)) {
      Carve(context, own, want, nodes);
    }
  }
  if (locks && home == nullptr) Place(context, want, std::exchange(nodes.fresh, nullptr));
  return {};
}

// --- waiting ---------------------------------------------------------------------------------

// Does `blocker` wait, perhaps through others, for `owner`?
bool FileLocks::Tables::WouldDeadlock(const void* owner, const void* blocker) {
  for (int step = 0; step < kMaxDeadlockSteps; ++step) {
    if (blocker == owner) return true;
    const void* next = nullptr;
    for (const LockRequest& request : blocked) {
      if (request.want.owner == blocker) {
        next = request.blocked_by;
        break;
      }
    }
    if (next == nullptr) return false;
    blocker = next;
  }
  return false;
}

// kDeadlk: it must not wait for that one.
Status FileLocks::NoteBlocked(LockRequest& request, const void* blocker) {
  if (request.want.kind != LockKind::kPosix) return {};
  base::MutexLock lock(tables_->graph_mutex);
  if (tables_->WouldDeadlock(request.want.owner, blocker)) return Err(Errno::kDeadlk);
  request.blocked_by = blocker;
  if (!request.graph_link.linked()) tables_->blocked.PushBack(request);
  return {};
}

Status FileLocks::Enqueue(LockContext& context, LockRequest& request, const FileLock& blocker) {
  const Status waits = NoteBlocked(request, blocker.owner);
  if (!waits) {
    stats_.deadlocks.Add();
    return waits;
  }
  context.waiting.PushBack(request);
  stats_.waiting.fetch_add(1, std::memory_order_relaxed);
  stats_.waits.Add();
  return Err(Errno::kAgain);
}

void FileLocks::Dequeue(LockRequest& request) {
  request.link.Unlink();
  stats_.waiting.fetch_sub(1, std::memory_order_relaxed);
  base::MutexLock lock(tables_->graph_mutex);
  if (request.graph_link.linked()) request.graph_link.Unlink();
}

// Whether a request that waits has now been answered.
bool FileLocks::Decide(LockContext& context, LockRequest& request) {
  FileLock* blocker = nullptr;
  Status result = TrySet(context, request.want, request.nodes, blocker);
  if (blocker != nullptr) {
    result = NoteBlocked(request, blocker->owner);
    if (result) return false;
    stats_.deadlocks.Add();
  }
  if (result) stats_.granted_late.Add();
  Dequeue(request);
  request.result = result;
  request.done.store(true, std::memory_order_release);  // from here on it may be gone
  return true;
}

bool FileLocks::Settle(LockContext& context) {
  const bool released = context.released;
  // What is given to one may replace more than it is: then others are asked once more.
  while (std::exchange(context.released, false)) {
    for (LockRequest& request : context.waiting) Decide(context, request);
  }
  if (context.empty()) tables_->sides.Remove(context);
  return released;
}

void FileLocks::Wake(const Inode& inode) {
  Tables::Parking& parking = tables_->ParkingOf(inode);
  parking.releases.fetch_add(1, std::memory_order_seq_cst);
  if (parking.waiters.load(std::memory_order_seq_cst) != 0) parking.queue.WakeAll(parking.waiters);
}

Status FileLocks::Sleep(const Inode& inode, LockRequest& request) {
  Tables::Parking& parking = tables_->ParkingOf(inode);
  parking.waiters.fetch_add(1, std::memory_order_seq_cst);
  SYNC_POINT(sync_, "locks:wait");
  parking.queue.SleepUntil([&request] { return request.done.load(std::memory_order_seq_cst); });
  parking.waiters.fetch_sub(1, std::memory_order_seq_cst);
  return request.result;
}

// --- what others call ------------------------------------------------------------------------

Status FileLocks::SetOnce(Inode& inode, LockRequest& request, Wait wait, Spare& spare) {
  const FileLock& want = request.want;
  Status result;
  bool wake = false;
  {
    base::MutexLock lock(tables_->sides.StripeOf(inode));
    LockContext* const context = want.type == F_UNLCK ? tables_->sides.Find(inode)
                                                      : tables_->sides.FindOrInsert(inode, spare);
    if (context == nullptr) return {};
    FileLock* blocker = nullptr;
    result = TrySet(*context, want, request.nodes, blocker);
    const bool sleeps = blocker != nullptr && wait.how == Wait::kSleep;
    if (sleeps) result = Enqueue(*context, request, *blocker);
    wake = Settle(*context);
  }
  if (wake) Wake(inode);
  return result;
}

Status FileLocks::Set(Inode& inode, const FileLock& want, Wait wait) {
  LockRequest request(*this, want);
  Prepare(want, request.nodes);
  Spare spare(tables_->sides);
  Tables::Parking& parking = tables_->ParkingOf(inode);
  for (int tries = 0; tries < kMaxParkTries; ++tries) {
    if (want.type != F_UNLCK && !spare.Make(inode)) {
      stats_.refused.Add();
      return Err(Errno::kNoLck);
    }
    const uint64_t seen = parking.releases.load(std::memory_order_seq_cst);
    const Status result = SetOnce(inode, request, wait, spare);
    if (result || result.error() != Errno::kAgain) {
      if (!result && result.error() == Errno::kNoLck) stats_.refused.Add();
      return result;
    }
    if (wait.how == Wait::kSleep) return Sleep(inode, request);
    if (wait.how == Wait::kNever || wait.waiter == nullptr) return result;
    SYNC_POINT(sync_, "locks:park");
    const auto moved = [&] { return parking.releases.load(std::memory_order_seq_cst) != seen; };
    if (!parking.queue.Park(*wait.waiter, parking.waiters, moved)) continue;
    stats_.waits.Add();
    return result;
  }
  return Err(Errno::kAgain);
}

bool FileLocks::Test(Inode& inode, const FileLock& want, FileLock& found) {
  base::MutexLock lock(tables_->sides.StripeOf(inode));
  LockContext* const context = tables_->sides.Find(inode);
  if (context == nullptr) return false;
  for (const FileLock& held : context->ranges) {
    const bool asked =
        want.type == F_UNLCK ? SameOwner(held, want) && Overlap(held, want) : Excludes(held, want);
    if (!asked) continue;
    CopyTerms(held, found);
    return true;
  }
  return false;
}

template <class Goes>
void FileLocks::ReleaseIf(const Inode& inode, Goes goes) {
  bool wake = false;
  {
    base::MutexLock lock(tables_->sides.StripeOf(inode));
    LockContext* const context = tables_->sides.Find(inode);
    if (context == nullptr) return;
    for (FileLock& held : context->flocks) {
      if (goes(held)) Drop(*context, held);
    }
    for (FileLock& held : context->ranges) {
      if (goes(held)) Drop(*context, held);
    }
    wake = Settle(*context);
  }
  if (wake) Wake(inode);
}

void FileLocks::Release(const File& file) {
  if (!(file.inode().flags() & kInodeLocked)) return;
  ReleaseIf(file.inode(), [&](const FileLock& lock) { return lock.owner == &file; });
}

void FileLocks::ReleaseOwner(const File& file, const void* table) {
  if (!(file.inode().flags() & kInodeLocked) || file.path_only()) return;
  ReleaseIf(file.inode(), [&](const FileLock& lock) { return lock.owner == table; });
}

// --- looking at them -------------------------------------------------------------------------

namespace {

// Takes lines as long as there is room, and counts them all.
struct Lines {
  std::vector<LockInfo>& lines;
  size_t wanted = 0;

  void Add(const InodeSide& of, const FileLock& lock, uint64_t serial, unsigned depth) {
    if (++wanted > lines.capacity()) return;
    lines.push_back({lock.kind, lock.type, lock.pid, of.inode->sb().dev(), of.inode->ino(),
                     lock.start, lock.end, serial, depth});
  }
};

// Who waits for `held`, each behind those before it that are in its way too.
void AddWaiters(LockContext& context, const FileLock& held, Lines& lines) {
  for (LockRequest& request : context.waiting) {
    if (Conflict(context, request.want) != &held) continue;
    unsigned depth = 1;
    for (LockRequest& before : context.waiting) {
      if (&before == &request) break;
      if (Conflict(context, before.want) != &held) continue;
      if (before.want.kind == request.want.kind && Excludes(before.want, request.want)) ++depth;
    }
    lines.Add(context, request.want, held.serial, depth);
  }
}

}  // namespace

std::vector<LockInfo> FileLocks::List() {
  constexpr size_t kSlack = 64;
  std::vector<LockInfo> found;
  // Nothing is allocated under the locks; what comes meanwhile beyond the slack is left out.
  found.reserve(stats_.held.load(std::memory_order_relaxed) +
                stats_.waiting.load(std::memory_order_relaxed) + kSlack);
  Lines lines{found};
  tables_->sides.ForEach([&lines](LockContext& context) {
    for (auto* list : {&context.flocks, &context.ranges}) {
      for (FileLock& held : *list) {
        lines.Add(context, held, held.serial, 0);
        AddWaiters(context, held, lines);
      }
    }
  });
  // The newest lock first, each with its waiters behind it as they were found.
  std::vector<size_t> order(found.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&found](size_t a, size_t b) {
    return found[a].serial != found[b].serial ? found[a].serial > found[b].serial : a < b;
  });
  std::vector<LockInfo> sorted;
  sorted.reserve(found.size());
  for (const size_t i : order) sorted.push_back(found[i]);
  return sorted;
}

void FileLocks::CheckInvariants() {
  size_t held = 0;
  tables_->sides.ForEach([&held](LockContext& context) {
    CHECK(!context.empty(), "a context without locks");
    const FileLock* last = nullptr;
    for (FileLock& lock : context.ranges) {
      ++held;
      CHECK(lock.start >= 0 && lock.start <= lock.end, "a lock of no bytes");
      if (last != nullptr && SameOwner(*last, lock)) {
        CHECK(last->end < lock.start, "locks of one owner overlap or are out of order");
        CHECK(last->type != lock.type || !Touch(*last, lock), "locks that should be one");
      }
      last = &lock;
    }
    held += context.flocks.Count();
  });
  CHECK(held == stats_.held.load(), "the count of locks is not what there is");
}

}  // namespace dentree::vfs
