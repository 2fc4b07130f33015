// The machine's own tracefs, read back: every event of it, described as a catalogue would, must
// give the same directories, modes and texts here. Mounts one on a directory of its own; without
// the right to, and where there is none, this is skipped.

#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/string_util.h"
#include "tests/eventfs/tracefs_test.h"

namespace dentree::eventfs {
namespace {

namespace fs = std::filesystem;

class KernelTest : public tracefs::TracefsTest {
 protected:
  ~KernelTest() override {
    if (mounted_) umount2(place_.c_str(), MNT_DETACH);
    std::error_code ignored;
    if (!place_.empty()) fs::remove(place_, ignored);
  }
  void SetUp() override {
    TracefsTest::SetUp();
    std::string place = fs::temp_directory_path() / "tracefs-XXXXXX";
    if (mkdtemp(place.data()) == nullptr) GTEST_SKIP() << "no directory to mount on";
    place_ = place;
    mounted_ = mount("nodev", place_.c_str(), "tracefs", 0, nullptr) == 0;
    if (!mounted_) GTEST_SKIP() << "a tracefs cannot be mounted here: needs Linux and root";
    LoadMachine();
  }

  fs::path Theirs(std::string_view path) const { return fs::path(place_) / path; }
  static std::string ReadHost(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::string UpToPrintFmt(const std::string& text) {
    return text.substr(0, text.find("print fmt:"));
  }

  // Name and mode of everything in a directory of the machine, and of ours.
  using Listing = std::map<std::string, std::string>;
  Listing TheirListing(const std::string& path) const {
    Listing listing;
    for (const auto& entry : fs::directory_iterator(Theirs(path))) {
      struct stat st {};
      if (lstat(entry.path().c_str(), &st) != 0) continue;
      listing[entry.path().filename()] = ModeText(st.st_mode);
    }
    for (const char* extra : {"hist", "hist_debug", "inject"}) listing.erase(extra);
    return listing;
  }
  Listing OurListing(const std::string& path) {
    Listing listing;
    for (const std::string& name : Names(path)) {
      listing[name] = ModeText(Stat(path + "/" + name)->mode);
    }
    return listing;
  }

  std::vector<std::string> Systems() {
    std::vector<std::string> systems;
    for (const auto& [name, mode] : TheirListing("events")) {
      if (mode.starts_with('d')) systems.push_back(name);
    }
    return systems;
  }

 private:
  static std::string ModeText(mode_t mode) {
    char text[16];
    std::snprintf(text, sizeof(text), "%c%04o", S_ISDIR(mode) ? 'd' : '-', mode & 07777);
    return text;
  }
  static std::string Value(std::string_view line, std::string_view key) {
    const size_t at = line.find(key) + key.size();
    return std::string(line.substr(at, line.find(';', at) - at));
  }
  // A line of a catalogue from an event's directory.
  static std::string Describe(const fs::path& dir) {
    std::string fields, files, id;
    const std::string format = ReadHost(dir / "format");
    for (std::string_view line : base::Split(format, '\n')) {
      if (line.starts_with("ID: ")) id = line.substr(4);
      if (!line.starts_with("\tfield:")) continue;
      if (!fields.empty()) fields += ';';
      fields += Value(line, "field:") + ":" + Value(line, "offset:") + ":" + Value(line, "size:") +
                ":" + Value(line, "signed:");
    }
    for (const auto& file : fs::directory_iterator(dir)) {
      files += (files.empty() ? "" : ",") + file.path().filename().string();
    }
    return dir.parent_path().filename().string() + "\t" + dir.filename().string() + "\t" + id +
           "\t" + files + "\t" + fields + "\n";
  }
  void LoadMachine() {
    std::string catalogue;
    for (const auto& system : fs::directory_iterator(Theirs("events"))) {
      if (!system.is_directory()) continue;
      for (const auto& event : fs::directory_iterator(system.path())) {
        if (event.is_directory()) catalogue += Describe(event.path());
      }
    }
    const auto loaded = trace::LoadCatalogue(registry(), catalogue);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
    std::printf("compared with %zu events of this machine\n", loaded->events);
  }

  std::string place_;
  bool mounted_ = false;
};

TEST_F(KernelTest, AllThreeLevelsHaveTheMachinesNamesAndModes) {
  EXPECT_EQ(OurListing("events"), TheirListing("events"));
  for (const std::string& system : Systems()) {
    const std::string path = "events/" + system;
    const Listing theirs = TheirListing(path);
    EXPECT_EQ(OurListing(path), theirs) << system;
    for (const auto& [event, mode] : theirs) {
      if (!mode.starts_with('d')) continue;
      EXPECT_EQ(OurListing(path + "/" + event), TheirListing(path + "/" + event))
          << system << ":" << event;
    }
  }
}

TEST_F(KernelTest, TextsAreTheMachines) {
  EXPECT_EQ(*Read("events/header_event"), ReadHost(Theirs("events/header_event")));
  EXPECT_EQ(*Read("events/header_page"), ReadHost(Theirs("events/header_page")));
  for (const std::string& system : Systems()) {
    for (const auto& [event, mode] : TheirListing("events/" + system)) {
      if (!mode.starts_with('d')) continue;
      const std::string path = "events/" + system + "/" + event + "/";
      EXPECT_EQ(UpToPrintFmt(*Read(path + "format")),
                UpToPrintFmt(ReadHost(Theirs(path + "format"))));
      const auto id = Read(path + "id");
      if (!id) continue;
      EXPECT_EQ(*id, ReadHost(Theirs(path + "id"))) << path;
    }
  }
}

TEST_F(KernelTest, TheTracingDirectoryHasItsFilesWithTheMachinesModes) {
  Listing theirs = TheirListing("");
  for (const auto& [name, mode] : OurListing("")) {
    const auto found = theirs.find(name);
    if (found == theirs.end()) continue;  // another configuration
    EXPECT_EQ(mode, found->second) << name;
  }
}

}  // namespace
}  // namespace dentree::eventfs
