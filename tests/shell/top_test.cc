// What top shows, by a clock that stands still until the test turns it.
#include <stdlib.h>

#include <functional>
#include <thread>

#include "fixture/fixture.h"
#include "os/os.h"
#include "tests/shell/shell_test.h"

namespace dentree::shell {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

struct Shop {
  base::Counter sold, stolen;
  base::Gauge shelf;
  base::HighWater most;
};
constexpr auto kShopFields =
    base::Fields(base::F<&Shop::sold>("sold", "", base::StatKind::kCumulative),
                 base::F<&Shop::stolen>("stolen", "", base::StatKind::kCumulative),
                 base::F<&Shop::shelf>("shelf", "", base::StatKind::kInstant),
                 base::F<&Shop::most>("most", "", base::StatKind::kHighWater));

class Shops final : public statsfs::Rows {
 public:
  void ForEach(Visit visit) const override {
    for (const auto& [name, shop] : rows) {
      visit(name, base::StatSet(kShopFields, std::as_const(*shop)));
    }
  }
  std::vector<std::pair<std::string, const Shop*>> rows;
};

// Catches what is printed, and does something after each reading.
class CatchingSink final : public Sink {
 public:
  bool is_terminal() const override { return terminal; }
  size_t columns() const override { return 40; }
  base::Status Write(std::string_view bytes) override {
    text += bytes;
    if (after_reading) after_reading(++readings);
    return {};
  }
  bool terminal = false;
  int readings = 0;
  std::function<void(int)> after_reading;
  std::string text;
};

class TopTest : public testing::Test {
 protected:
  TopTest() { ::setenv("TZ", "UTC", 1); }
  ~TopTest() override { source_ = statsfs::Source(); }

  // The status; the text is in out_.
  int Run(const std::string& command) {
    out_->text.clear();
    out_->readings = 0;
    Shell shell(os_->NewTask(),
                Streams{.in = std::make_shared<StringSource>(""), .out = out_, .err = err_});
    interrupt_ = &shell.interrupt();
    const int status = shell.RunText(command);
    before_end_();
    return status;
  }

