#include "tests/kernfs/kernfs_test.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace dentree::kernfs {

using base::Err;

// --- Registry ---

uint64_t Registry::Add(std::string name, uint64_t system) {
  base::MutexLock lock(mutex_);
  auto event = std::make_unique<Event>();
  event->id = ++last_;
  event->system = system;
  event->name = std::move(name);
  return events_.emplace(last_, std::move(event)).first->first;
}

uint64_t Registry::Find(std::string_view name, uint64_t system) const {
  ++calls_;
  base::MutexLock lock(mutex_);
  for (const auto& [id, event] : events_) {
    if (event->system == system && event->name == name) return id;
  }
  return 0;
}

Event* Registry::Get(uint64_t id) const {
  ++calls_;
  base::MutexLock lock(mutex_);
  const auto it = events_.find(id);
  return it == events_.end() ? nullptr : it->second.get();
}

std::unique_ptr<Event> Registry::Kill(uint64_t id) {
  base::MutexLock lock(mutex_);
  auto node = events_.extract(id);
  return node.empty() ? nullptr : std::move(node.mapped());
}

void Registry::List(uint64_t system, uint64_t after, uint8_t space, ChildSink& sink) const {
  ++calls_;
  base::MutexLock lock(mutex_);
  for (auto it = events_.upper_bound(after); it != events_.end(); ++it) {
    if (it->second->system != system) continue;
    if (!sink.Take(ObjectIn(space, it->first), it->second->name, vfs::FileType::kDir)) return;
  }
}

namespace {

Instance& InstanceOf(Node& node) { return node.priv_as<Instance>(); }

uint64_t AfterIn(uint8_t space, ObjectId after) {
  return after >= ObjectIn(space, 0) ? IdOf(after) : 0;
}

// --- operations ---

struct InUse {
  explicit InUse(std::atomic<int>& count) : count_(count) { ++count_; }
  ~InUse() { --count_; }
  std::atomic<int>& count_;
};

class ReadmeOps final : public TextOps {
  Result<std::string> Show(OpenFile&) const override { return "read me\n"; }
};

class ValueOps final : public TextOps {
  Status Open(OpenFile& file) const override {
    ++file.priv_as<Instance>().opens;
    return {};
  }
  void Release(OpenFile& file) const override { ++file.priv_as<Instance>().releases; }
  Result<std::string> Show(OpenFile& file) const override {
    const InUse in_use(file.priv_as<Instance>().operations);
    return absl::StrCat(file.priv_as<Instance>().value.load(), "\n");
  }
  Status Store(OpenFile& file, std::string_view command) const override {
    const InUse in_use(file.priv_as<Instance>().operations);
    file.priv_as<Instance>().value = static_cast<int>(TRY(base::ParseControlI64(command)));
    return {};
  }
};

class PipeOps final : public NodeOps {
  Status Open(OpenFile& file) const override {
    ++file.priv_as<Instance>().opens;
    return {};
  }
  void Release(OpenFile& file) const override { ++file.priv_as<Instance>().releases; }
  Result<size_t> Read(OpenFile& file, std::span<std::byte> out, uint64_t) const override {
    while (true) {
      const uint32_t seen = file.event();
      auto& instance = file.priv_as<Instance>();
      int have = instance.data.load();
      if (have > 0 && instance.data.compare_exchange_strong(have, have - 1)) {
        out[0] = std::byte{'x'};
        return 1;
      }
      if (file.nonblocking()) return Err(Errno::kAgain);
      TRY(file.Wait(seen));
    }
  }
};

class DeleteOps final : public TextOps {
  Status Store(OpenFile& file, std::string_view) const override {
    SYNC_POINT(file.root().vfs().sync_points(), "test:delete");
    auto& instance = file.priv_as<Instance>();  // lives on: the fixture keeps it
    if (file.root().RemoveSelf(file)) ++instance.self_removals;
    return {};
  }
};

class EventOps final : public TextOps {
  Result<std::string> Show(OpenFile& file) const override {
    auto& event = file.priv_as<Event>();
    const InUse in_use(event.operations);
    SYNC_POINT(file.root().vfs().sync_points(), "test:event:show");
    return absl::StrCat(event.name, " ", event.id, "\n");
  }
};

class EnableOps final : public TextOps {
  Result<std::string> Show(OpenFile&) const override { return "0\n"; }
};

constexpr ReadmeOps kReadmeOps;
constexpr ValueOps kValueOps;
constexpr PipeOps kPipeOps;
constexpr DeleteOps kDeleteOps;
constexpr EventOps kEventOps;
constexpr EnableOps kEnableOps;

// --- presence ---

Presence IfSometimes(const Dir& dir) {
  return static_cast<Instance*>(dir.priv)->sometimes ? Presence{} : Presence::Absent();
}
Presence IfHasId(const Dir& dir) {
  return static_cast<Event*>(dir.priv)->has_id ? Presence{} : Presence::Absent();
}

// --- providers ---

class EventProvider final : public Provider {
 public:
  std::optional<ObjectId> Find(const Dir& dir, std::string_view name) const override {
    const uint64_t id = InstanceOf(dir.domain).registry.Find(name, SystemOf(dir));
    if (id == 0) return std::nullopt;
    return ObjectOf(id);
  }
  void List(const Dir& dir, ObjectId after, ChildSink& sink) const override {
    InstanceOf(dir.domain)
        .registry.List(SystemOf(dir), AfterIn(kEventSpace, after), kEventSpace, sink);
  }
  std::optional<Provided> Describe(Node& domain, ObjectId object) const override;

