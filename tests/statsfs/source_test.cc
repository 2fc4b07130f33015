// Sources and values: what is there, what it says, and how it is cleared.

#include <limits>
#include <thread>

#include "tests/statsfs/statsfs_test.h"

namespace dentree::statsfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// --- what is there ---

TEST_F(StatsfsTest, AFolderIsAnEmptyDirectory) {
  const Source folder = Add("kvm_123", Folder());
  EXPECT_THAT(Names(""), Holds(ElementsAre("kvm_123")));
  EXPECT_THAT(Names("kvm_123"), Holds(IsEmpty()));
  EXPECT_EQ(ModeOf("kvm_123"), 0755u);
}

TEST_F(StatsfsTest, FoldersStandInFolders) {
  const Source parent = Add("parent", Folder());
  const Source child = parent.Add("child", Folder()).value();
  EXPECT_THAT(Names("parent"), Holds(ElementsAre("child")));
  EXPECT_THAT(Names("parent/child"), Holds(IsEmpty()));
}

TEST_F(StatsfsTest, ASourceHasAFileForEachValueAndItsSchema) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts));
  EXPECT_THAT(Names("counts"), Holds(ElementsAre(".schema", "held", "hits", "most")));
  EXPECT_EQ(Read("counts/.schema").value(),
            "hits\tcumulative\tnone\tTimes it was hit\n"
            "held\tinstant\tbytes\tBytes held\n"
            "most\thigh water\tbytes\tThe most held\n");
  EXPECT_EQ(ModeOf("counts/hits"), 0644u);
  EXPECT_EQ(ModeOf("counts/most"), 0644u);
  EXPECT_EQ(ModeOf("counts/held"), 0444u);
  EXPECT_EQ(ModeOf("counts/.schema"), 0444u);
}

TEST_F(StatsfsTest, ValuesAreOfTheSourceThatHasThemAndOfNoOther) {
  Counts counts;
  const Source parent = Add("parent", Folder());
  const Source child = parent.Add("child", Values<kCountFields>(counts)).value();
  EXPECT_EQ(Text("parent/hits"), "ENOENT");
  EXPECT_EQ(Text("parent/child/hits"), "0");
  EXPECT_EQ(Text("parent/child/nothing"), "ENOENT");
}

TEST_F(StatsfsTest, TheTopIsForItsOwnerAlone) {
  EXPECT_EQ(task().Stat("/s")->mode & 07777, 0700u);
  const auto user = TaskOf(vfs::Creds::User(1000, 1000));
  EXPECT_THAT(user->ListDir("/s"), FailsWith(Errno::kAccess));
}

TEST_F(StatsfsTest, MountOptionsSayOwnerAndMode) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts));
  ASSERT_OK(task().Umount("/s"));
  ASSERT_OK(task().Mount("none", "/s", "statsfs", "uid=1000,gid=50,mode=755"));
  const auto user = TaskOf(vfs::Creds::User(1000, 50));
  EXPECT_OK(user->WriteFile("/s/counts/hits", "0", 0));
  const auto stranger = TaskOf(vfs::Creds::User(2000, 2000));
  EXPECT_OK(stranger->ReadFile("/s/counts/hits"));
  EXPECT_THAT(stranger->WriteFile("/s/counts/hits", "0", 0), FailsWith(Errno::kAccess));
  EXPECT_THAT(task().Mount("none", "/s", "statsfs", "size=1"), FailsWith(Errno::kInval));
}

TEST_F(StatsfsTest, NobodyMakesOrRemovesASourceThroughFiles) {
  const Source folder = Add("folder", Folder());
  EXPECT_THAT(task().Mkdir("/s/mine", 0755), FailsWith(Errno::kPerm));
  EXPECT_THAT(task().Rmdir("/s/folder"), FailsWith(Errno::kPerm));
  EXPECT_FALSE(task().Open("/s/folder/file", O_CREAT | O_RDWR, 0600).has_value());
}

// --- names ---

TEST_F(StatsfsTest, ANameIsGivenOnce) {
  const Source parent = Add("parent", Folder());
  const Source child = parent.Add("child", Folder()).value();
  EXPECT_THAT(parent.Add("child", Folder()), FailsWith(Errno::kExist));
  EXPECT_THAT(statsfs().Add("parent", Folder()), FailsWith(Errno::kExist));
  // The same name elsewhere is another.
  EXPECT_OK(child.Add("child", Folder()));
  EXPECT_THAT(Names("parent"), Holds(ElementsAre("child")));
}

