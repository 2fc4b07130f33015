// NegativePolicy: which names that do not exist are remembered, and which of them are forgotten
// first. Each super block that is not authoritative has one; the mount option says which, and a
// remount changes it while lookups go on:
//
//     neg=NAME[:PARAMETER]            default dirs3
//     neg_unlink=keep|drop|defer      what a removed name leaves; default: as the policy says
//
// The names, with what each does, are NegativePolicies(). Cost, by hook:
//     hit           in an RCU section: one relaxed store, none once Negative::use is saturated.
//     lru,
//                   tinylfu and throttle are told of each hit under the lock: they exist to be
//                   compared with
//     admit         keep or drop, before anything is allocated. O(1)
//     enter         O(1)
//     make room     at most max_steps() entries and directories are looked at for one insert, those
//                   that leave and those of removed names included; asserted
//     to positive   O(1)
//     dir gone      O(1): the directory's queues are put with what is leaving as they are
//     shrink        one victim at a time, in what order the policy would evict
//     tick          once a second at most, driven by inserts and reclaim: NegativeCache::kTickSteps
//
// A policy with a limit keeps within Vfs::Options::negative_limit, which is shared by the super
// blocks that have one: who has more than an equal share pays. The others are bounded as their
// parameter says, and by the budget of memory.
//
// Thread safety: all but the constants are called with NegativeCache's lock held.
// Lifetime: from the first negative of a super block to its end, or to a remount.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vfs/negative.h"
#include "vfs/negative_options.h"

namespace dentree::vfs {

class NegativePolicy {
 public:
  // Charged. Null: no memory.
  static NegativePolicy* Create(NegativeCache& cache, mm::Memory& memory, const NegativeSpec& spec);
  static void Destroy(NegativePolicy* policy, mm::Memory& memory);
  NegativePolicy(const NegativePolicy&) = delete;
  NegativePolicy& operator=(const NegativePolicy&) = delete;

  // --- constants ---
  virtual bool has_limit() const { return true; }
  virtual uint32_t max_steps() const = 0;
  virtual bool per_dir() const { return false; }   // queues belong to directories
  virtual uint8_t first_use() const { return 0; }  // Negative::kTold: to be told of hits
  virtual NegativeVerdict on_unlink() const { return NegativeVerdict::kKeep; }
  // Memory it works better with, given once by Give; or does not work without.
  virtual size_t wants_bytes() const { return 0; }
  virtual bool needs_bytes() const { return false; }

  // --- hooks ---
  // `dir` is null when the directory has none yet; `names` are those of it in memory.
  virtual bool Admit(const NegativeDir* dir, size_t names) { return (void)dir, (void)names, true; }
  // A new entry, or one that was deferred or came from another policy and was asked for.
  virtual void Enter(Negative& negative) = 0;
  // Evicts what the policy itself does not want any more, `negative` having entered.
  virtual void Trim(Negative& negative) { (void)negative; }
  // Chooses who goes and takes it out of its queue; null when there is nobody. `dir`: for which
  // room is made.
  struct Victim {
    Negative* negative = nullptr;
    NegativeEviction reason = NegativeEviction::kCold;
  };
  virtual Victim Choose(NegativeDir* dir) = 0;
  // Takes one out that is in a queue of the policy's own.
  virtual void Leave(Negative& negative) = 0;
  virtual void Hit(Negative& negative) { (void)negative; }
  // Abandons the queues that belong to the directory, if any.
  virtual void DirGone(NegativeDir& dir) { (void)dir; }
  // `to` takes the place of `from` in its queue; nothing else differs.
  virtual void Replace(Negative& from, Negative& to) = 0;
  // Looks at up to `steps` of the oldest.
  virtual void Tick(uint32_t steps) { (void)steps; }
  // Puts all that it has queued with what is leaving.
  virtual void Dissolve() = 0;

  size_t size() const { return size_; }
  uint16_t generation() const { return generation_; }
  // The memory asked for, zeroed; charged, and freed with the policy.
  void Give(void* memory, size_t bytes) { given_ = memory, given_bytes_ = bytes; }
  bool wants() const { return given_ == nullptr && !refused_ && wants_bytes() != 0; }
  bool ready() const { return given_ != nullptr || !needs_bytes(); }
  // It will not be given. Nobody tries again.
  void Refuse() { refused_ = !needs_bytes(); }

 protected:
  explicit NegativePolicy(NegativeCache& cache) : cache_(cache) {}
  virtual ~NegativePolicy() = default;

  void* given() const { return given_; }
  NegativeStats& stats() const { return cache_.stats_; }
  void Evict(const Victim& victim);
  // All in this queue is leaving.
  void Abandon(NegativeQueue& queue);

  NegativeCache& cache_;

 private:
  friend class NegativeCache;

  void* given_ = nullptr;
  size_t given_bytes_ = 0;
  bool refused_ = false;
  size_t bytes_ = 0;  // of the policy itself
  size_t size_ = 0;   // entries that entered or are deferred
  NegativeQueue deferred_;
  size_t deferred_count_ = 0;
  uint16_t generation_ = 0;
  NegativePolicy* next_ = nullptr;  // in NegativeCache's ring
  NegativePolicy* prev_ = nullptr;
};

}  // namespace dentree::vfs
