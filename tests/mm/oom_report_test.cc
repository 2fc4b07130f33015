// The report of a shortage: its verdict, its rows, and that it needs no memory.

#include "gmock/gmock.h"
#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr size_t kMiB = 1 << 20;

std::string Report(const Memory& memory) {
  std::array<char, Memory::kReportBytes> text;
  return {text.data(), memory.WriteReport(text)};
}

std::vector<Object128*> Fill(ObjectCache<Object128>& cache) {
  std::vector<Object128*> objects;
  while (Object128* object = cache.Alloc()) objects.push_back(object);
  return objects;
}
void Empty(ObjectCache<Object128>& cache, const std::vector<Object128*>& objects) {
  for (Object128* object : objects) cache.Free(object);
}

// Says why it frees nothing.
class StubbornShrinker : public Shrinker {
 public:
  explicit StubbornShrinker(Kept per_object) : kept_(per_object) {}
  std::string_view name() const override { return "stubborn"; }
  size_t Count() override { return 1000; }
  ScanResult Scan(size_t nr) override {
    return {.scanned = nr,
            .kept = {.referenced = kept_.referenced * nr,
                     .busy = kept_.busy * nr,
                     .locked = kept_.locked * nr,
                     .pinned = kept_.pinned * nr}};
  }

 private:
  const Kept kept_;
};

TEST(MemoryReport, OfOneWithoutBudgetSaysSo) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* const object = cache.Alloc();
  EXPECT_THAT(
      Report(world.memory),
      StartsWith("verdict: nothing is refused, there is no budget; thing has most, 25 %\n"));
  cache.Free(object);
}

TEST(MemoryReport, OfOneWithRoomSaysHowMuch) {
  World world(kMiB);
  ASSERT_TRUE(world.memory.Charge(kMiB / 2));
  EXPECT_THAT(Report(world.memory),
              StartsWith("verdict: there is room, 50 % of the budget is used;"));
  world.memory.Uncharge(kMiB / 2);
}

TEST(MemoryReport, NamesACacheThatNoShrinkerCanFree) {
  World world(kMiB);
  ObjectCache<Object128> cache(world.memory, "pinned");
  const auto objects = Fill(cache);
  EXPECT_THAT(Report(world.memory),
              StartsWith("verdict: full, and pinned has 98 %, which no shrinker can free\n"));
  Empty(cache, objects);
}

TEST(MemoryReport, NamesTheReasonWhyReclaimLeftWhatItLeft) {
  const std::pair<Kept, const char*> reasons[] = {
      {{.referenced = 1}, "it was used since the last look"},
      {{.busy = 1}, "somebody holds a reference"},
      {{.locked = 1}, "its lock was taken"},
      {{.pinned = 1}, "it has to stay"}};
  for (const auto& [kept, reason] : reasons) {
    World world(kMiB);
    ObjectCache<Object128> cache(world.memory, "thing", CacheFlags::kReclaimable);
    StubbornShrinker shrinker(kept);
    const ShrinkerRegistration registration(world.memory, shrinker);
    const auto objects = Fill(cache);
    EXPECT_THAT(Report(world.memory),
                StartsWith("verdict: full, and thing has 98 %; most of what reclaim left it left "
                           "because " +
                           std::string(reason) + "\n"));
    Empty(cache, objects);
  }
}

TEST(MemoryReport, SaysThatAllIsInUseWhereNothingCanBeFreed) {
  World world(kMiB);
  ObjectCache<Object128> cache(world.memory, "thing", CacheFlags::kReclaimable);
  const auto objects = Fill(cache);
  EXPECT_THAT(Report(world.memory),
              StartsWith("verdict: full, and thing has 98 %, all of it in use\n"));
  Empty(cache, objects);
}

TEST(MemoryReport, FindsSlabsThatFewObjectsHold) {
  World world(kMiB);
  ObjectCache<Object128> cache(world.memory, "thing", CacheFlags::kReclaimable);
  auto objects = Fill(cache);
  for (size_t i = 0; i < objects.size(); ++i) {
    if (i % 16 != 0) cache.Free(std::exchange(objects[i], nullptr));
  }
  std::erase(objects, nullptr);
  EXPECT_THAT(Report(world.memory), HasSubstr("is in use: few objects hold many slabs\n"));
  Empty(cache, objects);
}

