// Names: the three kinds of children, what a look at them costs, and who they are.

#include <set>

#include "absl/strings/str_cat.h"
#include "tests/kernfs/kernfs_test.h"

namespace dentree::kernfs {
namespace {

using base::Errno;

class Lookup : public KernfsTest {
 protected:
  void SetUp() override {
    KernfsTest::SetUp();
    sched_ = registry().Add("sched");
    switch_ = registry().Add("sched_switch", sched_);
    wakeup_ = registry().Add("sched_wakeup", sched_);
  }
  uint64_t sched_ = 0, switch_ = 0, wakeup_ = 0;
};

TEST_F(Lookup, FindsListedTableAndProvidedChildren) {
  EXPECT_THAT(task().Stat("/k/instances"), IsOk());
  EXPECT_THAT(task().Stat("/k/README"), IsOk());
  EXPECT_THAT(task().Stat("/k/events"), IsOk());
  EXPECT_THAT(task().Stat("/k/events/enable"), IsOk());
  EXPECT_THAT(task().Stat("/k/events/sched/sched_switch/format"), IsOk());
  EXPECT_EQ(task().ReadFile("/k/events/sched/sched_switch/format").value(),
            absl::StrCat("sched_switch ", switch_, "\n"));
  EXPECT_THAT(task().Stat("/k/nothing"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/k/events/nothing"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/k/events/sched/sched_switch/nothing"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/k/README/x"), FailsWith(Errno::kNotDir));
}

TEST_F(Lookup, OneEventOfManyInstancesIsOneObjectInEach) {
  MakeInstance("a");
  MakeInstance("b");
  std::set<vfs::Ino> inos;
  for (const char* at : {"/k", "/k/instances/a", "/k/instances/b"}) {
    const auto stat = task().Stat(absl::StrCat(at, "/events/sched/sched_switch/id"));
    ASSERT_THAT(stat, IsOk());
    EXPECT_TRUE(inos.insert(stat->ino).second);
  }
}

TEST_F(Lookup, UntouchedTableFilesAndProvidedDirectoriesCostNothing) {
  const size_t nodes = kernfs().live_nodes();
  const size_t used = vfs().memory().stats().variable_bytes;
  const size_t transients = kernfs().live_transients();
  for (int i = 0; i < 10'000; ++i) registry().Add(absl::StrCat("event", i), sched_);
  EXPECT_EQ(kernfs().live_nodes(), nodes);
  EXPECT_EQ(kernfs().live_transients(), transients);
  EXPECT_EQ(vfs().memory().stats().variable_bytes, used);
  for (int i = 0; i < 100; ++i) MakeInstance(absl::StrCat("i", i));
  // 10,003 events in each, and one node each is all.
  EXPECT_EQ(kernfs().live_nodes(), nodes + 100);
  EXPECT_EQ(kernfs().live_transients(), transients);
  EXPECT_THAT(task().Stat("/k/instances/i99/events/sched/event9999/enable"), IsOk());
}

TEST_F(Lookup, WhatWasLookedAtIsForgottenWithItsDentry) {
  const size_t nodes = kernfs().live_nodes();
  DropCaches();
  const size_t transients = kernfs().live_transients();
  EXPECT_GT(Walk("/k", AlsoStat::kYes), 10u);
  EXPECT_GT(kernfs().live_transients(), transients + 10);
  DropCaches();
  EXPECT_EQ(kernfs().live_transients(), transients);
  EXPECT_EQ(kernfs().live_nodes(), nodes);
}

TEST_F(Lookup, InodeNumbersAreTheSameBeforeAndAfterEviction) {
  const char* const paths[] = {"/k",
                               "/k/README",
                               "/k/events",
                               "/k/events/sched/sched_switch",
                               "/k/events/sched/sched_switch/id",
                               "/k/instances"};
  std::vector<vfs::Ino> before;
  for (const char* path : paths) before.push_back(task().Stat(path).value().ino);
  DropCaches();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(task().Stat(paths[i]).value().ino, before[i]) << paths[i];
  }
}

// E9: one number for all made find report a loop, and tar see hard links.
TEST_F(Lookup, InodeNumbersAreUnique) {
  for (int i = 0; i < 20; ++i) MakeInstance(absl::StrCat("i", i));
  for (int i = 0; i < 50; ++i) registry().Add(absl::StrCat("event", i), sched_);
  std::set<vfs::Ino> inos;
  size_t count = 0;
  const auto walk = [&](const auto& self, const std::string& path) -> void {
    const auto entries = task().ListDir(path).value();
    for (const vfs::DirEntry& entry : entries) {
      ++count;
      EXPECT_TRUE(inos.insert(entry.ino).second) << path << "/" << entry.name;
      EXPECT_NE(entry.ino, 0u);
      if (entry.type == vfs::FileType::kDir) self(self, absl::StrCat(path, "/", entry.name));
    }
  };
  walk(walk, "/k");
  EXPECT_EQ(inos.size(), count);
  EXPECT_GT(count, 20u * 150u);
}

TEST_F(Lookup, OfAMissingNameAllocatesNothing) {
  ASSERT_THAT(task().Stat("/k/events/sched/sched_switch/id"), IsOk());
  DropCaches();
  ASSERT_THAT(task().Stat("/k/events/sched/sched_switch/id"), IsOk());
  const auto objects = [this] {
    size_t sum = 0;
    vfs().memory().ForEachCache([&](const mm::CacheInfo& info) { sum += info.allocs; });
    return sum;
  };
  const size_t before = objects();
  const size_t bytes = vfs().memory().used();
  for (int i = 0; i < 1000; ++i) {
    const std::string name = absl::StrCat("no", i);
    EXPECT_THAT(task().Stat("/k/" + name), FailsWith(Errno::kNoEnt));
    EXPECT_THAT(task().Stat("/k/events/" + name), FailsWith(Errno::kNoEnt));
    EXPECT_THAT(task().Stat("/k/events/sched/" + name), FailsWith(Errno::kNoEnt));
    EXPECT_THAT(task().Stat("/k/events/sched/sched_switch/" + name), FailsWith(Errno::kNoEnt));
  }
  // What does not grow with the number of names is the VFS's own affair.
  EXPECT_LE(objects(), before + 8);
  EXPECT_LE(vfs().memory().used(), bytes);
}

// E3: the lookup built the dentry itself, and parallel ones doubled it.
TEST_F(Lookup, OfOneColdNameByManyMakesOneInode) {
  for (int round = 0; round < 20; ++round) {
    DropCaches();
    vfs().rcu().Drain();
    const size_t before = kernfs().live_transients();
    std::vector<std::jthread> threads;
    std::atomic<vfs::Ino> ino{0};
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([this, &ino] {
        auto mine = TaskOf(vfs::Creds::Root());
        const vfs::Ino seen = mine->Stat("/k/events/sched/sched_switch/format").value().ino;
        vfs::Ino none = 0;
        if (!ino.compare_exchange_strong(none, seen)) {
          EXPECT_EQ(none, seen);
        }
      });
    }
    threads.clear();
    // events, sched, sched_switch, format.
    vfs().rcu().Drain();
    EXPECT_EQ(kernfs().live_transients(), before + 4);
  }
}

TEST_F(Lookup, FollowsPresenceWhenItsChangeIsTold) {
  EXPECT_THAT(task().Stat("/k/sometimes"), IsOk());
  top().sometimes = false;
  root().PresenceChanged(root().top());
  EXPECT_THAT(task().Stat("/k/sometimes"), FailsWith(Errno::kNoEnt));
  top().sometimes = true;
  EXPECT_THAT(task().Stat("/k/sometimes"), IsOk()) << "an absent entry must not be remembered";
}

TEST_F(Lookup, FollowsPresenceOfAnObjectInAllDomains) {
  MakeInstance("a");
  const char* const paths[] = {"/k/events/sched/sched_switch/id",
                               "/k/instances/a/events/sched/sched_switch/id"};
  for (const char* path : paths) EXPECT_THAT(task().Stat(path), IsOk());
  registry().Get(switch_)->has_id = false;
  root().PresenceChanged(ObjectOf(switch_));
  for (const char* path : paths) EXPECT_THAT(task().Stat(path), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/k/events/sched/sched_wakeup/id"), IsOk());
  registry().Get(switch_)->has_id = true;
  for (const char* path : paths) EXPECT_THAT(task().Stat(path), IsOk());
}

// K2: a negative dentry of a node that was not active yet hid it for ever.
TEST_F(Lookup, SeesANodeAsSoonAsItIsActivated) {
  const NodeRef node =
      root()
          .CreateDir(instances(), {.name = "x", .permissions = 0755, .publish = Publish::kLater},
                     kPlainType)
          .value();
  ASSERT_THAT(
      root().CreateDir(*node, {.name = "y", .permissions = 0755, .publish = Publish::kLater},
                       kPlainType),
      IsOk());
  EXPECT_THAT(task().Stat("/k/instances/x"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(task().Stat("/k/instances/x/y"), FailsWith(Errno::kNoEnt));
  EXPECT_THAT(Names("/k/instances"), testing::IsEmpty());
  root().Activate(*node);
  EXPECT_THAT(task().Stat("/k/instances/x"), IsOk());
  EXPECT_THAT(task().Stat("/k/instances/x/y"), IsOk());
  EXPECT_THAT(Names("/k/instances"), testing::ElementsAre("x"));
}

TEST_F(Lookup, OfAProvidedThingSeesItAsSoonAsItsRegistryHasIt) {
  EXPECT_THAT(task().Stat("/k/events/irq"), FailsWith(Errno::kNoEnt));
  registry().Add("irq");
  EXPECT_THAT(task().Stat("/k/events/irq/enable"), IsOk());
}

TEST_F(Lookup, OfARecreatedNameFindsTheNewThing) {
  const vfs::Ino before = task().Stat("/k/events/sched/sched_switch").value().ino;
  RemoveEvent(switch_);
  EXPECT_THAT(task().Stat("/k/events/sched/sched_switch"), FailsWith(Errno::kNoEnt));
  registry().Add("sched_switch", sched_);
  EXPECT_NE(task().Stat("/k/events/sched/sched_switch").value().ino, before);
}

}  // namespace
}  // namespace dentree::kernfs
