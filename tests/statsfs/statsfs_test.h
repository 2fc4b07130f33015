// StatsfsTest: a Statsfs mounted on /s, and structs with statistics of every type.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fixture/fixture.h"
#include "statsfs/statsfs.h"

namespace dentree::statsfs {

using fixture::FailsWith;
using fixture::Holds;

// One of each type; nothing else writes it while a test reads.
struct Numbers {
  bool b = false;
  uint8_t u8 = 0;
  int8_t s8 = 0;
  uint16_t u16 = 0;
  int16_t s16 = 0;
  uint32_t u32 = 0;
  int32_t s32 = 0;
  uint64_t u64 = 0;
  int64_t s64 = 0;
};
inline constexpr auto kNumberFields =
    base::Fields(base::F<&Numbers::b>("b", "a bool", base::StatKind::kInstant),
                 base::F<&Numbers::u8>("u8", "", base::StatKind::kInstant),
                 base::F<&Numbers::s8>("s8", "", base::StatKind::kInstant),
                 base::F<&Numbers::u16>("u16", "", base::StatKind::kInstant),
                 base::F<&Numbers::s16>("s16", "", base::StatKind::kInstant),
                 base::F<&Numbers::u32>("u32", "", base::StatKind::kInstant),
                 base::F<&Numbers::s32>("s32", "", base::StatKind::kInstant),
                 base::F<&Numbers::u64>("u64", "", base::StatKind::kInstant),
                 base::F<&Numbers::s64>("s64", "", base::StatKind::kInstant));

// One of each kind.
struct Counts {
  base::Counter hits;
  base::Gauge held;
  base::HighWater most;

  void Hold(int64_t n) { most.Note(held.Add(n)); }
};
inline constexpr auto kCountFields = base::Fields(
    base::F<&Counts::hits>("hits", "Times it was hit", base::StatKind::kCumulative),
    base::F<&Counts::held>("held", "Bytes held", base::StatKind::kInstant, base::StatUnit::kBytes),
    base::F<&Counts::most, &Counts::held>("most", "The most held", base::StatKind::kHighWater,
                                          base::StatUnit::kBytes));

struct HotCounts {
  base::Counter hits;
};
inline constexpr auto kHotFields =
    base::Fields(base::F<&HotCounts::hits>("hits", "", base::StatKind::kCumulative));

class StatsfsTest : public fixture::VfsTest {
 protected:
  using VfsTest::VfsTest;

  void SetUp() override {
    kernfs_ = kernfs::Kernfs::Create(vfs());
    statsfs_ = Statsfs::Create(kernfs_).value();
    ASSERT_OK(task().Mkdir("/s", 0755));
    ASSERT_OK(task().Mount("none", "/s", "statsfs", ""));
  }
  void TearDown() override {
    statsfs_->root().CheckInvariants();
    task().fds().CloseAll();
    statsfs_.reset();
    kernfs_.reset();
    VfsTest::TearDown();
  }

  Statsfs& statsfs() { return *statsfs_; }
  kernfs::Kernfs& kernfs() { return *kernfs_; }

  Source Add(std::string_view name, const Contents& contents) {
    return statsfs_->Add(name, contents).value();
  }
  // Of a path below /s.
  static std::string At(std::string_view path) { return "/s/" + std::string(path); }
  Result<std::string> Read(std::string_view path) { return task().ReadFile(At(path)); }
  // Without the newline.
  std::string Text(std::string_view path) {
    const auto text = Read(path);
    if (!text) return std::string(base::ErrnoName(text.error()));
    EXPECT_TRUE(text->ends_with('\n')) << *text;
    return text->substr(0, text->size() - 1);
  }
  Status Write(std::string_view path, std::string_view text) {
    return task().WriteFile(At(path), text, 0);
  }
  vfs::Mode ModeOf(std::string_view path) { return task().Stat(At(path))->mode & 07777; }
  Result<std::vector<std::string>> Names(std::string_view path) { return fs().Names(At(path)); }

 private:
  std::shared_ptr<kernfs::Kernfs> kernfs_;
  std::unique_ptr<Statsfs> statsfs_;
};

// Rows that a test keeps.
class TestRows final : public Rows {
 public:
  struct Row {
    std::string name;
    Counts counts;
  };
  void ForEach(Visit visit) const override {
    for (const auto& row : rows)
      visit(row->name, base::StatSet(kCountFields, std::as_const(row->counts)));
  }
  Counts& Add(std::string name) {
    rows.push_back(std::make_unique<Row>());
    rows.back()->name = std::move(name);
    return rows.back()->counts;
  }
  std::vector<std::unique_ptr<Row>> rows;
};

}  // namespace dentree::statsfs
