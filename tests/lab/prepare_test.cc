// What a file system must hold before a trace can be replayed, and how contradictions are mended.
#include "lab/prepare.h"

#include "gmock/gmock.h"

namespace dentree::lab {
namespace {

using testing::ElementsAre;

std::vector<std::string> NamesOf(const Prepared& prepared) {
  std::vector<std::string> names;
  for (const Prepared::Name& name : prepared.names) {
    names.push_back(name.path + (name.dir ? "/" : ""));
  }
  return names;
}

std::vector<std::string> EventsOf(const Trace& trace, const Prepared& prepared) {
  constexpr std::string_view kNames[] = {"lookup", "create", "mkdir", "unlink", "rmdir"};
  std::vector<std::string> events;
  for (const Event& event : prepared.events) {
    events.push_back(std::string(event.outcome == Outcome::kOk ? "" : "no ") +
                     std::string(kNames[static_cast<size_t>(event.op)]) + " " +
                     prepared.PathOf(trace, event));
  }
  return events;
}

TEST(PrepareTest, WhatIsFoundFirstWasThereAndSoWereTheDirectoriesAbove) {
  Trace trace;
  trace.Add("/a/b/f", Op::kLookup, Outcome::kOk);
  trace.Miss("/c/d/nope");
  trace.Add("/e/new", Op::kCreate, Outcome::kOk);
  trace.Add("/e/old", Op::kUnlink, Outcome::kOk);
  const Prepared prepared = Prepare(trace);
  EXPECT_THAT(NamesOf(prepared),
              ElementsAre("/a/", "/a/b/", "/a/b/f", "/c/", "/c/d/", "/e/", "/e/old"));
  EXPECT_EQ(prepared.events.size(), 4);
  EXPECT_EQ(prepared.misses, 2);
  EXPECT_EQ(prepared.repairs, 0);
}

TEST(PrepareTest, WhatIsMadeWasNotThere) {
  Trace trace;
  trace.Add("/d", Op::kMkdir, Outcome::kOk);
  trace.Add("/d/f", Op::kCreate, Outcome::kOk);
  trace.Add("/d/f", Op::kLookup, Outcome::kOk);
  EXPECT_THAT(NamesOf(Prepare(trace)), ElementsAre());
  EXPECT_EQ(Prepare(trace).repairs, 0);
}

TEST(PrepareTest, MakingWhatIsThereIsALookup) {
  Trace trace;
  trace.Add("/f", Op::kLookup, Outcome::kOk);
  trace.Add("/f", Op::kCreate, Outcome::kOk);
  EXPECT_THAT(EventsOf(trace, Prepare(trace)), ElementsAre("lookup /f", "lookup /f"));
}

TEST(PrepareTest, WhatWentUnseenIsRemovedAndWhatCameUnseenIsMade) {
  Trace trace;
  trace.Add("/f", Op::kLookup, Outcome::kOk);
  trace.Miss("/f");
  trace.Add("/f", Op::kLookup, Outcome::kOk);
  trace.Miss("/d");
  trace.Add("/d/g", Op::kLookup, Outcome::kOk);
  const Prepared prepared = Prepare(trace);
  EXPECT_THAT(EventsOf(trace, prepared),
              ElementsAre("lookup /f", "unlink /f", "no lookup /f", "create /f", "lookup /f",
                          "no lookup /d", "mkdir /d", "create /d/g", "lookup /d/g"));
  EXPECT_EQ(prepared.repairs, 4);
  EXPECT_EQ(prepared.misses, 5);
}

TEST(PrepareTest, ADirectoryIsRemovedAsOne) {
  Trace trace;
  trace.Add("/d/f", Op::kUnlink, Outcome::kOk);
  trace.Add("/d", Op::kUnlink, Outcome::kOk);
  EXPECT_THAT(EventsOf(trace, Prepare(trace)), ElementsAre("unlink /d/f", "rmdir /d"));
}

TEST(PrepareTest, ADirectoryThatIsMovedTakesWhatIsInItAway) {
  Trace trace;
  trace.Add("/old/a/f", Op::kLookup, Outcome::kOk);
  trace.Add("/older", Op::kLookup, Outcome::kOk);
  trace.Add("/old", Op::kUnlink, Outcome::kOk);
  trace.Add("/new", Op::kCreate, Outcome::kOk);
  trace.Add("/new/a/f", Op::kLookup, Outcome::kOk);
  const Prepared prepared = Prepare(trace);
  EXPECT_THAT(NamesOf(prepared), ElementsAre("/old/", "/old/a/", "/old/a/f", "/older"));
  EXPECT_THAT(EventsOf(trace, prepared),
              ElementsAre("lookup /old/a/f", "lookup /older", "unlink /old/a/f", "rmdir /old/a",
                          "rmdir /old", "mkdir /new", "mkdir /new/a", "create /new/a/f",
                          "lookup /new/a/f"));
}

TEST(PrepareTest, WhatIsInADirectoryMadeAnewWasNotThereAtTheBeginning) {
  Trace trace;
  trace.Add("/d", Op::kUnlink, Outcome::kOk);
  trace.Add("/d", Op::kMkdir, Outcome::kOk);
  trace.Add("/d/f", Op::kLookup, Outcome::kOk);
  const Prepared prepared = Prepare(trace);
  EXPECT_THAT(NamesOf(prepared), ElementsAre("/d/"));
  EXPECT_THAT(EventsOf(trace, prepared),
              ElementsAre("rmdir /d", "mkdir /d", "create /d/f", "lookup /d/f"));
}

TEST(PrepareTest, TheRootIsAlwaysThere) {
  Trace trace;
  trace.Add("/", Op::kLookup, Outcome::kOk);
  EXPECT_THAT(NamesOf(Prepare(trace)), ElementsAre());
  EXPECT_TRUE(Prepare(trace).events.empty());
}

}  // namespace
}  // namespace dentree::lab