TEST_F(StatsfsTest, NoSourceIsNamedAsAValueOrAnAggregate) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts).WithAggregates());
  for (const char* name : {"hits", ".schema", "sum", "count_zero"}) {
    EXPECT_THAT(source.Add(name, Folder()), FailsWith(Errno::kExist)) << name;
  }
  const Source without = Add("without", Values<kCountFields>(counts));
  EXPECT_OK(without.Add("sum", Folder()));
}

TEST_F(StatsfsTest, NamesThatNoFileCanHaveAreRefused) {
  for (const std::string name : {"", ".", "..", "a/b"}) {
    EXPECT_THAT(statsfs().Add(name, Folder()), FailsWith(Errno::kInval)) << name;
  }
  EXPECT_THAT(statsfs().Add(std::string("a\0b", 3), Folder()), FailsWith(Errno::kInval));
  EXPECT_THAT(statsfs().Add(std::string(256, 'x'), Folder()), FailsWith(Errno::kNameTooLong));
  EXPECT_OK(statsfs().Add(std::string(255, 'x'), Folder()));
  EXPECT_THAT(Names(""), Holds(IsEmpty()));
}

TEST_F(StatsfsTest, ANameIsFreeWhenItsSourceIsGone) {
  Counts first, second;
  first.hits.Add(1);
  second.hits.Add(2);
  {
    const Source source = Add("counts", Values<kCountFields>(first));
    EXPECT_EQ(Text("counts/hits"), "1");
  }
  EXPECT_EQ(Text("counts/hits"), "ENOENT");
  EXPECT_THAT(task().Stat("/s/counts"), FailsWith(Errno::kNoEnt));
  const Source source = Add("counts", Values<kCountFields>(second));
  EXPECT_EQ(Text("counts/hits"), "2");
}

TEST_F(StatsfsTest, ManySourcesAreListedOnceEachInTheOrderInWhichTheyCame) {
  const Source parent = Add("parent", Aggregates<kCountFields>());
  std::vector<Source> sources;
  for (int i = 0; i < 500; ++i) {
    sources.push_back(parent.Add("s" + std::to_string(i), Folder()).value());
  }
  for (size_t i = 0; i < sources.size(); i += 3) sources[i] = Source();
  std::vector<std::string> expected = {"sum", "min", "max", "avg", "count_zero"};
  for (size_t i = 0; i < sources.size(); ++i) {
    if (sources[i]) expected.push_back("s" + std::to_string(i));
  }
  std::vector<std::string> listed;
  const auto entries = task().ListDir("/s/parent").value();
  for (const auto& entry : entries) {
    if (entry.name != "." && entry.name != "..") listed.push_back(entry.name);
  }
  EXPECT_EQ(listed, expected);
}

// --- numbers ---

TEST_F(StatsfsTest, NumbersOfEveryTypeAreShownWithTheirSign) {
  using std::numeric_limits;
  Numbers n;
  const Source source = Add("n", Values<kNumberFields>(n));
  for (const auto& field : kNumberFields.fields)
    EXPECT_EQ(Text("n/" + std::string(field.name)), "0");
  n = {.b = true,
       .u8 = 255,
       .s8 = -128,
       .u16 = 65535,
       .s16 = -32768,
       .u32 = numeric_limits<uint32_t>::max(),
       .s32 = numeric_limits<int32_t>::min(),
       .u64 = numeric_limits<uint64_t>::max(),
       .s64 = numeric_limits<int64_t>::min()};
  EXPECT_EQ(Text("n/b"), "1");
  EXPECT_EQ(Text("n/u8"), "255");
  EXPECT_EQ(Text("n/s8"), "-128");
  EXPECT_EQ(Text("n/u16"), "65535");
  EXPECT_EQ(Text("n/s16"), "-32768");
  EXPECT_EQ(Text("n/u32"), "4294967295");
  EXPECT_EQ(Text("n/s32"), "-2147483648");
  EXPECT_EQ(Text("n/u64"), "18446744073709551615");
  EXPECT_EQ(Text("n/s64"), "-9223372036854775808");
}

TEST_F(StatsfsTest, AValueIsReadAnewByEachReadFromTheStart) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts));
  ASSERT_OK_AND_ASSIGN(const int fd, task().Open("/s/counts/hits", O_RDONLY));
  char buffer[16];
  const std::span<std::byte> out = std::as_writable_bytes(std::span(buffer));
  ASSERT_THAT(task().Pread(fd, out, 0), Holds(2u));
  EXPECT_EQ(std::string_view(buffer, 2), "0\n");
  counts.hits.Add(7);
  ASSERT_THAT(task().Pread(fd, out, 0), Holds(2u));
  EXPECT_EQ(std::string_view(buffer, 2), "7\n");
}

