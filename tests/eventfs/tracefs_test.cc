#include "tests/eventfs/tracefs_test.h"

#include "absl/strings/str_format.h"

namespace dentree::tracefs {

using trace::Event;
using trace::EventFlags;

TracefsTest::TracefsTest(const Tracefs::Options& options) : options_(options) {}
TracefsTest::~TracefsTest() = default;

void TracefsTest::SetUp() {
  registry_ = std::make_unique<trace::Registry>(
      trace::Registry::Options{.rcu = vfs().rcu(),
                               .faults = faults(),
                               .sync_points = sync(),
                               .key = vfs().hash_key(),
                               .reserved_system_names = eventfs::ReservedSystemNames(),
                               .reserved_event_names = eventfs::ReservedEventNames()});
  auto created = Tracefs::Create(kernfs::Kernfs::Create(vfs()), *registry_, options_);
  ASSERT_OK(created);
  tracefs_ = std::move(*created);
  ASSERT_OK(task().Mkdir("/t", 0755));
  ASSERT_OK(task().Mount("nodev", "/t", "tracefs", ""));
}

void TracefsTest::TearDown() {
  tracefs_->root().CheckInvariants();
  task().fds().CloseAll();
  tracefs_.reset();
  registry_.reset();
  VfsTest::TearDown();
}

base::Ref<Event> TracefsTest::Add(std::string_view system, std::string_view name,
                                  EventFlags flags) {
  const trace::EventSpec spec{.system = system, .name = name, .flags = flags};
  auto added = registry_->Add({&spec, 1});
  EXPECT_TRUE(added.has_value()) << added.error().reason;
  return added ? std::move(added->front()) : nullptr;
}

void TracefsTest::AddSome() {
  Add("sched", "switch");
  Add("sched", "wakeup");
  Add("net", "rx");
  Add("ftrace", "print", EventFlags::kId | EventFlags::kTrigger);
  Add("ftrace", "function", EventFlags::kId);
  Add("ftrace", "raw", EventFlags::kNone);
}

void TracefsTest::AddMany() {
  std::string catalogue;
  for (int event = 0; event < 2323; ++event) {
    absl::StrAppendFormat(&catalogue,
                          "system%d\tevent%d\t%d\tenable,filter,format,id,trigger\t"
                          "u64 a:8:8:0;pid_t pid:16:4:1;char comm[16]:20:16:0\n",
                          event % 102, event, event + 100);
  }
  ASSERT_TRUE(trace::LoadCatalogue(*registry_, catalogue).has_value());
}

Event* TracefsTest::Find(std::string_view system, std::string_view name) {
  base::RcuReadGuard guard(vfs().rcu());
  const trace::System* found = registry_->FindSystem(system);
  return found == nullptr ? nullptr : registry_->FindEvent(*found, name);
}

void TracefsTest::RemoveEvent(std::string_view system, std::string_view name) {
  Event* event = Find(system, name);
  ASSERT_NE(event, nullptr);
  ASSERT_OK(registry_->Remove(*event));
}

std::vector<std::string> TracefsTest::Names(std::string_view path) {
  const auto entries = task().ListDir(At(path));
  EXPECT_OK(entries);
  std::vector<std::string> names;
  if (entries) {
    for (const vfs::DirEntry& entry : *entries) names.push_back(entry.name);
  }
  return names;
}

Result<std::string> TracefsTest::ReadFd(int fd) {
  std::string text;
  char buffer[4096];
  while (const size_t size =
             TRY(task().Pread(fd, std::as_writable_bytes(std::span(buffer)), text.size()))) {
    text.append(buffer, size);
  }
  return text;
}

size_t TracefsTest::Walk(const std::string& path, AlsoStat stat) {
  const auto entries = task().ListDir(path);
  EXPECT_OK(entries) << path;
  if (!entries) return 0;
  size_t count = entries->size();
  for (const vfs::DirEntry& entry : *entries) {
    const std::string child = path + "/" + entry.name;
    if (stat == AlsoStat::kYes) {
      EXPECT_OK(task().Lstat(child)) << child;
    }
    if (entry.type == vfs::FileType::kDir) count += Walk(child, stat);
  }
  return count;
}

size_t TracefsTest::Objects(std::string_view cache) {
  size_t objects = 0;
  vfs().memory().ForEachCache([&](const mm::CacheInfo& info) {
    if (info.name == cache) objects = info.active_objects;
  });
  return objects;
}

}  // namespace dentree::tracefs
