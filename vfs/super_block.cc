#include "vfs/super_block.h"

#include <algorithm>

#include <utility>

#include "absl/strings/str_format.h"
#include "vfs/vfs.h"

namespace dentree::vfs {

// --- MountContext ----------------------------------------------------------------------------

std::unexpected<Errno> MountContext::Fail(Errno error, std::string why) {
  error_ = std::move(why);
  return base::Err(error);
}

Status MountContext::ParseOption(std::string_view key, std::string_view) {
  return Fail(Errno::kInval, absl::StrFormat("unknown option '%s'", key));
}

Status MountContext::Reconfigure(SuperBlock&) { return {}; }

Status MountContext::ParseAll(std::string_view options) {
  while (!options.empty()) {
    const size_t comma = options.find(',');
    const std::string_view option = options.substr(0, comma);
    options = comma == options.npos ? std::string_view() : options.substr(comma + 1);
    if (option.empty()) continue;
    const size_t equals = option.find('=');
    const std::string_view value =
        equals == option.npos ? std::string_view() : option.substr(equals + 1);
    TRY(ParseOption(option.substr(0, equals), value));
  }
  return Validate();
}

// --- SuperBlock ------------------------------------------------------------------------------

SuperBlock::DentryShrinker::DentryShrinker(SuperBlock& sb)
    : sb_(sb), name_(absl::StrFormat("dentry-%s:%u", sb.type().name(), sb.dev())) {}

mm::ScanResult SuperBlock::DentryShrinker::Scan(size_t nr) {
  return sb_.vfs().dcache().Shrink(sb_, nr);
}

SuperBlock::InodeShrinker::InodeShrinker(SuperBlock& sb)
    : sb_(sb), name_(absl::StrFormat("inode-%s:%u", sb.type().name(), sb.dev())) {}

mm::ScanResult SuperBlock::InodeShrinker::Scan(size_t nr) {
  return sb_.vfs().icache().Shrink(sb_, nr);
}

SuperBlock::SuperBlock(Vfs& vfs, Init init)
    : vfs_(vfs),
      type_(init.type),
      magic_(init.magic),
      dev_(vfs.NextDev()),
      flags_(init.flags),
      epoch_began_ns_(vfs.clock().MonotonicNs()),
      dentry_shrinker_(*this),
      inode_shrinker_(*this) {
  if (Has(kSbMayBlock)) vfs.may_block_.fetch_add(1, std::memory_order_relaxed);
  dentry_registration_.emplace(vfs.memory(), dentry_shrinker_);
  inode_registration_.emplace(vfs.memory(), inode_shrinker_);
}

SuperBlock::~SuperBlock() {
  if (Has(kSbMayBlock)) vfs_.may_block_.fetch_sub(1, std::memory_order_relaxed);
}

void SuperBlock::SetFlag(SuperFlags flag, bool on) {
  if (on) {
    flags_.fetch_or(flag, std::memory_order_relaxed);
  } else {
    flags_.fetch_and(~flag, std::memory_order_relaxed);
  }
}

// First the flag, then the look at the writers: one who begins now sees the flag.
Status SuperBlock::MakeReadOnly() {
  const uint32_t before = flags_.fetch_or(kSbReadOnly);
  if (writers_.load() == 0 || (before & kSbReadOnly)) return {};
  SetFlag(kSbReadOnly, false);
  return base::Err(Errno::kBusy);
}

void SuperBlock::AgeCaches() {
  constexpr auto kMost = static_cast<int64_t>(decltype(dentry_lru_)::kEpochs);
  const int64_t now = vfs_.clock().MonotonicNs();
  int64_t began = epoch_began_ns_.load(std::memory_order_relaxed);
  const int64_t passed = std::min((now - began) / kEpochNs, kMost);
  if (passed > 0 && epoch_began_ns_.compare_exchange_strong(began, now)) {
    for (int64_t i = 0; i < passed; ++i) {
      dentry_lru_.NextEpoch();
      inode_lru_.NextEpoch();
    }
  }
  vfs_.dcache().Shrink(*this, kAgeBatch, mm::LruAge::kOld);
  vfs_.icache().Shrink(*this, kAgeBatch, mm::LruAge::kOld);
}

Status SuperBlock::SetNegativeOptions(const NegativeOptions& options) {
  if (options.empty()) return {};
  if (Has(kSbAuthoritative)) return base::Err(Errno::kInval);
  return vfs_.negatives().SetOptions(*this, options);
}

std::string SuperBlock::NegativeOptionsText() const { return vfs_.negatives().OptionsText(*this); }

Status SuperBlock::MakeRoot(InodeRef root) {
  root_ = TRY(vfs_.dcache().MakeRoot(std::move(root))).Leak();
  return {};
}

void SuperBlock::EvictInode(Inode&) {}

StatFs SuperBlock::Statfs() const { return StatFs{.magic = magic_}; }

void SuperBlock::Put(SuperBlock* sb) {
  if (sb->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) sb->Kill();
}

SuperRef SuperBlock::TryGet(SuperBlock* sb) {
  int32_t refs = sb->refs_.load(std::memory_order_relaxed);
  while (refs > 0) {
    if (sb->refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_acquire)) {
      return SuperRef::Adopt(sb);
    }
  }
  return nullptr;
}

// The last mount is gone: so go the dentries, the inodes, and the super block.
void SuperBlock::Kill() {
  dentry_registration_.reset();
  inode_registration_.reset();
  vfs_.notify().OnUnmount(*this);
  if (root_ != nullptr) {
    const bool unused = vfs_.dcache().KillTree(*this);
    if (!unused) vfs_.NoteBusyUnmount(*this);
  }
  vfs_.negatives().SuperGone(*this);
  while (vfs_.icache().Shrink(*this, inode_lru_.size()).scanned > 0) {
  }
  // Freed inodes look at their super block once more, after their grace period.
  while (inodes_waiting_.Value() > 0) {
    vfs_.rcu().Synchronize();
    vfs_.rcu().Reclaim();
  }
  Shutdown();
  delete this;
}

}  // namespace dentree::vfs
