// Watches: what a mount hears from the host of the directories in which it has asked for names.
//
// An answer of the host belongs to a tick of kListenNs of the Vfs's monotonic clock. Before
// anything is asked or believed in a tick the events that are there are taken, once per tick
// (Listen); a directory of which one tells is marked with that tick. An answer is believed if its
// tick is not before its directory's mark: what happened before it was asked it knows, and what
// happened after is taken in a later tick. So the watch has to be in place before the question is
// put; for a directory that was asked without one, the mark is set beyond those answers when it
// gets one.
//
// Nobody reads the events but who is about to believe something: there is no thread for it, and
// what nobody looks at waits in the host's queue. When that overflows everything is marked.
//
// Who protects what: marks are read by anyone without a lock; the table of watches, and who takes
// events, is mutex_. Under it no host is asked that could block.
//
// Thread safety: any thread. Lifetime: its super block's; the inodes it knows are removed before.
#pragma once

#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hostfs/host_calls_internal.h"
#include "hostfs/hostfs.h"
#include "vfs/vfs.h"

namespace dentree::hostfs {

class FileSystemState;
struct HostInode;

class Watches {
 public:
  // Where an inode's watch is: a place in the table, or one of these.
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kPlacing = -2;
  // Before all answers.
  static constexpr int64_t kNoMark = INT64_MIN;

  static int64_t TickOf(int64_t ns) { return ns / kListenNs; }

  Watches(vfs::Vfs& vfs, FileSystemState& state);
  ~Watches();
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;

  // Where the host has no notification, or none left for the process, nothing is ever watched.
  void TurnOn();
  // Removes all watches; where they were is as if it had never been watched.
  void TurnOff();

  // Takes what has happened until `now_ns`.
  void Listen(int64_t now_ns);
  // Of the directory with its watch at `place`, or kNoMark.
  int64_t Mark(int32_t place) const {
    const int64_t all = mark_of_all_.load(std::memory_order_acquire);
    if (place < 0) return all;
    const Slot* const slots = slots_.load(std::memory_order_acquire);
    return std::max(all, slots[place].mark.load(std::memory_order_acquire));
  }

  // Has the directory behind `fd` watched, before a question about it is put. Without one, the
  // inode remembers that it was asked so.
  void Add(HostInode& dir, int fd);
  // The inode is about to go.
  void Remove(HostInode& dir);

 private:
  static constexpr uint32_t kBuckets = 256;  // of watch descriptors
  // At most this many reads of events in one tick; beyond, they count as lost.
  static constexpr int kMaxReads = 256;
  static constexpr size_t kBufferBytes = 4096;

  struct Slot {
    std::atomic<int64_t> mark{kNoMark};  // never goes back, whosever the slot is
    HostInode* dir = nullptr;            // mutex_, as all below
    int watch = -1;
    int32_t next = kNone;  // in its bucket, or the next free one
  };

  static uint32_t BucketOf(int watch) { return static_cast<uint32_t>(watch) % kBuckets; }
  Slot& At(int32_t place) const { return slots_.load(std::memory_order_relaxed)[place]; }
  void MakeSlots();
  int32_t TakeSlot();
  void GiveSlotLocked(int32_t place) DT_REQUIRES(mutex_);
  bool TryAdd(HostInode& dir, int fd);
  bool Place(HostInode& dir, int fd);
  bool PlaceLocked(HostInode& dir, int32_t place, int watch, uint64_t unknown_before)
      DT_REQUIRES(mutex_);
  void ForgetLocked(int32_t place) DT_REQUIRES(mutex_);
  void TakeEventsLocked(int64_t tick) DT_REQUIRES(mutex_);
  void HearLocked(const ::inotify_event& event, int64_t tick) DT_REQUIRES(mutex_);
  void MarkAll(int64_t tick);

  vfs::Vfs& vfs_;
  FileSystemState& state_;
  std::atomic<bool> on_{false};
  std::atomic<int64_t> heard_{kNoMark};  // the last tick in which events were taken
  std::atomic<int64_t> mark_of_all_{kNoMark};
  std::atomic<Slot*> slots_{nullptr};  // max_watches; made once, and its own until the end

  base::Mutex<base::LockRank::kLeaf> mutex_;
  Fd notify_ DT_GUARDED_BY(mutex_);  // opened once
  int32_t free_ DT_GUARDED_BY(mutex_) = kNone;
  // Events of watches that are in no bucket: of ones that went, or that are being placed.
  uint64_t unknown_ DT_GUARDED_BY(mutex_) = 0;
  std::array<int32_t, kBuckets> buckets_ DT_GUARDED_BY(mutex_);
  alignas(::inotify_event) std::array<std::byte, kBufferBytes> buffer_ DT_GUARDED_BY(mutex_);
};

}  // namespace dentree::hostfs
