#include "lab/progress.h"

#include "gmock/gmock.h"

namespace dentree::lab {
namespace {

class ProgressTest : public testing::Test {
 protected:
  std::string text_;
  const std::function<void(std::string_view)> print_ = [this](std::string_view text) {
    text_ += text;
  };
};

TEST_F(ProgressTest, ABarIsDrawnAnewAndTakenAway) {
  Progress progress(ProgressStyle::kBar, print_);
  progress.Show(1, 2, "lru on day");
  EXPECT_EQ(text_, "\r\x1b[K[###############...............]  50 % lru on day");
  text_.clear();
  progress.Clear();
  progress.Clear();
  EXPECT_EQ(text_, "\r\x1b[K");
}

TEST_F(ProgressTest, LinesArePrintedWhenThereIsNews) {
  Progress progress(ProgressStyle::kLines, print_);
  progress.Show(0, 4, "day");
  progress.Show(1, 4, "day");
  progress.Show(2, 4, "night");
  progress.Clear();
  EXPECT_EQ(text_, "lab: 0 of 4: day\nlab: 2 of 4: night\n");
}

TEST_F(ProgressTest, NothingToDoIsDone) {
  Progress progress(ProgressStyle::kBar, print_);
  progress.Show(0, 0, "");
  progress.Show(7, 3, "");
  EXPECT_THAT(text_, testing::HasSubstr("100 %"));
}

}  // namespace
}  // namespace dentree::lab