TEST_F(StatsfsTest, ShardsOfManyThreadsAreOneNumber) {
  base::Sharded<HotCounts> counts;
  const Source source = Add("hot", Values<kHotFields>(std::as_const(counts)));
  for (int i = 0; i < 20; ++i) {
    std::jthread([&] { counts.Add<&HotCounts::hits>(3); }).join();
  }
  EXPECT_EQ(Text("hot/hits"), "60");
  EXPECT_OK(Write("hot/hits", "0"));
  EXPECT_EQ(Text("hot/hits"), "0");
  counts.Add<&HotCounts::hits>();
  EXPECT_EQ(Text("hot/hits"), "1");
  EXPECT_EQ(counts.Sum<&HotCounts::hits>(), 61u) << "the counter itself is not written";
}

// --- clearing ---

TEST_F(StatsfsTest, WhatGrowsIsClearedByWritingZero) {
  Counts counts;
  counts.hits.Add(5);
  const Source source = Add("counts", Values<kCountFields>(counts));
  for (const char* zero : {"0", "0\n", "0x0", "00"}) {
    EXPECT_OK(Write("counts/hits", zero)) << zero;
    EXPECT_EQ(Text("counts/hits"), "0");
    counts.hits.Add(5);
    EXPECT_EQ(Text("counts/hits"), "5");
  }
  EXPECT_EQ(counts.hits.Value(), 25u) << "the counter itself is not written";
}

TEST_F(StatsfsTest, NothingButZeroCanBeWritten) {
  Counts counts;
  counts.hits.Add(5);
  const Source source = Add("counts", Values<kCountFields>(counts));
  for (const char* bad : {"1", "-0", "", "\n", "zero", "0 0", "99999999999999999999999"}) {
    EXPECT_THAT(Write("counts/hits", bad), FailsWith(Errno::kInval)) << bad;
  }
  EXPECT_EQ(Text("counts/hits"), "5");
}

TEST_F(StatsfsTest, AQuantityOfNowCannotBeWrittenNotEvenByRoot) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts));
  EXPECT_THAT(Write("counts/held", "0"), FailsWith(Errno::kPerm));
  EXPECT_FALSE(Write("counts/.schema", "0").has_value());
}

TEST_F(StatsfsTest, AHighWaterStartsAgainAtTheLevelOfNow) {
  Counts counts;
  const Source source = Add("counts", Values<kCountFields>(counts));
  counts.Hold(10);
  counts.Hold(-7);
  EXPECT_EQ(Text("counts/most"), "10");
  EXPECT_OK(Write("counts/most", "0"));
  EXPECT_EQ(Text("counts/most"), "3");
  counts.Hold(2);
  EXPECT_EQ(Text("counts/most"), "5");
  EXPECT_EQ(Text("counts/held"), "5");
}

TEST_F(StatsfsTest, ClearingOneValueLeavesTheOthers) {
  Counts a, b;
  a.hits.Add(1), b.hits.Add(2), a.Hold(3);
  const Source first = Add("a", Values<kCountFields>(a));
  const Source second = Add("b", Values<kCountFields>(b));
  EXPECT_OK(Write("a/hits", "0"));
  EXPECT_EQ(Text("a/hits"), "0");
  EXPECT_EQ(Text("a/most"), "3");
  EXPECT_EQ(Text("b/hits"), "2");
}

// --- revocation ---

TEST_F(StatsfsTest, RevokingASourceTakesItsValuesAndLeavesWhatIsBelow) {
  auto counts = std::make_unique<Counts>();
  Counts below;
  below.hits.Add(4);
  const Source source = Add("vm", Values<kCountFields>(*counts).WithAggregates());
  const Source child = source.Add("vcpu", Values<kCountFields>(below)).value();
  counts->hits.Add(3);
  EXPECT_EQ(Text("vm/sum/hits"), "7");
  ASSERT_OK_AND_ASSIGN(const int held, task().Open("/s/vm/hits", O_RDWR));
  EXPECT_FALSE(source.revoked());
  source.Revoke();
  source.Revoke();
  EXPECT_TRUE(source.revoked());
  counts.reset();
  char byte;
  EXPECT_THAT(task().Read(held, std::as_writable_bytes(std::span(&byte, 1))),
              FailsWith(Errno::kNoDev));
  EXPECT_THAT(task().Write(held, "0"), FailsWith(Errno::kNoDev));
  EXPECT_EQ(Text("vm/hits"), "ENOENT");
  EXPECT_THAT(Names("vm"), Holds(ElementsAre("avg", "count_zero", "max", "min", "sum", "vcpu")));
  EXPECT_EQ(Text("vm/sum/hits"), "4");
  EXPECT_EQ(Text("vm/vcpu/hits"), "4");
}

