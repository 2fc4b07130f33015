// Notify: inotify(7). A group is an open file with a queue of events; a watch says which events of
// an inode go there. What happens is told by whoever does it: Ops, rename and File.
//
//     int fd = task.InotifyInit(O_NONBLOCK).value();
//     int wd = task.InotifyAddWatch(fd, "/dir", IN_CREATE | IN_MOVE).value();
//     task.Read(fd, buffer);      // struct inotify_event, one after the other
//
// Costs. Nobody watches anything: one load for each event. Somebody does: a look at the flags of
// the inode and of the directory it is in. Names, negatives and children cost nothing: whether "the
// directory is watched" is asked of the directory.
//
// Events are told where memory may be allocated (locks up to kRegistry); queued under kNotify. An
// event for which there is no memory or no room becomes IN_Q_OVERFLOW, for which there always is.
// No event of a watch comes after its IN_IGNORED.
//
// Thread safety: any thread. Lifetime: a watch pins its inode, nothing else of its path; it goes
// when it is removed, its group closed, its inode's last name and user gone, or its file system
// unmounted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/base.h"
#include "mm/mm.h"
#include "vfs/creds.h"
#include "vfs/dentry.h"
#include "vfs/file.h"
#include "vfs/inode.h"
#include "vfs/types.h"

namespace dentree::vfs {

class NotifyGroup;
class SuperBlock;
class Vfs;
struct NotifyWatch;

struct NotifyLimits {
  size_t queued_events = 16384;  // in a group; then IN_Q_OVERFLOW
  size_t user_instances = 128;   // groups of a user; kMFile
  size_t user_watches = 65536;   // watches in all of them; kNoSpc
};

struct NotifyStats {
  std::atomic<size_t> instances{0}, watches{0}, queued{0};
  base::HighWater watches_most, queued_most;
  base::Counter events, merged, overflows, lost;
};
inline constexpr auto kNotifyFields = base::Fields(
    base::F<&NotifyStats::instances>("instances", "Open queues", base::StatKind::kInstant),
    base::F<&NotifyStats::watches>("watches", "Watches", base::StatKind::kInstant),
    base::F<&NotifyStats::watches_most, &NotifyStats::watches>(
        "watches_most", "The most watches ever", base::StatKind::kHighWater),
    base::F<&NotifyStats::queued>("queued", "Events not yet read", base::StatKind::kInstant),
    base::F<&NotifyStats::queued_most, &NotifyStats::queued>(
        "queued_most", "The most events ever not yet read", base::StatKind::kHighWater),
    base::F<&NotifyStats::events>("events", "Events queued", base::StatKind::kCumulative),
    base::F<&NotifyStats::merged>("merged", "Events equal to the one before them",
                                  base::StatKind::kCumulative),
    base::F<&NotifyStats::overflows>("overflows", "Times a queue overflowed",
                                     base::StatKind::kCumulative),
    base::F<&NotifyStats::lost>("lost", "Events lost in overflows", base::StatKind::kCumulative));

class Notify {
 public:
  Notify(Vfs& vfs, const NotifyLimits& limits);
  ~Notify();

  // --- groups and watches; masks are those of <sys/inotify.h> ---

  // A group as an open file. kInval: flags beyond O_NONBLOCK and O_CLOEXEC; kMFile, kNoMem.
  Result<FileRef> Init(OpenFlags flags, CredsRef creds);
  static bool IsGroup(const File& file);
  // The watch descriptor of a new watch, or of the one that the group has on the inode, which is
  // changed (IN_MASK_CREATE: kExist). kNoSpc, kNoMem.
  Result<int> AddWatch(const File& group, Inode& inode, uint32_t mask);
  Status RmWatch(const File& group, int wd);  // kInval

  // --- what happened ---

  // To an object that was reached by a name: its directory hears of it too.
  void OnFile(const File& file, uint32_t event) {
    if (active()) [[unlikely]]
      TellDentry(file.dentry(), event, Data::kPath);
  }
  void OnDentry(Dentry& dentry, uint32_t event) {
    if (active()) [[unlikely]]
      TellDentry(dentry, event, Data::kDentry);
  }
  void OnSetattr(Dentry& dentry, const SetAttr& attr) {
    if (active()) [[unlikely]]
      TellSetattr(dentry, attr);
  }
  // To a name in a directory. `event` says IN_ISDIR.
  void OnName(Inode& dir, uint32_t event, std::string_view name, uint32_t cookie = 0) {
    if (dir.flags() & kInodeWatched) [[unlikely]]
      Tell(dir, {.event = event, .cookie = cookie, .name = name});
  }
  void OnCreate(Inode& dir, const Dentry& made, std::string_view name);
  void OnLink(Inode& dir, Inode& inode, std::string_view name);
  // The victim has left its directory; the caller has a reference on it, or it is dead.
  void OnDelete(Inode& dir, Dentry& victim, std::string_view name) {
    if (active()) [[unlikely]]
      TellDelete(dir, victim, name);
  }
  // One name moved, perhaps over `replaced`. An exchange is two.
  struct Move {
    Inode& from_dir;
    std::string_view from;
    Inode& to_dir;
    std::string_view to;
    Inode& moved;
    Inode* replaced = nullptr;
  };
  void OnMove(const Move& move) {
    if (active()) [[unlikely]]
      TellMove(move);
  }
  // A dentry lets go of its inode. If that has no names any more, its watches go.
  void OnLetGo(Inode& inode) {
    if (!(inode.flags() & kInodeWatched)) return;
    if (inode.nlink() == 0 || inode.dead()) TellGone(inode);
  }
  // The super block is going, before its inodes.
  void OnUnmount(SuperBlock& sb);

  bool active() const { return stats_.watches.load(std::memory_order_relaxed) != 0; }
  const NotifyLimits& limits() const { return limits_; }
  const NotifyStats& stats() const { return stats_; }
  NotifyStats& stats() { return stats_; }

 private:
  friend class NotifyGroup;
  friend struct NotifyWatch;
  friend class NotifyFileOps;
  struct Tables;
  struct User;

  // By what an event's maker knew the object: IN_EXCL_UNLINK is about paths only.
  enum class Data : uint8_t { kPath, kDentry };
  struct Event {
    uint32_t event = 0;
    uint32_t cookie = 0;
    std::string_view name = {};
    bool unlinked = false;  // by a path whose name is gone
  };
  // Watches told between two looks at their list.
  static constexpr size_t kBatch = 16;

  void TellDentry(Dentry& dentry, uint32_t event, Data data);
  void TellSetattr(Dentry& dentry, const SetAttr& attr);
  void TellDelete(Inode& dir, Dentry& victim, std::string_view name);
  void TellMove(const Move& move);
  void TellGone(Inode& inode);
  void TellUnmount(Inode& inode);
  NotifyWatch* ShareFirst(Inode& inode);
  void Tell(Inode& inode, const Event& event);
  bool ParentIsWatched(const Dentry& dentry) const;

  Result<User*> TakeInstance(Uid uid);
  void PutInstance(User* user);
  struct Fresh;
  Status Prepare(NotifyGroup& group, Fresh& fresh, Inode& inode);
  int Attach(NotifyGroup& group, Fresh& fresh, Inode& inode, uint32_t mask);
  bool Remove(NotifyWatch& watch);
  void Close(NotifyGroup& group);
  static void PutWatch(NotifyWatch* watch);

  Vfs& vfs_;
  const NotifyLimits limits_;
  const std::unique_ptr<Tables> tables_;
  std::atomic<uint32_t> cookies_{0};
  NotifyStats stats_;
};

}  // namespace dentree::vfs
