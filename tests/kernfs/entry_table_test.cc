#include "kernfs/entry_table.h"

#include <set>

#include "gtest/gtest.h"
#include "kernfs/kernfs.h"

namespace dentree::kernfs {
namespace {

class Nothing final : public TextOps {};
constexpr Nothing kNothing;
constexpr Presence Never(const Dir&) { return Presence::Absent(); }

constexpr auto kInner = MakeTable(File("enable", 0640, kNothing));
constexpr DirType kInnerType{.table = kInner};
constexpr auto kTable =
    MakeTable(File("enable", 0640, kNothing), File("filter", 0640, kNothing),
              File("id", 0440, kNothing, &Never), Subdir("sub", 0755, kInnerType, ObjectIn(1, 1)));
constexpr EntryTable kView = kTable;

// Found while compiling: what a table knows costs nothing at run time.
static_assert(kView.size() == 4);
static_assert(kView.Find("enable") == 0 && kView.Find("sub") == 3);
static_assert(!kView.Find("enabl") && !kView.Find("enable ") && !kView.Find(""));
static_assert(kView[1].name == "filter" && kView[1].mode == (S_IFREG | 0640));
static_assert(vfs::IsDir(kView[3].mode) && kView[3].object == ObjectIn(1, 1));

TEST(EntryTable, FindsNamesOfEntriesThatAreAbsent) { EXPECT_TRUE(kView.Contains("id")); }

TEST(EntryTable, OfATypeWithoutTableIsEmpty) {
  constexpr DirType kPlain{};
  EXPECT_EQ(kPlain.table.size(), 0u);
  EXPECT_FALSE(kPlain.table.Contains("anything"));
  EXPECT_EQ(kPlain.table.begin(), kPlain.table.end());
}

constexpr size_t kMany = 500;
constexpr auto kManyNames = [] {
  // "aa" to "tf".
  std::array<std::array<char, 2>, kMany> names{};
  for (size_t i = 0; i < names.size(); ++i) {
    names[i] = {static_cast<char>('a' + i / 26), static_cast<char>('a' + i % 26)};
  }
  return names;
}();

template <size_t... I>
consteval auto MakeMany(std::index_sequence<I...>) {
  return MakeTable(File(std::string_view(kManyNames[I].data(), 2), 0444, kNothing)...);
}
constexpr auto kManyTable = MakeMany(std::make_index_sequence<kMany>());

TEST(EntryTable, FindsEachOfManyAndNothingElse) {
  const EntryTable table = kManyTable;
  std::set<uint16_t> found;
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) {
      const char name[2] = {a, b};
      const auto index = table.Find(std::string_view(name, 2));
      const size_t expected = static_cast<size_t>(a - 'a') * 26 + static_cast<size_t>(b - 'a');
      ASSERT_EQ(index.has_value(), expected < kMany);
      if (index) found.insert(*index);
    }
  }
  EXPECT_EQ(found.size(), kMany);
}

TEST(EntryTable, RejectsBadNamesAndKinds) {
  for (const std::string_view bad : {"", ".", "..", "a/b"}) {
    EXPECT_FALSE(table_check::NameIsGood(bad)) << bad;
  }
  EXPECT_FALSE(table_check::NameIsGood(std::string(256, 'x')));
  EXPECT_TRUE(table_check::NameIsGood(std::string(255, 'x')));
  TableEntry entry = File("x", 0444, kNothing);
  EXPECT_TRUE(table_check::KindIsGood(entry));
  entry.mode = S_IFDIR | 0755;
  EXPECT_FALSE(table_check::KindIsGood(entry));
  entry = Subdir("x", 0755, kInnerType, kSelf);
  EXPECT_FALSE(table_check::KindIsGood(entry)) << "a directory of a table needs an object";
}

TEST(ObjectIds, OfDifferentSpacesNeverMeet) {
  EXPECT_NE(ObjectIn(1, 7), ObjectIn(2, 7));
  EXPECT_EQ(IdOf(ObjectIn(2, 7)), 7u);
  EXPECT_LE(ObjectIn(255, (uint64_t{1} << 40) - 1), kMaxObject);
}

}  // namespace
}  // namespace dentree::kernfs