TEST_F(StatsfsTest, FilesOfASourceThatIsGoneAnswerNoDev) {
  Counts counts;
  Source source = Add("counts", Values<kCountFields>(counts).WithAggregates());
  ASSERT_OK_AND_ASSIGN(const int value, task().Open("/s/counts/hits", O_RDWR));
  ASSERT_OK_AND_ASSIGN(const int sum, task().Open("/s/counts/sum/hits", O_RDWR));
  ASSERT_OK_AND_ASSIGN(const int dir, task().Open("/s/counts", O_RDONLY));
  source = Source();
  char byte;
  const auto out = std::as_writable_bytes(std::span(&byte, 1));
  for (const int fd : {value, sum}) {
    EXPECT_THAT(task().Read(fd, out), FailsWith(Errno::kNoDev));
    EXPECT_THAT(task().Write(fd, "0"), FailsWith(Errno::kNoDev));
  }
  EXPECT_EQ(task().Fstat(dir)->nlink, 0u);
  EXPECT_THAT(task().Stat("/s/counts/sum"), FailsWith(Errno::kNoEnt));
}

// --- tables ---

TEST_F(StatsfsTest, ATableHasALineForEachRow) {
  TestRows rows;
  const Source table = Add("caches", Table<kCountFields>(rows));
  EXPECT_THAT(Read("caches/hits"), Holds(""));
  rows.Add("inode").hits.Add(3);
  rows.Add("dentry").Hold(-2);
  EXPECT_EQ(Read("caches/hits").value(), "inode 3\ndentry 0\n");
  EXPECT_EQ(Read("caches/held").value(), "inode 0\ndentry -2\n");
  rows.rows.erase(rows.rows.begin());
  EXPECT_EQ(Read("caches/hits").value(), "dentry 0\n");
  EXPECT_EQ(ModeOf("caches/hits"), 0444u);
  EXPECT_FALSE(Write("caches/hits", "0").has_value());
}

// --- what it costs ---

TEST_F(StatsfsTest, WhatNobodyLooksAtCostsNothingInKernfs) {
  DropCaches();
  const size_t nodes = kernfs().live_nodes(), entries = kernfs().live_transients();
  std::vector<Source> sources;
  std::vector<Numbers> numbers(100);
  for (Numbers& n : numbers) {
    sources.push_back(Add("n" + std::to_string(sources.size()), Values<kNumberFields>(n)));
  }
  EXPECT_EQ(Names("")->size(), 100u);
  EXPECT_EQ(kernfs().live_nodes(), nodes);
  EXPECT_EQ(kernfs().live_transients(), entries);
  EXPECT_EQ(Text("n7/u8"), "0");
  EXPECT_EQ(kernfs().live_nodes(), nodes);
  EXPECT_EQ(kernfs().live_transients(), entries + 2) << "n7 and u8";
  sources.clear();
}

TEST_F(StatsfsTest, ASourceThatCannotBeMadeLeavesNothing) {
  Counts counts;
  for (const char* point : {"mm:statsfs_name", "mm:statsfs_source"}) {
    const base::ScopedFault fault(faults(), base::FaultPlan::Always(point));
    EXPECT_THAT(statsfs().Add("counts", Values<kCountFields>(counts)), FailsWith(Errno::kNoMem));
  }
  EXPECT_THAT(Names(""), Holds(IsEmpty()));
  const Source source = Add("counts", Values<kCountFields>(counts));
  counts.hits.Add(1);
  {
    const base::ScopedFault fault(faults(), base::FaultPlan::Always("mm:statsfs_marks"));
    EXPECT_THAT(Write("counts/hits", "0"), FailsWith(Errno::kNoMem));
  }
  EXPECT_EQ(Text("counts/hits"), "1");
  EXPECT_OK(Write("counts/hits", "0"));
}

}  // namespace
}  // namespace dentree::statsfs