TEST(MemoryReport, FindsAReaderWhoHoldsUpAGracePeriod) {
  World world(kMiB);
  ListedCache cache(world.memory, "thing", FreeBy::kRcu);
  while (world.memory.limit() - world.memory.used() >= 4 * 4096) ASSERT_NE(cache.Add(), nullptr);
  {
    const base::RcuReadGuard guard(world.rcu);
    while (cache.lru().size() != 0) cache.Scan(64);
    std::string report;
    // Its list of shrinkers is read outside of sections.
    std::thread other([&] { report = Report(world.memory); });
    other.join();
    EXPECT_THAT(report, HasSubstr("waits for a grace period that a reader holds up\n"));
  }
  world.rcu.Drain();
}

TEST(MemoryReport, HasTheTenLargestCachesLargestFirst) {
  World world;
  std::vector<std::unique_ptr<ObjectCache<Object128>>> caches;
  std::vector<std::vector<Object128*>> objects(12);
  for (size_t i = 0; i < 12; ++i) {
    const std::string name = "cache" + std::to_string(i);
    caches.push_back(std::make_unique<ObjectCache<Object128>>(world.memory, name.c_str()));
    for (size_t k = 0; k <= i * 100; ++k) objects[i].push_back(caches[i]->Alloc());
  }
  const std::string report = Report(world.memory);
  EXPECT_LT(report.find("\ncache11 "), report.find("\ncache10 "));
  EXPECT_LT(report.find("\ncache10 "), report.find("\ncache2 "));
  EXPECT_THAT(report, HasSubstr("\ncache2 "));
  EXPECT_THAT(report, Not(HasSubstr("\ncache1 ")));
  EXPECT_THAT(report, Not(HasSubstr("\ncache0 ")));
  for (size_t i = 0; i < 12; ++i) Empty(*caches[i], objects[i]);
}

TEST(MemoryReport, TellsOfAShrinkerWhatItWasAskedAndWhatItDid) {
  World world(kMiB);
  ListedCache cache(world.memory, "thing");
  while (world.memory.stats().reclaims.Value() == 0) ASSERT_NE(cache.Add(), nullptr);
  const ShrinkerStats& stats = cache.registration().stats();
  const std::string report = Report(world.memory);
  EXPECT_THAT(report, HasSubstr("shrinker                  objects requested   scanned     freed "
                                "deferred ns/obj referenced   busy locked pinned stops\n"));
  std::array<char, 200> row;
  std::snprintf(row.data(), row.size(), "\n%-24s %8zu %9zu %9zu %9zu ", "thing", cache.lru().size(),
                size_t{stats.requested.Value()}, size_t{stats.scanned.Value()},
                size_t{stats.freed.Value()});
  EXPECT_THAT(report, HasSubstr(row.data()));
}

TEST(MemoryReport, FitsTheBufferItIsGiven) {
  World world;
  ListedCache cache(world.memory, "thing");
  const std::string whole = Report(world.memory);
  std::array<char, 100> text;
  const size_t size = world.memory.WriteReport(text);
  EXPECT_EQ(size, 99u);
  EXPECT_EQ(std::string(text.data(), size), whole.substr(0, 99));
  EXPECT_EQ(world.memory.WriteReport({}), 0u);
}

TEST(MemoryReport, IsMadeOnceForManyRefusalsAndKept) {
  World world(Memory::Options{.limit_bytes = 1000, .report_interval_ns = INT64_MAX / 4});
  EXPECT_EQ(world.memory.LastReport(), "");
  ASSERT_TRUE(world.memory.Charge(1000));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(world.memory.AllocBytes(7, "mm:name"), nullptr);
  EXPECT_EQ(world.memory.stats().refused.Value(), 10u);
  EXPECT_EQ(world.memory.stats().reports.Value(), 1u);
  EXPECT_EQ(world.memory.stats().reports_suppressed.Value(), 9u);
  EXPECT_THAT(world.memory.LastReport(), HasSubstr("\nrefused: 7 bytes to mm:name\n"));
  world.memory.Uncharge(1000);
}

TEST(MemoryReport, OfALaterRefusalReplacesTheOneBefore) {
  World world(Memory::Options{.limit_bytes = 1000, .report_interval_ns = 0});
  ASSERT_TRUE(world.memory.Charge(1000));
  EXPECT_EQ(world.memory.AllocBytes(7, "mm:name"), nullptr);
  EXPECT_EQ(world.memory.AllocBytes(8, "mm:table"), nullptr);
  EXPECT_EQ(world.memory.stats().reports.Value(), 2u);
  EXPECT_THAT(world.memory.LastReport(), HasSubstr("\nrefused: 8 bytes to mm:table\n"));
  world.memory.Uncharge(1000);
}

}  // namespace
}  // namespace dentree::mm