  std::function<void()> before_end_ = [] {};          // of the shell, whose interrupt_ is
  base::FakeClock clock_{1'000'000'000'000'000'000};  // 2001-09-09T01:46:40Z
  Shop shop_, other_;
  Shops rows_;
  std::unique_ptr<os::Os> os_ = os::Os::Boot({.clock = &clock_}).value();
  statsfs::Source source_ = os_->statsfs().Add("shop", statsfs::Values<kShopFields>(shop_)).value();
  std::shared_ptr<CatchingSink> out_ = std::make_shared<CatchingSink>();
  std::shared_ptr<StringSink> err_ = std::make_shared<StringSink>();
  Interrupt* interrupt_ = nullptr;
};

TEST_F(TopTest, TheFirstReadingHasNoRates) {
  shop_.sold.Add(3), shop_.shelf.Add(-2), shop_.stolen.Add(10);
  EXPECT_EQ(Run("top -n 1 -d 0 /sys/kernel/stats/shop"), 0);
  EXPECT_EQ(out_->text,
            "top - 01:46:40, /sys/kernel/stats/shop, reading 1\n"
            "\n"
            ".                                       value     per second\n"
            "  shelf                                    -2\n"
            "  stolen                                   10              -\n"
            "  sold                                      3              -\n");
}

TEST_F(TopTest, RatesAreBySecondsOfTheSystemsClockAndTheBusiestComesFirst) {
  shop_.sold.Add(3), shop_.stolen.Add(100);
  out_->after_reading = [&](int reading) {
    if (reading != 1) return;
    clock_.Advance(2'000'000'000);
    shop_.sold.Add(5), shop_.shelf.Add(7), shop_.stolen.Add(1);
  };
  EXPECT_EQ(Run("top -n 2 -d 0 /sys/kernel/stats/shop"), 0);
  EXPECT_THAT(out_->text,
              testing::EndsWith("\n"
                                "top - 01:46:42, /sys/kernel/stats/shop, reading 2\n"
                                "\n"
                                ".                                       value     per second\n"
                                "  shelf                                     7\n"
                                "  sold                                      8            2.5\n"
                                "  stolen                                  101            0.5\n"));
}

TEST_F(TopTest, WhatWasClearedHasGrownFromZero) {
  shop_.sold.Add(100);
  out_->after_reading = [&](int reading) {
    if (reading != 1) return;
    clock_.Advance(1'000'000'000);
    ASSERT_OK(os_->NewTask()->WriteFile("/sys/kernel/stats/shop/sold", "0", 0));
    shop_.sold.Add(4);
  };
  EXPECT_EQ(Run("top -n 2 -d 0 /sys/kernel/stats/shop"), 0);
  EXPECT_THAT(out_->text,
              HasSubstr("  sold                                      4            4.0\n"));
}

TEST_F(TopTest, WhatIsZeroIsShownWhenAskedFor) {
  EXPECT_EQ(Run("top -n 1 /sys/kernel/stats/shop"), 0);
  EXPECT_EQ(out_->text, "top - 01:46:40, /sys/kernel/stats/shop, reading 1\n");
  EXPECT_EQ(Run("top -a -n 1 /sys/kernel/stats/shop"), 0);
  for (const char* name : {"shelf", "most", "sold", "stolen"}) {
    EXPECT_THAT(out_->text, HasSubstr("\n  " + std::string(name) + " ")) << name;
  }
}

TEST_F(TopTest, TablesHaveALineForEachRow) {
  Shop small, big, idle;
  small.sold.Add(3), small.shelf.Add(1), big.sold.Add(20);
  rows_.rows = {{"small", &small}, {"big", &big}, {"idle", &idle}, {"small", &big}};
  const auto table = os_->statsfs().Add("shops", statsfs::Table<kShopFields>(rows_)).value();
  out_->after_reading = [&](int reading) {
    if (reading != 1) return;
    clock_.Advance(1'000'000'000);
    small.sold.Add(2), idle.stolen.Add(1);
  };
  EXPECT_EQ(Run("top -n 2 -d 0 /sys/kernel/stats/shops"), 0);
  EXPECT_THAT(out_->text, HasSubstr("\n.                              sold      shelf\n"
                                    "  big                            20          0\n"
                                    "  small                          20          0\n"
                                    "  small                           3          1\n"));
  EXPECT_THAT(out_->text, HasSubstr("\n.                            sold/s   stolen/s      shelf\n"
                                    "  big                           0.0        0.0          0\n"
                                    "  small                         0.0        0.0          0\n"
                                    "  small                         2.0        0.0          1\n"
                                    "  idle                          0.0        1.0          0\n"));
}

TEST_F(TopTest, ShowsEverythingThereIsByDefault) {
  EXPECT_EQ(Run("top -n 1"), 0);
  for (const char* group :
       {"vfs", "vfs/dcache", "vfs/negative", "mm", "mm/caches", "kernfs/calls"}) {
    EXPECT_THAT(out_->text, HasSubstr("\n\n" + std::string(group) + " ")) << group;
  }
  EXPECT_THAT(out_->text, HasSubstr("\n  dentries "));
}

TEST_F(TopTest, OnATerminalEachReadingReplacesTheOneBefore) {
  out_->terminal = true;
  shop_.sold.Add(1);
  EXPECT_EQ(Run("top -n 2 -d 0 /sys/kernel/stats/shop"), 0);
  EXPECT_THAT(out_->text, StartsWith("\x1b[H\x1b[2Jtop - "));
  EXPECT_THAT(out_->text, HasSubstr("\n\x1b[H\x1b[2Jtop - "));
  std::istringstream lines(out_->text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    if (!line.starts_with('\x1b')) {
      EXPECT_LE(line.size(), 40u) << line;
    }
  }
  EXPECT_EQ(Run("top -b -n 1 /sys/kernel/stats/shop"), 0);
  EXPECT_THAT(out_->text, StartsWith("top - "));
}

TEST_F(TopTest, GoesOnUntilInterrupted) {
  out_->after_reading = [&](int reading) {
    if (reading == 3) interrupt_->store(true);
  };
  EXPECT_EQ(Run("top -d 0 /sys/kernel/stats/shop"), kInterrupted);
  EXPECT_EQ(out_->readings, 3);
}

TEST_F(TopTest, IsInterruptedWhileItWaits) {
  std::atomic<bool> read{false};
  out_->after_reading = [&](int) { read = true; };
  std::jthread user([&] {
    while (!read) std::this_thread::yield();
    interrupt_->store(true);
  });
  before_end_ = [&] { user.join(); };
  EXPECT_EQ(Run("top -d 1h /sys/kernel/stats/shop"), kInterrupted);
}

TEST_F(TopTest, SourcesThatGoMeanwhileAreLeftOut) {
  shop_.sold.Add(1);
  out_->after_reading = [&](int reading) {
    if (reading == 1) source_ = statsfs::Source();
  };
  EXPECT_EQ(Run("top -n 2 -d 0"), 0);
  const size_t second = out_->text.find("reading 2");
  EXPECT_THAT(out_->text.substr(0, second), HasSubstr("\nshop "));
  EXPECT_THAT(out_->text.substr(second), Not(HasSubstr("\nshop ")));
}

TEST_F(TopTest, SaysWhatItDoesNotUnderstand) {
  EXPECT_EQ(Run("top -d soon"), 1);
  EXPECT_EQ(Run("top -n 0"), 1);
  EXPECT_EQ(Run("top /a /b"), 1);
  EXPECT_EQ(Run("top /nowhere"), 1);
  EXPECT_EQ(err_->text(),
            "top: invalid time interval 'soon'\nTry 'top --help' for more information.\n"
            "top: invalid number of readings: '0'\nTry 'top --help' for more information.\n"
            "top: extra operand '/b'\nTry 'top --help' for more information.\n"
            "top: /nowhere: No such file or directory\n");
}

}  // namespace
}  // namespace dentree::shell
