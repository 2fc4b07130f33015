// Eight threads look through a hundred tracing instances in a budget of 8 MiB.
//
// Each thread runs `find` over an instance, and now and then turns all its events off and on again.
// The budget is never exceeded, every command is right or says ENOMEM, and turning off never fails.
// DENTREE_BUDGET_SECONDS makes it run longer, DENTREE_CATALOGUE names a catalogue (TSV) of real
// events; without it there are as many as Linux 6.18 has, of the same shape.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "os/os.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

constexpr size_t kBudget = size_t{8} << 20;
constexpr int kThreads = 8;
constexpr int kInstances = 100;
constexpr int kSystems = 134;
constexpr int kEvents = 2323;

std::string Catalogue() {
  if (const char* const path = std::getenv("DENTREE_CATALOGUE")) {
    std::ifstream file(path, std::ios::binary);
    if (file && std::string_view(path).ends_with(".tsv")) {
      return {std::istreambuf_iterator<char>(file), {}};
    }
  }
  std::string text;
  for (int i = 0; i < kEvents; ++i) {
    absl::StrAppendFormat(&text,
                          "system%d\tevent_with_a_name_%d\t%d\tenable,filter,format,id,trigger\t"
                          "u64 value:8:8:0\n",
                          i % kSystems, i, 1000 + i);
  }
  return text;
}

std::string Instance(int i) {
  return absl::StrFormat("/sys/kernel/tracing/instances/i%d", i % kInstances);
}

class Finder {
 public:
  Finder(os::Os& os, int number) : os_(os), number_(number) {}

  void Run(const std::atomic<bool>& stop) {
    for (int round = 0; !stop; ++round) {
      const std::string instance = Instance(number_ * 13 + round);
      Find(instance, stop);
      Disable(instance);
    }
  }

  int64_t expected = 0;  // lines of a find; negative: unknown
  uint64_t finds = 0, complete = 0, refused = 0, disabled = 0;
  std::vector<std::string> wrong;

 private:
  void Find(const std::string& instance, const std::atomic<bool>& stop) {
    auto out = std::make_shared<StringSink>();
    auto err = std::make_shared<StringSink>();
    Shell shell(os_.NewTask(),
                Streams{.in = std::make_shared<StringSource>(""), .out = out, .err = err});
    const int status = shell.RunText("find " + instance + " -name enable");
    const std::string text = out->text();
    const auto lines = std::count(text.begin(), text.end(), '\n');
    ++finds;
    if (status == 0) {
      ++complete;
      if (expected >= 0 && lines != expected && !stop)
        Wrong(absl::StrFormat("%s: %d lines", instance, lines));
      return;
    }
    ++refused;
    JudgeErrors(err->text());
  }
  void JudgeErrors(const std::string& text) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      if (!line.ends_with("Cannot allocate memory")) Wrong(line);
      at = end + 1;
    }
  }
  void Disable(const std::string& instance) {
    const auto task = os_.NewTask();
    const std::string file = instance + "/events/enable";
    const auto on = task->WriteFile(file, "1");
    if (!on && on.error() != base::Errno::kNoMem) Wrong("cannot enable");
    const auto off = task->WriteFile(file, "0");
    if (!off) Wrong(absl::StrFormat("cannot disable: %s", base::ErrnoName(off.error())));
    ++disabled;
  }
  void Wrong(std::string what) {
    if (wrong.size() < 10) wrong.push_back(std::move(what));
  }

  os::Os& os_;
  const int number_;
};

class Budget : public testing::Test {
 protected:
  Budget()
      : catalogue_(Catalogue()),
        os_(os::Os::Boot({.catalogues = {catalogue_}, .memory_limit = kBudget}).value()) {
    const auto task = os_->NewTask();
    for (int i = 0; i < kInstances; ++i) CHECK(task->Mkdir(Instance(i), 0755).has_value());
  }

  // Lets the finders run; what they found wrong fails the test.
  void Run(std::chrono::seconds duration) {
    std::vector<std::unique_ptr<Finder>> finders;
    // An enable file for each event and system that can be enabled, and one for all.
    const int64_t lines = std::getenv("DENTREE_CATALOGUE") != nullptr ? -1 : kEvents + kSystems + 1;
    for (int i = 0; i < kThreads; ++i) {
      finders.push_back(std::make_unique<Finder>(*os_, i));
      finders.back()->expected = lines;
    }
    std::atomic<bool> stop{false};
    {
      std::vector<std::jthread> threads;
      for (const auto& finder : finders) {
        threads.emplace_back([&stop, &finder] { finder->Run(stop); });
      }
      std::this_thread::sleep_for(duration);
      stop = true;
    }
    for (const auto& finder : finders) {
      EXPECT_THAT(finder->wrong, testing::IsEmpty());
      finds_ += finder->finds;
      complete_ += finder->complete;
      refused_ += finder->refused;
      disabled_ += finder->disabled;
    }
    const mm::MemoryStats& stats = memory().stats();
    EXPECT_LE(memory().high_water(), kBudget);
    absl::PrintF(
        "%d finds: %d complete, %d refused; %d times disabled; most ever %d of %d bytes; "
        "%d reclaims, %d refusals, %d charges from the reserve\n",
        finds_, complete_, refused_, disabled_, memory().high_water(), kBudget,
        stats.reclaims.Value(), stats.refused.Value(), stats.reserve_charges.Value());
    os_->vfs().CheckInvariants();
  }
  mm::Memory& memory() { return os_->vfs().memory(); }

  const std::string catalogue_;
  const std::unique_ptr<os::Os> os_;
  uint64_t finds_ = 0, complete_ = 0, refused_ = 0, disabled_ = 0;
};

TEST_F(Budget, Of8MiBHoldsWhileEightThreadsLookThroughAHundredInstances) {
  const char* const seconds = std::getenv("DENTREE_BUDGET_SECONDS");
  Run(std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 3));
  EXPECT_GT(complete_, 0u);
}

TEST_F(Budget, ThatIsUsedUpRefusesFindsButNeverToTurnEventsOff) {
  os_->vfs().DropCaches();
  size_t taken = 0;
  for (size_t step = 16 * 1024; step != 0; step /= 2) {
    while (memory().Charge(step)) taken += step;
  }
  Run(std::chrono::seconds(2));
  EXPECT_GT(refused_, 0u);
  EXPECT_GT(memory().stats().reserve_charges.Value(), 0u);
  memory().Uncharge(taken);
}

}  // namespace
}  // namespace dentree::shell
