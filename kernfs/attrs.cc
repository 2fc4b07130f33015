#include "kernfs/attrs_internal.h"
#include "kernfs/caches_internal.h"
#include "vfs/vfs.h"

namespace dentree::kernfs {

namespace {

uint64_t What(const Identity& identity) { return identity.object << 16 | identity.index; }

constexpr uint64_t kListed = kSelf << 16 | kNoIndex;

}  // namespace

AttrMap::~AttrMap() {
  Forget([](const Override&) { return true; });
}

Override* AttrMap::FindLocked(uint64_t domain, uint64_t what) const {
  return table_.Find(what >> 16 != kSelf ? what >> 16 : domain,
                     [=](const Override& o) { return o.domain == domain && o.what == what; });
}

AttrMap::Effective AttrMap::Get(const Node& domain, const Identity& identity, Mode mode) const {
  Effective e{.mode = mode, .times = {born_, born_, born_, born_}};
  // Read before what it covers: a change in between is noticed as a newer generation later.
  e.generation = Generation();
  e.uid = mount_uid();
  e.gid = mount_gid();
  if (overrides_.load(std::memory_order_acquire) == 0) return e;
  base::MutexLock lock(lock_);
  e.generation = Generation();
  InheritLocked(domain, identity, e);
  if (const Override* own = FindLocked(identity.domain, What(identity))) {
    if (own->permissions) e.mode = static_cast<Mode>((mode & S_IFMT) | *own->permissions);
    e.times.atime = own->atime.value_or(born_);
    e.times.mtime = own->mtime.value_or(born_);
    e.times.ctime = own->ctime.value_or(born_);
  }
  return e;
}

// The first valid owner, and the first valid group, on the way from the entry up to the top.
void AttrMap::InheritLocked(const Node& domain, const Identity& identity, Effective& e) const {
  e.uid = mount_uid();
  e.gid = mount_gid();
  bool uid_found = false;
  bool gid_found = false;
  const auto look = [&](uint64_t id, uint64_t what) DT_REQUIRES(lock_) {
    const Override* const o = FindLocked(id, what);
    if (o == nullptr) return;
    if (!uid_found && o->uid_generation == uid_generation_) e.uid = o->uid, uid_found = true;
    if (!gid_found && o->gid_generation == gid_generation_) e.gid = o->gid, gid_found = true;
  };
  look(identity.domain, What(identity));
  for (const Node* node = &domain; node != nullptr && !(uid_found && gid_found);
       node = node->parent()) {
    if (node->owns()) look(node->id(), kListed);
  }
}

void AttrMap::StoreLocked(Override& o, const vfs::SetAttr& attr) {
  if (attr.mode) o.permissions = static_cast<Mode>(*attr.mode & 07777);
  if (attr.uid) o.uid = *attr.uid, o.uid_generation = uid_generation_;
  if (attr.gid) o.gid = *attr.gid, o.gid_generation = gid_generation_;
  if (attr.atime) o.atime = attr.atime;
  if (attr.mtime) o.mtime = attr.mtime;
  if (attr.ctime) o.ctime = attr.ctime;
}

Status AttrMap::Set(const Identity& identity, const vfs::SetAttr& attr, Scope scope) {
  using Table = ChainTable<Override>;
  Override* fresh = cache_.New();
  if (fresh == nullptr) return base::Err(Errno::kNoMem);
  fresh->domain = identity.domain;
  fresh->what = What(identity);
  size_t wanted;
  {
    base::MutexLock lock(lock_);
    wanted = table_.Wanted();
  }
  Table::Buckets spare = Table::Allocate(memory_, wanted, "mm:kernfs_attrs");
  bool stored = false;
  {
    base::MutexLock lock(lock_);
    spare = table_.Adopt(spare);
    Override* o = FindLocked(identity.domain, fresh->what);
    if (o == nullptr && table_.usable()) {
      o = std::exchange(fresh, nullptr);
      table_.Insert(*o);
      overrides_.fetch_add(1, std::memory_order_release);
    }
    if (o != nullptr) StoreLocked(*o, attr);
    stored = o != nullptr;
    if (stored && scope == Scope::kMany) generation_.fetch_add(1, std::memory_order_release);
  }
  Table::Free(memory_, spare);
  if (fresh != nullptr) cache_.Delete(fresh);
  if (!stored) return base::Err(Errno::kNoMem);
  return {};
}

void AttrMap::SetMountOwner(std::optional<vfs::Uid> uid, std::optional<vfs::Gid> gid) {
  base::MutexLock lock(lock_);
  if (uid) {
    mount_uid_.store(*uid, std::memory_order_relaxed);
    ++uid_generation_;
  }
  if (gid) {
    mount_gid_.store(*gid, std::memory_order_relaxed);
    ++gid_generation_;
  }
  if (uid || gid) generation_.fetch_add(1, std::memory_order_release);
}

template <class Fits>
void AttrMap::Forget(Fits fits) {
  if (overrides_.load(std::memory_order_acquire) == 0) return;
  while (true) {
    Override* o;
    {
      base::MutexLock lock(lock_);
      o = table_.FindAnywhere(fits);
      if (o == nullptr) return;
      table_.Remove(*o);
      overrides_.fetch_sub(1, std::memory_order_release);
    }
    cache_.Delete(o);
  }
}

void AttrMap::ForgetDomain(uint64_t domain) {
  Forget([domain](const Override& o) { return o.domain == domain; });
}

void AttrMap::ForgetObject(ObjectId object) {
  Forget([object](const Override& o) { return o.what >> 16 == object; });
}

size_t AttrMap::size() const { return overrides_.load(std::memory_order_relaxed); }

}  // namespace dentree::kernfs