 private:
  static uint64_t SystemOf(const Dir& dir) {
    return dir.object == kEventsDir ? 0 : IdOf(dir.object);
  }
};

constexpr EventProvider kEventProvider;

constexpr auto kEventTable =
    MakeTable(File("enable", 0640, kEnableOps), File("id", 0440, kEventOps, &IfHasId),
              File("format", 0440, kEventOps));
constexpr auto kSystemTable = MakeTable(File("enable", 0640, kEnableOps));
constexpr DirType kEventType{.table = kEventTable};
constexpr DirType kSystemType{.table = kSystemTable, .provider = &kEventProvider};
constexpr DirType kEventsType{.table = kSystemTable, .provider = &kEventProvider};
constexpr auto kInstanceTable =
    MakeTable(File("README", 0440, kReadmeOps), File("sometimes", 0440, kReadmeOps, &IfSometimes),
              File("value", 0640, kValueOps), File("pipe", 0440, kPipeOps),
              File("delete", 0220, kDeleteOps), Subdir("events", 0755, kEventsType, kEventsDir));

}  // namespace

const DirType kInstanceType{.table = kInstanceTable};
const DirType kPlainType{};
const DirType kProvidingType{.provider = &kEventProvider};

namespace {

std::optional<Provided> DescribeEvent(Node& domain, ObjectId object) {
  Event* event = InstanceOf(domain).registry.Get(IdOf(object));
  if (event == nullptr) return std::nullopt;
  return Provided{.mode = S_IFDIR | 0755,
                  .dir = event->system == 0 ? &kSystemType : &kEventType,
                  .priv = event};
}

std::optional<Provided> EventProvider::Describe(Node& domain, ObjectId object) const {
  return DescribeEvent(domain, object);
}

}  // namespace

// --- KernfsTest ---

KernfsTest::KernfsTest(const fixture::Options& options) : VfsTest(options) {}
KernfsTest::~KernfsTest() = default;

