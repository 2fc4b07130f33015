// Reading of traces: what is in them, and what is said of what should not be.
#include "lab/trace.h"

#include <lzma.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "lab/xz.h"

namespace dentree::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::string_view kText =
    "# a comment\n"
    "/a/b\tENOENT\tlookup\t=\t0\n"
    "/lib/x\tENOENT\tlookup\t/usr/lib/x\t1\n"
    "\n"
    "/a/b\tOK\tcreate\t=\t0\n"
    "/a/b\tOK\tunlink\t=\t2\n";

std::string Compressed(const std::string& text) {
  std::string out(text.size() + 1024, '\0');
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, nullptr,
                                    reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

class TraceFileTest : public testing::Test {
 protected:
  TraceFileTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "dentree_trace_XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~TraceFileTest() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = dir_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::filesystem::path dir_;
};

TEST(TraceTest, LinesAreEvents) {
  const auto trace = ParseTrace(kText, "dir/some.tsv.xz");
  ASSERT_TRUE(trace) << trace.error();
  EXPECT_EQ(trace->name(), "some");
  EXPECT_THAT(trace->paths(), ElementsAre("/a/b", "/usr/lib/x"));
  ASSERT_THAT(trace->events(), SizeIs(4));
  EXPECT_EQ(trace->events()[1].outcome, Outcome::kNoEnt);
  EXPECT_EQ(trace->PathOf(trace->events()[1]), "/usr/lib/x");
  EXPECT_EQ(trace->events()[2].op, Op::kCreate);
  EXPECT_EQ(trace->events()[3].path, 0);
  EXPECT_EQ(trace->processes(), 3);
}

TEST(TraceTest, MistakesAreNamedWithFileAndLine) {
  const std::pair<std::string, std::string> cases[] = {
      {"/a\tOK\tlookup\t=", "f:1: expected 5 fields"},
      {"\n/a\tOK\tlookup\t=\t0\t0", "f:2: expected 5 fields"},
      {"/a\tEPERM\tlookup\t=\t0", "f:1: the second field"},
      {"/a\tOK\topen\t=\t0", "f:1: the third field"},
      {"/a\tENOENT\tunlink\t=\t0", "f:1: only a lookup"},
      {"/a\tOK\tlookup\t=\tx", "f:1: the fifth field"},
      {"/a\tOK\tlookup\t=\t99999999", "f:1: the fifth field"},
      {"a\tOK\tlookup\t=\t0", "f:1: the path does not begin with a slash"},
      {"/a\tOK\tlookup\tb\t0", "f:1: the path does not begin with a slash"},
      {"/a/../b\tOK\tlookup\t=\t0", "f:1: the path has . or .. in it"},
      {"/" + std::string(256, 'a') + "\tOK\tlookup\t=\t0", "f:1: a name in the path is too long"},
      {"/" + std::string(5000, '/') + "\tOK\tlookup\t=\t0", "f:1: the path is too long"},
  };
  for (const auto& [text, message] : cases) {
    const auto trace = ParseTrace(text, "f");
    ASSERT_FALSE(trace) << text;
    EXPECT_THAT(trace.error(), HasSubstr(message));
  }
}

TEST(TraceTest, AppendedTracesKeepTheirPathsAndGetProcessesOfTheirOwn) {
  Trace all("all"), one("one");
  one.Miss("/x", 0);
  one.Miss("/y", 1);
  all.Append(one, 0);
  all.Append(one, 2);
  EXPECT_THAT(all.paths(), ElementsAre("/x", "/y"));
  ASSERT_THAT(all.events(), SizeIs(4));
  EXPECT_EQ(all.events()[3].process, 3);
  EXPECT_EQ(all.PathOf(all.events()[2]), "/x");
}

TEST_F(TraceFileTest, PlainAndCompressedFilesSayTheSame) {
  const auto plain = ReadTrace(Write("a.tsv", std::string(kText)));
  const auto packed = ReadTrace(Write("b.tsv.xz", Compressed(std::string(kText))));
  ASSERT_TRUE(plain) << plain.error();
  ASSERT_TRUE(packed) << packed.error();
  EXPECT_EQ(plain->paths(), packed->paths());
  EXPECT_EQ(plain->events().size(), packed->events().size());
}

TEST_F(TraceFileTest, ADirectoryGivesItsTracesSortedAndNothingElse) {
  Write("b.tsv", std::string(kText));
  Write("a.tsv.xz", Compressed(std::string(kText)));
  Write("README.md", "text");
  const auto traces = ReadTraces(dir_);
  ASSERT_TRUE(traces) << traces.error();
  ASSERT_THAT(*traces, SizeIs(2));
  EXPECT_EQ((*traces)[0].name(), "a");
  EXPECT_EQ((*traces)[1].name(), "b");
}

TEST_F(TraceFileTest, WhatCannotBeReadIsSaid) {
  EXPECT_THAT(ReadTrace(dir_ / "none.tsv").error(), HasSubstr("none.tsv: No such file"));
  EXPECT_THAT(ReadTrace(dir_).error(), HasSubstr("Is a directory"));
  EXPECT_THAT(ReadTraces(dir_).error(), HasSubstr("no *.tsv or *.tsv.xz in it"));
  EXPECT_THAT(ReadTraces(dir_ / "none").error(), HasSubstr("No such file or directory"));
  EXPECT_THAT(ReadTrace(Write("text.tsv.xz", std::string(kText))).error(),
              HasSubstr("not an .xz file"));
  const std::string packed = Compressed(std::string(kText));
  EXPECT_THAT(ReadTrace(Write("cut.tsv.xz", packed.substr(0, packed.size() / 2))).error(),
              HasSubstr("cut.tsv.xz: ends too early"));
}

TEST(XzTest, DecompressesNoFurtherThanTheLimit) {
  const std::string packed = Compressed(std::string(1 << 20, 'a'));
  EXPECT_EQ(DecompressXz(packed, 1 << 20).value().size(), size_t{1} << 20);
  EXPECT_THAT(DecompressXz(packed, (1 << 20) - 1).error(), HasSubstr("too large"));
}

}  // namespace
}  // namespace dentree::lab
