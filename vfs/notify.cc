// Watches, and what is told to them. Queues are in notify_group.cc.
#include "vfs/notify.h"

#include <array>
#include <utility>
#include <vector>

#include "vfs/inode_sides.h"
#include "vfs/notify_internal.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

using base::Err;

namespace {

// An inode with watches.
struct WatchedInode : InodeSide {
  using InodeSide::InodeSide;

  InodeRef pin;
  base::List<NotifyWatch, &NotifyWatch::inode_link> watches;  // in the order they came
};

uint64_t HashOfWatch(const NotifyGroup* group, int wd) {
  return base::Mix64(reinterpret_cast<uintptr_t>(group) ^ static_cast<uint64_t>(wd) << 48 ^
                     static_cast<uint64_t>(wd) >> 16);
}

uint64_t HashOfEntry(SlotTable::Entry entry) {
  const auto& watch = *reinterpret_cast<const NotifyWatch*>(entry);
  return HashOfWatch(watch.group, watch.wd);
}

uint32_t DirBit(const Inode& inode) { return inode.is_dir() ? uint32_t{IN_ISDIR} : 0; }

constexpr uint32_t kHowTold = IN_EXCL_UNLINK | IN_ONESHOT;

}  // namespace

// Who has instances; lives as long as one of them.
struct Notify::User {
  explicit User(Uid of) : uid(of) {}
  const Uid uid;
  size_t instances = 0;            // Tables::users_mutex
  std::atomic<size_t> watches{0};  // at most the limit
  base::ListNode link;
};

struct Notify::Tables {
  using Sides = InodeSides<WatchedInode, kInodeWatched>;

  Tables(mm::Memory& memory, base::RcuDomain& rcu)
      : sides(memory, rcu, "inotify_inode"),
        by_descriptor(memory, rcu, HashOfEntry),
        watches(memory, "inotify_watch"),
        groups(memory, "inotify_group"),
        users(memory, "inotify_user") {}

  Sides sides;
  SlotTable by_descriptor;  // watches by group and descriptor; changed in their inode's stripe
  mm::ObjectCache<NotifyWatch> watches;
  mm::ObjectCache<NotifyGroup> groups;
  mm::ObjectCache<User> users;
  std::atomic<uint64_t> next_serial{1};
  base::Mutex<base::LockRank::kLeaf> users_mutex;
  base::List<User, &User::link> user_list DT_GUARDED_BY(users_mutex);
};

Notify::Notify(Vfs& vfs, const NotifyLimits& limits)
    : vfs_(vfs), limits_(limits), tables_(std::make_unique<Tables>(vfs.memory(), vfs.rcu())) {}

Notify::~Notify() = default;

// --- counts ----------------------------------------------------------------------------------

