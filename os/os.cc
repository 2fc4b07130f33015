#include "os/os.h"

#include "os/stats_internal.h"
#include "os/system_internal.h"
#include "ramfs/ramfs.h"

namespace dentree::os {

using base::Err;

namespace {

vfs::Vfs::Options VfsOptions(const Options& options) {
  return {.memory_limit = options.memory_limit,
          .memory_reserve = options.memory_reserve,
          .memory_low = options.memory_low,
          .memory_high = options.memory_high,
          .memory_profile = options.memory_profile,
          .negative_limit = options.negative_limit,
          .clock = options.clock,
          .hash_seed = options.hash_seed};
}

struct Directory {
  const char* path;
  vfs::Mode mode;
};
constexpr Directory kDirectories[] = {{"/home", 0755}, {"/mnt", 0755}, {"/proc", 0555},
                                      {"/root", 0700}, {"/run", 0755}, {"/sys", 0555},
                                      {"/tmp", 01777}};

struct MountLine {
  std::string_view source, target, type;
};
constexpr MountLine kMounts[] = {{"proc", "/proc", "proc"},
                                 {"sysfs", "/sys", "sysfs"},
                                 {"statsfs", kStatsDir, "statsfs"},
                                 {"tracefs", kTracingDir, "tracefs"}};

// A tree of fixed files as a file system type.
Result<kernfs::RootRef> MakeTree(const std::shared_ptr<kernfs::Kernfs>& kernfs,
                                 const kernfs::DirType& top, void* priv) {
  return kernfs::Root::Create(kernfs, {.type = &top, .priv = priv, .permissions = 0555});
}

void RegisterTree(std::string name, uint32_t magic, const kernfs::RootRef& root) {
  root->vfs().RegisterType(std::make_unique<kernfs::FileSystem>(
      kernfs::FileSystem::Init{.name = std::move(name), .magic = magic, .root = root}));
}

}  // namespace

Os::Os(const Options& options)
    : vfs_(vfs::Vfs::Create(VfsOptions(options))), system_(std::make_unique<System>(*vfs_)) {}

Result<std::unique_ptr<Os>> Os::Boot(const Options& options) {
  std::unique_ptr<Os> os(new Os(options));
  TRY(os->Start(options));
  return os;
}

Status Os::Start(const Options& options) {
  TRY(MakeTypes(options));
  TRY(MakeTree(options));
  for (std::string_view catalogue : options.catalogues) {
    const auto loaded = trace::LoadCatalogue(*registry_, catalogue);
    if (!loaded) return Err(loaded.error().error);
  }
  return {};
}

Status Os::MakeTypes(const Options& options) {
  vfs_->RegisterType(ramfs::Type());
  const std::shared_ptr<kernfs::Kernfs> kernfs = kernfs::Kernfs::Create(*vfs_);
  system_->proc = TRY(os::MakeTree(kernfs, kProcDir, system_.get()));
  RegisterTree("proc", kProcMagic, system_->proc);
  system_->sys = TRY(os::MakeTree(kernfs, kSysDir, system_.get()));
  RegisterTree("sysfs", kSysMagic, system_->sys);
  vfs_->memory().SetShrinkerWatch(system_.get());
  registry_ = std::make_unique<trace::Registry>(
      trace::Registry::Options{.rcu = vfs_->rcu(),
                               .faults = vfs_->faults(),
                               .sync_points = vfs_->sync_points(),
                               .key = vfs_->hash_key(),
                               .reserved_system_names = eventfs::ReservedSystemNames(),
                               .reserved_event_names = eventfs::ReservedEventNames()});
  tracefs_ =
      TRY(tracefs::Tracefs::Create(kernfs, *registry_, {.extras = options.extras, .cpus = 0}));
  statistics_ = TRY(Statistics::Create(kernfs, *registry_));
  return {};
}

Status Os::MakeTree(const Options& options) {
  TRY(vfs_->MountRoot("ramfs", "mode=755"));
  const std::unique_ptr<vfs::Task> task = NewTask();
  task->Umask(0);
  for (const Directory& dir : kDirectories) TRY(task->Mkdir(dir.path, dir.mode));
  for (const MountLine& mount : kMounts) {
    TRY(task->Mount(mount.source, mount.target, mount.type, ""));
  }
  if (options.host_directory.empty()) return {};
  return MountHost(*task, options);
}

Status Os::MountHost(vfs::Task& task, const Options& options) {
  auto type = TRY(hostfs::FileSystem::Open({.directory = options.host_directory}));
  const std::string_view name = type->name();
  host_stats_ = &type->stats();
  TRY(statistics_->AddHost(type->stats()));
  vfs_->RegisterType(std::move(type));
  TRY(task.Mkdir(kHostDir, 0755));
  return task.Mount(options.host_directory, kHostDir, name, options.host_options);
}

// What is cached goes first, while everything it may ask is still there.
Os::~Os() {
  vfs_->memory().StopBackground();
  vfs_->Shutdown();
  vfs_->memory().SetShrinkerWatch(nullptr);
  if (system_->proc != nullptr) system_->proc->Remove(system_->proc->top());
  if (system_->sys != nullptr) system_->sys->Remove(system_->sys->top());
  system_->proc = system_->sys = nullptr;
}

statsfs::Statsfs& Os::statsfs() const { return statistics_->statsfs(); }

std::unique_ptr<vfs::Task> Os::NewTask(vfs::Creds creds) {
  return std::make_unique<vfs::Task>(*vfs_, std::move(creds));
}

}  // namespace dentree::os
