// Groups and watches of notify: who holds whom.
//     an open file   holds its group
//     a watch        is held by its inode's list, and by whoever tells it something at the moment
//     a watch        holds its group; a group's list of watches holds nothing
// A watch leaves its inode's list, its group's list and the table of watch descriptors in one
// critical section of its inode's stripe.
#pragma once

#include <sys/inotify.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/base.h"
#include "vfs/notify.h"
#include "vfs/wait_queue.h"

namespace dentree::vfs {

// An event in a queue; its name follows it.
struct NotifyRecord {
  int32_t wd = -1;
  uint32_t mask = 0;
  uint32_t cookie = 0;
  uint32_t name_size = 0;
  base::ListNode link;

  char* text() { return reinterpret_cast<char*>(this + 1); }
  std::string_view name() const { return {reinterpret_cast<const char*>(this + 1), name_size}; }
  // What a reader gets: the name with a NUL, filled up to a multiple of the head.
  size_t PaddedName() const {
    constexpr size_t kHead = sizeof(inotify_event);
    return name_size == 0 ? 0 : (name_size + kHead) / kHead * kHead;
  }
  size_t ReadSize() const { return sizeof(inotify_event) + PaddedName(); }
};

struct NotifyWatch {
  NotifyGroup* group = nullptr;  // a reference
  Inode* inode = nullptr;        // pinned by the inode's entry while the watch is on its list
  int wd = 0;
  uint64_t serial = 0;              // later ones have greater
  std::atomic<uint32_t> mask{0};    // events and IN_EXCL_UNLINK, IN_ONESHOT; the stripe
  NotifyRecord* ignored = nullptr;  // its last event, made with it; the group's mutex
  bool dead = false;                // the group's mutex
  bool spent = false;               // likewise: IN_ONESHOT, and it was told
  std::atomic<int32_t> refs{1};
  base::ListNode inode_link;  // the stripe
  base::ListNode group_link;  // the group's mutex
  base::RcuHead free;

  static void Get(NotifyWatch* watch) { watch->refs.fetch_add(1, std::memory_order_relaxed); }
  static void Put(NotifyWatch* watch);
  bool TryGet();

  mm::ObjectCache<NotifyWatch>* cache = nullptr;
};
using NotifyWatchRef = base::Ref<NotifyWatch>;

class NotifyGroup {
 public:
  NotifyGroup(Notify& notify, mm::Memory& memory, Notify::User* of);
  ~NotifyGroup();
  NotifyGroup(const NotifyGroup&) = delete;
  NotifyGroup& operator=(const NotifyGroup&) = delete;

  static void Get(NotifyGroup* group) { group->refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Put(NotifyGroup* group);

  Notify& notify() { return notify_; }

  // --- events in ---
  // Null: no memory.
  NotifyRecord* NewRecord(int32_t wd, const Notify::Event& event);
  void FreeRecord(NotifyRecord* record);
  void Tell(NotifyWatch& watch, const Notify::Event& event);

  // --- watches; the stripe of the inode is locked ---
  void Add(NotifyWatch& watch);   // gives it its descriptor
  void Drop(NotifyWatch& watch);  // with its last event; Wake is then due
  void Wake();
  // Some watch, with a reference; null: there is none.
  NotifyWatchRef AnyWatch();

  // --- events out ---
  Result<size_t> Take(std::span<std::byte> out);  // kAgain: there are none
  Result<size_t> Read(std::span<std::byte> out);  // waits for one
  Result<size_t> ReadOrPark(std::span<std::byte> out, Waiter* waiter);
  bool has_events() const { return length_.load(std::memory_order_seq_cst) != 0; }
  size_t readable_bytes() const { return bytes_.load(std::memory_order_relaxed); }

  Notify::User* const user;

 private:
  friend class Notify;
  using Mutex = base::Mutex<base::LockRank::kNotify>;
  // What becomes of an event that is to be queued.
  enum class Fate : uint8_t { kQueue, kMerged, kOverflow, kNobody };

  Fate FateLocked(const NotifyWatch& watch, const Notify::Event& event) DT_REQUIRES(mutex_);
  void PushLocked(NotifyRecord& record) DT_REQUIRES(mutex_);
  void OverflowLocked() DT_REQUIRES(mutex_);
  void SettleLocked(NotifyWatch& watch, Fate fate) DT_REQUIRES(mutex_);
  Result<NotifyRecord*> PopFor(size_t room);

  Notify& notify_;
  mm::Memory& memory_;
  std::atomic<int32_t> refs_{1};
  Mutex mutex_;
  base::List<NotifyRecord, &NotifyRecord::link> queue_ DT_GUARDED_BY(mutex_);
  NotifyRecord overflow_ DT_GUARDED_BY(mutex_);  // at most once in the queue
  base::List<NotifyWatch, &NotifyWatch::group_link> watches_ DT_GUARDED_BY(mutex_);
  int next_wd_ DT_GUARDED_BY(mutex_) = 1;
  std::atomic<size_t> length_{0};  // of the queue; written with mutex_ held
  std::atomic<size_t> bytes_{0};   // likewise
  WaitQueue readers_;
  WaitCount waiting_{0};
};

class NotifyFileOps final : public FileOps {
 public:
  constexpr NotifyFileOps() = default;
  void Release(File& file) const override;
  Result<size_t> Read(File& file, std::span<std::byte> out, uint64_t pos) const override;
  Result<size_t> ReadNowait(File& file, std::span<std::byte> out, uint64_t pos,
                            Waiter* waiter) const override;
  Result<uint64_t> Seek(File& file, int64_t offset, Whence whence) const override;
  PollEvents Poll(File& file) const override;
  Status Fsync(File& file) const override;
  Result<uint64_t> Ioctl(File& file, unsigned cmd, uint64_t arg) const override;
};
inline constexpr NotifyFileOps kNotifyFileOps;

}  // namespace dentree::vfs