bool NotifyWatch::TryGet() {
  int32_t seen = refs.load(std::memory_order_relaxed);
  while (seen > 0) {
    if (refs.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void NotifyWatch::Put(NotifyWatch* watch) {
  if (watch->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) Notify::PutWatch(watch);
}

void NotifyGroup::Put(NotifyGroup* group) {
  if (group->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Notify& notify = group->notify_;
  notify.PutInstance(group->user);
  notify.tables_->groups.Delete(group);
}

// The memory of a watch stays for a grace period: it is found by descriptor without a lock.
void Notify::PutWatch(NotifyWatch* watch) {
  NotifyGroup* const group = watch->group;
  Vfs& vfs = group->notify().vfs_;
  vfs.rcu().Retire(
      &watch->free,
      [](base::RcuHead* head) {
        auto* const dead = reinterpret_cast<NotifyWatch*>(reinterpret_cast<char*>(head) -
                                                          offsetof(NotifyWatch, free));
        dead->cache->Delete(dead);
      },
      sizeof(NotifyWatch));
  NotifyGroup::Put(group);
}

Result<Notify::User*> Notify::TakeInstance(Uid uid) {
  User* fresh = tables_->users.New(uid);
  if (fresh == nullptr) return Err(Errno::kNoMem);
  Result<User*> result = Err(Errno::kMFile);
  {
    base::MutexLock lock(tables_->users_mutex);
    User* user = nullptr;
    for (User& other : tables_->user_list) {
      if (other.uid == uid) user = &other;
    }
    if (user == nullptr && limits_.user_instances > 0) {
      user = std::exchange(fresh, nullptr);
      tables_->user_list.PushBack(*user);
    }
    if (user != nullptr && user->instances < limits_.user_instances) {
      ++user->instances;
      result = user;
    }
  }
  if (fresh != nullptr) tables_->users.Delete(fresh);
  if (result) stats_.instances.fetch_add(1, std::memory_order_relaxed);
  return result;
}

void Notify::PutInstance(User* user) {
  stats_.instances.fetch_sub(1, std::memory_order_relaxed);
  {
    base::MutexLock lock(tables_->users_mutex);
    if (--user->instances > 0) return;
    user->link.Unlink();
  }
  tables_->users.Delete(user);
}

// --- groups and watches ----------------------------------------------------------------------

Result<FileRef> Notify::Init(OpenFlags flags, CredsRef creds) {
  if (flags & ~(O_NONBLOCK | O_CLOEXEC)) return Err(Errno::kInval);
  User* const user = TRY(TakeInstance(creds->uid));
  NotifyGroup* const group = tables_->groups.New(*this, vfs_.memory(), user);
  if (group == nullptr) {
    PutInstance(user);
    return Err(Errno::kNoMem);
  }
  Result<FileRef> file =
      vfs_.anon().Open(kNotifyFileOps, group, O_RDONLY | (flags & O_NONBLOCK), std::move(creds));
  if (!file) NotifyGroup::Put(group);
  return file;
}

bool Notify::IsGroup(const File& file) { return file.ops() == &kNotifyFileOps; }

// What a new watch takes, had before the locks.
struct Notify::Fresh {
  explicit Fresh(Notify& of) : notify(of), entry(of.tables_->sides) {}
  ~Fresh() {
    if (watch == nullptr) return;
    group->FreeRecord(watch->ignored);
    notify.tables_->watches.Delete(watch);
    notify.tables_->by_descriptor.Unreserve();
    group->user->watches.fetch_sub(1, std::memory_order_relaxed);
  }
  Fresh(const Fresh&) = delete;
  Fresh& operator=(const Fresh&) = delete;

  Notify& notify;
  Tables::Sides::Spare entry;
  NotifyGroup* group = nullptr;
  NotifyWatch* watch = nullptr;
};

Status Notify::Prepare(NotifyGroup& group, Fresh& fresh, Inode& inode) {
  TRY(fresh.entry.Make(inode));
  if (fresh.watch != nullptr) return {};
  User& user = *group.user;
  if (user.watches.fetch_add(1, std::memory_order_relaxed) >= limits_.user_watches) {
    user.watches.fetch_sub(1, std::memory_order_relaxed);
    return Err(Errno::kNoSpc);
  }
  NotifyWatch* const watch = tables_->watches.New();
  NotifyRecord* const ignored = group.NewRecord(-1, {.event = IN_IGNORED});
  const Status room = tables_->by_descriptor.Reserve();
  if (watch != nullptr && ignored != nullptr && room) {
    watch->ignored = ignored;
    watch->cache = &tables_->watches;
    fresh.group = &group;
    fresh.watch = watch;
    return {};
  }
  if (room) tables_->by_descriptor.Unreserve();
  group.FreeRecord(ignored);
  if (watch != nullptr) tables_->watches.Delete(watch);
  user.watches.fetch_sub(1, std::memory_order_relaxed);
  return Err(Errno::kNoMem);
}

// The stripe is locked.
int Notify::Attach(NotifyGroup& group, Fresh& fresh, Inode& inode, uint32_t mask) {
  NotifyWatch& watch = *std::exchange(fresh.watch, nullptr);
  // Counted before the flag is up: who sees no watches has come before this one.
  const size_t watches = stats_.watches.fetch_add(1, std::memory_order_seq_cst) + 1;
  stats_.watches_most.Note(static_cast<int64_t>(watches));
  WatchedInode& entry = *tables_->sides.FindOrInsert(inode, fresh.entry);
  if (entry.pin == nullptr) entry.pin = InodeRef::Share(&inode);
  NotifyGroup::Get(&group);
  watch.group = &group;
  watch.inode = &inode;
  watch.mask.store(mask, std::memory_order_relaxed);
  watch.serial = tables_->next_serial.fetch_add(1, std::memory_order_relaxed);
  entry.watches.PushBack(watch);
  group.Add(watch);
  tables_->by_descriptor.Insert(HashOfWatch(&group, watch.wd),
                                reinterpret_cast<SlotTable::Entry>(&watch));
  return watch.wd;
}

Result<int> Notify::AddWatch(const File& file, Inode& inode, uint32_t mask) {
  NotifyGroup& group = file.priv<NotifyGroup>();
  const uint32_t wanted = mask & (IN_ALL_EVENTS | kHowTold);
  Fresh fresh(*this);
  for (;;) {
    {
      base::MutexLock lock(tables_->sides.StripeOf(inode));
      if (WatchedInode* const entry = tables_->sides.Find(inode)) {
        for (NotifyWatch& watch : entry->watches) {
          if (watch.group != &group) continue;
          if (mask & IN_MASK_CREATE) return Err(Errno::kExist);
          const uint32_t kept = mask & IN_MASK_ADD ? watch.mask.load() : 0;
          watch.mask.store(kept | wanted, std::memory_order_relaxed);
          return watch.wd;
        }
      }
      if (fresh.watch != nullptr) return Attach(group, fresh, inode, wanted);
    }
    TRY(Prepare(group, fresh, inode));
    SYNC_POINT(vfs_.sync_points(), "notify:add:prepared");
  }
}

// False: it was removed already.
bool Notify::Remove(NotifyWatch& watch) {
  NotifyGroup& group = *watch.group;
  InodeRef pin;  // ends without the lock
  {
    base::MutexLock lock(tables_->sides.StripeOf(*watch.inode));
    if (!watch.inode_link.linked()) return false;
    WatchedInode& entry = *tables_->sides.Find(*watch.inode);
    watch.inode_link.Unlink();
    tables_->by_descriptor.Remove(HashOfWatch(&group, watch.wd),
                                  reinterpret_cast<SlotTable::Entry>(&watch));
    group.Drop(watch);
    if (entry.watches.empty()) {
      pin = std::move(entry.pin);
      tables_->sides.Remove(entry);
    }
  }
  group.Wake();
  group.user->watches.fetch_sub(1, std::memory_order_relaxed);
  stats_.watches.fetch_sub(1, std::memory_order_relaxed);
  NotifyWatch::Put(&watch);
  return true;
}

Status Notify::RmWatch(const File& file, int wd) {
  NotifyGroup* const group = &file.priv<NotifyGroup>();
  NotifyWatchRef watch;
  {
    const base::RcuReadGuard guard(vfs_.rcu());
    const SlotTable::Entry found =
        tables_->by_descriptor.Find(HashOfWatch(group, wd), [&](SlotTable::Entry entry) {
          const auto& candidate = *reinterpret_cast<const NotifyWatch*>(entry);
          return candidate.group == group && candidate.wd == wd;
        });
    auto* const candidate = reinterpret_cast<NotifyWatch*>(found);
    if (candidate != nullptr && candidate->TryGet()) watch = NotifyWatchRef::Adopt(candidate);
  }
  if (watch == nullptr || !Remove(*watch)) return Err(Errno::kInval);
  return {};
}

void Notify::Close(NotifyGroup& group) {
  // Nobody adds to a group whose file is closed.
  while (const NotifyWatchRef watch = group.AnyWatch()) Remove(*watch);
}

// --- what happened ---------------------------------------------------------------------------

void Notify::Tell(Inode& inode, const Event& event) {
  const auto wants = [&event](const NotifyWatch& watch) {
    const uint32_t mask = watch.mask.load(std::memory_order_relaxed);
    if (event.unlinked && (mask & IN_EXCL_UNLINK)) return false;
    return ((mask | IN_UNMOUNT) & event.event & ~uint32_t{IN_ISDIR}) != 0;
  };
  uint64_t last = 0;
  for (bool more = true; more;) {
    std::array<NotifyWatchRef, kBatch> batch;
    size_t count = 0;
    more = false;
    {
      base::MutexLock lock(tables_->sides.StripeOf(inode));
      WatchedInode* const entry = tables_->sides.Find(inode);
      if (entry == nullptr) return;
      for (NotifyWatch& watch : entry->watches) {
        if (watch.serial <= last || !wants(watch)) continue;
        more = count == kBatch;
        if (more) break;
        batch[count++] = NotifyWatchRef::Share(&watch);
      }
    }
    SYNC_POINT(vfs_.sync_points(), "notify:tell:unlocked");
    for (size_t i = 0; i < count; ++i) {
      NotifyWatch& watch = *batch[i];
      watch.group->Tell(watch, event);
      if (watch.mask.load(std::memory_order_relaxed) & IN_ONESHOT) Remove(watch);
      last = watch.serial;
    }
  }
}

// Without a reference on the directory: it is only looked at.
bool Notify::ParentIsWatched(const Dentry& dentry) const {
  const base::RcuReadGuard guard(vfs_.rcu());
  const Dentry* const parent = dentry.parent();
  if (parent == nullptr || parent == &dentry) return false;
  const Inode* const inode = parent->InodeRcu();
  return inode != nullptr && (inode->flags() & kInodeWatched);
}

void Notify::TellDentry(Dentry& dentry, uint32_t event, Data data) {
  Inode& inode = dentry.inode();
  event |= DirBit(inode);
  const bool unlinked = data == Data::kPath && dentry.unhashed();
  if (ParentIsWatched(dentry)) {
    const DentryRef parent = vfs_.dcache().ParentOf(dentry);
    char buffer[kNameMax];
    const std::string_view name = dentry.CopyName(buffer);
    Tell(parent->inode(), {.event = event, .name = name, .unlinked = unlinked});
  }
  if (inode.flags() & kInodeWatched) Tell(inode, {.event = event, .unlinked = unlinked});
}

void Notify::TellSetattr(Dentry& dentry, const SetAttr& attr) {
  uint32_t event = 0;
  if (attr.uid || attr.gid || attr.mode) event |= IN_ATTRIB;
  if (attr.size) event |= IN_MODIFY;
  if (attr.atime && attr.mtime) {
    event |= IN_ATTRIB;
  } else if (attr.atime) {
    event |= IN_ACCESS;
  } else if (attr.mtime) {
    event |= IN_MODIFY;
  }
  if (event != 0) TellDentry(dentry, event, Data::kDentry);
}

void Notify::OnCreate(Inode& dir, const Dentry& made, std::string_view name) {
  if (!(dir.flags() & kInodeWatched)) return;
  OnName(dir, IN_CREATE | DirBit(made.inode()), name);
}

void Notify::OnLink(Inode& dir, Inode& inode, std::string_view name) {
  if (!active()) return;
  if (inode.flags() & kInodeWatched) Tell(inode, {.event = IN_ATTRIB});
  OnName(dir, IN_CREATE, name);
}

void Notify::TellDelete(Inode& dir, Dentry& victim, std::string_view name) {
  Inode& inode = victim.inode();
  if (!inode.is_dir() && (inode.flags() & kInodeWatched)) Tell(inode, {.event = IN_ATTRIB});
  // Used by nobody else, it is gone before its directory hears of it.
  if (victim.refs() <= 1) OnLetGo(inode);
  OnName(dir, IN_DELETE | DirBit(inode), name);
}

void Notify::TellMove(const Move& move) {
  const uint32_t cookie = cookies_.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint32_t dir = DirBit(move.moved);
  OnName(move.from_dir, IN_MOVED_FROM | dir, move.from, cookie);
  OnName(move.to_dir, IN_MOVED_TO | dir, move.to, cookie);
  if (move.replaced != nullptr && (move.replaced->flags() & kInodeWatched)) {
    Tell(*move.replaced, {.event = IN_ATTRIB | DirBit(*move.replaced)});
  }
  if (move.moved.flags() & kInodeWatched) Tell(move.moved, {.event = IN_MOVE_SELF});
}

// Any of an inode's watches; null: there is none.
NotifyWatch* Notify::ShareFirst(Inode& inode) {
  base::MutexLock lock(tables_->sides.StripeOf(inode));
  WatchedInode* const entry = tables_->sides.Find(inode);
  return entry == nullptr ? nullptr : NotifyWatchRef::Share(&entry->watches.front()).Leak();
}

void Notify::TellGone(Inode& inode) {
  Tell(inode, {.event = IN_DELETE_SELF});
  while (const auto watch = NotifyWatchRef::Adopt(ShareFirst(inode))) Remove(*watch);
}

// Linear in all watched inodes, unless there are none.
void Notify::OnUnmount(SuperBlock& sb) {
  for (;;) {
    std::vector<InodeRef> inodes;
    inodes.reserve(tables_->sides.live());
    if (inodes.capacity() == 0) return;
    tables_->sides.ForEach([&](WatchedInode& entry) {
      if (&entry.inode->sb() != &sb || inodes.size() == inodes.capacity()) return;
      inodes.push_back(entry.pin);
    });
    if (inodes.empty()) return;
    for (const InodeRef& inode : inodes) TellUnmount(*inode);
  }
}

void Notify::TellUnmount(Inode& inode) {
  while (const auto watch = NotifyWatchRef::Adopt(ShareFirst(inode))) {
    watch->group->Tell(*watch, {.event = IN_UNMOUNT | DirBit(inode)});
    Remove(*watch);
  }
}

}  // namespace dentree::vfs
