// The machine's own tracefs, read back: each of its events, described as a catalogue would, must
// give the machine's text again.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/string_util.h"
#include "tests/trace/trace_test.h"
#include "trace/format.h"

namespace dentree::trace {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEvents = "/sys/kernel/tracing/events";

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string UpToPrintFmt(const std::string& text) {
  return text.substr(0, text.find("print fmt:"));
}

// What stands between `key` and the next ';' of a line.
std::string Value(std::string_view line, std::string_view key) {
  const size_t at = line.find(key) + key.size();
  return std::string(line.substr(at, line.find(';', at) - at));
}

// The fields of a format text in a catalogue's notation.
std::string FieldsOf(const std::string& text) {
  std::string fields;
  for (std::string_view line : base::Split(text, '\n')) {
    if (!line.starts_with("\tfield:")) continue;
    if (!fields.empty()) fields += ';';
    fields += Value(line, "field:") + ":" + Value(line, "offset:") + ":" + Value(line, "size:") +
              ":" + Value(line, "signed:");
  }
  return fields;
}

TEST(FormatKernel, TheLayoutOfTheRingBufferIsDescribedAsTheMachineDoes) {
  const std::string page = ReadAll(fs::path(kEvents) / "header_page");
  if (page.empty()) GTEST_SKIP() << "no tracefs to read at " << kEvents;
  EXPECT_EQ(HeaderPageText(), page);
  EXPECT_EQ(HeaderEventText(), ReadAll(fs::path(kEvents) / "header_event"));
}

TEST(FormatKernel, EveryEventOfTheMachineIsPrintedAsTheMachineDoes) {
  std::error_code error;
  size_t compared = 0;
  for (const auto& system : fs::directory_iterator(kEvents, error)) {
    if (!system.is_directory()) continue;
    for (const auto& event : fs::directory_iterator(system.path(), error)) {
      const std::string text = ReadAll(event.path() / "format");
      if (text.empty()) continue;
      base::RcuDomain rcu;
      base::FaultInjector faults;
      base::SyncPoints points;
      Registry registry({.rcu = rcu, .faults = faults, .sync_points = points, .key = {{1, 2}}});
      const size_t id = text.find("ID: ") + 4;
      const std::string row =
          system.path().filename().string() + "\t" + event.path().filename().string() + "\t" +
          text.substr(id, text.find('\n', id) - id) + "\tformat\t" + FieldsOf(text) + "\n";
      const auto loaded = LoadCatalogue(registry, row);
      ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString() << "\n" << row;
      base::RcuReadGuard guard(rcu);
      EXPECT_EQ(UpToPrintFmt(FormatText(*registry.NextEvent(0))), UpToPrintFmt(text));
      ++compared;
    }
  }
  if (compared == 0) GTEST_SKIP() << "no tracefs to read at " << kEvents;
}

}  // namespace
}  // namespace dentree::trace
