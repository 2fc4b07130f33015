#include "tracefs/tracefs.h"

#include <unistd.h>

#include "tracefs/controls_internal.h"
#include "tracefs/instance_dir_internal.h"

namespace dentree::tracefs {

using kernfs::Node;
using kernfs::NodeRef;

// The instances that have a node, so that they can go with the tree. The set itself is the
// registry's.
//
// Thread safety: any thread. Lifetime: empty when destroyed.
class Tracefs::Instances {
 public:
  explicit Instances(mm::Memory& memory) : memory_(memory), cache_(memory, "tracing_instance") {}
  ~Instances() {
    while (InstanceDir* dir = First()) {
      // Its files are closed, and nobody can open any more.
      CHECK(dir->registry.RemoveInstance(dir->instance).has_value());
      Delete(*dir);
    }
  }

  // kNoMem.
  Result<InstanceDir*> New(base::Ref<trace::Instance> instance, const InstanceDir& top) {
    const size_t core = instance->bytes();
    TRY(memory_.Charge(core));
    InstanceDir* dir = cache_.New(std::move(instance), top);
    if (dir == nullptr) {
      memory_.Uncharge(core);
      return Err(Errno::kNoMem);
    }
    base::MutexLock lock(mutex_);
    all_.PushBack(*dir);
    return dir;
  }

  void Delete(InstanceDir& dir) {
    {
      base::MutexLock lock(mutex_);
      dir.siblings.Unlink();
    }
    memory_.Uncharge(dir.instance.bytes());
    cache_.Delete(&dir);
  }

 private:
  InstanceDir* First() {
    base::MutexLock lock(mutex_);
    return all_.empty() ? nullptr : &*all_.begin();
  }

  mm::Memory& memory_;
  mm::ObjectCache<InstanceDir> cache_;
  base::Mutex<base::LockRank::kInstance> mutex_;
  base::List<InstanceDir, &InstanceDir::siblings> all_ DT_GUARDED_BY(mutex_);
};

namespace {

uint32_t HostCpus() {
  const long cpus = sysconf(_SC_NPROCESSORS_CONF);
  return cpus > 0 ? static_cast<uint32_t>(cpus) : 1;
}

}  // namespace

Tracefs::Tracefs(trace::Registry& registry, mm::Memory& memory, const Options& options)
    : registry_(registry),
      live_(std::make_unique<Instances>(memory)),
      top_(std::make_unique<InstanceDir>(registry, options.extras,
                                         options.cpus != 0 ? options.cpus : HostCpus())) {}

Result<std::unique_ptr<Tracefs>> Tracefs::Create(std::shared_ptr<kernfs::Kernfs> kernfs,
                                                 trace::Registry& registry,
                                                 const Options& options) {
  vfs::Vfs& vfs = kernfs->vfs();
  std::unique_ptr<Tracefs> tracefs(new Tracefs(registry, vfs.memory(), options));
  TRY(tracefs->Build(std::move(kernfs)));
  vfs.RegisterType(std::make_unique<kernfs::FileSystem>(
      kernfs::FileSystem::Init{.name = "tracefs", .magic = kMagic, .root = tracefs->root_}));
  return tracefs;
}

Status Tracefs::Build(std::shared_ptr<kernfs::Kernfs> kernfs) {
  root_ = TRY(kernfs::Root::Create(
      std::move(kernfs),
      {.type = &kTopDir, .priv = top_->priv(), .permissions = 0700, .syscalls = this}));
  instances_ = TRY(
      root_->CreateDir(root_->top(), {.name = "instances", .permissions = 0750}, kInstancesDir));
  watch_ = std::make_unique<eventfs::RegistryWatch>(registry_, *root_);
  return {};
}

Tracefs::~Tracefs() {
  if (root_ != nullptr) root_->Remove(root_->top());
}

// Arbitrated by the registry: of several makers of one name, one gets past CreateInstance. What can
// be found then is only complete ones, because the node is published last.
Result<NodeRef> Tracefs::Mkdir(Node& parent, std::string_view name, kernfs::Mode) {
  if (&parent != instances_.get()) return Err(Errno::kPerm);
  base::Ref<trace::Instance> instance = TRY(registry_.CreateInstance(name));
  SYNC_POINT(root_->vfs().sync_points(), "tracefs:mkdir:unpublished");
  Result<InstanceDir*> dir = live_->New(instance, *top_);
  if (dir) {
    Result<NodeRef> node = root_->CreateDir(parent,
                                            {.name = name,
                                             .permissions = 0750,
                                             .priv = (*dir)->priv(),
                                             .ownership = kernfs::Ownership::kDomain},
                                            kInstanceDir);
    if (node) return node;
    live_->Delete(**dir);
    dir = Err(node.error());
  }
  CHECK(registry_.RemoveInstance(*instance).has_value(), "nobody can have found it");
  return Err(dir.error());
}

// The registry decides: no file of it is open, and from then on none can be opened. What runs in
// there meanwhile is waited for.
Status Tracefs::Rmdir(Victim& victim) {
  if (&victim.parent() != instances_.get()) return Err(Errno::kPerm);
  InstanceDir& dir = InstanceDir::From(victim.node().priv());
  TRY(registry_.RemoveInstance(dir.instance));
  SYNC_POINT(root_->vfs().sync_points(), "tracefs:rmdir:dead");
  victim.Remove();
  live_->Delete(dir);
  return {};
}

}  // namespace dentree::tracefs
