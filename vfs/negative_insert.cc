// How negatives are made, and which policy has them.
#include <cstring>
#include <new>

#include "vfs/dcache.h"
#include "vfs/negative_internal.h"
#include "vfs/negative_policy.h"
#include "vfs/super_block.h"

namespace dentree::vfs {

namespace {

// Generations are told apart by 12 bits; so many may be about at once.
constexpr uint16_t kGenerations = 1 << 12;
constexpr uint16_t kMaxGenerations = kGenerations - 64;

}  // namespace

// What is to be remembered.
struct NegativeCache::Newcomer {
  const Dentry& dir;
  uint32_t dir_seq;
  const Name& name;
  uint32_t now_ms;
  NegativeReason reason;
  SuperBlock& sb;
};

// What is allocated for it before anything is locked. What is not used goes back.
struct NegativeCache::Supplies {
  explicit Supplies(NegativeCache& whose) : cache(whose) {}
  ~Supplies() {
    if (negative != nullptr) {
      cache.dcache_.table_.Unreserve();
      mm::Cache::FreeObject(negative);
    }
    if (dir != nullptr) {
      cache.dirs_.Unreserve();
      mm::Cache::FreeObject(dir);
    }
    if (policy != nullptr) NegativePolicy::Destroy(policy, cache.memory_);
    cache.memory_.FreeBytes(buffer, buffer_bytes);
  }
  Supplies(const Supplies&) = delete;
  Supplies& operator=(const Supplies&) = delete;

