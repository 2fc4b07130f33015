#include "trace/catalogue.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/trace/trace_test.h"
#include "trace/format.h"

namespace dentree::trace {
namespace {

using base::Errno;

const std::string kCommon = std::string(kCommonFields);
constexpr const char* kFull = "enable,filter,format,id,trigger";

std::string Line(std::string_view system, std::string_view event, std::string_view id,
                 std::string_view files = kFull, std::string_view fields = "") {
  std::string line;
  return line.append(system)
      .append("\t")
      .append(event)
      .append("\t")
      .append(id)
      .append("\t")
      .append(files)
      .append("\t")
      .append(fields)
      .append("\n");
}

class CatalogueTest : public TraceTest {
 protected:
  // "" when it was loaded; otherwise the complaint, after checking that nothing was loaded.
  std::string Load(std::string_view text) {
    const std::string before = AllEvents();
    auto loaded = LoadCatalogue(*registry, text);
    if (loaded) return "";
    EXPECT_EQ(AllEvents(), before) << "all or nothing";
    return loaded.error().ToString();
  }

  Event& Find(std::string_view system, std::string_view name) {
    base::RcuReadGuard guard(rcu);
    return *registry->FindEvent(*registry->FindSystem(system), name);
  }
};

TEST_F(CatalogueTest, LoadsEventsInTheirOrder) {
  auto loaded = LoadCatalogue(*registry, Line("b", "two", "7", kFull, kCommon + ";u64 x:8:8:0") +
                                             Line("a", "one", "3", "format", "int y:8:4:1") +
                                             Line("b", "one", "65535", "format,id"));
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(loaded->events, 3u);
  EXPECT_EQ(AllEvents(), "b:two a:one b:one");
  EXPECT_EQ(Find("b", "two").type(), 7);
  EXPECT_EQ(Find("b", "two").fields(), "u64 x:8:8:0") << "the common fields are implied";
  EXPECT_EQ(Find("a", "one").fields(), "int y:8:4:1") << "and may be left out";
  EXPECT_EQ(Find("b", "one").type(), 65535);
}

TEST_F(CatalogueTest, TheFilesColumnSaysOnlyTheClass) {
  EXPECT_EQ(Load(Line("s", "full", "1") + Line("s", "bare", "2", "format") +
                 Line("s", "numbered", "3", "format,id") +
                 Line("s", "triggers", "4", "format,id,trigger") +
                 Line("s", "more", "5", "trigger,inject,id,hist_debug,hist,format,filter,enable")),
            "");
  EXPECT_EQ(Find("s", "full").flags(), EventFlags::kFull);
  EXPECT_EQ(Find("s", "bare").flags(), EventFlags::kNone);
  EXPECT_EQ(Find("s", "numbered").flags(), EventFlags::kId);
  EXPECT_EQ(Find("s", "triggers").flags(), EventFlags::kId | EventFlags::kTrigger);
  EXPECT_EQ(Find("s", "more").flags(), EventFlags::kFull) << "files of another configuration";
}

TEST_F(CatalogueTest, CommentsEmptyLinesCarriageReturnsAndAMissingLastNewlineAreFine) {
  std::string text = "# made by hand\r\n\r\n" + Line("s", "a", "1") + "\n" + Line("s", "b", "2");
  text.pop_back();
  EXPECT_EQ(Load(text), "");
  std::string dos = Line("s", "c", "3", kFull, "int y:8:4:1");
  dos.insert(dos.size() - 1, "\r");
  EXPECT_EQ(Load(dos), "");
  EXPECT_EQ(Find("s", "c").fields(), "int y:8:4:1");
  EXPECT_EQ(Load(""), "");
  EXPECT_EQ(AllEvents(), "s:a s:b s:c");
}

TEST_F(CatalogueTest, AComplaintNamesLineColumnByteAndReason) {
  const std::string good = Line("s", "good", "1");
  EXPECT_EQ(Load(good + "s\te\t2\tformat\n"), "line 2: has 4 columns instead of 5");
  EXPECT_EQ(Load(good + "\n" + Line("s", "e", "2", "format", "\tx")),
            "line 3: has 6 columns instead of 5");
  EXPECT_EQ(Load(Line("", "e", "2")), "line 1, column system, byte 1: not a name");
  EXPECT_EQ(Load(Line("sys", "a/b", "2")), "line 1, column event, byte 5: not a name");
  EXPECT_EQ(Load(Line("sys", std::string(256, 'n'), "2")),
            "line 1, column event, byte 5: longer than 255 bytes");
  for (const char* id : {"", "0", "65536", "-1", "1x", "99999999999999999999"}) {
    EXPECT_EQ(Load(Line("s", "e", id)), "line 1, column id, byte 5: not a number from 1 to 65535");
  }
  EXPECT_EQ(Load(Line("s", "e", "2", "format,colour")),
            "line 1, column files, byte 14: not the name of an event's file");
  EXPECT_EQ(Load(Line("s", "e", "2", "")),
            "line 1, column files, byte 7: not the name of an event's file");
  EXPECT_EQ(Load(Line("s", "e", "2", "format,format")),
            "line 1, column files, byte 14: the same file twice");
  EXPECT_EQ(Load(Line("s", "e", "2", "enable,format")),
            "line 1, column files, byte 7: no class of event has just these files");
  EXPECT_EQ(Load(Line("s", "e", "2", "format", "int a:8:4:1;int b:8:4:7")),
            "line 1, column fields, byte 36: signed must be 0 or 1");
  EXPECT_EQ(Load(Line("s", "e", "2", "format", kCommon + ";")),
            "line 1, column fields, byte " + std::to_string(14 + kCommon.size() + 1) +
                ": a field is missing");
  EXPECT_EQ(Load(Line("s", "e", "2", "format", kCommon + "7;int a:8:4:1")),
            "line 1, column fields, byte 14: the field lies in the record's header");
  EXPECT_EQ(Load(std::string(70000, 'x')), "line 1: longer than 64 KiB");
}

TEST_F(CatalogueTest, DuplicatesAreNamedWithBothLines) {
  EXPECT_EQ(Load(Line("s", "a", "1") + Line("s", "b", "1")),
            "line 2, column id, byte 5: the id of line 1 again");
  EXPECT_EQ(Load("\n" + Line("s", "a", "1") + Line("s", "a", "2")),
            "line 3, column event, byte 3: the event of line 2 again");
}

TEST_F(CatalogueTest, WhatIsInTheRegistryAlreadyIsRefusedToo) {
  Add("s", "a", EventFlags::kFull, 1);
  EXPECT_EQ(Load(Line("t", "x", "5") + Line("s", "a", "2")),
            "line 2, column event, byte 3: the system has an event of this name");
  EXPECT_EQ(Load(Line("t", "x", "5") + Line("t", "y", "1")),
            "line 2, column id, byte 5: the id is taken");
  EXPECT_EQ(Load(Line("t", "enable", "5")),
            "line 1, column event, byte 3: the name of a file beside the events");
  EXPECT_EQ(Load(Line("header_page", "x", "5")),
            "line 1, column system, byte 1: the name of a file beside the systems");
}

TEST_F(CatalogueTest, TextIsKeptOnceForAllWhoShareIt) {
  const std::string fields = "u64 address:8:8:0;u64 length:16:8:0";
  auto loaded = LoadCatalogue(*registry, Line("s", "a", "1", kFull, fields) +
                                             Line("s", "b", "2", kFull, fields) +
                                             Line("t", "a", "3", kFull, fields));
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->text_bytes, fields.size() + 2);
  auto b = base::Ref<Event>::Share(&Find("s", "b"));
  for (const char* name : {"s", "t"}) {
    base::RcuReadGuard guard(rcu);
    ASSERT_TRUE(registry->Remove(Find(name, "a")).has_value());
  }
  EXPECT_EQ(b->fields(), fields) << "it stays while anyone refers to it";
}

TEST_F(CatalogueTest, AnyAllocationThatFailsLeavesNothing) {
  const std::string text = Line("s", "a", "1") + Line("t", "b", "2");
  for (uint64_t nth = 1;; ++nth) {
    base::ScopedFault fault(faults, base::FaultPlan::Nth("trace:alloc:*", nth));
    auto loaded = LoadCatalogue(*registry, text);
    if (loaded) break;
    EXPECT_EQ(loaded.error().error, Errno::kNoMem);
    EXPECT_EQ(AllEvents(), "");
  }
  EXPECT_EQ(AllEvents(), "s:a t:b");
}

TEST_F(CatalogueTest, ARemovedEventMayBeLoadedAgain) {
  ASSERT_EQ(Load(Line("s", "a", "9")), "");
  ASSERT_TRUE(registry->Remove(Find("s", "a")).has_value());
  EXPECT_EQ(Load(Line("s", "a", "9")), "");
}

TEST_F(CatalogueTest, TheExampleLoads) {
  const char* source = std::getenv("DENTREE_SOURCE");
  ASSERT_NE(source, nullptr);
  std::ifstream file(std::string(source) + "/examples/events.tsv");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(Load(text), "");
  EXPECT_NE(AllEvents(), "");
}

}  // namespace
}  // namespace dentree::trace
