// Which place in the program holds what; and what is written behind an object or a block.

#include "gmock/gmock.h"
#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Memory::Options Profiled() { return {.on_leak = OnLeak::kReport, .profile = true}; }

Object128* AllocHere(ObjectCache<Object128>& cache) { return cache.Alloc(); }
Object128* AllocThere(ObjectCache<Object128>& cache) { return cache.New(); }

// The row of a function in allocinfo; empty: there is none.
std::string RowOf(const Memory& memory, const std::string& function) {
  const std::string text = memory.AllocInfoText();
  const size_t at = text.find(" func:" + function + " ");
  if (at == text.npos) return {};
  const size_t begin = text.rfind('\n', at) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

TEST(AllocInfo, HasTheHeaderOfVersion1AndARowForEachSiteThatHoldsSomething) {
  World world(Profiled());
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* const one = AllocHere(cache);
  Object128* const two = AllocHere(cache);
  Object128* const three = AllocThere(cache);
  EXPECT_THAT(world.memory.AllocInfoText(),
              StartsWith("allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n"));
  EXPECT_THAT(RowOf(world.memory, "AllocHere"),
              StartsWith("         256        2 tests/mm/profile_test.cc:"));
  EXPECT_THAT(RowOf(world.memory, "AllocThere"),
              StartsWith("         128        1 tests/mm/profile_test.cc:"));
  cache.Free(one);
  cache.Free(three);
  EXPECT_THAT(RowOf(world.memory, "AllocHere"), StartsWith("         128        1 "));
  EXPECT_EQ(RowOf(world.memory, "AllocThere"), "");
  cache.Free(two);
}

TEST(AllocInfo, AccountsBlocksWithTheirOwnSize) {
  World world(Profiled());
  void* const block = world.memory.AllocBytes(1000, "mm:name");
  EXPECT_THAT(world.memory.AllocInfoText(), HasSubstr("        1000        1 tests/mm/"));
  world.memory.FreeBytes(block, 1000);
  EXPECT_THAT(world.memory.AllocInfoText(), Not(HasSubstr("tests/mm/")));
}

TEST(AllocInfo, IsExactWhenOtherThreadsFree) {
  World world(Profiled());
  ObjectCache<Object128> cache(world.memory, "thing");
  std::vector<Object128*> objects;
  for (int i = 0; i < 3000; ++i) objects.push_back(AllocHere(cache));
  std::thread other([&] {
    for (Object128* object : objects) cache.Free(object);
  });
  other.join();
  EXPECT_EQ(RowOf(world.memory, "AllocHere"), "");
}

TEST(AllocInfo, IsEmptyWithoutProfiling) {
  World world(Memory::Options{.profile = false});
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* const object = AllocHere(cache);
  EXPECT_EQ(world.memory.AllocInfoText(), "");
  cache.Free(object);
}

TEST(AllocInfo, KnowsAtMostSoManySites) {
  SiteTable table;
  std::array<char, 4 * SiteTable::kMaxSites> places;
  std::set<SiteTable::Id> ids;
  for (const char& place : places) {
    const SiteTable::Id id = table.IdOf(Site::FromKey(&place));
    EXPECT_EQ(id, table.IdOf(Site::FromKey(&place)));
    ids.insert(id);
  }
  EXPECT_LE(ids.size(), SiteTable::kMaxSites + 1);
  EXPECT_TRUE(ids.contains(SiteTable::kUnknown));
}

TEST(Leaks, NameTheSitesThatAllocatedWhatLeaked) {
  World world(Profiled());
  {
    ObjectCache<Object128> cache(world.memory, "leaky");
    for (int i = 0; i < 3; ++i) ASSERT_NE(AllocHere(cache), nullptr);
    cache.Free(AllocThere(cache));
  }
  const std::vector<Leak> leaks = world.memory.LeakReport();
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_THAT(leaks[0].sites, StartsWith("tests/mm/profile_test.cc:"));
  EXPECT_THAT(leaks[0].sites, testing::EndsWith(" func:AllocHere (3)"));
}

#if !defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
TEST(RedZoneDeathTest, AWriteBehindAnObjectIsFoundWhenItIsFreed) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* const object = AllocHere(cache);
  EXPECT_DEATH(
      {
        char* volatile bytes = object->bytes;
        bytes[sizeof(Object128)] = 1;
        cache.Free(object);
      },
      "mm: thing: object allocated at tests/mm/profile_test.cc:");
  cache.Free(object);
}

TEST(RedZoneDeathTest, AWriteBehindAnObjectInUseIsFoundByCheckInvariants) {
  World world;
  ObjectCache<Object128> cache(world.memory, "stable", CacheFlags::kTypeStable);
  std::vector<Object128*> objects;
  for (int i = 0; i < 2000; ++i) objects.push_back(AllocHere(cache));
  cache.cache().CheckInvariants();
  char* volatile bytes = objects[700]->bytes;  // in a full slab
  const char was = bytes[sizeof(Object128)];
  bytes[sizeof(Object128)] = 1;
  EXPECT_DEATH(cache.cache().CheckInvariants(), "written beyond the end of an object");
  bytes[sizeof(Object128)] = was;
  cache.cache().CheckInvariants();
  for (Object128* object : objects) cache.Free(object);
}

TEST(RedZoneDeathTest, AWriteToAFreeObjectIsFoundByCheckInvariants) {
  World world;
  ObjectCache<Object128> cache(world.memory, "thing");
  Object128* volatile object = cache.Alloc();
  cache.Free(object);
  EXPECT_DEATH(
      {
        object->bytes[5] = 1;
        cache.cache().CheckInvariants();
      },
      "freed object was written to");
}

TEST(RedZoneDeathTest, AWriteBehindABlockIsFoundWhenItIsFreed) {
  World world;
  auto* volatile block = static_cast<char*>(world.memory.AllocBytes(10, "mm:name"));
  EXPECT_DEATH(
      {
        block[10] = 1;
        world.memory.FreeBytes(block, 10);
      },
      "block allocated at tests/mm/profile_test.cc:.*");
  world.memory.FreeBytes(block, 10);
}
#endif

}  // namespace
}  // namespace dentree::mm