  NegativeCache& cache;
  Negative* negative = nullptr;
  NegativeDir* dir = nullptr;
  NegativePolicy* policy = nullptr;
  void* buffer = nullptr;
  size_t buffer_bytes = 0;
  // What the last try found wanting.
  bool wants_negative = false, wants_dir = false, wants_policy = false;
  size_t wants_bytes = 0;
  bool refused = false;  // these
  bool ticked = false;
};

Negative* NegativeCache::Alloc(bool is_long) {
  const uint8_t space = space_.load(std::memory_order_relaxed);
  Negative* const negative = is_long ? spaces_[space].longs.Alloc() : spaces_[space].shorts.Alloc();
  if (negative == nullptr) return nullptr;
  if (is_long) {
    ::new (negative) LongNegative;
  } else {
    ::new (negative) Negative;
  }
  negative->space = space & 1;
  negative->queue = Negative::kNone;
  return negative;
}

// False: no memory.
bool NegativeCache::Supply(const Newcomer& newcomer, Supplies& supplies) {
  if (supplies.wants_negative) {
    if (!dcache_.table_.Reserve()) return false;
    supplies.negative = Alloc(newcomer.name.size() > kShortNegativeMax);
    if (supplies.negative == nullptr) return dcache_.table_.Unreserve(), false;
    supplies.wants_negative = false;
  }
  if (supplies.wants_dir) {
    if (!dirs_.Reserve()) return false;
    NegativeDir* const dir = dir_cache_.Alloc();
    if (dir == nullptr) return dirs_.Unreserve(), false;
    supplies.dir = ::new (dir) NegativeDir{};
    supplies.wants_dir = false;
  }
  if (supplies.wants_policy) {
    NegativeSpec spec;
    {
      base::MutexLock lock(lock_);
      spec = newcomer.sb.negatives_.options.policy.value_or(spec);
    }
    supplies.policy = NegativePolicy::Create(*this, memory_, spec);
    if (supplies.policy == nullptr) return false;
    supplies.wants_policy = false;
  }
  if (supplies.wants_bytes != 0) {
    supplies.buffer = memory_.AllocBytes(supplies.wants_bytes, "mm:negative_policy");
    supplies.refused = supplies.buffer == nullptr;
    supplies.buffer_bytes = std::exchange(supplies.wants_bytes, 0);
    if (!supplies.refused) std::memset(supplies.buffer, 0, supplies.buffer_bytes);
  }
  return true;
}

// The policy of the super block; null: not yet.
NegativePolicy* NegativeCache::PolicyFor(const Newcomer& newcomer, Supplies& supplies) {
  NegativePolicy* policy = newcomer.sb.negatives_.policy;
  if (policy == nullptr) {
    const uint16_t about = (next_generation_ - leaving_since_) % kGenerations;
    if (!leaving_.empty() && about >= kMaxGenerations) return nullptr;
    if (supplies.policy == nullptr) return supplies.wants_policy = true, nullptr;
    policy = std::exchange(supplies.policy, nullptr);
    AddPolicy(*policy, newcomer.sb);
  }
  if (policy->wants() && supplies.buffer != nullptr) {
    policy->Give(std::exchange(supplies.buffer, nullptr), supplies.buffer_bytes);
  }
  if (policy->wants() && supplies.refused) policy->Refuse();
  if (policy->wants() && !supplies.refused) {
    return supplies.wants_bytes = policy->wants_bytes(), nullptr;
  }
  return policy->ready() ? policy : nullptr;
}

NegativeVerdict NegativeCache::Judge(const Newcomer& newcomer, NegativePolicy& policy,
                                     NegativeDir* dir) const {
  if (policy.has_limit() && limit() == 0) return NegativeVerdict::kDrop;
  NegativeVerdict verdict = NegativeVerdict::kKeep;
  if (newcomer.reason != NegativeReason::kMiss) {
    verdict = newcomer.sb.negatives_.options.unlink.value_or(policy.on_unlink());
  }
  if (verdict == NegativeVerdict::kDrop) return verdict;
  const auto names = static_cast<size_t>(std::max(newcomer.dir.refs(), 0));
  return policy.Admit(dir, names) ? verdict : NegativeVerdict::kDrop;
}

NegativeDir* NegativeCache::DirFor(const Newcomer& newcomer, Supplies& supplies) {
  NegativeDir* dir = std::exchange(supplies.dir, nullptr);
  dir->dentry = &newcomer.dir;
  dir->seq.store(newcomer.dir_seq, std::memory_order_relaxed);
  dirs_.Insert(Dcache::HashOf(&newcomer.dir, 0), reinterpret_cast<uintptr_t>(dir));
  stats_.dirs.Add();
  return dir;
}

// Puts an entry among a policy's.
void NegativeCache::Join(Negative& negative, NegativePolicy& policy, NegativeVerdict verdict) {
  negative.generation = policy.generation() & (kGenerations - 1);
  ++policy.size_;
  if (policy.has_limit()) ++limited_;
  if (verdict == NegativeVerdict::kDefer) {
    negative.SetUse(0);
    negative.queue = Negative::kDeferred;
    policy.deferred_.PushNewest(negative);
    ++policy.deferred_count_;
    stats_.deferred.Add();
  } else {
    negative.SetUse(policy.first_use());
    policy.Enter(negative);
  }
}

// The oldest of removed names goes, or enters if it was asked for meanwhile. False: there is none.
bool NegativeCache::PassDeferred(NegativePolicy& policy) {
  Negative* const negative = policy.deferred_.oldest();
  if (negative == nullptr) return false;
  ++steps_;
  policy.deferred_.Remove(*negative);
  --policy.deferred_count_;
  if (negative->used() != 0 && !negative->dir->gone()) {
    negative->SetUse(policy.first_use());
    policy.Enter(*negative);
  } else {
    Left(policy, 1);
    Evicted(*negative, NegativeEviction::kDeferred);
  }
  return true;
}

// Who gives one of its entries: the policy that wants room, unless another has more than its share.
NegativePolicy& NegativeCache::WhoPays(NegativePolicy& policy) {
  const size_t share = Share();
  if (policy.size() > share) return policy;
  NegativePolicy* other = policy.next_;
  for (int i = 0; i < kMaxPolicyVisits && other != &policy; ++i, other = other->next_) {
    if (other->has_limit() && other->size() > share) return *other;
  }
  return policy;
}

void NegativeCache::MakeRoom(NegativePolicy& policy, NegativeDir* dir) {
  if (!policy.has_limit() || limited_ <= limit()) return;
  NegativePolicy& payer = WhoPays(policy);
  const size_t before = limited_;
  if (PassDeferred(payer) && limited_ < before) return;
  EvictOne(payer, &payer == &policy ? dir : nullptr);
}

NegativeCache::Outcome NegativeCache::TryInsert(const Newcomer& newcomer, Supplies& supplies) {
  const Session session(*this);
  const uint32_t now = newcomer.now_ms;
  if (now != 0 && static_cast<int32_t>(now - now_ms_) > 0) now_ms_ = now;
  NegativePolicy* const policy = PolicyFor(newcomer, supplies);
  if (policy == nullptr) {
    const bool wants = supplies.wants_policy || supplies.wants_bytes != 0;
    return wants ? Outcome::kWants : Outcome::kNot;
  }
  for (uint32_t i = 0; i < kLeavingPerInsert && PopLeaving(); ++i) {
  }
  NegativeDir* dir = FindDir(newcomer.dir);
  if (dir != nullptr && dir->seq.load(std::memory_order_relaxed) != newcomer.dir_seq) {
    DirGoneLocked(*dir);
    dir = nullptr;
  }
  const NegativeVerdict verdict = Judge(newcomer, *policy, dir);
  if (verdict == NegativeVerdict::kDrop) return stats_.drops.Add(), Outcome::kNot;
  supplies.wants_negative = supplies.negative == nullptr;
  supplies.wants_dir = dir == nullptr && supplies.dir == nullptr;
  if (supplies.wants_negative || supplies.wants_dir) return Outcome::kWants;
  if (dir == nullptr) dir = DirFor(newcomer, supplies);
  Negative& negative = *std::exchange(supplies.negative, nullptr);
  negative.dir = dir;
  negative.hash = newcomer.name.hash();
  negative.asked_ms.store(newcomer.now_ms != 0 ? newcomer.now_ms : now_ms_,
                          std::memory_order_relaxed);
  negative.len = static_cast<uint8_t>(newcomer.name.size());
  std::memcpy(reinterpret_cast<char*>(&negative) + offsetof(Negative, name),
              newcomer.name.text().data(), newcomer.name.size());
  ++dir->entries;
  Join(negative, *policy, verdict);
  dcache_.table_.Insert(Dcache::HashOf(&newcomer.dir, newcomer.name.key()),
                        Dcache::EntryOf(negative));
  stats_.inserts.Add();
  stats_.bytes.Add(static_cast<int64_t>(negative.bytes()));
  stats_.entries.Add();
  if (policy->deferred_count_ > kMaxDeferred) PassDeferred(*policy);
  if (verdict == NegativeVerdict::kKeep) policy->Trim(negative);
  MakeRoom(*policy, dir);
  stats_.high_water.Note(stats_.entries.Value());
  stats_.NoteSteps(steps_);
  DCHECK(limited_policies_ > 1 || steps_ <= policy->max_steps(), "an insert looked at too much");
  if (now_ms_ - ticked_ms_ >= kTickMs) {
    TickLocked();
    supplies.ticked = true;
  }
  return Outcome::kMade;
}

// Modulo 2^32, and not 0. 0: the time is not worth asking for.
uint32_t NegativeCache::TimeOf(const Newcomer& newcomer) {
  if (newcomer.now_ms != 0) return newcomer.now_ms;
  const uint32_t n = inserts_.fetch_add(1, std::memory_order_relaxed);
  return n % kClockInserts == 0 ? MonotonicMs(clock_.MonotonicNs()) : 0;
}

bool NegativeCache::Insert(const Dentry& dir, uint32_t dir_seq, const Name& name, uint32_t now_ms,
                           NegativeReason reason) {
  Newcomer newcomer{dir, dir_seq, name, now_ms, reason, dir.sb()};
  newcomer.now_ms = TimeOf(newcomer);
  Supplies supplies(*this);
  supplies.wants_negative = !newcomer.sb.negatives_.drops_all.load(std::memory_order_relaxed);
  Outcome outcome = Outcome::kWants;
  // One try finds out what policy, memory for it, directory and entry are wanted each; reclaim may
  // take the directory away in between.
  for (int tries = 0; outcome == Outcome::kWants && tries < kMaxTries; ++tries) {
    if (name.size() > kNegativeNameMax || !Supply(newcomer, supplies)) break;
    outcome = TryInsert(newcomer, supplies);
  }
  if (outcome == Outcome::kWants) stats_.refusals.Add();
  if (supplies.ticked) Compact(kMovesPerTick, kSlotsPerTick);
  return outcome == Outcome::kMade;
}

// --- policies --------------------------------------------------------------------------------

void NegativeCache::AddPolicy(NegativePolicy& policy, SuperBlock& sb) {
  policy.generation_ = next_generation_++ % kGenerations;
  if (policies_ == nullptr) {
    policies_ = policy.next_ = policy.prev_ = &policy;
  } else {
    policy.next_ = policies_;
    policy.prev_ = policies_->prev_;
    policy.prev_->next_ = &policy;
    policies_->prev_ = &policy;
  }
  if (policy.has_limit()) ++limited_policies_;
  sb.negatives_.policy = &policy;
}

// Its entries are leaving.
void NegativeCache::RemovePolicy(NegativePolicy& policy) {
  const size_t count = policy.size();
  if (count > 0 && leaving_.empty()) leaving_since_ = policy.generation_;
  policy.Dissolve();
  policy.Abandon(policy.deferred_);
  Left(policy, count);
  leaving_count_.fetch_add(count, std::memory_order_relaxed);
  if (policy.has_limit()) --limited_policies_;
  if (policies_ == &policy) policies_ = policy.next_ == &policy ? nullptr : policy.next_;
  policy.prev_->next_ = policy.next_;
  policy.next_->prev_ = policy.prev_;
}

Status NegativeCache::SetOptions(SuperBlock& sb, const NegativeOptions& options) {
  NegativePolicy* fresh = nullptr;
  if (options.policy) {
    fresh = NegativePolicy::Create(*this, memory_, *options.policy);
    if (fresh == nullptr) return base::Err(Errno::kNoMem);
  }
  NegativePolicy* old = nullptr;
  {
    const Session session(*this);
    auto& here = sb.negatives_;
    if (options.unlink) here.options.unlink = options.unlink;
    if (options.policy) here.options.policy = options.policy;
    const bool drops_all = options.policy && options.policy->kind == NegativeSpec::Kind::kNone;
    if (options.policy) here.drops_all.store(drops_all, std::memory_order_relaxed);
    if (fresh != nullptr && here.policy != nullptr) {
      old = std::exchange(here.policy, nullptr);
      RemovePolicy(*old);
      const uint16_t about = (next_generation_ - leaving_since_) % kGenerations;
      if (leaving_.empty() || about < kMaxGenerations) {
        AddPolicy(*std::exchange(fresh, nullptr), sb);
      }
    }
  }
  if (old != nullptr) NegativePolicy::Destroy(old, memory_);
  if (fresh != nullptr) NegativePolicy::Destroy(fresh, memory_);
  return {};
}

std::string NegativeCache::OptionsText(const SuperBlock& sb) const {
  NegativeOptions options;
  {
    base::MutexLock lock(lock_);
    options = sb.negatives_.options;
  }
  return options.Text();
}

void NegativeCache::SuperGone(SuperBlock& sb) {
  NegativePolicy* policy = nullptr;
  {
    const Session session(*this);
    policy = std::exchange(sb.negatives_.policy, nullptr);
    if (policy != nullptr) RemovePolicy(*policy);
  }
  if (policy != nullptr) NegativePolicy::Destroy(policy, memory_);
}

// --- ageing ----------------------------------------------------------------------------------

// One policy's turn: its removed names, then its oldest.
void NegativeCache::TickLocked() {
  ticked_ms_ = now_ms_;
  stats_.ticks.Add();
  if (policies_ == nullptr) return;
  policies_ = policies_->next_;
  NegativePolicy& policy = *policies_;
  const uint32_t before = steps_;
  while (steps_ - before < kTickSteps) {
    const Negative* const deferred = policy.deferred_.oldest();
    if (deferred == nullptr) break;
    const uint32_t age_ms = now_ms_ - deferred->asked_ms.load(std::memory_order_relaxed);
    if (static_cast<int32_t>(age_ms) < int32_t{kDeferMs}) break;
    PassDeferred(policy);
  }
  policy.Tick(kTickSteps - std::min(kTickSteps, steps_ - before));
}

}  // namespace dentree::vfs
