#include "vfs/vfs.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "vfs/mount_options.h"

namespace dentree::vfs {

namespace {

base::HashKey MakeHashKey(uint64_t seed) {
  if (seed == 0) return base::HashKey::Random();
  return base::HashKey{{base::Mix64(seed), base::Mix64(seed + 1)}};
}

mm::Memory::Options MemoryOptions(const Vfs::Options& options) {
  return {.limit_bytes = options.memory_limit,
          .reserve_bytes = options.memory_reserve,
          .low_watermark_bytes = options.memory_low,
          .high_watermark_bytes = options.memory_high,
          .profile = options.memory_profile};
}

}  // namespace

Vfs::Vfs(const Options& options)
    : clock_(options.clock != nullptr ? options.clock : &real_clock_),
      hash_key_(MakeHashKey(options.hash_seed)),
      memory_(MemoryOptions(options), rcu_, faults_, sync_points_),
      rcu_shrinker_(rcu_),
      rcu_registration_(memory_, rcu_shrinker_),
      icache_(memory_, rcu_),
      dcache_(*this, memory_, rcu_),
      negatives_(dcache_, memory_, rcu_, *clock_, options.negative_limit),
      files_(memory_, faults_),
      file_limit_(file_stats_.open, options.max_files),
      locks_(memory_, rcu_, sync_points_, options.lock_limit),
      notify_(*this, options.notify),
      anon_(*this),
      mounts_(*this, options.mount_limit, options.namespace_limit),
      ops_(*this) {}

std::unique_ptr<Vfs> Vfs::Create(const Options& options) {
  return std::unique_ptr<Vfs>(new Vfs(options));
}

Vfs::~Vfs() {
  memory_.StopBackground();
  Shutdown();
#ifndef NDEBUG
  const std::string leaks = LeakReport();
  CHECK(leaks.empty(), leaks.c_str());
#endif
}

void Vfs::Shutdown() {
  mounts_.DetachAll();
  anon_.Shutdown();
  rcu_.Drain();
}

void Vfs::RegisterType(std::unique_ptr<FileSystemType> type) {
  base::MutexLock lock(types_mutex_);
  types_.push_back(std::move(type));
}

FileSystemType* Vfs::FindType(std::string_view name) const {
  base::MutexLock lock(types_mutex_);
  for (const auto& type : types_) {
    if (type->name() == name) return type.get();
  }
  return nullptr;
}

std::vector<const FileSystemType*> Vfs::Types() const {
  base::MutexLock lock(types_mutex_);
  std::vector<const FileSystemType*> types;
  types.reserve(types_.size());
  for (const auto& type : types_) types.push_back(type.get());
  return types;
}

Status Vfs::MountRoot(std::string_view type, std::string_view options) {
  FileSystemType* const fs = FindType(type);
  if (fs == nullptr) return base::Err(Errno::kNoDev);
  std::string own(options);
  const NegativeOptions negatives = TRY(NegativeOptions::TakeFrom(own));
  const std::unique_ptr<MountContext> context = fs->NewContext();
  TRY(context->ParseAll(own));
  SuperRef sb = TRY(context->GetTree(*this));
  TRY(sb->SetNegativeOptions(negatives));
  const uint64_t ms = fs->read_only_unless_asked() ? uint64_t{MS_RDONLY} : 0;
  return mounts_.AttachRoot(std::move(sb), MountFlagsOf(ms));
}

Path Vfs::Root() const { return mounts_.InitialRoot(); }

void Vfs::DropCaches() {
  memory_.DropCaches();
  rcu_.Drain();
}

void Vfs::NoteBusyUnmount(const SuperBlock& sb) {
  base::MutexLock lock(types_mutex_);
  busy_unmounts_.push_back(absl::StrFormat("%s (device %u)", sb.type().name(), sb.dev()));
}

std::string Vfs::LeakReport() const {
  std::string report;
  if (dcache_.live() > 0)
    absl::StrAppendFormat(&report, "%u dentries are in use\n", dcache_.live());
  if (icache_.live() > 0) absl::StrAppendFormat(&report, "%u inodes are in use\n", icache_.live());
  if (const size_t files = files_.active_objects()) {
    absl::StrAppendFormat(&report, "%u files are open\n", files);
  }
  if (const size_t mounts = mounts_.count()) {
    absl::StrAppendFormat(&report, "%u mounts are attached\n", mounts);
  } else if (const size_t live = mounts_.live()) {
    absl::StrAppendFormat(&report, "%u mounts are in use\n", live);
  }
  base::MutexLock lock(types_mutex_);
  for (const std::string& sb : busy_unmounts_) {
    absl::StrAppendFormat(&report, "%s was in use when it was unmounted\n", sb);
  }
  return report;
}

void Vfs::CheckInvariants() {
  dcache_.CheckInvariants();
  icache_.CheckInvariants();
  negatives_.CheckInvariants();
  locks_.CheckInvariants();
  mounts_.CheckInvariants();
}

}  // namespace dentree::vfs
