#include <sstream>

#include "tests/mm/mm_test.h"

namespace dentree::mm {
namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(SlabInfo, HasTheHeaderAndTheRowsOfProcSlabinfo) {
  World world;
  ObjectCache<Object128> dentries(world.memory, "dentry");
  Object128* object = dentries.Alloc();
  const auto lines = Lines(world.memory.SlabInfoText());
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "slabinfo - version: 2.1");
  EXPECT_EQ(lines[1],
            "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : "
            "tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> "
            "<sharedavail>");
  EXPECT_EQ(lines[2],
            "dentry                 1     32    128  512   16 : tunables    0    0    0 : slabdata "
            "     1      1      0");
  dentries.Free(object);
}

TEST(MemInfo, ShowsTheLimitAsTotalAndSlabsByReclaimability) {
  World world(8 << 20);
  ObjectCache<Object128> dentries(world.memory, "dentry", CacheFlags::kReclaimable);
  ObjectCache<Object128> nodes(world.memory, "node");
  Object128* dentry = dentries.Alloc();
  Object128* node = nodes.Alloc();
  const auto lines = Lines(world.memory.MemInfoText());
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0], "MemTotal:           8192 kB");
  EXPECT_EQ(lines[1], "MemFree:            8172 kB");
  EXPECT_EQ(lines[2], "MemAvailable:       8176 kB");
  EXPECT_EQ(lines[3], "Slab:                  8 kB");
  EXPECT_EQ(lines[4], "SReclaimable:          4 kB");
  EXPECT_EQ(lines[5], "SUnreclaim:            4 kB");
  dentries.Free(dentry);
  nodes.Free(node);
}

}  // namespace
}  // namespace dentree::mm