void KernfsTest::SetUp() {
  top_instance_ = std::make_unique<Instance>(registry_);
  kernfs_ = Kernfs::Create(vfs());
  root_ = Root::Create(kernfs_, {.type = &kInstanceType,
                                 .priv = top_instance_.get(),
                                 .permissions = 0755,
                                 .syscalls = this})
              .value();
  instances_ =
      root_->CreateDir(root_->top(), {.name = "instances", .permissions = 0755}, kPlainType)
          .value();
  vfs().RegisterType(std::make_unique<FileSystem>(
      FileSystem::Init{.name = "testfs", .magic = 0x74657374, .root = root_}));
  ASSERT_TRUE(task().Mkdir("/k", 0755));
  if (mount_) {
    ASSERT_TRUE(task().Mount("none", "/k", "testfs", ""));
  }
}

void KernfsTest::TearDown() {
  if (kernfs_ != nullptr) {
    task().fds().CloseAll();
    static_cast<void>(task().Chdir("/"));
    if (mount_) {
      EXPECT_THAT(task().Umount("/k"), IsOk());
    }
    root_->CheckInvariants();
    instances_ = nullptr;
    EXPECT_EQ(kernfs_->live_open_files(), 0u);
    // The clients' objects go while the file system type still has the tree.
    root_->Remove(root_->top());
    root_ = nullptr;
    kernfs_ = nullptr;
  }
  VfsTest::TearDown();
}

Result<NodeRef> KernfsTest::Mkdir(Node& parent, std::string_view name, Mode) {
  if (&parent != instances_.get()) return Err(Errno::kPerm);
  auto instance = std::make_unique<Instance>(registry_);
  NodeRef node = TRY(root_->CreateDir(parent,
                                      {.name = name,
                                       .permissions = 0750,
                                       .priv = instance.get(),
                                       .publish = Publish::kLater,
                                       .ownership = Ownership::kDomain},
                                      kInstanceType));
  {
    base::MutexLock lock(mutex_);
    live_.insert_or_assign(std::string(name), std::move(instance));
  }
  root_->Activate(*node);
  return node;
}

Status KernfsTest::Rmdir(Victim& victim) {
  if (&victim.parent() != instances_.get()) return Err(Errno::kPerm);
  if (busy_) return Err(Errno::kBusy);
  const std::string name(victim.node().name());
  victim.Remove();
  base::MutexLock lock(mutex_);
  live_.erase(name);
  return {};
}

NodeRef KernfsTest::MakeInstance(std::string_view name) {
  return Mkdir(*instances_, name, 0755).value();
}

void KernfsTest::RemoveInstance(std::string_view name) {
  if (const NodeRef node = root_->Find(*instances_, name)) root_->Remove(*node);
  base::MutexLock lock(mutex_);
  live_.erase(std::string(name));
}

void KernfsTest::RemoveEvent(uint64_t id) {
  const std::unique_ptr<Event> event = registry_.Kill(id);
  root_->RemoveObject(ObjectOf(id));
  EXPECT_EQ(event->operations, 0) << "an operation runs on a removed event";
}

std::vector<std::string> KernfsTest::Names(std::string_view path) {
  std::vector<std::string> names;
  const auto entries = task().ListDir(path);
  EXPECT_THAT(entries, IsOk()) << path;
  if (entries) {
    for (const vfs::DirEntry& entry : *entries) names.push_back(entry.name);
  }
  return names;
}

size_t KernfsTest::Walk(const std::string& path, AlsoStat stat) {
  size_t count = 0;
  const auto entries = task().ListDir(path);
  EXPECT_THAT(entries, IsOk()) << path;
  for (const vfs::DirEntry& entry : entries.value()) {
    const std::string below = path + "/" + entry.name;
    ++count;
    if (stat == AlsoStat::kYes) {
      EXPECT_EQ(task().Lstat(below).value().ino, entry.ino) << below;
    }
    if (entry.type == vfs::FileType::kDir) count += Walk(below, stat);
  }
  return count;
}

std::string ReadAll(vfs::Task& task, int fd) {
  std::string all;
  char buffer[16];
  while (true) {
    const auto got = task.Read(fd, Bytes(buffer));
    EXPECT_THAT(got, IsOk());
    if (!got || *got == 0) return all;
    all.append(buffer, *got);
  }
}

}  // namespace dentree::kernfs
